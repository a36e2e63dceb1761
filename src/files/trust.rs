//! Trust in files: configuration that decides where the login goes, files with keys, and the login itself.
//!
//! * A file that other users can write is refused: its `upstream-url` would receive the access token, and a planted
//!   login would show its owner every prompt.
//! * A directory that other users can write makes its files writable, unless only a file's owner may replace it there
//!   (the sticky bit, as in `/tmp`).
//! * A file with a key that other users can read is used, with a warning.
//! * A group with its user as the only member counts as the user: many systems create such a group for each user, and
//!   new files are then group-writable (<https://www.debian.org/doc/debian-policy/ch-opersys.html>).
//! * Root counts as the file's owner. The superuser may use a user's login, as a container does with a mounted home.

#[cfg(unix)]
use std::fs::Metadata;
use std::path::Path;

/// Refuses the file at `path` if another user owns it or can write to it. The error says what to do.
#[cfg(unix)]
pub(crate) fn check_owner(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt as _;

    // A missing or inaccessible file fails where it is read.
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    check_is_own(&metadata, Superuser::IsAnyUser)?;
    // What others write to a terminal or to /dev/null is not read from it. A named pipe counts as a file; the shell's nameless
    // ones are the user's alone.
    if metadata.file_type().is_char_device() { Ok(()) } else { check_mode(&metadata, path) }
}

/// Refuses a login file, described by `metadata`, that another user can change or replace, directly or through its
/// directory. `path` is its real path. The error says what to do.
#[cfg(unix)]
pub(crate) fn check_login(path: &Path, metadata: &Metadata) -> Result<(), String> {
    check_is_own(metadata, Superuser::MayUseOthers)?;
    check_mode(metadata, path)?;
    path.parent().map_or(Ok(()), check_directory)
}

/// Refuses a directory of logins in which another user can replace files. The error says what to do.
#[cfg(unix)]
pub(crate) fn check_directory(directory: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(metadata) = std::fs::metadata(directory) else { return Ok(()) };
    let named = |problem: String| format!("its directory {} {problem}", directory.display());
    if metadata.mode() & STICKY != 0 {
        return Ok(());
    }
    check_is_own(&metadata, Superuser::MayUseOthers).map_err(named)?;
    check_mode(&metadata, directory).map_err(named)
}

/// Returns whether only this user, or root, has written the file of `metadata`.
#[cfg(unix)]
pub(crate) fn is_own_file(metadata: &Metadata) -> bool {
    let is_safe = |metadata: &Metadata| check_mode(metadata, Path::new("")).is_ok();
    metadata.is_file() && check_is_own(metadata, Superuser::MayUseOthers).is_ok() && is_safe(metadata)
}

/// How a process of root treats another user's file.
#[cfg(unix)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Superuser {
    /// As another user's.
    IsAnyUser,
    /// As one that it was given to use.
    MayUseOthers,
}

#[cfg(unix)]
fn check_is_own(metadata: &Metadata, superuser: Superuser) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let (own, owner) = (rustix::process::geteuid().as_raw(), metadata.uid());
    let may_use = own == ROOT && superuser == Superuser::MayUseOthers;
    if owner == own || owner == ROOT || may_use {
        return Ok(());
    }
    Err(format!("belongs to another user (uid {owner}): make it your own, or use another one"))
}

#[cfg(unix)]
fn check_mode(metadata: &Metadata, path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let own = rustix::process::geteuid().as_raw();
    let has_group_of_its_own = [own, metadata.uid(), ROOT].contains(&metadata.gid());
    let others = if has_group_of_its_own { 0o002 } else { 0o022 };
    if metadata.mode() & others == 0 {
        return Ok(());
    }
    let mode = metadata.mode() & 0o777;
    Err(format!("can be written by others (mode {mode:03o}): run `chmod go-w {}`", path.display()))
}

/// Returns a warning if users other than its owner can read the file at `path`, which holds a key.
#[cfg(unix)]
pub(crate) fn exposure(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    let mode = metadata.mode() & 0o777;
    let path = path.display();
    (mode & 0o044 != 0)
        .then(|| format!("⚠️ {path} holds a key and may be read by others (mode {mode:03o}): run `chmod 600 {path}`"))
}

#[cfg(unix)]
const ROOT: u32 = 0;
/// `S_ISVTX`.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

/// Windows restricts a user's files to the user by default.
#[cfg(not(unix))]
mod windows {
    use std::fs::Metadata;
    use std::path::Path;

    pub(crate) fn check_owner(_path: &Path) -> Result<(), String> {
        Ok(())
    }

    pub(crate) fn check_login(_path: &Path, _metadata: &Metadata) -> Result<(), String> {
        Ok(())
    }

    pub(crate) fn check_directory(_directory: &Path) -> Result<(), String> {
        Ok(())
    }

    pub(crate) fn is_own_file(metadata: &Metadata) -> bool {
        metadata.is_file()
    }

    pub(crate) fn exposure(_path: &Path) -> Option<String> {
        None
    }
}

#[cfg(not(unix))]
pub(crate) use windows::{check_directory, check_login, check_owner, exposure, is_own_file};

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.toml");
        std::fs::write(&path, "").expect("written");
        for (mode, is_refused) in [(0o600, false), (0o644, false), (0o400, false), (0o602, true), (0o666, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(check_owner(&path).is_err(), is_refused, "{mode:o}");
        }
        assert!(check_owner(&directory.path().join("nothing")).is_ok());
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        // Only root can give a file away.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys");
        std::fs::write(&path, "k").expect("written");
        std::os::unix::fs::chown(&path, Some(12_345), Some(12_345)).expect("given away");
        assert!(check_owner(&path).expect_err("another user's").contains("12345"));
        std::os::unix::fs::chown(&path, Some(0), Some(12_345)).expect("taken back");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).expect("a mode");
        assert!(check_owner(&path).expect_err("a group's").contains("chmod go-w"));
    }

    #[test]
    fn a_directory_counts_like_its_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("auth.json");
        std::fs::write(&path, "{}").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        let metadata = std::fs::metadata(&path).expect("a file");
        for (mode, is_refused) in [(0o700, false), (0o755, false), (0o777, true), (0o1777, false)] {
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).expect("a mode");
            let checked = check_login(&path, &metadata);
            assert_eq!(checked.is_err(), is_refused, "{mode:o}: {checked:?}");
        }
    }
}
