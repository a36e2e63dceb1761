//! The resolved configuration: every option checked and defaulted, once.
//!
//! * Every error in an option is found here, before anything is opened or sent.

pub mod args;
pub mod help;
mod keys;
pub mod layers;
pub mod origins;
pub mod schema;
pub mod value;
pub mod variables;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::CatalogueFile;
use crate::cli::config::args::Options;
use crate::cli::config::origins::Origins;
use crate::cli::config::variables::text;
use crate::cli::error::CliError;
use crate::credentials::{Environment, StoreChoice, StoreOptions};
use crate::excerpt;
use crate::files::read;
use crate::keys::book::KeyBook;
use crate::models::Models;
use crate::models::tier::Tiers;
use crate::platform::Cores;
use crate::secret::Secret;
use crate::server::guard::Guard;
use crate::server::guard::host::HostPolicy;
use crate::server::guard::key::Keys;
use crate::server::guard::origin::OriginPolicy;
use crate::server::settings::ServerSettings;
use crate::upstream;
use crate::upstream::defaults;

/// The resolved options.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store of the login.
    pub store: StoreOptions,
    /// The variables that concern logins.
    pub environment: Environment,
    /// The address to listen on.
    pub host: String,
    /// The port to listen on; 0 for any.
    pub port: u16,
    /// The number of threads that serve.
    pub threads: usize,
    /// Whether the API needs a key.
    pub has_key: bool,
    /// The first of the keys, for tools that are set up or started here.
    pub client_key: Option<Secret>,
    /// The server's settings.
    pub server: ServerSettings,
    /// The model aliases, from and to.
    pub aliases: Vec<(String, String)>,
    /// The model for requests that name none.
    pub default_model: Option<String>,
    /// The models that stand for Anthropic's.
    pub tiers: Tiers,
    /// The backend's address, and this program's identification there.
    pub upstream: upstream::UpstreamSettings,
    /// The cache of the account's list of models between two runs.
    pub catalogue_cache: Option<CatalogueFile>,
    /// The file of the ledger; none for a user without a home.
    pub ledger_path: Option<PathBuf>,
    /// The file of the named keys; none for a user without a home.
    pub keys_path: Option<PathBuf>,
    /// The days that the ledger is kept; 0 records nothing.
    pub ledger_days: u32,
    /// The token issuer's address.
    pub auth_url: String,
    /// Where the options that are no defaults were set.
    pub origins: Origins,
}

