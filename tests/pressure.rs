//! A backend that sends without end: what a client does not take is not fetched, and a client that leaves ends it.
//!
//! The program runs as a process of its own, so that its memory is its own.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use common::PATIENCE;
use common::daemon::{Daemon, Home};

/// What the backend would send to a client that takes everything.
const WHOLE: u64 = 100 << 20;

/// The bytes of a flood: without a bound they would cost 64 MiB in pongs, or more than a gigabyte in refusals.
const FLOOD: usize = 64 << 20;

/// Clients that read nothing, at once.
const STALLED: u64 = 8;

/// A backend that answers every call with events until nobody takes them, or [`WHOLE`] bytes are out.
struct Backend {
    address: SocketAddr,
    /// Bytes of events handed to the system.
    sent: Arc<AtomicU64>,
    /// Calls whose connection was found closed.
    closed: Arc<AtomicU64>,
}

impl Backend {
    fn start() -> Self {
        Self::answering(send_without_end)
    }

    /// A backend that answers every call by `answer`.
    fn answering(answer: impl Fn(&mut TcpStream, &AtomicU64, &AtomicU64) + Clone + Send + 'static) -> Self {
        Self::with_header("", answer)
    }

    /// The same, with another line in the answers' heads.
    fn with_header(
        header: &'static str,
        answer: impl Fn(&mut TcpStream, &AtomicU64, &AtomicU64) + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (sent, closed) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let backend = Self { address: listener.local_addr().expect("bound"), sent, closed };
        let (sent, closed) = (backend.sent.clone(), backend.closed.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (sent, closed, answer) = (sent.clone(), closed.clone(), answer.clone());
                std::thread::spawn(move || serve(socket, header, |socket| answer(socket, &sent, &closed)));
            }
        });
        backend
    }

    /// Waits until nothing has been sent for a second.
    fn sent_when_quiet(&self) -> u64 {
        let begun = Instant::now();
        let mut before = self.sent.load(Ordering::Relaxed);
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.sent.load(Ordering::Relaxed);
            if now == before && now > 0 {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "still sending");
            before = now;
        }
    }
}

fn serve(mut socket: TcpStream, header: &str, answer: impl FnOnce(&mut TcpStream)) {
    let mut reader = BufReader::new(socket.try_clone().expect("a second handle"));
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    let mut line = first.clone();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).expect("a head");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    reader.read_exact(&mut vec![0; length]).expect("a body");
    if !first.starts_with("POST ") {
        let _ = socket.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        return;
    }
    let _ = write!(socket, "HTTP/1.1 200 OK\r\nconnection: close\r\n{header}\r\n");
    answer(&mut socket);
}

