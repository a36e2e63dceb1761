//! The store behind `ACCESS_TOKEN` and `ACCOUNT_ID`: read-only, never refreshed.
//!
//! * The values are parameters; this file does not read the process's environment.
//! * An empty variable counts as unset. `ACCOUNT_ID` is optional if the token's claims name the account.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::{Place, StoreName};
use crate::credentials::store::{CredentialStore, StoreLock};
use crate::secret::Secret;

/// A login given in environment variables.
#[derive(Debug)]
pub struct EnvStore {
    token: Option<Secret>,
    account_id: Option<String>,
}

impl EnvStore {
    /// Creates the store from the two values.
    pub fn new(token: Option<Secret>, account_id: Option<String>) -> Self {
        Self {
            token: token.map(|token| Secret::new(token.expose().trim())).filter(|token| !token.expose().is_empty()),
            account_id: account_id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
        }
    }

    fn read_only(&self) -> CredentialError {
        CredentialError::ReadOnly { place: self.place() }
    }
}

impl CredentialStore for EnvStore {
    fn place(&self) -> Place {
        Place { store: StoreName::Env, location: "the environment variable ACCESS_TOKEN".to_owned() }
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        let document = self
            .token
            .as_ref()
            .map(|token| AuthDocument::from_access_token(token.expose(), self.account_id.as_deref()));
        ready(Ok(document)).boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        ready(Err(self.read_only())).boxed()
    }

    fn write<'a>(&'a self, _: &'a AuthDocument, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        ready(Err(self.read_only())).boxed()
    }

    fn delete<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        ready(Err(self.read_only())).boxed()
    }

    fn probe<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        ready(Err(self.read_only())).boxed()
    }

    fn is_read_only(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn document(token: &str, account_id: Option<&str>) -> Option<AuthDocument> {
        EnvStore::new(Some(Secret::new(token)), account_id.map(str::to_owned)).read().await.unwrap()
    }

    #[tokio::test]
    async fn holds_the_token_and_the_account() {
        let login = document(" token\n", Some("acc")).await.unwrap().login().unwrap();
        assert_eq!(login.access.token.expose(), "token");
        assert_eq!(login.access.account_id, "acc");
        assert_eq!(login.refresh_token, None);
    }

    #[tokio::test]
    async fn empty_counts_as_unset() {
        assert_eq!(document("  ", None).await, None);
        assert!(document("token", Some("")).await.unwrap().login().is_err());
    }

    #[tokio::test]
    async fn refuses_to_be_written() {
        let store = EnvStore::new(None, None);
        assert!(matches!(store.lock().await, Err(CredentialError::ReadOnly { .. })));
        assert!(store.is_read_only());
    }

    #[tokio::test]
    async fn is_not_changed_by_anybody_with_a_lock() {
        let store = EnvStore::new(Some(Secret::new("token")), Some("acc".to_owned()));
        let lock = StoreLock::holding(());
        let other = AuthDocument::from_access_token("other", Some("acc"));
        for refusal in [store.write(&other, &lock).await, store.delete(&lock).await.map(drop), store.probe(&lock).await]
        {
            let error = refusal.unwrap_err();
            assert!(matches!(error, CredentialError::ReadOnly { .. }), "{error}");
            assert!(error.to_string().contains("--creds-store"), "{error}");
        }
        assert_eq!(store.read().await.unwrap().unwrap().login().unwrap().access.token.expose(), "token");
    }
}
