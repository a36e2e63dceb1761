//! Whether an item of a client's history is the one that the backend returned.
//!
//! * Clients do not send back what they were sent byte for byte: they leave out ids, states, annotations and the likes, and
//!   write the rest anew. What counts is compared by its value, decoded.
//! * What a client leaves out without a meaning may be absent. Whatever it adds has to be what the backend said.
//! * On any doubt an item has no meaning, and equals nothing.

use sha2::{Digest as _, Sha256};

use crate::backend::frame::{PartDigest, shortened};
use crate::json::{Object, Raw};

/// What an item says, as digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemMeaning {
    core: PartDigest,
    /// The phase of a message.
    phase: Option<PartDigest>,
    /// The fields beyond those that are known.
    extras: Option<PartDigest>,
}

impl ItemMeaning {
    /// Reads an item; `None` if it cannot be compared.
    pub fn of(item: &str) -> Option<Self> {
        let fields: Object<'_> = serde_json::from_str(item).ok()?;
        let kind = text(fields.find("type").map_or(Raw::of_valid("\"message\""), Raw::from))?;
        let mut core = Hash::default();
        core.part(&kind);
        let known: &[&str] = match kind.as_ref() {
            "message" => {
                message(&fields, &mut core)?;
                &["role", "content", "phase"]
            }
            "function_call" => fields_of(&fields, &["name", "namespace", "call_id", "arguments"], &mut core)?,
            "custom_tool_call" => fields_of(&fields, &["name", "namespace", "call_id", "input"], &mut core)?,
            "reasoning" => {
                reasoning(&fields, &mut core)?;
                &["summary", "encrypted_content"]
            }
            _ => &[],
        };
        let phase = fields.find("phase").filter(|_| known.contains(&"phase")).map(|phase| {
            let mut hash = Hash::default();
            hash.part(phase.get());
            hash.end()
        });
        Some(Self { core: core.end(), phase, extras: extras(&fields, known) })
    }

    /// Returns whether `sent` is this item, which the backend returned.
    pub fn is_returned_as(&self, sent: &Self) -> bool {
        let agrees = |told: &Option<PartDigest>, sent: &Option<PartDigest>| sent.is_none() || told == sent;
        self.core == sent.core && agrees(&self.phase, &sent.phase) && agrees(&self.extras, &sent.extras)
    }
}

/// Adds the texts of the model's message.
fn message(fields: &Object<'_>, core: &mut Hash) -> Option<()> {
    let role = text(fields.find("role")?.into())?;
    core.part(&role);
    let content = fields.find("content")?;
    let parts: Vec<Object<'_>> = serde_json::from_str(content.get()).ok()?;
    for part in &parts {
        let kind = text(part.find("type")?.into())?;
        core.part(&kind);
        let name = match kind.as_ref() {
            "output_text" => "text",
            "refusal" => "refusal",
            _ => return None,
        };
        core.part(&text(part.find(name)?.into())?);
        let is_known = |key: &str| [name, "type", "annotations", "logprobs"].contains(&key);
        if part.iter().any(|(key, value)| !is_known(key) && !is_nothing(value.get())) {
            return None;
        }
    }
    Some(())
}

/// Adds reasoning by its encrypted content, which alone the model reads, and by the summary that its user has seen.
fn reasoning(fields: &Object<'_>, core: &mut Hash) -> Option<()> {
    core.part(&text(fields.find("encrypted_content")?.into())?);
    let parts = fields.find("summary").map_or(Ok(Vec::new()), |summary| serde_json::from_str(summary.get()));
    let parts: Vec<Object<'_>> = parts.ok()?;
    for part in &parts {
        core.part(&text(part.find("text")?.into())?);
    }
    Some(())
}

/// Adds texts, each of which may be absent.
fn fields_of<'n>(fields: &Object<'_>, names: &'n [&'n str], core: &mut Hash) -> Option<&'n [&'n str]> {
    for name in names {
        match fields.find(name) {
            Some(value) => core.part(&text(value.into())?),
            None => core.absent(),
        }
    }
    Some(names)
}

/// Returns the digest of the fields that are neither `known` nor without a meaning, in their order, if there are any.
fn extras(fields: &Object<'_>, known: &[&str]) -> Option<PartDigest> {
    let is_extra = |key: &str, value: &str| !known.contains(&key) && !IGNORED.contains(&key) && !is_nothing(value);
    let mut hash = Hash::default();
    let mut is_any = false;
    for (key, value) in fields.iter().filter(|(key, value)| is_extra(key, value.get())) {
        hash.part(key);
        hash.part(value.get());
        is_any = true;
    }
    is_any.then(|| hash.end())
}

