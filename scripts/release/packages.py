"""Makes the packages beside the archives: Homebrew's formula, the installation script, Debian's package.

They hold or fetch what is in the archives, so an archive has to be in dist/ before.
"""

import os
import shutil
import subprocess
import tarfile

import archive
import project

TEMPLATES = project.ROOT / "packaging"
# Where [package.metadata.deb] in Cargo.toml finds its files.
STAGE = project.ROOT / "target" / "packaging"


def formula(repository):
    """The formula for the release of this version in `repository`, OWNER/NAME."""
    text = (TEMPLATES / "codex-proxy.rb").read_text(encoding="utf-8")
    head, text = text.split("\n", 1)
    text = text.replace("REPOSITORY", repository).replace("VERSION", project.manifest()["version"])
    sums = dict(reversed(line.split("  ", 1)) for line in (project.DIST / archive.SUMS).read_text().splitlines())
    for name in project.TARGETS.values():
        mark = "SHA256_" + name.replace("-", "_").upper()
        if mark in text:
            text = text.replace(mark, sums[f"{project.NAME}-{name}.tar.gz"])
    if "SHA256_" in text:
        project.fail("a sum in packaging/codex-proxy.rb is of no archive")
    return text


def installer(repository):
    """The installation script for the releases of `repository`, OWNER/NAME."""
    text = (TEMPLATES / "install.sh").read_text(encoding="utf-8")
    if text.count("OWNER/codex-proxy") != 1:
        project.fail("packaging/install.sh has to name OWNER/codex-proxy once")
    return text.replace("OWNER/codex-proxy", repository)


def stage():
    """Unpacks this machine's archive to where Debian's package takes its files from."""
    stem = project.stem(project.host())
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    with tarfile.open(project.DIST / f"{stem}.tar.gz") as tar:
        tar.extractall(STAGE, filter="data")
    (STAGE / stem).rename(STAGE / "files")


def debian():
    """Packs dist/codex-proxy_VERSION_ARCHITECTURE.deb. The same archive gives the same bytes."""
    stage()
    variables = os.environ | {"SOURCE_DATE_EPOCH": str(project.epoch())}
    folder = project.ROOT / "target" / "debian"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["cargo", "deb", "--no-build", "--no-strip", "--output", str(folder)], cwd=project.ROOT, env=variables, check=True)
    for package in folder.glob("*.deb"):
        shutil.copy2(package, project.DIST / package.name)
        project.say(f"packed {package.name}: {archive.digest(package.read_bytes())}")
