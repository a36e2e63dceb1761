"""Sums up an lcov report, and fails where a share is below its bound: coverage.py REPORT MISSING

Counted are the lines of src/ and crates/wire/src/ that hold code. Not counted is the tests' own code, which always runs and would only
raise the figures: what follows `#[cfg(test)] mod tests {`, which is the last of its file, and the files named tests.rs
or in a folder named tests. Code for other systems is not compiled here and so not counted either. Functions that only
the compiler runs, to fill a constant, count as never reached.

MISSING becomes a list of the lines that no test reaches.
"""

import pathlib
import re
import sys

WIRE = "crates/wire/src/"
BOUNDS = {"src/": 95.0, "src/backend/": 97.0, "src/dialect/": 97.0, "src/credentials/": 97.0, WIRE: 97.0}
ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = re.compile(r"^#\[cfg\(test\)\]\nmod tests \{$", re.MULTILINE)


def reports(path):
    """Each file's line numbers and how often they ran. A file reported more than once is one file."""
    files, lines = {}, None
    for record in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = record.partition(":")
        if name == "SF":
            lines = files.setdefault(pathlib.Path(value), {})
        elif name == "DA":
            number, count = value.split(",")[:2]
            lines[int(number)] = max(lines.get(int(number), 0), int(count))
    return files


def product_lines(file, lines):
    """Those of the lines that are not the tests' own."""
    text = (ROOT / file).read_text(encoding="utf-8")
    tests = TESTS.search(text)
    end = text.count("\n", 0, tests.start()) if tests else len(text)
    return {number: count for number, count in lines.items() if number <= end}


def ranges(numbers):
    """Line numbers in few words: 3-5, 9."""
    runs = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def main(report, missing):
    sources = {}
    for path, lines in reports(report).items():
        file = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if file.startswith(("src/", WIRE)) and "/tests/" not in file and not file.endswith("/tests.rs"):
            sources[file] = product_lines(file, lines)
    unreached = {file: [number for number, count in lines.items() if not count] for file, lines in sources.items()}
    listed = sorted((file, numbers) for file, numbers in unreached.items() if numbers)
    pathlib.Path(missing).write_text("".join(f"{file}: {ranges(numbers)}\n" for file, numbers in listed), encoding="utf-8")

    rooms = sorted({file.split("/")[1] + "/" for file in sources if file.startswith("src/") and file.count("/") > 1})
    is_enough = True
    for part in ["src/", *(f"src/{room}" for room in rooms), WIRE]:
        count = sum(len(lines) for file, lines in sources.items() if file.startswith(part))
        reached = count - sum(len(numbers) for file, numbers in unreached.items() if file.startswith(part))
        share, bound = 100 * reached / max(count, 1), BOUNDS.get(part)
        passed = bound is None or share >= bound
        is_enough &= passed
        demand = "" if bound is None else f"  at least {bound:.0f} %" + ("" if passed else ": NOT REACHED")
        print(f"{part:18}{share:6.1f} % of {count:5} lines{demand}")
    return 0 if is_enough and sources else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
