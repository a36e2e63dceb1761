//! One history in the forms of two APIs becomes the same for the backend.

use codex_proxy::backend::request::context::Context;
use codex_proxy::backend::request::translate;
use codex_proxy::dialect::Dialect;
use codex_proxy::dialect::chat::Chat;
use codex_proxy::dialect::messages::Messages;
use codex_proxy::models::Models;
use codex_proxy::simulator::Simulator;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::histories::{IMAGE, id, name, text};

/// A turn that both APIs can tell.
#[derive(Debug, Clone)]
enum Turn {
    System(String),
    User(Said),
    /// A text and calls: id, name and arguments.
    Assistant(Option<String>, Vec<(String, String, Value)>),
    /// Results, each with the id of its call, and what the user says with them.
    Results(Vec<(String, Said)>, Option<String>),
}

/// What a user or a tool says, in one of the ways that mean the same in both APIs.
#[derive(Debug, Clone)]
enum Said {
    Text(String),
    Part(String),
    Shown(String),
}

impl Said {
    fn chat(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Part(text) => json!([{ "type": "text", "text": text }]),
            Self::Shown(text) => {
                json!([{ "type": "text", "text": text }, { "type": "image_url", "image_url": { "url": IMAGE } }])
            }
        }
    }

    fn messages(&self) -> Value {
        let (media_type, data) = IMAGE.strip_prefix("data:").unwrap().split_once(";base64,").unwrap();
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Part(text) => json!([{ "type": "text", "text": text }]),
            Self::Shown(text) => json!([{ "type": "text", "text": text },
                { "type": "image", "source": { "type": "base64", "media_type": media_type, "data": data } }]),
        }
    }
}

impl Turn {
    /// The messages of a chat.
    fn chat(&self) -> Vec<Value> {
        match self {
            Self::System(text) => vec![json!({ "role": "system", "content": text })],
            Self::User(said) => vec![json!({ "role": "user", "content": said.chat() })],
            Self::Assistant(text, calls) => {
                let call = |(id, name, arguments): &(String, String, Value)| {
                    json!({ "id": id, "type": "function",
                        "function": { "name": name, "arguments": arguments.to_string() } })
                };
                let calls: Vec<Value> = calls.iter().map(call).collect();
                vec![json!({ "role": "assistant", "content": text, "tool_calls": calls })]
            }
            Self::Results(results, text) => {
                let result =
                    |(id, said): &(String, Said)| json!({ "role": "tool", "tool_call_id": id, "content": said.chat() });
                let user = text.iter().map(|text| json!({ "role": "user", "content": text }));
                results.iter().map(result).chain(user).collect()
            }
        }
    }

    /// The message of the Messages API.
    fn message(&self) -> Value {
        let block = |text: &String| json!({ "type": "text", "text": text });
        match self {
            Self::System(text) => json!({ "role": "system", "content": text }),
            Self::User(said) => json!({ "role": "user", "content": said.messages() }),
            Self::Assistant(text, calls) => {
                let call = |(id, name, input): &(String, String, Value)| json!({ "type": "tool_use", "id": id, "name": name, "input": input });
                let blocks: Vec<Value> = text.iter().map(block).chain(calls.iter().map(call)).collect();
                json!({ "role": "assistant", "content": blocks })
            }
            Self::Results(results, text) => {
                let result = |(id, said): &(String, Said)| json!({ "type": "tool_result", "tool_use_id": id, "content": said.messages() });
                let blocks: Vec<Value> = results.iter().map(result).chain(text.iter().map(block)).collect();
                json!({ "role": "user", "content": blocks })
            }
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![text().prop_map(Said::Text), text().prop_map(Said::Part), text().prop_map(Said::Shown)]
}

fn turn() -> impl Strategy<Value = Turn> {
    let call = (id(), name(), text()).prop_map(|(id, name, text)| (id, name, json!({ "x": text, "n": 1.5 })));
    let results = (prop::collection::vec((id(), said()), 1..4), prop::option::of(text()));
    prop_oneof![
        1 => text().prop_map(Turn::System),
        2 => said().prop_map(Turn::User),
        4 => (prop::option::of(text()), prop::collection::vec(call, 0..4))
            .prop_filter("says nothing", |(text, calls)| text.is_some() || !calls.is_empty())
            .prop_map(|(text, calls)| Turn::Assistant(text, calls)),
        4 => results.prop_map(|(results, text)| Turn::Results(results, text)),
    ]
}

/// The prompt for the backend: `instructions`, `input` and the tools' names.
fn sent<D: Dialect>(body: &Value) -> Value {
    let bytes = body.to_string().into_bytes();
    let ask = D::parse(&bytes, &HeaderMap::new()).unwrap();
    let model = Models::default().resolve(ask.model.as_deref(), None);
    let request = translate(ask.form.own().unwrap(), &Context::new(&model));
    assert_eq!(Simulator::new().rejection_of(&request.body), None);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    json!([body["instructions"], body["input"], body["tools"]])
}

proptest! {
    #[test]
    fn a_history_is_the_same_in_chat_and_in_messages(
        system in prop::option::of(text()),
        first in said(),
        turns in prop::collection::vec(turn(), 0..12),
    ) {
        let turns = [vec![Turn::User(first)], turns].concat();
        let schema = json!({ "type": "object", "properties": {} });
        let mut chat: Vec<Value> = turns.iter().flat_map(Turn::chat).collect();
        chat.splice(0..0, system.iter().map(|text| json!({ "role": "system", "content": text })));
        let chat = json!({ "model": "gpt-6.1-sol", "messages": chat,
            "tools": [{ "type": "function", "function": { "name": "f", "parameters": schema } }] });
        let mut messages = json!({ "model": "gpt-6.1-sol", "max_tokens": 1,
            "messages": turns.iter().map(Turn::message).collect::<Vec<_>>(),
            "tools": [{ "name": "f", "input_schema": schema }] });
        if let Some(text) = system {
            messages["system"] = text.into();
        }
        prop_assert_eq!(sent::<Chat>(&chat), sent::<Messages>(&messages));
    }
}
