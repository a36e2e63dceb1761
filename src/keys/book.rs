//! The keys in force.
//!
//! * On a laptop they follow their file: it is looked at by requests, at most twice a second, so that a change counts
//!   within a second and a server without such a file pays next to nothing.
//! * A server that has needed a key once needs one until it ends. Taking the last key away closes it; it never opens
//!   it, least of all to a network that it listens on because there were keys.

#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::keys::set::KeySet;
#[cfg(not(target_arch = "wasm32"))]
use crate::keys::watch::Watch;

/// The named keys of a server.
#[derive(Debug, Default)]
pub struct KeyBook {
    latest: RwLock<Arc<KeySet>>,
    was_needed: AtomicBool,
    #[cfg(not(target_arch = "wasm32"))]
    watch: Option<Watch>,
}

impl KeyBook {
    /// Creates a book of keys that stay as they are.
    pub fn of(set: KeySet) -> Self {
        let book = Self::default();
        book.replace(set);
        book
    }

    /// Creates a book of the keys in the file at `path`, which need not be there yet. The error is a clause about a
    /// file that cannot be used.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let (watch, set) = Watch::begin(path)?;
        Ok(Self { watch: Some(watch), ..Self::of(set) })
    }

    /// Returns the keys, after a look at their file if one is due.
    pub fn current(&self) -> Arc<KeySet> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(set) = self.watch.as_ref().and_then(Watch::look) {
            self.replace(set);
        }
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether there are keys, or have been since this server started.
    pub fn needs_key(&self) -> bool {
        self.was_needed.load(Ordering::Acquire)
    }

    fn replace(&self, set: KeySet) {
        let has_keys = !set.is_empty();
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        self.was_needed.fetch_or(has_keys, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::keys::file;
    use crate::keys::named::NamedKey;
    use crate::platform::Instant;

    /// Makes `name` the one key of the file.
    fn add(path: &Path, name: &str) {
        let text = format!(r#"{{"version":1,"keys":[{{"name":"{name}","sha256":"{}"}}]}}"#, "0".repeat(64));
        let keys = KeySet::parse(&text).expect("a key");
        file::change(path, |set| {
            *set = KeySet::default();
            keys.iter().try_for_each(|key| set.add(NamedKey::clone(key)))
        })
        .expect("changed");
    }

    /// Looks until `names` are in force.
    fn wait_for(book: &KeyBook, names: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let in_force = || book.current().iter().map(|key| key.name.to_string()).collect::<Vec<_>>();
        while in_force() != names {
            assert!(Instant::now() < deadline, "{:?}", in_force());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn the_file_is_followed_and_what_was_closed_stays_closed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys.json");
        let book = KeyBook::open(path.clone()).expect("no file yet");
        assert!(book.current().is_empty() && !book.needs_key());
        add(&path, "one");
        wait_for(&book, &["one"]);
        assert!(book.needs_key());
        // Of the same size, in the same moment.
        add(&path, "two");
        wait_for(&book, &["two"]);
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, text.replace("two", "six")).expect("written in place");
        wait_for(&book, &["six"]);
        std::fs::write(&path, "{").expect("written");
        std::thread::sleep(Duration::from_millis(600));
        wait_for(&book, &["six"]);
        assert!(KeyBook::open(path.clone()).is_err(), "but nothing begins with it");
        std::fs::remove_file(&path).expect("removed");
        add(&path, "ten");
        wait_for(&book, &["ten"]);
        std::fs::remove_file(&path).expect("removed");
        wait_for(&book, &[]);
        assert!(book.needs_key());
    }
}
