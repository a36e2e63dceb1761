//! Bodies that are too large, too slow, broken or compressed.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::stream::{self, StreamExt as _};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;
use crate::server::capacity::Capacity;

const SILENCE: Duration = Duration::from_secs(60);

async fn read(request: Request, limit: usize, silence: Duration) -> Result<Bytes, Fault> {
    super::read(request, limit, silence, None).await
}

fn packed(encoding: &str, body: impl Into<Body>) -> Request {
    Request::builder().header(header::CONTENT_ENCODING, encoding).body(body.into()).expect("a request")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("finished")
}

#[tokio::test]
async fn a_body_within_the_limit_comes_whole() {
    let parts = ["{\"a\":", "1", "}"].map(|part| Ok::<_, io::Error>(Bytes::from_static(part.as_bytes())));
    let request = Request::new(Body::from_stream(stream::iter(parts)));
    assert_eq!(read(request, 7, SILENCE).await.expect("a body"), "{\"a\":1}");
    assert_eq!(read(Request::new(Body::empty()), 7, SILENCE).await.expect("a body"), "");
}

#[tokio::test]
async fn a_declared_length_is_refused_unread() {
    let error = read(Request::new(Body::from("12345678")), 7, SILENCE).await.expect_err("too large");
    assert_eq!(error.kind, FaultKind::PayloadTooLarge);
}

#[tokio::test]
async fn an_endless_body_is_refused_at_the_limit() {
    let endless = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(b"xxxx")));
    let error = read(Request::new(Body::from_stream(endless)), 1000, SILENCE).await.expect_err("too large");
    assert_eq!(error.kind, FaultKind::PayloadTooLarge);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_wait_but_slowness_does_not() {
    let slow = stream::iter(0..10).then(|_| async {
        crate::platform::sleep(Duration::from_secs(59)).await;
        Ok::<_, io::Error>(Bytes::from_static(b"x"))
    });
    let body = read(Request::new(Body::from_stream(slow)), 100, SILENCE).await;
    assert_eq!(body.expect("a body").len(), 10);

    let silent = stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"x")) }).chain(stream::pending());
    let error = read(Request::new(Body::from_stream(silent)), 100, SILENCE).await.expect_err("silent");
    assert_eq!(error.kind, FaultKind::RequestTimeout);
}

#[tokio::test]
async fn a_broken_body_is_the_clients_error() {
    let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(io::Error::other("gone"))]);
    let error = read(Request::new(Body::from_stream(broken)), 100, SILENCE).await.expect_err("broken");
    assert_eq!(error.kind, FaultKind::InvalidRequest);
}

#[tokio::test]
async fn packed_bodies_are_unpacked() {
    let text = br#"{"model":"gpt-5"}"#;
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(text).expect("written");
    let bodies = [
        ("gzip", gzip(text)),
        ("X-GZip", gzip(text)),
        ("deflate", zlib.finish().expect("finished")),
        ("zstd", compress_to_vec(&text[..], CompressionLevel::Fastest)),
        ("identity", text.to_vec()),
    ];
    for (encoding, body) in bodies {
        let body = read(packed(encoding, body), 1000, SILENCE).await.expect("a body");
        assert_eq!(body, &text[..], "{encoding}");
    }
}

#[tokio::test]
async fn a_bomb_is_refused_at_the_limit() {
    let zeros = vec![0; 4 << 20];
    for (encoding, body) in [("gzip", gzip(&zeros)), ("zstd", compress_to_vec(&zeros[..], CompressionLevel::Fastest))] {
        assert!(body.len() < 100_000, "{encoding}");
        let error = read(packed(encoding, body), 100_000, SILENCE).await.expect_err("too large");
        assert_eq!(error.kind, FaultKind::PayloadTooLarge, "{encoding}");
    }
}

#[tokio::test]
async fn what_is_not_packed_as_said_is_the_clients_error() {
    for encoding in ["gzip", "deflate", "zstd"] {
        let error = read(packed(encoding, "{}"), 100, SILENCE).await.expect_err("not packed");
        assert_eq!(error.kind, FaultKind::InvalidRequest, "{encoding}");
    }
    for encoding in ["br", "gzip, gzip", "\u{e9}"] {
        let error = read(packed(encoding, "{}"), 100, SILENCE).await.expect_err("unknown");
        assert_eq!(error.kind, FaultKind::UnsupportedMediaType, "{encoding}");
    }
}

