//! Whose word is taken: files that decide where the login goes, and files that hold keys.
//!
//! * A file that other users can write is refused: the `upstream-url` in it would be told the access token.
//! * A file with a key in it that other users can read is used, with a warning.
//! * A group that holds its user alone is no other user: many systems make such a group for each user, and then new files
//!   are writable by it (<https://www.debian.org/doc/debian-policy/ch-opersys.html>).

use std::path::Path;

/// Refuses the file at `path` if somebody else owns it or can write to it. The error says what to do.
#[cfg(unix)]
pub(super) fn check_owner(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    // A file that is not there, or may not be looked at, fails where it is read.
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    // What a pipe holds came from whoever started this program.
    if !metadata.is_file() {
        return Ok(());
    }
    let (own, owner) = (rustix::process::geteuid().as_raw(), metadata.uid());
    if owner != own && owner != ROOT {
        return Err(format!("belongs to another user (uid {owner}): make it your own, or use another file"));
    }
    let has_group_of_its_own = metadata.gid() == own || metadata.gid() == ROOT;
    let others = if has_group_of_its_own { 0o002 } else { 0o022 };
    if metadata.mode() & others != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!("can be written by others (mode {mode:03o}): run `chmod go-w {}`", path.display()));
    }
    Ok(())
}

/// What to warn of if users other than its owner can read the file at `path`, which holds a key.
#[cfg(unix)]
pub(super) fn exposure(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mode = metadata.mode() & 0o777;
    let path = path.display();
    (mode & 0o044 != 0)
        .then(|| format!("⚠️ {path} holds a key and may be read by others (mode {mode:03o}): run `chmod 600 {path}`"))
}

#[cfg(unix)]
const ROOT: u32 = 0;

/// Windows keeps a user's files to the user unless told otherwise.
#[cfg(not(unix))]
pub(super) fn check_owner(_path: &Path) -> Result<(), String> {
    Ok(())
}

/// Windows keeps a user's files to the user unless told otherwise.
#[cfg(not(unix))]
pub(super) fn exposure(_path: &Path) -> Option<String> {
    None
}

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
}
