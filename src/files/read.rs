//! Reading files that somebody else may have put there.
//!
//! * Opening never waits: a named pipe without a writer would hold the program for ever.
//! * What is read has a bound: a link to a device would fill the memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Reads the regular file at `path`. Anything else there, or more than `largest` bytes, is an error of the kind
/// [`io::ErrorKind::InvalidInput`] or [`io::ErrorKind::FileTooLarge`].
pub(crate) fn regular(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    check_regular(&file)?;
    bounded(file, largest)
}

/// Refuses an open `file` that is not a regular one.
pub(crate) fn check_regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Returns whether something is at `path`, be it a symbolic link that leads nowhere: a file that is not mounted is not
/// the same as none.
pub(crate) fn is_something(path: &Path) -> bool {
    let is_nothing = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    !path.symlink_metadata().is_err_and(is_nothing)
}

/// Reads the text of the regular file at `path`, like [`regular`].
pub(crate) fn regular_text(path: &Path, largest: u64) -> io::Result<String> {
    text(regular(path, largest)?)
}

/// Reads the text of a file that the user named, which may be a pipe such as a shell's `<(…)`, and may take its time.
pub(crate) fn named_text(path: &Path, largest: u64) -> io::Result<String> {
    text(bounded(File::open(path)?, largest)?)
}

/// Returns `text` without the byte order mark that some editors of Windows begin a file with.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn bounded(file: File, largest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {largest} bytes")));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("it is not UTF-8: byte {place} begins no character"))
    })
}

/// Opens the file at `path` for reading, without waiting for the other end of a pipe.
#[cfg(unix)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

/// Opens the file at `path` for reading.
#[cfg(not(unix))]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_read_up_to_its_bound() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        std::fs::write(&path, "four").expect("written");
        assert_eq!(regular(&path, 4).expect("read"), b"four");
        assert_eq!(regular_text(&path, 9).expect("read"), "four");
        for read in [regular_text(&path, 3), named_text(&path, 3)] {
            assert_eq!(read.expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        }
        std::fs::write(&path, b"\xff").expect("written");
        assert_eq!(regular_text(&path, 9).expect_err("no text").kind(), io::ErrorKind::InvalidData);
        let missing = regular(&directory.path().join("nothing"), 9).expect_err("nothing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(is_something(&path) && !is_something(&directory.path().join("nothing")));
        assert!(!is_something(&path.join("below a file")));
        assert!(regular(directory.path(), 9).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_that_leads_nowhere_is_something() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("nothing"), &path).expect("a link");
        assert!(is_something(&path) && !path.exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_not_waited_for_and_a_device_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("a pipe");
        for path in [&path, Path::new("/dev/zero")] {
            assert_eq!(regular(path, 9).expect_err("no file").kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        assert_eq!(named_text(Path::new("/dev/zero"), 9).expect_err("endless").kind(), io::ErrorKind::FileTooLarge);
    }
}
