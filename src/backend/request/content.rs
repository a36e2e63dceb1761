//! The content of messages in the backend's form.

use std::borrow::Cow;

use crate::backend::request::history::Orphan;
use crate::backend::request::pairing::orphan_heading;
use crate::backend::request::session::SessionKey;
use crate::conversation::call::CallReference;
use crate::conversation::content::{Content, Part, Source};
use crate::json::{ArrayWriter, ObjectWriter, Text};

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

/// A stretch of an assistant's message.
#[derive(Debug)]
pub(super) enum Stretch<'p, 'a> {
    /// Texts and refusals.
    Said(Vec<Text<'p>>),
    /// Parts that the backend accepts only from users.
    Shown(Vec<&'p Part<'a>>),
}

/// Divides the assistant's message into stretches, in order; empty texts give none.
pub(super) fn stretches<'p, 'a: 'p>(content: &'p Content<'a>, refusal: Option<Text<'a>>) -> Vec<Stretch<'p, 'a>> {
    let mut stretches = Vec::new();
    let say = |text: Text<'p>, stretches: &mut Vec<Stretch<'p, 'a>>| match stretches.last_mut() {
        _ if text.is_empty() => {}
        Some(Stretch::Said(texts)) => texts.push(text),
        _ => stretches.push(Stretch::Said(vec![text])),
    };
    if let Content::Text(text) = content {
        say(*text, &mut stretches);
    }
    for part in content.parts() {
        match (part, stretches.last_mut()) {
            (Part::Text(text) | Part::Refusal(text), _) => say(*text, &mut stretches),
            (Part::Composed(text), _) => say(Text::from_escaped(text), &mut stretches),
            // The name comes before the message.
            (Part::Name(_), _) => {}
            (Part::Image { .. } | Part::File { .. }, Some(Stretch::Shown(parts))) => parts.push(part),
            (Part::Image { .. } | Part::File { .. }, _) => stretches.push(Stretch::Shown(vec![part])),
        }
    }
    if let Some(refusal) = refusal {
        say(refusal, &mut stretches);
    }
    stretches
}

/// Writes an array of the assistant's texts and refusals.
pub(super) fn write_said(texts: &[Text<'_>], out: &mut Vec<u8>) {
    let mut parts = ArrayWriter::begin(out);
    texts.iter().for_each(|text| write_text("output_text", *text, &mut parts));
    parts.end();
}

/// Adds a content to the key of its conversation. Long texts and images are not copied for it.
pub(super) fn identify(content: &Content<'_>, key: &mut SessionKey) {
    let (mut short, mut long) = (Vec::new(), Vec::new());
    match content {
        Content::Text(text) if SessionKey::is_long(text.escaped()) => long.push(text.escaped()),
        Content::Absent | Content::Text(_) => write_input(content, &mut short),
        Content::Parts(parts) => {
            let mut array = ArrayWriter::begin(&mut short);
            for part in parts {
                match substance(part).filter(|substance| SessionKey::is_long(substance)) {
                    Some(substance) => long.push(substance),
                    None => write_part(part, &mut array),
                }
            }
            array.end();
        }
    }
    key.add(&String::from_utf8_lossy(&short));
    long.into_iter().for_each(|part| key.add(part));
}

/// Returns the characters of a part that may be many.
fn substance<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match part {
        Part::Text(text) | Part::Refusal(text) | Part::Name(text) => Some(text.escaped()),
        Part::Composed(text) => Some(text),
        Part::Image { source, .. } | Part::File { data: Some(source), .. } => match source {
            Source::Url(data) | Source::Base64 { data, .. } => Some(data.escaped()),
        },
        Part::File { data: None, .. } => None,
    }
}

/// Writes an array that names the next speaker among several assistants.
pub(super) fn write_author(name: Text<'_>, out: &mut Vec<u8>) {
    let mut parts = ArrayWriter::begin(out);
    write_text(
        "input_text",
        Text::from_escaped(&format!("Author of the next message: {}", name.escaped())),
        &mut parts,
    );
    parts.end();
}

/// Writes an array of the assistant's images and files.
pub(super) fn write_shown(shown: &[&Part<'_>], out: &mut Vec<u8>) {
    let mut parts = ArrayWriter::begin(out);
    shown.iter().for_each(|part| write_part(part, &mut parts));
    parts.end();
}

/// Writes the value of a call's `output`: a string if there is only text, unless its parts stay separate; otherwise
/// parts.
pub(super) fn write_output(content: &Content<'_>, parts_apart: bool, out: &mut Vec<u8>) {
    let joined = if parts_apart && content.parts().len() > 1 { None } else { joined_text(content) };
    match joined {
        Some(text) => {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        None => write_input(content, out),
    }
}

/// Writes the parts of a user message that quotes an output without a waiting call.
pub(super) fn write_orphan(orphan: &Orphan<'_>, content: &Content<'_>, out: &mut Vec<u8>) {
    let (what, name) = match *orphan {
        Orphan { reference: CallReference::Id(id), is_known } => (orphan_heading(is_known), id),
        Orphan { reference: CallReference::Name(name), .. } => ("Output of the function", name),
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

/// Joins a content of texts alone, escaped, with each part on a line of its own.
pub(super) fn joined_text(content: &Content<'_>) -> Option<String> {
    match content {
        Content::Absent => Some(String::new()),
        Content::Text(text) => Some(text.escaped().to_owned()),
        Content::Parts(parts) => {
            let texts: Option<Vec<Cow<'_, str>>> = parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) | Part::Refusal(text) => Some(Cow::Borrowed(text.escaped())),
                    Part::Composed(text) => Some(Cow::Borrowed(text.as_str())),
                    Part::Name(name) => Some(Cow::Owned(format!("{}:", name.escaped()))),
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
        // Parts of a message may be joined without a separator.
        Part::Name(name) => {
            write_text("input_text", Text::from_escaped(&format!(r"{}:\n", name.escaped())), parts);
        }
        Part::Composed(text) => write_text("input_text", Text::from_escaped(text), parts),
        Part::Image { source, detail } => {
            let mut image = parts.object();
            image.string("type", "input_image");
            write_source(source, image.key("image_url"));
            optional(&mut image, "detail", *detail);
            image.end();
        }
        Part::File { data, name, url } => {
            let mut file = parts.object();
            file.string("type", "input_file");
            optional(&mut file, "filename", *name);
            if let Some(data) = data {
                write_source(data, file.key("file_data"));
            }
            optional(&mut file, "file_url", *url);
            file.end();
        }
    }
}

/// Writes a URL as a JSON string: a data URL for inline base64.
fn write_source(source: &Source<'_>, out: &mut Vec<u8>) {
    let pieces = match source {
        Source::Url(url) => ["\"", url.escaped(), "", "", "\""],
        Source::Base64 { media_type, data } => ["\"data:", media_type.escaped(), ";base64,", data.escaped(), "\""],
    };
    pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
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
