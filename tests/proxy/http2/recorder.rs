//! A server or proxy that records what a client says, byte for byte, and speaks just enough for the client to go on.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the recorder is to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A server, or a proxy that requests in absolute form are sent to: it answers by itself.
    Server,
    /// A proxy for HTTP CONNECT.
    Connect,
    /// A proxy for SOCKS 4 and 4a.
    Socks4,
    /// A proxy for SOCKS 5 that demands a user's name and password (RFC 1929).
    Socks5,
}

pub(crate) struct Recorder {
    pub(crate) port: u16,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    pub(crate) async fn start(role: Role) -> Self {
        Self::over(role, None, 0).await
    }

    /// A proxy that passes its clients on to `target` on this machine, perhaps spoken to over TLS.
    pub(crate) async fn over(role: Role, tls: Option<TlsAcceptor>, target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let said = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let recorder = Self { port, said: said.clone() };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, said) = (tls.clone(), said.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, role, target, &said).await,
                        Some(tls) => {
                            let socket = tls.accept(socket).await?;
                            let protocol = socket.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                            assert_eq!(protocol, None, "no protocol is offered to a proxy");
                            serve(socket, role, target, &said).await
                        }
                    }
                });
            }
        });
        recorder
    }

    /// What each connection, or each request to a server, began with.
    pub(crate) fn said(&self) -> Vec<Vec<u8>> {
        self.said.lock().expect("whole").clone()
    }

    /// The heads of POST requests.
    pub(crate) fn posts(&self) -> Vec<String> {
        let said = self.said().into_iter().map(|said| String::from_utf8(said).expect("text"));
        said.filter(|head| head.starts_with("POST ")).collect()
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    role: Role,
    target: u16,
    said: &Mutex<Vec<Vec<u8>>>,
) -> std::io::Result<()> {
    match role {
        Role::Server => loop {
            let head = until(&mut socket, b"\r\n\r\n").await?;
            let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
            socket.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
            let answer = answer(head.starts_with(b"POST "));
            said.lock().expect("whole").push(head);
            socket.write_all(answer.as_bytes()).await?;
        },
        Role::Connect => {
            let head = until(&mut socket, b"\r\n\r\n").await?;
            said.lock().expect("whole").push(head);
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        }
        Role::Socks4 => {
            let mut head = vec![0; 8];
            socket.read_exact(&mut head).await?;
            head.extend(until(&mut socket, b"\0").await?);
            if head[4..7] == [0, 0, 0] {
                head.extend(until(&mut socket, b"\0").await?);
            }
            said.lock().expect("whole").push(head);
            socket.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await?;
        }
        Role::Socks5 => {
            let mut head = vec![0; 3];
            socket.read_exact(&mut head).await?;
            socket.write_all(&[5, 2]).await?;
            for field in 0..2 {
                let length = if field == 0 { 2 } else { 1 };
                let mut before = vec![0; length];
                socket.read_exact(&mut before).await?;
                let mut text = vec![0; before[length - 1].into()];
                socket.read_exact(&mut text).await?;
                head.extend(before.into_iter().chain(text));
            }
            socket.write_all(&[1, 0]).await?;
            let mut request = vec![0; 5];
            socket.read_exact(&mut request).await?;
            let rest = match request[3] {
                1 => 3,
                3 => usize::from(request[4]),
                _ => 15,
            };
            let mut rest = vec![0; rest + 2];
            socket.read_exact(&mut rest).await?;
            head.extend(request.into_iter().chain(rest));
            said.lock().expect("whole").push(head);
            socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        }
    }
    let mut onward = TcpStream::connect(("127.0.0.1", target)).await?;
    tokio::io::copy_bidirectional(&mut socket, &mut onward).await?;
    Ok(())
}

/// Reads up to and including `end`.
async fn until(socket: &mut (impl AsyncRead + Unpin), end: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(socket.read_u8().await?);
    }
    Ok(read)
}

fn answer(is_call: bool) -> String {
    if !is_call {
        return "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}".to_owned();
    }
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1" } }),
        json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": "not HTTP/2" }),
        json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [] } }),
    ];
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
