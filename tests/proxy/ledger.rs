//! What is recorded of requests, where their time went, and what is known of the plan's usage.

use std::time::Duration;

use codex_proxy::ledger::summary::LedgerReader;
use codex_proxy::ledger::{LedgerEntry, LedgerPlace, TokenCounts};
use codex_proxy::phases::Phase;
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{HttpFault, Limits, Play, Scenario, ScriptStep, ScriptedAnswer, SimulatedWindow, Stage};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::harness::{Proxy, Setup, user};
use crate::common::PATIENCE;

const PAUSE: Duration = Duration::from_millis(600);

/// A proxy that records into a directory of its own.
async fn recording(settings: ServerSettings) -> (TempDir, Proxy) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Some(LedgerPlace::File(directory.path().join("ledger.sqlite3")));
    let proxy = Proxy::with(Setup { ledger, settings, ..Setup::default() }).await;
    (directory, proxy)
}

/// Every row, the oldest first.
fn rows(proxy: &Proxy) -> Vec<LedgerEntry> {
    let ledger = proxy.app.ledger.as_ref().unwrap();
    ledger.flush(PATIENCE);
    let mut rows = LedgerReader::open(ledger.place()).unwrap().unwrap().newest(1000).unwrap();
    rows.reverse();
    rows
}

/// Waits for `count` rows: a client may have its answer before the request has ended.
async fn rows_of(proxy: &Proxy, count: usize) -> Vec<LedgerEntry> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = rows(proxy);
        if found.len() >= count || tokio::time::Instant::now() > deadline {
            assert_eq!(found.len(), count, "{found:?}");
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn last_row(proxy: &Proxy, count: usize) -> LedgerEntry {
    rows_of(proxy, count).await.pop().unwrap()
}

#[tokio::test]
async fn every_request_is_a_row_of_names_and_numbers() {
    let (_directory, proxy) = recording(ServerSettings::default()).await;
    proxy.begin().await;
    let mut count = 0;
    for (path, mut body, route) in [
        ("/v1/chat/completions", user("hi"), "/chat/completions"),
        ("/responses", json!({ "input": "hi" }), "/responses"),
        ("/v1/messages", json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 9 }), "/messages"),
    ] {
        for stream in [false, true] {
            body["model"] = "gpt-6.1-sol-high".into();
            body["stream"] = stream.into();
            assert_eq!(proxy.post(path, &body).await.status, StatusCode::OK);
            count += 1;
            let row = last_row(&proxy, count).await;
            assert_eq!((&*row.route, row.status, row.is_stream, row.is_whole), (route, Some(200), stream, true));
            assert_eq!(row.model_asked.as_deref(), Some("gpt-6.1-sol-high"));
            assert_eq!((row.model_sent.as_deref(), row.effort.as_deref()), (Some("gpt-6.1-sol"), Some("high")));
            assert_eq!((row.client.as_deref(), row.error_code.as_deref()), (None, None));
            let tokens = row.tokens.expect("counted");
            assert!(tokens.input > 0 && tokens.output >= tokens.reasoning && tokens.input >= tokens.cached);
            assert!(row.first_token_ms.expect("a token") <= row.duration_ms);
            assert!(row.upstream_request_id.is_some());
        }
    }
}

