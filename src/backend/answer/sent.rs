//! The length and digest of the text sent, small but sufficient to tell whether a finished text continues it.
//!
//! * Characters are compared and not their escapes: a delta may write `é` or `\u00e9`, `/` or `\/`, and the finished
//!   text the other.
//! * A surrogate pair split over two deltas equals the same character unsplit in a finished text.
//! * The cost is one pass over each text, and no memory.

use std::borrow::Cow;

use memchr::memchr;

use crate::json::Text;

/// A summary of the text sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The characters' bytes in UTF-8; an unpaired surrogate counts as three.
    length: usize,
    /// The FNV-1a hash of those bytes, starting at zero.
    digest: u64,
    /// The first half of a surrogate pair at the end, which the next delta may complete.
    half: Option<u16>,
}

/// The relation of a finished text to the text sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finished<'a> {
    /// The finished text equals the text sent.
    Same,
    /// The finished text begins with the text sent; these are the escaped characters after that.
    More(Cow<'a, str>),
    /// The finished text differs.
    Differs,
}

impl Sent {
    /// Returns the state after sending exactly `whole`.
    pub(crate) fn of(whole: Text<'_>) -> Self {
        let mut sent = Self::default();
        sent.add(whole);
        sent
    }

    /// Returns whether nothing has been sent.
    pub(crate) const fn is_empty(self) -> bool {
        self.length == 0 && self.half.is_none()
    }

    /// Adds `text` to the text sent.
    pub(crate) fn add(&mut self, text: Text<'_>) {
        let mut units = Units { escaped: text.escaped(), position: 0 };
        while let Some(unit) = units.next(usize::MAX) {
            self.take(unit);
        }
    }

    /// Compares the finished text `whole` with the text sent.
    pub(crate) fn compare<'a>(self, whole: Text<'a>) -> Finished<'a> {
        match self.rest_of(whole) {
            None => Finished::Differs,
            Some(rest) if rest.is_empty() => Finished::Same,
            Some(rest) => Finished::More(rest),
        }
    }

    fn rest_of<'a>(self, whole: Text<'a>) -> Option<Cow<'a, str>> {
        let mut seen = Self::default();
        let mut units = Units { escaped: whole.escaped(), position: 0 };
        while seen.length < self.length {
            if seen.half.is_some() && !units.is_at_second_half() {
                seen.settle();
            } else {
                seen.take(units.next(self.length - seen.length)?);
            }
        }
        if (seen.length, seen.digest) != (self.length, self.digest) {
            return None;
        }
        let rest = units.rest()?;
        match self.half {
            None => Some(Cow::Borrowed(rest)),
            Some(half) => after_half(rest, half),
        }
    }

    fn take(&mut self, unit: Unit<'_>) {
        match unit {
            Unit::Plain(bytes) => {
                self.settle();
                self.hash(bytes);
            }
            Unit::Escaped(code @ FIRST_HALF..SECOND_HALF) => {
                self.settle();
                self.half = Some(code);
            }
            Unit::Escaped(code @ SECOND_HALF..=LAST_HALF) => match self.half.take() {
                Some(half) => self.hash_character(joined(half, code)),
                None => self.hash_lone(code),
            },
            Unit::Escaped(code) => {
                self.settle();
                self.hash_character(char::from_u32(code.into()));
            }
        }
    }

    /// Counts a first half without a second half as a character of its own.
    fn settle(&mut self) {
        if let Some(half) = self.half.take() {
            self.hash_lone(half);
        }
    }

    fn hash_character(&mut self, character: Option<char>) {
        let mut buffer = [0; 4];
        self.hash(character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer).as_bytes());
    }

    /// Hashes an unpaired surrogate in the three bytes that UTF-8 would use for it.
    fn hash_lone(&mut self, half: u16) {
        let [high, low] = half.to_be_bytes();
        self.hash(&[0xE0 | (high >> 4), 0x80 | ((high & 0x0F) << 2) | (low >> 6), 0x80 | (low & 0x3F)]);
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(PRIME);
        // Written out, since the compiler leaves the loop a loop where code has to be small.
        let (fours, rest) = bytes.as_chunks();
        let digest = fours.iter().fold(self.digest, |digest, [a, b, c, d]| step(step(step(step(digest, a), b), c), d));
        self.digest = rest.iter().fold(digest, step);
    }
}

