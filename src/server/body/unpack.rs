//! Undoing the packing of a request's body, all of it or not at all.
//!
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

/// Why a body was not unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It holds more than the limit.
    TooLarge,
    /// It is not what it says it is.
    Broken(String),
}

/// At most `limit` bytes out of one or more gzip members.
pub(super) fn gzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    read_within(MultiGzDecoder::new(packed), &mut whole, limit)?;
    Ok(whole)
}

/// At most `limit` bytes out of one zlib stream.
pub(super) fn deflate(packed: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    let mut stream = Decompress::new(true);
    loop {
        let room = limit.saturating_add(1) - whole.len();
        whole.reserve(room.min(whole.len().max(packed.len()).max(SMALLEST_STEP)));
        let rest = consumed(&stream).and_then(|read| packed.get(read..)).unwrap_or_default();
        let (read, written) = (rest.len(), whole.len());
        let status = stream.decompress_vec(rest, &mut whole, FlushDecompress::None);
        let status = status.map_err(|error| Failure::Broken(error.to_string()))?;
        if whole.len() > limit {
            return Err(Failure::TooLarge);
        }
        let left = packed.len() - consumed(&stream).unwrap_or(packed.len());
        match status {
            Status::StreamEnd if left == 0 => return Ok(whole),
            Status::StreamEnd => return Err(Failure::Broken(format!("{left} bytes follow its end"))),
            Status::Ok | Status::BufError if left == read && whole.len() == written => {
                return Err(Failure::Broken("its end is missing".to_owned()));
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// At most `limit` bytes out of one or more zstd frames.
pub(super) fn zstd(packed: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    let mut rest = packed;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(LARGEST_WINDOW.max(limit as u64));
    loop {
        match StreamingDecoder::new_with_decoder(&mut rest, &mut decoder) {
            Ok(frame) => {
                let before = whole.len();
                read_within(frame, &mut whole, limit)?;
                check(&decoder, whole.len() - before)?;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = usize::try_from(length).ok().and_then(|length| rest.get(length..));
                rest = skipped.ok_or_else(|| Failure::Broken("a frame is cut short".to_owned()))?;
            }
            Err(error) => return Err(Failure::Broken(error.to_string())),
        }
        if rest.is_empty() {
            return Ok(whole);
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

/// Reads `decoder` to its end, as long as `whole` stays within `limit`.
fn read_within(decoder: impl Read, whole: &mut Vec<u8>, limit: usize) -> Result<(), Failure> {
    let one_more = (limit - whole.len().min(limit)) as u64 + 1;
    decoder.take(one_more).read_to_end(whole).map_err(|error| Failure::Broken(error.to_string()))?;
    if whole.len() > limit { Err(Failure::TooLarge) } else { Ok(()) }
}

fn consumed(stream: &Decompress) -> Option<usize> {
    usize::try_from(stream.total_in()).ok()
}

/// How much of what was unpacked a frame may refer back to, as HTTP has it (RFC 9659); larger only where the whole body is.
const LARGEST_WINDOW: u64 = 8 << 20;

const SMALLEST_STEP: usize = 4096;
