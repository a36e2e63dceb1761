//! Output items and their events.
//!
//! * Events are numbered when they are sent, so that scenarios may drop and reorder them.

use serde_json::{Value, json};

use crate::vault::{Owner, Vault};

/// An item of the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// Reasoning summaries, one per part, or raw reasoning text.
    Reasoning { parts: Vec<String>, raw: bool },
    /// A message; `phase` is `commentary` or `final_answer`.
    Message { text: String, phase: &'static str, citations: Vec<Citation> },
    /// A message that declines.
    Refusal(String),
    /// A call of a function.
    FunctionCall { name: String, namespace: Option<String>, arguments: String },
    /// A call with free text.
    CustomCall { name: String, namespace: Option<String>, input: String },
    /// A search by the backend itself.
    WebSearch {
        query: String,
        /// The pages that it finds, where they were asked for.
        sources: Vec<String>,
    },
    /// A picture, in base64.
    Image(String),
    /// A compacted conversation.
    Compaction,
}

/// A web page cited by a range of text; the indices count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The context of one item's events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) vault: &'a Vault,
    /// The owner of the item's encrypted content.
    pub(crate) owner: Owner<'a>,
    pub(crate) index: usize,
    /// Whether to use ids of the length that the backend never accepts back.
    pub(crate) long_ids: bool,
}

impl Output {
    /// A final answer.
    pub(crate) fn answer(text: impl Into<String>) -> Self {
        Self::Message { text: text.into(), phase: "final_answer", citations: Vec::new() }
    }

    /// A commentary.
    pub(crate) fn commentary() -> Self {
        let text = "Simulated commentary: I look around first. 🔎".to_owned();
        Self::Message { text, phase: "commentary", citations: Vec::new() }
    }

    /// Returns the length of the item's text, the measure of its tokens.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Reasoning { parts, .. } => parts.iter().map(String::len).sum(),
            Self::Message { text, .. } | Self::Refusal(text) | Self::WebSearch { query: text, .. } => text.len(),
            Self::FunctionCall { name, arguments: text, .. } | Self::CustomCall { name, input: text, .. } => {
                name.len() + text.len()
            }
            Self::Image(_) | Self::Compaction => 64,
        }
    }

    /// Returns the events of this item, in order.
    pub(crate) fn events(&self, place: Place<'_>) -> Vec<Value> {
        match self {
            Self::Reasoning { parts, raw } => reasoning(parts, *raw, place),
            Self::Message { text, phase, citations } => message(text, phase, citations, place),
            Self::Refusal(text) => refusal(text, place),
            Self::FunctionCall { name, namespace, arguments } => {
                let call = json!({ "type": "function_call", "name": name, "call_id": place.vault.call_id() });
                tool_call(&call, namespace.as_deref(), ARGUMENTS, arguments, place)
            }
            Self::CustomCall { name, namespace, input } => {
                let call = json!({ "type": "custom_tool_call", "name": name, "call_id": place.vault.call_id() });
                tool_call(&call, namespace.as_deref(), INPUT, input, place)
            }
            Self::WebSearch { query, sources } => web_search(query, sources, place),
            Self::Image(data) => image(data, place),
            Self::Compaction => {
                let sealed = place.vault.seal(Owner { model: "", ..place.owner });
                compaction(&sealed, place)
            }
        }
    }
}

impl Place<'_> {
    fn id(&self, prefix: &str) -> String {
        if self.long_ids { self.vault.long_id(prefix) } else { self.vault.id(prefix) }
    }

    fn event(&self, kind: &str, item_id: &str, fields: Value) -> Value {
        let mut event = json!({ "type": kind, "item_id": item_id, "output_index": self.index });
        extend(&mut event, fields);
        event
    }

    fn added(&self, item: &Value) -> Value {
        json!({ "type": "response.output_item.added", "output_index": self.index, "item": item })
    }

    fn done(&self, item: &Value) -> Value {
        json!({ "type": "response.output_item.done", "output_index": self.index, "item": item })
    }
}

/// Returns the events of a compacted conversation, which comes in one piece. The event between its ends is the public
/// API's.
fn compaction(sealed: &str, place: Place<'_>) -> Vec<Value> {
    let id = place.id("cmp");
    let item = json!({ "id": id, "type": "compaction", "encrypted_content": sealed });
    let compacting = place.event("response.compaction.compacting", &id, json!({}));
    vec![place.added(&item), compacting, place.done(&item)]
}

