//! Bodies that are too large, too slow, broken or packed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::stream::{self, StreamExt as _};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const SILENCE: Duration = Duration::from_secs(60);

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
    assert_eq!(error.kind, ErrorKind::PayloadTooLarge);
}

#[tokio::test]
async fn an_endless_body_is_refused_at_the_limit() {
    let endless = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(b"xxxx")));
    let error = read(Request::new(Body::from_stream(endless)), 1000, SILENCE).await.expect_err("too large");
    assert_eq!(error.kind, ErrorKind::PayloadTooLarge);
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
    assert_eq!(error.kind, ErrorKind::RequestTimeout);
}

#[tokio::test]
async fn a_broken_body_is_the_clients_error() {
    let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(io::Error::other("gone"))]);
    let error = read(Request::new(Body::from_stream(broken)), 100, SILENCE).await.expect_err("broken");
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
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
        assert_eq!(error.kind, ErrorKind::PayloadTooLarge, "{encoding}");
    }
}

#[tokio::test]
async fn what_is_not_packed_as_said_is_the_clients_error() {
    for encoding in ["gzip", "deflate", "zstd"] {
        let error = read(packed(encoding, "{}"), 100, SILENCE).await.expect_err("not packed");
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{encoding}");
    }
    for encoding in ["br", "gzip, gzip", "\u{e9}"] {
        let error = read(packed(encoding, "{}"), 100, SILENCE).await.expect_err("unknown");
        assert_eq!(error.kind, ErrorKind::UnsupportedMediaType, "{encoding}");
    }
}
