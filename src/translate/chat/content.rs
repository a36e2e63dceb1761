//! The content of messages in the backend's form.

use crate::openai::chat::content::{Content, Part};
use crate::openai::chat::message::CallReference;
use crate::openai::json::{ArrayWriter, ObjectWriter, Text};

/// Writes an array of parts for a user or developer message.
pub(super) fn write_input(content: &Content<'_>, out: &mut Vec<u8>) {
    let mut parts = ArrayWriter::begin(out);
    if let Content::Text(text) = content {
        write_text("input_text", *text, &mut parts);
    }
    for part in content.parts() {
        write_part(part, &mut parts);
    }
    parts.end();
}

/// Writes an array of parts for what the assistant said; `None` if it said nothing.
pub(super) fn assistant_texts<'a>(content: &Content<'a>, refusal: Option<Text<'a>>) -> Option<Vec<Text<'a>>> {
    let mut texts = Vec::new();
    if let Content::Text(text) = content {
        texts.push(*text);
    }
    texts.extend(content.parts().iter().filter_map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => Some(*text),
        Part::Image { .. } | Part::File { .. } => None,
    }));
    texts.extend(refusal);
    texts.retain(|text| !text.is_empty());
    (!texts.is_empty()).then_some(texts)
}

/// Whether what the assistant said has parts that only a user's message can hold.
pub(super) fn has_media(content: &Content<'_>) -> bool {
    content.parts().iter().any(is_media)
}

/// Writes those parts.
pub(super) fn write_media(content: &Content<'_>, out: &mut Vec<u8>) {
    let mut parts = ArrayWriter::begin(out);
    for part in content.parts().iter().filter(|part| is_media(part)) {
        write_part(part, &mut parts);
    }
    parts.end();
}

fn is_media(part: &Part<'_>) -> bool {
    matches!(part, Part::Image { .. } | Part::File { .. })
}

/// Writes the value of a call's `output`: a string where there is only text, otherwise parts.
pub(super) fn write_output(content: &Content<'_>, out: &mut Vec<u8>) {
    match joined_text(content) {
        Some(text) => {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        None => write_input(content, out),
    }
}

/// Writes the parts of a user message that quotes an output no call asked for.
pub(super) fn write_orphan(reference: CallReference<'_>, content: &Content<'_>, out: &mut Vec<u8>) {
    let (what, name) = match reference {
        CallReference::Id(id) => ("Output of the unknown tool call", id),
        CallReference::Name(name) => ("Output of the function", name),
    };
    let heading = format!("{what} {}:", name.escaped());
    let mut parts = ArrayWriter::begin(out);
    match joined_text(content) {
        Some(text) => {
            write_text("input_text", Text::from_escaped(&format!(r"{heading}\n{text}")), &mut parts);
        }
        None => {
            write_text("input_text", Text::from_escaped(&heading), &mut parts);
            for part in content.parts() {
                write_part(part, &mut parts);
            }
        }
    }
    parts.end();
}

/// The text of a content that is nothing but text, escaped, its parts on lines of their own.
pub(super) fn joined_text(content: &Content<'_>) -> Option<String> {
    match content {
        Content::Absent => Some(String::new()),
        Content::Text(text) => Some(text.escaped().to_owned()),
        Content::Parts(parts) => {
            let texts: Option<Vec<&str>> = parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) | Part::Refusal(text) => Some(text.escaped()),
                    Part::Image { .. } | Part::File { .. } => None,
                })
                .collect();
            texts.map(|texts| texts.join(r"\n"))
        }
    }
}

fn write_part(part: &Part<'_>, parts: &mut ArrayWriter<'_>) {
    match part {
        Part::Text(text) | Part::Refusal(text) => write_text("input_text", *text, parts),
        Part::Image { url, detail } => {
            let mut image = parts.object();
            image.string("type", "input_image").text("image_url", *url);
            optional(&mut image, "detail", *detail);
            image.end();
        }
        Part::File { data, name, url } => {
            let mut file = parts.object();
            file.string("type", "input_file");
            optional(&mut file, "filename", *name);
            optional(&mut file, "file_data", *data);
            optional(&mut file, "file_url", *url);
            file.end();
        }
    }
}

/// Writes a text part of the given type.
pub(super) fn write_text(kind: &str, text: Text<'_>, parts: &mut ArrayWriter<'_>) {
    let mut part = parts.object();
    part.string("type", kind).text("text", text);
    part.end();
}

fn optional(object: &mut ObjectWriter<'_>, key: &str, value: Option<Text<'_>>) {
    if let Some(value) = value {
        object.text(key, value);
    }
}
