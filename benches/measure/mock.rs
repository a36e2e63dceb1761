//! The backend of the comparison: answers every call with the stream its prompt asks for, and costs as little as possible.
//!
//! * A prompt holds `plan:COUNT:MICROSECONDS:ECHO`: so many deltas, so far apart (0 means all at once), amid the events of
//!   a real answer, of which three repeat `ECHO` bytes of instructions. `plan:image:BYTES` is one generated image of that
//!   size, `plan:item:BYTES` a finished message of that size with the id `item_1`.
//! * Each delta carries the moment it was written, by the clock that all processes share, between two `@`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

/// Nanoseconds of the clock that all processes of a machine share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).expect("after the start") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("positive")
}

/// Serves for as long as the process lives; the first line it prints is its address.
pub(crate) async fn serve() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener: TcpListener = socket.listen(4096).expect("a listener");
    println!("{}", listener.local_addr().expect("bound"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        tokio::spawn(async move {
            // A client that leaves is no news.
            let _ = connection(stream).await;
        });
    }
}

async fn connection(mut stream: TcpStream) -> std::io::Result<()> {
    let mut received = Vec::with_capacity(1024);
    loop {
        let Some(length) = request_length(&received) else {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let request = String::from_utf8_lossy(&received[..length]).into_owned();
        received.drain(..length);
        match Plan::of(&request) {
            Some(plan) => answer(&mut stream, plan).await?,
            None => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}").await?,
        }
    }
}

/// The length of a whole request with its body, once it has arrived.
fn request_length(received: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(received, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let declared = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = head + declared.map_or(0, |length| length.trim().parse().expect("a length"));
    (received.len() >= length).then_some(length)
}

#[derive(Debug, Clone, Copy)]
enum Plan {
    Deltas { count: usize, pause: Duration, echo: usize },
    Image(usize),
    Item(usize),
}

impl Plan {
    fn of(request: &str) -> Option<Self> {
        let mut words = request.split_once("plan:")?.1.split(|letter: char| !letter.is_ascii_alphanumeric());
        match (words.next()?, words.next()?.parse::<usize>().ok()?) {
            ("image", size) => Some(Self::Image(size)),
            ("item", size) => Some(Self::Item(size)),
            (count, pause) => {
                let echo = words.next().and_then(|echo| echo.parse().ok()).unwrap_or_default();
                Some(Self::Deltas { count: count.parse().ok()?, pause: Duration::from_micros(pause as u64), echo })
            }
        }
    }
}

async fn answer(stream: &mut TcpStream, plan: Plan) -> std::io::Result<()> {
    let mut out = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let echo = match plan {
        Plan::Deltas { echo, .. } => "Be brief. ".repeat(echo / 10),
        Plan::Image(_) | Plan::Item(_) => String::new(),
    };
    chunk(&mut out, response("created", "in_progress", &echo, "null").as_bytes());
    chunk(&mut out, response("in_progress", "in_progress", &echo, "null").as_bytes());
    match plan {
        Plan::Deltas { count, pause, .. } => {
            chunk(&mut out, &[ADDED, PART_ADDED].concat());
            let text = deltas(stream, &mut out, count, pause).await?;
            chunk(&mut out, done(&text).as_bytes());
        }
        Plan::Image(size) => {
            let result = "A".repeat(size);
            let item = format!(r#"{{"type":"image_generation_call","id":"ig_1","result":"{result}"}}"#);
            let event = format!(r#"{{"type":"response.output_item.done","output_index":1,"item":{item}}}"#);
            chunk(&mut out, format!("data: {event}\n\n").as_bytes());
        }
        Plan::Item(size) => {
            let content = format!(r#"[{{"type":"output_text","text":"{}"}}]"#, "A".repeat(size));
            let item = format!(r#"{{"type":"message","id":"item_1","role":"assistant","content":{content}}}"#);
            let event = format!(r#"{{"type":"response.output_item.done","output_index":1,"item":{item}}}"#);
            chunk(&mut out, format!("data: {event}\n\n").as_bytes());
        }
    }
    chunk(&mut out, response("completed", "completed", &echo, USAGE).as_bytes());
    out.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&out).await
}

/// Sends `count` deltas, `pause` apart, and returns their text.
async fn deltas(stream: &mut TcpStream, out: &mut Vec<u8>, count: usize, pause: Duration) -> std::io::Result<String> {
    let (mut text, mut left) = (String::new(), count);
    let mut ticks = (!pause.is_zero()).then(|| interval(pause));
    while left > 0 {
        let some = match &mut ticks {
            Some(ticks) => {
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                ticks.tick().await;
                1
            }
            None => left.min(BURST),
        };
        let events: String = (0..some).map(|_| delta(&mut text)).collect();
        chunk(out, events.as_bytes());
        stream.write_all(out).await?;
        out.clear();
        left -= some;
    }
    Ok(text)
}

fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// One delta, whose text is added to `text`.
fn delta(text: &mut String) -> String {
    let piece = format!("@{}@ the quick", now());
    text.push_str(&piece);
    format!(
        "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"content_index\":0,\
         \"delta\":\"{piece}\",\"item_id\":\"{ITEM}\",\"logprobs\":[],\"obfuscation\":\"aZ3kQ9xW1mB\",\"output_index\":0,\
         \"sequence_number\":123}}\n\n"
    )
}

/// The events that end a message with `text`.
fn done(text: &str) -> String {
    // A stamp is taken once, from the delta.
    let text = text.replace('@', "\\u0040");
    let part = format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":"{text}"}}"#);
    let place = format!(r#""item_id":"{ITEM}","output_index":0,"content_index":0,"sequence_number":900"#);
    let item =
        format!(r#"{{"id":"{ITEM}","type":"message","status":"completed","content":[{part}],"role":"assistant"}}"#);
    [
        event("output_text.done", &format!(r#"{place},"text":"{text}""#)),
        event("content_part.done", &format!(r#"{place},"part":{part}"#)),
        event("output_item.done", &format!(r#""item":{item},"output_index":0,"sequence_number":901"#)),
    ]
    .concat()
}

fn response(kind: &str, status: &str, echo: &str, usage: &str) -> String {
    let response = format!(
        r#"{{"id":"resp_1","object":"response","created_at":1795600000,"status":"{status}","error":null,"incomplete_details":null,"instructions":"{echo}","model":"gpt-6.1-sol","output":[],"parallel_tool_calls":true,"reasoning":{{"effort":"medium","summary":"auto"}},"service_tier":"default","store":false,"temperature":1.0,"tool_choice":"auto","tools":[],"usage":{usage}}}"#
    );
    event(kind, &format!(r#""response":{response},"sequence_number":0"#))
}

fn event(kind: &str, rest: &str) -> String {
    format!("event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",{rest}}}\n\n")
}

/// Deltas a write in a burst.
const BURST: usize = 50;
const ITEM: &str = "msg_7ae93b306a22ed7f54e225d6db82a13c325daea5cc23209f";
const ADDED: &[u8] = b"event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\
    \"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_7ae93b306a22ed7f54e225d6db82a13c325daea5cc23209f\",\
    \"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]},\"sequence_number\":1}\n\n";
const PART_ADDED: &[u8] = b"event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",\
    \"content_index\":0,\"item_id\":\"msg_7ae93b306a22ed7f54e225d6db82a13c325daea5cc23209f\",\"output_index\":0,\
    \"part\":{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"\"},\"sequence_number\":2}\n\n";
const USAGE: &str = r#"{"input_tokens":5,"input_tokens_details":{"cached_tokens":0},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}"#;
