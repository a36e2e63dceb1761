"""The Codex CLI with the proxy in the backend's place, as docs/codex.md has it: the base URL below `/backend-api/codex`."""

import base64
import json
import threading
import time
import urllib.request

from checks import MODEL, ROOT_URL, assert_whole, check, requests, run
from command import Run
from terminal import Terminal

COMMON = """
model = "{model}"
check_for_update_on_startup = false
suppress_unstable_features_warning = true

[analytics]
enabled = false
"""

# With a key, through the provider that the CLI has built in.
WITH_KEY = f"""
openai_base_url = "{ROOT_URL}/backend-api/codex"
{COMMON}
"""

# With a ChatGPT login of the CLI's own, which goes no further than the proxy.
WITH_LOGIN = f"""
model_provider = "codex-proxy"
chatgpt_base_url = "{ROOT_URL}/backend-api"
{COMMON}
[model_providers.codex-proxy]
name = "codex-proxy"
base_url = "{ROOT_URL}/backend-api/codex"
wire_api = "responses"
requires_openai_auth = true
supports_websockets = false

[features]
apps = false
plugins = false
"""

SEARCHING = """
[features]
standalone_web_search = true
"""

# A name of a living model that the client has no entry for: it offers such a model the tools themselves.
PLAIN_TOOLS = "gpt-6-1-sol"
# The page of the plan's usage, as the proxy counts requests for it.
USAGE = 'route="/backend-api/wham/usage",status="200"'
ACCOUNT = "51a0a7ed-0000-4000-8000-0000000000bb"


@check("the built-in provider with openai_base_url and a key: text")
def with_key():
    output = _codex(WITH_KEY, KEY, "Hello!")
    assert output.code == 0, output.tail()
    assert_whole(_message(output))


@check("the built-in provider: the client's own search")
def search():
    output = _codex(WITH_KEY + SEARCHING, KEY, "Please use run for the web.", PLAIN_TOOLS)
    assert output.code == 0, output.tail()
    searches = [item for item in _items(output) if item["type"] == "web_search"]
    assert searches and "Simulated results" in _message(output), output.tail()


@check("a ChatGPT login of its own: text, and the account's list of models, without a line of error")
def with_login():
    this = _prepared(WITH_LOGIN, _login())
    output = _run(this, "Hello!", keep=True)
    try:
        assert output.code == 0, output.tail()
        assert_whole(_message(output))
        listed = json.loads((this.home / "models_cache.json").read_text())
    finally:
        this.remove()
    assert MODEL in [model["slug"] for model in listed["models"]], listed
    assert not [item for item in _items(output) if item["type"] == "error"], output.stdout
    assert " ERROR " not in output.stderr, output.stderr


@check("a ChatGPT login of its own: the client makes an image")
def image():
    this = _prepared(WITH_LOGIN, _login(), PLAIN_TOOLS)
    output = _run(this, "Please use imagegen.", keep=True)
    try:
        assert output.code == 0, output.tail()
        images = [file.read_bytes() for file in this.home.glob("generated_images/**/*.png")]
    finally:
        this.remove()
    assert [image[:8] for image in images] == [b"\x89PNG\r\n\x1a\n"], f"{len(images)} images; {output.tail()}"


@check("a ChatGPT login of its own: `/status` shows the plan's limits, and a turn in the terminal", limit=90)
def status():
    this = _prepared(WITH_LOGIN.replace("supports_websockets = false", "supports_websockets = true"), _login())
    this.write("home/config.toml", f"""{(this.home / "config.toml").read_text()}
[projects."{this.folder}"]
trust_level = "trusted"
""")
    asked = requests(USAGE)
    try:
        with WeeklyUsage() as usage, Terminal(this, "codex", "--no-daemon", CODEX_HOME=this.home) as terminal:
            _say(terminal, "/status")
            left = terminal.until(r"Weekly limit: .* (\d+)% left \(resets ")[1]
            _say(terminal, "Hello!")
            terminal.until("À bientôt")
    finally:
        this.remove()
    assert requests(USAGE) > asked, "the proxy was not asked for the plan's usage"
    assert 100 - int(left) in usage.seen, (left, usage.seen)


class WeeklyUsage:
    """What the proxy tells of the week's window, all the time: the checks beside this one use up the plan now and then."""

    def __init__(self):
        self.seen = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _read(self):
        while not self._end.wait(0.02):
            with urllib.request.urlopen(f"{ROOT_URL}/wham/usage") as answer:
                self.seen.add(json.load(answer)["rate_limit"]["primary_window"]["used_percent"])


def _say(terminal, text):
    """Types a line where the client asks for one; a line that is sent at once would be taken for a paste."""
    terminal.until("Ask Codex to do anything")
    terminal.quiet()
    terminal.type(text)
    terminal.quiet()
    terminal.type("\r")


def _codex(config, login, prompt, model=MODEL):
    return _run(_prepared(config, login, model), prompt)


def _prepared(config, login, model=MODEL):
    this = Run()
    this.write("home/config.toml", config.replace("{model}", model))
    this.write("home/auth.json", login).chmod(0o600)
    return this


def _run(this, prompt, keep=False):
    return this.execute(
        "codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt,
        keep=keep, CODEX_HOME=this.home)


def _items(output):
    return [event["item"] for event in output.events() if event["type"] == "item.completed"]


def _message(output):
    messages = [item["text"] for item in _items(output) if item["type"] == "agent_message"]
    assert messages, output.tail()
    return messages[-1]


def _login():
    """A login as `codex login` leaves it, for an account that does not exist."""
    person = {"chatgpt_account_id": ACCOUNT, "chatgpt_user_id": "user-home", "chatgpt_plan_type": "plus"}
    claims = {"exp": int(time.time()) + 864_000, "email": "home@example.com", "https://api.openai.com/auth": person}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
             for part in ({"alg": "none", "typ": "JWT"}, claims)]
    token = ".".join([*parts, "c2ln"])
    tokens = {"id_token": token, "access_token": token, "refresh_token": "none", "account_id": ACCOUNT}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": now}


KEY = {"auth_mode": "apikey", "OPENAI_API_KEY": "any"}

run()
