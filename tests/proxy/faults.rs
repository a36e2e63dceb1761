//! Faults below and beside HTTP: names, handshakes, encodings, broken bytes; and requests nested without end.

use std::io::Write as _;
use std::time::Duration;

use codex_proxy::credentials::AuthDocument;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{HttpFault, Scenario, ScriptStep, ScriptedAnswer};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use http::header::CONTENT_ENCODING;
use serde_json::json;

use super::failures::{ask_everywhere, in_stream_code};
use super::harness::{Proxy, Setup, user};

async fn behind(upstream_url: String) -> Proxy {
    Proxy::with(Setup { upstream_url: Some(upstream_url), ..Setup::default() }).await
}

/// Asks in all four ways a backend that cannot be reached; every answer is the same error.
async fn assert_unreachable(proxy: &Proxy, words: &str) {
    for (path, mut body) in [("/v1/chat/completions", user("hi")), ("/v1/responses", json!({ "input": "hi" }))] {
        for stream in [false, true] {
            body["stream"] = stream.into();
            let answer = proxy.post(path, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path} {stream}: {}", answer.text);
            let error = answer.error();
            assert_eq!(error["code"], "upstream_unreachable");
            assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        }
    }
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_said_to() {
    // A label of more than 63 letters is no name, which every resolver knows without asking anybody.
    let proxy = behind(format!("http://{}.example/codex", "a".repeat(64))).await;
    assert_unreachable(&proxy, "its name cannot be resolved").await;
}

#[tokio::test]
async fn a_failed_handshake_is_said_to_and_not_repeated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/codex", listener.local_addr().unwrap());
    let proxy = behind(url).await;
    let answer_in_plain = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    };
    tokio::select! {
        () = answer_in_plain => {}
        () = assert_unreachable(&proxy, "the TLS handshake failed") => {}
    }
    let metrics = proxy.get("/metrics").await.text;
    assert!(metrics.lines().any(|line| line == "codex_proxy_upstream_retries_total 0"), "{metrics}");
}

#[tokio::test]
async fn refusals_of_the_account_keep_their_meaning() {
    let proxy = Proxy::start().await;
    for (fault, status, code, attempts) in [
        (HttpFault::Forbidden, 403, "unsupported_country_region_territory", 1),
        (HttpFault::WorkspaceDeactivated, 429, "deactivated_workspace", 1),
        (HttpFault::AccountDeactivated, 401, "upstream_auth", 3),
        (HttpFault::TokenInvalidated, 401, "upstream_auth", 3),
        (HttpFault::TokenExpired, 401, "upstream_auth", 3),
    ] {
        for (path, answer) in ask_everywhere(&proxy, Scenario::Http(fault), attempts).await {
            assert_eq!(answer.status.as_u16(), status, "{fault:?} {path}: {}", answer.text);
            assert_eq!(answer.error()["code"], code, "{fault:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_packed_answer_is_unpacked() {
    let proxy = Proxy::start().await;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let delta =
        r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"packed"}"#;
    let end = r#"{"type":"response.completed","response":{"id":"resp_1","output":[]}}"#;
    write!(packed, "data: {delta}\n\ndata: {end}\n\n").unwrap();
    let packed = packed.finish().unwrap();
    let answer = |bytes: &[u8]| ScriptedAnswer::stream().header(CONTENT_ENCODING, "gzip").bytes(bytes.to_vec());
    for answer in proxy.both(answer(&packed), &user("hi")).await {
        assert_eq!(answer.message().content, "packed");
    }
    for (path, answer) in ask_everywhere(&proxy, answer(&packed[..30]), 3).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}: {}", answer.text);
        assert_eq!(answer.error()["code"], "upstream_stream_interrupted", "{path}");
    }
}

