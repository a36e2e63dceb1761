"""Packs the archive of a release, and sums it up. The same contents give the same bytes: names in order, the commit's time,
no owner, and no name or time in the compressed file's head."""

import gzip
import hashlib
import io
import pathlib
import subprocess
import tarfile
import tempfile

import notices
import project

DOCUMENTS = ("CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md")
SUMS = "SHA256SUMS"
# Target triple: Debian's name of the architecture.
DEBIAN = {"x86_64-unknown-linux-gnu": "amd64", "aarch64-unknown-linux-gnu": "arm64"}
# Shell: the name of its completion script, as the shell looks for it.
COMPLETIONS = {"bash": "codex-proxy", "fish": "codex-proxy.fish", "powershell": "_codex-proxy.ps1", "zsh": "_codex-proxy"}


def digest(content):
    return hashlib.sha256(content).hexdigest()


def made(binary):
    """The completion scripts, as the binary itself writes them, and the manual pages."""
    files = {}
    for shell, name in COMPLETIONS.items():
        files[f"completions/{name}"] = subprocess.run([binary, "completions", shell], check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "run", "--locked", "--quiet", "--example", "manual", "--", folder]
        subprocess.run(command, check=True, cwd=project.ROOT)
        for page in pathlib.Path(folder).iterdir():
            files[f"man/{page.name}"] = page.read_bytes()
    return files


def contents(target, binary):
    """Names in the archive, in order, each with its bytes and its mode."""
    files = {name: ((project.ROOT / name).read_bytes(), 0o644) for name in DOCUMENTS}
    files |= {name: (content, 0o644) for name, content in made(binary).items()}
    files[notices.FILE] = (notices.render(target).encode(), 0o644)
    files[project.binary_name(target)] = (binary.read_bytes(), 0o755)
    return dict(sorted(files.items()))


def entry(name, size, mode, time):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, time
    return info


def pack(target, binary):
    """The bytes of the archive."""
    packed, folder, time = io.BytesIO(), project.stem(target), project.epoch()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            directory = entry(folder, 0, 0o755, time)
            directory.type = tarfile.DIRTYPE
            tar.addfile(directory)
            for name, (content, mode) in contents(target, binary).items():
                tar.addfile(entry(f"{folder}/{name}", len(content), mode, time), io.BytesIO(content))
    return packed.getvalue()


def expected(targets):
    """The archives and bills of a release for these targets."""
    return sorted(f"{project.stem(target)}{ending}" for target in targets for ending in (".tar.gz", ".cdx.json"))


def debian_packages(targets):
    """The names of Debian's packages for these targets."""
    version = project.manifest()["version"].replace("-", "~")
    return sorted(f"{project.NAME}_{version}-1_{DEBIAN[target]}.deb" for target in targets if target in DEBIAN)


def write_sums(folder, targets, packages=()):
    """Writes SHA256SUMS for the archives and bills of materials in `folder`, which must be those of `targets`, the `packages`
    beside them, and no more."""
    wanted = sorted([*expected(targets), *packages])
    found = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    if found != wanted:
        project.fail(f"{folder} has {', '.join(found) or 'nothing'}, and not {', '.join(wanted)}")
    lines = [f"{digest((folder / name).read_bytes())}  {name}\n" for name in found]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def verify_sums(folder):
    """Fails unless every file named in SHA256SUMS is there with that sum."""
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        expected_sum, name = line.split("  ", 1)
        if digest((folder / name).read_bytes()) != expected_sum:
            project.fail(f"{name} is not the file that {SUMS} names")
