//! The tokens that the backend reports for an answer that fails count as those of any other: in the ledger, in the metrics
//! and for the limit of a key, once for each attempt.

use codex_proxy::ledger::summary::LedgerReader;
use codex_proxy::ledger::{LedgerPlace, TokenCounts};
use codex_proxy::simulator::ScriptedAnswer;
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::PATIENCE;
use crate::harness::{Proxy, Setup, user};

async fn recording() -> (TempDir, Proxy) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Some(LedgerPlace::File(directory.path().join("ledger.sqlite3")));
    (directory, Proxy::with(Setup { ledger, ..Setup::default() }).await)
}

/// The tokens of all rows, those of the metrics, and those that count for the limit of the client.
async fn counted(proxy: &Proxy, rows: u64) -> [u64; 3] {
    let ledger = proxy.app.ledger.as_ref().unwrap();
    let sums = loop {
        ledger.flush(PATIENCE);
        let reader = LedgerReader::open(ledger.place()).unwrap();
        let groups = reader.map(|reader| reader.usage(0, &[]).unwrap()).unwrap_or_default();
        match groups.first().map(|group| group.sums).filter(|sums| sums.requests >= rows) {
            Some(sums) => break sums,
            None => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    };
    assert_eq!(sums.requests, rows);
    let metrics = proxy.get("/metrics").await.text;
    let tokens = metrics.lines().filter(|line| line.starts_with("codex_proxy_tokens_total{"));
    let of_metrics = tokens.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    let used = proxy.get("/v1/usage").await.json()["tokens_today"]["used"].as_u64().unwrap();
    [sums.tokens.input + sums.tokens.output, of_metrics, used]
}

const TOKENS: u64 = 1050;

fn response(status: &str, error: Option<&str>) -> Value {
    json!({
        "id": "resp_1", "model": "gpt-6.1-sol", "status": status, "output": [],
        "error": error.map(|code| json!({ "code": code, "message": "m" })),
        "usage": {
            "input_tokens": 1000, "input_tokens_details": { "cached_tokens": 400 },
            "output_tokens": 50, "output_tokens_details": { "reasoning_tokens": 20 }, "total_tokens": TOKENS,
        },
    })
}

/// A stream of `said`, if anything, and of a last event.
fn ending(said: Option<&str>, kind: &str, response: &Value) -> ScriptedAnswer {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1", "output": [], "usage": null } });
    let added = json!({ "type": "response.output_item.added", "output_index": 0,
        "item": { "id": "msg_1", "type": "message", "role": "assistant", "content": [] } });
    let delta = said.map(|text| {
        json!({ "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text })
    });
    let done = said.map(|text| {
        json!({ "type": "response.output_item.done", "output_index": 0, "item": {
            "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }] } })
    });
    let last = json!({ "type": kind, "response": response });
    let events = std::iter::once(created).chain(said.map(|_| added)).chain(delta).chain(done).chain([last]);
    let numbered = events.enumerate().map(|(number, mut event)| {
        event["sequence_number"] = number.into();
        format!("data: {event}\n\n")
    });
    ScriptedAnswer::stream().bytes(numbered.collect::<String>())
}

fn routes() -> [(&'static str, Value); 3] {
    [
        ("/v1/chat/completions", user("hi")),
        ("/v1/responses", json!({ "input": "hi" })),
        ("/v1/messages", json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 9 })),
    ]
}

#[tokio::test]
async fn a_failed_answers_tokens_count_once() {
    let (_directory, proxy) = recording().await;
    let mut rows = 0;
    for said in [None, Some("hello")] {
        for (kind, status, code) in [
            ("response.failed", "failed", Some("invalid_prompt")),
            ("response.cancelled", "cancelled", None),
            ("response.incomplete", "incomplete", None),
        ] {
            for (path, mut body) in routes() {
                for stream in [false, true] {
                    body["stream"] = stream.into();
                    proxy.simulator.forget_requests();
                    proxy.next(ending(said, kind, &response(status, code))).post(path, &body).await;
                    rows += 1;
                    assert_eq!(proxy.calls(), 1, "{kind} {path}");
                    let expected = [rows * TOKENS; 3];
                    assert_eq!(counted(&proxy, rows).await, expected, "{said:?} {kind} {path} {stream}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_contradicts_itself_has_cost_tokens_too() {
    let (_directory, proxy) = recording().await;
    let other = json!([{ "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{ "type": "output_text", "text": "other", "annotations": [] }] }]);
    let mut rows = 0;
    for (path, mut body) in routes() {
        for stream in [false, true] {
            body["stream"] = stream.into();
            let mut last = response("completed", None);
            last["output"] = other.clone();
            proxy.next(ending(Some("hello"), "response.completed", &last)).post(path, &body).await;
            rows += 1;
            assert_eq!(counted(&proxy, rows).await, [rows * TOKENS; 3], "{path} {stream}");
        }
    }
}

#[tokio::test]
async fn each_attempt_counts_its_own_tokens() {
    let (_directory, proxy) = recording().await;
    let mut failed = response("failed", Some("rate_limit_exceeded"));
    failed["error"]["message"] = "Rate limit reached. Please try again in 0.01s.".into();
    proxy.next(ending(None, "response.failed", &failed));
    proxy.next(ending(Some("hello"), "response.completed", &response("completed", None)));
    assert_eq!(proxy.chat(&user("hi")).await.status, StatusCode::OK);
    assert_eq!(proxy.calls(), 2);
    assert_eq!(counted(&proxy, 1).await, [2 * TOKENS; 3]);
    let ledger = proxy.app.ledger.as_ref().unwrap();
    let row = LedgerReader::open(ledger.place()).unwrap().unwrap().newest(1).unwrap().remove(0);
    assert_eq!(row.tokens, Some(TokenCounts { input: 2000, cached: 800, output: 100, reasoning: 40 }));
}

#[tokio::test]
async fn a_compaction_without_an_item_counts() {
    let (_directory, proxy) = recording().await;
    let play = ending(Some("hello"), "response.completed", &response("completed", None));
    let answer = proxy.next(play).post("/v1/responses/compact", &json!({ "input": "hi" })).await;
    assert!(!answer.status.is_success(), "{}", answer.text);
    assert_eq!(proxy.calls(), 1);
    assert_eq!(counted(&proxy, 1).await, [TOKENS; 3]);
}

#[tokio::test]
async fn an_image_answer_without_an_image_counts() {
    let (_directory, proxy) = recording().await;
    let usage = json!({ "input_tokens": 7, "output_tokens": 11, "total_tokens": 18 });
    let event = json!({ "type": "image_generation.completed", "usage": usage });
    let plays = [
        json!({ "created": 1, "data": [], "usage": usage }).to_string(),
        json!({ "error": { "code": "x", "message": "m" }, "usage": usage }).to_string(),
        format!("data: {event}\n\n"),
    ];
    let mut rows = 0;
    for play in plays {
        for stream in [false, true] {
            let scripted = ScriptedAnswer::stream().bytes(play.clone());
            proxy.next(scripted).post("/v1/images/generations", &json!({ "prompt": "x", "stream": stream })).await;
            rows += 1;
            assert_eq!(counted(&proxy, rows).await, [rows * 18; 3], "{play} {stream}");
        }
    }
}
