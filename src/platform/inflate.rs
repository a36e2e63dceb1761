//! Decompression of a response body, piece by piece.
//!
//! * The proxy never requests compression, which delays tokens; an intermediary may compress all the same.
//! * A piece is decompressed whole before the next is read, in small steps: 800 KB can hold 800 MB, and the reader
//!   decides when the next step is taken.
//! * gzip and deflate are decompressed. Any other encoding stays, named in the response's head.
//! * A truncated compressed stream is an error, not an end.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::platform::{ByteStream, TransportError, TransportErrorKind};

/// Decompresses `body` and removes its encoding from `headers`.
pub(super) fn inflate(headers: &mut HeaderMap, body: ByteStream) -> ByteStream {
    let Some(unpacker) = Unpacker::of(headers) else { return body };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    let inflating = Inflating { body, packed: Bytes::new(), unpacker: Some(unpacker) };
    Box::pin(stream::unfold(inflating, |mut inflating| async move {
        let piece = inflating.next().await?;
        Some((piece, inflating))
    }))
}

/// A compressed body and the state of its decompression.
struct Inflating {
    body: ByteStream,
    /// Received bytes that are still compressed.
    packed: Bytes,
    /// `None` once the body has ended or failed.
    unpacker: Option<Unpacker>,
}

impl Inflating {
    async fn next(&mut self) -> Option<Result<Bytes, TransportError>> {
        loop {
            let unpacker = self.unpacker.as_mut()?;
            if self.packed.is_empty() {
                match self.body.next().await {
                    Some(Ok(packed)) => self.packed = packed,
                    Some(Err(error)) => return self.end(Err(error)),
                    None => {
                        let last = self.unpacker.take()?.finish();
                        return Some(last.map_err(|error| broken(&error)));
                    }
                }
            }
            let step = self.packed.split_to(self.packed.len().min(STEP));
            match unpacker.unpack(&step) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Some(Ok(piece)),
                Err(error) => return self.end(Err(broken(&error))),
            }
        }
    }

    fn end(&mut self, piece: Result<Bytes, TransportError>) -> Option<Result<Bytes, TransportError>> {
        self.unpacker = None;
        Some(piece)
    }
}

enum Unpacker {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
}

impl Unpacker {
    fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Some(Self::Deflate(ZlibDecoder::new(Vec::new()))),
            _ => None,
        }
    }

    /// Decompresses `packed`.
    fn unpack(&mut self, packed: &[u8]) -> io::Result<Bytes> {
        let out = match self {
            Self::Gzip(decoder) => {
                decoder.write_all(packed)?;
                decoder.flush()?;
                decoder.get_mut()
            }
            Self::Deflate(decoder) => {
                decoder.write_all(packed)?;
                decoder.flush()?;
                decoder.get_mut()
            }
        };
        Ok(std::mem::take(out).into())
    }

    /// Decompresses the rest; an error if the stream is incomplete.
    fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => decoder.finish(),
            Self::Deflate(decoder) => decoder.finish(),
        }
        .map(Bytes::from)
    }
}

fn broken(error: &io::Error) -> TransportError {
    let message = format!("the answer does not match its content-encoding: {error}");
    TransportError { kind: TransportErrorKind::Interrupted, message }
}

