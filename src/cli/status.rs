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
use crate::limits::UsageWindow;
use crate::platform::unix_now;
use crate::upstream::page::Asker;

/// The options of [`status`].
#[derive(Debug, Clone)]
pub struct StatusOptions {
    /// Whether to write one JSON object.
    pub json: bool,
    /// Fetches the usage windows; `None` leaves them out.
    pub usage: Option<Asker>,
}

/// The output of `status --json`: the admin API's fields and these.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    status: AdminStatus,
    email: Option<String>,
    location: String,
    windows: Vec<UsageWindow>,
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
        writeln!(output, "{}", serde_json::to_string_pretty(&report).unwrap_or_default())?;
    } else {
        report.write(now, output)?;
    }
    Ok(report.status.has_credentials && report.status.error.is_none())
}

async fn windows(asker: Option<&Asker>, login: Option<&Login>, now: u64) -> Result<Vec<UsageWindow>, String> {
    match (asker, login) {
        (Some(_), Some(login)) if login.is_expired(now) => Err("the access token has expired".to_owned()),
        (Some(asker), Some(login)) => asker.limits(&login.access).await.map(|limits| limits.windows),
        (None, _) | (_, None) => Ok(Vec::new()),
    }
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
    let resets = window.resets_at.map(|at| format!(", resets {}", humanize::relative(at, now))).unwrap_or_default();
    format!("{}: {:.0} % used{resets}", window.title(), window.used_percent)
}
