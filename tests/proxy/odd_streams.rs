//! Streams that leave something out, say something twice or take turns: nothing of them is lost.

use codex_proxy::simulator::ScriptedAnswer;
use serde_json::{Value, json};

use super::failures::in_stream_code;
use super::harness::{Proxy, user};

/// A stream of `events` between its beginning and its end.
pub(crate) fn stream_of(events: &[Value]) -> ScriptedAnswer {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let completed = json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [] } });
    let events = std::iter::once(&created).chain(events).chain([&completed]);
    ScriptedAnswer::stream().bytes(events.map(|event| format!("data: {event}\n\n")).collect::<String>())
}

#[tokio::test]
async fn a_whole_text_completes_what_deltas_left_out() {
    let proxy = Proxy::start().await;
    let item = |item: &Value| json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
    let text = |event: &str, key: &str, text: &str| json!({ "type": format!("response.output_text.{event}"), "item_id": "m", "output_index": 0, "content_index": 0, key: text });
    let message = |text: &str| json!({ "id": "m", "type": "message", "content": [{ "type": "output_text", "text": text, "annotations": [] }] });
    for (events, expected) in [
        (vec![text("delta", "delta", "hel"), text("done", "text", "hello\n\"")], "hello\n\""),
        (vec![text("delta", "delta", "hel"), item(&message("hello"))], "hello"),
        (
            vec![text("delta", "delta", "hel"), text("done", "text", "hello"), item(&message("hello, you"))],
            "hello, you",
        ),
    ] {
        for answer in proxy.both(stream_of(&events), &user("hi")).await {
            assert_eq!(answer.message().content, expected, "{events:?}");
        }
    }
    let summary = json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "output_index": 0, "summary_index": 0, "delta": "ab" });
    let part = json!({ "type": "response.reasoning_summary_part.done", "item_id": "r", "output_index": 0, "summary_index": 1, "part": { "type": "summary_text", "text": "second" } });
    let reasoning =
        item(&json!({ "id": "r", "type": "reasoning", "summary": [{ "type": "summary_text", "text": "abcd" }] }));
    for answer in proxy.both(stream_of(&[summary, reasoning, part]), &user("hi")).await {
        assert_eq!(answer.message().reasoning, "abcd\n\nsecond");
    }
}

#[tokio::test]
async fn a_whole_call_completes_what_deltas_left_out() {
    let proxy = Proxy::start().await;
    let call = |name: &str, arguments: &str| json!({ "id": "f", "type": "function_call", "call_id": "c", "name": name, "arguments": arguments });
    let unsaid = json!({ "id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": null });
    let added = |call: &Value| json!({ "type": "response.output_item.added", "output_index": 0, "item": call });
    let ended = |call: &Value| json!({ "type": "response.output_item.done", "output_index": 0, "item": call });
    let delta = |id: &str, delta: &str| json!({ "type": "response.function_call_arguments.delta", "item_id": id, "output_index": 0, "delta": delta });
    let done = json!({ "type": "response.function_call_arguments.done", "item_id": "f", "output_index": 0, "arguments": "{\"a\":1}" });
    for events in [
        vec![added(&call("n", "")), delta("f", "{\"a\""), done.clone(), ended(&call("n", "{\"a\":1}"))],
        vec![added(&call("n", "")), delta("f", "{\"a\""), ended(&call("n", "{\"a\":1}"))],
        vec![added(&call("", "")), delta("f", "{\"a\":1}"), ended(&call("n", "{\"a\":1}"))],
        vec![delta("x", "{\"a"), added(&call("n", "")), delta("y", "\":1}"), ended(&unsaid)],
        vec![delta("x", "{\"a"), delta("y", "\":1}"), ended(&unsaid)],
    ] {
        for answer in proxy.both(stream_of(&events), &user("hi")).await {
            assert_eq!(answer.message().tools(), [("n", "{\"a\":1}")], "{events:?}");
        }
    }
}

#[tokio::test]
async fn messages_that_take_turns_stay_apart() {
    let proxy = Proxy::start().await;
    let delta = |id: &str, place: u64, text: &str| json!({ "type": "response.output_text.delta", "item_id": id, "output_index": place, "content_index": 0, "delta": text });
    let events = [delta("a", 0, "a1"), delta("b", 1, "b1"), delta("b", 1, "b2"), delta("a", 0, "a2")];
    for answer in proxy.both(stream_of(&events), &user("hi")).await {
        assert_eq!(answer.message().content, "a1a2\n\nb1b2");
    }
}

