//! A stand-in for the Codex backend and its token issuer, as strict as the real ones, in this process and on loopback.
//!
//! * It serves the integration tests, the benchmarks and `codex-proxy demo`. It uses no model and no network; every
//!   answer says so, in the header `x-simulation: true` and in its text.
//! * Backend: refuses what the real one refuses, with its messages; answers as a stream with every feature that clients
//!   must tolerate. A [`Scenario`] makes an answer fail, queued by a test or named in the user's text:
//!   `[[simulate:cut-mid-event]]`.
//! * Issuer: single-use refresh tokens with reuse detection, the browser login with PKCE, the device login, revocation.
//! * [`Simulator::requests`] and [`Simulator::counters`] report the requests; [`Simulator::wait_until`] waits for them.
//!
//! Never expose it beyond loopback: it issues a login to every client that asks.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use codex_proxy_simulator::{SimulatedLogin, Simulator};
//!
//! let simulator = Simulator::new();
//! let running = simulator.start().await?;
//! let auth_json = simulator.issue_login(SimulatedLogin::default().on_plan("pro"));
//! assert_eq!(auth_json["auth_mode"], "chatgpt");
//! assert!(running.upstream_url().starts_with("http://127.0.0.1:"));
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

mod account;
mod answer;
mod backend;
mod call;
mod catalogue;
mod fault;
mod images;
mod issuer;
mod jwt;
mod limits;
mod login;
mod record;
mod scenario;
mod script;
mod search;
mod server;
mod settings;
mod socket;
mod turn;
mod validate;
mod vault;

pub use account::Account;
pub use answer::frame::Delivery;
pub use answer::substitution::{Substitution, Told};
pub use catalogue::{CatalogueModel, SimulatedCatalogue};
pub use fault::{HttpFault, StreamFailure};
pub use limits::{Limits, SimulatedWindow};
pub use login::{CLIENT_ID, SimulatedLogin};
pub use record::{AnswerOutcome, Counters, RecordedRequest};
pub use scenario::{Ending, FailureShape, IncompleteReason, Moment, Play, Scenario, Stage};
pub use script::{ScriptStep, ScriptedAnswer};
pub use server::RunningSimulator;
pub use settings::{EncryptedRejection, IssuerSettings, RefusedFiles, SimulatorSettings, Workspace};
pub use socket::{SocketAct, SocketFault, SocketSettings};

/// A simulated backend with its issuer. Clones share everything.
#[derive(Debug, Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Separates the tokens of two simulators in one process.
    seed: String,
    current: Mutex<Arc<Current>>,
    /// How far this simulator's clock is ahead, in seconds.
    clock_offset: Mutex<i64>,
    ledger: Mutex<login::Ledger>,
    grants: Mutex<issuer::Grants>,
    token_answers: Mutex<VecDeque<ScriptedAnswer>>,
    /// The delays of the next exchanges, before and after the token is spent.
    token_delays: Mutex<VecDeque<(Duration, Duration)>>,
    models_answers: Mutex<VecDeque<ScriptedAnswer>>,
    plays: Mutex<VecDeque<Play>>,
    /// Answers upgrades, if WebSockets are offered.
    sockets: OnceLock<socket::Upgrade>,
    upgrade_answers: Mutex<VecDeque<ScriptedAnswer>>,
    socket_faults: Mutex<VecDeque<SocketFault>>,
    /// The input tokens of the last request, by prompt cache key.
    prompt_cache: Mutex<HashMap<String, u64>>,
    vault: vault::Vault,
    journal: Arc<record::Journal>,
}

/// The settings, and values derived from them.
#[derive(Debug)]
struct Current {
    settings: Arc<SimulatorSettings>,
    models_etag: String,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Creates a simulator with the default settings and no logins.
    pub fn new() -> Self {
        Self::with_settings(SimulatorSettings::default())
    }

    /// Creates a simulator with these settings.
    pub fn with_settings(settings: SimulatorSettings) -> Self {
        let seed = format!("{:016x}", RandomState::new().hash_one(unix_now()));
        Self {
            inner: Arc::new(Inner {
                vault: vault::Vault::new(&seed),
                seed,
                current: Mutex::new(Arc::new(Current::new(settings))),
                clock_offset: Mutex::new(0),
                ledger: Mutex::default(),
                grants: Mutex::default(),
                token_answers: Mutex::default(),
                token_delays: Mutex::default(),
                models_answers: Mutex::default(),
                plays: Mutex::default(),
                sockets: OnceLock::new(),
                upgrade_answers: Mutex::default(),
                socket_faults: Mutex::default(),
                prompt_cache: Mutex::default(),
                journal: record::Journal::new(),
            }),
        }
    }

    /// Changes the settings; answers under way are not affected.
    pub fn configure(&self, change: impl FnOnce(&mut SimulatorSettings)) {
        let mut current = locked(&self.inner.current);
        let mut settings = (*current.settings).clone();
        change(&mut settings);
        *current = Arc::new(Current::new(settings));
    }

    /// Returns the current settings.
    pub fn settings(&self) -> Arc<SimulatorSettings> {
        Arc::clone(&self.current().settings)
    }

    /// Signs a user in and returns the official client's `auth.json`.
    pub fn issue_login(&self, login: SimulatedLogin) -> Value {
        let account_id = login.account.account_id.clone();
        let now = self.now();
        let tokens = locked(&self.inner.ledger).sign_in(login, now, &self.inner.seed);
        json!({
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": null,
            "tokens": {
                "id_token": tokens.id,
                "access_token": tokens.access,
                "refresh_token": tokens.refresh,
                "account_id": account_id,
            },
            "last_refresh": date(now),
        })
    }

