//! Connections through a SOCKS proxy.
//!
//! The scheme says who resolves the target's name: this machine (`socks4`, `socks5`) or the proxy (`socks4a`,
//! `socks5h`).

use std::io;
use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service as _;

use crate::platform::native::route::ConnectError;

/// Connects to `target` through `proxy`.
pub(super) async fn connect(
    tcp: HttpConnector,
    proxy: &Intercept,
    target: &Uri,
) -> Result<TokioIo<TcpStream>, ConnectError> {
    let address = proxy.uri().clone();
    let scheme = address.scheme_str().unwrap_or_default();
    let is_version_4 = scheme.starts_with("socks4");
    let host = target.host().ok_or("the address names no host")?;
    let host = match scheme {
        "socks4" | "socks5" => resolved(host, is_version_4).await?,
        _ => host.to_owned(),
    };
    let target = with_port(&host, target)?;
    if is_version_4 {
        return Ok(SocksV4::new(address, tcp).call(target).await?);
    }
    let mut socks = SocksV5::new(address, tcp);
    if let Some((user, password)) = proxy.raw_auth() {
        socks = socks.with_auth(user.to_owned(), password.to_owned());
    }
    Ok(socks.call(target).await?)
}

/// Resolves `host` to an address, in a URI's form. SOCKS 4 knows no address of IPv6.
async fn resolved(host: &str, only_version_4: bool) -> Result<String, ConnectError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    let addresses = GaiResolver::new().call(host.parse::<Name>()?).await.map_err(Unresolved)?;
    let found = first(addresses.map(|address| address.ip()), only_version_4);
    found.ok_or_else(|| Unresolved(io::Error::other("SOCKS 4 needs an address of IPv4, and there is none")).into())
}

fn first(mut addresses: impl Iterator<Item = IpAddr>, only_version_4: bool) -> Option<String> {
    match addresses.find(|address| address.is_ipv4() || !only_version_4)? {
        IpAddr::V4(address) => Some(address.to_string()),
        IpAddr::V6(address) => Some(format!("[{address}]")),
    }
}

/// Returns the URI of `host` with the port of `target`: the SOCKS library takes 443 for any other.
fn with_port(host: &str, target: &Uri) -> Result<Uri, http::Error> {
    let is_https = target.scheme() == Some(&Scheme::HTTPS);
    let port = target.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    Uri::builder().scheme("https").authority(format!("{host}:{port}")).path_and_query("/").build()
}

/// A name that this machine cannot resolve.
#[derive(Debug, thiserror::Error)]
#[error("dns error")]
struct Unresolved(#[source] io::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socks_4_is_given_the_first_address_that_it_can_have() {
        let addresses = || ["2001:db8::1", "192.0.2.1"].into_iter().map(|address| address.parse().expect("an address"));
        assert_eq!(first(addresses(), false).as_deref(), Some("[2001:db8::1]"));
        assert_eq!(first(addresses(), true).as_deref(), Some("192.0.2.1"));
        assert_eq!(first(addresses().take(1), true), None);
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        for host in ["[::1]", "192.0.2.1"] {
            assert_eq!(resolved(host, false).await.expect("an address"), host);
        }
        let error = resolved("nowhere.invalid", false).await.expect_err("no address");
        assert_eq!(error.to_string(), "dns error", "the stage, which its source explains");
    }
}
