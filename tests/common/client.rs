//! A client of a running proxy or simulator.

use serde_json::{Value, json};

use super::PATIENCE;
use super::answer::Answer;

/// A client of the server at `base`, with connections of its own.
pub(crate) struct Client {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(base: String) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { base, http: http.expect("a client") }
    }

    /// Posts `body` and waits for the head of the answer.
    pub(crate) async fn begin(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        tokio::time::timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer")
    }

    /// Posts `body` and reads the answer, which must be whole.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let answer = Answer::read(self.begin(path, body).await);
        tokio::time::timeout(PATIENCE, answer).await.expect("in time")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.expect("an answer");
        tokio::time::timeout(PATIENCE, Answer::read(response)).await.expect("in time")
    }

    /// Begins a short chat.
    pub(crate) async fn begin_chat(&self, stream: bool) -> reqwest::Response {
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": stream });
        self.begin("/v1/chat/completions", &body).await
    }

    /// A short chat.
    pub(crate) async fn ask(&self, stream: bool) -> Answer {
        let answer = Answer::read(self.begin_chat(stream).await);
        tokio::time::timeout(PATIENCE, answer).await.expect("in time")
    }

    /// The value of a line of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let text = self.get("/metrics").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }
}
