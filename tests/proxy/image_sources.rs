//! What is no image is refused with its field.

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
