//! The model's reasoning: out under a seal, and back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{Scenario, ScriptedAnswer};
use serde_json::{Value, json};

use super::*;
use crate::harness::Setup;
use crate::odd_streams::stream_of;

#[tokio::test]
async fn reasoning_goes_out_sealed_and_comes_back_byte_for_byte() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("get_weather")]);
    let message = ask(&proxy, &body).await.json();
    assert_eq!(kinds(&message), ["thinking", "tool_use"]);
    assert_eq!(proxy.last_sent()["reasoning"]["summary"], "auto");
    let call = &message["content"][1];
    let result = json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "22" });
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": [result] }),
    ]);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "");
    let input = proxy.last_sent()["input"].clone();
    let kinds: Vec<&str> = input.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "reasoning", "function_call", "function_call_output"]);
    // The simulator refuses reasoning that it did not give, byte for byte.
    assert!(input[1]["encrypted_content"].as_str().unwrap().starts_with("gAAAA"), "{input}");
    assert!(input[1]["summary"].as_array().unwrap().len() > 1, "the summary's texts: {input}");
    // Under the seal of nobody, or of another program, it stays away, and the answer comes all the same. What is remembered
    // would take its place: so ask one that remembers nothing.
    let proxy = Proxy::start().await;
    let sealed = message["content"][0]["signature"].as_str().unwrap();
    let mut foreign = sealed.to_owned();
    foreign.replace_range(6..8, if &sealed[6..8] == "AA" { "BB" } else { "AA" });
    for signature in ["", "EqQBCgIYAh", foreign.as_str()] {
        let mut body = body.clone();
        body["messages"][1]["content"][0]["signature"] = signature.into();
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true", "{signature}");
        assert!(!proxy.last_sent()["input"].to_string().contains("\"reasoning\""), "{signature}");
    }
}

#[tokio::test]
async fn without_thinking_there_are_no_blocks_and_omitted_ones_have_no_text() {
    let proxy = Proxy::start().await;
    let several = both(&proxy, Scenario::SeveralReasoningItems, &asked("hi")).await;
    assert!(kinds(&several).iter().all(|kind| *kind == "text"), "{several}");
    assert_eq!(proxy.last_sent()["reasoning"]["summary"], Value::Null);
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive", "display": "omitted" });
    let omitted = both(&proxy, Scenario::SeveralReasoningItems, &body).await;
    assert_eq!(omitted["content"][0], json!({ "type": "thinking", "thinking": "", "signature": "set" }));
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": 5000 });
    both(&proxy, Scenario::Default, &body).await;
    assert_eq!(proxy.last_sent()["reasoning"]["effort"], "medium");
    body["thinking"] = json!({ "type": "disabled" });
    ask(&proxy, &body).await.json();
    assert_eq!(proxy.last_sent()["reasoning"]["effort"], "low", "the least that the model takes");
}

/// The turn after `message`, an answer to `body` with calls, as it is sent to the backend.
async fn turn_after(proxy: &Proxy, body: &Value, message: &Value) -> Value {
    let mut body = body.clone();
    let calls = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
    let results: Vec<Value> =
        calls.map(|call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "22" })).collect();
    let user = if results.is_empty() { json!("and?") } else { results.into() };
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": user }),
    ]);
    let answer = ask(proxy, &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-codex-proxy-reasoning-dropped")),
        (200, ""),
        "{}",
        answer.text
    );
    proxy.last_sent()
}

#[tokio::test]
async fn raw_reasoning_is_shown_and_does_not_come_back_as_a_summary() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive" });
    both(&proxy, Scenario::RawReasoning, &body).await;
    proxy.next(Scenario::RawReasoning);
    let message = ask(&proxy, &body).await.json();
    assert_eq!(message["content"][0]["thinking"], "raw thought one\n\nraw thought two");
    let sent = turn_after(&proxy, &body, &message).await;
    let reasoning = &sent["input"][1];
    assert_eq!((&reasoning["type"], &reasoning["summary"]), (&json!("reasoning"), &json!([])));
}

