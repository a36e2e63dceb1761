//! Decompression of a request's body, whole or not at all.
//!
//! * The output comes in pieces, each of which needs capacity among the bytes shared by all requests: 61 KB can hold 60
//!   MB.
//! * The whole input is decompressed: consecutive gzip members and zstd frames are concatenated, skippable frames (RFC
//!   8878, 3.1.2) are skipped.
//! * Trailing garbage is an error, and so are a wrong checksum, a wrong length and a missing end: such a body is not
//!   what its client meant to send.
//! * `deflate` is the zlib format, as HTTP defines it (RFC 9110, 8.4.1.2). The raw stream that some programs send under
//!   that name has no checksum to tell it from garbage, and is refused.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::fault::Fault;
use crate::server::capacity::Slot;

/// The reason that a body was not decompressed.
#[derive(Debug)]
pub(super) enum UnpackError {
    /// The output exceeds the limit.
    TooLarge,
    /// The input is malformed.
    Broken(String),
    /// The capacity is exhausted; holds the client's error.
    NoRoom(Fault),
}

/// The output so far, accounted to the request's slot.
pub(super) struct Unpacked<'a> {
    whole: Vec<u8>,
    limit: usize,
    slot: Option<&'a Slot>,
}

impl UnpackError {
    /// Replaces the words of the zstd library, which are names of its types.
    fn without_library_words(self) -> Self {
        match self {
            Self::Broken(_) => Self::Broken("a frame is damaged or cut short".to_owned()),
            other => other,
        }
    }
}

impl<'a> Unpacked<'a> {
    /// Creates an empty output of at most `limit` bytes.
    pub(super) const fn new(limit: usize, slot: Option<&'a Slot>) -> Self {
        Self { whole: Vec::new(), limit, slot }
    }

    /// Accounts for `count` more bytes at the end of `whole`.
    fn grown(&self, count: usize) -> Result<(), UnpackError> {
        if self.whole.len() > self.limit {
            return Err(UnpackError::TooLarge);
        }
        self.slot.map_or(Ok(()), |slot| slot.hold(count)).map_err(UnpackError::NoRoom)
    }

    /// Reads `decoder` to its end and returns the number of bytes.
    fn read(&mut self, mut decoder: impl Read) -> Result<usize, UnpackError> {
        let before = self.whole.len();
        loop {
            let piece = decoder.by_ref().take(PIECE as u64).read_to_end(&mut self.whole);
            match piece.map_err(|error| UnpackError::Broken(error.to_string()))? {
                0 => return Ok(self.whole.len() - before),
                count => self.grown(count)?,
            }
        }
    }
}

/// Decompresses one or more gzip members.
pub(super) fn gzip(packed: &[u8], mut unpacked: Unpacked<'_>) -> Result<Vec<u8>, UnpackError> {
    unpacked.read(MultiGzDecoder::new(packed))?;
    Ok(unpacked.whole)
}

/// Decompresses one zlib stream.
pub(super) fn deflate(packed: &[u8], mut unpacked: Unpacked<'_>) -> Result<Vec<u8>, UnpackError> {
    let mut piece = vec![0; PIECE];
    let mut stream = Decompress::new(true);
    loop {
        let rest = count(stream.total_in()).and_then(|read| packed.get(read..)).unwrap_or_default();
        let before = stream.total_out();
        let status = stream.decompress(rest, &mut piece, FlushDecompress::None);
        let status = status.map_err(|error| UnpackError::Broken(error.to_string()))?;
        let written = piece.get(..count(stream.total_out() - before).unwrap_or_default()).unwrap_or_default();
        unpacked.whole.extend_from_slice(written);
        unpacked.grown(written.len())?;
        let left = packed.len() - count(stream.total_in()).unwrap_or(packed.len());
        match status {
            Status::StreamEnd if left == 0 => return Ok(unpacked.whole),
            Status::StreamEnd => return Err(UnpackError::Broken(format!("{left} bytes follow its end"))),
            Status::Ok | Status::BufError if left == rest.len() && written.is_empty() => {
                return Err(UnpackError::Broken("its end is missing".to_owned()));
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Decompresses one or more zstd frames.
pub(super) fn zstd(packed: &[u8], mut unpacked: Unpacked<'_>) -> Result<Vec<u8>, UnpackError> {
    let mut rest = packed;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(LARGEST_WINDOW.max(unpacked.limit as u64));
    loop {
        match StreamingDecoder::new_with_decoder(&mut rest, &mut decoder) {
            Ok(frame) => {
                let length = unpacked.read(frame).map_err(UnpackError::without_library_words)?;
                check(&decoder, length)?;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = usize::try_from(length).ok().and_then(|length| rest.get(length..));
                rest = skipped.ok_or_else(|| UnpackError::Broken("a frame is cut short".to_owned()))?;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
                return Err(UnpackError::Broken("it does not begin as zstd does".to_owned()));
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                return Err(UnpackError::Broken("its window is larger than 8 MiB".to_owned()));
            }
            Err(_) => return Err(UnpackError::Broken("a frame's header is damaged or cut short".to_owned())),
        }
        if rest.is_empty() {
            return Ok(unpacked.whole);
        }
    }
}

/// Compares a frame of `length` output bytes with its declared length and checksum, which the decoder leaves to its
/// caller.
fn check(decoder: &FrameDecoder, length: usize) -> Result<(), UnpackError> {
    let told = decoder.get_checksum_from_data();
    if told.is_some() && told != decoder.get_calculated_checksum() {
        return Err(UnpackError::Broken("its checksum is wrong".to_owned()));
    }
    // A frame need not declare its length, which is 0 then.
    if !matches!(decoder.content_size(), 0) && decoder.content_size() != length as u64 {
        return Err(UnpackError::Broken("its length is wrong".to_owned()));
    }
    Ok(())
}

/// Converts a count of flate2's.
fn count(bytes: u64) -> Option<usize> {
    usize::try_from(bytes).ok()
}

/// The largest window of a frame, as HTTP limits it (RFC 9659); larger only if the whole body is.
const LARGEST_WINDOW: u64 = 8 << 20;

/// Bytes decompressed between two capacity checks.
const PIECE: usize = 64 << 10;
