//! What is refused before a model is asked: by the login, the model and the names of parameters.

use codex_proxy::simulator::SimulatedCatalogue;
use serde_json::{Value, json};

use super::{input, tools, with, without};
use crate::simulator::support::{Backend, body, user};

#[tokio::test]
async fn the_front_refuses_in_its_words() {
    let backend = Backend::start().await;
    let mut cases = vec![
        (without("instructions"), "Instructions are required".to_owned()),
        (with("instructions", Value::Null), "Instructions are required".to_owned()),
        (without("store"), "Store must be set to false".to_owned()),
        (with("store", json!(true)), "Store must be set to false".to_owned()),
        (without("stream"), "Stream must be set to true".to_owned()),
        (with("stream", json!(false)), "Stream must be set to true".to_owned()),
        (with("input", json!("Hello")), "Input must be a list".to_owned()),
        (
            input(&[json!({ "type": "message", "role": "system", "content": "Be brief" }), user("Hello")]),
            "System messages are not allowed".to_owned(),
        ),
        (
            input(&[json!({
                "type": "message", "role": "user",
                "content": [{ "type": "input_text", "text": "Hello", "prompt_cache_breakpoint": true }],
            })]),
            "Unsupported parameter: prompt_cache_breakpoint".to_owned(),
        ),
        (with("stream_options", json!({ "include_usage": true })), "Unsupported parameter: stream_options".to_owned()),
        (
            tools(&[json!({ "type": "web_search_preview" })], json!("auto")),
            "Unsupported tool type: web_search_preview".to_owned(),
        ),
    ];
    for tier in ["auto", "default", "flex", "fast"] {
        cases.push((with("service_tier", json!(tier)), format!("Unsupported service_tier: {tier}")));
    }
    for model in ["gpt-4o", "gpt-5.2", "gpt-5.6", "gpt-6-sol-high", "o3"] {
        let text = format!("The '{model}' model is not supported when using Codex with a ChatGPT account.");
        cases.push((with("model", json!(model)), text));
    }
    for name in UNSUPPORTED {
        cases.push((with(name, json!(1)), format!("Unsupported parameter: {name}")));
    }
    for (body, detail) in cases {
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json(), json!({ "detail": detail }), "{body}");
    }
}

const UNSUPPORTED: &[&str] = &[
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "logprobs",
    "n",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "user",
    "metadata",
    "truncation",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
    "context_management",
    "safety_identifier",
    "prompt_cache_retention",
    "prompt_cache_options",
    "max_tool_calls",
    "generate",
    "messages",
    "reasoning_effort",
];

#[tokio::test]
async fn retired_models_are_refused_and_were_answered_before() {
    let backend = Backend::start().await;
    let retired = [
        "gpt-5",
        "gpt-5-codex",
        "gpt-5.1",
        "gpt-5.1-codex",
        "gpt-5.1-codex-max",
        "gpt-5-codex-mini",
        "gpt-5.1-codex-mini",
        "gpt-5.2",
        "gpt-5.3-codex-spark",
        "gpt-5.4",
        "gpt-5.4-mini",
        "gpt-5.5",
    ];
    for model in retired {
        let answer = backend.ask(&with("model", json!(model))).await;
        let text = format!("The '{model}' model is not supported when using Codex with a ChatGPT account.");
        assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({ "detail": text })));
    }
    backend.simulator.configure(|settings| settings.catalogue = SimulatedCatalogue::with_retired());
    for model in retired {
        assert_eq!(backend.ask(&with("model", json!(model))).await.status, 200, "{model}");
    }
    backend.simulator.configure(|settings| assert!(settings.catalogue.retire("gpt-5.5")));
    assert_eq!(backend.ask(&with("model", json!("gpt-5.5"))).await.status, 400);
}

#[tokio::test]
async fn the_login_is_checked_on_every_route() {
    let mut backend = Backend::start().await;
    let strip = |header: &str, backend: &Backend| {
        let mut request = backend.request(&body("Hello"));
        request.headers_mut().remove(header);
        crate::simulator::support::send(request)
    };
    assert_eq!(strip("authorization", &backend).await.json(), json!({ "detail": "Unauthorized" }));
    assert_eq!(strip("chatgpt-account-id", &backend).await.status, 401);
    assert_eq!(strip("content-type", &backend).await.status, 415);
    backend.simulator.expire_access_tokens();
    assert_eq!(backend.ask(&body("Hello")).await.code(), "token_expired");
    backend.login = backend.simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default());
    backend.simulator.invalidate_access_tokens();
    for path in ["/backend-api/codex/models?client_version=0.150.0", "/backend-api/wham/usage"] {
        let answer = backend.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "token_invalidated"), "{path}");
    }
    backend.login = backend.simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default().fedramp());
    assert_eq!(backend.ask(&body("Hello")).await.status, 403);
    let mut request = backend.request(&body("Hello"));
    request.headers_mut().insert("x-openai-fedramp", "true".parse().unwrap());
    assert_eq!(crate::simulator::support::send(request).await.status, 200);
}
