//! What a WebSocket remembers: its latest complete answer, with everything before it.

use serde_json::{Map, Value};

use crate::socket::events::is_last;
use crate::validate::Rejection;

/// The conversation of a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionMemory {
    /// The id of the latest complete answer.
    latest: Option<String>,
    /// The items up to and including it.
    items: Vec<Value>,
    /// The items of the request under way.
    asked: Vec<Value>,
    /// The items that its answer has finished.
    answered: Vec<Value>,
}

impl ConnectionMemory {
    /// Puts what a request continues in front of its input.
    pub(super) fn complete(&mut self, body: &mut Map<String, Value>) -> Result<(), Rejection> {
        let previous = body.remove("previous_response_id").filter(|id| !id.is_null());
        let Some(previous) = previous else { return Ok(()) };
        if self.latest.as_deref() != previous.as_str() {
            let id = previous.as_str().unwrap_or_default();
            return Err(Rejection::error(
                Some("previous_response_not_found"),
                Some("previous_response_id"),
                format!("Previous response with id '{id}' not found."),
            ));
        }
        if let Some(Value::Array(input)) = body.get_mut("input") {
            input.splice(..0, self.items.iter().cloned());
        }
        Ok(())
    }

    /// Notes an accepted request, with what it continues.
    pub(super) fn asked(&mut self, body: &Map<String, Value>) {
        *self = Self::default();
        if let Some(Value::Array(input)) = body.get("input") {
            self.asked.clone_from(input);
        }
    }

    /// Notes an event of its answer.
    pub(super) fn answered(&mut self, event: &Value) {
        if event["type"] == "response.output_item.done" {
            let mut item = event["item"].clone();
            if let Some(item) = item.as_object_mut() {
                // What only names or describes the item is no part of a request.
                item.retain(|key, _| !matches!(key.as_str(), "id" | "status"));
            }
            self.answered.push(item);
        } else if event["type"] == "response.completed" {
            self.latest = event["response"]["id"].as_str().map(str::to_owned);
            self.items = std::mem::take(&mut self.asked);
            self.items.append(&mut self.answered);
        } else if is_last(event) {
            *self = Self::default();
        }
    }
}
