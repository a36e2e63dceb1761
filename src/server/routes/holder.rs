//! `GET /v1/usage`: what the holder of a key may use, has used and has left; of nobody else.
//!
//! * Without keys it tells what all requests have used, and that nothing is limited.
//! * Several keys of `--api-key` share the name `default`, so nothing is told of what was used under it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use crate::fault::Fault;
use crate::humanize::rfc3339;
use crate::ledger::Ledger;
use crate::models::effort::Effort;
use crate::server::App;
use crate::server::guard::holder::Holder;
use crate::server::quota::tally::UsedSoFar;
use crate::server::routes::models::json;

/// Tells the holder of the request's key about itself.
pub(in crate::server) async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let holder = Holder::of(&request);
    drop(request);
    let used = app.quotas.used_by(&holder).await?;
    let is_kept = app.ledger.as_ref().is_some_and(Ledger::is_kept) || app.quotas.has_owner();
    Ok(json(&HolderReport::new(&holder, used, is_kept)))
}

/// The document: what is `null` is not limited, or not known.
#[derive(Serialize)]
struct HolderReport<'h> {
    object: &'static str,
    /// The name of the key; `null` where no key is needed.
    key: Option<&'h str>,
    /// The models that it may use; `null` for all.
    models: Option<&'h [String]>,
    max_effort: Option<Effort>,
    expires_at: Option<String>,
    tokens_today: QuotaReport,
    /// The requests of the last sixty seconds.
    requests_this_minute: QuotaReport,
    /// Whether the tokens of today are still known after a restart of the proxy.
    kept_over_restarts: bool,
}

#[derive(Serialize)]
struct QuotaReport {
    limit: Option<u64>,
    used: Option<u64>,
    remaining: Option<u64>,
    resets_at: Option<String>,
}

impl<'h> HolderReport<'h> {
    fn new(holder: &'h Holder, used: Option<UsedSoFar>, kept_over_restarts: bool) -> Self {
        let key = holder.key();
        let requests = key.and_then(|key| key.requests_per_minute);
        // Requests are counted only where they are limited.
        let counted = used.filter(|_| requests.is_some());
        Self {
            object: "usage",
            key: holder.name(),
            models: holder.limited_to_models().map(|key| key.models.as_slice()),
            max_effort: holder.most_effort(),
            expires_at: key.and_then(|key| key.expires_at).and_then(rfc3339),
            tokens_today: QuotaReport::new(
                key.and_then(|key| key.tokens_per_day),
                used.map(|used| used.tokens),
                used.map(|used| used.day_ends_at),
            ),
            requests_this_minute: QuotaReport::new(
                requests.map(u64::from),
                counted.map(|used| used.requests),
                counted.and_then(|used| used.minute_ends_at),
            ),
            kept_over_restarts,
        }
    }
}

impl QuotaReport {
    fn new(limit: Option<u64>, used: Option<u64>, resets_at: Option<u64>) -> Self {
        let remaining = limit.map(|limit| limit.saturating_sub(used.unwrap_or_default()));
        Self { limit, used, remaining, resets_at: resets_at.and_then(rfc3339) }
    }
}
