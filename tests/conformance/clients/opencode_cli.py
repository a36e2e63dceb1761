"""OpenCode, `opencode run`: streamed, over chat and over responses.

It asks for a title on its own in every session, so each run is two requests or more. A failure is retried without
end, so what is checked there is that it goes on asking and never takes the cut answer for a whole one.
"""

from checks import BASE_URL, MODEL, assert_whole, check, run, scenario
from command import Run


def _checks(api, package):
    @check(f"{api}: text")
    def text():
        output = opencode(package, "Hello!")
        assert_whole(_text(output))
        assert _finishes(output) == ["stop"], output.tail()

    @check(f"{api}: tool round")
    def tool_round():
        output = opencode(package, "Use bash.")
        uses = [event["part"]["state"] for event in output.events() if event["type"] == "tool_use"]
        assert len(uses) == 1 and uses[0]["status"] == "completed", output.tail()
        assert _finishes(output) == ["tool-calls", "stop"], output.tail()
        assert uses[0]["output"].strip() == "simulated", uses
        assert "The tool returned: “simulated" in _text(output), output.tail()

    @check(f"{api}: a cut answer is not taken for a whole one")
    def cut_midway():
        output = opencode(package, scenario("cut_midway"), until="upstream_stream_interrupted")
        assert "stop" not in _finishes(output), output.tail()


def opencode(package, prompt, until=None):
    this = Run()
    provider = {
        "npm": package,
        "options": {"baseURL": BASE_URL, "apiKey": "any"},
        "models": {MODEL: {"reasoning": True, "tool_call": True, "attachment": True}},
    }
    this.write("folder/opencode.json", {
        "autoupdate": False,
        "share": "disabled",
        "model": f"codex-proxy/{MODEL}",
        "small_model": f"codex-proxy/{MODEL}",
        "provider": {"codex-proxy": provider},
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


_checks("chat", "@ai-sdk/openai-compatible")
_checks("responses", "@ai-sdk/openai")
run()
