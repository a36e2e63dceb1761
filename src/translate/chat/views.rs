//! Items and their parts, seen through the few fields an answer is made of.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::Key;
use super::sink::CallKind;
use crate::openai::json::Text;

/// What is read of an item.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ItemView<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) call_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    pub(super) summary: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    pub(super) encrypted_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) output_format: Option<&'a RawValue>,
}

impl<'a> ItemView<'a> {
    pub(super) fn parse(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(super) fn key(&self, output_index: Option<u64>) -> Key<'a> {
        Key { id: self.id.map(RawValue::get), output_index }
    }

    pub(super) fn call_kind(&self) -> Option<CallKind> {
        match self.kind.and_then(Text::of).map(Text::escaped) {
            Some("function_call") => Some(CallKind::Function),
            Some("custom_tool_call") => Some(CallKind::Custom),
            _ => None,
        }
    }

    pub(super) fn payload(&self, kind: CallKind) -> Option<Text<'a>> {
        match kind {
            CallKind::Function => self.arguments,
            CallKind::Custom => self.input,
        }
        .and_then(Text::of)
    }
}

/// What is read of a part of a message or of reasoning.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PartView<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
}

impl<'a> PartView<'a> {
    /// The text of a message part that holds text.
    pub(super) fn output_text(&self) -> Option<Text<'a>> {
        let kind = self.kind.and_then(Text::of)?;
        self.text.and_then(Text::of).filter(|_| kind.escaped() == "output_text")
    }
}
