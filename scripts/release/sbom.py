"""Writes the bill of materials of a binary, as CycloneDX 1.6: what is in it, under which licence, and what uses what.

It is made from the same list as the notices, so that the two cannot differ, and holds what tools that read Cargo.lock do
not know: the C library in libdbus-sys and the compilers' own libraries. It names no machine and no time but the commit's.
"""

import datetime
import json
import uuid

import linked
import project
import toolchain
import vendored

# The type of a crate that is looked up in advisory databases.
REGISTRY = "pkg:cargo"


def reference(name, version, kind=REGISTRY):
    return f"{kind}/{name}@{version.replace('+', '%2B')}"


def component(name, version, licence, url, kind=REGISTRY, checksum=None):
    """One library. `checksum` is the SHA-256 of the package in its registry."""
    purl = reference(name, version, kind)
    found = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{"expression": licence}],
        "purl": purl,
    }
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if url:
        found["externalReferences"] = [{"type": "vcs", "url": url}]
    return found


def foreign(target, crates):
    """What is in the binary and no crate of ours: identity of the crate that brings it, None for the program, and the thing."""
    compiler = component("rust-std", project.compiler(), "MIT OR Apache-2.0", "https://github.com/rust-lang/rust", "pkg:generic")
    found = [(None, compiler)]
    for name, version, licence, *_ in toolchain.run_time(target):
        found.append((None, component(name, version, licence, None, "pkg:generic")))
    for crate in crates:
        if crate.name in vendored.VENDORED:
            library = vendored.VENDORED[crate.name]
            version = vendored.vendored_version(crate)
            found.append((crate.identity, component(library.name, version, library.license, None, "pkg:generic")))
    return found


def dependencies(crates, extra):
    """What each component uses directly."""
    uses = {crate.identity: [reference(*used) for used in crate.uses] for crate in crates}
    root = next(crate.identity for crate in crates if not crate.checksum)
    for user, thing in extra:
        uses[user or root].append(thing["bom-ref"])
    edges = {reference(*identity): sorted(used) for identity, used in uses.items()}
    edges |= {thing["bom-ref"]: [] for _, thing in extra}
    return [{"ref": name, "dependsOn": used} for name, used in sorted(edges.items())]


def document(target, binary_digest):
    """The whole document. `binary_digest` is the SHA-256 of the binary that it describes."""
    crates = linked.crates(target)
    extra = foreign(target, crates)
    ours = next(crate for crate in crates if not crate.checksum)
    program = component(ours.name, ours.version, ours.license, None, checksum=binary_digest)
    program["type"] = "application"
    libraries = [component(*crate.identity, crate.license, crate.repository, checksum=crate.checksum)
                 for crate in crates if crate.checksum]
    libraries += [thing for _, thing in extra]
    time = datetime.datetime.fromtimestamp(project.epoch(), datetime.timezone.utc)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # Made of the binary, so that the same binary has the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, binary_digest)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": program,
            "properties": [{"name": "codex-proxy:target", "value": target}],
        },
        "components": sorted(libraries, key=lambda thing: thing["bom-ref"]),
        "dependencies": dependencies(crates, extra),
    }


def render(target, binary_digest):
    return json.dumps(document(target, binary_digest), indent=1) + "\n"
