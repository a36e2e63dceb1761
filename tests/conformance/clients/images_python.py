"""Images through the official OpenAI library for Python, and through requests in Open WebUI's form.

Open WebUI itself is too large to install for three requests: they are made as its `routers/images.py` makes them, with the
library for a generation and a hand-made form for an edit.
"""

import base64
import struct

import httpx
import openai

from checks import BASE_URL, assert_raises, check, run, scenario

client = openai.OpenAI(base_url=BASE_URL, api_key="any", max_retries=0, timeout=30)

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
MODEL = "gpt-image-2"


def size(encoded):
    """Width and height in the image itself."""
    image = base64.b64decode(encoded)
    assert image.startswith(b"\x89PNG\r\n\x1a\n") and image.endswith(b"IEND\xaeB`\x82"), image[:20]
    return struct.unpack(">II", image[16:24])


@check("generate: real size, format and tokens")
def generate():
    answer = client.images.generate(model=MODEL, prompt="A cat", size="1536x1024", quality="low")
    assert size(answer.data[0].b64_json) == (1536, 1024)
    assert (answer.size, answer.output_format) == ("1536x1024", "png") and answer.created > 0
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


@check("generate: three images, transparent")
def generate_three():
    answer = client.images.generate(model="dall-e-3", prompt="A cat", n=3, background="transparent")
    assert [size(image.b64_json) for image in answer.data] == [(1254, 1254)] * 3
    assert answer.background == "transparent"


@check("generate: streamed, with unfinished images")
def generate_streamed():
    events = list(client.images.generate(
        model=MODEL, prompt=scenario("unfinished_images", "A cat"), stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert size(events[2].b64_json) == (1254, 1254) and events[2].usage.total_tokens > 0


@check("generate: streamed, where the backend sends a document")
def generate_streamed_document():
    with client.images.with_streaming_response.generate(model=MODEL, prompt="A cat", stream=True) as raw:
        events = list(raw.parse())
    assert [event.type for event in events] == ["image_generation.completed"]
    assert events[0].size == "1254x1254" and events[0].created_at > 0


@check("edit: several images and a mask")
def edit():
    files = [("a.png", PIXEL), ("b.png", PIXEL, "image/png"), ("c", PIXEL, "application/octet-stream")]
    answer = client.images.edit(model=MODEL, prompt="Night", image=files, mask=PIXEL, size="1024x1024", n=2)
    assert [size(image.b64_json) for image in answer.data] == [(1024, 1024)] * 2


@check("edit: streamed")
def edit_streamed():
    events = list(client.images.edit(
        model=MODEL, prompt=scenario("unfinished_images", "Night"), image=PIXEL, stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]


@check("error: a bad request names the field")
def bad_request():
    for field, arguments in {
        "response_format": {"response_format": "url"},
        "size": {"size": "large"},
        "n": {"n": 11},
    }.items():
        error = assert_raises(openai.BadRequestError, lambda: client.images.generate(prompt="A cat", **arguments))
        assert error.param == field, (field, error.param, str(error))
    error = assert_raises(openai.BadRequestError, lambda: client.images.edit(prompt="Night", image=b"no image"))
    assert error.param == "image[0]", str(error)


@check("error: 429, and failure before and in the middle of a stream")
def failures():
    limit = scenario("rate_limit")
    error = assert_raises(openai.RateLimitError, lambda: client.images.generate(prompt=limit))
    assert int(error.response.headers["retry-after"]) > 0
    assert_raises(openai.RateLimitError, lambda: client.images.generate(prompt=limit, stream=True))
    assert_raises(openai.APIError, lambda: client.images.generate(prompt=scenario("failed_midway")))
    stream = client.images.generate(prompt=scenario("failed_midway"), stream=True)
    assert next(stream).type == "image_generation.partial_image"
    assert_raises(openai.APIError, lambda: list(stream))


@check("Open WebUI: a generation")
def open_webui_generation():
    answer = client.images.generate(model="dall-e-2", prompt="A cat", n=1, size="512x512", response_format="b64_json")
    assert size(answer.data[0].b64_json) == (512, 512) and answer.data[0].url is None


@check("Open WebUI: an edit of one image and of several")
def open_webui_edit():
    fields = {"model": MODEL, "prompt": "Night", "n": "1", "size": "512x512", "response_format": "b64_json"}
    headers = {"Authorization": "Bearer any"}
    for names in (["image"], ["image[]", "image[]"]):
        files = [(name, ("image.png", PIXEL, "image/png")) for name in names]
        answer = httpx.post(f"{BASE_URL}/images/edits", headers=headers, data=fields, files=files, timeout=30)
        assert answer.status_code == 200, answer.text
        assert size(answer.json()["data"][0]["b64_json"]) == (512, 512)


run()
