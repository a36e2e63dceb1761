//! A request that came as one frame of a WebSocket.
//!
//! * The frame is the body of a POST with `"type":"response.create"`. The answer is always a stream, so `stream` says nothing.
//! * `"generate":false` asks for no answer: a client announces a conversation in this way, to send only the rest of it with
//!   its first question. The backend has that on its own sockets alone, so [`announced`] is this proxy's answer.
//! * The headers of a socket are those of its beginning. A Codex client therefore sends the headers of each turn in
//!   `client_metadata` (Codex CLI 0.147, `core/src/client.rs`).
//! * Several answers at once on one socket, each named by a `stream_id`, are refused: turns follow one another.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::backend::frame::{OF_ONE_TURN, TURN_HEADERS};
use crate::dialect::responses::request::{Input, ResponsesRequest};
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, ObjectWriter, Path, Text};

impl<'a> ResponsesRequest<'a> {
    /// Reads the request in a frame. The error names the field at fault.
    pub fn parse_frame(bytes: &'a [u8]) -> Result<Self, Fault> {
        let body = json::body(bytes)?;
        check_type(&body)?;
        if body.find("stream_id").is_some() {
            let message = "'stream_id' is not supported: the turns of a WebSocket follow one another; open one for each conversation";
            return Err(Fault::unsupported("stream_id", message));
        }
        let generates =
            body.find("generate").map(|flag| json::boolean(flag, &Path::Root.key("generate"))).transpose()?;
        let announces = generates == Some(false);
        let input =
            if announces && body.find("input").is_none() { Input::Items(Vec::new()) } else { Input::parse(&body)? };
        Ok(Self { stream: true, is_frame: true, announces, ..Self::read(body, input)? })
    }

    /// Replaces in `headers`, those of a Codex client's socket, the headers of the turn.
    pub fn put_turn_headers(&self, headers: &mut HeaderMap) {
        for name in &TURN_HEADERS[..OF_ONE_TURN] {
            headers.remove(*name);
        }
        let metadata = self.body.find("client_metadata");
        let Some(metadata) = metadata.and_then(|raw| serde_json::from_str::<Object<'_>>(raw.get()).ok()) else {
            return;
        };
        for name in TURN_HEADERS {
            let value = metadata.find(name).and_then(Text::of).map(Text::decode);
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Writes the answer to an announced conversation as events: an answer without output, by the name `id`.
pub fn announced(id: &str, model: &str, created: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, (kind, status)) in
        (0..).zip([("response.created", "in_progress"), ("response.completed", "completed")])
    {
        out.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
        let mut event = ObjectWriter::begin(&mut out);
        event.string("type", kind).unsigned("sequence_number", number);
        let mut response = ObjectWriter::begin(event.key("response"));
        response.string("id", id).string("object", "response").unsigned("created_at", created);
        response.string("status", status).json("error", "null").json("incomplete_details", "null");
        response.string("model", model).json("output", "[]").json("usage", "null");
        response.end();
        event.end();
        out.extend_from_slice(b"\n\n");
    }
    out
}

/// Returns whether a frame asks to end the answer that is under way.
pub fn is_cancel(bytes: &[u8]) -> bool {
    let kind = serde_json::from_slice::<Object<'_>>(bytes).ok().and_then(|frame| frame.find("type"));
    kind.and_then(Text::of).is_some_and(|kind| kind.is("response.cancel"))
}

fn check_type(body: &Object<'_>) -> Result<(), Fault> {
    let kind = json::string(json::required(body, "type", &Path::Root)?, &Path::Root.key("type"))?;
    match kind.as_ref() {
        "response.create" => Ok(()),
        "response.cancel" => Err(Fault::invalid("type", "there is no answer under way to cancel")),
        _ => Err(Fault::invalid("type", "'type' of a frame must be \"response.create\" or \"response.cancel\"")),
    }
}

/// The keys of a frame that a POST has not.
pub(super) const FRAME_KEYS: [&str; 3] = ["type", "generate", "stream_id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_the_fields_that_are_wrong_in_them() {
        let table: &[(&str, Option<&str>)] = &[
            (r#"{"type":"response.create","input":[]}"#, None),
            (r#"{"type":"response.create","input":[],"stream":false,"generate":true}"#, None),
            (r#"{"type":"response.create","generate":false,"tools":[]}"#, None),
            (r#"{"type":"response.create"}"#, Some("input")),
            (r#"{"input":[]}"#, Some("type")),
            (r#"{"type":7,"input":[]}"#, Some("type")),
            (r#"{"type":"response.cancel"}"#, Some("type")),
            (r#"{"type":"session.update"}"#, Some("type")),
            (r#"{"type":"response.create","input":[],"generate":"no"}"#, Some("generate")),
            (r#"{"type":"response.create","input":[],"stream_id":"a"}"#, Some("stream_id")),
            (r#"{"type":"response.create","input":[],"background":true}"#, Some("background")),
            (r#"{"type":"response.create","input":7}"#, Some("input")),
        ];
        for (frame, wrong) in table {
            let param = ResponsesRequest::parse_frame(frame.as_bytes()).err().map(|error| error.param.unwrap());
            assert_eq!(param.as_deref(), *wrong, "{frame}");
        }
        for broken in ["", "[]", "{", "null", "\u{0}"] {
            assert!(ResponsesRequest::parse_frame(broken.as_bytes()).is_err(), "{broken}");
        }
        let frame = ResponsesRequest::parse_frame(table[2].0.as_bytes()).unwrap();
        assert!(frame.announces && frame.stream);
        let frame = ResponsesRequest::parse_frame(table[1].0.as_bytes()).unwrap();
        assert!(!frame.announces && frame.stream);
    }

    #[test]
    fn a_turn_has_its_own_headers() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("session-id", "s"), ("x-codex-turn-state", "old"), ("x-codex-window-id", "w:0")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("x-codex-turn-metadata", HeaderValue::from_static("old"));
        let metadata =
            r#"{"x-codex-turn-metadata":"{\"turn\":1}","x-codex-proxy-a":"b","x-codex-window-id":"w:\u00311"}"#;
        let frame = format!(r#"{{"type":"response.create","input":[],"client_metadata":{metadata}}}"#);
        ResponsesRequest::parse_frame(frame.as_bytes()).unwrap().put_turn_headers(&mut headers);
        let expected = [("session-id", "s"), ("x-codex-window-id", "w:11"), ("x-codex-turn-metadata", r#"{"turn":1}"#)];
        assert_eq!(headers.len(), expected.len());
        assert!(expected.iter().all(|(name, value)| headers[*name] == *value), "{headers:?}");
    }

    #[test]
    fn a_cancel_is_told_from_all_else() {
        assert!(is_cancel(br#"{ "response_id":"r", "type":"response.cancel"}"#));
        for other in [r#"{"type":"response.create"}"#, "{}", "[]", "response.cancel", ""] {
            assert!(!is_cancel(other.as_bytes()), "{other}");
        }
    }
}
