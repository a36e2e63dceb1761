/** The official OpenAI library for JavaScript, with its strict stream helpers. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { assertWhole, baseURL, check, checkShown, citySchema, collect, model, run, scenario } from "./checks.mjs";

const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0, timeout: 30_000 });

const lookup = { name: "lookup_code", description: "Looks up a code.", parameters: citySchema, strict: true };
const chatTools = [{ type: "function", function: lookup }];
const responsesTools = [{ type: "function", ...lookup }];
const hello = [{ role: "system", content: "Be brief." }, { role: "user", content: "Hello!" }];
const useTool = { role: "user", content: "Use lookup_code for Paris." };
const City = z.object({ name: z.string(), population: z.number() });

check("models: list and retrieve", async () => {
  const ids = [];
  for await (const entry of client.models.list()) ids.push(entry.id);
  assert.ok(ids.includes(model), ids.join());
  assert.equal((await client.models.retrieve(model)).id, model);
});

check("chat: buffered", async () => {
  const answer = await client.chat.completions.create({ model, messages: hello });
  assertWhole(answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
});

check("chat: streamed, usage last", async () => {
  const options = { model, messages: hello, stream: true, stream_options: { include_usage: true } };
  const chunks = await collect(await client.chat.completions.create(options));
  assertWhole(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.total_tokens > 0);
});

check("chat: tool round, buffered", async () => {
  const first = await client.chat.completions.create({ model, messages: [useTool], tools: chatTools });
  const { message, finish_reason: reason } = first.choices[0];
  assert.equal(reason, "tool_calls");
  const messages = [useTool, message, ...message.tool_calls.map(chatOutput)];
  const answer = await client.chat.completions.create({ model, messages, tools: chatTools });
  assert.match(answer.choices[0].message.content, /code-4711/);
});

check("chat: tool round with the stream helper", async () => {
  const first = client.chat.completions.stream({ model, messages: [useTool], tools: chatTools });
  const [message] = [await first.finalMessage()];
  const messages = [useTool, message, ...message.tool_calls.map(chatOutput)];
  let text = "";
  const second = client.chat.completions.stream({ model, messages, tools: chatTools });
  second.on("content", (delta) => (text += delta));
  assert.equal(await second.finalContent(), text);
  assert.match(text, /code-4711/);
});

check("chat: tools run by the library, buffered and streamed", async () => {
  for (const stream of [false, true]) {
    const seen = [];
    const tool = { ...lookup, parse: JSON.parse, function: ({ city }) => (seen.push(city), `code-4711 of ${city}`) };
    const tools = [{ type: "function", function: tool }];
    const text = await client.chat.completions.runTools({ model, messages: [useTool], tools, stream }).finalContent();
    assert.equal(seen.length, 1);
    assert.match(text, /code-4711/);
  }
});

check("chat: structured output", async () => {
  const format = zodResponseFormat(City, "city");
  const answer = await client.chat.completions.parse({ model, messages: hello, response_format: format });
  City.parse(answer.choices[0].message.parsed);
});

check("responses: buffered", async () => {
  const answer = await client.responses.create({ model, input: "Hello!" });
  assertWhole(answer.output_text);
  assert.equal(answer.status, "completed");
});

check("responses: streamed", async () => {
  const events = await collect(await client.responses.create({ model, input: "Hello!", stream: true }));
  const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
  assertWhole(deltas.join(""));
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
});

check("responses: tool round with the stream helper", async () => {
  const first = await client.responses.stream({ model, input: [useTool], tools: responsesTools }).finalResponse();
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.equal(calls.length, 1);
  const outputs = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "code-4711" }));
  const items = first.output.map(({ parsed_arguments: _, ...item }) => item);
  const input = [useTool, ...items, ...outputs];
  const second = await client.responses.stream({ model, input, tools: responsesTools }).finalResponse();
  assert.match(second.output_text, /code-4711/);
});

check("responses: structured output", async () => {
  const answer = await client.responses.parse({ model, input: "Hello!", text: { format: zodTextFormat(City, "city") } });
  City.parse(answer.output_parsed);
});

check("error: a bad request names the field", async () => {
  const messages = [{ role: "user", content: "Hello!" }, { role: "narrator", content: "?" }];
  await assert.rejects(client.chat.completions.create({ model, messages }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    return /messages/.test(error.message);
  });
});

check("error: 429 with Retry-After, buffered and streamed", async () => {
  for (const stream of [false, true]) {
    await assert.rejects(chat(scenario("rate_limit"), stream), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError, String(error));
      return Number(error.headers.get("retry-after")) >= 1;
    });
  }
});

check("error: failure in the middle, chat and responses", () => failsMidway("failed_midway"));

check("error: backend cut in the middle, chat and responses", () => failsMidway("cut_midway"));

async function failsMidway(name) {
  const input = scenario(name);
  const isApiError = (error) => error instanceof OpenAI.APIError;
  await assert.rejects(async () => collect(await chat(input, true)), isApiError);
  await assert.rejects(chat(input, false), isApiError);
  const helper = client.chat.completions.stream({ model, messages: [{ role: "user", content: input }] });
  await assert.rejects(helper.finalContent());
  await assert.rejects(async () => {
    for await (const event of await client.responses.create({ model, input, stream: true })) {
      if (event.type === "response.failed" || event.type === "error") throw new OpenAI.APIError(500, event, "failed");
    }
  }, isApiError);
}

function chat(content, stream) {
  return client.chat.completions.create({ model, messages: [{ role: "user", content }], stream });
}

function chatOutput(call) {
  return { role: "tool", tool_call_id: call.id, content: `code-4711 of ${call.function.arguments}` };
}

checkShown("node", "openai");
await run();
