"""What the other files know of the project: its folder, its version, the systems it is released for, the commit's time."""

import os
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "dist"
NAME = "codex-proxy"

# Target triple: the name of its archive. release.yml has one build job for each.
TARGETS = {
    "x86_64-unknown-linux-gnu": "linux-x86_64",
    "aarch64-unknown-linux-gnu": "linux-aarch64",
    "aarch64-apple-darwin": "macos-aarch64",
    "x86_64-pc-windows-msvc": "windows-x86_64",
}


def say(text):
    print(f"release: {text}", file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"release: {text}")


def output(*command, **options):
    """The standard output of a command, which must succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8", **options).stdout


def manifest(root=ROOT):
    """Cargo.toml's [package]."""
    return tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))["package"]


def host():
    """The target triple of this machine, which must be one that is released."""
    lines = output("rustc", "-vV", cwd=ROOT).splitlines()
    target = next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))
    if target not in TARGETS:
        fail(f"nothing is released for {target}; project.py lists the targets")
    return target


def compiler():
    """The version of the compiler in use, such as 1.95.0."""
    return output("rustc", "--version", cwd=ROOT).split()[1]


def sysroot():
    """The folder of the toolchain in use."""
    return pathlib.Path(output("rustc", "--print", "sysroot", cwd=ROOT).strip())


def binary_name(target):
    return NAME + (".exe" if "windows" in target else "")


def stem(target):
    """The name of a target's archive without its ending, and of the folder inside it."""
    return f"{NAME}-{TARGETS[target]}"


def epoch(root=ROOT):
    """The one time that goes into a release, in Unix seconds: SOURCE_DATE_EPOCH, else that of the commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or output("git", "log", "-1", "--format=%ct", cwd=root))
