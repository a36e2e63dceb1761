//! The seal of a block of reasoning: the contents of its `signature`, or of a redacted block's `data`.
//!
//! * Encrypted reasoning is valid for one account and one model. The seal names both, so that reasoning that would be
//!   refused is not sent, and distinguishes our blocks from those of the real API and of other proxies.
//! * It is [`PREFIX`] and base64url of: a version, eight bytes of the account id's SHA-256, the model, the
//!   [`Layout`], the encrypted reasoning. The layout recovers the texts of the summary, which one block joins. Raw
//!   reasoning shown to the client has a place in it too, and is not returned: it is no summary, and the encrypted
//!   reasoning contains it.
//! * Clients keep every seal in their transcripts and send it with each turn, so it adds at most [`MOST_ADDED`]
//!   characters: a layout that has no room is left out, and the summary comes back as one text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::conversation::turn::{AccountDigest, SealedReasoning};

/// The beginning of every seal of this program.
pub(super) const PREFIX: &str = "cpx1.";
/// The separator between two texts of a summary in a block.
pub(super) const BETWEEN: &str = "\n\n";

/// The division of a block's text into the texts of its summary, which blank lines separate.
///
/// One bit for each blank line of the block tells whether it separates two texts, and one for each text whether it is raw
/// reasoning. So the layout of fifty texts takes twenty bytes, however long they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// For each blank line, two adjacent line feeds: whether it is a separator.
    separators: Vec<bool>,
    /// For each text: whether it is raw reasoning and not a part of the summary.
    raw: Vec<bool>,
    ends_with_line_feed: bool,
}

impl Layout {
    /// Begins a text; all but the first follow a separator.
    pub(super) fn begin(&mut self, is_raw: bool) {
        if !self.raw.is_empty() {
            self.add(BETWEEN);
            if let Some(last) = self.separators.last_mut() {
                *last = true;
            }
        }
        self.raw.push(is_raw);
    }

    /// Takes more of the text.
    pub(super) fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            if byte == b'\n' && self.ends_with_line_feed {
                self.separators.push(false);
            }
            self.ends_with_line_feed = byte == b'\n';
        }
    }

    fn has_raw(&self) -> bool {
        self.raw.contains(&true)
    }

    /// Writes the number of blank lines and the number of texts, doubled and one more if one is raw; then their bits.
    fn write(&self, bytes: &mut Vec<u8>) {
        put(bytes, self.separators.len());
        put(bytes, self.raw.len() * 2 + usize::from(self.has_raw()));
        put_bits(bytes, &self.separators);
        if self.has_raw() {
            put_bits(bytes, &self.raw);
        }
    }

    /// Reads a layout, which `None` stands for if it was left out; with it, whether any text is raw.
    fn read(rest: &mut &[u8]) -> Option<(Option<Self>, bool)> {
        let (lines, texts) = (number(rest)?, number(rest)?);
        let (texts, has_raw) = (texts / 2, texts % 2 == 1);
        if texts == 0 {
            return Some((None, has_raw));
        }
        let separators = bits(rest, lines)?;
        let raw = if has_raw { bits(rest, texts)? } else { vec![false; texts.min(lines + 1)] };
        Some((Some(Self { separators, raw, ends_with_line_feed: false }), has_raw))
    }

    /// Divides `text`; `None` if it is not the text of this layout.
    fn divide<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let blank_lines = text.as_bytes().windows(BETWEEN.len()).enumerate().filter(|(_, two)| *two == b"\n\n");
        let mut places = blank_lines.map(|(place, _)| place);
        let (mut texts, mut start) = (Vec::new(), 0);
        for is_separator in &self.separators {
            let place = places.next()?;
            if *is_separator {
                texts.push(text.get(start..place)?);
                start = place + BETWEEN.len();
            }
        }
        texts.push(text.get(start..)?);
        (places.next().is_none() && texts.len() == self.raw.len()).then_some(texts)
    }
}

/// Seals `encrypted` reasoning of `model` for an account, with the layout of its block.
pub(super) fn seal(account: AccountDigest, model: &str, layout: &Layout, encrypted: &str) -> String {
    let mut bytes = Vec::with_capacity(encrypted.len() + MOST_ADDED);
    bytes.push(VERSION);
    bytes.extend_from_slice(&account);
    put(&mut bytes, model.len());
    bytes.extend_from_slice(model.as_bytes());
    let head = bytes.len();
    layout.write(&mut bytes);
    // Four characters for three bytes, rounded up.
    if PREFIX.len() + bytes.len() * 4 / 3 + 2 > MOST_ADDED {
        bytes.truncate(head);
        put(&mut bytes, 0);
        put(&mut bytes, usize::from(layout.has_raw()));
    }
    bytes.extend_from_slice(encrypted.as_bytes());
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Opens `seal`, whose block shows `text`; `None` if the seal is not one of this program's.
pub(super) fn open(seal: &str, text: &str) -> Option<SealedReasoning> {
    let bytes = URL_SAFE_NO_PAD.decode(seal.strip_prefix(PREFIX)?).ok()?;
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let account = *take(&mut rest, size_of::<AccountDigest>())?.first_chunk()?;
    let length = number(&mut rest)?;
    let model = String::from_utf8(take(&mut rest, length)?.to_vec()).ok()?;
    let (layout, has_raw) = Layout::read(&mut rest)?;
    let encrypted = String::from_utf8(rest.to_vec()).ok().filter(|encrypted| !encrypted.is_empty())?;
    let summary =
        match layout.as_ref().filter(|_| !text.is_empty()).and_then(|layout| Some((layout, layout.divide(text)?))) {
            Some((layout, texts)) => {
                let told = texts.into_iter().zip(&layout.raw).filter(|(_, is_raw)| !**is_raw);
                told.map(|(text, _)| text.to_owned()).collect()
            }
            // Raw reasoning cannot be told from the summary any more.
            None if has_raw || text.is_empty() => Vec::new(),
            None => vec![text.to_owned()],
        };
    Some(SealedReasoning { summary, encrypted, account, model })
}

/// Appends a number, seven bits a byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = take(rest, 1)?.first().copied()?;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_bits(bytes: &mut Vec<u8>, bits: &[bool]) {
    bytes.extend(bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, bit| (byte << 1) | u8::from(*bit))));
}

