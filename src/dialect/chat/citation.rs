//! Citations: from the backend's flat annotation to chat's nested one.

use serde_json::value::RawValue;

use crate::backend::event::sse::on_one_line;
use crate::json::{Object, ObjectWriter, Text};

/// Writes `annotation` in chat's form, its character positions moved by `offset` (the characters before the cited text
/// in the answer). `None` for anything but a cited web page: chat has no form for the others.
///
/// `index` is the citation's place in the whole message, which a chunk tells: OpenAI's library for Python joins the lists
/// of chunks by it, and fails without (`accumulate_delta`, openai-python 3.57).
pub(super) fn translate(annotation: &RawValue, offset: u64, index: Option<usize>) -> Option<Vec<u8>> {
    let annotation: Object<'_> = serde_json::from_str(annotation.get()).ok()?;
    let kind = annotation.find("type").and_then(Text::of)?;
    if kind.escaped() != "url_citation" {
        return None;
    }
    let mut out = Vec::new();
    let mut object = ObjectWriter::begin(&mut out);
    object.string("type", "url_citation");
    if let Some(index) = index {
        object.unsigned("index", index as u64);
    }
    let mut citation = ObjectWriter::begin(object.key("url_citation"));
    for (name, value) in annotation.iter() {
        match name {
            "type" => {}
            "start_index" | "end_index" => match value.get().parse::<u64>() {
                Ok(position) => {
                    citation.unsigned(name, position.saturating_add(offset));
                }
                Err(_) => {
                    citation.json(name, &on_one_line(value.get()));
                }
            },
            _ => {
                citation.json(name, &on_one_line(value.get()));
            }
        }
    }
    citation.end();
    object.end();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_positions_and_keeps_the_rest() {
        let raw: &RawValue = serde_json::from_str(
            r#"{"type":"url_citation","url":"https://a.example/?x=\u00e9","title":"T","start_index":3,"end_index":5}"#,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(translate(raw, 10, None).unwrap()).unwrap(),
            r#"{"type":"url_citation","url_citation":{"url":"https://a.example/?x=\u00e9","title":"T","start_index":13,"end_index":15}}"#
        );
        let file: &RawValue = serde_json::from_str(r#"{"type":"file_citation","file_id":"f"}"#).unwrap();
        assert_eq!(translate(file, 0, None), None);
    }

    #[test]
    fn a_position_that_is_none_stays_as_it_is() {
        let raw: &RawValue =
            serde_json::from_str(r#"{"type":"url_citation","start_index":null,"end_index":18446744073709551615}"#)
                .unwrap();
        assert_eq!(
            String::from_utf8(translate(raw, 10, Some(2)).unwrap()).unwrap(),
            r#"{"type":"url_citation","index":2,"url_citation":{"start_index":null,"end_index":18446744073709551615}}"#
        );
    }
}