fn send_without_end(socket: &mut TcpStream, sent: &AtomicU64, closed: &AtomicU64) {
    let event = format!(
        "data: {{\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\
         \"delta\":\"{}\"}}\n\n",
        "x".repeat(1000)
    );
    let mut out = 0;
    while out < WHOLE {
        if socket.write_all(event.as_bytes()).is_err() {
            closed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        out += event.len() as u64;
        sent.fetch_add(event.len() as u64, Ordering::Relaxed);
    }
}

/// The program, measured.
struct Program {
    daemon: Daemon,
    _home: Home,
}

impl Program {
    fn start(backend: &Backend) -> Self {
        let home = Home::new();
        let daemon = Daemon::quiet(&mut home.serving(&format!("http://{}/codex", backend.address)));
        Self { daemon, _home: home }
    }

    /// Asks for a stream and reads the first byte of the answer, and nothing more.
    fn begin(&self) -> TcpStream {
        let mut socket = self.daemon.chat(r#"{"messages":[{"role":"user","content":"hi"}],"stream":true}"#);
        socket.read_exact(&mut [0]).expect("an answer has begun");
        socket
    }

    /// The same on the Responses API.
    fn begin_response(&self) -> TcpStream {
        let mut socket = self.daemon.post("/v1/responses", r#"{"input":"hi","stream":true}"#);
        socket.read_exact(&mut [0]).expect("an answer has begun");
        socket
    }

    /// Asks for an answer on a new WebSocket and reads the first byte of it, and nothing more.
    fn begin_on_socket(&self) -> TcpStream {
        let mut socket = TcpStream::connect(self.daemon.address).expect("connected");
        let handshake = "sec-websocket-version: 13\r\nsec-websocket-key: w5ogdajPNxY+F7nYXsIz7g==";
        let upgrade = format!("host: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n{handshake}");
        write!(socket, "GET /v1/responses HTTP/1.1\r\n{upgrade}\r\n\r\n").expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let ask = br#"{"type":"response.create","input":"hi"}"#;
        let length = u8::try_from(ask.len()).expect("a short frame");
        socket.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], &ask[..]].concat()).expect("written");
        socket.read_exact(&mut [0]).expect("an answer has begun");
        socket
    }

    /// Asks for a whole answer of the Responses API, and returns its last bytes.
    fn ask(&self, body: &str) -> String {
        let mut answer = Vec::new();
        self.daemon.post("/v1/responses", body).read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[answer.len().saturating_sub(400)..]).into_owned()
    }

    /// The answer to `GET /health` with these further header lines.
    fn health(&self, lines: &str) -> String {
        let mut socket = TcpStream::connect(self.daemon.address).expect("connected");
        write!(socket, "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n").expect("written");
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    }

    /// KiB in memory.
    fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// KiB in memory, at most until now.
    fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

#[test]
fn a_client_that_reads_nothing_costs_no_memory_and_one_that_leaves_ends_the_call() {
    let grown = stalled(Program::begin);
    assert!(grown <= 1024, "{grown} KiB more for each client that reads nothing");
}

#[test]
fn a_websocket_that_is_not_read_costs_no_more_than_a_post_and_one_that_breaks_ends_the_call() {
    // Either holds the text so far, for the last event.
    let posted = stalled(Program::begin_response);
    let grown = stalled(Program::begin_on_socket);
    assert!(grown <= posted + 1024, "{grown} KiB more for each WebSocket that is not read, {posted} KiB for a POST");
}

#[test]
fn frames_whose_answers_are_not_read_are_not_read_either() {
    let backend = Backend::start();
    let program = Program::start(&backend);
    drop(program.begin_on_socket());
    let before = program.peak();
    // Each is answered: a request by a refusal, since too many wait, and a ping by a pong.
    let empty_text: &[u8] = &[0x81, 0x80, 0, 0, 0, 0];
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0], &[b'x'; 125][..]].concat();
    for frame in [empty_text, &ping] {
        let mut socket = program.begin_on_socket();
        socket.set_write_timeout(Some(Duration::from_secs(2))).expect("a limit");
        let block = frame.repeat((64 << 10) / frame.len());
        let mut sent = 0;
        while sent < FLOOD && socket.write_all(&block).is_ok() {
            sent += block.len();
        }
        let grown = program.peak() - before;
        println!("a flood of {sent} bytes in frames of {} cost {grown} KiB", frame.len());
        assert!(grown <= 12 << 10, "{grown} KiB for {sent} bytes in frames of {}", frame.len());
    }
}

/// Begins so many answers of which nothing is read, and returns by how many KiB the program grew for each.
fn stalled(begin: impl Fn(&Program) -> TcpStream) -> u64 {
    let backend = Backend::start();
    let program = Program::start(&backend);
    // The first stream warms up what a process allocates once.
    drop(begin(&program));
    wait_for_closed(&backend, 1);
    backend.sent.store(0, Ordering::Relaxed);
    let before = program.resident();
    let stalled: Vec<_> = (0..STALLED).map(|_| begin(&program)).collect();
    let sent = backend.sent_when_quiet() / STALLED;
    // What the allocator takes for a thread once is shared by all of them.
    let grown = program.resident().saturating_sub(before) / STALLED;
    println!("for each client the backend could send {sent} bytes and the program grew by {grown} KiB");
    assert!(sent < WHOLE / 2, "what nobody takes is not fetched: {sent} bytes");
    drop(stalled);
    wait_for_closed(&backend, 1 + STALLED);
    grown
}

