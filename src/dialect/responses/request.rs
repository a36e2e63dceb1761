//! The request of the Responses API, as clients send it.
//!
//! Only fields that decide the call are read; the rest stays raw until it is written for the backend.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::conversation::ignored::Ignored;
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};
use crate::models::effort::Effort;

/// A Responses request whose deciding fields are valid.
#[derive(Debug)]
pub struct ResponsesRequest<'a> {
    /// The model's name as the client wrote it.
    pub model: Option<Cow<'a, str>>,
    /// `reasoning.effort` if it is a known name, else chat's `reasoning_effort`.
    pub effort: Option<Cow<'a, str>>,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// The conversation to answer.
    pub input: Input<'a>,
    /// The answer that this turn continues.
    pub previous_response_id: Option<Cow<'a, str>>,
    /// Whether the answer is a compaction of the conversation. It is decided by the endpoint, not by a field.
    pub asks_for_compaction: bool,
    /// Whether the client is answered in chat's form: it sees summaries of the reasoning unless it wants none, and the
    /// keys with chat's settings of the answer have been read. It is decided by the endpoint, not by a field.
    pub answers_chat: bool,
    /// Whether the request came as a frame of a WebSocket, which has keys of its own.
    pub is_frame: bool,
    /// Whether the request announces a conversation and wants no answer yet. Only a frame can.
    pub announces: bool,
    /// Fields without effect, as far as they are known already.
    pub ignored: Ignored,
    /// `reasoning`, or the object in its place under `reasoning_effort`.
    pub reasoning: Option<Object<'a>>,
    /// `tools`.
    pub tools: Vec<&'a RawValue>,
    /// `include`.
    pub include: Vec<&'a RawValue>,
    /// `service_tier`.
    pub service_tier: Option<Cow<'a, str>>,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<Cow<'a, str>>,
    /// `instructions`.
    pub instructions: Option<Text<'a>>,
    /// The whole body.
    pub body: Object<'a>,
}

/// The conversation.
#[derive(Debug)]
pub enum Input<'a> {
    /// One user message.
    Text(Text<'a>),
    /// Items.
    Items(Vec<&'a RawValue>),
}

impl<'a> ResponsesRequest<'a> {
    /// Reads the request in `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let body = json::body(bytes)?;
        let input = Input::parse(&body)?;
        Self::read(body, input)
    }

    /// Reads the request in `body`, whose conversation is `input`.
    pub(super) fn read(body: Object<'a>, input: Input<'a>) -> Result<Self, Fault> {
        refuse_stored_state(&body)?;
        let (reasoning, effort) = reasoning(&body)?;
        Ok(Self {
            model: string(&body, "model")?,
            effort,
            stream: match body.find("stream") {
                Some(flag) => json::boolean(flag, &Path::Root.key("stream"))?,
                None => false,
            },
            input,
            previous_response_id: string(&body, "previous_response_id")?,
            asks_for_compaction: false,
            answers_chat: false,
            is_frame: false,
            announces: false,
            ignored: Ignored::default(),
            reasoning,
            tools: array(&body, "tools")?,
            include: array(&body, "include")?,
            service_tier: string(&body, "service_tier")?,
            prompt_cache_key: string(&body, "prompt_cache_key")?,
            instructions: match body.find("instructions") {
                Some(text) => Some(json::text(text, &Path::Root.key("instructions"))?),
                None => None,
            },
            body,
        })
    }
}

impl<'a> Input<'a> {
    /// Reads `input` of `body`.
    pub(super) fn parse(body: &Object<'a>) -> Result<Self, Fault> {
        let value = json::required(body, "input", &Path::Root)?;
        if let Some(text) = Text::of(value) {
            return Ok(Self::Text(text));
        }
        if json::kind(value) != "an array" {
            let found = json::kind(value);
            return Err(Fault::invalid(
                "input",
                format!("'input' must be a string or an array of items, but is {found}"),
            ));
        }
        json::array(value, &Path::Root.key("input")).map(Self::Items)
    }

    /// Returns the user message for a text, as an item; `None` for a list of items.
    pub fn spoken(&self) -> Option<Box<RawValue>> {
        let Self::Text(text) = self else { return None };
        RawValue::from_string(format!(r#"{{"type":"message","role":"user","content":"{}"}}"#, text.escaped())).ok()
    }

    /// Returns the last item.
    pub fn last(&self) -> Option<&'a RawValue> {
        match self {
            Self::Text(_) => None,
            Self::Items(items) => items.last().copied(),
        }
    }
}

/// Rejects fields that need an answer or a conversation stored upstream, which stores none.
fn refuse_stored_state(body: &Object<'_>) -> Result<(), Fault> {
    if body.find("previous_response_id").is_some() && body.find("conversation").is_some() {
        let message = "'previous_response_id' and 'conversation' both say what this turn continues; send one of them";
        return Err(Fault::invalid("previous_response_id", message).with_code("mutually_exclusive_parameters"));
    }
    for (key, advice) in STORED_STATE {
        if body.find(key).is_some() {
            return Err(Fault::unsupported(
                key,
                format!("'{key}' is not supported: nothing is stored upstream. {advice}"),
            ));
        }
    }
    let background = body.find("background").map(|flag| json::boolean(flag, &Path::Root.key("background")));
    if background.transpose()?.unwrap_or(false) {
        return Err(Fault::unsupported(
            "background",
            "'background' is not supported: nothing is stored upstream, so an answer cannot be fetched later",
        ));
    }
    Ok(())
}

/// Reads the settings of reasoning, and the effort in them.
fn reasoning<'a>(body: &Object<'a>) -> Result<(Option<Object<'a>>, Option<Cow<'a, str>>), Fault> {
    let (own, chat) = (Path::Root.key("reasoning"), Path::Root.key("reasoning_effort"));
    let reasoning = body.find("reasoning").map(|value| json::object(value, &own)).transpose()?;
    let effort_in = |object: &Object<'a>, path: &Path<'_>| {
        object.find("effort").map(|effort| json::string(effort, &path.key("effort"))).transpose()
    };
    let effort = reasoning.as_ref().map(|object| effort_in(object, &own)).transpose()?.flatten();
    let Some(value) = body.find("reasoning_effort") else { return Ok((reasoning, effort)) };
    let (object, chat_effort) = match json::kind(value) {
        "an object" => {
            let object = json::object(value, &chat)?;
            let effort = effort_in(&object, &chat)?;
            (Some(object), effort)
        }
        _ => (None, Some(json::string(value, &chat)?)),
    };
    let effort = effort.filter(|word| Effort::parse(word).is_some()).or(chat_effort);
    Ok((reasoning.or(object), effort))
}

fn string<'a>(body: &Object<'a>, key: &str) -> Result<Option<Cow<'a, str>>, Fault> {
    body.find(key).map(|value| json::string(value, &Path::Root.key(key))).transpose()
}

fn array<'a>(body: &Object<'a>, key: &str) -> Result<Vec<&'a RawValue>, Fault> {
    body.find(key).map(|value| json::array(value, &Path::Root.key(key))).transpose().map(Option::unwrap_or_default)
}

const STORED_STATE: [(&str, &str); 2] = [
    ("conversation", "Send the whole conversation in 'input'"),
    ("prompt", "Send the text itself in 'instructions' or 'input'"),
];
