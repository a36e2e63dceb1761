"""Makes and checks releases: python3 scripts/release COMMAND. docs/releasing.md tells how a release is made.

    package     build for this machine, pack into dist/, check the result
    check       package, then build again elsewhere and require the same bytes
    notices     require a licence text of everything in the binary, for every target
    tag TAG     require that a tag is the version in Cargo.toml, and that the changelog has a section on it
    notes       print that section
    formula OWNER/NAME     print the formula for Homebrew, with the sums of dist/SHA256SUMS
    installer OWNER/NAME   print the installation script for that repository
    deb         pack the binary of this machine's archive as a Debian package into dist/ (needs cargo-deb)
    sums        require that dist/ has the files of every target, and write SHA256SUMS
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import archive
import build
import check
import packages
import project
import sbom


def package():
    """Builds, packs and checks the release for this machine."""
    target, target_dir = project.host(), project.ROOT / "target" / "dist"
    promised = re.search(r'RUSTUP_TOOLCHAIN: "([0-9.]+)"', (project.ROOT / ".github/workflows/release.yml").read_text())[1]
    if project.compiler() != promised:
        project.say(f"this is Rust {project.compiler()}, and releases are built with {promised}: the bytes will differ")
    binary, compiled = build.build(project.ROOT, target_dir)
    shutil.rmtree(project.DIST, ignore_errors=True)
    project.DIST.mkdir()
    stem = project.stem(target)
    (project.DIST / f"{stem}.tar.gz").write_bytes(archive.pack(target, binary))
    bill = sbom.render(target, archive.digest(binary.read_bytes()))
    (project.DIST / f"{stem}.cdx.json").write_text(bill, encoding="utf-8", newline="\n")
    archive.write_sums(project.DIST, [target])
    check.everything(binary, compiled, target_dir)


def copy_sources(folder):
    """Copies what git has or would take of the project, as it lies here."""
    names = project.output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=project.ROOT)
    for name in filter(None, names.split("\0")):
        if (project.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project.ROOT / name, folder / name)


def other_cargo_home(folder):
    """Another name for cargo's folder, with the same packages in it."""
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    folder.mkdir()
    for entry in home.iterdir():
        (folder / entry.name).symlink_to(entry)
    return str(folder)


def release_check():
    """Packages twice, the second time with sources, packages and build in other folders, and compares."""
    started = time.monotonic()
    package()
    first = {path.name: path.read_bytes() for path in project.DIST.iterdir()}
    with tempfile.TemporaryDirectory(prefix="another-place-") as place:
        sources = pathlib.Path(place).resolve() / "sources-of-the-second-build"
        copy_sources(sources)
        variables = os.environ | {
            "SOURCE_DATE_EPOCH": str(project.epoch()),
            "CARGO_HOME": other_cargo_home(pathlib.Path(place).resolve() / "cargo"),
        }
        subprocess.run([sys.executable, "scripts/release", "package"], cwd=sources, env=variables, check=True)
        second = {path.name: path.read_bytes() for path in (sources / "dist").iterdir()}
    for name in sorted(first.keys() | second.keys()):
        sums = [archive.digest(files.get(name, b"")) for files in (first, second)]
        if sums[0] != sums[1]:
            project.fail(f"two builds of the same sources differ: {name} is {sums[0]} and {sums[1]}")
        project.say(f"twice the same: {sums[0]}  {name}")
    project.say(f"everything passed in {time.monotonic() - started:.0f} s")


def tag(name):
    version = project.manifest()["version"]
    check.require(name == f"v{version}", f"the tag is {name}, and Cargo.toml's version is {version}")
    check.require(check.changelog(version), f"CHANGELOG.md has no section on {version}")


COMMANDS = {
    "package": package,
    "check": release_check,
    "notices": check.the_texts,
    "tag": tag,
    "notes": lambda: print(check.changelog(project.manifest()["version"]) or "", end=""),
    "formula": lambda repository: print(packages.formula(repository), end=""),
    "installer": lambda repository: print(packages.installer(repository), end=""),
    "deb": packages.debian,
    "sums": lambda: archive.write_sums(project.DIST, project.TARGETS, archive.debian_packages(project.TARGETS)),
}

if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["help"]
    if command not in COMMANDS or len(arguments) != (command in ("formula", "installer", "tag")):
        sys.exit(__doc__)
    COMMANDS[command](*arguments)
