//! The form of a URI in which its request is sent, which is that of browsers: the host in small letters, no default port,
//! no user's name, and no byte unencoded that a URI may not have (WHATWG URL, 4.4).
//!
//! [`Uri`] accepts more than that, and would send it as it is.

use std::fmt::Write as _;

use http::Uri;
use http::uri::{Authority, PathAndQuery};

use crate::platform::native::{TransportError, TransportErrorKind};

/// Returns `uri` in its final form; an error unless it is an `http` or `https` address.
pub(super) fn target(uri: Uri) -> Result<Uri, TransportError> {
    let default_port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err(unusable("the address must begin with http:// or https://")),
    };
    let authority = uri.authority().and_then(|authority| final_authority(authority, default_port));
    let path = uri.path_and_query().and_then(|path| encoded(path.as_str()));
    if authority.is_none() && path.is_none() {
        return Ok(uri);
    }
    let mut parts = uri.into_parts();
    if let Some(authority) = authority {
        parts.authority = Some(Authority::try_from(authority).map_err(|error| unusable(&error.to_string()))?);
    }
    if let Some(path) = path {
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|error| unusable(&error.to_string()))?);
    }
    Uri::from_parts(parts).map_err(|error| unusable(&error.to_string()))
}

/// Returns the final form of `authority`; `None` if it has it.
fn final_authority(authority: &Authority, default_port: u16) -> Option<String> {
    let (host, text) = (authority.host(), authority.as_str());
    let port = authority.port().filter(|port| port.as_u16() != default_port);
    let length = host.len() + port.as_ref().map_or(0, |port| 1 + port.as_str().len());
    if text.len() == length && !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let host = host.to_ascii_lowercase();
    Some(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

/// Encodes the bytes of a path and its query that a URI may not have; `None` if there are none.
fn encoded(text: &str) -> Option<String> {
    let query = text.find('?').unwrap_or(text.len());
    let is_foreign = |(place, byte): (usize, u8)| {
        let of_its_part: &[u8] = if place < query { b"\"{}" } else { b"'" };
        byte >= 0x7f || of_its_part.contains(&byte)
    };
    if !text.bytes().enumerate().any(is_foreign) {
        return None;
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for (place, byte) in text.bytes().enumerate() {
        if is_foreign((place, byte)) {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            encoded.push(char::from(byte));
        }
    }
    Some(encoded)
}

fn unusable(message: &str) -> TransportError {
    TransportError { kind: TransportErrorKind::Request, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targeted(uri: &str) -> Result<String, String> {
        target(uri.parse().expect("a URI")).map(|uri| uri.to_string()).map_err(|error| error.message)
    }

    #[test]
    fn a_uri_has_the_form_that_a_browser_sends() {
        for uri in [
            "https://chatgpt.com/backend-api/codex/responses",
            "https://ChatGPT.com:443/x",
            "HTTP://LOCALHOST:80",
            "http://localhost:443/",
            "http://localhost:/x",
            "https://[2001:DB8::1]:8443/x?a=b%20c",
            "http://[::1]:80/",
            "https://example.com/b\u{fc}ro/{x}/\"y\"^?q=\u{20ac}",
            "https://example.com/it's|so/~x?a[]=b&it's={x}",
        ] {
            let oracle = reqwest::Url::parse(uri).expect("a URL").to_string();
            assert_eq!(targeted(uri), Ok(oracle), "{uri}");
        }
    }

    #[test]
    fn a_users_name_is_not_sent() {
        assert_eq!(targeted("https://user:secret@Example.com:444/x"), Ok("https://example.com:444/x".to_owned()));
    }

    #[test]
    fn only_a_servers_address_is_a_target() {
        for uri in ["/x", "example.com", "ftp://example.com/x", "*"] {
            assert!(targeted(uri).is_err_and(|message| message.contains("http://")), "{uri}");
        }
    }
}
