//! The default addresses of backend and issuer, and checks of an operator's values.
//!
//! * Plain `http` is accepted for loopback hosts only: elsewhere the login would be sent unencrypted.

use std::net::IpAddr;

use http::Uri;

/// The backend's base URL.
pub const UPSTREAM_URL: &str = "https://chatgpt.com/backend-api/codex";
/// The backend's base URL for FedRAMP workspaces (Codex CLI 0.169).
pub const FEDRAMP_UPSTREAM_URL: &str = "https://gov.chatgpt.com/backend-api/codex";
/// The token issuer's base URL.
pub const AUTH_URL: &str = "https://auth.openai.com";
/// The default `originator`.
pub const ORIGINATOR: &str = "codex-proxy";
/// The default client version. The backend hides models newer than it.
pub const CLIENT_VERSION: &str = "0.169.0";
/// The value of a workspace's origin and of its route if it has none of its own (Codex CLI 0.169).
pub const UNCONSTRAINED: &str = "NO_CONSTRAINT";

/// Checks a base URL and removes a trailing slash. The error is the problem.
pub fn base_url(text: &str) -> Result<String, String> {
    let wrong = |problem: &str| format!("{text:?} {problem}");
    let url: Uri = text.trim().parse().map_err(|_| wrong("is not a URL"))?;
    let text = text.trim().trim_end_matches('/');
    let host = url.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("is not a URL with a host"))?;
    if url.query().is_some() || url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("must have neither a query nor a user name"));
    }
    match url.scheme_str() {
        Some("https") => Ok(text.to_owned()),
        Some("http") if is_loopback(host) => Ok(text.to_owned()),
        Some("http") => Err(wrong("would send your login unencrypted; plain http is for loopback hosts only")),
        _ => Err(wrong("must begin with https://")),
    }
}

/// Returns the address of a page beside `base_url`, such as `wham/usage`.
pub fn page(base_url: &str, page: &str) -> String {
    let base_url = base_url.trim_end_matches('/');
    match base_url.strip_suffix("/backend-api/codex") {
        Some(host) => format!("{host}/backend-api/{page}"),
        None => format!("{}/api/{}", base_url.trim_end_matches("/codex"), page.replacen("wham/", "codex/", 1)),
    }
}

/// Checks that a header can hold `text`. The error is the reason that it cannot.
pub fn header_text(text: String) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Ok(text);
    }
    Err(format!("{text:?} cannot be sent in a header; use visible ASCII characters"))
}

/// Parses a boolean. The error lists the accepted spellings.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stand_beside_the_backend() {
        assert_eq!(page(UPSTREAM_URL, "wham/usage"), "https://chatgpt.com/backend-api/wham/usage");
        assert_eq!(page("https://example.com/codex", "wham/usage"), "https://example.com/api/codex/usage");
        assert_eq!(
            page(FEDRAMP_UPSTREAM_URL, "wham/accounts/check"),
            "https://gov.chatgpt.com/backend-api/wham/accounts/check"
        );
    }

    #[test]
    fn switches() {
        for (text, value) in [("true", true), (" ON ", true), ("1", true), ("False", false), ("no", false)] {
            assert_eq!(switch(text), Ok(value), "{text}");
        }
        assert!(switch("maybe").is_err() && switch("").is_err());
    }
}
