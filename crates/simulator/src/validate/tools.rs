//! Validation of tools and of the choice among them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::validate::{Rejection, check_tool_name, is_name, only_keys, only_words, required_text, schema};

/// The tools a request declares, by name.
#[derive(Debug, Default)]
pub(super) struct Declared {
    functions: HashSet<String>,
    customs: HashSet<String>,
    namespaces: HashSet<String>,
    count: usize,
}

impl Declared {
    /// Checks `tools`, those inside `additional_tools` items, and `tool_choice`.
    pub(super) fn check(body: &Map<String, Value>, input: &[Value]) -> Result<Self, Rejection> {
        let mut declared = Self::default();
        match body.get("tools") {
            None | Some(Value::Null) => {}
            Some(Value::Array(tools)) => declared.add_all(tools, "tools")?,
            Some(other) => return Err(Rejection::wrong_type("tools", "an array", other)),
        }
        for (index, item) in input.iter().enumerate() {
            if item.get("type") == Some(&Value::from("additional_tools"))
                && let Some(tools) = item.get("tools").and_then(Value::as_array)
            {
                declared.add_all(tools, &format!("input[{index}].tools"))?;
            }
        }
        declared.check_choice(body.get("tool_choice"))?;
        Ok(declared)
    }

    /// Returns whether this namespace is declared.
    pub(super) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    fn add_all(&mut self, tools: &[Value], path: &str) -> Result<(), Rejection> {
        tools.iter().enumerate().try_for_each(|(index, tool)| self.add(tool, &format!("{path}[{index}]")))
    }

    fn add(&mut self, tool: &Value, path: &str) -> Result<(), Rejection> {
        let Some(tool) = tool.as_object() else { return Err(Rejection::wrong_type(path, "an object", tool)) };
        self.count += 1;
        match required_text(tool, "type", path)? {
            "function" => self.add_function(tool, path),
            "custom" => self.add_custom(tool, path),
            "namespace" => self.add_namespace(tool, path),
            "web_search" => check_web_search(tool, path),
            "tool_search" => only_keys(tool, &["type", "execution", "description", "parameters"], path),
            "image_generation" => only_keys(tool, IMAGE_GENERATION_KEYS, path),
            "local_shell" => only_keys(tool, &["type"], path),
            other => Err(Rejection::detail(format!("Unsupported tool type: {other}"))),
        }
    }

    fn add_function(&mut self, tool: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
        let name = tool_name(tool, path)?;
        only_keys(tool, &["type", "name", "description", "strict", "parameters", "defer_loading"], path)?;
        check_description(tool, path)?;
        match tool.get("strict") {
            None | Some(Value::Null | Value::Bool(_)) => {}
            Some(other) => return Err(Rejection::wrong_type(&format!("{path}.strict"), "a boolean", other)),
        }
        schema::check_parameters(tool.get("parameters"), name, tool.get("strict"), &format!("{path}.parameters"))?;
        self.functions.insert(name.to_owned());
        Ok(())
    }

    fn add_custom(&mut self, tool: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
        let name = tool_name(tool, path)?;
        only_keys(tool, &["type", "name", "description", "format", "defer_loading"], path)?;
        check_description(tool, path)?;
        let path = format!("{path}.format");
        match tool.get("format") {
            None | Some(Value::Null) => {}
            Some(Value::Object(format)) => check_custom_format(format, &path)?,
            Some(other) => return Err(Rejection::wrong_type(&path, "an object", other)),
        }
        self.customs.insert(name.to_owned());
        Ok(())
    }

    fn add_namespace(&mut self, tool: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
        let name = namespace_name(tool, path)?;
        only_keys(tool, &["type", "name", "description", "tools"], path)?;
        let path = format!("{path}.tools");
        let Some(Value::Array(tools)) = tool.get("tools") else { return Err(Rejection::missing(&path)) };
        let foreign = |tool: &&Value| !matches!(tool.get("type").and_then(Value::as_str), Some("function" | "custom"));
        if let Some(tool) = tools.iter().find(foreign) {
            return Err(Rejection::unsupported(&path, &tool["type"], &["custom", "function"]));
        }
        self.namespaces.insert(name.to_owned());
        self.add_all(tools, &path)
    }

