"""What `codex-proxy setup` and `codex-proxy run` promise: the client answers without any other step.

* The client's home is empty before. Each client says how it is asked, and how its answer is read.
* A program that `setup` shows is run as it stands.
"""

import os
import re
import sys
from urllib.parse import urlsplit

from checks import BASE_URL, assert_whole, check
from command import Run

BINARY = os.environ["BINARY"]
PORT = str(urlsplit(BASE_URL).port)


def written(tool, program, arguments, answer=lambda output: output.stdout, chosen=(), **variables):
    """Registers the check of `program`, which is `tool` for the proxy, with its settings written.

    `chosen` stands before the arguments where the settings are a choice of their own, as a profile is.
    """

    @check("`codex-proxy setup --write`, and no other step")
    def set_up():
        this = Run()
        try:
            wrote = this.execute(BINARY, "setup", tool, "--write", "--port", PORT, keep=True)
            assert wrote.code == 0, wrote.tail()
            output = this.execute(program, *chosen, *arguments, keep=True, **variables)
            assert output.code == 0, output.tail()
            assert_whole(answer(output))
        finally:
            this.remove()


def started(tool, arguments, answer=lambda output: output.stdout, **variables):
    """Registers the check of `tool`, started by the proxy's program and asked with `arguments`."""

    @check("`codex-proxy run`")
    def run():
        path = f"{os.environ['PROGRAMS']}{os.pathsep}{os.environ['PATH']}"
        output = Run().execute(BINARY, "run", "--port", PORT, tool, *arguments, **{**variables, "PATH": path})
        assert output.code == 0, output.tail()
        assert_whole(answer(output))


def shown(tool, package, **variables):
    """Registers the check of the Python program for `package` that is shown for `tool`."""

    @check(f"the program of `codex-proxy setup {tool}`, as it stands")
    def program():
        this = Run()
        try:
            output = this.execute(BINARY, "setup", tool, "--port", PORT, keep=True)
            parts = re.split(r"\n\n(?=# )", output.stdout)
            [code] = [part.split("\n", 1)[1] for part in parts if re.match(rf"# hello\.py, after .*\b{package}\b", part)]
            this.write("folder/hello.py", code)
            arguments = ("run", "--port", PORT, "env", sys.executable, "hello.py")
            output = this.execute(BINARY, *arguments, keep=True, **variables)
            assert output.code == 0, output.tail()
            assert_whole(output.stdout)
        finally:
            this.remove()
