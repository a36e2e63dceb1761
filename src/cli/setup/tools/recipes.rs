//! Tools and libraries whose settings are shown, and put by the user where they belong.

use crate::cli::setup::facts::Facts;
use crate::cli::setup::tool::{Shown, Tool, no_files};

/// Place, language and text of a snippet.
type Template = (&'static str, &'static str, &'static str);

const fn recipe(
    name: &'static str,
    title: &'static str,
    templates: &'static [Template],
    then: fn(&Facts) -> String,
) -> Tool {
    Tool { name, title, files: no_files, shown: Shown::Templates(templates), then, start: None }
}

fn nothing(_: &Facts) -> String {
    String::new()
}

/// Every recipe, programs first.
pub(super) const RECIPES: &[Tool] = &[
    recipe("kilo", "Kilo", &[KILO], |facts| {
        let flags = &facts.flags;
        format!("It takes what OpenCode takes: `codex-proxy setup {flags}opencode` prints every model with its window.")
    }),
    recipe("qwen-code", "Qwen Code", &[QWEN_CODE], nothing),
    recipe("mistral-vibe", "Mistral Vibe", &[MISTRAL_VIBE], |facts| {
        format!("Its key is a variable: start it with CODEX_PROXY_API_KEY={}.", facts.key_text())
    }),
    recipe("gptme", "gptme", &[GPTME], |_| "Then `gptme -m codex-proxy \"Hello!\"`.".to_owned()),
    recipe("shell-gpt", "ShellGPT", &[SHELL_GPT], nothing),
    recipe("opencommit", "OpenCommit", &[OPENCOMMIT], nothing),
    recipe("open-webui", "Open WebUI", &[OPEN_WEBUI], |_| {
        "In a container the address is http://host.docker.internal:PORT/v1, and the proxy has to allow that name: see \
         docs/deployment.md."
            .to_owned()
    }),
    recipe("litellm-proxy", "LiteLLM's proxy", &[LITELLM_PROXY], nothing),
    recipe("ai-sdk", "AI SDK", &[AI_SDK], |_| {
        "The end .mjs matters: `await` outside a function is for modules.".to_owned()
    }),
    recipe("langchain", "LangChain", &[LANGCHAIN, LANGCHAIN_ANTHROPIC], nothing),
    recipe("litellm", "LiteLLM", &[LITELLM], |_| {
        "LITELLM_LOCAL_MODEL_COST_MAP=True saves the seconds in which it fetches a list of prices.".to_owned()
    }),
    recipe("pydantic-ai", "Pydantic AI", &[PYDANTIC_AI], nothing),
    recipe("openai-agents", "OpenAI Agents SDK", &[OPENAI_AGENTS], |_| {
        "Its traces would go to OpenAI with the key; the recipe turns them off.".to_owned()
    }),
    recipe("llama-index", "LlamaIndex", &[LLAMA_INDEX], nothing),
    recipe("autogen", "AutoGen", &[AUTOGEN], nothing),
];

const KILO: Template = (
    "~/.config/kilo/kilo.jsonc",
    "json",
    r#"{
  "model": "codex-proxy/<model>",
  "provider": {
    "codex-proxy": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "codex-proxy",
      "options": { "baseURL": "<base>", "apiKey": "<key>" },
      "models": {
        "<model>": {
          "reasoning": true,
          "tool_call": true,
          "attachment": true,
          "limit": { "context": <window>, "output": <output> }
        }
      }
    }
  }
}"#,
);

const QWEN_CODE: Template =
    ("In a shell", "bash", "OPENAI_BASE_URL=<base> OPENAI_API_KEY=<key> OPENAI_MODEL=<model> qwen --auth-type openai");

const MISTRAL_VIBE: Template = (
    "~/.vibe/config.toml; `active_model` goes above the first table",
    "toml",
    r#"active_model = "codex-proxy"

[[providers]]
name = "codex-proxy"
api_base = "<base>"
api_key_env_var = "CODEX_PROXY_API_KEY"
api_style = "openai"
backend = "generic"

[[models]]
name = "<model>"
provider = "codex-proxy"
alias = "codex-proxy""#,
);

