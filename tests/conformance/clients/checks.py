"""What every check written in Python shares: registering checks, running them, telling the driver.

* A script registers its checks with `@check("what was run")` and ends with `run()`.
* One line of JSON a fact goes to the standard output: first the names of all checks, then each result.
  Whatever a client prints itself must go elsewhere, so `run` points the standard output at the error output meanwhile.
* A check passes when it returns; an exception, an assertion or the end of its time fails it.
"""

import asyncio
import inspect
import json
import os
import re
import signal
import sys
import time
import traceback
import urllib.request

BASE_URL = os.environ["BASE_URL"]
# Where Anthropic's clients add `/v1` themselves.
ROOT_URL = BASE_URL.removesuffix("/v1")
MODEL = os.environ["MODEL"]
SCENARIOS = json.loads(os.environ["SCENARIOS"])

CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "The city to look up"}},
    "required": ["city"],
    "additionalProperties": False,
}

_checks = []


def check(name, limit=None):
    """Registers a function, plain or async, as the check called `name`, which may take `limit` seconds."""

    def register(function):
        _checks.append((name, function, limit or CHECK_LIMIT_SECONDS))
        return function

    return register


def scenario(name, text="Say a few words."):
    """A user message that makes the simulator play the scenario `name`."""
    return f"{SCENARIOS[name]} {text}"


def requests(labels):
    """How many requests with these labels the proxy has answered."""
    with urllib.request.urlopen(f"{ROOT_URL}/metrics") as answer:
        found = re.search(rf"^codex_proxy_requests_total{{{re.escape(labels)}}} (\d+)$", answer.read().decode(), re.M)
    return int(found[1]) if found else 0


def assert_whole(text):
    """Fails unless `text` holds an answer of the simulator from its first word to its last emoji."""
    assert isinstance(text, str), f"not a text: {text!r}"
    start, end = text.find(FIRST_WORDS), text.rfind(LAST_WORDS)
    assert 0 <= start < end, f"not a whole answer of the simulator: {text!r}"


def assert_raises(kind, action):
    """Runs `action`, which must raise a `kind` (or one of several); returns the exception."""
    try:
        result = action()
    except kind as error:
        return error
    raise AssertionError(f"no {_name(kind)} was raised; the result was {result!r}")


async def assert_raises_async(kind, awaitable):
    """Awaits `awaitable`, which must raise a `kind`; returns the exception."""
    try:
        result = await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {_name(kind)} was raised; the result was {result!r}")


def run():
    """Runs every registered check and reports each; returns only when all are done."""
    report = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout.flush()
    print(json.dumps({"plan": [name for name, _, _ in _checks]}), file=report)
    signal.signal(signal.SIGALRM, _out_of_time)
    for name, function, limit in _checks:
        started = time.monotonic()
        detail = _outcome(function, limit)
        seconds = round(time.monotonic() - started, 2)
        print(json.dumps({"check": name, "passed": detail is None, "detail": detail, "seconds": seconds}), file=report)


def _outcome(function, limit):
    signal.alarm(limit)
    try:
        result = function()
        if inspect.isawaitable(result):
            asyncio.run(_await(result))
    except BaseException as error:  # noqa: BLE001 - a check may fail in any way, and the next one still runs
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error)[:DETAIL_LIMIT] or where.line
        return f"{type(error).__name__}: {said} ({os.path.basename(where.filename)}:{where.lineno})"
    finally:
        signal.alarm(0)
    return None


def _name(kind):
    return " or ".join(one.__name__ for one in kind) if isinstance(kind, tuple) else kind.__name__


async def _await(awaitable):
    return await awaitable


def _out_of_time(*_):
    raise TimeoutError("not done within its time")


FIRST_WORDS = "This is a simulation: no model was asked. 🎭"
LAST_WORDS = "À bientôt 👋🏽"
DETAIL_LIMIT = 400
CHECK_LIMIT_SECONDS = int(os.environ.get("CHECK_LIMIT_SECONDS", "45"))
