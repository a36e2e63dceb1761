//! What the backend's refusals come to: new codes, spent allowances, when to come back and whether to.

use std::time::Duration;

use codex_proxy::models::live::LiveCatalogue;
use codex_proxy::simulator::{FailureShape, HttpFault, Moment, Play, Scenario, ScriptedAnswer, StreamFailure};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use super::failures::{ask_everywhere, in_stream_code};
use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

/// Codes of the Codex CLI 0.159 and 0.169, the status in which the backend may wrap them, and what they come to.
const CODES: [(&str, u16, u16); 18] = [
    ("misalignment_policy_violation", 400, 400),
    ("content_policy_violation", 403, 400),
    ("bio_policy", 400, 400),
    ("some_future_policy", 403, 400),
    ("some_future_policy_violation", 500, 400),
    ("inference_hook_denied", 403, 400),
    ("access_program_not_enabled", 403, 400),
    ("workspace_access_denied", 403, 403),
    ("organization_usage_limit_exceeded", 429, 429),
    ("organization_spend_limit_exceeded", 403, 429),
    ("budget_reached", 429, 429),
    ("session_budget_exceeded", 429, 429),
    ("policy_capacity_unavailable", 503, 503),
    ("audio_too_large", 400, 400),
    ("invalid_audio", 400, 400),
    ("invalid_audio_data", 400, 400),
    ("invalid_audio_format", 400, 400),
    ("missing_audio_sample_rate", 400, 400),
];

#[tokio::test]
async fn new_codes_keep_their_meaning_as_statuses_and_inside_a_200() {
    let proxy = Proxy::start().await;
    for (code, wrapped, status) in CODES {
        let failure = Scenario::Fail(StreamFailure::of(code), FailureShape::Failed, Moment::BeforeOutput);
        for play in [Scenario::Http(HttpFault::Coded(wrapped, code)), failure] {
            for (path, answer) in ask_everywhere(&proxy, play, 1).await {
                assert_eq!(answer.status.as_u16(), status, "{code} {path}: {}", answer.text);
                assert_eq!(answer.error()["code"], code, "{path}");
                let told = if status == 503 { "" } else { "false" };
                assert_eq!(answer.header("x-should-retry"), told, "{code} {path}");
            }
        }
    }
}

#[tokio::test]
async fn new_codes_end_a_stream_that_has_begun() {
    let proxy = Proxy::start().await;
    for (code, _, status) in CODES {
        let late = Scenario::Fail(StreamFailure::of(code), FailureShape::Failed, Moment::AfterOutput);
        for (index, (path, answer)) in ask_everywhere(&proxy, late, 1).await.iter().enumerate() {
            if index % 2 == 0 {
                assert_eq!(answer.status.as_u16(), status, "{code} {path}");
            } else {
                assert_eq!(in_stream_code(answer), code, "{path}");
            }
        }
    }
}

/// The reset in words: the time until then, and the time of day.
fn assert_says_reset(answer: &Answer, words: &str) {
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    let (before, after) = message.split_once(" It resets in ").unwrap_or_else(|| panic!("{message}"));
    assert_eq!(before, "The usage limit has been reached.");
    let (duration, at) = after.split_once(", at ").unwrap();
    assert_eq!(duration, words);
    assert!(at.contains('-') && at.contains(':') && at.contains(" UTC."), "{at}");
}

#[tokio::test]
async fn a_spent_plan_says_when_it_is_good_again() {
    let proxy = Proxy::start().await;
    for (path, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::UsageLimit(11_550)), 1).await {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_says_reset(&answer, "3 hours 12 minutes");
        let error = answer.json()["error"].clone();
        assert_eq!((&error["plan_type"], &error["resets_in_seconds"]), (&json!("plus"), &json!(11_550)), "{path}");
        assert!(error["resets_at"].as_u64().unwrap() > 1_700_000_000, "{error}");
        assert_eq!(answer.header("retry-after"), "11550");
        assert_eq!(answer.header("x-should-retry"), "false");
    }
}

