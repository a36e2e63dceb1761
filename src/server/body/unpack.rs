//! Undoing the packing of a request's body, all of it or not at all.
//!
//! * It comes out in pieces, and each needs room among the bytes that all requests share: 61 KB can hold 60 MB.
//! * Everything that was packed counts: gzip's members and zstd's frames are read one behind the other, frames that a
//!   decoder has to skip (RFC 8878, 3.1.2) are skipped.
//! * What follows the packed data and is none is an error, and so are a wrong checksum, a wrong length and a missing end:
//!   such a body is not what its client meant to send.
//! * `deflate` is the zlib format, as HTTP says (RFC 9110, 8.4.1.2). The bare stream that some programs send under that name
//!   has no checksum, and nothing tells it from garbage; it is refused.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::fault::ApiError;
use crate::server::capacity::Place;

/// Why a body was not unpacked.
#[derive(Debug)]
pub(super) enum Failure {
    /// It holds more than the limit.
    TooLarge,
    /// It is not what it says it is.
    Broken(String),
    /// Other requests need the memory; with the client's answer.
    NoRoom(ApiError),
}

/// What has been unpacked so far, held by the request's place.
pub(super) struct Unpacked<'a> {
    whole: Vec<u8>,
    limit: usize,
    place: Option<&'a Place>,
}

impl<'a> Unpacked<'a> {
    /// Nothing yet, of `limit` bytes at most.
    pub(super) const fn new(limit: usize, place: Option<&'a Place>) -> Self {
        Self { whole: Vec::new(), limit, place }
    }

    /// Has `count` more bytes, which stand at the end of `whole`.
    fn grown(&self, count: usize) -> Result<(), Failure> {
        if self.whole.len() > self.limit {
            return Err(Failure::TooLarge);
        }
        self.place.map_or(Ok(()), |place| place.hold(count)).map_err(Failure::NoRoom)
    }

    /// Reads `decoder` to its end, and says how much that was.
    fn read(&mut self, mut decoder: impl Read) -> Result<usize, Failure> {
        let before = self.whole.len();
        loop {
            let piece = decoder.by_ref().take(PIECE as u64).read_to_end(&mut self.whole);
            match piece.map_err(|error| Failure::Broken(error.to_string()))? {
                0 => return Ok(self.whole.len() - before),
                count => self.grown(count)?,
            }
        }
    }
}

/// What one or more gzip members hold.
pub(super) fn gzip(packed: &[u8], mut unpacked: Unpacked<'_>) -> Result<Vec<u8>, Failure> {
    unpacked.read(MultiGzDecoder::new(packed))?;
    Ok(unpacked.whole)
}

/// What one zlib stream holds.
pub(super) fn deflate(packed: &[u8], mut unpacked: Unpacked<'_>) -> Result<Vec<u8>, Failure> {
    let mut piece = vec![0; PIECE];
    let mut stream = Decompress::new(true);
    loop {
        let rest = count(stream.total_in()).and_then(|read| packed.get(read..)).unwrap_or_default();
        let before = stream.total_out();
        let status = stream.decompress(rest, &mut piece, FlushDecompress::None);
        let status = status.map_err(|error| Failure::Broken(error.to_string()))?;
        let written = piece.get(..count(stream.total_out() - before).unwrap_or_default()).unwrap_or_default();
        unpacked.whole.extend_from_slice(written);
        unpacked.grown(written.len())?;
        let left = packed.len() - count(stream.total_in()).unwrap_or(packed.len());
        match status {
            Status::StreamEnd if left == 0 => return Ok(unpacked.whole),
            Status::StreamEnd => return Err(Failure::Broken(format!("{left} bytes follow its end"))),
            Status::Ok | Status::BufError if left == rest.len() && written.is_empty() => {
                return Err(Failure::Broken("its end is missing".to_owned()));
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// What one or more zstd frames hold.
pub(super) fn zstd(packed: &[u8], mut unpacked: Unpacked<'_>) -> Result<Vec<u8>, Failure> {
    let mut rest = packed;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(LARGEST_WINDOW.max(unpacked.limit as u64));
    loop {
        match StreamingDecoder::new_with_decoder(&mut rest, &mut decoder) {
            Ok(frame) => {
                let length = unpacked.read(frame)?;
                check(&decoder, length)?;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = usize::try_from(length).ok().and_then(|length| rest.get(length..));
                rest = skipped.ok_or_else(|| Failure::Broken("a frame is cut short".to_owned()))?;
            }
            Err(error) => return Err(Failure::Broken(error.to_string())),
        }
        if rest.is_empty() {
            return Ok(unpacked.whole);
        }
    }
}

/// Holds a frame that gave `length` bytes against what it says of itself; the decoder leaves that to its caller.
fn check(decoder: &FrameDecoder, length: usize) -> Result<(), Failure> {
    let told = decoder.get_checksum_from_data();
    if told.is_some() && told != decoder.get_calculated_checksum() {
        return Err(Failure::Broken("its checksum is wrong".to_owned()));
    }
    // A frame need not tell its length, which is 0 then.
    if !matches!(decoder.content_size(), 0) && decoder.content_size() != length as u64 {
        return Err(Failure::Broken("its length is wrong".to_owned()));
    }
    Ok(())
}

/// A count of flate2's as one of ours.
fn count(bytes: u64) -> Option<usize> {
    usize::try_from(bytes).ok()
}

/// How much of what was unpacked a frame may refer back to, as HTTP has it (RFC 9659); larger only where the whole body is.
const LARGEST_WINDOW: u64 = 8 << 20;

/// Bytes unpacked before their room is looked for.
const PIECE: usize = 64 << 10;
