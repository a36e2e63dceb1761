#!/usr/bin/env python3
"""Counts what repeats exactly about the release binary, and fails where a figure is over its limit.

* Its size; its memory before the first request, after one, and some seconds after many at once; what large requests leave.
* Instructions of a request whose answer is one delta and the eight other events, and of a byte of the instructions that
  the backend repeats in three of them: the difference between many and few requests, with and without such bytes.
* Instructions that the ledger adds to a request, its writing included: the difference to a proxy without one.
* Instructions and heap allocations of a text delta: the difference between a long and a short answer, under valgrind.
* System calls of a delta that comes alone, waiting aside: the same under strace.

Nothing here is a time, so a busy machine changes nothing. A tool that is not installed is said and its figures left out;
with `CI` set that is a failure. `--binary PATH` looks at another binary.
"""

import argparse
import concurrent.futures
import dataclasses
import json
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

# What must hold. Instructions and calls are those reached, and five per cent.
LIMITS = {
    "size of the binary, MB": 10.0,
    "memory before the first request, MB": 12.0,
    "memory after a request, MB": 12.0,
    "memory after 300 streams, MB": 28.0,
    "memory that requests of 5 MB leave, MB": 5.0,
    "instructions a text delta, in a burst": 3390,
    "the same in Messages": 3260,
    "instructions a text delta, each alone": 12750,
    "instructions a request": 275000,
    "instructions an echoed byte": 1.3,
    "instructions a row of the ledger": 21000,
    "allocations a text delta, in a burst": 0.3,
    "allocations a text delta, each alone": 1.2,
    "system calls a text delta, each alone": 2.15,
}

# Streams at once, and the seconds after which their memory must be free.
STREAMS = 300
PATIENCE = 4

# Large requests at once, and the bytes of each.
LARGE_REQUESTS = 8
LARGE = 5_000_000

# The requests of the shorter and the longer run, and the bytes of instructions that the backend repeats thrice.
REQUESTS = (10, 60)
ECHO = 24000

WITHOUT_LEDGER = ("--ledger-days", "0")

ITEM = "msg_7ae93b306a22ed7f54e225d6db82a13c325daea5cc23209f"
# Instructions as tools send them: line breaks, quotes, and now and then a character beyond ASCII.
INSTRUCTIONS = (
    'You are a coding agent that runs in a terminal.\nBe precise, safe and "helpful" \u2014 and prefer `rg` to grep.\n'
    "Never revert a change that you did not make yourself, unless you are asked to. Read a file before you edit it.\n"
    "When a command fails, say so, and say what you tried; do not claim that something works before you have run it.\n"
    "Keep answers short: a sentence or two for a small change, a list of at most six points for a large one.\n"
    "Plans have steps of five to seven words each, and one step at a time is in progress until it is done.\n"
)


def delta_event(number):
    return _event("response.output_text.delta", content_index=0, delta=" the quick", item_id=ITEM, logprobs=[],
                  obfuscation="aZ3kQ9xW1mB", output_index=0, sequence_number=number)


def _event(kind, **fields):
    event = json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {event}\n\n".encode()


