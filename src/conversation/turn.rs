//! The turns of a conversation, by who speaks.

use crate::conversation::call::{Call, CallReference, ServedCall};
use crate::conversation::content::Content;
use crate::json::Text;

/// One turn.
#[derive(Debug)]
pub enum Turn<'a> {
    /// An instruction by the operator or the client's program; one before all other turns belongs to the prompt.
    Instruction(Content<'a>),
    /// An instruction that keeps its place, before all other turns too.
    PlacedInstruction(Content<'a>),
    /// A message by the user.
    User(Content<'a>),
    /// A message by the model, with its calls.
    Assistant {
        /// The text or parts of the message.
        content: Content<'a>,
        /// The text of a refusal.
        refusal: Option<Text<'a>>,
        /// The calls, in order.
        calls: Vec<Call<'a>>,
    },
    /// A tool's output.
    ToolOutput {
        /// The call that it answers.
        call: CallReference<'a>,
        /// The content of the output.
        content: Content<'a>,
        /// Whether several texts stay separate parts rather than become one.
        parts_apart: bool,
    },
    /// A call that the client's API ran itself, with its output.
    Served(ServedCall<'a>),
    /// The model's reasoning in an earlier answer, before the items it led to.
    Reasoning(SealedReasoning),
    /// An item of an earlier answer in the backend's own form, a JSON object, such as a web search.
    Item(String),
}

/// Reasoning of an earlier answer, valid for one account and one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReasoning {
    /// The texts of its summary.
    pub summary: Vec<String>,
    /// The encrypted reasoning, which only the backend can read.
    pub encrypted: String,
    /// A digest of the account for which it is valid.
    pub account: AccountDigest,
    /// The model for which it is valid.
    pub model: String,
}

/// The beginning of the SHA-256 of an account's id: distinguishes accounts without naming one.
pub type AccountDigest = [u8; 8];
