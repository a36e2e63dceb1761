//! The contents of one item: the complete item once it has ended, and until then its known parts, in case its end never
//! comes.
//!
//! * Its texts are its deltas, or the finished texts once they have come. After the finished item they are discarded.
//! * A call with only arguments has no name; no client could run it, and it is left out.
//! * Encrypted reasoning is complete only in a finished item, so an unfinished one is left out.

use crate::backend::answer::items::{Item, Part};
use crate::backend::event::delta::DeltaKind;
use crate::json::{ArrayWriter, Object, ObjectWriter, Raw, Text};

/// The contents of one item.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The item at its end, once it has come.
    finished: Option<String>,
    /// The item at its beginning, once it has come.
    begun: Option<String>,
    pieces: Vec<Piece>,
    /// Whether arguments came before their call began, and wait for its end.
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

impl Piece {
    /// Replaces the text by the finished one, unless that tells nothing.
    pub(super) fn finish(&mut self, whole: Text<'_>) {
        if !whole.is_empty() {
            whole.escaped().clone_into(&mut self.escaped);
        }
    }
}

impl Kept {
    /// Keeps the item at its beginning.
    pub(super) fn begin(&mut self, item: Raw<'_>) {
        if self.finished.is_none() {
            self.begun = Some(item.get().to_owned());
        }
    }

    /// Keeps the item at its end; the last one counts.
    pub(super) fn finish(&mut self, item: Raw<'_>) {
        self.finished = Some(item.get().to_owned());
        self.begun = None;
        self.pieces = Vec::new();
    }

    /// Finds the text of this kind and index, or adds it.
    pub(super) fn piece(&mut self, kind: DeltaKind, index: u64) -> &mut Piece {
        let same = |piece: &Piece| piece.kind == kind && piece.index == index;
        let position = self.pieces.iter().rposition(same).unwrap_or_else(|| {
            self.pieces.push(Piece { kind, index, escaped: String::new(), part: None });
            self.pieces.len() - 1
        });
        &mut self.pieces[position]
    }

    /// Returns the item as JSON: as it ended, or `item` with its texts filled in and `status` as its status.
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
    /// Writes the part that contains this text.
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
