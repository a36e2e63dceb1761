//! How a failure ends a stream of the Responses API, for libraries and for Codex clients; and what else the two get.

use std::time::Duration;

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{FailureShape, Moment, Play, Scenario, ScriptedAnswer, StreamFailure};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup};
use crate::common::answer::Answer;

const CODEX: &str = "codex_exec/0.169.0 (Debian 12; x86_64)";

async fn stream(proxy: &Proxy, play: impl Into<Play>, user_agent: &str) -> Answer {
    proxy.next(play);
    let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("user-agent", user_agent);
    let body = json!({ "model": "gpt-6.1-sol", "input": "hi", "stream": true });
    let request = request.header("content-type", "application/json").body(body.to_string());
    Answer::read(request.send().await.unwrap()).await
}

fn names(answer: &Answer) -> Vec<&str> {
    answer.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect()
}

/// The one error event of a stream, which must have both shapes.
fn error_event(answer: &Answer) -> Value {
    let events = answer.events();
    let mut errors = events.iter().filter(|event| event["type"] == "error");
    let (Some(event), None) = (errors.next(), errors.next()) else { panic!("{}", answer.text) };
    let keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["type", "code", "message", "param", "sequence_number", "error"]);
    for name in ["code", "message", "param"] {
        assert_eq!(event[name], event["error"][name], "{name}");
    }
    assert!(event["error"]["type"].is_string() && event["sequence_number"].is_u64(), "{event}");
    event.clone()
}

/// No number comes before a smaller one.
fn assert_in_order(answer: &Answer) {
    let numbers: Vec<u64> = answer.events().iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] <= pair[1]), "{numbers:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_in_both_shapes() {
    let proxy = Proxy::start().await;
    for scenario in [Scenario::Cut(Moment::AfterOutput), Scenario::CutMidEvent, Scenario::EndWithoutTerminal] {
        let answer = stream(&proxy, scenario.clone(), "openai-python").await;
        assert_eq!(error_event(&answer)["code"], "upstream_stream_interrupted");
        assert_eq!(names(&answer).last(), Some(&"error"), "{scenario:?}");
        assert_in_order(&answer);
    }
}

#[tokio::test]
async fn an_error_of_the_backends_is_told_in_both_shapes_whatever_its_own() {
    let proxy = Proxy::start().await;
    for shape in [FailureShape::NestedError, FailureShape::FlatError, FailureShape::ErrorThenFailed] {
        let scenario = Scenario::Fail(StreamFailure::of("context_length_exceeded"), shape, Moment::AfterOutput);
        let answer = stream(&proxy, scenario, "openai-python").await;
        let event = error_event(&answer);
        assert_eq!(event["code"], "context_length_exceeded", "{shape:?}");
        assert!(event["message"].as_str().unwrap().starts_with("Your input exceeds"), "{event}");
        assert_eq!(event["error"]["type"], "invalid_request_error");
        assert_in_order(&answer);
    }
}

#[tokio::test]
async fn an_error_comes_before_a_lone_failed_or_cancelled_response() {
    let proxy = Proxy::start().await;
    for (shape, last) in [(FailureShape::Failed, "response.failed"), (FailureShape::Cancelled, "response.cancelled")] {
        let scenario = Scenario::Fail(StreamFailure::of("server_error"), shape, Moment::AfterOutput);
        let answer = stream(&proxy, scenario.clone(), "openai-python").await;
        let told = names(&answer);
        assert_eq!(told[told.len() - 2..], ["error", last], "{}", answer.text);
        assert_eq!(error_event(&answer)["code"], "server_error");
        let report = answer.events().pop().unwrap();
        assert_eq!(report["response"]["error"]["code"], "server_error", "the backend's own event follows as it was");
        assert_in_order(&answer);

        let codex = stream(&proxy, scenario, CODEX).await;
        assert_eq!(names(&codex).last(), Some(&last));
        assert!(!names(&codex).contains(&"error"), "{}", codex.text);
    }
}

#[tokio::test]
async fn a_failure_of_the_proxys_own_reaches_a_codex_client_as_a_failed_response() {
    let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let words = "Your input exceeds the context window of this model.";
    let late =
        ScriptedAnswer::error(StatusCode::BAD_REQUEST, "invalid_request_error", Some("context_length_exceeded"), words)
            .delayed(Duration::from_millis(400));
    for (play, code) in [
        (Play::from(late), "context_length_exceeded"),
        (Scenario::Cut(Moment::AfterOutput).into(), "upstream_stream_interrupted"),
        (
            Scenario::Fail(StreamFailure::of("server_error"), FailureShape::NestedError, Moment::AfterOutput).into(),
            "server_error",
        ),
    ] {
        let answer = stream(&proxy, play, CODEX).await;
        assert_eq!(error_event(&answer)["code"], code);
        let last = answer.events().pop().unwrap();
        assert_eq!((&last["type"], &last["response"]["error"]["code"]), (&json!("response.failed"), &json!(code)));
        assert_in_order(&answer);
    }
}

#[tokio::test]
async fn a_codex_client_gets_the_backends_own_events_and_nobody_else_does() {
    let proxy = Proxy::start().await;
    let own = ["codex.rate_limits", "response.metadata"];
    let answer = stream(&proxy, Scenario::Default, CODEX).await;
    for name in own {
        assert!(names(&answer).contains(&name), "{name}: {}", answer.text);
    }
    let metadata = answer.events().into_iter().find(|event| event["type"] == "response.metadata").unwrap();
    assert_eq!(metadata["headers"]["openai-model"], "gpt-6.1-sol");
    assert_eq!(names(&answer)[0], "response.created");
    assert_eq!(answer.events().pop().unwrap()["type"], "response.completed");
    let others = stream(&proxy, Scenario::Default, "openai-python").await;
    assert!(own.iter().all(|name| !names(&others).contains(name)), "{}", others.text);

    let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("originator", "codex_vscode");
    let request = request.header("content-type", "application/json").body(r#"{"input":"hi","stream":true}"#);
    let by_originator = Answer::read(request.send().await.unwrap()).await;
    assert!(own.iter().all(|name| names(&by_originator).contains(name)));
}

#[tokio::test]
async fn an_event_stream_asks_proxies_not_to_hold_it_back() {
    let proxy = Proxy::start().await;
    for answer in proxy.both(Scenario::Default, &super::harness::user("hi")).await {
        let expected = if answer.header("content-type") == "text/event-stream" { "no" } else { "" };
        assert_eq!(answer.header("x-accel-buffering"), expected);
    }
    assert_eq!(stream(&proxy, Scenario::Default, "x").await.header("x-accel-buffering"), "no");
}