#[test]
fn a_client_that_leaves_closes_the_call_within_a_tenth_of_a_second() {
    let backend = Backend::start();
    let program = Program::start(&backend);
    // Other programs may hold the machine up, this one may not: the best of several counts.
    let times = (1..=8).map(|nth| {
        let stream = program.begin();
        let left = Instant::now();
        drop(stream);
        wait_for_closed(&backend, nth);
        left.elapsed()
    });
    let best = times.min().expect("some");
    println!("the call was closed {best:?} after its client");
    assert!(best <= Duration::from_millis(100), "{best:?}");
}

/// An answer of `ITEMS` items that are as small as items can be, each with an id of its own.
fn send_tiny_items(socket: &mut TcpStream, sent: &AtomicU64, _: &AtomicU64) {
    let answer = sent.fetch_add(1, Ordering::SeqCst);
    let mut stream = String::new();
    for index in 0..ITEMS {
        let item = format!("{{\"id\":\"{answer}_{index}\",\"type\":\"x\"}}");
        let place = format!("\"output_index\":{index},\"item\":{item}");
        stream.push_str(&format!("data: {{\"type\":\"response.output_item.done\",{place}}}\n\n"));
    }
    let response = format!("{{\"id\":\"resp_{answer}\",\"status\":\"completed\",\"output\":[]}}");
    stream.push_str(&format!("data: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"));
    let _ = socket.write_all(stream.as_bytes());
}

