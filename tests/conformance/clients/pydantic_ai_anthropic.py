"""Pydantic AI with its model for Anthropic's API."""

import base64

import anthropic
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.exceptions import AgentRunError, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from checks import MODEL, ROOT_URL, assert_raises_async, assert_whole, check, run, scenario

THINKING = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 2048}}
FAILURES = (AgentRunError, anthropic.APIError)


class City(BaseModel):
    name: str
    population: int


def lookup_code(city: str) -> str:
    """Looks up the code of a city."""
    return f"code-4711 of {city}"


def agent(name=MODEL, **options):
    # A client belongs to one event loop, and every check has its own.
    client = anthropic.AsyncAnthropic(base_url=ROOT_URL, api_key="any", max_retries=0, timeout=30)
    model = AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
    return Agent(model, instructions="Be brief.", retries=0, **options)


@check("buffered")
async def buffered():
    assert_whole((await agent().run("Hello!")).output)


@check("streamed")
async def streamed():
    async with agent().run_stream("Hello!") as result:
        pieces = [piece async for piece in result.stream_text(delta=True)]
    assert_whole("".join(pieces))


@check("tool round, buffered and streamed")
async def tool_round():
    equipped = agent(tools=[lookup_code])
    assert "code-4711" in (await equipped.run("Use lookup_code for Paris.")).output
    async with equipped.run_stream("Use lookup_code for Paris.") as result:
        assert "code-4711" in await result.get_output()


@check("thinking is kept over turns")
async def thinking():
    result = await agent(tools=[lookup_code], model_settings=THINKING).run(scenario("thinks_and_calls"))
    assert "code-4711" in result.output
    kinds = [part.part_kind for message in result.all_messages() for part in message.parts]
    assert "thinking" in kinds, kinds


@check("image and PDF")
async def image_and_pdf():
    pixel = BinaryContent(data=PIXEL, media_type="image/png")
    pdf = BinaryContent(data=b"%PDF-1.4\n%%EOF\n", media_type="application/pdf")
    output = (await agent().run(["What is this?", pixel, pdf])).output
    assert "I received 1 image." in output and "I received 1 file." in output, output


@check("structured output, as a format and as a tool")
async def structured():
    assert isinstance((await agent(output_type=City).run("Hello!")).output, City)
    # It asks for a format from models only of which it knows that they take one.
    known = agent("claude-sonnet-4-5", output_type=NativeOutput(City))
    assert isinstance((await known.run("Hello!")).output, City)


@check("error: 429, failure and cut")
async def failures():
    error = await assert_raises_async(ModelHTTPError, agent().run(scenario("rate_limit")))
    assert error.status_code == 429
    for name in ("failed_midway", "cut_midway"):
        await assert_raises_async(FAILURES, agent().run(scenario(name)))
        await assert_raises_async(FAILURES, _drain(agent(), scenario(name)))


async def _drain(this, text):
    async with this.run_stream(text) as result:
        return await result.get_output()


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

run()
