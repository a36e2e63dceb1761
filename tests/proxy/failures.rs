//! What a client gets when the backend fails, in both modes and on both APIs.

use std::time::{Duration, Instant};

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{FailureShape, HttpFault, Moment, Play, Scenario, ScriptedAnswer, Stage, StreamFailure};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

/// The four ways to ask, each with the same play before every attempt.
pub(crate) async fn ask_everywhere(
    proxy: &Proxy,
    play: impl Into<Play>,
    attempts: usize,
) -> Vec<(&'static str, Answer)> {
    let play = play.into();
    let mut answers = Vec::new();
    for (path, body, stream) in [
        ("/v1/chat/completions", user("hi"), false),
        ("/v1/chat/completions", user("hi"), true),
        ("/v1/responses", json!({ "input": "hi" }), false),
        ("/v1/responses", json!({ "input": "hi" }), true),
    ] {
        let mut body = body;
        body["stream"] = stream.into();
        for _ in 0..attempts {
            proxy.next(play.clone());
        }
        proxy.simulator.forget_requests();
        answers.push((path, proxy.post(path, &body).await));
        assert_eq!(proxy.simulator.queued(), 0, "{play:?}: {attempts} attempts");
        assert_eq!(proxy.calls(), attempts, "{play:?}");
    }
    answers
}

/// The one error of an answer that began: the last event on either API, and no success after it.
pub(crate) fn in_stream_code(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK);
    if answer.data().last() == Some(&"[DONE]") {
        let events = answer.events();
        let (last, others) = events.split_last().unwrap();
        assert!(
            others.iter().all(|event| event["choices"][0]["finish_reason"].is_null()),
            "no success: {}",
            answer.text
        );
        return last["error"]["code"].as_str().unwrap().to_owned();
    }
    let last = answer.events().pop().unwrap();
    let error = match last["type"].as_str().unwrap() {
        "error" => last.get("error").unwrap_or(&last),
        "response.failed" => &last["response"]["error"],
        other => panic!("{other} ends the stream"),
    };
    error["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn http_failures_keep_their_meaning() {
    let cases: Vec<(HttpFault, u16, &str, usize)> = vec![
        (HttpFault::UsageLimit(60), 429, "usage_limit_reached", 1),
        (HttpFault::UsageNotIncluded, 403, "usage_not_included", 1),
        (HttpFault::TooManyRequests, 429, "rate_limit_exceeded", 1),
        (HttpFault::CyberPolicy, 400, "cyber_policy", 1),
        (HttpFault::ContextLength, 400, "context_length_exceeded", 1),
        (HttpFault::ModelNotFound, 404, "model_not_found", 1),
        (HttpFault::EmptyNotFound, 502, "upstream_blocked", 1),
        (HttpFault::Cloudflare, 502, "upstream_blocked", 1),
        (HttpFault::TooLarge, 413, "request_too_large", 1),
        (HttpFault::Overloaded, 503, "server_is_overloaded", 1),
        (HttpFault::SlowDown, 503, "slow_down", 1),
        (HttpFault::ServerError, 502, "server_error", 3),
        (HttpFault::BadGateway, 502, "server_error", 3),
        (HttpFault::GatewayTimeout, 502, "server_error", 3),
        (HttpFault::RequestTimeout, 502, "server_error", 3),
    ];
    // Each with a proxy of its own: they wait between their attempts at the same time.
    join_all(cases.into_iter().map(async |(fault, status, code, attempts)| {
        let proxy = Proxy::start().await;
        for (path, answer) in ask_everywhere(&proxy, Scenario::Http(fault), attempts).await {
            assert_eq!(answer.status.as_u16(), status, "{fault:?} {path}: {}", answer.text);
            let error = answer.error();
            assert_eq!(error["code"], code, "{fault:?} {path}");
            let message = error["message"].as_str().unwrap();
            assert!(!message.is_empty() && !message.contains("<html"), "{fault:?}: {message}");
        }
    }))
    .await;
}

#[tokio::test]
async fn retry_after_and_the_limits_reach_the_client() {
    let proxy = Proxy::start().await;
    for (_, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::UsageLimit(90)), 1).await {
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((85..=90).contains(&seconds), "{seconds}");
        assert!(!answer.header("x-upstream-request-id").is_empty());
    }
    for (_, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::TooManyRequests), 1).await {
        assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 10);
    }
    let answer = proxy.chat(&user("hi")).await;
    assert!(!answer.header("x-codex-primary-used-percent").is_empty(), "{:?}", answer.headers);
}

