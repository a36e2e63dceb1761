//! A line between the proxy and the backend that can be made to fall silent: its sockets stay open and nothing is passed
//! on, as after a sleep, a change of network or a lost entry in a NAT's table.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a client has to say before it is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// Nothing.
    None,
    /// An HTTP proxy's CONNECT.
    Connect,
    /// A SOCKS 5 request without a login, by name or by address.
    Socks,
}

/// Passes connections on to one port of this machine.
pub(crate) struct Forwarder {
    pub(crate) port: u16,
    /// Connections numbered below this are silent.
    silent_below: watch::Sender<usize>,
    taken: Arc<AtomicUsize>,
    /// Where the clients wanted to go, as they said it.
    pub(crate) targets: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Forwarder {
    pub(crate) async fn start(target: u16, greeting: Greeting) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (silent_below, silent) = watch::channel(0);
        let (taken, targets) = <(Arc<AtomicUsize>, Arc<std::sync::Mutex<Vec<String>>>)>::default();
        let forwarder = Self { port, silent_below, taken: taken.clone(), targets: targets.clone() };
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let number = taken.fetch_add(1, Ordering::SeqCst);
                let (silent, targets) = (silent.clone(), targets.clone());
                tokio::spawn(async move {
                    let wanted = match greeting {
                        Greeting::None => None,
                        Greeting::Connect => Some(connect(&mut socket).await),
                        Greeting::Socks => Some(socks(&mut socket).await),
                    };
                    targets.lock().expect("whole").extend(wanted);
                    let Ok(onward) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    let ((from, to), (back_from, back_to)) = (socket.into_split(), onward.into_split());
                    tokio::join!(pass(from, back_to, number, silent.clone()), pass(back_from, to, number, silent));
                });
            }
        });
        forwarder
    }

    /// From now on the connections there are pass nothing on.
    pub(crate) fn fall_silent(&self) {
        self.silent_below.send_replace(self.connections());
    }

    /// How many connections have been made.
    pub(crate) fn connections(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    mut silent: watch::Receiver<usize>,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            biased;
            () = async { drop(silent.wait_for(|below| number < *below).await) } => std::future::pending().await,
            read = from.read(&mut bytes) => read,
        };
        match read {
            Ok(length) if length > 0 => {
                if to.write_all(&bytes[..length]).await.is_err() {
                    return;
                }
            }
            _ => return drop(to.shutdown().await),
        }
    }
}

/// Answers an HTTP CONNECT and returns its target.
async fn connect(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("a head"));
    }
    socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("written");
    let head = String::from_utf8(head).expect("text");
    head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).expect("a CONNECT").to_owned()
}

/// Answers a SOCKS 5 greeting and request (RFC 1928) and returns its target.
async fn socks(socket: &mut TcpStream) -> String {
    let mut greeting = [0; 2];
    socket.read_exact(&mut greeting).await.expect("a greeting");
    assert_eq!(greeting[0], 5, "SOCKS 5");
    let mut methods = vec![0; greeting[1].into()];
    socket.read_exact(&mut methods).await.expect("methods");
    socket.write_all(&[5, 0]).await.expect("written");
    let mut request = [0; 4];
    socket.read_exact(&mut request).await.expect("a request");
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            socket.read_exact(&mut address).await.expect("an address");
            std::net::Ipv4Addr::from(address).to_string()
        }
        3 => {
            let mut name = vec![0; socket.read_u8().await.expect("a length").into()];
            socket.read_exact(&mut name).await.expect("a name");
            String::from_utf8(name).expect("text")
        }
        4 => {
            let mut address = [0; 16];
            socket.read_exact(&mut address).await.expect("an address");
            std::net::Ipv6Addr::from(address).to_string()
        }
        other => panic!("address type {other}"),
    };
    let port = socket.read_u16().await.expect("a port");
    socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.expect("written");
    format!("{host}:{port}")
}
