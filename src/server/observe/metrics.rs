//! Metrics in Prometheus' text format.
//!
//! * Labels come from closed sets (routes, statuses, error codes, phases, the operator's keys) or from the backend's own
//!   answers (models, windows), never from a client's input. Models beyond the first [`MOST_MODELS`] count together, as
//!   [`OTHER`].
//! * Times are in seconds, shares are from 0 to 1, tokens are counted by the usage the backend reports.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::credentials::supplier::RefreshCounts;
use crate::fault::{Fault, FaultKind};
use crate::ledger::book::LedgerCounts;
use crate::ledger::{Ledger, TokenCounts};
use crate::limits::PlanLimits;
use crate::phases::{Phase, PhaseTimes};
use crate::platform::unix_now;
use crate::server::App;
use crate::server::observe::is_watching;
use crate::upstream::Incident;

/// The metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    in_flight: IntGauge,
    sockets: IntGauge,
    first_token: HistogramVec,
    /// One for each phase, in the order of [`Phase::ALL`].
    phases: Vec<Histogram>,
    duration: HistogramVec,
    upstream_errors: IntCounterVec,
    retries: IntCounter,
    #[cfg(not(target_arch = "wasm32"))]
    socket_calls: IntCounterVec,
    refreshes: IntCounterVec,
    tokens: IntCounterVec,
    cached_tokens: IntCounterVec,
    reasoning_tokens: IntCounterVec,
    client_requests: IntCounterVec,
    client_tokens: IntCounterVec,
    limit_used: GaugeVec,
    limit_reset: GaugeVec,
    limit_observed: Gauge,
    login_expiry: Gauge,
    substitutions: IntCounterVec,
    ledger_rows: IntCounterVec,
    /// The models with labels of their own, each with its counters once it has answered.
    models: Mutex<HashMap<String, Option<TokenCounters>>>,
}

/// The counters of one model's tokens, kept since each look for a counter of a vector hashes all labels.
#[derive(Debug, Clone)]
struct TokenCounters {
    input: IntCounter,
    output: IntCounter,
    cached: IntCounter,
    reasoning: IntCounter,
}

/// What other parts of the program count themselves, at the time of a reading.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The token supplier's refreshes.
    pub refreshes: RefreshCounts,
    /// The ledger's rows.
    pub ledger: LedgerCounts,
    /// What the backend last told of the plan's usage.
    pub limits: Option<PlanLimits>,
    /// The access token's expiry in Unix seconds.
    pub login_expires_at: Option<u64>,
}

