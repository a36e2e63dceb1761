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
async fn the_pages_of_an_earlier_search_are_left_out_where_the_backend_refuses_them() {
    let proxy = Proxy::start().await;
    let searched = json!([
        { "type": "server_tool_use", "id": "s", "name": "web_search", "input": { "query": "q" } },
        { "type": "web_search_tool_result", "tool_use_id": "s", "content": [
            { "type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "" }] },
        { "type": "text", "text": "found" },
    ]);
    let mut body = searching();
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend([json!({ "role": "assistant", "content": searched }), json!({ "role": "user", "content": "and?" })]);
    let refusal = |param: &str| {
        let error = json!({ "message": format!("Unknown parameter: '{param}'."), "type": "invalid_request_error",
            "param": param, "code": "unknown_parameter" });
        Scenario::Scripted(ScriptedAnswer::json(http::StatusCode::BAD_REQUEST, &json!({ "error": error })))
    };
    proxy.next(refusal("input[1].action.sources"));
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), proxy.calls()), (200, 2), "{}", answer.text);
    let sent = proxy.last_sent();
    assert_eq!(sent["input"][1]["action"], json!({ "type": "search", "query": "q" }));
    assert!(sent["include"].to_string().contains("sources"), "those of the answer are still wanted");
    assert_eq!(sent["input"].as_array().unwrap().len(), 4);
    // Each is given up once.
    for param in ["input[1].action.sources", "include[1]", "input[1].action.sources"] {
        proxy.next(refusal(param));
    }
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), proxy.calls()), (400, 5), "{}", answer.text);
}

#[tokio::test]
async fn a_search_is_one_under_the_names_of_every_api() {
    let proxy = Proxy::start().await;
    for kind in ["web_search", "web_search_preview", "web_search_20250305"] {
        let mut body = asked("search");
        body["tools"] = json!([{ "type": kind }]);
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.status.as_u16(), 200, "{kind}: {}", answer.text);
        assert_eq!(proxy.last_sent()["tools"], json!([{ "type": "web_search", "external_web_access": true }]));
    }
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

#[tokio::test]
async fn a_citation_before_its_text_waits_for_it() {
    let proxy = Proxy::start().await;
    let citation =
        json!({ "type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 5 });
    let of_message = |kind: &str, more: Value| {
        let mut event = json!({ "type": format!("response.output_text.{kind}"), "item_id": "m1", "output_index": 1, "content_index": 0 });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let events = [
        looked(0, json!({ "type": "search", "query": "q" })),
        of_message("annotation.added", json!({ "annotation_index": 0, "annotation": citation })),
        of_message("delta", json!({ "delta": "cited" })),
        of_message("delta", json!({ "delta": ", and more" })),
        done(
            1,
            json!({ "id": "m1", "type": "message", "content": [
            { "type": "output_text", "text": "cited, and more", "annotations": [citation] }] }),
        ),
        said(2, "next"),
    ];
    for body in [searching(), searching_beside_a_tool()] {
        let message = both(&proxy, stream_of(&events), &body).await;
        let texts: Vec<&Value> =
            message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "text").collect();
        assert_eq!(texts[0]["citations"][0]["cited_text"], "cited", "{message}");
        assert_eq!(
            (texts[0]["citations"].as_array().unwrap().len(), &texts[1]["citations"]),
            (1, &Value::Null),
            "{message}"
        );
    }
}

fn done(place: u64, item: Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": place, "item": item })
}

fn said(place: u64, text: &str) -> Value {
    done(
        place,
        json!({ "id": format!("m{place}"), "type": "message",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }] }),
    )
}

fn looked(place: u64, action: Value) -> Value {
    done(place, json!({ "id": format!("ws_{place}"), "type": "web_search_call", "action": action }))
}

/// A stream that ends with the model's own word on whether its turn is over.
fn ending(events: &[Value], end_turn: bool) -> ScriptedAnswer {
    let last = json!({ "type": "response.completed", "response": { "id": "r", "output": [], "end_turn": end_turn } });
    stream_of(&[events, &[last]].concat())
}

fn searching_beside_a_tool() -> Value {
    let mut body = searching();
    body["tools"].as_array_mut().unwrap().push(tool("f"));
    body
}

/// Claude Code takes an answer's text from its last block.
#[tokio::test]
async fn an_answer_ends_with_its_text_even_if_a_search_follows_it() {
    let proxy = Proxy::start().await;
    let search = || looked(1, json!({ "type": "search", "query": "q" }));
    for body in [searching_beside_a_tool(), searching()] {
        let message = both(&proxy, stream_of(&[said(0, "one"), search()]), &body).await;
        assert_eq!((kinds(&message), &message["stop_reason"]), (vec!["text"], &json!("end_turn")), "{message}");
        assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 1, "it was made");
        let message = both(&proxy, stream_of(&[said(0, "one"), search(), said(2, "two")]), &body).await;
        assert_eq!(kinds(&message), ["text", "server_tool_use", "web_search_tool_result", "text"]);
        let alone = both(&proxy, stream_of(&[search()]), &body).await;
        assert_eq!(kinds(&alone), ["server_tool_use", "web_search_tool_result"], "there is no text");
    }
}

#[tokio::test]
async fn a_turn_that_is_not_over_pauses_after_a_search() {
    let proxy = Proxy::start().await;
    let body = searching_beside_a_tool();
    let search = looked(1, json!({ "type": "search", "query": "q" }));
    let searched = [said(0, "one"), search.clone()];
    let message = both(&proxy, ending(&searched, false), &body).await;
    assert_eq!(message["stop_reason"], "pause_turn");
    assert_eq!(kinds(&message), ["text", "server_tool_use", "web_search_tool_result"]);
    let message = both(&proxy, ending(&searched, true), &body).await;
    assert_eq!((kinds(&message), &message["stop_reason"]), (vec!["text"], &json!("end_turn")));
    let message = both(&proxy, ending(&[search, said(2, "two")], false), &body).await;
    assert_eq!(message["stop_reason"], "end_turn", "the last item is a text");
    let chat = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    for answer in proxy.both(ending(&searched, false), &chat).await {
        assert_eq!(answer.message().finish, "stop");
    }
}

#[tokio::test]
async fn only_searches_count_as_searches() {
    let proxy = Proxy::start().await;
    let events = [
        looked(0, json!({ "type": "search", "query": "q" })),
        looked(1, json!({ "type": "open_page", "url": "https://a.example" })),
        looked(2, json!({ "type": "find_in_page", "url": "https://a.example", "pattern": "p" })),
        said(3, "done"),
    ];
    let message = both(&proxy, stream_of(&events), &searching_beside_a_tool()).await;
    assert_eq!(message["usage"]["server_tool_use"], json!({ "web_search_requests": 1 }));
    let ids: Vec<&Value> =
        message["content"].as_array().unwrap().iter().filter_map(|block| block.get("input")).collect();
    assert_eq!(ids.len(), 3, "each is shown");
    let message = both(&proxy, stream_of(&events[1..]), &searching_beside_a_tool()).await;
    assert_eq!(message["usage"].get("server_tool_use"), None);
}

#[tokio::test]
async fn a_search_may_read_the_web_as_it_is_now() {
    let proxy = Proxy::start().await;
    let mut body = searching();
    body["tools"][0]["blocked_domains"] = json!(["b.example"]);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "tools[0].blocked_domains, max_tokens");
    assert_eq!(proxy.last_sent()["tools"], json!([{ "type": "web_search", "external_web_access": true }]));
}
