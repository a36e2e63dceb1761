//! What the backend refuses and a client may send all the same: JSON mode, schemas, names of tools.

use codex_proxy::server::settings::ServerSettings;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

async fn sent_responses(proxy: &Proxy, body: &Value) -> Value {
    proxy.simulator.forget_requests();
    let answer = proxy.post("/v1/responses", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    proxy.last_sent()
}

fn texts(sent: &Value) -> Vec<(&str, &str)> {
    let input = sent["input"].as_array().unwrap().iter();
    input.map(|item| (item["role"].as_str().unwrap(), item["content"][0]["text"].as_str().unwrap())).collect()
}

fn json_mode(messages: &Value) -> Value {
    json!({ "messages": messages, "response_format": { "type": "json_object" } })
}

#[tokio::test]
async fn an_instruction_with_the_word_json_goes_into_the_conversation() {
    let proxy = Proxy::start().await;
    let system = |text: &str| json!({ "role": "system", "content": text });
    let question = json!({ "role": "user", "content": "What is the capital?" });
    let sent = proxy.sent(&json_mode(&json!([system("Answer with a JSON object.\r\n"), question]))).await;
    assert_eq!(sent["instructions"], "");
    assert_eq!(texts(&sent), [("developer", "Answer with a JSON object.\r\n"), ("user", "What is the capital?")]);
    let several = json!([system("Be kind."), system("Use Json."), system("Be brief."), question]);
    let sent = proxy.sent(&json_mode(&several)).await;
    assert_eq!(sent["instructions"], "Be kind.");
    assert_eq!(texts(&sent)[..2], [("developer", "Use Json."), ("developer", "Be brief.")], "the order stays");
    let said = json!([system("Answer with JSON."), { "role": "user", "content": "as json, please" }]);
    assert_eq!(proxy.sent(&json_mode(&said)).await["instructions"], "Answer with JSON.", "nothing needs to move");
    let escaped = r#"{"response_format":{"type":"json_object"},"messages":[{"role":"system","content":"\u004aSON"},{"role":"user","content":"hi"}]}"#;
    assert_eq!(post_raw(&proxy, "/v1/chat/completions", escaped.as_bytes()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn json_mode_without_the_word_is_refused_as_by_the_public_api() {
    let proxy = Proxy::start().await;
    let system = json!({ "role": "system", "content": "Be brief." });
    let answer = proxy.chat(&json_mode(&json!([system, { "role": "user", "content": "hi" }]))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.error()["message"].as_str().unwrap().contains("must contain the word 'json'"), "{}", answer.text);
}

#[tokio::test]
async fn json_mode_keeps_the_cache_key_and_the_place_of_instructions_over_turns() {
    let proxy = Proxy::start().await;
    let system = json!({ "role": "system", "content": "Answer with JSON." });
    let mut messages = json!([system, { "role": "user", "content": "hi" }]);
    let first = proxy.sent(&json_mode(&messages)).await;
    let more =
        [json!({ "role": "assistant", "content": "{\"json\":1}" }), json!({ "role": "user", "content": "more json" })];
    messages.as_array_mut().unwrap().extend(more);
    let second = proxy.sent(&json_mode(&messages)).await;
    assert_eq!(first["prompt_cache_key"], second["prompt_cache_key"]);
    assert_eq!(first["instructions"], second["instructions"]);
    assert_eq!(first["input"].as_array().unwrap()[..], second["input"].as_array().unwrap()[..2]);
    let plain = proxy.sent(&json!({ "messages": messages })).await;
    assert_eq!(plain["prompt_cache_key"], first["prompt_cache_key"], "the key does not depend on the mode");
}

#[tokio::test]
async fn json_mode_with_the_operators_instructions() {
    let with = |text: &str| {
        let settings = ServerSettings { instructions: Some(text.into()), ..ServerSettings::default() };
        Proxy::with(Setup { settings, ..Setup::default() })
    };
    let messages = json!([{ "role": "system", "content": "Answer with JSON." }, { "role": "user", "content": "hi" }]);
    let proxy = with("Operator.").await;
    let sent = proxy.sent(&json_mode(&messages)).await;
    assert_eq!(sent["instructions"], "Operator.");
    assert_eq!(texts(&sent), [("developer", "Answer with JSON."), ("user", "hi")]);
    let responses =
        json!({ "input": "hi", "instructions": "In JSON.", "text": { "format": { "type": "json_object" } } });
    let sent = sent_responses(&proxy, &responses).await;
    assert_eq!(
        (&sent["instructions"], texts(&sent)),
        (&json!("Operator."), vec![("developer", "In JSON."), ("user", "hi")])
    );
    let proxy = with("Always JSON.").await;
    let mut body = user("hi");
    body["response_format"] = json!({ "type": "json_object" });
    let sent = proxy.sent(&body).await;
    assert_eq!(
        (&sent["instructions"], texts(&sent)),
        (&json!(""), vec![("developer", "Always JSON."), ("user", "hi")])
    );
    let sent = sent_responses(&proxy, &json!({ "input": "hi", "text": { "format": { "type": "json_object" } } })).await;
    assert_eq!(texts(&sent), [("developer", "Always JSON."), ("user", "hi")]);
}

#[tokio::test]
async fn json_mode_on_the_responses_api() {
    let proxy = Proxy::start().await;
    let format = json!({ "format": { "type": "json_object" }, "verbosity": "low" });
    let message = |text: &str| json!({ "role": "user", "content": [{ "type": "input_text", "text": text }] });
    for input in [json!("hi"), json!([message("hi")])] {
        let sent =
            sent_responses(&proxy, &json!({ "input": input, "instructions": "In JSON. ", "text": format })).await;
        assert_eq!((&sent["instructions"], &sent["text"]), (&json!(""), &format));
        assert_eq!(texts(&sent), [("developer", "In JSON. "), ("user", "hi")]);
    }
    for input in [json!("json, please"), json!([message("JSON!")])] {
        let sent = sent_responses(&proxy, &json!({ "input": input, "instructions": "In JSON.", "text": format })).await;
        assert_eq!(sent["instructions"], "In JSON.");
    }
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "text": format })).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
}

/// Schemas of functions without arguments, as MCP servers and PHP clients give them.
const EMPTY_SCHEMAS: [&str; 7] = [
    r#"{"type":"object"}"#,
    "{}",
    "null",
    "[]",
    r#"{"type":"object","properties":null}"#,
    r#"{"type":"object","properties":[]}"#,
    r#"{"type":null,"properties":null}"#,
];

#[tokio::test]
async fn a_function_without_arguments_has_no_properties() {
    let proxy = Proxy::start().await;
    for schema in EMPTY_SCHEMAS {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let nested = json!([{ "type": "function", "function": { "name": "f", "parameters": schema } }]);
        let flat = json!([{ "type": "function", "name": "f", "parameters": schema }]);
        let legacy = json!([{ "name": "f", "parameters": schema }]);
        let mut bodies = Vec::new();
        for (key, tools) in [("tools", &nested), ("tools", &flat), ("functions", &legacy)] {
            let mut body = user("hi");
            body[key] = tools.clone();
            bodies.push(proxy.sent(&body).await);
        }
        bodies.push(sent_responses(&proxy, &json!({ "input": "hi", "tools": flat })).await);
        let namespace = json!({ "type": "namespace", "name": "n", "description": "", "tools": flat });
        let spaced = sent_responses(&proxy, &json!({ "input": "hi", "tools": [namespace] })).await;
        bodies.push(json!({ "tools": spaced["tools"][0]["tools"] }));
        for body in bodies {
            let parameters = &body["tools"][0]["parameters"];
            assert_eq!(*parameters, json!({ "type": "object", "properties": {} }), "{schema}");
        }
    }
    let mut body = user("hi");
    body["functions"] = json!([{ "name": "f" }]);
    assert_eq!(proxy.sent(&body).await["tools"][0]["parameters"], json!({ "type": "object", "properties": {} }));
    let absent = json!({ "input": "hi", "tools": [{ "type": "function", "name": "f" }] });
    let sent = sent_responses(&proxy, &absent).await;
    assert_eq!(sent["tools"][0]["parameters"], json!({ "type": "object", "properties": {} }));
}

async fn post_raw(proxy: &Proxy, path: &str, body: &[u8]) -> Answer {
    let request = proxy.http.post(format!("{}{path}", proxy.base)).header("content-type", "application/json");
    Answer::read(request.body(body.to_vec()).send().await.unwrap()).await
}

#[tokio::test]
async fn the_rest_of_a_schema_stays_to_the_byte() {
    let proxy = Proxy::start().await;
    let inside = r#"{ "a" : {"maximum":12345678901234567890123, "x-note":"\u00e9\/"} }"#;
    let whole = format!(r#"{{ "type":"object", "properties" : {inside} }}"#);
    for (path, before) in [
        ("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"hi"}]"#),
        ("/v1/responses", r#"{"input":"hi""#),
    ] {
        let tool =
            |schema: &str| format!(r#"{before},"tools":[{{"type":"function","name":"f","parameters":{schema}}}]}}"#);
        for (schema, expected) in [
            (whole.clone(), whole.clone()),
            (
                format!(r#"{{"$defs":{inside},"properties":{inside}}}"#),
                format!(r#"{{"$defs":{inside},"properties":{inside},"type":"object"}}"#),
            ),
            (
                format!(r#"{{"type":"object","$defs":{inside}}}"#),
                format!(r#"{{"type":"object","$defs":{inside},"properties":{{}}}}"#),
            ),
        ] {
            proxy.simulator.forget_requests();
            let answer = post_raw(&proxy, path, tool(&schema).as_bytes()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            let sent = proxy.simulator.requests_to("/responses").pop().unwrap();
            let sent = String::from_utf8(sent.bytes.to_vec()).unwrap();
            assert!(sent.contains(&format!(r#""parameters":{expected}"#)), "{sent}");
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_on_every_route() {
    let proxy = Proxy::start().await;
    for (path, body) in [
        ("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"hi"}]}"#),
        ("/v1/responses", r#"{"input":"hi"}"#),
    ] {
        let marked = [b"\xef\xbb\xbf", body.as_bytes()].concat();
        let answer = post_raw(&proxy, path, &marked).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let twice = [b"\xef\xbb\xbf", marked.as_slice()].concat();
        assert_eq!(post_raw(&proxy, path, &twice).await.status, StatusCode::BAD_REQUEST);
    }
}
