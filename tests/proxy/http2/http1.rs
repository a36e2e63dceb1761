//! A backend that speaks HTTP/1.1 over TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::backend::Identity;

/// Answers every call, or shows some output and waits.
pub(crate) struct PlainBackend {
    pub(crate) url: String,
    /// Whether the next call is shown some output and no more.
    pub(crate) holds: Arc<AtomicBool>,
    /// The authority to trust.
    pub(crate) certificate: tempfile::NamedTempFile,
}

impl PlainBackend {
    pub(crate) async fn on(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a port");
        let url = format!("https://{}/codex", listener.local_addr().expect("bound"));
        let Identity { acceptor, certificate, .. } = Identity::of(&address.to_string(), &["http/1.1"]);
        let holds = Arc::<AtomicBool>::default();
        let next = holds.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acceptor.clone(), next.clone()));
            }
        });
        Self { url, holds, certificate }
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, holds: Arc<AtomicBool>) -> std::io::Result<()> {
    let mut socket = BufReader::new(acceptor.accept(socket).await?);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        socket.read_line(&mut first).await?;
        let mut line = first.clone();
        while !line.trim().is_empty() {
            line.clear();
            socket.read_line(&mut line).await?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        socket.read_exact(&mut vec![0; length]).await?;
        if !first.starts_with("POST") {
            socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}").await?;
            socket.flush().await?;
            continue;
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        let output =
            json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": "not HTTP/2" });
        event(&mut socket, &json!({ "type": "response.created", "response": { "id": "resp_1" } })).await?;
        event(&mut socket, &output).await?;
        if holds.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        event(&mut socket, &json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [] } }))
            .await?;
        socket.write_all(b"0\r\n\r\n").await?;
        socket.flush().await?;
    }
}

async fn event(socket: &mut BufReader<TlsStream<TcpStream>>, event: &Value) -> std::io::Result<()> {
    let text = format!("data: {event}\n\n");
    socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
    socket.flush().await
}
