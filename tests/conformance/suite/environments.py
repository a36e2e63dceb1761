"""Where the clients are installed: one folder for each set of pinned packages, kept between runs.

* A folder's name carries a hash of what pins it, so a changed version is a new folder and an old one is never reused.
* Every installed folder is complete: the marker inside it is written last.
* Two runs at once do not disturb each other: whoever installs holds a lock.
* Python packages are installed with uv, which is itself fetched first; packages of Node with npm; those of Rust are compiled,
  with the checks that use them.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass

PINS = pathlib.Path(__file__).resolve().parent.parent / "environments"
UV = "uv==0.13.8"
INSTALL_LIMIT_SECONDS = 300


class InstallError(Exception):
    """Why a set of packages could not be installed."""


@dataclass(frozen=True)
class Environment:
    """One set of pinned packages, named after its folder of pins."""

    name: str

    @property
    def pins(self):
        """The folder that names every package and version."""
        return PINS / self.name

    @property
    def is_python(self):
        """Whether this is a set of Python packages; otherwise it is one for Node."""
        return (self.pins / "requirements.txt").exists()

    @property
    def is_rust(self):
        """Whether this is a program to compile, which holds its checks itself."""
        return (self.pins / "Cargo.toml").exists()

    def version(self, package):
        """The pinned version of `package`."""
        if self.is_rust:
            manifest = tomllib.loads((self.pins / "Cargo.toml").read_text())
            return manifest["dependencies"][package]["version"].removeprefix("=")
        if not self.is_python:
            return json.loads((self.pins / "package.json").read_text())["dependencies"][package]
        pattern = rf"^{re.escape(package)}(?:\[.*\])?==(\S+)$"
        return re.search(pattern, (self.pins / "requirements.txt").read_text(), re.MULTILINE).group(1)

    def folder(self, cache):
        """Where this set is installed below `cache`."""
        digest = hashlib.sha256()
        for file in sorted(self.pins.rglob("*")):
            digest.update(file.read_bytes() if file.is_file() else b"")
        digest.update(f"{sys.version_info[:2]}".encode())
        return cache / f"{self.name}-{digest.hexdigest()[:12]}"

    def programs(self, cache):
        """The folder of the installed executables."""
        inside = "venv/bin" if self.is_python else "bin" if self.is_rust else "node_modules/.bin"
        return self.folder(cache) / inside

    def install(self, cache):
        """Installs the set unless it is there already; returns the seconds it took."""
        cache.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with (cache / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = self.folder(cache)
            if not (folder / MARKER).exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                kinds = {self.is_python: self._install_python, self.is_rust: self._install_rust}
                kinds.get(True, self._install_node)(folder, cache)
                (folder / MARKER).touch()
        return time.monotonic() - started

    def _install_python(self, folder, cache):
        uv = _fetch_uv(cache)
        _execute([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], cache)
        python = folder / "venv/bin/python"
        _execute([uv, "pip", "install", "--quiet", "--python", python, "-r", self.pins / "requirements.txt"], cache)

    def _install_rust(self, folder, cache):
        built = folder / "target"
        manifest = self.pins / "Cargo.toml"
        _execute(["cargo", "build", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir", built], cache)
        (folder / "bin").mkdir()
        shutil.copy(built / "debug" / tomllib.loads(manifest.read_text())["package"]["name"], folder / "bin")
        shutil.rmtree(built)

    def _install_node(self, folder, cache):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(self.pins / name, folder)
        # `npm ci` refuses a lock file that lacks the packages of other platforms, which are optional and not locked.
        _execute(["npm", "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"], cache, cwd=folder)


def default_cache():
    """The folder below which everything is installed."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "codex-proxy" / "conformance"


def _fetch_uv(cache):
    folder = cache / UV
    with (cache / "uv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / MARKER).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _execute([sys.executable, "-m", "venv", folder], cache)
            _execute([folder / "bin/pip", "install", "--quiet", UV], cache)
            (folder / MARKER).touch()
    return folder / "bin/uv"


def _execute(command, cache, cwd=None):
    environment = {**os.environ, "UV_CACHE_DIR": str(cache / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=INSTALL_LIMIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(str(error)) from error
    if done.returncode != 0:
        raise InstallError(f"{pathlib.Path(command[0]).name} ended with {done.returncode}: {done.stdout[-600:].strip()}")


MARKER = "complete"