const GPTME: Template = (
    "~/.config/gptme/config.toml",
    "toml",
    r#"[[providers]]
name = "codex-proxy"
base_url = "<base>"
api_key = "<key>"
default_model = "<model>""#,
);

const SHELL_GPT: Template = (
    "~/.config/shell_gpt/.sgptrc",
    "ini",
    "API_BASE_URL=<base>
OPENAI_API_KEY=<key>
DEFAULT_MODEL=<model>
USE_LITELLM=false",
);

const OPENCOMMIT: Template = (
    "In a shell",
    "bash",
    "oco config set OCO_AI_PROVIDER=openai OCO_API_URL=<base> OCO_API_KEY=<key> OCO_MODEL=<small>",
);

const OPEN_WEBUI: Template =
    ("In a shell", "bash", "OPENAI_API_BASE_URL=<base> OPENAI_API_KEY=<key> ENABLE_OLLAMA_API=false open-webui serve");

const LITELLM_PROXY: Template = (
    "config.yaml, for `litellm --config config.yaml`",
    "yaml",
    "model_list:
  - model_name: <model>
    litellm_params:
      model: openai/<model>
      api_base: <base>
      api_key: <key>",
);

const AI_SDK: Template = (
    "hello.mjs, after `npm install ai @ai-sdk/openai-compatible`",
    "js",
    r#"import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const codex = createOpenAICompatible({
  name: "codex-proxy",
  baseURL: "<base>",
  apiKey: "<key>",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const { textStream } = streamText({ model: codex("<model>"), prompt: "Hello!" });
for await (const text of textStream) process.stdout.write(text);"#,
);

const LANGCHAIN: Template = (
    "hello.py, after `pip install langchain-openai`",
    "python",
    r#"from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="<model>", base_url="<base>", api_key="<key>")
print(model.invoke("Hello!").content)"#,
);

const LANGCHAIN_ANTHROPIC: Template = (
    "hello.py, after `pip install langchain-anthropic`",
    "python",
    r#"from langchain_anthropic import ChatAnthropic

model = ChatAnthropic(model="<model>", base_url="<root>", api_key="<key>")
print(model.invoke("Hello!").content)"#,
);

const LITELLM: Template = (
    "hello.py, after `pip install litellm`",
    "python",
    r#"import litellm

answer = litellm.completion(
    "openai/<model>",
    base_url="<base>",
    api_key="<key>",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)"#,
);

const PYDANTIC_AI: Template = (
    "hello.py, after `pip install 'pydantic-ai-slim[openai]'`",
    "python",
    r#"from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="<base>", api_key="<key>")
agent = Agent(OpenAIChatModel("<model>", provider=provider))
print(agent.run_sync("Hello!").output)"#,
);

const OPENAI_AGENTS: Template = (
    "hello.py, after `pip install openai-agents`",
    "python",
    r#"from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url="<base>", api_key="<key>")
agent = Agent(name="helper", model=OpenAIChatCompletionsModel(model="<model>", openai_client=client))
print(Runner.run_sync(agent, "Hello!").final_output)"#,
);

const LLAMA_INDEX: Template = (
    "hello.py, after `pip install llama-index-llms-openai-like`",
    "python",
    r#"from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(
    model="<model>",
    api_base="<base>",
    api_key="<key>",
    context_window=<window>,
    is_chat_model=True,
    is_function_calling_model=True,
)
print(model.complete("Hello!"))"#,
);

const AUTOGEN: Template = (
    "hello.py, after `pip install autogen-agentchat 'autogen-ext[openai]'`",
    "python",
    r#"import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

client = OpenAIChatCompletionClient(
    model="<model>",
    base_url="<base>",
    api_key="<key>",
    model_info={
        "vision": True,
        "function_calling": True,
        "json_output": True,
        "structured_output": True,
        "family": "unknown",
    },
)
result = asyncio.run(AssistantAgent("helper", client).run(task="Hello!"))
print(result.messages[-1].content)"#,
);