impl Config {
    /// Resolves `options` and the environment.
    pub fn resolve(options: Options, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, CliError> {
        let environment = Environment::from_variables(&variable);
        let admin_key = text("ADMIN_API_KEY", variable("ADMIN_API_KEY"))?.unwrap_or_default();
        if !admin_key.is_empty() && admin_key.trim().is_empty() {
            let problem = "a key must not be blank".to_owned();
            return Err(CliError::Option { option: "ADMIN_API_KEY".to_owned(), problem });
        }
        sendable("ADMIN_API_KEY", &admin_key)?;
        for name in ["ACCESS_TOKEN", "ACCOUNT_ID"] {
            text(name, variable(name))?;
        }
        check_home(&options, &environment)?;
        let host = options.host.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let keys = keys(&options, &environment)?;
        let guard = guard(&options, &host, &admin_key, &keys)?;
        Ok(Self {
            store: store(&options),
            port: options.port.unwrap_or(DEFAULT_PORT),
            has_key: !guard.api_keys.is_empty(),
            client_key: keys.first().map(|key| Secret::new(key.trim())),
            server: server(&options, guard, &environment)?,
            aliases: options.model_alias.into_iter().map(|alias| (alias.from, alias.to)).collect(),
            default_model: default_model(options.default_model)?,
            tiers: tiers(options.messages),
            upstream: backend(
                options.upstream_url.as_deref(),
                options.account_routing_override,
                options.originator,
                options.client_version,
                options.upstream_transport.unwrap_or_default(),
            )?,
            auth_url: url("--auth-url", options.auth_url.as_deref().unwrap_or(defaults::AUTH_URL))?,
            ledger_path: environment.own_state_directory().map(|directory| directory.join(LEDGER)),
            keys_path: environment.config_directory.as_ref().map(|_| environment.own_directory().join(KEYS)),
            ledger_days: options.ledger_days.unwrap_or(LEDGER_DAYS),
            catalogue_cache: environment.own_cache_directory().as_deref().map(CatalogueFile::new),
            environment,
            host,
            threads: threads(options.threads)?,
            origins: Origins::default(),
        })
    }

    /// Takes the named keys from their file, which the server follows from then on.
    pub fn with_named_keys(mut self) -> Result<Self, CliError> {
        if let Some(path) = self.keys_path.clone() {
            let opened = KeyBook::open(path.clone()).map_err(|problem| CliError::Keys { path, problem })?;
            self.has_key |= opened.needs_key();
            self.server.guard.named = Arc::new(opened);
        }
        Ok(self)
    }

    /// Returns the models known without a call to the backend.
    pub fn models(&self) -> Models {
        Models::new(self.aliases.clone(), self.default_model.clone()).for_tiers(self.tiers.clone())
    }
}

/// Refuses a name that no request could have.
fn default_model(name: Option<String>) -> Result<Option<String>, CliError> {
    let is_name = |name: &String| !name.trim().is_empty() && name.len() <= excerpt::NAME;
    if name.as_ref().is_none_or(is_name) {
        return Ok(name);
    }
    let problem = format!("a model's name has 1 to {} bytes", excerpt::NAME);
    Err(CliError::Option { option: "--default-model".to_owned(), problem })
}

/// Returns the number of threads that serve.
fn threads(given: Option<usize>) -> Result<usize, CliError> {
    match given {
        None => Ok(Cores::default_count()),
        Some(count) if (1..=Cores::MOST).contains(&count) => Ok(count),
        Some(_) => {
            let problem = format!("a number from 1 to {} is needed", Cores::MOST);
            Err(CliError::Option { option: "--threads".to_owned(), problem })
        }
    }
}

/// Returns the configuration file to read: the one named, else the default one if it exists.
pub fn config_file(named: Option<PathBuf>, environment: &Environment) -> Option<PathBuf> {
    let usual = || {
        // Without a home directory the path would be relative to the current directory, which anybody may own.
        environment.config_directory.as_ref()?;
        Some(environment.own_directory().join("config.toml")).filter(|path| read::is_something(path))
    };
    named.map(|path| environment.expand(&path)).or_else(usual)
}

/// Requires a home directory for a store with its default path there, which would otherwise be relative to the current
/// directory.
fn check_home(options: &Options, environment: &Environment) -> Result<(), CliError> {
    let relative = |option: &str, path: &Path| CliError::Option {
        option: option.to_owned(),
        problem: format!("{:?} is not an absolute path", path.display().to_string()),
    };
    if let Some(path) = environment.codex_home.as_deref().filter(|path| !path.is_absolute()) {
        return Err(relative("CODEX_HOME", path));
    }
    let is_placed = match options.creds_store.unwrap_or_default() {
        StoreChoice::Env => true,
        StoreChoice::Auto | StoreChoice::Xdg => options.creds_path.is_some() || environment.config_directory.is_some(),
        StoreChoice::Legacy => {
            options.creds_path.is_some() || environment.codex_home.is_some() || environment.home.is_some()
        }
        StoreChoice::Keychain => environment.config_directory.is_some(),
    };
    if is_placed {
        return Ok(());
    }
    let problem = "this user has no home directory; set it to an absolute path, or name the login's file with \
                   --creds-path"
        .to_owned();
    Err(CliError::Option { option: "HOME".to_owned(), problem })
}

fn tiers(messages: args::MessagesTable) -> Tiers {
    let args::TierTable { opus, sonnet, haiku } = messages.models;
    Tiers { opus, sonnet, haiku }
}

/// An address set by the operator applies to every login; only the default differs between workspaces.
fn backend(
    address: Option<&str>,
    account_override: Option<String>,
    originator: Option<String>,
    client_version: Option<String>,
    transport: upstream::UpstreamTransport,
) -> Result<upstream::UpstreamSettings, CliError> {
    let account_override =
        account_override.map(|route| header_text("--account-routing-override", route)).transpose()?;
    let fedramp_url = address.is_none().then(|| defaults::FEDRAMP_UPSTREAM_URL.to_owned());
    let named = |option: &str, given: Option<String>, usual: &str| {
        header_text(option, given.unwrap_or_else(|| usual.to_owned()))
    };
    Ok(upstream::UpstreamSettings {
        base_url: url("--upstream-url", address.unwrap_or(defaults::UPSTREAM_URL))?,
        originator: named("--originator", originator, defaults::ORIGINATOR)?,
        client_version: named("--client-version", client_version, defaults::CLIENT_VERSION)?,
        user_agent: upstream::UpstreamSettings::user_agent(),
        idle_timeout: upstream::UpstreamSettings::IDLE_TIMEOUT,
        transport,
        routing: upstream::Routing { fedramp_url, account_override },
    })
}

fn store(options: &Options) -> StoreOptions {
    StoreOptions {
        choice: options.creds_store.unwrap_or_default(),
        path: options.creds_path.clone(),
        migrate_refresh: !options.disable_migrate_refresh.unwrap_or_default(),
        ..StoreOptions::default()
    }
}

/// The keys of the options and of the file, in this order.
fn keys(options: &Options, environment: &Environment) -> Result<Vec<String>, CliError> {
    if options.api_key.iter().any(|key| key.trim().is_empty()) {
        let problem = "a key must not be blank".to_owned();
        return Err(CliError::Option { option: "--api-key".to_owned(), problem });
    }
    options.api_key.iter().try_for_each(|key| sendable("--api-key", key))?;
    let from_file = options.api_key_file.as_deref().map(|path| keys::read(&environment.expand(path)));
    let from_file = from_file.transpose()?.unwrap_or_default();
    from_file.iter().try_for_each(|key| sendable("--api-key-file", key))?;
    Ok([options.api_key.clone(), from_file].concat())
}

/// Refuses a key that no client could send: a header has no control characters.
fn sendable(option: &str, key: &str) -> Result<(), CliError> {
    let wrong = |_| {
        let problem = "a key holds a character that no header may hold".to_owned();
        CliError::Option { option: option.to_owned(), problem }
    };
    http::HeaderValue::from_str(key.trim()).map(drop).map_err(wrong)
}

fn guard(options: &Options, host: &str, admin_key: &str, keys: &[String]) -> Result<Guard, CliError> {
    let wrong = |option: &str, problem: String| CliError::Option { option: option.to_owned(), problem };
    // An IPv6 address needs brackets wherever a host may have a port.
    let own = if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
    let no_host =
        |host: &str| format!("{host:?} is not a host name; write it like proxy.lan, without a scheme or path");
    if HostPolicy::new([own.as_str()]).is_err() {
        return Err(wrong("--host", no_host(host)));
    }
    let hosts = options.allow_host.iter().map(String::as_str);
    let allowed = HostPolicy::new(hosts.chain([own.as_str()])).map_err(|host| wrong("--allow-host", no_host(&host)))?;
    let origins = OriginPolicy::new(options.allow_origin.iter().map(String::as_str)).map_err(|origin| {
        let problem = if origin.is_ascii() {
            format!("{origin:?} is not an origin; name each one like https://app.example")
        } else {
            format!("{origin:?} has letters that browsers send in another form; name its host as they do, like xn--mnchen-3ya.de")
        };
        wrong("--allow-origin", problem)
    })?;
    let api_keys = Keys::new(keys.iter().map(String::as_str));
    let admin_keys = Keys::new([admin_key]);
    Ok(Guard { hosts: allowed, origins, api_keys, admin_keys, ..Guard::default() })
}

fn server(options: &Options, guard: Guard, environment: &Environment) -> Result<ServerSettings, CliError> {
    let defaults = ServerSettings::default();
    let instructions = options.instructions_file.as_deref().map(|path| instructions(&environment.expand(path)));
    let max_concurrent = options.max_concurrent.unwrap_or(defaults.max_concurrent);
    if max_concurrent == 0 {
        let problem = "0 would refuse every request; the least is 1".to_owned();
        return Err(CliError::Option { option: "--max-concurrent".to_owned(), problem });
    }
    Ok(ServerSettings {
        guard,
        max_body_size: options.max_body_size.map_or(defaults.max_body_size, |size| size.0),
        max_concurrent,
        reasoning_format: options.reasoning_format.unwrap_or(defaults.reasoning_format),
        reasoning_replay: !options.no_reasoning_replay.unwrap_or_default(),
        strict_model: options.strict_model.unwrap_or_default(),
        instructions: instructions.transpose()?,
        log_bodies: options.log_bodies.unwrap_or_default(),
        ..defaults
    })
}

fn instructions(path: &Path) -> Result<Arc<str>, CliError> {
    let error = |error| CliError::File { option: "--instructions-file".to_owned(), path: path.to_owned(), error };
    let text = read::named_text(path, LARGEST_INSTRUCTIONS).map_err(error)?;
    Ok(read::without_mark(&text).into())
}

fn url(option: &str, text: &str) -> Result<String, CliError> {
    defaults::base_url(text).map_err(|problem| CliError::Option { option: option.to_owned(), problem })
}

fn header_text(option: &str, text: String) -> Result<String, CliError> {
    defaults::header_text(text).map_err(|problem| CliError::Option { option: option.to_owned(), problem })
}

/// Listens on both loopback addresses, of IPv4 and IPv6.
pub(in crate::cli) const DEFAULT_HOST: &str = "localhost";
/// The port to listen on unless another is named.
pub(in crate::cli) const DEFAULT_PORT: u16 = 9879;
/// The log level of commands that serve.
pub(in crate::cli) const DEFAULT_LOG_LEVEL: &str = "info";
/// More bytes than any model's window takes.
const LARGEST_INSTRUCTIONS: u64 = 16 << 20;
/// The name of the file of the named keys.
const KEYS: &str = "keys.json";
/// The name of the ledger's file.
const LEDGER: &str = "ledger.sqlite3";
const LEDGER_DAYS: u32 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(options: Options) -> Result<Config, CliError> {
        Config::resolve(options, |name| (name == "HOME").then(|| OsString::from("/home/u")))
    }

