//! Where a login is: which store, where in it, and how another process opens it.

use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;

#[cfg(not(target_arch = "wasm32"))]
use serde::{Deserialize, Serialize};

/// Which of the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreName {
    /// This program's own file.
    Xdg,
    /// The Codex CLI's file.
    Legacy,
    /// The system's keychain.
    Keychain,
    /// Environment variables.
    Env,
    /// Only this process's memory.
    Memory,
    /// A Worker's KV namespace and the Durable Object that owns it.
    Kv,
}

impl StoreName {
    /// The name as on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xdg => "xdg",
            Self::Legacy => "legacy",
            Self::Keychain => "keychain",
            Self::Env => "env",
            Self::Memory => "memory",
            Self::Kv => "kv",
        }
    }

    /// What a person does to put a working login there.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Xdg => "run `codex-proxy login`",
            Self::Legacy => "run `codex-proxy login --creds-store legacy` or `codex login`",
            Self::Keychain => "run `codex-proxy login --creds-store keychain`",
            Self::Env => {
                "set ACCESS_TOKEN to a new token and start again, or choose another store and run `codex-proxy login`"
            }
            Self::Memory => "start again",
            Self::Kv => "store new credentials with POST /admin/credentials",
        }
    }
}

/// A store and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which store.
    pub store: StoreName,
    /// Its path or item.
    pub location: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.location)
    }
}

/// A store that another process can open too.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreAddress {
    /// This program's own file.
    Xdg(PathBuf),
    /// The Codex CLI's file.
    Legacy(PathBuf),
    /// A file named otherwise that leads to the Codex CLI's.
    Shared(PathBuf),
    /// This program's keychain item, with its lock in a directory.
    Keychain(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_remedy_leads_to_the_store_it_is_for() {
        for name in [StoreName::Legacy, StoreName::Keychain] {
            let command = format!("codex-proxy login --creds-store {}", name.as_str());
            assert!(name.remedy().contains(&command), "{name:?}: {}", name.remedy());
        }
        assert!(StoreName::Xdg.remedy().contains("`codex-proxy login`"));
        assert!(StoreName::Env.remedy().contains("ACCESS_TOKEN"));
        assert!(!StoreName::Memory.remedy().contains("login"), "nobody can sign in to a process's memory");
    }
}
