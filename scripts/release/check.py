"""Checks what is about to be released: the archive, the binary in it, its notices, its bill of materials and its sums."""

import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile

import archive
import build
import linked
import notices
import project
import toolchain


def require(condition, text):
    if not condition:
        project.fail(text)


def entries(target, packed, made):
    """The files in the archive, by their names: exactly those expected, in order, with nothing of this machine on them.
    `made` are the names of those that the binary writes."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        members = tar.getmembers()
        contents = {member.name: tar.extractfile(member).read() for member in members if member.isfile()}
    folder, program = project.stem(target), project.binary_name(target)
    names = sorted([*archive.DOCUMENTS, *made, notices.FILE, program])
    require({"completions/_codex-proxy", "man/codex-proxy.1", "man/codex-proxy-service.1"} <= set(made),
            f"the binary writes only {sorted(made)}")
    require([member.name for member in members] == [folder, *(f"{folder}/{name}" for name in names)],
            f"the archive has {[member.name for member in members]}")
    for member in members:
        mode = 0o755 if member.isdir() or member.name == f"{folder}/{program}" else 0o644
        found = (member.mode, member.uid, member.gid, member.uname, member.gname, member.mtime)
        require(found == (mode, 0, 0, "", "", project.epoch()), f"{member.name} in the archive is {found}")
    return {name.removeprefix(f"{folder}/"): content for name, content in contents.items()}


def the_binary(target, binary, folders):
    """No folder of this machine is named in it, it says the version of Cargo.toml, and it asks for no glibc newer than promised."""
    for folder in folders:
        require(os.fsencode(folder) not in binary, f"the binary names {folder}, a folder of this machine")
    newest = max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", binary)), default=0)
    require("linux" not in target or newest <= int(build.GLIBC.split(".")[1]), f"the binary needs glibc 2.{newest}")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / project.binary_name(target)
        path.write_bytes(binary)
        path.chmod(0o755)
        said = project.output(str(path), "--version", timeout=60).strip()
    wanted = f"{project.NAME} {project.manifest()['version']}"
    require(said == wanted, f"the binary says '{said}', and Cargo.toml '{wanted}'")


def the_notices(target, text, binary, compiled):
    """Each crate that cargo compiled for the binary, and each that the binary itself names, stands in them with a text."""
    crates = {crate.identity for crate in linked.crates(target)}
    require(crates == compiled, f"compiled and listed crates differ: {sorted(crates ^ compiled)}")
    # The places that a panic names tell some of the crates that are really in there.
    named = {found.decode() for found in re.findall(rb"/crates[/\\]([A-Za-z0-9_.+-]+)[/\\]", binary)}
    require(named, "the binary names no crate, which it does where panics are explained")
    known = {f"{name}-{version}" for name, version in crates}
    require(named <= known, f"the binary names crates that the notices do not: {sorted(named - known)}")
    for name, version in crates - {(project.NAME, project.manifest()["version"])}:
        require(f"\n* {name} {version}: " in text and f"\n{name} {version} (" in text, f"the notices lack {name} {version}")
    require(not toolchain.unnamed(target), f"the notices lack, of the standard library: {toolchain.unnamed(target)}")


def the_texts():
    """No crate in a binary for any of the targets is without a licence text."""
    for target in project.TARGETS:
        lacking = notices.without_text(target)
        require(not lacking, f"without a licence text in the binary for {target}: {', '.join(lacking)}")
        project.say(f"{target}: all {len(notices.parts(target))} parts have their licence texts")


def the_bill(target, text, digest):
    """It reads as CycloneDX, describes this very binary, and names what the notices name."""
    document = json.loads(text)
    names = [component["bom-ref"] for component in document["components"]]
    require(len(names) == len(set(names)), "the bill of materials names a component twice")
    crates = linked.crates(target)
    lacking = {crate.name for crate in crates if crate.checksum} - {component["name"] for component in document["components"]}
    require(not lacking, f"the bill of materials lacks {sorted(lacking)}")
    refs = {*names, document["metadata"]["component"]["bom-ref"]}
    used = {ref for entry in document["dependencies"] for ref in [entry["ref"], *entry["dependsOn"]]}
    require(used == refs, f"the bill of materials has edges to nothing, or parts without: {sorted(used ^ refs)}")
    require(document["metadata"]["component"]["hashes"][0]["content"] == digest, "the bill of materials is of another binary")
    the_schema(text)


def the_schema(text):
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        require(not os.environ.get("CI"), "cyclonedx-python-lib is missing: pip install --requirement .ci/release.txt")
        project.say("cyclonedx-python-lib is not installed: the bill of materials is not held against its schema")
        return
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    require(error is None, f"the bill of materials is not CycloneDX 1.6: {error}")


def changelog(version):
    """The section of CHANGELOG.md on a version, without its heading; None if there is none."""
    text = (project.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return found[1].strip() + "\n" if found else None


def machine_folders(root, target_dir):
    """The folders whose names have no business in a binary."""
    return [str(folder) for folder in (root, target_dir, pathlib.Path.home(), project.sysroot())]


def everything(binary, compiled, target_dir):
    """Checks the archive, the bill and the sums in dist/, which were made of `binary`."""
    target = project.host()
    packed = (project.DIST / f"{project.stem(target)}.tar.gz").read_bytes()
    made = archive.made(binary)
    files = entries(target, packed, made)
    require(all(files[name] == content for name, content in made.items()), "the archive has other pages than the binary's")
    content = files[project.binary_name(target)]
    require(content == binary.read_bytes(), "the archive has another binary than the one that was built")
    the_binary(target, content, machine_folders(project.ROOT, target_dir))
    the_notices(target, files[notices.FILE].decode(), content, compiled)
    bill = (project.DIST / f"{project.stem(target)}.cdx.json").read_text(encoding="utf-8")
    the_bill(target, bill, archive.digest(content))
    version = project.manifest()["version"]
    require(changelog(version) or changelog("Unreleased"), f"CHANGELOG.md has no section on {version}, nor one on Unreleased")
    archive.verify_sums(project.DIST)
    project.say(f"checked {project.stem(target)}.tar.gz: {len(packed):,} bytes; binary {len(content):,} bytes, "
                f"notices {len(files[notices.FILE]):,}, bill of materials {len(bill):,}")
