//! Tools run by the API's servers, in a conversation's history.
//!
//! * A web search is returned as the backend's own item, with the addresses found.
//! * A call of an MCP server and its result are returned as a call of a function and its output, under `SERVER__NAME`.
//! * Any other call becomes text by the model: the call and its result.

use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use super::history::as_text;
use crate::backend::request::call_id;
use crate::conversation::content::Content;
use crate::conversation::turn::Turn;
use crate::json::{ArrayWriter, Object, ObjectWriter, Path, Text, array, object};

/// A call run by a server.
#[derive(Debug)]
pub(super) struct ServerCall {
    id: String,
    name: String,
    server: Option<String>,
    input: String,
    query: Option<String>,
}

impl ServerCall {
    /// Reads the call in `block`. Missing fields are empty: the call has been carried out already.
    pub(super) fn read(block: &Object<'_>) -> Self {
        let text = |key: &str| block.find(key).and_then(Text::of).map(|text| text.decode().into_owned());
        let input = block.find("input").map_or("{}", RawValue::get);
        let query = serde_json::from_str::<Object<'_>>(input).ok();
        let query = query.and_then(|input| Some(Text::of(input.find("query")?)?.decode().into_owned()));
        Self {
            id: text("id").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            server: text("server_name"),
            input: input.to_owned(),
            query,
        }
    }
}

/// The calls of one message whose results have not come, in order.
#[derive(Debug, Default)]
pub(super) struct ServerCalls {
    /// `None` for a call whose result has come.
    calls: Vec<Option<ServerCall>>,
    by_id: HashMap<String, VecDeque<usize>>,
}

impl ServerCalls {
    /// Adds a call.
    pub(super) fn push(&mut self, call: ServerCall) {
        self.by_id.entry(call.id.clone()).or_default().push_back(self.calls.len());
        self.calls.push(Some(call));
    }

    /// Removes the first call of this id.
    pub(super) fn take(&mut self, id: Text<'_>) -> Option<ServerCall> {
        let place = self.by_id.get_mut(id.decode().as_ref())?.pop_front()?;
        self.calls.get_mut(place)?.take()
    }

    /// The calls that are left.
    pub(super) fn left(&self) -> impl Iterator<Item = &ServerCall> {
        self.calls.iter().flatten()
    }
}

/// Returns the turns for `call` and its result in `block`.
pub(super) fn turns<'a>(call: Option<&ServerCall>, block: &Object<'_>) -> Vec<Turn<'a>> {
    let content = block.find("content").map_or("null", RawValue::get);
    match call {
        Some(call) if call.name == "web_search" => vec![Turn::Item(searched(call, block))],
        Some(call) if call.server.is_some() => ran(call, block).map(Turn::Item).into(),
        Some(call) => {
            let mut turns = alone(call);
            turns.push(said(&format!("{} result:", call.name), content));
            turns
        }
        None => vec![said("result:", content)],
    }
}

/// Returns the turns for a call without a result.
pub(super) fn alone<'a>(call: &ServerCall) -> Vec<Turn<'a>> {
    vec![said(&format!("{} call:", call.name), &call.input)]
}

fn said<'a>(what: &str, json: &str) -> Turn<'a> {
    let content = Content::Parts(vec![as_text(&crate::json::escape(what), json)]);
    Turn::Assistant { content, refusal: None, calls: Vec::new() }
}

/// Writes `{"type":"web_search_call","status":"completed","action":{"type":"search","query","sources"}}`.
fn searched(call: &ServerCall, block: &Object<'_>) -> String {
    let mut json = Vec::new();
    let mut item = ObjectWriter::begin(&mut json);
    item.string("type", "web_search_call").string("status", "completed");
    let mut action = ObjectWriter::begin(item.key("action"));
    action.string("type", "search").string("query", call.query.as_deref().unwrap_or_default());
    let results = block.find("content").and_then(|content| array(content, &Path::Root).ok()).unwrap_or_default();
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

/// Writes a call of an MCP server and its output, as items.
fn ran(call: &ServerCall, block: &Object<'_>) -> [String; 2] {
    let id = call_id::fit(call.id.as_str().into());
    let name = format!("{}__{}", call.server.as_deref().unwrap_or_default(), call.name);
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let name: String = name.chars().map(|letter| if fits(letter) { letter } else { '_' }).take(64).collect();
    let (mut called, mut output) = (Vec::new(), Vec::new());
    let mut item = ObjectWriter::begin(&mut called);
    item.string("type", "function_call").string("call_id", &id).string("name", &name).string("arguments", &call.input);
    item.end();
    let mut item = ObjectWriter::begin(&mut output);
    item.string("type", "function_call_output").string("call_id", &id);
    let content = block.find("content");
    match content.and_then(Text::of) {
        Some(text) => item.text("output", text),
        None => item.string("output", &content.map(texts).unwrap_or_default()),
    };
    item.end();
    [called, output].map(|json| String::from_utf8(json).unwrap_or_default())
}

/// Joins the texts of a result's blocks, a line each; a block of another kind as its JSON.
fn texts(content: &RawValue) -> String {
    let blocks = array(content, &Path::Root).unwrap_or_default();
    let text = |block: &RawValue| {
        let object = object(block, &Path::Root).ok()?;
        Some(Text::of(object.find("text")?)?.decode().into_owned())
    };
    let lines = blocks.into_iter().map(|block| text(block).unwrap_or_else(|| block.get().to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}
