"""A client that draws in a terminal: its screen as lines of text, and keys for it.

* The screen knows the few sequences with which such clients draw: moves of the cursor, erasing, text. Colours are dropped.
* A client that asks for the cursor's place or the terminal's kind is answered, since it would wait for that.
"""

import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unicodedata

from command import end

ROWS, COLUMNS = 50, 120


class Screen:
    """What stands in each cell."""

    def __init__(self):
        self.cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.row = self.column = 0
        self.rest = ""

    def text(self):
        """The screen as text, without spaces at the ends of its lines."""
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def draw(self, printed):
        """Draws what a program printed; a sequence that is not whole yet waits for its rest."""
        self.rest += printed
        while self.rest and (match := TOKEN.match(self.rest)):
            self.rest = self.rest[match.end():]
            if match["csi"] is not None:
                self._obey(match["end"], [int(number or 0) for number in match["csi"].split(";")])
            elif match["text"]:
                self._put(match["text"])

    def _put(self, text):
        for character in text:
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self._move(self.row + 1, self.column)
            elif character == "\b":
                self._move(self.row, self.column - 1)
            elif unicodedata.category(character) not in ("Cc", "Mn", "Cf"):
                self.cells[self.row][self.column] = character
                wide = unicodedata.east_asian_width(character) in "WF"
                self._move(self.row, self.column + (2 if wide else 1))

    def _obey(self, command, numbers):
        count = max(numbers[0], 1)
        if command in "Hf":
            self._move(count - 1, max(numbers[1] if len(numbers) > 1 else 1, 1) - 1)
        elif command in MOVES:
            down, right = MOVES[command]
            self._move(self.row + down * count, self.column + right * count)
        elif command == "G":
            self._move(self.row, count - 1)
        elif command == "d":
            self._move(count - 1, self.column)
        elif command == "K":
            self._erase(self.row, numbers[0])
        elif command == "J":
            self._erase(self.row, numbers[0])
            below, above = range(self.row + 1, ROWS), range(self.row)
            for row in {0: below, 1: above}.get(numbers[0], [*above, *below]):
                self._erase(row, 2)

    def _erase(self, row, part):
        first, last = {0: (self.column, COLUMNS), 1: (0, self.column + 1)}.get(part, (0, COLUMNS))
        self.cells[row][first:last] = [" "] * (last - first)

    def _move(self, row, column):
        self.row, self.column = min(max(row, 0), ROWS - 1), min(max(column, 0), COLUMNS - 1)


class Terminal:
    """A program of the client's environment in a terminal, in the folders of a `Run`, to be used with `with`."""

    def __init__(self, run, program, *arguments, **variables):
        self.screen = Screen()
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**run.environment(variables), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [pathlib.Path(os.environ["PROGRAMS"]) / program, *arguments], cwd=run.folder, env=environment, stdin=theirs,
            stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        os.close(self.ours)

    def type(self, keys):
        """Types the keys, as a person's keyboard would send them."""
        os.write(self.ours, keys.encode())

    def until(self, pattern, limit=30):
        """Waits until the regular expression `pattern` stands on the screen; returns the match."""
        deadline = time.monotonic() + limit
        while not (match := re.search(pattern, self.screen.text())):
            assert time.monotonic() < deadline, f"no {pattern!r} on the screen: {self._said()}"
            self._read(0.2)
        return match

    def quiet(self, seconds=1.0):
        """Waits until nothing has been drawn for so long: what is typed then is not lost to a screen that changes."""
        while self._read(seconds):
            pass

    def _read(self, seconds):
        """Draws what comes within so many seconds; false if nothing does."""
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        try:
            printed = os.read(self.ours, 65536).decode(errors="replace")
        except OSError:
            raise AssertionError(f"the program ended: {self._said()}") from None
        for question, answer in ANSWERS.items():
            if question in printed:
                self.type(answer)
        self.screen.draw(printed)
        return True

    def _said(self):
        return " / ".join(line.strip() for line in self.screen.text().splitlines() if line.strip())[-300:]


MOVES = {"A": (-1, 0), "B": (1, 0), "C": (0, 1), "D": (0, -1)}
ANSWERS = {"\x1b[6n": "\x1b[1;1R", "\x1b[c": "\x1b[?1;2c"}
# A command with numbers alone; any other sequence, which draws nothing; or text up to the next one.
TOKEN = re.compile(
    r"\x1b\[(?P<csi>[\d;]*)(?P<end>[@-~])|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ\\`-~]|(?P<text>[^\x1b]+)")
