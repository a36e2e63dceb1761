//! The web pages that may call: none but those the operator named.
//!
//! * A page of another origin is identified by `Origin` or else by `Sec-Fetch-Site`.
//! * A page of this very server (`Origin` names the same host as `Host`) is allowed.
//! * Programs other than browsers send neither header and are not affected.

use std::net::Ipv6Addr;

use axum::http::HeaderValue;
use http::{HeaderMap, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, AllowPrivateNetwork, CorsLayer};

/// The allow-list of origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginPolicy {
    origins: Vec<HeaderValue>,
}

impl OriginPolicy {
    /// Allows each of `origins`, in a browser's spelling (`https://app.example`). The error is the malformed one.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let origins = origins.into_iter().map(|origin| canonical(origin).ok_or_else(|| origin.to_owned()));
        Ok(Self { origins: origins.collect::<Result<_, _>>()? })
    }

    /// Returns whether a request with these headers comes from no page, from this server's own, or from an allowed one.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "none" || site == "same-origin"),
            (Some(origin), None) => self.origins.contains(origin) || is_own(origin, headers),
            (Some(_), Some(_)) => false,
        }
    }

    /// Returns the layer that answers preflights of allowed pages and lets them read answers; `None` if no page is
    /// allowed.
    pub fn cors(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.origins.clone()))
            .allow_methods([http::Method::GET, http::Method::POST])
            .allow_headers(AllowHeaders::mirror_request())
            .allow_private_network(AllowPrivateNetwork::yes())
            .expose_headers(EXPOSED.map(header::HeaderName::from_static))
            .max_age(PREFLIGHT_LIFETIME);
        Some(layer)
    }
}

/// Normalises an origin as browsers do: scheme and host in lower case, no path, no port that is the scheme's own.
fn canonical(origin: &str) -> Option<HeaderValue> {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match authority.rsplit_once(':').filter(|(_, rest)| !rest.contains(']')) {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
        None => (authority, None),
    };
    let host = match host.strip_prefix('[') {
        Some(literal) => format!("[{}]", literal.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
        None => host.to_owned(),
    };
    let is_host = !host.is_empty()
        && host.is_ascii()
        && (host.starts_with('[') || !host.contains(['/', '?', '#', '@', '*', ' ', ',', ':']));
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = port.filter(|port| Some(*port) != usual).map(|port| format!(":{port}")).unwrap_or_default();
    HeaderValue::try_from(format!("{scheme}://{host}{port}")).ok().filter(|_| is_scheme && is_host)
}

fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    matches!((origin, host), (Some(("http" | "https", origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// The headers that official SDKs read, the wait before a retry, whether to retry, and the id of the request; and what the proxy
/// itself tells of an answer.
const EXPOSED: [&str; 11] = [
    "retry-after",
    "x-should-retry",
    "x-request-id",
    "request-id",
    "x-codex-proxy-ignored",
    "x-codex-proxy-model-answered",
    "x-codex-proxy-model-asked",
    "x-codex-proxy-model-sent",
    "x-codex-proxy-reasoning-dropped",
    "x-codex-proxy-tier-answered",
    "x-codex-proxy-tier-asked",
];
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const PREFLIGHT_LIFETIME: std::time::Duration = std::time::Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(policy: &OriginPolicy, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost:9879"));
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        policy.admits(&headers)
    }

    #[test]
    fn origins_and_whether_they_are_let_in() {
        let policy = OriginPolicy::new(["https://App.example", "app://obsidian.md/"]).expect("origins");
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")], true),
            (&[("origin", "app://obsidian.md")], true),
            (&[("origin", "http://localhost:9879")], true),
            (&[("origin", "http://localhost:3000")], false),
            (&[("origin", "http://localhost")], false),
            (&[("origin", "http://app.example")], false),
            (&[("origin", "https://app.example:8443")], false),
            (&[("origin", "https://app.example.evil.example")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", "file://")], false),
            (&[("origin", "ftp://localhost:9879")], false),
            (&[("origin", "https://app.example"), ("origin", "https://evil.example")], false),
        ];
        for (headers, allowed) in table {
            let headers: Vec<_> = headers.iter().map(|&(name, value)| (name, value)).collect();
            assert_eq!(admits(&policy, &headers), *allowed, "{headers:?}");
        }
    }

    #[test]
    fn origins_are_those_that_browsers_send() {
        for (given, sent) in [
            ("https://app.example:443", "https://app.example"),
            ("https://app.example:0443/", "https://app.example"),
            ("HTTP://APP.example:80", "http://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("https://app.example:08443", "https://app.example:8443"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
            ("chrome-extension://abc", "chrome-extension://abc"),
            ("https://xn--mnchen-3ya.de", "https://xn--mnchen-3ya.de"),
        ] {
            let policy = OriginPolicy::new([given]).expect(given);
            assert!(admits(&policy, &[("origin", sent)]), "{given}");
        }
    }

    #[test]
    fn only_whole_origins_can_be_allowed() {
        for wrong in [
            "*",
            "app.example",
            "https://",
            "https://*.example",
            "https://a.example/path",
            "https://u@a",
            "",
            "https://a.example:",
            "https://a.example:99999",
            "https://a.example:1:2",
            "https://[::1",
            "https://[a]",
            "https://münchen.de",
        ] {
            assert_eq!(OriginPolicy::new([wrong]), Err(wrong.to_owned()));
        }
        assert!(OriginPolicy::default().cors().is_none());
    }
}
