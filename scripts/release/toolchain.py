"""What the compilers put into every binary: Rust's own standard library, and on Linux the run-time support of zig.

rustup's `rustc` component brings COPYRIGHT-library.html, which lists the library's own sources and the crates it is made
of, each with its licence files. (The start-up code of glibc asks for nothing: its licence says so of what it is linked into.)
"""

import html
import html.parser
import re

import project
import vendored

FOLDER = "share/doc/rust"
PAGE = "COPYRIGHT-library.html"

# Platforms that nothing is released for, and what only tests and build scripts of the library use.
UNUSED = ("cc", "fortanix-sgx-abi", "getopts", "hermit-abi", "moto-rt", "r-efi", "r-efi-alloc", "rand", "rand_core",
          "rand_xorshift", "shlex", "vex-sdk", "wasi", "wit-bindgen")
# Libraries of the toolchain that are the library's own sources.
OWN = ("alloc", "compiler_builtins", "core", "panic_abort", "panic_unwind", "proc_macro", "profiler_builtins", "std",
       "std_detect", "sysroot", "test", "unwind")
# Crates in the library that the page leaves out, since Rust 1.90 at least: whose texts are theirs too, either another part
# by the same authors or the crate of that name among ours.
UNLISTED = {"addr2line": "gimli", "adler2": "adler2", "memchr": "memchr", "miniz_oxide": "miniz_oxide", "object": "gimli"}


class Page(html.parser.HTMLParser):
    """Collects `sections`: title, licence, and pairs of a file's name and its text."""

    def __init__(self):
        super().__init__()
        self.sections = []
        self.open = None
        self.words = ""
        self.file = ""

    def handle_starttag(self, tag, attributes):
        if tag in ("h3", "summary", "pre", "p"):
            self.open, self.words = tag, ""

    def handle_data(self, data):
        self.words += data

    def handle_endtag(self, tag):
        if tag != self.open:
            return
        self.open = None
        words = self.words.strip("\n")
        if tag == "h3":
            self.sections.append([words.strip().lstrip("\N{PACKAGE} "), "", []])
        elif tag == "p" and words.strip().startswith("License:") and self.sections:
            self.sections[-1][1] = words.strip().removeprefix("License:").strip().replace("/", " OR ")
        elif tag == "summary":
            self.file = words.strip()
        elif tag == "pre" and self.sections:
            self.sections[-1][2].append((self.file, words))


def read(name):
    path = project.sysroot() / FOLDER / name
    if not path.is_file():
        project.fail(f"the toolchain has no {FOLDER}/{name}; one installed with rustup does")
    return path.read_text(encoding="utf-8")


def own_texts():
    """The licences of the library's own sources: names and texts. Its MIT and Apache licences are a choice; Apache is taken,
    and compiler_builtins is under Apache with the LLVM exception."""
    in_tree = re.search(r"In-tree files</h2>(.*?)<h2", read(PAGE), flags=re.DOTALL)
    if not in_tree:
        project.fail(f"{PAGE} is not written as expected: it has no part on the library's own sources")
    lines = [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in in_tree[1].splitlines()]
    names = ("Apache-2.0.txt", "LLVM-exception.txt", "Unicode-3.0.txt")
    return [("COPYRIGHT", "\n".join(filter(None, lines)))] + [(name, read(f"licenses/{name}")) for name in names]


def parts(target):
    """The crates of the standard library that a release for `target` can contain: name, version, licence, and pairs of a
    file's name and its text."""
    reader = Page()
    reader.feed(read(PAGE))
    found = []
    for title, licence, texts in reader.sections:
        named = re.fullmatch(r"(.+?)-(\d+\.\d+\.\d+\S*)", title)
        if not named:
            project.fail(f"{PAGE} is not written as expected: '{title}' has no version")
        if named[1] not in UNUSED and ("windows" not in named[1] or "windows" in target):
            found.append((named[1], named[2], licence, texts))
    if not found:
        project.fail(f"{PAGE} is not written as expected: no crate was found in it")
    return found


def run_time(target):
    """What the linker adds: name, version, licence, origin, and pairs of a file's name and its text."""
    if "linux" not in target:
        return []
    version = re.search(r"^ziglang==([0-9.]+)", (project.ROOT / ".ci/release.txt").read_text(), flags=re.MULTILINE)[1]
    apache = [(name, read(f"licenses/{name}")) for name in ("Apache-2.0.txt", "LLVM-exception.txt")]
    return [
        ("zig-compiler-rt", version, "MIT", "https://ziglang.org", [("LICENSE", vendored.mit_text("Zig contributors"))]),
        ("libunwind", f"zig-{version}", "Apache-2.0 WITH LLVM-exception", "https://libunwind.llvm.org", apache),
    ]


def unnamed(target):
    """The libraries that the toolchain has for `target` and that neither the page nor the tables above name."""
    known = {name.replace("-", "_") for name, *_ in parts(target)} | set(UNUSED) | set(OWN) | set(UNLISTED)
    folder = project.sysroot() / "lib/rustlib" / target / "lib"
    libraries = {re.sub(r"-[0-9a-f]+$", "", path.stem.removeprefix("lib")) for path in folder.glob("lib*.rlib")}
    return sorted(name for name in libraries - known if not name.startswith("rustc_std_workspace"))
