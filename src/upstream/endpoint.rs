//! Calls of the endpoints beside `/responses`: one JSON body there, a body of any kind back.
//!
//! * Login, identification, failures and retries are those of any call. A call is not repeated once the backend has begun
//!   to answer, for it has been charged by then.
//! * The answer is read piece by piece; dropping it ends the call.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};

use crate::backend::event::failure::Failure;
use crate::credentials::{Access, TokenSupplier};
use crate::fault::Fault;
use crate::phases::PhaseClock;
use crate::upstream::failed_attempt::FailedAttempt;
use crate::upstream::head::Head;
use crate::upstream::idle::Watched;
use crate::upstream::retry::Retries;
use crate::upstream::{Answered, Upstream, unusable_login};

/// One call of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointCall {
    /// The path below the base URL, such as `/alpha/search`.
    pub path: &'static str,
    /// The body, JSON.
    pub body: Bytes,
    /// The media type wanted.
    pub accept: &'static str,
    /// The client's own headers to forward, chosen by [`BackendCall::passed_headers`](super::BackendCall::passed_headers).
    pub client_headers: HeaderMap,
}

/// An endpoint's answer with status 200: the head, and the body as far as it is unread.
#[derive(Debug)]
pub struct EndpointAnswer {
    /// The head's facts for the client and the log.
    pub head: Head,
    headers: HeaderMap,
    body: Watched,
    supplier: TokenSupplier,
}

impl EndpointAnswer {
    /// Returns the body's type.
    pub fn content_type(&self) -> Option<&HeaderValue> {
        self.headers.get(CONTENT_TYPE)
    }

    /// Reads the next bytes; `None` at the body's end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        let read = self.body.next().await?;
        Some(read.map_err(|error| self.explained(FailedAttempt::broken(&error))))
    }

    /// Returns the error for a failure that the body reports.
    pub fn reported(&self, failure: &Failure) -> Fault {
        self.explained(FailedAttempt::in_stream(failure))
    }

    /// Returns the error for a body that is no answer, such as a page; `beginning` is its beginning.
    pub fn no_answer(&self, beginning: &[u8]) -> Fault {
        self.explained(FailedAttempt::answered(StatusCode::OK, &self.headers, beginning))
    }

    /// Returns the error for a body that ended before the answer did.
    pub fn ended_early(&self) -> Fault {
        self.explained(FailedAttempt::ended_early())
    }

    fn explained(&self, failed: FailedAttempt) -> Fault {
        failed.with_head(self.head.clone()).masked(&self.supplier).error
    }
}

impl Upstream {
    /// Sends `call` and reads the head of its answer. `clock` measures the phases.
    pub async fn call(&self, call: &EndpointCall, clock: &PhaseClock) -> Result<EndpointAnswer, Fault> {
        let mut retries = Retries::default();
        loop {
            match self.call_once(call, clock).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => self.pause(failed, &mut retries).await?,
            }
        }
    }

    async fn call_once(&self, call: &EndpointCall, clock: &PhaseClock) -> Result<EndpointAnswer, FailedAttempt> {
        let Answered { response, account: _ } = self.send(&|access| self.endpoint_request(access, call), clock).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        let (parts, body) = response.into_parts();
        let head = Head::read(&parts.headers).masked(&self.supplier);
        let body = Watched::new(body, self.settings.idle_timeout);
        Ok(EndpointAnswer { head, headers: parts.headers, body, supplier: self.supplier.clone() })
    }

    fn endpoint_request(&self, access: &Access, call: &EndpointCall) -> Result<Request<Bytes>, FailedAttempt> {
        let mut request = self.post(access, call.path, call.body.clone())?;
        let headers = request.headers_mut();
        headers.extend(call.client_headers.clone());
        self.addressing.identity.write(headers, access).map_err(unusable_login)?;
        headers.insert(ACCEPT, HeaderValue::from_static(call.accept));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }
}
