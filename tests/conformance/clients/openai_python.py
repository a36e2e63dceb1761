"""The official OpenAI library for Python, with its strict stream helpers."""

import json
import time

import openai
from pydantic import BaseModel

import setup
from checks import BASE_URL, CITY_SCHEMA, MODEL, assert_raises, assert_whole, check, run, scenario

client = openai.OpenAI(base_url=BASE_URL, api_key="any", max_retries=0, timeout=30)

CHAT_TOOL = {
    "type": "function",
    "function": {"name": "lookup_code", "description": "Looks up a code.", "parameters": CITY_SCHEMA, "strict": True},
}
RESPONSES_TOOL = {"type": "function", **CHAT_TOOL["function"]}
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
USE_TOOL = {"role": "user", "content": "Use lookup_code for Paris."}


class City(BaseModel):
    name: str
    population: int


@check("models: list and retrieve")
def models():
    listed = list(client.models.list())
    assert MODEL in [model.id for model in listed], [model.id for model in listed]
    assert client.models.retrieve(MODEL).id == MODEL


@check("chat: buffered")
def chat_buffered():
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert_whole(answer.choices[0].message.content)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@check("chat: streamed, usage last")
def chat_streamed():
    chunks = list(client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}))
    assert_whole("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert not chunks[-1].choices and chunks[-1].usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


@check("chat: streamed, no usage unless asked")
def chat_streamed_without_usage():
    chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


@check("chat: tool round, buffered")
def chat_tool_round():
    first = client.chat.completions.create(model=MODEL, messages=[USE_TOOL], tools=[CHAT_TOOL])
    assert first.choices[0].finish_reason == "tool_calls" and first.choices[0].message.content is None
    messages = [USE_TOOL, first.choices[0].message, *_chat_outputs(first.choices[0].message)]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[CHAT_TOOL])
    assert "code-4711" in answer.choices[0].message.content


@check("chat: tool round with the stream helper")
def chat_stream_helper():
    with client.chat.completions.stream(model=MODEL, messages=[USE_TOOL], tools=[CHAT_TOOL]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message
    assert len(done) == 1 and json.loads(done[0].arguments) == json.loads(message.tool_calls[0].function.arguments)
    messages = [USE_TOOL, message.model_dump(exclude_none=True, exclude={"parsed"}), *_chat_outputs(message)]
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[CHAT_TOOL]) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        assert stream.get_final_completion().choices[0].message.content == text
    assert "code-4711" in text


@check("chat: parallel tool round, streamed")
def chat_parallel():
    second = {"type": "function", "function": {**CHAT_TOOL["function"], "name": "lookup_time"}}
    asked = {"role": "user", "content": "Use lookup_code and lookup_time for Paris."}
    with client.chat.completions.stream(model=MODEL, messages=[asked], tools=[CHAT_TOOL, second]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["lookup_code", "lookup_time"]
    assert len({call.id for call in message.tool_calls}) == 2
    messages = [asked, message.model_dump(exclude_none=True, exclude={"parsed"}), *_chat_outputs(message)]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[CHAT_TOOL, second])
    assert answer.choices[0].message.content.count("code-4711") == 2


@check("chat: two citations with the stream helper")
def chat_citations():
    messages = [{"role": "user", "content": scenario("two_citations")}]
    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        streamed = stream.get_final_completion().choices[0].message
    buffered = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message
    assert streamed.content == buffered.content
    cited = [annotation.url_citation for annotation in streamed.annotations]
    assert cited == [annotation.url_citation for annotation in buffered.annotations] and len(cited) == 2, cited
    assert [streamed.content[place.start_index:place.end_index] for place in cited][1] == "see the source."


@check("chat: forced tool")
def chat_forced_tool():
    choice = {"type": "function", "function": {"name": "lookup_code"}}
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[CHAT_TOOL], tool_choice=choice)
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["lookup_code"]


@check("chat: structured output")
def chat_structured():
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


@check("chat: image")
def chat_image():
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert "I received 1 image." in answer.choices[0].message.content


@check("responses: buffered")
def responses_buffered():
    answer = client.responses.create(model=MODEL, input="Hello!")
    assert_whole(answer.output_text)
    assert answer.status == "completed" and answer.usage.total_tokens > 0


@check("responses: streamed")
def responses_streamed():
    events = list(client.responses.create(model=MODEL, input="Hello!", stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert_whole(text)
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert events[-1].response.output_text == text
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers)), numbers


