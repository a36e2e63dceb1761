/** Images through the official OpenAI library for JavaScript. */

import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";
import { baseURL, check, collect, run, scenario } from "./checks.mjs";

const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0, timeout: 30_000 });
const model = "gpt-image-2";
const pixel = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=", "base64");

/** Width and height in the image itself. */
function size(encoded) {
  const image = Buffer.from(encoded, "base64");
  assert.equal(image.toString("latin1", 1, 4), "PNG");
  return `${image.readUInt32BE(16)}x${image.readUInt32BE(20)}`;
}

check("generate: real size, format and tokens", async () => {
  const answer = await client.images.generate({ model, prompt: "A cat", size: "1024x1536", n: 2 });
  assert.deepEqual(answer.data.map((image) => size(image.b64_json)), ["1024x1536", "1024x1536"]);
  assert.equal(answer.size, "1024x1536");
  assert.equal(answer.output_format, "png");
  assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
});

check("generate: streamed, with unfinished images", async () => {
  const prompt = scenario("unfinished_images", "A cat");
  const events = await collect(await client.images.generate({ model, prompt, stream: true, partial_images: 2 }));
  const partial = "image_generation.partial_image";
  assert.deepEqual(events.map((event) => event.type), [partial, partial, "image_generation.completed"]);
  assert.equal(size(events[2].b64_json), "1254x1254");
});

check("edit: several images and a mask, and streamed", async () => {
  const image = await Promise.all(["a.png", "b.png"].map((name) => toFile(pixel, name, { type: "image/png" })));
  const mask = await toFile(pixel, "mask.png");
  const answer = await client.images.edit({ model, prompt: "Night", image, mask, size: "1024x1024" });
  assert.equal(size(answer.data[0].b64_json), "1024x1024");
  const events = await collect(await client.images.edit({ model, prompt: "Night", image: image[0], stream: true }));
  assert.deepEqual(events.map((event) => event.type), ["image_edit.completed"]);
});

check("error: a bad request names the field", async () => {
  await assert.rejects(client.images.generate({ model, prompt: "A cat", size: "large" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    return error.param === "size";
  });
});

check("error: 429, and failure in the middle of a stream", async () => {
  const prompt = scenario("failed_midway");
  await assert.rejects(client.images.generate({ model, prompt: scenario("rate_limit") }), OpenAI.RateLimitError);
  await assert.rejects(async () => collect(await client.images.generate({ model, prompt, stream: true })), OpenAI.APIError);
});

await run();
