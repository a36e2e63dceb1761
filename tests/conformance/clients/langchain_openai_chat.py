"""LangChain's OpenAI integration, over chat and over responses."""

import openai
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

import setup
from checks import BASE_URL, MODEL, assert_raises, assert_whole, check, run, scenario


class City(BaseModel):
    """A city."""

    name: str
    population: int


@tool
def lookup_code(city: str) -> str:
    """Looks up the code of a city."""
    return f"code-4711 of {city}"


def _checks(api, responses):
    model = ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key="any", max_retries=0, use_responses_api=responses,
                       stream_usage=True, timeout=30)

    @check(f"{api}: buffered")
    def buffered():
        answer = model.invoke([SystemMessage("Be brief."), HumanMessage("Hello!")])
        assert_whole(answer.text)
        assert answer.usage_metadata["total_tokens"] > 0

    @check(f"{api}: streamed")
    def streamed():
        whole = None
        for chunk in model.stream("Hello!"):
            whole = chunk if whole is None else whole + chunk
        assert_whole(whole.text)
        assert whole.usage_metadata["total_tokens"] > 0

    @check(f"{api}: tool round, buffered and streamed")
    def tool_round():
        equipped = model.bind_tools([lookup_code])
        for ask in (equipped.invoke, lambda messages: _sum(equipped.stream(messages))):
            messages = [HumanMessage("Use lookup_code for Paris.")]
            first = ask(messages)
            assert [call["name"] for call in first.tool_calls] == ["lookup_code"]
            results = [lookup_code.invoke(call) for call in first.tool_calls]
            assert all(isinstance(result, ToolMessage) for result in results)
            assert "code-4711" in ask([*messages, first, *results]).text

    @check(f"{api}: structured output")
    def structured():
        assert isinstance(model.with_structured_output(City, method="json_schema").invoke("Hello!"), City)

    @check(f"{api}: 429, failure and cut")
    def failures():
        assert_raises(openai.RateLimitError, lambda: model.invoke(scenario("rate_limit")))
        for name in ("failed_midway", "cut_midway"):
            assert_raises(openai.APIError, lambda: model.invoke(scenario(name)))
            # LangChain itself turns a failed response into a ValueError.
            assert_raises((openai.APIError, ValueError), lambda: list(model.stream(scenario(name))))


def _sum(chunks):
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


_checks("chat", responses=False)
_checks("responses", responses=True)
setup.shown("langchain", "langchain-openai")
run()
