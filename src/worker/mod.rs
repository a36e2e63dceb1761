//! The Cloudflare Worker: the daemon's own router, translation and token supplier behind `fetch`.
//!
//! * An isolate is set up by its first request and serves many; their shared state holds no connection and no timer of
//!   any.
//! * An isolate reads the login in KV after half a minute without a read, so that a new one is noticed.
//! * The Durable Object [`LoginKeeper`] alone renews a login. Another one of its class counts the use of named keys: a request of
//!   a key with a limit waits for it once, and what an answer has used is sent to it after the answer's end. The host keeps an
//!   isolate for that, because it is told of the work before the answer begins.
//! * A misconfigured Worker answers every request with an error, and logs the problem.

mod departure;
mod log;
mod login_keeper;
mod quota_client;
mod quota_keeper;
mod settings;

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use futures_util::future::{Either, LocalBoxFuture, select};
use tower::ServiceExt as _;
use worker::{Context, Env, HttpRequest, event};

use crate::credentials::TokenSupplier;
use crate::credentials::edge::kv::KvStore;
use crate::fault::{Fault, FaultKind};
use crate::models::Models;
use crate::oauth;
use crate::platform::{HttpClient, Instant};
use crate::server::address::mend;
use crate::server::{App, router};
use crate::worker::departure::Client;
pub use crate::worker::login_keeper::LoginKeeper;
use crate::worker::quota_client::QuotaClient;
use crate::worker::settings::WorkerSettings;

/// Answers one request.
#[event(fetch)]
pub async fn answer(request: HttpRequest, env: Env, context: Context) -> worker::Result<http::Response<Body>> {
    match ISOLATE.get_or_init(|| Isolate::new(&env)) {
        Ok(isolate) => Ok(isolate.answer(request, &context).await),
        Err(problem) => Ok(misconfigured(problem)),
    }
}

/// The state shared by all requests of one isolate.
struct Isolate {
    app: Arc<App>,
    router: Router,
    store: Arc<KvStore>,
    looked: Mutex<Option<Instant>>,
}

impl Isolate {
    fn new(env: &Env) -> Result<Self, String> {
        let settings = WorkerSettings::from_environment(env)?;
        log::start(settings.log_level);
        let client = client()?;
        let store = Arc::new(KvStore::new(env).map_err(|error| error.to_string())?);
        let supplier = TokenSupplier::new(store.clone(), issuer(&settings, &client)).with_delegate(store.clone());
        let models = Models::new(Vec::new(), settings.default_model);
        let has_named_keys = settings.server.guard.named.needs_key();
        let app = App::new(settings.server, models, supplier, settings.upstream, client);
        let app = app.map_err(|error| error.to_string())?;
        let app = Arc::new(if has_named_keys {
            let counter = QuotaClient::new(env).map_err(|error| error.to_string())?;
            app.with_quota_owner(Arc::new(counter))
        } else {
            app
        });
        Ok(Self { router: router(app.clone()), app, store, looked: Mutex::default() })
    }

    /// Answers the request; drops its work if the client disconnects first.
    async fn answer(&self, request: HttpRequest, context: &Context) -> http::Response<Body> {
        let request = mend(request);
        let client = Client::of(&request);
        let answer = pin!(async {
            self.look(&request).await;
            self.router.clone().oneshot(request.map(Body::new)).await
        });
        match select(answer, pin!(client.clone().left())).await {
            Either::Left((Ok(answer), _)) => answer.map(|body| client.attend(body, |end| self.watch(end, context))),
            Either::Right(_) => http::Response::default(),
        }
    }

    /// Waits for the `end` of an answer, and then sends what it has used. The host would stop work that it was not told of
    /// as soon as the client has left.
    fn watch(&self, end: LocalBoxFuture<'static, ()>, context: &Context) {
        let app = self.app.clone();
        context.wait_until(async move {
            end.await;
            app.settle_quotas().await;
        });
    }

    /// Reads the store. A failure shows where the login is used.
    async fn look(&self, request: &HttpRequest) {
        let is_admin = self.app.settings.guard.admin_keys.open(request.headers());
        if is_admin && request.uri().path().starts_with("/admin/") {
            // The status after setting credentials must not come from a stale copy.
            let _ = self.store.consult_owner().await;
        } else if self.is_due() {
            let _ = self.app.supplier.login().await;
        }
    }

    fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL);
        if is_due {
            *looked = Some(now);
        }
        is_due
    }
}

fn client() -> Result<HttpClient, String> {
    HttpClient::new(CONNECT_TIMEOUT).map_err(|error| error.to_string())
}

fn issuer(settings: &WorkerSettings, client: &HttpClient) -> oauth::Client {
    oauth::Client::new(client.clone(), &settings.auth_url, &settings.upstream.originator, &settings.upstream.user_agent)
}

/// The problem may hold confidential values, so only the log has it.
fn misconfigured(problem: &str) -> http::Response<Body> {
    worker::console_error!("this Worker is misconfigured: {}", problem);
    Fault::new(FaultKind::Internal, "this Worker is misconfigured; see its log").into_response()
}

static ISOLATE: OnceLock<Result<Isolate, String>> = OnceLock::new();

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
