//! Which model answers: in headers, in the answer, in the log, and where the operator wants no other than the one asked for.

use std::time::{Duration, Instant};

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{FailureShape, Moment, Play, Scenario, ScriptedAnswer, StreamFailure, Substitution, Told};
use http::StatusCode;
use serde_json::{Value, json};

use super::failures::in_stream_code;
use super::harness::{Proxy, Setup, user};
use crate::common::PATIENCE;
use crate::common::answer::Answer;
use crate::common::log::Log;

const ASKED: &str = "GPT-6.1-Sol-high";
const SENT: &str = "gpt-6.1-sol";
const OTHER: &str = "gpt-6-luna";

/// The places from which a stream's head knows who answers.
const EARLY: [Told; 5] = [Told::Everywhere, Told::Head, Told::Created, Told::EventHeaders, Told::Metadata];
const LATE: [Told; 2] = [Told::LateMetadata, Told::Completed];

/// The four ways to ask for a model, each with the same play. Those at odd places are streams.
async fn ask(proxy: &Proxy, play: impl Into<Play>, fields: &Value) -> Vec<(&'static str, Answer)> {
    let play = play.into();
    let mut answers = Vec::new();
    for (path, mut body) in [("/v1/chat/completions", user("hi")), ("/v1/responses", json!({ "input": "hi" }))] {
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        for stream in [false, true] {
            body["stream"] = stream.into();
            proxy.next(play.clone());
            answers.push((path, proxy.post(path, &body).await));
            assert_eq!(proxy.simulator.queued(), 0, "{path}: the backend was asked");
        }
    }
    answers
}

fn by(model: &str, told: Told) -> Scenario {
    Scenario::Substituted(Substitution::new(model, told))
}

async fn strict() -> Proxy {
    let settings = ServerSettings { strict_model: true, ..ServerSettings::default() };
    Proxy::with(Setup { settings, ..Setup::default() }).await
}

fn names(answer: &Answer) -> [&str; 3] {
    ["asked", "sent", "answered"].map(|which| answer.header(&format!("x-codex-proxy-model-{which}")))
}

/// Every `model` that a chat answer names.
fn models(answer: &Answer) -> Vec<Value> {
    match answer.header("content-type") {
        "application/json" => vec![answer.json()["model"].clone()],
        _ => answer.events().iter().map(|chunk| chunk["model"].clone()).collect(),
    }
}

