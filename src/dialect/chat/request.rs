//! The request of Chat Completions, as clients send it.
//!
//! * [`parse`] returns a request that can be translated, or an error that names the field.
//! * Forwarded values stay raw JSON. A field that is `null` counts as absent.
//! * A harmless field without a counterpart upstream is listed as ignored, as are keys inside messages, parts and
//!   tools; a field that would change the answer's shape is rejected.
//! * Forms of other APIs are accepted if they are unambiguous: Anthropic's tools and blocks, Ollama's images, and a
//!   body of the Responses API.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::conversation::Conversation;
use crate::conversation::ignored::Ignored;
use crate::conversation::settings::{ResponseFormat, SCHEMA_KEYS, TierRequest};
use crate::conversation::tool::Tool;
use crate::dialect::chat::{choice, message, search, stop, tool};
use crate::dialect::{Ask, Form, note_effort};
use crate::fault::Fault;
use crate::json;
use crate::json::{Path, Text};
use crate::models::effort::Effort;

/// A chat client's settings for its answer.
#[derive(Debug, Clone, Default)]
pub struct ChatShape {
    /// Whether the stream ends with a usage chunk.
    pub include_usage: bool,
    /// Whether the answer uses `function_call` in place of `tool_calls`, for a request that used `functions`.
    pub legacy_functions: bool,
    /// `stop`: up to four texts, none of them empty.
    pub stop: Vec<String>,
}

/// Values that several fields determine together.
#[derive(Debug, Default)]
struct Reading<'a> {
    conversation: Conversation<'a>,
    shape: ChatShape,
    model: Option<Cow<'a, str>>,
    stream: bool,
    /// `reasoning_effort`, or the effort in it.
    effort: Option<Cow<'a, str>>,
    /// `reasoning.effort`.
    nested_effort: Option<Cow<'a, str>>,
    /// `parallel_tool_calls`.
    parallel: Option<bool>,
    /// `reasoning.summary`, or the summary in an object under `reasoning_effort`.
    summary: Option<Text<'a>>,
}

/// Reads the chat request in `body`.
///
/// ```
/// use codex_proxy::dialect::chat::request::parse;
///
/// let ask = parse(br#"{"model":"gpt-6.1-sol","stream":true,"messages":[{"role":"user","content":"Hi!"}]}"#).unwrap();
/// assert_eq!((ask.model.as_deref(), ask.stream), (Some("gpt-6.1-sol"), true));
/// assert_eq!(ask.form.own().unwrap().turns.len(), 1);
///
/// let wrong = parse(br#"{"messages":[{"role":"user","content":5}]}"#).unwrap_err();
/// assert_eq!(wrong.param.as_deref(), Some("messages[0].content"));
/// ```
pub fn parse(body: &[u8]) -> Result<Ask<'_, ChatShape>, Fault> {
    let mut reading = Reading::default();
    let object = json::body(body)?;
    let is_empty = |messages: &RawValue| messages.get().trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty();
    // Cursor's agent sends Responses bodies here.
    let has_input = object.find("input").is_some() && object.find("messages").is_none_or(is_empty);
    for (key, value) in object.iter() {
        if value.get() != "null" && (!has_input || ANSWER_KEYS.contains(&key)) {
            reading.field(key, value)?;
        }
    }
    if has_input {
        let Reading { model, effort, stream, shape, conversation, .. } = reading;
        return Ok(Ask { model, effort, stream, shape, form: Form::Responses(conversation.ignored) });
    }
    if object.find("messages").is_none() {
        return Err(Fault::invalid("messages", "'messages' is missing"));
    }
    Ok(reading.finish())
}

impl<'a> Reading<'a> {
    fn finish(self) -> Ask<'a, ChatShape> {
        let Self { mut conversation, shape, model, stream, effort, nested_effort, parallel, summary } = self;
        let effort = effort.filter(|word| Effort::parse(word).is_some()).or(nested_effort);
        let searches = |tool: &Tool<'_>| matches!(tool, Tool::Hosted { kind: "web_search", .. });
        if conversation.web_search.is_some() && conversation.tools.iter().any(searches) {
            conversation.web_search = None;
            conversation.ignored.add(&Path::Root.key("web_search_options"));
        }
        // A chat client cannot request summaries, and without them it sees no reasoning.
        let summary = summary.unwrap_or(Text::from_escaped("auto"));
        conversation.summary = Some(summary).filter(|summary| !summary.is("none"));
        // The legacy answer has room for only one call.
        conversation.one_call_at_a_time = shape.legacy_functions || parallel == Some(false);
        Ask { model, effort, stream, shape, form: Form::Own(Box::new(conversation)) }
    }

    fn field(&mut self, key: &str, value: &'a RawValue) -> Result<(), Fault> {
        let path = &Path::Root.key(key);
        let conversation = &mut self.conversation;
        let ignored = &mut conversation.ignored;
        match key {
            "model" => self.model = Some(json::string(value, path)?),
            "messages" => conversation.turns = message::parse_all(value, path, ignored)?,
            "stream" => self.stream = json::boolean(value, path)?,
            "stream_options" => self.stream_options(value, path)?,
            "tools" => conversation.tools.extend(tool::parse_tools(value, path, ignored)?),
            "tool_choice" => conversation.tool_choice = Some(choice::parse(value, path, ignored)?),
            "parallel_tool_calls" => self.parallel = Some(json::boolean(value, path)?),
            "functions" => {
                self.shape.legacy_functions = true;
                conversation.tools.extend(tool::parse_functions(value, path, ignored)?);
            }
            "function_call" => {
                if conversation.tool_choice.is_none() {
                    conversation.tool_choice = Some(choice::parse_legacy(value, path, ignored)?);
                }
            }
            "web_search_options" => conversation.web_search = Some(search::parse(value, path, ignored)?),
            "response_format" => conversation.format = Some(response_format(value, path, ignored)?),
            // Some clients send the Responses API's object under this key.
            "reasoning_effort" if json::kind(value) == "an object" => {
                let (word, summary) = reasoning(value, path, ignored)?;
                self.effort = word;
                self.summary = self.summary.or(summary);
            }
            "reasoning_effort" => {
                let word = json::string(value, path)?;
                note_effort(&word, path, ignored);
                self.effort = Some(word);
            }
            "reasoning" => {
                let (word, summary) = reasoning(value, path, ignored)?;
                self.nested_effort = word;
                self.summary = summary.or(self.summary);
            }
            "verbosity" => conversation.verbosity = Some(json::text(value, path)?),
            "service_tier" => {
                let tier = json::string(value, path)?;
                conversation.service_tier = Some(TierRequest { field: "service_tier", tier });
            }
            "prompt_cache_key" => conversation.cache_key = Some(json::string(value, path)?),
            "stop" => self.shape.stop = stop::parse(value, path)?,
            _ => without_counterpart(key, value, path, ignored)?,
        }
        Ok(())
    }

    fn stream_options(&mut self, value: &'a RawValue, path: &Path<'_>) -> Result<(), Fault> {
        let options = json::object(value, path)?;
        self.conversation.ignored.add_unknown(&options, &["include_usage"], path);
        if let Some(flag) = options.find("include_usage") {
            self.shape.include_usage = json::boolean(flag, &path.key("include_usage"))?;
        }
        Ok(())
    }
}