/// Returns whether a value is the same as an absent one.
fn is_nothing(value: &str) -> bool {
    matches!(value, "null" | "[]")
}

/// Decodes a string; `None` for any other value, and for characters that no text can hold: two of them would look alike.
fn text(raw: Raw<'_>) -> Option<std::borrow::Cow<'_, str>> {
    let text = raw.text()?.decode();
    (!text.contains(char::REPLACEMENT_CHARACTER)).then_some(text)
}

/// A digest of parts, whose bounds count.
#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    fn part(&mut self, part: &str) {
        self.0.update([1]);
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn absent(&mut self) {
        self.0.update([0]);
    }

    fn end(self) -> PartDigest {
        shortened(self.0)
    }
}

/// What only names or describes an item.
const IGNORED: [&str; 3] = ["type", "id", "status"];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(returned: &str, sent: &str) -> bool {
        match (ItemMeaning::of(returned), ItemMeaning::of(sent)) {
            (Some(returned), Some(sent)) => returned.is_returned_as(&sent),
            _ => false,
        }
    }

    const MESSAGE: &str = r#"{"id":"msg_1","type":"message","status":"completed","role":"assistant","phase":"commentary",
        "content":[{"type":"output_text","text":"\u00e9 \"x\"","annotations":[{"type":"url_citation"}],"logprobs":[]}]}"#;
    const CALL: &str = r#"{"id":"fc_1","type":"function_call","status":"completed","name":"f","call_id":"c","arguments":"{\"a\": 1}"}"#;
    const REASONING: &str = r#"{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[],"encrypted_content":"gAAA"}"#;

    #[test]
    fn what_clients_leave_out_or_write_anew_is_the_same() {
        for (returned, sent) in [
            (MESSAGE, MESSAGE),
            (MESSAGE, r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"é \"x\""}]}"#),
            (
                MESSAGE,
                r#"{"role":"assistant","content":[{"text":"é \u0022x\u0022","type":"output_text","annotations":[]}],"phase":"commentary"}"#,
            ),
            (CALL, r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\": 1}","namespace":null}"#),
            (
                REASONING,
                r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"gAAA"}"#,
            ),
            (
                r#"{"type":"web_search_call","id":"ws","status":"completed","action":{"q":"a"}}"#,
                r#"{"action":{"q":"a"},"type":"web_search_call","status":"x"}"#,
            ),
            (
                r#"{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}"#,
                r#"{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}"#,
            ),
        ] {
            assert!(is_same(returned, sent), "{returned} {sent}");
        }
    }

    #[test]
    fn what_says_something_else_is_another() {
        for (returned, sent) in [
            (MESSAGE, r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"é \"y\""}]}"#),
            (MESSAGE, r#"{"type":"message","role":"user","content":[{"type":"output_text","text":"é \"x\""}]}"#),
            (MESSAGE, r#"{"type":"message","role":"assistant","content":[]}"#),
            (MESSAGE, r#"{"type":"message","role":"assistant","content":"é \"x\""}"#),
            (
                MESSAGE,
                r#"{"type":"message","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"é \"x\""}]}"#,
            ),
            (
                MESSAGE,
                r#"{"type":"message","role":"assistant","note":1,"content":[{"type":"output_text","text":"é \"x\""}]}"#,
            ),
            (
                MESSAGE,
                r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"é \"x\"","note":1}]}"#,
            ),
            (CALL, r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":1}"}"#),
            (CALL, r#"{"type":"function_call","call_id":"d","name":"f","arguments":"{\"a\": 1}"}"#),
            (CALL, r#"{"type":"function_call","call_id":"c","name":"g","arguments":"{\"a\": 1}"}"#),
            (CALL, r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\": 1}","namespace":"n"}"#),
            (CALL, r#"{"type":"custom_tool_call","call_id":"c","name":"f","input":"{\"a\": 1}"}"#),
            (REASONING, r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#),
            (
                REASONING,
                r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"gAAB"}"#,
            ),
            (REASONING, r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}]}"#),
            (r#"{"type":"web_search_call","action":{"q":"a"}}"#, r#"{"type":"web_search_call","action":{"q": "a"}}"#),
            (
                r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"\ud800"}]}"#,
                r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"\ud801"}]}"#,
            ),
            ("[]", "[]"),
            ("{", "{"),
        ] {
            assert!(!is_same(returned, sent), "{returned} {sent}");
        }
        // A history whose text joins two of the backend's is none of them.
        let two = r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]}"#;
        assert!(!is_same(
            two,
            r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ab"}]}"#
        ));
    }
}