    fn check_choice(&self, choice: Option<&Value>) -> Result<(), Rejection> {
        match choice {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(word)) => self.check_choice_word(word),
            Some(Value::Object(choice)) => self.check_choice_object(choice),
            Some(other) => Err(Rejection::wrong_type("tool_choice", "an object", other)),
        }
    }

    fn check_choice_word(&self, word: &str) -> Result<(), Rejection> {
        only_words(Some(&Value::from(word)), &["none", "auto", "required"], "tool_choice")?;
        if word == "required" && self.count == 0 {
            let message = "Tool choice 'required' must be specified with 'tools' parameter.";
            return Err(Rejection::error(None, Some("tool_choice"), message));
        }
        Ok(())
    }

    fn check_choice_object(&self, choice: &Map<String, Value>) -> Result<(), Rejection> {
        let kind = required_text(choice, "type", "tool_choice")?;
        match kind {
            "function" | "custom" => {
                let name = required_text(choice, "name", "tool_choice")?;
                only_keys(choice, &["type", "name"], "tool_choice")?;
                let known = if kind == "function" { &self.functions } else { &self.customs };
                if known.contains(name) { Ok(()) } else { Err(not_found(name)) }
            }
            "allowed_tools" => self.check_allowed(choice),
            hosted => Err(not_found(hosted)),
        }
    }

    fn check_allowed(&self, choice: &Map<String, Value>) -> Result<(), Rejection> {
        only_keys(choice, &["type", "mode", "tools"], "tool_choice")?;
        required_text(choice, "mode", "tool_choice")?;
        only_words(choice.get("mode"), &["auto", "required"], "tool_choice.mode")?;
        let Some(tools) = choice.get("tools").and_then(Value::as_array) else {
            return Err(Rejection::missing("tool_choice.tools"));
        };
        for (index, tool) in tools.iter().enumerate() {
            let path = format!("tool_choice.tools[{index}]");
            let Some(tool) = tool.as_object() else { return Err(Rejection::wrong_type(&path, "an object", tool)) };
            if matches!(required_text(tool, "type", &path)?, "function" | "custom") {
                let name = required_text(tool, "name", &path)?;
                if !self.functions.contains(name) && !self.customs.contains(name) {
                    return Err(not_found(name));
                }
            }
        }
        Ok(())
    }
}

fn not_found(name: &str) -> Rejection {
    let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
    Rejection::error(None, Some("tool_choice"), message)
}

/// Returns the flat name; a tool in chat's nested form has none.
fn tool_name<'a>(tool: &'a Map<String, Value>, path: &str) -> Result<&'a str, Rejection> {
    let name = required_text(tool, "name", path)?;
    check_tool_name(name, &format!("{path}.name"))?;
    Ok(name)
}

/// Returns the name of a namespace, which only the official client declares; the length limit is that client's own.
fn namespace_name<'a>(tool: &'a Map<String, Value>, path: &str) -> Result<&'a str, Rejection> {
    let name = required_text(tool, "name", path)?;
    let path = format!("{path}.name");
    match name.chars().count() {
        0 => Err(Rejection::empty(&path)),
        length @ 129.. => Err(Rejection::too_long(&path, 128, length)),
        _ if !is_name(name) => Err(Rejection::wrong_pattern(&path)),
        _ => Ok(name),
    }
}

fn check_description(tool: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
    match tool.get("description") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(other) => Err(Rejection::wrong_type(&format!("{path}.description"), "a string", other)),
    }
}

fn check_custom_format(format: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
    match required_text(format, "type", path)? {
        "text" => only_keys(format, &["type"], path),
        "grammar" => {
            only_keys(format, &["type", "syntax", "definition"], path)?;
            required_text(format, "definition", path)?;
            required_text(format, "syntax", path)?;
            only_words(format.get("syntax"), &["lark", "regex"], &format!("{path}.syntax"))
        }
        other => Err(Rejection::unsupported(&format!("{path}.type"), &Value::from(other), &["grammar", "text"])),
    }
}

fn check_web_search(tool: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
    only_keys(tool, WEB_SEARCH_KEYS, path)?;
    let size = format!("{path}.search_context_size");
    only_words(tool.get("search_context_size"), &["low", "medium", "high"], &size)
}

const WEB_SEARCH_KEYS: &[&str] = &[
    "type",
    "external_web_access",
    "indexed_web_access",
    "filters",
    "user_location",
    "search_context_size",
    "search_content_types",
];

const IMAGE_GENERATION_KEYS: &[&str] = &[
    "type",
    "output_format",
    "size",
    "quality",
    "background",
    "model",
    "moderation",
    "output_compression",
    "partial_images",
    "action",
    "input_fidelity",
    "input_image_mask",
];
