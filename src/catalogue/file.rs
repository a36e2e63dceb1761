//! The copy of the account's list of models as a file in the user's cache directory.
//!
//! * A write goes to a temporary file in the same directory and is renamed into place. It is not synced: a copy lost in
//!   a power failure is fetched again.
//! * The directory is created 0700, the file 0600: the account's models are private.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::catalogue::copy::CatalogueCache;
use crate::files::{private, read};

/// A file with the copy.
#[derive(Clone)]
pub struct CatalogueFile {
    path: PathBuf,
}

impl CatalogueFile {
    /// Uses `models.json` in `directory`, which is created when needed.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join(FILE_NAME) }
    }
}

impl fmt::Debug for CatalogueFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())
    }
}

impl CatalogueCache for CatalogueFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match read::regular(&self.path, LARGEST) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&self, text: Vec<u8>) -> BoxFuture<'_, io::Result<()>> {
        let path = self.path.clone();
        async move {
            let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
            written.unwrap_or_else(|error| Err(io::Error::other(error)))
        }
        .boxed()
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    private::create_directory(directory)?;
    // tempfile creates its files 0600.
    let mut temporary = tempfile::Builder::new().prefix(".models.").suffix(".tmp").tempfile_in(directory)?;
    temporary.write_all(text)?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

const FILE_NAME: &str = "models.json";

/// Larger than any list of models.
const LARGEST: u64 = 16 * 1024 * 1024;
