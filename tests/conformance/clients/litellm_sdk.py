"""LiteLLM as a library: chat and responses through its OpenAI route."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no download of a price list

import litellm
import openai

import setup
from checks import BASE_URL, CITY_SCHEMA, MODEL, assert_raises, assert_whole, check, run, scenario

TOOLS = [{"type": "function", "function": {"name": "lookup_code", "parameters": CITY_SCHEMA}}]
USE_TOOL = {"role": "user", "content": "Use lookup_code for Paris."}
COMMON = {"model": f"openai/{MODEL}", "api_key": "any", "num_retries": 0, "max_retries": 0, "timeout": 30}


def complete(messages, **options):
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return litellm.completion(messages=messages, base_url=BASE_URL, **COMMON, **options)


@check("chat: buffered")
def chat_buffered():
    answer = complete("Hello!")
    assert_whole(answer.choices[0].message.content)
    assert answer.usage.total_tokens > 0


@check("chat: streamed")
def chat_streamed():
    chunks = list(complete("Hello!", stream=True, stream_options={"include_usage": True}))
    assert_whole("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    rebuilt = litellm.stream_chunk_builder(chunks)
    assert_whole(rebuilt.choices[0].message.content)
    assert rebuilt.usage.total_tokens > 0


@check("chat: tool round, buffered and streamed")
def chat_tool_round():
    for stream in (False, True):
        first = _whole(complete([USE_TOOL], tools=TOOLS, stream=stream))
        calls = first.choices[0].message.tool_calls
        assert [call.function.name for call in calls] == ["lookup_code"]
        outputs = [{"role": "tool", "tool_call_id": call.id, "content": "code-4711"} for call in calls]
        messages = [USE_TOOL, first.choices[0].message, *outputs]
        answer = _whole(complete(messages, tools=TOOLS, stream=stream))
        assert "code-4711" in answer.choices[0].message.content


@check("responses: buffered and streamed")
def responses():
    answer = litellm.responses(input="Hello!", api_base=BASE_URL, **COMMON)
    assert_whole("".join(part.text for item in answer.output if item.type == "message" for part in item.content))
    events = list(litellm.responses(input="Hello!", api_base=BASE_URL, stream=True, **COMMON))
    assert_whole("".join(event.delta for event in events if event.type == "response.output_text.delta"))
    assert events[-1].type == "response.completed"


@check("error: 429 with Retry-After")
def rate_limit():
    error = assert_raises(litellm.RateLimitError, lambda: complete(scenario("rate_limit")))
    assert int(error.response.headers["retry-after"]) >= 1


@check("error: failure and cut in the middle")
def failures_midway():
    for name in ("failed_midway", "cut_midway"):
        assert_raises(openai.APIError, lambda: complete(scenario(name)))
        assert_raises(openai.APIError, lambda: list(complete(scenario(name), stream=True)))


def _whole(answer):
    return answer if hasattr(answer, "usage") else litellm.stream_chunk_builder(list(answer))

setup.shown("litellm", "litellm", LITELLM_LOCAL_MODEL_COST_MAP="True")
run()
