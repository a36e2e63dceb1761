//! Checks the typed client `async-openai`: every field that it declares must be there and of its type.
//!
//! * It has no optional reading of a stream: one event that it cannot parse fails the check.
//! * It prints one line of JSON a fact, as the other clients' checks do: first the names of all checks, then each result.

use std::error::Error;
use std::pin::Pin;
use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{CreateChatCompletionRequest, CreateChatCompletionStreamResponse, FinishReason};
use async_openai::types::responses::{CreateResponse, Response, ResponseStreamEvent};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;
type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;
type Check = (&'static str, fn(&Proxy) -> Running<'_>);

const CHECKS: [Check; 7] = [
    ("list and retrieve models", |proxy| lists_models(proxy).boxed_local()),
    ("chat, buffered and streamed alike", |proxy| chats_alike(proxy).boxed_local()),
    ("chat with a tool", |proxy| chats_with_a_tool(proxy).boxed_local()),
    ("responses, buffered and streamed alike", |proxy| responds_alike(proxy).boxed_local()),
    ("responses with a tool", |proxy| responds_with_a_tool(proxy).boxed_local()),
    ("the error of a bad request", |proxy| reads_an_error(proxy).boxed_local()),
    ("a cut stream is an error", |proxy| sees_a_cut(proxy).boxed_local()),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let proxy = Proxy::from_environment()?;
    println!("{}", json!({ "plan": CHECKS.map(|(name, _)| name) }));
    for (name, check) in CHECKS {
        let begun = Instant::now();
        let outcome = tokio::time::timeout(LIMIT, check(&proxy)).await.unwrap_or_else(|late| Err(late.into()));
        let seconds = begun.elapsed().as_secs_f64();
        let detail = outcome.err().map(|failure| failure.to_string());
        println!("{}", json!({ "check": name, "passed": detail.is_none(), "detail": detail, "seconds": seconds }));
    }
    Ok(())
}

/// The proxy under check, and a client for it.
struct Proxy {
    client: Client<OpenAIConfig>,
    model: String,
    /// What a user message must hold for the simulator to play each scenario.
    scenarios: Value,
}

impl Proxy {
    fn from_environment() -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
        let config = OpenAIConfig::new().with_api_base(variable("BASE_URL")?).with_api_key("any");
        let scenarios = serde_json::from_str(&variable("SCENARIOS")?)?;
        Ok(Self { client: Client::with_config(config), model: variable("MODEL")?, scenarios })
    }

    /// Returns a message that makes the simulator play the scenario `name`.
    fn scenario(&self, name: &str) -> String {
        format!("{} Hello!", self.scenarios[name].as_str().unwrap_or_default())
    }

    fn chat(&self, content: &str) -> Value {
        json!({ "model": self.model, "messages": [{ "role": "user", "content": content }] })
    }

    async fn chat_stream(&self, request: Value) -> Result<Vec<CreateChatCompletionStreamResponse>, Failure> {
        let stream = self.client.chat().create_stream(parsed(request)?).await?;
        Ok(stream.collect::<Vec<_>>().await.into_iter().collect::<Result<_, _>>()?)
    }

    async fn response(&self, request: Value) -> Result<Response, Failure> {
        let request: CreateResponse = serde_json::from_value(request)?;
        Ok(self.client.responses().create(request).await?)
    }

    async fn response_stream(&self, request: Value) -> Result<Vec<ResponseStreamEvent>, Failure> {
        let request: CreateResponse = serde_json::from_value(request)?;
        let stream = self.client.responses().create_stream(request).await?;
        Ok(stream.collect::<Vec<_>>().await.into_iter().collect::<Result<_, _>>()?)
    }
}

async fn lists_models(proxy: &Proxy) -> Result<(), Failure> {
    let models = proxy.client.models().list().await?;
    require(models.data.iter().any(|model| model.id == proxy.model), &models)?;
    let model = proxy.client.models().retrieve(&proxy.model).await?;
    require(model.id == proxy.model, &model)
}

async fn chats_alike(proxy: &Proxy) -> Result<(), Failure> {
    let mut request = proxy.chat("Hello!");
    let answer = proxy.client.chat().create(parsed(request.clone())?).await?;
    let choice = answer.choices.first().ok_or("no choice")?;
    require(choice.finish_reason == Some(FinishReason::Stop), choice)?;
    require(answer.usage.as_ref().is_some_and(|usage| usage.total_tokens > 0), &answer.usage)?;

    request["stream_options"] = json!({ "include_usage": true });
    let chunks = proxy.chat_stream(request).await?;
    let text: String =
        chunks.iter().flat_map(|chunk| &chunk.choices).filter_map(|choice| choice.delta.content.clone()).collect();
    require(Some(&text) == choice.message.content.as_ref(), &chunks)?;
    let usage = chunks.last().and_then(|chunk| chunk.usage.as_ref());
    require(usage.is_some_and(|usage| usage.total_tokens > 0), &chunks)
}

