//! Calls to the backend over WebSockets, as its client and the backend see them.

mod ends;
mod fallbacks;
mod same;
mod turns;

use std::time::Duration;

use codex_proxy::upstream::UpstreamTransport;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::answer::Answer;
use crate::common::client::Client;
use crate::harness::{Proxy, Setup, tool, user};

/// Longer than any step here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets this much time pass at once, in which nothing that waits for a connection goes on.
async fn forward(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn setup() -> Setup {
    Setup { way: UpstreamTransport::WebSocket, ..Setup::default() }
}

async fn start() -> Proxy {
    Proxy::with(setup()).await
}

impl Proxy {
    /// The requests that came as frames.
    fn frames(&self) -> Vec<Value> {
        let requests = self.simulator.requests_to("/responses").into_iter();
        requests
            .filter(|request| request.method == Method::GET && !request.bytes.is_empty())
            .map(|it| it.json())
            .collect()
    }

    /// The number of upgrades, frames and POSTs so far.
    fn ways(&self) -> [u64; 3] {
        let counters = self.simulator.counters();
        [counters.upgrades, counters.frames, counters.responses]
    }
}

/// The number of items in a frame, and whether it goes on from an answer.
fn shape(frame: &Value) -> (usize, bool) {
    (frame["input"].as_array().expect("an input").len(), frame["previous_response_id"].is_string())
}

/// A chat on a connection of its own: the proxy closes those that are idle while [time passes](forward).
async fn ask(proxy: &Proxy, body: &Value) -> Answer {
    succeeded(Client::new(proxy.base.clone()).post("/v1/chat/completions", body).await)
}

fn succeeded(answer: Answer) -> Answer {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer
}

/// A chat with a tool, and its conversation after a call and its output.
async fn tool_round(proxy: &Proxy, body: &mut Value, output: &str) {
    let answer = ask(proxy, body).await;
    let message = answer.json()["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].clone();
    assert!(id.is_string(), "{message}");
    let output = json!({ "role": "tool", "tool_call_id": id, "content": output });
    body["messages"].as_array_mut().unwrap().extend([message, output]);
}

/// The beginning of a chat in which the model calls `f`.
fn with_tool() -> Value {
    let mut body = user("use f");
    body["tools"] = json!([tool("f")]);
    body
}
