//! Metrics in Prometheus' text format.
//!
//! * Labels come from closed sets (routes, statuses, error codes) or from the backend's own answers (models), never
//!   from a client's input.
//! * Times are in seconds, tokens are counted by the usage the backend reports.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::credentials::supplier::RefreshCounts;
use crate::fault::{ApiError, ErrorKind};
use crate::server::App;
use crate::upstream::Incident;

/// The metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    in_flight: IntGauge,
    sockets: IntGauge,
    first_token: HistogramVec,
    duration: HistogramVec,
    upstream_errors: IntCounterVec,
    retries: IntCounter,
    refreshes: IntCounterVec,
    tokens: IntCounterVec,
    limit_used: GaugeVec,
    substitutions: IntCounterVec,
}

/// The tokens of one answer, as the backend reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Tokens of the request, cached ones included.
    pub input: u64,
    /// Tokens of the request served from the backend's cache.
    pub cached: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
}

impl Metrics {
    /// Creates the metrics, all at zero. Fails only if two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(opts("requests_total", "Answered requests."), &["route", "status"])?,
            in_flight: IntGauge::new(name("requests_in_flight"), "Requests in progress.")?,
            sockets: IntGauge::new(name("websockets_open"), "Open WebSockets.")?,
            first_token: histogram("time_to_first_token_seconds", "From a request's head to its first token.")?,
            duration: histogram("request_duration_seconds", "From a request's head to the end of its answer.")?,
            upstream_errors: IntCounterVec::new(opts("upstream_errors_total", "Failed backend calls."), &["kind"])?,
            retries: IntCounter::new(name("upstream_retries_total"), "Retried backend calls.")?,
            refreshes: IntCounterVec::new(opts("token_refreshes_total", "Token refreshes."), &["outcome"])?,
            tokens: IntCounterVec::new(opts("tokens_total", "Tokens the backend reported."), &["model", "kind"])?,
            limit_used: GaugeVec::new(opts("limit_used_percent", "Share of a usage window spent."), &["window"])?,
            substitutions: IntCounterVec::new(
                opts("model_substitutions_total", "Answers by a model other than the one sent."),
                &["sent", "answered"],
            )?,
        };
        for collector in metrics.collectors() {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Counts a received request.
    pub(in crate::server) fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts an answer's head.
    pub(in crate::server) fn answered(&self, route: &str, status: http::StatusCode) {
        self.requests.with_label_values(&[route, status.as_str()]).inc();
    }

    /// Counts the end of an answer, or a client's disconnect.
    pub(in crate::server) fn end(&self, route: &str, duration: Duration) {
        self.in_flight.dec();
        self.duration.with_label_values(&[route]).observe(duration.as_secs_f64());
    }

    pub(in crate::server) fn first_token(&self, route: &str, delay: Duration) {
        self.first_token.with_label_values(&[route]).observe(delay.as_secs_f64());
    }

    /// Counts a failure or retry of a call to the backend.
    pub fn incident(&self, incident: Incident) {
        match incident {
            Incident::Failed(kind) => {
                self.upstream_errors.with_label_values(&[kind.row().code.unwrap_or("invalid_request")]).inc();
            }
            Incident::Retried => self.retries.inc(),
        }
    }

    /// Counts the tokens of an answer of `model`.
    pub fn tokens(&self, model: &str, counts: TokenCounts) {
        for (kind, count) in [("input", counts.input), ("cached", counts.cached), ("output", counts.output)] {
            self.tokens.with_label_values(&[model, kind]).inc_by(count);
        }
    }

    /// Sets the spent share of a usage window (`primary`, `secondary`, …), as the backend reports it.
    pub fn limit_used(&self, window: &str, percent: f64) {
        self.limit_used.with_label_values(&[window]).set(percent);
    }

    /// Counts an answer by another model than the one sent.
    pub fn substituted(&self, sent: &str, answered: &str) {
        self.substitutions.with_label_values(&[sent, answered]).inc();
    }

    /// Sets the number of open WebSockets.
    pub fn sockets(&self, count: usize) {
        self.sockets.set(count.try_into().unwrap_or(i64::MAX));
    }

    /// Formats everything in the text format 0.0.4, with the token supplier's own counts.
    pub fn render(&self, refreshes: RefreshCounts) -> Result<String, prometheus::Error> {
        for (outcome, count) in [("ok", refreshes.succeeded), ("failed", refreshes.failed)] {
            let counter = self.refreshes.with_label_values(&[outcome]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn collectors(&self) -> [Box<dyn Collector>; 11] {
        [
            Box::new(self.requests.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.sockets.clone()),
            Box::new(self.first_token.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.upstream_errors.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.refreshes.clone()),
            Box::new(self.tokens.clone()),
            Box::new(self.limit_used.clone()),
            Box::new(self.substitutions.clone()),
        ]
    }
}

/// `GET /metrics`.
pub(in crate::server) async fn show(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.metrics.sockets(app.capacity.sockets());
    let text = app
        .metrics
        .render(app.supplier.refresh_counts())
        .map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

fn name(suffix: &str) -> String {
    format!("codex_proxy_{suffix}")
}

fn opts(suffix: &str, help: &str) -> Opts {
    Opts::new(name(suffix), help)
}

fn histogram(suffix: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(HistogramOpts::new(name(suffix), help).buckets(BUCKETS.to_vec()), &["route"])
}

/// In seconds, from an answer of the proxy alone to a long piece of reasoning.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_under_their_names() {
        let metrics = Metrics::new().expect("metrics");
        metrics.begin();
        metrics.sockets(2);
        metrics.answered("/v1/models", http::StatusCode::OK);
        metrics.first_token("/v1/responses", Duration::from_millis(20));
        metrics.incident(Incident::Failed(ErrorKind::Overloaded));
        metrics.incident(Incident::Retried);
        metrics.tokens("gpt-6.1-sol", TokenCounts { input: 10, cached: 4, output: 3 });
        metrics.limit_used("primary", 40.0);
        metrics.substituted("gpt-6-sol", "gpt-6-luna");
        let refreshes = RefreshCounts { succeeded: 1, failed: 0 };
        metrics.render(refreshes).expect("text");
        let text = metrics.render(refreshes).expect("text");
        for line in [
            r#"codex_proxy_requests_total{route="/v1/models",status="200"} 1"#,
            "codex_proxy_requests_in_flight 1",
            "codex_proxy_websockets_open 2",
            r#"codex_proxy_time_to_first_token_seconds_bucket{route="/v1/responses",le="0.025"} 1"#,
            r#"codex_proxy_upstream_errors_total{kind="server_is_overloaded"} 1"#,
            "codex_proxy_upstream_retries_total 1",
            r#"codex_proxy_token_refreshes_total{outcome="ok"} 1"#,
            r#"codex_proxy_tokens_total{kind="cached",model="gpt-6.1-sol"} 4"#,
            r#"codex_proxy_limit_used_percent{window="primary"} 40"#,
            r#"codex_proxy_model_substitutions_total{answered="gpt-6-luna",sent="gpt-6-sol"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        metrics.end("/v1/models", Duration::from_secs(1));
        assert!(metrics.render(refreshes).expect("text").contains("codex_proxy_requests_in_flight 0"));
    }
}