#[tokio::test]
async fn failures_are_rows_with_their_code_and_clients_have_the_name_of_their_key() {
    let guard = Guard { api_keys: Keys::new(["k"]), ..Guard::default() };
    let (_directory, proxy) = recording(ServerSettings { guard, ..ServerSettings::default() }).await;
    let ask = async |body: Value| {
        let request = proxy.http.post(format!("{}/v1/chat/completions", proxy.base)).bearer_auth("k").json(&body);
        request.send().await.unwrap().text().await.unwrap()
    };
    ask(json!({ "messages": 5 })).await;
    proxy.next(Scenario::Http(HttpFault::ServerError));
    proxy.next(Scenario::Http(HttpFault::UsageLimit(60)));
    ask(user("hi")).await;
    let rows = rows_of(&proxy, 2).await;
    let told: Vec<_> = rows.iter().map(|row| (row.status, row.error_code.as_deref())).collect();
    assert_eq!(told, [(Some(400), Some("invalid_request_error")), (Some(429), Some("usage_limit_reached"))]);
    assert!(rows.iter().all(|row| row.client.as_deref() == Some("default")), "{rows:?}");
    assert!(rows[1].phases.of(Phase::Retry) > Duration::ZERO, "{:?}", rows[1].phases);
    // What the guards refuse, and what is not the API, is no row.
    proxy.get("/health").await;
    proxy.get("/metrics").await;
    proxy.chat(&user("hi")).await;
    ask(json!({ "messages": 5 })).await;
    rows_of(&proxy, 3).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_a_row_too() {
    let (_directory, proxy) = recording(ServerSettings::default()).await;
    proxy.next(Scenario::Stall(PATIENCE, Stage::Head));
    let asking = tokio::spawn(proxy.http.post(format!("{}/v1/chat/completions", proxy.base)).json(&user("hi")).send());
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| !simulator.requests_to("/responses").is_empty()).await);
    asking.abort();
    let row = last_row(&proxy, 1).await;
    assert_eq!((row.status, row.is_whole, row.first_token_ms, row.tokens), (None, false, None, None));
    assert!(row.phases.of(Phase::Hold).is_zero());
}

/// A stream that says it is held, and goes on after a pause.
fn held() -> ScriptedAnswer {
    let event = |value: &Value| ScriptStep::Bytes(format!("data: {value}\n\n").into());
    let message = json!({
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{ "type": "output_text", "text": "Hi", "annotations": [] }],
    });
    ScriptedAnswer::stream()
        .step(event(&json!({ "type": "response.created", "sequence_number": 0, "response": { "id": "resp_1" } })))
        .step(event(&json!({
            "type": "response.in_progress", "sequence_number": 1, "response": { "id": "resp_1" },
            "safety_buffering": { "use_cases": ["cyber"], "reasons": [] },
        })))
        .step(ScriptStep::Wait(PAUSE))
        .step(event(&json!({
            "type": "response.output_item.done", "sequence_number": 2, "output_index": 0, "item": message,
        })))
        .step(event(&json!({
            "type": "response.completed", "sequence_number": 3,
            "response": { "id": "resp_1", "status": "completed", "output": [], "usage": null },
        })))
}

#[tokio::test]
async fn the_time_to_the_first_token_is_told_by_its_phases() {
    let (_directory, proxy) = recording(ServerSettings::default()).await;
    let held_by_head = held().header(http::HeaderName::from_static("x-codex-safety-buffering-enabled"), "true");
    let mut count = 0;
    for (play, phase) in [
        (Play::from(Scenario::Stall(PAUSE, Stage::Head)), Phase::Head),
        (Play::from(Scenario::Stall(PAUSE, Stage::Output)), Phase::Event),
        (Play::from(Scenario::Scripted(held())), Phase::Hold),
        (Play::from(Scenario::Scripted(held_by_head)), Phase::Hold),
    ] {
        for body in [user("hi"), json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": true })] {
            proxy.next(play.clone());
            assert_eq!(proxy.chat(&body).await.status, StatusCode::OK);
            count += 1;
            let row = last_row(&proxy, count).await;
            let in_phase = row.phases.of(phase);
            // On a busy machine the head may be read late, and the pause then seems shorter.
            assert!(in_phase >= PAUSE / 2, "{phase:?}: {:?}", row.phases);
            let sum: Duration = row.phases.iter().map(|(_, time)| time).sum();
            let first = Duration::from_millis(row.first_token_ms.expect("a token"));
            // Each phase is cut to whole milliseconds.
            assert!(sum <= first && first - sum <= Duration::from_millis(9), "{first:?} {:?}", row.phases);
        }
    }
    let metric = |phase: &str| format!("codex_proxy_first_token_phase_seconds_count{{phase=\"{phase}\"}}");
    assert_eq!(proxy.metric(&metric("upstream_hold")).await, count.to_string());
    let held = proxy.metric("codex_proxy_first_token_phase_seconds_sum{phase=\"upstream_hold\"}").await;
    assert!(held.parse::<f64>().unwrap() >= 2.0 * PAUSE.as_secs_f64(), "{held}");
}

