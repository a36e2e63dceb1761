//! What `--upstream-transport websocket` saves over HTTP in a conversation that grows, over a line like a home's.
//!
//! * A tool loop of [`TURNS`] turns: each answer is a call, each tool returns [`OUTPUT`] bytes. The backend is the simulator in
//!   this process, which answers at once; the rest of the time is the line's and the proxy's.
//! * A relay in front of the backend models the line: every byte up takes its time at [`UPLOAD`], and each direction is
//!   delayed by half of [`ROUND_TRIP`]. It is one line for all connections, without TLS and without TCP's slow start.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use codex_proxy::simulator::{RunningSimulator, Scenario, SimulatedLogin, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::process::Process;

/// Prints the table.
pub(crate) async fn report() {
    let mut columns = Vec::new();
    for transport in ["http", "websocket"] {
        columns.push(conversation(transport).await);
    }
    let [http, socket] = &columns[..] else { panic!("two ways") };
    println!("{:44} {:>12} {:>12}", "", "http", "websocket");
    for (turn, (http, socket)) in http.turns.iter().zip(&socket.turns).enumerate() {
        if SHOWN.contains(&(turn + 1)) {
            let name = format!("turn {}: kB sent, first token in ms", turn + 1);
            println!("{name:44} {:>12} {:>12}", told(http), told(socket));
        }
    }
    let sum = |conversation: &Conversation| {
        let bytes = conversation.turns.iter().map(|turn| turn.sent).sum::<u64>();
        let wait = conversation.turns.iter().map(|turn| turn.first).sum::<Duration>();
        told(&Turn { sent: bytes, first: wait })
    };
    println!("{:44} {:>12} {:>12}", "all turns: kB sent, first tokens in ms", sum(http), sum(socket));
    let cpu = |conversation: &Conversation| format!("{:.0}", conversation.cpu.as_secs_f64() * 1000.0);
    println!("{:44} {:>12} {:>12}", "processor of the proxy, ms", cpu(http), cpu(socket));
}

/// What one turn cost.
struct Turn {
    /// Bytes sent to the backend.
    sent: u64,
    /// The time to the first token.
    first: Duration,
}

struct Conversation {
    turns: Vec<Turn>,
    cpu: Duration,
}

fn told(turn: &Turn) -> String {
    format!("{:.0}, {:.0}", turn.sent as f64 / 1000.0, turn.first.as_secs_f64() * 1000.0)
}

async fn conversation(transport: &str) -> Conversation {
    let simulator = Simulator::new();
    simulator.offer_sockets();
    let running = simulator.start().await.expect("a simulator");
    let line = Line::start(&running).await;
    let login = simulator.issue_login(SimulatedLogin::default());
    let tokens = (&login["tokens"]["access_token"], &login["tokens"]["account_id"]);
    let proxy = Process::proxy_with(&format!("http://{}/backend-api/codex", line.address), |command| {
        command.env("ACCESS_TOKEN", tokens.0.as_str().expect("a token"));
        command.env("ACCOUNT_ID", tokens.1.as_str().expect("an account"));
        command.args(["--upstream-transport", transport]);
    });
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let mut messages = vec![json!({ "role": "user", "content": "use f" })];
    let mut turns = Vec::new();
    let cpu = proxy.cpu();
    for turn in 0..TURNS {
        let function = json!({ "name": "f", "description": "d", "parameters": parameters });
        let body =
            json!({ "messages": messages, "tools": [{ "type": "function", "function": function }], "stream": true });
        simulator.queue(Scenario::CommentedCall);
        let before = line.sent.load(Ordering::Relaxed);
        let (first, answer) = ask(proxy.address, &body.to_string()).await;
        turns.push(Turn { sent: line.sent.load(Ordering::Relaxed) - before, first });
        messages.push(message(&answer));
        let id = messages.last().map(|message| message["tool_calls"][0]["id"].clone());
        let mut output = format!("turn {turn}: ");
        while output.len() < OUTPUT {
            let _ = write!(output, "line {} of the tool's output. ", output.len());
        }
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": output }));
    }
    Conversation { turns, cpu: Duration::from_nanos(proxy.cpu() - cpu) }
}

/// Posts a chat, and returns the time to its first token and the whole answer.
async fn ask(address: SocketAddr, body: &str) -> (Duration, String) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close";
    let begun = Instant::now();
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("written");
    let (mut answer, mut first) = (Vec::new(), None);
    while stream.read_buf(&mut answer).await.expect("an answer") > 0 {
        if first.is_none() && memchr::memmem::find(&answer, b"data: ").is_some() {
            first = Some(begun.elapsed());
        }
    }
    let answer = String::from_utf8(answer).expect("a text");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    (first.expect("a token"), answer)
}

/// Returns the message that a client puts into its history.
fn message(answer: &str) -> Value {
    let (mut content, mut call) =
        (String::new(), json!({ "type": "function", "function": { "name": "", "arguments": "" } }));
    let chunks = answer.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    for chunk in chunks {
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        let piece = &delta["tool_calls"][0];
        if let Some(id) = piece["id"].as_str() {
            call["id"] = id.into();
        }
        for field in ["name", "arguments"] {
            let so_far = call["function"][field].as_str().unwrap_or_default().to_owned();
            call["function"][field] = (so_far + piece["function"][field].as_str().unwrap_or_default()).into();
        }
    }
    json!({ "role": "assistant", "content": content, "tool_calls": [call] })
}

/// The line between the proxy and the backend.
struct Line {
    address: SocketAddr,
    /// Bytes sent up.
    sent: Arc<AtomicU64>,
}

impl Line {
    async fn start(backend: &RunningSimulator) -> Self {
        let target = backend.base_url().replace("http://", "");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let sent = Arc::<AtomicU64>::default();
        let (counted, free) = (sent.clone(), Arc::new(Mutex::new(Instant::now())));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.expect("the backend");
                near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).expect("no delay");
                let (near_reader, near_writer) = near.into_split();
                let (far_reader, far_writer) = far.into_split();
                let (counted, free) = (counted.clone(), free.clone());
                let up = move |bytes: usize| {
                    counted.fetch_add(bytes as u64, Ordering::Relaxed);
                    let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
                    *free = (*free).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 * 8.0 / UPLOAD);
                    *free
                };
                carry(near_reader, far_writer, up);
                carry(far_reader, near_writer, |_| Instant::now());
            }
        });
        Self { address, sent }
    }
}

/// Carries bytes, each read once `sent` says that it has left, and half a round trip later.
fn carry(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    sent: impl Fn(usize) -> Instant + Send + 'static,
) {
    let (give, mut take) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if give.send((sent(read) + ROUND_TRIP / 2, buffer[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, bytes)) = take.recv().await {
            sleep_until(due.into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
}

const TURNS: usize = 50;
/// The bytes of a tool's output.
const OUTPUT: usize = 6000;
/// Bits a second.
const UPLOAD: f64 = 20e6;
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// The turns that are printed.
const SHOWN: [usize; 5] = [1, 2, 10, 25, 50];