    fn problem(options: Options) -> String {
        resolve(options).expect_err("a problem").to_string()
    }

    #[test]
    fn defaults() {
        let config = resolve(Options::default()).expect("a configuration");
        assert_eq!((config.host.as_str(), config.port, config.has_key), ("localhost", 9879, false));
        assert_eq!(config.upstream.base_url, "https://chatgpt.com/backend-api/codex");
        assert_eq!((config.server.max_body_size, config.server.max_concurrent), (64 << 20, 512));
        assert!(config.server.guard.admin_keys.is_empty() && config.server.reasoning_replay);
        assert!(config.store.migrate_refresh);
    }

    #[test]
    fn the_lowest_layer_holds_the_defaults() {
        // A named backend serves every login, the default one not those of FedRAMP.
        let stated = Options { upstream_url: None, ..Options::defaults() };
        let [stated, unset] = [stated, Options::default()].map(|options| resolve(options).expect("a configuration"));
        assert_eq!(format!("{stated:?}"), format!("{unset:?}"));
        assert_eq!(Options::defaults().upstream_url, Some(unset.upstream.base_url));
    }

    #[test]
    fn a_named_backend_serves_fedramp_workspaces_too() {
        let access =
            |fedramp| crate::credentials::Access { token: Secret::new("t"), account_id: "a".to_owned(), fedramp };
        let usual = resolve(Options::default()).expect("a configuration").upstream;
        assert_eq!(usual.url_for(&access(false)), "https://chatgpt.com/backend-api/codex");
        assert_eq!(usual.url_for(&access(true)), "https://gov.chatgpt.com/backend-api/codex");
        let options = Options { upstream_url: Some("https://proxy.example/codex".into()), ..Options::default() };
        let named = resolve(options).expect("a configuration").upstream;
        assert_eq!(named.url_for(&access(true)), "https://proxy.example/codex");
        let route = Some("two\nlines".to_owned());
        let wrong = problem(Options { account_routing_override: route, ..Options::default() });
        assert!(wrong.starts_with("--account-routing-override: "), "{wrong}");
    }

