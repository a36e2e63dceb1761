//! Refuses bodies that a web page may send across sites without a preflight.
//!
//! * `text/plain` and the two form types need no preflight, and neither does a body without any type.
//! * A header with a key needs one, whatever the type of the body. So a form is accepted with a key's header, where a route
//!   takes forms at all: every client library sends one, even if this proxy has no keys.

use http::{HeaderMap, HeaderValue, header};
use http_body::Body;

/// Returns whether only a program, or a page after a preflight, could have sent a request with these headers and this
/// body.
pub(super) fn needs_preflight(headers: &HeaderMap, body: &impl Body) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    if types.peek().is_none() {
        return body.is_end_stream();
    }
    types.all(|value| {
        let essence = essence(value);
        !essence.is_empty() && !SIMPLE.iter().any(|simple| essence.eq_ignore_ascii_case(simple.as_bytes()))
    })
}

/// Returns whether a request to `path` has a form as its body and comes with a header that needs a preflight.
pub(super) fn is_form_with_key(path: &str, headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_form = match (types.next(), types.next()) {
        (Some(value), None) => essence(value).eq_ignore_ascii_case(FORM.as_bytes()),
        _ => false,
    };
    takes_forms(path) && is_form && KEYS.iter().any(|name| headers.contains_key(*name))
}

/// Returns whether the route at `path` takes forms.
pub(super) fn takes_forms(path: &str) -> bool {
    path.strip_prefix("/v1").unwrap_or(path) == TAKES_FORMS
}

fn essence(value: &HeaderValue) -> &[u8] {
    value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

const TAKES_FORMS: &str = "/images/edits";
const KEYS: [&str; 2] = ["authorization", "x-api-key"];
const FORM: &str = "multipart/form-data";
const SIMPLE: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", FORM];

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn taken(types: &[&'static str], body: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        for value in types {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static(value));
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