fn reasoning(parts: &[String], raw: bool, place: Place<'_>) -> Vec<Value> {
    let id = place.id("rs");
    let empty = json!({ "id": id, "type": "reasoning", "summary": [], "encrypted_content": "gAAAAAB-incomplete" });
    let mut events = vec![place.added(&empty)];
    for (index, text) in parts.iter().enumerate() {
        let (family, key, part_type) = if raw {
            ("response.reasoning_text", "content_index", "reasoning_text")
        } else {
            ("response.reasoning_summary_text", "summary_index", "summary_text")
        };
        let part = |text: &str| json!({ key: index, "part": { "type": part_type, "text": text } });
        if !raw {
            events.push(place.event("response.reasoning_summary_part.added", &id, part("")));
        }
        for delta in pieces(text) {
            events.push(place.event(
                &format!("{family}.delta"),
                &id,
                obfuscated(json!({ key: index, "delta": delta })),
            ));
        }
        events.push(place.event(&format!("{family}.done"), &id, json!({ key: index, "text": text })));
        if !raw {
            events.push(place.event("response.reasoning_summary_part.done", &id, part(text)));
        }
    }
    let list = |part_type: &str| -> Vec<Value> {
        parts.iter().map(|text| json!({ "type": part_type, "text": text })).collect()
    };
    let mut item = json!({ "id": id, "type": "reasoning", "summary": if raw { vec![] } else { list("summary_text") } });
    if raw {
        item["content"] = list("reasoning_text").into();
    }
    item["encrypted_content"] = place.vault.seal(place.owner).into();
    events.push(place.done(&item));
    events
}

fn message(text: &str, phase: &str, citations: &[Citation], place: Place<'_>) -> Vec<Value> {
    let id = place.id("msg");
    let annotations: Vec<Value> = citations.iter().map(Citation::annotation).collect();
    let part = |text: &str, annotations: &[Value]| json!({ "type": "output_text", "annotations": annotations, "logprobs": [], "text": text });
    let item = |status: &str, content: Vec<Value>| json!({ "id": id, "type": "message", "status": status, "content": content, "phase": phase, "role": "assistant" });
    let at = |fields: Value| {
        let mut all = json!({ "content_index": 0 });
        extend(&mut all, fields);
        all
    };
    let mut events = vec![
        place.added(&item("in_progress", vec![])),
        place.event("response.content_part.added", &id, at(json!({ "part": part("", &[]) }))),
    ];
    for delta in pieces(text) {
        let fields = obfuscated(at(json!({ "delta": delta, "logprobs": [] })));
        events.push(place.event("response.output_text.delta", &id, fields));
    }
    for (index, annotation) in annotations.iter().enumerate() {
        let fields = at(json!({ "annotation_index": index, "annotation": annotation }));
        events.push(place.event("response.output_text.annotation.added", &id, fields));
    }
    events.push(place.event("response.output_text.done", &id, at(json!({ "text": text, "logprobs": [] }))));
    events.push(place.event("response.content_part.done", &id, at(json!({ "part": part(text, &annotations) }))));
    events.push(place.done(&item("completed", vec![part(text, &annotations)])));
    events
}

fn refusal(text: &str, place: Place<'_>) -> Vec<Value> {
    let id = place.id("msg");
    let part = |text: &str| json!({ "type": "refusal", "refusal": text });
    let item = |status: &str, content: Vec<Value>| {
        json!({
            "id": id, "type": "message", "status": status, "content": content, "phase": "final_answer",
            "role": "assistant",
        })
    };
    let mut events = vec![
        place.added(&item("in_progress", vec![])),
        place.event("response.content_part.added", &id, json!({ "content_index": 0, "part": part("") })),
    ];
    for delta in pieces(text) {
        let fields = obfuscated(json!({ "content_index": 0, "delta": delta }));
        events.push(place.event("response.refusal.delta", &id, fields));
    }
    events.push(place.event("response.refusal.done", &id, json!({ "content_index": 0, "refusal": text })));
    events.push(place.event("response.content_part.done", &id, json!({ "content_index": 0, "part": part(text) })));
    events.push(place.done(&item("completed", vec![part(text)])));
    events
}

