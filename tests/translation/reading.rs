//! An answer as somebody would read it off the events with a pencil, without any of the project's own code.
//!
//! * [`Reading::of_items`] trusts finished items alone; [`Reading::of_deltas`] adds up deltas alone, as many clients do.
//! * Both give the same [`Reading`] of a stream that nothing has happened to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::chat::Message;

/// What the items of an answer hold, in the order of their places.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) items: Vec<Item>,
}

/// What one item holds.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) kind: String,
    /// The parts of a message, each with its text, refusal and citations.
    pub(crate) parts: Vec<(String, String, Vec<Value>)>,
    pub(crate) summary: Vec<String>,
    pub(crate) raw: Vec<String>,
    pub(crate) call_id: String,
    pub(crate) name: String,
    /// Arguments or input.
    pub(crate) payload: String,
    pub(crate) image: String,
}

impl Item {
    fn of(item: &Value) -> Self {
        let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let is_message = item["type"] == "message";
        let part = |part: &Value| (string(&part["text"]), string(&part["refusal"]), list(&part["annotations"]));
        let is_call = matches!(item["type"].as_str(), Some("function_call" | "custom_tool_call"));
        Self {
            kind: string(&item["type"]),
            parts: list(&item["content"]).iter().filter(|_| is_message).map(part).collect(),
            summary: list(&item["summary"]).iter().map(|part| string(&part["text"])).collect(),
            raw: list(&item["content"]).iter().filter(|_| !is_message).map(|part| string(&part["text"])).collect(),
            call_id: if is_call { string(&item["call_id"]) } else { String::new() },
            name: if is_call { string(&item["name"]) } else { String::new() },
            payload: match item["type"].as_str() {
                Some("function_call") => string(&item["arguments"]),
                Some("custom_tool_call") => string(&item["input"]),
                _ => String::new(),
            },
            image: string(&item["result"]),
        }
    }

    /// Whether a chat client sees any of it.
    fn is_shown(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "message" | "reasoning" | "function_call" | "custom_tool_call" | "image_generation_call"
        )
    }
}

impl Reading {
    /// The items of a `response` object's `output`.
    pub(crate) fn of_output(output: &Value) -> Self {
        Self { items: output.as_array().into_iter().flatten().map(Item::of).collect() }
    }

    /// The items that `response.output_item.done` events bring.
    pub(crate) fn of_items(events: &[Value]) -> Self {
        let mut found = BTreeMap::new();
        for event in events.iter().filter(|event| event["type"] == "response.output_item.done") {
            found.insert(event["output_index"].as_u64(), Item::of(&event["item"]));
        }
        Self { items: found.into_values().collect() }
    }

    /// The sums of the deltas, and what the first event of each item says of it.
    pub(crate) fn of_deltas(events: &[Value]) -> Self {
        let mut found: BTreeMap<Option<u64>, Sums> = BTreeMap::new();
        for event in events {
            let kind = event["type"].as_str().unwrap_or_default();
            if event.get("output_index").is_some() {
                found.entry(event["output_index"].as_u64()).or_default().add(kind, event);
            }
        }
        Self { items: found.into_values().map(Sums::item).collect() }
    }

    /// What a chat client is to have of these items.
    pub(crate) fn as_chat(&self) -> Message {
        let mut answer = Message::default();
        let (mut texts, mut thoughts) = (Vec::new(), Vec::new());
        for item in &self.items {
            let text: String = item.parts.iter().map(|part| part.0.as_str()).collect();
            texts.extend(Some(text).filter(|text| !text.is_empty()));
            answer.refusal.extend(item.parts.iter().map(|part| part.1.as_str()));
            if item.kind == "reasoning" {
                thoughts.extend(item.summary.iter().chain(&item.raw).filter(|text| !text.is_empty()).cloned());
            }
            let citations = item.parts.iter().flat_map(|part| &part.2);
            let citations = citations.filter(|annotation| annotation["type"] == "url_citation");
            answer.annotations.extend(citations.map(|citation| json!({ "url_citation": citation })));
            if matches!(item.kind.as_str(), "function_call" | "custom_tool_call") {
                let kind = item.kind.trim_end_matches("_call").trim_end_matches("_tool").to_owned();
                answer.calls.push((item.call_id.clone(), kind, item.name.clone(), item.payload.clone()));
            }
            if item.kind == "image_generation_call" && !item.image.is_empty() {
                answer.images.push(item.image.clone());
            }
        }
        answer.content = texts.join("\n\n");
        answer.reasoning = thoughts.join("\n\n");
        answer
    }

    /// The same without what no chat client sees.
    pub(crate) fn shown(mut self) -> Self {
        self.items.retain(Item::is_shown);
        self
    }

    /// The same without what is no text and no call, of which there are no deltas.
    pub(crate) fn told_in_deltas(mut self) -> Self {
        self.items.retain(|item| item.is_shown() && item.kind != "image_generation_call");
        self
    }
}

/// What the deltas of one item add up to.
#[derive(Debug, Default)]
struct Sums {
    item: Item,
    parts: BTreeMap<u64, (String, String, Vec<Value>)>,
    summary: BTreeMap<u64, String>,
    raw: BTreeMap<u64, String>,
}

impl Sums {
    fn add(&mut self, kind: &str, event: &Value) {
        let index = |name: &str| event[name].as_u64().unwrap_or_default();
        let delta = event["delta"].as_str().unwrap_or_default();
        match kind {
            "response.output_item.added" => {
                let parts = std::mem::take(&mut self.item.payload);
                self.item =
                    Item { parts: Vec::new(), summary: Vec::new(), raw: Vec::new(), ..Item::of(&event["item"]) };
                self.item.payload = parts;
            }
            "response.content_part.added" if event["part"]["type"] != "reasoning_text" => {
                self.parts.entry(index("content_index")).or_default();
            }
            "response.output_text.delta" => self.parts.entry(index("content_index")).or_default().0 += delta,
            "response.refusal.delta" => self.parts.entry(index("content_index")).or_default().1 += delta,
            "response.output_text.annotation.added" => {
                self.parts.entry(index("content_index")).or_default().2.push(event["annotation"].clone());
            }
            "response.reasoning_summary_part.added" => {
                self.summary.entry(index("summary_index")).or_default();
            }
            "response.reasoning_summary_text.delta" => {
                *self.summary.entry(index("summary_index")).or_default() += delta;
            }
            "response.reasoning_text.delta" => *self.raw.entry(index("content_index")).or_default() += delta,
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.item.payload += delta;
            }
            _ => {}
        }
    }

    fn item(self) -> Item {
        let parts = self.parts.into_values().collect();
        Item {
            parts,
            summary: self.summary.into_values().collect(),
            raw: self.raw.into_values().collect(),
            ..self.item
        }
    }
}
