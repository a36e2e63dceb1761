//! The page at `/` for people with a browser; [`crate::page`] renders it.
//!
//! * `GET /` is the page where `Accept` names HTML, and what it always was for everybody else.
//! * `GET /page/events` keeps it current with server-sent events ([`events`]), `POST /page/key` takes a key from the form
//!   ([`session`]).
//! * Host and origin are checked as for every route. Where the API needs a key, so does the page: in the headers, or as a
//!   session that the form has begun. A key that opens `/metrics` opens the page, which tells of every client as they do. A
//!   session opens nothing else: the routes of the API know no cookies, so a web page cannot use one.
//! * The page costs nothing of the plan: nothing on the way to it asks the backend or the token issuer.

mod events;
mod session;
pub(super) mod state;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::fault::{Fault, FaultKind};
use crate::page::document;
use crate::server::routes::absent;
use crate::server::{App, body};

/// The routes beside `/`. They stand outside the guard of keys, and ask for one themselves.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(EVENTS, get(events::stream))
        .route(document::SIGN_IN, post(sign_in))
        .method_not_allowed_fallback(absent::wrong_method)
}

/// Returns whether a request wants the page: `GET /` of those who want HTML.
pub(super) fn is_for_people(request: &Request) -> bool {
    request.method() == Method::GET && request.uri().path() == "/" && wants_html(request.headers())
}

/// Returns whether a request goes to one of [`routes`].
pub(super) fn is_beside(request: &Request) -> bool {
    let route = request.extensions().get().map(MatchedPath::as_str);
    route.is_some_and(|route| [EVENTS, document::SIGN_IN].contains(&route))
}

/// Answers with the page, or with the form for a key.
pub(super) async fn show(app: &Arc<App>, headers: &HeaderMap) -> Response {
    if !admits(app, headers) {
        return ask_for_key(None);
    }
    let rendered = app.page.current(app).await;
    let guides = app.page.guides(&app.models).await;
    html(StatusCode::OK, document::page(&rendered.view, &rendered.parts, guides.as_ref()), "no-referrer")
}

/// Begins a session for the key in the form, and leads back to the page.
async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let host = request.headers().get(header::HOST).cloned();
    let body = body::read(request, LARGEST_FORM, app.settings.body_silence, None).await?;
    let field = form_urlencoded::parse(&body).find(|(name, _)| name == "key");
    let key = field.and_then(|(_, key)| HeaderValue::try_from(key.trim()).ok());
    let headers = HeaderMap::from_iter(key.map(|key| (HeaderName::from_static("x-api-key"), key)));
    if !app.settings.guard.admits_reader(&headers) {
        return Ok(ask_for_key(Some(
            "That key does not open this page: it takes one of CODEX_PROXY_API_KEY or --api-key-file, not a named one.",
        )));
    }
    let cookie = app.page.sessions.begin(host.as_ref());
    let cookie = cookie.ok_or_else(|| Fault::new(FaultKind::Internal, "the system has no random numbers"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static("/")), (header::SET_COOKIE, cookie)])
        .into_response())
}

/// Returns whether a request with these headers may see the page.
fn admits(app: &App, headers: &HeaderMap) -> bool {
    app.settings.guard.admits_reader(headers) || app.page.sessions.admits(headers)
}

/// The form. Its own address may be told to this server, or the browser would hide the origin of what it sends
/// (<https://fetch.spec.whatwg.org/#append-a-request-origin-header>), which the guard of origins insists on.
fn ask_for_key(problem: Option<&str>) -> Response {
    html(StatusCode::UNAUTHORIZED, document::sign_in(problem), "same-origin")
}

fn html(status: StatusCode, text: String, referrer: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (header::REFERRER_POLICY, HeaderValue::from_static(referrer)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("accept, cookie")),
    ];
    (status, headers, Body::from(text)).into_response()
}

/// Returns whether `Accept` names HTML. `*/*`, as programs send it, does not.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Nothing but the document's own style and script, and this server's events and form.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; form-action 'self'; img-src data:; \
         base-uri 'none'; frame-ancestors 'none'",
        digest(document::STYLE),
        digest(document::SCRIPT)
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

pub(in crate::server) const EVENTS: &str = "/page/events";
/// A key, and room to spare.
const LARGEST_FORM: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_for_those_who_name_it() {
        let wants = |accept: &'static str| {
            wants_html(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        for browser in ["text/html", "TEXT/HTML;q=0.9", "application/json, text/html;level=1;q=0.5", "*/*,text/html"] {
            assert!(wants(browser), "{browser}");
        }
        for program in ["*/*", "application/json", "", "text/*", "text/html;q=0", "text/html2", "application/xhtml+xml"]
        {
            assert!(!wants(program), "{program}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }

    #[test]
    fn the_policy_allows_only_what_the_document_has() {
        let policy = POLICY.to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    }
}
