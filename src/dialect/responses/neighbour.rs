//! Messages in the form of another API, where they are unmistakable.
//!
//! * Chat's are a message of the role `tool` or `function`, one of the model with `tool_calls` or `function_call`, and
//!   one with `images`. Anthropic's have a block `tool_use`, `tool_result`, or `image` with a `source`. A file in chat's
//!   form is one too.
//! * Chat's parser, which knows all of these, reads the whole message. One message may be several items.
//! * Any other message passes byte for byte, but for the keys in [`foreign`](crate::dialect::responses::foreign).

use serde_json::value::RawValue;

use crate::backend::request::write_turn;
use crate::conversation::ignored::Ignored;
use crate::dialect::chat;
use crate::fault::Fault;
use crate::json::{self, ArrayWriter, Object, Path, Text};

/// Returns the items of the message in `raw`, which is `message` at `path`; `None` if it has this API's own form.
pub(super) fn items(
    raw: &RawValue,
    message: &Object<'_>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Option<Vec<Box<RawValue>>>, Fault> {
    if !is_neighbours(message) {
        return Ok(None);
    }
    let mut turns = Vec::new();
    chat::message::parse(raw, path, &mut turns, ignored)?;
    let mut json = Vec::new();
    let mut items = ArrayWriter::begin(&mut json);
    turns.iter().for_each(|turn| write_turn(turn, &mut items));
    items.end();
    Ok(serde_json::from_slice(&json).ok())
}

fn is_neighbours(message: &Object<'_>) -> bool {
    let has = |key: &str| message.find(key).is_some();
    match message.find("role").and_then(Text::of).map(Text::decode).as_deref() {
        Some("tool" | "function") => true,
        Some("assistant") if has("tool_calls") || has("function_call") => true,
        Some("user" | "assistant") if has("images") => true,
        Some("user" | "assistant") => message.find("content").is_some_and(has_neighbours_part),
        Some(_) | None => false,
    }
}

/// Returns whether a content has a part that this API lacks and another has.
fn has_neighbours_part(content: &RawValue) -> bool {
    // Nearly every content has none, and a search is faster than a parse.
    let content = content.get();
    if !content.starts_with('[') || !json::may_have(content, &MARKS) {
        return false;
    }
    let is_neighbours = |part: &Object<'_>| match part.find("type").and_then(Text::of).map(Text::decode).as_deref() {
        Some("image") => part.find("source").is_some(),
        Some("file") => part.find("file").is_some(),
        Some("tool_use") => part.find("input").is_some(),
        Some("tool_result") => part.find("tool_use_id").is_some(),
        Some(_) | None => false,
    };
    let parts = serde_json::from_str::<Vec<&RawValue>>(content).unwrap_or_default();
    parts.into_iter().filter_map(|part| serde_json::from_str(part.get()).ok()).any(|part| is_neighbours(&part))
}

/// One of these is in every content with such a part.
const MARKS: [&str; 4] = ["\"image\"", "\"file\"", "\"tool_use\"", "\"tool_result\""];
