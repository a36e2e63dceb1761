"""The OpenAI Agents SDK, over chat and over responses."""

import openai
from agents import (
    Agent,
    ModelBehaviorError,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from pydantic import BaseModel

import setup
from checks import BASE_URL, MODEL, assert_raises_async, assert_whole, check, run, scenario

set_tracing_disabled(True)


class City(BaseModel):
    name: str
    population: int


@function_tool
def lookup_code(city: str) -> str:
    """Looks up the code of a city."""
    return f"code-4711 of {city}"


def _checks(api, kind):
    def agent(**options):
        # A client belongs to one event loop, and every check has its own.
        client = openai.AsyncOpenAI(base_url=BASE_URL, api_key="any", max_retries=0, timeout=30)
        return Agent(name="checker", instructions="Be brief.", model=kind(model=MODEL, openai_client=client), **options)

    @check(f"{api}: buffered")
    async def buffered():
        result = await Runner.run(agent(), "Hello!")
        assert_whole(result.final_output)
        assert result.raw_responses[0].usage.total_tokens > 0

    @check(f"{api}: streamed")
    async def streamed():
        result = Runner.run_streamed(agent(), "Hello!")
        events = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert_whole(text)
        assert result.final_output == text

    @check(f"{api}: tool round, buffered and streamed")
    async def tool_round():
        equipped = agent(tools=[lookup_code])
        result = await Runner.run(equipped, "Use lookup_code for Paris.", max_turns=4)
        assert "code-4711" in result.final_output
        streamed_result = Runner.run_streamed(equipped, "Use lookup_code for Paris.", max_turns=4)
        async for _ in streamed_result.stream_events():
            pass
        assert "code-4711" in streamed_result.final_output

    @check(f"{api}: structured output")
    async def structured():
        result = await Runner.run(agent(output_type=City), "Hello!")
        assert isinstance(result.final_output, City)

    @check(f"{api}: 429, failure and cut")
    async def failures():
        await assert_raises_async(openai.RateLimitError, Runner.run(agent(), scenario("rate_limit")))
        for name in ("failed_midway", "cut_midway"):
            await assert_raises_async(openai.APIError, Runner.run(agent(), scenario(name)))
            await assert_raises_async((openai.APIError, ModelBehaviorError), _drain(agent(), scenario(name)))


async def _drain(agent, text):
    result = Runner.run_streamed(agent, text)
    async for _ in result.stream_events():
        pass
    return result.final_output


_checks("chat", OpenAIChatCompletionsModel)
_checks("responses", OpenAIResponsesModel)
setup.shown("openai-agents", "openai-agents")
run()