#[tokio::test]
async fn waiting_for_a_token_and_for_a_connection_is_told_apart() {
    let (_directory, proxy) = recording(ServerSettings::default()).await;
    proxy.simulator.expire_access_tokens();
    proxy.simulator.delay_token_answer(PAUSE, Duration::ZERO);
    assert_eq!(proxy.chat(&user("hi")).await.status, StatusCode::OK);
    let row = last_row(&proxy, 1).await;
    assert!(row.phases.of(Phase::Token) >= PAUSE, "{:?}", row.phases);
    let nobody = Proxy::with(Setup {
        upstream_url: Some("http://127.0.0.1:9/backend-api/codex".to_owned()),
        ledger: Some(LedgerPlace::Memory("no-backend".into())),
        ..Setup::default()
    });
    let nobody = nobody.await;
    assert_eq!(nobody.chat(&user("hi")).await.status, StatusCode::BAD_GATEWAY);
    let row = last_row(&nobody, 1).await;
    assert_eq!(row.phases.of(Phase::Head), Duration::ZERO, "nothing was ever sent: {:?}", row.phases);
    assert!(row.phases.of(Phase::Retry) >= Duration::from_millis(200), "{:?}", row.phases);
}

#[tokio::test]
async fn a_conversation_that_changes_its_beginning_says_where() {
    let (_directory, proxy) = recording(ServerSettings::default()).await;
    let message = |role: &str, text: &str| json!({ "role": role, "content": text });
    let turn = |system: &str, texts: &[&str]| {
        let roles = ["user", "assistant"].into_iter().cycle();
        let texts = roles.zip(texts).map(|(role, text)| message(role, text));
        let messages: Vec<_> = [message("system", system)].into_iter().chain(texts).collect();
        json!({ "messages": messages, "prompt_cache_key": "k" })
    };
    for (count, (body, expected)) in (1..).zip([
        (turn("s", &["one"]), None),
        (turn("s", &["one", "two", "three"]), None),
        (turn("s", &["one", "TWO", "three", "four", "five"]), Some(1)),
        (turn("now it is 12:01", &["one", "TWO", "three"]), Some(-1)),
        (turn("title", &["name this chat"]), None),
        (turn("now it is 12:01", &["one", "TWO", "three", "four"]), None),
    ]) {
        proxy.chat(&body).await;
        assert_eq!(last_row(&proxy, count).await.prefix_break, expected, "{body}");
    }
    let responses = |first: &str| {
        let items = [message("user", first), message("user", "two")];
        json!({ "input": items, "prompt_cache_key": "r", "tools": [{ "type": "function", "name": "f" }] })
    };
    for (count, (body, expected)) in (7..).zip([(responses("a"), None), (responses("b"), Some(0))]) {
        proxy.post("/v1/responses", &body).await;
        assert_eq!(last_row(&proxy, count).await.prefix_break, expected, "{body}");
    }
}

