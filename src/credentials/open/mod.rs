//! Opens the chosen store and creates its supplier.
//!
//! * The process's environment comes in as an [`Environment`]; this module reads no variable itself.
//! * `auto` and `xdg` are the same file; `auto` alone imports another tool's login if the file does not exist.

mod migration;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::credentials::open::migration::Outcome;
use crate::credentials::process::DetachedRefresh;
use crate::credentials::store::CredentialStore;
use crate::credentials::store::env::EnvStore;
use crate::credentials::store::file::FileStore;
use crate::credentials::store::keychain::KeychainStore;
use crate::credentials::supplier::TokenSupplier;
use crate::oauth::Client;
use crate::platform::spawn;
use crate::secret::Secret;

/// Where the login is to be kept. The comments of the variants are the help text of `--creds-store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreChoice {
    /// The program's own file, filled from another tool's login on first launch
    #[default]
    Auto,
    /// The program's own file
    Xdg,
    /// The Codex CLI's file
    Legacy,
    /// The system's keychain
    Keychain,
    /// The variables `ACCESS_TOKEN` and `ACCOUNT_ID`
    Env,
}

impl StoreChoice {
    /// Returns whether the login is a file, whose permissions matter.
    pub const fn is_file(self) -> bool {
        match self {
            Self::Auto | Self::Xdg | Self::Legacy => true,
            Self::Keychain | Self::Env => false,
        }
    }

    /// Returns whether the login is this program's own, which no other tool renews.
    pub const fn is_own_file(self) -> bool {
        match self {
            Self::Auto | Self::Xdg => true,
            Self::Legacy | Self::Keychain | Self::Env => false,
        }
    }

    /// Returns whether a store without a login is filled from another tool's.
    pub const fn imports(self) -> bool {
        match self {
            Self::Auto | Self::Keychain => true,
            Self::Xdg | Self::Legacy | Self::Env => false,
        }
    }
}

/// The store's options from the command line.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The store.
    pub choice: StoreChoice,
    /// Replaces the default path of `auto`, `xdg` and `legacy`; a leading `~` is the home directory.
    pub path: Option<PathBuf>,
    /// Whether an imported login is renewed at once, to be independent of the other tool's.
    pub migrate_refresh: bool,
    /// The command of a separate process for refreshes; `None` refreshes in this one.
    pub detached_refresh: Option<DetachedRefresh>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { choice: StoreChoice::Auto, path: None, migrate_refresh: true, detached_refresh: None }
    }
}

/// The variables of the process's environment that concern logins.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The base directory of programs' configurations.
    pub config_directory: Option<PathBuf>,
    /// The directory that holds a cache directory for each program.
    pub cache_directory: Option<PathBuf>,
    /// The directory that holds a directory of each program's state.
    pub state_directory: Option<PathBuf>,
    /// `CODEX_HOME`, if set.
    pub codex_home: Option<PathBuf>,
    /// `ACCESS_TOKEN`.
    pub access_token: Option<Secret>,
    /// `ACCOUNT_ID`.
    pub account_id: Option<String>,
}

