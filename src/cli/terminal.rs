//! Terminal output: colours, widths, and untrusted text made safe.
//!
//! * Colours are for terminals that take them: never with `NO_COLOR` or `TERM=dumb`, nor into a file or pipe.
//! * Untrusted text, such as an e-mail address or a model's name, cannot control the terminal: control characters other than line breaks are written as `\\u001b`, their escape inside JSON strings.

use std::io::{self, Write};
use std::str;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Color, Style};
use tracing::Level;

use crate::excerpt::is_unsafe;

/// The colours of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// None.
    Plain,
    /// Those of every terminal.
    Coloured,
}

impl Paint {
    /// Returns the colours that `stream` takes.
    pub(super) fn for_stream(stream: &impl RawStream) -> Self {
        match AutoStream::choice(stream) {
            ColorChoice::Never => Self::Plain,
            ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => Self::Coloured,
        }
    }

    /// What is of little interest.
    pub(super) fn dim(self, text: &str) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// What should be noticed.
    pub(super) fn warning(self, text: &str) -> String {
        self.styled(coloured(AnsiColor::Yellow), text)
    }

    /// The name of a level, padded.
    pub(super) fn level(self, level: Level) -> String {
        let colour = match level {
            Level::ERROR => AnsiColor::Red,
            Level::WARN => AnsiColor::Yellow,
            Level::INFO => AnsiColor::Green,
            Level::DEBUG => AnsiColor::Blue,
            Level::TRACE => AnsiColor::Magenta,
        };
        self.styled(coloured(colour), &format!("{:5}", level.as_str()))
    }

    /// An HTTP status.
    pub(super) fn status(self, status: u64) -> String {
        let colour = match status {
            0..=399 => AnsiColor::Green,
            400..=499 => AnsiColor::Yellow,
            _ => AnsiColor::Red,
        };
        self.styled(coloured(colour), &status.to_string())
    }

    fn styled(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("{style}{text}{style:#}"),
        }
    }
}

const fn coloured(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// Escapes control characters written through it.
#[derive(Debug)]
pub(super) struct Escaped<W>(pub(super) W);

impl<W: Write> Escaped<W> {
    fn write_escaped(&mut self, text: &str) -> io::Result<()> {
        let mut written = 0;
        for (position, character) in text.char_indices().filter(|(_, letter)| *letter != '\n' && is_unsafe(*letter)) {
            self.0.write_all(text.get(written..position).unwrap_or_default().as_bytes())?;
            write!(self.0, "\\u{:04x}", u32::from(character))?;
            written = position + character.len_utf8();
        }
        self.0.write_all(text.get(written..).unwrap_or_default().as_bytes())
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.valid_up_to() == 0 => {
                // An incomplete character: the rest comes with another write.
                self.0.write_all(bytes).map_err(OutputError::mark)?;
                return Ok(bytes.len());
            }
            Err(error) => str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        };
        self.write_escaped(text).map_err(OutputError::mark)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(OutputError::mark)
    }
}

/// A failure to write the output of a command, in contrast to any other error of the system.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output: {0}")]
pub(super) struct OutputError(io::Error);

impl OutputError {
    fn mark(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self(error))
    }

    /// Returns whether `error` came from a command's output.
    pub(super) fn is(error: &io::Error) -> bool {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_output_is_told_from_others() {
        let mut full: &mut [u8] = &mut [];
        let error = writeln!(Escaped(&mut full), "x").expect_err("no room");
        assert!(OutputError::is(&error) && !OutputError::is(&io::Error::other("x")), "{error:?}");
        assert!(error.to_string().starts_with("cannot write the output: "), "{error}");
    }

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