fn bits(rest: &mut &[u8], count: usize) -> Option<Vec<bool>> {
    let bytes = take(rest, count.div_ceil(8))?;
    Some(bytes.iter().flat_map(|byte| (0..8).map(move |place| (byte >> place) & 1 == 1)).take(count).collect())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// 1 had a length of four bytes for each text.
const VERSION: u8 = 2;
/// The most characters of a seal beyond those of the encrypted reasoning in base64.
const MOST_ADDED: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(texts: &[&str], is_raw: impl Fn(usize) -> bool) -> Layout {
        let mut layout = Layout::default();
        for (index, text) in texts.iter().enumerate() {
            layout.begin(is_raw(index));
            // In pieces, as a stream has it.
            let (one, two) = text.split_at_checked(text.len() / 2).unwrap_or((text, ""));
            layout.add(one);
            layout.add(two);
        }
        layout
    }

    #[test]
    fn what_is_sealed_comes_back() {
        for texts in [
            &["one", "", "zwei\n\nund e"][..],
            &["\n", "\n\n", "a\n\n\n", "\n"],
            &["**One**\n\nlong", "**Two**\n\nlong"],
            &["one"],
            &[],
        ] {
            let seal = seal([7; 8], "gpt-6.1-sol", &layout(texts, |_| false), "gAAAA_-=");
            let opened = open(&seal, &texts.join(BETWEEN)).unwrap();
            assert_eq!(opened.summary, texts);
            assert_eq!(
                (opened.account, opened.model.as_str(), opened.encrypted.as_str()),
                ([7; 8], "gpt-6.1-sol", "gAAAA_-=")
            );
            assert_eq!(open(&seal, "another\ntext").unwrap().summary.len(), 1, "a text that was changed is one");
            assert!(open(&seal, "").unwrap().summary.is_empty());
        }
    }

    #[test]
    fn raw_reasoning_stays_away() {
        let texts = ["one", "", "two"];
        let seal = seal([7; 8], "m", &layout(&texts, |index| index == 0), "gAAAA");
        assert_eq!(open(&seal, &texts.join(BETWEEN)).unwrap().summary, texts[1..]);
        assert!(open(&seal, "one\n\n\n\nchanged\n\n").unwrap().summary.is_empty(), "it may be raw");
    }

    #[test]
    fn a_seal_is_little_longer_than_what_it_holds() {
        for count in [0, 1, 50, 200, 400, 5000] {
            let texts: Vec<String> = (0..count).map(|index| format!("**Title {index}**\n\nText")).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            for is_raw in [false, true] {
                for length in [1, 2, 3, 1005] {
                    let encrypted = "g".repeat(length);
                    let seal = seal([7; 8], "gpt-5.1-codex-mini", &layout(&texts, |_| is_raw), &encrypted);
                    assert!(seal.len() <= length * 4 / 3 + 120, "{count} texts: {}", seal.len());
                    let opened = open(&seal, &texts.join(BETWEEN)).unwrap();
                    assert_eq!(opened.encrypted, encrypted);
                    let expected = match (is_raw, count) {
                        (true, _) => 0,
                        (false, 0..=200) => count,
                        (false, _) => 1,
                    };
                    assert_eq!(opened.summary.len(), expected, "{count} texts");
                }
            }
        }
    }

    #[test]
    fn nobody_elses_seal_is_opened() {
        let own = seal([7; 8], "m", &Layout::default(), "x");
        for other in ["", "EqQBCgIYAh", "cpx1.", "cpx1.!", &own[..own.len() - 4], "cpx2.AAAA"] {
            assert_eq!(open(other, ""), None, "{other}");
        }
        // A count of texts that are not there.
        let mut bytes = vec![VERSION; 9];
        put(&mut bytes, 0);
        put(&mut bytes, usize::MAX);
        put(&mut bytes, usize::MAX);
        bytes.push(b'x');
        assert_eq!(open(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)), "t"), None);
    }
}
