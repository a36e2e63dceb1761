//! Terminal output: untrusted text, such as an e-mail address or a model's name, cannot control the terminal.
//!
//! * Control characters other than line breaks are written as `\\u001b`, their escape inside JSON strings.

use std::io::{self, Write};
use std::str;

use crate::excerpt::is_unsafe;

/// Escapes control characters written through it.
#[derive(Debug)]
pub(super) struct Escaped<W>(pub(super) W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.valid_up_to() == 0 => {
                // An incomplete character: the rest comes with another write.
                self.0.write_all(bytes)?;
                return Ok(bytes.len());
            }
            Err(error) => str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        };
        let mut written = 0;
        for (position, character) in text.char_indices().filter(|(_, letter)| *letter != '\n' && is_unsafe(*letter)) {
            self.0.write_all(text.get(written..position).unwrap_or_default().as_bytes())?;
            write!(self.0, "\\u{:04x}", u32::from(character))?;
            written = position + character.len_utf8();
        }
        self.0.write_all(text.get(written..).unwrap_or_default().as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered() {
        let mut output = Escaped(Vec::new());
        output.write_all("a\u{1b}]0;x\u{7} é\u{9b}2J\r✅\u{202e}\n".as_bytes()).expect("written");
        assert_eq!(String::from_utf8(output.0).expect("text"), "a\\u001b]0;x\\u0007 é\\u009b2J\\u000d✅\\u202e\n");
        let mut output = Escaped(Vec::new());
        output.write_all(&"xé".as_bytes()[..2]).expect("written");
        output.write_all(&"xé".as_bytes()[2..]).expect("written");
        assert_eq!(output.0, "xé".as_bytes());
    }
}
