//! Keys with names and limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codex_proxy::keys::book::KeyBook;
use codex_proxy::keys::digest::KeyDigest;
use codex_proxy::keys::file;
use codex_proxy::keys::named::{KeyName, NamedKey};
use codex_proxy::keys::set::KeySet;
use codex_proxy::ledger::LedgerPlace;
use codex_proxy::ledger::summary::{Grouping, LedgerReader};
use codex_proxy::models::Models;
use codex_proxy::models::effort::Effort;
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::Scenario;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::PATIENCE;
use crate::common::answer::Answer;
use crate::common::exact;
use crate::common::socket::{Refused, Socket, types};
use crate::harness::{Proxy, Setup, user};

/// A key that is its own name.
fn key(name: &str) -> NamedKey {
    NamedKey::unlimited(KeyName::parse(name).unwrap(), KeyDigest::of(name.as_bytes()))
}

fn guarded(named: KeyBook) -> ServerSettings {
    let guard = Guard { api_keys: Keys::new(["owner"]), named: Arc::new(named), ..Guard::default() };
    ServerSettings { guard, ..ServerSettings::default() }
}

fn book(keys: impl IntoIterator<Item = NamedKey>) -> KeyBook {
    let mut set = KeySet::default();
    keys.into_iter().for_each(|key| set.add(key).unwrap());
    KeyBook::of(set)
}

/// A proxy with these keys beside the unnamed one, `owner`.
async fn with(keys: impl IntoIterator<Item = NamedKey>) -> Proxy {
    Proxy::with(Setup { settings: guarded(book(keys)), ..Setup::default() }).await
}

/// A proxy whose keys are in a file.
async fn following() -> (tempfile::TempDir, PathBuf, Proxy) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    let named = Arc::new(KeyBook::open(path.clone()).unwrap());
    let settings = ServerSettings { guard: Guard { named, ..Guard::default() }, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    (directory, path, proxy)
}

impl Proxy {
    async fn asked_by(&self, key: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(key);
        if path.starts_with("/v1/messages") {
            request = request.header("anthropic-version", "2023-06-01");
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, Answer::read(response)).await.unwrap()
    }

    async fn post_by(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.asked_by(key, Method::POST, path, Some(body)).await
    }

    async fn get_by(&self, key: &str, path: &str) -> Answer {
        self.asked_by(key, Method::GET, path, None).await
    }

    async fn chat_by(&self, key: &str) -> Answer {
        self.post_by(key, "/v1/chat/completions", &user("hi")).await
    }
}

/// Every route that asks the backend or could, with a request for it.
fn routes() -> Vec<(&'static str, Value)> {
    let message = json!({ "model": "gpt-6-sol", "max_tokens": 99, "messages": [{ "role": "user", "content": "hi" }] });
    vec![
        ("/v1/chat/completions", json!({ "model": "gpt-6-sol", "messages": [{ "role": "user", "content": "hi" }] })),
        ("/v1/responses", json!({ "model": "gpt-6-sol", "input": "hi" })),
        ("/v1/responses/compact", json!({ "model": "gpt-6-sol", "input": "hi" })),
        ("/v1/responses/input_tokens", json!({ "model": "gpt-6-sol", "input": "hi" })),
        ("/v1/messages", message.clone()),
        ("/v1/messages/count_tokens", message),
        ("/v1/images/generations", json!({ "model": "gpt-image-1", "prompt": "A cat" })),
        (
            "/v1/images/edits",
            json!({ "model": "gpt-image-1", "prompt": "A cat", "images": [{ "image_url": crate::harness::PIXEL }] }),
        ),
        ("/v1/alpha/search", json!({ "id": "t", "model": "gpt-6-sol" })),
        ("/backend-api/codex/responses", json!({ "model": "gpt-6-sol", "input": "hi" })),
    ]
}

/// The type and the message of an error in either shape.
fn told(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    if body["type"] == "error" {
        assert!(body["error"].get("code").is_none(), "{answer:?}");
    } else {
        answer.error();
    }
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("type"), text("message"))
}

