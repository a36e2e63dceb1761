//! Opens the database.
//!
//! * The directory is created 0700, the file 0600 from its first byte; SQLite gives its side files the same mode. A file
//!   that others can change is not used.
//! * A database that cannot be read, or that a newer program has made, is set aside under a name that says so, with its
//!   side files, and never deleted.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::files::{private, read, trust};
use crate::ledger::book::LedgerPlace;
use crate::ledger::schema::{self, APPLICATION, VERSION};
use crate::platform::unix_now;

/// Why a ledger cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The file is no ledger, or damaged.
    #[error("{0}")]
    Broken(String),
    /// A newer program has made the file.
    #[error("a newer version of this program has made it (form {0})")]
    Newer(i64),
    /// The file cannot be used at the moment.
    #[error("{0}")]
    Unusable(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Broken(error.to_string()),
            _ => Self::Unusable(error.to_string()),
        }
    }
}

/// Opens the ledger at `place` for writing, in the newest form. One that cannot be read is set aside, and a new one
/// begun.
pub(super) fn open(place: &LedgerPlace) -> Result<Connection, Trouble> {
    match (open_as_it_is(place), place) {
        (Err(trouble @ (Trouble::Broken(_) | Trouble::Newer(_))), LedgerPlace::File(path)) => {
            set_aside(path, &trouble)?;
            open_as_it_is(place)
        }
        (opened, _) => opened,
    }
}

/// Opens the ledger at `place` for reading; `None` if there is none.
pub(super) fn open_to_read(place: &LedgerPlace) -> Result<Option<Connection>, Trouble> {
    if let LedgerPlace::File(path) = place {
        if !read::is_something(path) {
            return Ok(None);
        }
        check_regular(path).map_err(Trouble::Unusable)?;
    }
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match version(&connection)? {
        0 => Ok(None),
        _ => Ok(Some(connection)),
    }
}

/// Returns what tells the file at `path` from another one there; `None` if there is none. Windows keeps an open file in its
/// place.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let identity = (std::os::unix::fs::MetadataExt::dev(&metadata), std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    let identity = (u64::from(metadata.is_file()), 0);
    Some(identity)
}

/// Renames the database at `path` and its side files.
pub(super) fn set_aside(path: &Path, trouble: &Trouble) -> Result<(), Trouble> {
    let word = if matches!(trouble, Trouble::Newer(_)) { "newer" } else { "broken" };
    let ending = format!(".{word}-{}", unix_now().as_millis());
    let aside = beside(path, &ending);
    let unusable = |error: io::Error| Trouble::Unusable(format!("{trouble}; it cannot be set aside: {error}"));
    std::fs::rename(path, &aside).map_err(unusable)?;
    for side in SIDE_FILES {
        // They exist only while a process has the database open, or after a crash.
        let _ = std::fs::rename(beside(path, side), beside(&aside, side));
    }
    let (path, aside) = (path.display(), aside.display());
    tracing::warn!("⚠️ the ledger {path} is set aside as {aside}, and a new one begun: {trouble}");
    Ok(())
}

fn open_as_it_is(place: &LedgerPlace) -> Result<Connection, Trouble> {
    if let LedgerPlace::File(path) = place {
        prepare(path).map_err(Trouble::Unusable)?;
    }
    let mut connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let version = version(&connection)?;
    let most_pages = match place {
        LedgerPlace::File(_) => MOST_BYTES / PAGE,
        LedgerPlace::Memory(_) => MOST_MEMORY / PAGE,
    };
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "max_page_count", most_pages)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    schema::migrate(&mut connection, version)?;
    Ok(connection)
}

fn connect(place: &LedgerPlace, access: OpenFlags) -> Result<Connection, Trouble> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match place {
        LedgerPlace::File(path) => Connection::open_with_flags(path, flags)?,
        // A name that begins with a slash is shared within the process (https://sqlite.org/src/file/src/memdb.c).
        LedgerPlace::Memory(name) => {
            Connection::open_with_flags(format!("file:/{name}?vfs=memdb"), flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Returns the number of steps that the database has taken; 0 for a new one.
fn version(connection: &Connection) -> Result<usize, Trouble> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (version, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (version, application, tables) == (0, 0, 0) {
        return Ok(0);
    }
    if application != i64::from(APPLICATION) {
        return Err(Trouble::Broken("it is a database of another program".to_owned()));
    }
    match usize::try_from(version) {
        Ok(steps) if steps <= VERSION => Ok(steps),
        Ok(_) => Err(Trouble::Newer(version)),
        Err(_) => Err(Trouble::Broken(format!("its form is {version}"))),
    }
}

/// Creates the directory and the file, private to the user, and checks who can change them.
fn prepare(path: &Path) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    let refused = |problem: String| format!("it {problem}");
    if let Some(directory) = path.parent() {
        private::create_directory(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        trust::check_directory(directory).map_err(refused)?;
    }
    let file = private::create_file(path).map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    trust::check_login(path, &metadata).map_err(refused)
}

/// Refuses what is no regular file: SQLite would wait for the other end of a pipe.
fn check_regular(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];
/// The longest wait for another process that writes.
const PATIENCE: Duration = Duration::from_secs(5);
/// SQLite's size of a page.
const PAGE: i64 = 4096;
/// The largest database: ten million requests. What would make it larger is lost.
const MOST_BYTES: i64 = 1 << 30;
/// The largest database in memory.
const MOST_MEMORY: i64 = 16 << 20;
/// The pages that stay in memory.
const CACHE_KIB: i64 = 512;
