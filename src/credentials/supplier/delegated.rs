//! Delegated refresh: the caller's side, and the report of the worker's side.

use crate::credentials::Login;
use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::supplier::delegate::Need;
use crate::credentials::supplier::refresh::Shared;
use crate::credentials::supplier::report::Report;
use crate::credentials::supplier::state::Held;
use crate::oauth::IssuerError;
use crate::secret::Secret;

impl Shared {
    /// Delegates the renewal of `held`; `None` if there is no delegate or it cannot be reached. An unsaved login is
    /// renewed here.
    pub(super) async fn renew_by_delegate(&self, held: &Held, need: &Need) -> Option<Result<Login, CredentialError>> {
        let delegate = self.delegate.as_ref()?;
        if self.read_state().unsaved.is_some() {
            return None;
        }
        let report = delegate.renew(need, &self.stop).await?;
        Some(self.take_report(report, held, need).await)
    }

    async fn take_report(&self, report: Report, held: &Held, need: &Need) -> Result<Login, CredentialError> {
        let place = self.store.place();
        match report {
            Report::Stored | Report::Known => {
                let held = self.delegated().await?;
                if report == Report::Stored {
                    self.received(&held.login);
                }
                if !held.serves(need.replaces.as_ref(), self.now()) {
                    return Err(self.fail(IssuerError::Invalid("it is of no use".into())));
                }
                if report == Report::Stored {
                    self.succeed();
                    tracing::info!("the login in {place} is renewed");
                } else {
                    self.write_state().recovered();
                }
                Ok(held.login)
            }
            Report::Unsaved { document, reason } => {
                let document = AuthDocument::parse(&document)
                    .map_err(|malformed| CredentialError::Broken { place: place.clone(), malformed })?;
                let renewed = Held::new(document, &place)?;
                self.adopt_renewed(renewed, held, Err(CredentialError::Unwritable { place, reason }))
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
                error => {
                    // The delegate may have stored a new refresh token without a usable access token.
                    if let Ok(stored) = self.delegated().await
                        && stored.serves(Some(&held.login.access.token), self.now())
                        && stored.serves(need.replaces.as_ref(), self.now())
                    {
                        self.write_state().recovered();
                        return Ok(stored.login);
                    }
                    Err(self.fail(error))
                }
            },
            Report::Store => {
                self.current_or_missing().await?;
                self.check_running()?;
                Err(CredentialError::Locked { place })
            }
        }
    }

    /// Renews the login unless it is usable already, and returns a serialisable report.
    pub(in crate::credentials) async fn renew_and_report(&self, need: &Need) -> Report {
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
