/** The AI SDK with both of its providers for OpenAI-like servers: one speaks chat, the other both APIs. */

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { assertWhole, baseURL, check, checkShown, citySchema, collect, model, run, scenario } from "./checks.mjs";

const openai = createOpenAI({ baseURL, apiKey: "any" });
const compatible = createOpenAICompatible({
  name: "codex-proxy",
  baseURL,
  apiKey: "any",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const providers = { "openai-compatible": compatible(model), "openai chat": openai.chat(model), "openai responses": openai(model) };
const maxRetries = 0;

for (const [name, languageModel] of Object.entries(providers)) {
  check(`${name}: text, buffered`, async () => {
    const { text, finishReason, usage } = await generateText({ model: languageModel, prompt: "Hello!", maxRetries });
    assertWhole(text);
    assert.equal(finishReason, "stop");
    assert.ok(usage.totalTokens > 0);
  });

  check(`${name}: text, streamed`, async () => {
    const result = streamText({ model: languageModel, prompt: "Hello!", maxRetries, onError });
    const pieces = await collect(result.textStream);
    assertWhole(pieces.join(""));
    assert.equal(await result.finishReason, "stop");
    assert.ok((await result.usage).totalTokens > 0);
  });

  check(`${name}: tool round, buffered`, async () => {
    const { tools, seen } = countedTools();
    const options = { model: languageModel, prompt: "Use lookup_code for Paris.", tools, stopWhen: stepCountIs(3) };
    const { text } = await generateText({ ...options, maxRetries });
    assert.equal(seen.length, 1);
    assert.match(text, /code-4711/);
  });

  check(`${name}: tool round, streamed`, async () => {
    const { tools, seen } = countedTools();
    const options = { model: languageModel, prompt: "Use lookup_code for Paris.", tools, stopWhen: stepCountIs(3) };
    const result = streamText({ ...options, maxRetries, onError });
    assert.match(await result.text, /code-4711/);
    assert.equal(seen.length, 1);
  });

  check(`${name}: structured output`, async () => {
    const output = Output.object({ schema: jsonSchema(citySchema) });
    const answer = await generateText({ model: languageModel, prompt: "Hello!", output, maxRetries });
    assert.equal(typeof answer.output.city, "string");
  });

  check(`${name}: 429 with Retry-After`, async () => {
    const options = { model: languageModel, prompt: scenario("rate_limit"), maxRetries };
    await assert.rejects(generateText(options), (error) => {
      assert.ok(APICallError.isInstance(error), String(error));
      assert.ok(Number(error.responseHeaders["retry-after"]) >= 1);
      return error.statusCode === 429 && error.isRetryable;
    });
  });

  for (const kind of ["failed_midway", "cut_midway"]) {
    check(`${name}: ${kind.replace("_", " ")}`, async () => {
      const errors = [];
      const options = { model: languageModel, prompt: scenario(kind), maxRetries };
      const result = streamText({ ...options, onError: ({ error }) => errors.push(error) });
      const parts = await collect(result.fullStream);
      assert.equal(errors.length, 1, `errors: ${errors}`);
      assert.ok(parts.some((part) => part.type === "text-delta"), "no text before the failure");
      const finish = parts.find((part) => part.type === "finish");
      assert.notEqual(finish?.finishReason, "stop");
      await assert.rejects(generateText(options), (error) => APICallError.isInstance(error));
    });
  }
}

/** A tool that answers at once, and what it was asked for. */
function countedTools() {
  const seen = [];
  const execute = async ({ city }) => (seen.push(city), `code-4711 of ${city}`);
  return { seen, tools: { lookup_code: tool({ description: "Looks up a code.", inputSchema: jsonSchema(citySchema), execute }) } };
}

/** Errors of a stream come out where its parts are read; the library would also print them. */
function onError() {}

checkShown("ai-sdk", "@ai-sdk/openai-compatible");
await run();
