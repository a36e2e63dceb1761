//! Histories as clients send them, well-formed when they leave and with nothing missing.

use serde_json::{Value, json};

use super::harness::Proxy;

fn call(id: &str, name: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": "{}" } })
}

fn assistant(calls: &[Value]) -> Value {
    json!({ "role": "assistant", "content": null, "tool_calls": calls })
}

fn output(id: &str, text: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": text })
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// The items the backend got, each in a word or two.
async fn items(proxy: &Proxy, messages: Value) -> Vec<String> {
    let sent = proxy.sent(&json!({ "messages": messages })).await;
    let text = |item: &Value| item["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    let string = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    sent["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| match item["type"].as_str().unwrap() {
            "message" => format!("{}: {}", item["role"].as_str().unwrap(), text(item)),
            kind if kind.ends_with("_output") => format!("{}= {}", string(&item["call_id"]), string(&item["output"])),
            _ => format!("{}> {}", string(&item["call_id"]), string(&item["name"])),
        })
        .collect()
}

#[tokio::test]
async fn an_output_before_its_call_or_far_behind_it_comes_right_behind_it() {
    let proxy = Proxy::start().await;
    let before = json!([user("q"), output("a", "1"), assistant(&[call("a", "f")])]);
    assert_eq!(items(&proxy, before).await, ["user: q", "a> f", "a= 1"]);
    let apart = json!([user("q"), assistant(&[call("a", "f")]), user("wait"), { "role": "assistant", "content": "ok" }, output("a", "1")]);
    assert_eq!(items(&proxy, apart).await, ["user: q", "a> f", "a= 1", "user: wait", "assistant: ok"]);
}

#[tokio::test]
async fn a_second_output_and_one_without_a_call_are_quoted() {
    let proxy = Proxy::start().await;
    let messages = json!([
        user("q"),
        assistant(&[call("a", "f")]),
        output("a", "1"),
        output("a", "again"),
        output("x", "lost\nline")
    ]);
    assert_eq!(
        items(&proxy, messages).await,
        [
            "user: q",
            "a> f",
            "a= 1",
            "user: Another output of the tool call a:\nagain",
            "user: Output of the unknown tool call x:\nlost\nline",
        ]
    );
}

#[tokio::test]
async fn a_call_never_answered_gets_an_output_that_says_so() {
    let proxy = Proxy::start().await;
    let messages = json!([user("q"), assistant(&[call("a", "f"), call("b", "g")]), output("a", "1"), user("n")]);
    let expected = ["user: q", "a> f", "b> g", "a= 1", "b= No output was recorded for this tool call.", "user: n"];
    assert_eq!(items(&proxy, messages).await, expected);
}

#[tokio::test]
async fn outputs_of_calls_that_share_an_id_go_to_the_calls_in_their_order() {
    let proxy = Proxy::start().await;
    let apart = [assistant(&[call("c", "f")]), assistant(&[call("c", "g")]), assistant(&[call("c", "h")])];
    let outputs = [output("c", "1"), output("c", "2"), output("c", "3")];
    let expected = ["user: q", "c> f", "c_2> g", "c_3> h", "c= 1", "c_2= 2", "c_3= 3"];
    let messages: Vec<Value> = [user("q")].into_iter().chain(apart).chain(outputs).collect();
    assert_eq!(items(&proxy, json!(messages)).await, expected);
    // A call that was broken off stays without an output, and a second output is nobody else's.
    let messages = json!([
        user("q"),
        assistant(&[call("c", "f")]),
        user("stop"),
        assistant(&[call("c", "g")]),
        output("c", "1"),
        user("next"),
        assistant(&[call("c", "h")]),
        output("c", "2"),
        output("c", "again"),
        user("and"),
        assistant(&[call("c", "i")]),
        output("c", "3"),
    ]);
    let expected = [
        "user: q",
        "c> f",
        "c= No output was recorded for this tool call.",
        "user: stop",
        "c_2> g",
        "c_2= 1",
        "user: next",
        "c_3> h",
        "c_3= 2",
        "user: Another output of the tool call c:\nagain",
        "user: and",
        "c_4> i",
        "c_4= 3",
    ];
    assert_eq!(items(&proxy, messages).await, expected);
}

#[tokio::test]
async fn long_and_empty_ids_fit_on_both_sides() {
    let proxy = Proxy::start().await;
    let long = "call_".repeat(40);
    let messages =
        json!([user("q"), assistant(&[call(&long, "f"), call("", "g")]), output(&long, "1"), output("", "2")]);
    let sent = proxy.sent(&json!({ "messages": messages })).await;
    let ids: Vec<&str> = sent["input"].as_array().unwrap().iter().filter_map(|item| item["call_id"].as_str()).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| (1..=64).contains(&id.len())), "{ids:?}");
    assert_eq!((ids[0], ids[1]), (ids[2], ids[3]));
}

