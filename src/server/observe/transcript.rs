//! `--log-bodies`: logs request and answer bodies, piece by piece as they pass.
//!
//! * Only the API's own routes are logged; the admin routes carry nothing but credentials.
//! * Words that look like a token or key are replaced by `***`, and so is the key of the request itself, whatever it looks
//!   like. Neither is ever split between two log lines, so none escapes by being cut.
//! * Such a log holds conversations: it is for finding a fault, and then for deletion.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use memchr::memmem;
use tracing::Span;

use crate::server::guard::holder::Holder;
use crate::server::guard::key;

/// Logs the bodies of a request and of its answer in the request's span.
pub(in crate::server) async fn record(request: Request, next: Next) -> Response {
    let keys = KeyForms::of(&request);
    let request = request.map(|inner| Body::new(Recorded::new(inner, "request", keys.clone())));
    next.run(request).await.map(|inner| Body::new(Recorded::new(inner, "answer", keys)))
}

/// The forms in which a body may hold the key of its request: as it is, and as JSON writes it in a string.
#[derive(Clone, Default)]
struct KeyForms(Arc<[Box<[u8]>]>);

impl KeyForms {
    fn of(request: &Request) -> Self {
        let digest = request.extensions().get::<Holder>().and_then(Holder::digest);
        let texts = digest.into_iter().flat_map(|digest| key::texts_of(request.headers(), digest));
        Self::new(texts)
    }

    fn new<'k>(texts: impl Iterator<Item = &'k [u8]>) -> Self {
        let forms = texts.flat_map(|text| {
            let written = serde_json::to_string(&String::from_utf8_lossy(text)).unwrap_or_default();
            let inner = written.trim_matches('"').as_bytes();
            let escaped = (inner != text).then(|| Box::from(inner));
            [Some(Box::<[u8]>::from(text)), escaped].into_iter().flatten()
        });
        // The escaped form holds more, and may hold the plain one.
        let mut forms: Vec<Box<[u8]>> = forms.filter(|form| !form.is_empty()).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(forms.into())
    }

    /// Returns how many of the last bytes of `text` may be the beginning of a form.
    fn begun_in(&self, text: &[u8]) -> usize {
        let begins = |form: &[u8], most| form.get(..most).is_some_and(|beginning| text.ends_with(beginning));
        let begun = |form: &[u8]| (1..form.len()).rev().find(|&most| begins(form, most));
        self.0.iter().filter_map(|form| begun(form)).max().unwrap_or_default()
    }

    /// Replaces every form in `text`.
    fn hide(&self, text: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(text, |text, form| {
            let finder = memmem::Finder::new(form);
            let mut hidden = Vec::new();
            let mut copied = 0;
            for found in finder.find_iter(&text) {
                hidden.extend_from_slice(text.get(copied..found).unwrap_or_default());
                hidden.extend_from_slice(b"***");
                copied = found + form.len();
            }
            if copied == 0 {
                return text;
            }
            hidden.extend_from_slice(text.get(copied..).unwrap_or_default());
            hidden
        })
    }
}

/// A body that is logged as it is read.
struct Recorded {
    inner: Body,
    span: Span,
    direction: &'static str,
    keys: KeyForms,
    /// Bytes after the last whole word.
    pending: Vec<u8>,
}

impl Recorded {
    fn new(inner: Body, direction: &'static str, keys: KeyForms) -> Self {
        Self { inner, span: Span::current(), direction, keys, pending: Vec::new() }
    }

    fn add(&mut self, data: &[u8]) {
        let text = self.take_whole(data);
        self.write(&text);
    }

    /// Adds `data` to what is pending, and takes what can be logged without cutting a word or a key.
    fn take_whole(&mut self, data: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(data);
        self.pending = self.keys.hide(std::mem::take(&mut self.pending));
        let whole = self.pending.iter().rposition(|&byte| byte.is_ascii() && !is_word(byte)).map_or(0, |last| last + 1);
        let whole = if self.pending.len() - whole > LONGEST_WORD { self.pending.len() } else { whole };
        let whole = whole - self.keys.begun_in(self.pending.get(..whole).unwrap_or_default());
        let pending = self.pending.split_off(whole);
        std::mem::replace(&mut self.pending, pending)
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

/// Replaces everything in `text` that looks like a credential.
///
/// The text is raw JSON, so a credential may follow an escape, such as `\\n` or `\\u0001`, or any character that no
/// credential holds.
fn redacted(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut safe = String::with_capacity(text.len());
    let (mut copied, mut position) = (0, 0);
    let mut run = Run::default();
    while let Some(&byte) = bytes.get(position) {
        if !is_word(byte) {
            position += 1;
            continue;
        }
        if position >= run.end {
            run = Run::at(bytes, position);
        }
        if run.holds_secret(bytes, position) {
            safe.push_str(text.get(copied..position).unwrap_or_default());
            safe.push_str("***");
            copied = run.end;
            position = run.end;
        } else {
            position += 1;
        }
    }
    safe.push_str(text.get(copied..).unwrap_or_default());
    safe
}

/// A run of credential characters.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    start: usize,
    end: usize,
    /// The position after the last full stop in the run.
    after_stop: usize,
}

impl Run {
    fn at(bytes: &[u8], start: usize) -> Self {
        let rest = bytes.get(start..).unwrap_or_default();
        let end = start + rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
        let run = bytes.get(start..end).unwrap_or_default();
        let after_stop = run.iter().rposition(|&byte| byte == b'.').map_or(start, |stop| start + stop + 1);
        Self { start, end, after_stop }
    }

