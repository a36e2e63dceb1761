//! `--log-bodies`: what clients send and get, in the log, piece by piece as it passes.
//!
//! * Only the API's own routes; the admin routes carry nothing but credentials.
//! * Words that look like a token or key are replaced by `***`. A word is never logged in two pieces, so none escapes
//!   by being cut.
//! * Conversations stand in such a log: it is for finding a fault, then for deleting.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::Span;

/// Has the bodies of a request and of its answer logged in the request's span.
pub(super) async fn record(request: Request, next: Next) -> Response {
    let request = request.map(|inner| Body::new(Recorded::new(inner, "request")));
    next.run(request).await.map(|inner| Body::new(Recorded::new(inner, "answer")))
}

/// A body that is logged as it is read.
struct Recorded {
    inner: Body,
    span: Span,
    direction: &'static str,
    /// Bytes after the last whole word.
    pending: Vec<u8>,
}

impl Recorded {
    fn new(inner: Body, direction: &'static str) -> Self {
        Self { inner, span: Span::current(), direction, pending: Vec::new() }
    }

    fn add(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
        let whole = self.pending.iter().rposition(|&byte| byte.is_ascii() && !is_word(byte)).map_or(0, |last| last + 1);
        let whole = if self.pending.len() - whole > LONGEST_WORD { self.pending.len() } else { whole };
        let pending = self.pending.split_off(whole);
        let text = std::mem::replace(&mut self.pending, pending);
        self.write(&text);
    }

    fn write(&self, text: &[u8]) {
        if !text.is_empty() {
            let text = redacted(&String::from_utf8_lossy(text));
            self.span.in_scope(|| tracing::info!(direction = self.direction, body = text, "body"));
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.write(&self.pending);
    }
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.add(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// `text` with every word that looks like a credential replaced.
fn redacted(text: &str) -> String {
    let is_inside = |letter: char| !letter.is_ascii() || u8::try_from(letter).is_ok_and(is_word);
    let mut safe = String::with_capacity(text.len());
    for piece in text.split_inclusive(|letter| !is_inside(letter)) {
        let word = piece.trim_end_matches(|letter| !is_inside(letter));
        if looks_secret(word) {
            safe.push_str("***");
            safe.push_str(&piece[word.len()..]);
        } else {
            safe.push_str(piece);
        }
    }
    safe
}

fn looks_secret(word: &str) -> bool {
    word.len() >= SHORTEST_SECRET && SECRET_BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
}

/// The letters of tokens and keys.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// JSON web tokens, platform keys, refresh tokens.
const SECRET_BEGINNINGS: [&str; 4] = ["eyJ", "sk-", "rt_", "rt."];
const SHORTEST_SECRET: usize = 20;
/// Longer than any token; a longer run of letters is data, such as an image, and is logged as it comes.
const LONGEST_WORD: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_is_not_shown() {
        let text = r#"{"a":"eyJhbGciOiJIUzI1NiJ9.e30.abc","b":"sk-proj-0123456789abcdef","c":"sky eyJ ökö rt_short"}"#;
        assert_eq!(redacted(text), r#"{"a":"***","b":"***","c":"sky eyJ ökö rt_short"}"#);
    }

    #[test]
    fn a_cut_word_is_put_together_first() {
        let mut body = Recorded::new(Body::empty(), "request");
        for piece in ["x eyJhbGciOiJI", "UzI1NiJ9.e30", ".abc"] {
            body.add(piece.as_bytes());
            assert!(body.pending.starts_with(b"eyJ"), "{piece}");
        }
        body.add(b" y");
        assert_eq!(body.pending, b"y");
        body.add(&[b'a'; LONGEST_WORD + 1]);
        assert!(body.pending.is_empty());
    }
}