/// Bytes decompressed per step. Deflate expands at most 1,032-fold (zlib's documentation), to a quarter of a MB here.
const STEP: usize = 256;

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use futures_util::TryStreamExt as _;
    use http::HeaderValue;

    use super::*;

    fn gzip(parts: &[&str]) -> Vec<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut pieces: Vec<Vec<u8>> = parts
            .iter()
            .map(|part| {
                encoder.write_all(part.as_bytes()).unwrap();
                encoder.flush().unwrap();
                std::mem::take(encoder.get_mut())
            })
            .collect();
        pieces.push(encoder.finish().unwrap());
        pieces
    }

    async fn inflated(encoding: &str, pieces: Vec<Vec<u8>>) -> (HeaderMap, Result<Vec<Bytes>, TransportError>) {
        let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap())]);
        let body = Box::pin(stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))));
        let pieces = inflate(&mut headers, body).try_collect().await;
        (headers, pieces)
    }

    #[tokio::test]
    async fn what_a_piece_holds_comes_with_that_piece() {
        let (headers, pieces) = inflated("GZIP", gzip(&["one", "two"])).await;
        assert!(headers.is_empty());
        let pieces = pieces.unwrap();
        assert_eq!((&pieces[0][..], &pieces[1][..], pieces.concat()), (&b"one"[..], &b"two"[..], b"onetwo".to_vec()));
        let bytes = gzip(&["three"]).concat().into_iter().map(|byte| vec![byte]).collect();
        assert_eq!(inflated("x-gzip", bytes).await.1.unwrap().concat(), b"three");
    }

    #[tokio::test]
    async fn deflate_is_undone_and_what_nobody_knows_is_left() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"text").unwrap();
        assert_eq!(inflated("deflate", vec![encoder.finish().unwrap()]).await.1.unwrap().concat(), b"text");
        let (headers, pieces) = inflated("br", vec![b"xyz".to_vec()]).await;
        assert_eq!((headers.len(), pieces.unwrap().concat()), (1, b"xyz".to_vec()));
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_an_error_wherever_it_is_cut_or_goes_on() {
        let zlib = |text: &[u8]| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let text = b"a whole sentence, and another sentence".as_slice();
        for (encoding, packed) in
            [("gzip", gzip(&[std::str::from_utf8(text).unwrap()]).concat()), ("deflate", zlib(text))]
        {
            for end in 0..packed.len() {
                let pieces = packed[..end].chunks(7).map(<[u8]>::to_vec).collect();
                assert!(inflated(encoding, pieces).await.1.is_err(), "{encoding} {end}");
            }
            for garbage in [&b"x"[..], b"{}", b"\x1f\x8b"] {
                for pieces in [vec![packed.clone(), garbage.to_vec()], vec![[&packed[..], garbage].concat()]] {
                    assert!(inflated(encoding, pieces).await.1.is_err(), "{encoding} {garbage:?}");
                }
            }
        }
        let twice = [gzip(&["one"]).concat(), gzip(&["two"]).concat()];
        assert_eq!(inflated("gzip", twice.to_vec()).await.1.unwrap().concat(), b"onetwo");
        assert_eq!(inflated("gzip", vec![twice.concat()]).await.1.unwrap().concat(), b"onetwo");
    }

    #[tokio::test]
    async fn what_is_packed_a_thousandfold_comes_in_small_pieces() {
        let text = "x".repeat(8 << 20);
        let (mut headers, packed) = (HeaderMap::new(), gzip(&[&text]));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(packed.concat().len() < 16 << 10);
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = asked.clone();
        let body = stream::iter(packed).map(move |piece| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Bytes::from(piece))
        });
        let mut pieces = inflate(&mut headers, Box::pin(body));
        let mut whole = 0;
        while let Some(piece) = pieces.try_next().await.unwrap() {
            assert!(piece.len() <= 300 << 10, "{}", piece.len());
            whole += piece.len();
            let first = whole < 7 << 20;
            assert!(!first || asked.load(std::sync::atomic::Ordering::Relaxed) == 1, "asked for more too early");
        }
        assert_eq!(whole, text.len());
    }

    #[tokio::test]
    async fn what_breaks_off_or_was_never_packed_is_an_error() {
        let mut cut = gzip(&["a whole sentence"]);
        cut.pop();
        let error = inflated("gzip", cut).await.1.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Interrupted);
        let error = inflated("gzip", vec![b"data: {}\n\n".to_vec()]).await.1.unwrap_err();
        assert!(error.message.contains("does not match its content-encoding"), "{error}");
    }
}