#[tokio::test]
async fn a_summary_of_several_parts_is_one_block_with_one_final_seal() {
    let proxy = Proxy::start().await;
    let part = |index: u64, text: &str| {
        json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "output_index": 0,
            "summary_index": index, "delta": text })
    };
    let item = |event: &str, encrypted: &str| {
        let summary = if event == "done" {
            json!([{ "type": "summary_text", "text": "one" }, { "type": "summary_text", "text": "two" }])
        } else {
            json!([])
        };
        json!({ "type": format!("response.output_item.{event}"), "output_index": 0,
            "item": { "id": "r", "type": "reasoning", "summary": summary, "encrypted_content": encrypted } })
    };
    let events = [item("added", "early"), part(0, "one"), part(1, "two"), item("done", "gAAAAfinal")];
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive" });
    let message = both(&proxy, stream_of(&events), &body).await;
    assert_eq!(message["content"], json!([{ "type": "thinking", "thinking": "one\n\ntwo", "signature": "set" }]));
    proxy.next(stream_of(&events));
    let message = ask(&proxy, &body).await.json();
    let seal = message["content"][0]["signature"].as_str().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(seal.strip_prefix("cpx1.").unwrap()).unwrap();
    assert!(bytes.ends_with(b"gAAAAfinal"), "what the finished item says");
}

#[tokio::test]
async fn as_many_turns_of_reasoning_go_back_as_the_client_asks_for() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive" });
    for _ in 0..2 {
        let message = ask(&proxy, &body).await.json();
        body["messages"].as_array_mut().unwrap().extend([
            json!({ "role": "assistant", "content": message["content"] }),
            json!({ "role": "user", "content": "and?" }),
        ]);
    }
    for (keep, count) in [
        (json!("all"), 2),
        (json!({ "type": "all" }), 2),
        (json!({ "type": "thinking_turns", "value": 2 }), 2),
        (json!({ "type": "thinking_turns", "value": 1 }), 1),
        (json!({ "type": "thinking_turns", "value": 0 }), 0),
    ] {
        body["context_management"] = json!({ "edits": [
            { "type": "clear_thinking_20251015", "keep": keep }, { "type": "clear_tool_uses_20250919" } ] });
        let answer = ask(&proxy, &body).await;
        assert_eq!(
            answer.header("x-codex-proxy-ignored"),
            "context_management.edits[1], max_tokens",
            "{}",
            answer.text
        );
        let sent = proxy.last_sent();
        let items = sent["input"].as_array().unwrap();
        let places: Vec<usize> = (0..items.len()).filter(|place| items[*place]["type"] == "reasoning").collect();
        assert_eq!(places.len(), count, "{keep}");
        assert!(places.first().is_none_or(|first| count == 2 || *first > 2), "the last turns': {keep}");
    }
}

#[tokio::test]
async fn cleared_thinking_is_not_remembered_either() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["tools"] = json!([tool("f")]);
    let mut messages = body["messages"].clone();
    for _ in 0..2 {
        body["messages"] = messages.clone();
        proxy.next(Scenario::CommentedCall);
        let message = ask(&proxy, &body).await.json();
        let call = message["content"].as_array().unwrap().last().unwrap();
        assert_eq!(call["type"], "tool_use", "{message}");
        assert_ne!(message["content"][0]["type"], "thinking", "none was asked for");
        messages.as_array_mut().unwrap().extend([
            json!({ "role": "assistant", "content": message["content"] }),
            json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": call["id"], "content": "1" }] }),
            json!({ "role": "assistant", "content": "done" }),
            json!({ "role": "user", "content": "again" }),
        ]);
    }
    body["messages"] = messages;
    for (keep, count) in [(Value::Null, 4), (json!({ "type": "thinking_turns", "value": 1 }), 2)] {
        body["context_management"] = json!({ "edits": [{ "type": "clear_thinking_20251015", "keep": keep }] });
        ask(&proxy, &body).await.json();
        let sent = proxy.last_sent();
        let reasoning = sent["input"].as_array().unwrap().iter().filter(|item| item["type"] == "reasoning");
        assert_eq!(reasoning.count(), count, "{keep}");
    }
}

