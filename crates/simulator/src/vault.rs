//! The backend's ids and encrypted content.
//!
//! * Encrypted content is bound to its owner and to this simulator, and is recognised without a record: half of it is a
//!   digest of the other half.
//! * Ids carry the prefix of their type and look random.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use sha2::{Digest as _, Sha256};

/// The owner of encrypted content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    /// The account of the answer; another account's requests are refused (openai/codex#8132, BerriAI/litellm's report
    /// of an `organization_id` that did not match).
    pub(super) account: &'a str,
    /// The model of the reasoning; empty for a compaction, which the Codex CLI keeps when it changes the model.
    /// Reasoning is documented to be bound to its model for OpenAI's models on Azure and Bedrock (openai/codex#17541,
    /// BerriAI/litellm#41785): the strictest reading, so that a request accepted here is accepted everywhere.
    pub(super) model: &'a str,
}

/// Makes ids and encrypted content.
#[derive(Debug)]
pub(super) struct Vault {
    seed: String,
    counter: AtomicU64,
    /// How often sealed content became unreadable.
    epoch: AtomicU64,
}

impl Vault {
    pub(super) fn new(seed: &str) -> Self {
        Self { seed: seed.to_owned(), counter: AtomicU64::new(0), epoch: AtomicU64::new(0) }
    }

    /// Creates an id: `prefix`, an underscore and 48 hexadecimal digits.
    pub(super) fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", hex(&self.digest(&["id", &self.next()])[..24]))
    }

    /// Creates an id of the length that the backend sometimes returns and never accepts back.
    pub(super) fn long_id(&self, prefix: &str) -> String {
        let mut id = self.id(prefix);
        while id.len() < 400 {
            id.push_str(&hex(&self.digest(&["long", &self.next()])));
        }
        id.truncate(400);
        id
    }

    /// Creates a call id.
    pub(super) fn call_id(&self) -> String {
        format!("call_{}", hex(&self.digest(&["call", &self.next()])[..12]))
    }

    /// Creates encrypted content for `owner`.
    pub(super) fn seal(&self, owner: Owner<'_>) -> String {
        let nonce = self.digest(&["nonce", &self.next()]);
        let mut bytes = vec![0x80, 0, 0, 0, 0];
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&self.mark(&nonce, owner));
        URL_SAFE.encode(bytes)
    }

    /// Makes all content sealed so far unreadable.
    pub(super) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether [`Vault::seal`] created `text` for `owner`.
    pub(super) fn opens(&self, text: &str, owner: Owner<'_>) -> bool {
        let Ok(bytes) = URL_SAFE.decode(text) else { return false };
        bytes.len() == 69 && bytes[37..] == self.mark(&bytes[5..37], owner)
    }

    fn mark(&self, nonce: &[u8], owner: Owner<'_>) -> [u8; 32] {
        let epoch = self.epoch.load(Ordering::Relaxed).to_string();
        self.digest(&["seal", &epoch, owner.account, owner.model, &hex(nonce)])
    }

    fn next(&self) -> String {
        self.counter.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.seed);
        for part in parts {
            hash.update([0]);
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Formats lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[digit as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_opens_for_its_owner_and_simulator_only() {
        let vault = Vault::new("one");
        let owner = Owner { account: "a", model: "m" };
        let sealed = vault.seal(owner);
        assert!(sealed.starts_with("gAAAA"));
        assert!(vault.opens(&sealed, owner));
        assert!(!vault.opens(&sealed, Owner { account: "b", ..owner }));
        assert!(!vault.opens(&sealed, Owner { model: "n", ..owner }));
        assert!(!Vault::new("two").opens(&sealed, owner));
        assert!(!vault.opens("gAAAAAforeign", owner));
        vault.forget();
        assert!(!vault.opens(&sealed, owner));
        assert_ne!(vault.id("msg"), vault.id("msg"));
        assert_eq!(vault.long_id("fc").len(), 400);
    }
}