/// What is remembered of answers is bounded in bytes of memory, however small its pieces are.
#[test]
fn many_tiny_items_fill_no_more_memory_than_is_set_aside_for_them() {
    let backend = Backend::answering(send_tiny_items);
    let program = Program::start(&backend);
    program.ask(r#"{"input":"hi"}"#);
    let before = program.resident();
    let begun = Instant::now();
    // Two at a time, one for each processor of the smallest machine.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..ANSWERS / 2 {
                    let end = program.ask(r#"{"input":"hi","stream":true}"#);
                    assert!(end.contains("_19999\""), "{end}");
                }
            });
        }
    });
    let (took, grown) = (begun.elapsed() / ANSWERS, program.resident().saturating_sub(before));
    println!("{ANSWERS} answers of {ITEMS} items took {took:?} each and the program grew by {grown} KiB");
    assert!(grown <= 64 << 10, "{grown} KiB more for 16 MiB of memory");
    assert!(took <= Duration::from_secs(20), "{took:?} an answer");
    let last = backend.sent.load(Ordering::SeqCst) - 1;
    let end = program.ask(&format!(r#"{{"input":[{{"type":"item_reference","id":"{last}_7"}}]}}"#));
    assert!(end.contains("_19999\""), "what came last is remembered: {end}");
}

/// One event of twice the size that any may have.
fn send_one_event_without_end(socket: &mut TcpStream, sent: &AtomicU64, closed: &AtomicU64) {
    let piece = vec![b'x'; 1 << 20];
    let mut outcome = socket.write_all(b"data: {\"type\":\"response.created\",\"x\":\"");
    while outcome.is_ok() && sent.fetch_add(1, Ordering::SeqCst) < 128 {
        outcome = socket.write_all(&piece);
    }
    closed.fetch_add(u64::from(outcome.is_err()), Ordering::SeqCst);
}

#[test]
fn an_event_without_end_is_given_up_and_said_so() {
    let backend = Backend::answering(send_one_event_without_end);
    let program = Program::start(&backend);
    let before = program.resident();
    let end = program.ask(r#"{"input":"hi"}"#);
    let grown = program.peak().saturating_sub(before);
    println!("the program grew by {grown} KiB for an event without end");
    assert!(end.contains(r#""code":"upstream_event_too_large""#), "{end}");
    assert!(grown <= 100 << 10, "{grown} KiB more");
    wait_for_closed(&backend, 1);
}

/// Comments without end, which no client sees.
fn send_comments(socket: &mut TcpStream, sent: &AtomicU64, closed: &AtomicU64) {
    let comment = format!(": {}\n\n", "x".repeat(1 << 20));
    let mut outcome = socket.write_all(
        b"data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\
          \"delta\":\"x\"}\n\n",
    );
    while outcome.is_ok() && sent.fetch_add(1, Ordering::SeqCst) < 300 {
        outcome = socket.write_all(comment.as_bytes());
    }
    closed.fetch_add(u64::from(outcome.is_err()), Ordering::SeqCst);
}

#[test]
fn no_more_is_collected_for_one_document_than_any_holds() {
    let backend = Backend::answering(send_comments);
    let program = Program::start(&backend);
    let end = program.ask(r#"{"input":"hi"}"#);
    assert!(end.contains(r#""code":"upstream_invalid_response""#) && end.contains("256 MiB"), "{end}");
    wait_for_closed(&backend, 1);
}

/// 48 MiB in some 50 KB.
fn send_packed(socket: &mut TcpStream, sent: &AtomicU64, _: &AtomicU64) {
    let text = "x".repeat(1 << 20);
    let place = r#""item_id":"m","output_index":0,"content_index":0"#;
    let event = format!("data: {{\"type\":\"response.output_text.delta\",{place},\"delta\":\"{text}\"}}\n\n");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..48 {
        encoder.write_all(event.as_bytes()).expect("packed");
    }
    let packed = encoder.finish().expect("packed");
    let _ = socket.write_all(&packed);
    sent.fetch_add(packed.len() as u64, Ordering::SeqCst);
}

#[test]
fn an_answer_that_is_packed_a_thousandfold_is_unpacked_as_it_is_taken() {
    let backend = Backend::with_header("content-encoding: gzip\r\n", send_packed);
    let program = Program::start(&backend);
    let before = program.resident();
    let _client = program.begin();
    let sent = backend.sent_when_quiet();
    // What is unpacked is translated as it comes.
    std::thread::sleep(Duration::from_secs(1));
    let grown = program.peak().saturating_sub(before);
    println!("{sent} bytes came, and the program grew by {grown} KiB");
    assert!(grown <= 16 << 10, "{grown} KiB more");
}

#[test]
fn heads_that_never_end_share_a_little_memory() {
    let program = Program::start(&Backend::start());
    let before = program.resident();
    let head = format!("POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nx-long: {}", "x".repeat(60_000));
    let mut clients: Vec<_> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(program.daemon.address).expect("connected")).collect();
    for client in &mut clients {
        // Some are told off before they have sent all of it.
        let _ = client.write_all(head.as_bytes());
    }
    std::thread::sleep(Duration::from_secs(1));
    let grown = program.peak().saturating_sub(before);
    println!("{CONNECTIONS} heads of 60 KB made the program grow by {grown} KiB");
    assert!(grown <= 48 << 10, "{grown} KiB more");
    let refused = clients.iter_mut().rev().find_map(|client| {
        client.set_nonblocking(true).expect("set");
        let mut answer = [0; 1024];
        client.read(&mut answer).ok().map(|length| String::from_utf8_lossy(&answer[..length]).into_owned())
    });
    let refused = refused.expect("some are refused");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(program.health("").starts_with("HTTP/1.1 200 "), "others are answered meanwhile");
    drop(clients);
    let begun = Instant::now();
    let long = format!("x-long: {}\r\n", "x".repeat(60_000));
    while !program.health(&long).starts_with("HTTP/1.1 200 ") {
        assert!(begun.elapsed() < PATIENCE, "a long head has room again");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const CONNECTIONS: usize = 600;
const ITEMS: u64 = 20_000;
const ANSWERS: u32 = 12;

fn wait_for_closed(backend: &Backend, count: u64) {
    let begun = Instant::now();
    while backend.closed.load(Ordering::SeqCst) < count {
        assert!(begun.elapsed() < PATIENCE, "the call to the backend stays open");
        std::thread::sleep(Duration::from_millis(1));
    }
}
