//! Calls of tools, and how outputs name them.

use serde_json::value::RawValue;

use crate::json::Text;

/// A call in the history.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its id; the legacy form has none.
    pub id: Option<Text<'a>>,
    /// A custom tool, called with free-form input.
    pub custom: bool,
    /// The tool.
    pub name: Text<'a>,
    /// Arguments or input.
    pub payload: Payload<'a>,
}

/// What a tool was called with.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// A string, as it should be.
    Text(Text<'a>),
    /// JSON that the client has not put into a string.
    Json(&'a RawValue),
}

/// How a tool's output names its call.
#[derive(Debug, Clone, Copy)]
pub enum CallReference<'a> {
    /// By id.
    Id(Text<'a>),
    /// By the function's name, in the legacy form.
    Name(Text<'a>),
}
