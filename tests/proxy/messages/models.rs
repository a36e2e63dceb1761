//! Names of models, and their list.

use codex_proxy::models::Models;
use codex_proxy::models::tier::Tiers;
use serde_json::{Value, json};

use super::*;
use crate::harness::Setup;

#[tokio::test]
async fn names_of_anthropics_models_mean_one_of_the_accounts() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let listed = proxy.app.models.usable_names();
    for (asked, sent) in [
        ("claude-opus-5-5[1m]", listed[0].as_str()),
        ("claude-sonnet-5-5-20261001", listed[1].as_str()),
        ("claude-haiku-4.5", "gpt-6-luna"),
        ("claude-gpt-6-luna", "gpt-6-luna"),
        ("anthropic/gpt-6-luna-low", "gpt-6-luna"),
        ("claude-next", listed[0].as_str()),
    ] {
        let mut body = asked_of(asked);
        body["stream"] = false.into();
        ask(&proxy, &body).await.json();
        assert_eq!(proxy.last_sent()["model"], sent, "{asked}");
    }
}

fn asked_of(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 100, "messages": [{ "role": "user", "content": "hi" }] })
}

#[tokio::test]
async fn the_list_of_models_has_the_form_of_the_api_that_asks() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let list = |query: &'static str| {
        let request =
            proxy.http.get(format!("{}/v1/models{query}", proxy.base)).header("anthropic-version", "2023-06-01");
        async move { Answer::read(request.send().await.unwrap()).await.json() }
    };
    let all = list("?limit=1000").await;
    let ids: Vec<&str> = all["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("claude-gpt-") && ids.contains(&ids[0].strip_prefix("claude-").unwrap()));
    assert_eq!((&all["first_id"], &all["has_more"]), (&json!(ids[0]), &json!(false)));
    let page = list("?limit=2").await;
    assert_eq!((&page["last_id"], &page["has_more"]), (&json!(ids[1]), &json!(true)));
    assert_eq!(list("/gpt-6.1-sol").await["type"], "model");
    let first = list("/claude-gpt-6.1-sol").await;
    assert_eq!(first, all["data"][0], "what the list names can be fetched");
    assert_eq!(proxy.get("/v1/models").await.json()["object"], "list", "OpenAI's form without the header");
}

#[tokio::test]
async fn the_operator_says_which_models_stand_for_anthropics() {
    let tiers = Tiers { opus: Some("gpt-6-sol-high".to_owned()), haiku: Some("gpt-6-sol".to_owned()), sonnet: None };
    let alias = ("claude-opus-5-5".to_owned(), "gpt-6-luna".to_owned());
    let models = Models::new(vec![alias], None).for_tiers(tiers);
    let proxy = Proxy::with(Setup { models, ..Setup::default() }).await;
    proxy.begin().await;
    let second = proxy.app.models.usable_names()[1].clone();
    for (asked, sent) in [
        ("claude-opus-5-5", "gpt-6-luna"),
        ("claude-opus-5", "gpt-6-sol"),
        ("claude-fable-1", "gpt-6-sol"),
        ("haiku", "gpt-6-sol"),
        ("claude-sonnet-5", second.as_str()),
        ("claude-gpt-6-luna", "gpt-6-luna"),
    ] {
        ask(&proxy, &asked_of(asked)).await.json();
        assert_eq!(proxy.last_sent()["model"], sent, "{asked}");
    }
    ask(&proxy, &asked_of("opus")).await.json();
    assert_eq!(proxy.last_sent()["reasoning"]["effort"], "high");
}

#[tokio::test]
async fn the_list_of_models_has_pages_in_both_directions() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let list = async |query: String| {
        let request =
            proxy.http.get(format!("{}/v1/models?{query}", proxy.base)).header("anthropic-version", "2023-06-01");
        Answer::read(request.send().await.unwrap()).await.json()
    };
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&list("limit=1000".to_owned()).await);
    let mut forward = Vec::new();
    let mut page = list("limit=3".to_owned()).await;
    loop {
        forward.extend(ids(&page));
        if page["has_more"] == false {
            break;
        }
        page = list(format!("limit=3&after_id={}", page["last_id"].as_str().unwrap())).await;
    }
    assert_eq!(forward, all);
    let mut backward = vec![all.last().unwrap().clone()];
    let mut first = all.last().unwrap().clone();
    loop {
        let page = list(format!("limit=3&before_id={first}")).await;
        backward.splice(0..0, ids(&page));
        if page["has_more"] == false {
            break;
        }
        page["first_id"].as_str().unwrap().clone_into(&mut first);
    }
    assert_eq!(backward, all);
}

#[tokio::test]
async fn a_model_tells_what_it_can_do() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let model = async |id: &str| {
        let request =
            proxy.http.get(format!("{}/v1/models/{id}", proxy.base)).header("anthropic-version", "2023-06-01");
        Answer::read(request.send().await.unwrap()).await.json()["capabilities"].clone()
    };
    let yes = json!({ "supported": true });
    let no = json!({ "supported": false });
    let sol = model("gpt-6.1-sol").await;
    for able in ["image_input", "pdf_input", "structured_outputs", "citations"] {
        assert_eq!(sol[able], yes, "{able}");
    }
    for unable in ["batch", "code_execution"] {
        assert_eq!(sol[unable], no, "{unable}");
    }
    assert_eq!((&sol["effort"]["supported"], &sol["effort"]["max"]), (&json!(true), &yes));
    assert_eq!(sol["thinking"]["types"]["adaptive"], yes);
    assert_eq!(sol["server_tools"], json!({ "supported": true, "web_search": yes, "code_execution": no }));
    assert_eq!(sol["context_management"]["clear_thinking_20251015"], yes);
    assert_eq!(sol["context_management"]["compact_20260112"], no);
    assert_eq!(model("gpt-5.1-codex-mini").await["effort"]["max"], no);
}
