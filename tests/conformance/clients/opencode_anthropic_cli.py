"""OpenCode with its provider for Anthropic's API, and with one of the user's own that speaks it."""

from checks import run
from opencode import checks

BROKEN = "the connection to the backend broke"

checks("anthropic", "anthropic", interrupted=BROKEN)
checks("codex-proxy", "codex-proxy", "@ai-sdk/anthropic", interrupted=BROKEN)
run()
