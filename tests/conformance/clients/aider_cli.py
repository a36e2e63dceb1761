"""Aider, one message a run: chat, streamed and buffered. It uses no tools; it edits files from the answer's text."""

import setup
from checks import BASE_URL, MODEL, assert_whole, check, run, scenario
from command import Run


@check("chat: streamed")
def streamed():
    output = aider("--stream", "Hello!")
    assert output.code == 0, output.tail()
    assert_whole(output.stdout)


@check("chat: buffered, with its token count")
def buffered():
    output = aider("--no-stream", "Hello!")
    assert output.code == 0, output.tail()
    assert_whole(output.stdout)
    assert "Tokens:" in output.stdout, output.tail()


@check("chat: a cut answer is asked for again")
def cut_midway():
    aider("--stream", scenario("cut_midway"), until="Retrying in")


def aider(*options, until=None):
    this = Run()
    *switches, prompt = options
    return this.execute(
        "aider", "--model", f"openai/{MODEL}", *switches, "--message", prompt, *QUIET, until=until,
        OPENAI_API_BASE=BASE_URL, OPENAI_API_KEY="any", LITELLM_LOCAL_MODEL_COST_MAP="True")


QUIET = (
    "--chat-mode=ask", "--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-pretty",
    "--no-show-model-warnings", "--no-detect-urls", "--no-show-release-notes", "--timeout=10")
setup.written("aider", "aider", ("--message", "Hello!", *QUIET), LITELLM_LOCAL_MODEL_COST_MAP="True")
setup.started("aider", ("--message", "Hello!", *QUIET), LITELLM_LOCAL_MODEL_COST_MAP="True")
run()
