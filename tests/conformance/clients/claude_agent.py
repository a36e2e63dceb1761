"""The Claude Agent SDK, which brings a Claude Code of its own, through a relay that shows what it asks."""

import os
import tempfile

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    ToolUseBlock,
    create_sdk_mcp_server,
    query,
    tool,
)

import relay
from checks import CITY_SCHEMA, MODEL, ROOT_URL, assert_whole, check, run, scenario

# A name that is longer than the backend takes.
LONG_NAME = "lookup_the_code_of_a_city_in_a_table_of_cities"


@tool(LONG_NAME, "Looks up the code of a city.", {"city": str})
async def lookup(arguments):
    return {"content": [{"type": "text", "text": f"code-4711 of {arguments['city']}"}]}


def options(url, **more):
    home = tempfile.mkdtemp(dir=os.environ["SCRATCH"])
    variables = {
        "HOME": home,
        "CLAUDE_CONFIG_DIR": f"{home}/.claude",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "any",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
        # Otherwise tools of its own come beside those that a check names.
        "ENABLE_TOOL_SEARCH": "false",
    }
    return ClaudeAgentOptions(
        model=MODEL, cwd=home, env=variables, permission_mode="bypassPermissions", setting_sources=[], **more)


async def asked(url, prompt, **more):
    """Everything that the SDK tells of one prompt."""
    return [message async for message in query(prompt=prompt, options=options(url, **more))]


def result_of(messages):
    return next(message for message in messages if isinstance(message, ResultMessage))


@check("text")
async def text():
    result = result_of(await asked(ROOT_URL, scenario("plain")))
    assert_whole(result.result)
    assert not result.is_error and result.usage["output_tokens"] > 0


@check("tool round; thinking is kept over turns")
async def tool_round():
    with relay.running(ROOT_URL) as (url, exchanges):
        result = result_of(await asked(url, "Use Bash."))
    assert "The tool returned: “simulated" in result.result, result
    sent = [exchange for exchange in exchanges if exchange.path.startswith("/v1/messages?")]
    assert sent[-1].blocks("thinking") or sent[-1].blocks("redacted_thinking"), sent[-1].body
    assert all("x-codex-proxy-reasoning-dropped" not in exchange.headers for exchange in sent)


@check("a tool of its own, whose name is longer than the backend takes")
async def own_tool():
    server = create_sdk_mcp_server("a-server-that-has-a-long-name", tools=[lookup])
    name = f"mcp__a-server-that-has-a-long-name__{LONG_NAME}"
    assert len(name) > 64
    more = {"mcp_servers": {"a-server-that-has-a-long-name": server}, "allowed_tools": [name], "tools": []}
    messages = await asked(ROOT_URL, f"Use {name} for Paris.", **more)
    blocks = [block for message in messages if isinstance(message, AssistantMessage) for block in message.content]
    assert [block.name for block in blocks if isinstance(block, ToolUseBlock)] == [name], blocks
    assert "code-4711" in result_of(messages).result


@check("two turns of one conversation")
async def conversation():
    async with ClaudeSDKClient(options(ROOT_URL)) as client:
        for _ in range(2):
            await client.query(scenario("plain"))
            assert_whole(result_of([message async for message in client.receive_response()]).result)


@check("structured output")
async def structured():
    format = {"type": "json_schema", "schema": CITY_SCHEMA}
    result = result_of(await asked(ROOT_URL, "Use StructuredOutput.", output_format=format))
    assert isinstance(result.structured_output["city"], str), result


@check("error: 429 of a used-up plan")
async def usage_limit():
    with relay.running(ROOT_URL) as (url, exchanges):
        try:
            said = str(await asked(url, scenario("rate_limit")))
        except Exception as error:  # noqa: BLE001 - the SDK tells of an error by a result, an exception, or both
            said = str(error)
    assert "usage limit" in said, said
    assert len([exchange for exchange in exchanges if exchange.status == 429]) == 1, exchanges


run()
