//! The effort of the model's reasoning: the first of its places that names one.

use codex_proxy::models::Models;
use codex_proxy::models::tier::Tiers;
use serde_json::{Value, json};

use super::*;
use crate::harness::Setup;

/// The effort of a request for `model` with more fields.
async fn effort(proxy: &Proxy, model: &str, fields: &Value) -> Value {
    let mut body = asked("hi");
    body["model"] = model.into();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = ask(proxy, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    proxy.last_sent()["reasoning"]["effort"].clone()
}

#[tokio::test]
async fn the_effort_in_a_models_name_comes_before_every_other() {
    let tiers = Tiers { opus: Some("gpt-6.1-sol-high".to_owned()), haiku: None, sonnet: None };
    let alias = ("mine".to_owned(), "gpt-6.1-sol-high".to_owned());
    let models = Models::new(vec![alias], Some("gpt-6.1-sol-high".to_owned())).for_tiers(tiers);
    let proxy = Proxy::with(Setup { models, ..Setup::default() }).await;
    for fields in [
        json!({ "output_config": { "effort": "low" } }),
        json!({ "thinking": { "type": "disabled" } }),
        json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } }),
        json!({}),
    ] {
        for model in ["gpt-6.1-sol-high", "claude-gpt-6.1-sol-high", "claude-opus-5-5", "mine", "claude-next"] {
            assert_eq!(effort(&proxy, model, &fields).await, "high", "{model} {fields}");
        }
    }
    assert_eq!(
        effort(&proxy, "gpt-6.1-sol", &json!({ "output_config": { "effort": "low" } })).await,
        "low",
        "a name without one"
    );
    // Chat has it the other way round.
    let chat = json!({ "model": "gpt-6.1-sol-high", "reasoning_effort": "low",
        "messages": [{ "role": "user", "content": "hi" }] });
    assert_eq!(proxy.sent(&chat).await["reasoning"]["effort"], "low");
}
