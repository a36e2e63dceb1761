"""The Codex CLI and the proxy on one `auth.json` (`--creds-store legacy`), both renewing its login at the same time.

The issuer is a slow one of our own. Whoever is refused because the other was faster may have to try again; but a login that
no program can use any more, because a token was given and not stored, is lost for good, and must not happen.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

os.environ.setdefault("CHECK_LIMIT_SECONDS", "140")

from checks import MODEL, check, run  # noqa: E402 - it reads the variable above
from command import Run  # noqa: E402
from issuer import Issuer, serving  # noqa: E402

CONFIG = """
model = "{model}"
model_provider = "local"
chatgpt_base_url = "{url}/backend-api/"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.local]
name = "local"
base_url = "{url}/backend-api/codex"
wire_api = "responses"
requires_openai_auth = true
supports_websockets = false
request_max_retries = 0
stream_max_retries = 0
"""


@check("20 renewals at the same time, with an issuer that takes up to 8 s: no login is lost")
def renewed_at_once():
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        issuers = list(pool.map(_round, range(ROUNDS)))
    races = sum(len(set(issuer.asked)) > 1 for issuer in issuers)
    assert races >= ROUNDS // 4, f"only {races} of {ROUNDS} rounds were a race"


def _round(number):
    """One login, and both programs on it."""
    chance = random.Random(number)
    issuer = Issuer(number, SLOWEST_SECONDS[number % len(SLOWEST_SECONDS)])
    home = pathlib.Path(tempfile.mkdtemp(dir=os.environ["SCRATCH"]))
    login = home / "auth.json"
    login.touch(mode=0o600)
    login.write_text(json.dumps(issuer.login()))
    with serving(issuer) as url, concurrent.futures.ThreadPoolExecutor(1) as beside:
        (home / "config.toml").write_text(CONFIG.format(model=MODEL, url=url))
        ahead = chance.uniform(-0.4, 0.8)
        first = beside.submit(_codex, home, url, max(0.0, -ahead))
        time.sleep(max(0.0, ahead))
        with _proxy(home, url) as base:
            first = first.result()
            _until(lambda: issuer.is_fresh(_token(login)), f"round {number}: the login is lost; {_story(issuer, first)}")
            again = _codex(home, url)
            assert again.code == 0, f"round {number}: Codex has no login; {_story(issuer, first)}; {again.tail()}"
            _until(lambda: _chat(base) == 200, f"round {number}: the proxy has no login; {_story(issuer, first)}")
    assert issuer.is_fresh(_token(login)), f"round {number}: the login is lost in the end; {_story(issuer, first)}"
    return issuer


def _codex(home, url, after=0.0):
    time.sleep(after)
    return Run().execute(
        "codex", "exec", "--json", "--skip-git-repo-check", "Hello!", limit=60, CODEX_HOME=home,
        CODEX_REFRESH_TOKEN_URL_OVERRIDE=f"{url}/oauth/token")


@contextlib.contextmanager
def _proxy(home, url):
    """The proxy on the login of `home`; yields its base URL."""
    command = [os.environ["BINARY"], "--creds-store", "legacy", "--creds-path", home / "auth.json", "--port", "0",
               "--upstream-url", f"{url}/backend-api/codex", "--auth-url", url]
    variables = {"HOME": str(home), "CODEX_HOME": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}
    with open(home / "proxy.log", "wb") as log:
        process = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        first = process.stdout.readline()
        address = re.match(r"listening on (http://\S+)", first)
        assert address, f"the proxy did not start: {(home / 'proxy.log').read_text()[-300:]}"
        yield address.group(1)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _chat(base):
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]}).encode()
    request = urllib.request.Request(
        f"{base}/v1/chat/completions", data=body, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def _token(login):
    return json.loads(login.read_text())["tokens"]["refresh_token"]


def _until(condition, otherwise):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


def _story(issuer, first):
    return f"asked by {issuer.asked}, {issuer.refused} refused; Codex ended with {first.code}"


ROUNDS = 20
PARALLEL = 5
SLOWEST_SECONDS = (0, 0.5, 2, 8)

run()
