"""The Codex CLI, `codex exec`: the Responses API, streamed, with custom tools and WebSocket tried first."""

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


@check("text")
def text():
    output = codex("Hello!")
    assert output.code == 0, output.tail()
    assert_whole(_message(output))
    usage = [event["usage"] for event in output.events() if event["type"] == "turn.completed"]
    assert len(usage) == 1 and usage[0]["output_tokens"] > 0, usage


@check("tool round")
def tool_round():
    output = codex("Use exec_command.")
    assert output.code == 0, output.tail()
    items = [event["item"] for event in output.events() if event["type"] == "item.completed"]
    commands = [item for item in items if item["type"] == "command_execution"]
    assert [command["exit_code"] for command in commands] == [0], output.tail()
    assert "exited with code 0" in _message(output), output.tail()


@check("custom tool round: a patch is applied")
def custom_tool_round():
    output = codex("Use apply_patch.")
    assert output.code == 0, output.tail()
    changes = [event["item"] for event in output.events() if event.get("item", {}).get("type") == "file_change"]
    assert changes and changes[-1]["status"] == "completed", output.tail()
    assert_whole(_message(output))


@check("error: 429")
def rate_limit():
    _fails(codex(scenario("rate_limit")))


@check("error: failure in the middle")
def failure_midway():
    _fails(codex(scenario("failed_midway")))


@check("error: backend cut in the middle")
def cut_midway():
    _fails(codex(scenario("cut_midway")))


def codex(prompt):
    this = Run()
    this.write("home/config.toml", CONFIG)
    return this.execute(
        "codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt,
        CODEX_HOME=this.home, LOCAL_KEY="any")


def _message(output):
    items = [event["item"] for event in output.events() if event["type"] == "item.completed"]
    messages = [item["text"] for item in items if item["type"] == "agent_message"]
    assert messages, output.tail()
    return messages[-1]


def _fails(output):
    assert output.code != 0, output.tail()
    assert any(event["type"] == "turn.failed" for event in output.events()), output.tail()


run()
