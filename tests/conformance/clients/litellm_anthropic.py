"""LiteLLM with `anthropic/…` models, which it asks over Anthropic's API."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from pydantic import BaseModel

from checks import CITY_SCHEMA, MODEL, ROOT_URL, assert_raises, assert_whole, check, run, scenario

litellm.telemetry = False

COMMON = {"api_base": ROOT_URL, "api_key": "any", "max_retries": 0, "timeout": 30}
USE_TOOL = "Use lookup_code for Paris."
TOOLS = [{
    "type": "function",
    "function": {"name": "lookup_code", "description": "Looks up a code.", "parameters": CITY_SCHEMA},
}]


class City(BaseModel):
    name: str
    population: int


def complete(content, stream=False, history=(), model=MODEL, **options):
    messages = [{"role": "user", "content": content}, *history]
    answer = litellm.completion(model=f"anthropic/{model}", messages=messages, stream=stream, **COMMON, **options)
    return litellm.stream_chunk_builder(list(answer)) if stream else answer


@check("text, buffered and streamed")
def text():
    for stream in (False, True):
        answer = complete("Hello!", stream)
        assert_whole(answer.choices[0].message.content)
        assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0


@check("tool round, buffered and streamed")
def tool_round():
    for stream in (False, True):
        message = complete(USE_TOOL, stream, tools=TOOLS).choices[0].message
        assert [call.function.name for call in message.tool_calls] == ["lookup_code"], message
        answer = complete(USE_TOOL, stream, [message, *outputs(message)], tools=TOOLS)
        assert "code-4711" in answer.choices[0].message.content


@check("thinking is kept over turns")
def thinking():
    # It sends `thinking` for models only of which it knows that they think.
    options = {"model": "claude-sonnet-4-5", "tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 2048}}
    asked = scenario("thinks_and_calls")
    for stream in (False, True):
        message = complete(asked, stream, **options).choices[0].message
        assert message.thinking_blocks and message.thinking_blocks[0]["signature"], message
        answer = complete(asked, stream, [message, *outputs(message)], **options)
        assert "code-4711" in answer.choices[0].message.content


@check("image")
def image():
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    assert "I received 1 image." in complete(parts).choices[0].message.content


@check("structured output")
def structured():
    content = complete("Hello!", response_format=City).choices[0].message.content
    assert isinstance(City.model_validate_json(content), City)


@check("error: 429 and overload")
def rate_limit():
    assert_raises(litellm.RateLimitError, lambda: complete(scenario("rate_limit")))
    assert_raises(openai.APIError, lambda: complete(scenario("overloaded")))


@check("error: failure and cut in the middle")
def failures_midway():
    for name in ("failed_midway", "cut_midway"):
        for stream in (False, True):
            assert_raises(openai.APIError, lambda: complete(scenario(name), stream))


def outputs(message):
    return [{"role": "tool", "tool_call_id": call.id, "content": "code-4711"} for call in message.tool_calls]


PIXEL = ("data:image/png;base64,"
         "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

run()