/// Decompresses a body of this `encoding`.
async fn unpacked(encoding: &str, body: Vec<u8>) -> Result<Bytes, FaultKind> {
    read(packed(encoding, body), 1000, SILENCE).await.map_err(|error| error.kind)
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("finished")
}

/// A skippable zstd frame.
fn skippable(length: usize) -> Vec<u8> {
    let mut frame = 0x184D_2A5F_u32.to_le_bytes().to_vec();
    frame.extend(u32::try_from(length).expect("small").to_le_bytes());
    frame.extend(vec![b'!'; length]);
    frame
}

#[tokio::test]
async fn members_and_frames_are_read_one_behind_the_other() {
    let expected = Ok(Bytes::from_static(b"{\"a\": 1}"));
    assert_eq!(unpacked("gzip", [gzip(b"{\"a\""), gzip(b""), gzip(b": 1}")].concat()).await, expected);
    let frames = [skippable(9), zstd(b"{\"a\""), skippable(0), zstd(b""), zstd(b": 1}"), skippable(300)];
    assert_eq!(unpacked("zstd", frames.concat()).await, expected);
    assert_eq!(unpacked("zstd", skippable(2)).await, Ok(Bytes::new()));
}

#[tokio::test]
async fn what_follows_packed_data_and_is_none_is_an_error() {
    for garbage in [&b"x"[..], b"{}", b"\0\0\0\0\0\0\0\0\0\0\0\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"] {
        for (encoding, body) in [("gzip", gzip(b"{}")), ("deflate", zlib(b"{}")), ("zstd", zstd(b"{}"))] {
            let body = [&body[..], garbage].concat();
            assert_eq!(unpacked(encoding, body).await, Err(FaultKind::InvalidRequest), "{encoding} {garbage:?}");
        }
    }
    let twice = [zlib(b"{}"), zlib(b"{}")].concat();
    assert_eq!(unpacked("deflate", twice).await, Err(FaultKind::InvalidRequest), "one stream is all there is");
}

#[tokio::test]
async fn a_cut_or_damaged_body_is_an_error_wherever_it_is() {
    let text = br#"{"model":"gpt-5","input":"a text of some length"}"#;
    for (encoding, body) in [("gzip", gzip(text)), ("deflate", zlib(text)), ("zstd", zstd(text))] {
        for end in 0..body.len() {
            let cut = read(packed(encoding, body[..end].to_vec()), 1000, SILENCE).await.expect_err("cut");
            assert_eq!(cut.kind, FaultKind::InvalidRequest, "{encoding} {end}");
            assert!(!cut.message.contains("Error"), "the name of a library's type: {}", cut.message);
        }
        // gzip's checksum does not cover its head.
        let head = if encoding == "gzip" { 10 } else { 0 };
        for position in head..body.len() {
            let mut damaged = body.clone();
            damaged[position] ^= 1;
            let answer = unpacked(encoding, damaged).await;
            assert!(answer.is_err() || answer.as_deref() == Ok(&text[..]), "{encoding} {position}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_checksum_of_zstd_is_checked() {
    // Magic number; a single segment with a checksum, 2 bytes long; one last raw block of 2 bytes; the checksum.
    let frame = |checksum: u32| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0b0010_0100, 2, 0b0001_0001, 0, 0][..], b"{}", &checksum.to_le_bytes()].concat()
    };
    // The low half of XXH64 of "{}".
    let right = 0x7af2_94d1;
    let read = |frame: &[u8]| unpack::zstd(frame, Unpacked::new(100, None));
    assert_eq!(read(&frame(right)).expect("whole"), b"{}");
    assert!(matches!(read(&frame(right + 1)), Err(UnpackError::Broken(why)) if why == "its checksum is wrong"));
    let mut longer = frame(right);
    longer[5] = 3;
    assert!(read(&longer).is_err());
}