#[tokio::test]
async fn nothing_that_anybody_says_is_in_the_file() {
    let (directory, proxy) = recording(ServerSettings::default()).await;
    for stream in [false, true] {
        let call = json!({ "id": "call_canary", "type": "function", "function": { "name": "tool_canary", "arguments": "{\"a\":\"canary\"}" } });
        let chat = json!({
            "messages": [
                { "role": "system", "content": "canary" },
                { "role": "user", "content": [{ "type": "text", "text": "say canary" }], "name": "canary" },
                { "role": "assistant", "content": "canary", "tool_calls": [call] },
                { "role": "tool", "tool_call_id": "call_canary", "content": "canary" },
            ],
            "tools": [{ "type": "function", "function": { "name": "tool_canary", "description": "canary" } }],
            "stop": ["canary"], "user": "canary", "prompt_cache_key": "canary", "metadata": { "canary": "canary" },
            "service_tier": "canary in a tier", "canary": 1, "stream": stream,
        });
        proxy.chat(&chat).await;
        let responses = json!({
            "input": "canary", "instructions": "canary", "prompt_cache_key": "canary", "client_metadata": { "a": "canary" },
            "stream": stream,
        });
        proxy.post("/v1/responses", &responses).await;
        let wrong = json!({ "messages": [{ "role": "canary", "content": "canary" }], "canary": true });
        proxy.chat(&wrong).await;
        let wrong = json!({ "messages": [{ "role": "user", "content": "canary" }], "max_tokens": "canary" });
        proxy.post("/v1/messages", &wrong).await;
    }
    rows_of(&proxy, 8).await;
    let ledger = proxy.app.ledger.as_ref().unwrap();
    let mut counted = 0;
    let mut search = || {
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            counted += bytes.len();
            assert!(!bytes.to_ascii_lowercase().windows(6).any(|part| part == b"canary"));
        }
    };
    search();
    ledger.close(PATIENCE);
    search();
    assert!(counted > 10_000, "files were read: {counted}");
}

fn spent(used_percent: f64) -> Limits {
    let weekly = SimulatedWindow { used_percent, minutes: 10_080, resets_in_seconds: 1000 };
    let short = SimulatedWindow { used_percent: 3.0, minutes: 300, resets_in_seconds: 100 };
    Limits { primary: weekly, secondary: Some(short), reserve: Some(Limits::FULL_RESERVE) }
}

const USAGE: [&str; 7] = [
    "/api/codex/usage",
    "/wham/usage",
    "/v1/wham/usage",
    "/v1/v1/api/codex/usage/",
    "/backend-api/wham/usage",
    "/backend-api//wham/usage/",
    "/backend-api/api/codex/usage",
];

#[tokio::test]
async fn the_plans_usage_is_what_the_last_answer_told() {
    let proxy = Proxy::start().await;
    let asked = || proxy.simulator.requests_to("/wham/usage").len();
    proxy.simulator.configure(|settings| settings.limits = spent(41.6));
    proxy.chat(&user("hi")).await;
    for path in USAGE {
        let answer = proxy.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{path}");
        let page = answer.json();
        assert_eq!(page["plan_type"], "plus", "{path}");
        let limit = &page["rate_limit"];
        assert_eq!((limit["allowed"].as_bool(), limit["limit_reached"].as_bool()), (Some(true), Some(false)));
        assert_eq!(limit["primary_window"]["used_percent"], 42);
        assert_eq!(limit["primary_window"]["limit_window_seconds"], 604_800);
        assert!(limit["primary_window"]["reset_after_seconds"].as_u64().unwrap() <= 1000);
        assert_eq!(limit["secondary_window"]["limit_window_seconds"], 18_000);
        assert_eq!(page["credits"], json!({ "has_credits": false, "unlimited": false, "balance": "0" }));
        assert_eq!(page["additional_rate_limits"][0]["limit_name"], "gpt-reserve");
    }
    assert_eq!(asked(), 0, "the backend need not be asked");
    // An answer that refuses tells the windows too.
    proxy.simulator.configure(|settings| settings.limits = spent(100.0));
    proxy.next(Scenario::Http(HttpFault::UsageLimit(60)));
    proxy.chat(&user("hi")).await;
    let page = proxy.get("/wham/usage").await.json();
    assert_eq!((page["rate_limit"]["allowed"].as_bool(), asked()), (Some(false), 0), "{page}");
    assert_eq!(proxy.metric("codex_proxy_limit_used_ratio{feature=\"\",window=\"weekly\"}").await, "1");
    assert_eq!(proxy.metric("codex_proxy_limit_used_ratio{feature=\"\",window=\"5-hour\"}").await, "0.03");
}