def _response(status, echo, usage=None):
    """The answer's own object: mostly what the request said, `echo` bytes of instructions among it."""
    instructions = INSTRUCTIONS * (echo // len(INSTRUCTIONS.encode()))
    return {
        "id": "resp_7ae93b306a22ed7f54e225d6db82a13c", "object": "response", "created_at": 1786000000,
        "status": status, "background": False, "error": None, "incomplete_details": None,
        "instructions": instructions, "max_output_tokens": None, "model": "gpt-6.1-sol", "output": [],
        "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": "0f1e2d3c",
        "reasoning": {"effort": "medium", "summary": None}, "service_tier": "auto", "store": False,
        "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": None, "metadata": {},
    }


def events_before(echo):
    """The events before the first delta."""
    response = _response("in_progress", echo)
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    item = {"id": ITEM, "type": "message", "status": "in_progress", "content": [], "role": "assistant"}
    return [
        _event("response.created", response=response, sequence_number=0),
        _event("response.in_progress", response=response, sequence_number=1),
        _event("response.output_item.added", item=item, output_index=0, sequence_number=2),
        _event("response.content_part.added", content_index=0, item_id=ITEM, output_index=0, part=part,
               sequence_number=3),
    ]


def events_after(count, echo):
    """The events after the last of so many deltas."""
    text, next_number = " the quick" * count, 4 + count
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    item = {"id": ITEM, "type": "message", "status": "completed", "content": [part], "role": "assistant"}
    usage = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 7,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12}
    return [
        _event("response.output_text.done", content_index=0, item_id=ITEM, logprobs=[], output_index=0, text=text,
               sequence_number=next_number),
        _event("response.content_part.done", content_index=0, item_id=ITEM, output_index=0, part=part,
               sequence_number=next_number + 1),
        _event("response.output_item.done", item=item, output_index=0, sequence_number=next_number + 2),
        _event("response.completed", response=_response("completed", echo, usage), sequence_number=next_number + 3),
    ]


@dataclasses.dataclass(frozen=True)
class Dialect:
    """An API of the proxy: a streamed request, and what its answer has for each delta and at its end."""

    path: str
    body: str
    delta: bytes
    end: bytes


CHAT = Dialect("/v1/chat/completions", '{"messages":[{"role":"user","content":"%s"}],"stream":true}',
               b'"content":" the quick"', b"data: [DONE]")
MESSAGES = Dialect("/v1/messages", '{"max_tokens":9,"messages":[{"role":"user","content":"%s"}],"stream":true}',
                   b'"text":" the quick"', b"event: message_stop")


class Backend:
    """Answers `plan:COUNT:PER_WRITE:MILLISECONDS:ECHO` in a prompt with so many deltas, so many a write, so far apart.

    Three of the other events repeat ECHO bytes of instructions.
    """

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
                plan = re.search(rb"plan:(\d+):(\d+):(\d+):(\d+)", request)
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