/// The names that differ between the two kinds of call.
#[derive(Clone, Copy)]
struct CallNames {
    prefix: &'static str,
    key: &'static str,
    events: &'static str,
}

const ARGUMENTS: CallNames = CallNames { prefix: "fc", key: "arguments", events: "response.function_call_arguments" };
const INPUT: CallNames = CallNames { prefix: "ctc", key: "input", events: "response.custom_tool_call_input" };

fn tool_call(call: &Value, namespace: Option<&str>, names: CallNames, text: &str, place: Place<'_>) -> Vec<Value> {
    let CallNames { prefix, key, events: family } = names;
    let id = place.id(prefix);
    let item = |status: &str, text: &str| {
        let mut item = json!({ "id": id, "status": status });
        extend(&mut item, call.clone());
        item[key] = text.into();
        if let Some(namespace) = namespace {
            item["namespace"] = namespace.into();
        }
        item
    };
    let mut events = vec![place.added(&item("in_progress", ""))];
    for delta in pieces(text) {
        events.push(place.event(&format!("{family}.delta"), &id, obfuscated(json!({ "delta": delta }))));
    }
    events.push(place.event(&format!("{family}.done"), &id, json!({ key: text })));
    events.push(place.done(&item("completed", text)));
    events
}

fn web_search(query: &str, sources: &[String], place: Place<'_>) -> Vec<Value> {
    let id = place.id("ws");
    let mut action = json!({ "type": "search", "query": query, "queries": [query] });
    if !sources.is_empty() {
        action["sources"] = sources.iter().map(|url| json!({ "type": "url", "url": url })).collect();
    }
    let item = |status: &str| json!({ "id": id, "type": "web_search_call", "status": status, "action": action });
    let mut events = vec![place.added(&json!({ "id": id, "type": "web_search_call", "status": "in_progress" }))];
    for step in ["in_progress", "searching", "completed"] {
        events.push(place.event(&format!("response.web_search_call.{step}"), &id, json!({})));
    }
    events.push(place.done(&item("completed")));
    events
}

fn image(data: &str, place: Place<'_>) -> Vec<Value> {
    let id = place.id("ig");
    let mut events = vec![place.added(&json!({ "id": id, "type": "image_generation_call", "status": "in_progress" }))];
    for step in ["in_progress", "generating"] {
        events.push(place.event(&format!("response.image_generation_call.{step}"), &id, json!({})));
    }
    let partial = json!({ "partial_image_index": 0, "partial_image_b64": data, "output_format": "png" });
    events.push(place.event("response.image_generation_call.partial_image", &id, partial));
    events.push(place.event("response.image_generation_call.completed", &id, json!({})));
    events.push(place.done(&json!({
        "id": id, "type": "image_generation_call", "status": "completed", "output_format": "png",
        "revised_prompt": "a simulated picture", "result": data,
    })));
    events
}

impl Citation {
    fn annotation(&self) -> Value {
        json!({
            "type": "url_citation", "url": self.url, "title": self.title, "start_index": self.start,
            "end_index": self.end,
        })
    }
}

/// Splits a text into pieces of a few characters, never within a character. Long texts have longer pieces, so that an
/// answer stays within a few hundred events.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let stretch = 1 + text.len() / 2048;
    let mut lengths = PIECE_LENGTHS.iter().cycle();
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let wanted = lengths.next().map_or(1, |length| length * stretch);
        let end = rest.char_indices().nth(wanted).map_or(rest.len(), |(offset, _)| offset);
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

/// Adds the padding that hides a delta's length.
fn obfuscated(mut fields: Value) -> Value {
    let length = fields["delta"].as_str().map_or(0, str::len);
    fields["obfuscation"] = PADDING[..PADDING.len() - length % PADDING.len()].into();
    fields
}

fn extend(target: &mut Value, fields: Value) {
    if let (Value::Object(target), Value::Object(fields)) = (target, fields) {
        target.extend(fields);
    }
}

const PIECE_LENGTHS: [usize; 5] = [4, 12, 7, 9, 3];
const PADDING: &str = "aZ3kQ9xW1mB7tR5";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_text() {
        let text = "né 👩‍🚀 — ".repeat(400);
        assert_eq!(pieces(&text).concat(), text);
        assert!(pieces("").is_empty());
    }
}