#[tokio::test]
async fn what_is_used_up_is_refused_on_every_route_with_the_time_of_its_reset() {
    let proxy = with([NamedKey { tokens_per_day: Some(1), ..key("day") }, key("free")]).await;
    assert_eq!(proxy.chat_by("day").await.status, StatusCode::OK, "nothing is used yet");
    proxy.simulator.forget_requests();
    for (path, body) in routes() {
        let answer = proxy.post_by("day", path, &body).await;
        let (status, kind, message) = told(&answer);
        let expected = if path.contains("messages") { "rate_limit_error" } else { "insufficient_quota" };
        assert_eq!((status, kind.as_str()), (429, expected), "{path}");
        assert!(message.contains("the key day has used") && message.contains("T00:00:00Z"), "{path}: {message}");
        assert_eq!(answer.header("x-should-retry"), "false", "{path}");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=86_400).contains(&seconds), "{path}: {seconds}");
    }
    assert_eq!(proxy.calls(), 0, "the backend was not asked");
    let refused = Socket::try_open(proxy.address(), &[("authorization", "Bearer day")]).await.err();
    assert_eq!(refused, Some(Refused(429, "insufficient_quota".to_owned())));
    for key in ["free", "owner"] {
        assert_eq!(proxy.chat_by(key).await.status, StatusCode::OK, "{key}");
    }
    assert_eq!(proxy.get_by("day", "/v1/models").await.status, StatusCode::OK);
    assert_eq!(proxy.get_by("day", "/v1/usage").await.json()["tokens_today"]["remaining"], 0);
}

#[tokio::test]
async fn so_many_requests_are_let_in_within_a_minute_on_whatever_route() {
    let limit = u32::try_from(routes().len()).unwrap();
    let proxy = with([NamedKey { requests_per_minute: Some(limit), ..key("few") }, key("free")]).await;
    for (path, body) in routes() {
        assert_eq!(proxy.post_by("few", path, &body).await.status, StatusCode::OK, "{path}");
    }
    for (path, body) in routes() {
        let answer = proxy.post_by("few", path, &body).await;
        let (status, _, message) = told(&answer);
        assert!(status == 429 && message.contains(&format!("{limit} requests of a minute")), "{path}: {message}");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds) && answer.header("x-should-retry") == "false", "{path}: {answer:?}");
    }
    let refused = Socket::try_open(proxy.address(), &[("x-api-key", "few")]).await.err();
    assert_eq!(refused, Some(Refused(429, "insufficient_quota".to_owned())));
    assert_eq!(proxy.chat_by("free").await.status, StatusCode::OK);
    let usage = proxy.get_by("few", "/v1/usage").await.json();
    let minute = &usage["requests_this_minute"];
    assert_eq!((&minute["used"], &minute["remaining"]), (&json!(limit), &json!(0)), "what is refused counts not");
}

#[tokio::test]
async fn a_limit_is_checked_before_the_body_is_read() {
    let expired = NamedKey { expires_at: Some(1_700_000_000), ..key("old") };
    let proxy = with([NamedKey { requests_per_minute: Some(1), ..key("few") }, expired]).await;
    assert_eq!(proxy.chat_by("few").await.status, StatusCode::OK);
    for (name, status) in [("few", 429), ("old", 401)] {
        // None of the announced bytes is ever sent.
        let header = format!("authorization: Bearer {name}");
        let lines = [
            "POST /v1/responses",
            "host: localhost",
            "content-type: application/json",
            &header,
            "content-length: 9999",
        ];
        assert_eq!(exact::send(proxy.address(), &lines, "").await.status, status, "{name}");
    }
}

