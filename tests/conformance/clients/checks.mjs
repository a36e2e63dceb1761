/**
 * What every check written in JavaScript shares: registering checks, running them, telling the driver.
 *
 * - A script registers its checks with `check("what was run", action)` and ends with `await run()`.
 * - One line of JSON a fact goes to the standard output: first the names of all checks, then each result.
 * - A check passes when its action returns; an exception or the end of its time fails it.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const baseURL = process.env.BASE_URL;
export const model = process.env.MODEL;

const scenarios = JSON.parse(process.env.SCENARIOS);
const checks = [];

export const citySchema = {
  type: "object",
  properties: { city: { type: "string", description: "The city to look up" } },
  required: ["city"],
  additionalProperties: false,
};

/** Registers `action`, plain or async, as the check called `name`. */
export function check(name, action) {
  checks.push([name, action]);
}

/** A user message that makes the simulator play the scenario `name`. */
export function scenario(name, text = "Say a few words.") {
  assert.ok(name in scenarios, `no scenario is called ${name}`);
  return `${scenarios[name]} ${text}`;
}

/** Fails unless `text` is an answer of the simulator from its first word to its last emoji. */
export function assertWhole(text) {
  const isWhole = String(text).startsWith(firstWords) && String(text).trimEnd().endsWith(lastWords);
  assert.ok(isWhole, `not a whole answer of the simulator: ${text}`);
}

/** Registers the check of the program for `name` that `codex-proxy setup` shows for `tool`, run as it stands. */
export function checkShown(tool, name) {
  check(`the program of \`codex-proxy setup ${tool}\`, as it stands`, () => {
    const { BINARY: binary, PATH, HOME } = process.env;
    const port = new URL(baseURL).port;
    const output = execFileSync(binary, ["setup", tool, "--port", port], { encoding: "utf8" });
    const parts = output.split(/\n\n(?=# |\/\/ )/);
    const [part] = parts.filter((text) => text.startsWith("// hello.mjs") && text.split("\n")[0].includes(name));
    // Node looks for packages beside the file.
    const file = fileURLToPath(new URL(`.hello.${process.pid}.mjs`, import.meta.url));
    try {
      writeFileSync(file, part);
      assertWhole(execFileSync(binary, ["run", "--port", port, "node", file], { encoding: "utf8", env: { PATH, HOME } }));
    } finally {
      rmSync(file, { force: true });
    }
  });
}

/** Everything that an async iterable yields, as an array. */
export async function collect(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** Runs every registered check and reports each, then ends the process, whatever the client left open. */
export async function run() {
  report({ plan: checks.map(([name]) => name) });
  for (const [name, action] of checks) {
    const started = performance.now();
    const detail = await outcome(action);
    const seconds = Math.round((performance.now() - started) / 10) / 100;
    report({ check: name, passed: detail === null, detail, seconds });
  }
  process.exit(0);
}

async function outcome(action) {
  let timer;
  const outOfTime = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${limitSeconds} s`)), limitSeconds * 1000);
  });
  try {
    await Promise.race([action(), outOfTime]);
    return null;
  } catch (error) {
    const where = /\/(\w+\.mjs:\d+)/.exec(error?.stack ?? "")?.[1] ?? "unknown place";
    return `${error?.name}: ${String(error?.message).slice(0, 400)} (${where})`;
  } finally {
    clearTimeout(timer);
  }
}

function report(fact) {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}

const firstWords = "This is a simulation: no model was asked. 🎭";
const lastWords = "À bientôt 👋🏽";
const limitSeconds = Number(process.env.CHECK_LIMIT_SECONDS ?? 45);

// An error that a client raises outside of any promise would end the process before the remaining checks have run.
process.on("unhandledRejection", (error) => process.stderr.write(`unhandled: ${error?.stack}\n`));
process.on("uncaughtException", (error) => process.stderr.write(`uncaught: ${error?.stack}\n`));
