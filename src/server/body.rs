//! Reading a request's body within limits.
//!
//! * A declared length beyond the limit is refused before a byte is read; an undeclared one as soon as it is passed.
//! * Silence is bounded, not the whole time: a slow but steady upload of a large image is fine.
//! * `Content-Encoding` `zstd`, `gzip` and `deflate` are undone ([`unpack`]), and what comes out is held to the same limit.

mod unpack;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body as _, Frame};

use crate::openai::error::{ApiError, ErrorKind};
use crate::platform::{Instant, Timer, apart};

/// The whole body of `request`, decoded: at most `limit` bytes, with no `silence` longer than that between two reads.
///
/// Errors: 413 too large, 408 silent for too long, 415 an encoding nobody knows, 400 broken off or wrongly encoded.
pub async fn read(request: Request, limit: usize, silence: Duration) -> Result<Bytes, ApiError> {
    let (head, mut body) = request.into_parts();
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let encoding = Encoding::of(&head.headers)?;
    let mut timer = Timer::after(silence);
    let mut whole = Gathered::Nothing;
    while let Some(frame) = next_frame(&mut body, &mut timer).await? {
        if let Ok(data) = frame.into_data() {
            whole = whole.and(data, limit)?;
        }
        timer.reset(Instant::now() + silence);
    }
    let whole = whole.into_bytes();
    if encoding == Encoding::Identity {
        return Ok(whole);
    }
    // A few bytes may hold many, so none of it is unpacked where others are served.
    apart(move || encoding.undo(whole, limit)).await
}

async fn next_frame(body: &mut Body, timer: &mut Timer) -> Result<Option<Frame<Bytes>>, ApiError> {
    poll_fn(|context| match Pin::new(&mut *body).poll_frame(context) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
        Poll::Ready(Some(Err(error))) => {
            let message = format!("the request body broke off: {error}");
            Poll::Ready(Err(ApiError::new(ErrorKind::InvalidRequest, message)))
        }
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Pending => timer.poll(context).map(|()| {
            let message = "the rest of the request body did not come in time";
            Err(ApiError::new(ErrorKind::RequestTimeout, message))
        }),
    })
    .await
}

/// What was read so far; a body of one read is never copied.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn and(self, data: Bytes, limit: usize) -> Result<Self, ApiError> {
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
                let mut bytes = BytesMut::with_capacity(2 * (first.len() + data.len()));
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
            Self::Many(mut bytes) => {
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
        })
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
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

    fn undo(self, packed: Bytes, limit: usize) -> Result<Bytes, ApiError> {
        let unpacked = match self {
            Self::Identity => return Ok(packed),
            Self::Gzip => unpack::gzip(&packed, limit),
            Self::Deflate => unpack::deflate(&packed, limit),
            Self::Zstd => unpack::zstd(&packed, limit),
        };
        match unpacked {
            Ok(whole) => Ok(whole.into()),
            Err(unpack::Failure::TooLarge) => Err(too_large(limit)),
            Err(unpack::Failure::Broken(reason)) => Err(wrongly_encoded(&reason)),
        }
    }
}

fn too_large(limit: usize) -> ApiError {
    let advice = if cfg!(target_arch = "wasm32") {
        "a Worker has no room for more"
    } else {
        "start the proxy with a larger --max-body-size to send it"
    };
    let message = format!("the request body is larger than {limit} bytes; {advice}");
    ApiError::new(ErrorKind::PayloadTooLarge, message)
}

fn unknown_encoding() -> ApiError {
    let message = "content-encoding must be one of zstd, gzip, deflate and identity";
    ApiError::new(ErrorKind::UnsupportedMediaType, message)
}

fn wrongly_encoded(reason: &str) -> ApiError {
    ApiError::new(
        ErrorKind::InvalidRequest,
        format!("the request body is not what its content-encoding says: {reason}"),
    )
}

#[cfg(test)]
mod tests;
