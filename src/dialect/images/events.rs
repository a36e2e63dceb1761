//! The events of a stream.
//!
//! * An unfinished image is passed on as the backend sent it. A finished one is an event with the facts about it, in the
//!   order in which the calls finish.
//! * A failure is the stream's last event, with OpenAI's error object, at which its SDKs throw.

use super::ImageTask;
use super::reply::ImageAnswer;
use crate::backend::event::Event;
use crate::fault::Fault;
use crate::json::{ObjectWriter, Text};

/// Appends the event of an unfinished image.
pub fn partial(event: &[u8], out: &mut Vec<u8>) {
    let name = Event::parse(event).map(|event| event.kind.into_owned());
    write_frame(name.as_deref().unwrap_or("message"), event, out);
}

/// Appends the events of the images in `answer`; `created` is the time, if the answer does not tell it.
pub fn completed(task: ImageTask, answer: &ImageAnswer, created: u64, out: &mut Vec<u8>) {
    let last = answer.images.len().saturating_sub(1);
    for (index, image) in answer.images.iter().enumerate() {
        let base64 = std::str::from_utf8(&image.base64).unwrap_or_default();
        let mut event = Vec::with_capacity(base64.len() + ROOM);
        let mut object = ObjectWriter::begin(&mut event);
        object.string("type", task.completed()).text("b64_json", Text::from_escaped(base64));
        object.unsigned("created_at", answer.created.unwrap_or(created));
        for (name, value) in image.facts.named() {
            if let Some(value) = value {
                object.string(name, value);
            }
        }
        // The tokens are those of the whole call.
        if let Some(usage) = answer.usage.as_ref().filter(|_| index == last) {
            usage.write(object.key("usage"));
        }
        object.end();
        write_frame(task.completed(), &event, out);
    }
}

/// Appends the event of a failure.
pub fn failed(error: &Fault, out: &mut Vec<u8>) {
    let event = format!(r#"{{"type":"error","error":{}}}"#, error.to_json_object());
    write_frame("error", event.as_bytes(), out);
}

fn write_frame(name: &str, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() + ROOM);
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\n\n");
}

/// Enough for what stands around an image.
const ROOM: usize = 512;
