//! Bodies with the files that the backend refuses in another form.
//!
//! No source tells whether this backend loads a file from a URL, and whether it takes one in a tool's output. So both are
//! sent, and only a body that it refuses is changed: the URL becomes a text, and an output's file moves into a message
//! by the user behind the outputs.

use serde_json::value::RawValue;

use crate::backend::request::body::{Body, Edit};
use crate::json::{Object, ObjectWriter, Text};

impl Body {
    /// Returns the body with a text that names the URL in place of each file with one; `None` if there is none.
    pub fn without_file_urls(&self) -> Option<Self> {
        let mut edits = Vec::new();
        for item in self.input()? {
            for part in parts_of(&item) {
                let Some(url) = file(part).and_then(|file| Text::of(file.find("file_url")?)) else { continue };
                let by = text_part(&format!("Document at the URL {}", url.escaped()));
                edits.push(Edit { range: self.place_of(part), by });
            }
        }
        if edits.is_empty() { None } else { self.edited(&edits) }
    }

    /// Returns the body with the files of tools' outputs in a message by the user directly behind the outputs, of which
    /// each says so; `None` if there is none.
    pub fn without_files_in_outputs(&self) -> Option<Self> {
        let mut edits = Vec::new();
        let mut moved: Vec<&RawValue> = Vec::new();
        // The end of the last output.
        let mut end = 0;
        for value in self.input_values()? {
            let item: Object<'_> = serde_json::from_str(value.get()).ok()?;
            if !is_output(&item) {
                edits.extend(message_of(&mut moved, end));
                continue;
            }
            end = self.place_of(value).end;
            for part in parts_of(&item).into_iter().filter(|part| file(part).is_some()) {
                edits.push(Edit { range: self.place_of(part), by: text_part(MOVED) });
                moved.push(part);
            }
        }
        edits.extend(message_of(&mut moved, end));
        if edits.is_empty() { None } else { self.edited(&edits) }
    }

    fn input_values(&self) -> Option<Vec<&RawValue>> {
        let entries: Object<'_> = serde_json::from_slice(self.whole()).ok()?;
        serde_json::from_str(entries.find("input")?.get()).ok()
    }

    /// Returns the items of `input`.
    pub(super) fn input(&self) -> Option<Vec<Object<'_>>> {
        self.input_values()?.into_iter().map(|value| serde_json::from_str(value.get()).ok()).collect()
    }
}

/// Returns the parts of a message or of an output.
fn parts_of<'a>(item: &Object<'a>) -> Vec<&'a RawValue> {
    let content = item.find("content").or_else(|| item.find("output"));
    content.and_then(|content| serde_json::from_str(content.get()).ok()).unwrap_or_default()
}

/// Returns the keys of `part` if it is a file.
fn file(part: &RawValue) -> Option<Object<'_>> {
    let part: Object<'_> = serde_json::from_str(part.get()).ok()?;
    part.find("type").is_some_and(|kind| Text::of(kind).is_some_and(|kind| kind.is("input_file"))).then_some(part)
}

fn is_output(item: &Object<'_>) -> bool {
    let kind = item.find("type").and_then(Text::of);
    kind.is_some_and(|kind| matches!(kind.decode().as_ref(), "function_call_output" | "custom_tool_call_output"))
}

/// Returns the insertion of a message with the `moved` parts at `end`, if there are any.
fn message_of(moved: &mut Vec<&RawValue>, end: usize) -> Option<Edit> {
    if moved.is_empty() {
        return None;
    }
    let parts: Vec<&str> = moved.drain(..).map(RawValue::get).collect();
    let by = format!(r#",{{"type":"message","role":"user","content":[{}]}}"#, parts.join(","));
    Some(Edit { range: end..end, by })
}

/// Writes a part with a text, escaped.
fn text_part(text: &str) -> String {
    let mut json = Vec::new();
    let mut part = ObjectWriter::begin(&mut json);
    part.string("type", "input_text").text("text", Text::from_escaped(text));
    part.end();
    String::from_utf8(json).unwrap_or_default()
}

/// The text in place of a file that has moved.
const MOVED: &str = "[The file is in the message after the tool outputs.]";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::backend::request::body::{Origin, Provenance, Reasoning, Without};

    /// Creates a body with `input`, of which the items of the type `reasoning` are remembered.
    fn body(input: &Value) -> Body {
        let mut json = b"{\"input\":[".to_vec();
        let mut reasoning = Vec::new();
        for (index, item) in input.as_array().unwrap().iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            let start = json.len();
            json.extend_from_slice(item.to_string().as_bytes());
            if item["type"] == "reasoning" {
                let origin = Origin::Memory(Arc::new(Provenance::new("a".into(), "m".to_owned())));
                reasoning.push(Reasoning { range: start..json.len(), origin });
            }
        }
        json.extend_from_slice(b"],\"stream\":true}");
        Body::new(json, reasoning)
    }

    fn file(url: &str) -> Value {
        json!({ "type": "input_file", "file_url": url })
    }

    fn input_of(bytes: &[u8]) -> Value {
        let body: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(body["stream"], true);
        body["input"].clone()
    }

    #[test]
    fn files_move_and_urls_become_texts_and_reasoning_is_found_again() {
        let text = |text: &str| json!({ "type": "input_text", "text": text });
        let reasoning = |id: &str| json!({ "type": "reasoning", "id": id });
        let output = |id: &str, parts: Value| json!({ "type": "function_call_output", "call_id": id, "output": parts });
        let message = |parts: Value| json!({ "type": "message", "role": "user", "content": parts });
        let input = json!([
            reasoning("one"),
            message(json!([text("a"), file("https://x/\"q\"")])),
            reasoning("two"),
            output("a", json!([text("b"), file("u")])),
            output("b", json!("plain")),
            output("c", json!([file("v")])),
            reasoning("three"),
            output("d", json!([file("w")])),
        ]);
        let body = body(&input);
        let named = body.without_file_urls().unwrap();
        let sent = input_of(named.whole());
        assert_eq!(sent[1]["content"], json!([text("a"), text("Document at the URL https://x/\"q\"")]));
        assert_eq!(sent[5]["output"], json!([text("Document at the URL v")]));
        assert!(named.without_file_urls().is_none() && named.without_files_in_outputs().is_none(), "once");
        let moved = body.without_files_in_outputs().unwrap();
        let sent = input_of(moved.whole());
        assert_eq!(sent[3]["output"], json!([text("b"), text(MOVED)]));
        assert_eq!(sent[6], message(json!([file("u"), file("v")])));
        assert_eq!((&sent[7]["id"], &sent[9]), (&json!("three"), &message(json!([file("w")]))));
        assert!(moved.without_files_in_outputs().is_none(), "once");
        for body in [named, moved.without_file_urls().unwrap()] {
            let rest = input_of(&body.bytes(Without::Any));
            assert!(rest.as_array().unwrap().iter().all(|item| item["type"] != "reasoning"), "{rest}");
        }
    }
}
