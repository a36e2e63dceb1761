//! `status`: the login's user, expiry and store, and the plan's usage.
//!
//! * Read-only: a login is neither renewed nor imported.
//! * A missing or broken login is a result like any other; the command then says what to do.

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::login::{CredentialContext, LoginError};
use crate::credentials::status::AdminStatus;
use crate::credentials::{Login, TokenSupplier};
use crate::humanize;
use crate::ledger::LedgerPlace;
use crate::ledger::summary::LedgerReader;
use crate::limits::{PlanLimits, UsageWindow};
use crate::platform::unix_now;
use crate::upstream::page::Asker;

/// The options of [`status`].
#[derive(Debug, Clone)]
pub struct StatusOptions {
    /// Whether to write one JSON object.
    pub json: bool,
    /// Fetches the usage windows; `None` leaves them out.
    pub usage: Option<Asker>,
    /// Has the usage windows of the last answer, for when they cannot be fetched.
    pub ledger: Option<LedgerPlace>,
}

/// What the command knows.
#[derive(Debug)]
struct Report {
    status: AdminStatus,
    email: Option<String>,
    location: String,
    windows: Vec<UsageWindow>,
    /// When the windows were told, in Unix seconds.
    windows_observed_at: Option<u64>,
    windows_error: Option<String>,
}

/// The output of `status --json`, as docs/credentials.md documents it. Times are RFC 3339, in UTC.
#[derive(Debug, Serialize)]
struct StatusJson<'a> {
    has_credentials: bool,
    email: Option<&'a str>,
    account_id: Option<&'a str>,
    user_id: Option<&'a str>,
    plan: Option<&'a str>,
    expires_at: Option<String>,
    is_expired: bool,
    needs_refresh_soon: bool,
    store: &'a str,
    location: &'a str,
    windows: Vec<WindowJson<'a>>,
    windows_observed_at: Option<String>,
    windows_error: Option<&'a str>,
    error: Option<&'a str>,
}

/// A usage window in `status --json`.
#[derive(Debug, Serialize)]
struct WindowJson<'a> {
    name: &'a str,
    feature: Option<&'a str>,
    used_percent: f64,
    window_seconds: u64,
    resets_at: Option<String>,
}

/// Shows the login. Returns whether it works.
pub async fn status(
    options: &StatusOptions,
    context: &CredentialContext,
    output: &mut (dyn Write + Send),
) -> Result<bool, LoginError> {
    let supplier = TokenSupplier::new(Arc::clone(&context.store), context.oauth.clone());
    let login = supplier.login().await.ok();
    let now = unix_now().as_secs();
    let (limits, windows_error) = match limits(options.usage.as_ref(), login.as_ref()).await {
        Ok(limits) => (limits, None),
        Err(error) => (options.ledger.as_ref().and_then(|place| recorded(place, login.as_ref())), Some(error)),
    };
    let windows_observed_at = limits.as_ref().map(|limits| limits.observed_at);
    let report = Report {
        status: supplier.status().await,
        email: login.and_then(|login| login.email),
        location: context.store.place().location,
        windows: limits.map(|limits| limits.windows).unwrap_or_default(),
        windows_observed_at,
        windows_error,
    };
    if options.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&report.json()).unwrap_or_default())?;
    } else {
        report.write(now, output)?;
    }
    Ok(report.status.has_credentials && report.status.error.is_none())
}

/// Asks the backend for the plan's usage.
async fn limits(asker: Option<&Asker>, login: Option<&Login>) -> Result<Option<PlanLimits>, String> {
    match (asker, login) {
        (Some(_), Some(login)) if login.is_expired(unix_now().as_secs()) => {
            Err("the access token has expired".to_owned())
        }
        (Some(asker), Some(login)) => asker.limits(&login.access).await.map(Some),
        (None, _) | (_, None) => Ok(None),
    }
}

/// Returns the usage that the last answers to a running proxy have told. One that cannot be read is as good as none.
fn recorded(place: &LedgerPlace, login: Option<&Login>) -> Option<PlanLimits> {
    let reader = LedgerReader::open(place).ok()??;
    reader.limits(Some(&login?.access.account_id)).ok()?
}

impl Report {
    fn json(&self) -> StatusJson<'_> {
        let status = &self.status;
        let windows = self.windows.iter().map(|window| WindowJson {
            name: &window.name,
            feature: window.feature.as_deref(),
            used_percent: window.used_percent,
            window_seconds: window.window_seconds,
            resets_at: window.resets_at.and_then(humanize::rfc3339),
        });
        StatusJson {
            has_credentials: status.has_credentials,
            email: self.email.as_deref(),
            account_id: status.account_id.as_deref(),
            user_id: status.user_id.as_deref(),
            plan: status.plan_type.as_deref(),
            expires_at: status.expires_at.and_then(|milliseconds| humanize::rfc3339(milliseconds / 1000)),
            is_expired: status.is_expired,
            needs_refresh_soon: status.needs_refresh_soon,
            store: status.store,
            location: &self.location,
            windows: windows.collect(),
            windows_observed_at: self.windows_observed_at.and_then(humanize::rfc3339),
            windows_error: self.windows_error.as_deref(),
            error: status.error.as_deref(),
        }
    }

    fn write(&self, now: u64, output: &mut (dyn Write + Send)) -> std::io::Result<()> {
        let status = &self.status;
        if status.has_credentials {
            let account = status.account_id.as_deref().unwrap_or("unknown");
            match &self.email {
                Some(email) => writeln!(output, "Account  {email} ({account})")?,
                None => writeln!(output, "Account  {account}")?,
            }
            writeln!(output, "Plan     {}", status.plan_type.as_deref().map_or("unknown", humanize::plan))?;
            writeln!(output, "Token    {}", self.expiry(now))?;
        } else {
            writeln!(output, "Account  none")?;
        }
        writeln!(output, "Store    {}: {}", status.store, self.location)?;
        let told = self.windows_observed_at.filter(|_| self.windows_error.is_some());
        let told = told.map(|at| format!(" (told {})", humanize::relative(at, now))).unwrap_or_default();
        for window in &self.windows {
            writeln!(output, "Usage    {}{told}", window_line(window, now))?;
        }
        if let Some(error) = &self.windows_error {
            let now_or_at_all = if self.windows.is_empty() { "not known" } else { "not known now" };
            writeln!(output, "Usage    {now_or_at_all}: {error}")?;
        }
        if let Some(error) = &status.error {
            writeln!(output, "❌ {error}")?;
        }
        Ok(())
    }

    fn expiry(&self, now: u64) -> String {
        let Some(expires_at) = self.status.expires_at.map(|milliseconds| milliseconds / 1000) else {
            return "does not say when it expires".to_owned();
        };
        let when = humanize::relative(expires_at, now);
        if self.status.is_expired { format!("expired {when}") } else { format!("expires {when}") }
    }
}

/// Describes a window: `weekly: 12 % used, resets in 3 days`.
pub(super) fn window_line(window: &UsageWindow, now: u64) -> String {
    if !PlanLimits::is_current(window, now) {
        return format!("{}: has begun anew", window.title());
    }
    let resets = window.resets_at.map(|at| format!(", resets {}", humanize::relative(at, now))).unwrap_or_default();
    // Half a percent is left out only where there is none.
    let used = (window.used_percent * 10.0).round() / 10.0;
    format!("{}: {used} % used{resets}", window.title())
}