impl Metrics {
    /// Creates the metrics, all at zero. Fails only if two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            requests: counters(&registry, "requests_total", REQUESTS, &["route", "status"])?,
            in_flight: registered(&registry, IntGauge::new(name("requests_in_flight"), IN_FLIGHT)?)?,
            sockets: registered(&registry, IntGauge::new(name("websockets_open"), SOCKETS)?)?,
            first_token: histograms(&registry, "time_to_first_token_seconds", FIRST_TOKEN, "route")?,
            phases: {
                let phases = histograms(&registry, "first_token_phase_seconds", PHASES, "phase")?;
                Phase::ALL.iter().map(|phase| phases.with_label_values(&[phase.as_str()])).collect()
            },
            duration: histograms(&registry, "request_duration_seconds", DURATION, "route")?,
            upstream_errors: counters(&registry, "upstream_errors_total", UPSTREAM_ERRORS, &["kind"])?,
            retries: registered(&registry, IntCounter::new(name("upstream_retries_total"), RETRIES)?)?,
            #[cfg(not(target_arch = "wasm32"))]
            socket_calls: counters(&registry, "upstream_websocket_calls_total", SOCKET_CALLS, &["sent"])?,
            refreshes: counters(&registry, "token_refreshes_total", REFRESHES, &["outcome"])?,
            tokens: counters(&registry, "tokens_total", TOKENS, &["model", "kind"])?,
            cached_tokens: counters(&registry, "cached_tokens_total", CACHED, &["model"])?,
            reasoning_tokens: counters(&registry, "reasoning_tokens_total", REASONING, &["model"])?,
            client_requests: counters(&registry, "client_requests_total", CLIENT_REQUESTS, &["client"])?,
            client_tokens: counters(&registry, "client_tokens_total", CLIENT_TOKENS, &["client", "kind"])?,
            limit_used: gauges(&registry, "limit_used_ratio", LIMIT_USED, &["window", "feature"])?,
            limit_reset: gauges(&registry, "limit_reset_timestamp_seconds", LIMIT_RESET, &["window", "feature"])?,
            limit_observed: Gauge::new(name("limit_observed_timestamp_seconds"), LIMIT_OBSERVED)?,
            login_expiry: Gauge::new(name("login_expiry_timestamp_seconds"), LOGIN_EXPIRY)?,
            substitutions: counters(&registry, "model_substitutions_total", SUBSTITUTIONS, &["sent", "answered"])?,
            ledger_rows: counters(&registry, "ledger_rows_total", LEDGER_ROWS, &["outcome"])?,
            registry,
            models: Mutex::default(),
        };
        metrics.describe_process()?;
        Ok(metrics)
    }

    /// Sets what stays the same, and begins every kind of failure at zero, so that its first increase shows.
    fn describe_process(&self) -> Result<(), prometheus::Error> {
        gauges(&self.registry, "build_info", BUILD, &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        let start = Gauge::new("process_start_time_seconds", START)?;
        start.set(unix_now().as_secs_f64());
        registered(&self.registry, start)?;
        for kind in FaultKind::ALL.iter().copied() {
            self.upstream_errors.with_label_values(&[failure(kind)]);
        }
        Ok(())
    }

    /// Counts a received request.
    pub(in crate::server) fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts an answer's head.
    pub(in crate::server) fn answered(&self, route: &str, status: http::StatusCode) {
        self.requests.with_label_values(&[route, status.as_str()]).inc();
    }

    /// Counts the end of an answer, or a client's disconnect. The duration is that of a use alone.
    pub(in crate::server) fn end(&self, route: &str, duration: Duration) {
        self.in_flight.dec();
        if !is_watching(route) {
            self.duration.with_label_values(&[route]).observe(duration.as_secs_f64());
        }
    }

    pub(in crate::server) fn first_token(&self, route: &str, delay: Duration, phases: &PhaseTimes) {
        self.first_token.with_label_values(&[route]).observe(delay.as_secs_f64());
        for (histogram, (_, time)) in self.phases.iter().zip(phases.iter()) {
            histogram.observe(time.as_secs_f64());
        }
    }

    /// Counts a failure or retry of a call to the backend.
    pub fn incident(&self, incident: Incident) {
        match incident {
            Incident::Failed(kind) => self.upstream_errors.with_label_values(&[failure(kind)]).inc(),
            Incident::Retried => self.retries.inc(),
            #[cfg(not(target_arch = "wasm32"))]
            Incident::Sent(used) => self.socket_calls.with_label_values(&[used.as_str()]).inc(),
        }
    }

    /// Counts a request that the holder of the key `client` may make.
    pub(in crate::server) fn client_request(&self, client: &str) {
        self.client_requests.with_label_values(&[client]).inc();
    }

    /// Returns the label of `model`.
    fn label<'m>(&self, model: &'m str) -> &'m str {
        label(&mut self.models.lock().unwrap_or_else(PoisonError::into_inner), model)
    }

    /// Counts the tokens of an answer of `model` for the holder of the key `client`, if there are keys.
    pub fn tokens(&self, model: &str, client: Option<&str>, counts: TokenCounts) {
        let mut known = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let label = label(&mut known, model);
        let counters = match known.get_mut(label) {
            Some(counters) => counters.get_or_insert_with(|| self.counters(label)),
            None => &mut self.counters(label),
        };
        counters.input.inc_by(counts.input);
        counters.output.inc_by(counts.output);
        counters.cached.inc_by(counts.cached);
        counters.reasoning.inc_by(counts.reasoning);
        drop(known);
        let Some(client) = client else { return };
        for (kind, count) in [("input", counts.input), ("output", counts.output)] {
            self.client_tokens.with_label_values(&[client, kind]).inc_by(count);
        }
    }

    fn counters(&self, label: &str) -> TokenCounters {
        TokenCounters {
            input: self.tokens.with_label_values(&[label, "input"]),
            output: self.tokens.with_label_values(&[label, "output"]),
            cached: self.cached_tokens.with_label_values(&[label]),
            reasoning: self.reasoning_tokens.with_label_values(&[label]),
        }
    }

    /// Counts an answer by another model than the one sent.
    pub fn substituted(&self, sent: &str, answered: &str) {
        self.substitutions.with_label_values(&[self.label(sent), self.label(answered)]).inc();
    }

    /// Sets the number of open WebSockets.
    pub fn sockets(&self, count: usize) {
        self.sockets.set(count.try_into().unwrap_or(i64::MAX));
    }

    /// Formats everything in the text format 0.0.4.
    pub fn render(&self, gathered: &Gathered) -> Result<String, prometheus::Error> {
        let Gathered { refreshes, ledger, limits, login_expires_at } = gathered;
        for (counters, label, count) in [
            (&self.refreshes, "ok", refreshes.succeeded),
            (&self.refreshes, "failed", refreshes.failed),
            (&self.ledger_rows, "written", ledger.written),
            (&self.ledger_rows, "lost", ledger.lost),
        ] {
            let counter = counters.with_label_values(&[label]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        self.limit_used.reset();
        self.limit_reset.reset();
        for window in limits.iter().flat_map(|limits| &limits.windows) {
            let labels = [window.name.as_str(), window.feature.as_deref().unwrap_or_default()];
            self.limit_used.with_label_values(&labels).set(window.used_percent / 100.0);
            if let Some(resets_at) = window.resets_at {
                self.limit_reset.with_label_values(&labels).set(seconds(resets_at));
            }
        }
        let mut families = self.registry.gather();
        // A time that is not known is left out: zero would be a date.
        for (gauge, time) in [
            (&self.limit_observed, limits.as_ref().map(|limits| limits.observed_at)),
            (&self.login_expiry, *login_expires_at),
        ] {
            if let Some(time) = time {
                gauge.set(seconds(time));
                families.extend(gauge.collect());
            }
        }
        TextEncoder::new().encode_to_string(&families)
    }
}

/// `GET /metrics`.
pub(in crate::server) async fn show(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    app.metrics.sockets(app.capacity.sockets());
    let gathered = Gathered {
        refreshes: app.supplier.refresh_counts(),
        ledger: app.ledger.as_ref().map(Ledger::counts).unwrap_or_default(),
        limits: app.limits().latest().map(|latest| latest.limits),
        login_expires_at: app.supplier.expires_at(),
    };
    let text = app.metrics.render(&gathered).map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Returns the label of `model`, and makes it known if there is room.
fn label<'m>(known: &mut HashMap<String, Option<TokenCounters>>, model: &'m str) -> &'m str {
    if known.contains_key(model) {
        return model;
    }
    if known.len() >= MOST_MODELS {
        return OTHER;
    }
    known.insert(model.to_owned(), None);
    model
}

