"""OpenCode, `opencode run`: streamed, over chat and over responses.

It asks for a title on its own in every session, so each run is two requests or more. A failure is retried without
end, so what is checked there is that it goes on asking and never takes the cut answer for a whole one.
"""

import setup
from checks import run
from opencode import QUIET, checks, said

checks("chat", "codex-proxy", "@ai-sdk/openai-compatible")
checks("responses", "codex-proxy", "@ai-sdk/openai")
PROMPT = ("run", "--format", "json", "Hello!")
setup.written("opencode", "opencode", PROMPT, said, **QUIET)
setup.started("opencode", PROMPT, said, **QUIET)
run()
