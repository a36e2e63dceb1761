"""The crates that end up in the binary for a target, and what each was made of.

`cargo tree` tells them: it leaves out what only tests, build scripts and macros use, and features that only those ask for.
(`cargo metadata` merges the tests' features in: it would name OpenSSL, which no binary of ours has.)
"""

import dataclasses
import functools
import json
import pathlib
import re
import tomllib

import project


@dataclasses.dataclass(frozen=True)
class Crate:
    """One package of the graph. `checksum` is the SHA-256 of its file in the registry, None for the project itself;
    `uses` are the identities of the crates that it depends on directly."""

    name: str
    version: str
    license: str
    directory: pathlib.Path
    repository: str | None
    checksum: str | None
    uses: tuple

    @property
    def identity(self):
        return (self.name, self.version)


def identity(package_id):
    """Name and version in a package id of cargo's, such as `registry+https://…#tokio@1.54.1` or `path+file:///…#0.1.0`."""
    source, fragment = package_id.rsplit("#", 1)
    name, at, version = fragment.rpartition("@")
    return (name, version) if at else (re.split(r"[/\\]", source.split("?")[0])[-1], version)


def edges(target):
    """Identity of each linked crate: the identities of those it uses, read from the depths that `cargo tree` prints."""
    text = project.output("cargo", "tree", "--locked", "--package", project.NAME, "--target", target, "--edges",
                          "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}", cwd=project.ROOT)
    found, path = {}, []
    for line in text.splitlines():
        depth, name, version = re.match(r"(\d+) (\S+) v(\S+)", line).groups()
        crate = (name, version)
        path[int(depth):] = [crate]
        found.setdefault(crate, [])
        if len(path) > 1 and crate not in found[path[-2]]:
            found[path[-2]].append(crate)
    return found


def checksums():
    """Identity of each crate of the lock file that came from a registry: its checksum."""
    lock = tomllib.loads((project.ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


@functools.cache
def crates(target):
    """The crates of the binary for `target`, sorted by name and version; the project itself is one of them, with whatever
    crates it is made of."""
    metadata = json.loads(project.output("cargo", "metadata", "--locked", "--format-version", "1", cwd=project.ROOT))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    sums, graph = checksums(), edges(target)
    program = next(crate for crate in graph if crate[0] == project.NAME)
    for part in [crate for crate in graph if not sums[crate] and crate != program]:
        graph[program] = sorted({*graph[program], *graph.pop(part)} - {part})
    return [
        Crate(
            name=name,
            version=version,
            license=packages[name, version]["license"].replace(" / ", " OR ").replace("/", " OR "),
            directory=pathlib.Path(packages[name, version]["manifest_path"]).parent,
            repository=packages[name, version]["repository"],
            checksum=sums[name, version],
            uses=tuple(sorted(graph[name, version])),
        )
        for name, version in sorted(graph)
    ]