#[tokio::test]
async fn without_an_answer_the_backend_is_asked_once_for_all() {
    let proxy = Proxy::start().await;
    proxy.simulator.configure(|settings| settings.limits = spent(41.0));
    let asked = || proxy.simulator.requests_to("/wham/usage").len();
    let pages = futures_util::future::join_all((0..8).map(|_| proxy.get("/api/codex/usage"))).await;
    let page = &pages[0].json();
    assert_eq!(page["spend_control"]["reached"], false, "the backend's own page: {page}");
    assert!(pages.iter().all(|other| other.json() == *page));
    assert_eq!(asked(), 1);
    let metric = proxy.metric("codex_proxy_limit_used_ratio{feature=\"\",window=\"weekly\"}").await;
    assert_eq!(metric, "0.41");
}

#[tokio::test]
async fn the_plans_usage_is_behind_the_guards_and_its_failures_are_told() {
    let guard = Guard { api_keys: Keys::new(["k"]), ..Guard::default() };
    let proxy =
        Proxy::with(Setup { settings: ServerSettings { guard, ..ServerSettings::default() }, ..Setup::default() })
            .await;
    for path in USAGE {
        assert_eq!(proxy.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        let foreign = proxy.http.get(format!("{}{path}", proxy.base)).bearer_auth("k");
        let foreign = foreign.header("origin", "https://evil.example").send().await.unwrap();
        assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(proxy.simulator.requests_to("/wham/usage").len(), 0);
    let no_login = Proxy::with(Setup { login: false, ..Setup::default() }).await;
    let answer = no_login.get("/wham/usage").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.error()["code"], "no_credentials");
    let nobody =
        Proxy::with(Setup { upstream_url: Some("http://127.0.0.1:9/codex".to_owned()), ..Setup::default() }).await;
    let answer = nobody.get("/wham/usage").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{answer:?}");
    let post = proxy.http.post(format!("{}/wham/usage", proxy.base)).bearer_auth("k").json(&json!({}));
    assert_eq!(post.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// A token count that no real answer has is bounded in the ledger, in the metrics, and for the limit of a key.
#[tokio::test]
async fn an_absurd_token_count_is_bounded_and_costs_no_other_row() {
    let (_directory, proxy) = recording(ServerSettings::default()).await;
    for (nth, count) in [u64::MAX, 1 << 63, 5].into_iter().enumerate() {
        let usage = json!({
            "input_tokens": count, "input_tokens_details": { "cached_tokens": count },
            "output_tokens": count, "output_tokens_details": { "reasoning_tokens": count }, "total_tokens": count,
        });
        let item = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": "hi", "annotations": [] }],
        });
        let response = json!({ "id": "resp_1", "status": "completed", "output": [item], "usage": usage });
        let event = json!({ "type": "response.completed", "sequence_number": 0, "response": response });
        let scripted = ScriptedAnswer::stream().bytes(format!("data: {event}\n\n"));
        assert_eq!(proxy.next(scripted).chat(&user("hi")).await.status, StatusCode::OK);
        let most = count.min(1_000_000_000_000);
        let tokens = last_row(&proxy, nth + 1).await.tokens.expect("counted");
        assert_eq!(tokens, TokenCounts { input: most, cached: most, output: most, reasoning: most });
    }
    let ledger = proxy.app.ledger.as_ref().unwrap();
    let sums = LedgerReader::open(ledger.place()).unwrap().unwrap().usage(0, &[]).unwrap()[0].sums;
    assert_eq!((sums.requests, sums.tokens.input, ledger.counts().lost), (3, 2_000_000_000_005, 0));
    let name = r#"codex_proxy_tokens_total{kind="input",model="gpt-6.1-sol"}"#;
    assert_eq!(proxy.metric(name).await, "2000000000005");
}
