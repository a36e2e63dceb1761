"""Pydantic AI, over chat and over responses."""

import openai
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import AgentRunError, ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

import setup
from checks import BASE_URL, MODEL, assert_raises_async, assert_whole, check, run, scenario


class City(BaseModel):
    name: str
    population: int


def lookup_code(city: str) -> str:
    """Looks up the code of a city."""
    return f"code-4711 of {city}"


def _checks(api, kind):
    def agent(**options):
        # A client belongs to one event loop, and every check has its own.
        client = openai.AsyncOpenAI(base_url=BASE_URL, api_key="any", max_retries=0, timeout=30)
        model = kind(MODEL, provider=OpenAIProvider(openai_client=client))
        return Agent(model, instructions="Be brief.", retries=0, **options)

    @check(f"{api}: buffered")
    async def buffered():
        assert_whole((await agent().run("Hello!")).output)

    @check(f"{api}: streamed")
    async def streamed():
        async with agent().run_stream("Hello!") as result:
            pieces = [piece async for piece in result.stream_text(delta=True)]
        assert_whole("".join(pieces))

    @check(f"{api}: tool round, buffered and streamed")
    async def tool_round():
        equipped = agent(tools=[lookup_code])
        assert "code-4711" in (await equipped.run("Use lookup_code for Paris.")).output
        async with equipped.run_stream("Use lookup_code for Paris.") as result:
            assert "code-4711" in await result.get_output()

    @check(f"{api}: structured output, as a format and as a tool")
    async def structured():
        for output in (NativeOutput(City), City):
            assert isinstance((await agent(output_type=output).run("Hello!")).output, City)

    @check(f"{api}: 429, failure and cut")
    async def failures():
        error = await assert_raises_async(ModelHTTPError, agent().run(scenario("rate_limit")))
        assert error.status_code == 429
        for name in ("failed_midway", "cut_midway"):
            await assert_raises_async((AgentRunError, openai.APIError), agent().run(scenario(name)))
            await assert_raises_async((AgentRunError, openai.APIError), _drain(agent(), scenario(name)))


async def _drain(agent, text):
    async with agent.run_stream(text) as result:
        return await result.get_output()


_checks("chat", OpenAIChatModel)
_checks("responses", OpenAIResponsesModel)
setup.shown("pydantic-ai", "pydantic-ai-slim")
run()
