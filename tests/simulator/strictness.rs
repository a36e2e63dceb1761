//! The simulated backend refuses what the real one refuses, with its words, and accepts what the official client sends.

use std::io::Write as _;

use crate::support::{Backend, body, function, user};
use codex_proxy::simulator::{EncryptedRejection, SimulatedCatalogue};
use serde_json::{Value, json};

/// `body("Hello")` with `key` set.
fn with(key: &str, value: Value) -> Value {
    let mut body = body("Hello");
    body[key] = value;
    body
}

fn without(key: &str) -> Value {
    let mut body = body("Hello");
    body.as_object_mut().unwrap().remove(key);
    body
}

/// A request to `model` that asks for `effort`.
fn effort(model: &str, effort: &str) -> Value {
    let mut body = with("model", json!(model));
    body["reasoning"] = json!({ "effort": effort });
    body
}

fn input(items: &[Value]) -> Value {
    with("input", items.into())
}

fn tools(tools: &[Value], choice: Value) -> Value {
    let mut body = with("tools", tools.into());
    body["tool_choice"] = choice;
    body
}

#[tokio::test]
async fn the_front_refuses_in_its_words() {
    let backend = Backend::start().await;
    let mut cases = vec![
        (without("instructions"), "Instructions are required".to_owned()),
        (with("instructions", Value::Null), "Instructions are required".to_owned()),
        (without("store"), "Store must be set to false".to_owned()),
        (with("store", json!(true)), "Store must be set to false".to_owned()),
        (without("stream"), "Stream must be set to true".to_owned()),
        (with("stream", json!(false)), "Stream must be set to true".to_owned()),
        (with("input", json!("Hello")), "Input must be a list".to_owned()),
        (
            input(&[json!({ "type": "message", "role": "system", "content": "Be brief" }), user("Hello")]),
            "System messages are not allowed".to_owned(),
        ),
        (
            input(&[json!({
                "type": "message", "role": "user",
                "content": [{ "type": "input_text", "text": "Hello", "prompt_cache_breakpoint": true }],
            })]),
            "Unsupported parameter: prompt_cache_breakpoint".to_owned(),
        ),
        (with("stream_options", json!({ "include_usage": true })), "Unsupported parameter: stream_options".to_owned()),
        (
            tools(&[json!({ "type": "web_search_preview" })], json!("auto")),
            "Unsupported tool type: web_search_preview".to_owned(),
        ),
    ];
    for tier in ["auto", "default", "flex", "fast"] {
        cases.push((with("service_tier", json!(tier)), format!("Unsupported service_tier: {tier}")));
    }
    for model in ["gpt-4o", "gpt-5.2", "gpt-5.6", "gpt-6-sol-high", "o3"] {
        let text = format!("The '{model}' model is not supported when using Codex with a ChatGPT account.");
        cases.push((with("model", json!(model)), text));
    }
    for name in UNSUPPORTED {
        cases.push((with(name, json!(1)), format!("Unsupported parameter: {name}")));
    }
    for (body, detail) in cases {
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json(), json!({ "detail": detail }), "{body}");
    }
}

const UNSUPPORTED: &[&str] = &[
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "logprobs",
    "n",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "user",
    "metadata",
    "truncation",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
    "context_management",
    "safety_identifier",
    "prompt_cache_retention",
    "prompt_cache_options",
    "max_tool_calls",
    "generate",
    "messages",
    "reasoning_effort",
];

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" })
}

fn output(id: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": "done" })
}

fn named_call(name: &str) -> Value {
    let mut call = call("call_1");
    call["name"] = name.into();
    input(&[user("Hello"), call, output("call_1")])
}

fn search(execution: &str) -> Value {
    json!({ "type": "tool_search_call", "call_id": "s", "execution": execution, "arguments": {} })
}

fn found(execution: &str) -> Value {
    json!({ "type": "tool_search_output", "call_id": "s", "execution": execution, "tools": [], "status": "completed" })
}

fn json_mode(instructions: &str, question: &Value) -> Value {
    let mut body = with("text", json!({ "format": { "type": "json_object" } }));
    body["instructions"] = instructions.into();
    body["input"] = json!([question]);
    body
}

fn message(role: &str, part: &Value) -> Value {
    json!({ "type": "message", "role": role, "content": [part] })
}

fn image(url: &Value) -> Value {
    input(&[message("user", &json!({ "type": "input_image", "image_url": url }))])
}

