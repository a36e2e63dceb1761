"""LangChain with its package for Anthropic's API."""

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

import setup
from checks import MODEL, ROOT_URL, assert_raises, assert_whole, check, run, scenario


class City(BaseModel):
    """A city."""

    name: str
    population: int


@tool
def lookup_code(city: str) -> str:
    """Looks up the code of a city."""
    return f"code-4711 of {city}"


def model(**options):
    return ChatAnthropic(model=MODEL, base_url=ROOT_URL, api_key="any", max_retries=0, timeout=30, max_tokens=1000,
                         **options)


def whole(stream):
    chunks = list(stream)
    return sum(chunks[1:], chunks[0])


def both(runnable, messages):
    return [runnable.invoke(messages), whole(runnable.stream(messages))]


@check("text, buffered and streamed")
def text():
    for message in both(model(), "Hello!"):
        assert_whole(message.text)
        assert message.response_metadata["stop_reason"] == "end_turn"
        assert message.usage_metadata["total_tokens"] > 0


@check("tool round, buffered and streamed")
def tool_round():
    equipped = model().bind_tools([lookup_code])
    for message in both(equipped, "Use lookup_code for Paris."):
        assert [call["name"] for call in message.tool_calls] == ["lookup_code"], message
        assert "code-4711" in answered(equipped, "Use lookup_code for Paris.", message).text


@check("thinking is kept over turns")
def thinking():
    equipped = model(thinking={"type": "enabled", "budget_tokens": 2048}).bind_tools([lookup_code])
    asked = scenario("thinks_and_calls")
    for message in both(equipped, asked):
        blocks = [block["type"] for block in message.content]
        assert blocks[:1] == ["thinking"] and "tool_use" in blocks, blocks
        assert "code-4711" in answered(equipped, asked, message).text


@check("image")
def image():
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    assert "I received 1 image." in model().invoke([HumanMessage(parts)]).text


@check("structured output, as a tool and as a format")
def structured():
    for method in ("function_calling", "json_schema"):
        assert isinstance(model().with_structured_output(City, method=method).invoke("Hello!"), City), method


@check("tokens are counted")
def tokens():
    assert model().get_num_tokens_from_messages([HumanMessage("Hello!")]) > 0


@check("error: 429 with Retry-After")
def rate_limit():
    error = assert_raises(anthropic.RateLimitError, lambda: model().invoke(scenario("rate_limit")))
    assert int(error.response.headers["retry-after"]) > 3600


@check("error: failure and cut in the middle")
def failures_midway():
    for name in ("failed_midway", "cut_midway"):
        assert_raises(anthropic.APIError, lambda: model().invoke(scenario(name)))
        assert_raises(anthropic.APIError, lambda: list(model().stream(scenario(name))))


def answered(runnable, asked, message):
    outputs = [ToolMessage(lookup_code.invoke({"city": "Paris"}), tool_call_id=call["id"]) for call in message.tool_calls]
    return runnable.invoke([HumanMessage(asked), message, *outputs])


PIXEL = ("data:image/png;base64,"
         "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

setup.shown("langchain", "langchain-anthropic")
run()
