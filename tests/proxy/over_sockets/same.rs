//! The same streams over HTTP and over a WebSocket are the same answers, byte for byte.

use std::path::{Path, PathBuf};

use codex_proxy::simulator::Scenario;
use serde_json::{Value, json};

use super::start;
use crate::harness::{Proxy, tool};

/// Recordings, and streams of the simulator's that are cut, broken or odd.
fn streams() -> Vec<(String, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = here.join("../shared/streams");
    if !recorded.is_dir() {
        println!("no recordings in {}: only the project's own streams are compared", recorded.display());
    }
    let all = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "sse")).collect();
        paths.sort();
        paths
    };
    // Of the recordings some suffice: they are many, and much alike.
    let recorded = all(recorded).into_iter().step_by(5);
    let paths: Vec<_> = all(here.join("tests/fixtures/streams")).into_iter().chain(recorded).collect();
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut streams: Vec<_> = paths.iter().map(|path| (named(path), std::fs::read(path).unwrap())).collect();
    // Over HTTP a body may end without a last event; a connection that goes on has no such end.
    let is_ended = |stream: &[u8]| ENDS.iter().any(|end| memchr::memmem::find(stream, end.as_bytes()).is_some());
    streams.retain(|(_, stream)| is_ended(stream));
    let text = String::from_utf8(streams.iter().find(|(name, _)| name == "text.sse").unwrap().1.clone()).unwrap();
    let first = text.find("response.output_text.delta").unwrap();
    let middle = text[first..].find("\n\n").unwrap() + first + 2;
    for (name, event) in [
        (
            "failed",
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"m"}}}"#,
        ),
        ("error", r#"{"type":"error","error":{"code":"server_error","message":"m","type":"server_error"}}"#),
        ("unknown", r#"{"type":"response.unheard_of","a":1}"#),
    ] {
        let mut stream = text[..middle].to_owned();
        stream.push_str(&format!(
            "event: {}\ndata: {event}\n\n",
            serde_json::from_str::<Value>(event).unwrap()["type"].as_str().unwrap()
        ));
        if name == "unknown" {
            stream.push_str(&text[middle..]);
        }
        streams.push((name.to_owned(), stream.into()));
    }
    streams
}

const ENDS: [&str; 4] =
    ["event: response.completed", "event: response.incomplete", "event: response.failed", "event: error"];

/// What differs from one answer to the next whatever the way: the time, and ids of this program.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let (prefix, json) = line.split_once("data: ").map_or(("", line), |(_, json)| ("data: ", json));
        match serde_json::from_str::<Value>(json) {
            Ok(mut value) if value.get("created").or(value.get("request_id")).is_some() => {
                value["created"] = 0.into();
                value["request_id"] = 0.into();
                out.push_str(&format!("{prefix}{value}\n"));
            }
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

#[tokio::test]
async fn every_stream_is_the_same_answer_either_way() {
    let (over, plain) = (start().await, Proxy::start().await);
    let hello = json!([{ "role": "user", "content": "hi" }]);
    let bodies = [
        (
            "/v1/chat/completions",
            json!({ "messages": hello, "tools": [tool("f")], "stream_options": { "include_usage": true } }),
        ),
        ("/v1/responses", json!({ "input": "hi" })),
        ("/v1/messages", json!({ "model": "claude-opus-5-5", "max_tokens": 100, "messages": hello })),
    ];
    let mut compared = 0;
    for (name, stream) in streams() {
        for (path, body) in &bodies {
            for streamed in [false, true] {
                let mut body = body.clone();
                body["stream"] = streamed.into();
                if !streamed {
                    body.as_object_mut().unwrap().remove("stream_options");
                }
                let mut answers = Vec::new();
                for proxy in [&over, &plain] {
                    proxy.next(Scenario::Raw(stream.clone().into()));
                    answers.push(proxy.post(path, &body).await);
                }
                let [one, other] = &answers[..] else { unreachable!() };
                assert_eq!(one.status, other.status, "{name} {path}: {}", one.text);
                assert_eq!(steady(&one.text), steady(&other.text), "{name} {path}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 60, "{compared}");
    let [_, frames, posts] = over.ways();
    assert_eq!((frames, posts), (compared, 0), "all of them over sockets");
}