impl Environment {
    /// Reads the variables through `variable`. An empty variable counts as unset.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        // A relative path would depend on the directory the program was started in.
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        let home = absolute("HOME").or_else(|| absolute("USERPROFILE"));
        let directory = |stated: &str, on_windows: &str, usual: &str| {
            let platform = || if cfg!(windows) { absolute(on_windows) } else { None };
            absolute(stated).or_else(platform).or_else(|| home.as_ref().map(|home| home.join(usual)))
        };
        Self {
            config_directory: directory("XDG_CONFIG_HOME", "APPDATA", ".config"),
            cache_directory: directory("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache"),
            state_directory: directory("XDG_STATE_HOME", "LOCALAPPDATA", ".local/state"),
            codex_home: path("CODEX_HOME"),
            access_token: text("ACCESS_TOKEN").map(Secret::new),
            account_id: text("ACCOUNT_ID"),
            home,
        }
    }

    /// Replaces a leading `~` of `path` by the home directory.
    pub fn expand(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }

    /// This program's configuration directory.
    pub fn own_directory(&self) -> PathBuf {
        self.config_directory.clone().unwrap_or_default().join("codex-proxy")
    }

    /// This program's own directory for what can be fetched again; none for a user without a home.
    pub fn own_cache_directory(&self) -> Option<PathBuf> {
        self.cache_directory.as_ref().map(|caches| caches.join("codex-proxy"))
    }

    /// This program's own directory for what it records; none for a user without a home.
    pub fn own_state_directory(&self) -> Option<PathBuf> {
        self.state_directory.as_ref().map(|states| states.join("codex-proxy"))
    }

    /// This program's own file.
    pub fn xdg_path(&self) -> PathBuf {
        self.own_directory().join("auth.json")
    }

    /// The Codex CLI's directory.
    pub fn codex_directory(&self) -> PathBuf {
        let default = || self.home.clone().unwrap_or_default().join(".codex");
        self.codex_home.clone().unwrap_or_else(default)
    }

    /// The Codex CLI's file.
    pub fn legacy_path(&self) -> PathBuf {
        self.codex_directory().join("auth.json")
    }
}

/// Creates the chosen store without opening a file: at most two paths are compared for leading to the same directory.
pub fn open_store(options: &StoreOptions, environment: &Environment) -> Arc<dyn CredentialStore> {
    let path = |usual: PathBuf| options.path.as_ref().map_or(usual, |path| environment.expand(path));
    match options.choice {
        StoreChoice::Auto | StoreChoice::Xdg => {
            let store = FileStore::xdg(path(environment.xdg_path()));
            Arc::new(store.beside_codex_home(&environment.codex_directory()))
        }
        StoreChoice::Legacy => Arc::new(FileStore::legacy(path(environment.legacy_path()))),
        StoreChoice::Keychain => Arc::new(KeychainStore::own(&environment.own_directory())),
        StoreChoice::Env => Arc::new(EnvStore::new(environment.access_token.clone(), environment.account_id.clone())),
    }
}

/// Creates the chosen store's supplier and imports another tool's login if the choice says so. Always returns one: a
/// problem is logged, and returned again to every caller that needs a token.
pub async fn open_supplier(options: &StoreOptions, environment: &Environment, oauth: Client) -> Arc<TokenSupplier> {
    let store = open_store(options, environment);
    open_importing(store, &import_sources(options.choice, environment), options, oauth).await
}

/// Like [`open_supplier`], for any store and sources.
pub async fn open_importing(
    store: Arc<dyn CredentialStore>,
    sources: &[Arc<dyn CredentialStore>],
    options: &StoreOptions,
    oauth: Client,
) -> Arc<TokenSupplier> {
    let supplier = |store| {
        Arc::new(match options.detached_refresh.clone() {
            Some(refresh) => refresh.supplier(store, oauth),
            None => TokenSupplier::new(store, oauth),
        })
    };
    if sources.is_empty() {
        return supplier(store);
    }
    let outcome = migration::import(store.as_ref(), sources).await;
    let is_imported = matches!(outcome, Outcome::Imported);
    let store = if let Outcome::Fallback(source) = outcome { source } else { store };
    let supplier = supplier(store);
    if is_imported && options.migrate_refresh {
        renew_imported(&supplier).await;
    } else if is_imported {
        migration::warn_of_sharing(&supplier);
    }
    supplier
}

/// Renews an imported login and waits for at most [`RENEWAL_PATIENCE`]: the copied token works, and a slow issuer must
/// not delay the start.
async fn renew_imported(supplier: &Arc<TokenSupplier>) {
    let (supplier, (done, waiting)) = (Arc::clone(supplier), oneshot::channel());
    spawn(async move {
        migration::make_independent(&supplier).await;
        // The receiver may have timed out.
        let _ = done.send(());
    });
    if timeout(RENEWAL_PATIENCE, waiting).await.is_err() {
        tracing::warn!("⚠️ The token issuer is slow; starting with the copied credentials");
    }
}

