//! A client of the proxy.

use serde_json::{Value, json};

use crate::PATIENCE;

/// Asks the proxy at `base`.
pub(crate) struct Client {
    pub(crate) base: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(base: String) -> Self {
        // An error only says that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { base, http: reqwest::Client::new() }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        tokio::time::timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer")
    }

    pub(crate) async fn begin(&self, stream: bool) -> reqwest::Response {
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": stream });
        self.post("/v1/chat/completions", &body).await
    }

    /// Status and body.
    pub(crate) async fn ask(&self, stream: bool) -> (u16, String) {
        whole(self.begin(stream).await).await
    }

    /// The value of a line of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let text = self.http.get(format!("{}/metrics", self.base)).send().await.expect("an answer");
        let text = text.text().await.expect("metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }
}

/// Status and body of an answer.
pub(crate) async fn whole(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    (status, tokio::time::timeout(PATIENCE, response.text()).await.expect("in time").expect("an orderly end"))
}

pub(crate) fn assert_whole(answer: &(u16, String)) {
    let (status, text) = answer;
    assert!(*status == 200 && text.contains(r#""finish_reason":"stop""#) && text.contains("HTTP/2"), "{answer:?}");
}
