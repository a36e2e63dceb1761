#!/usr/bin/env python3
"""Measures processor time an event and memory over the number of open streams, and draws them into docs/streams.svg.

Backend and clients are in this process; each event is written by itself, and every event of every stream is counted. The
processor time is the proxy's own, while all streams are open. `--binary PATH` looks at another binary.
"""

import argparse
import asyncio
import os
import pathlib
import re
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import gates  # noqa: E402

# The streams at once, and the seconds between two events of one of them.
RUNS = ((10, 0.02), (100, 0.1), (1000, 0.5), (5000, 2.5))
SECONDS = 15

DOCS = gates.ROOT / "docs"


class Address:
    """The port of a backend."""

    def __init__(self, server):
        self.port = server.sockets[0].getsockname()[1]


async def play(reader, writer, pause, written):
    """Answers each request with as many deltas as fit into the time, and counts them in `written`."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length.group(1)) if length else 0)
            if b"/responses" not in head.split(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")
                continue
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks(gates.events_before(0)))
            for number in range(events(pause)):
                await asyncio.sleep(pause)
                writer.write(chunks([gates.delta_event(4 + number)]))
                written.append(number)
            writer.write(chunks(gates.events_after(events(pause), 0)) + b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass


def chunks(pieces):
    return b"".join(map(gates.chunk, pieces))


def events(pause):
    return int(SECONDS / pause)


async def read(port):
    """One client's stream: its events."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"messages":[{"role":"user","content":"hello"}],"stream":true}'
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                 b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    answer = await reader.read(-1)
    writer.close()
    return answer.count(b'"content":" the quick"')


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(binary, streams, pause):
    """Returns the microseconds an event, and the megabytes while all streams are open."""
    written = []
    server = await asyncio.start_server(
        lambda reader, writer: play(reader, writer, pause, written), "127.0.0.1", 0, backlog=4096)
    daemon = gates.Daemon(binary, Address(server), options=["--max-concurrent", "20000"])
    tasks = [asyncio.create_task(read(daemon.port)) for _ in range(streams)]
    await asyncio.sleep(SECONDS * 0.4)
    spent, events_before = processor_seconds(daemon.process.pid), len(written)
    await asyncio.sleep(SECONDS * 0.5)
    spent = processor_seconds(daemon.process.pid) - spent
    cost = spent / (len(written) - events_before) * 1e6
    memory = daemon.resident()
    counts = await asyncio.gather(*tasks)
    daemon.stop()
    # The backend's side of each connection ends.
    await asyncio.sleep(0.5)
    server.close()
    expected = streams * events(pause)
    if sum(counts) != expected:
        raise SystemExit(f"{sum(counts)} of {expected} events arrived")
    return cost, memory


def draw(rows):
    """Returns two plots beside each other, with a logarithmic axis of streams."""
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 260" font-family="sans-serif" font-size="12">']
    for place, (title, unit, column) in enumerate([("Processor time an event", "µs", 1), ("Memory", "MB", 2)]):
        parts += plot(20 + 380 * place, title, unit, [(row[0], row[column]) for row in rows])
    return "\n".join([*parts, "</svg>", ""])


def plot(left, title, unit, points):
    top, width, height = 40, 320, 170
    most = max(value for _, value in points) * 1.15
    places = [(left + 20 + index * (width - 60) / (len(points) - 1), top + height - value / most * height)
              for index, (_, value) in enumerate(points)]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
    yield f'<text x="{left}" y="20" font-size="14">{title}, {unit}</text>'
    yield f'<path d="M{left} {top}V{top + height}H{left + width - 20}" fill="none" stroke="#888"/>'
    yield f'<polyline points="{line}" fill="none" stroke="#2a6fdb" stroke-width="2"/>'
    for (x, y), (streams, value) in zip(places, points):
        yield f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="#2a6fdb"/>'
        yield f'<text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="middle">{value:.0f}</text>'
        yield f'<text x="{x:.0f}" y="{top + height + 16}" text-anchor="middle">{streams:,}</text>'
    yield f'<text x="{left + width / 2 - 10:.0f}" y="{top + height + 36}" text-anchor="middle">streams at once</text>'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", gates.ROOT / "target")
    parser.add_argument("--binary", default=pathlib.Path(target) / "release" / "codex-proxy")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    for streams, pause in RUNS:
        cost, memory = asyncio.run(measure(str(options.binary), streams, pause))
        print(f"{streams:5} streams: {cost:5.1f} µs of the processor an event, {memory:6.1f} MB", flush=True)
        rows.append((streams, cost, memory))
    (DOCS / "streams.svg").write_text(draw(rows))


if __name__ == "__main__":
    sys.exit(main())
