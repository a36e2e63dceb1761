"""What the licence of a crate does not say of its contents: code of others that it carries, and texts that it lacks.

Everything here is looked up in the crates' own files when notices are made, and fails when it is no longer there, so that
a new version of a crate is looked at by somebody.
"""

import dataclasses
import re

import project


@dataclasses.dataclass(frozen=True)
class Vendored:
    """A library in another language that a crate compiles into the binary. `version` is a file of the crate and a pattern
    whose first group is the version; `texts` are files of the crate; `comments` are files of the crate and the words at the
    start of the comment that must be passed on."""

    name: str
    license: str
    homepage: str
    version: tuple
    texts: tuple
    comments: tuple = ()


# By the name of the crate. Licence files within the crate's folders are found by themselves.
VENDORED = {
    "libdbus-sys": Vendored(
        name="libdbus",
        license="AFL-2.1 OR GPL-2.0-or-later",
        homepage="https://www.freedesktop.org/wiki/Software/dbus/",
        version=("build_vendored.rs", r'DBUS_VERSION: &str = "\\"([0-9.]+)\\""'),
        texts=("vendor/dbus/COPYING",),
        comments=(
            ("vendor/dbus/dbus/dbus-hash.c", "The following copyright applies to code from the Tcl distribution."),
            ("vendor/dbus/dbus/dbus-sha.c", "sha.h : Implementation of the Secure Hash Algorithm"),
        ),
    ),
    "libsqlite3-sys": Vendored(
        name="SQLite",
        license="blessing",
        homepage="https://sqlite.org/",
        version=("sqlite3/sqlite3.h", r'#define SQLITE_VERSION +"([0-9.]+)"'),
        texts=(),
        comments=(("sqlite3/sqlite3.h", "2001-09-15"),),
    ),
}

# Crates whose package has no licence file, though its manifest names MIT: name and whom to name as the authors, which is
# what the README and the licence of their repository say. The MIT licence's words are those of LICENSE-MIT.
WITHOUT_TEXT = {
    "maud": "Chris Wong and the contributors of maud",
    "objc2": "Mads Marquart and the contributors of objc2, and Steven Sheldon",
    "objc2-app-kit": "Mads Marquart and the contributors of objc2",
    "objc2-core-foundation": "Mads Marquart and the contributors of objc2",
    "objc2-encode": "Mads Marquart and the contributors of objc2, and Steven Sheldon",
    "objc2-foundation": "Mads Marquart and the contributors of objc2, and Steven Sheldon",
}


def vendored_version(crate):
    """The version of the library that `crate` carries."""
    file, pattern = VENDORED[crate.name].version
    found = re.search(pattern, (crate.directory / file).read_text(encoding="utf-8"))
    if not found:
        project.fail(f"{crate.name} {crate.version}: {file} no longer tells the version of what it carries; see vendored.py")
    return found[1]


def comment(crate, file, words):
    """The comment of a C file that starts with `words`, without its stars."""
    for block in re.findall(r"/\*(.*?)\*/", (crate.directory / file).read_text(encoding="utf-8"), flags=re.DOTALL):
        lines = [re.sub(r"^ ?\*{0,2} ?", "", line).rstrip() for line in block.splitlines()]
        text = "\n".join(lines).strip("\n")
        if text.lstrip().startswith(words):
            return text
    project.fail(f"{crate.name} {crate.version}: {file} has no comment '{words}'; see vendored.py")


def mit_text(authors):
    """The MIT licence with a copyright line of its own, in the words of this project's LICENSE-MIT."""
    text = (project.ROOT / "LICENSE-MIT").read_text(encoding="utf-8")
    return re.sub(r"^Copyright .*$", f"Copyright (c) {authors}", text, count=1, flags=re.MULTILINE)
