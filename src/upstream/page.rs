//! The backend's pages beside `/responses`, such as the plan's usage.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};

use crate::credentials::Access;
use crate::limits::PlanLimits;
use crate::limits::page;
use crate::platform::{HttpClient, unix_now};
use crate::upstream::idle::within;
use crate::upstream::{UpstreamSettings, defaults};

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

/// The page with the plan's usage.
pub const USAGE: &str = "wham/usage";

const LIMIT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;