#[tokio::test]
async fn the_limit_holds_over_all_members_and_frames() {
    let half = vec![b'x'; 600];
    for (encoding, body) in [("gzip", gzip(&half)), ("zstd", zstd(&half))] {
        assert_eq!(unpacked(encoding, body.clone()).await.map(|body| body.len()), Ok(600), "{encoding}");
        let twice = unpacked(encoding, [body.clone(), body].concat()).await;
        assert_eq!(twice, Err(FaultKind::PayloadTooLarge), "{encoding}");
    }
    assert_eq!(unpacked("deflate", zlib(&[b'x'; 1001])).await, Err(FaultKind::PayloadTooLarge));
    assert_eq!(unpacked("deflate", zlib(&[b'x'; 1000])).await.map(|body| body.len()), Ok(1000));
    assert_eq!(unpacked("deflate", zlib(b"")).await, Ok(Bytes::new()));
}

#[tokio::test]
async fn a_window_no_body_needs_is_refused() {
    // Not a single segment, and a window of 128 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 27 << 3, 1, 0, 0];
    assert_eq!(unpacked("zstd", frame.to_vec()).await, Err(FaultKind::InvalidRequest));
}

/// Decompresses a body that expands a thousandfold and needs half of the capacity, while another request holds `others`
/// bytes.
async fn unpacked_beside(others: usize, encoding: &str, body: Vec<u8>) -> (Result<usize, FaultKind>, usize) {
    let capacity = Capacity::new(2, 2 << 20);
    let (slot, other) = (capacity.slot().expect("a slot"), capacity.slot().expect("a slot"));
    other.hold(others).expect("room");
    let read = super::read(packed(encoding, body), 4 << 20, SILENCE, Some(&slot)).await;
    (read.map(|body| body.len()).map_err(|error| error.kind), capacity.held() - others)
}

#[tokio::test]
async fn what_is_unpacked_needs_room_piece_by_piece() {
    let text = vec![0; 1 << 20];
    for (encoding, body) in [("gzip", gzip(&text)), ("zstd", zstd(&text)), ("deflate", zlib(&text))] {
        assert!(body.len() < 40_000, "{encoding}");
        let (fits, held) = unpacked_beside(1 << 19, encoding, body.clone()).await;
        assert_eq!((fits, held), (Ok(text.len()), text.len()), "{encoding}");
        let (refused, held) = unpacked_beside(3 << 19, encoding, body.clone()).await;
        assert_eq!(refused, Err(FaultKind::Busy), "{encoding}");
        assert!(held <= 1 << 19, "{encoding}: nothing is unpacked that has no room: {held}");
        let alone = unpacked_beside(0, encoding, body.repeat(if encoding == "deflate" { 1 } else { 3 })).await;
        assert!(alone.0.is_ok(), "{encoding}: one body always fits");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_get_on_once_room_is_short() {
    let trickle = || {
        let bytes = stream::repeat(()).then(|()| async {
            crate::platform::sleep(Duration::from_secs(15)).await;
            Ok::<_, io::Error>(Bytes::from_static(b"x"))
        });
        Request::new(Body::from_stream(bytes.take(40)))
    };
    for (taken, expected) in [(2, Ok(40)), (3, Err(FaultKind::RequestTimeout))] {
        let capacity = Capacity::new(4, 1 << 20);
        let slots: Vec<_> = (0..taken).map(|_| capacity.slot().expect("a slot")).collect();
        let begun = Instant::now();
        let read = super::read(trickle(), 1000, SILENCE, slots.first()).await;
        assert_eq!(read.map(|body| body.len()).map_err(|error| error.kind), expected, "{taken} slots taken");
        assert!(taken == 2 || begun.elapsed() < Duration::from_secs(80), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_line_is_fast_enough() {
    let steady = stream::repeat(()).then(|()| async {
        crate::platform::sleep(Duration::from_secs(5)).await;
        Ok::<_, io::Error>(Bytes::from(vec![b'x'; FLOOR / 10]))
    });
    let capacity = Capacity::new(1, 10 * FLOOR);
    let slot = capacity.slot().expect("a slot");
    let request = Request::new(Body::from_stream(steady.take(60)));
    let read = super::read(request, 10 * FLOOR, SILENCE, Some(&slot)).await;
    assert_eq!(read.expect("a body").len(), 60 * (FLOOR / 10));
}