#[tokio::test]
async fn a_spent_plan_inside_a_200_says_so_too() {
    let proxy = Proxy::start().await;
    let error = json!({ "code": "usage_limit_reached", "message": "The usage limit has been reached",
        "plan_type": "pro", "resets_at": 4_102_444_800_u64, "resets_in_seconds": 90.5 });
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1" } }),
        json!({ "type": "response.failed", "response": { "id": "resp_1", "error": error } }),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    for (path, answer) in ask_everywhere(&proxy, ScriptedAnswer::stream().bytes(stream), 1).await {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_says_reset(&answer, "1 minute");
        assert!(
            answer.text.contains(r#""plan_type":"pro","resets_at":4102444800,"resets_in_seconds":90.5"#),
            "{}",
            answer.text
        );
        assert!(answer.error()["message"].as_str().unwrap().ends_with("at 2100-01-01 00:00 UTC."));
        assert_eq!(answer.header("retry-after"), "91");
    }
}

/// The body says nothing of the time; the limit headers of the same answer do.
#[tokio::test]
async fn a_spent_plan_without_a_time_takes_it_from_the_limit_headers() {
    let proxy = Proxy::start().await;
    let error = json!({ "error": { "type": "usage_limit_reached", "message": "The usage limit has been reached" } });
    let play = ScriptedAnswer::json(StatusCode::TOO_MANY_REQUESTS, &error)
        .header(HeaderName::from_static("x-codex-primary-used-percent"), "100")
        .header(HeaderName::from_static("x-codex-primary-reset-after-seconds"), "7300");
    for (_, answer) in ask_everywhere(&proxy, play, 1).await {
        assert_says_reset(&answer, "2 hours 1 minute");
        assert_eq!(answer.header("retry-after"), "7300");
    }
}

#[tokio::test]
async fn what_may_be_tried_again_is_not_forbidden() {
    let proxy = Proxy::start().await;
    let limited =
        |seconds| Scenario::Fail(StreamFailure::rate_limit(seconds), FailureShape::Failed, Moment::BeforeOutput);
    let cases: Vec<(Play, usize, &str)> = vec![
        (limited(20.0).into(), 1, ""),
        (limited(90.0).into(), 1, "false"),
        (Scenario::Http(HttpFault::TooManyRequests).into(), 1, ""),
        (Scenario::Http(HttpFault::Overloaded).into(), 1, ""),
        (Scenario::Http(HttpFault::ServerError).into(), 3, ""),
        (Scenario::EmptyBody.into(), 3, ""),
        (Scenario::Http(HttpFault::CyberPolicy).into(), 1, "false"),
        (Scenario::Http(HttpFault::Forbidden).into(), 1, "false"),
        (Scenario::Http(HttpFault::ModelNotFound).into(), 1, "false"),
        (Scenario::Http(HttpFault::UsageNotIncluded).into(), 1, "false"),
        (Scenario::Http(HttpFault::Unauthorized).into(), 3, "false"),
        (Scenario::Http(HttpFault::WorkspaceDeactivated).into(), 1, "false"),
    ];
    for (play, attempts, told) in cases {
        for (path, answer) in ask_everywhere(&proxy, play.clone(), attempts).await {
            assert_eq!(answer.header("x-should-retry"), told, "{play:?} {path}: {}", answer.text);
        }
    }
    let answer = proxy.chat(&json!({ "messages": [] })).await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (StatusCode::BAD_REQUEST, "false"));
}

#[tokio::test]
async fn a_wait_in_milliseconds_is_read() {
    let proxy = Proxy::start().await;
    for (name, value, seconds) in
        [("retry-after-ms", "12500", "13"), ("x-ms-retry-after-ms", "900", "1"), ("retry-after", "7", "7")]
    {
        let play = ScriptedAnswer::status(StatusCode::TOO_MANY_REQUESTS).header(name.parse().unwrap(), value);
        for (path, answer) in ask_everywhere(&proxy, play, 1).await {
            assert_eq!(answer.header("retry-after"), seconds, "{name} {path}");
        }
    }
}

