//! Refuses bodies that a web page may send across sites without a preflight.
//!
//! * `text/plain` and the two form types need no preflight, and neither does a body without any type.

use http::{HeaderMap, header};
use http_body::Body;

/// Returns whether only a program, or a page after a preflight, could have sent a request with these headers and this
/// body.
pub(super) fn needs_preflight(headers: &HeaderMap, body: &impl Body) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    if types.peek().is_none() {
        return body.is_end_stream();
    }
    types.all(|value| {
        let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        !essence.is_empty() && !SIMPLE.iter().any(|simple| essence.eq_ignore_ascii_case(simple.as_bytes()))
    })
}

const SIMPLE: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn taken(types: &[&'static str], body: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        for value in types {
            headers.append(header::CONTENT_TYPE, http::HeaderValue::from_static(value));
        }
        needs_preflight(&headers, &Body::from(body))
    }

    #[test]
    fn types_and_whether_they_are_taken() {
        assert!(taken(&["application/json"], "{}"));
        assert!(taken(&["Application/JSON; charset=utf-8"], "{}"));
        assert!(taken(&["application/vnd.api+json"], "{}"));
        assert!(taken(&[], ""));
        for refused in [
            "text/plain",
            "TEXT/PLAIN;charset=UTF-8",
            "text/plain;application/json",
            "multipart/form-data; boundary=x",
            "",
        ] {
            assert!(!taken(&[refused], "{}"), "{refused:?}");
        }
        assert!(!taken(&["application/x-www-form-urlencoded"], "a=1"));
        assert!(!taken(&["application/json", "text/plain"], "{}"));
        assert!(!taken(&[], "{}"));
    }
}
