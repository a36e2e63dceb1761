"""Running a client that is a program: alone in a scratch home, without the caller's keys, ended when its time is up.

* `Program` finds the client's executable in its own environment and gives every run a fresh home and working folder.
* What the program prints is kept whole; nothing is read from the terminal.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
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

    def execute(self, program, *arguments, limit=40, until=None, keep=False, typed="", **variables):
        """Runs `program` of the client's environment to its end, at most `limit` seconds; `typed` is its standard input.

        A client that would retry without end is ended as soon as `until` stands in what it prints or logs; its exit
        code is then None. `keep` leaves the folders for another run, or for a look; `remove` takes them away.
        """
        command = [pathlib.Path(os.environ["PROGRAMS"]) / program, *arguments]
        printed = [self.root / "stdout", self.root / "stderr"]
        try:
            with (self.write("typed", typed).open("rb") as stdin, printed[0].open("wb") as stdout,
                  printed[1].open("wb") as stderr):
                process = subprocess.Popen(
                    command, cwd=self.folder, env=self.environment(variables), stdin=stdin, stdout=stdout,
                    stderr=stderr, start_new_session=True)
                try:
                    in_time = self._wait(process, limit, until)
                finally:
                    end(process)
            output = Output(process.returncode if until is None else None, *map(_read, printed))
        finally:
            if not keep:
                self.remove()
        if not in_time:
            expected = f"print {until!r}" if until else "end"
            raise TimeoutError(f"{program} did not {expected} within {limit} s; {output.tail()}")
        return output

    def remove(self):
        """Takes the run's folders away."""
        shutil.rmtree(self.root, ignore_errors=True)

    def environment(self, variables):
        """The environment of a program of this run, with `variables` beside it."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE", "TMPDIR") if name in os.environ}
        folders = {f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        quiet = {"NO_PROXY": "127.0.0.1,localhost", "NO_COLOR": "1", "CI": "1", "TERM": "dumb"}
        return {**kept, **folders, **quiet, "HOME": str(self.home), **{k: str(v) for k, v in variables.items()}}

    def _wait(self, process, limit, until):
        """Waits for the end of the process, or for `until` in any file that it has written; false if neither came."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if until is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=deadline - time.monotonic())
                    return True
            elif any(until in _read(file) for file in (*self.root.glob("std*"), *self.home.glob("**/*.log"))):
                return True
            elif process.poll() is not None:
                return False
            else:
                time.sleep(POLL_SECONDS)
        return False


def end(process):
    """Ends the process and everything that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(file):
    return file.read_text(encoding="utf-8", errors="replace")


TAIL = 500
POLL_SECONDS = 0.2
