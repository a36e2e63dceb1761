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

/// The output of `status --json`: the admin API's fields and these.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    status: AdminStatus,
    email: Option<String>,
    location: String,
    windows: Vec<UsageWindow>,
    /// When the windows were told, in Unix seconds.
    windows_observed_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows_error: Option<String>,
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
        writeln!(output, "{}", serde_json::to_string_pretty(&report).unwrap_or_default())?;
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
    format!("{}: {:.0} % used{resets}", window.title(), window.used_percent)
}
