"""Walks a new user's first minute in an empty Debian, each step timed: python3 packaging/walk.py PROGRAM ROOT

Installs a release of PROGRAM, asks the demo, sets up OpenCode and Claude Code and has them answered, installs the service,
starts the machine anew, and uninstalls everything. Fails if a step fails, if all of them take more than a minute, or if
anything is left at the end.

ROOT is an empty system with curl and the two clients, made as root by:

    debootstrap --variant=minbase --include=ca-certificates,curl,systemd,dbus,dbus-user-session,libpam-systemd bookworm ROOT
    npm install --global --prefix ROOT/usr/local --allow-scripts=@anthropic-ai/claude-code,opencode-ai \
        opencode-ai @anthropic-ai/claude-code

It runs as a container of systemd-nspawn (Debian's systemd-container) in the network of this machine: the ports 9879 and 9880
have to be free.
"""

import contextlib
import functools
import http.server
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import check

USER = "ann"
MOST_SECONDS = 60
# A start of the machine, and what waits for it.
BOOT_SECONDS = 60
# The errands of the clients' own, which a machine without the internet would wait for.
QUIET = " ".join([
    *(f"OPENCODE_DISABLE_{switch}=1" for switch in ["AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS"]),
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1",
])
# The clients write these for themselves, whoever they talk to.
CLIENTS_OWN = re.compile(r"\.claude|\.npm|\.cache/(?!codex-proxy)|\.local/(share|state)/opencode|\.config/opencode/(?!opencode\.jsonc?$)")


class Machine:
    """An empty system, booted as a container."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.process = None

    def boot(self):
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "-D", self.root, "--boot"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.until("systemctl is-system-running --wait || true", user="root")

    def halt(self):
        self.run("systemctl poweroff", user="root", check=False)
        self.process.wait(BOOT_SECONDS)

    def leader(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children[0] if children else None

    def run(self, script, user=USER, check=True, timeout=BOOT_SECONDS):
        """Runs a script as a login of `user`, as one types it."""
        leader = self.leader()
        if leader is None:
            return subprocess.CompletedProcess([], 1, "", "the machine is off")
        shell = ["nsenter", "--target", leader, "--mount", "--uts", "--ipc", "--pid", "--root", "--wd=/", "su", "-", user, "-c", script]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            sys.exit(f"walk: `{script}` ends with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def until(self, script, user=USER):
        deadline = time.monotonic() + BOOT_SECONDS
        while (done := self.run(script, user, check=False)).returncode:
            if time.monotonic() > deadline:
                sys.exit(f"walk: `{script}` never succeeds: {done.stdout}{done.stderr}")
            time.sleep(0.1)
        return done

    def files(self):
        home = self.root / "home" / USER
        names = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_symlink() or not path.is_dir()}
        return {name for name in names if not CLIENTS_OWN.match(name)}


class Steps:
    """The steps and the time that each takes."""

    def __init__(self):
        self.taken = {}

    @contextlib.contextmanager
    def step(self, name):
        begun = time.monotonic()
        yield
        self.taken[name] = time.monotonic() - begun
        print(f"{name:<58} {self.taken[name]:5.1f} s", flush=True)

    def finish(self):
        whole = sum(self.taken.values())
        print(f"{'in all':<58} {whole:5.1f} s of {MOST_SECONDS}")
        check.require(whole <= MOST_SECONDS, "the walk takes too long")


@contextlib.contextmanager
def release(program):
    """Serves a release of `program`; yields its address."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "release"
        check.release(program, folder)
        shutil.copy2(check.ROOT / "packaging/install.sh", folder)
        handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def says(done, text):
    check.require(text in done.stdout, f"`{text}` is not in: {done.stdout}{done.stderr}")


def walk(machine, url):
    steps = Steps()
    before = machine.files()
    with steps.step("install the release"):
        machine.run(f"curl -fsSL {url}/install.sh | BASE_URL={url} sh")
    with steps.step("start the demo"):
        machine.run("nohup codex-proxy demo > /tmp/demo.log 2>&1 & echo $! > /tmp/demo.pid")
        machine.until("codex-proxy health")
    with steps.step("the first answer, by curl"):
        answer = machine.run(
            "curl -fsS http://localhost:9879/v1/chat/completions -H 'Content-Type: application/json'"
            """ -d '{"messages": [{"role": "user", "content": "Hello!"}]}'""")
        says(answer, '"finish_reason":"stop"')
    with steps.step("set up OpenCode"):
        machine.run("codex-proxy setup opencode --write")
    with steps.step("OpenCode answers"):
        done = machine.run(f"cd && {QUIET} opencode run 'Say hello'")
        check.require(done.stdout.strip(), f"OpenCode says nothing: {done.stderr}")
    with steps.step("set up Claude Code"):
        machine.run("codex-proxy setup claude-code --write")
    with steps.step("Claude Code answers"):
        done = machine.run(f"cd && {QUIET} claude -p 'Say hello'")
        check.require(done.stdout.strip(), f"Claude Code says nothing: {done.stderr}")
    answered = machine.run("cat /tmp/demo.log").stdout
    check.require("POST /v1/messages" in answered and answered.count("200 POST /v1/") >= 3, f"the demo answered only {answered}")
    machine.run("kill $(cat /tmp/demo.pid); rm -f /tmp/demo.*")
    with steps.step("install and start the service"):
        machine.run("codex-proxy service install --port 9880")
        machine.run("systemctl --user enable --now codex-proxy.service")
        machine.run(f"loginctl enable-linger {USER}", user="root")
        machine.until("codex-proxy health --port 9880")
    with steps.step("the service is back after a restart of the machine"):
        machine.halt()
        machine.boot()
        machine.until("codex-proxy health --port 9880")
        says(machine.run("codex-proxy service status", check=False), "active")
    with steps.step("uninstall"):
        machine.run("codex-proxy service uninstall")
        machine.run("codex-proxy setup opencode --remove && codex-proxy setup claude-code --remove")
        machine.run(f"curl -fsSL {url}/install.sh | sh -s -- --remove && rm -rf {OWN}")
    steps.finish()
    left = machine.files() - before
    check.require(not left, f"uninstalling leaves {sorted(left)}")


# What holds the login, the configuration, the list of models and the ledger: docs/deployment.md.
OWN = "~/.config/codex-proxy ~/.cache/codex-proxy ~/.local/state/codex-proxy"


def main(program, root):
    machine = Machine(root)
    shutil.rmtree(machine.root / "home" / USER, ignore_errors=True)
    machine.boot()
    try:
        machine.run(f"id {USER} >/dev/null 2>&1 && userdel {USER}; useradd --create-home --shell /bin/bash {USER}", user="root")
        machine.run("mkdir -p ~/.local/bin")
        # Any installed system has these; debootstrap leaves them to the installer.
        machine.run("grep -qs localhost /etc/hosts || echo '127.0.0.1 localhost' >> /etc/hosts", user="root")
        with release(program) as url:
            walk(machine, url)
    finally:
        machine.halt()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
