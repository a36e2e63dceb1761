//! Errors in the shape of the API that a request was made in.
//!
//! * Whatever goes wrong is an answer in OpenAI's shape, and the error itself travels in its extensions
//!   ([`error`](super::error)). At the edge, an answer to a request of Anthropic's API gets that API's status, type and words.
//! * A request is Anthropic's by its path, or by `anthropic-version` on a path that both APIs have: their SDKs send it always,
//!   OpenAI's never.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

use crate::dialect::messages::error;
use crate::fault::Fault;
use crate::server::routes::models::ANTHROPIC_VERSION;

/// Which API's errors a client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultShape {
    /// `{"error":{"message","type","param","code"}}`.
    OpenAi,
    /// `{"type":"error","error":{"type","message"}}`.
    Anthropic,
}

impl FaultShape {
    /// The shape for `request`.
    pub(super) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let is_under =
            |route: &str| path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_openai = ["/alpha", "/chat", "/images", "/responses"].iter().any(|route| is_under(route));
        let is_own = ["/messages", "/complete", "/skills"].iter().any(|route| is_under(route));
        let is_anthropic = is_own || (request.headers().contains_key(ANTHROPIC_VERSION) && !is_openai);
        if is_anthropic { Self::Anthropic } else { Self::OpenAi }
    }

    /// Gives an error's answer this shape; any other answer stays as it is.
    pub(super) fn apply(self, response: Response, id: &HeaderValue) -> Response {
        if self == Self::OpenAi {
            return response;
        }
        let (mut head, body) = response.into_parts();
        head.headers.insert(REQUEST_ID, id.clone());
        let Some(fault) = head.extensions.get::<Fault>() else { return Response::from_parts(head, body) };
        let text = error::body(fault, id.to_str().unwrap_or_default());
        head.status = error::status(fault);
        head.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(head, Body::from(text))
    }
}

/// As Anthropic's SDKs read it, beside `x-request-id`.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
