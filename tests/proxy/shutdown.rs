//! What a client gets whose answer outlasts the grace time of a shutdown: an error in the right shape, never half an answer.

use std::time::Duration;

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{Scenario, Stage};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(600);

async fn stalled_at(stage: Stage) -> Proxy {
    let settings = ServerSettings { keepalive: Duration::from_millis(20), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    proxy.next(Scenario::Stall(FOR_EVER, stage));
    proxy
}

/// The answer to `body`, with the proxy stopped once the first bytes are there.
async fn cut_off(proxy: &Proxy, path: &str, body: &Value) -> String {
    let request = proxy.http.post(format!("{}{path}", proxy.base)).json(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let mut text = stream.next().await.unwrap().unwrap().to_vec();
    proxy.stop();
    while let Some(bytes) = stream.next().await {
        text.extend_from_slice(&bytes.expect("an orderly end"));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_chat_stream_ends_with_an_error() {
    for stage in [Stage::Head, Stage::Output, Stage::Middle, Stage::Terminal] {
        let proxy = stalled_at(stage).await;
        let mut body = user("hi");
        body["stream"] = true.into();
        let text = cut_off(&proxy, "/v1/chat/completions", &body).await;
        let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let [.., error, "[DONE]"] = events[..] else { panic!("{stage:?}: {text}") };
        let error: Value = serde_json::from_str(error).unwrap();
        assert_eq!(error["error"]["code"], "shutting_down", "{stage:?}: {text}");
        assert!(!text.contains(r#""finish_reason":""#), "{stage:?}: {text}");
    }
}

#[tokio::test]
async fn a_responses_stream_ends_with_an_error() {
    let proxy = stalled_at(Stage::Middle).await;
    let text = cut_off(&proxy, "/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    // On a slow machine a keepalive comes before it.
    assert!(
        last.trim_start_matches(": keepalive\n").starts_with("event: error\n") && last.contains("shutting_down"),
        "{text}"
    );
    assert!(!text.contains("response.completed"), "{text}");
}

#[tokio::test]
async fn a_buffered_answer_is_an_error() {
    for path in ["/v1/chat/completions", "/v1/responses"] {
        let proxy = stalled_at(Stage::Middle).await;
        let body = if path.ends_with("responses") { json!({ "input": "hi" }) } else { user("hi") };
        let request = proxy.http.post(format!("{}{path}", proxy.base)).json(&body);
        let answer = async { Answer::read(request.send().await.unwrap()).await };
        let stopped = async {
            while proxy.calls() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            proxy.stop();
        };
        let (answer, ()) = tokio::join!(answer, stopped);
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        assert_eq!(answer.error()["code"], "shutting_down");
        assert!(answer.header("x-request-id").starts_with("req_"), "{path}");
    }
}
