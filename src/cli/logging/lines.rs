//! The lines of the log: one JSON object each, or text for a person.
//!
//! * In JSON every field stands at the top level, those of the spans around an event too; the event's own win.
//! * For a person a request is one short line, written by [`request`], with the time of day. Lines about a
//!   request that is still under way end in its id.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use crate::cli::logging::fields::{LogFields, MESSAGE};
use crate::cli::logging::queue::LogQueue;
use crate::cli::logging::request;
use crate::cli::terminal::{Escaped, Paint};
use crate::excerpt::escape_into;
use crate::platform::unix_now;

/// The form of a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum LineForm {
    /// One JSON object.
    Json,
    /// Text, with the time in this offset from UTC.
    Text {
        /// The colours.
        paint: Paint,
        /// The offset of the time of day; UTC, marked by a `Z`, where it is not known.
        offset: Option<UtcOffset>,
    },
}

/// Writes each event as a line into a queue.
#[derive(Debug)]
pub(super) struct LogLines {
    pub(super) form: LineForm,
    pub(super) queue: LogQueue,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = LogFields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(Arc::new(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Arc<LogFields>>() {
            let fields: &mut LogFields = Arc::make_mut(fields);
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = LogFields::default();
        event.record(&mut own);
        let around = fields_around(event, &context);
        let level = *event.metadata().level();
        let line = match self.form {
            LineForm::Json => json(level, event.metadata().target(), &own, &around),
            LineForm::Text { paint, offset } => text(level, paint, &clock(offset), &own, &around),
        };
        self.queue.push(line.as_bytes());
    }
}

/// Returns the fields of the spans around `event`; an inner span's win. Those of a single span, the usual case, are shared.
fn fields_around<S: Subscriber + for<'a> LookupSpan<'a>>(
    event: &Event<'_>,
    context: &Context<'_, S>,
) -> Arc<LogFields> {
    let mut around = Arc::<LogFields>::default();
    for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
        let extensions = span.extensions();
        let Some(fields) = extensions.get::<Arc<LogFields>>() else { continue };
        if around.is_empty() {
            around = Arc::clone(fields);
        } else {
            Arc::make_mut(&mut around).extend(fields);
        }
    }
    around
}

fn json(level: Level, target: &str, own: &LogFields, around: &LogFields) -> String {
    let time = now().format(&Rfc3339).unwrap_or_default();
    let mut line = b"{".to_vec();
    write_field(&mut line, "timestamp", &time);
    write_field(&mut line, "level", level.as_str());
    write_field(&mut line, MESSAGE, own.find(MESSAGE));
    write_field(&mut line, "target", target);
    let outer = around.iter().map(|(name, value)| (name, own.find(name).unwrap_or(value)));
    let inner = own.iter().filter(|(name, _)| *name != MESSAGE && around.find(name).is_none());
    for (name, value) in outer.chain(inner) {
        // A field by one of the four names above would hide it.
        if HEAD.contains(&name) {
            write_field(&mut line, &format!("field_{name}"), value);
        } else {
            write_field(&mut line, name, value);
        }
    }
    line.extend_from_slice(b"}\n");
    if line.is_ascii() && !line.contains(&DELETE) {
        return String::from_utf8(line).unwrap_or_default();
    }
    let mut text = Vec::new();
    // JSON leaves the control characters above U+007F as they are, and those that turn text around. Memory takes every write.
    let _ = io::Write::write_all(&mut Escaped(&mut text), &line);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends a field of a JSON object.
fn write_field(line: &mut Vec<u8>, name: &str, value: impl Serialize) {
    if line.len() > 1 {
        line.push(b',');
    }
    // Writing names, texts and numbers to memory cannot fail.
    let _ = serde_json::to_writer(&mut *line, name);
    line.push(b':');
    let _ = serde_json::to_writer(&mut *line, &value);
}

fn text(level: Level, paint: Paint, clock: &str, own: &LogFields, around: &LogFields) -> String {
    let mut line = String::new();
    let message = own.text(MESSAGE).unwrap_or_default();
    // Writing to a text cannot fail.
    let _ = match request::summary(paint, message, around) {
        Some(summary) => write!(line, "{} {summary}", paint.dim(clock)),
        None => event(&mut line, level, paint, clock, message, own, around),
    };
    line.push('\n');
    line
}

fn event(
    line: &mut String,
    level: Level,
    paint: Paint,
    clock: &str,
    message: &str,
    own: &LogFields,
    around: &LogFields,
) -> std::fmt::Result {
    write!(line, "{} {} ", paint.dim(clock), paint.level(level))?;
    escape_into(line, message)?;
    own.write_pairs(line)?;
    match around.text("request_id") {
        Some(id) => {
            line.push_str(" request_id=");
            escape_into(line, id)
        }
        None => around.write_pairs(line),
    }
}

fn clock(offset: Option<UtcOffset>) -> String {
    let now = now().to_offset(offset.unwrap_or(UtcOffset::UTC));
    let mark = if offset.is_some() { "" } else { "Z" };
    format!("{:02}:{:02}:{:02}{mark}", now.hour(), now.minute(), now.second())
}

fn now() -> OffsetDateTime {
    let nanoseconds = i128::try_from(unix_now().as_micros()).unwrap_or_default().saturating_mul(1000);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The one control character of ASCII that JSON does not escape.
const DELETE: u8 = 0x7f;
const HEAD: [&str; 4] = ["timestamp", "level", MESSAGE, "target"];
