"""The Codex CLI, `codex exec`: the Responses API, streamed and over a WebSocket, with custom tools."""

import contextlib
import json

import setup
from checks import BASE_URL, MODEL, assert_whole, check, requests, run, scenario
from command import Run

CONFIG = f"""
model = "{MODEL}"
model_provider = "local"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.local]
name = "local"
base_url = "{BASE_URL}"
env_key = "LOCAL_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""

# The same provider, asked over a WebSocket.
OVER_SOCKET = CONFIG + "supports_websockets = true\n"

# A name of a living model that the client has no entry for. It offers such a model the tools themselves; to those it knows it
# offers one tool that runs code, which calls them.
PLAIN_TOOLS = "gpt-6-1-sol"

# The one model of the client's own list to which it offers apply_patch itself; its successor answers.
RETIRED = "gpt-5.5"  # retired since 2026-10-14

# The one provider name by which the client leaves compaction to the backend; by any other it asks for a summary itself.
BACKEND_COMPACTS = "OpenAI"


@check("text")
def text():
    output = codex("Hello!")
    assert output.code == 0, output.tail()
    assert_whole(_message(output))
    usage = [event["usage"] for event in output.events() if event["type"] == "turn.completed"]
    assert len(usage) == 1 and usage[0]["output_tokens"] > 0, usage


def _ran_its_command(output):
    """The client ran one command, and the model had its result."""
    assert output.code == 0, output.tail()
    items = [event["item"] for event in output.events() if event["type"] == "item.completed"]
    commands = [item for item in items if item["type"] == "command_execution"]
    assert [command["exit_code"] for command in commands] == [0], output.tail()
    assert "exited with code 0" in _message(output), output.tail()


@check("tool round")
def tool_round():
    output = codex("Use exec_command.", PLAIN_TOOLS)
    _ran_its_command(output)
    # The name is this proxy's to understand: no model was exchanged, and nobody was flagged.
    assert "rerouted" not in output.stdout and "flagged" not in output.stdout, output.stdout


@check("websocket: text, and the next turn of the conversation")
def socket_text():
    this = Run()
    this.write("home/config.toml", OVER_SOCKET)
    try:
        with _over_socket(sockets=2, turns=2):
            first = _run(this, "Hello!", keep=True)
            assert first.code == 0, first.tail()
            assert_whole(_message(first))
            second = _run(this, "resume", "--last", "And again!", keep=True)
            assert second.code == 0, second.tail()
            assert "And again!" in _message(second), second.tail()
    finally:
        this.remove()


@check("websocket: tool round")
def socket_tool_round():
    with _over_socket(turns=2):
        output = codex("Use exec_command.", PLAIN_TOOLS, OVER_SOCKET)
    _ran_its_command(output)
    assert "rerouted" not in output.stdout and "flagged" not in output.stdout, output.stdout


@check("websocket: 429")
def socket_rate_limit():
    with _over_socket(turns=1, status=429):
        output = codex(scenario("rate_limit"), config=OVER_SOCKET)
    _fails(output)


@check("websocket: backend cut in the middle")
def socket_cut_midway():
    with _over_socket(turns=1):
        output = codex(scenario("cut_midway"), config=OVER_SOCKET)
    _fails(output)


@check("custom tool round: a patch is applied")
def custom_tool_round():
    output = codex("Use apply_patch.", RETIRED)
    assert output.code == 0, output.tail()
    changes = [event["item"] for event in output.events() if event.get("item", {}).get("type") == "file_change"]
    assert changes and changes[-1]["status"] == "completed", output.tail()
    assert "rerouted" not in output.stdout and "flagged" not in output.stdout, output.stdout
    assert_whole(_message(output))


@check("compaction by the backend, and the turn after it")
def compaction():
    """The first turn is over the limit, so the next one has the conversation compacted before it asks."""
    this = Run()
    this.write("home/config.toml", f"model_auto_compact_token_limit = 500\n{CONFIG}".replace(
        'name = "local"', f'name = "{BACKEND_COMPACTS}"'))
    first = _run(this, "Hello!", keep=True)
    assert first.code == 0, first.tail()
    second = _run(this, "resume", "--last", "And again!", keep=True)
    try:
        assert second.code == 0, second.tail()
        assert "And again!" in _message(second), second.tail()
        records = [json.loads(line) for file in this.home.glob("sessions/**/*.jsonl") for line in file.open()]
    finally:
        this.remove()
    histories = [record["payload"]["replacement_history"] for record in records if record["type"] == "compacted"]
    assert len(histories) == 1, f"{len(histories)} compactions"
    assert [item["type"] for item in histories[0]].count("compaction") == 1, "the backend compacted, not the client"


@check("error: 429")
def rate_limit():
    _fails(codex(scenario("rate_limit")))


@check("error: failure in the middle")
def failure_midway():
    _fails(codex(scenario("failed_midway")))


@check("error: backend cut in the middle")
def cut_midway():
    _fails(codex(scenario("cut_midway")))


def codex(prompt, model=MODEL, config=CONFIG):
    this = Run()
    this.write("home/config.toml", config.replace(MODEL, model))
    return _run(this, prompt)


@contextlib.contextmanager
def _over_socket(turns, sockets=1, status=200):
    """Fails unless the block opens so many sockets and has so many turns of this status on them, or more."""
    names = 'route="/responses",status="101"', f'route="/responses (websocket)",status="{status}"'
    before = [requests(name) for name in names]
    yield
    opened, answered = (requests(name) - count for name, count in zip(names, before))
    assert opened >= sockets and answered >= turns, f"{opened} sockets, {answered} turns"


def _run(this, *arguments, keep=False):
    return this.execute(
        "codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", *arguments,
        keep=keep, CODEX_HOME=this.home, LOCAL_KEY="any")


def _message(output):
    items = [event["item"] for event in output.events() if event["type"] == "item.completed"]
    messages = [item["text"] for item in items if item["type"] == "agent_message"]
    assert messages, output.tail()
    return messages[-1]


def _fails(output):
    assert output.code != 0, output.tail()
    assert any(event["type"] == "turn.failed" for event in output.events()), output.tail()

PROMPT = ("exec", "--json", "--skip-git-repo-check", "Hello!")
setup.written("codex", "codex", PROMPT, _message, ("--profile", "codex-proxy"))
setup.started("codex", PROMPT, _message)
run()
