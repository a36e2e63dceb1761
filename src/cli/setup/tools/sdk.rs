//! The libraries of OpenAI and Anthropic, and whatever is built on them: variables, and a first program.

use crate::cli::setup::facts::Facts;
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Shown, Start, Tool, no_files};

pub(super) const ENVIRONMENT: Tool = Tool {
    name: "env",
    title: "Any program",
    files: no_files,
    shown: Shown::Templates(&[SHELL]),
    then: |facts| {
        let flags = &facts.flags;
        format!(
            "`eval \"$(codex-proxy setup {flags}env)\"` sets them in this shell, and `codex-proxy run {flags}env PROGRAM` for \
             one run."
        )
    },
    start: Some(Start { programs: &[], install: "", launch }),
};

pub(super) const POWERSHELL: Tool = Tool {
    name: "powershell",
    title: "Any program, from PowerShell",
    files: no_files,
    shown: Shown::Templates(&[POWERSHELL_VARIABLES]),
    then: |facts| format!("`codex-proxy run {}env PROGRAM` sets them for one run.", facts.flags),
    start: None,
};

pub(super) const PYTHON: Tool = Tool {
    name: "python",
    title: "Python",
    files: no_files,
    shown: Shown::Templates(&[
        SHELL,
        (
            "hello.py, after `pip install openai`",
            "python",
            r#"from openai import OpenAI

client = OpenAI()  # or OpenAI(base_url="<base>", api_key="<key>")
answer = client.chat.completions.create(
    model="<model>",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)"#,
        ),
        (
            "hello.py, after `pip install anthropic`",
            "python",
            r#"from anthropic import Anthropic

client = Anthropic()  # or Anthropic(base_url="<root>", auth_token="<key>")
message = client.messages.create(
    model="<model>",
    max_tokens=<output>,
    messages=[{"role": "user", "content": "Hello!"}],
    timeout=600,
)
print("".join(block.text for block in message.content if block.type == "text"))"#,
        ),
    ]),
    then: |facts| {
        let flags = &facts.flags;
        format!("Then `python3 hello.py`; or, without the variables, `codex-proxy run {flags}python hello.py`.")
    },
    start: Some(Start { programs: &["python3", "python"], install: "see https://www.python.org/downloads/", launch }),
};

pub(super) const NODE: Tool = Tool {
    name: "node",
    title: "Node",
    files: no_files,
    shown: Shown::Templates(&[
        SHELL,
        (
            "hello.mjs, after `npm install openai`",
            "js",
            r#"import OpenAI from "openai";

const client = new OpenAI(); // or new OpenAI({ baseURL: "<base>", apiKey: "<key>" })
const answer = await client.responses.create({ model: "<model>", input: "Hello!" });
console.log(answer.output_text);"#,
        ),
        (
            "hello.mjs, after `npm install @anthropic-ai/sdk`",
            "js",
            r#"import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic(); // or new Anthropic({ baseURL: "<root>", authToken: "<key>" })
const stream = client.messages.stream({
  model: "<model>",
  max_tokens: <output>,
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(await stream.finalText());"#,
        ),
    ]),
    then: |facts| {
        format!(
            "The end .mjs matters: `await` outside a function is for modules. Then `node hello.mjs`; or, without the \
             variables, `codex-proxy run {}node hello.mjs`.",
            facts.flags
        )
    },
    start: Some(Start { programs: &["node"], install: "see https://nodejs.org/en/download", launch }),
};

/// The variables that these libraries read by themselves, and the older name of one of them.
fn launch(facts: &Facts, _: &Places<'_>, _: &Scene<'_>) -> Launch {
    let (base, key) = (facts.base_url(), facts.key_text().to_owned());
    let variables = vec![
        ("OPENAI_BASE_URL", base.clone()),
        ("OPENAI_API_BASE", base),
        ("OPENAI_API_KEY", key.clone()),
        ("ANTHROPIC_BASE_URL", facts.root.clone()),
        ("ANTHROPIC_AUTH_TOKEN", key),
    ];
    Launch { variables, unset: &["ANTHROPIC_API_KEY"], ..Launch::default() }
}

const SHELL: (&str, &str, &str) = (
    "In a shell",
    "bash",
    "export OPENAI_BASE_URL=<base> OPENAI_API_BASE=<base> OPENAI_API_KEY=<key>
export ANTHROPIC_BASE_URL=<root> ANTHROPIC_AUTH_TOKEN=<key>
unset ANTHROPIC_API_KEY",
);
const POWERSHELL_VARIABLES: (&str, &str, &str) = (
    "In PowerShell",
    "powershell",
    "$env:OPENAI_BASE_URL = $env:OPENAI_API_BASE = '<base>'; $env:OPENAI_API_KEY = '<key>'
$env:ANTHROPIC_BASE_URL = '<root>'; $env:ANTHROPIC_AUTH_TOKEN = '<key>'",
);