def _play(connection, count, per_write, pause, echo):
    connection.sendall(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(map(chunk, events_before(echo))))
    for first in range(0, count, per_write):
        if pause:
            time.sleep(pause / 1000)
        connection.sendall(chunk(b"".join(delta_event(4 + first + place) for place in range(per_write))))
    connection.sendall(b"".join(map(chunk, events_after(count, echo))) + b"0\r\n\r\n")


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Daemon:
    """The proxy in front of a backend, perhaps inside another program."""

    def __init__(self, binary, backend, wrapper=(), options=()):
        self.home = tempfile.TemporaryDirectory(prefix="gates-")
        environment = {"HOME": self.home.name, "CREDS_STORE": "env", "ACCESS_TOKEN": "token", "ACCOUNT_ID": "account"}
        self.process = subprocess.Popen(
            [*wrapper, binary, "--port", "0", "--log-level", "warn", "--upstream-url",
             f"http://127.0.0.1:{backend.port}/codex", *options],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            raise SystemExit(f"{binary} does not start: {line!r}")
        self.port = int(line.rsplit(":", 1)[1])

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
            return _read_to_end(connection)

    def stream(self, count, per_write, pause, echo=0, requests=1, dialect=CHAT, more=""):
        """So many answers of so many deltas, over one connection; every delta must arrive. The prompts hold `more`, too."""
        body = dialect.body % f"plan:{count}:{per_write}:{pause}:{echo} {more}"
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            for _ in range(requests):
                connection.sendall(
                    b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (dialect.path.encode(), len(body), body.encode()))
                answer = _read_answer(connection)
                arrived = answer.count(dialect.delta)
                if arrived != count or dialect.end not in answer:
                    raise SystemExit(f"{arrived} of {count} deltas arrived: {answer[:300]}")

    def crowd(self, streams):
        """So many answers at once, of twenty deltas each, a twentieth of a second apart."""
        with concurrent.futures.ThreadPoolExecutor(streams) as pool:
            for stream in [pool.submit(self.stream, 20, 1, 50) for _ in range(streams)]:
                stream.result()

    def burden(self, requests, size):
        """So many large requests at once, with answers that end a second later."""
        with concurrent.futures.ThreadPoolExecutor(requests) as pool:
            for stream in [pool.submit(self.stream, 10, 1, 100, more="x" * size) for _ in range(requests)]:
                stream.result()

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


def _read_answer(connection):
    """Reads up to the last chunk of an answer."""
    answer = b""
    while not answer.endswith(b"\r\n0\r\n\r\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            break
        answer += piece
    return answer


def measure(binary, backend):
    yield "size of the binary, MB", pathlib.Path(binary).stat().st_size / 1e6
    daemon = Daemon(binary, backend)
    daemon.get("/health")
    time.sleep(1)
    yield "memory before the first request, MB", daemon.resident()
    daemon.stream(100, 1, 0)
    yield "memory after a request, MB", daemon.resident()
    daemon.crowd(STREAMS)
    time.sleep(PATIENCE)
    yield "memory after 300 streams, MB", daemon.resident()
    daemon.stop()
    daemon = Daemon(binary, backend)
    daemon.stream(100, 1, 0)
    before = daemon.resident()
    daemon.burden(LARGE_REQUESTS, LARGE)
    yield "memory that requests of 5 MB leave, MB", daemon.resident() - before
    daemon.stop()
    if there_is("valgrind"):
        callgrind = Counter(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], r"Collected : (\d+)")
        memcheck = Counter(["valgrind", "--leak-check=no", "--undef-value-errors=no"], r"usage: ([\d,]+) allocs")
        yield "instructions a text delta, in a burst", callgrind.each(binary, backend, (2000, 12000), 50, 0)
        yield "the same in Messages", callgrind.each(binary, backend, (2000, 12000), 50, 0, MESSAGES)
        yield "instructions a text delta, each alone", callgrind.each(binary, backend, (200, 500), 1, 8)
        request = callgrind.each_request(binary, backend, 0)
        yield "instructions a request", request
        yield "instructions a row of the ledger", request - callgrind.each_request(binary, backend, 0, WITHOUT_LEDGER)
        yield "instructions an echoed byte", callgrind.each_echoed_byte(binary, backend)
        yield "allocations a text delta, in a burst", memcheck.each(binary, backend, (2000, 12000), 50, 0)
        # A clock that strikes in the longer run alone, or deltas that a busy machine joins, change single runs a little.
        alone = (memcheck.each(binary, backend, (200, 500), 1, 8) for _ in range(3))
        yield "allocations a text delta, each alone", min(alone)
    if there_is("strace"):
        yield "system calls a text delta, each alone", SystemCalls().each(binary, backend, (200, 500), 1, 8)


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

    def each(self, binary, backend, counts, per_write, pause, dialect=CHAT):
        """What one delta more costs."""
        few, many = (self._total(binary, backend, count, per_write, pause, dialect=dialect) for count in counts)
        return (many - few) / (counts[1] - counts[0])

    def each_request(self, binary, backend, echo, options=()):
        """What one answer more of one delta costs, with so many bytes of instructions in three of its events."""
        few, many = (
            self._total(binary, backend, 1, 1, 0, echo, requests, options=options) for requests in REQUESTS)
        return (many - few) / (REQUESTS[1] - REQUESTS[0])

    def each_echoed_byte(self, binary, backend):
        """What one byte more of these instructions costs."""
        silent, echoing = (self.each_request(binary, backend, echo) for echo in (0, ECHO))
        repeated = 3 * (len(events_before(ECHO)[0]) - len(events_before(0)[0]))
        return (echoing - silent) / repeated

    def _total(self, binary, backend, count, per_write, pause, echo=0, requests=1, dialect=CHAT, options=()):
        with tempfile.TemporaryDirectory(prefix="gates-") as scratch:
            report = os.path.join(scratch, "report")
            daemon = Daemon(binary, backend, self._wrapper(report), options)
            daemon.stream(count, per_write, pause, echo, requests, dialect)
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
