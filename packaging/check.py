"""Checks everything that a user installs by: python3 packaging/check.py PROGRAM

* The Dockerfile, the compose file and the installation script against their linters.
* The installation script against a release of PROGRAM's own, and against one that somebody has changed.
* systemd's units as `service install` writes them: their syntax, and how much is forbidden to the service.
* launchd's agent and Windows' task as the snapshots of the tests have them; the formula's and the pages' syntax.

What needs a tool that is not here (ruby, groff, systemd-analyze) says so; in CI that is an error but for ruby.
"""

import hashlib
import os
import pathlib
import plistlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SNAPSHOTS = ROOT / "tests/cli/snapshots"
# Tenths of systemd's exposure: at most 2.5 of 10.
MOST_EXPOSED = 25
# The elements of a task's settings in the order of the schema
# (https://learn.microsoft.com/windows/win32/taskschd/taskschedulerschema-settingstype-complextype is an `all`; the parts of a
# task are a sequence).
TASK_PARTS = ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"]
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def require(condition, text):
    if not condition:
        sys.exit(f"packages: {text}")


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def has(tool, is_optional=False):
    if shutil.which(tool):
        return True
    require(is_optional or not os.environ.get("CI"), f"{tool} is missing")
    print(f"packages: not checked without {tool}")
    return False


def snapshot(name):
    """The text of a snapshot, behind its head."""
    return (SNAPSHOTS / f"{name}.snap").read_text(encoding="utf-8").split("---\n", 2)[2]


def linters():
    run("shellcheck", ROOT / "packaging/install.sh")
    run("hadolint", ROOT / "Dockerfile")
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")


def manual(folder):
    """Writes the manual pages into `folder`."""
    run("cargo", "run", "--locked", "--quiet", "--example", "manual", "--", folder, cwd=ROOT)


def release(program, folder):
    """Makes a release of `program` in `folder`, for this machine."""
    machine = {"arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
    system = {"Darwin": "macos"}.get(os.uname().sysname, "linux")
    stem = f"codex-proxy-{system}-{machine}"
    inside = folder / stem
    (inside / "completions").mkdir(parents=True)
    shutil.copy2(program, inside / "codex-proxy")
    manual(inside / "man")
    for shell, name in {"bash": "codex-proxy", "zsh": "_codex-proxy", "fish": "codex-proxy.fish"}.items():
        script = run(program, "completions", shell, stdout=subprocess.PIPE).stdout
        (inside / "completions" / name).write_bytes(script)
    archive = folder / f"{stem}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(inside, stem)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n")
    return archive


def install(folder, prefix, *arguments):
    variables = os.environ | {"BASE_URL": folder.as_uri(), "PREFIX": str(prefix)}
    script = ["sh", ROOT / "packaging/install.sh", *arguments]
    return subprocess.run([str(word) for word in script], env=variables, capture_output=True, text=True)


def installer(program):
    with tempfile.TemporaryDirectory() as place:
        folder, prefix = pathlib.Path(place) / "release", pathlib.Path(place) / "prefix"
        archive = release(program, folder)
        for _ in range(2):
            done = install(folder, prefix)
            require(done.returncode == 0, f"install.sh fails: {done.stderr}")
        files = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
        for name in ["bin/codex-proxy", "share/man/man1/codex-proxy.1", "share/zsh/site-functions/_codex-proxy"]:
            require(name in files, f"install.sh leaves no {name}, but {sorted(files)}")
        require(run(prefix / "bin/codex-proxy", "--version", stdout=subprocess.PIPE).stdout.startswith(b"codex-proxy "), "no version")
        require(install(folder, prefix, "--removed").returncode == 1, "an unknown argument is ignored")
        require(install(folder, prefix, "--remove").returncode == 0, "install.sh removes nothing")
        left = [str(path) for path in prefix.rglob("*") if path.is_file()]
        require(not left, f"install.sh --remove leaves {left}")
        archive.write_bytes(archive.read_bytes() + b"\0")
        shutil.rmtree(prefix)
        done = install(folder, prefix)
        require(done.returncode == 1 and "nothing was installed" in done.stderr, f"a changed archive is taken: {done}")
        require(not prefix.exists(), "something of a changed archive was installed")


def units(program):
    if not sys.platform.startswith("linux") or not has("systemd-analyze"):
        return
    with tempfile.TemporaryDirectory() as home:
        variables = {"HOME": home, "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": home}
        run(program, "service", "install", "--socket", env=variables, stdout=subprocess.DEVNULL)
        folder = pathlib.Path(home) / ".config/systemd/user"
        service = folder / "codex-proxy.service"
        # Where users may have no namespaces, the unit goes without; the one with them is checked in any case.
        if "PrivateUsers" not in service.read_text():
            text = snapshot("service.systemd-activated")
            service.write_text(re.sub(r"(?m)^ExecStart=.*", f"ExecStart={program} serve", text))
        # It writes what is wrong and succeeds all the same. Manual pages are not where a build is.
        call = ["systemd-analyze", "verify", "--man=no", service, folder / "codex-proxy.socket"]
        done = subprocess.run([str(word) for word in call], env=variables, capture_output=True, text=True)
        wrong = [line for line in done.stderr.splitlines() if "codex-proxy" in line]
        require(done.returncode == 0 and not wrong, f"systemd finds: {done.stderr}")
        run("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}", service,
            env=variables, stdout=subprocess.DEVNULL)


def other_systems():
    agent = plistlib.loads(snapshot("service.launchd").encode())
    require(agent["ProgramArguments"][1] == "serve" and agent["RunAtLoad"] is True, f"the agent is {agent}")
    text = snapshot("service.task").replace('encoding="UTF-16"', 'encoding="UTF-8"')
    task = xml.etree.ElementTree.fromstring(text.encode())
    require([part.tag for part in task] == [TASK + name for name in TASK_PARTS], "the task's parts are out of order")
    require(task.find(f"{TASK}Actions/{TASK}Exec/{TASK}Command").text == "conhost.exe", "the task starts nothing")


def formula():
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "codex-proxy.rb"
        text = (ROOT / "packaging/codex-proxy.rb").read_text()
        require(text.count("SHA256_") == 3, "the formula has to have a sum for each archive but that of Windows")
        path.write_text(text)
        if has("ruby", is_optional=True):
            run("ruby", "-c", path, stdout=subprocess.DEVNULL)


def pages():
    if not has("groff"):
        return
    with tempfile.TemporaryDirectory() as folder:
        manual(folder)
        names = {page.name for page in pathlib.Path(folder).iterdir()}
        require({"codex-proxy.1", "codex-proxy-login.1", "codex-proxy-service.1"} <= names, f"pages: {sorted(names)}")
        for page in sorted(pathlib.Path(folder).iterdir()):
            # An unknown request or a font that is not there; a line that does not break well is none.
            done = run("groff", "-man", "-Tutf8", "-wmac", "-wfont", "-z", page, capture_output=True)
            require(not done.stderr, f"{page.name}: {done.stderr.decode()}")


def main(program):
    linters()
    installer(program)
    units(program)
    other_systems()
    formula()
    pages()
    print("packages: everything passed")


if __name__ == "__main__":
    require(len(sys.argv) == 2, __doc__)
    main(pathlib.Path(sys.argv[1]).resolve())
