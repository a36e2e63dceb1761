//! Who may use the Worker.

use serde_json::{Value, json};

use super::world::{ADMIN_KEY, CHAT, HERE, KEY, World, user};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_not_counted_here_is_not_taken() {
    let key = json!({ "name": "guest", "sha256": GUEST, "tokens_per_day": 5 });
    let keys = json!({ "version": 1, "keys": [key] }).to_string();
    let Some(world) = World::with(&[HERE], json!({ "CODEX_PROXY_KEYS": keys })).await else { return };
    assert_eq!(ask(&world, "GET", "/v1/models", KEY).await.status, 500);
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