async fn metric(proxy: &Proxy) -> Vec<String> {
    let metrics = proxy.get("/metrics").await.text;
    metrics
        .lines()
        .filter(|line| line.starts_with("codex_proxy_model_substitutions_total"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_answer_says_which_model_was_asked_sent_and_answered() {
    let proxy = Proxy::start().await;
    for (path, answer) in ask(&proxy, Scenario::Default, &json!({ "model": ASKED })).await {
        assert_eq!(names(&answer), [ASKED, SENT, SENT], "{path}");
        assert_eq!(answer.header("x-codex-proxy-tier-answered"), "", "{path}");
    }
    for (path, answer) in ask(&proxy, Scenario::Default, &json!({})).await {
        assert!(!answer.headers.contains_key("x-codex-proxy-model-asked"), "{path}: none was");
        assert!(!names(&answer)[1].is_empty() && names(&answer)[1] == names(&answer)[2], "{path}");
    }
    assert_eq!(metric(&proxy).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_model_of_any_letters_is_named_as_far_as_a_header_can() {
    let proxy = Proxy::start().await;
    let answer = proxy.chat(&json!({ "model": "gpt-6.1-sol \u{e9}\n🤖", "messages": user("hi")["messages"] })).await;
    assert_eq!(answer.header("x-codex-proxy-model-asked"), "gpt-6.1-sol ???", "{}", answer.text);
}

#[tokio::test]
async fn errors_say_which_model_was_asked_and_sent() {
    let proxy = Proxy::start().await;
    let fails = Scenario::Fail(StreamFailure::of("cyber_policy"), FailureShape::Failed, Moment::BeforeOutput);
    for (path, answer) in ask(&proxy, fails, &json!({ "model": ASKED })).await {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(names(&answer)[..2], [ASKED, SENT], "{path}");
    }
    let refused = json!({ "model": ASKED, "input": [{ "type": "item_reference", "id": "fc_1" }] });
    let answer = proxy.post("/v1/responses", &refused).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(names(&answer), [ASKED, "", ""], "nothing was sent");
}

#[tokio::test]
async fn a_substitute_told_early_is_named_in_the_head_and_in_every_chunk() {
    let proxy = Proxy::start().await;
    for told in EARLY {
        let answers = ask(&proxy, by(OTHER, told), &json!({ "model": ASKED })).await;
        for (path, answer) in &answers {
            assert_eq!(names(answer), [ASKED, SENT, OTHER], "{told:?} {path}");
        }
        for (_, chat) in &answers[..2] {
            assert!(models(chat).iter().all(|model| model == OTHER), "{told:?}: {}", chat.text);
            chat.message();
        }
    }
    let line = format!("codex_proxy_model_substitutions_total{{answered=\"{OTHER}\",sent=\"{SENT}\"}} 20");
    assert_eq!(metric(&proxy).await, [line]);
}

#[tokio::test]
async fn a_substitute_told_late_is_counted_and_named_where_there_is_still_time() {
    let proxy = Proxy::start().await;
    for told in LATE {
        let answers = ask(&proxy, by(OTHER, told), &json!({ "model": ASKED })).await;
        for (index, (path, answer)) in answers.iter().enumerate() {
            let known = if index % 2 == 0 { OTHER } else { SENT };
            assert_eq!(names(answer), [ASKED, SENT, known], "{told:?} {path}");
        }
        assert_eq!(models(&answers[0].1), [OTHER], "{told:?}");
        assert!(models(&answers[1].1).iter().all(|model| model == SENT), "one name from the first chunk to the last");
        answers[1].1.message();
    }
    assert!(metric(&proxy).await[0].ends_with(" 8"));
}

#[tokio::test]
async fn a_responses_answer_keeps_the_backends_own_model() {
    let proxy = Proxy::start().await;
    let answers = ask(&proxy, by(OTHER, Told::Head), &json!({ "model": ASKED })).await;
    assert_eq!(answers[2].1.json()["model"], SENT);
    assert_eq!(answers[3].1.events()[0]["response"]["model"], SENT);
    let answers = ask(&proxy, by(OTHER, Told::Completed), &json!({ "model": ASKED })).await;
    assert_eq!(answers[2].1.json()["model"], OTHER);
    let events = answers[3].1.events();
    let told = |event: Option<&Value>| event.unwrap()["response"]["model"].clone();
    assert_eq!((told(events.first()), told(events.last())), (json!(SENT), json!(OTHER)));
}

#[tokio::test]
async fn a_snapshot_of_the_model_is_no_substitute() {
    for proxy in [Proxy::start().await, strict().await] {
        let snapshot = "gpt-6.1-sol-2026-09-29";
        let answers = ask(&proxy, by(snapshot, Told::Everywhere), &json!({ "model": ASKED })).await;
        for (path, answer) in &answers {
            assert_eq!((answer.status, names(answer)), (StatusCode::OK, [ASKED, SENT, snapshot]), "{path}");
        }
        assert!(models(&answers[1].1).iter().all(|model| model == snapshot));
        assert_eq!(metric(&proxy).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_strict_proxy_refuses_a_substitute_before_the_first_byte() {
    let proxy = strict().await;
    for told in EARLY {
        for (path, answer) in ask(&proxy, by(OTHER, told), &json!({ "model": ASKED })).await {
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{told:?} {path}: {}", answer.text);
            let error = answer.error();
            assert_eq!(error["code"], "model_substituted", "{told:?} {path}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(OTHER) && message.contains(SENT), "{message}");
            assert_eq!(names(&answer), [ASKED, SENT, OTHER], "{told:?} {path}");
            assert_eq!(answer.header("x-should-retry"), "false");
        }
    }
    assert!(metric(&proxy).await[0].ends_with(" 20"));
    for (path, answer) in ask(&proxy, Scenario::Default, &json!({ "model": ASKED })).await {
        assert_eq!(answer.status, StatusCode::OK, "{path}: the model itself is welcome");
    }
}

#[tokio::test]
async fn a_strict_proxy_ends_the_call_that_it_refuses() {
    let proxy = strict().await;
    let held =
        by(OTHER, Told::Head).delivered(codex_proxy::simulator::Delivery { hold_open: true, ..Default::default() });
    proxy.next(held);
    let answer = proxy.chat(&user("hi")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let ended = |simulator: &codex_proxy::simulator::Simulator| {
        simulator.requests_to("/responses").last().unwrap().outcome
            == codex_proxy::simulator::AnswerOutcome::Disconnected
    };
    assert!(proxy.simulator.wait_until(Duration::from_secs(20), ended).await);
}

#[tokio::test]
async fn a_strict_proxy_ends_a_stream_with_an_error_where_a_substitute_shows_late() {
    let proxy = strict().await;
    for told in LATE {
        for (index, (path, answer)) in ask(&proxy, by(OTHER, told), &json!({ "model": ASKED })).await.iter().enumerate()
        {
            if index % 2 == 0 {
                assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{told:?} {path}");
                assert_eq!(answer.error()["code"], "model_substituted");
                assert_eq!(names(answer), [ASKED, SENT, OTHER], "{told:?} {path}");
            } else {
                assert_eq!(in_stream_code(answer), "model_substituted", "{told:?} {path}: {}", answer.text);
                assert!(!answer.text.contains("response.completed"), "{told:?}: no success");
            }
        }
    }
}

#[tokio::test]
async fn a_head_that_a_keepalive_opened_says_what_was_asked_and_sent() {
    let settings =
        ServerSettings { keepalive: Duration::from_millis(50), strict_model: true, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let late = ScriptedAnswer::stream()
        .header("openai-model".parse().unwrap(), OTHER)
        .bytes("data: {}\n\n")
        .delayed(Duration::from_millis(400));
    for (path, mut body) in [("/v1/chat/completions", user("hi")), ("/v1/responses", json!({ "input": "hi" }))] {
        body["model"] = ASKED.into();
        body["stream"] = true.into();
        proxy.next(late.clone());
        let answer = proxy.post(path, &body).await;
        assert!(answer.text.starts_with(": keepalive\n"), "{}", answer.text);
        assert_eq!(names(&answer), [ASKED, SENT, ""], "{path}");
        assert_eq!(in_stream_code(&answer), "model_substituted", "{path}");
    }
    assert!(metric(&proxy).await[0].ends_with(" 2"));
}

#[tokio::test]
async fn the_tier_that_was_asked_for_and_the_one_that_answered_are_told() {
    let proxy = Proxy::start().await;
    let tiers = |answer: &Answer| {
        ["asked", "answered"].map(|which| answer.header(&format!("x-codex-proxy-tier-{which}")).to_owned())
    };
    for (tier, scenario, answered) in [
        ("fast", Scenario::ServedTier("default".to_owned()), "default"),
        ("priority", Scenario::ServedTier("priority".to_owned()), "priority"),
        ("flex", Scenario::ServedTier("auto".to_owned()), ""),
    ] {
        let fields = json!({ "model": ASKED, "service_tier": tier });
        for (index, (path, answer)) in ask(&proxy, scenario, &fields).await.iter().enumerate() {
            // Only the last event tells, so a stream's head cannot know.
            let answered = if index % 2 == 0 { answered } else { "" };
            assert_eq!(tiers(answer), [tier, answered], "{tier} {path}");
        }
    }
    let unasked = ask(&proxy, Scenario::ServedTier("priority".to_owned()), &json!({ "model": ASKED })).await;
    assert_eq!(tiers(&unasked[0].1), ["", "priority"], "not what was sent");
}

/// One thread does everything here, so its log is the whole one.
#[tokio::test]
async fn a_substitute_is_said_once_a_conversation_and_stands_in_each_log_line() {
    let (log, _guard) = Log::capture_json();
    let proxy = Proxy::start().await;
    let ask = async |text: &str, told: Told, stream: bool| {
        proxy.next(by(OTHER, told));
        let mut body = user(text);
        body["model"] = SENT.into();
        body["stream"] = stream.into();
        proxy.chat(&body).await.message();
    };
    for (text, told, stream) in [
        ("one", Told::Head, false),
        ("one", Told::Completed, true),
        ("one", Told::LateMetadata, false),
        ("two", Told::Created, true),
    ] {
        ask(text, told, stream).await;
    }
    // A line is written when the answer's body goes, which may be after its client has read it.
    let begun = Instant::now();
    while log.count("\"answered\"}") < 4 {
        assert!(begun.elapsed() < PATIENCE, "{}", log.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let text = log.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |line: &&Value| line["level"] == "WARN" && line["fields"]["answered"] == OTHER;
    let warnings: Vec<&Value> = lines.iter().filter(said).collect();
    assert_eq!(warnings.len(), 2, "{text}");
    assert!(warnings.iter().all(|line| line["fields"]["sent"] == SENT));
    let ended: Vec<&Value> = lines.iter().filter(|line| line["fields"]["message"] == "answered").collect();
    assert_eq!(ended.len(), 4);
    assert!(ended.iter().all(|line| line["span"]["model_answered"] == OTHER), "{text}");
}

/// A Codex CLI tells its user that the account "was flagged" where the model is named otherwise than it asked.
#[tokio::test]
async fn a_codex_client_hears_of_no_reroute_that_is_this_proxys_own() {
    let proxy = Proxy::start().await;
    for (asked, is_told) in [("gpt-6.1-sol", true), ("gpt-6.1-sol-low", false), ("gpt-5.5", false)] {
        let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("originator", "codex_exec");
        let body = json!({ "model": asked, "input": "hi", "stream": true });
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.text.contains("event: response.metadata"), "the event itself stays: {}", answer.text);
        assert_eq!(answer.text.contains("\"openai-model\""), is_told, "{asked}: {}", answer.text);
        assert_eq!(answer.header("openai-model").is_empty(), !is_told, "{asked}");
    }
}
