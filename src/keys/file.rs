//! The file of the keys: `keys.json` in the program's own directory, 0600.
//!
//! * A file that other users can write, or whose directory they can, is refused: a key of theirs would spend the
//!   subscription. So is what is no regular file.
//! * A change takes a lock that the system releases however its owner ends, reads the file again, and replaces it whole.
//! * A symbolic link of the user's is followed: its target is replaced.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::files::replace::{Readers, replace};
use crate::files::{private, read, trust};
use crate::keys::set::KeySet;
use crate::platform::Instant;
use crate::secret::Secret;

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
    changed: Option<Duration>,
}

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let nanos = u32::try_from(metadata.ctime_nsec()).ok();
        let changed = u64::try_from(metadata.ctime()).ok().zip(nanos).map(|(secs, nanos)| Duration::new(secs, nanos));
        let identity = (metadata.dev(), metadata.ino());
        Self { identity, size: metadata.len(), modified: metadata.modified().ok(), changed }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { identity: (0, 0), size: metadata.len(), modified: metadata.modified().ok(), changed: None }
    }

    /// Returns the time from the last change to `now`; `None` for one in the future.
    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        let modified = self.modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        now.checked_sub(self.changed.max(modified)?)
    }
}

/// Returns the stamp of the file at `path`; `None` if there is none, or none that can be seen.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().as_ref().map(Stamp::of)
}

/// Reads the keys, and the stamp of the file that had them. Without a file there are no keys. The error is a clause.
pub(super) fn observe(path: &Path) -> Result<(KeySet, Option<Stamp>), String> {
    let told = |error: io::Error| error.to_string();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(_) if !read::is_something(path) => return Ok((KeySet::default(), None)),
        // A link that leads nowhere, too: the keys that it led to closed the API.
        Err(error) => return Err(told(error)),
    };
    check_directory(path)?;
    let text = read::regular_text(path, LARGEST).map_err(told)?;
    // Seen before it was read: a change in between shows at the next look.
    trust::check_login(&fs::canonicalize(path).map_err(told)?, &metadata).map_err(|problem| format!("it {problem}"))?;
    Ok((KeySet::parse(&text)?, Some(Stamp::of(&metadata))))
}

/// Returns the keys in the file at `path`. The error is a clause.
pub fn load(path: &Path) -> Result<KeySet, String> {
    observe(path).map(|(set, _)| set)
}

/// Changes the keys in the file at `path`, unless `edit` fails; nobody else changes them meanwhile. The error is a
/// clause.
pub fn change<T>(path: &Path, edit: impl FnOnce(&mut KeySet) -> Result<T, String>) -> Result<T, String> {
    check_directory(path)?;
    let path = target(path).map_err(|error| error.to_string())?;
    let directory = path.parent().unwrap_or(Path::new("."));
    private::create_directory(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    trust::check_directory(directory)?;
    let _lock = lock(&path.with_extension("json.lock"))?;
    let mut set = load(&path)?;
    let outcome = edit(&mut set)?;
    replace(&path, &set.to_json()?, Readers::Owner).map_err(|error| error.to_string())?;
    Ok(outcome)
}

/// Creates a key: 256 random bits behind a prefix that secret scanners and people know it by.
pub fn generate() -> io::Result<Secret> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// Refuses a directory in which another user can replace the file, or the link to it.
fn check_directory(path: &Path) -> Result<(), String> {
    path.parent().map_or(Ok(()), trust::check_directory)
}

/// Follows a symbolic link in the place of the file.
fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(_) => fs::canonicalize(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// Waits for the lock, which is held until the file is dropped.
fn lock(path: &Path) -> Result<File, String> {
    let problem = |error: io::Error| format!("{}: {error}", path.display());
    let file = private::create_file(path).map_err(problem)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(problem(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(format!("another process has been changing it for {} seconds", PATIENCE.as_secs()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

const PREFIX: &str = "cxp-";
/// Several times the largest set.
const LARGEST: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::digest::KeyDigest;
    use crate::keys::named::{KeyName, NamedKey};

    fn key(name: &str) -> NamedKey {
        let digest = KeyDigest::of(generate().expect("random").expose().as_bytes());
        NamedKey::unlimited(KeyName::parse(name).expect("a name"), digest)
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b/keys.json");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || change(path, |set| set.add(key(&number.to_string()))).expect("added"));
            }
        });
        assert_eq!(load(&path).expect("read").iter().count(), 8);
        change(&path, |set| Ok(set.remove("3"))).expect("removed");
        change(&path, |_| Err::<(), _>("no".to_owned())).expect_err("left as it was");
        assert_eq!(load(&path).expect("read").iter().count(), 7);
    }

    #[test]
    fn keys_are_random_and_long() {
        let [one, other] = [(); 2].map(|()| generate().expect("random"));
        assert!(one != other && one.expose().starts_with(PREFIX) && one.expose().len() == PREFIX.len() + 43);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_the_users_alone_and_one_that_others_can_change_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("codex-proxy");
        let path = directory.join("keys.json");
        let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        change(&path, |set| set.add(key("a"))).expect("added");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&directory)), (0o600, 0o700));
        chmod(&path, 0o644);
        change(&path, |set| set.add(key("b"))).expect("added");
        assert_eq!(mode(&path), 0o600);
        chmod(&path, 0o606);
        let refused = |path: &Path| {
            let added = change(path, |set| set.add(key("c"))).expect_err("refused");
            assert_eq!(load(path).expect_err("refused"), added);
            added
        };
        assert!(refused(&path).contains("can be written by others"));
        chmod(&path, 0o600);
        chmod(&directory, 0o777);
        assert!(change(&path, |set| set.add(key("c"))).expect_err("refused").contains("chmod go-w"));
        assert!(load(&path).expect_err("refused").contains("its directory"));
        chmod(&directory, 0o700);
        assert_eq!(load(&path).expect("read").iter().count(), 2, "nothing was changed");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_where_its_target_can_be_trusted() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let root = tempfile::tempdir().expect("a directory");
        let (real, open) = (root.path().join("dotfiles/keys.json"), root.path().join("open"));
        change(&real, |set| set.add(key("a"))).expect("added");
        let link = root.path().join("keys.json");
        symlink(&real, &link).expect("linked");
        change(&link, |set| set.add(key("b"))).expect("added");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(load(&real).expect("read").iter().count(), 2);
        // A target that somebody else can replace.
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("a mode");
        fs::copy(&real, open.join("keys.json")).expect("copied");
        fs::remove_file(&link).expect("removed");
        symlink(open.join("keys.json"), &link).expect("linked");
        assert!(load(&link).is_err() && change(&link, |set| set.add(key("c"))).is_err());
        // A dangling link is no place for a file.
        fs::remove_file(&link).expect("removed");
        symlink(root.path().join("nowhere"), &link).expect("linked");
        assert!(change(&link, |set| set.add(key("c"))).is_err() && !root.path().join("nowhere").exists());
        fs::remove_file(&link).expect("removed");
        fs::create_dir(&link).expect("made");
        assert_eq!(load(&link).expect_err("a directory"), "it is not a regular file");
    }
}
