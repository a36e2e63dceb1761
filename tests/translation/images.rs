//! Requests for images and their answers, without a server.

use bytes::Bytes;
use codex_proxy::dialect::images::form::FormPart;
use codex_proxy::dialect::images::reply::{ImageAnswer, ReplyPiece, ReplyReader};
use codex_proxy::dialect::images::request::ImageRequest;
use codex_proxy::dialect::images::{ImageTask, body, document, events};
use codex_proxy::fault::Fault;
use codex_proxy::simulator::Simulator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::splits::cut;

/// A PNG of one pixel.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

fn refusal(task: ImageTask, request: &Value) -> Fault {
    ImageRequest::parse(task, request.to_string().as_bytes()).map(|_| ()).expect_err(&request.to_string())
}

fn text(name: &str, text: &str) -> FormPart {
    FormPart { name: name.to_owned(), is_file: false, bytes: text.to_owned().into() }
}

fn file(name: &str, bytes: &'static [u8]) -> FormPart {
    FormPart { name: name.to_owned(), is_file: true, bytes: Bytes::from_static(bytes) }
}

#[test]
fn a_field_that_cannot_be_is_named() {
    for (field, value, words) in [
        ("prompt", json!(null), "is missing"),
        ("prompt", json!(""), "is missing"),
        ("prompt", json!(["a"]), "must be a string, but is an array"),
        ("model", json!(7), "must be a string"),
        ("n", json!(0), "from 1 to 10, but is 0"),
        ("n", json!(11), "from 1 to 10, but is 11"),
        ("n", json!(-1), "non-negative whole number"),
        ("n", json!("2"), "non-negative whole number"),
        ("size", json!("large"), "auto or a size such as 1024x1024"),
        ("size", json!("1024"), "auto or a size"),
        ("size", json!("x1024"), "auto or a size"),
        ("size", json!("1024x1024x3"), "auto or a size"),
        ("quality", json!("best"), "one of auto, low, medium, high"),
        ("background", json!("blue"), "one of transparent, opaque, auto"),
        ("output_format", json!("gif"), "one of png, jpeg, webp"),
        ("output_compression", json!(101), "from 0 to 100"),
        ("moderation", json!("off"), "one of auto, low"),
        ("partial_images", json!(4), "from 0 to 3"),
        ("response_format", json!("url"), "hosts no images"),
        ("response_format", json!("jpeg"), "one of b64_json, url"),
        ("stream", json!("yes"), "must be a boolean"),
        ("mask", json!({ "image_url": format!("data:image/png;base64,{PIXEL}") }), "/v1/images/edits"),
    ] {
        let mut request = json!({ "prompt": "A cat" });
        request[field] = value;
        let error = refusal(ImageTask::Generation, &request);
        assert_eq!(error.param.as_deref(), Some(field), "{request}");
        assert!(error.message.contains(words) && error.message.contains(field), "{request}: {}", error.message);
        assert_eq!(error.status().as_u16(), 400, "{request}");
    }
}

#[test]
fn images_that_cannot_be_are_named() {
    let address = json!({ "image_url": format!("data:image/png;base64,{PIXEL}") });
    for (field, request) in [
        ("images", json!({ "prompt": "p" })),
        ("images", json!({ "prompt": "p", "images": [] })),
        ("images", json!({ "prompt": "p", "images": vec![&address; 6] })),
        ("images", json!({ "prompt": "p", "images": 7 })),
        ("images[1]", json!({ "prompt": "p", "images": [address, 7] })),
        ("images[0].image_url", json!({ "prompt": "p", "images": [{}] })),
        ("images[0].image_url", json!({ "prompt": "p", "images": [{ "image_url": "https://example.com/a.png" }] })),
        ("images[0].image_url", json!({ "prompt": "p", "images": [{ "image_url": { "url": "data:," } }] })),
        ("images[0].file_id", json!({ "prompt": "p", "images": [{ "file_id": "file_1" }] })),
        ("image[0]", json!({ "prompt": "p", "image": ["/etc/passwd"] })),
        ("mask.image_url", json!({ "prompt": "p", "images": [address], "mask": { "image_url": "a.png" } })),
    ] {
        assert_eq!(refusal(ImageTask::Edit, &request).param.as_deref(), Some(field), "{request}");
    }
    for request in [json!({ "prompt": "p", "image": address }), json!({ "prompt": "p", "images": [address] })] {
        assert_eq!(refusal(ImageTask::Generation, &request).param.as_deref(), Some("images"));
    }
}