    /// Makes the backend treat every access token issued so far as expired, whatever its `exp` says.
    pub fn expire_access_tokens(&self) {
        locked(&self.inner.ledger).expire_access();
    }

    /// Makes the backend treat every access token issued so far as invalidated.
    pub fn invalidate_access_tokens(&self) {
        locked(&self.inner.ledger).invalidate_access();
    }

    /// Makes all encrypted content so far unreadable to the backend, as happened to whole sessions (openai/codex#8119).
    pub fn forget_encrypted(&self) {
        self.inner.vault.forget();
    }

    /// Makes the issuer treat every refresh token issued so far as expired.
    pub fn expire_refresh_tokens(&self) {
        locked(&self.inner.ledger).expire_refresh();
    }

    /// Makes the issuer treat every refresh token issued so far as revoked.
    pub fn invalidate_refresh_tokens(&self) {
        locked(&self.inner.ledger).invalidate_refresh();
    }

    /// Returns whether the backend accepts this access token now.
    pub fn accepts_access_token(&self, token: &str) -> bool {
        locked(&self.inner.ledger).account(token, self.now()).is_ok()
    }

    /// Returns whether the issuer would exchange this refresh token.
    pub fn accepts_refresh_token(&self, token: &str) -> bool {
        locked(&self.inner.ledger).is_fresh(token)
    }

    /// Moves this simulator's clock forward, and no other.
    pub fn advance_clock(&self, by: Duration) {
        let mut offset = locked(&self.inner.clock_offset);
        *offset = offset.saturating_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
    }

    /// Moves this simulator's clock backward, and no other.
    pub fn turn_back_clock(&self, by: Duration) {
        let mut offset = locked(&self.inner.clock_offset);
        *offset = offset.saturating_sub(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
    }

    /// Queues a [`Scenario`], a [`ScriptedAnswer`] or a [`Play`] for the next accepted request for an answer. Refused
    /// requests take nothing from the queue.
    pub fn queue(&self, play: impl Into<Play>) {
        locked(&self.inner.plays).push_back(play.into());
    }

    /// Returns the backend's error for this body of a request for an answer; `None` if it is valid. Records no request
    /// and takes no queued play.
    pub fn rejection_of(&self, body: &[u8]) -> Option<Value> {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Some(json!({ "detail": "Input must be a JSON object" }));
        };
        let settings = self.settings();
        let vault = &self.inner.vault;
        let (catalogue, access_programs) = (&settings.catalogue, settings.access_programs);
        let refused_files = settings.refused_files;
        let owner = vault::Owner { account: "", model: validate::model(&body) };
        let context = validate::Context { catalogue, vault, owner, lite: false, access_programs, refused_files };
        validate::request(&body, context).err().map(|rejection| rejection.body)
    }

    /// Returns the backend's error for this body of a request for an image, or for the change of one; `None` if it is
    /// valid.
    pub fn rejection_of_image(&self, body: &[u8], is_edit: bool) -> Option<Value> {
        images::rejection_of(body, is_edit).map(|rejection| rejection.body)
    }

    /// Returns the number of queued plays.
    pub fn queued(&self) -> usize {
        locked(&self.inner.plays).len()
    }

    /// Queues an answer for the next request to the token endpoint, in place of an exchange.
    pub fn script_token_answer(&self, answer: ScriptedAnswer) {
        locked(&self.inner.token_answers).push_back(answer);
    }

    /// Queues a delay `before` the next exchange, and `after` it.
    pub fn delay_token_answer(&self, before: Duration, after: Duration) {
        locked(&self.inner.token_delays).push_back((before, after));
    }

    /// Queues an answer for the next request for the list of models.
    pub fn script_models_answer(&self, answer: ScriptedAnswer) {
        locked(&self.inner.models_answers).push_back(answer);
    }

    /// Approves the device with `user_code`, as its user would. Returns whether it exists.
    pub fn approve_device(&self, user_code: &str) -> bool {
        locked(&self.inner.grants).approve(user_code)
    }

    /// Returns the newest requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.inner.journal.requests()
    }

    /// Returns the newest requests with a path that ends with `suffix`, oldest first.
    pub fn requests_to(&self, suffix: &str) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.path.ends_with(suffix));
        requests
    }

    /// Clears the recorded requests; the counters stay.
    pub fn forget_requests(&self) {
        self.inner.journal.clear();
    }

    /// Returns the counters.
    pub fn counters(&self) -> Counters {
        let mut counters = self.inner.journal.counters();
        counters.revoked_chains = locked(&self.inner.ledger).revoked_chains();
        counters
    }

    /// Waits until `condition` holds, checked after every request, answer and end of an answer. Returns `false` if it
    /// does not hold within `limit`.
    pub async fn wait_until(&self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let mut changes = self.inner.journal.changed();
        let holds = async {
            while !condition(self) {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::time::timeout(limit, holds).await.is_ok()
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&locked(&self.inner.current))
    }

    /// Returns this simulator's time in Unix seconds.
    fn now(&self) -> i64 {
        let offset = *locked(&self.inner.clock_offset);
        i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX).saturating_add(offset)
    }
}

impl Current {
    fn new(settings: SimulatorSettings) -> Self {
        Self { models_etag: settings.catalogue.etag(), settings: Arc::new(settings) }
    }
}

/// The notice to show first.
pub const BANNER: &str = "SIMULATION: no model is asked and no network is used. Every answer is made up.";

/// Formats Unix seconds as RFC 3339; the epoch for a value that no calendar holds.
fn date(seconds: i64) -> String {
    let instant = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    instant.format(&Rfc3339).unwrap_or_default()
}

/// Returns the time since the Unix epoch.
fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Locks a mutex; no panic can leave its value inconsistent.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
