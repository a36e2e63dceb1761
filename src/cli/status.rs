//! `status`: the login's user, expiry and store, and the plan's usage.
//!
//! * Read-only: a login is neither renewed nor imported.
//! * A missing or broken login is a result like any other; the command then says what to do.

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::login::{CredentialContext, LoginError};
use crate::cli::usage::{Asker, UsageWindow};
use crate::credentials::status::AdminStatus;
use crate::credentials::{Login, TokenSupplier};
use crate::humanize;
use crate::platform::unix_now;

/// The options of [`status`].
#[derive(Debug, Clone)]
pub struct StatusOptions {
    /// Whether to write one JSON object.
    pub json: bool,
    /// Fetches the usage windows; `None` leaves them out.
    pub usage: Option<Asker>,
}

/// What the command knows.
#[derive(Debug)]
struct Report {
    status: AdminStatus,
    email: Option<String>,
    location: String,
    windows: Vec<UsageWindow>,
    windows_error: Option<String>,
}

/// The output of `status --json`, as docs/configuration.md documents it. Times are RFC 3339, in UTC.
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
    let windows = windows(options.usage.as_ref(), login.as_ref(), now).await;
    let (windows, windows_error) = match windows {
        Ok(windows) => (windows, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let report = Report {
        status: supplier.status().await,
        email: login.and_then(|login| login.email),
        location: context.store.place().location,
        windows,
        windows_error,
    };
    if options.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&report.json()).unwrap_or_default())?;
    } else {
        report.write(now, output)?;
    }
    Ok(report.status.has_credentials && report.status.error.is_none())
}

async fn windows(asker: Option<&Asker>, login: Option<&Login>, now: u64) -> Result<Vec<UsageWindow>, String> {
    match (asker, login) {
        (Some(_), Some(login)) if login.is_expired(now) => Err("the access token has expired".to_owned()),
        (Some(asker), Some(login)) => asker.windows(&login.access).await,
        (None, _) | (_, None) => Ok(Vec::new()),
    }
}

impl Report {
    fn json(&self) -> StatusJson<'_> {
        let status = &self.status;
        let windows = self.windows.iter().map(|window| WindowJson {
            name: &window.name,
            feature: window.feature.as_deref(),
            used_percent: window.used_percent,
            window_seconds: window.window_seconds,
            resets_at: window.resets_at.and_then(rfc3339),
        });
        StatusJson {
            has_credentials: status.has_credentials,
            email: self.email.as_deref(),
            account_id: status.account_id.as_deref(),
            user_id: status.user_id.as_deref(),
            plan: status.plan_type.as_deref(),
            expires_at: status.expires_at.and_then(|milliseconds| rfc3339(milliseconds / 1000)),
            is_expired: status.is_expired,
            needs_refresh_soon: status.needs_refresh_soon,
            store: status.store,
            location: &self.location,
            windows: windows.collect(),
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
        for window in &self.windows {
            writeln!(output, "Usage    {}", window_line(window, now))?;
        }
        if let Some(error) = &self.windows_error {
            writeln!(output, "Usage    not known: {error}")?;
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

fn window_line(window: &UsageWindow, now: u64) -> String {
    let feature = window.feature.as_ref().map(|feature| format!(" of {feature}")).unwrap_or_default();
    let resets = window.resets_at.map(|at| format!(", resets {}", humanize::relative(at, now))).unwrap_or_default();
    // Half a percent is left out only where there is none.
    let used = (window.used_percent * 10.0).round() / 10.0;
    format!("{}{feature}: {used} % used{resets}", window.name)
}

fn rfc3339(seconds: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    time.format(&Rfc3339).ok()
}
