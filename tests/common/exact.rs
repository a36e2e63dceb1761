//! A client that sends exactly the bytes it is told to.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::answer::Answer;

/// Sends a request made of these lines (the first is `METHOD target`) to `address`, and reads the answer to its end. Adds
/// nothing but `connection: close` and, for a body, its length.
pub(crate) async fn send(address: SocketAddr, lines: &[&str], body: &str) -> Answer {
    let (first, headers) = lines.split_first().expect("a first line");
    let mut text = format!("{first} HTTP/1.1\r\nconnection: close\r\n");
    for header in headers {
        let _ = write!(text, "{header}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "content-length: {}\r\n", body.len());
    }
    let _ = write!(text, "\r\n{body}");
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        socket.write_all(text.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("an orderly end");
        Answer::parse(&answer)
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
}
