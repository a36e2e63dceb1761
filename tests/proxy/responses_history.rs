//! Histories on the Responses API, well-formed when they leave and with nothing missing.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::Proxy;

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" })
}

fn output(id: &str, text: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": text })
}

fn custom(id: &str) -> Value {
    json!({ "type": "custom_tool_call", "call_id": id, "name": "p", "input": "x" })
}

fn custom_output(id: &str, text: &str) -> Value {
    json!({ "type": "custom_tool_call_output", "call_id": id, "output": text })
}

fn search(id: &str) -> Value {
    json!({ "type": "tool_search_call", "call_id": id, "execution": "client", "arguments": { "query": "q" } })
}

async fn sent(proxy: &Proxy, input: &[Value]) -> (Vec<Value>, String) {
    proxy.simulator.forget_requests();
    let answer = proxy.post("/v1/responses", &json!({ "model": "gpt-6.1-sol", "input": input })).await;
    assert_eq!(answer.status, StatusCode::OK, "{} for {}", answer.text, json!(input));
    let ignored = answer.header("x-codex-proxy-ignored").to_owned();
    (proxy.last_sent()["input"].as_array().unwrap().clone(), ignored)
}

/// The items the backend got, each in a word or two.
async fn items(proxy: &Proxy, input: &[Value]) -> Vec<String> {
    let string = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let short = |item: &Value| match item["type"].as_str().unwrap() {
        "message" => format!("{}: {}", item["role"].as_str().unwrap(), string(&item["content"][0]["text"])),
        "function_call_output" => format!("{}= {}", string(&item["call_id"]), string(&item["output"])),
        "custom_tool_call_output" => format!("{}=c {}", string(&item["call_id"]), string(&item["output"])),
        "tool_search_output" => format!("{}=s {}", string(&item["call_id"]), item["tools"]),
        "custom_tool_call" => format!("{}>c", string(&item["call_id"])),
        "tool_search_call" => format!("{}>s", string(&item["call_id"])),
        "reasoning" => "thought".to_owned(),
        _ => format!("{}>", string(&item["call_id"])),
    };
    sent(proxy, input).await.0.iter().map(short).collect()
}

const NONE: &str = "No output was recorded for this tool call.";

#[tokio::test]
async fn a_sound_history_stays_as_it_is() {
    let proxy = Proxy::start().await;
    let input = [user("q"), call("a"), call("b"), user("wait"), output("b", "2"), output("a", "1"), user("n")];
    let expected = ["user: q", "a>", "b>", "user: wait", "b= 2", "a= 1", "user: n"];
    assert_eq!(items(&proxy, &input).await, expected);
    let odd = json!({ "type": "function_call", "arguments": "{\"n\": 1.0}", "call_id": "c", "name": "f", "status": "completed" });
    let (sent, _) = sent(&proxy, &[user("q"), odd.clone(), output("c", "x")]).await;
    assert_eq!(sent[1], odd);
}

#[tokio::test]
async fn a_call_without_output_gets_one_that_says_so() {
    let proxy = Proxy::start().await;
    let shell = json!({ "type": "local_shell_call", "call_id": "l", "status": "completed", "action": { "type": "exec", "command": ["ls"] } });
    let input = [user("q"), call("a"), call("b"), output("a", "1"), custom("p"), user("n"), shell, search("t")];
    let expected = [
        "user: q",
        "a>",
        "b>",
        "a= 1",
        "p>c",
        &format!("b= {NONE}"),
        &format!("p=c {NONE}"),
        "user: n",
        "l>",
        "t>s",
        &format!("l= {NONE}"),
        "t=s []",
    ];
    assert_eq!(items(&proxy, &input).await, expected);
}

#[tokio::test]
async fn an_output_before_its_call_comes_behind_it() {
    let proxy = Proxy::start().await;
    let input = [user("q"), output("a", "1"), call("a"), call("b"), output("b", "2"), user("n")];
    assert_eq!(items(&proxy, &input).await, ["user: q", "a>", "b>", "b= 2", "a= 1", "user: n"]);
}

#[tokio::test]
async fn outputs_without_a_call_and_second_ones_are_quoted() {
    let proxy = Proxy::start().await;
    let input = [user("q"), call("a"), output("a", "1"), output("a", "again"), custom_output("x", "lost\nline")];
    let expected = [
        "user: q",
        "a>",
        "a= 1",
        "user: Another output of the tool call a:\nagain",
        "user: Output of the unknown tool call x:\nlost\nline",
    ];
    assert_eq!(items(&proxy, &input).await, expected);
    let image = json!({ "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=" });
    let parts = json!([{ "type": "input_text", "text": "seen" }, image, { "type": "encrypted_content", "encrypted_content": "e" }]);
    let with_parts = json!({ "type": "function_call_output", "call_id": "x", "output": parts });
    let (found, ignored) = sent(&proxy, &[user("q"), with_parts]).await;
    let heading = json!({ "type": "input_text", "text": "Output of the unknown tool call x:" });
    assert_eq!(found[1]["content"], json!([heading, parts[0], image]));
    assert_eq!(ignored, "input[1].output[2]");
    let tools = json!({ "type": "tool_search_output", "call_id": "t", "execution": "client", "status": "completed", "tools": [{ "a": 1 }] });
    let expected = "user: Output of the unknown tool call t:\n[{\"a\":1}]";
    assert_eq!(items(&proxy, &[user("q"), tools]).await, ["user: q", expected]);
}

