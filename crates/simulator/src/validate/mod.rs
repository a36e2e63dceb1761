//! Validation of requests, with the backend's own messages.
//!
//! * Only values known to be accepted pass: top-level parameters, items, content parts and tools are allow-lists.
//! * Errors have two shapes, as the real backend's: `{"detail": …}` from its front end, `{"error": {…}}` from the model
//!   layer behind.
//! * The first error found is reported.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::catalogue::SimulatedCatalogue;
use crate::script::ScriptedAnswer;
use crate::settings::RefusedFiles;
use crate::vault::{Owner, Vault};

mod content;
mod history;
mod items;
mod json_mode;
mod parameters;
mod schema;
mod tools;

/// The context of a validation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The models of the account.
    pub(super) catalogue: &'a SimulatedCatalogue,
    /// Recognises encrypted content.
    pub(super) vault: &'a Vault,
    /// The request's account and model, which decide the encrypted content it may contain.
    pub(super) owner: Owner<'a>,
    /// Whether the request announced the lighter shape.
    pub(super) lite: bool,
    /// Whether the account may send access programs.
    pub(super) access_programs: bool,
    /// The places of files that are refused.
    pub(super) refused_files: RefusedFiles,
}

/// The error for a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rejection {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// Checks a request for a streamed answer.
pub(super) fn request(body: &Map<String, Value>, context: Context<'_>) -> Result<(), Rejection> {
    parameters::check(body, context)?;
    check_conversation(body, context)
}

/// Returns the request's model.
pub(super) fn model(body: &Map<String, Value>) -> &str {
    body.get("model").and_then(Value::as_str).unwrap_or_default()
}

fn check_conversation(body: &Map<String, Value>, context: Context<'_>) -> Result<(), Rejection> {
    let input = body.get("input").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let tools = tools::Declared::check(body, input)?;
    items::check(input, &tools, context)?;
    history::check(input)?;
    json_mode::check(body, input)
}

impl Rejection {
    /// Creates an error in the front end's shape.
    pub(super) fn detail(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: json!({ "detail": text.into() }) }
    }

    /// Creates an error in the model layer's shape.
    pub(super) fn error(code: Option<&str>, param: Option<&str>, message: impl Into<String>) -> Self {
        let message = message.into();
        let error = json!({ "message": message, "type": "invalid_request_error", "param": param, "code": code });
        Self { status: StatusCode::BAD_REQUEST, body: json!({ "error": error }) }
    }

    /// Creates the error for broken or another owner's encrypted content. Only its ends are quoted (openai/codex#8132).
    fn encrypted_content(content: &str) -> Self {
        let head: String = content.chars().take(4).collect();
        let tail: String = content.chars().skip(content.chars().count().saturating_sub(4)).collect();
        let message = format!(
            "{UNVERIFIED}{head}...{tail} could not be verified. Reason: Encrypted content could not be decrypted or parsed."
        );
        Self::error(Some("invalid_encrypted_content"), None, message)
    }

    /// Returns whether it is [`Rejection::encrypted_content`].
    pub(super) fn is_of_encrypted_content(&self) -> bool {
        self.body["error"]["message"].as_str().is_some_and(|message| message.starts_with(UNVERIFIED))
    }

    /// A required key is absent.
    pub(super) fn missing(path: &str) -> Self {
        Self::error(Some("missing_required_parameter"), Some(path), format!("Missing required parameter: '{path}'."))
    }

    /// An unknown key.
    pub(super) fn unknown(path: &str) -> Self {
        Self::error(Some("unknown_parameter"), Some(path), format!("Unknown parameter: '{path}'."))
    }

    /// A value of the wrong JSON type; `expected` includes its article.
    pub(super) fn wrong_type(path: &str, expected: &str, value: &Value) -> Self {
        let message = format!("Invalid type for '{path}': expected {expected}, but got {} instead.", article(value));
        Self::error(Some("invalid_type"), Some(path), message)
    }

    /// A value outside its list.
    pub(super) fn unsupported(path: &str, value: &Value, supported: &[&str]) -> Self {
        let given = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message = format!("Invalid value: '{given}'. Supported values are: {}.", enumerate(supported));
        Self::error(Some("invalid_value"), Some(path), message)
    }

    /// A text over its limit, in characters.
    fn too_long(path: &str, limit: usize, length: usize) -> Self {
        let message = format!(
            "Invalid '{path}': string too long. Expected a string with maximum length {limit}, but got a string with \
             length {length} instead."
        );
        Self::error(Some("string_above_max_length"), Some(path), message)
    }

    /// A text that must not be empty.
    fn empty(path: &str) -> Self {
        let message = format!(
            "Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead."
        );
        Self::error(Some("empty_string"), Some(path), message)
    }

    /// A name with invalid characters.
    fn wrong_pattern(path: &str) -> Self {
        let message = format!(
            "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern \
             '^[a-zA-Z0-9_-]+$'."
        );
        Self::error(Some("invalid_value"), Some(path), message)
    }
}

impl From<Rejection> for ScriptedAnswer {
    fn from(rejection: Rejection) -> Self {
        Self::json(rejection.status, &rejection.body)
    }
}

/// Returns the required text under `key`.
fn required_text<'a>(object: &'a Map<String, Value>, key: &str, path: &str) -> Result<&'a str, Rejection> {
    let path = format!("{path}.{key}");
    match object.get(key) {
        None | Some(Value::Null) => Err(Rejection::missing(&path)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Rejection::wrong_type(&path, "a string", other)),
    }
}

/// Refuses a key outside `allowed`.
fn only_keys(object: &Map<String, Value>, allowed: &[&str], path: &str) -> Result<(), Rejection> {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(Rejection::unknown(&format!("{path}.{key}"))),
        None => Ok(()),
    }
}

/// Refuses a value outside `supported`; absent and null are valid.
fn only_words(value: Option<&Value>, supported: &[&str], path: &str) -> Result<(), Rejection> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(word)) if supported.contains(&word.as_str()) => Ok(()),
        Some(other) => Err(Rejection::unsupported(path, other, supported)),
    }
}

/// Returns whether a name consists of characters valid in a tool's name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Checks the name at `path` of a tool, or of a call.
///
/// The message is the backend's: openai/codex#1289 (too long), openai/codex#8174 (characters),
/// diegosouzapw/OmniRoute#346 (empty). Since 2026-09 the limit may be 128 for some (openai/codex#46188); the lower one
/// applies here.
fn check_tool_name(name: &str, path: &str) -> Result<(), Rejection> {
    const LONGEST: usize = 64;
    let length = name.chars().count();
    if length > LONGEST {
        return Err(Rejection::too_long(path, LONGEST, length));
    }
    if name.is_empty() {
        return Err(Rejection::empty(path));
    }
    if !is_name(name) {
        return Err(Rejection::wrong_pattern(path));
    }
    Ok(())
}

fn enumerate(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    }
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The beginning of the message about encrypted content.
const UNVERIFIED: &str = "The encrypted content ";
