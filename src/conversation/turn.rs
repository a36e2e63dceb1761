//! The turns of a conversation, by who speaks.

use crate::conversation::call::{Call, CallReference};
use crate::conversation::content::Content;
use crate::json::Text;

/// One turn.
#[derive(Debug)]
pub enum Turn<'a> {
    /// What the operator or the client's program tells the model.
    Instruction(Content<'a>),
    /// What the user says.
    User(Content<'a>),
    /// What the model said and called.
    Assistant {
        /// What it said.
        content: Content<'a>,
        /// What it refused to say.
        refusal: Option<Text<'a>>,
        /// What it called, in order.
        calls: Vec<Call<'a>>,
    },
    /// What a tool returned.
    ToolOutput {
        /// Which call it answers.
        call: CallReference<'a>,
        /// What the tool returned.
        content: Content<'a>,
        /// Several texts in it stay parts of their own rather than become one.
        parts_apart: bool,
    },
    /// The model's own reasoning of an earlier answer, in front of what it led to.
    Reasoning(SealedReasoning),
    /// An item of an earlier answer in the backend's own form, a JSON object, such as a search of the web.
    Item(String),
}

/// Reasoning as an earlier answer gave it, good for one account and one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReasoning {
    /// The texts of its summary.
    pub summary: Vec<String>,
    /// The reasoning itself, as only the backend can read it.
    pub encrypted: String,
    /// A digest of the account it is good for.
    pub account: AccountDigest,
    /// The model it is good for.
    pub model: String,
}

/// The beginning of the SHA-256 of an account's id: tells accounts apart without naming one.
pub type AccountDigest = [u8; 8];
