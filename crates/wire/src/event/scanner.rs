//! A scanner of JSON in the form in which the backend sends it.
//!
//! * It gives up on whatever it does not know for certain, and its caller then asks a parser. So it may be strict where
//!   JSON is not (no tab and no line break between values, no key with an escape, no nesting beyond [`DEEPEST`]
//!   levels), and must never be laxer.
//! * Nothing is taken unchecked: a damaged event is one that a client must not get as whole. All bytes are UTF-8 without
//!   control characters, which [`Scanner::of`] finds out at once; every escape, number, comma and bracket
//!   is looked at where it stands, in values that nobody needs as well.
//! * What is saved is the work on the inside of strings, which are most of the bytes: they are passed over from one
//!   quote or backslash to the next, and neither decoded nor copied. Keys of nested objects are not compared either.

use std::slice::SliceIndex;

use memchr::memchr;

use crate::event::blocks::{BLOCK, Block, holds_control_characters, marks, near_mark};
use crate::json::Raw;

/// A place in a JSON text.
#[derive(Debug)]
pub struct Scanner<'a> {
    data: &'a [u8],
    /// The same as a string.
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    /// Begins at the start of `data`; `None` unless it is UTF-8 without control characters.
    pub fn of(data: &'a [u8]) -> Option<Self> {
        let text = simdutf8::basic::from_utf8(data).ok()?;
        (!holds_control_characters(data)).then_some(Self { data, text, position: 0 })
    }

    /// Begins at the start of a value that has been read before.
    pub const fn of_raw(raw: Raw<'a>) -> Self {
        Self { data: raw.get().as_bytes(), text: raw.get(), position: 0 }
    }

    /// Returns the number of bytes read.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Returns to a [position](Self::position) before.
    pub const fn return_to(&mut self, position: usize) {
        self.position = position;
    }

    /// Returns whether nothing follows.
    pub fn is_at_end(&mut self) -> bool {
        self.token().is_none()
    }

    /// Returns the bytes in `range`, of those read and of those that follow.
    pub fn bytes(&self, range: impl SliceIndex<[u8], Output = [u8]>) -> Option<&'a [u8]> {
        self.data.get(range)
    }

    /// Returns the next byte.
    pub fn peek(&self) -> Option<u8> {
        self.data.get(self.position).copied()
    }

    /// Reads the next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.position += 1;
        Some(next)
    }

    /// Reads the next byte, which must be `expected`.
    pub fn expect(&mut self, expected: u8) -> Option<()> {
        (self.byte()? == expected).then_some(())
    }

    /// Reads `expected`, if it is what follows.
    pub fn take(&mut self, expected: impl AsRef<[u8]>) -> bool {
        let expected = expected.as_ref();
        let follows = self.data.get(self.position..).is_some_and(|rest| rest.starts_with(expected));
        self.position += if follows { expected.len() } else { 0 };
        follows
    }

    /// Skips spaces, and returns the byte after them.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' => self.position += 1,
                next => return Some(next),
            }
        }
    }

    /// Reads an object. `each` gets every key without its quotes, and reads the value.
    pub fn object(&mut self, mut each: impl FnMut(&'a [u8], &mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.token()? == b'}' {
            return self.expect(b'}');
        }
        loop {
            let key = self.key()?;
            each(key, self)?;
            match self.token()? {
                b',' => self.position += 1,
                _ => return self.expect(b'}'),
            }
            self.token()?;
        }
    }

    /// Reads an array; `None` if it is another value.
    pub fn array(&mut self) -> Option<Vec<Raw<'a>>> {
        let mut elements = Vec::new();
        self.expect(b'[')?;
        if self.token()? == b']' {
            self.expect(b']')?;
            return Some(elements);
        }
        loop {
            elements.push(self.raw()?);
            match self.token()? {
                b',' => self.position += 1,
                _ => return self.expect(b']').map(|()| elements),
            }
            self.token()?;
        }
    }

    /// Reads a key without escapes and the colon after it, up to the value.
    pub fn key(&mut self) -> Option<&'a [u8]> {
        let rest = self.data.get(self.position..)?.strip_prefix(b"\"")?;
        // Most keys are short, and no space follows their colon.
        if let Some((key, [b'"', b':', next, ..])) = near_mark(rest).and_then(|end| rest.split_at_checked(end))
            && *next != b' '
        {
            self.position += key.len() + br#""":"#.len();
            return Some(key);
        }
        self.position += 1;
        let begin = self.position;
        self.next_mark()?;
        let key = self.data.get(begin..self.position)?;
        self.expect(b'"')?;
        self.colon()?;
        Some(key)
    }

    /// Reads a colon, up to the value.
    #[inline]
    fn colon(&mut self) -> Option<()> {
        if let Some([b':', next, ..]) = self.data.get(self.position..)
            && *next != b' '
        {
            self.position += 1;
            return Some(());
        }
        self.token()?;
        self.expect(b':')?;
        self.token().map(drop)
    }

    /// Reads any value.
    pub fn raw(&mut self) -> Option<Raw<'a>> {
        let begin = self.position;
        self.skip()?;
        self.text.get(begin..self.position).map(Raw::of_valid)
    }

    /// Reads a string, and returns its inside, escaped.
    pub fn string(&mut self) -> Option<&'a str> {
        let begin = self.position + 1;
        self.skip_string()?;
        self.text.get(begin..self.position - 1)
    }

    /// Reads a string, and returns its inside; `None` if it has escapes.
    pub fn plain_string(&mut self) -> Option<&'a str> {
        self.string().filter(|string| memchr(b'\\', string.as_bytes()).is_none())
    }

    /// Reads a number without sign, fraction or exponent, with few enough digits to fit.
    pub fn number(&mut self) -> Option<u64> {
        let begin = self.position;
        let mut number = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.position - begin == MOST_DIGITS || (number == 0 && self.position > begin) {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            self.position += 1;
        }
        (self.position > begin).then_some(number)
    }

    /// Skips any value.
    pub fn skip(&mut self) -> Option<()> {
        let mut open = Open::default();
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.position += 1;
                    if self.token()? == b'}' {
                        self.position += 1;
                    } else {
                        open.push(true)?;
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.position += 1;
                    if self.token()? == b']' {
                        self.position += 1;
                    } else {
                        open.push(false)?;
                        continue;
                    }
                }
                b'n' => self.literal(b"null")?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                _ => self.skip_number()?,
            }
            if self.close(&mut open)? {
                return Some(());
            }
        }
    }

    /// Reads what follows a value inside the `open` ones, up to the next value. Returns whether the outermost is over.
    fn close(&mut self, open: &mut Open) -> Option<bool> {
        while let Some(is_object) = open.last() {
            match (self.token()?, is_object) {
                (b',', _) => {
                    self.position += 1;
                    self.token()?;
                    if is_object {
                        self.skip_key()?;
                    }
                    return Some(false);
                }
                (b'}', true) | (b']', false) => {
                    self.position += 1;
                    open.pop();
                }
                _ => return None,
            }
        }
        Some(true)
    }

    fn skip_key(&mut self) -> Option<()> {
        self.skip_string()?;
        self.colon()
    }

    fn skip_string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        let rest = self.data.get(self.position..)?;
        if let Some(place) = near_mark(rest).filter(|place| rest.get(*place) == Some(&b'"')) {
            self.position += place + 1;
            return Some(());
        }
        while let Some(block) = self.block() {
            if self.skip_string_in(block)? {
                return Some(());
            }
        }
        loop {
            match self.byte()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => {}
            }
        }
    }

    /// Skips what `block`, which is next, holds of a string, and of the last escape in it. Returns whether the string ends.
    fn skip_string_in(&mut self, block: &Block) -> Option<bool> {
        let begin = self.position;
        let mut marks = marks(block);
        while marks != 0 {
            let place = marks.trailing_zeros() as usize;
            self.position = begin + place + 1;
            match (block.get(place)?, block.get(place + 1)) {
                (b'"', _) => return Some(true),
                (_, Some(kind)) if is_simple(*kind) => marks &= !(0b11 << place),
                _ => return self.escape().map(|()| false),
            }
        }
        // An escape is one of two bytes, so it ends with the block or before.
        self.position = begin + BLOCK;
        Some(false)
    }

    /// Goes to the next quote or backslash.
    fn next_mark(&mut self) -> Option<()> {
        if let Some(place) = near_mark(self.data.get(self.position..)?) {
            self.position += place;
            return Some(());
        }
        while let Some(block) = self.block() {
            let marks = marks(block);
            if marks != 0 {
                self.position += marks.trailing_zeros() as usize;
                return Some(());
            }
            self.position += BLOCK;
        }
        let rest = self.data.get(self.position..)?;
        self.position += rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        Some(())
    }

    fn block(&self) -> Option<&'a Block> {
        self.data.get(self.position..)?.first_chunk()
    }

    /// Skips the rest of an escape after the backslash.
    fn escape(&mut self) -> Option<()> {
        match self.byte()? {
            kind if is_simple(kind) => Some(()),
            b'u' => (0..4).try_for_each(|_| self.byte()?.is_ascii_hexdigit().then_some(())),
            _ => None,
        }
    }

    fn literal<const LENGTH: usize>(&mut self, literal: &[u8; LENGTH]) -> Option<()> {
        let follows = self.data.get(self.position..)?.first_chunk() == Some(literal);
        self.position += LENGTH;
        follows.then_some(())
    }

    fn skip_number(&mut self) -> Option<()> {
        self.take("-");
        if self.peek()? == b'0' {
            self.position += 1;
        } else {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            self.position += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// Skips one or more digits.
    fn digits(&mut self) -> Option<()> {
        let begin = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        (self.position > begin).then_some(())
    }
}

/// Returns whether an escape of this kind is a single character after the backslash.
const fn is_simple(kind: u8) -> bool {
    SIMPLE[kind as usize]
}

/// By their kinds, the escapes that are a single character after the backslash.
const SIMPLE: [bool; 256] = {
    let (mut table, kinds, mut next) = ([false; 256], br#""\/bfnrt"#, 0);
    while next < kinds.len() {
        table[kinds[next] as usize] = true;
        next += 1;
    }
    table
};

/// Sets a field that has not been set before. A parser rejects a repeated field, so a repetition gives up.
pub fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// The objects and arrays around a place, one bit each below a mark: 1 is an object.
struct Open(u64);

impl Default for Open {
    fn default() -> Self {
        Self(1)
    }
}

impl Open {
    fn push(&mut self, is_object: bool) -> Option<()> {
        if self.0 >> DEEPEST != 0 {
            return None;
        }
        self.0 = self.0 << 1 | u64::from(is_object);
        Some(())
    }

    fn pop(&mut self) {
        self.0 >>= 1;
    }

    fn last(&self) -> Option<bool> {
        (self.0 > 1).then_some(self.0 & 1 == 1)
    }
}

/// The most levels of nesting read here; more are left to the parser.
const DEEPEST: u32 = 62;

/// The digits of the longest number that always fits.
const MOST_DIGITS: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_without_control_characters_is_scanned() {
        let is_scanned = |data: &[u8]| Scanner::of(data).is_some();
        for length in [1, 7, 8, 63, 64, 65, 256, 330] {
            let (ascii, other) = (vec![b' '; length], "é".repeat(length).into_bytes());
            assert!(is_scanned(&ascii) && is_scanned(&other) && is_scanned("\u{7f}\u{10ffff}".as_bytes()));
            for place in [0, length / 2, length - 1] {
                for byte in [0, 9, 10, 31, 0x80, 0xff] {
                    for data in [&ascii, &other] {
                        let mut changed = data.clone();
                        changed[place] = byte;
                        let is_plain = std::str::from_utf8(&changed).is_ok() && byte >= b' ';
                        assert_eq!(is_scanned(&changed), is_plain, "{byte} at {place} of {length}");
                    }
                }
            }
            assert!(!is_scanned(&other[..2 * length - 1]), "half a character at the end of {length}");
        }
    }

    #[test]
    fn every_value_is_what_a_parser_takes_it_for() {
        let values = [
            "0",
            "-0",
            "-1.5e+3",
            "1E-2",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "null",
            "nul",
            "nulls",
            "true",
            "false",
            "\"\"",
            r#""\"\\\/\b\f\n\r\t\u00e4\ud83d""#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u12"#,
            "\"",
            "[]",
            "[ ]",
            "[1,2 , [3]]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{}",
            "{ }",
            r#"{"a":1 , "b" : {"c":[]}}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            r#"{"a":1]"#,
            r#"{"\u0061":"\n\n\n"}"#,
            r#"{"a"}"#,
            "]",
            "}",
            ":",
            ",",
            "",
            "é",
            "\"é\"",
        ];
        for value in values {
            let parsed = serde_json::from_str::<&serde_json::value::RawValue>(value).ok().map(Raw::from);
            let mut scanner = Scanner::of(value.as_bytes()).unwrap();
            let scanned = scanner.raw().filter(|_| scanner.is_at_end());
            assert_eq!(scanned, parsed, "{value}");
        }
    }

    #[test]
    fn nesting_is_read_up_to_a_bound() {
        for (depth, is_read) in [(1, true), (60, true), (61, true), (200, false)] {
            let json = format!("{}1{}", r#"{"a":["#.repeat(depth / 2), "]}".repeat(depth / 2));
            assert_eq!(Scanner::of(json.as_bytes()).unwrap().skip().is_some(), is_read, "{depth}");
        }
    }
}
