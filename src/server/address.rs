//! Repairs request paths built from a wrong base URL: one that ends with a slash, with `/v1` twice, or with a whole
//! route. The base URL of the backend itself is one of this proxy's too.
//!
//! * [`mend`] runs before routing, guards and logs, so that all of them see the same path. Percent-encoding stays as it
//!   is: an encoded slash is part of a name.
//! * The meaning of a base URL that ends with a route is ambiguous: [`beyond_base`] detects it, for an error that
//!   explains it.

use std::borrow::Cow;

use http::uri::{Authority, PathAndQuery};
use http::{Uri, header};

/// Marks, in a request's extensions, that its path was repaired.
#[derive(Debug, Clone, Copy)]
pub struct Mended;

/// Gives `request` a path with single slashes, none at its end, and `/v1` once, also in place of `/backend-api/codex`.
///
/// A Codex CLI whose `chatgpt_base_url` names this proxy asks below that prefix, as it would ask chatgpt.com.
pub fn mend<B>(mut request: http::Request<B>) -> http::Request<B> {
    if let Cow::Owned(path) = mended(request.uri().path())
        && let Some(uri) = with_path(request.uri(), path)
    {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Mended);
    }
    request
}

/// Returns the name and port by which `request` addresses this server.
pub fn authority<B>(request: &http::Request<B>) -> &str {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(Authority::as_str).or(host).unwrap_or("localhost")
}

fn with_path(uri: &Uri, mut path: String) -> Option<Uri> {
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// Repairs `path`; borrowed if nothing changes.
fn mended(path: &str) -> Cow<'_, str> {
    let is_repeated = path.starts_with("/v1/v1") || path.starts_with("/backend-api/codex");
    let is_plain = !path.contains("//") && !is_repeated && (path.len() == 1 || !path.ends_with('/'));
    if is_plain {
        return path.into();
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (base, segments) = match segments.strip_prefix(&BACKEND) {
        Some(rest) => (&[VERSION][..], rest),
        None if segments.first() == Some(&VERSION) => (&[VERSION][..], segments.as_slice()),
        None => (&[][..], segments.as_slice()),
    };
    let route = if base.is_empty() { segments } else { without_versions(segments) };
    let mut mended = String::with_capacity(path.len());
    for segment in base.iter().chain(route) {
        mended.push('/');
        mended.push_str(segment);
    }
    if mended.is_empty() { "/".into() } else { mended.into() }
}

/// Returns `segments` without each `v1` at their beginning.
fn without_versions<'s, 'a>(segments: &'s [&'a str]) -> &'s [&'a str] {
    let start = segments.iter().position(|segment| *segment != VERSION).unwrap_or(segments.len());
    segments.get(start..).unwrap_or_default()
}

/// Returns the route that the base URL seems to end with, such as `/chat/completions` in `/v1/chat/completions/models`:
/// a route followed by another.
pub(super) fn beyond_base(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    ROUTES.into_iter().find(|route| {
        let rest = path.strip_prefix(route).unwrap_or_default();
        let rest = rest.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(rest);
        ROUTES.into_iter().any(|again| {
            rest.strip_prefix(again).is_some_and(|id| id.is_empty() || (again == "/models" && id.starts_with('/')))
        })
    })
}

const VERSION: &str = "v1";
/// The path of the backend's base URL.
const BACKEND: [&str; 2] = ["backend-api", "codex"];
/// The routes that tools append to a base URL. A longer route stands before its prefix.
const ROUTES: [&str; 11] = [
    "/alpha/search",
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/images/edits",
    "/images/generations",
    "/messages",
    "/models",
    "/responses/compact",
    "/responses/input_tokens",
    "/responses",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_tools_write_them() {
        for (written, meant) in [
            ("/v1//chat/completions", "/v1/chat/completions"),
            ("//v1/chat/completions", "/v1/chat/completions"),
            ("///v1///v1//v1/chat//completions//", "/v1/chat/completions"),
            ("/v1/v1/models/", "/v1/models"),
            ("/v1/v1", "/v1"),
            ("/v1/", "/v1"),
            ("//health", "/health"),
            ("/admin//credentials/", "/admin/credentials"),
            ("//", "/"),
            ("/v1/models/v1/v1", "/v1/models/v1/v1"),
            ("/v1/v1x/models", "/v1/v1x/models"),
            ("/v1%2Fchat/completions/", "/v1%2Fchat/completions"),
            ("/backend-api/codex/responses", "/v1/responses"),
            ("//backend-api///codex//v1/v1/responses//", "/v1/responses"),
            ("/backend-api/codex/models/v1/v1", "/v1/models/v1/v1"),
            ("/backend-api/codex", "/v1"),
            ("/backend-api/codexx/responses/", "/backend-api/codexx/responses"),
            ("/v1/backend-api/codex/responses/", "/v1/backend-api/codex/responses"),
            ("/backend-api%2Fcodex/responses/", "/backend-api%2Fcodex/responses"),
        ] {
            assert_eq!(mended(written), meant, "{written}");
        }
        for plain in ["/", "/v1/chat/completions", "/health", "/v1/models/claude/opus", "/backend-api/wham/usage", "*"]
        {
            assert!(matches!(mended(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    #[test]
    fn everything_else_of_an_address_stays() {
        let mended = |uri: &str| mend(http::Request::get(uri).body(()).expect("a request")).uri().to_string();
        assert_eq!(mended("/v1//models/?client_version=1//2"), "/v1/models?client_version=1//2");
        assert_eq!(mended("http://localhost:9879//v1/v1/models/"), "http://localhost:9879/v1/models");
        assert_eq!(mended("http://localhost:9879"), "http://localhost:9879/");
        assert_eq!(mended("*"), "*");
    }

    #[test]
    fn a_base_url_that_ends_with_a_route_is_told() {
        for (path, route) in [
            ("/v1/chat/completions/chat/completions", Some("/chat/completions")),
            ("/v1/chat/completions/models", Some("/chat/completions")),
            ("/chat/completions/v1/models", Some("/chat/completions")),
            ("/v1/chat/completions/models/gpt-6.1-sol", Some("/chat/completions")),
            ("/v1/responses/responses", Some("/responses")),
            ("/v1/responses/responses/compact", Some("/responses")),
            ("/v1/responses/v1/chat/completions", Some("/responses")),
            ("/v1/responses/compact/responses", Some("/responses/compact")),
            ("/v1/models/chat/completions", Some("/models")),
            ("/v1/embeddings/embeddings", Some("/embeddings")),
            ("/v1/chat/completions", None),
            ("/v1/responses/compact", None),
            ("/v1/responses/resp_1", None),
            ("/v1/responses/resp_1/input_items", None),
            ("/v1/chat/completions/chatcmpl-1/messages", None),
            ("/v1/models/openai/models", None),
            ("/v1/modelsx/models", None),
            ("/v1x/models", None),
            ("/v1/responses/modelsx", None),
        ] {
            assert_eq!(beyond_base(path), route, "{path}");
        }
    }
}
