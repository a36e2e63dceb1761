//! Undoing the packing of an answer, piece by piece.
//!
//! * Nobody asks for packed answers, since packing holds back tokens; something on the way may send one all the same.
//! * What a piece holds comes out with that piece.
//! * gzip and deflate are undone. Any other encoding stays, named in the answer's head.
//! * A packed stream that breaks off is an error, and not an end.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::platform::{ByteStream, TransportError, TransportErrorKind};

/// `body` without the packing that `headers` names, which then no longer name it.
pub(super) fn inflate(headers: &mut HeaderMap, body: ByteStream) -> ByteStream {
    let Some(unpacker) = Unpacker::of(headers) else { return body };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Box::pin(stream::unfold((body, Some(unpacker)), |(mut body, unpacker)| async move {
        let mut unpacker = unpacker?;
        Some(match body.next().await {
            Some(Ok(packed)) => match unpacker.unpack(&packed) {
                Ok(piece) => (Ok(piece), (body, Some(unpacker))),
                Err(error) => (Err(broken(&error)), (body, None)),
            },
            Some(Err(error)) => (Err(error), (body, None)),
            None => (unpacker.finish().map_err(|error| broken(&error)), (body, None)),
        })
    }))
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

    /// What `packed` adds.
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

    /// What is left; an error if more should have come.
    fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => decoder.finish(),
            Self::Deflate(decoder) => decoder.finish(),
        }
        .map(Bytes::from)
    }
}

fn broken(error: &io::Error) -> TransportError {
    let message = format!("the answer is not packed as it says: {error}");
    TransportError { kind: TransportErrorKind::Interrupted, message }
}

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
    async fn what_breaks_off_or_was_never_packed_is_an_error() {
        let mut cut = gzip(&["a whole sentence"]);
        cut.pop();
        let error = inflated("gzip", cut).await.1.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Interrupted);
        let error = inflated("gzip", vec![b"data: {}\n\n".to_vec()]).await.1.unwrap_err();
        assert!(error.message.contains("not packed as it says"), "{error}");
    }
}
