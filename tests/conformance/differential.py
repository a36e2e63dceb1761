#!/usr/bin/env python3
"""Lets codex-proxy and openai-oauth answer the same recorded streams, and compares what a chat client has in the end.

* Both stand before one backend that plays a recorded stream, on loopback and with a made-up login.
* A difference is a failure unless ours is what the stream's own events say, read off them here without either program,
  and `differential.json` names it, with the reason why it is the other's fault.
* The recordings beside the checkout are read where they are; the project's own streams always.
* The last line is `N passed, N failed`; the exit code is 0 only when nothing failed.
"""

import argparse
import base64
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from suite.environments import Environment, default_cache

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")
FIELDS = ("status", "text", "refusal", "calls", "finish", "usage")


class Backend(http.server.BaseHTTPRequestHandler):
    """Plays `stream` to whoever asks."""

    stream = b""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        model = {"slug": "gpt-6.1-sol", "id": "gpt-6.1-sol", "visibility": "list", "supported_in_api": True}
        self._answer(json.dumps({"models": [model]}).encode(), "application/json")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self._answer(Backend.stream, "text/event-stream")

    def _answer(self, body, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    options = _options()
    environment = Environment("openai-oauth")
    environment.install(options.cache)
    known = json.loads((HERE / "differential.json").read_text())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    upstream = f"http://127.0.0.1:{server.server_port}/backend-api/codex"
    counts = [0, 0]
    with tempfile.TemporaryDirectory(prefix="differential-") as scratch:
        ports = [_free_port(), _free_port()]
        ours = [options.binary, "serve", "--port", str(ports[0]), "--creds-store", "xdg",
                "--creds-path", _login(scratch, "ours"), "--upstream-url", upstream]
        theirs = [environment.programs(options.cache) / "openai-oauth", "--port", str(ports[1]), "--base-url", upstream,
                  "--oauth-file", _login(scratch, "theirs"), "--models", "gpt-6.1-sol", "--codex-version", "0.160.0"]
        with _running(ours, ports[0], scratch), _running(theirs, ports[1], scratch):
            for path in _streams(options.streams):
                for mode in ("streamed", "buffered"):
                    failed = _compare(path, mode, ports, known)
                    counts[failed] += 1
    print(f"{counts[0]} passed, {counts[1]} failed")
    return 1 if counts[1] else 0


def _options():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    recordings = os.environ.get("CODEX_PROXY_RECORDINGS", ROOT.parent / "shared" / "streams")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=pathlib.Path(target) / "release" / "codex-proxy", help="the proxy to run")
    parser.add_argument("--streams", type=pathlib.Path, default=recordings, help="a folder of recorded streams")
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache(), help="where the other is installed")
    return parser.parse_args()


def _streams(recordings):
    own = sorted((ROOT / "tests/fixtures/streams").glob("*.sse"))
    if not recordings.is_dir():
        print(f"no recordings in {recordings}: only the project's own streams are compared")
    return own + sorted(recordings.glob("*.sse"))


def _compare(path, mode, ports, known):
    """Whether the two differ on `path` in a way that is not known; the differences are printed."""
    Backend.stream = path.read_bytes()
    body = _request(Backend.stream, mode == "streamed")
    ours, theirs = (_answer(port, body) for port in ports)
    expected = _reading(Backend.stream, mode == "streamed")
    failed = False
    for field in FIELDS:
        if ours.get(field) == theirs.get(field) or (field != "status" and ours["status"] != theirs["status"]):
            continue
        reason = next((rule["reason"] for rule in known if _applies(rule, Backend.stream, mode, field)), None)
        if reason is None or ours.get(field) != expected.get(field):
            failed = True
            print(f"{path.name} {mode}: {field} differs\n    ours   {_short(ours.get(field))}"
                  f"\n    theirs {_short(theirs.get(field))}\n    events {_short(expected.get(field))}")
    return failed


def _applies(rule, stream, mode, field):
    """Whether a rule speaks of this: the stream holds (or lacks) the rule's text, and mode and field are among its own."""
    if rule.get("contradicts") and not _contradicts(stream):
        return False
    compact = stream.decode().replace('": "', '":"')
    holds = any(text in compact for text in rule.get("holds", [""]))
    lacks = not any(text in compact for text in rule.get("lacks", []))
    return holds and lacks and mode in rule["modes"] and field in rule["fields"]


class Contradiction(Exception):
    """The deltas of a text say something else than the finished text."""


def _contradicts(stream):
    try:
        _read(stream, streamed=True)
    except Contradiction:
        return True
    return False


def _reading(stream, streamed):
    """What a client is to get. Once deltas have been passed on, finished texts that contradict them can only be an error."""
    try:
        return _read(stream, streamed)
    except Contradiction:
        return {"status": "error"}


