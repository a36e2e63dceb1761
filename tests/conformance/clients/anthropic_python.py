"""Anthropic's own library for Python: messages, its stream helper, and what stands beside them."""

import base64
import time

import anthropic
from pydantic import BaseModel

import setup
from checks import CITY_SCHEMA, MODEL, ROOT_URL, assert_raises, assert_whole, check, run, scenario

client = anthropic.Anthropic(base_url=ROOT_URL, api_key="any", max_retries=0, timeout=30)
# As the library comes, with its two retries.
patient = anthropic.Anthropic(base_url=ROOT_URL, api_key="any", timeout=30)

LOOKUP = {"name": "lookup_code", "description": "Looks up a code.", "input_schema": CITY_SCHEMA}
TIME = {**LOOKUP, "name": "lookup_time"}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()


class City(BaseModel):
    name: str
    population: int


def ask(content, **options):
    """One turn, buffered and streamed: the helper's message must be what the buffered call gives."""
    return ask_history([{"role": "user", "content": content}], **options)


def ask_history(messages, stream=False, who=client, **options):
    arguments = {"model": MODEL, "max_tokens": 1000, "messages": messages, **options}
    if not stream:
        return who.messages.create(**arguments)
    with who.messages.stream(**arguments) as events:
        for _ in events:
            pass
        return events.get_final_message()


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def kinds(message):
    return [block.type for block in message.content]


def results(message):
    return [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"code-4711 of {block.input['city']}"}
        for block in message.content if block.type == "tool_use"
    ]


def answered(asked, message, **options):
    """The turn after `message`, with the outputs of its calls."""
    history = [asked, {"role": "assistant", "content": message.content}, {"role": "user", "content": results(message)}]
    return ask_history(history, **options)


@check("models: list and retrieve")
def models():
    listed = list(client.models.list(limit=3))
    names = [model.id for model in listed]
    assert MODEL in names and f"claude-{MODEL}" in names and len(names) == len(set(names)), names
    assert client.models.retrieve(MODEL).display_name


@check("text, buffered and streamed")
def text():
    for stream in (False, True):
        message = ask("Hello!", system="Be brief.", stream=stream)
        assert_whole(text_of(message))
        assert (message.stop_reason, message.role, kinds(message)) == ("end_turn", "assistant", ["text"])
        assert message.id.startswith("msg_") and message.usage.input_tokens > 0 < message.usage.output_tokens


@check("text, raw events")
def raw_events():
    events = client.messages.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hello!"}], stream=True)
    seen = [event.type for event in events]
    assert seen[0] == "message_start" and seen[-2:] == ["message_delta", "message_stop"], seen


@check("tool round, buffered and streamed")
def tool_round():
    asked = {"role": "user", "content": "Use lookup_code for Paris."}
    for stream in (False, True):
        message = ask_history([asked], tools=[LOOKUP], stream=stream)
        assert message.stop_reason == "tool_use" and kinds(message) == ["tool_use"], message
        assert "code-4711" in text_of(answered(asked, message, tools=[LOOKUP], stream=stream))


@check("parallel tools, streamed")
def parallel():
    asked = {"role": "user", "content": "Use lookup_code and lookup_time for Paris."}
    message = ask_history([asked], tools=[LOOKUP, TIME], stream=True)
    assert [block.name for block in message.content] == ["lookup_code", "lookup_time"]
    assert len({block.id for block in message.content}) == 2
    assert text_of(answered(asked, message, tools=[LOOKUP, TIME], stream=True)).count("code-4711") == 2


@check("forced tool, one at a time")
def forced():
    choice = {"type": "tool", "name": "lookup_time", "disable_parallel_tool_use": True}
    message = ask("Hello!", tools=[LOOKUP, TIME], tool_choice=choice)
    assert [block.name for block in message.content] == ["lookup_time"]