#[tokio::test]
async fn failures_before_output_are_statuses_although_the_backend_said_200() {
    let proxy = Proxy::start().await;
    for (code, status) in [
        ("context_length_exceeded", 400),
        ("invalid_prompt", 400),
        ("cyber_policy", 400),
        ("invalid_image", 400),
        ("usage_limit_reached", 429),
        ("insufficient_quota", 429),
        ("usage_not_included", 403),
        ("server_is_overloaded", 503),
        ("slow_down", 503),
        ("server_error", 502),
    ] {
        for shape in
            [FailureShape::Failed, FailureShape::NestedError, FailureShape::FlatError, FailureShape::ErrorThenFailed]
        {
            let failure = StreamFailure::of(code);
            let words = failure.message.clone();
            let scenario = Scenario::Fail(failure, shape, Moment::BeforeOutput);
            for (path, answer) in ask_everywhere(&proxy, scenario, 1).await {
                assert_eq!(answer.status.as_u16(), status, "{code} {shape:?} {path}: {}", answer.text);
                let error = answer.error();
                assert_eq!((error["code"].as_str(), error["message"].as_str()), (Some(code), Some(words.as_str())));
            }
        }
    }
}

#[tokio::test]
async fn a_failure_without_a_known_code_is_told_by_its_status_or_its_type() {
    let proxy = Proxy::start().await;
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    for (kind, code, status, expected) in [
        ("invalid_request_error", Value::Null, Value::Null, 400),
        ("invalid_request_error", "some_new_code".into(), Value::Null, 400),
        ("invalid_request_error", Value::Null, 404.into(), 404),
        ("some_new_error", Value::Null, 400.into(), 400),
        ("permission_error", Value::Null, Value::Null, 403),
        ("not_found_error", Value::Null, Value::Null, 404),
        ("rate_limit_error", Value::Null, Value::Null, 429),
        ("tokens", Value::Null, Value::Null, 429),
        ("authentication_error", Value::Null, Value::Null, 401),
        ("some_new_error", Value::Null, Value::Null, 502),
    ] {
        let error = json!({ "type": kind, "code": code, "message": "words", "param": "input" });
        let event = json!({ "type": "error", "status": status, "error": error });
        let stream = ScriptedAnswer::stream().bytes(format!("data: {created}\n\ndata: {event}\n\n"));
        let document = ScriptedAnswer::json(StatusCode::OK, &json!({ "error": error, "status": status }));
        for play in [stream, document] {
            for (path, answer) in ask_everywhere(&proxy, play, 1).await {
                assert_eq!(answer.status.as_u16(), expected, "{kind} {code} {status} {path}: {}", answer.text);
                let error = answer.error();
                assert!(error["message"].as_str().unwrap().ends_with("words"), "{error}");
                assert!(!code.is_string() || error["code"] == code, "{error}");
            }
        }
    }
}

