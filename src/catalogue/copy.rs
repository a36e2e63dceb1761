//! The cached copy of the account's list of models, which outlives the process.
//!
//! * The copy is one JSON object: the time of the fetch, the entity tag, the account's fingerprint and client version,
//!   and the models as the backend sent them, so that a later version of this program can read more of them. No token,
//!   and no account id.
//! * A damaged copy counts as none. Nothing depends on it.
//! * A copy from another backend is not used. A copy of another account or client version is used until the backend was
//!   asked, without its tag.

use std::fmt;
use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::models::live::LiveCatalogue;
use crate::platform::unix_now;

/// The storage of the copy between two runs. Its `Debug` names the place.
pub trait CatalogueCache: fmt::Debug + Send + Sync {
    /// Reads the last copy; `None` if there is none.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the copy by `text` atomically.
    fn save(&self, text: Vec<u8>) -> BoxFuture<'_, io::Result<()>>;
}

/// The account and client version of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    client_version: String,
    account_fingerprint: String,
}

impl Source {
    pub(super) fn new(account_id: &str, client_version: &str) -> Self {
        let digest = Sha256::digest(account_id);
        let account_fingerprint = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { client_version: client_version.to_owned(), account_fingerprint }
    }
}

/// A list and its source.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CatalogueCopy {
    /// Unix seconds.
    fetched_at: u64,
    etag: Option<String>,
    client_version: String,
    /// Distinguishes accounts without naming them.
    account_fingerprint: String,
    /// The backend's base URL.
    upstream: String,
    /// Last, because it is long.
    models: Box<RawValue>,
}

#[derive(Deserialize)]
struct Answer {
    models: Box<RawValue>,
}

impl CatalogueCopy {
    /// Creates the copy of `answer`, the backend's own document.
    pub(super) fn new(
        upstream: &str,
        source: &Source,
        etag: Option<String>,
        now: Duration,
        answer: &[u8],
    ) -> Result<Self, serde_json::Error> {
        let Answer { models } = serde_json::from_slice(answer)?;
        let Source { client_version, account_fingerprint } = source.clone();
        Ok(Self {
            fetched_at: now.as_secs(),
            etag,
            client_version,
            account_fingerprint,
            upstream: upstream.to_owned(),
            models,
        })
    }

    /// Returns the list's entity tag and source.
    pub(super) fn tag(&self) -> Option<(String, Source)> {
        let source = Source {
            client_version: self.client_version.clone(),
            account_fingerprint: self.account_fingerprint.clone(),
        };
        Some((self.etag.clone()?, source))
    }

    /// Reads the copy in `cache` and its list, if it is from `upstream`.
    pub(super) fn load(cache: &dyn CatalogueCache, upstream: &str) -> Option<(Self, LiveCatalogue)> {
        let text = match cache.load() {
            Ok(text) => text?,
            Err(error) => {
                tracing::warn!("cannot read {cache:?}: {error}; ignoring it");
                return None;
            }
        };
        let read = || -> Result<_, serde_json::Error> {
            Ok((serde_json::from_slice::<Self>(&text)?, LiveCatalogue::parse(&text)?))
        };
        match read() {
            Ok((copy, live)) if copy.upstream == upstream && !live.is_empty() => Some((copy, live)),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!("{cache:?} is broken: {error}; ignoring it");
                None
            }
        }
    }

    /// Returns the seconds since the fetch.
    pub(super) fn age(&self) -> u64 {
        unix_now().as_secs().saturating_sub(self.fetched_at)
    }

    /// Writes the copy into `cache`. A failure is only logged.
    pub(super) async fn save(&self, cache: &dyn CatalogueCache) {
        let saved = match serde_json::to_vec(self) {
            Ok(text) => cache.save(text).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = saved {
            tracing::warn!("cannot write {cache:?}: {error}; the models will have to be fetched again");
        }
    }
}
