//! A request, read whole and decompressed.

use std::io::Read;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::BodyExt as _;
use serde_json::Value;

/// A request for the routes.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) head: Parts,
    pub(super) bytes: Bytes,
}

/// The reason that a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableBody {
    /// The client disconnected.
    #[error("the body ended early")]
    Interrupted,
    /// The body is malformed, or its encoding unknown.
    #[error("the body does not decode as {0}")]
    Encoding(String),
}

impl Call {
    /// Reads the whole body.
    pub(super) async fn read(request: http::Request<Body>) -> (Parts, Result<Bytes, UnreadableBody>) {
        let (head, body) = request.into_parts();
        let bytes = match body.collect().await {
            Ok(collected) => decode(&head, collected.to_bytes()),
            Err(_) => Err(UnreadableBody::Interrupted),
        };
        (head, bytes)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// The media type without parameters, lower case.
    pub(super) fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE.as_str());
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Returns a field of a form or of a JSON object.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        if self.media_type() == "application/json" {
            let body: Value = serde_json::from_slice(&self.bytes).ok()?;
            return body.get(name)?.as_str().map(str::to_owned);
        }
        parameter(&self.bytes, name)
    }

    /// Returns a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        parameter(self.query().as_bytes(), name)
    }

    /// Returns the client's base URL of this server.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.header("host"))
    }
}

fn parameter(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn decode(head: &Parts, bytes: Bytes) -> Result<Bytes, UnreadableBody> {
    let encoding = head.headers.get(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match encoding.as_deref() {
        None | Some("identity" | "") => Ok(bytes),
        Some("zstd") => inflate_zstd(&bytes).ok_or_else(|| UnreadableBody::Encoding("zstd".to_owned())),
        Some("gzip") => {
            inflate(flate2::read::GzDecoder::new(&bytes[..])).ok_or_else(|| UnreadableBody::Encoding("gzip".to_owned()))
        }
        Some(other) => Err(UnreadableBody::Encoding(other.to_owned())),
    }
}

fn inflate_zstd(bytes: &[u8]) -> Option<Bytes> {
    inflate(ruzstd::decoding::StreamingDecoder::new(bytes).ok()?)
}

fn inflate(mut decoder: impl Read) -> Option<Bytes> {
    let mut inflated = Vec::new();
    decoder.read_to_end(&mut inflated).ok()?;
    Some(inflated.into())
}
