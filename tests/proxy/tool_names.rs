//! Names of tools that the backend does not take: sent as others, and given back as the client's own.

use codex_proxy::simulator::Scenario;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, tool, user};

const DOTTED: &str = "google.calendar/list events";

fn long() -> String {
    "mcp__a_server_with_a_long_name__a_tool_with_an_even_longer_name_than_that".to_owned()
}

fn is_fit(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn scenarios() -> [Scenario; 5] {
    [
        Scenario::Default,
        Scenario::InterleavedCalls,
        Scenario::ArgumentsOnlyInDone,
        Scenario::ArgumentsOnlyInItem,
        Scenario::DeltaBeforeItem,
    ]
}

#[tokio::test]
async fn chat_calls_come_back_under_their_own_names_in_both_modes() {
    let proxy = Proxy::start().await;
    let mut body = user("go on");
    body["tools"] = json!([tool(DOTTED), tool(&long())]);
    body["tool_choice"] = "required".into();
    for scenario in scenarios() {
        for answer in proxy.both(scenario.clone(), &body).await {
            let message = answer.message();
            assert!(!message.calls.is_empty(), "{scenario:?}");
            for (name, _) in message.tools() {
                assert!(name == DOTTED || name == long(), "{scenario:?}: {name}");
            }
        }
        let sent = proxy.last_sent();
        for tool in sent["tools"].as_array().unwrap() {
            assert!(is_fit(tool["name"].as_str().unwrap()), "{tool}");
        }
    }
}

#[tokio::test]
async fn a_choice_and_the_history_name_the_same_tool() {
    let proxy = Proxy::start().await;
    let call = json!({ "id": "a", "type": "function", "function": { "name": DOTTED, "arguments": "{}" } });
    let custom = json!({ "id": "b", "type": "custom", "custom": { "name": "ap/ply", "input": "x" } });
    let mut body = json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": null, "tool_calls": [call, custom] },
        { "role": "tool", "tool_call_id": "a", "content": "1" },
        { "role": "tool", "tool_call_id": "b", "content": "2" },
    ] });
    body["tools"] = json!([tool(DOTTED), { "type": "custom", "custom": { "name": "ap/ply" } }, tool("fine")]);
    let allowed = json!({ "type": "allowed_tools", "allowed_tools": { "mode": "auto", "tools": [
        { "type": "function", "function": { "name": DOTTED } }, { "type": "function", "function": { "name": "fine" } },
    ] } });
    body["tool_choice"] = json!({ "type": "function", "function": { "name": DOTTED } });
    let sent = proxy.sent(&body).await;
    let name = sent["tools"][0]["name"].clone();
    assert!(name.as_str().unwrap().starts_with("google_calendar_list_events_"), "{name}");
    assert_eq!(sent["tools"][2]["name"], "fine");
    assert_eq!((&sent["tool_choice"]["name"], &sent["input"][1]["name"]), (&name, &name));
    assert_eq!(sent["input"][2]["name"], sent["tools"][1]["name"]);
    body["tool_choice"] = allowed;
    let again = proxy.sent(&body).await;
    assert_eq!(again["tool_choice"]["tools"][0]["name"], name, "the same on every turn");
    assert_eq!(again["tool_choice"]["tools"][1]["name"], "fine");
    assert_eq!(again["prompt_cache_key"], sent["prompt_cache_key"]);
}

#[tokio::test]
async fn legacy_functions_have_their_names_back() {
    let proxy = Proxy::start().await;
    let mut body = user("go on");
    body["functions"] = json!([tool(DOTTED)["function"]]);
    body["function_call"] = json!({ "name": DOTTED });
    for answer in proxy.both(Scenario::Default, &body).await {
        assert_eq!(answer.message().function_call.unwrap().0, DOTTED);
    }
    let history = json!([
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": null, "function_call": { "name": DOTTED, "arguments": "{}" } },
        { "role": "function", "name": DOTTED, "content": "1" },
    ]);
    let sent = proxy.sent(&json!({ "messages": history })).await;
    assert!(is_fit(sent["input"][1]["name"].as_str().unwrap()));
    assert_eq!(sent["input"][2]["output"], "1");
}

