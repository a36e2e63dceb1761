"""OpenCode, `opencode run`, with a provider of a package and a base URL; what it printed, as texts and finishes."""

from checks import BASE_URL, MODEL, assert_whole, check, scenario
from command import Run


def checks(name, provider, package=None, interrupted="upstream_stream_interrupted"):
    """Text, tool round and cut for the provider named `provider`; `interrupted` is what its log says of a cut."""

    @check(f"{name}: text")
    def text():
        output = opencode(provider, package, "Hello!")
        assert_whole(said(output))
        assert finishes(output) == ["stop"], output.tail()

    @check(f"{name}: tool round")
    def tool_round():
        output = opencode(provider, package, "Use bash.")
        uses = [event["part"]["state"] for event in output.events() if event["type"] == "tool_use"]
        assert len(uses) == 1 and uses[0]["status"] == "completed", output.tail()
        assert uses[0]["output"].strip() == "simulated", uses
        assert finishes(output) == ["tool-calls", "stop"], output.tail()
        assert "The tool returned: “simulated" in said(output), output.tail()

    @check(f"{name}: a cut answer is not taken for a whole one")
    def cut_midway():
        output = opencode(provider, package, scenario("cut_midway"), until=interrupted)
        assert "stop" not in finishes(output), output.tail()


def opencode(provider, package, prompt, until=None):
    this = Run()
    settings = {
        **({"npm": package} if package else {}),
        "options": {"baseURL": BASE_URL, "apiKey": "any"},
        "models": {MODEL: {"reasoning": True, "tool_call": True, "attachment": True}},
    }
    this.write("folder/opencode.json", {
        "autoupdate": False,
        "share": "disabled",
        "model": f"{provider}/{MODEL}",
        "small_model": f"{provider}/{MODEL}",
        "provider": {provider: settings},
    })
    return this.execute("opencode", "run", "--format", "json", "--print-logs", prompt, until=until, **QUIET)


def said(output):
    text = "".join(event["part"]["text"] for event in output.events() if event["type"] == "text")
    assert text, output.tail()
    return text


def finishes(output):
    return [event["part"]["reason"] for event in output.events() if event["type"] == "step_finish"]


SWITCHES = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
QUIET = {f"OPENCODE_DISABLE_{switch}": "1" for switch in SWITCHES}