#[tokio::test]
async fn an_encoding_nobody_knows_is_explained() {
    let proxy = Proxy::start().await;
    let answer = ScriptedAnswer::stream().header(CONTENT_ENCODING, "br").bytes(&b"\x0b\x02\x80packed\x03"[..]);
    for (path, answer) in ask_everywhere(&proxy, answer, 1).await {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}: {}", answer.text);
        let error = answer.error();
        assert_eq!(error["code"], "upstream_invalid_response", "{path}");
        assert!(error["message"].as_str().unwrap().contains("encoding br"), "{error}");
    }
}

/// A stream of one message whose first delta is `delta`, byte for byte; with its last event only if `ends`.
fn stream_with(delta: &[u8], ends: bool) -> ScriptedAnswer {
    let head = br#"data: {"type":"response.created","response":{"id":"resp_1"}}"#;
    let place = br#""item_id":"m","output_index":0,"content_index":0,"delta":""#;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(b"\n\ndata: {\"type\":\"response.output_text.delta\",");
    bytes.extend_from_slice(place);
    bytes.extend_from_slice(delta);
    bytes.extend_from_slice(b"\"}\n\ndata: {\"type\":\"response.output_text.delta\",");
    bytes.extend_from_slice(place);
    bytes.extend_from_slice(b"fine\"}\n\n");
    if ends {
        bytes.extend_from_slice(br#"data: {"type":"response.completed","response":{"id":"resp_1","output":[]}}"#);
        bytes.extend_from_slice(b"\n\n");
    }
    // Two steps: what is one piece would go out with a length.
    ScriptedAnswer::stream().bytes(bytes).step(ScriptStep::Wait(Duration::ZERO))
}

#[tokio::test]
async fn bytes_that_are_no_text_do_not_reach_a_client_as_text() {
    let proxy = Proxy::start().await;
    // Half of a two-byte character, a bare NUL (which JSON forbids), and a frame that is no JSON at all.
    for delta in [&b"\xc3"[..], b"\0", b"\"", b"\xff\xfe{"] {
        for answer in proxy.both(stream_with(delta, true), &user("hi")).await {
            assert_eq!(answer.message().content, "fine", "{delta:?}");
        }
    }
    // An escaped NUL is text like any other.
    for answer in proxy.both(stream_with(br"a\u0000b ", true), &user("hi")).await {
        assert_eq!(answer.message().content, "a\0b fine");
    }
}

#[tokio::test]
async fn broken_bytes_and_no_last_event_are_an_error() {
    let proxy = Proxy::start().await;
    for (index, (path, answer)) in ask_everywhere(&proxy, stream_with(b"\xc3", false), 1).await.iter().enumerate() {
        if index % 2 == 0 {
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
            assert_eq!(answer.error()["code"], "upstream_stream_interrupted");
        } else {
            assert_eq!(in_stream_code(answer), "upstream_stream_interrupted", "{path}");
        }
    }
}

#[tokio::test]
async fn a_request_nested_beyond_reason_is_refused_and_the_next_one_served() {
    let proxy = Proxy::start().await;
    let depth = 100_000;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for (path, body) in [
        ("/v1/chat/completions", format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],"tools":{nested}}}"#)),
        ("/v1/chat/completions", format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],"metadata":{objects}}}"#)),
        ("/v1/responses", format!(r#"{{"input":"hi","text":{objects}}}"#)),
        ("/v1/responses/compact", format!(r#"{{"input":{nested}}}"#)),
        ("/v1/responses", "[".repeat(depth)),
    ] {
        let request = proxy.http.post(format!("{}{path}", proxy.base)).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(proxy.calls(), 0, "none of them left the proxy");
    proxy.chat(&user("hi")).await.message();
}

#[tokio::test]
async fn an_answer_without_any_words_of_the_backends_is_explained() {
    let proxy = Proxy::start().await;
    let long = "x".repeat(501);
    let cases: [(u16, Vec<u8>, u16, &str); 9] = [
        (400, b"  upstream connect error \n".to_vec(), 400, "the backend answered 400: upstream connect error"),
        (400, long.into_bytes(), 400, "the backend answered 400 with a body that is neither text nor data"),
        (400, vec![0, 159, 146, 150], 400, "the backend answered 400 with a body that is neither text nor data"),
        (400, Vec::new(), 400, "the backend answered 400 with an empty body"),
        (400, b"<p>no</p>".to_vec(), 400, "the backend answered 400 with a page instead of data"),
        (402, Vec::new(), 429, "the backend answered 402 with an empty body"),
        (403, b"<html>Sorry".to_vec(), 502, "something in front of the backend"),
        (413, Vec::new(), 413, "the backend answered 413 with an empty body"),
        (429, Vec::new(), 429, "too many requests"),
    ];
    for (given, body, status, words) in cases {
        let play = ScriptedAnswer::status(StatusCode::from_u16(given).unwrap()).bytes(body);
        for (path, answer) in ask_everywhere(&proxy, play, 1).await {
            assert_eq!(answer.status.as_u16(), status, "{given} {path}: {}", answer.text);
            assert!(answer.error()["message"].as_str().unwrap().contains(words), "{given} {path}: {}", answer.text);
        }
    }
    let refused = ScriptedAnswer::status(StatusCode::UNAUTHORIZED);
    for (path, answer) in ask_everywhere(&proxy, refused, 3).await {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.error()["code"], "upstream_auth");
        assert!(answer.text.contains("codex-proxy login"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_failure_without_words_says_its_code() {
    let proxy = Proxy::start().await;
    for (error, words) in [
        (json!({ "code": "strange_thing" }), "the code strange_thing and no message"),
        (json!({ "type": "strange" }), "without a reason"),
        (json!({ "code": "rate_limit_exceeded", "message": "Please try again in 20 lightyears." }), "20 lightyears"),
    ] {
        let body = json!({ "error": error }).to_string();
        let play = ScriptedAnswer::status(StatusCode::TOO_MANY_REQUESTS).bytes(body);
        for (path, answer) in ask_everywhere(&proxy, play, 1).await {
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
            assert!(answer.error()["message"].as_str().unwrap().contains(words), "{path}: {}", answer.text);
            assert_eq!(answer.header("retry-after"), "5");
        }
    }
}

#[tokio::test]
async fn a_login_that_no_header_can_hold_is_said_to_be_the_matter() {
    for (token, account, name) in [("to\nken", "account", "access token"), ("token", "acc\u{0}", "account id")] {
        let login = AuthDocument::from_access_token(token, Some(account));
        let proxy = Proxy::with(Setup { document: Some(login), ..Setup::default() }).await;
        let answer = proxy.chat(&user("hi")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.error()["code"], "no_credentials");
        assert!(answer.error()["message"].as_str().unwrap().contains(name), "{}", answer.text);
        assert!(!answer.text.contains("acc\\u0000") && !answer.text.contains("ken\""), "{}", answer.text);
        assert_eq!(proxy.calls(), 0);
    }
}

#[tokio::test]
async fn a_late_refusal_keeps_its_parameter_and_invents_no_code() {
    let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let error =
        json!({ "error": { "type": "invalid_request_error", "code": null, "param": "input[0]", "message": "no" } });
    let late = ScriptedAnswer::json(StatusCode::BAD_REQUEST, &error).delayed(Duration::from_millis(400));
    proxy.next(late.clone());
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    assert_eq!(answer.status, StatusCode::OK);
    let mut last = answer.events().pop().unwrap();
    last.as_object_mut().unwrap().remove("sequence_number");
    let nested = json!({ "type": "invalid_request_error", "code": null, "message": "no", "param": "input[0]" });
    assert_eq!(last, json!({ "type": "error", "code": null, "message": "no", "param": "input[0]", "error": nested }));
    let mut body = user("hi");
    body["stream"] = true.into();
    proxy.next(late);
    let error = proxy.chat(&body).await.events().pop().unwrap()["error"].clone();
    assert_eq!((&error["code"], &error["param"]), (&serde_json::Value::Null, &json!("input[0]")));
}
