//! Files and directories that only their user can read.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::files::read;

/// Creates the directory 0700, and missing ones above it alike. One that exists stays as it is.
#[cfg(unix)]
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Windows restricts a user's directories to the user by default.
#[cfg(not(unix))]
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}

/// Opens the regular file for writing, without waiting for a pipe in its place. A missing one is created 0600; one of this
/// user's that others can read, and not write, becomes 0600. What others can write stays as it is, to be refused.
#[cfg(unix)]
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        // A pipe that nobody reads.
        Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => {
            io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
        }
        _ => error,
    })?;
    read::check_regular(&file)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o044 != 0 && mode & 0o022 == 0 {
        // Another user's file stays as it is; who owns it is checked elsewhere.
        let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
    }
    Ok(file)
}

/// Opens the file for writing, and creates a missing one.
#[cfg(not(unix))]
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    read::check_regular(&file).map(|()| file)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_created_is_the_users_alone() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("a/b");
        create_directory(&directory).expect("created");
        create_directory(&directory).expect("there already");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&root.path().join("a"))), (0o700, 0o700));
        let path = directory.join("file");
        create_file(&path).expect("created");
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        fs::write(&path, "kept").expect("written");
        create_file(&path).expect("opened");
        assert_eq!((mode(&path), fs::read_to_string(&path).expect("text").as_str()), (0o600, "kept"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
        create_file(&path).expect("opened");
        assert_eq!(mode(&path), 0o666, "whoever could write it may have, so it is not made to look sound");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let root = tempfile::tempdir().expect("a directory");
        let pipe = root.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
        for path in [&pipe, Path::new("/dev/null")] {
            assert_eq!(create_file(path).expect_err("no file").kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
    }
}