#[test]
fn a_form_says_the_same_as_json() {
    let parts = [
        text("prompt", "A \"cat\"\n"),
        file("image[]", PNG),
        file("image[]", b"\xff\xd8\xff and so on"),
        file("mask", PNG),
        text("n", "2"),
        text("size", "auto"),
        text("quality", "low"),
        text("stream", "true"),
        text("partial_images", "1"),
        text("output_compression", ""),
        text("user", "u"),
        text("input_fidelity", "high"),
    ];
    let request = ImageRequest::of_form(ImageTask::Edit, &parts).unwrap();
    assert_eq!((request.count, request.stream), (2, true));
    assert_eq!(request.ignored.names(), ["user", "input_fidelity"]);
    let body = body::write(&request, "gpt-image-2");
    assert_eq!(Simulator::new().rejection_of_image(&body, true), None);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["prompt"], "A \"cat\"\n");
    let urls: Vec<_> =
        body["images"].as_array().unwrap().iter().map(|image| image["image_url"].as_str().unwrap()).collect();
    assert!(urls[0].starts_with("data:image/png;base64,iVBORw0KGgo") && urls[1].starts_with("data:image/jpeg;base64,"));
    assert!(body["mask"]["image_url"].as_str().unwrap().starts_with("data:image/png;base64,"));
    assert_eq!((&body["stream"], &body["partial_images"]), (&json!(true), &json!(1)));
}

#[test]
fn a_form_that_cannot_be_names_its_field() {
    let with = |part: FormPart| {
        let parts = [text("prompt", "p"), file("image", PNG), part];
        ImageRequest::of_form(ImageTask::Edit, &parts).map(|_| ()).unwrap_err()
    };
    for (field, part) in [
        ("image[1]", file("image", b"plain text")),
        ("image[1]", file("image[1]", b"")),
        ("mask", file("mask", b"plain text")),
        ("n", text("n", "two")),
        ("n", text("n", "0")),
        ("stream", text("stream", "yes")),
        ("size", file("size", b"auto")),
        ("prompt", FormPart { name: "prompt".to_owned(), is_file: false, bytes: Bytes::from_static(b"\xff") }),
    ] {
        assert_eq!(with(part.clone()).param.as_deref(), Some(field), "{part:?}");
    }
    let twice = [text("prompt", "p"), file("image", PNG), file("mask", PNG), file("mask", PNG)];
    assert_eq!(ImageRequest::of_form(ImageTask::Edit, &twice).unwrap_err().param.as_deref(), Some("mask"));
    assert_eq!(
        ImageRequest::of_form(ImageTask::Edit, &[text("prompt", "p")]).unwrap_err().param.as_deref(),
        Some("image")
    );
}

