//! The place of a login: its store, the location in it, and the address for another process.

use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;

#[cfg(not(target_arch = "wasm32"))]
use serde::{Deserialize, Serialize};

/// The kind of a store.
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
    /// Returns the name used on the command line.
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

    /// Returns the instruction that puts a working login there.
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

/// A store and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The kind of store.
    pub store: StoreName,
    /// The path or keychain item.
    pub location: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.location)
    }
}

/// The address of a store that another process can open too.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreAddress {
    /// This program's own file.
    Xdg(PathBuf),
    /// The Codex CLI's file.
    Legacy(PathBuf),
    /// Another path that leads to the Codex CLI's file.
    Shared(PathBuf),
    /// This program's keychain item; its lock file is in this directory.
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
