//! What goes by HTTP after all, without a trace in the answer.

use std::time::Duration;

use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{HttpFault, Scenario, ScriptedAnswer, SimulatedLogin, SocketAct, SocketFault};
use futures_util::future::join;
use http::StatusCode;
use serde_json::json;

use super::{PATIENCE, ask, forward, setup, shape, start, succeeded, tool_round, with_tool};
use crate::harness::{Proxy, Setup, user};

#[tokio::test]
async fn a_refused_upgrade_goes_by_http_and_is_not_repeated_for_a_while() {
    for (answer, name) in [
        (ScriptedAnswer::cloudflare_challenge(), "403"),
        (ScriptedAnswer::status(StatusCode::UPGRADE_REQUIRED), "426"),
        (ScriptedAnswer::status(StatusCode::BAD_GATEWAY), "502"),
        (ScriptedAnswer::json(StatusCode::OK, &json!({})), "200"),
        (ScriptedAnswer::hang_up(), "no answer"),
    ] {
        let proxy = start().await;
        proxy.simulator.script_upgrade_answer(answer);
        for _ in 0..2 {
            succeeded(proxy.chat(&user("hi")).await);
        }
        assert_eq!(proxy.ways(), [1, 0, 2], "{name}");
        assert_eq!(proxy.metric("codex_proxy_upstream_websocket_calls_total{sent=\"http\"}").await, "2");
    }
}

#[tokio::test]
async fn a_silent_upgrade_costs_no_more_than_its_limit() {
    let proxy = start().await;
    let silent = ScriptedAnswer::status(StatusCode::OK).delayed(Duration::from_secs(3600));
    proxy.simulator.script_upgrade_answer(silent);
    let body = user("hi");
    let time_passes = async {
        assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().upgrades == 1).await);
        forward(Duration::from_secs(14)).await;
        assert_eq!(proxy.ways(), [1, 0, 0]);
        forward(Duration::from_secs(1)).await;
    };
    let ask = || ask(&proxy, &body);
    join(ask(), time_passes).await;
    assert_eq!(proxy.ways(), [1, 0, 1]);
    forward(Duration::from_secs(30)).await;
    ask().await;
    assert_eq!(proxy.ways(), [1, 0, 2]);
    forward(Duration::from_secs(31)).await;
    ask().await;
    assert_eq!(proxy.ways(), [2, 1, 2], "sockets are tried again");
}

#[tokio::test]
async fn what_ends_before_the_answer_begins_is_asked_by_http() {
    let limit = r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":"websocket_connection_limit_reached","message":"m"}}"#;
    for act in [
        SocketAct::Close(1011),
        SocketAct::Close(1009),
        SocketAct::Close(1000),
        SocketAct::Cut,
        SocketAct::Binary,
        SocketAct::Text(limit.to_owned()),
    ] {
        let proxy = start().await;
        proxy.simulator.queue_socket_fault(SocketFault::Instead(act.clone()));
        let answer = succeeded(proxy.chat(&user("hi")).await);
        assert!(answer.text.contains("This is a simulation"), "{act:?}: {}", answer.text);
        assert_eq!(proxy.ways(), [1, 1, 1], "{act:?}");
    }
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_asked_by_http() {
    let proxy = start().await;
    proxy.simulator.configure(|settings| settings.sockets.largest_frame = 100_000);
    succeeded(proxy.chat(&user(&"long ".repeat(100_000))).await);
    assert_eq!(proxy.ways(), [1, 0, 1]);
}

#[tokio::test]
async fn a_socket_that_rests_answers_pings() {
    let proxy = start().await;
    // The simulator ends a connection that answers no ping.
    proxy.simulator.configure(|settings| settings.sockets.ping_interval = Some(Duration::from_millis(50)));
    let mut body = with_tool();
    tool_round(&proxy, &mut body, "1").await;
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().pongs > 2).await);
    succeeded(proxy.chat(&body).await);
    assert_eq!(proxy.ways(), [1, 2, 0]);
    assert_eq!(shape(&proxy.frames()[1]), (1, true));
}

