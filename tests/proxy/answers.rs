//! What an answer holds, in both modes: nothing lost, nothing twice, nothing made up.

use codex_proxy::simulator::{Ending, IncompleteReason, Scenario, ScriptedAnswer};
use serde_json::{Value, json};

use super::harness::{Proxy, tool, user};
use crate::common::chat::Message;

/// Both modes give the same message; this is it.
async fn message(proxy: &Proxy, scenario: Scenario, body: &Value) -> Message {
    let [buffered, streamed] = proxy.both(scenario, body).await;
    let (buffered, mut streamed) = (buffered.message(), streamed.message());
    // The simulator counts the second request's cached tokens.
    streamed.usage = buffered.usage.clone();
    let ids = |message: &Message| message.calls.iter().map(|call| call.0.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&buffered).len(), ids(&streamed).len());
    for (mine, other) in streamed.calls.iter_mut().zip(&buffered.calls) {
        mine.0 = other.0.clone();
    }
    assert_eq!(buffered, streamed);
    buffered
}

fn two_tools() -> Value {
    let mut body = user("use get_weather and get_time");
    body["tools"] = json!([tool("get_weather"), tool("get_time")]);
    body
}

#[tokio::test]
async fn plain_text_with_usage() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::Default, &user("Hello, wörld 👋🏽!")).await;
    assert!(message.content.contains("Hello, wörld 👋🏽!"), "{}", message.content);
    assert_eq!(message.finish, "stop");
    assert!(message.usage["prompt_tokens"].as_u64().unwrap() > 0);
    assert!(message.usage["prompt_tokens_details"]["cached_tokens"].is_u64());
    assert!(message.usage["completion_tokens_details"]["reasoning_tokens"].is_u64());
}

#[tokio::test]
async fn interleaved_parallel_calls_keep_their_places() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::InterleavedCalls, &two_tools()).await;
    assert_eq!(message.finish, "tool_calls");
    let tools = message.tools();
    assert_eq!(tools.iter().map(|tool| tool.0).collect::<Vec<_>>(), ["get_weather", "get_time"]);
    for (_, arguments) in tools {
        assert!(serde_json::from_str::<Value>(arguments).unwrap()["city"].is_string(), "{arguments}");
    }
}

#[tokio::test]
async fn arguments_come_once_wherever_the_backend_puts_them() {
    let proxy = Proxy::start().await;
    let mut body = user("use get_weather");
    body["tools"] = json!([tool("get_weather")]);
    for scenario in [
        Scenario::Default,
        Scenario::ArgumentsOnlyInDone,
        Scenario::ArgumentsOnlyInItem,
        Scenario::DeltaBeforeItem,
        Scenario::StrayDelta,
        Scenario::LongIds,
    ] {
        let found = message(&proxy, scenario.clone(), &body).await;
        assert!(!found.calls.is_empty());
        for call in found.tools() {
            assert_eq!(call, ("get_weather", r#"{"city":"Paris"}"#), "{scenario:?}");
        }
        assert_eq!(found.finish, "tool_calls");
    }
}

#[tokio::test]
async fn text_comes_once_wherever_the_backend_puts_it() {
    let proxy = Proxy::start().await;
    for scenario in [
        Scenario::TextOnlyInDone,
        Scenario::TextOnlyInItem,
        Scenario::SingleDelta,
        Scenario::LongIds,
        Scenario::MalformedEvent,
        Scenario::Ending(Ending::NullOutput),
        Scenario::Ending(Ending::FullOutput),
    ] {
        let content = message(&proxy, scenario.clone(), &user("hi")).await.content;
        assert_eq!(
            content.matches("This is a simulation: no model was asked. 🎭\n\n").count(),
            1,
            "{scenario:?}: {content}"
        );
    }
}

#[tokio::test]
async fn several_messages_are_separated_by_a_blank_line() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::SeveralMessages, &user("hi")).await;
    assert!(message.content.contains("first. 🔎\n\nThis is"), "{:?}", message.content);
    assert!(message.content.contains("SeveralMessages\n\nA second message"), "{:?}", message.content);
    assert_eq!(message.finish, "stop");
}

#[tokio::test]
async fn every_piece_of_reasoning_arrives() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::SeveralReasoningItems, &user("hi")).await;
    let parts = [
        "First thought**\n\nAlpha.",
        "Second thought**\n\nBeta.",
        "Third thought**\n\nGamma.",
        "Fourth thought**\n\nDelta.",
    ];
    assert_eq!(message.reasoning, parts.map(|part| format!("**{part}")).join("\n\n"));
    assert!(!message.content.is_empty());
}

#[tokio::test]
async fn raw_reasoning_arrives_too() {
    let proxy = Proxy::start().await;
    assert!(!message(&proxy, Scenario::RawReasoning, &user("hi")).await.reasoning.is_empty());
}

#[tokio::test]
async fn a_refusal_is_a_refusal() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::Refusal, &user("hi")).await;
    assert!(!message.refusal.is_empty());
    assert_eq!((message.content.as_str(), message.finish.as_str()), ("", "stop"));
}

#[tokio::test]
async fn an_incomplete_answer_says_why() {
    let proxy = Proxy::start().await;
    for (reason, finish) in
        [(IncompleteReason::MaxOutputTokens, "length"), (IncompleteReason::ContentFilter, "content_filter")]
    {
        let message = message(&proxy, Scenario::Incomplete(reason), &user("hi")).await;
        assert_eq!(message.finish, finish);
        assert!(!message.content.is_empty());
    }
}

