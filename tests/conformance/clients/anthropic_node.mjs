/** Anthropic's own library for TypeScript: messages, its stream helper, and what stands beside them. */

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { assertWhole, baseURL, check, checkShown, citySchema, collect, model, run, scenario } from "./checks.mjs";

const root = baseURL.replace(/\/v1$/, "");
const client = new Anthropic({ baseURL: root, apiKey: "any", maxRetries: 0 });
// As the library comes, with its two retries.
const patient = new Anthropic({ baseURL: root, apiKey: "any" });
const lookup = { name: "lookup_code", description: "Looks up a code.", input_schema: citySchema };
const time = { ...lookup, name: "lookup_time" };
const search = { type: "web_search_20250305", name: "web_search", max_uses: 3 };
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const pdf = Buffer.from("%PDF-1.4\n%%EOF\n").toString("base64");
const modes = [false, true];

/** One call, buffered or with the stream helper. */
function ask(content, { stream = false, who = client, ...options } = {}) {
  const messages = Array.isArray(content) && content[0].role ? content : [{ role: "user", content }];
  const request = { model, max_tokens: 1000, messages, ...options };
  return stream ? who.messages.stream(request).finalMessage() : who.messages.create(request);
}

const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
const kinds = (message) => message.content.map((block) => block.type);

/** The history behind `message`, with the outputs of its calls. */
function behind(content, message, output = (call) => `code-4711 of ${call.input.city}`) {
  const calls = message.content.filter((block) => block.type === "tool_use");
  const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: output(call) }));
  return [{ role: "user", content }, { role: "assistant", content: message.content }, { role: "user", content: results }];
}

check("models: list", async () => {
  const names = (await collect(client.models.list({ limit: 3 }))).map((listed) => listed.id);
  assert.ok(names.includes(model) && names.includes(`claude-${model}`), names.join());
});

check("text, buffered and streamed", async () => {
  for (const stream of modes) {
    const message = await ask("Hello!", { stream });
    assertWhole(textOf(message));
    assert.deepEqual([message.stop_reason, kinds(message)], ["end_turn", ["text"]]);
    assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
  }
});

check("stream helper: its events", async () => {
  const texts = [];
  const stream = client.messages.stream({ model, max_tokens: 100, messages: [{ role: "user", content: "Hello!" }] });
  stream.on("text", (delta) => texts.push(delta));
  assert.equal(await stream.finalText(), texts.join(""));
  assertWhole(texts.join(""));
});

check("tool round, buffered and streamed", async () => {
  for (const stream of modes) {
    const content = "Use lookup_code for Paris.";
    const message = await ask(content, { stream, tools: [lookup] });
    assert.deepEqual([message.stop_reason, kinds(message)], ["tool_use", ["tool_use"]]);
    assert.match(textOf(await ask(behind(content, message), { stream, tools: [lookup] })), /code-4711 of Paris/);
  }
});

check("parallel tools, streamed", async () => {
  const content = "Use lookup_code and lookup_time for Paris.";
  const message = await ask(content, { stream: true, tools: [lookup, time] });
  assert.deepEqual(message.content.map((block) => block.name), ["lookup_code", "lookup_time"]);
  const text = textOf(await ask(behind(content, message), { stream: true, tools: [lookup, time] }));
  assert.equal(text.split("code-4711").length, 3);
});

check("thinking is kept over turns", async () => {
  for (const stream of modes) {
    const content = scenario("thinks_and_calls");
    const options = { tools: [lookup], thinking: { type: "adaptive", display: "summarized" } };
    const message = await ask(content, { stream, ...options });
    assert.deepEqual(kinds(message), ["thinking", "text", "thinking", "tool_use"]);
    assert.ok(message.content[0].thinking && message.content[0].signature);
    const request = { model, max_tokens: 1000, messages: behind(content, message), ...options };
    const { data, response } = await client.messages.create(request).withResponse();
    assert.equal(response.headers.get("x-codex-proxy-reasoning-dropped"), null);
    assert.match(textOf(data), /code-4711/);
  }
});

check("image and PDF, from the user and from a tool", async () => {
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } };
  const document = { type: "document", source: { type: "base64", media_type: "application/pdf", data: pdf } };
  const both = /I received 1 image\.[^]*I received 1 file\./;
  assert.match(textOf(await ask([{ type: "text", text: "What is this?" }, image, document])), both);
  const content = "Use lookup_code for Paris.";
  const message = await ask(content, { tools: [lookup] });
  assert.match(textOf(await ask(behind(content, message, () => [image, document]), { tools: [lookup] })), both);
});

check("structured output", async () => {
  const format = { type: "json_schema", schema: citySchema };
  const message = await client.messages.parse({
    model, max_tokens: 1000, messages: [{ role: "user", content: "Hello!" }], output_config: { format },
  });
  assert.equal(typeof JSON.parse(textOf(message)).city, "string");
});

check("web search: results and citations", async () => {
  for (const stream of modes) {
    const message = await ask("Use web_search, please.", { stream, tools: [search] });
    assert.deepEqual(kinds(message).slice(0, 2), ["server_tool_use", "web_search_tool_result"]);
    const [found] = message.content[1].content;
    const [citation] = message.content.flatMap((block) => block.citations ?? []);
    assert.equal(citation.url, found.url);
    assert.ok(citation.cited_text);
  }
});

check("stop sequence", async () => {
  for (const stream of modes) {
    const message = await ask("Hello!", { stream, stop_sequences: ["no model"] });
    assert.deepEqual([message.stop_reason, message.stop_sequence], ["stop_sequence", "no model"]);
  }
});

check("count_tokens", async () => {
  const counted = await client.messages.countTokens({ model, messages: [{ role: "user", content: "Hello!" }] });
  assert.ok(counted.input_tokens > 0);
});

check("error: 429 of a used-up plan, at once in spite of its hours of Retry-After", async () => {
  const started = performance.now();
  for (const stream of modes) {
    await assert.rejects(ask(scenario("rate_limit"), { stream, who: patient }), (error) => {
      assert.ok(error instanceof Anthropic.RateLimitError, String(error));
      return Number(error.headers.get("retry-after")) > 3600;
    });
  }
  assert.ok(performance.now() - started < 5000);
});

check("error: overload and prompt too long", async () => {
  await assert.rejects(ask(scenario("overloaded")), (error) => error.error.error.type === "overloaded_error");
  await assert.rejects(ask(scenario("too_long")), (error) => error.error.error.message.startsWith("prompt is too long: "));
});

check("error: failure and cut in the middle", async () => {
  for (const kind of ["failed_midway", "cut_midway"]) {
    for (const stream of modes) {
      await assert.rejects(ask(scenario(kind), { stream }), (error) => error instanceof Anthropic.APIError);
    }
  }
});

checkShown("node", "@anthropic-ai/sdk");
await run();
