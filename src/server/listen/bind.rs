//! Binds the sockets to listen on.
//!
//! * `localhost` means both loopback addresses, since clients differ in which they try first. A machine without IPv6
//!   has one.
//! * Port 0 takes any port that is free on all of them.
//! * An address that other machines can reach is refused unless the API has a key.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// The reason that no socket was bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The operator's error: other machines could spend the subscription.
    #[error(
        "refusing to listen on {0} without a key: everybody who can reach this machine could use your subscription; \
         set CODEX_PROXY_API_KEY (or --api-key-file), or listen on localhost"
    )]
    Unprotected(IpAddr),
    /// The port is in use by another program.
    #[error("port {port} is in use on {address}; stop the other program, or choose another port with --port")]
    InUse {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// The host is neither an address nor a resolvable name.
    #[error("the host {host:?} is neither an address nor a name that can be resolved; check --host")]
    Unknown {
        /// The configured host.
        host: String,
        /// The resolver's error.
        error: io::Error,
    },
    /// The system refused.
    #[error("cannot listen on {address}: {error}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
}

/// Binds `port` on every address of `host`; `has_key` is whether the API needs a key.
pub async fn bind(host: &str, port: u16, has_key: bool) -> Result<Vec<TcpListener>, BindError> {
    let addresses = addresses(host).await?;
    if let Some(open) = addresses.iter().find(|address| !address.is_loopback())
        && !has_key
    {
        return Err(BindError::Unprotected(*open));
    }
    let mut attempts_left = if port == 0 { ANY_PORT_ATTEMPTS } else { 0 };
    loop {
        match bind_all(&addresses, port) {
            Err(BindError::InUse { .. }) if attempts_left > 0 => attempts_left -= 1,
            outcome => return outcome,
        }
    }
}

/// Takes over sockets that another process opened, under the same rule about keys.
pub fn adopt(sockets: Vec<std::net::TcpListener>, has_key: bool) -> Result<Vec<TcpListener>, BindError> {
    sockets.into_iter().map(|socket| adopt_one(socket, has_key)).collect()
}

fn adopt_one(socket: std::net::TcpListener, has_key: bool) -> Result<TcpListener, BindError> {
    let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let address = socket.local_addr().map_err(|error| BindError::Refused { address: unknown, error })?;
    if !address.ip().is_loopback() && !has_key {
        return Err(BindError::Unprotected(address.ip()));
    }
    let listener = socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket));
    listener.map_err(|error| BindError::Refused { address, error })
}

fn bind_all(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for &address in addresses {
        let first = listeners.first().and_then(|listener| listener.local_addr().ok());
        let wanted = SocketAddr::new(address, first.map_or(port, |first| first.port()));
        match listen(wanted) {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::InUse { address, port: wanted.port() });
            }
            Err(error) if listeners.is_empty() => return Err(BindError::Refused { address: wanted, error }),
            Err(error) => tracing::debug!(address = %wanted, %error, "listening without this address"),
        }
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Allows binding while connections of an earlier process are in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, BindError> {
    let host = host.trim();
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse() {
        return Ok(vec![address]);
    }
    let unknown = |error| BindError::Unknown { host: host.to_owned(), error };
    let mut addresses: Vec<_> = lookup_host((host, 0)).await.map_err(unknown)?.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Err(unknown(io::ErrorKind::NotFound.into())) } else { Ok(addresses) }
}

/// Attempts at a free port if the first is in use on the second address.
const ANY_PORT_ATTEMPTS: u32 = 20;
/// The accept backlog; a burst of clients must not have to retry after a second.
const BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_the_same_port_on_every_loopback_address() {
        let listeners = bind("LocalHost", 0, false).await.expect("listeners");
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect();
        assert!(addresses[0].ip() == Ipv4Addr::LOCALHOST && addresses[0].port() != 0);
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == addresses[0].port()));
    }

    #[tokio::test]
    async fn addresses_others_can_reach_need_a_key() {
        for host in ["0.0.0.0", "::", "[::]", "192.0.2.1"] {
            let error = bind(host, 0, false).await.expect_err(host);
            assert!(matches!(error, BindError::Unprotected(_)), "{host}: {error}");
        }
        assert!(bind("0.0.0.0", 0, true).await.is_ok());
    }

    #[tokio::test]
    async fn sockets_of_others_are_taken_over_under_the_same_rule() {
        let socket = || std::net::TcpListener::bind("0.0.0.0:0").expect("a socket");
        assert!(matches!(adopt(vec![socket()], false), Err(BindError::Unprotected(_))));
        let adopted = adopt(vec![socket()], true).expect("adopted");
        let port = adopted[0].local_addr().expect("bound").port();
        let client = tokio::net::TcpStream::connect(("127.0.0.1", port));
        let (client, accepted) = tokio::join!(client, adopted[0].accept());
        assert!(client.is_ok() && accepted.is_ok());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = bind("127.0.0.1", 0, false).await.expect("a listener");
        let port = taken[0].local_addr().expect("bound").port();
        for host in ["127.0.0.1", "localhost"] {
            let error = bind(host, port, false).await.expect_err("in use");
            assert!(matches!(error, BindError::InUse { port: named, .. } if named == port), "{error}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_nowhere_is_named() {
        let error = bind("no such host", 0, true).await.expect_err("unknown");
        assert!(error.to_string().contains("no such host"), "{error}");
    }
}