#[tokio::test]
async fn usage_without_details_counts_as_none_of_them() {
    let proxy = Proxy::start().await;
    let usage = message(&proxy, Scenario::Ending(Ending::BareUsage), &user("hi")).await.usage;
    assert!(usage["total_tokens"].as_u64().unwrap() > 0);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    let usage = message(&proxy, Scenario::Ending(Ending::NoUsage), &user("hi")).await.usage;
    assert!(usage.is_null(), "none is made up");
}

#[tokio::test]
async fn citations_are_annotations_and_a_search_is_no_call() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::WebSearch, &user("search")).await;
    assert!(message.calls.is_empty());
    assert_eq!(message.finish, "stop");
    assert_eq!(message.annotations.len(), 2);
    for annotation in &message.annotations {
        assert_eq!(annotation["type"], "url_citation");
        let citation = &annotation["url_citation"];
        let range = |name: &str| usize::try_from(citation[name].as_u64().unwrap()).unwrap();
        assert!(range("start_index") < range("end_index"));
        assert!(range("end_index") <= message.content.chars().count());
        assert!(citation["url"].as_str().unwrap().starts_with("http"));
    }
}

#[tokio::test]
async fn a_generated_image_is_a_data_url_and_no_call() {
    let proxy = Proxy::start().await;
    let message = message(&proxy, Scenario::ImageGeneration, &user("draw")).await;
    assert_eq!(message.images.len(), 1);
    assert!(message.images[0].starts_with("data:image/png;base64,"));
    assert!(message.calls.is_empty());
}

#[tokio::test]
async fn a_custom_tool_is_called_in_its_own_form() {
    let proxy = Proxy::start().await;
    for tools in [
        json!([{ "type": "custom", "custom": { "name": "apply_patch", "description": "d" } }]),
        json!([{ "type": "custom", "name": "apply_patch", "description": "d" }]),
    ] {
        let mut body = user("use apply_patch");
        body["tools"] = tools;
        let message = message(&proxy, Scenario::CustomToolCall, &body).await;
        assert_eq!(message.finish, "tool_calls");
        let call = &message.calls[0];
        assert_eq!((call.1.as_str(), call.2.as_str()), ("custom", "apply_patch"));
        assert!(!call.3.is_empty());
    }
}

#[tokio::test]
async fn legacy_functions_get_a_function_call() {
    let proxy = Proxy::start().await;
    let mut body = user("use get_weather");
    body["functions"] = json!([tool("get_weather")["function"]]);
    let message = message(&proxy, Scenario::Default, &body).await;
    assert_eq!(message.finish, "function_call");
    let (name, arguments) = message.function_call.unwrap();
    assert_eq!(name, "get_weather");
    assert!(serde_json::from_str::<Value>(&arguments).is_ok());
    assert!(message.calls.is_empty());
    assert_eq!(proxy.last_sent()["parallel_tool_calls"], false);
}

#[tokio::test]
async fn no_usage_unless_asked_when_streaming() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["stream"] = true.into();
    let answer = proxy.chat(&body).await;
    assert!(!answer.text.contains("\"usage\""), "{}", answer.text);
    answer.message();
}

#[tokio::test]
async fn usage_is_null_until_the_last_chunk_when_asked() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let events = proxy.chat(&body).await.events();
    let (last, others) = events.split_last().unwrap();
    assert!(others.iter().all(|event| event.get("usage").is_some_and(Value::is_null)));
    assert!(last["usage"]["total_tokens"].is_u64());
}

/// A stream of these events.
fn stream(events: &[Value]) -> ScriptedAnswer {
    ScriptedAnswer::stream().bytes(events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>())
}

fn completed(output: &Value) -> Value {
    json!({ "type": "response.completed", "response": { "id": "r", "status": "completed", "output": output } })
}

fn cited(text: &str) -> Value {
    let citation =
        json!({ "type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2 });
    let other =
        json!({ "type": "url_citation", "url": "https://b.example", "title": "B", "start_index": 1, "end_index": 2 });
    let part = json!({ "type": "output_text", "text": text, "annotations": [citation, other] });
    json!({ "type": "message", "id": "m", "role": "assistant", "content": [part] })
}

#[tokio::test]
async fn citations_that_only_the_finished_item_has_come_once() {
    let proxy = Proxy::start().await;
    let place = json!({ "item_id": "m", "output_index": 0, "content_index": 0 });
    let event = |kind: &str, more: Value| {
        let mut event = place.clone();
        event["type"] = kind.into();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let delta = event("response.output_text.delta", json!({ "delta": "Hi" }));
    let citation = cited("Hi")["content"][0]["annotations"][0].clone();
    let added =
        event("response.output_text.annotation.added", json!({ "annotation_index": 0, "annotation": citation }));
    let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": cited("Hi") });
    for events in [vec![delta.clone(), done.clone()], vec![delta, added, done.clone()], vec![done]] {
        let play = stream(&[events, vec![completed(&json!([]))]].concat());
        for answer in proxy.both(play, &user("hi")).await {
            let message = answer.message();
            assert_eq!(message.content, "Hi");
            let addresses: Vec<&Value> =
                message.annotations.iter().map(|annotation| &annotation["url_citation"]["url"]).collect();
            assert_eq!(addresses, ["https://a.example", "https://b.example"], "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn an_answer_that_only_its_last_event_tells_is_whole() {
    let proxy = Proxy::start().await;
    let call = json!({ "type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\":1}" });
    let mut body = user("hi");
    body["tools"] = json!([tool("f")]);
    for answer in proxy.both(stream(&[completed(&json!([cited("Hi"), call]))]), &body).await {
        let message = answer.message();
        assert_eq!((message.content.as_str(), message.finish.as_str()), ("Hi", "tool_calls"));
        assert_eq!(message.tools(), [("f", "{\"a\":1}")]);
        assert_eq!(message.annotations.len(), 2);
    }
}