async fn chats_with_a_tool(proxy: &Proxy) -> Result<(), Failure> {
    let mut request = proxy.chat("Use lookup_code for Paris.");
    let function = json!({ "name": "lookup_code", "parameters": city_schema() });
    request["tools"] = json!([{ "type": "function", "function": function }]);
    let answer = proxy.client.chat().create(parsed(request.clone())?).await?;
    let choice = answer.choices.first().ok_or("no choice")?;
    require(choice.finish_reason == Some(FinishReason::ToolCalls), choice)?;
    require(choice.message.content.is_none(), choice)?;
    let message = serde_json::to_value(&choice.message)?;
    let call = &message["tool_calls"][0];

    let chunks = proxy.chat_stream(request.clone()).await?;
    let arguments: String = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .filter_map(|choice| choice.delta.tool_calls.as_ref())
        .flatten()
        .filter_map(|call| call.function.as_ref()?.arguments.clone())
        .collect();
    require(call["function"]["arguments"] == arguments.as_str(), &chunks)?;

    let output = json!({ "role": "tool", "tool_call_id": call["id"], "content": "code-4711" });
    request["messages"] = json!([request["messages"][0], message, output]);
    let answer = proxy.client.chat().create(parsed(request)?).await?;
    let content = answer.choices.first().and_then(|choice| choice.message.content.as_ref());
    require(content.is_some_and(|content| content.contains("code-4711")), &answer)
}

async fn responds_alike(proxy: &Proxy) -> Result<(), Failure> {
    let request = json!({ "model": proxy.model, "input": "Hello!" });
    let expected = proxy.response(request.clone()).await?.output_text().ok_or("no text")?;
    require(expected.contains("Hello!"), &expected)?;

    let events = proxy.response_stream(request).await?;
    let mut text = String::new();
    for event in &events {
        if let ResponseStreamEvent::ResponseOutputTextDelta(delta) = event {
            text.push_str(&delta.delta);
        }
    }
    require(text == expected, &text)?;
    let Some(ResponseStreamEvent::ResponseCompleted(last)) = events.last() else {
        return Err(format!("{events:?}").into());
    };
    require(last.response.output_text() == Some(expected), last)
}

async fn responds_with_a_tool(proxy: &Proxy) -> Result<(), Failure> {
    let tool = json!({ "type": "function", "name": "lookup_code", "parameters": city_schema(), "strict": true });
    let request = json!({ "model": proxy.model, "input": "Use lookup_code for Paris.", "tools": [tool] });
    let events = proxy.response_stream(request).await?;
    let arguments = events.iter().find_map(|event| match event {
        ResponseStreamEvent::ResponseFunctionCallArgumentsDone(done) => Some(done.arguments.clone()),
        _ => None,
    });
    let Some(ResponseStreamEvent::ResponseCompleted(last)) = events.last() else {
        return Err(format!("{events:?}").into());
    };
    let output = serde_json::to_value(&last.response.output)?;
    let call = output.as_array().into_iter().flatten().find(|item| item["type"] == "function_call");
    let call = call.ok_or("no call")?;
    require(arguments.is_some_and(|arguments| call["arguments"] == arguments), call)
}

async fn reads_an_error(proxy: &Proxy) -> Result<(), Failure> {
    let request = json!({ "model": proxy.model, "messages": [] });
    let error = proxy.client.chat().create(parsed(request)?).await.err().ok_or("no error")?;
    let OpenAIError::ApiError(answer) = &error else { return Err(format!("not the API's: {error:?}").into()) };
    require(answer.api_error.r#type.as_deref() == Some("invalid_request_error"), &error)?;
    require(answer.api_error.param.as_deref() == Some("messages"), &error)
}

async fn sees_a_cut(proxy: &Proxy) -> Result<(), Failure> {
    for name in ["cut_midway", "failed_midway", "endless"] {
        let content = proxy.scenario(name);
        require(proxy.chat_stream(proxy.chat(&content)).await.is_err(), &name)?;
        let events = proxy.response_stream(json!({ "model": proxy.model, "input": content })).await?;
        let last = events.last();
        let failed =
            matches!(last, Some(ResponseStreamEvent::ResponseError(_) | ResponseStreamEvent::ResponseFailed(_)));
        require(failed, &(name, last))?;
    }
    Ok(())
}

/// Fails with what was seen, unless `holds`.
fn require(holds: bool, seen: &impl std::fmt::Debug) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("{seen:?}").chars().take(DETAIL_LIMIT).collect::<String>().into()) }
}

fn parsed(request: Value) -> Result<CreateChatCompletionRequest, serde_json::Error> {
    serde_json::from_value(request)
}

fn city_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "city": { "type": "string" } },
        "required": ["city"],
        "additionalProperties": false,
    })
}

/// The longest that a check may take.
const LIMIT: Duration = Duration::from_secs(20);
const DETAIL_LIMIT: usize = 300;
