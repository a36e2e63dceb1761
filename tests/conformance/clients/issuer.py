"""A token issuer whose exchanges take their time, and a backend that answers `ok`: for a login that two programs share.

* A refresh token works once; a second exchange is refused as the real issuer refuses it.
* Every exchange waits for a while before the token is spent and for a while after it, drawn from a seed.
* The backend accepts the tokens of this issuer until they expire.
"""

import base64
import contextlib
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCOUNT = "51a0a7ed-0000-4000-8000-0000000000aa"


class Issuer:
    """Who has been given which token. `asked` names the programs that sent a refresh token, in their order."""

    def __init__(self, seed, slowest):
        self._random = random.Random(seed)
        self._slowest = slowest
        self._lock = threading.Lock()
        self._fresh = set()
        self._access = {}
        self._minted = 0
        self.asked = []
        self.refused = 0

    def login(self):
        """A document of `auth.json` whose access token has expired."""
        return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": {**self._mint(-60), "account_id": ACCOUNT},
                "last_refresh": "2026-01-01T00:00:00Z"}

    def is_fresh(self, refresh_token):
        """Whether the token would be exchanged."""
        return refresh_token in self._fresh

    def accepts(self, access_token):
        """Whether the backend takes the token."""
        return self._access.get(access_token, 0) > time.time()

    def exchange(self, refresh_token, program):
        """Spends the token; its successor, or `None` where it was spent before."""
        with self._lock:
            whole = self._random.uniform(0, self._slowest)
            before = self._random.uniform(0, whole)
            self.asked.append(program)
        time.sleep(before)
        with self._lock:
            tokens = self._mint(TEN_DAYS) if refresh_token in self._fresh else None
            self._fresh.discard(refresh_token)
            self.refused += tokens is None
        time.sleep(whole - before)
        return tokens

    def _mint(self, seconds):
        self._minted += 1
        refresh_token = f"rt_shared_{self._minted}_{'x' * 24}"
        self._fresh.add(refresh_token)
        expires_at = int(time.time()) + seconds
        tokens = {kind: self._jwt(kind, expires_at) for kind in ("id_token", "access_token")}
        self._access[tokens["access_token"]] = expires_at
        return {**tokens, "refresh_token": refresh_token}

    def _jwt(self, kind, expires_at):
        person = {"chatgpt_account_id": ACCOUNT, "chatgpt_user_id": "user-shared", "chatgpt_plan_type": "plus"}
        claims = {"exp": expires_at, "jti": f"{kind}-{self._minted}", "email": "shared@example.com",
                  "https://api.openai.com/auth": person}
        parts = [{"alg": "RS256", "typ": "JWT"}, claims]
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
        return ".".join([*encoded, "c2ln"])


@contextlib.contextmanager
def serving(issuer):
    """Serves the issuer and the backend on a free port of loopback; yields the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"issuer": issuer}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    issuer = None

    def do_GET(self):  # noqa: N802 - the name is the library's
        pages = {"/backend-api/wham/accounts/check": {"accounts": [{"id": ACCOUNT}]},
                 "/backend-api/codex/models": {"models": []}}
        page = pages.get(self.path.partition("?")[0])
        self._answer(404 if page is None else 200, page or {"detail": "Not Found"})

    def do_POST(self):  # noqa: N802 - the name is the library's
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/oauth/token":
            program = self.headers.get("user-agent", "").partition("/")[0]
            tokens = self.issuer.exchange(json.loads(body).get("refresh_token"), program)
            self._answer(*((200, tokens) if tokens else (401, {"error": REUSED})))
        elif self.path == "/backend-api/codex/responses":
            accepted = self.issuer.accepts(self.headers.get("authorization", "").removeprefix("Bearer "))
            self._stream() if accepted else self._answer(401, {"error": EXPIRED, "status": 401})
        else:
            self._answer(404, {"detail": "Not Found"})

    def _answer(self, status, document):
        self._send(status, "application/json", json.dumps(document).encode())

    def _stream(self):
        events = [{"type": "response.created", "response": {"id": "resp_1"}},
                  {"type": "response.output_item.added", "output_index": 0, "item": {**MESSAGE, "content": []}},
                  {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                   "delta": "ok"},
                  {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
                  {"type": "response.completed", "response": {"id": "resp_1", "usage": USAGE}}]
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
        self._send(200, "text/event-stream", "".join(lines).encode())

    def _send(self, status, kind, body):
        with contextlib.suppress(OSError):  # A program that gave up has closed its side.
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: what matters is in the issuer's own record."""


MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": "ok", "annotations": []}]}
USAGE = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
REUSED = {"message": "Your refresh token has already been used to generate a new access token. Please try signing in again.",
          "type": "invalid_request_error", "param": None, "code": "refresh_token_reused"}
EXPIRED = {"message": "Provided authentication token is expired. Please try signing in again.", "type": None,
           "code": "token_expired", "param": None}
TEN_DAYS = 864_000
