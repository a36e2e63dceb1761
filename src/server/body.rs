//! Reading a request's body within limits.
//!
//! * A declared length beyond the limit is refused before a byte is read; an undeclared one as soon as it exceeds the
//!   limit.
//! * Silence is limited, not the whole time: a slow but steady upload of a large image is fine.
//! * When capacity is short, a client has to send at the minimum rate of [`progress`](super::progress).
//! * Read and decompressed bytes count against the bytes shared by all requests, piece by piece.
//! * `Content-Encoding` `zstd`, `gzip` and `deflate` are decompressed ([`unpack`]), under the same limit.

mod unpack;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body as _, Frame};

use self::unpack::{UnpackError, Unpacked};
use crate::fault::{Fault, FaultKind};
use crate::platform::{Instant, Timer, apart, roomy};
use crate::server::capacity::Slot;
use crate::server::progress::{FLOOR, MINUTE, Progress};

/// Reads and decodes the body of `request`: at most `limit` bytes, with at most `silence` between two reads. `slot`
/// accounts for its bytes.
///
/// Errors: 413 too large, 408 silent for too long or too slow, 415 an unknown encoding, 400 truncated or wrongly
/// encoded, 503 no capacity.
pub(super) async fn read(
    request: Request,
    limit: usize,
    silence: Duration,
    slot: Option<&Slot>,
) -> Result<Bytes, Fault> {
    let (head, mut body) = request.into_parts();
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let encoding = Encoding::of(&head.headers)?;
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or_default();
    let mut patience = Patience::new(silence, slot);
    let mut whole = BodyBytes::Nothing;
    while let Some(frame) = next_frame(&mut body, &mut patience).await? {
        if let Ok(data) = frame.into_data() {
            patience.heard(data.len());
            let length = data.len();
            whole = whole.and(data, limit, declared)?;
            slot.map_or(Ok(()), |slot| slot.hold(length))?;
        }
    }
    let whole = whole.into_bytes();
    if encoding == Encoding::Identity {
        return Ok(whole);
    }
    // A few bytes may expand to many, so decompression never runs on a serving thread.
    let slot = slot.cloned();
    apart(move || encoding.undo(whole, limit, slot.as_ref())).await
}

async fn next_frame(body: &mut Body, patience: &mut Patience<'_>) -> Result<Option<Frame<Bytes>>, Fault> {
    poll_fn(|context| match Pin::new(&mut *body).poll_frame(context) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
        Poll::Ready(Some(Err(error))) => {
            let message = format!("the request body broke off: {error}");
            Poll::Ready(Err(Fault::new(FaultKind::InvalidRequest, message)))
        }
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Pending => patience.poll(context).map(Err),
    })
    .await
}

/// The time limits of a body. The timer is checked when it fires, so that a read costs none.
struct Patience<'a> {
    silence: Duration,
    slot: Option<&'a Slot>,
    heard: Instant,
    progress: Progress,
    /// None until the body has to be waited for; most arrive with their head.
    timer: Option<Timer>,
}

impl<'a> Patience<'a> {
    fn new(silence: Duration, slot: Option<&'a Slot>) -> Self {
        Self { silence, slot, heard: Instant::now(), progress: Progress::begin(), timer: None }
    }

    fn heard(&mut self, bytes: usize) {
        self.heard = Instant::now();
        self.progress.add(bytes);
    }

    /// Ready with the error once a limit has passed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        let timer = self.timer.get_or_insert_with(|| Timer::after(self.silence.min(MINUTE)));
        loop {
            ready!(timer.poll(context));
            let is_too_little = self.progress.is_too_little();
            if Instant::now() >= self.heard + self.silence {
                return Poll::Ready(too_slow("the rest of the request body did not arrive in time".to_owned()));
            }
            if is_too_little && self.slot.is_some_and(Slot::is_short) {
                let least = FLOOR >> 10;
                return Poll::Ready(too_slow(format!(
                    "the request body arrived at less than {least} KiB a minute while other requests need the memory"
                )));
            }
            timer.reset(self.progress.end().min(self.heard + self.silence));
        }
    }
}

fn too_slow(message: String) -> Fault {
    Fault::new(FaultKind::RequestTimeout, message)
}

/// The bytes read so far; a body of one read is never copied.
enum BodyBytes {
    Nothing,
    One(Bytes),
    Many(Vec<u8>),
}

impl BodyBytes {
    /// Adds `data`. The `declared` length is believed once an eighth of it is there: a client that only announces a
    /// large body takes no memory, and a large one is copied once at most.
    fn and(self, data: Bytes, limit: usize, declared: usize) -> Result<Self, Fault> {
        let length = match &self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        };
        if data.len() > limit.saturating_sub(length) {
            return Err(too_large(limit));
        }
        Ok(match self {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let mut bytes = Vec::with_capacity(2 * (first.len() + data.len()));
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
            Self::Many(mut bytes) => {
                let room = bytes.capacity() - bytes.len();
                if room < data.len() && length >= declared / 8 {
                    let whole = declared.max(length + data.len());
                    // A system that promises no memory which it may not have gives what is needed.
                    if bytes.try_reserve(roomy(whole) - length).is_err() {
                        bytes.reserve(whole - length);
                    }
                }
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
        })
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.into(),
        }
    }
}

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(encoding), None) = (encodings.next(), encodings.next()) else {
            return if headers.contains_key(header::CONTENT_ENCODING) {
                Err(unknown_encoding())
            } else {
                Ok(Self::Identity)
            };
        };
        match encoding.to_str().unwrap_or("unreadable").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(unknown_encoding()),
        }
    }

    fn undo(self, packed: Bytes, limit: usize, slot: Option<&Slot>) -> Result<Bytes, Fault> {
        let whole = Unpacked::new(limit, slot);
        let unpacked = match self {
            Self::Identity => return Ok(packed),
            Self::Gzip => unpack::gzip(&packed, whole),
            Self::Deflate => unpack::deflate(&packed, whole),
            Self::Zstd => unpack::zstd(&packed, whole),
        };
        let whole = unpacked.map_err(|failure| match failure {
            UnpackError::TooLarge => too_large(limit),
            UnpackError::Broken(reason) => wrongly_encoded(&reason),
            UnpackError::NoRoom(error) => error,
        })?;
        if let Some(slot) = slot {
            slot.now_holds(whole.len());
        }
        Ok(whole.into())
    }
}

fn too_large(limit: usize) -> Fault {
    let advice = if cfg!(target_arch = "wasm32") {
        "a Worker has no memory for more"
    } else {
        "start the proxy with a larger --max-body-size to send it"
    };
    let message = format!("the request body is larger than {limit} bytes; {advice}");
    Fault::new(FaultKind::PayloadTooLarge, message)
}

fn unknown_encoding() -> Fault {
    let message = "content-encoding must be one of zstd, gzip, deflate and identity";
    Fault::new(FaultKind::UnsupportedMediaType, message)
}

fn wrongly_encoded(reason: &str) -> Fault {
    Fault::new(FaultKind::InvalidRequest, format!("the request body does not match its content-encoding: {reason}"))
}

#[cfg(test)]
mod tests;