#[tokio::test]
async fn the_backends_id_is_found_under_any_of_its_names() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/codex", listener.local_addr().unwrap());
    let answer_once = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 16 << 10];
        let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut head).await;
        let answer = "HTTP/1.1 413 x\r\nx-openai-request-id: req_new\r\ncf-ray: ray\r\ncontent-length: 0\r\n\r\n";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await;
    };
    let proxy = Proxy::with(Setup { upstream_url: Some(url), ..Setup::default() }).await;
    let hi = user("hi");
    let (answer, ()) = tokio::join!(proxy.chat(&hi), answer_once);
    assert_eq!(answer.header("x-upstream-request-id"), "req_new", "{}", answer.text);
}

#[tokio::test]
async fn the_reserve_is_mentioned_where_there_is_one_and_nothing_is_switched() {
    let proxy = Proxy::start().await;
    let says_so = |answer: &Answer| answer.error()["message"].as_str().unwrap().contains("gpt-reserve");
    for (path, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::UsageLimit(60)), 1).await {
        assert!(!says_so(&answer), "{path}: nobody has said that there is one");
    }
    for (path, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::ReserveLeft(60)), 1).await {
        assert!(says_so(&answer), "{path}: {}", answer.text);
        assert_eq!(answer.header("x-base-model-inference-limit-name"), "gpt-reserve");
    }
    let body = json!({ "error": { "type": "usage_limit_reached", "message": "Spent.", "limit_name": "gpt-reserve" } });
    let named = ScriptedAnswer::json(StatusCode::TOO_MANY_REQUESTS, &body);
    for (path, answer) in ask_everywhere(&proxy, named, 1).await {
        assert!(says_so(&answer), "{path}: {}", answer.text);
    }
    let listed =
        br#"{"models":[{"slug":"gpt-5.6-luna","visibility":"list"},{"slug":"gpt-reserve","visibility":"hide"}]}"#;
    proxy.app.models.set_live(LiveCatalogue::parse(listed).unwrap());
    for (path, answer) in ask_everywhere(&proxy, Scenario::Http(HttpFault::UsageLimit(60)), 1).await {
        assert!(says_so(&answer), "{path}: {}", answer.text);
        assert_ne!(proxy.last_sent()["model"], "gpt-reserve");
    }
}

/// The backend answers every request with a stream of events; a document in its place is never passed on as an answer.
#[tokio::test]
async fn a_document_in_a_200_is_never_an_answer() {
    let proxy = Proxy::start().await;
    let cases: Vec<(Value, u16)> = vec![
        (json!({ "error": { "code": "server_is_overloaded", "message": "words" } }), 503),
        (json!({ "error": { "type": "usage_limit_reached", "message": "words" }, "output": [] }), 429),
        (json!({ "error": "words" }), 502),
        (json!({ "detail": "words" }), 502),
        (json!({ "detail": { "code": "context_length_exceeded", "message": "words" } }), 400),
        (json!("words"), 502),
        (json!(null), 502),
        (json!([]), 502),
        (json!(5), 502),
        (json!({}), 502),
        (json!({ "object": "response", "output": [] }), 502),
    ];
    for (body, status) in cases {
        let play = ScriptedAnswer::json(StatusCode::OK, &body);
        let mut answers = ask_everywhere(&proxy, play.clone(), 1).await;
        proxy.next(play);
        answers.push(("compact", proxy.post("/v1/responses/compact", &json!({ "input": "hi" })).await));
        for (path, answer) in answers {
            assert_eq!(answer.status.as_u16(), status, "{body} {path}: {}", answer.text);
            let message = answer.error()["message"].as_str().unwrap().to_owned();
            assert!(!body.to_string().contains("words") || message.contains("words"), "{body} {path}: {message}");
        }
    }
}

#[tokio::test]
async fn a_budget_is_not_asked_for_twice() {
    let proxy = Proxy::start().await;
    let begun = std::time::Instant::now();
    let play = Scenario::Fail(StreamFailure::of("budget_reached"), FailureShape::ErrorThenFailed, Moment::BeforeOutput);
    for (path, answer) in ask_everywhere(&proxy, play, 1).await {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert!(!answer.headers.contains_key("retry-after"), "{path}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}
