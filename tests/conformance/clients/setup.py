"""What `codex-proxy setup TOOL --write` and `codex-proxy run TOOL` promise: the client answers without any other step.

The client's home is empty before. Each client says how it is asked, and how its answer is read.
"""

import os
from urllib.parse import urlsplit

from checks import BASE_URL, assert_whole, check
from command import Run


def checks(tool, program, arguments, answer=lambda output: output.stdout, chosen=(), **variables):
    """Registers both checks of `program`, which is `tool` for the proxy and is asked with `arguments`.

    `chosen` stands before these where the settings are a choice of their own, as a profile is.
    """
    port = str(urlsplit(BASE_URL).port)
    binary = os.environ["BINARY"]

    @check("`codex-proxy setup --write`, and no other step")
    def set_up():
        this = Run()
        try:
            written = this.execute(binary, "setup", tool, "--write", "--port", port, keep=True)
            assert written.code == 0, written.tail()
            output = this.execute(program, *chosen, *arguments, keep=True, **variables)
            assert output.code == 0, output.tail()
            assert_whole(answer(output))
        finally:
            this.remove()

    @check("`codex-proxy run`")
    def started():
        path = f"{os.environ['PROGRAMS']}{os.pathsep}{os.environ['PATH']}"
        output = Run().execute(binary, "run", "--port", port, tool, *arguments, **{**variables, "PATH": path})
        assert output.code == 0, output.tail()
        assert_whole(answer(output))
