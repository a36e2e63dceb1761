//! Any frame of a WebSocket is an error or becomes a body the backend can read, and whatever an answer's headers hold, what is
//! told of them is JSON.

#![no_main]

use codex_proxy::backend::request::context::Context;
use codex_proxy::dialect::responses::forward::translate;
use codex_proxy::dialect::responses::frame::is_cancel;
use codex_proxy::dialect::responses::notice;
use codex_proxy::dialect::responses::request::ResponsesRequest;
use codex_proxy::models::Models;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    frame(bytes);
    headers(bytes);
});

fn frame(bytes: &[u8]) {
    let Ok(request) = ResponsesRequest::parse_frame(bytes) else { return };
    assert!(!is_cancel(bytes), "one frame asks for one thing");
    assert!(request.stream && request.is_frame);
    let mut headers =
        HeaderMap::from_iter([(HeaderName::from_static("x-codex-turn-state"), HeaderValue::from_static("old"))]);
    request.put_turn_headers(&mut headers);
    assert!(headers.len() <= 5 && headers.get("x-codex-turn-state").is_none_or(|state| state != "old" || told(bytes)));
    let model = Models::default().resolve(request.model.as_deref(), request.effort.as_deref());
    if let Ok(translated) = translate(&request, &Context::new(&model)) {
        serde_json::from_slice::<&RawValue>(&translated.body).expect("the body is JSON");
        if let Ok(body) = serde_json::from_slice::<Value>(&translated.body) {
            assert!(body.get("type").is_none() && body.get("generate").is_none(), "the frame's own keys stay here");
        }
    }
}

/// Whether the frame itself may tell the value.
fn told(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains("client_metadata")
}

/// Reads each line as a header, as far as it is one.
fn headers(bytes: &[u8]) {
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
    });
    let headers: HeaderMap = lines.take(100).collect();
    let mut told = notice::limits(&headers);
    told.extend(notice::metadata(&headers));
    told.push(notice::error(StatusCode::BAD_REQUEST, "{}", &headers));
    for text in told {
        let value: Value = serde_json::from_str(&text).expect("an object");
        assert!(value["type"].is_string());
    }
}