#[tokio::test]
async fn responses_calls_come_back_under_their_own_names() {
    let proxy = Proxy::start().await;
    let function = |name: &str| json!({ "type": "function", "name": name, "parameters": {}, "strict": false });
    let body = json!({ "input": "go on", "tools": [function(DOTTED), function(&long())], "tool_choice": "required" });
    for scenario in scenarios() {
        let [buffered, streamed] = proxy.both_responses(scenario.clone(), &body).await;
        let events = streamed.events();
        let items: Vec<&Value> = events.iter().map(|event| &event["item"]).filter(|item| !item.is_null()).collect();
        let last = &events.last().unwrap()["response"];
        let outputs = [&buffered.json(), last].map(|response| response["output"].as_array().unwrap().clone());
        let all = items.into_iter().cloned().chain(outputs.into_iter().flatten());
        let names: Vec<Value> =
            all.filter(|item| item["type"] == "function_call").map(|item| item["name"].clone()).collect();
        assert!(names.len() >= 4, "{scenario:?}");
        assert!(names.iter().all(|name| name == DOTTED || *name == long()), "{scenario:?}: {names:?}");
        for event in events.iter().filter(|event| event["name"].is_string()) {
            assert!(event["name"] == DOTTED || event["name"] == long(), "{event}");
        }
        let lines: Vec<&str> = streamed.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(lines.len(), events.len(), "each event keeps its line");
    }
}

#[tokio::test]
async fn names_on_the_responses_api_are_the_same_wherever_they_stand() {
    let proxy = Proxy::start().await;
    let function = |name: &str| json!({ "type": "function", "name": name, "parameters": {}, "strict": false });
    let custom = json!({ "type": "custom", "name": "ap/ply" });
    let namespace =
        json!({ "type": "namespace", "name": "n", "description": "", "tools": [function("in.side"), custom] });
    let more = json!({ "type": "additional_tools", "role": "developer", "tools": [function("more.tools")] });
    let call =
        |id: &str, name: &str| json!({ "type": "function_call", "call_id": id, "name": name, "arguments": "{}" });
    let output = |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "1" });
    let mut inside = call("b", "in.side");
    inside["namespace"] = "n".into();
    let body = json!({
        "model": "gpt-6.1-sol",
        "input": [more, { "role": "user", "content": "q" }, call("a", DOTTED), output("a"), inside, output("b"),
            call("c", ""), output("c"), call("d", "more.tools"), output("d")],
        "tools": [function(DOTTED), namespace],
        "tool_choice": { "type": "allowed_tools", "mode": "auto", "tools": [{ "type": "function", "name": DOTTED }] },
    });
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let sent = proxy.last_sent();
    let (name, input) = (&sent["tools"][0]["name"], &sent["input"]);
    assert!(is_fit(name.as_str().unwrap()));
    assert_eq!((&input[2]["name"], &sent["tool_choice"]["tools"][0]["name"]), (name, name));
    assert_eq!(input[4]["name"], sent["tools"][1]["tools"][0]["name"]);
    assert_eq!(input[8]["name"], input[0]["tools"][0]["name"]);
    assert!(input[6]["name"].as_str().unwrap().starts_with("unnamed_"), "{}", input[6]);
}

#[tokio::test]
async fn chats_nested_tools_are_understood_on_the_responses_api() {
    let proxy = Proxy::start().await;
    let body = json!({
        "input": "go on",
        "tools": [tool("f")],
        "tool_choice": { "type": "function", "function": { "name": "f" } },
    });
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let sent = proxy.last_sent();
    let definition = &tool("f")["function"];
    let flat = json!({ "type": "function", "name": "f", "description": "d", "parameters": definition["parameters"] });
    assert_eq!(sent["tools"], json!([flat]));
    assert_eq!(sent["tool_choice"], json!({ "type": "function", "name": "f" }));
}

#[tokio::test]
async fn an_empty_name_of_a_tool_is_refused_and_one_of_a_call_is_not() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["tools"] = json!([tool("f"), tool("")]);
    let answer = proxy.chat(&body).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("tools[1].function.name")));
    let call = json!({ "id": "a", "type": "function", "function": { "name": "", "arguments": "{}" } });
    let messages = json!([
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": null, "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "a", "content": "1" },
    ]);
    let sent = proxy.sent(&json!({ "messages": messages })).await;
    assert!(sent["input"][1]["name"].as_str().unwrap().starts_with("unnamed_"));
}
