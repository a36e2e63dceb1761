//! An answer, read to its end.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// An answer and how it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Whether the body ended as it should.
    pub(crate) whole: bool,
    /// The sizes of the pieces it came in.
    pub(crate) pieces: Vec<usize>,
}

impl Answer {
    /// Reads an answer that must be whole.
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let answer = Self::read_any(response).await;
        assert!(answer.whole, "cut off: {answer:?}");
        answer
    }

    /// Reads an answer that may be cut off.
    pub(crate) async fn read_any(mut response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
        let whole = loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    pieces.push(piece.len());
                    bytes.extend_from_slice(&piece);
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Self { status, headers, text: String::from_utf8_lossy(&bytes).into_owned(), whole, pieces }
    }

    /// The answer in `bytes`, which are all that came on a connection.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value.trim()).unwrap())
        });
        let status = status.expect("a status");
        Self { status, headers: headers.collect(), text: body.to_owned(), whole: true, pieces: vec![body.len()] }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// `error` of an error body, which must hold exactly the four fields; that of a spent plan may say more.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        let body = self.json();
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{self:?}");
        let error = body["error"].clone();
        let mut names: Vec<_> = error.as_object().unwrap_or_else(|| panic!("no error in {self:?}")).keys().collect();
        if error["type"] == "usage_limit_reached" {
            names.retain(|name| !["plan_type", "resets_at", "resets_in_seconds"].contains(&name.as_str()));
        }
        assert_eq!(names, ["message", "type", "param", "code"], "{self:?}");
        error
    }

    /// `error.code` of any body; empty where there is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `code` of an error body.
    pub(crate) fn error_code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The values of the `data` lines.
    pub(crate) fn data(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    /// The events of a stream that has one line for each, as every client reads it.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.data().into_iter().filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The events of a stream that may have several lines for each, or broken ones, which are left out.
    pub(crate) fn frames(&self) -> Vec<Value> {
        let text = self.text.replace("\r\n", "\n");
        let frames = text.split("\n\n").map(|frame| {
            let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
            lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
        });
        frames.filter_map(|data| serde_json::from_str(&data).ok()).collect()
    }

    /// The types of those events.
    pub(crate) fn types(&self) -> Vec<String> {
        self.frames().iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The items that those events finish.
    pub(crate) fn items(&self) -> Vec<Value> {
        let events = self.frames().into_iter();
        events.filter(|event| event["type"] == "response.output_item.done").map(|event| event["item"].clone()).collect()
    }
}
