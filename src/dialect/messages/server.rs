//! Tools run by the API's servers, in a conversation's history.
//!
//! * A web search is returned as the backend's own item, with the addresses found; so are an opened page and a look for a
//!   pattern in it, which an answer shows as searches.
//! * A call of an MCP server and its result are returned as a call of a function and its output, under `SERVER__NAME`.
//! * Any other call becomes text by the model: the call and its result. So does a search that failed.
//! * A call keeps its place, with or without a result, and a result finds its call in an earlier message too.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use super::block;
use crate::backend::request::names::sent_name;
use crate::conversation::Conversation;
use crate::conversation::call::{Payload, ServedCall};
use crate::conversation::content::{Content, Part};
use crate::conversation::turn::Turn;
use crate::fault::Fault;
use crate::json::{ArrayWriter, Object, ObjectWriter, Path, Text, array, escape, object};

/// The calls whose results have not come.
#[derive(Debug, Default)]
pub(super) struct ServerCalls<'a> {
    by_id: HashMap<Cow<'a, str>, VecDeque<ServerCall<'a>>>,
}

/// A call run by a server.
#[derive(Debug)]
struct ServerCall<'a> {
    kind: ServerTool,
    name: Text<'a>,
    input: Option<&'a RawValue>,
    /// The position of the call's turn.
    turn: usize,
}

/// The kinds of calls, by the results that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerTool {
    /// A search of the web.
    Search,
    /// A tool of an MCP server.
    Mcp,
    /// Another tool of the API's own.
    Other,
}

impl ServerTool {
    /// Returns the kind of call that a result of the type `result` answers.
    fn answered_by(result: &str) -> Option<Self> {
        match result.strip_suffix("_tool_result")? {
            "web_search" => Some(Self::Search),
            "mcp" => Some(Self::Mcp),
            "web_fetch" | "code_execution" | "bash_code_execution" | "text_editor_code_execution" | "tool_search" => {
                Some(Self::Other)
            }
            _ => None,
        }
    }
}

impl<'a> ServerCalls<'a> {
    /// Reads the call in `block` and adds its turn. Missing fields are empty: the call has been carried out already.
    pub(super) fn begin(&mut self, block: &Object<'a>, turns: &mut Vec<Turn<'a>>) {
        let text = |key: &str| block.find(key).and_then(Text::of).unwrap_or(Text::EMPTY);
        let (id, name) = (text("id"), text("name"));
        let input = block.find("input").filter(|input| input.get() != "null");
        let kind = match text("type").decode().as_ref() {
            "mcp_tool_use" => ServerTool::Mcp,
            _ if name.is("web_search") => ServerTool::Search,
            _ => ServerTool::Other,
        };
        let call = ServerCall { kind, name, input, turn: turns.len() };
        turns.push(match kind {
            ServerTool::Mcp => {
                let name = format!("{}__{}", text("server_name").escaped(), name.escaped());
                let name = sent_name(Text::from_escaped(&name)).into_owned();
                let payload = input.map_or(Payload::Text(Text::from_escaped("{}")), Payload::Json);
                Turn::Served(ServedCall { id, name, payload, output: None })
            }
            ServerTool::Search | ServerTool::Other => said(name, "call", input.map_or("{}", RawValue::get)),
        });
        self.by_id.entry(id.decode()).or_default().push_back(call);
    }

    /// Returns whether a call waits for the result of the type `result` with this id.
    pub(super) fn has(&self, id: Text<'a>, result: &str) -> bool {
        let first = self.by_id.get(id.decode().as_ref()).and_then(VecDeque::front);
        first.is_some_and(|call| ServerTool::answered_by(result) == Some(call.kind))
    }

    /// Reads the result in `block` and adds it to the first call of its id.
    pub(super) fn finish(
        &mut self,
        block: &Object<'a>,
        path: &Path<'_>,
        conversation: &mut Conversation<'a>,
    ) -> Result<(), Fault> {
        let id = block.find("tool_use_id").and_then(Text::of).unwrap_or(Text::EMPTY);
        let calls = self.by_id.get_mut(id.decode().as_ref());
        let Some(call) = calls.and_then(VecDeque::pop_front) else { return Ok(()) };
        let content = block.find("content");
        let results = content.and_then(|content| array(content, &Path::Root).ok());
        match (call.kind, results) {
            (ServerTool::Mcp, _) => {
                let (_, content) = block::tool_result(block, path, &mut conversation.ignored, block::output)?;
                if let Some(Turn::Served(served)) = conversation.turns.get_mut(call.turn) {
                    served.output = Some(content);
                }
            }
            (ServerTool::Search, Some(results)) => {
                if let Some(turn) = conversation.turns.get_mut(call.turn) {
                    *turn = Turn::Item(searched(&call, results));
                }
            }
            (ServerTool::Search, None) | (ServerTool::Other, _) => {
                conversation.turns.push(said(call.name, "result", content.map_or("null", RawValue::get)));
            }
        }
        Ok(())
    }
}

/// Returns a text by the model, `[NAME WHAT: JSON]`.
fn said<'a>(name: Text<'_>, what: &str, json: &str) -> Turn<'a> {
    let text = format!("[{} {what}: {}]", name.escaped(), escape(json));
    Turn::Assistant { content: Content::Parts(vec![Part::Composed(text)]), refusal: None, calls: Vec::new() }
}

/// Writes `{"type":"web_search_call","status":"completed","action":{…}}`, with the action `search`, `open_page` or
/// `find_in_page`.
fn searched(call: &ServerCall<'_>, results: Vec<&RawValue>) -> String {
    let input = call.input.and_then(|input| object(input, &Path::Root).ok()).unwrap_or_default();
    let field = |key: &str| input.find(key).and_then(Text::of);
    let mut json = Vec::new();
    let mut item = ObjectWriter::begin(&mut json);
    item.string("type", "web_search_call").string("status", "completed");
    let mut action = ObjectWriter::begin(item.key("action"));
    let (query, page, pattern) = (field("query"), field("url"), field("pattern"));
    let kind = match (query, page, pattern) {
        (None, _, Some(_)) => "find_in_page",
        (None, Some(_), None) => "open_page",
        (_, _, _) => "search",
    };
    action.string("type", kind);
    let query = if kind == "search" { Some(query.unwrap_or(Text::EMPTY)) } else { None };
    for (key, value) in [("query", query), ("url", page), ("pattern", pattern)] {
        if let Some(value) = value.filter(|_| key == "query" || kind != "search") {
            action.text(key, value);
        }
    }
    let urls: Vec<Text<'_>> =
        results.into_iter().filter_map(|result| Text::of(object(result, &Path::Root).ok()?.find("url")?)).collect();
    if !urls.is_empty() {
        let mut sources = ArrayWriter::begin(action.key("sources"));
        for url in urls {
            let mut source = sources.object();
            source.string("type", "url").text("url", url);
            source.end();
        }
        sources.end();
    }
    action.end();
    item.end();
    String::from_utf8(json).unwrap_or_default()
}