/// Reads the effort and summary in an object; its other keys have no effect.
fn reasoning<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<(Option<Cow<'a, str>>, Option<Text<'a>>), Fault> {
    let reasoning = json::object(value, path)?;
    ignored.add_unknown(&reasoning, &["effort", "summary"], path);
    let effort = reasoning.find("effort").map(|effort| json::string(effort, &path.key("effort"))).transpose()?;
    if let Some(word) = &effort {
        note_effort(word, &path.key("effort"), ignored);
    }
    let summary = reasoning.find("summary").map(|summary| json::text(summary, &path.key("summary"))).transpose()?;
    Ok((effort, summary))
}

/// Handles a parameter without a counterpart at the backend: rejected if the client would get a different answer than
/// it requested, otherwise listed.
fn without_counterpart(key: &str, value: &RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<(), Fault> {
    match key {
        "n" => match json::unsigned(value, path)? {
            1 => return Ok(()),
            _ => return Err(unsupported(key, "only one choice can be generated")),
        },
        "logprobs" => {
            if json::boolean(value, path)? {
                return Err(unsupported(key, "log probabilities are not available"));
            }
            return Ok(());
        }
        "modalities" => {
            let modalities = json::array(value, path).unwrap_or_default();
            let has = |word: &str| modalities.iter().filter_map(|value| Text::of(value)).any(|text| text.is(word));
            if has("audio") {
                return Err(unsupported(key, "audio output is not available"));
            }
            if !modalities.iter().all(|value| Text::of(value).is_some_and(|text| text.is("text"))) {
                ignored.add(path);
            }
            return Ok(());
        }
        "audio" => return Err(unsupported(key, "audio output is not available")),
        "prediction" => return Err(unsupported(key, "predicted outputs are not available")),
        _ => ignored.add(path),
    }
    Ok(())
}

/// Reads `response_format`.
pub(in crate::dialect) fn response_format<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<ResponseFormat<'a>, Fault> {
    let format = json::object(value, path)?;
    let type_path = path.key("type");
    let kind = json::required(&format, "type", path)?;
    match json::string(kind, &type_path)?.as_ref() {
        "text" => {
            ignored.add_unknown(&format, &["type"], path);
            Ok(ResponseFormat::Text)
        }
        "json_object" => {
            ignored.add_unknown(&format, &["type"], path);
            Ok(ResponseFormat::JsonObject)
        }
        "json_schema" => {
            let (outer, path) = (path, path.key("json_schema"));
            // Some clients send the Responses form, which has no inner object.
            let schema = match format.find("json_schema") {
                Some(inner) => {
                    ignored.add_unknown(&format, &["type", "json_schema"], outer);
                    let inner = json::object(inner, &path)?;
                    ignored.add_unknown(&inner, &SCHEMA_KEYS, &path);
                    inner
                }
                None => {
                    ignored.add_unknown(&format, &[SCHEMA_KEYS.as_slice(), &["type"]].concat(), outer);
                    format
                }
            };
            json::required(&schema, "schema", &path)?;
            Ok(ResponseFormat::JsonSchema(schema))
        }
        other => Err(Fault::invalid(
            type_path.to_string(),
            format!("'{type_path}' must be text, json_object or json_schema, but is '{other}'"),
        )),
    }
}

/// The keys with settings of the answer, as opposed to its conversation.
pub(crate) const ANSWER_KEYS: [&str; 8] =
    ["stream", "stream_options", "stop", "n", "logprobs", "modalities", "audio", "prediction"];

fn unsupported(key: &str, reason: &str) -> Fault {
    Fault::unsupported(key, format!("'{key}' is not supported: {reason}"))
}