#[tokio::test]
async fn every_image_has_a_place_of_its_own() {
    let proxy = Proxy::start().await;
    let image = |place: u64, data: &str| {
        let item = json!({ "id": format!("ig_{place}"), "type": "image_generation_call", "result": data });
        json!({ "type": "response.output_item.done", "output_index": place, "item": item })
    };
    for answer in proxy.both(stream_of(&[image(0, "AAAA"), image(1, "BBBB")]), &user("hi")).await {
        assert_eq!(answer.message().images.len(), 2);
        assert!(
            answer.text.contains(r#""index":0,"image_url":{"url":"data:image/png;base64,AAAA""#),
            "{}",
            answer.text
        );
        assert!(
            answer.text.contains(r#""index":1,"image_url":{"url":"data:image/png;base64,BBBB""#),
            "{}",
            answer.text
        );
    }
}

fn named(kind: &str, fields: Value) -> Value {
    let mut event = json!({ "type": format!("response.{kind}"), "output_index": 0 });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

/// A message of "Hello", whose finished item has this content.
fn message_ending(content: &Value) -> Vec<Value> {
    let item = |content: &Value| json!({ "id": "m", "type": "message", "role": "assistant", "content": content });
    let of = |fields: Value| {
        let mut at = json!({ "item_id": "m", "content_index": 0 });
        at.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        at
    };
    vec![
        named("output_item.added", json!({ "item": item(&json!([])) })),
        named("output_text.delta", of(json!({ "delta": "Hello" }))),
        named("output_text.done", of(json!({ "text": "Hello" }))),
        named("output_item.done", json!({ "item": item(content) })),
    ]
}

/// A call of `f` with `{"a":1}`, whose finished item has these arguments.
fn call_ending(arguments: &Value) -> Vec<Value> {
    let item = |arguments: &Value| json!({ "id": "c", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": arguments });
    vec![
        named("output_item.added", json!({ "item": item(&"".into()) })),
        named("function_call_arguments.delta", json!({ "item_id": "c", "delta": r#"{"a":1}"# })),
        named("function_call_arguments.done", json!({ "item_id": "c", "arguments": r#"{"a":1}"# })),
        named("output_item.done", json!({ "item": item(arguments) })),
    ]
}

/// A finished form that has lost what came before it is no correction of it. A client of `/v1/responses` gets the form
/// itself, and would lose the text with it.
#[tokio::test]
async fn an_empty_finished_form_takes_nothing_away() {
    let proxy = Proxy::start().await;
    let empty_part = json!([{ "type": "output_text", "text": "", "annotations": [] }]);
    let messages = [json!([]), Value::Null, empty_part].map(|content| message_ending(&content));
    let calls = ["".into(), Value::Null].map(|arguments| call_ending(&arguments));
    for events in messages.iter().chain(&calls) {
        for answer in proxy.both(stream_of(events), &user("hi")).await {
            let message = answer.message();
            let is_whole = message.content == "Hello" || message.tools() == [("f", r#"{"a":1}"#)];
            assert!(is_whole, "{events:?}: {}", answer.text);
        }
        let [document, stream] = proxy.both_responses(stream_of(events), &json!({ "input": "hi" })).await;
        assert_eq!(document.error()["code"], "upstream_answer_inconsistent", "{events:?}: {}", document.text);
        assert_eq!(in_stream_code(&stream), "upstream_answer_inconsistent", "{events:?}");
    }
    let whole = json!([{ "type": "output_text", "text": "Hello", "annotations": [] }]);
    let last = json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [
        { "id": "m", "type": "message", "role": "assistant", "content": [] } ] } });
    let events: Vec<Value> = message_ending(&whole).into_iter().chain([last]).collect();
    let play =
        || ScriptedAnswer::stream().bytes(events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>());
    let [document, stream] = proxy.both_responses(play(), &json!({ "input": "hi" })).await;
    assert_eq!(document.error()["code"], "upstream_answer_inconsistent", "{}", document.text);
    assert_eq!(in_stream_code(&stream), "upstream_answer_inconsistent");
}

#[tokio::test]
async fn a_keepalive_counts_in_its_own_way() {
    let proxy = Proxy::start().await;
    let whole = json!([{ "type": "output_text", "text": "Hello", "annotations": [] }]);
    for keepalives in [vec![466], vec![3, 4], vec![2], vec![466, 467]] {
        let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
        let completed = json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [] } });
        let mut events: Vec<Value> = [created].into_iter().chain(message_ending(&whole)).chain([completed]).collect();
        let mut numbers = (0..).filter(|number| *number < 3 || !keepalives.contains(number));
        events.iter_mut().for_each(|event| event["sequence_number"] = numbers.next().unwrap().into());
        let asides = keepalives.iter().map(|number| json!({ "type": "keepalive", "sequence_number": number }));
        events.splice(3..3, asides);
        let bytes: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        for answer in proxy.both(ScriptedAnswer::stream().bytes(bytes.clone()), &user("hi")).await {
            assert_eq!(answer.message().content, "Hello", "{keepalives:?}");
        }
        let asked = json!({ "input": "hi" });
        for answer in proxy.both_responses(ScriptedAnswer::stream().bytes(bytes.clone()), &asked).await {
            assert!(
                answer.text.contains("Hello") && !answer.text.contains("error\":{"),
                "{keepalives:?}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn reasoning_and_its_summary_stand_in_the_order_of_their_beginnings() {
    let proxy = Proxy::start().await;
    let raw = named("reasoning_text.delta", json!({ "item_id": "r", "content_index": 0, "delta": "raw" }));
    let summary =
        named("reasoning_summary_text.delta", json!({ "item_id": "r", "summary_index": 0, "delta": "short" }));
    let ended = named(
        "output_item.done",
        json!({ "item": { "id": "r", "type": "reasoning",
        "summary": [{ "type": "summary_text", "text": "short" }], "content": [{ "type": "reasoning_text", "text": "raw" }] } }),
    );
    for (events, expected) in [
        (vec![raw.clone(), summary.clone(), ended.clone()], "raw\n\nshort"),
        (vec![raw, ended.clone()], "raw\n\nshort"),
        (vec![summary, ended.clone()], "short\n\nraw"),
        (vec![ended], "short\n\nraw"),
    ] {
        for answer in proxy.both(stream_of(&events), &user("hi")).await {
            assert_eq!(answer.message().reasoning, expected, "{events:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn refusals_stand_apart_like_texts() {
    let proxy = Proxy::start().await;
    let delta = |id: &str, place: u64, text: &str| json!({ "type": "response.refusal.delta", "item_id": id, "output_index": place, "content_index": 0, "delta": text });
    for answer in proxy.both(stream_of(&[delta("a", 0, "No."), delta("b", 1, "Never.")]), &user("hi")).await {
        assert!(answer.text.contains("No."), "{}", answer.text);
        let refusal = match answer.header("content-type") {
            "application/json" => answer.json()["choices"][0]["message"]["refusal"].as_str().unwrap().to_owned(),
            _ => answer.events().iter().filter_map(|event| event["choices"][0]["delta"]["refusal"].as_str()).collect(),
        };
        assert_eq!(refusal, "No.\n\nNever.");
    }
}

#[tokio::test]
async fn an_end_without_its_response_is_none_for_those_who_read_it() {
    let proxy = Proxy::start().await;
    let delta = named("output_text.delta", json!({ "item_id": "m", "content_index": 0, "delta": "Hello" }));
    let bytes = format!("data: {delta}\n\ndata: {}\n\n", json!({ "type": "response.completed" }));
    let play = || ScriptedAnswer::stream().bytes(bytes.clone());
    for answer in proxy.both(play(), &user("hi")).await {
        assert_eq!(answer.message().content, "Hello");
    }
    let [document, stream] = proxy.both_responses(play(), &json!({ "input": "hi" })).await;
    assert_eq!(document.error()["code"], "upstream_answer_inconsistent");
    assert_eq!(in_stream_code(&stream), "upstream_answer_inconsistent");
}

#[tokio::test]
async fn an_estimate_of_tokens_has_no_details() {
    let proxy = Proxy::start().await;
    let said = |usage: Value| {
        let delta = named("output_text.delta", json!({ "item_id": "m", "content_index": 0, "delta": "Hello END" }));
        let last =
            json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [], "usage": usage } });
        ScriptedAnswer::stream().bytes(format!("data: {delta}\n\ndata: {last}\n\n"))
    };
    let told = json!({ "input_tokens": 3, "input_tokens_details": { "cached_tokens": 2 }, "output_tokens": 4, "output_tokens_details": null });
    let mut stopping = user("hi");
    stopping["stop"] = "END".into();
    for (request, details) in [(user("hi"), [true, true]), (stopping, [false, false])] {
        for answer in proxy.both(said(told.clone()), &request).await {
            let usage = match answer.header("content-type") {
                "application/json" => answer.json()["usage"].clone(),
                _ => answer.events().last().unwrap()["usage"].clone(),
            };
            let known = ["prompt_tokens_details", "completion_tokens_details"].map(|name| usage[name].is_object());
            assert_eq!(known, details, "{usage}");
        }
    }
}
