//! A chat answer as a strict client library reads it, in either mode.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;

/// What a client has in the end, whichever mode it used.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) content: String,
    pub(crate) refusal: String,
    pub(crate) reasoning: String,
    /// Id, type, name, arguments or input.
    pub(crate) calls: Vec<(String, String, String, String)>,
    pub(crate) function_call: Option<(String, String)>,
    pub(crate) annotations: Vec<Value>,
    pub(crate) images: Vec<String>,
    pub(crate) finish: String,
    pub(crate) usage: Value,
}

impl Answer {
    /// The message of a whole answer in either mode, checked on the way.
    pub(crate) fn message(&self) -> Message {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        if self.header("content-type") == "application/json" {
            return Message::of_document(&self.json());
        }
        assert_eq!(self.header("content-type"), "text/event-stream");
        assert_eq!(self.data().last(), Some(&"[DONE]"));
        Message::of_chunks(&self.events())
    }
}

impl Message {
    /// Reads a completion.
    pub(crate) fn of_document(document: &Value) -> Self {
        assert_eq!(document["object"], "chat.completion");
        assert!(document["id"].as_str().unwrap().starts_with("chatcmpl-"));
        assert!(document["created"].is_u64());
        let choice = &document["choices"][0];
        assert_eq!(choice["message"]["role"], "assistant");
        let mut message = Self {
            finish: choice["finish_reason"].as_str().unwrap().to_owned(),
            usage: document["usage"].clone(),
            ..Self::default()
        };
        message.add(&choice["message"]);
        if !message.calls.is_empty() && message.content.is_empty() {
            assert!(choice["message"]["content"].is_null(), "null beside calls");
        }
        message
    }

    /// Reads the chunks of a stream.
    pub(crate) fn of_chunks(events: &[Value]) -> Self {
        let mut message = Self::default();
        for (index, event) in events.iter().enumerate() {
            for constant in ["id", "created", "model", "object"] {
                assert_eq!(event[constant], events[0][constant]);
            }
            assert_eq!(event["object"], "chat.completion.chunk");
            assert!(event["id"].as_str().unwrap().starts_with("chatcmpl-"));
            if event["choices"] == json!([]) {
                assert_eq!(index, events.len() - 1, "usage comes last");
                message.usage = event["usage"].clone();
                continue;
            }
            let mut delta = event["choices"][0]["delta"].clone();
            for (place, annotation) in delta["annotations"].as_array_mut().into_iter().flatten().enumerate() {
                let index = annotation.as_object_mut().unwrap().remove("index");
                assert_eq!(index, Some(json!(message.annotations.len() + place)), "by which clients join the lists");
            }
            assert_eq!(delta["role"] == "assistant", index == 0, "the role once, first");
            assert!(index > 0 || delta["content"] == "", "content beside the role");
            if let Some(finish) = event["choices"][0]["finish_reason"].as_str() {
                assert_eq!(message.finish, "", "one finish");
                message.finish = finish.to_owned();
            }
            message.add(&delta);
        }
        assert_ne!(message.finish, "", "a finish");
        message
    }

    fn add(&mut self, delta: &Value) {
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        self.content += text("content");
        self.refusal += text("refusal");
        self.reasoning += text("reasoning_content");
        for (position, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let index = call["index"].as_u64().map_or(position, |index| usize::try_from(index).unwrap());
            if let Some(id) = call["id"].as_str() {
                assert_eq!(index, self.calls.len(), "dense indexes, each begun once");
                let kind = call["type"].as_str().unwrap();
                let name = call[kind]["name"].as_str().unwrap();
                self.calls.push((id.to_owned(), kind.to_owned(), name.to_owned(), String::new()));
            }
            for (kind, payload) in [("function", "arguments"), ("custom", "input")] {
                self.calls[index].3 += call[kind][payload].as_str().unwrap_or_default();
            }
        }
        if let Some(call) = delta.get("function_call").filter(|call| !call.is_null()) {
            let (name, arguments) = self.function_call.get_or_insert_default();
            *name += call["name"].as_str().unwrap_or_default();
            *arguments += call["arguments"].as_str().unwrap_or_default();
        }
        self.annotations.extend(delta["annotations"].as_array().into_iter().flatten().cloned());
        for image in delta["images"].as_array().into_iter().flatten() {
            self.images.push(image["image_url"]["url"].as_str().unwrap().to_owned());
        }
    }

    /// Each call's name and arguments.
    pub(crate) fn tools(&self) -> Vec<(&str, &str)> {
        self.calls.iter().map(|call| (call.2.as_str(), call.3.as_str())).collect()
    }
}
