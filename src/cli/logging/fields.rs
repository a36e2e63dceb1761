//! The fields of a human-readable log line: `message name=value other=value`.
//!
//! * Control characters of a value are escaped, so that untrusted text can neither begin a new line nor control the
//!   terminal. JSON lines need no such care: JSON escapes them.

use std::fmt::{self, Write as _};

use tracing::field::Field;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{self, Writer};

use crate::excerpt::escape_into;

/// Writes fields with their control characters escaped.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EscapedFields;

impl<'w> FormatFields<'w> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        use tracing_subscriber::field::MakeExt as _;
        format::debug_fn(write_field).delimited(" ").format_fields(writer, fields)
    }
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        match writer.has_ansi_escapes() {
            true => write!(writer, "\x1b[3m{field}\x1b[0m\x1b[2m=\x1b[0m")?,
            false => write!(writer, "{field}=")?,
        }
    }
    write!(Escaping(writer), "{value:?}")
}

/// Escapes control characters written through it.
struct Escaping<'w, 'a>(&'w mut Writer<'a>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_into(self.0, text)
    }
}
