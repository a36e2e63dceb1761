"""Runs a client's script and collects what it reports; a check that is not reported has failed."""

import json
import os
import pathlib
import signal
import subprocess
import time
from dataclasses import dataclass

MODEL = "gpt-6.1-sol"

#: What a user message must hold for the simulator to play each scenario.
SCENARIOS = {
    "rate_limit": "[[simulate:http-usage-limit]]",
    "short_rate_limit": "[[simulate:http-too-many-requests]]",
    "failed_midway": "[[simulate:fail-after-output]]",
    "cut_midway": "[[simulate:cut-after-output]]",
    "endless": "[[simulate:end-without-terminal]]",
    "overloaded": "[[simulate:overloaded]]",
    "too_long": "[[simulate:http-context-length]]",
    "thinks_and_calls": "[[simulate:commented-call]]",
    "plain": "[[simulate:default]]",
    "text_alone": "[[simulate:several-messages]]",
    "two_citations": "[[simulate:web-search]]",
    "unfinished_images": "[[simulate:image-stream=2]]",
}


@dataclass(frozen=True)
class Result:
    """The outcome of one check of one client. `detail` says why it failed."""

    client: object
    check: str
    passed: bool
    seconds: float
    detail: str | None = None


def run(client, cache, base_url, scratch, binary):
    """Runs all checks of `client`, which must be installed, against the server at `base_url`, or `binary` on its own."""
    folder = pathlib.Path(scratch) / client.name
    folder.mkdir()
    started = time.monotonic()
    environment = {
        **os.environ,
        "BASE_URL": base_url,
        "BINARY": str(pathlib.Path(binary).resolve()),
        "MODEL": MODEL,
        "SCENARIOS": json.dumps(SCENARIOS),
        "PROGRAMS": str(client.environment.programs(cache)),
        "SCRATCH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    with open(folder / "stderr", "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            client.command(cache), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, text=True, errors="replace", start_new_session=True)
        try:
            printed, _ = process.communicate(timeout=client.limit)
            end = f"the script ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            end = f"the script did not end within {client.limit} s"
    said = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-400:].strip()
    return _results(client, printed, f"{end}; {said}", time.monotonic() - started)


def failed(client, check, reason, seconds=0.0):
    """The result of a client that did not get as far as its own checks."""
    return Result(client, check, False, seconds, reason)


def _results(client, printed, end, seconds):
    facts = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    plan = [name for fact in facts for name in fact.get("plan", [])]
    done = {
        fact["check"]: Result(client, fact["check"], fact["passed"], fact["seconds"], fact["detail"])
        for fact in facts
        if "check" in fact
    }
    if not plan:
        return [failed(client, "start", end, seconds)]
    return [done.get(name) or failed(client, name, end) for name in plan]
