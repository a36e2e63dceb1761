"""Continue's command line, `cn -p`: streamed; responses for a GPT-5.x model, chat for any other.

A failure in the middle of a Responses stream is not checked: Continue shows the text so far and ends well.
"""

import setup
from checks import BASE_URL, assert_whole, check, run, scenario
from command import Run


def _checks(api, model):
    @check(f"{api}: text")
    def text():
        output = cn(model, "Hello!")
        assert output.code == 0, output.tail()
        assert_whole(output.stdout)

    @check(f"{api}: tool round")
    def tool_round():
        output = cn(model, "Use Bash.", "--auto")
        assert output.code == 0, output.tail()
        assert_whole(output.stdout)
        assert "The tool returned: “simulated" in output.stdout, output.tail()


@check("chat: a cut answer is not taken for a whole one")
def cut_midway():
    output = cn(OTHER_MODEL, scenario("cut_midway"), "--verbose", until="Retry attempt")
    assert output.code != 0 and "simulat" not in output.stdout.lower(), output.tail()


def cn(model, prompt, *options, until=None):
    this = Run()
    entry = {
        "name": model, "provider": "openai", "model": model, "apiBase": BASE_URL, "apiKey": "any",
        "roles": ["chat"], "capabilities": ["tool_use"],
    }
    config = this.write("home/config.yaml", {"name": "check", "version": "1.0.0", "schema": "v1", "models": [entry]})
    return this.execute("cn", "-p", "--config", config, *options, prompt, until=until, CONTINUE_TELEMETRY_ENABLED="0")


RESPONSES_MODEL = "gpt-5.6-terra"
OTHER_MODEL = "some-model"

_checks("responses", RESPONSES_MODEL)
_checks("chat", OTHER_MODEL)
setup.started("continue", ("-p", "Hello!"), CONTINUE_TELEMETRY_ENABLED="0")
run()
