//! What comes through, and when.

use std::time::Duration;

use codex_proxy::platform::Instant;
use codex_proxy::simulator::{AnswerOutcome, HttpFault, Scenario, Simulator, Stage};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::world::{CHAT, HERE, PATIENCE, World, streaming, tool, user};
use crate::common::answer::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_in_both_modes_says_the_same() {
    let Some(world) = World::start().await else { return };
    let buffered = world.post(CHAT, &user("Grüße 🦀")).await;
    let streamed = world.post(CHAT, &streaming("Grüße 🦀")).await;
    assert_ne!(buffered.message().content, "");
    assert_eq!(buffered.message().content, streamed.message().content);
    assert_eq!(buffered.message().finish, "stop");
    assert_eq!(buffered.message().usage["prompt_tokens_details"]["cached_tokens"].as_u64(), Some(0));
    assert!(!streamed.header("x-request-id").is_empty());
    let sent = world.simulator.requests_to("/responses");
    assert_eq!(sent[0].json()["input"][0]["content"][0]["text"], "Grüße 🦀");
    assert_eq!(sent[0].header("content-length"), sent[0].bytes.len().to_string(), "the length is known");
    assert_eq!(sent[0].header("originator"), "codex-proxy");
    assert_eq!(
        sent[0].header("user-agent"),
        concat!("codex-proxy/", env!("CARGO_PKG_VERSION"), " (Cloudflare Workers; wasm32)")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_calls_in_both_modes() {
    let Some(world) = World::start().await else { return };
    let mut body = user("weather in two cities");
    body["tools"] = json!([tool("get_weather")]);
    let mut messages = Vec::new();
    for stream in [false, true] {
        world.next(Scenario::InterleavedCalls);
        body["stream"] = stream.into();
        messages.push(world.post(CHAT, &body).await.message());
    }
    assert_eq!(messages[0].tools(), messages[1].tools());
    assert_eq!(messages[0].calls.len(), 2);
    assert_eq!(messages[0].finish, "tool_calls");
    for (_, arguments) in messages[0].tools() {
        assert!(serde_json::from_str::<Value>(arguments).unwrap().is_object());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_searches() {
    let Some(world) = World::start().await else { return };
    let request = json!({ "prompt": "A cat", "size": "64x48", "n": 2 });
    let document = world.post("/v1/images/generations", &request).await.json();
    assert_eq!((document["data"].as_array().map(Vec::len), &document["size"]), (Some(2), &json!("64x48")));
    let streamed = world.post("/v1/images/generations", &json!({ "prompt": "A cat", "stream": true })).await;
    assert_eq!(streamed.types(), ["image_generation.completed"]);
    let search = json!({ "id": "t-1", "model": "gpt-6.1-sol", "commands": { "search_query": [{ "q": "rust" }] } });
    let found = world.post("/backend-api/codex/alpha/search", &search).await;
    assert_eq!((found.status.as_u16(), found.json()["output"].is_string()), (200, true), "{}", found.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_relayed_and_filled_in() {
    let Some(world) = World::start().await else { return };
    let streamed = world.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    assert!(streamed.text.contains("event: response.output_text.delta\n"), "{}", streamed.text);
    let completed = streamed.events().into_iter().find(|event| event["type"] == "response.completed").unwrap();
    assert_eq!(completed["response"]["output"].as_array().map(Vec::is_empty), Some(false));
    let buffered = world.post("/v1/responses", &json!({ "input": "hi" })).await;
    assert_eq!(buffered.status, 200, "{}", buffered.text);
    assert_eq!(buffered.json()["status"], "completed");
    assert_eq!(buffered.json()["output"].as_array().map(Vec::is_empty), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_arrives_while_the_backend_still_sends() {
    let Some(world) = World::start().await else { return };
    world.next(Scenario::Paced(40, Duration::from_millis(100)));
    let mut body = world.begin(HERE, CHAT, &streaming("hi")).await.bytes_stream();
    let mut text = String::new();
    while text.matches("chat.completion.chunk").count() < 3 {
        text += std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(last_call(&world.simulator), AnswerOutcome::Open, "{text}");
    let mut pieces = 0;
    while let Some(bytes) = body.next().await {
        text += std::str::from_utf8(&bytes.unwrap()).unwrap();
        pieces += 1;
    }
    assert!(pieces > 10, "{pieces} pieces for 40 events");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_keep_their_status_and_their_words() {
    let Some(world) = World::start().await else { return };
    for (fault, status, code) in [
        (HttpFault::UsageLimit(3600), 429, "usage_limit_reached"),
        (HttpFault::ContextLength, 400, "context_length_exceeded"),
        (HttpFault::Cloudflare, 502, "upstream_blocked"),
    ] {
        world.next(Scenario::Http(fault));
        let answer = world.post(CHAT, &streaming("hi")).await;
        assert_eq!(answer.status, status, "{fault:?}: {}", answer.text);
        assert_eq!(answer.error()["code"], code, "{fault:?}");
        let retry_after = answer.header("retry-after").parse().unwrap_or(0);
        assert_eq!(retry_after > 3000, status == 429, "{fault:?}: {retry_after}");
    }
    world.next(Scenario::Cut(codex_proxy::simulator::Moment::AfterOutput));
    let answer = world.post(CHAT, &streaming("hi")).await;
    assert_eq!(answer.status, 200);
    let error = answer.events().last().unwrap()["error"].clone();
    assert_eq!(error["code"], "upstream_stream_interrupted", "{}", answer.text);
    assert!(!answer.text.contains(r#""finish_reason":"stop""#), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let Some(world) = World::start().await else { return };
    let elsewhere = Simulator::new();
    let running = elsewhere.start().await.unwrap();
    world.next(Scenario::Redirect(307, format!("{}/responses", running.upstream_url())));
    assert_eq!(world.chat().await.status, 502);
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_not_there_is_said_to_be() {
    let bindings = json!({ "CODEX_UPSTREAM_URL": "http://127.0.0.1:9/codex" });
    let Some(world) = World::with(&[HERE], bindings).await else { return };
    world.sign_in(codex_proxy::simulator::SimulatedLogin::default()).await;
    let answer = world.chat().await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert_eq!(answer.error()["code"], "upstream_unreachable", "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_call() {
    let Some(world) = World::start().await else { return };
    world.next(Scenario::Paced(100_000, Duration::from_millis(20)));
    let mut answer = world.begin(HERE, CHAT, &streaming("hi")).await;
    assert!(answer.chunk().await.unwrap().is_some());
    let left = Instant::now();
    drop(answer);
    let ended = |simulator: &Simulator| last_call(simulator) == AnswerOutcome::Disconnected;
    assert!(world.simulator.wait_until(PATIENCE, ended).await);
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
    let freed = async {
        // The one that asks is counted too.
        while !world.get("/metrics").await.text.contains("codex_proxy_requests_in_flight 1\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("nothing is left of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_begins_ends_the_call_too() {
    let Some(world) = World::start().await else { return };
    for body in [streaming("hi"), user("hi")] {
        world.simulator.forget_requests();
        world.next(Scenario::Stall(PATIENCE * 10, Stage::Head));
        let client = world.hasty(CHAT, &body).await;
        let arrived = |simulator: &Simulator| !simulator.requests_to("/responses").is_empty();
        assert!(world.simulator.wait_until(PATIENCE, arrived).await);
        client.vanish();
        let ended = |simulator: &Simulator| last_call(simulator) == AnswerOutcome::Disconnected;
        assert!(world.simulator.wait_until(Duration::from_secs(5), ended).await, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_bridged_before_and_within_an_answer() {
    // Each has a Worker and a backend of its own, so that each gets the answer meant for it.
    let (Some(one), Some(other)) = tokio::join!(World::start(), World::start()) else { return };
    let (before, within) = tokio::join!(silent(&one, Stage::Head), silent(&other, Stage::Middle));
    for answer in [before, within] {
        assert_eq!(answer.text.matches(": keepalive\n").count(), 1, "{}", answer.text);
        answer.message();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_panic_the_program_starts_anew_and_keeps_its_login() {
    let Some(world) = World::start().await else { return };
    for life in ["1", "2"] {
        world.chat().await.message();
        let marked = world.request("GET", HERE, "/health", "").header("x-test-panic", "1");
        assert_eq!(Answer::read(marked.send().await.unwrap()).await.text, life);
    }
    world.chat().await.message();
}

async fn silent(world: &World, stage: Stage) -> Answer {
    world.next(Scenario::Stall(Duration::from_secs(17), stage));
    world.post(CHAT, &streaming("hi")).await
}

fn last_call(simulator: &Simulator) -> AnswerOutcome {
    simulator.requests_to("/responses").last().unwrap().outcome
}
