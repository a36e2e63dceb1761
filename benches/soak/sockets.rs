//! Many WebSockets at once, each with turn after turn of a conversation, every event counted: `just soak sockets SECONDS SOCKETS`.
//!
//! * A turn refers to the answer before it, as a Codex client's does. After [`TURNS`] turns the socket is closed, every other
//!   time in the middle of a turn, and another one opened.
//! * It fails on an event lost, doubled or out of place, on a turn that does not end as it should, on sockets or descriptors that
//!   do not come back to where they began, and on memory above [`MOST_MEGABYTES`].

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use codex_proxy::platform::HttpClient;
use codex_proxy::simulator::Simulator;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::SETTLING;
use super::client::Counts;
use super::daemon::{Daemon, Home};

type Socket = WebSocketStream<TcpStream>;

/// Deltas of one answer, 2 ms apart.
const DELTAS: u64 = 50;
/// Turns on one socket.
const TURNS: usize = 10;
const MOST_MEGABYTES: f64 = 256.0;

pub(crate) async fn run(duration: Duration, sockets: u64) -> ExitCode {
    // Installs the provider of cryptography that every client here wants, though nothing is encrypted.
    HttpClient::new(Duration::from_secs(10)).expect("a client");
    let simulator = Simulator::new();
    simulator.configure(|settings| settings.record_limit = 64);
    let running = simulator.start().await.expect("a simulator");
    let daemon = Daemon::start(&Arc::new(Home::new(&simulator, &running)));
    let address = daemon.url.trim_start_matches("http://").split('/').next().expect("an address").to_owned();
    let counts = Arc::new(Counts::default());
    conversation(&address, 0, Instant::now(), &Counts::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (base, before) = (daemon.descriptors(), daemon.resident_megabytes());
    let begun = Instant::now();
    let tasks = (0..sockets).map(|_| {
        let (address, counts) = (address.clone(), counts.clone());
        tokio::spawn(async move {
            for round in 0.. {
                if begun.elapsed() >= duration {
                    break;
                }
                conversation(&address, round, begun + duration, &counts).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a client ends in good order");
    }
    let took = begun.elapsed();
    let after = daemon.resident_megabytes();
    let settling = Instant::now();
    while daemon.descriptors() > base && settling.elapsed() < SETTLING {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (turns, events, wrong) =
        [&counts.answers, &counts.events, &counts.wrong].map(|count| count.load(Ordering::Relaxed)).into();
    println!("{sockets} sockets, {} s: {turns} turns, {events} events, {wrong} wrong", took.as_secs());
    println!("{} turns left by their clients", counts.cut_off.load(Ordering::Relaxed));
    println!("memory: {before:.1} MB before, {after:.1} MB at the end");
    let left = daemon.descriptors();
    println!("descriptors: {base} before, {left} at the end ({} s later)", settling.elapsed().as_secs());
    let sound = wrong == 0 && turns > 0 && left <= base && after <= MOST_MEGABYTES;
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Opens a socket and asks [`TURNS`] times on it, each time after the answer before, until `end`.
async fn conversation(address: &str, round: u64, end: Instant, counts: &Counts) {
    let mut socket = open(address).await;
    let mut previous = Value::Null;
    for turn in 0..TURNS {
        ask(&mut socket, &previous).await;
        if turn + 1 == TURNS && round % 2 == 1 {
            // The client leaves in the middle.
            let _ = socket.next().await;
            counts.cut_off.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match read(&mut socket, counts).await {
            Some(id) => previous = id,
            None => return,
        }
        if Instant::now() >= end {
            break;
        }
    }
    let _ = socket.close(None).await;
    while let Some(Ok(_)) = socket.next().await {}
}

async fn open(address: &str) -> Socket {
    let mut request = format!("ws://{address}/v1/responses").into_client_request().expect("a request");
    request.headers_mut().insert("originator", "codex_exec".parse().expect("a value"));
    let connection = TcpStream::connect(address).await.expect("connected");
    client_async(request, connection).await.expect("an upgrade").0
}

async fn ask(socket: &mut Socket, previous: &Value) {
    let prompt = format!("[[simulate:paced={DELTAS}x2ms]]");
    let frame = json!({
        "type": "response.create", "model": "gpt-6.1-sol", "store": false, "previous_response_id": previous,
        "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": prompt }] }],
    });
    let _ = socket.send(Message::text(frame.to_string())).await;
}

/// Reads a turn to its end, and returns the id of the answer.
async fn read(socket: &mut Socket, counts: &Counts) -> Option<Value> {
    let mut next = 0;
    loop {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_))) => continue,
            other => {
                counts.wrong(&format!("after {next} deltas: {other:?}"));
                return None;
            }
        };
        let event: Value = serde_json::from_str(&text).expect("an event");
        match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" => {
                if event["delta"].as_str().unwrap_or_default().trim() != next.to_string() {
                    counts.wrong(&format!("in place of delta {next}: {event}"));
                }
                next += 1;
                counts.events.fetch_add(1, Ordering::Relaxed);
            }
            "response.completed" => {
                counts.answers.fetch_add(1, Ordering::Relaxed);
                if next != DELTAS {
                    counts.wrong(&format!("{next} of {DELTAS} deltas"));
                }
                return Some(event["response"]["id"].clone());
            }
            "error" | "response.failed" | "response.incomplete" => {
                counts.wrong(&event.to_string());
                return None;
            }
            _ => {}
        }
    }
}
