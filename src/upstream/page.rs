//! The backend's pages beside `/responses`, such as the plan's usage.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};

use crate::credentials::Access;
use crate::fault::{Fault, FaultKind};
use crate::limits::PlanLimits;
use crate::limits::page;
use crate::platform::{HttpClient, unix_now};
use crate::upstream::failed_attempt::FailedAttempt;
use crate::upstream::idle::within;
use crate::upstream::{Upstream, UpstreamSettings, defaults};

/// A client of the backend's pages.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The HTTP client.
    pub http: HttpClient,
    /// The backend's address, and this program's identification there.
    pub upstream: UpstreamSettings,
}

/// A page as the backend answered it.
#[derive(Debug, Clone)]
pub struct BackendPage {
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Asker {
    /// Fetches the usage of `access`'s plan. The error is a predicate without a subject.
    pub async fn limits(&self, access: &Access) -> Result<PlanLimits, String> {
        let BackendPage { status, body, .. } = self.page(access, USAGE).await?;
        if !status.is_success() {
            return Err(format!("the backend answered {status}"));
        }
        page::read(&body, unix_now().as_secs()).ok_or_else(|| "the answer cannot be read".to_owned())
    }

    /// Fetches a page of the backend, such as `wham/usage`, with the login of `access`. The error is a predicate
    /// without a subject.
    pub async fn page(&self, access: &Access, page: &str) -> Result<BackendPage, String> {
        let unusable = |_| "the request could not be built".to_owned();
        let mut request = Request::get(defaults::page(self.upstream.url_for(access), page))
            .body(Bytes::new())
            .map_err(|error| unusable(error.to_string()))?;
        let identified = self.upstream.identify(request.headers_mut(), access);
        identified.map_err(|part| unusable(part.to_owned()))?;
        let answer = within(LIMIT, self.answer(request)).await;
        answer.ok_or_else(|| format!("no answer within {} seconds", LIMIT.as_secs()))?
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<BackendPage, String> {
        let (head, mut stream) = self.http.send(request).await.map_err(|error| error.to_string())?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
            if body.len() > MAX_ANSWER {
                return Err("the answer is too long".to_owned());
            }
        }
        Ok(BackendPage { status: head.status, headers: head.headers, body: body.into() })
    }
}

impl Upstream {
    /// Returns the plan's usage as the backend's page. What answers have told within [`FRESH`] is shown in its form;
    /// otherwise the backend is asked, once for all who wait.
    pub async fn usage_page(&self) -> Result<Bytes, Fault> {
        let access = self.supplier.access().await?;
        let known = || self.limits.page(&access.account_id, FRESH.as_secs(), unix_now().as_secs());
        if let Some(page) = known() {
            return Ok(page);
        }
        // On the edge a request must not wait for another one.
        #[cfg(not(target_arch = "wasm32"))]
        let _turn = self.asking.lock().await;
        if let Some(page) = known() {
            return Ok(page);
        }
        let asker = Asker { http: self.client.clone(), upstream: UpstreamSettings::clone(&self.settings) };
        let unreachable =
            |problem| Fault::new(FaultKind::UpstreamUnreachable, format!("the plan's usage is not known: {problem}"));
        let BackendPage { status, headers, body } = asker.page(&access, USAGE).await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(FailedAttempt::answered(status, &headers, &body).masked(&self.supplier).error);
        }
        let body = self.masked(&String::from_utf8_lossy(&body)).map_or(body, Bytes::from);
        let now = unix_now().as_secs();
        if page::read(&body, now).is_none() {
            let message = "the backend's page of the plan's usage cannot be read";
            return Err(Fault::new(FaultKind::UpstreamInvalid, message));
        }
        self.limits.note_page(&access.account_id, body.clone(), now);
        Ok(body)
    }
}

/// The age up to which the plan's usage is not asked for again. A client that shows it asks every minute.
const FRESH: Duration = Duration::from_secs(300);

/// The page with the plan's usage.
pub const USAGE: &str = "wham/usage";

const LIMIT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;
