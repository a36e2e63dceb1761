//! A Worker isolate's access to the login: the copy in KV and the Durable Object that owns it.
//!
//! * A read is one look at KV, which answers from nearby. KV is eventually consistent: a value written a moment ago may
//!   still read as absent, so absence is checked with the owner.
//! * The owner does writes, removals and refreshes. The rules are in [`revision`](crate::credentials::edge::revision).

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};
use worker::send::{SendFuture, SendWrapper};
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, ObjectNamespace, Request, RequestInit};
use zeroize::Zeroizing;

use crate::credentials::document::AuthDocument;
use crate::credentials::edge::revision::{Order, OrderOutcome, OwnerReply, Revision};
use crate::credentials::error::CredentialError;
use crate::credentials::place::{Place, StoreName};
use crate::credentials::store::{CredentialStore, StoreLock};
use crate::credentials::supplier::delegate::{Delegate, Need};
use crate::credentials::supplier::report::{IssuerReport, Report};
use crate::credentials::supplier::stop::Stop;

/// The binding of the KV namespace.
pub const KV_BINDING: &str = "GEMINI_CLI_KV";
/// The binding of the owner's Durable Object class. Deployed Workers have it, and the class, under these names.
pub const OWNER_BINDING: &str = "LOGIN_KEEPER";

/// The login of a Worker, as one isolate sees it.
pub struct KvStore {
    copy: PublishedCopy,
    owners: ObjectNamespace,
    known: Mutex<Revision>,
}

impl KvStore {
    /// Opens the bindings of `env`. The error is a missing binding.
    pub fn new(env: &Env) -> worker::Result<Self> {
        let owners = env.durable_object(OWNER_BINDING)?;
        Ok(Self { copy: PublishedCopy::new(env)?, owners, known: Mutex::default() })
    }

    /// Asks the owner for the current login, so that the next read is not stale.
    pub async fn consult_owner(&self) -> Result<(), CredentialError> {
        self.ask(&Order::Read).await.map(drop)
    }

    /// Records `found` unless a newer revision is known, and returns the newest.
    fn learn(&self, found: Revision) -> Revision {
        let mut known = self.known();
        if known.gives_way_to(&found) {
            *known = found;
        }
        known.clone()
    }

    fn known(&self) -> MutexGuard<'_, Revision> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_document(&self) -> Result<Option<AuthDocument>, CredentialError> {
        let known = match self.copy.read().await {
            Ok(copy) => self.learn(copy),
            Err(error) => {
                tracing::warn!("{error}; asking the owner of the login");
                Revision::default()
            }
        };
        if known.document.is_some() {
            return Ok(known.document);
        }
        self.consult_owner().await?;
        Ok(self.known().document.clone())
    }

    async fn store(&self, document: Option<AuthDocument>) -> Result<(), CredentialError> {
        match self.ask(&Order::Write(document)).await? {
            OrderOutcome::Done | OrderOutcome::Renewal(_) => Ok(()),
            OrderOutcome::Failed(reason) => Err(CredentialError::Unwritable { place: place(), reason }),
        }
    }

    async fn renewed_by_owner(&self, order: Order) -> Report {
        let failed = |message: String| {
            let kind = "Interrupted".to_owned();
            Report::Refused(IssuerReport::Transport { kind, message })
        };
        match self.ask(&order).await {
            Ok(OrderOutcome::Renewal(report)) => report,
            Ok(OrderOutcome::Done) => Report::Store,
            Ok(OrderOutcome::Failed(reason)) => failed(reason),
            Err(error) => failed(error.to_string()),
        }
    }

    async fn ask(&self, order: &Order) -> Result<OrderOutcome, CredentialError> {
        let answer = SendFuture::new(self.send(order)).await.map_err(|error| CredentialError::Unreadable {
            place: place(),
            reason: format!("the Durable Object of the login does not answer: {error}"),
        })?;
        let is_news = self.known().number < answer.revision.number;
        self.learn(answer.revision);
        match answer.outcome {
            // Only the first of the requests that waited for one refresh counts it.
            OrderOutcome::Renewal(Report::Stored) if !is_news => Ok(OrderOutcome::Renewal(Report::Known)),
            outcome => Ok(outcome),
        }
    }

    async fn send(&self, order: &Order) -> worker::Result<OwnerReply> {
        let body = Zeroizing::new(serde_json::to_string(order)?);
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(&body)));
        let request = Request::new_with_init(OWNER_URL, &init)?;
        let mut response = self.owners.get_by_name(OWNER_NAME)?.fetch_with_request(request).await?;
        let text = Zeroizing::new(response.text().await?);
        Ok(serde_json::from_str(&text)?)
    }
}

