//! The files of a service: written whole, and never over a change of the user's.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::service::stamp::{is_mark, is_untouched, stamped};
use crate::files::{private, read};

/// A file of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceFile {
    pub(super) path: PathBuf,
    /// The text with its sum.
    text: String,
    encoding: TextEncoding,
}

/// The bytes of a file's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, little-endian, with its mark: what the task scheduler of Windows reads.
    Utf16,
}

/// What is at a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// The very text.
    Same,
    /// A text of other options or another version, unchanged since.
    Untouched,
    /// A text that somebody wrote or changed.
    Changed,
}

impl ServiceFile {
    /// Adds the file's path to the system's error.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    /// Makes a file of a rendered text.
    pub(super) fn new(path: PathBuf, text: &str, encoding: TextEncoding) -> Self {
        Self { path, text: stamped(text), encoding }
    }

    /// Returns what is at the file's place.
    pub(super) fn found(&self) -> io::Result<Found> {
        let bytes = match read::regular(&self.path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(self.named(&error)),
        };
        let text = self.encoding.decode(&bytes);
        Ok(match text {
            Some(text) if text == self.text => Found::Same,
            Some(text) if is_untouched(&text) => Found::Untouched,
            Some(_) | None => Found::Changed,
        })
    }

    /// Returns the text at the file's place, if there is one that can be read.
    pub(super) fn present(&self) -> Option<String> {
        read::regular(&self.path, LARGEST).ok().and_then(|bytes| self.encoding.decode(&bytes))
    }

    /// Returns the lines that differ from those of the file in its place: `-` and `+` before each. The sum is none of them.
    pub(super) fn differences(&self) -> Vec<String> {
        let before = self.present().unwrap_or_default();
        let only = |sign: char, lines: &str, others: &str| {
            let others: Vec<_> = others.lines().collect();
            let only = lines.lines().filter(|line| !others.contains(line) && !line.trim().is_empty() && !is_mark(line));
            only.map(|line| format!("{sign} {}", line.trim())).collect::<Vec<_>>()
        };
        [only('-', &before, &self.text), only('+', &self.text, &before)].concat()
    }

    /// Writes the file beside its place and moves it there. It is its user's alone.
    pub(super) fn write(&self) -> io::Result<()> {
        self.replace().map_err(|error| self.named(&error))
    }

    fn replace(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        private::create_directory(directory)?;
        let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
        temporary.write_all(&self.encoding.encode(&self.text))?;
        temporary.as_file().sync_all()?;
        temporary.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path).map_err(|error| self.named(&error))
    }
}

impl TextEncoding {
    fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16 => "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        }
    }

    fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Self::Utf16 => {
                let units: Vec<_> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
                Some(String::from_utf16(&units).ok()?.trim_start_matches('\u{feff}').to_owned())
            }
        }
    }
}

/// More bytes than any service's file has.
const LARGEST: u64 = 1 << 20;