/// One step through an escaped text.
#[derive(Debug, Clone, Copy)]
enum Unit<'a> {
    /// Unescaped characters.
    Plain(&'a [u8]),
    /// One UTF-16 unit.
    Escaped(u16),
}

/// Iterates over an escaped text.
#[derive(Debug, Clone, Copy)]
struct Units<'a> {
    escaped: &'a str,
    position: usize,
}

impl<'a> Units<'a> {
    /// Returns the next unit; unescaped characters come up to `limit` bytes at a time.
    fn next(&mut self, limit: usize) -> Option<Unit<'a>> {
        let rest = self.escaped.as_bytes().get(self.position..)?;
        if rest.first()? == &b'\\' {
            let (code, length) = escape(rest)?;
            self.position += length;
            return Some(Unit::Escaped(code));
        }
        let run = rest.get(..limit).unwrap_or(rest);
        let run = memchr(b'\\', run).and_then(|end| run.get(..end)).unwrap_or(run);
        self.position += run.len();
        Some(Unit::Plain(run))
    }

    fn is_at_second_half(&self) -> bool {
        let rest = self.escaped.as_bytes().get(self.position..).unwrap_or_default();
        escape(rest).is_some_and(|(code, _)| (SECOND_HALF..=LAST_HALF).contains(&code))
    }

    /// Returns the unread rest; `None` in the middle of a character.
    fn rest(&self) -> Option<&'a str> {
        self.escaped.get(self.position..)
    }
}

/// Decodes the escape at the beginning of `escaped`: its UTF-16 unit and its length.
fn escape(escaped: &[u8]) -> Option<(u16, usize)> {
    let [b'\\', kind, rest @ ..] = escaped else { return None };
    let code = match kind {
        b'b' => 8,
        b't' => 9,
        b'n' => 10,
        b'f' => 12,
        b'r' => 13,
        b'u' => {
            let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
            return Some((u16::from_str_radix(digits, 16).ok()?, 6));
        }
        itself => u16::from(*itself),
    };
    Some((code, 2))
}

/// Returns the text after the half character at the beginning of `rest`, which may contain the complete character.
fn after_half(rest: &str, half: u16) -> Option<Cow<'_, str>> {
    if let Some((code, length)) = escape(rest.as_bytes()) {
        return (code == half).then(|| Cow::Borrowed(rest.get(length..).unwrap_or_default()));
    }
    let character = rest.chars().next()?;
    let mut units = [0; 2];
    let [first, second] = character.encode_utf16(&mut units) else { return None };
    (*first == half).then(|| format!("\\u{second:04x}{}", rest.get(character.len_utf8()..).unwrap_or_default()).into())
}

fn joined(first: u16, second: u16) -> Option<char> {
    char::decode_utf16([first, second]).next()?.ok()
}

const FIRST_HALF: u16 = 0xD800;
const SECOND_HALF: u16 = 0xDC00;
const LAST_HALF: u16 = 0xDFFF;

const PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compared<'a>(deltas: &[&str], whole: &'a str) -> Finished<'a> {
        let mut sent = Sent::default();
        deltas.iter().for_each(|delta| sent.add(Text::from_escaped(delta)));
        sent.compare(Text::from_escaped(whole))
    }

    fn more(rest: &str) -> Finished<'_> {
        Finished::More(rest.into())
    }

    #[test]
    fn the_end_is_left_and_another_text_differs() {
        assert_eq!(compared(&[], "whole"), more("whole"));
        assert_eq!(compared(&["wh", "o"], "whole"), more("le"));
        assert_eq!(compared(&["wh", "o"], "who"), Finished::Same);
        assert_eq!(compared(&[], ""), Finished::Same);
        for other in ["", "wh", "wxole", "é", "wé", "whö"] {
            assert_eq!(compared(&["wh", "o"], other), Finished::Differs, "{other}");
        }
    }

    #[test]
    fn spelling_makes_no_difference() {
        assert_eq!(compared(&[r"\u00e9", "é"], r"é\u00E9\n"), more(r"\n"));
        assert_eq!(compared(&[r"a\/b\u000a"], r"a/b\nc"), more("c"));
        assert_eq!(compared(&["😀"], r"\ud83d\ude00"), Finished::Same);
        assert_eq!(compared(&[r"\ud83d", r"\ude00!"], "😀!"), Finished::Same);
        assert_eq!(compared(&[r"\ud83d", "x"], r"\ud83dx"), Finished::Same);
        assert_eq!(compared(&[r"\ude00\ud83d"], r"\uDE00\uD83Dx"), more("x"));
        assert_eq!(compared(&[r"\ud83d", "x"], "😀x"), Finished::Differs);
    }

    #[test]
    fn half_a_character_is_continued_by_its_other_half() {
        assert_eq!(compared(&[r"a\ud83d"], r"a\ud83d\ude00b"), more(r"\ude00b"));
        assert_eq!(compared(&[r"a\ud83d"], "a😀b"), more(r"\ude00b"));
        assert_eq!(compared(&[r"\ud83d"], r"\ud83d"), Finished::Same);
        for other in ["", "x", "é", "a", r"\ude00", r"\n", "𝄞"] {
            assert_eq!(compared(&[r"\ud83d"], other), Finished::Differs, "{other}");
        }
    }

    /// A spelling of `character`: itself, or one of its escapes.
    fn spelled(character: char, how: u8) -> Vec<String> {
        let mut units = [0; 2];
        match (character, how) {
            ('"' | '\\', _) => vec![format!("\\{character}")],
            ('/', 0) => vec![r"\/".to_owned()],
            ('\n', 0) => vec![r"\n".to_owned()],
            (control, _) if control < ' ' => vec![format!("\\u{:04x}", u32::from(control))],
            (_, 0) => vec![character.to_string()],
            _ => character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
        }
    }

    proptest! {
        #[test]
        fn any_spelling_cut_anywhere_is_the_same(
            characters in prop::collection::vec((prop::sample::select(vec!['a', '/', '"', '\\', '\n', '\u{1}', 'é', '\u{2028}', '😀', '𝄞']), 0..2_u8, 0..2_u8), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let sent: Vec<String> = characters.iter().flat_map(|(character, how, _)| spelled(*character, *how)).collect();
            let whole: Vec<String> = characters.iter().flat_map(|(character, _, how)| spelled(*character, *how)).collect();
            let all: Vec<&str> = sent.iter().map(String::as_str).collect();
            let (whole, cut) = (whole.concat(), cut.index(all.len() + 1));
            prop_assert_eq!(compared(&all, &whole), Finished::Same);
            // The beginning and the returned rest add up to the complete text.
            let rest = match compared(&all[..cut], &whole) {
                Finished::Same => String::new(),
                Finished::More(rest) => rest.into_owned(),
                Finished::Differs => return Err(TestCaseError::fail("differs")),
            };
            let joined = format!("{}{rest}", all[..cut].concat());
            prop_assert_eq!(Text::from_escaped(&joined).decode(), Text::from_escaped(&whole).decode());
        }

        #[test]
        fn another_text_is_told_apart(sent in "[ab\u{e9}]{0,6}", whole in "[ab\u{e9}]{0,6}") {
            let expected = match whole.strip_prefix(&sent) {
                Some("") => Finished::Same,
                Some(rest) => more(rest),
                None => Finished::Differs,
            };
            prop_assert_eq!(compared(&[&sent], &whole), expected);
        }
    }
}
