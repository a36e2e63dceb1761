//! The body of an answer as the frames of a WebSocket: each event's data is a frame.

use bytes::BytesMut;
use memchr::memmem;
use serde_json::Value;

/// Takes the data out of the events of a body.
#[derive(Debug, Default)]
pub(super) struct Events {
    unread: BytesMut,
}

impl Events {
    /// Takes a piece of the body, and returns the data of the events that it completes.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<String> {
        // Line ends are made one kind as they come; a CR at the end of a piece is followed by its LF.
        self.unread.extend(piece.iter().filter(|byte| **byte != b'\r'));
        let mut events = Vec::new();
        while let Some(end) = memmem::find(&self.unread, b"\n\n") {
            let event = self.unread.split_to(end + 2);
            let text = String::from_utf8_lossy(&event);
            let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
            let data: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            if !data.is_empty() {
                events.push(data.join("\n"));
            }
        }
        events
    }
}

/// Returns whether an event is the last of its answer.
pub(super) fn is_last(event: &Value) -> bool {
    let kind = event["type"].as_str().unwrap_or_default();
    matches!(kind, "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_data_however_it_is_framed() {
        let mut events = Events::default();
        assert_eq!(events.feed(b"event: a\ndata: {\"a\":"), Vec::<String>::new());
        assert_eq!(events.feed(b"1}\r\n\r\ndata:{}\n\n: ping\n\ndata: {\ndata: }\n\nda"), ["{\"a\":1}", "{}", "{\n}"]);
    }
}
