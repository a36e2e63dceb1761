"""The clients that are checked: what is installed for each, and the script that checks it.

The script runs inside the client's own environment when the client is a library, and beside it when it is a program; a
library of Rust is compiled into the program that checks it. Each prints one JSON line a fact, as the `checks` modules do.
"""

import os
import pathlib
import shutil
import sys
from dataclasses import dataclass

from .environments import Environment

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent / "clients"


@dataclass(frozen=True)
class Client:
    """One client: its short name, its package and where that is installed, and its script."""

    name: str
    title: str
    package: str
    environment: Environment
    script: str
    #: The longest the whole script may take, in seconds.
    limit: int = 120

    @property
    def version(self):
        """The pinned version of the client's package."""
        return self.environment.version(self.package)

    def command(self, cache):
        """The command that runs the script."""
        if self.environment.is_rust:
            return [self.environment.programs(cache) / self.script]
        if self.script.endswith(".mjs"):
            return [shutil.which("node") or "node", self._beside_packages(cache)]
        python = self.environment.programs(cache) / "python" if self.is_library else sys.executable
        return [python, SCRIPTS / self.script]

    @property
    def is_library(self):
        """Whether the script imports the client rather than starting it."""
        return not self.script.endswith("_cli.py")

    def _beside_packages(self, cache):
        """Node looks for packages next to the script, so the scripts go where the packages are."""
        folder = self.environment.folder(cache)
        for source in SCRIPTS.glob("*.mjs"):
            copy = folder / f".{source.name}.{os.getpid()}"
            shutil.copy(source, copy)
            copy.replace(folder / source.name)
        return folder / self.script


PYTHON_SDK = Environment("python-sdk")
NODE_SDK = Environment("node-sdk")
ANTHROPIC = Environment("anthropic")

CLIENTS = (
    Client("openai-python", "openai (Python)", "openai", PYTHON_SDK, "openai_python.py"),
    Client("openai-node", "openai (Node)", "openai", NODE_SDK, "openai_node.mjs"),
    Client("images", "openai (Python), images", "openai", PYTHON_SDK, "images_python.py"),
    Client("images-node", "openai (Node), images", "openai", NODE_SDK, "images_node.mjs"),
    Client("async-openai", "async-openai (Rust)", "async-openai", Environment("async-openai"), "async-openai-checks"),
    Client("ai-sdk", "AI SDK", "ai", NODE_SDK, "ai_sdk.mjs"),
    Client("litellm", "LiteLLM", "litellm", PYTHON_SDK, "litellm_sdk.py"),
    Client("langchain", "LangChain", "langchain-openai", PYTHON_SDK, "langchain_openai_chat.py"),
    Client("agents", "OpenAI Agents", "openai-agents", PYTHON_SDK, "openai_agents.py"),
    Client("pydantic-ai", "Pydantic AI", "pydantic-ai-slim", PYTHON_SDK, "pydantic_ai_agent.py"),
    Client("codex", "Codex CLI", "@openai/codex", Environment("codex"), "codex_cli.py"),
    Client("codex-home", "Codex CLI with the proxy in the backend's place", "@openai/codex", Environment("codex"),
           "codex_home_cli.py"),
    Client("codex-login", "Codex CLI beside the proxy on one login", "@openai/codex", Environment("codex"),
           "codex_login_cli.py", limit=150),
    Client("opencode", "OpenCode", "opencode-ai", Environment("opencode"), "opencode_cli.py", limit=240),
    Client("pi", "pi", "@mariozechner/pi-coding-agent", Environment("pi"), "pi_cli.py"),
    Client("continue", "Continue", "@continuedev/cli", Environment("continue"), "continue_cli.py"),
    Client("aider", "Aider", "aider-chat", Environment("aider"), "aider_cli.py", limit=180),
    Client("llm", "llm", "llm", PYTHON_SDK, "llm_cli.py"),
    Client("anthropic", "anthropic (Python)", "anthropic", ANTHROPIC, "anthropic_python.py"),
    Client("anthropic-1", "anthropic (Python), before its version 2", "anthropic", Environment("anthropic-1"),
           "anthropic_python.py"),
    Client("anthropic-node", "anthropic (TypeScript)", "@anthropic-ai/sdk", NODE_SDK, "anthropic_node.mjs"),
    Client("ai-sdk-anthropic", "AI SDK, Anthropic's provider", "@ai-sdk/anthropic", NODE_SDK, "ai_sdk_anthropic.mjs"),
    Client("langchain-anthropic", "LangChain, Anthropic's models", "langchain-anthropic", ANTHROPIC,
           "langchain_anthropic_chat.py"),
    Client("litellm-anthropic", "LiteLLM, Anthropic's models", "litellm", ANTHROPIC, "litellm_anthropic.py"),
    Client("pydantic-ai-anthropic", "Pydantic AI, Anthropic's models", "pydantic-ai-slim", ANTHROPIC,
           "pydantic_ai_anthropic.py"),
    Client("claude-code", "Claude Code", "@anthropic-ai/claude-code", Environment("claude-code"), "claude_code_cli.py",
           limit=300),
    Client("claude-agent-sdk", "Claude Agent SDK", "claude-agent-sdk", Environment("claude-agent-sdk"),
           "claude_agent.py", limit=180),
    Client("opencode-anthropic", "OpenCode, Anthropic's provider", "opencode-ai", Environment("opencode"),
           "opencode_anthropic_cli.py", limit=180),
)
