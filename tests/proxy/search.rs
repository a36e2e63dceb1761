//! `/v1/alpha/search`, and the backend's own base URL as this proxy's.

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{HttpFault, Moment, Scenario, ScriptedAnswer};
use http::StatusCode;
use serde_json::json;

use crate::common::answer::Answer;
use crate::harness::{Proxy, Setup};

const SEARCH: &str = "/backend-api/codex/alpha/search";

async fn search(proxy: &Proxy, path: &str, body: &'static str) -> Answer {
    let request = proxy.http.post(format!("{}{path}", proxy.base)).body(body).bearer_auth("the client's own");
    let request = request.header("content-type", "application/json").header("user-agent", "codex_exec/0.169.0");
    let request = request.header("session-id", "s-1").header("x-codex-window-id", "w-1").header("cookie", "c");
    Answer::read(request.send().await.unwrap()).await
}

/// Unusual spacing, an escape, and a number that no float holds: nothing of it may change.
const BODY: &str = r#"{ "id":"t-1",  "model":"gpt-6.1-sol","input":"caf\u00e9 12345678901234567890123","commands":{"search_query":[{"q":"rust"}]} }"#;

#[tokio::test]
async fn a_search_passes_byte_for_byte_in_both_directions() {
    let proxy = Proxy::start().await;
    let found = "{\"output\" : \"caf\\u00e9\", \"encrypted_output\":null,\n\"results\":[1e400]}\n";
    for path in [SEARCH, "/v1/alpha/search", "/alpha/search", "/backend-api/codex/v1//alpha/search/"] {
        proxy.simulator.forget_requests();
        let scripted = ScriptedAnswer::stream().header(http::header::CONTENT_TYPE, "application/json; charset=utf-8");
        let answer = search(proxy.next(scripted.bytes(found)), path, BODY).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, found), "{path}");
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
        let asked = proxy.simulator.requests_to(SEARCH).remove(0);
        assert_eq!(asked.bytes, BODY, "{path}");
        assert_eq!((asked.header("session-id"), asked.header("x-codex-window-id")), ("s-1", "w-1"));
        assert_eq!((asked.header("originator"), asked.header("cookie")), ("codex-proxy", ""));
        assert!(!asked.header("authorization").contains("client"));
    }
    let name = r#"codex_proxy_requests_total{route="/alpha/search",status="200"}"#;
    assert_eq!(proxy.metric(name).await, "4");
}

#[tokio::test]
async fn results_share_the_memory_of_bodies() {
    let settings = ServerSettings { body_memory: 10_000, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    for (length, status) in [(20_000, 503), (5_000, 200), (5_000, 200)] {
        let results = format!("{{\"output\":\"{}\"}}", "x".repeat(length));
        let answer = search(proxy.next(ScriptedAnswer::stream().bytes(results)), SEARCH, BODY).await;
        assert_eq!(answer.status.as_u16(), status, "{length}");
    }
}

#[tokio::test]
async fn a_search_fails_as_any_call_does() {
    let proxy = Proxy::start().await;
    let answer = search(&proxy, SEARCH, r#"{"id":"t-1"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.error()["param"]), (400, &json!("model")));
    for (play, status, code) in [
        (Scenario::Http(HttpFault::UsageLimit(60)), 429, "usage_limit_reached"),
        (Scenario::Http(HttpFault::Overloaded), 503, "server_is_overloaded"),
        (Scenario::Http(HttpFault::EmptyNotFound), 502, "upstream_blocked"),
        (Scenario::Cut(Moment::AfterOutput), 502, "upstream_stream_interrupted"),
    ] {
        let answer = search(proxy.next(play), SEARCH, BODY).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code));
    }
    proxy.simulator.invalidate_access_tokens();
    assert_eq!(search(&proxy, SEARCH, BODY).await.status, StatusCode::OK);
    assert_eq!(proxy.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn the_backends_base_url_serves_turns_and_models() {
    let proxy = Proxy::start().await;
    let turn = json!({ "model": "gpt-6.1-sol", "input": "hi", "stream": true });
    let answer = proxy.post("/backend-api/codex/responses", &turn).await;
    assert_eq!(answer.types().last().map(String::as_str), Some("response.completed"));
    let models = proxy.get("/backend-api/codex/models?client_version=0.169.0").await;
    assert!(models.json()["models"].as_array().is_some_and(|models| !models.is_empty()));
}

#[tokio::test]
async fn what_is_no_result_is_an_error() {
    let proxy = Proxy::start().await;
    for (body, status, code) in [
        (r#"{"error":{"message":"m","code":"usage_limit_reached"}}"#, 429, "usage_limit_reached"),
        (r#"{"error":{"message":"m","code":"server_is_overloaded"},"output":null}"#, 503, "server_is_overloaded"),
        (r#"{"error":{"message":"m"}}"#, 502, "server_error"),
        (r#"{"error":"it broke"}"#, 502, "server_error"),
        (r#"{"detail":"Unauthorized"}"#, 502, "server_error"),
        (r#""a string""#, 502, "upstream_invalid_response"),
        ("[]", 502, "upstream_invalid_response"),
        ("null", 502, "upstream_invalid_response"),
        ("", 502, "upstream_invalid_response"),
        (r#"{"output":"half"#, 502, "upstream_invalid_response"),
        ("<html><body>Sorry</body></html>", 502, "upstream_invalid_response"),
    ] {
        let answer = search(proxy.next(ScriptedAnswer::stream().bytes(body)), SEARCH, BODY).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code), "{body}");
    }
    // What has results is passed on, whatever stands beside them.
    for body in
        [r#"{"error":null,"output":"x"}"#, r#"{"output":"x","detail":"y"}"#, r#"{"results":[],"detail":1}"#, "{}"]
    {
        let answer = search(proxy.next(ScriptedAnswer::stream().bytes(body)), SEARCH, BODY).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, body));
    }
}

#[tokio::test]
async fn a_search_that_cannot_be_asks_nobody() {
    let proxy = Proxy::start().await;
    let long: &'static str = format!(r#"{{"id":"t-1","model":"{}"}}"#, "x".repeat(257)).leak();
    for (body, field) in [
        ("", json!(null)),
        ("x", json!(null)),
        ("[]", json!(null)),
        (r#""text""#, json!(null)),
        (r#"{"id":"t-1""#, json!(null)),
        (r#"{"model":5}"#, json!("model")),
        (long, json!("model")),
    ] {
        let answer = search(&proxy, SEARCH, body).await;
        assert_eq!((answer.status.as_u16(), &answer.error()["param"]), (400, &field), "{body}: {}", answer.text);
    }
    assert_eq!(proxy.simulator.requests_to(SEARCH).len(), 0);
}