/// Requests that the model layer refuses: the body, the code, and a part of the message.
#[expect(clippy::too_many_lines, reason = "a table")]
fn refused_items() -> Vec<(Value, Option<&'static str>, &'static str)> {
    let long = "x".repeat(65);
    let with_id = |id: &str| {
        let mut call = call("call_1");
        call["id"] = id.into();
        input(&[user("Hello"), call, output("call_1")])
    };
    let reasoning = |fields: Value| {
        let mut item = json!({ "type": "reasoning", "id": "rs_1", "summary": [] });
        item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        item
    };
    vec![
        (with_id(&format!("fc_{long}")), Some("string_above_max_length"), "string too long"),
        (with_id("fc_a.b"), Some("invalid_value"), "letters, numbers, underscores, or dashes"),
        (with_id("call_1"), Some("invalid_id_prefix"), "Expected an ID that begins with 'fc'"),
        (input(&[user("Hello"), call(&long), output(&long)]), Some("string_above_max_length"), "maximum length 64"),
        (input(&[user("Hello"), call("call_1")]), None, "No tool output found for function call call_1."),
        (
            input(&[user("Hello"), output("call_1")]),
            None,
            "No tool call found for function call output with call_id call_1.",
        ),
        (input(&[output("call_1"), call("call_1"), output("call_1")]), None, "No tool call found"),
        (input(&[call("call_1"), output("call_1"), output("call_1")]), None, "No tool call found"),
        (
            input(&[json!({ "type": "custom_tool_call", "call_id": "call_1", "name": "p", "input": "" })]),
            None,
            "No tool output found for custom tool call call_1.",
        ),
        (input(&[json!({ "type": "item_reference", "id": "rs_1" })]), None, "Item with id 'rs_1' not found."),
        (
            input(&[reasoning(json!({})), message("assistant", &json!({ "type": "output_text", "text": "a" }))]),
            None,
            "Items are not persisted when `store` is set to false",
        ),
        (
            input(&[
                reasoning(json!({ "encrypted_content": "gAAAAABforeign" })),
                message("assistant", &json!({ "type": "output_text", "text": "a" })),
            ]),
            Some("invalid_encrypted_content"),
            "The encrypted content gAAA...eign could not be verified. Reason:",
        ),
        (
            input(&[json!({ "type": "compaction_trigger" }), user("Hello")]),
            None,
            "The 'compaction_trigger' item must be the final input item.",
        ),
        (
            input(&[user("Hello"), json!({ "type": "compaction_trigger" }), json!({ "type": "compaction_trigger" })]),
            None,
            "must be the final input item.",
        ),
        (
            input(&[user("Hello"), json!({ "type": "compaction_trigger", "id": "cmp_1" })]),
            Some("unknown_parameter"),
            "Unknown parameter: 'input[1].id'.",
        ),
        (
            input(&[message("user", &json!({ "type": "output_text", "text": "a" }))]),
            Some("invalid_value"),
            "Invalid value: 'output_text'",
        ),
        (
            input(&[message("assistant", &json!({ "type": "input_text", "text": "a" }))]),
            Some("invalid_value"),
            "Supported values are: 'output_text' and 'refusal'.",
        ),
        (
            input(&[message("user", &json!({ "type": "text", "text": "a" }))]),
            Some("invalid_value"),
            "Invalid value: 'text'",
        ),
        (
            input(&[message("user", &json!({ "type": "input_text", "text": "a", "cache_control": {} }))]),
            Some("unknown_parameter"),
            "Unknown parameter: 'input[0].content[0].cache_control'.",
        ),
        (
            input(&[message("tool", &json!({ "type": "input_text", "text": "a" }))]),
            Some("invalid_value"),
            "Invalid value: 'tool'",
        ),
        (
            input(&[json!({ "type": "message", "role": "user", "content": "a", "name": "Ann" })]),
            Some("unknown_parameter"),
            "input[0].name",
        ),
        (input(&[json!({ "type": "thing" })]), Some("invalid_value"), "Invalid value: 'thing'"),
        (
            input(&[json!({ "type": "function_call", "call_id": "c", "name": "f", "arguments": {} }), output("c")]),
            Some("invalid_type"),
            "expected a string, but got an object",
        ),
        (
            image(&json!({ "url": "https://example.com/a.png" })),
            Some("invalid_type"),
            "expected an image URL, but got an object instead.",
        ),
        (
            image(&json!("data:image/png;base64,AAAA")),
            Some("invalid_image"),
            "The image data you provided does not represent a valid image",
        ),
        (image(&json!("data:text/plain;base64,iVBORw0KGgo=")), Some("invalid_image"), "valid image"),
        (image(&json!("cat.png")), Some("invalid_value"), "Expected a valid URL"),
        (
            named_call(""),
            Some("empty_string"),
            "Invalid 'input[1].name': empty string. Expected a string with minimum length 1",
        ),
        (named_call("a.b"), Some("invalid_value"), "Invalid 'input[1].name': string does not match pattern."),
        (named_call(&long), Some("string_above_max_length"), "Invalid 'input[1].name': string too long."),
        (input(&[user("Hello"), search("client")]), None, "No tool output found for tool search call s."),
        (input(&[user("Hello"), found("client")]), None, "No tool call found for tool search output with call_id s."),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn refused_parameters() -> Vec<(Value, Option<&'static str>, &'static str)> {
    let weather = || function("get_weather", "city");
    let nested = json!({ "type": "function", "function": { "name": "f", "parameters": {} } });
    let format = |format: Value| with("text", json!({ "format": format }));
    let schema =
        |schema: Value| tools(&[json!({ "type": "function", "name": "f", "parameters": schema })], json!("auto"));
    let without_schema = tools(&[json!({ "type": "function", "name": "f" })], json!("auto"));
    let no_properties = "Invalid schema for function 'f': In context=(), object schema missing properties.";
    let long = "x".repeat(65);
    vec![
        (without_schema, Some("invalid_function_parameters"), no_properties),
        (schema(json!(null)), Some("invalid_function_parameters"), no_properties),
        (schema(json!({})), Some("invalid_function_parameters"), no_properties),
        (schema(json!({ "type": "object" })), Some("invalid_function_parameters"), no_properties),
        (schema(json!({ "type": "object", "properties": null })), Some("invalid_function_parameters"), no_properties),
        (
            schema(json!({ "type": "object", "properties": [] })),
            Some("invalid_function_parameters"),
            "Invalid schema for function 'f': [] is not of type 'object'.",
        ),
        (schema(json!({ "properties": {} })), Some("invalid_function_parameters"), "got 'type: \"None\"'."),
        (tools(&[function(&long, "c")], json!("auto")), Some("string_above_max_length"), "maximum length 64"),
        (tools(&[function("", "c")], json!("auto")), Some("empty_string"), "Invalid 'tools[0].name': empty string."),
        (
            tools(&[json!({ "type": "custom", "name": "a/b" })], json!("auto")),
            Some("invalid_value"),
            "Invalid 'tools[0].name': string does not match pattern.",
        ),
        (json_mode("Answer with JSON.", &user("Hello")), None, "must contain the word 'json' in some form"),
        (
            with("access_programs", json!({ "cyber": "x" })),
            Some("unsupported_parameter"),
            "not enabled for this organization",
        ),
        (
            tools(&[nested], json!("auto")),
            Some("missing_required_parameter"),
            "Missing required parameter: 'tools[0].name'.",
        ),
        (tools(&[function("a b", "c")], json!("auto")), Some("invalid_value"), "^[a-zA-Z0-9_-]+$"),
        (
            tools(&[json!({ "type": "function", "name": "f", "parameters": { "type": "string" } })], json!("auto")),
            Some("invalid_function_parameters"),
            "Invalid schema for function 'f'",
        ),
        (
            tools(
                &[
                    json!({ "type": "function", "name": "f", "strict": true, "parameters": { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] } }),
                ],
                json!("auto"),
            ),
            Some("invalid_function_parameters"),
            "'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            tools(&[weather()], json!({ "type": "function", "name": "other" })),
            None,
            "Tool choice 'other' not found in 'tools' parameter.",
        ),
        (
            tools(&[weather()], json!({ "type": "function", "function": { "name": "get_weather" } })),
            Some("missing_required_parameter"),
            "tool_choice.name",
        ),
        (
            tools(&[json!({ "type": "image_generation" })], json!({ "type": "image_generation" })),
            None,
            "Tool choice 'image_generation' not found in 'tools' parameter.",
        ),
        (
            tools(&[json!({ "type": "web_search" })], json!({ "type": "web_search" })),
            None,
            "Tool choice 'web_search' not found",
        ),
        (tools(&[], json!("required")), None, "Tool choice 'required'"),
        (
            tools(&[weather()], json!("any")),
            Some("invalid_value"),
            "Supported values are: 'none', 'auto', and 'required'.",
        ),
        (
            with("reasoning", json!({ "effort": "minimal" })),
            Some("unsupported_value"),
            "Unsupported value: 'minimal' is not supported with the 'gpt-6.1-sol' model. Supported values are: 'low', 'medium', 'high', 'xhigh', and 'max'.",
        ),
        (
            effort("gpt-6-astra", "none"),
            Some("unsupported_value"),
            "Unsupported value: 'none' is not supported with the 'gpt-6-astra' model. Supported values are: 'low', 'medium', 'high', 'xhigh', and 'max'.",
        ),
        (
            effort("gpt-5.6-luna", "minimal"),
            Some("unsupported_value"),
            "Unsupported value: 'minimal' is not supported with the 'gpt-5.6-luna' model. Supported values are: 'none', 'low', 'medium', 'high', 'xhigh', and 'max'.",
        ),
        (with("reasoning", json!({ "effort": "ultra" })), Some("invalid_value"), "Invalid value: 'ultra'"),
        (
            with("reasoning", json!({ "summary": "none" })),
            Some("invalid_value"),
            "Supported values are: 'auto', 'concise', and 'detailed'.",
        ),
        (with("reasoning", json!({ "budget": 1 })), Some("unknown_parameter"), "reasoning.budget"),
        (with("text", json!({ "verbosity": "loud" })), Some("invalid_value"), "'low', 'medium', and 'high'"),
        (
            format(json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": {} } })),
            Some("unknown_parameter"),
            "text.format.json_schema",
        ),
        (
            format(json!({ "type": "json_schema", "name": "a" })),
            Some("missing_required_parameter"),
            "text.format.schema",
        ),
        (
            format(
                json!({ "type": "json_schema", "name": "a", "strict": true, "schema": { "type": "object", "properties": { "a": {} } } }),
            ),
            Some("invalid_json_schema"),
            "Invalid schema for response_format 'a'",
        ),
        (with("include", json!(["message.output_text.logprobs"])), Some("invalid_value"), "logprobs"),
        (
            with("prompt_cache_key", json!("k".repeat(65))),
            Some("string_above_max_length"),
            "maximum length 64, but got a string with length 65",
        ),
        (with("client_metadata", json!({ "a": 1 })), Some("invalid_type"), "client_metadata.a"),
    ]
}

#[tokio::test]
async fn the_model_layer_refuses_in_its_words() {
    let backend = Backend::start().await;
    for (body, code, message) in refused_items().into_iter().chain(refused_parameters()) {
        let answer = backend.ask(&body).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{} for {body}", answer.status);
        let error = answer.json()["error"].clone();
        assert_eq!(error["type"], "invalid_request_error", "{body}: {}", answer.text);
        assert_eq!(error["code"].as_str(), code, "{body}: {}", answer.text);
        assert!(error["message"].as_str().unwrap().contains(message), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn well_formed_requests_pass() {
    let backend = Backend::start().await;
    let first = backend.ask(&with("reasoning", json!({ "effort": "low", "summary": "auto" }))).await;
    let replay = first.items();
    assert_eq!(replay[0]["type"], "reasoning");
    let weather = || function("get_weather", "city");
    let custom = json!({ "type": "custom", "name": "apply_patch", "description": "", "format": { "type": "grammar", "syntax": "lark", "definition": "start: /.+/" } });
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let history = [&[user("Hello")], replay.as_slice(), &[user("Go on")]].concat();
    let accepted = [
        input(&history),
        with("model", json!("gpt-6-luna")),
        with("model", json!("codex-auto-review")),
        with("service_tier", json!("priority")),
        with("reasoning", json!({ "effort": "max" })),
        effort("gpt-6.1-terra", "none"),
        json_mode("", &user("as Json, please")),
        json_mode("", &message("developer", &json!({ "type": "input_text", "text": "JSON" }))),
        input(&[user("Hello"), search("client"), found("client"), search("server")]),
        tools(&[function(&"x".repeat(64), "c")], json!("auto")),
        with("tool_choice", json!("auto")),
        tools(
            &[
                weather(),
                custom,
                json!({ "type": "web_search" }),
                json!({ "type": "image_generation", "output_format": "png" }),
            ],
            json!({ "type": "custom", "name": "apply_patch" }),
        ),
        tools(
            &[weather()],
            json!({ "type": "allowed_tools", "mode": "auto", "tools": [{ "type": "function", "name": "get_weather" }] }),
        ),
        input(&[user("a"), call("1"), call("2"), output("2"), user("between"), output("1")]),
        input(&[message("user", &json!({ "type": "input_image", "image_url": pixel, "detail": "high" }))]),
        input(&[message("user", &json!({ "type": "input_image", "image_url": "https://example.com/a.png" }))]),
        input(&[message(
            "user",
            &json!({ "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0=" }),
        )]),
        input(&[
            call("1"),
            json!({ "type": "function_call_output", "call_id": "1", "output": [{ "type": "input_image", "image_url": pixel }] }),
        ]),
        input(&[json!({ "role": "developer", "content": "Be brief" }), user("Hello")]),
    ];
    for body in accepted {
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        assert_eq!(answer.types().last().map(String::as_str), Some("response.completed"), "{body}");
    }
}

#[tokio::test]
async fn encrypted_reasoning_belongs_to_its_account_and_leads_somewhere() {
    let mut backend = Backend::start().await;
    let mut request = with("reasoning", json!({ "summary": "auto" }));
    let items = backend.ask(&request).await.items();
    request["input"] = json!([user("Hello"), items[0], user("Go on")]);
    let answer = backend.ask(&request).await;
    assert!(answer.text.contains("was provided without its required following item."), "{}", answer.text);
    request["input"] = json!([user("Hello"), items[0], items[1], user("Go on")]);
    assert_eq!(backend.ask(&request).await.status, 200);
    request["model"] = "gpt-6-luna".into();
    assert_eq!(backend.ask(&request).await.code(), "invalid_encrypted_content", "another model");
    request["model"] = "gpt-6.1-sol".into();
    let other = codex_proxy::simulator::SimulatedLogin::default().for_account("other");
    backend.login = backend.simulator.issue_login(other);
    assert_eq!(backend.ask(&request).await.code(), "invalid_encrypted_content", "another account");

    backend.simulator.configure(|settings| settings.encrypted_rejection = EncryptedRejection::WithoutCode);
    let answer = backend.ask(&request).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (400, &Value::Null));
    backend.simulator.configure(|settings| settings.encrypted_rejection = EncryptedRejection::InStream);
    let answer = backend.ask(&request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.types()),
        (200, ["response.created", "response.failed"].map(Into::into).into())
    );
    let error = &answer.frames()[1]["response"]["error"];
    assert!(error["code"].is_null() && error["message"].as_str().unwrap().contains("could not be verified"));
}

#[tokio::test]
async fn the_lighter_shape_is_held_to_its_rules() {
    let backend = Backend::start().await;
    let ask = |body: Value| {
        let mut request = backend.request(&body);
        request.headers_mut().insert("x-openai-internal-codex-responses-lite", "true".parse().unwrap());
        crate::support::send(request)
    };
    let mut request = without("instructions");
    assert!(ask(request.clone()).await.text.contains("requires `reasoning.context` to be `all_turns`."));
    request["reasoning"] = json!({ "context": "all_turns" });
    assert!(ask(request.clone()).await.text.contains("requires `parallel_tool_calls` to be false."));
    request["parallel_tool_calls"] = json!(false);
    let tools = json!({ "type": "additional_tools", "role": "developer", "tools": [function("get_weather", "city")] });
    request["input"] = json!([tools, user("get_weather please")]);
    let answer = ask(request).await;
    assert_eq!(answer.items()[0]["name"], "get_weather", "{}", answer.text);
}

#[tokio::test]
async fn retired_models_are_refused_and_were_answered_before() {
    let backend = Backend::start().await;
    let retired = [
        "gpt-5",
        "gpt-5-codex",
        "gpt-5.1",
        "gpt-5.1-codex",
        "gpt-5.1-codex-max",
        "gpt-5-codex-mini",
        "gpt-5.1-codex-mini",
        "gpt-5.2",
        "gpt-5.3-codex-spark",
        "gpt-5.4",
        "gpt-5.4-mini",
        "gpt-5.5",
    ];
    for model in retired {
        let answer = backend.ask(&with("model", json!(model))).await;
        let text = format!("The '{model}' model is not supported when using Codex with a ChatGPT account.");
        assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({ "detail": text })));
    }
    backend.simulator.configure(|settings| settings.catalogue = SimulatedCatalogue::with_retired());
    for model in retired {
        assert_eq!(backend.ask(&with("model", json!(model))).await.status, 200, "{model}");
    }
    backend.simulator.configure(|settings| assert!(settings.catalogue.retire("gpt-5.5")));
    assert_eq!(backend.ask(&with("model", json!("gpt-5.5"))).await.status, 400);
}

/// The official client's requests, recorded; the folder can be named by an environment variable.
#[tokio::test]
async fn the_official_clients_requests_pass() {
    let beside =
        ["../shared/captures", "../../shared/captures"].map(|path| format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    let named = std::env::var("CODEX_PROXY_CAPTURES").ok();
    let mut folders = named.into_iter().chain(beside);
    let Some(folder) = folders.find(|folder| std::path::Path::new(folder).is_dir()) else {
        println!("no recordings here: nothing checked");
        return;
    };
    let backend = Backend::start().await;
    backend.simulator.configure(|settings| settings.catalogue = SimulatedCatalogue::with_retired());
    let mut checked = 0;
    for name in ["codex-0144-chatgpt.jsonl", "codex-0130-chatgpt.jsonl"] {
        let Ok(text) = std::fs::read_to_string(format!("{folder}/{name}")) else {
            println!("no {name} in {folder}: not checked");
            continue;
        };
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            if record["method"] != "POST" || !record["body"].is_object() {
                continue;
            }
            let answer = backend.ask(&record["body"]).await;
            assert_eq!(answer.status, 200, "{name} {}: {}", record["n"], answer.text);
            checked += 1;
        }
    }
    println!("{checked} recorded requests accepted");
}

/// A request of the official client's shape, written for this test: it passes without the recordings too.
#[tokio::test]
async fn a_compressed_request_of_the_official_shape_passes() {
    let backend = Backend::start().await;
    let metadata = json!({ "turn_id": "t" });
    let mut request = body("Run echo hello");
    request["input"][0]["internal_chat_message_metadata_passthrough"] = metadata;
    let namespace =
        json!({ "type": "namespace", "name": "image_gen", "description": "", "tools": [function("make", "prompt")] });
    let search =
        json!({ "type": "tool_search", "execution": "client", "description": "", "parameters": { "type": "object" } });
    let web = json!({ "type": "web_search", "external_web_access": true, "search_content_types": ["text", "image"] });
    request["tools"] = json!([function("exec_command", "cmd"), namespace, search, web]);
    request["tool_choice"] = json!("auto");
    request["parallel_tool_calls"] = json!(true);
    request["reasoning"] = json!({ "effort": "medium" });
    request["prompt_cache_key"] = json!("01a208e3-0000-7782-a7ae-d758794ec93e");
    request["text"] = json!({ "verbosity": "low" });
    request["client_metadata"] = json!({ "x-codex-installation-id": "i", "session_id": "s" });
    let bytes =
        ruzstd::encoding::compress_to_vec(request.to_string().as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let mut sent = backend.request(&request);
    *sent.body_mut() = bytes.into();
    sent.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
    let answer = crate::support::send(sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(backend.simulator.requests()[0].json(), request);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(request.to_string().as_bytes()).unwrap();
    let mut sent = backend.request(&request);
    *sent.body_mut() = gzip.finish().unwrap().into();
    sent.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(crate::support::send(sent).await.status, 200);
    let mut broken = backend.request(&request);
    broken.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
    assert_eq!(crate::support::send(broken).await.status, 400);
}

#[tokio::test]
async fn the_login_is_checked_on_every_route() {
    let mut backend = Backend::start().await;
    let strip = |header: &str, backend: &Backend| {
        let mut request = backend.request(&body("Hello"));
        request.headers_mut().remove(header);
        crate::support::send(request)
    };
    assert_eq!(strip("authorization", &backend).await.json(), json!({ "detail": "Unauthorized" }));
    assert_eq!(strip("chatgpt-account-id", &backend).await.status, 401);
    assert_eq!(strip("content-type", &backend).await.status, 415);
    backend.simulator.expire_access_tokens();
    assert_eq!(backend.ask(&body("Hello")).await.code(), "token_expired");
    backend.login = backend.simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default());
    backend.simulator.invalidate_access_tokens();
    for path in ["/backend-api/codex/models?client_version=0.150.0", "/backend-api/wham/usage"] {
        let answer = backend.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "token_invalidated"), "{path}");
    }
    backend.login = backend.simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default().fedramp());
    assert_eq!(backend.ask(&body("Hello")).await.status, 403);
    let mut request = backend.request(&body("Hello"));
    request.headers_mut().insert("x-openai-fedramp", "true".parse().unwrap());
    assert_eq!(crate::support::send(request).await.status, 200);
}
