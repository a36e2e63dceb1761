//! What a real Codex CLI sends, where recordings of it are at hand.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::socket::{Socket, id};
use crate::harness::Proxy;

/// Recordings beside this project; they hold a person's machine, so none of them is kept in it.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures/codex-ws.jsonl");

#[tokio::test]
async fn recorded_upgrades_and_bodies_are_accepted() {
    let Ok(text) = std::fs::read_to_string(Path::new(RECORDED)) else {
        println!("there are no recordings here");
        return;
    };
    let proxy = Proxy::start().await;
    let mut socket: Option<Socket> = None;
    for line in text.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        if recorded["method"] == "GET" {
            let headers = recorded["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap().split_once(": ").unwrap());
            let is_its_own = |name: &str| name.starts_with("sec-websocket-k") || ["host", "connection"].contains(&name);
            let headers: Vec<(&'static str, &'static str)> = headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .filter(|(name, _)| !is_its_own(name))
                .map(|(name, value)| (&*name.leak(), &*value.leak()))
                .collect();
            socket = Some(Socket::open(proxy.address(), &headers).await);
            continue;
        }
        let Some(socket) = &mut socket else { panic!("a body before any upgrade") };
        let mut body = recorded["body"].clone();
        body["type"] = json!("response.create");
        socket.send(body.to_string()).await;
        id(&socket.rest().await);
        assert_eq!(proxy.last_sent()["input"].as_array().unwrap().len(), body["input"].as_array().unwrap().len());
    }
}
