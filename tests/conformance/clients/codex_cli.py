"""The Codex CLI, `codex exec`: the Responses API, streamed, with custom tools and WebSocket tried first."""

import json

from checks import BASE_URL, MODEL, assert_whole, check, run, scenario
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

# A name of a living model that the client has no entry for. It offers such a model the tools themselves; to those it knows it
# offers one tool that runs code, which calls them.
PLAIN_TOOLS = "gpt-6-1-sol"

# The one model of the client's own list to which it offers apply_patch itself; its successor answers.
RETIRED = "gpt-5.5"  # retired since 2026-10-14

# What docs/clients.md has for a file of the client's own, but for the address.
PROFILE = f"""
model = "{MODEL}"
model_provider = "codex-proxy"

[model_providers.codex-proxy]
name = "OpenAI"
base_url = "{BASE_URL}"
wire_api = "responses"
"""

# The one provider name by which the client leaves compaction to the backend; by any other it asks for a summary itself.
BACKEND_COMPACTS = "OpenAI"


@check("text")
def text():
    output = codex("Hello!")
    assert output.code == 0, output.tail()
    assert_whole(_message(output))
    usage = [event["usage"] for event in output.events() if event["type"] == "turn.completed"]
    assert len(usage) == 1 and usage[0]["output_tokens"] > 0, usage


@check("tool round")
def tool_round():
    output = codex("Use exec_command.", PLAIN_TOOLS)
    assert output.code == 0, output.tail()
    items = [event["item"] for event in output.events() if event["type"] == "item.completed"]
    commands = [item for item in items if item["type"] == "command_execution"]
    assert [command["exit_code"] for command in commands] == [0], output.tail()
    assert "exited with code 0" in _message(output), output.tail()
    # The name is this proxy's to understand: no model was exchanged, and nobody was flagged.
    assert "rerouted" not in output.stdout and "flagged" not in output.stdout, output.stdout


@check("custom tool round: a patch is applied")
def custom_tool_round():
    output = codex("Use apply_patch.", RETIRED)
    assert output.code == 0, output.tail()
    changes = [event["item"] for event in output.events() if event.get("item", {}).get("type") == "file_change"]
    assert changes and changes[-1]["status"] == "completed", output.tail()
    assert "rerouted" not in output.stdout and "flagged" not in output.stdout, output.stdout
    assert_whole(_message(output))


@check("a profile of its own, as the documents have it")
def profile():
    this = Run()
    this.write("home/codex-proxy.config.toml", PROFILE)
    output = _run(this, "--profile", "codex-proxy", "Hello!")
    assert output.code == 0, output.tail()
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


def codex(prompt, model=MODEL):
    this = Run()
    this.write("home/config.toml", CONFIG.replace(MODEL, model))
    return _run(this, prompt)


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


run()
