"""The command line `llm`: chat, streamed and buffered, with a tool of its own and a schema."""

import json

import setup
from checks import BASE_URL, MODEL, assert_whole, check, run, scenario
from command import Run

MODELS = f"""
- model_id: proxied
  model_name: {MODEL}
  api_base: {BASE_URL}
  supports_tools: true
  supports_schema: true
"""

FUNCTIONS = '''
def lookup_code(city: str) -> str:
    "Looks up the code of a city."
    return "code-4711 of " + city
'''


@check("chat: streamed and buffered")
def text():
    for options in ((), ("--no-stream",)):
        output = llm(*options, "Hello!")
        assert output.code == 0, output.tail()
        assert_whole(output.stdout)


@check("chat: tool round, streamed and buffered")
def tool_round():
    for options in ((), ("--no-stream",)):
        output = llm(*options, "--functions", FUNCTIONS, "Use lookup_code for Paris.")
        assert output.code == 0, output.tail()
        assert "code-4711" in output.stdout, output.tail()


@check("chat: structured output")
def structured():
    output = llm("--no-stream", "--schema", "name, population int", "Hello!")
    assert set(json.loads(output.stdout)) == {"name", "population"}, output.tail()


@check("error: 429 and a cut answer")
def failures():
    for name in ("rate_limit", "cut_midway"):
        output = llm(scenario(name))
        assert output.code != 0 and "Error" in output.stderr, output.tail()


def llm(*options):
    this = Run()
    this.write("home/extra-openai-models.yaml", MODELS)
    return this.execute("llm", "-m", "proxied", "--key", "any", *options, LLM_USER_PATH=this.home)

setup.written("llm", "llm", ("Hello!",), chosen=("-m", "codex-proxy"))
setup.started("llm", ("Hello!",))
run()
