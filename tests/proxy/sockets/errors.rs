//! Failures, in the form that a Codex CLI reads.

use std::time::Duration;

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{HttpFault, Moment, Scenario, Stage};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::common::socket::{id, said, types};
use crate::harness::{Proxy, Setup};

fn hi() -> Value {
    json!({ "input": [said("hi")] })
}

#[tokio::test]
async fn a_refused_turn_has_its_status_and_headers() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    let table = [
        (HttpFault::UsageLimit(60), 429, "usage_limit_reached"),
        (HttpFault::ModelNotFound, 404, "model_not_found"),
        (HttpFault::Overloaded, 503, "server_is_overloaded"),
        (HttpFault::ContextLength, 400, "context_length_exceeded"),
        (HttpFault::UsageNotIncluded, 403, "usage_not_included"),
    ];
    for (fault, status, code) in table {
        proxy.next(Scenario::Http(fault));
        let frame = socket.refused(&hi()).await;
        assert_eq!((&frame["status"], &frame["error"]["code"]), (&json!(status), &json!(code)), "{frame}");
        assert!(frame["headers"]["x-request-id"].as_str().is_some_and(|id| id.starts_with("req_")), "{frame}");
        if status == 429 {
            assert_eq!(frame["error"]["type"], "usage_limit_reached");
            assert!(frame["error"]["resets_at"].is_number() && frame["error"]["plan_type"].is_string(), "{frame}");
            assert!(frame["headers"]["retry-after"].is_string(), "{frame}");
            assert_eq!(frame["headers"]["x-codex-rate-limit-reached-type"], "rate_limit_reached");
        }
    }
    id(&socket.turn(&hi()).await);
}

#[tokio::test]
async fn without_a_login_a_turn_is_401() {
    let proxy = Proxy::with(Setup { login: false, ..Setup::default() }).await;
    let frame = proxy.codex().await.refused(&hi()).await;
    assert_eq!((&frame["status"], &frame["error"]["code"]), (&json!(401), &json!("no_credentials")));
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_in_both_forms_of_an_error() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    for scenario in [Scenario::Cut(Moment::AfterOutput), Scenario::CutMidEvent, Scenario::EndWithoutTerminal] {
        proxy.next(scenario.clone());
        let events = socket.turn(&hi()).await;
        let [.., error, failed] = &events[..] else { panic!("{events:?}") };
        assert_eq!((types(&events).contains(&"response.output_text.delta"), &error["type"]), (true, &json!("error")));
        assert_eq!(failed["response"]["error"]["code"], "upstream_stream_interrupted", "{scenario:?}");
    }
    id(&socket.turn(&hi()).await);
}

#[tokio::test]
async fn a_backend_that_falls_silent_is_an_error_and_the_socket_is_pinged_meanwhile() {
    let settings = ServerSettings { keepalive: Duration::from_millis(20), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, idle_timeout: Duration::from_millis(300), ..Setup::default() }).await;
    let mut socket = proxy.codex().await;
    proxy.next(Scenario::Stall(Duration::from_secs(600), Stage::Middle));
    let events = socket.turn(&hi()).await;
    assert_eq!(events.last().unwrap()["response"]["error"]["code"], "upstream_timeout", "{events:?}");
    assert!(socket.pings > 0);
}

#[tokio::test]
async fn an_idle_socket_is_kept_alive_and_pings_are_answered() {
    let settings = ServerSettings { keepalive: Duration::from_millis(20), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let mut socket = proxy.codex().await;
    socket.send(Message::Ping("hello".into())).await;
    let (mut pings, mut pongs) = (0, 0);
    while pings < 3 || pongs < 1 {
        match socket.frames.next().await.expect("open").expect("whole") {
            Message::Ping(_) => pings += 1,
            Message::Pong(data) => pongs += usize::from(data == "hello"),
            other => panic!("{other:?}"),
        }
    }
    id(&socket.turn(&hi()).await);
}

#[tokio::test]
async fn a_frame_that_is_no_request_is_named_and_the_socket_goes_on() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    for (frame, param) in [
        ("", None),
        ("{", None),
        ("[]", None),
        ("\u{0}", None),
        ("{}", Some("type")),
        (r#"{"type":"session.update"}"#, Some("type")),
        (r#"{"type":"response.create"}"#, Some("input")),
        (r#"{"type":"response.create","input":[7]}"#, Some("input[0]")),
        (r#"{"type":"response.create","input":[],"stream_id":"a"}"#, Some("stream_id")),
        (r#"{"type":"response.create","input":[],"generate":1}"#, Some("generate")),
        (r#"{"type":"response.create","input":[],"background":true}"#, Some("background")),
    ] {
        socket.send(frame).await;
        let events = socket.rest().await;
        let error = &events[0]["error"];
        assert_eq!((&events[0]["status"], events.len()), (&json!(400), 1), "{frame}");
        assert_eq!(
            (error["type"].as_str(), error["param"].as_str()),
            (Some("invalid_request_error"), param),
            "{frame}"
        );
    }
    id(&socket.turn(&hi()).await);
    assert_eq!(proxy.calls(), 1);
}
