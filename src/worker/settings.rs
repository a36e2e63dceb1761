//! The Worker's settings, from its variables and secrets, which are named like the daemon's variables.
//!
//! * The API always needs a key: the Worker is open to the whole internet.

use std::sync::Arc;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use worker::Env;

use crate::keys::book::KeyBook;
use crate::keys::set::KeySet;
use crate::server;
use crate::server::guard::Guard;
use crate::server::guard::host::HostPolicy;
use crate::server::guard::key::Keys;
use crate::server::guard::origin::OriginPolicy;
use crate::upstream;
use crate::upstream::defaults;

pub(super) struct WorkerSettings {
    pub(super) server: server::settings::ServerSettings,
    pub(super) upstream: upstream::UpstreamSettings,
    pub(super) auth_url: String,
    pub(super) default_model: Option<String>,
    pub(super) log_level: LevelFilter,
}

impl WorkerSettings {
    /// Reads the variables of `env`; an empty variable counts as unset. The error names the variable and the problem.
    pub(super) fn from_environment(env: &Env) -> Result<Self, String> {
        let set =
            |name: &str| env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.trim().is_empty());
        let or = |name: &str, usual: &str| set(name).unwrap_or_else(|| usual.to_owned());
        let checked = |name: &str, usual: &str, check: fn(String) -> Result<String, String>| {
            check(or(name, usual)).map_err(|problem| format!("{name}: {problem}"))
        };
        let admin_key = set("ADMIN_API_KEY").unwrap_or_default();
        let api_keys = set("API_KEY").unwrap_or_else(|| admin_key.clone());
        let guard = Guard {
            hosts: HostPolicy::any(),
            origins: OriginPolicy::default(),
            api_keys: Keys::new(api_keys.split(',')),
            named: Arc::new(KeyBook::of(
                set("CODEX_PROXY_KEYS").map(|text| named(&text)).transpose()?.unwrap_or_default(),
            )),
            needs_key: true,
            admin_keys: Keys::new([admin_key.as_str()]),
        };
        let level = or("RUST_LOG", "info");
        let strict_model = set("STRICT_MODEL").map(|text| defaults::switch(&text)).transpose();
        Ok(Self {
            server: server::settings::ServerSettings {
                guard,
                max_body_size: MAX_BODY_SIZE,
                body_memory: BODY_MEMORY,
                strict_model: strict_model.map_err(|problem| format!("STRICT_MODEL: {problem}"))?.unwrap_or(false),
                // The host limits the load of an isolate.
                max_concurrent: usize::MAX,
                ..server::settings::ServerSettings::default()
            },
            upstream: upstream::UpstreamSettings {
                base_url: checked("CODEX_UPSTREAM_URL", defaults::UPSTREAM_URL, |text| defaults::base_url(&text))?,
                originator: checked("CODEX_ORIGINATOR", defaults::ORIGINATOR, defaults::header_text)?,
                client_version: checked("CODEX_CLIENT_VERSION", defaults::CLIENT_VERSION, defaults::header_text)?,
                user_agent: upstream::UpstreamSettings::user_agent(),
                idle_timeout: IDLE_TIMEOUT,
                routing: upstream::Routing {
                    fedramp_url: set("CODEX_UPSTREAM_URL").is_none().then(|| defaults::FEDRAMP_UPSTREAM_URL.to_owned()),
                    account_override: set("CODEX_ACCOUNT_ROUTING_OVERRIDE")
                        .map(|route| {
                            defaults::header_text(route)
                                .map_err(|problem| format!("CODEX_ACCOUNT_ROUTING_OVERRIDE: {problem}"))
                        })
                        .transpose()?,
                },
            },
            auth_url: checked("CODEX_AUTH_URL", defaults::AUTH_URL, |text| defaults::base_url(&text))?,
            default_model: set("DEFAULT_MODEL"),
            log_level: level.parse().map_err(|_| format!("RUST_LOG: {level:?} is not a level; write it like info"))?,
        })
    }
}

/// Reads the named keys in the form of the daemon's file.
fn named(text: &str) -> Result<KeySet, String> {
    KeySet::parse(text).map_err(|problem| format!("CODEX_PROXY_KEYS: {problem}"))
}

const IDLE_TIMEOUT: Duration = upstream::UpstreamSettings::IDLE_TIMEOUT;
/// An isolate has 128 MB, and a body is held more than once during translation.
const MAX_BODY_SIZE: usize = 16 << 20;
/// The bytes of all bodies being read or waiting for the backend.
const BODY_MEMORY: usize = 2 * MAX_BODY_SIZE;
