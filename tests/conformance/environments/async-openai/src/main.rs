//! The typed client `async-openai` against the demo: every field that it declares must be there and of its type.
//!
//! * It has no optional reading of a stream: one event that it cannot parse fails the test.
//! * The demo runs as its users run it, as a process of its own, on a free port.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{CreateChatCompletionRequest, CreateChatCompletionStreamResponse, FinishReason};
use async_openai::types::responses::{CreateResponse, ResponseStreamEvent};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::common::daemon::{Daemon, Home};

/// A running demo and a client for it; the process ends with it.
struct Demo {
    _daemon: Daemon,
    client: Client<OpenAIConfig>,
}

impl Demo {
    fn start() -> Self {
        let daemon = Daemon::quiet(&mut Home::new().command(&["demo", "--port", "0"]));
        // An error only says that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = OpenAIConfig::new().with_api_base(format!("{}/v1", daemon.base())).with_api_key("any");
        Self { _daemon: daemon, client: Client::with_config(config) }
    }

    async fn chat_stream(&self, request: Value) -> Result<Vec<CreateChatCompletionStreamResponse>, OpenAIError> {
        let stream = self.client.chat().create_stream(parsed(request)).await?;
        stream.collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn responses_stream(&self, request: Value) -> Result<Vec<ResponseStreamEvent>, OpenAIError> {
        let request: CreateResponse = serde_json::from_value(request).unwrap();
        let stream = self.client.responses().create_stream(request).await?;
        stream.collect::<Vec<_>>().await.into_iter().collect()
    }
}

#[tokio::test]
async fn lists_models() {
    let demo = Demo::start();
    let models = demo.client.models().list().await.unwrap();
    assert!(models.data.iter().any(|model| model.id == MODEL));
    assert_eq!(demo.client.models().retrieve(MODEL).await.unwrap().id, MODEL);
}

#[tokio::test]
async fn chats_buffered_and_streamed_alike() {
    let demo = Demo::start();
    let request = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hello!" }] });
    let answer = demo.client.chat().create(parsed(request.clone())).await.unwrap();
    let choice = &answer.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::Stop));
    assert!(answer.usage.unwrap().total_tokens > 0);

    let mut request = request;
    request["stream_options"] = json!({ "include_usage": true });
    let chunks = demo.chat_stream(request).await.unwrap();
    let text: String =
        chunks.iter().flat_map(|chunk| &chunk.choices).filter_map(|choice| choice.delta.content.clone()).collect();
    assert_eq!(Some(text), choice.message.content);
    assert!(chunks.last().unwrap().usage.as_ref().unwrap().total_tokens > 0);
}

#[tokio::test]
async fn chats_with_a_tool() {
    let demo = Demo::start();
    let mut request = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "Use lookup_code for Paris." }],
        "tools": [{ "type": "function", "function": { "name": "lookup_code", "parameters": city_schema() } }],
    });
    let answer = demo.client.chat().create(parsed(request.clone())).await.unwrap();
    assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!(answer.choices[0].message.content, None);
    let message = serde_json::to_value(&answer.choices[0].message).unwrap();
    let call_id = message["tool_calls"][0]["id"].clone();

    let chunks = demo.chat_stream(request.clone()).await.unwrap();
    let arguments: String = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .filter_map(|choice| choice.delta.tool_calls.as_ref())
        .flatten()
        .filter_map(|call| call.function.as_ref()?.arguments.clone())
        .collect();
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], Value::from(arguments));

    let output = json!({ "role": "tool", "tool_call_id": call_id, "content": "code-4711" });
    request["messages"].as_array_mut().unwrap().extend([message, output]);
    let answer = demo.client.chat().create(parsed(request)).await.unwrap();
    assert!(answer.choices[0].message.content.as_ref().unwrap().contains("code-4711"));
}

#[tokio::test]
async fn responds_buffered_and_streamed_alike() {
    let demo = Demo::start();
    let request = json!({ "model": MODEL, "input": "Hello!" });
    let answer = demo.client.responses().create(serde_json::from_value(request.clone()).unwrap()).await.unwrap();
    let expected = answer.output_text().unwrap();
    assert!(expected.contains("Hello!"));

    let events = demo.responses_stream(request).await.unwrap();
    let mut text = String::new();
    for event in &events {
        if let ResponseStreamEvent::ResponseOutputTextDelta(delta) = event {
            text.push_str(&delta.delta);
        }
    }
    assert_eq!(text, expected);
    let Some(ResponseStreamEvent::ResponseCompleted(last)) = events.last() else { panic!("{events:?}") };
    assert_eq!(last.response.output_text(), Some(expected));
}

#[tokio::test]
async fn responds_with_a_tool() {
    let demo = Demo::start();
    let request = json!({
        "model": MODEL,
        "input": "Use lookup_code for Paris.",
        "tools": [{ "type": "function", "name": "lookup_code", "parameters": city_schema(), "strict": true }],
    });
    let events = demo.responses_stream(request).await.unwrap();
    let arguments = events.iter().find_map(|event| match event {
        ResponseStreamEvent::ResponseFunctionCallArgumentsDone(done) => Some(done.arguments.clone()),
        _ => None,
    });
    let Some(ResponseStreamEvent::ResponseCompleted(last)) = events.last() else { panic!("{events:?}") };
    let output = serde_json::to_value(&last.response.output).unwrap();
    let call = output.as_array().unwrap().iter().find(|item| item["type"] == "function_call").unwrap();
    assert_eq!(call["arguments"], Value::from(arguments.unwrap()));
}

#[tokio::test]
async fn reads_the_error_of_a_bad_request() {
    let demo = Demo::start();
    let request = json!({ "model": MODEL, "messages": [] });
    let OpenAIError::ApiError(error) = demo.client.chat().create(parsed(request)).await.unwrap_err() else {
        panic!("not an error of the API")
    };
    assert_eq!(error.api_error.r#type.as_deref(), Some("invalid_request_error"));
    assert_eq!(error.api_error.param.as_deref(), Some("messages"));
}

#[tokio::test]
async fn a_cut_stream_is_an_error() {
    let demo = Demo::start();
    for scenario in ["cut-after-output", "fail-after-output", "end-without-terminal"] {
        let content = format!("[[simulate:{scenario}]] Hello!");
        let chat = json!({ "model": MODEL, "messages": [{ "role": "user", "content": content }] });
        assert!(demo.chat_stream(chat).await.is_err(), "{scenario}");
        let events = demo.responses_stream(json!({ "model": MODEL, "input": content })).await.unwrap();
        let last = events.last().unwrap();
        let failed = matches!(last, ResponseStreamEvent::ResponseError(_) | ResponseStreamEvent::ResponseFailed(_));
        assert!(failed, "{scenario}: {last:?}");
    }
}

fn parsed(request: Value) -> CreateChatCompletionRequest {
    serde_json::from_value(request).unwrap()
}

fn city_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "city": { "type": "string" } },
        "required": ["city"],
        "additionalProperties": false,
    })
}

const MODEL: &str = "gpt-6.1-sol";