def _read(stream, streamed):
    """What the events say: a text is its item's, and where that has none, its deltas'; calls in the order of their places."""
    events = []
    for frame in stream.decode().replace("\r\n", "\n").split("\n\n"):
        data = "\n".join(line[5:].removeprefix(" ") for line in frame.split("\n") if line.startswith("data:"))
        with contextlib.suppress(ValueError):
            events.append(json.loads(data))
    last = next((event for event in events if event.get("type") in TERMINAL), None)
    if last is None or last["type"] not in ("response.completed", "response.incomplete"):
        return {"status": "error"}
    answer = {"status": "ok", "text": "", "refusal": "", "calls": [], "finish": "stop", "usage": None}
    done = [event for event in events if event.get("type") == "response.output_item.done"]
    texts = []
    for event in sorted(done, key=lambda event: event.get("output_index", 0)):
        item, place = event["item"], event.get("output_index")

        def said(kind, finished, part=None):
            deltas = [other["delta"] for other in events if other.get("type") == f"response.{kind}.delta"
                      and other.get("output_index") == place and part in (None, other.get("content_index"))]
            deltas = "".join(deltas)
            if streamed and finished and not finished.startswith(deltas):
                raise Contradiction
            return finished or deltas

        if item["type"] == "message":
            parts = list(enumerate(item["content"]))
            texts.append("".join(said("output_text", part.get("text"), index) for index, part in parts))
            answer["refusal"] += "".join(said("refusal", part.get("refusal"), index) for index, part in parts)
        elif item["type"] == "function_call":
            arguments = said("function_call_arguments", item["arguments"])
            answer["calls"].append([item["call_id"], item["name"], arguments])
        elif item["type"] == "custom_tool_call":
            answer["calls"].append([item["call_id"], item["name"], said("custom_tool_call_input", item["input"])])
    for call in answer["calls"]:
        with contextlib.suppress(ValueError):
            call[2] = json.loads(call[2])
    answer["text"] = "\n\n".join(filter(None, texts))
    if last["type"] == "response.incomplete":
        reason = (last["response"].get("incomplete_details") or {}).get("reason")
        answer["finish"] = "content_filter" if reason == "content_filter" else "length"
    elif answer["calls"]:
        answer["finish"] = "tool_calls"
    if usage := last["response"].get("usage"):
        answer["usage"] = [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]]
    return answer


def _short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 240 else text[:160] + " … " + text[-60:]


def _request(stream, streamed):
    """A question with every tool that the stream calls, so that neither side refuses the call."""
    names = []
    for line in stream.decode(errors="replace").splitlines():
        if line.startswith("data:") and '"function_call"' in line:
            item = json.loads(line[5:]).get("item") or {}
            if item.get("type") == "function_call" and item["name"] not in names:
                names.append(item["name"])
    body = {"model": "gpt-6.1-sol", "messages": [{"role": "user", "content": "hi"}], "stream": streamed}
    if streamed:
        body["stream_options"] = {"include_usage": True}
    if names:
        parameters = {"type": "object", "properties": {}}
        body["tools"] = [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in names]
    return json.dumps(body).encode()


def _answer(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return {"status": f"broken: {type(error).__name__}"}
    finally:
        connection.close()
    if response.status != 200:
        return {"status": "error"}
    if "event-stream" in response.headers["content-type"]:
        return _fold([line[6:] for line in text.splitlines() if line.startswith("data: {")])
    document = json.loads(text)
    return _fold([json.dumps(document)])


def _fold(documents):
    """What a client has in the end; a stream that says it failed is an error."""
    answer = {"status": "ok", "text": "", "refusal": "", "calls": [], "finish": None, "usage": None}
    for document in map(json.loads, documents):
        if "error" in document:
            return {"status": "error"}
        if document.get("usage"):
            usage = document["usage"]
            answer["usage"] = [usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]]
        for choice in document.get("choices") or []:
            part = choice.get("delta") or choice.get("message") or {}
            answer["text"] += part.get("content") or ""
            answer["refusal"] += part.get("refusal") or ""
            answer["finish"] = choice.get("finish_reason") or answer["finish"]
            for position, call in enumerate(part.get("tool_calls") or []):
                index, inner = call.get("index", position), call.get("function") or call.get("custom") or {}
                while len(answer["calls"]) <= index:
                    answer["calls"].append(["", "", ""])
                mine = answer["calls"][index]
                mine[0] += call.get("id") or ""
                mine[1] += inner.get("name") or ""
                mine[2] += inner.get("arguments") or inner.get("input") or ""
    for call in answer["calls"]:
        with contextlib.suppress(ValueError):
            call[2] = json.loads(call[2])
    return answer


def _login(scratch, name):
    """A login file whose token nobody checks and which has long to live."""
    claims = {"exp": int(time.time()) + 864000, "https://api.openai.com/auth": {"chatgpt_account_id": "account"}}
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    token = f"{part({'alg': 'none'})}.{part(claims)}.x"
    tokens = {"id_token": token, "access_token": token, "refresh_token": "unused", "account_id": "account"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = pathlib.Path(scratch) / f"{name}.json"
    path.touch(0o600)
    path.write_text(json.dumps({"tokens": tokens, "last_refresh": now}))
    return path


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def _running(command, port, scratch):
    """Runs `command` with a home of its own until it listens; ends it afterwards."""
    environment = {**os.environ, "HOME": scratch, "XDG_CACHE_HOME": scratch, "XDG_CONFIG_HOME": scratch}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=15)


if __name__ == "__main__":
    sys.exit(main())
