/** The AI SDK with its provider for Anthropic's API. */

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { APICallError, Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { assertWhole, baseURL, check, citySchema, collect, model, run, scenario } from "./checks.mjs";

const anthropic = createAnthropic({ baseURL, apiKey: "any" });
const languageModel = anthropic(model);
const maxRetries = 0;
const onError = () => {};

check("text, buffered and streamed", async () => {
  const { text, finishReason, usage } = await generateText({ model: languageModel, prompt: "Hello!", maxRetries });
  assertWhole(text);
  assert.equal(finishReason, "stop");
  assert.ok(usage.totalTokens > 0);
  const result = streamText({ model: languageModel, prompt: "Hello!", maxRetries, onError });
  assertWhole((await collect(result.textStream)).join(""));
  assert.equal(await result.finishReason, "stop");
  assert.ok((await result.usage).totalTokens > 0);
});

check("tool round, buffered and streamed", async () => {
  for (const generate of [generateText, streamText]) {
    const { tools, seen } = countedTools("lookup_code");
    const options = { model: languageModel, prompt: "Use lookup_code for Paris.", tools, stopWhen: stepCountIs(3) };
    const result = await generate({ ...options, maxRetries });
    assert.match(await result.text, /code-4711/);
    assert.equal(seen.length, 1);
  }
});

check("parallel tools, streamed", async () => {
  const { tools, seen } = countedTools("lookup_code", "lookup_time");
  const prompt = "Use lookup_code and lookup_time for Paris.";
  const result = streamText({ model: languageModel, prompt, tools, stopWhen: stepCountIs(3), maxRetries, onError });
  assert.equal((await result.text).split("code-4711").length, 3);
  assert.equal(seen.length, 2);
});

check("thinking is kept over turns", async () => {
  for (const generate of [generateText, streamText]) {
    const { tools } = countedTools("lookup_code");
    const providerOptions = { anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } } };
    const prompt = scenario("thinks_and_calls");
    const options = { model: languageModel, prompt, tools, stopWhen: stepCountIs(3), providerOptions, maxRetries };
    const result = await generate(options);
    assert.match(await result.text, /code-4711/);
    const steps = await result.steps;
    assert.equal(steps.length, 2);
    assert.ok(steps[0].reasoningText);
    assert.equal(steps[1].response.headers["x-codex-proxy-reasoning-dropped"], undefined);
  }
});

check("image and PDF", async () => {
  const image = { type: "image", image: Buffer.from(pixel, "base64"), mediaType: "image/png" };
  const pdf = { type: "file", data: Buffer.from("%PDF-1.4\n%%EOF\n"), mediaType: "application/pdf" };
  const messages = [{ role: "user", content: [{ type: "text", text: "What is this?" }, image, pdf] }];
  const { text } = await generateText({ model: languageModel, messages, maxRetries });
  assert.match(text, /I received 1 image\.[^]*I received 1 file\./);
});

check("structured output", async () => {
  const output = Output.object({ schema: jsonSchema(citySchema) });
  const answer = await generateText({ model: languageModel, prompt: "Hello!", output, maxRetries });
  assert.equal(typeof answer.output.city, "string");
});

check("web search: sources", async () => {
  for (const generate of [generateText, streamText]) {
    const tools = { web_search: anthropic.tools.webSearch_20250305({ maxUses: 3 }) };
    const result = await generate({ model: languageModel, prompt: "Use web_search, please.", tools, maxRetries });
    assert.match(await result.text, /Simulated search result/);
    assert.ok((await result.sources).some((source) => source.url.startsWith("https://example.com/")));
  }
});

check("error: 429 with Retry-After, and overload", async () => {
  const failing = (name) => generateText({ model: languageModel, prompt: scenario(name), maxRetries });
  await assert.rejects(failing("rate_limit"), (error) => {
    assert.ok(APICallError.isInstance(error), String(error));
    assert.ok(Number(error.responseHeaders["retry-after"]) > 3600);
    return error.statusCode === 429;
  });
  await assert.rejects(failing("overloaded"), (error) => error.statusCode === 529 && error.isRetryable);
});

for (const kind of ["failed_midway", "cut_midway"]) {
  check(`error: ${kind.replace("_", " ")}`, async () => {
    const errors = [];
    const options = { model: languageModel, prompt: scenario(kind), maxRetries };
    const result = streamText({ ...options, onError: ({ error }) => errors.push(error) });
    const parts = await collect(result.fullStream);
    assert.ok(errors.length > 0, "no error");
    assert.ok(parts.some((part) => part.type === "text-delta"), "no text before the failure");
    assert.notEqual(parts.find((part) => part.type === "finish")?.finishReason, "stop");
    await assert.rejects(generateText(options), (error) => APICallError.isInstance(error));
  });
}

/** Tools that answer at once, and what they were asked for. */
function countedTools(...names) {
  const seen = [];
  const execute = async ({ city }) => (seen.push(city), `code-4711 of ${city}`);
  const one = () => tool({ description: "Looks up a code.", inputSchema: jsonSchema(citySchema), execute });
  return { seen, tools: Object.fromEntries(names.map((name) => [name, one()])) };
}

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

await run();
