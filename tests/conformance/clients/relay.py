"""A relay between a client and the server under test, which notes every exchange.

A program tells little of what it asked and got; what stands between both sees it all.
"""

import contextlib
import http.client
import http.server
import json
import threading
import urllib.parse
from dataclasses import dataclass, field


@dataclass
class Exchange:
    """One request and the head of its answer."""

    method: str
    path: str
    body: object
    status: int = 0
    headers: dict = field(default_factory=dict)

    def blocks(self, kind):
        """The blocks of this type in all messages of the request."""
        contents = [message["content"] for message in self.body["messages"] if isinstance(message["content"], list)]
        return [block for content in contents for block in content if block["type"] == kind]


@contextlib.contextmanager
def running(url):
    """Relays to the server at `url` until the end of the block; yields an address of its own and the list of exchanges."""
    exchanges = []
    target = urllib.parse.urlsplit(url).netloc

    class Handler(http.server.BaseHTTPRequestHandler):
        def relay(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            exchange = Exchange(self.command, self.path, _json(body))
            exchanges.append(exchange)
            upstream = http.client.HTTPConnection(target, timeout=60)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            try:
                upstream.request(self.command, self.path, body, {**kept, "Host": target})
                answer = upstream.getresponse()
                exchange.status, exchange.headers = answer.status, {k.lower(): v for k, v in answer.getheaders()}
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                while chunk := answer.read1():
                    self.wfile.write(chunk)
                    self.wfile.flush()
            finally:
                upstream.close()
                self.close_connection = True

        do_GET = do_POST = do_HEAD = relay

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", exchanges
        finally:
            server.shutdown()
            thread.join()


def _json(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"}
