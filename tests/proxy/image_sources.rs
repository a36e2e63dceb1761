//! What is no image is refused with its field, whether it comes in JSON or as a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codex_proxy::simulator::RecordedRequest;
use serde_json::{Value, json};

use crate::common::answer::Answer;
use crate::harness::{PIXEL, Proxy};

const EDITS: &str = "/v1/images/edits";

fn asked(proxy: &Proxy) -> Vec<Value> {
    proxy.simulator.requests_to("/images/edits").iter().map(RecordedRequest::json).collect()
}

#[tokio::test]
async fn an_address_that_holds_no_image_is_refused() {
    let proxy = Proxy::start().await;
    let cut = &PIXEL[..PIXEL.len() - 4];
    for (address, words) in [
        ("data:image/png;base64,!!!".to_owned(), "base64"),
        ("data:text/html;base64,aGk=".to_owned(), "no PNG, JPEG, WebP or GIF image"),
        ("data:image/png;base64,aGVsbG8=".to_owned(), "no PNG, JPEG, WebP or GIF image"),
        ("data:image/png;base64,".to_owned(), "empty"),
        ("data:,".to_owned(), "base64"),
        ("data:image/png,abc".to_owned(), "base64"),
        ("data:image/png;base64".to_owned(), "base64"),
        (format!("{cut}!!!!"), "base64"),
        (format!("{PIXEL}A"), "base64"),
        ("https://example.com/cat.png".to_owned(), "no address is fetched"),
    ] {
        for (field, body) in [
            ("images[0].image_url", json!({ "prompt": "p", "images": [{ "image_url": address }] })),
            ("image", json!({ "prompt": "p", "image": address })),
            ("mask.image_url", json!({ "prompt": "p", "image": PIXEL, "mask": { "image_url": address } })),
        ] {
            let answer = proxy.post(EDITS, &body).await;
            assert_eq!((answer.status.as_u16(), &answer.error()["param"]), (400, &json!(field)), "{address}");
            assert!(answer.text.contains(words), "{}", answer.text);
        }
    }
    assert_eq!(asked(&proxy).len(), 0);
}

#[tokio::test]
async fn an_image_is_sent_as_it_is_under_its_own_type() {
    let proxy = Proxy::start().await;
    let data = PIXEL.split_once(',').unwrap().1;
    // As .NET writes a plus sign, and others a slash.
    let escaped = data.replace('+', "\\u002B").replace('/', "\\/");
    assert!(escaped.contains('\\'));
    for address in [
        PIXEL.to_owned(),
        format!("data:application/octet-stream;base64,{data}"),
        format!("DATA:image/jpeg;name=a.png;BASE64,{data}"),
        format!("data:image\\/png;base64,{escaped}"),
    ] {
        let body = format!(r#"{{"prompt":"p","image":"{address}"}}"#);
        let request = proxy.http.post(format!("{}{EDITS}", proxy.base)).header("content-type", "application/json");
        let answer = Answer::read(request.body(body).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(asked(&proxy).last().unwrap()["images"][0]["image_url"], PIXEL, "{address}");
    }
}

#[tokio::test]
async fn a_form_field_that_stands_twice_is_refused() {
    let proxy = Proxy::start().await;
    let pixel = STANDARD.decode(PIXEL.split_once(',').unwrap().1).unwrap();
    for (fields, refused) in [
        (vec![("prompt", "first"), ("prompt", "second")], Some("prompt")),
        (vec![("prompt", "same"), ("n", "1"), ("n", "1")], Some("n")),
        (vec![("prompt", "p"), ("size", "auto"), ("size[]", "auto")], Some("size")),
        // Such a field has no effect in any case, which the answer says.
        (vec![("prompt", "p"), ("tag[]", "a"), ("tag[]", "b")], None),
    ] {
        let mut body = Vec::new();
        for (name, text) in &fields {
            let part = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(b"--cut\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n");
        body.extend_from_slice(&pixel);
        body.extend_from_slice(b"\r\n--cut--\r\n");
        let request = proxy.http.post(format!("{}{EDITS}", proxy.base)).body(body).bearer_auth("any");
        let request = request.header("content-type", "multipart/form-data; boundary=cut");
        let answer = Answer::read(request.send().await.unwrap()).await;
        match refused {
            Some(field) => {
                assert_eq!((answer.status.as_u16(), &answer.error()["param"]), (400, &json!(field)), "{fields:?}");
                assert!(answer.text.contains("sent twice"), "{}", answer.text);
            }
            None => assert_eq!((answer.status.as_u16(), answer.header("x-codex-proxy-ignored")), (200, "tag, tag")),
        }
    }
    assert_eq!(asked(&proxy).len(), 1);
}
