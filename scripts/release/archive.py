"""Packs the archive of a release, and sums it up. The same contents give the same bytes: names in order, the commit's time,
no owner, and no name or time in the compressed file's head."""

import gzip
import hashlib
import io
import tarfile

import notices
import project

DOCUMENTS = ("CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md")
SUMS = "SHA256SUMS"


def digest(content):
    return hashlib.sha256(content).hexdigest()


def contents(target, binary):
    """Names in the archive, in order, each with its bytes and its mode."""
    files = {name: ((project.ROOT / name).read_bytes(), 0o644) for name in DOCUMENTS}
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
    """The files of a release for these targets, but for the sums."""
    return sorted(f"{project.stem(target)}{ending}" for target in targets for ending in (".tar.gz", ".cdx.json"))


def write_sums(folder, targets):
    """Writes SHA256SUMS for the archives and bills of materials in `folder`, which must be those of `targets` and no more."""
    found = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    if found != expected(targets):
        project.fail(f"{folder} has {', '.join(found) or 'nothing'}, and not {', '.join(expected(targets))}")
    lines = [f"{digest((folder / name).read_bytes())}  {name}\n" for name in found]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def verify_sums(folder):
    """Fails unless every file named in SHA256SUMS is there with that sum."""
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        expected_sum, name = line.split("  ", 1)
        if digest((folder / name).read_bytes()) != expected_sum:
            project.fail(f"{name} is not the file that {SUMS} names")