#[tokio::test]
async fn tool_contents_of_every_shape() {
    let proxy = Proxy::start().await;
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let cases = [
        (json!("plain"), json!("plain")),
        (json!("123"), json!("123")),
        (json!(r#"{"id": 12345678901234567890}"#), json!(r#"{"id": 12345678901234567890}"#)),
        (json!(""), json!("")),
        (json!(null), json!("")),
        (json!([]), json!("")),
        (json!([{ "type": "text", "text": "a" }, { "type": "text", "text": " b" }]), json!("a\n b")),
        (
            json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": image } }]),
            json!([{ "type": "input_text", "text": "a" }, { "type": "input_image", "image_url": image }]),
        ),
    ];
    for (content, expected) in cases {
        let tool = json!({ "role": "tool", "tool_call_id": "a", "content": content });
        let sent = proxy.sent(&json!({ "messages": [user("q"), assistant(&[call("a", "f")]), tool] })).await;
        assert_eq!(sent["input"][2]["output"], expected, "{content}");
    }
}

#[tokio::test]
async fn assistant_messages_of_every_shape() {
    let proxy = Proxy::start().await;
    let cases = [
        (json!({ "content": "text" }), json!(["text"])),
        (json!({ "content": "" }), json!([])),
        (json!({ "content": null }), json!([])),
        (
            json!({ "content": [{ "type": "text", "text": "a" }, { "type": "refusal", "refusal": "no" }] }),
            json!(["a", "no"]),
        ),
        (json!({ "content": null, "refusal": "I won't" }), json!(["I won't"])),
        (json!({ "content": "x", "reasoning_content": "thought", "annotations": [], "audio": null }), json!(["x"])),
    ];
    for (fields, expected) in cases {
        let mut message = json!({ "role": "assistant" });
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let sent = proxy.sent(&json!({ "messages": [user("q"), message, user("n")] })).await;
        let said: Vec<&Value> = sent["input"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["role"] == "assistant")
            .flat_map(|item| item["content"].as_array().unwrap())
            .inspect(|part| assert_eq!(part["type"], "output_text"))
            .map(|part| &part["text"])
            .collect();
        assert_eq!(json!(said), expected, "{fields}");
    }
    let both = json!([user("q"), { "role": "assistant", "content": "let me see", "tool_calls": [call("a", "f")] }, output("a", "1")]);
    assert_eq!(items(&proxy, both).await, ["user: q", "assistant: let me see", "a> f", "a= 1"]);
}

#[tokio::test]
async fn a_call_in_the_forms_of_two_apis_is_one_call() {
    let proxy = Proxy::start().await;
    let twice = |input: Value, arguments: &str, name: &str| {
        let block = json!({ "type": "tool_use", "id": "a", "name": "f", "input": input });
        let call = json!({ "id": "a", "type": "function", "function": { "name": name, "arguments": arguments } });
        json!({ "messages": [user("q"), { "role": "assistant", "content": [block], "tool_calls": [call] }, output("a", "1")] })
    };
    for (input, arguments) in
        [(json!({}), "{}"), (json!({ "a": 1, "b": ["ä", null] }), r#"{"b": ["\u00e4", null], "a": 1}"#)]
    {
        let sent = proxy.sent(&twice(input.clone(), arguments, "f")).await;
        assert_eq!(sent["input"].as_array().unwrap().len(), 3, "{arguments}: {sent}");
        assert_eq!(
            (&sent["input"][1]["arguments"], &sent["input"][2]["output"]),
            (&json!(input.to_string()), &json!("1"))
        );
    }
    for (input, arguments, name) in [
        (json!({}), "{}", "g"),
        (json!({ "a": 1 }), "{}", "f"),
        (json!({ "a": 1 }), r#"{"a":1.0}"#, "f"),
        (json!({ "a": [1, 2] }), r#"{"a":[1]}"#, "f"),
        (json!({}), "", "f"),
    ] {
        let sent = proxy.sent(&twice(input, arguments, name)).await;
        let ids: Vec<&str> =
            sent["input"].as_array().unwrap().iter().filter_map(|item| item["call_id"].as_str()).collect();
        assert_eq!(ids, ["a", "a_2", "a", "a_2"], "{arguments}");
    }
}

#[tokio::test]
async fn custom_calls_and_their_outputs() {
    let proxy = Proxy::start().await;
    let custom = json!({ "id": "a", "type": "custom", "custom": { "name": "patch", "input": "*** Begin\n" } });
    let messages = json!([user("q"), assistant(&[custom]), output("a", "done")]);
    let sent = proxy.sent(&json!({ "messages": messages })).await;
    assert_eq!(
        sent["input"][1],
        json!({ "type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "*** Begin\n" })
    );
    assert_eq!(sent["input"][2], json!({ "type": "custom_tool_call_output", "call_id": "a", "output": "done" }));
}

#[tokio::test]
async fn the_same_legacy_function_twice() {
    let proxy = Proxy::start().await;
    let legacy = |arguments: &str| json!({ "role": "assistant", "content": null, "function_call": { "name": "f", "arguments": arguments } });
    let result = |text: &str| json!({ "role": "function", "name": "f", "content": text });
    let messages =
        json!([user("q"), legacy("{\"n\":1}"), result("one"), legacy("{\"n\":2}"), result("two"), result("three")]);
    let found = items(&proxy, messages).await;
    assert_eq!(found[1..5], ["call_legacy_0> f", "call_legacy_0= one", "call_legacy_1> f", "call_legacy_1= two"]);
    assert_eq!(found[5], "user: Output of the function f:\nthree");
}

#[tokio::test]
async fn arguments_that_are_no_string_become_one() {
    let proxy = Proxy::start().await;
    let odd = json!({ "id": "a", "type": "function", "function": { "name": "f", "arguments": { "n": 1 } } });
    let bare = json!({ "id": "b", "function": { "name": "g" } });
    let messages = json!([user("q"), assistant(&[odd, bare]), output("a", "1"), output("b", "2")]);
    let sent = proxy.sent(&json!({ "messages": messages })).await;
    assert_eq!(sent["input"][1]["arguments"], r#"{"n":1}"#);
    assert_eq!(sent["input"][2]["arguments"], "");
}

/// A turn that ends in a call, and the messages with which a client goes on.
async fn tool_round(proxy: &Proxy) -> Value {
    let mut body = json!({ "model": "gpt-6.1-sol", "messages": [user("use f")], "tools": [super::harness::tool("f")] });
    let message = proxy.chat(&body).await.json()["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].as_str().unwrap().to_owned();
    body["messages"].as_array_mut().unwrap().extend([message, output(&id, "1")]);
    body
}

fn kinds(sent: &Value) -> Vec<&str> {
    sent["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn reasoning_comes_back_before_the_call_it_led_to() {
    let proxy = Proxy::start().await;
    let next = tool_round(&proxy).await;
    let sent = proxy.sent(&next).await;
    assert_eq!(kinds(&sent), ["message", "reasoning", "function_call", "function_call_output"]);
    assert!(sent["input"][1]["encrypted_content"].is_string());
    assert!(sent["input"][1].get("id").is_none());
}

#[tokio::test]
async fn refused_reasoning_is_left_out_once() {
    use codex_proxy::simulator::{HttpFault, Scenario};
    let proxy = Proxy::start().await;
    let next = tool_round(&proxy).await;
    proxy.simulator.forget_requests();
    proxy.next(Scenario::Http(HttpFault::InvalidEncryptedContent));
    proxy.chat(&next).await.message();
    assert_eq!(proxy.calls(), 2);
    assert_eq!(kinds(&proxy.last_sent()), ["message", "function_call", "function_call_output"]);
}

#[tokio::test]
async fn reasoning_replay_can_be_turned_off() {
    use codex_proxy::server::settings::ServerSettings;
    let settings = ServerSettings { reasoning_replay: false, ..ServerSettings::default() };
    let proxy = Proxy::with(super::harness::Setup { settings, ..Default::default() }).await;
    let next = tool_round(&proxy).await;
    assert_eq!(kinds(&proxy.sent(&next).await), ["message", "function_call", "function_call_output"]);
}

#[tokio::test]
async fn two_calls_of_one_id_in_one_message_keep_their_outputs_apart() {
    let proxy = Proxy::start().await;
    let messages =
        json!([user("q"), assistant(&[call("d", "first"), call("d", "second")]), output("d", "1"), output("d", "2")]);
    assert_eq!(items(&proxy, messages).await, ["user: q", "d> first", "d_2> second", "d= 1", "d_2= 2"]);
}

#[tokio::test]
async fn what_an_assistant_cannot_hold_is_not_lost() {
    let proxy = Proxy::start().await;
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let content = json!([{ "type": "text", "text": "t" }, { "type": "image_url", "image_url": { "url": image } }]);
    let messages = json!([user("q"), { "role": "assistant", "content": content }, user("n")]);
    let sent = proxy.sent(&json!({ "messages": messages })).await;
    assert_eq!(sent["input"][1]["content"], json!([{ "type": "output_text", "text": "t" }]));
    assert_eq!(sent["input"][2]["role"], "user");
    assert_eq!(sent["input"][2]["content"], json!([{ "type": "input_image", "image_url": image }]));

    let shown = json!({ "type": "image_url", "image_url": { "url": image } });
    let text = |text: &str| json!({ "type": "text", "text": text });
    let content = json!([text("A"), text("B"), shown, shown, text(""), text("C")]);
    let spoken = json!({ "role": "assistant", "content": content, "refusal": "D", "tool_calls": [call("a", "f")] });
    let sent = proxy.sent(&json!({ "messages": [user("q"), spoken, output("a", "1")] })).await;
    let input = sent["input"].as_array().unwrap();
    let roles: Vec<&Value> = input.iter().map(|item| item.get("role").unwrap_or(&item["type"])).collect();
    assert_eq!(
        roles,
        ["user", "assistant", "user", "assistant", "function_call", "function_call_output"],
        "its order is kept"
    );
    let said =
        |item: &Value| item["content"].as_array().unwrap().iter().map(|part| part["text"].clone()).collect::<Vec<_>>();
    assert_eq!((said(&input[1]), input[2]["content"].as_array().unwrap().len()), (vec!["A".into(), "B".into()], 2));
    assert_eq!(said(&input[3]), ["C", "D"]);
}
