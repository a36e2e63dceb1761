//! Parameters and tools that the model layer refuses.

use serde_json::{Value, json};

use super::{Refused, assert_refused, effort, json_mode, tools, with, without};
use crate::simulator::support::{Backend, function, user};

#[tokio::test]
async fn the_model_layer_refuses_parameters_in_its_words() {
    assert_refused(refused_parameters()).await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn refused_parameters() -> Vec<Refused> {
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
async fn the_lighter_shape_is_held_to_its_rules() {
    let backend = Backend::start().await;
    let ask = |body: Value| {
        let mut request = backend.request(&body);
        request.headers_mut().insert("x-openai-internal-codex-responses-lite", "true".parse().unwrap());
        crate::simulator::support::send(request)
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
async fn a_strict_schema_is_closed_and_told_in_every_part() {
    let closed = |properties: Value| {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    };
    let strict = |schema: Value| {
        with("text", json!({ "format": { "type": "json_schema", "name": "a", "strict": true, "schema": schema } }))
    };
    let rules = [
        (
            closed(json!({ "a": { "type": ["object", "null"] } })),
            "In context=('properties', 'a'), 'additionalProperties'",
        ),
        (closed(json!({ "a": {} })), "In context=('properties', 'a'), schema must have a 'type' key."),
        (closed(json!({ "a": true })), "In context=('properties', 'a'), true is not of type 'object'."),
        (closed(json!({ "a": { "type": "array" } })), "In context=('properties', 'a'), array schema missing items."),
        (closed(json!({ "a": { "oneOf": [] } })), "In context=('properties', 'a'), 'oneOf' is not permitted."),
        (json!({ "type": "object" }), "In context=(), 'additionalProperties'"),
        (json!({}), "schema must be a JSON Schema of 'type: \"object\"'"),
        (
            json!({ "type": "array", "items": { "type": "string" } }),
            "schema must be a JSON Schema of 'type: \"object\"'",
        ),
    ];
    assert_refused(rules.map(|(schema, words)| (strict(schema), Some("invalid_json_schema"), words)).into()).await;
    let backend = Backend::start().await;
    let nested =
        closed(json!({ "a": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] }, "type": { "type": "string" } }));
    assert_eq!(backend.ask(&strict(nested)).await.status, 200);
}