    #[test]
    fn urls_must_not_give_the_login_away() {
        let table = [
            ("https://proxy.example/codex/", Ok("https://proxy.example/codex")),
            ("http://localhost:1/x", Ok("http://localhost:1/x")),
            ("http://127.0.0.1", Ok("http://127.0.0.1")),
            ("http://[::1]:9", Ok("http://[::1]:9")),
            ("http://proxy.example", Err("unencrypted")),
            ("http://127.0.0.1.nip.io", Err("unencrypted")),
            ("http://localhost.evil", Err("unencrypted")),
            ("ftp://localhost", Err("https://")),
            ("chatgpt.com", Err("https://")),
            ("https://", Err("not a URL")),
            ("https://u:p@chatgpt.com", Err("user name")),
            ("https://chatgpt.com?x=1", Err("query")),
        ];
        for (text, expected) in table {
            match (url("--upstream-url", text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_flag() {
        let text = |text: &str| vec![text.to_owned()];
        assert!(problem(Options { allow_host: text("http://x"), ..Options::default() }).starts_with("--allow-host: "));
        let host = |host: &str| Some(host.to_owned());
        assert!(
            problem(Options { host: host("not a host"), ..Options::default() }).starts_with("--host: \"not a host\"")
        );
        assert!(problem(Options { allow_origin: text("*"), ..Options::default() }).starts_with("--allow-origin: "));
        assert!(problem(Options { api_key: text(" "), ..Options::default() }).starts_with("--api-key: "));
        assert!(problem(Options { max_concurrent: Some(0), ..Options::default() }).starts_with("--max-concurrent: "));
        for threads in [0, 65] {
            assert!(problem(Options { threads: Some(threads), ..Options::default() }).starts_with("--threads: "));
        }
        assert!(
            problem(Options { originator: Some("a\n".into()), ..Options::default() }).starts_with("--originator: ")
        );
        assert!(
            problem(Options { client_version: Some("ü".into()), ..Options::default() }).contains("--client-version")
        );
        let missing = Options { instructions_file: Some("~/no/such".into()), ..Options::default() };
        assert!(problem(missing).starts_with("--instructions-file: cannot read /home/u/no/such: "));
    }

    #[test]
    fn instructions_begin_after_a_byte_order_mark() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\u{feff}Be brief").expect("written");
        let options = Options { instructions_file: Some(file.path().to_owned()), ..Options::default() };
        let config = resolve(options).expect("a configuration");
        assert_eq!(config.server.instructions.as_deref(), Some("Be brief"));
    }

    #[test]
    fn the_configured_host_is_an_allowed_one() {
        for host in ["proxy.lan", "0.0.0.0", "2001:db8::1"] {
            assert!(resolve(Options { host: Some(host.to_owned()), ..Options::default() }).is_ok(), "{host}");
        }
    }
}
