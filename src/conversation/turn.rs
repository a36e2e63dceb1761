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
    },
}