impl CredentialStore for KvStore {
    fn place(&self) -> Place {
        place()
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        self.read_document().boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        // The owner serialises the orders that need it.
        ready(Ok(StoreLock::holding(()))).boxed()
    }

    fn write<'a>(&'a self, document: &'a AuthDocument, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.store(Some(document.clone())).boxed()
    }

    fn delete<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        async {
            let had_one = self.read_document().await?.is_some();
            self.store(None).await?;
            Ok(had_one)
        }
        .boxed()
    }

    fn probe<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.consult_owner().boxed()
    }

    fn reads_cheaply(&self) -> bool {
        false
    }
}

impl Delegate for KvStore {
    fn renew<'a>(&'a self, need: &'a Need, _: &'a Stop) -> BoxFuture<'a, Option<Report>> {
        let replaces = need.replaces.as_ref().map(|token| Zeroizing::new(token.expose().to_owned()));
        let order = Order::Renew { replaces, is_rejected: need.is_rejected };
        async move { Some(self.renewed_by_owner(order).await) }.boxed()
    }
}

impl fmt::Debug for KvStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KvStore")
    }
}

/// The document in KV with its revision number. An empty value is a removed login.
pub(super) struct PublishedCopy(SendWrapper<worker::KvStore>);

#[derive(Serialize, Deserialize)]
struct Metadata {
    revision: u64,
}

impl PublishedCopy {
    pub(super) fn new(env: &Env) -> worker::Result<Self> {
        Ok(Self(SendWrapper::new(env.kv(KV_BINDING)?)))
    }

    /// Reads KV, as far as this location has heard of it.
    pub(super) async fn read(&self) -> Result<Revision, CredentialError> {
        let get = self.0.get(KV_KEY).text_with_metadata::<Metadata>();
        let (text, metadata) = SendFuture::new(get)
            .await
            .map_err(|error| CredentialError::Unreadable { place: place(), reason: error.to_string() })?;
        let text = text.map(Zeroizing::new).filter(|text| !text.is_empty());
        let document = text.map(|text| AuthDocument::parse(&text)).transpose();
        let document = document.map_err(|malformed| CredentialError::Broken { place: place(), malformed })?;
        Ok(Revision { number: metadata.map_or(0, |metadata| metadata.revision), document })
    }

    pub(super) async fn write(&self, revision: &Revision) -> Result<(), CredentialError> {
        let unwritable = |reason: String| CredentialError::Unwritable { place: place(), reason };
        let text = revision.document.as_ref().map(AuthDocument::to_text).unwrap_or_default();
        let put = self.0.put(KV_KEY, text.as_str()).map_err(|error| unwritable(error.to_string()))?;
        let put = put.metadata(Metadata { revision: revision.number });
        let put = put.map_err(|error| unwritable(error.to_string()))?;
        SendFuture::new(put.execute()).await.map_err(|error| unwritable(error.to_string()))
    }
}

pub(super) fn place() -> Place {
    Place { store: StoreName::Kv, location: format!("the KV namespace {KV_BINDING}") }
}

const KV_KEY: &str = "auth.json";
/// A Worker has one login, and the login has one owner.
const OWNER_NAME: &str = "login";
/// A Durable Object's stub accepts any address.
const OWNER_URL: &str = "https://owner/";
