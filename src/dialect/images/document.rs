//! One document of the answers of all calls.
//!
//! * OpenAI's form has one `size`, `quality`, `background` and `output_format` for all images. A fact that differs between
//!   the images stands with each image instead.
//! * `usage` is the sum over the calls; left out if a call did not tell.

use super::reply::{ImageAnswer, ImageUsage};
use crate::json::{ArrayWriter, ObjectWriter, push_string};

/// Writes the document of `answers`; `created` is the time of an answer that does not tell it.
pub fn write(answers: &[ImageAnswer], created: u64) -> Vec<u8> {
    let images = || answers.iter().flat_map(|answer| &answer.images);
    let length: usize = images().map(|image| image.json.len() + ROOM).sum();
    let mut out = Vec::with_capacity(length + ROOM);
    let created = answers.iter().find_map(|answer| answer.created).unwrap_or(created);
    let shared = shared(answers);
    let mut object = ObjectWriter::begin(&mut out);
    object.unsigned("created", created);
    let mut data = ArrayWriter::begin(object.key("data"));
    for image in images() {
        let out = data.element();
        // The object's end gives way to further facts.
        out.extend_from_slice(image.json.strip_suffix(b"}").unwrap_or(&image.json));
        for ((name, value), (_, common)) in image.facts.named().into_iter().zip(&shared) {
            if let (Some(value), None) = (value, common) {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                push_string(out, value);
            }
        }
        out.push(b'}');
    }
    data.end();
    for (name, value) in shared {
        if let Some(value) = value {
            object.string(name, value);
        }
    }
    if let Some(usage) = usage(answers) {
        usage.write(object.key("usage"));
    }
    object.end();
    out
}

/// Returns the sum of the tokens, if every call told its own.
pub fn usage(answers: &[ImageAnswer]) -> Option<ImageUsage> {
    let all: Option<Vec<&ImageUsage>> = answers.iter().map(|answer| answer.usage.as_ref()).collect();
    let mut all = all?.into_iter();
    let first = all.next()?.clone();
    Some(all.fold(first, ImageUsage::and))
}

/// Returns the facts that are the same for all images.
fn shared(answers: &[ImageAnswer]) -> [(&'static str, Option<&str>); 4] {
    let mut images = answers.iter().flat_map(|answer| &answer.images);
    let mut shared = images.next().map(|image| image.facts.named()).unwrap_or_default();
    for image in images {
        for ((_, common), (_, value)) in shared.iter_mut().zip(image.facts.named()) {
            *common = common.filter(|common| value == Some(*common));
        }
    }
    shared
}

/// Enough for the facts about an image.
const ROOM: usize = 256;
