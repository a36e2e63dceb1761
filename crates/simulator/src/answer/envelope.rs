//! The frame around an answer's items: the response object, its first and last events, usage.

use serde_json::{Value, json};

use crate::answer::output::Output;
use crate::turn::Turn;

/// The constant parts of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) id: String,
    pub(crate) created_at: i64,
    /// The request's parameters, echoed by the backend.
    echo: Value,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

/// The last event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Terminal {
    Completed,
    Incomplete(&'static str),
    Failed {
        code: String,
        message: String,
    },
    Cancelled {
        code: String,
        message: String,
    },
    /// An `error` event with the fields nested or at its top.
    Error {
        code: String,
        message: String,
        nested: bool,
    },
    None,
}

impl Usage {
    /// Derives tokens from sizes; those of the conversation's last request count as cached.
    pub(crate) fn of(turn: &Turn, outputs: &[Output], earlier_input: u64) -> Self {
        let tokens = |bytes: usize| bytes.div_ceil(4) as u64;
        let is_reasoning = |output: &&Output| matches!(output, Output::Reasoning { .. });
        let reasoning = tokens(outputs.iter().filter(is_reasoning).map(Output::size).sum());
        let visible = tokens(outputs.iter().filter(|output| !is_reasoning(output)).map(Output::size).sum());
        let input = tokens(turn.size);
        Self {
            input,
            cached: earlier_input.min(input) / CACHE_BLOCK * CACHE_BLOCK,
            output: reasoning + visible,
            reasoning,
        }
    }

    fn document(self) -> Value {
        json!({
            "input_tokens": self.input,
            "input_tokens_details": { "cached_tokens": self.cached, "cache_write_tokens": 0 },
            "output_tokens": self.output,
            "output_tokens_details": { "reasoning_tokens": self.reasoning },
            "total_tokens": self.input.saturating_add(self.output),
        })
    }
}

impl Envelope {
    pub(crate) fn new(id: String, created_at: i64, turn: &Turn) -> Self {
        let given = |key: &str, absent: Value| turn.body.get(key).cloned().unwrap_or(absent);
        let echo = json!({
            "background": false,
            "completed_at": null,
            "error": null,
            "incomplete_details": null,
            "instructions": given("instructions", Value::Null),
            "max_output_tokens": null,
            "max_tool_calls": null,
            "model": turn.model(),
            "output": [],
            "parallel_tool_calls": turn.parallel(),
            "previous_response_id": null,
            "prompt_cache_key": given("prompt_cache_key", Value::Null),
            "prompt_cache_retention": null,
            "reasoning": given("reasoning", json!({ "effort": null, "summary": null })),
            "safety_identifier": "user-simulated",
            "service_tier": "auto",
            "store": false,
            "temperature": 1.0,
            "text": text_echo(turn.body.get("text")),
            "tool_choice": given("tool_choice", json!("auto")),
            "tools": given("tools", json!([])),
            "top_logprobs": 0,
            "top_p": 0.98,
            "truncation": "disabled",
            "usage": null,
            "user": null,
            "metadata": {},
        });
        Self { id, created_at, echo }
    }

    /// `response.created` and `response.in_progress`.
    pub(crate) fn opening(&self) -> [Value; 2] {
        ["response.created", "response.in_progress"]
            .map(|kind| json!({ "type": kind, "response": self.response("in_progress", json!({})) }))
    }

    /// Returns the last event; `None` for an answer without one.
    pub(crate) fn closing(&self, terminal: &Terminal, usage: Usage) -> Option<Value> {
        let usage = usage.document();
        let completed_at = self.created_at + 1;
        Some(match terminal {
            Terminal::None => return None,
            Terminal::Completed => {
                let fields = json!({ "usage": usage, "service_tier": "default", "completed_at": completed_at });
                json!({ "type": "response.completed", "response": self.response("completed", fields) })
            }
            Terminal::Incomplete(reason) => {
                let fields = json!({ "usage": usage, "incomplete_details": { "reason": reason } });
                json!({ "type": "response.incomplete", "response": self.response("incomplete", fields) })
            }
            Terminal::Failed { code, message } => {
                let fields = json!({ "error": { "code": code, "message": message } });
                json!({ "type": "response.failed", "response": self.response("failed", fields) })
            }
            Terminal::Cancelled { code, message } => {
                let fields = json!({ "error": { "code": code, "message": message } });
                json!({ "type": "response.cancelled", "response": self.response("cancelled", fields) })
            }
            Terminal::Error { code, message, nested: true } => {
                let error = json!({ "type": error_type(code), "code": code, "message": message, "param": null });
                json!({ "type": "error", "error": error })
            }
            Terminal::Error { code, message, nested: false } => {
                json!({ "type": "error", "code": code, "message": message, "param": null })
            }
        })
    }

    fn response(&self, status: &str, fields: Value) -> Value {
        let mut response =
            json!({ "id": self.id, "object": "response", "created_at": self.created_at, "status": status });
        for source in [self.echo.clone(), fields] {
            if let (Value::Object(response), Value::Object(source)) = (&mut response, source) {
                response.extend(source);
            }
        }
        response
    }
}

fn text_echo(text: Option<&Value>) -> Value {
    let mut echo = json!({ "format": { "type": "text" }, "verbosity": "medium" });
    if let (Value::Object(echo), Some(Value::Object(text))) = (&mut echo, text) {
        echo.extend(text.clone());
    }
    echo
}

fn error_type(code: &str) -> &'static str {
    match code {
        "server_is_overloaded" | "slow_down" => "service_unavailable_error",
        "rate_limit_exceeded" | "insufficient_quota" | "usage_limit_reached" => "rate_limit_error",
        "server_error" => "server_error",
        _ => "invalid_request_error",
    }
}

/// The block size of cached tokens.
const CACHE_BLOCK: u64 = 128;
