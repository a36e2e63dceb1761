//! The allow-list of the `Host` header. A page whose name was rebound to this machine (DNS rebinding) still sends its
//! own name, and is refused by it.
//!
//! * Allowed: `localhost`, literal loopback addresses, and the operator's names. Any port.
//! * With keys, any literal IP address is allowed too: DNS cannot rebind it.
//! * Every statement of a request's target must be allowed: every `Host` header and the URI's own authority.
//! * A Worker accepts any host: its platform decides which names lead to it, and no page can rebind one.
//! * A missing, repeated or malformed `Host`, or one with a user name, is refused.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};

/// The allow-list of hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    names: Vec<String>,
    any: bool,
}

impl HostPolicy {
    /// Allows loopback and each of `names` (a host with or without a port, which is ignored). The error is the
    /// malformed name.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let names = names.into_iter().map(|name| host_of(name.trim()).ok_or_else(|| name.to_owned()));
        Ok(Self { names: names.collect::<Result<_, _>>()?, any: false })
    }

    /// Allows every name, for a server that is reachable only under its own names.
    pub const fn any() -> Self {
        Self { names: Vec::new(), any: true }
    }

    /// Returns whether a request with these headers and this URI is addressed to an allowed host.
    pub fn admits(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        self.any || is_addressed(headers, uri, |host| self.admits_host(host))
    }

    /// Like [`Self::admits`], with every literal IP address allowed too: no name can be rebound to make a browser send
    /// one. For a server with keys, which is meant to be reached from other machines.
    pub fn admits_addresses(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        self.any || is_addressed(headers, uri, |host| self.admits_host(host) || is_address(host))
    }

    /// Returns whether `authority`, a host with or without a port, is allowed.
    pub(super) fn admits_host(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        let loopback = literal(&host).is_some_and(|address| address.is_loopback());
        loopback || host == "localhost" || self.names.contains(&host)
    }
}

/// Returns whether a request names exactly one host and every statement of its target is allowed.
fn is_addressed(headers: &HeaderMap, uri: &Uri, is_allowed: impl Fn(&str) -> bool) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let target = uri.authority().is_none_or(|authority| is_allowed(authority.as_str()));
    target && host.to_str().is_ok_and(is_allowed)
}

/// Returns whether `authority`, a host with or without a port, is an IP address.
pub(super) fn is_address(authority: &str) -> bool {
    host_of(authority).is_some_and(|host| literal(&host).is_some())
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Returns the host of `host[:port]` in lower case and without a final dot; `None` for anything else.
fn host_of(authority: &str) -> Option<String> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_host = match host.strip_prefix('[') {
        Some(literal) => literal.trim_end_matches(']').parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    is_host.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(policy: &HostPolicy, uri: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().expect("a header value"));
        }
        policy.admits(&headers, &uri.parse().expect("a URI"))
    }

    #[test]
    fn hosts_and_whether_they_are_let_in() {
        let policy = HostPolicy::new(["proxy.lan", "192.168.1.5:9879"]).expect("hosts");
        let table: &[(&str, bool)] = &[
            ("localhost", true),
            ("localhost:9879", true),
            ("LOCALHOST:9879", true),
            ("localhost.", true),
            ("localhost.:80", true),
            ("127.0.0.1", true),
            ("127.0.0.1:1", true),
            ("127.8.9.10:9879", true),
            ("[::1]", true),
            ("[::1]:9879", true),
            ("[0:0:0:0:0:0:0:1]:9879", true),
            ("proxy.lan", true),
            ("Proxy.LAN:443", true),
            ("192.168.1.5", true),
            ("evil.example", false),
            ("evil.example:9879", false),
            ("127.0.0.1.nip.io", false),
            ("localhost.evil", false),
            ("localhost.evil.example:9879", false),
            ("evil.localhost", false),
            ("evil.proxy.lan", false),
            ("[::ffff:127.0.0.1]", false),
            ("[::ffff:127.0.0.1]:9879", false),
            ("[::]", false),
            ("[::2]:9879", false),
            ("::1", false),
            ("[::1", false),
            ("[::1]evil", false),
            ("[localhost]", false),
            ("0.0.0.0", false),
            ("128.0.0.1", false),
            ("127.1", false),
            ("2130706433", false),
            ("0x7f000001", false),
            ("0177.0.0.1", false),
            ("192.168.1.6", false),
            ("user@localhost", false),
            ("localhost@evil.example", false),
            ("localhost:99999", false),
            ("localhost:", false),
            ("localhost:+1", false),
            ("localhost:9879:9879", false),
            ("localhost..", false),
            ("localhost/", false),
            ("localhost evil.example", false),
            ("localhost,evil.example", false),
            ("http://localhost", false),
            (".", false),
            (" ", false),
            ("", false),
        ];
        for (host, allowed) in table {
            assert_eq!(admits(&policy, "/v1/models", &[host]), *allowed, "{host:?}");
        }
    }

    #[test]
    fn addresses_are_let_in_where_they_may_be() {
        let policy = HostPolicy::new(["proxy.lan"]).expect("hosts");
        let admits = |uri: &str, host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a header value"))]);
            policy.admits_addresses(&headers, &uri.parse().expect("a URI"))
        };
        for host in [
            "192.168.1.5",
            "192.168.1.5:9879",
            "10.0.0.1",
            "[fd00::1]:9879",
            "[::ffff:10.0.0.1]",
            "localhost",
            "proxy.lan",
        ] {
            assert!(admits("/v1/models", host), "{host}");
        }
        for host in [
            "evil.example",
            "192.168.1.5.nip.io",
            "2130706433",
            "0x7f000001",
            "127.1",
            "192.168.1.5@evil",
            "fd00::1",
            "",
        ] {
            assert!(!admits("/v1/models", host), "{host}");
        }
        assert!(!admits("http://evil.example/v1/models", "192.168.1.5"));
        assert!(admits("http://192.168.1.5/v1/models", "192.168.1.5"));
    }

    #[test]
    fn every_mention_of_the_target_counts() {
        let policy = HostPolicy::default();
        assert!(!admits(&policy, "/v1/models", &[]));
        assert!(!admits(&policy, "/v1/models", &["localhost", "localhost"]));
        assert!(!admits(&policy, "/v1/models", &["localhost", "evil.example"]));
        assert!(admits(&policy, "http://127.0.0.1:9879/v1/models", &["localhost"]));
        assert!(!admits(&policy, "http://evil.example/v1/models", &["localhost"]));
        assert!(!admits(&policy, "http://localhost/v1/models", &["evil.example"]));
    }

    #[test]
    fn where_every_name_leads_here_none_is_refused() {
        assert!(admits(&HostPolicy::any(), "https://proxy.user.workers.dev/v1/models", &["proxy.user.workers.dev"]));
        assert!(admits(&HostPolicy::any(), "/v1/models", &[]));
    }

    #[test]
    fn a_name_that_is_no_host_is_an_error() {
        assert_eq!(HostPolicy::new(["good.lan", "*"]), Err("*".to_owned()));
        assert_eq!(HostPolicy::new(["http://x"]), Err("http://x".to_owned()));
    }
}
