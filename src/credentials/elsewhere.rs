//! The two ends of a refresh that somebody else does: who has it done, and who does it. On a laptop that is another
//! process, on the edge the keeper of the login.

use std::sync::atomic::Ordering;

use crate::credentials::Login;
#[cfg(not(target_arch = "wasm32"))]
use crate::credentials::detached::Order;
use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::refresh::{Need, Shared};
use crate::credentials::report::Report;
use crate::credentials::state::Held;
use crate::oauth::IssuerError;
use crate::secret::Secret;

impl Shared {
    /// Has another process renew the login `held`, where that is wanted and possible; else `None`. A login that only
    /// this process has is renewed here.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) async fn renew_elsewhere(&self, held: &Held, need: &Need) -> Option<Result<Login, CredentialError>> {
        let detached = self.detached.as_ref()?;
        let store = self.store.address()?;
        if self.read_state().unsaved.is_some() {
            return None;
        }
        let order = Order {
            store,
            issuer: self.oauth.issuer().to_owned(),
            originator: self.oauth.originator().to_owned(),
            user_agent: self.oauth.user_agent().to_owned(),
            replaces: need.replaces.as_ref().map(|token| token.expose().to_owned()),
            is_rejected: need.is_rejected,
        };
        let report = detached.run(&order, &self.stop).await?;
        Some(self.take_report(report, held, need).await)
    }

    /// Has the login renewed by whoever keeps it; `None` where that is this supplier itself.
    #[cfg(target_arch = "wasm32")]
    pub(super) async fn renew_elsewhere(&self, held: &Held, need: &Need) -> Option<Result<Login, CredentialError>> {
        let report = self.store.renew_at_keeper(need.replaces.as_ref(), need.is_rejected)?.await;
        Some(self.take_report(report, held, need).await)
    }

    async fn take_report(&self, report: Report, held: &Held, need: &Need) -> Result<Login, CredentialError> {
        let place = self.store.place();
        match report {
            Report::Stored | Report::Known => {
                let held = self.current_or_missing().await?;
                if report == Report::Stored {
                    self.received(&held.login);
                }
                if !held.serves(need.replaces.as_ref(), self.now()) {
                    return Err(self.fail(IssuerError::Invalid("it is of no use".into())));
                }
                if report == Report::Stored {
                    self.succeeded.fetch_add(1, Ordering::Relaxed);
                    tracing::info!("the login in {place} is renewed");
                }
                Ok(held.login)
            }
            Report::Unsaved { document, reason } => {
                self.succeeded.fetch_add(1, Ordering::Relaxed);
                let document = AuthDocument::parse(&document)
                    .map_err(|malformed| CredentialError::Broken { place: place.clone(), malformed })?;
                let spent = held.login.refresh_token.clone();
                self.take_up(Held::new(document, &place)?, spent, Err(CredentialError::Unwritable { place, reason }))
            }
            Report::Unwritable { reason } => Err(self.postpone(CredentialError::Unwritable { place, reason })),
            Report::Refused(report) => match IssuerError::from(report) {
                IssuerError::Ended(ended) => {
                    // Another program may have stored a new login since the report was written.
                    let now_held = self.current_or_missing().await?;
                    if now_held.serves(Some(&held.login.access.token), self.now()) {
                        return Ok(now_held.login);
                    }
                    let refresh_token = now_held.login.refresh_token;
                    Err(self.end_for_good(refresh_token.unwrap_or_else(|| Secret::new("")), ended))
                }
                error => Err(self.fail(error)),
            },
            Report::Store => {
                self.current_or_missing().await?;
                self.check_running()?;
                Err(CredentialError::Locked { place })
            }
        }
    }

    /// The other end: one errand, put so that it can be sent back.
    pub(super) async fn renew_and_report(&self, need: &Need) -> Report {
        let result = self.renew(need).await;
        let state = self.read_state();
        if let (Some(held), Some(unsaved)) = (&state.held, &state.unsaved) {
            let document = held.document.to_text().to_string();
            let reason = match &unsaved.error {
                CredentialError::Unwritable { reason, .. } => reason.clone(),
                error => error.to_string(),
            };
            return Report::Unsaved { document, reason };
        }
        match result {
            Ok(_) => Report::Stored,
            Err(CredentialError::Ended { ended, .. }) => Report::Refused(IssuerError::Ended(ended).into()),
            Err(CredentialError::RefreshFailed { error, .. }) => Report::Refused(error.into()),
            Err(CredentialError::Unwritable { reason, .. }) => Report::Unwritable { reason },
            Err(
                CredentialError::Missing { .. }
                | CredentialError::NotALogin { .. }
                | CredentialError::Broken { .. }
                | CredentialError::NoAccount { .. }
                | CredentialError::Unreadable { .. }
                | CredentialError::ReadOnly { .. }
                | CredentialError::Locked { .. }
                | CredentialError::Stopping { .. }
                | CredentialError::NotRenewable { .. }
                | CredentialError::AccountChanged { .. },
            ) => Report::Store,
        }
    }
}