fn name(suffix: &str) -> String {
    format!("codex_proxy_{suffix}")
}

/// The code of a failure, as in the answer to a client.
fn failure(kind: FaultKind) -> &'static str {
    kind.row().code.unwrap_or("invalid_request")
}

/// Unix seconds as a gauge has them.
#[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
fn seconds(time: u64) -> f64 {
    time as f64
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(
    registry: &Registry,
    suffix: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(Opts::new(name(suffix), help), labels)?)
}

fn gauges(registry: &Registry, suffix: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    registered(registry, GaugeVec::new(Opts::new(name(suffix), help), labels)?)
}

fn histograms(registry: &Registry, suffix: &str, help: &str, label: &str) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(name(suffix), help).buckets(BUCKETS.to_vec());
    registered(registry, HistogramVec::new(options, &[label])?)
}

const REQUESTS: &str = "Requests whose answer has begun, by route and status. A retried call is one request.";
const IN_FLIGHT: &str = "Requests whose answer has not ended.";
const SOCKETS: &str = "Open WebSockets.";
const FIRST_TOKEN: &str =
    "Seconds from a request's head to the first visible event of its answer, buffered answers too.";
const PHASES: &str =
    "Seconds of the time to the first token that each phase took; the phases of a request add up to it.";
const DURATION: &str = "Seconds from a request's head to the end of its answer, without /health and /metrics.";
const UPSTREAM_ERRORS: &str =
    "Calls to the backend that failed, retried ones and refused requests too, by the client's error code.";