@check("responses: tool round, buffered")
def responses_tool_round():
    first = client.responses.create(model=MODEL, input=[USE_TOOL], tools=[RESPONSES_TOOL])
    again = [USE_TOOL, *first.output, *_responses_outputs(first)]
    answer = client.responses.create(model=MODEL, input=again, tools=[RESPONSES_TOOL])
    assert "code-4711" in answer.output_text


@check("responses: tool round with the stream helper")
def responses_stream_helper():
    with client.responses.stream(model=MODEL, input=[USE_TOOL], tools=[RESPONSES_TOOL]) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
        first = stream.get_final_response()
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == [deltas]
    items = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    again = [USE_TOOL, *items, *_responses_outputs(first)]
    with client.responses.stream(model=MODEL, input=again, tools=[RESPONSES_TOOL]) as stream:
        assert "code-4711" in stream.get_final_response().output_text


@check("responses: structured output")
def responses_structured():
    assert isinstance(client.responses.parse(model=MODEL, input="Hello!", text_format=City).output_parsed, City)


@check("error: a bad request names the field")
def bad_request():
    messages = [{"role": "user", "content": "Hello!"}, {"role": "narrator", "content": "?"}]
    error = assert_raises(openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=messages))
    assert "messages" in str(error) and error.request_id, (str(error), error.request_id)


@check("responses: the next turn by the id of the last one, and an id nobody knows")
def previous_response():
    first = client.responses.create(model=MODEL, input="Hello!")
    second = client.responses.create(model=MODEL, input="And again!", previous_response_id=first.id)
    assert "And again!" in second.output_text, second.output_text
    assert second.usage.input_tokens > first.usage.input_tokens, (first.usage, second.usage)
    ask = lambda: client.responses.create(model=MODEL, input="Hello!", previous_response_id="resp_1")
    assert assert_raises(openai.BadRequestError, ask).code == "previous_response_not_found"


@check("error: 429 with Retry-After, buffered and streamed")
def rate_limit():
    for stream in (False, True):
        error = assert_raises(openai.RateLimitError, lambda: _chat(scenario("rate_limit"), stream=stream))
        assert int(error.response.headers["retry-after"]) >= 1
        assert error.body["message"] and "type" in error.body


@check("error: 429 waits as Retry-After says, then retries")
def rate_limit_retried():
    started = time.monotonic()
    patient = client.with_options(max_retries=1)  # its own first pause would be half a second
    message = [{"role": "user", "content": scenario("short_rate_limit")}]
    ask = lambda: patient.chat.completions.create(model=MODEL, messages=message)
    pause = int(assert_raises(openai.RateLimitError, ask).response.headers["retry-after"])
    assert pause >= 1 and time.monotonic() - started >= pause - 0.1, (pause, time.monotonic() - started)


@check("error: a spent plan is not asked again")
def usage_limit_final():
    started = time.monotonic()
    message = [{"role": "user", "content": scenario("rate_limit")}]
    ask = lambda: client.with_options(max_retries=2).chat.completions.create(model=MODEL, messages=message)
    error = assert_raises(openai.RateLimitError, ask)
    assert error.response.headers["x-should-retry"] == "false" and time.monotonic() - started < 5, str(error)
    assert error.body["plan_type"] and error.body["resets_at"], error.body


@check("error: failure in the middle, chat and responses")
def failure_midway():
    text = scenario("failed_midway")
    assert_raises(openai.APIError, lambda: list(_chat(text, stream=True)))
    assert_raises(openai.APIError, lambda: _chat(text, stream=False))
    assert_raises(openai.APIError, lambda: _final_response(text))


@check("error: backend cut in the middle, chat and responses")
def cut_midway():
    text = scenario("cut_midway")
    error = assert_raises(openai.APIError, lambda: list(_chat(text, stream=True)))
    assert getattr(error, "code", None) == "upstream_stream_interrupted", repr(error)
    assert_raises(openai.APIError, lambda: _chat(text, stream=False))
    assert_raises(openai.APIError, lambda: _final_response(text))


def _chat(text, stream):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], stream=stream)


def _final_response(text):
    """The completed response of a stream; a failure that the library reports as an event is raised like any other."""
    for event in client.responses.create(model=MODEL, input=text, stream=True):
        if event.type in ("response.failed", "error"):
            raise openai.APIError(repr(event), request=None, body=None)
        if event.type == "response.completed":
            return event.response
    raise AssertionError("the stream ended without an end")


def _chat_outputs(message):
    return [
        {"role": "tool", "tool_call_id": call.id, "content": f"code-4711 of {call.function.arguments}"}
        for call in message.tool_calls
    ]


def _responses_outputs(response):
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": f"code-4711 of {item.arguments}"}
        for item in response.output
        if item.type == "function_call"
    ]


PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

setup.shown("python", "openai")
run()
