"""Fails if a link of the documents leads nowhere: a file that is not there, a heading that no longer has that name, or a page of
docs/ that the book does not list. Addresses elsewhere are left alone: no network."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[(?:[^\]]|\](?!\())*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def prose(text):
    """The text without what is between fences or backticks."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(path):
    """The names of a document's headings, as GitHub and mdBook make them; a second one of a name gets a number."""
    found = {}
    for heading in re.findall(r"^#+ +(.+?) *#*$", re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"),
                                                          flags=re.DOTALL | re.MULTILINE), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
        if found[name]:
            found[f"{name}-{found[name]}"] = 0
    return found.keys()


def problems(path):
    for target in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            yield f"{path.relative_to(ROOT)}: there is no {name}"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{path.relative_to(ROOT)}: {name or 'it'} has no heading #{anchor}"


def main():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    found = [problem for path in documents for problem in problems(path)]
    book = ROOT / "docs/SUMMARY.md"
    listed = {(book.parent / target).resolve() for target in LINK.findall(book.read_text(encoding="utf-8"))}
    pages = set(ROOT.glob("docs/**/*.md")) - {book}
    found += [f"docs/SUMMARY.md does not list {page.relative_to(ROOT)}" for page in sorted(pages - listed)]
    if found:
        sys.exit("\n".join(found))
    print(f"links: {len(documents)} documents, every link leads somewhere")


if __name__ == "__main__":
    main()
