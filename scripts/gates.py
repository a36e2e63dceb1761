#!/usr/bin/env python3
"""Counts what repeats exactly about the release binary, and fails where a figure is over its limit.

* Its size; its memory before the first request and after one.
* Instructions and heap allocations of a text delta: the difference between a long and a short answer, under valgrind.
* System calls of a delta that comes alone, waiting aside: the same under strace.

Nothing here is a time, so a busy machine changes nothing. A tool that is not installed is said and its figures left out;
with `CI` set that is a failure. `--binary PATH` looks at another binary.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What must hold.
LIMITS = {
    "size of the binary, MB": 8.0,
    "memory before the first request, MB": 12.0,
    "memory after a request, MB": 12.0,
    "instructions a text delta, in a burst": 8000,
    "allocations a text delta, in a burst": 2.0,
    "allocations a text delta, each alone": 2.0,
    "system calls a text delta, each alone": 2.3,
}

DELTA = (
    'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","content_index":0,'
    '"delta":" the quick","item_id":"msg_7ae93b306a22ed7f54e225d6db82a13c325daea5cc23209f","logprobs":[],'
    '"obfuscation":"aZ3kQ9xW1mB","output_index":0,"sequence_number":123}\n\n'
).encode()
CREATED = b'data: {"type":"response.created","response":{"id":"resp_1","output":[]},"sequence_number":0}\n\n'
COMPLETED = (
    b'data: {"type":"response.completed","response":{"id":"resp_1","output":[],"usage":{"input_tokens":5,'
    b'"output_tokens":7}},"sequence_number":9}\n\n'
)


class Backend:
    """Answers `plan:COUNT:PER_WRITE:MILLISECONDS` in a prompt with so many deltas, so many a write, so far apart."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while request := _read_request(connection):
                plan = re.search(rb"plan:(\d+):(\d+):(\d+)", request)
                if plan:
                    _play(connection, *map(int, plan.groups()))
                else:
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")
        except OSError:
            pass


def _read_request(connection):
    received = b""
    while True:
        head, separator, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if separator and len(body) >= int(length.group(1) if length else 0):
            return received
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece


def _play(connection, count, per_write, pause):
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + _chunk(CREATED))
    for _ in range(count // per_write):
        if pause:
            time.sleep(pause / 1000)
        connection.sendall(_chunk(DELTA * per_write))
    connection.sendall(_chunk(COMPLETED) + b"0\r\n\r\n")


def _chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Daemon:
    """The proxy in front of a backend, perhaps inside another program."""

    def __init__(self, binary, backend, wrapper=()):
        self.home = tempfile.TemporaryDirectory(prefix="gates-")
        environment = {"HOME": self.home.name, "CREDS_STORE": "env", "ACCESS_TOKEN": "token", "ACCOUNT_ID": "account"}
        self.process = subprocess.Popen(
            [*wrapper, binary, "--port", "0", "--log-level", "warn", "--upstream-url",
             f"http://127.0.0.1:{backend.port}/codex"],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            raise SystemExit(f"{binary} does not start: {line!r}")
        self.port = int(line.rsplit(":", 1)[1])

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
            return _read_to_end(connection)

    def stream(self, count, per_write, pause):
        """One answer of so many deltas; every one of them must arrive."""
        body = '{"messages":[{"role":"user","content":"plan:%d:%d:%d"}],"stream":true}' % (count, per_write, pause)
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body.encode()))
            answer = _read_to_end(connection)
        arrived = answer.count(b'"content":" the quick"')
        if arrived != count or b"data: [DONE]" not in answer:
            raise SystemExit(f"{arrived} of {count} deltas arrived: {answer[:300]}")

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024

    def stop(self):
        # strace is a process of its own, around the one that is to end.
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(children[0]) if children else self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        self.home.cleanup()


def _read_to_end(connection):
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def measure(binary, backend):
    yield "size of the binary, MB", pathlib.Path(binary).stat().st_size / 1e6
    daemon = Daemon(binary, backend)
    daemon.get("/health")
    time.sleep(1)
    yield "memory before the first request, MB", daemon.resident()
    daemon.stream(100, 1, 0)
    yield "memory after a request, MB", daemon.resident()
    daemon.stop()
    if there_is("valgrind"):
        callgrind = Counter(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], r"Collected : (\d+)")
        memcheck = Counter(["valgrind", "--leak-check=no", "--undef-value-errors=no"], r"usage: ([\d,]+) allocs")
        yield "instructions a text delta, in a burst", callgrind.each(binary, backend, (2000, 12000), 50, 0)
        yield "allocations a text delta, in a burst", memcheck.each(binary, backend, (2000, 12000), 50, 0)
        yield "allocations a text delta, each alone", memcheck.each(binary, backend, (200, 600), 1, 8)
    if there_is("strace"):
        yield "system calls a text delta, each alone", SystemCalls().each(binary, backend, (200, 600), 1, 8)


def there_is(tool):
    found = shutil.which(tool)
    if not found:
        print(f"{tool} is not installed: its figures are left out")
        if os.environ.get("CI"):
            raise SystemExit(1)
    return found


class Counter:
    """A tool that counts something while a program runs and reports it at its end."""

    def __init__(self, command, pattern):
        self.command = command
        self.pattern = pattern

    def each(self, binary, backend, counts, per_write, pause):
        """What one delta more costs."""
        few, many = (self._total(binary, backend, count, per_write, pause) for count in counts)
        return (many - few) / (counts[1] - counts[0])

    def _total(self, binary, backend, count, per_write, pause):
        with tempfile.TemporaryDirectory(prefix="gates-") as scratch:
            report = os.path.join(scratch, "report")
            daemon = Daemon(binary, backend, self._wrapper(report))
            daemon.stream(count, per_write, pause)
            daemon.stop()
            return self._read(pathlib.Path(report).read_text())

    def _wrapper(self, report):
        return [*self.command, f"--log-file={report}"]

    def _read(self, text):
        return int(re.search(self.pattern, text).group(1).replace(",", ""))


class SystemCalls(Counter):
    """Every call but the one that waits for something to happen."""

    def __init__(self):
        super().__init__(["strace", "-f", "-c", "-U", "calls,name"], "")

    def _wrapper(self, report):
        return [*self.command, "-o", report]

    def _read(self, text):
        calls = {name: int(count) for count, name in re.findall(r"^\s*(\d+)\s+(\w+)\s*$", text, re.MULTILINE)}
        return sum(count for name, count in calls.items() if name not in ("epoll_wait", "total"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    parser.add_argument("--binary", default=pathlib.Path(target) / "release" / "codex-proxy")
    options = parser.parse_args()
    backend, begun, failed = Backend(), time.monotonic(), []
    for name, value in measure(str(options.binary), backend):
        limit = LIMITS[name]
        over = value > limit
        print(f"{name + ':':42} {value:8.2f} of {limit:g}{'  TOO MUCH' if over else ''}", flush=True)
        failed += [name] if over else []
    print(f"counted in {time.monotonic() - begun:.0f} s: {len(failed)} of {len(LIMITS)} figures over their limits")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
