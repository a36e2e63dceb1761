//! A text in a keychain: in one item, or in several where the system limits their size.
//!
//! * Windows allows 2,560 bytes per item, and a login has three tokens of about that size each.
//! * In parts, the item itself holds only the number of parts and which of two name prefixes they have. New parts are
//!   written under the unused prefix, then the item is changed, then the old parts are deleted: the item leads to a
//!   whole text at every moment.
//! * Calls block.
//! * A build without the feature `keychain` has no keychain to call: every call is an error that says so.

use std::sync::{Arc, LazyLock};

use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

/// The name of an item, and the largest part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) service: String,
    pub(super) account: String,
    /// The largest item in bytes; `None` for no limit.
    pub(super) part_size: Option<usize>,
}

/// The location of a text's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    generation: u8,
    count: usize,
}

impl Item {
    pub(super) fn get(&self) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let Some(head) = self.read(&self.account)? else { return Ok(None) };
        let Some(parts) = Parts::parse(&head) else { return Ok(Some(head)) };
        let mut text = Zeroizing::new(Vec::new());
        for index in 0..parts.count {
            let part = self.read(&self.part_name(parts.generation, index))?;
            text.extend_from_slice(&part.ok_or("a part of it is missing")?);
        }
        Ok(Some(text))
    }

    pub(super) fn set(&self, text: &[u8]) -> Result<(), String> {
        let old = self.read(&self.account)?.and_then(|head| Parts::parse(&head));
        match self.part_size.filter(|size| text.len() > *size) {
            None => self.write(&self.account, text)?,
            Some(size) => {
                let generation = old.map_or(0, |old| old.generation ^ 1);
                for (index, part) in text.chunks(size).enumerate() {
                    self.write(&self.part_name(generation, index), part)?;
                }
                let head = Parts { generation, count: text.len().div_ceil(size) };
                self.write(&self.account, head.to_text().as_bytes())?;
            }
        }
        self.remove_parts(old)
    }

    /// Removes the text; returns `false` if there was none.
    pub(super) fn delete(&self) -> Result<bool, String> {
        let old = self.read(&self.account)?.and_then(|head| Parts::parse(&head));
        let deleted = present(self.entry(&self.account)?.delete_credential())?.is_some();
        self.remove_parts(old)?;
        Ok(deleted)
    }

    fn remove_parts(&self, parts: Option<Parts>) -> Result<(), String> {
        let Some(parts) = parts else { return Ok(()) };
        for index in 0..parts.count {
            present(self.entry(&self.part_name(parts.generation, index))?.delete_credential())?;
        }
        Ok(())
    }

    fn read(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        Ok(present(self.entry(account)?.get_secret())?.map(Zeroizing::new))
    }

    fn write(&self, account: &str, secret: &[u8]) -> Result<(), String> {
        self.entry(account)?.set_secret(secret).map_err(|error| error.to_string())
    }

    fn entry(&self, account: &str) -> Result<Entry, String> {
        let keychain = KEYCHAIN.as_ref().map_err(Clone::clone)?;
        keychain.build(&self.service, account, None).map_err(|error| error.to_string())
    }

    fn part_name(&self, generation: u8, index: usize) -> String {
        format!("{}.{generation}.{index}", self.account)
    }
}

impl Parts {
    fn parse(head: &[u8]) -> Option<Self> {
        let (generation, count) = std::str::from_utf8(head).ok()?.strip_prefix(PARTS)?.split_once(' ')?;
        Some(Self { generation: generation.parse().ok()?, count: count.parse().ok()? })
    }

    fn to_text(self) -> String {
        format!("{PARTS}{} {}", self.generation, self.count)
    }
}

/// Maps a missing item to `None`.
fn present<T>(result: keyring_core::Result<T>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Opens the system's keychain.
#[cfg(feature = "keychain")]
fn keychain() -> Result<Arc<CredentialStore>, String> {
    #[cfg(target_os = "macos")]
    let keychain = apple_native_keyring_store::keychain::Store::new();
    #[cfg(windows)]
    let keychain = windows_native_keyring_store::Store::new();
    #[cfg(all(unix, not(target_os = "macos")))]
    let keychain = dbus_secret_service_keyring_store::Store::new();
    match keychain {
        Ok(keychain) => Ok(keychain),
        Err(error) => Err(format!("this system has no keychain: {error}")),
    }
}

/// Stands in for the system's keychain in a build without it.
#[cfg(not(feature = "keychain"))]
fn keychain() -> Result<Arc<CredentialStore>, String> {
    Err("this program was built without the feature `keychain`; choose another store with --creds-store".to_owned())
}

static KEYCHAIN: LazyLock<Result<Arc<CredentialStore>, String>> = LazyLock::new(keychain);

const PARTS: &str = "in parts: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_not_taken_for_a_list_of_parts() {
        let parts = Parts { generation: 1, count: 4 };
        assert_eq!(Parts::parse(parts.to_text().as_bytes()), Some(parts));
        for head in ["{\"tokens\":{}}", "in parts: ", "in parts: 1", "in parts: x 2", ""] {
            assert_eq!(Parts::parse(head.as_bytes()), None, "{head}");
        }
    }
}
