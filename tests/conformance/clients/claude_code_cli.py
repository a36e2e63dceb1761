"""Claude Code, `claude -p`, through a relay that shows what it asks."""

import base64
import json
import time

import relay
import setup
from checks import MODEL, ROOT_URL, assert_whole, check, run, scenario
from command import Run

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Session:
    """What one run, or several in the same home, printed and asked."""

    def __init__(self, *arguments, **variables):
        self.this = Run()
        self.this.write("folder/README.md", "# A file\n")
        self.requests = []
        self.go_on(*arguments, **variables)

    def go_on(self, *arguments, **variables):
        """Another run in the same home and folder."""
        started = time.monotonic()
        with relay.running(ROOT_URL) as (url, exchanges):
            self.output = self.this.execute(
                "claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions", *arguments,
                keep=True, **{**environment(url), **variables})
        self.seconds = time.monotonic() - started
        self.all = exchanges
        self.requests = [exchange for exchange in exchanges if exchange.path.startswith("/v1/messages?")]
        return self

    @property
    def result(self):
        """The last line that it printed."""
        results = [event for event in self.output.events() if event["type"] == "result"]
        assert results, self.output.tail()
        return results[-1]

    def tool_results(self):
        """The results of tools, as it showed them."""
        users = [event["message"]["content"] for event in self.output.events() if event["type"] == "user"]
        return [block for content in users for block in content if block["type"] == "tool_result"]

    def assert_nothing_dropped(self):
        """Every request was answered, and none without reasoning that it had given back."""
        for exchange in self.requests:
            assert exchange.status == 200, exchange
            assert "x-codex-proxy-reasoning-dropped" not in exchange.headers, exchange.headers


def environment(url):
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "any",
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "gpt-6-luna",
        **QUIET,
    }


QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "IS_SANDBOX": "1",
    "CLAUDE_CODE_MAX_RETRIES": "1",
}


@check("text")
def text():
    session = Session(scenario("plain"))
    assert_whole(session.result["result"])
    assert session.result["stop_reason"] == "end_turn" and not session.result["is_error"]
    assert len(session.requests) == 1, session.requests


@check("tool round; thinking is kept over turns")
def tool_round():
    session = Session("Use Bash.")
    assert "The tool returned: “simulated" in session.result["result"], session.output.tail()
    assert [result["content"] for result in session.tool_results()] == ["simulated"]
    assert len(session.requests) == 2, session.requests
    [thought] = session.requests[1].blocks("thinking")
    assert thought["signature"].startswith("cpx1.")
    session.assert_nothing_dropped()


@check("parallel tools")
def parallel():
    session = Session("Use Bash and Read.")
    assert len(session.tool_results()) == 2 and len(session.requests) == 2, session.output.tail()
    assert session.result["result"].count("The tool returned") == 2, session.output.tail()
    session.assert_nothing_dropped()


@check("thinking is kept over a resumed session")
def resumed():
    session = Session("Use Bash.")
    session.go_on("--resume", session.result["session_id"], scenario("plain"))
    assert_whole(session.result["result"])
    assert len(session.requests[-1].blocks("thinking")) >= 2, session.requests[-1].body
    session.assert_nothing_dropped()


@check("a session of twenty turns with tools, resumed each time, and compacted", limit=120)
def long_session():
    session = Session("Use Bash.")
    for _ in range(9):
        session.go_on("--resume", session.result["session_id"], "Use Bash.")
        assert len(session.requests) == 2 and session.tool_results(), session.output.tail()
        session.assert_nothing_dropped()
        # Under another cache key nothing would be read from the cache.
        assert session.result["usage"]["cache_read_input_tokens"] > 0, session.result["usage"]
    longest = len(session.requests[-1].body["messages"])
    # The simulator calls a tool that is spoken of, as Claude Code's words on a summary do.
    session.go_on("--resume", session.result["session_id"], f"/compact {scenario('text_alone')}")
    session.assert_nothing_dropped()
    session.go_on("--resume", session.result["session_id"], "Go on.")
    assert len(session.requests[-1].body["messages"]) < longest, session.requests[-1].body
    assert session.result["result"] and not session.result["is_error"], session.output.tail()
    session.assert_nothing_dropped()


@check("image and PDF")
def image_and_pdf():
    blocks = [
        {"type": "text", "text": scenario("plain")},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    ]
    typed = json.dumps({"type": "user", "message": {"role": "user", "content": blocks}}) + "\n"
    session = Session("--input-format", "stream-json", typed=typed)
    said = session.result["result"]
    assert "I received 1 image." in said and "I received 1 file." in said, session.output.tail()


@check("structured output")
def structured():
    session = Session("--json-schema", json.dumps(CITY), "Use StructuredOutput.")
    assert isinstance(session.result["structured_output"]["city"], str), session.output.tail()


@check("web search: it shows the links")
def web_search():
    session = Session("--tools", "WebSearch", "--", "Use WebSearch.")
    [result] = session.tool_results()
    assert "https://example.com/simulated" in result["content"], result
    assert any(tool.get("type", "").startswith("web_search") for tool in session.requests[1].body["tools"])
    session.assert_nothing_dropped()


@check("context: it counts tokens")
def context():
    session = Session("/context")
    counts = [exchange for exchange in session.all if "/count_tokens" in exchange.path]
    assert counts and all(exchange.status == 200 for exchange in counts), session.output.tail()


@check("error: 429 of a used-up plan, at once in spite of its hours of Retry-After")
def usage_limit():
    session = Session(scenario("rate_limit"))
    assert session.seconds < 15 and len(session.requests) == 1, (session.seconds, session.requests)
    assert session.result["is_error"] and "usage limit" in session.result["result"], session.output.tail()


@check("error: overload is tried again")
def overloaded():
    session = Session(scenario("overloaded"))
    assert session.result["is_error"] and len(session.requests) >= 2, session.output.tail()
    assert {exchange.status for exchange in session.requests} == {529}, session.requests


@check("error: a prompt that is too long, in its own words")
def too_long():
    session = Session(scenario("too_long"))
    assert session.result["is_error"] and "Prompt is too long" in session.result["result"], session.output.tail()
    assert [exchange.status for exchange in session.requests][:1] == [400]


@check("error: failure and cut in the middle are asked again, buffered")
def failures_midway():
    for name in ("failed_midway", "cut_midway"):
        session = Session(scenario(name))
        assert session.result["is_error"], session.output.tail()
        assert any(not exchange.body.get("stream") for exchange in session.requests), session.requests

setup.written("claude-code", "claude", ("-p", "Hello!"), **QUIET)
setup.started("claude", ("-p", "Hello!"), **QUIET)
run()