#[tokio::test]
async fn ids_are_shortened_and_told_apart_on_both_sides() {
    let proxy = Proxy::start().await;
    let long = "call_".repeat(40);
    let input = [user("q"), call(&long), output(&long, "1"), call("a"), output("a", "2"), call("a"), output("a", "3")];
    let (sent, _) = sent(&proxy, &input).await;
    let ids: Vec<&str> = sent.iter().filter_map(|item| item["call_id"].as_str()).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].len() == 64 && ids[0].starts_with("call_call_"), "{ids:?}");
    assert_eq!(ids[2..], ["a", "a", "a_2", "a_2"]);
}

#[tokio::test]
async fn an_output_of_the_wrong_kind_answers_the_call_of_its_id() {
    let proxy = Proxy::start().await;
    let input = [user("q"), custom("p"), output("p", "1"), call("a"), custom_output("a", "2")];
    assert_eq!(items(&proxy, &input).await, ["user: q", "p>c", "p=c 1", "a>", "a= 2"]);
    let own = [user("q"), call("a"), custom("a"), output("a", "f"), custom_output("a", "c")];
    assert_eq!(items(&proxy, &own).await, ["user: q", "a>", "a_2>c", "a= f", "a_2=c c"]);
}

#[tokio::test]
async fn reasoning_is_sent_only_before_what_it_led_to() {
    let proxy = Proxy::start().await;
    let question =
        json!({ "model": "gpt-6.1-sol", "input": "hi", "reasoning": { "effort": "low", "summary": "auto" } });
    let answer = proxy.post("/v1/responses", &question).await.json();
    let thought = answer["output"].as_array().unwrap().iter().find(|item| item["type"] == "reasoning").unwrap().clone();
    let said = json!({ "role": "assistant", "content": "a" });
    let input = [
        thought.clone(),
        user("q"),
        thought.clone(),
        thought.clone(),
        said,
        thought.clone(),
        call("a"),
        thought.clone(),
    ];
    let (found, ignored) = sent(&proxy, &input).await;
    let kinds: Vec<&str> = found.iter().map(|item| item["type"].as_str().unwrap()).collect();
    let expected =
        ["message", "reasoning", "reasoning", "message", "reasoning", "function_call", "function_call_output"];
    assert_eq!(kinds, expected);
    assert_eq!(ignored, "input[0], input[7]");
    // The name of an author does not separate them.
    let named = json!({ "role": "assistant", "name": "Bot", "content": "a" });
    let (found, ignored) = sent(&proxy, &[user("q"), thought.clone(), thought.clone(), named, user("n")]).await;
    let kinds: Vec<&str> = found.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "message", "reasoning", "reasoning", "message", "message"]);
    assert_eq!((&found[1]["role"], ignored.as_str()), (&json!("developer"), ""));
}

#[tokio::test]
async fn a_reference_given_twice_is_sent_once() {
    let proxy = Proxy::start().await;
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi" })).await.json();
    let message = answer["output"].as_array().unwrap().iter().find(|item| item["type"] == "message").unwrap();
    let reference = json!({ "type": "item_reference", "id": message["id"] });
    let (found, ignored) = sent(&proxy, &[user("hi"), reference.clone(), reference, user("n")]).await;
    assert_eq!((found.len(), ignored.as_str()), (3, "input[2]"));
}

#[tokio::test]
async fn outputs_of_calls_that_share_an_id_go_to_the_calls_in_their_order() {
    let proxy = Proxy::start().await;
    let input = [user("q"), call("c"), call("c"), call("c"), output("c", "1"), output("c", "2"), output("c", "3")];
    let expected = ["user: q", "c>", "c_2>", "c_3>", "c= 1", "c_2= 2", "c_3= 3"];
    assert_eq!(items(&proxy, &input).await, expected);
    let input = [user("q"), call("c"), output("c", "1"), output("c", "again"), user("n"), call("c"), output("c", "2")];
    let expected =
        ["user: q", "c>", "c= 1", "user: Another output of the tool call c:\nagain", "user: n", "c_2>", "c_2= 2"];
    assert_eq!(items(&proxy, &input).await, expected);
}

#[tokio::test]
async fn the_output_of_a_local_shell_is_that_of_its_call() {
    let proxy = Proxy::start().await;
    let shell = json!({ "type": "local_shell_call", "id": "lsh_1", "call_id": "c", "status": "completed",
        "action": { "type": "exec", "command": ["ls"] } });
    for named in [json!({ "id": "c" }), json!({ "id": "lsh_1" }), json!({ "call_id": "c", "id": "lsho_1" })] {
        let mut own = json!({ "type": "local_shell_call_output", "output": "files" });
        own.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
        assert_eq!(
            items(&proxy, &[user("q"), shell.clone(), own.clone()]).await,
            ["user: q", "c>", "c= files"],
            "{named}"
        );
        own["id"] = json!("x");
        own.as_object_mut().unwrap().remove("call_id");
        let expected = "user: Output of the unknown tool call x:\nfiles";
        assert_eq!(items(&proxy, &[user("q"), own]).await, ["user: q", expected]);
    }
}

#[tokio::test]
async fn a_reference_may_omit_its_type() {
    let proxy = Proxy::start().await;
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi" })).await.json();
    let message = answer["output"].as_array().unwrap().iter().find(|item| item["type"] == "message").unwrap();
    for reference in [json!({ "id": message["id"] }), json!({ "type": null, "id": message["id"] })] {
        let (found, ignored) = sent(&proxy, &[user("hi"), reference, user("n")]).await;
        assert_eq!((found.len(), &found[1]["content"], ignored.as_str()), (3, &message["content"], ""));
    }
    for (input, param) in [
        (json!([{ "id": "msg_unknown" }]), "input[0]"),
        (json!([{ "id": "msg_1", "content": "x" }]), "input[0].type"),
        (json!([{}]), "input[0].type"),
    ] {
        let answer = proxy.post("/v1/responses", &json!({ "input": input })).await;
        assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!(param)), "{input}");
    }
}
