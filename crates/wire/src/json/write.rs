//! JSON written piece by piece, from raw slices and plain values.

use serde_json::value::RawValue;

use crate::json::Text;

/// Appends `plain` as a JSON string, quotes and escapes included.
pub fn push_string(out: &mut Vec<u8>, plain: &str) {
    if is_plain(plain) {
        out.reserve(plain.len() + 2);
        out.push(b'"');
        out.extend_from_slice(plain.as_bytes());
        out.push(b'"');
        return;
    }
    let start = out.len();
    if serde_json::to_writer(&mut *out, plain).is_err() {
        // Writing a str into a Vec cannot fail; an empty string would still keep the document valid.
        out.truncate(start);
        out.extend_from_slice(b"\"\"");
    }
}

/// Returns whether no character of `text` has to be escaped, as in most keys and names.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// By its value, whether a byte stands for itself inside a JSON string.
const PLAIN: [bool; 256] = {
    let mut table = [true; 256];
    let mut control = 0;
    while control < b' ' as usize {
        table[control] = false;
        control += 1;
    }
    table[b'"' as usize] = false;
    table[b'\\' as usize] = false;
    table
};

/// Escapes `plain` for the inside of a JSON string.
pub fn escape(plain: &str) -> String {
    let mut quoted = Vec::new();
    push_string(&mut quoted, plain);
    let quoted = String::from_utf8(quoted).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// Writes one object; [`ObjectWriter::end`] closes it.
#[derive(Debug)]
pub struct ObjectWriter<'w> {
    out: &'w mut Vec<u8>,
    separator: u8,
}

impl<'w> ObjectWriter<'w> {
    /// Opens an object at the end of `out`.
    pub fn begin(out: &'w mut Vec<u8>) -> Self {
        Self { out, separator: b'{' }
    }

    /// Writes a key and returns the buffer for its value, which must follow.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        // Room for the key with its four marks, and for a short value.
        self.out.reserve(key.len() + 12);
        self.out.push(self.separator);
        self.separator = b',';
        push_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// Writes a value copied unchanged.
    pub fn raw(&mut self, key: &str, value: &RawValue) -> &mut Self {
        self.json(key, value.get())
    }

    /// Writes a value that is already JSON.
    pub fn json(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).extend_from_slice(value.as_bytes());
        self
    }

    /// Writes a string given in its escaped form.
    pub fn text(&mut self, key: &str, value: Text<'_>) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        out.extend_from_slice(value.escaped().as_bytes());
        out.push(b'"');
        self
    }

    /// Writes a plain string.
    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        push_string(self.key(key), value);
        self
    }

    /// Writes `true` or `false`.
    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.json(key, if value { "true" } else { "false" })
    }

    /// Writes a whole number.
    pub fn unsigned(&mut self, key: &str, value: u64) -> &mut Self {
        self.json(key, &value.to_string())
    }

    /// Returns the position of the next byte, counted from the buffer's beginning.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Closes the object.
    pub fn end(self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// Writes one array; [`ArrayWriter::end`] closes it.
#[derive(Debug)]
pub struct ArrayWriter<'w> {
    out: &'w mut Vec<u8>,
    separator: u8,
    /// The beginning of each element, if wanted.
    starts: Option<Vec<usize>>,
}

impl<'w> ArrayWriter<'w> {
    /// Opens an array at the end of `out`.
    pub fn begin(out: &'w mut Vec<u8>) -> Self {
        Self { out, separator: b'[', starts: None }
    }

    /// Opens an array at the end of `out`, and notes where its elements begin.
    pub fn noting_starts(out: &'w mut Vec<u8>) -> Self {
        Self { starts: Some(Vec::new()), ..Self::begin(out) }
    }

    /// Returns the buffer for the next element, which must follow.
    pub fn element(&mut self) -> &mut Vec<u8> {
        self.out.push(self.separator);
        self.separator = b',';
        if let Some(starts) = &mut self.starts {
            starts.push(self.out.len());
        }
        self.out
    }

    /// Returns the position of the next byte, counted from the buffer's beginning.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Opens the next element, an object.
    pub fn object(&mut self) -> ObjectWriter<'_> {
        ObjectWriter::begin(self.element())
    }

    /// Closes the array.
    pub fn end(self) {
        self.end_with_starts();
    }

    /// Closes the array. Returns where its elements begin, counted from the buffer's beginning, if that was noted.
    pub fn end_with_starts(self) -> Vec<usize> {
        if self.separator == b'[' {
            self.out.push(b'[');
        }
        self.out.push(b']');
        self.starts.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_nested_values() {
        let mut out = Vec::new();
        let mut object = ObjectWriter::begin(&mut out);
        object.string("a", "x\"y").boolean("b", true).unsigned("c", 7);
        let mut array = ArrayWriter::begin(object.key("d"));
        array.object().end();
        array.element().extend_from_slice(b"1");
        array.end();
        ArrayWriter::begin(object.key("e")).end();
        let mut noting = ArrayWriter::noting_starts(object.key("f"));
        noting.element().extend_from_slice(b"1");
        noting.object().end();
        let starts = noting.end_with_starts();
        object.end();
        assert_eq!(starts.iter().map(|start| out[*start]).collect::<Vec<_>>(), b"1{");
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"x\"y","b":true,"c":7,"d":[{},1],"e":[],"f":[1,{}]}"#);
    }
}