#[tokio::test]
async fn a_key_that_has_expired_opens_nothing_and_says_so() {
    let proxy = with([NamedKey { expires_at: Some(1_700_000_000), ..key("old") }]).await;
    for path in ["/v1/models", "/v1/usage", "/metrics"] {
        let answer = proxy.get_by("old", path).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (401, "invalid_api_key"), "{path}");
        assert!(answer.text.contains("the key old expired at 2023-11-14T22:13:20Z"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_refused_on_every_route_and_the_others_are_named() {
    let models = || Models::new(vec![("fast".to_owned(), "gpt-6-luna".to_owned())], None);
    let limited = NamedKey { models: vec!["fast".to_owned(), "gpt-image-2".to_owned()], ..key("some") };
    let proxy = Proxy::with(Setup { settings: guarded(book([limited])), models: models(), ..Setup::default() }).await;
    proxy.begin().await;
    for (path, body) in routes() {
        let answer = proxy.post_by("some", path, &body).await;
        let (status, kind, message) = told(&answer);
        let expected = if path.contains("messages") { "permission_error" } else { "invalid_request_error" };
        assert_eq!((status, kind.as_str()), (403, expected), "{path}");
        assert!(message.contains("it may use: fast, gpt-image-2"), "{path}: {message}");
        let mut allowed = body.clone();
        for name in if path.contains("image") { vec!["gpt-image-2"] } else { vec!["gpt-6-luna"] } {
            allowed["model"] = name.into();
            assert_eq!(proxy.post_by("some", path, &allowed).await.status, StatusCode::OK, "{path} {name}");
        }
    }
    // An alias means its model, whatever name the list has; so does the model's own name with an effort.
    for name in ["fast", "GPT-6-Luna-high"] {
        let body = json!({ "model": name, "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(proxy.post_by("some", "/v1/chat/completions", &body).await.status, StatusCode::OK, "{name}");
    }
    // A request that names no model, or one of another family, is sent to the default one.
    assert_eq!(proxy.chat_by("some").await.error_code(), "model_not_allowed");
    let mut socket = Socket::open(proxy.address(), &[("x-api-key", "some")]).await;
    let frame = socket.refused(&json!({ "input": "hi" })).await;
    assert_eq!((&frame["status"], &frame["error"]["code"]), (&json!(403), &json!("model_not_allowed")));
    let turn = socket.turn(&json!({ "model": "gpt-6-luna", "input": "hi" })).await;
    assert_eq!(types(&turn).last(), Some(&"response.completed"));
}

#[tokio::test]
async fn a_list_holds_what_the_key_allows() {
    let limited = NamedKey { models: vec!["gpt-6-luna".to_owned()], max_effort: Some(Effort::Medium), ..key("some") };
    let proxy = with([limited]).await;
    proxy.begin().await;
    let names = |list: &Value, name: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
    };
    let list = proxy.get_by("some", "/v1/models?client_version=0.169.0").await.json();
    assert_eq!(names(&list["data"], "id"), ["gpt-6-luna", "gpt-6-luna-low", "gpt-6-luna-medium"]);
    assert_eq!(list["data"][0]["supported_reasoning_efforts"], json!(["none", "low", "medium"]));
    assert_eq!(names(&list["models"], "slug"), ["gpt-6-luna"]);
    assert_eq!(proxy.get_by("some", "/v1/models").await.json()["data"], list["data"]);
    let request = proxy.http.get(format!("{}/v1/models", proxy.base)).bearer_auth("some");
    let anthropic = Answer::read(request.header("anthropic-version", "2023-06-01").send().await.unwrap()).await.json();
    assert!(names(&anthropic["data"], "id").iter().all(|id| id.contains("gpt-6-luna")), "{anthropic}");
    assert_eq!(proxy.get_by("some", "/v1/models/gpt-6-luna-low").await.status, StatusCode::OK);
    for (id, code) in
        [("gpt-6-sol", "model_not_allowed"), ("gpt-6-luna-high", "effort_not_allowed"), ("none", "model_not_found")]
    {
        assert_eq!(proxy.get_by("some", &format!("/v1/models/{id}")).await.error_code(), code, "{id}");
    }
    let all = proxy.get_by("owner", "/v1/models?client_version=0.169.0").await.json();
    assert!(names(&all["data"], "id").len() > 10 && names(&all["models"], "slug").len() > 1);
}

#[tokio::test]
async fn an_effort_above_the_limit_is_refused_and_one_that_nobody_asked_for_is_lowered() {
    let proxy = with([NamedKey { max_effort: Some(Effort::Low), ..key("low") }]).await;
    let message = json!([{ "role": "user", "content": "hi" }]);
    for (path, body, field) in [
        ("/v1/chat/completions", json!({ "messages": message, "reasoning_effort": "high" }), "reasoning_effort"),
        ("/v1/chat/completions", json!({ "messages": message, "model": "gpt-6-sol-high" }), "model"),
        ("/v1/responses", json!({ "input": "hi", "reasoning": { "effort": "medium" } }), "reasoning.effort"),
        ("/v1/responses/compact", json!({ "input": "hi", "reasoning": { "effort": "max" } }), "reasoning.effort"),
        (
            "/v1/messages",
            json!({ "messages": message, "max_tokens": 9, "output_config": { "effort": "high" } }),
            "output_config.effort",
        ),
        (
            "/v1/alpha/search",
            json!({ "id": "t", "model": "gpt-6-sol", "reasoning": { "effort": "high" } }),
            "reasoning.effort",
        ),
    ] {
        let answer = proxy.post_by("low", path, &body).await;
        let (status, _, message) = told(&answer);
        assert!(status == 403 && message.contains("at most low"), "{path}: {answer:?}");
        let named = answer.json()["error"]["param"].as_str().map_or(message.clone(), str::to_owned);
        assert!(named.starts_with(field), "{path}: {named}");
    }
    assert_eq!(proxy.calls(), 0);
    for (path, body) in [
        ("/v1/chat/completions", json!({ "messages": message, "model": "gpt-6-sol" })),
        ("/v1/chat/completions", json!({ "messages": message, "model": "gpt-6-sol", "reasoning_effort": "low" })),
        ("/v1/responses", json!({ "input": "hi", "model": "gpt-6-sol" })),
        ("/v1/responses/compact", json!({ "input": "hi", "model": "gpt-6-sol" })),
        ("/v1/messages", json!({ "messages": message, "max_tokens": 9, "model": "gpt-6-sol" })),
    ] {
        assert_eq!(proxy.post_by("low", path, &body).await.status, StatusCode::OK, "{path}");
        let sent = proxy.last_sent()["reasoning"]["effort"].clone();
        assert!(sent == "low" || sent == "none" || sent == "minimal", "{path}: {sent}");
    }
}

#[tokio::test]
async fn a_change_of_the_file_counts_within_a_second_and_what_is_closed_stays_closed() {
    let (_directory, path, proxy) = following().await;
    let status = async |key: &str| proxy.chat_by(key).await.status.as_u16();
    // A request that comes a second later finds the change, whatever was before.
    let second = async || tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(status("anything").await, 200, "no key is needed yet");
    file::change(&path, |set| set.add(key("first"))).unwrap();
    second().await;
    assert_eq!((status("anything").await, status("first").await), (401, 200));
    file::change(&path, |set| set.add(key("second"))).unwrap();
    second().await;
    assert_eq!((status("first").await, status("second").await), (200, 200));
    let limited = NamedKey { requests_per_minute: Some(1), ..key("second") };
    file::change(&path, |set| Ok(set.remove("first") && set.remove("second"))).unwrap();
    file::change(&path, |set| set.add(limited)).unwrap();
    second().await;
    assert_eq!((status("first").await, status("second").await, status("second").await), (401, 200, 429));
    file::change(&path, |set| Ok(set.remove("second"))).unwrap();
    second().await;
    assert_eq!((status("second").await, status("anything").await), (401, 401));
}

#[tokio::test]
async fn the_answer_to_a_removed_key_may_end_and_the_next_turn_of_its_socket_is_refused() {
    let (_directory, path, proxy) = following().await;
    file::change(&path, |set| set.add(key("first"))).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut socket = Socket::open(proxy.address(), &[("x-api-key", "first")]).await;
    assert_eq!(types(&socket.turn(&json!({ "input": "hi" })).await).last(), Some(&"response.completed"));
    proxy.next(Scenario::Paced(40, Duration::from_millis(50)));
    socket.create(&json!({ "input": "hi" })).await;
    assert_eq!(socket.event().await["type"], "response.created");
    file::change(&path, |set| Ok(set.remove("first"))).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(proxy.get_by("first", "/v1/models").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(types(&socket.rest().await).last(), Some(&"response.completed"), "the turn under way");
    let frame = socket.refused(&json!({ "input": "hi" })).await;
    assert_eq!((&frame["status"], &frame["error"]["code"]), (&json!(401), &json!("invalid_api_key")));
}

#[tokio::test]
async fn the_use_of_a_day_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let place = LedgerPlace::File(directory.path().join("ledger.sqlite3"));
    let started = async || {
        let limited = [NamedKey { tokens_per_day: Some(100_000), ..key("day") }, key("other")];
        let (settings, ledger) = (guarded(book(limited)), Some(place.clone()));
        Proxy::with(Setup { settings, ledger, ..Setup::default() }).await
    };
    let used = async |proxy: &Proxy, key: &str| {
        let usage = proxy.get_by(key, "/v1/usage").await.json();
        assert_eq!(usage["kept_over_restarts"], true);
        usage["tokens_today"]["used"].as_u64().unwrap()
    };
    let before = {
        let proxy = started().await;
        for (path, body) in routes() {
            proxy.post_by("day", path, &body).await;
        }
        proxy.chat_by("other").await;
        let before = (used(&proxy, "day").await, used(&proxy, "other").await);
        // The rows are handed over when the answers have ended, which their client may know before.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            proxy.app.ledger.as_ref().unwrap().flush(PATIENCE);
            let reader = LedgerReader::open(&place).unwrap().unwrap();
            let rows: u64 = reader.usage(0, &[]).unwrap().iter().map(|group| group.sums.requests).sum();
            if rows > routes().len() as u64 {
                let clients = reader.usage(0, &[Grouping::Client]).unwrap();
                let clients: Vec<_> = clients.iter().map(|group| group.client.as_deref().unwrap()).collect();
                assert_eq!(clients, ["day", "other"]);
                break before;
            }
            assert!(tokio::time::Instant::now() < deadline, "{rows}");
        }
    };
    assert!(before.0 > before.1 && before.1 > 0, "{before:?}");
    let proxy = started().await;
    assert_eq!((used(&proxy, "day").await, used(&proxy, "other").await), before);
}

#[tokio::test]
async fn an_answer_that_a_stop_sequence_ends_counts_by_an_estimate() {
    let proxy = with([NamedKey { tokens_per_day: Some(1), ..key("day") }]).await;
    let mut body = user("hi");
    body["stop"] = json!(["model"]);
    let answer = proxy.post_by("day", "/v1/chat/completions", &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "This is a simulation: no ");
    let used = proxy.get_by("day", "/v1/usage").await.json()["tokens_today"]["used"].clone();
    assert!(used.as_u64().is_some_and(|used| used > 1) && used == answer["usage"]["total_tokens"], "{used} {answer}");
    assert_eq!(proxy.chat_by("day").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_holder_sees_itself_and_nobody_else() {
    let limited = NamedKey {
        models: vec!["gpt-6-luna".to_owned()],
        max_effort: Some(Effort::High),
        tokens_per_day: Some(1_000_000),
        requests_per_minute: Some(5),
        expires_at: Some(4_102_444_800),
        ..key("some")
    };
    let proxy = with([limited, key("other")]).await;
    proxy.chat_by("other").await;
    let body = json!({ "model": "gpt-6-luna", "messages": [{ "role": "user", "content": "hi" }] });
    let tokens =
        proxy.post_by("some", "/v1/chat/completions", &body).await.json()["usage"]["total_tokens"].as_u64().unwrap();
    for path in ["/v1/usage", "/usage"] {
        let mut usage = proxy.get_by("some", path).await.json();
        let day = usage["tokens_today"]["resets_at"].take();
        assert!(day.as_str().unwrap().ends_with("T00:00:00Z"), "{day}");
        assert!(usage["requests_this_minute"]["resets_at"].take().is_string());
        let expected = json!({
            "object": "usage", "key": "some", "models": ["gpt-6-luna"], "max_effort": "high",
            "expires_at": "2100-01-01T00:00:00Z",
            "tokens_today": { "limit": 1_000_000, "used": tokens, "remaining": 1_000_000 - tokens, "resets_at": null },
            "requests_this_minute": { "limit": 5, "used": 1, "remaining": 4, "resets_at": null },
            "kept_over_restarts": false,
        });
        assert_eq!(usage, expected);
    }
    let owner = proxy.get_by("owner", "/v1/usage").await.json();
    assert_eq!((&owner["key"], &owner["tokens_today"]["used"]), (&json!("default"), &Value::Null));
    assert_eq!(proxy.get("/v1/usage").await.status, StatusCode::UNAUTHORIZED);
    let open = Proxy::start().await;
    open.ask(false).await;
    let local = open.get("/v1/usage").await.json();
    assert_eq!((&local["key"], &local["tokens_today"]["limit"]), (&Value::Null, &Value::Null));
    assert!(local["tokens_today"]["used"].as_u64().unwrap() > 0, "{local}");
}

#[tokio::test]
async fn the_metrics_name_the_keys_and_are_not_for_their_holders() {
    let proxy = with([key("some")]).await;
    assert_eq!(proxy.chat_by("some").await.status, StatusCode::OK);
    assert_eq!(proxy.get_by("some", "/metrics").await.error_code(), "not_permitted");
    let metrics = proxy.get_by("owner", "/metrics").await.text;
    for line in [r#"client_requests_total{client="some"} 1"#, r#"client_tokens_total{client="some",kind="input"} "#] {
        assert!(metrics.contains(&format!("codex_proxy_{line}")), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn nothing_remembered_crosses_from_one_named_key_to_another() {
    let proxy = with([key("one"), key("two")]).await;
    let first = proxy.post_by("one", "/v1/responses", &json!({ "input": "secret" })).await.json();
    let next = json!({ "previous_response_id": first["id"], "input": "what was it?" });
    for key in ["two", "owner"] {
        let answer = proxy.post_by(key, "/v1/responses", &next).await;
        assert_eq!(answer.error_code(), "previous_response_not_found", "{key}");
    }
    assert_eq!(proxy.post_by("one", "/v1/responses", &next).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_named_key_that_is_an_unnamed_one_too_keeps_its_limits() {
    let proxy = with([NamedKey { requests_per_minute: Some(1), ..key("owner") }]).await;
    assert_eq!(proxy.chat_by("owner").await.status, StatusCode::OK);
    assert_eq!(proxy.chat_by("owner").await.status, StatusCode::TOO_MANY_REQUESTS);
}
