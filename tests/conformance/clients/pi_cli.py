"""The coding agent pi, `pi -p`: streamed, over chat and over responses."""

import setup
from checks import BASE_URL, MODEL, assert_whole, check, run, scenario
from command import Run


def _checks(api, name):
    @check(f"{api}: text")
    def text():
        output = pi(name, "Hello!")
        assert output.code == 0, output.tail()
        assert_whole(output.stdout)

    @check(f"{api}: tool round")
    def tool_round():
        output = pi(name, "Use bash.", "--mode", "json")
        ends = [event for event in output.events() if event["type"] == "tool_execution_end"]
        assert [end["toolName"] for end in ends] == ["bash"], output.tail()
        answer = [event["message"] for event in output.events() if event["type"] == "message_end"][-1]
        assert answer["role"] == "assistant" and answer["stopReason"] == "stop", answer
        text = "".join(part.get("text", "") for part in answer["content"])
        assert "The tool returned: “simulated" in text, answer

    @check(f"{api}: a cut answer is an error")
    def cut_midway():
        output = pi(name, scenario("cut_midway"))
        assert output.code != 0, output.tail()


def pi(api, prompt, *options):
    this = Run()
    model = {"id": MODEL, "reasoning": True, "input": ["text", "image"]}
    provider = {"baseUrl": BASE_URL, "api": api, "apiKey": "any", "models": [model]}
    this.write("home/models.json", {"providers": {"codex-proxy": provider}})
    this.write("home/settings.json", {"retry": {"enabled": False}})
    return this.execute(
        "pi", "-p", "--no-session", "--provider", "codex-proxy", "--model", MODEL, *options, prompt,
        PI_CODING_AGENT_DIR=this.home, PI_OFFLINE="1")


_checks("chat", "openai-completions")
_checks("responses", "openai-responses")
setup.written("pi", "pi", ("-p", "--no-session", "Hello!"), PI_OFFLINE="1")
setup.started("pi", ("-p", "--no-session", "Hello!"), PI_OFFLINE="1")
run()
