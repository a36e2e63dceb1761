"""Running a client that is a program: alone in a scratch home, without the caller's keys, ended when its time is up.

* `Program` finds the client's executable in its own environment and gives every run a fresh home and working folder.
* What the program prints is kept whole; nothing is read from the terminal.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass


@dataclass(frozen=True)
class Output:
    """What one run printed, and how it ended."""

    code: int | None
    stdout: str
    stderr: str

    def events(self):
        """The lines of the standard output that are JSON objects."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def tail(self):
        """The end of everything printed, for a message."""
        return f"exit code {self.code}: {(self.stdout + self.stderr)[-TAIL:]}"


class Run:
    """One run's folders: `home` and `folder`, both empty at first."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(dir=os.environ["SCRATCH"]))
        self.home = self.root / "home"
        self.folder = self.root / "folder"
        self.home.mkdir()
        self.folder.mkdir()

    def write(self, path, content):
        """Writes a file below the run's root; anything but text becomes JSON."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content))
        return target

    def execute(self, program, *arguments, limit=40, may_linger=False, **variables):
        """Runs `program` of the client's environment to its end, at most `limit` seconds.

        A program that takes longer is ended, which is a failure unless it `may_linger`: then its code is None.
        """
        executable = pathlib.Path(os.environ["PROGRAMS"]) / program
        process = subprocess.Popen(
            [executable, *arguments], cwd=self.folder, env=self._environment(variables), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        try:
            stdout, stderr = process.communicate(timeout=limit)
        except (subprocess.TimeoutExpired, TimeoutError):
            os.killpg(process.pid, signal.SIGKILL)
            output = Output(None, *process.communicate())
            if may_linger:
                return output
            raise TimeoutError(f"{program} did not end within {limit} s; {output.tail()}") from None
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
        return Output(process.returncode, stdout, stderr)

    def _environment(self, variables):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE", "TMPDIR") if name in os.environ}
        folders = {f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        quiet = {"NO_PROXY": "127.0.0.1,localhost", "NO_COLOR": "1", "CI": "1", "TERM": "dumb"}
        return {**kept, **folders, **quiet, "HOME": str(self.home), **{k: str(v) for k, v in variables.items()}}


TAIL = 500
