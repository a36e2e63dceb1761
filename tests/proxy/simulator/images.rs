//! The endpoints beside `/responses`: images and search.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::{Answer, Backend, send};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";

async fn post(backend: &Backend, path: &str, body: &Value) -> Answer {
    let head = backend.head("POST", &format!("/backend-api/codex{path}")).header("content-type", "application/json");
    send(head.body(body.to_string().into()).unwrap()).await
}

/// Width, height, colour type and the unfiltered bytes of a PNG, whose chunks must all be whole.
fn read(image: &Value) -> (u32, u32, u8, Vec<u8>) {
    let png = STANDARD.decode(image.as_str().unwrap()).unwrap();
    let (signature, mut rest) = png.split_at(8);
    assert_eq!(signature, b"\x89PNG\r\n\x1a\n");
    let (mut header, mut pixels, mut last) = (Vec::new(), Vec::new(), Vec::new());
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (chunk, tail) = rest.split_at(12 + length);
        let mut sum = flate2::Crc::new();
        sum.update(&chunk[4..8 + length]);
        assert_eq!(chunk[8 + length..], sum.sum().to_be_bytes(), "the sum of a chunk");
        last = chunk[4..8].to_vec();
        match last.as_slice() {
            b"IHDR" => header = chunk[8..8 + length].to_vec(),
            b"IDAT" => pixels.extend_from_slice(&chunk[8..8 + length]),
            _ => {}
        }
        rest = tail;
    }
    assert_eq!(last, b"IEND");
    let side = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(pixels.as_slice()).read_to_end(&mut bytes).unwrap();
    (side(0), side(4), header[9], bytes)
}

#[tokio::test]
async fn a_picture_is_a_real_one_of_the_size_that_the_answer_says() {
    let backend = Backend::start().await;
    for (request, width, height, colours, bytes) in [
        (json!({ "prompt": "p", "size": "30x20" }), 30, 20, 0, 31 * 20),
        (json!({ "prompt": "p", "size": "auto" }), 1254, 1254, 0, 1255 * 1254),
        (json!({ "prompt": "p", "size": "30x20", "background": "transparent" }), 30, 20, 4, 61 * 20),
        (json!({ "prompt": "p [[simulate:image-size=9x8]]", "size": "30x20" }), 9, 8, 0, 10 * 8),
        (json!({ "prompt": "p [[simulate:huge-image=1000]]", "size": "3x2" }), 3, 2, 0, 4 * 2),
    ] {
        let document = post(&backend, "/images/generations", &request).await.json();
        let picture = read(&document["data"][0]["b64_json"]);
        assert_eq!((picture.0, picture.1, picture.2, picture.3.len()), (width, height, colours, bytes), "{request}");
        assert_eq!(document["size"], format!("{width}x{height}"));
    }
}

#[tokio::test]
async fn whatever_is_asked_for_one_png_comes() {
    let backend = Backend::start().await;
    let request = json!({
        "model": "no-such-model", "prompt": "p", "n": 3, "output_format": "jpeg", "quality": "max", "size": "9x9",
    });
    let document = post(&backend, "/images/generations", &request).await.json();
    assert_eq!(document["data"].as_array().unwrap().len(), 1);
    assert_eq!((&document["output_format"], &document["quality"]), (&json!("png"), &json!("medium")));
    assert_eq!(document.get("model"), None);
}

#[tokio::test]
async fn requests_for_images_are_refused_in_the_backends_words() {
    let backend = Backend::start().await;
    let one = json!({ "image_url": PIXEL });
    for (path, request, param, words) in [
        ("/images/generations", json!({}), "prompt", "Missing required parameter"),
        ("/images/generations", json!({ "prompt": 7 }), "prompt", "Invalid type"),
        ("/images/generations", json!({ "prompt": "p", "background": "blue" }), "background", "Invalid value"),
        ("/images/edits", json!({ "prompt": "p" }), "images", "Missing required parameter"),
        ("/images/edits", json!({ "prompt": "p", "images": vec![&one; 6] }), "images", "array too long"),
        ("/images/edits", json!({ "prompt": "p", "images": [PIXEL] }), "images[0]", "Invalid type"),
        (
            "/images/edits",
            json!({ "prompt": "p", "images": [{ "image_url": "https://example.com/a.png" }] }),
            "images[0].image_url",
            "Error while downloading file",
        ),
        (
            "/images/edits",
            json!({ "prompt": "p", "images": [one, { "image_url": "data:image/png;base64,AAAA" }] }),
            "images[1].image_url",
            "does not represent a valid image",
        ),
        ("/images/edits", json!({ "prompt": "p", "images": [one], "mask": {} }), "mask.image_url", "Missing required"),
        ("/alpha/search", json!({ "model": "m" }), "id", "Missing required parameter"),
        ("/alpha/search", json!({ "id": "t", "model": "m", "query": "q" }), "query", "Unknown parameter"),
        (
            "/alpha/search",
            json!({ "id": "t", "model": "m", "commands": { "open": 1 } }),
            "commands.open",
            "Invalid type",
        ),
    ] {
        let answer = post(&backend, path, &request).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status.as_u16(), error["param"].as_str()), (400, Some(param)), "{request}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    let edit = json!({ "prompt": "p", "images": vec![&one; 5], "mask": one });
    assert_eq!(post(&backend, "/images/edits", &edit).await.status, 200);
}

#[tokio::test]
async fn a_form_or_a_stranger_is_refused() {
    let backend = Backend::start().await;
    for path in ["/images/generations", "/images/edits", "/alpha/search"] {
        let path = format!("/backend-api/codex{path}");
        let form = backend.head("POST", &path).header("content-type", "multipart/form-data; boundary=x");
        assert_eq!(send(form.body("--x--".into()).unwrap()).await.status, 415, "{path}");
        let url = format!("{}{path}", backend.running.base_url());
        let stranger = http::Request::post(url).header("content-type", "application/json").body("{}".into()).unwrap();
        assert_eq!(send(stranger).await.status, 401, "{path}");
    }
}
