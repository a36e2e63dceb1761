"""Writes the notices of third parties that go into every archive: each piece of code in the binary with its licence texts.

A script of our own, since no tool does this: cargo-about and cargo-bundle-licenses leave NOTICE files out (cargo-about#195,
cargo-bundle-licenses#23), know nothing of C libraries within crates or of the standard library, and cargo-about's 216
crates would have to be compiled on every machine that makes an archive. Texts are taken whole and never retold.
"""

import dataclasses
import re

import linked
import project
import toolchain
import vendored

FILE = "THIRD-PARTY-NOTICES.txt"
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense|patents)", re.IGNORECASE)
# Sources that happen to be called so.
SOURCE = (".c", ".h", ".json", ".py", ".rs", ".sh", ".toml", ".yaml", ".yml")
# Licence texts of files that are in a package but in no binary.
UNLINKED = {"libdbus-sys": ("vendor/dbus/cmake/modules/COPYING-CMAKE-SCRIPTS",)}
RULE = "=" * 100


@dataclasses.dataclass(frozen=True)
class Part:
    """One piece of the binary. `texts` are pairs of a file's name and its text."""

    name: str
    version: str
    license: str
    origin: str
    texts: tuple

    @property
    def title(self):
        return f"{self.name} {self.version}"


def licence_files(crate):
    """The licence files in a crate's package, also those of code it has taken over, as pairs of path and text."""
    vendored_texts = vendored.VENDORED[crate.name].texts if crate.name in vendored.VENDORED else ()
    found = []
    for path in sorted(crate.directory.rglob("*")):
        name = path.relative_to(crate.directory).as_posix()
        if not LICENCE_FILE.match(path.name) or path.suffix.lower() in SOURCE or not path.is_file():
            continue
        if name not in vendored_texts and name not in UNLINKED.get(crate.name, ()):
            found.append((name, path.read_text(encoding="utf-8", errors="replace")))
    return found


def crate_part(crate):
    texts = licence_files(crate)
    if not texts and crate.name in vendored.WITHOUT_TEXT:
        texts = [("LICENSE-MIT", vendored.mit_text(vendored.WITHOUT_TEXT[crate.name]))]
    elif crate.name in vendored.WITHOUT_TEXT:
        project.fail(f"{crate.name} {crate.version} has a licence file now: strike it from the table in vendored.py")
    return Part(crate.name, crate.version, crate.license, crate.repository or "", tuple(texts))


def library_part(crate):
    """The library in another language that `crate` carries."""
    library = vendored.VENDORED[crate.name]
    texts = [(file, (crate.directory / file).read_text(encoding="utf-8")) for file in library.texts]
    texts += [(file, vendored.comment(crate, file, words)) for file, words in library.comments]
    return Part(library.name, vendored.vendored_version(crate), library.license,
                f"{library.homepage} (in the crate {crate.name})", tuple(texts))


def standard_library(target, crates):
    """The parts of the standard library: itself, the crates that the toolchain lists, and those that it leaves out."""
    origin = "https://github.com/rust-lang/rust"
    own = Part("The Rust standard library", project.compiler(), "MIT OR Apache-2.0", origin, tuple(toolchain.own_texts()))
    listed = [Part(name, version, licence, "in the Rust standard library", tuple(texts))
              for name, version, licence, texts in toolchain.parts(target)]
    texts_of = {part.name: part for part in [*map(crate_part, crates), *listed]}
    unlisted = [Part(name, "", texts_of[like].license, "in the Rust standard library", texts_of[like].texts)
                for name, like in toolchain.UNLISTED.items()]
    return [own, *listed, *unlisted]


def parts(target):
    """Everything of others that is in the binary for `target`, in the order of the file."""
    crates = [crate for crate in linked.crates(target) if crate.checksum]
    libraries = [library_part(crate) for crate in crates if crate.name in vendored.VENDORED]
    support = [Part(name, version, licence, origin, tuple(texts))
               for name, version, licence, origin, texts in toolchain.run_time(target)]
    return [*map(crate_part, crates), *libraries, *standard_library(target, crates), *support]


def without_text(target):
    """The parts without any licence text: there must be none."""
    return [part.title for part in parts(target) if not any(text.strip() for _, text in part.texts)]


def tidy(text):
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").replace("\f", "\n").strip("\n").split("\n"))


def render(target):
    """The whole file. A text that several parts share stands there once, under the names of all of them."""
    found = parts(target)
    owners = {}
    for part in found:
        for name, text in part.texts:
            owners.setdefault(tidy(text), []).append(f"{part.title.strip()} ({name})")
    lines = [
        f"{project.NAME} contains the code below, under the licences named beside it. Their texts follow.",
        "",
        *(f"* {part.title.strip()}: {part.license}; {part.origin}".rstrip("; ") for part in found),
    ]
    for text, names in owners.items():
        lines += ["", RULE, *names, RULE, "", text]
    return "\n".join(lines) + "\n"