const RETRIES: &str = "Calls to the backend that were sent again.";
#[cfg(not(target_arch = "wasm32"))]
const SOCKET_CALLS: &str =
    "Calls to the backend with --upstream-transport websocket: whole or an increment over a WebSocket, or by http.";
const REFRESHES: &str = "Refreshes of the access token, by outcome.";
const TOKENS: &str =
    "Tokens that the backend counted: input, of which some were cached, and output, of which some were reasoning.";
const CACHED: &str = "Input tokens that the backend served from its cache; they are part of tokens_total.";
const REASONING: &str = "Output tokens spent on reasoning; they are part of tokens_total.";
const CLIENT_REQUESTS: &str = "POST requests that were let in, by the name of the client's key.";
const CLIENT_TOKENS: &str = "The tokens of tokens_total of clients with a key, by its name.";
const LIMIT_USED: &str = "Share of a usage window that is spent, from 0 to 1, as the backend last told it. The plan's windows have no feature.";
const LIMIT_RESET: &str = "When a usage window begins anew, in Unix seconds.";
const LIMIT_OBSERVED: &str = "When the backend last told the usage windows, in Unix seconds.";
const LOGIN_EXPIRY: &str = "When the access token expires, in Unix seconds; it is refreshed before.";
const SUBSTITUTIONS: &str = "Answers by a model other than the one sent.";
const LEDGER_ROWS: &str = "Requests recorded in the ledger, and those that could not be.";
const BUILD: &str = "The version of this program; always 1.";
const START: &str = "When this process started, in Unix seconds.";

