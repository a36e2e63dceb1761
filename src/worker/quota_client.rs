//! The counts of named keys, as an isolate reaches them.

use std::fmt;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use worker::send::SendFuture;
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, ObjectNamespace, Request, RequestInit};

use crate::credentials::edge::kv::OWNER_BINDING;
use crate::server::quota::owner::{QuotaOrder, QuotaOwner, QuotaReply};

/// The Durable Object that counts. It is one of the login's class, with a name of its own: a count does not wait for a
/// refresh.
pub(super) struct QuotaClient(ObjectNamespace);

impl QuotaClient {
    /// Opens the binding in `env`. The error is a missing binding.
    pub(super) fn new(env: &Env) -> worker::Result<Self> {
        env.durable_object(OWNER_BINDING).map(Self)
    }

    async fn send(&self, order: &QuotaOrder) -> worker::Result<QuotaReply> {
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(&serde_json::to_string(order)?)));
        let request = Request::new_with_init(QUOTA_URL, &init)?;
        self.0.get_by_name(QUOTA_NAME)?.fetch_with_request(request).await?.json().await
    }
}

impl QuotaOwner for QuotaClient {
    fn ask<'a>(&'a self, order: &'a QuotaOrder) -> BoxFuture<'a, Result<QuotaReply, String>> {
        SendFuture::new(self.send(order)).map(|reply| reply.map_err(|error| error.to_string())).boxed()
    }
}

impl fmt::Debug for QuotaClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("QuotaClient")
    }
}

/// The path of orders about counts, at a Durable Object of the login's class.
pub(super) const QUOTA_PATH: &str = "/quota";
const QUOTA_URL: &str = "https://owner/quota";
const QUOTA_NAME: &str = "quota";