#[tokio::test]
async fn reasoning_that_led_to_nothing_stays_away() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive" });
    let message = ask(&proxy, &body).await.json();
    // Claude Code keeps an answer of reasoning alone.
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [message["content"][0], { "type": "text", "text": "" }] }),
        json!({ "role": "user", "content": "and?" }),
    ]);
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-codex-proxy-reasoning-dropped")), (200, "true"));
}

#[tokio::test]
async fn reasoning_stays_where_only_the_effort_is_changed() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["model"] = "gpt-6.1-sol".into();
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("get_weather")]);
    let message = ask(&proxy, &body).await.json();
    proxy.next(Scenario::Scripted(ScriptedAnswer::json(
        http::StatusCode::BAD_REQUEST,
        &json!({ "error": { "code": "unsupported_value", "param": "reasoning.effort",
            "message": "Unsupported value: 'max'. Supported values are: 'low', 'medium', and 'high'." } }),
    )));
    body["output_config"] = json!({ "effort": "max" });
    let sent = turn_after(&proxy, &body, &message).await;
    assert_eq!((&sent["reasoning"]["effort"], &sent["input"][1]["type"]), (&json!("high"), &json!("reasoning")));
}

#[tokio::test]
async fn a_client_that_is_shown_no_thinking_has_it_remembered() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["tools"] = json!([tool("get_weather")]);
    proxy.next(Scenario::CommentedCall);
    let message = ask(&proxy, &body).await.json();
    assert_eq!(kinds(&message), ["text", "tool_use"], "no blocks of thinking");
    let sent = turn_after(&proxy, &body, &message).await;
    let kinds: Vec<&str> =
        sent["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "reasoning", "message", "reasoning", "function_call", "function_call_output"]);
}

#[tokio::test]
async fn thinking_that_can_no_longer_be_read_is_left_out_once() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("get_weather")]);
    let message = ask(&proxy, &body).await.json();
    proxy.simulator.forget_encrypted();
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": message["content"][1]["id"] }] }),
    ]);
    let calls = proxy.calls();
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-codex-proxy-reasoning-dropped")), (200, "true"));
    assert_eq!(proxy.calls() - calls, 2);
}

#[tokio::test]
async fn without_replay_thinking_is_shown_and_never_given_back() {
    let settings = ServerSettings { reasoning_replay: false, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let mut body = asked("call it");
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("get_weather")]);
    let message = both(&proxy, Scenario::Default, &body).await;
    assert_eq!((&message["content"][0]["type"], &message["content"][0]["signature"]), (&json!("thinking"), &json!("")));
    body["thinking"]["display"] = "omitted".into();
    let message = both(&proxy, Scenario::CommentedCall, &body).await;
    assert_eq!(kinds(&message), ["text", "tool_use"], "an empty block would hold nothing");
}

/// The item of reasoning at its beginning and its end, each with its encrypted content.
fn reasoning_item(early: &str, last: Option<&str>) -> [Value; 2] {
    let item = |event: &str, encrypted: Option<&str>| {
        let mut item = json!({ "id": "r", "type": "reasoning", "summary": [] });
        if let Some(encrypted) = encrypted {
            item["encrypted_content"] = encrypted.into();
        }
        json!({ "type": format!("response.output_item.{event}"), "output_index": 0, "item": item })
    };
    [item("added", Some(early)), item("done", last)]
}

