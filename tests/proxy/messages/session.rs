//! A long session, as Claude Code keeps one: its prompt only grows, under one cache key.

use codex_proxy::credentials::document::AuthDocument;
use codex_proxy::simulator::{Scenario, SimulatedLogin};
use serde_json::{Value, json};

use super::*;
use crate::harness::Setup;

/// The client's side of a session.
struct Session {
    messages: Vec<Value>,
    turn: usize,
}

impl Session {
    /// The next request. From turn to turn the billing line changes, the end of the cache moves, and a message of one text
    /// is a string or a block, as Claude Code writes them.
    fn request(&mut self) -> Value {
        self.turn += 1;
        let mut messages = self.messages.clone();
        for (index, message) in messages.iter_mut().enumerate() {
            if let Some(text) = message["content"].as_str().filter(|_| (index + self.turn).is_multiple_of(2)) {
                message["content"] = json!([{ "type": "text", "text": text }]);
            }
        }
        if let Some(blocks) = messages.last_mut().and_then(|message| message["content"].as_array_mut()) {
            blocks.last_mut().unwrap()["cache_control"] = json!({ "type": "ephemeral" });
        }
        json!({ "model": "gpt-6.1-sol", "max_tokens": 32000, "stream": self.turn.is_multiple_of(2),
            "system": [
                { "type": "text", "text": format!("x-anthropic-billing-header: cc_version=2.1.{};", self.turn) },
                { "type": "text", "text": "You are an agent.", "cache_control": { "type": "ephemeral" } },
            ],
            "thinking": { "type": "adaptive" }, "tools": [tool("f"), tool("g")], "messages": messages })
    }

    /// Takes the answer to the request, and says what a user or the tools say next.
    fn go_on(&mut self, message: &Value) {
        self.messages.push(json!({ "role": "assistant", "content": message["content"] }));
        let calls = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
        // Results come in the order in which the tools end.
        let results: Vec<Value> = calls
            .rev()
            .map(|call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": call["id"] }))
            .collect();
        if results.is_empty() {
            let words = ["call f and g", "go on", "call f"][self.turn % 3];
            self.messages.push(json!({ "role": "user", "content": words }));
            self.messages.push(json!({ "role": "system", "content": format!("Reminder {}", self.turn) }));
        } else {
            self.messages.push(json!({ "role": "user", "content": results }));
        }
    }
}

async fn asked_in_session(proxy: &Proxy, body: &Value) -> Value {
    let request = proxy.http.post(format!("{}/v1/messages?beta=true", proxy.base));
    let request = request.header("content-type", "application/json").header("x-claude-code-session-id", "session-1");
    let answer = Answer::read(request.body(body.to_string()).send().await.unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-codex-proxy-reasoning-dropped")),
        (200, ""),
        "{}",
        answer.text
    );
    if body["stream"] == true { folded(&answer) } else { answer.json() }
}

#[tokio::test]
async fn the_prompt_of_a_long_session_only_grows() {
    let proxy = Proxy::start().await;
    let login = proxy.simulator.issue_login(SimulatedLogin::default()).to_string();
    let setup = Setup {
        upstream_url: Some(proxy.upstream_url.clone()),
        document: Some(AuthDocument::parse(&login).unwrap()),
        ..Setup::default()
    };
    // The same program after a restart: it remembers nothing of the session.
    let restarted = Proxy::with(setup).await;
    let first = json!({ "role": "user", "content": "call f and g" });
    let mut session = Session { messages: vec![first.clone()], turn: 0 };
    let mut before: Option<Value> = None;
    let mut kinds = std::collections::HashSet::new();
    for turn in 0..24 {
        if turn == 12 {
            // The client sums the conversation up, and goes on with the summary.
            let summary = json!({ "role": "user", "content": "This session continues an earlier one: so far." });
            session.messages = vec![summary, first.clone()];
            before = None;
        }
        if turn % 5 == 4 {
            proxy.next(Scenario::SeveralReasoningItems);
        }
        let through = if turn < 18 { &proxy } else { &restarted };
        let message = asked_in_session(through, &session.request()).await;
        let sent = proxy.last_sent();
        assert_eq!(sent["prompt_cache_key"], "session-1");
        if let Some(before) = &before {
            for key in ["instructions", "tools", "model"] {
                assert_eq!(sent[key], before[key], "{key} in turn {turn}");
            }
            let (earlier, now) = (before["input"].as_array().unwrap(), sent["input"].as_array().unwrap());
            assert!(now.len() > earlier.len(), "turn {turn}");
            assert_eq!(now[..earlier.len()], earlier[..], "turn {turn}");
        }
        kinds.extend(sent["input"].as_array().unwrap().iter().map(|item| item["type"].to_string()));
        before = Some(sent);
        session.go_on(&message);
    }
    assert_eq!(kinds.len(), 4, "messages, reasoning, calls and outputs: {kinds:?}");
}
