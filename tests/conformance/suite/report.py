"""The results as a table for the terminal and as a document."""

INTRODUCTION = """# Compatibility

Real clients, at pinned versions, run by `just conformance` against `codex-proxy demo`. Each check looks at what the client
itself printed or returned; an error case passes when the client reports an error of its own typed kind, or says that it
tries again.

`just conformance --record` writes this page.

| client | package | version | checks | passed |
|---|---|---|---|---|
"""


def table(results):
    """The results as lines of aligned columns, with the reasons of the failures below."""
    rows = [("client", "version", "what was run", "", "seconds")]
    rows += [
        (result.client.title, result.client.version, result.check, "passed" if result.passed else "FAILED",
         f"{result.seconds:.1f}")
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    reasons = [
        f"\n{result.client.title}: {result.check}\n    {result.detail}" for result in results if not result.passed
    ]
    return "\n".join([*lines, *reasons])


def document(results):
    """The results as a page of documentation."""
    clients = list(dict.fromkeys(result.client for result in results))
    rows, sections = [], []
    for client in clients:
        own = [result for result in results if result.client == client]
        passed = sum(result.passed for result in own)
        rows.append(f"| {client.title} | `{client.package}` | {client.version} | {len(own)} | {passed} |")
        checks = [f"* {result.check}{'' if result.passed else ': **fails**'}" for result in own]
        sections.append("\n".join([f"## {client.title} {client.version}", "", *checks]))
    return INTRODUCTION + "\n".join(rows) + "\n\n" + "\n\n".join(sections) + "\n"
