//! Searches of the web: what was found, and what the text cites.

use codex_proxy::simulator::{Scenario, ScriptedAnswer};
use serde_json::{Value, json};

use super::*;
use crate::odd_streams::stream_of;

#[tokio::test]
async fn a_search_shows_what_it_found() {
    let proxy = Proxy::start().await;
    let mut body = asked("search");
    body["tools"] = json!([{ "type": "web_search_20250305", "name": "web_search" }]);
    let message = both(&proxy, Scenario::WebSearch, &body).await;
    assert_eq!(kinds(&message)[..2], ["server_tool_use", "web_search_tool_result"]);
    assert_eq!(kinds(&message).last(), Some(&"text"), "the last block is text");
    let results = message["content"][1]["content"].as_array().unwrap();
    assert!(!results.is_empty() && results[0]["url"].as_str().unwrap().starts_with("http"), "{message}");
    assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 1);
    let cited = message["content"].as_array().unwrap().iter().find_map(|block| block["citations"].as_array());
    let citation = &cited.expect("a citation")[0];
    assert_eq!(citation["type"], "web_search_result_location");
    assert!(!citation["cited_text"].as_str().unwrap().is_empty());
    // It goes back as the backend's own item.
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": "and?" }),
    ]);
    ask(&proxy, &body).await.json();
    assert_eq!(proxy.last_sent()["input"][1]["type"], "web_search_call");
}

fn searching() -> Value {
    let mut body = asked("search");
    body["tools"] = json!([{ "type": "web_search_20250305", "name": "web_search" }]);
    body
}

fn urls(message: &Value) -> Vec<&str> {
    let blocks = message["content"].as_array().unwrap().iter();
    let results = blocks.filter(|block| block["type"] == "web_search_tool_result");
    results.flat_map(|block| block["content"].as_array().unwrap()).map(|page| page["url"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_pages_that_were_found_are_asked_for_and_shown() {
    let proxy = Proxy::start().await;
    let mut body = searching();
    let message = both(&proxy, Scenario::WebSearch, &body).await;
    assert!(proxy.last_sent()["include"].to_string().contains("web_search_call.action.sources"));
    assert_eq!(urls(&message).len(), 2, "one of them uncited: {message}");
    body["tools"].as_array_mut().unwrap().push(tool("f"));
    assert_eq!(urls(&both(&proxy, Scenario::WebSearch, &body).await).len(), 2, "beside other tools too");
    ask(&proxy, &asked("hi")).await.json();
    assert!(!proxy.last_sent()["include"].to_string().contains("sources"), "nobody searches");
}

#[tokio::test]
async fn a_backend_that_does_not_tell_what_it_found_is_asked_without() {
    let proxy = Proxy::start().await;
    let refusal = json!({ "error": { "code": "invalid_value", "param": "include[1]",
        "message": "Invalid value: 'web_search_call.action.sources'." } });
    proxy.next(Scenario::Scripted(ScriptedAnswer::json(http::StatusCode::BAD_REQUEST, &refusal)));
    proxy.next(Scenario::WebSearch);
    let answer = ask(&proxy, &searching()).await;
    assert_eq!((answer.status.as_u16(), proxy.calls()), (200, 2), "{}", answer.text);
    assert_eq!(proxy.last_sent()["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(urls(&answer.json()).len(), 1, "what the text cites");
}

#[tokio::test]
async fn a_search_is_required_and_left_to_the_model_where_the_backend_refuses_that() {
    let proxy = Proxy::start().await;
    let mut body = searching();
    for choice in [json!({ "type": "any" }), json!({ "type": "tool", "name": "web_search" })] {
        body["tool_choice"] = choice;
        both(&proxy, Scenario::WebSearch, &body).await;
        assert_eq!(proxy.last_sent()["tool_choice"], "required");
    }
    let refusal = json!({ "error": { "code": "invalid_value", "param": "tool_choice",
        "message": "Tool choice 'required' must be specified with 'tools' parameter." } });
    let refused = || Scenario::Scripted(ScriptedAnswer::json(http::StatusCode::BAD_REQUEST, &refusal));
    let calls = proxy.calls();
    proxy.next(refused());
    proxy.next(Scenario::WebSearch);
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), proxy.calls() - calls), (200, 2), "{}", answer.text);
    assert_eq!(proxy.last_sent()["tool_choice"], "auto");
    proxy.next(refused());
    proxy.next(refused());
    assert_eq!(ask(&proxy, &body).await.status.as_u16(), 400, "once");
    body["tools"].as_array_mut().unwrap().push(tool("f"));
    body["tool_choice"] = json!({ "type": "any" });
    let calls = proxy.calls();
    proxy.next(refused());
    assert_eq!((ask(&proxy, &body).await.status.as_u16(), proxy.calls() - calls), (400, 1), "a function is required");
}

#[tokio::test]
async fn reasoning_between_a_search_and_its_answer_lets_the_results_wait() {
    let proxy = Proxy::start().await;
    let done =
        |place: u64, item: Value| json!({ "type": "response.output_item.done", "output_index": place, "item": item });
    let citation =
        json!({ "type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 5 });
    let events = [
        done(0, json!({ "id": "ws_1", "type": "web_search_call", "action": { "type": "search", "query": "q" } })),
        done(
            1,
            json!({ "id": "r", "type": "reasoning", "encrypted_content": "gAAAA",
            "summary": [{ "type": "summary_text", "text": "thought" }] }),
        ),
        done(
            2,
            json!({ "id": "m", "type": "message", "content": [
            { "type": "output_text", "text": "cited", "annotations": [citation] }] }),
        ),
    ];
    let mut body = searching();
    body["thinking"] = json!({ "type": "adaptive" });
    let message = both(&proxy, stream_of(&events), &body).await;
    assert_eq!(kinds(&message), ["server_tool_use", "web_search_tool_result", "thinking", "text"]);
    assert_eq!(urls(&message), ["https://a.example"]);
    assert_eq!(message["content"][3]["citations"][0]["cited_text"], "cited");
}
