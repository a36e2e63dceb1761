"""OpenCode with its provider for Anthropic's API, and with one of the user's own that speaks it."""

from checks import BASE_URL, MODEL, assert_whole, check, run, scenario
from command import Run


def _checks(name, package):
    @check(f"{name}: text")
    def text():
        output = opencode(name, package, "Hello!")
        assert_whole(_text(output))
        assert _finishes(output) == ["stop"], output.tail()

    @check(f"{name}: tool round")
    def tool_round():
        output = opencode(name, package, "Use bash.")
        uses = [event["part"]["state"] for event in output.events() if event["type"] == "tool_use"]
        assert len(uses) == 1 and uses[0]["status"] == "completed", output.tail()
        assert _finishes(output) == ["tool-calls", "stop"], output.tail()
        assert "The tool returned: “simulated" in _text(output), output.tail()

    @check(f"{name}: a cut answer is not taken for a whole one")
    def cut_midway():
        output = opencode(name, package, scenario("cut_midway"), until="the connection to the backend broke")
        assert "stop" not in _finishes(output), output.tail()


def opencode(name, package, prompt, until=None):
    this = Run()
    provider = {
        **({"npm": package} if package else {}),
        "options": {"baseURL": BASE_URL, "apiKey": "any"},
        "models": {MODEL: {"reasoning": True, "tool_call": True, "attachment": True}},
    }
    this.write("folder/opencode.json", {
        "autoupdate": False,
        "share": "disabled",
        "model": f"{name}/{MODEL}",
        "small_model": f"{name}/{MODEL}",
        "provider": {name: provider},
    })
    switches = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    variables = {f"OPENCODE_DISABLE_{switch}": "1" for switch in switches}
    return this.execute("opencode", "run", "--format", "json", "--print-logs", prompt, until=until, **variables)


def _text(output):
    text = "".join(event["part"]["text"] for event in output.events() if event["type"] == "text")
    assert text, output.tail()
    return text


def _finishes(output):
    return [event["part"]["reason"] for event in output.events() if event["type"] == "step_finish"]


_checks("anthropic", None)
_checks("codex-proxy", "@ai-sdk/anthropic")
run()
