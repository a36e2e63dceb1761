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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use codex_proxy_simulator::{SimulatedLogin, Simulator};
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::credentials::store::CredentialStore as _;
    use crate::credentials::store::memory::MemoryStore;
    use crate::credentials::supplier::TokenSupplier;
    use crate::credentials::supplier::delegate::Delegate;
    use crate::credentials::supplier::report::IssuerReport;
    use crate::credentials::supplier::stop::Stop;
    use crate::oauth::Client;
    use crate::platform::HttpClient;

    /// Finds this login in the store by the time that it reports this.
    #[derive(Debug)]
    struct Told {
        store: Arc<MemoryStore>,
        stored: Option<AuthDocument>,
        report: Mutex<Option<Report>>,
    }

    impl Delegate for Told {
        fn renew<'a>(&'a self, _: &'a Need, _: &'a Stop) -> BoxFuture<'a, Option<Report>> {
            async {
                if let Some(stored) = &self.stored {
                    let lock = self.store.lock().await.unwrap();
                    self.store.write(stored, &lock).await.unwrap();
                }
                self.report.lock().unwrap().take()
            }
            .boxed()
        }
    }

    /// The supplier of an expired login, and the token that another program stores while `report` is made.
    fn told(report: Report, stores: bool) -> (TokenSupplier, String) {
        let simulator = Simulator::new();
        let login = |seconds| {
            let login = simulator.issue_login(SimulatedLogin::default().expiring_in(seconds));
            AuthDocument::parse(&login.to_string()).unwrap()
        };
        let (expired, stored) = (login(-60), login(3600));
        let token = stored.login().unwrap().access.token.expose().to_owned();
        let store = Arc::new(MemoryStore::new(Some(expired)));
        let client = HttpClient::new(Duration::from_secs(5)).unwrap();
        let oauth = Client::new(client, "http://127.0.0.1:9", "codex-proxy", "test");
        let stored = stores.then_some(stored);
        let delegate = Told { store: Arc::clone(&store), stored, report: Mutex::new(Some(report)) };
        (TokenSupplier::new(store, oauth).with_delegate(Arc::new(delegate)), token)
    }

    fn blocked() -> Report {
        Report::Refused(IssuerReport::Blocked { status: 403 })
    }

    #[tokio::test]
    async fn a_login_that_another_program_stored_meanwhile_serves_whatever_the_report() {
        for (report, succeeded) in
            [(Report::Stored, 1), (Report::Known, 0), (Report::Refused(IssuerReport::Reused), 0), (blocked(), 0)]
        {
            let reported = format!("{report:?}");
            let (supplier, token) = told(report, true);
            let access = supplier.access().await.unwrap_or_else(|error| panic!("{reported}: {error}"));
            assert_eq!(access.token.expose(), token, "{reported}");
            let counts = supplier.refresh_counts();
            assert_eq!((counts.succeeded, counts.failed), (succeeded, 0), "{reported}");
        }
    }

    #[tokio::test]
    async fn a_report_without_a_usable_login_is_an_error() {
        for report in [
            Report::Stored,
            Report::Known,
            Report::Refused(IssuerReport::Reused),
            blocked(),
            Report::Unwritable { reason: "no room".to_owned() },
            Report::Store,
        ] {
            let reported = format!("{report:?}");
            let error = told(report, false).0.access().await.expect_err(&reported);
            let is_as_told = match reported.as_str() {
                "Store" => matches!(error, CredentialError::Locked { .. }),
                told if told.starts_with("Unwritable") => error.to_string().contains("no room"),
                told if told.contains("Reused") => matches!(error, CredentialError::Ended { .. }),
                _ => matches!(error, CredentialError::RefreshFailed { .. }),
            };
            assert!(is_as_told, "{reported}: {error:?}");
        }
    }
}
