"""Carries out the Dockerfile's last stage by hand, where no container engine is, and tries the image: python3 packaging/image.py PROGRAM

PROGRAM is built as the Dockerfile builds it; `just image` does both. The base's files come from the Debian packages that
distroless takes them from. The image runs in bubblewrap as compose.yaml runs it: read-only, as its own user and process 1,
without capabilities, in the network of this machine.

Needs bubblewrap, dpkg and apt-get, on the release of Debian that the Dockerfile names.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import check
from check import require

# https://github.com/GoogleContainerTools/distroless/blob/main/cc/README.md, and the authorities of its base.
BASE = ["libc6", "libgcc-s1", "libstdc++6", "ca-certificates"]
KEY = "a-key-of-the-image"
ADMIN_KEY = "an-admin-key-of-the-image"
PATIENCE = 20


def instructions(dockerfile):
    """The instructions of the last stage, each a word and its text."""
    text = re.sub(r"\\\n\s*", "", "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    last = max(number for number, (word, _) in enumerate(lines) if word == "FROM")
    return lines[last:]


def base(root):
    """Unpacks the base's packages."""
    with tempfile.TemporaryDirectory() as place:
        check.run("apt-get", "download", "-q", *BASE, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for package in pathlib.Path(place).iterdir():
            check.run("dpkg-deb", "--extract", package, root)
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(file.read_bytes() for file in authorities))
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n")
    (root / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
    for folder in ["dev", "proc", "tmp"]:
        (root / folder).mkdir(exist_ok=True)


class Image:
    """The image's files, and what the Dockerfile says of how it runs."""

    def __init__(self, program, place):
        self.root, self.data = place / "root", place / "data"
        self.root.mkdir()
        stage = instructions((check.ROOT / "Dockerfile").read_text())
        base(self.root)
        # What the build stage installs below /image.
        installed = self.root / "usr/local/bin/codex-proxy"
        installed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(program, installed)
        self.data.mkdir(mode=0o700)
        (self.root / "data").mkdir()
        told = {word: text for word, text in stage if word != "ENV"}
        require(told["VOLUME"] == "/data", "the volume is not /data")
        self.environment = dict(word.split("=", 1) for word, text in stage if word == "ENV" for word in shlex.split(text))
        self.user = told["USER"].split(":")
        self.entry, self.command = json.loads(told["ENTRYPOINT"]), json.loads(told["CMD"])
        self.health = json.loads(told["HEALTHCHECK"].split(" CMD ", 1)[1])

    def bubble(self, command, environment):
        user, group = self.user
        variables = {**self.environment, **environment}
        return [
            "bwrap", "--ro-bind", self.root, "/", "--bind", self.data, "/data", "--dev", "/dev", "--proc", "/proc",
            "--unshare-user", "--uid", user, "--gid", group, "--unshare-pid", "--as-pid-1", "--cap-drop", "ALL",
            "--die-with-parent", "--clearenv", *(word for pair in variables.items() for word in ("--setenv", *pair)),
            "--", *command,
        ]

    def run(self, *arguments, **environment):
        command = self.bubble([*self.entry, *(arguments or self.command)], environment)
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    @contextlib.contextmanager
    def serving(self, *arguments, **environment):
        """Runs the image until it is healthy; at the end SIGTERM has to end it with code 0."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {"CODEX_PROXY_PORT": str(port), "CODEX_PROXY_API_KEY": KEY, **environment}
        process = subprocess.Popen(
            self.bubble([*self.entry, *(arguments or self.command)], environment), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + PATIENCE
            while subprocess.run(self.bubble(self.health, environment), capture_output=True).returncode:
                require(time.monotonic() < deadline and process.poll() is None, "the image does not become healthy")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
            # bubblewrap waits for process 1, which is its child.
            inner = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
            os.kill(int(inner), signal.SIGTERM)
            require(process.wait(PATIENCE) == 0, f"SIGTERM ends the image with {process.returncode}")
        finally:
            process.kill()
            process.wait()


def ask(url, key, body=None):
    """The status and the text of an answer."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def attempt(image):
    version = image.run("--version")
    require(version.returncode == 0, f"the program does not start: {version.stderr}")
    shells = [name for name in ["sh", "bash", "dash", "busybox"] for _ in image.root.rglob(f"bin/{name}")]
    require(not shells, f"there is a shell: {shells}")
    closed = image.run(CODEX_PROXY_PORT="0")
    require(closed.returncode == 1 and "key" in closed.stderr, f"without a key it serves to everybody: {closed}")

    chat = {"messages": [{"role": "user", "content": "Hello!"}]}
    with image.serving("demo") as url:
        require(ask(f"{url}/v1/chat/completions", "another", chat)[0] == 401, "another key opens it")
        status, answer = ask(f"{url}/v1/chat/completions", KEY, chat)
        require(status == 200 and '"finish_reason":"stop"' in answer, f"the demo answers {status}: {answer}")

    login = {"accessToken": "an-access-token", "refreshToken": "a-refresh-token", "expiresAt": 4102444800000, "accountID": "a"}
    with image.serving(ADMIN_API_KEY=ADMIN_KEY) as url:
        status, answer = ask(f"{url}/admin/credentials", ADMIN_KEY, login)
        require(status == 200, f"the login is refused: {status} {answer}")
    stored = image.data / "config/codex-proxy/auth.json"
    require(stored.stat().st_mode & 0o777 == 0o600, "others can read the login")
    require("a-refresh-token" in stored.read_text(), "the login is not in its file")
    with image.serving(ADMIN_API_KEY=ADMIN_KEY) as url:
        status, answer = ask(f"{url}/admin/credentials/status", ADMIN_KEY)
        require(status == 200 and json.loads(answer)["hasCredentials"], f"the login is gone: {answer}")
    files = sorted(str(path.relative_to(image.data)) for path in image.data.rglob("*") if path.is_file())
    print(f"the image serves, keeps its login and ends; in /data are {', '.join(files)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        attempt(Image(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder)))
