"""Builds the binary of a release so that the same commit gives the same bytes on another machine and in another folder.

* No path of the machine gets in: the folders of the sources, of the build and of the toolchain are written as fixed names,
  in Rust (`--remap-path-prefix`) and in C (`-ffile-prefix-map`). Cargo's own `trim-paths` is not stable yet.
* Flags of the machine's own are set aside, and nothing is taken over from other builds: the folder is a separate one.
* On Linux, zig is the C compiler and linker. It brings its own headers and linker, so the machine's have no say, and it
  links against the glibc named below. The runners' own is 2.39, too new for Debian 12, Ubuntu 22.04 and RHEL 9.
"""

import json
import os
import pathlib
import shutil
import subprocess

import linked
import project

# Debian 10, Ubuntu 20.04, RHEL 8 and anything later.
GLIBC = "2.28"

# Variables that add to or replace what the compilers are told.
AMBIENT = ("RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTC_WRAPPER",
           "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER", "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "AR", "ARFLAGS", "CARGO_INCREMENTAL")


def remappings(root, target_dir):
    """Pairs of a folder of this machine and the name that stands for it; of several that fit, the later counts."""
    sources = {crate.directory.parent for crate in linked.crates(project.host()) if crate.checksum}
    return [
        (pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")).resolve(), "/cargo"),
        (project.sysroot() / "lib/rustlib/src/rust", "/rust"),
        (root, "/codex-proxy"),
        *((source, "/crates") for source in sorted(sources)),
        (target_dir, "/target"),
    ]


def rust_flags(target, pairs):
    flags = [f"--remap-path-prefix={folder}={name}" for folder, name in pairs]
    if target.endswith("-msvc"):
        # No time of linking in the file, and no Visual C++ runtime to install.
        flags += ["-Clink-arg=/Brepro", "-Ctarget-feature=+crt-static"]
    return flags


def environment(target, root, target_dir):
    pairs = remappings(root, target_dir)
    variables = {name: value for name, value in os.environ.items() if name not in AMBIENT}
    variables["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(rust_flags(target, pairs))
    # Empty, not absent: a wrapper named in a configuration file of the machine's counts otherwise
    # (https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-reads).
    variables["RUSTC_WRAPPER"] = variables["RUSTC_WORKSPACE_WRAPPER"] = ""
    variables["SOURCE_DATE_EPOCH"] = str(project.epoch(root))
    if not target.endswith("-msvc"):
        variables["CC_SHELL_ESCAPED_FLAGS"] = "1"
        variables["CFLAGS"] = " ".join(f'"-ffile-prefix-map={folder}={name}"' for folder, name in pairs)
    return variables


def command(target):
    """The call of cargo, and the target as it is to be named there."""
    if "linux" not in target:
        return ["cargo", "build"], target
    if not shutil.which("cargo-zigbuild"):
        project.fail("cargo-zigbuild is missing: pip install --requirement .ci/release.txt")
    return ["cargo", "zigbuild"], f"{target}.{GLIBC}"


def build(root=project.ROOT, target_dir=None):
    """Builds the sources in `root` and returns the path of the binary, and the crates that were compiled for it.

    The crates are pairs of name and version, as cargo reports them; those of build scripts and macros are not among them.
    """
    target = project.host()
    target_dir = (target_dir or root / "target" / "dist").resolve()
    program, named = command(target)
    call = [*program, "--locked", "--release", "--bin", project.NAME, "--target", named, "--target-dir", str(target_dir),
            "--message-format", "json-render-diagnostics"]
    done = subprocess.run(call, cwd=root, env=environment(target, root, target_dir), stdout=subprocess.PIPE, check=True)
    binary = target_dir / target / "release" / project.binary_name(target)
    return binary, compiled(done.stdout, target_dir / target)


def compiled(messages, folder):
    """The packages among cargo's messages that left a library or binary in `folder`, where those for the target go. Crates
    of the project's own are parts of it, as in `linked.crates`."""
    found = set()
    for line in messages.splitlines():
        message = json.loads(line) if line.startswith(b"{") else {}
        if message.get("reason") == "compiler-artifact" and any(
            pathlib.Path(name).is_relative_to(folder) for name in message["filenames"]
        ):
            found.add(linked.identity(message["package_id"]))
    return {crate for crate in found if crate[0] == project.NAME or not crate[0].startswith(f"{project.NAME}-")}
