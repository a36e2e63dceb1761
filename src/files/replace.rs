//! Replacing a file of the user's: whole or not at all.
//!
//! * The new text goes to a temporary file in the same directory, is synced, and takes the name.
//! * The file keeps its rights and, where the system allows it, its owner; a new file is its user's alone.
//! * A link is not followed here: the caller names the real file.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, Write as _};
use std::path::Path;

/// Who may read the file afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Those who could before; of a new file its user.
    AsBefore,
    /// Its user: the file holds a key.
    Owner,
}

/// Puts `text` in the place of the file at `path`, which need not be there, nor its directory.
pub(crate) fn replace(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_directory(directory)?;
    // tempfile creates its files 0600.
    let mut temporary = tempfile::Builder::new().prefix(".codex-proxy.").suffix(".tmp").tempfile_in(directory)?;
    temporary.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(path) {
        keep_owner(temporary.as_file(), &metadata)?;
        temporary.as_file().set_permissions(permissions(&metadata, readers))?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A new directory is its user's alone, too.
fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

/// Whether the file's rights forbid its owner to write: something else manages it.
pub(crate) fn is_read_only(metadata: &Metadata) -> bool {
    metadata.permissions().readonly()
}

#[cfg(unix)]
fn permissions(before: &Metadata, readers: Readers) -> Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = before.permissions().mode() & 0o7777;
    Permissions::from_mode(if readers == Readers::Owner { mode & 0o7700 } else { mode })
}

#[cfg(not(unix))]
fn permissions(before: &Metadata, _readers: Readers) -> Permissions {
    before.permissions()
}

/// Root may edit another user's file, which stays that user's.
#[cfg(unix)]
fn keep_owner(file: &fs::File, before: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (before.uid(), before.gid()) {
        return Ok(());
    }
    let changed = std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()));
    // A group that the user is not in cannot be kept; another owner must be.
    if own.uid() == before.uid() { Ok(()) } else { changed }
}

#[cfg(not(unix))]
fn keep_owner(_file: &fs::File, _before: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_keeps_its_rights_unless_it_holds_a_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sub").join("settings.json");
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        replace(&path, "a", Readers::AsBefore).expect("written");
        assert_eq!(mode(), 0o600, "a new one");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("changed");
        replace(&path, "b", Readers::AsBefore).expect("written");
        assert_eq!((mode(), fs::read_to_string(&path).expect("text")), (0o644, "b".to_owned()));
        replace(&path, "c", Readers::Owner).expect("written");
        assert_eq!(mode(), 0o600);
        let left: Vec<_> = fs::read_dir(path.parent().expect("a parent")).expect("a directory").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn an_owner_is_kept_by_root() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        use std::os::unix::fs::{MetadataExt as _, chown};
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("settings.json");
        fs::write(&path, "").expect("written");
        chown(&path, Some(12_345), Some(12_345)).expect("given away");
        replace(&path, "a", Readers::AsBefore).expect("written");
        let metadata = fs::metadata(&path).expect("there");
        assert_eq!((metadata.uid(), metadata.gid()), (12_345, 12_345));
    }
}
