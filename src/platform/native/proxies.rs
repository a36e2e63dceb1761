//! The proxies of the environment and the system; an unusable variable is reported at start.
//!
//! The HTTP library silently ignores a variable that it cannot read, and would connect directly. The rules here are its
//! own (those of curl): the name in capitals wins, an empty value means none. A value is never quoted, since it may
//! hold a password.

use std::ffi::OsString;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::platform::native::{TransportError, TransportErrorKind};

/// The proxies in effect.
#[derive(Debug)]
pub(super) struct Proxies(Matcher);

impl Proxies {
    /// Reads the environment, and on macOS and Windows the system's settings. The error names an unusable variable.
    pub(super) fn from_system() -> Result<Self, TransportError> {
        check(|name| std::env::var_os(name))?;
        Ok(Self(Matcher::from_system()))
    }

    /// Returns the proxy for `target`, if any.
    pub(super) fn of(&self, target: &Uri) -> Option<Intercept> {
        self.0.intercept(target)
    }

    /// Returns the login for requests to `target` that a proxy is sent itself, as the header `Proxy-Authorization`.
    pub(super) fn login(&self, target: &Uri) -> Option<HeaderValue> {
        // With https the login goes into the tunnel's own request.
        let proxy = (target.scheme() == Some(&Scheme::HTTP)).then(|| self.of(target))??;
        proxy.basic_auth().cloned()
    }
}

/// Returns whether the proxy at `uri` speaks SOCKS.
pub(super) fn is_socks(uri: &Uri) -> bool {
    uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks"))
}

/// Checks every proxy variable in effect, read through `variable`.
fn check(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), TransportError> {
    let mut set = None;
    for names in VARIABLES {
        let Some((name, value)) = names.into_iter().find_map(|name| Some((name, variable(name)?))) else { continue };
        if value.is_empty() {
            continue;
        }
        set = Some(name);
        let problem = value.to_str().map_or(Some("it is not text"), problem_of);
        if let Some(problem) = problem {
            return Err(unusable(name, problem));
        }
    }
    match set {
        // Under CGI a client's `Proxy` header becomes HTTP_PROXY, so the library then ignores the variables.
        Some(name) if variable("REQUEST_METHOD").is_some() => {
            Err(unusable(name, "proxies are not used while REQUEST_METHOD is set; unset one of the two"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the reason that a variable's value is no proxy.
fn problem_of(value: &str) -> Option<&'static str> {
    let Ok(uri) = value.parse::<Uri>() else {
        return Some("it is not the address of a proxy; expected one such as http://host:port or socks5h://host:port");
    };
    if !uri.scheme_str().is_none_or(|scheme| SCHEMES.contains(&scheme)) {
        return Some("its scheme is not one of http, https, socks4, socks4a, socks5 and socks5h");
    }
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return Some("it names no host; expected an address such as http://host:port or socks5h://host:port");
    };
    let has_port = authority.as_str().rsplit('@').next().is_some_and(|place| {
        let after_address = place.rsplit(']').next().unwrap_or(place);
        after_address.contains(':')
    });
    (has_port && authority.port_u16().is_none()).then_some("its port is not a number from 1 to 65535")
}

fn unusable(name: &str, problem: &str) -> TransportError {
    let message = format!("the variable {name} cannot be used: {problem}");
    TransportError { kind: TransportErrorKind::Request, message }
}

/// Each pair in the HTTP library's order.
const VARIABLES: [[&str; 2]; 3] =
    [["ALL_PROXY", "all_proxy"], ["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"]];
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            pairs.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from((*value).to_owned()))
        };
        check(variable).err().map(|error| error.message)
    }

    #[test]
    fn proxies_that_can_be_used_are_silent() {
        for value in [
            "",
            "http://proxy.example:8080",
            "http://proxy.example",
            "https://user:p%40ss@proxy.example:8080/",
            "proxy.example:8080",
            "10.0.0.1:3128",
            "http://[::1]:3128",
            "http://[::1]",
            "socks4://127.0.0.1:1080",
            "socks4a://127.0.0.1:1080",
            "socks5://127.0.0.1:1080",
            "socks5h://user:secret@127.0.0.1:1080",
        ] {
            for name in VARIABLES.as_flattened() {
                assert_eq!(told(&[(name, value)]), None, "{name}={value}");
            }
        }
    }

    #[test]
    fn one_that_cannot_be_used_is_named_and_not_quoted() {
        for value in [
            "ftp://u:secret@proxy.example:21",
            "socks://u:secret@127.0.0.1:1080",
            "http://u:secret@proxy.example:80 80",
            "http://u:secret@proxy.example:port",
            "http://u:secret@proxy.example:99999",
            "http://u:secret@",
            "http://",
            "/secret/path",
            " ",
        ] {
            for name in VARIABLES.as_flattened() {
                let told = told(&[(name, value)]).unwrap_or_else(|| panic!("{name}={value}"));
                assert!(told.contains(&format!("variable {name} ")) && !told.contains("secret"), "{told}");
            }
        }
    }

    #[test]
    fn only_what_counts_is_looked_at() {
        assert_eq!(told(&[("HTTPS_PROXY", "http://proxy.example"), ("https_proxy", "ftp://x")]), None);
        assert_eq!(told(&[("HTTPS_PROXY", ""), ("https_proxy", "ftp://x")]), None, "none, as curl has it");
        let both = told(&[("HTTP_PROXY", "http://proxy.example"), ("https_proxy", "ftp://x")]);
        assert!(both.is_some_and(|told| told.contains("https_proxy")));
        assert_eq!(told(&[("REQUEST_METHOD", "GET")]), None);
        let cgi = told(&[("REQUEST_METHOD", "GET"), ("ALL_PROXY", "http://proxy.example")]);
        assert!(cgi.is_some_and(|told| told.contains("ALL_PROXY") && told.contains("REQUEST_METHOD")));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt as _;
        let error = check(|name| (name == "https_proxy").then(|| OsString::from_vec(vec![b'h', 0xff])));
        assert!(error.is_err_and(|error| error.message.contains("https_proxy")));
    }
}
