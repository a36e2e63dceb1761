//! Which model is sent.

use std::time::Duration;

use codex_proxy::platform::Instant;
use codex_proxy::simulator::SimulatedLogin;
use serde_json::{Value, json};

use super::world::{CHAT, HERE, PATIENCE, World, streaming, user};

fn asking(model: &str, stream: bool) -> Value {
    let mut body = if stream { streaming("hi") } else { user("hi") };
    body["model"] = model.into();
    body
}

fn sent(world: &World) -> Vec<String> {
    let requests = world.simulator.requests_to("/responses");
    world.simulator.forget_requests();
    requests.iter().map(|request| request.json()["model"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_models_successor_answers_and_is_remembered() {
    let Some(world) = World::start().await else { return };
    world.post(CHAT, &user("hi")).await.message();
    assert_eq!(sent(&world), ["gpt-6.1-sol"]);
    // The account's list, which is fetched beside the first requests, would be a new beginning.
    let known = async || world.get("/v1/models").await.json()["data"][0]["id"] == "gpt-6.1-sol";
    let begun = Instant::now();
    while !known().await {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for stream in [false, true] {
        let answer = world.post(CHAT, &asking("gpt-5.5", stream)).await;
        answer.message();
        let model = if stream { answer.events()[0]["model"].clone() } else { answer.json()["model"].clone() };
        assert_eq!(model, "gpt-6-sol");
    }
    assert_eq!(sent(&world), ["gpt-5.5", "gpt-6-sol", "gpt-6-sol"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_choose_the_default_and_forbid_successors() {
    let variables = json!({ "DEFAULT_MODEL": "gpt-6-luna", "STRICT_MODEL": "true" });
    let Some(world) = World::with(&[HERE], variables).await else { return };
    world.sign_in(SimulatedLogin::default()).await;
    world.post(CHAT, &user("hi")).await.message();
    assert_eq!(sent(&world), ["gpt-6-luna"]);
    for _ in 0..2 {
        let answer = world.post(CHAT, &asking("gpt-5.5", false)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains("Its successor is gpt-6-sol"), "{}", answer.text);
    }
    assert_eq!(sent(&world), ["gpt-5.5", "gpt-5.5"]);
}