/// Everything that a client is sent for one call's answer, streamed and buffered, and whether the answer was complete.
fn told(task: ImageTask, pieces: &[&[u8]]) -> (String, String, bool) {
    let (mut reader, mut found) = (ReplyReader::default(), Vec::new());
    for piece in pieces {
        reader.feed(piece, &mut |piece| found.push(piece));
    }
    let complete = reader.end(&mut |piece| found.push(piece));
    let (mut streamed, mut answers) = (Vec::new(), Vec::new());
    for piece in found {
        match piece {
            ReplyPiece::Partial(event) => events::partial(&event, &mut streamed),
            ReplyPiece::Completed(answer) => {
                events::completed(task, &answer, 7, &mut streamed);
                answers.push(answer);
            }
            other => streamed.extend_from_slice(format!("{other:?}").as_bytes()),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(streamed), text(document::write(&answers, 7)), complete)
}

fn answer(size: &str, usage: u64) -> String {
    json!({
        "created": 1_795_000_000,
        "background": "opaque",
        "data": [{ "b64_json": "aW1hZ2U=", "generation_id": "gen_1" }],
        "output_format": "png",
        "quality": "medium",
        "size": size,
        "usage": {
            "input_tokens": usage,
            "input_tokens_details": { "image_tokens": 0, "text_tokens": usage },
            "output_tokens": 515,
            "total_tokens": usage + 515,
        },
    })
    .to_string()
}

fn replies() -> Vec<Vec<u8>> {
    let event = |kind: &str| {
        let kind = format!("image_edit.{kind}");
        format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"b64_json\":\"{PIXEL}\",\"size\":\"9x9\",\"created_at\":8}}\n\n"
        )
    };
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"no\",\"code\":\"content_policy_violation\"}}\n\n";
    [
        answer("1254x1254", 9),
        format!("  \n{}", answer("1254x1254", 9)),
        format!(
            ": hello\n\nevent: keepalive\ndata: {{\"type\":\"keepalive\"}}\n\n{}{}",
            event("partial_image"),
            event("completed")
        ),
        event("completed").replace('\n', "\r\n"),
        format!("{}{error}", event("partial_image")),
        event("partial_image"),
        r#"{"error":{"message":"no","type":"image_generation_user_error","code":"moderation_blocked"}}"#.to_owned(),
        "<html>Just a moment...</html>".to_owned(),
        r#"{"created":1,"data":[]}"#.to_owned(),
        r#"{"created":1,"data":[{"b64_json":""}]}"#.to_owned(),
        r#"{"created":1,"data":[{"b64_json":"no base64!"}]}"#.to_owned(),
        event("completed").replace(PIXEL, ""),
        r#"{"created":1,"data":[{"b64_json":"aW1h"#.to_owned(),
        "[]".to_owned(),
        String::new(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

#[test]
fn image_answers_are_translated_as_ever() {
    let told: Vec<String> = replies()
        .iter()
        .map(|reply| {
            let (streamed, document, complete) = told(ImageTask::Edit, &[reply]);
            let reply = String::from_utf8_lossy(reply).replace(PIXEL, "PIXEL");
            let shown =
                format!("{reply}\n\n=> streamed\n{streamed}\n=> buffered\n{document}\n=> complete: {complete}\n");
            shown.replace(PIXEL, "PIXEL").replace('\r', "␍")
        })
        .collect();
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("image-answers", told.join("\n---\n\n"));
    });
}

#[test]
fn the_size_of_the_answer_is_the_images_own() {
    let reply = format!(r#"{{"data":[{{"b64_json":"{PIXEL}"}}],"size":"1024x1024","output_format":"webp"}}"#);
    let document: Value = serde_json::from_str(&told(ImageTask::Generation, &[reply.as_bytes()]).1).unwrap();
    assert_eq!((&document["size"], &document["output_format"]), (&json!("1x1"), &json!("png")));
    assert_eq!((&document["created"], &document.get("usage")), (&json!(7), &None));
}

#[test]
fn several_answers_are_one() {
    let read = |text: &str| {
        let mut found: Vec<ImageAnswer> = Vec::new();
        let mut reader = ReplyReader::default();
        let mut take = |piece| match piece {
            ReplyPiece::Completed(answer) => found.push(answer),
            other => panic!("{other:?}"),
        };
        reader.feed(text.as_bytes(), &mut take);
        assert!(reader.end(&mut take));
        found.remove(0)
    };
    let whole = |answers: &[ImageAnswer]| -> Value { serde_json::from_slice(&document::write(answers, 7)).unwrap() };
    let same = whole(&[read(&answer("9x9", 1)), read(&answer("9x9", 2))]);
    assert_eq!((same["data"].as_array().unwrap().len(), &same["size"]), (2, &json!("9x9")));
    assert_eq!(same["data"][0], json!({ "b64_json": "aW1hZ2U=", "generation_id": "gen_1" }));
    let usage = json!({
        "input_tokens": 3,
        "input_tokens_details": { "image_tokens": 0, "text_tokens": 3 },
        "output_tokens": 1030,
        "total_tokens": 1033,
    });
    assert_eq!(same["usage"], usage);

    let of_one = r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"text_tokens":9},"output_tokens":2,"total_tokens":11,"more":1}"#;
    let one = whole(&[read(&format!(r#"{{"data":[{{"b64_json":"aW1hZ2U="}}],"usage":{of_one}}}"#))]);
    assert_eq!(one["usage"], serde_json::from_str::<Value>(of_one).unwrap(), "all that is told of one call");

    let untold = read(r#"{"data":[{"b64_json":"aW1hZ2U="}],"size":"8x8"}"#);
    let differing = whole(&[read(&answer("9x9", 1)), untold]);
    assert_eq!((differing.get("size"), differing.get("quality"), differing.get("usage")), (None, None, None));
    assert_eq!((&differing["data"][0]["size"], &differing["data"][1]["size"]), (&json!("9x9"), &json!("8x8")));
    assert_eq!((&differing["data"][0]["quality"], differing["data"][1].get("quality")), (&json!("medium"), None));
}

proptest! {
    #[test]
    fn any_cuts_of_an_answer_change_nothing(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let replies = replies();
        let mut reply = replies[which.index(replies.len())].clone();
        if let Some((place, byte)) = damage.filter(|_| !reply.is_empty()) {
            let place = place.index(reply.len());
            reply[place] = if byte.is_ascii() { byte } else { b'?' };
        }
        prop_assert_eq!(told(ImageTask::Edit, &cut(&reply, &cuts)), told(ImageTask::Edit, &[&reply]));
    }
}
