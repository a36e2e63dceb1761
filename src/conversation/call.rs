//! Calls of tools, and the references by which outputs name them.

use serde_json::value::RawValue;

use crate::conversation::content::Content;
use crate::json::Text;

/// A call in the history.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The call's id; the legacy form has none.
    pub id: Option<Text<'a>>,
    /// Whether the tool is a custom tool, called with free-form input.
    pub custom: bool,
    /// The tool's name.
    pub name: Text<'a>,
    /// The arguments or input.
    pub payload: Payload<'a>,
    /// Whether the client asks for the reasoning that led to the call to be left out.
    pub forgets_reasoning: bool,
}

/// A call in the history that the client's API ran itself, such as one of an MCP server.
#[derive(Debug)]
pub struct ServedCall<'a> {
    /// The call's id.
    pub id: Text<'a>,
    /// The tool's name as the model knows it, escaped.
    pub name: String,
    /// The arguments.
    pub payload: Payload<'a>,
    /// The output; `None` if the history has none.
    pub output: Option<Content<'a>>,
}

/// The arguments or input of a call.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// A string, as the API prescribes.
    Text(Text<'a>),
    /// JSON that the client did not encode as a string.
    Json(&'a RawValue),
}

/// The reference by which a tool's output names its call.
#[derive(Debug, Clone, Copy)]
pub enum CallReference<'a> {
    /// By id.
    Id(Text<'a>),
    /// By the function's name, in the legacy form.
    Name(Text<'a>),
}
