//! Who may use the Worker.

use std::time::Duration;

use codex_proxy::platform::Instant;
use codex_proxy::simulator::SimulatedLogin;
use serde_json::{Value, json};

use super::world::{ADMIN_KEY, CHAT, HERE, KEY, PATIENCE, World, streaming, user};
use crate::common::answer::Answer;

async fn ask(world: &World, method: &str, path: &str, key: &str) -> Answer {
    let request = world.request(method, HERE, path, key).body(if method == "POST" {
        user("hi").to_string()
    } else {
        String::new()
    });
    Answer::read(request.send().await.unwrap()).await
}

fn code(answer: &Answer) -> Value {
    answer.error()["code"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_door_has_its_key() {
    let Some(world) = World::start().await else { return };
    for (method, path, key, status) in [
        ("GET", "/health", "none", 200),
        ("GET", "/v1/models", KEY, 200),
        ("GET", "/v1/models", "another", 200),
        ("POST", CHAT, KEY, 200),
        ("GET", "/v1/models", "wrong", 401),
        ("GET", "/v1/models", ADMIN_KEY, 401),
        ("POST", CHAT, "wrong", 401),
        ("POST", "/chat/completions", "wrong", 401),
        ("GET", "/metrics", "wrong", 401),
        ("GET", "/admin/credentials/status", KEY, 401),
        ("POST", "/admin/credentials", KEY, 401),
        ("GET", "/admin/credentials/status", ADMIN_KEY, 200),
    ] {
        let answer = ask(&world, method, path, key).await;
        assert_eq!(answer.status, status, "{method} {path} with {key}: {}", answer.text);
        if status == 401 {
            assert_eq!(code(&answer), "invalid_api_key");
        }
    }
    assert_eq!(world.simulator.requests_to("/responses").len(), 1);
    let health = ask(&world, "GET", "/health", "none").await.json();
    assert_eq!((&health["status"], &health["credentials"]), (&json!("ok"), &json!("ok")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_of_its_own_the_api_has_the_admins() {
    let Some(world) = World::with(&[HERE], json!({ "API_KEY": null })).await else { return };
    assert_eq!(ask(&world, "GET", "/v1/models", ADMIN_KEY).await.status, 200);
    assert_eq!(ask(&world, "GET", "/v1/models", KEY).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_key_nothing_is_open() {
    let Some(world) = World::with(&[HERE], json!({ "API_KEY": null, "ADMIN_API_KEY": "" })).await else { return };
    for (method, path, expected) in [
        ("POST", CHAT, "api_disabled"),
        ("GET", "/v1/models", "api_disabled"),
        ("GET", "/metrics", "api_disabled"),
        ("GET", "/admin/credentials/status", "admin_disabled"),
        ("POST", "/admin/credentials", "admin_disabled"),
    ] {
        let answer = ask(&world, method, path, "").await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (403, expected.into()), "{method} {path}");
    }
    assert_eq!(ask(&world, "GET", "/health", "").await.status, 200);
}

/// The SHA-256 of "guest".
const GUEST: &str = "84983c60f7daadc1cb8698621f802c0d9f9a3c3c295c810748fb048115c186ec";
/// The SHA-256 of "free".
const FREE: &str = "ad95d5fa651ba86d8923fe1238d24a4f1988a752acfe426ac72ac7c04471bc17";

#[tokio::test(flavor = "multi_thread")]
async fn a_named_key_allows_what_it_says() {
    let key = json!({ "name": "guest", "sha256": GUEST, "models": ["gpt-6-luna"], "max_effort": "low" });
    let old = json!({ "name": "old", "sha256": "0".repeat(64), "expires_at": "2020-01-01" });
    let keys = json!({ "version": 1, "keys": [key, old] }).to_string();
    let Some(world) = World::with(&[HERE], json!({ "CODEX_PROXY_KEYS": keys })).await else { return };
    assert_eq!(ask(&world, "GET", "/v1/models", KEY).await.status, 200);
    let refused = ask(&world, "POST", CHAT, "guest").await;
    assert_eq!((refused.status.as_u16(), code(&refused)), (403, "model_not_allowed".into()));
    let usage = ask(&world, "GET", "/v1/usage", "guest").await.json();
    assert_eq!((&usage["key"], &usage["max_effort"]), (&json!("guest"), &json!("low")));
}

/// Two isolates that share nothing but KV and the Durable Objects, with `guest` limited by `limits`, and a free key.
async fn limited(limits: &Value) -> Option<World> {
    let mut guest = json!({ "name": "guest", "sha256": GUEST });
    guest.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let free = json!({ "name": "free", "sha256": FREE });
    let keys = json!({ "version": 1, "keys": [guest, free] }).to_string();
    let world = World::with(&[HERE, "there"], json!({ "CODEX_PROXY_KEYS": keys })).await?;
    world.sign_in(SimulatedLogin::default()).await;
    Some(world)
}

async fn chat_at(world: &World, place: &str, key: &str, body: &Value) -> Answer {
    let request = world.request("POST", place, CHAT, key).body(body.to_string());
    Answer::read(request.send().await.unwrap()).await
}

async fn usage_at(world: &World, place: &str, key: &str) -> Value {
    Answer::read(world.request("GET", place, "/v1/usage", key).send().await.unwrap()).await.json()
}

/// Waits until `tokens` of today are counted: they are sent after the end of their answer.
async fn counted(world: &World, place: &str, key: &str, tokens: u64) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let usage = usage_at(world, place, key).await;
        if usage["tokens_today"]["used"] == tokens {
            return usage;
        }
        assert!(Instant::now() < deadline, "{tokens} are not counted: {usage}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn assert_spent(answer: &Answer, part: &str, longest: u64) {
    assert_eq!((answer.status.as_u16(), code(answer)), (429, "insufficient_quota".into()), "{}", answer.text);
    assert!(answer.text.contains(part), "{}", answer.text);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=longest).contains(&seconds) && answer.header("x-should-retry") == "false", "{seconds}");
}

/// Ends the program of every isolate and of the Durable Objects, as a panic does.
async fn panic(world: &World) {
    let request = world.request("GET", HERE, "/health", KEY).header("x-test-panic", "1");
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_day_are_those_of_all_isolates_and_outlive_them() {
    let Some(world) = limited(&json!({ "tokens_per_day": 100_000 })).await else { return };
    let answer = chat_at(&world, HERE, "guest", &user("hi")).await.json();
    let tokens = answer["usage"]["total_tokens"].as_u64().unwrap();
    counted(&world, "there", "guest", tokens).await;
    let mut streamed = streaming("hi");
    streamed["stream_options"] = json!({ "include_usage": true });
    let streamed = chat_at(&world, "there", "guest", &streamed).await;
    assert!(streamed.status == 200 && streamed.text.contains("[DONE]"), "{}", streamed.text);
    let chunks =
        streamed.text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let more = chunks.filter_map(|chunk| chunk["usage"]["total_tokens"].as_u64()).next_back().unwrap();
    panic(&world).await;
    let usage = counted(&world, HERE, "guest", tokens + more).await;
    assert_eq!(
        (&usage["tokens_today"]["remaining"], &usage["kept_over_restarts"]),
        (&json!(100_000 - tokens - more), &json!(true))
    );
    assert!(usage["tokens_today"]["resets_at"].as_str().unwrap().ends_with("T00:00:00Z"), "{usage}");
    assert_eq!(usage_at(&world, HERE, "free").await["tokens_today"]["used"], 0);
    let owner = usage_at(&world, HERE, KEY).await;
    assert_eq!((&owner["key"], &owner["tokens_today"]["used"]), (&json!("default"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_tokens_are_spent_is_refused_everywhere_and_the_others_are_not() {
    let Some(world) = limited(&json!({ "tokens_per_day": 1 })).await else { return };
    let answer = chat_at(&world, HERE, "guest", &user("hi")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    counted(&world, HERE, "guest", answer.json()["usage"]["total_tokens"].as_u64().unwrap()).await;
    world.simulator.forget_requests();
    for place in [HERE, "there"] {
        let refused = chat_at(&world, place, "guest", &user("hi")).await;
        assert_spent(&refused, "the key guest has used", 86_400);
    }
    assert_eq!(world.simulator.requests_to("/responses").len(), 0);
    for key in ["free", KEY] {
        assert_eq!(chat_at(&world, HERE, key, &user("hi")).await.status, 200, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_a_minute_are_those_of_all_isolates_and_outlive_them() {
    let Some(world) = limited(&json!({ "requests_per_minute": 2 })).await else { return };
    for place in [HERE, "there"] {
        assert_eq!(chat_at(&world, place, "guest", &user("hi")).await.status, 200);
    }
    for place in [HERE, "there"] {
        assert_spent(&chat_at(&world, place, "guest", &user("hi")).await, "its 2 requests of a minute", 60);
    }
    panic(&world).await;
    assert_spent(&chat_at(&world, HERE, "guest", &user("hi")).await, "its 2 requests of a minute", 60);
    let minute = usage_at(&world, "there", "guest").await["requests_this_minute"].take();
    assert_eq!((&minute["limit"], &minute["used"], &minute["remaining"]), (&json!(2), &json!(2), &json!(0)));
    assert!(minute["resets_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_are_kept_out_and_any_name_leads_in() {
    let Some(world) = World::start().await else { return };
    let request = || world.request("POST", HERE, CHAT, KEY).body(user("hi").to_string());
    let foreign = Answer::read(request().header("origin", "https://evil.example").send().await.unwrap()).await;
    assert_eq!((foreign.status.as_u16(), code(&foreign)), (403, "origin_not_allowed".into()));
    let plain = world.http.post(format!("{}{CHAT}", world.edge.url)).header("x-api-key", KEY).body("{}");
    let plain = Answer::read(plain.header("content-type", "text/plain").send().await.unwrap()).await;
    assert_eq!(plain.status, 415);
    let named = world.http.get(format!("{}/v1/models", world.edge.url)).header("x-api-key", KEY);
    assert_eq!(named.header("host", "proxy.user.workers.dev").send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_not_sent_in_the_clear() {
    let bindings = json!({ "CODEX_UPSTREAM_URL": "http://backend.example/secret" });
    let Some(world) = World::with(&[HERE], bindings).await else { return };
    let answer = ask(&world, "GET", "/health", "").await;
    assert_eq!(answer.status, 500);
    assert!(answer.error()["message"].as_str().unwrap().contains("misconfigured"), "{}", answer.text);
    assert!(!answer.text.contains("secret"), "{}", answer.text);
}
