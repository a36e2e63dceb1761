//! Errors as HTTP answers.
//!
//! * The body is the error's JSON; the error itself travels in the response's extensions to the log.
//! * `Retry-After` is in whole seconds, rounded up, so that no client retries too early.
//! * `x-should-retry: false` keeps the official SDKs from retrying a permanent error twice. Otherwise they retry every
//!   408, 409, 429 and 5xx.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};

use crate::fault::{Again, Fault};

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.again() == Again::Useless {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The header that the official SDKs read first (openai-python 2.54, openai-node 6.49).
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn an_answer_has_the_status_the_headers_and_the_cause() {
        let mut error = Fault::new(FaultKind::RateLimited, "slow down").with_retry_after(Duration::from_millis(1200));
        error.headers.push(("x-codex-primary-used-percent".parse().unwrap(), HeaderValue::from_static("99")));
        error.headers.push((header::CONTENT_TYPE, HeaderValue::from_static("text/html")));
        let response = error.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        assert!(!response.headers().contains_key("x-should-retry"));
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-codex-primary-used-percent"], "99");
        assert_eq!(response.extensions().get::<Fault>().map(|error| error.kind), Some(FaultKind::RateLimited));
    }

    #[test]
    fn an_error_that_stays_says_so() {
        for &kind in FaultKind::ALL {
            let response = Fault::new(kind, "m").into_response();
            let told = response.headers().get("x-should-retry").map(HeaderValue::as_bytes);
            assert_eq!(told, (kind.row().again == Again::Useless).then_some(&b"false"[..]), "{kind:?}");
        }
    }
}