#[tokio::test]
async fn early_reasoning_counts_where_the_finished_item_has_none() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive", "display": "omitted" });
    let call = json!({ "type": "response.output_item.done", "output_index": 1,
        "item": { "id": "f", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" } });
    for (last, kept) in [(None, "gAAAAearly"), (Some(""), "gAAAAearly"), (Some("gAAAAlast"), "gAAAAlast")] {
        let [added, done] = reasoning_item("gAAAAearly", last);
        proxy.next(stream_of(&[added, done, call.clone()]));
        let message = ask(&proxy, &body).await.json();
        let seal = message["content"][0]["signature"].as_str().unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(seal.strip_prefix("cpx1.").unwrap()).unwrap();
        assert!(bytes.ends_with(kept.as_bytes()), "{last:?}");
    }
    // What is remembered for a client that returns none is the same.
    let tools = json!([crate::harness::tool("f")]);
    let [added, done] = reasoning_item("gAAAAearly", None);
    proxy.next(stream_of(&[added, done, call]));
    let first = json!({ "model": "gpt-6.1-sol", "messages": [{ "role": "user", "content": "hi" }], "tools": tools });
    let message = proxy.chat(&first).await.json()["choices"][0]["message"].clone();
    let mut second = first.clone();
    second["messages"]
        .as_array_mut()
        .unwrap()
        .extend([message, json!({ "role": "tool", "tool_call_id": "c", "content": "1" })]);
    proxy.next(Scenario::Default);
    proxy.simulator.forget_requests();
    proxy.chat(&second).await;
    let sent = proxy.simulator.requests_to("/responses").first().unwrap().json();
    assert_eq!(sent["input"][1]["encrypted_content"], "gAAAAearly");
}

#[tokio::test]
async fn a_seal_around_nothing_is_none() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive" });
    let summary = json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "output_index": 0,
        "summary_index": 0, "delta": "one" });
    let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": { "id": "r",
        "type": "reasoning", "summary": [{ "type": "summary_text", "text": "one" }], "encrypted_content": "" } });
    let message = both(&proxy, stream_of(&[summary, done]), &body).await;
    assert_eq!(message["content"], json!([{ "type": "thinking", "thinking": "one", "signature": "" }]));
}

#[tokio::test]
async fn an_answer_without_its_thinking_has_it_remembered_beside_answers_with_theirs() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("get_weather")]);
    for drops in [false, true] {
        body["messages"].as_array_mut().unwrap().push(json!({ "role": "user", "content": "call it" }));
        let message = ask(&proxy, &body).await.json();
        let mut content = message["content"].clone();
        let call = content[1].clone();
        if drops {
            content = json!([call]);
        }
        body["messages"].as_array_mut().unwrap().extend([
            json!({ "role": "assistant", "content": content }),
            json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": call["id"], "content": "1" }] }),
        ]);
    }
    ask(&proxy, &body).await.json();
    let sent = proxy.last_sent();
    let kinds: Vec<&str> = sent["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .filter(|kind| *kind != "message")
        .collect();
    let round = ["reasoning", "function_call", "function_call_output"];
    assert_eq!(kinds, [round, round].concat());
}

#[tokio::test]
async fn a_beta_leaves_out_the_text_of_thinking_and_other_settings_leave_it() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    let ask_with = async |body: &Value, betas: &'static str| {
        let request = proxy.http.post(format!("{}/v1/messages", proxy.base)).header("anthropic-beta", betas);
        let request = request.header("content-type", "application/json").body(body.to_string());
        proxy.next(Scenario::SeveralReasoningItems);
        Answer::read(request.send().await.unwrap()).await
    };
    body["thinking"] = json!({ "type": "adaptive" });
    let message = ask_with(&body, "other-1,redact-thinking-2026-02-12").await.json();
    assert_eq!((&message["content"][0]["thinking"], kinds(&message)[0]), (&json!(""), "thinking"));
    assert_eq!(proxy.last_sent()["reasoning"].get("summary"), None);
    for thinking in [
        json!({ "type": "between_tools" }),
        json!({ "type": "adaptive", "display": "updates", "block_binding": { "prefix_mismatch_behavior": "drop_block" } }),
        json!({ "type": "enabled", "budget_tokens": 1024, "display": "summarized" }),
    ] {
        body["thinking"] = thinking;
        let answer = ask_with(&body, "interleaved-thinking-2025-05-14").await;
        assert_eq!(answer.header("x-codex-proxy-ignored"), "max_tokens", "{}", answer.text);
        assert_ne!(answer.json()["content"][0]["thinking"], "");
        assert_eq!(proxy.last_sent()["reasoning"]["summary"], "auto");
    }
}