#[tokio::test]
async fn failures_after_output_end_a_stream_and_are_statuses_otherwise() {
    let proxy = Proxy::start().await;
    for shape in
        [FailureShape::Failed, FailureShape::NestedError, FailureShape::FlatError, FailureShape::ErrorThenFailed]
    {
        let scenario = Scenario::Fail(StreamFailure::of("server_error"), shape, Moment::AfterOutput);
        let answers = ask_everywhere(&proxy, scenario, 1).await;
        for (index, (path, answer)) in answers.iter().enumerate() {
            if index % 2 == 0 {
                assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{shape:?} {path}");
                assert_eq!(answer.error()["code"], "server_error");
            } else {
                assert_eq!(in_stream_code(answer), "server_error", "{shape:?} {path}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_out_once() {
    let proxy = Proxy::start().await;
    let limited =
        |seconds| Scenario::Fail(StreamFailure::rate_limit(seconds), FailureShape::Failed, Moment::BeforeOutput);
    proxy.next(limited(0.2));
    let begun = Instant::now();
    proxy.chat(&user("hi")).await.message();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    for (_, answer) in ask_everywhere(&proxy, limited(0.1), 2).await {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("retry-after"), "1");
    }
    for (_, answer) in ask_everywhere(&proxy, limited(11.054), 1).await {
        assert_eq!(answer.header("retry-after"), "12");
    }
}

#[tokio::test]
async fn a_cut_before_output_is_tried_again() {
    let proxy = Proxy::start().await;
    for scenario in [Scenario::Cut(Moment::BeforeOutput), Scenario::HangUp, Scenario::EmptyBody] {
        proxy.next(scenario.clone()).next(scenario.clone());
        proxy.chat(&user("hi")).await.message();
    }
    for (path, answer) in ask_everywhere(&proxy, Scenario::HangUp, 3).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
        assert_eq!(answer.error()["code"], "upstream_unreachable");
    }
    for (path, answer) in ask_everywhere(&proxy, Scenario::Cut(Moment::BeforeOutput), 3).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
        assert_eq!(answer.error()["code"], "upstream_stream_interrupted");
    }
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_never_a_success() {
    let proxy = Proxy::start().await;
    for scenario in [Scenario::Cut(Moment::AfterOutput), Scenario::CutMidEvent, Scenario::EndWithoutTerminal] {
        for (index, (path, answer)) in ask_everywhere(&proxy, scenario.clone(), 1).await.iter().enumerate() {
            if index % 2 == 0 {
                assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{scenario:?} {path}");
                assert_eq!(answer.error()["code"], "upstream_stream_interrupted");
            } else {
                assert_eq!(in_stream_code(answer), "upstream_stream_interrupted", "{scenario:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_stream_is_explained() {
    let proxy = Proxy::start().await;
    for (path, answer) in ask_everywhere(&proxy, Scenario::HtmlWithOk, 1).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
        assert!(!answer.error()["message"].as_str().unwrap().contains('<'), "{}", answer.text);
    }
    for (path, answer) in ask_everywhere(&proxy, Scenario::JsonErrorWithOk, 1).await {
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{path}: {}", answer.text);
        answer.error();
    }
    let redirect = Scenario::Redirect(307, "http://127.0.0.1:1/elsewhere".to_owned());
    for (path, answer) in ask_everywhere(&proxy, redirect, 1).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
        assert!(answer.error()["message"].as_str().unwrap().contains("redirect"));
    }
}

#[tokio::test]
async fn silence_beyond_the_limit_is_a_timeout() {
    let proxy = Proxy::with(Setup { idle_timeout: Duration::from_millis(700), ..Setup::default() }).await;
    let long = Duration::from_secs(30);
    for stage in [Stage::Head, Stage::Output] {
        for (path, answer) in ask_everywhere(&proxy, Scenario::Stall(long, stage), 1).await {
            assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{stage:?} {path}");
            assert_eq!(answer.error()["code"], "upstream_timeout");
        }
    }
    let answers = ask_everywhere(&proxy, Scenario::Stall(long, Stage::Middle), 1).await;
    for (index, (path, answer)) in answers.iter().enumerate() {
        if index % 2 == 0 {
            assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{path}");
        } else {
            assert_eq!(in_stream_code(answer), "upstream_timeout", "{path}");
        }
    }
}

#[tokio::test]
async fn a_failure_after_the_first_keepalive_is_the_streams_last_event() {
    let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let late = ScriptedAnswer::error(StatusCode::BAD_REQUEST, "invalid_request_error", Some("bad_thing"), "no")
        .delayed(Duration::from_millis(400));
    let mut body = user("hi");
    body["stream"] = true.into();
    proxy.next(late.clone());
    let answer = proxy.chat(&body).await;
    assert!(answer.text.starts_with(": keepalive\n"), "{}", answer.text);
    assert_eq!(in_stream_code(&answer), "bad_thing");
    proxy.next(late);
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    assert_eq!(in_stream_code(&answer), "bad_thing");
}

#[tokio::test]
async fn a_refused_token_is_reloaded_then_renewed_then_given_up() {
    let proxy = Proxy::start().await;
    proxy.next(Scenario::Http(HttpFault::Unauthorized));
    proxy.chat(&user("hi")).await.message();
    assert_eq!((proxy.calls(), proxy.simulator.counters().refreshes), (2, 0));
    proxy.simulator.forget_requests();
    proxy.next(Scenario::Http(HttpFault::Unauthorized)).next(Scenario::Http(HttpFault::Unauthorized));
    proxy.chat(&user("hi")).await.message();
    assert_eq!((proxy.calls(), proxy.simulator.counters().refreshes), (3, 1));
    for (path, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::Unauthorized), 3).await {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let error = answer.error();
        assert_eq!(error["code"], "upstream_auth");
        assert!(error["message"].as_str().unwrap().contains("codex-proxy login"), "{error}");
    }
}

#[tokio::test]
async fn an_invalidated_token_costs_one_refresh() {
    let proxy = Proxy::start().await;
    proxy.simulator.invalidate_access_tokens();
    proxy.chat(&user("hi")).await.message();
    assert_eq!(proxy.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn nobody_listening_is_a_bad_gateway() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/codex", listener.local_addr().unwrap());
    drop(listener);
    let proxy = Proxy::with(Setup { upstream_url: Some(url), ..Setup::default() }).await;
    let answer = proxy.chat(&user("hi")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.error()["code"], "upstream_unreachable");
}

#[tokio::test]
async fn a_path_the_backend_does_not_have_is_no_missing_model() {
    let proxy = Proxy::start().await;
    let no_route = ScriptedAnswer::json(StatusCode::NOT_FOUND, &json!({ "detail": "Not Found" }));
    for (path, answer) in ask_everywhere(&proxy, no_route, 1).await {
        assert_eq!((answer.status, &answer.error()["code"]), (StatusCode::BAD_GATEWAY, &json!("upstream_blocked")));
        assert!(answer.error()["message"].as_str().unwrap().contains("--upstream-url"), "{path}: {}", answer.text);
    }
    let no_model = ScriptedAnswer::json(StatusCode::NOT_FOUND, &json!({ "detail": "Model not found" }));
    for (_, answer) in ask_everywhere(&proxy, no_model, 1).await {
        assert_eq!((answer.status, &answer.error()["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
    }
}

#[tokio::test]
async fn a_large_refusal_is_read_and_a_larger_one_said_to_be_cut() {
    let proxy = Proxy::start().await;
    for (size, words) in [(200 << 10, "xxx"), (2 << 20, "more than 1024 KiB, of which only the beginning was read")] {
        let body = json!({ "detail": "x".repeat(size) });
        for (path, answer) in ask_everywhere(&proxy, ScriptedAnswer::json(StatusCode::BAD_REQUEST, &body), 1).await {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(answer.error()["message"].as_str().unwrap().contains(words), "{path} {size}");
        }
    }
}
