//! A machine whose clock is days off: the issuer's and the backend's count.

use std::time::Duration;

use codex_proxy::simulator::{HttpFault, Scenario};
use http::StatusCode;
use serde_json::json;

use super::harness::{Proxy, user};

const ELEVEN_DAYS: Duration = Duration::from_secs(11 * 24 * 60 * 60);

/// Asks both APIs in both modes, all of which must be answered.
async fn ask(proxy: &Proxy) {
    for stream in [false, true] {
        let mut body = user("hi");
        body["stream"] = stream.into();
        let answer = proxy.chat(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": stream })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_costs_one_refresh() {
    let proxy = Proxy::start().await;
    proxy.simulator.turn_back_clock(ELEVEN_DAYS);
    proxy.simulator.expire_access_tokens();
    for _ in 0..3 {
        ask(&proxy).await;
    }
    assert_eq!(proxy.simulator.counters().refreshes, 1);
    assert_eq!(proxy.get("/health").await.json()["credentials"], "ok");
}

#[tokio::test]
async fn a_clock_that_is_behind_costs_one_refresh() {
    let proxy = Proxy::start().await;
    proxy.simulator.advance_clock(ELEVEN_DAYS);
    for _ in 0..3 {
        ask(&proxy).await;
    }
    assert_eq!(proxy.simulator.counters().refreshes, 1);
    // The issuer's time is known now: the next token is there before the backend has to refuse this one.
    proxy.simulator.advance_clock(Duration::from_secs(60));
    proxy.app.supplier.look_after().await;
    assert_eq!(proxy.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn a_new_token_that_the_backend_refuses_is_not_renewed_at_once() {
    let proxy = Proxy::start().await;
    for _ in 0..4 {
        for _ in 0..3 {
            proxy.next(Scenario::Http(HttpFault::TokenInvalidated));
        }
        let answer = proxy.chat(&user("hi")).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("upstream_auth")));
    }
    assert_eq!(proxy.simulator.counters().refreshes, 1);
    ask(&proxy).await;
    for _ in 0..2 {
        proxy.next(Scenario::Http(HttpFault::TokenInvalidated));
    }
    // It served in the meantime, so this is news.
    ask(&proxy).await;
    assert_eq!(proxy.simulator.counters().refreshes, 2);
}