#[tokio::test]
async fn a_socket_closed_while_it_rested_is_opened_anew() {
    let proxy = start().await;
    proxy.simulator.configure(|settings| settings.sockets.idle_limit = Some(Duration::from_millis(50)));
    let mut body = with_tool();
    tool_round(&proxy, &mut body, "1").await;
    // The answer to the close tells that it was noticed.
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().last_close.is_some()).await);
    succeeded(proxy.chat(&body).await);
    assert_eq!(proxy.ways(), [2, 2, 0]);
    assert_eq!(shape(&proxy.frames()[1]), (4, false));
}

#[tokio::test]
async fn refusals_are_those_of_http() {
    for fault in [
        HttpFault::UsageLimit(600),
        HttpFault::UsageNotIncluded,
        HttpFault::CyberPolicy,
        HttpFault::ContextLength,
        HttpFault::ModelNotFound,
        HttpFault::Overloaded,
        HttpFault::SlowDown,
        HttpFault::TooLarge,
        HttpFault::WorkspaceDeactivated,
    ] {
        for stream in [false, true] {
            let (over, plain) = (start().await, Proxy::start().await);
            let mut body = user("hi");
            body["stream"] = stream.into();
            let mut answers = Vec::new();
            for proxy in [&over, &plain] {
                proxy.next(Scenario::Http(fault));
                answers.push(proxy.chat(&body).await);
            }
            assert_eq!(over.ways()[1..], [1, 0], "{fault:?}");
            let [one, other] = &answers[..] else { unreachable!() };
            let error = |answer: &crate::common::answer::Answer| {
                let mut error = answer.error();
                // The time of the reset is told by the second.
                error["resets_at"] = json!(null);
                (error["type"].clone(), error["code"].clone(), answer.status, answer.header("retry-after").is_empty())
            };
            assert_eq!(error(one), error(other), "{fault:?}");
            let limit = "x-codex-primary-used-percent";
            assert_eq!(one.header(limit), other.header(limit), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_its_socket_is_another() {
    let proxy = start().await;
    succeeded(proxy.chat(&user("hi")).await);
    // On the socket the backend takes the token no more.
    proxy.next(Scenario::Http(HttpFault::Unauthorized)).next(Scenario::Http(HttpFault::Unauthorized));
    succeeded(proxy.chat(&user("hi")).await);
    assert_eq!(proxy.simulator.counters().refreshes, 1);
    assert_eq!(proxy.ways()[2], 0);
    let tokens: Vec<_> = proxy
        .simulator
        .requests_to("/responses")
        .iter()
        .map(|request| request.header("authorization").to_owned())
        .collect();
    assert_ne!(tokens.first(), tokens.last(), "another token, on another socket");

    // The upgrade refuses it.
    let proxy = start().await;
    proxy.simulator.expire_access_tokens();
    succeeded(proxy.chat(&user("hi")).await);
    assert_eq!(proxy.simulator.counters().refreshes, 1);
    let before = proxy.ways();
    succeeded(proxy.chat(&user("hi")).await);
    assert_eq!(proxy.ways(), [before[0], before[1] + 1, before[2]], "sockets are used on");
}

#[tokio::test]
async fn a_retry_after_a_failure_is_as_over_http() {
    let proxy = start().await;
    proxy.next(Scenario::Http(HttpFault::ServerError));
    succeeded(proxy.chat(&user("hi")).await);
    let [_, frames, posts] = proxy.ways();
    assert_eq!(frames + posts, 2);
}

#[tokio::test]
async fn another_login_has_a_socket_of_its_own() {
    let guard = Guard { admin_keys: Keys::new(["boss"]), ..Guard::default() };
    let settings = ServerSettings { guard, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..setup() }).await;
    let mut body = with_tool();
    tool_round(&proxy, &mut body, "1").await;
    let tokens = proxy.simulator.issue_login(SimulatedLogin::default().for_account("other"))["tokens"].clone();
    let login = json!({
        "accessToken": tokens["access_token"], "refreshToken": tokens["refresh_token"],
        "accountID": "other", "expiresAt": 4_000_000_000_000_u64,
    });
    let request = proxy.http.post(format!("{}/admin/credentials", proxy.base)).header("x-api-key", "boss");
    assert_eq!(request.json(&login).send().await.unwrap().status(), StatusCode::OK);
    succeeded(proxy.chat(&body).await);
    assert_eq!(proxy.ways(), [2, 2, 0]);
    let frames = proxy.frames();
    let kinds: Vec<_> = frames[1]["input"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call_output"], "and none of the other's reasoning");
    assert_eq!(frames[1].get("previous_response_id"), None);
}