    /// Returns whether a credential spans from `position` to the end of the run.
    fn holds_secret(self, bytes: &[u8], position: usize) -> bool {
        let rest = bytes.get(position..self.end).unwrap_or_default();
        if rest.len() < SHORTEST_SECRET {
            return false;
        }
        if rest.starts_with(WEB_TOKEN) && self.after_stop > position {
            return true;
        }
        let begins = || SECRET_BEGINNINGS.iter().any(|beginning| rest.starts_with(beginning));
        begins()
            && (position == self.start
                || follows_escape(bytes.get(self.start.saturating_sub(2)..position).unwrap_or_default()))
    }
}

/// Returns whether `before` ends in an escape of JSON or of a URL, whose characters do not belong to the next word.
fn follows_escape(before: &[u8]) -> bool {
    let hexadecimal = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match before {
        [.., b'\\', b'n' | b't' | b'r' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] => hexadecimal(&[*a, *b, *c, *d]),
        [.., b'%', a, b] => hexadecimal(&[*a, *b]),
        _ => false,
    }
}

/// Returns whether `byte` occurs in tokens and keys.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// A JSON web token contains full stops, unlike data in base64.
const WEB_TOKEN: &[u8] = b"eyJ";
/// The prefixes of JSON web tokens, platform keys and refresh tokens.
const SECRET_BEGINNINGS: [&[u8]; 4] = [WEB_TOKEN, b"sk-", b"rt_", b"rt."];
const SHORTEST_SECRET: usize = 20;
/// Longer than any token; a longer run is data, such as an image, and is logged as it comes.
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
    fn a_credential_is_found_behind_escapes_and_letters() {
        let secrets = [
            "eyJhbGciOiJIUzI1NiJ9.e30.abc",
            "eyJhbGciOiJIUzI1NiJ9",
            "sk-proj-0123456789abcdef",
            "rt_0123456789abcdefg",
        ];
        let befores = [
            "",
            "\"",
            " ",
            r"\n",
            r"\t",
            r"\r",
            r"\b",
            r"\f",
            r"\u0001",
            r"\\n",
            r"x\\\n",
            "é",
            "密钥",
            "Bearer%20",
            "%0A",
            "=",
            "/",
        ];
        for secret in secrets {
            for before in befores {
                let text = format!("{before}{secret}\", y");
                assert_eq!(redacted(&text), format!("{before}***\", y"), "{text}");
            }
        }
        assert_eq!(redacted("xeyJhbGciOiJIUzI1NiJ9.e30.abc"), "x***");
        let image = format!("iVBOR{}eyJ{}", "A".repeat(40), "B".repeat(40));
        for harmless in ["a task-oriented-development-method", "start.of.something-else-entirely", image.as_str()] {
            assert_eq!(redacted(harmless), harmless);
        }
    }

    #[test]
    fn much_that_might_be_a_credential_takes_no_longer() {
        let text = format!("x{}", "eyJ".repeat(500_000));
        assert_eq!(redacted(&text).len(), text.len());
    }

    #[test]
    fn the_key_of_the_request_is_hidden_however_it_is_written_or_cut() {
        for key in ["secret", "a b+c/d==", r#"a"b\c"#, "aaab", "dreißig"] {
            let keys = KeyForms::new([key.as_bytes()].into_iter());
            let text = format!("{}, {key}: {key}{key} aaa", serde_json::json!({ "text": format!("x{key}y") }));
            for cut in 0..text.len() {
                let mut body = Recorded::new(Body::empty(), "request", keys.clone());
                let mut logged = String::new();
                for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                    logged.push_str(&String::from_utf8_lossy(&body.take_whole(piece)));
                }
                logged.push_str(&String::from_utf8_lossy(&std::mem::take(&mut body.pending)));
                assert_eq!(logged, r#"{"text":"x***y"}, ***: ****** aaa"#, "{key} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_cut_word_is_put_together_first() {
        let mut body = Recorded::new(Body::empty(), "request", KeyForms::default());
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
