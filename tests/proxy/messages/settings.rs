//! The settings of an answer.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_fast_answer_is_asked_for_where_the_model_has_one_and_named_where_it_has_not() {
    let proxy = Proxy::start().await;
    for (model, speed, tier, ignored) in [
        ("gpt-6.1-sol", "fast", json!("priority"), "max_tokens"),
        ("gpt-6.1-sol", "standard", Value::Null, "max_tokens"),
        ("gpt-5-codex", "fast", Value::Null, "max_tokens, speed"),
    ] {
        let mut body = asked("hi");
        body["model"] = model.into();
        body["speed"] = speed.into();
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.header("x-codex-proxy-ignored"), ignored, "{model} {speed}: {}", answer.text);
        assert_eq!(proxy.last_sent()["service_tier"], tier, "{model} {speed}");
    }
}
