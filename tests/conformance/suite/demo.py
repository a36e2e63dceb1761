"""The server under test: `codex-proxy demo` on a free port, or one that already runs."""

import contextlib
import pathlib
import re
import subprocess
import threading

START_LIMIT_SECONDS = 30


class StartError(Exception):
    """Why the server could not be started."""


@contextlib.contextmanager
def running(binary, log):
    """Starts the demo of `binary`, yields its base URL, and ends it. What it prints as it runs goes to the file `log`."""
    if not pathlib.Path(binary).exists():
        raise StartError(f"there is no {binary}: run `cargo build --release`")
    with open(log, "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [binary, "demo", "--port", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield f"{_address(process)}/v1"
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process):
    """The address in the first line of the standard output; the rest is read and dropped, so that the pipe never fills."""
    found = threading.Event()
    address = []

    def read():
        for line in process.stdout:
            match = re.match(r"listening on (http://\S+)", line)
            if match and not address:
                address.append(match.group(1).rstrip("/"))
                found.set()
        found.set()

    threading.Thread(target=read, daemon=True).start()
    if not found.wait(START_LIMIT_SECONDS) or not address:
        raise StartError("the demo did not say where it listens")
    return address[0]