@check("thinking is kept over turns")
def thinking():
    for display in ("summarized", "omitted"):
        asked = {"role": "user", "content": scenario("thinks_and_calls")}
        for stream in (False, True):
            options = {"thinking": {"type": "adaptive", "display": display}, "tools": [LOOKUP]}
            message = ask_history([asked], stream=stream, **options)
            assert kinds(message) == ["thinking", "text", "thinking", "tool_use"], kinds(message)
            assert bool(message.content[0].thinking) == (display == "summarized")
            history = [asked, {"role": "assistant", "content": message.content},
                       {"role": "user", "content": results(message)}]
            second = client.messages.with_raw_response.create(
                model=MODEL, max_tokens=1000, messages=history, **options)
            assert "x-codex-proxy-reasoning-dropped" not in second.headers
            assert "code-4711" in text_of(second.parse())


@check("image and PDF, from the user and from a tool")
def image_and_pdf():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
    said = text_of(ask([{"type": "text", "text": "What is this?"}, image, pdf]))
    assert "I received 1 image." in said and "I received 1 file." in said, said
    asked = {"role": "user", "content": "Use lookup_code for Paris."}
    message = ask_history([asked], tools=[LOOKUP])
    result = {"type": "tool_result", "tool_use_id": message.content[0].id, "content": [image, pdf]}
    history = [asked, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    said = text_of(ask_history(history, tools=[LOOKUP]))
    assert "I received 1 image." in said and "I received 1 file." in said, said


@check("structured output")
def structured():
    message = client.messages.parse(
        model=MODEL, max_tokens=1000, messages=[{"role": "user", "content": "Hello!"}], output_format=City)
    assert isinstance(message.parsed_output, City)


@check("web search: results, citations, and the turn after")
def web_search():
    asked = {"role": "user", "content": "Use web_search, please."}
    for stream in (False, True):
        message = ask_history([asked], tools=[SEARCH], stream=stream)
        assert kinds(message)[:2] == ["server_tool_use", "web_search_tool_result"], kinds(message)
        found = message.content[1].content
        assert found and found[0].type == "web_search_result" and found[0].url.startswith("https://"), found
        citations = [citation for block in message.content if block.type == "text" for citation in block.citations or []]
        assert citations and citations[0].cited_text and citations[0].url == found[0].url
        assert message.usage.server_tool_use.web_search_requests == 1
        history = [asked, {"role": "assistant", "content": message.content}, {"role": "user", "content": "And?"}]
        assert_whole(text_of(ask_history(history, tools=[SEARCH, LOOKUP], tool_choice={"type": "none"})))


@check("stop sequence")
def stop_sequence():
    for stream in (False, True):
        message = ask("Hello!", stop_sequences=["no model"], stream=stream)
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "no model")
        assert text_of(message) == "This is a simulation: ", text_of(message)


@check("count_tokens")
def count_tokens():
    def count(text):
        return client.messages.count_tokens(
            model=MODEL, messages=[{"role": "user", "content": text}], tools=[LOOKUP]).input_tokens

    assert 0 < count("Hello!") < count("Hello! " * 100)


@check("error: 429 of a used-up plan, at once in spite of its hours of Retry-After")
def usage_limit():
    started = time.monotonic()
    for stream in (False, True):
        error = assert_raises(
            anthropic.RateLimitError, lambda: ask(scenario("rate_limit"), who=patient, stream=stream))
        assert int(error.response.headers["retry-after"]) > 3600 and error.type == "rate_limit_error"
    assert time.monotonic() - started < 5


@check("error: overload, prompt too long, wrong field")
def errors():
    assert assert_raises(anthropic.APIStatusError, lambda: ask(scenario("overloaded"))).type == "overloaded_error"
    error = assert_raises(anthropic.BadRequestError, lambda: ask(scenario("too_long")))
    assert error.body["error"]["message"].startswith("prompt is too long: "), error.body
    error = assert_raises(anthropic.BadRequestError, lambda: ask([{"type": "image"}]))
    assert error.body["error"]["message"].startswith("messages.0.content.0.source: "), error.body
    assert error.request_id.startswith("req_")
    assert_raises(anthropic.NotFoundError, lambda: client.messages.batches.list())


@check("error: failure and cut in the middle")
def failures_midway():
    for name in ("failed_midway", "cut_midway"):
        assert_raises(anthropic.APIError, lambda: ask(scenario(name)))
        error = assert_raises(anthropic.APIError, lambda: ask(scenario(name), stream=True))
        assert error.body["type"] == "error" and error.body["error"]["type"] == "api_error", error.body

setup.shown("python", "anthropic")
run()