/// Lists the stores to import from, in order.
fn import_sources(choice: StoreChoice, environment: &Environment) -> Vec<Arc<dyn CredentialStore>> {
    let file = || -> Arc<dyn CredentialStore> { Arc::new(FileStore::legacy(environment.legacy_path())) };
    let item = || -> Arc<dyn CredentialStore> {
        Arc::new(KeychainStore::codex_cli(&environment.codex_directory(), &environment.own_directory()))
    };
    match choice {
        // Nobody asked for the keychain, so a build without it passes over it in silence.
        StoreChoice::Auto if !cfg!(feature = "keychain") => vec![file()],
        StoreChoice::Auto => vec![file(), item()],
        StoreChoice::Keychain => vec![item()],
        StoreChoice::Xdg | StoreChoice::Legacy | StoreChoice::Env => Vec::new(),
    }
}

/// The longest wait for the renewal of an imported login.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    #[cfg(unix)]
    fn paths_follow_the_variables() {
        let plain = environment(&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", ""), ("CODEX_HOME", "")]);
        assert_eq!(plain.xdg_path(), Path::new("/home/u/.config/codex-proxy/auth.json"));
        assert_eq!(plain.own_cache_directory().as_deref(), Some(Path::new("/home/u/.cache/codex-proxy")));
        assert_eq!(plain.legacy_path(), Path::new("/home/u/.codex/auth.json"));
        let set = environment(&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", "/c"), ("CODEX_HOME", "/x")]);
        assert_eq!(set.xdg_path(), Path::new("/c/codex-proxy/auth.json"));
        assert_eq!(set.legacy_path(), Path::new("/x/auth.json"));
        let relative = [("HOME", "/home/u"), ("XDG_CONFIG_HOME", "relative"), ("XDG_CACHE_HOME", "relative")];
        assert_eq!(environment(&relative).xdg_path(), Path::new("/home/u/.config/codex-proxy/auth.json"));
        assert_eq!(environment(&relative).cache_directory.as_deref(), Some(Path::new("/home/u/.cache")));
        let caches = environment(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c")]);
        assert_eq!(caches.own_cache_directory().as_deref(), Some(Path::new("/c/codex-proxy")));
        assert_eq!(plain.own_state_directory().as_deref(), Some(Path::new("/home/u/.local/state/codex-proxy")));
        let states = environment(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")]);
        assert_eq!(states.own_state_directory().as_deref(), Some(Path::new("/s/codex-proxy")));
        let states = environment(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "relative")]);
        assert_eq!(states.state_directory.as_deref(), Some(Path::new("/home/u/.local/state")));
        assert_eq!((environment(&[]).own_cache_directory(), environment(&[]).own_state_directory()), (None, None));
    }

    #[test]
    fn a_leading_tilde_is_the_home_directory() {
        let environment = environment(&[("HOME", "/home/u")]);
        assert_eq!(environment.expand(Path::new("~/.codex/auth.json")), Path::new("/home/u/.codex/auth.json"));
        assert_eq!(environment.expand(Path::new("~other/x")), Path::new("~other/x"));
        assert_eq!(environment.expand(Path::new("/a/~/x")), Path::new("/a/~/x"));
    }

    #[test]
    fn the_path_option_goes_before_the_usual_place() {
        let environment = environment(&[("HOME", "/home/u")]);
        for choice in [StoreChoice::Auto, StoreChoice::Xdg, StoreChoice::Legacy] {
            let options = StoreOptions { choice, path: Some("~/mine.json".into()), ..StoreOptions::default() };
            assert_eq!(open_store(&options, &environment).place().location, "/home/u/mine.json");
        }
    }
}