/// More models than any account has.
const MOST_MODELS: usize = 64;
/// The label of all further models.
const OTHER: &str = "other";
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// In seconds, from an answer of the proxy alone to a long piece of reasoning.
const BUCKETS: [f64; 18] =
    [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::UsageWindow;

    fn gathered() -> Gathered {
        let reserve = UsageWindow { feature: Some("gpt-reserve".to_owned()), ..UsageWindow::new(604_800, 0.0, None) };
        let limits = PlanLimits {
            observed_at: 1_786_000_000,
            plan_type: None,
            windows: vec![UsageWindow::new(604_800, 40.0, Some(1_786_161_248)), reserve],
            credits: None,
            reached_type: None,
        };
        Gathered {
            refreshes: RefreshCounts { succeeded: 1, failed: 0 },
            ledger: LedgerCounts { written: 3, lost: 1 },
            limits: Some(limits),
            login_expires_at: Some(1_786_000_123),
        }
    }

    #[test]
    fn the_names_of_models_are_bounded() {
        let metrics = Metrics::new().expect("metrics");
        for number in 0..MOST_MODELS + 3 {
            let counts = TokenCounts { input: 1, ..TokenCounts::default() };
            metrics.tokens(&format!("m{number}"), None, counts);
            metrics.substituted("m0", &format!("m{number}"));
        }
        metrics.tokens("m1", None, TokenCounts { input: 1, ..TokenCounts::default() });
        let text = metrics.render(&Gathered::default()).expect("text");
        for line in [
            r#"codex_proxy_tokens_total{kind="input",model="other"} 3"#,
            r#"codex_proxy_tokens_total{kind="input",model="m1"} 2"#,
            r#"codex_proxy_model_substitutions_total{answered="other",sent="m0"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn numbers_show_under_their_names() {
        let metrics = Metrics::new().expect("metrics");
        metrics.begin();
        metrics.sockets(2);
        metrics.answered("/v1/models", http::StatusCode::OK);
        let mut phases = PhaseTimes::default();
        phases.add(Phase::Head, Duration::from_secs(15));
        metrics.first_token("/v1/responses", Duration::from_millis(20), &phases);
        metrics.incident(Incident::Failed(FaultKind::Overloaded));
        metrics.incident(Incident::Retried);
        metrics.client_request("laptop");
        metrics.tokens("gpt-6.1-sol", Some("laptop"), TokenCounts { input: 10, cached: 4, output: 3, reasoning: 2 });
        metrics.substituted("gpt-6-sol", "gpt-6-luna");
        metrics.render(&gathered()).expect("text");
        let text = metrics.render(&gathered()).expect("text");
        for line in [
            r#"codex_proxy_requests_total{route="/v1/models",status="200"} 1"#,
            "codex_proxy_requests_in_flight 1",
            "codex_proxy_websockets_open 2",
            r#"codex_proxy_time_to_first_token_seconds_bucket{route="/v1/responses",le="0.025"} 1"#,
            r#"codex_proxy_first_token_phase_seconds_bucket{phase="upstream_head",le="10"} 0"#,
            r#"codex_proxy_first_token_phase_seconds_bucket{phase="upstream_head",le="20"} 1"#,
            r#"codex_proxy_first_token_phase_seconds_count{phase="upstream_hold"} 1"#,
            r#"codex_proxy_upstream_errors_total{kind="server_is_overloaded"} 1"#,
            r#"codex_proxy_upstream_errors_total{kind="upstream_timeout"} 0"#,
            "codex_proxy_upstream_retries_total 1",
            r#"codex_proxy_token_refreshes_total{outcome="ok"} 1"#,
            r#"codex_proxy_tokens_total{kind="input",model="gpt-6.1-sol"} 10"#,
            r#"codex_proxy_cached_tokens_total{model="gpt-6.1-sol"} 4"#,
            r#"codex_proxy_reasoning_tokens_total{model="gpt-6.1-sol"} 2"#,
            r#"codex_proxy_client_requests_total{client="laptop"} 1"#,
            r#"codex_proxy_client_tokens_total{client="laptop",kind="output"} 3"#,
            r#"codex_proxy_limit_used_ratio{feature="",window="weekly"} 0.4"#,
            r#"codex_proxy_limit_used_ratio{feature="gpt-reserve",window="weekly"} 0"#,
            r#"codex_proxy_limit_reset_timestamp_seconds{feature="",window="weekly"} 1786161248"#,
            "codex_proxy_limit_observed_timestamp_seconds 1786000000",
            "codex_proxy_login_expiry_timestamp_seconds 1786000123",
            r#"codex_proxy_ledger_rows_total{outcome="written"} 3"#,
            r#"codex_proxy_ledger_rows_total{outcome="lost"} 1"#,
            r#"codex_proxy_model_substitutions_total{answered="gpt-6-luna",sent="gpt-6-sol"} 1"#,
            concat!(r#"codex_proxy_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        metrics.end("/v1/models", Duration::from_secs(1));
        metrics.end("/health", Duration::from_secs(1));
        let text = metrics.render(&Gathered::default()).expect("text");
        assert!(
            text.contains("codex_proxy_requests_in_flight -1") && !text.contains(r#"seconds_count{route="/health""#)
        );
        for unknown in ["limit_used_ratio{", "limit_observed_timestamp_seconds ", "login_expiry_timestamp_seconds "] {
            assert!(!text.contains(unknown), "{unknown} is not known, in\n{text}");
        }
    }
}
