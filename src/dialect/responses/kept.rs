//! What is kept of one item: all of it once it has ended, and until then what is known of it, should its end never come.
//!
//! * Its texts are its deltas, or the finished texts where they have come. Once the item itself has come, they are forgotten.
//! * A call of which nothing but arguments has come has no name; nobody could carry it out, and it is left out.
//! * Encrypted reasoning is whole only in a finished item, so that of an unfinished one is left out.

use serde_json::value::RawValue;

use crate::backend::answer::items::{Item, Part};
use crate::backend::event::delta::DeltaKind;
use crate::json::{ArrayWriter, Object, ObjectWriter, Text};

/// One item.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The item as it ended, once it has.
    finished: Option<String>,
    /// The item as it began, once it has.
    begun: Option<String>,
    pieces: Vec<Piece>,
    /// Arguments have come before their call began, and wait for its end.
    pub(super) waits: bool,
}

/// One text of an item.
#[derive(Debug)]
pub(super) struct Piece {
    kind: DeltaKind,
    index: u64,
    pub(super) escaped: String,
    /// The finished part as JSON, once it has come.
    pub(super) part: Option<String>,
}

impl Kept {
    /// Keeps the item as it begins.
    pub(super) fn begin(&mut self, item: &RawValue) {
        if self.finished.is_none() {
            self.begun = Some(item.get().to_owned());
        }
    }

    /// Keeps the item as it ends; the last word counts.
    pub(super) fn finish(&mut self, item: &RawValue) {
        self.finished = Some(item.get().to_owned());
        self.begun = None;
        self.pieces = Vec::new();
    }

    /// The text of this kind and number, which appears now if it has not before.
    pub(super) fn piece(&mut self, kind: DeltaKind, index: u64) -> &mut Piece {
        let same = |piece: &Piece| piece.kind == kind && piece.index == index;
        let position = self.pieces.iter().rposition(same).unwrap_or_else(|| {
            self.pieces.push(Piece { kind, index, escaped: String::new(), part: None });
            self.pieces.len() - 1
        });
        &mut self.pieces[position]
    }

    /// The item as JSON: as it ended, or `item` with its texts in place and `status` as its status.
    pub(super) fn written(&mut self, item: &Item, status: &str) -> Option<String> {
        if let Some(finished) = &self.finished {
            return Some(finished.clone());
        }
        use DeltaKind::{Arguments, Input, Reasoning, Refusal, Summary, Text};
        self.pieces.sort_by_key(|piece| piece.index);
        let begun = match &self.begun {
            Some(begun) => begun,
            None if self.has(&[Text, Refusal]) => r#"{"type":"message","role":"assistant"}"#,
            None if self.has(&[Summary, Reasoning]) => r#"{"type":"reasoning"}"#,
            None => return None,
        };
        let object = serde_json::from_str::<Object<'_>>(begun).ok()?;
        let replaced: Vec<(&str, &[DeltaKind])> = [
            ("content", &[Text, Refusal, Reasoning][..]),
            ("summary", &[Summary]),
            ("arguments", &[Arguments]),
            ("input", &[Input]),
        ]
        .into_iter()
        .filter(|(_, kinds)| self.has(kinds))
        .collect();
        let mut out = Vec::new();
        let mut writer = ObjectWriter::begin(&mut out);
        for (key, value) in object.iter().filter(|(key, _)| replaced.iter().all(|(name, _)| name != key)) {
            match key {
                "encrypted_content" => continue,
                "status" => writer.string(key, status),
                _ => writer.raw(key, value),
            };
        }
        for (key, kinds) in replaced {
            self.write_texts(item, kinds, writer.key(key));
        }
        writer.end();
        String::from_utf8(out).ok()
    }

    fn has(&self, kinds: &[DeltaKind]) -> bool {
        self.pieces.iter().any(|piece| kinds.contains(&piece.kind))
    }

    /// Writes the texts of `kinds`: an array of parts, or the one string of a call.
    fn write_texts(&self, item: &Item, kinds: &[DeltaKind], out: &mut Vec<u8>) {
        let pieces = self.pieces.iter().filter(|piece| kinds.contains(&piece.kind));
        if matches!(kinds, [DeltaKind::Arguments | DeltaKind::Input]) {
            out.push(b'"');
            pieces.for_each(|piece| out.extend_from_slice(piece.escaped.as_bytes()));
            out.push(b'"');
            return;
        }
        let mut parts = ArrayWriter::begin(out);
        for piece in pieces {
            let same = |part: &&Part| part.kind == piece.kind && part.index == piece.index;
            piece.write(item.parts.iter().find(same), parts.element());
        }
        parts.end();
    }
}

impl Piece {
    /// Writes the part that holds this text.
    fn write(&self, part: Option<&Part>, out: &mut Vec<u8>) {
        if let Some(finished) = &self.part {
            out.extend_from_slice(finished.as_bytes());
            return;
        }
        let text = Text::from_escaped(&self.escaped);
        let mut object = ObjectWriter::begin(out);
        match self.kind {
            DeltaKind::Text => {
                object.string("type", "output_text").text("text", text);
                let mut citations = ArrayWriter::begin(object.key("annotations"));
                for citation in part.iter().flat_map(|part| &part.citations) {
                    citations.element().extend_from_slice(citation.as_bytes());
                }
                citations.end();
            }
            DeltaKind::Refusal => {
                object.string("type", "refusal").text("refusal", text);
            }
            DeltaKind::Summary => {
                object.string("type", "summary_text").text("text", text);
            }
            DeltaKind::Reasoning | DeltaKind::Arguments | DeltaKind::Input => {
                object.string("type", "reasoning_text").text("text", text);
            }
        }
        object.end();
    }
}
