//! The client of the comparison: raw sockets, and a look at nothing but the stamps in what comes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::mock::now;

/// One connection, used for one request after the other.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came of one request.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Stamped deltas that came.
    pub(crate) events: usize,
    /// Nanoseconds from the request to its first delta.
    pub(crate) first: u64,
    /// Nanoseconds from the stamp of a delta to its arrival; of those that came whole in a read.
    pub(crate) delays: Vec<u64>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, received: Vec::with_capacity(64 << 10) }
    }

    /// Asks for `plan` and reads the answer to its end.
    pub(crate) async fn ask(&mut self, plan: &str) -> Answer {
        self.stream.write_all(request(plan).as_bytes()).await.expect("written");
        let begun = now();
        let (mut answer, mut marks, mut length) = (Answer::default(), 0, 0);
        loop {
            // What ends an answer may stand in two reads.
            let kept = self.received.len().min(END.len());
            self.received.drain(..self.received.len() - kept);
            let read = self.stream.read_buf(&mut self.received).await.expect("an unbroken answer");
            assert!(read > 0, "the answer to {plan} broke off after {length} bytes, {marks} marks");
            length += read;
            let (arrived, fresh) = (now(), &self.received[kept..]);
            if marks == 0 && memchr::memchr(b'@', fresh).is_some() {
                answer.first = arrived - begun;
            }
            marks += memchr::memchr_iter(b'@', fresh).count();
            if answer.delays.len() < SAMPLES {
                answer.delays.extend(stamps(fresh).map(|stamp| arrived.saturating_sub(stamp)));
            }
            if self.received.ends_with(END) {
                break;
            }
        }
        self.received.clear();
        answer.events = marks / 2;
        answer
    }
}

fn stamps(read: &[u8]) -> impl Iterator<Item = u64> {
    let text = std::str::from_utf8(read).unwrap_or_default();
    text.split('@').skip(1).step_by(2).filter_map(|stamp| stamp.parse().ok())
}

fn request(plan: &str) -> String {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"plan:{plan} "}}],"stream":true}}"#);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The last chunk.
const END: &[u8] = b"\r\n0\r\n\r\n";
/// Delays kept of one answer.
const SAMPLES: usize = 10_000;
