//! `/v1/images/generations` and `/v1/images/edits`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{
    AnswerOutcome, Delivery, FailureShape, HttpFault, Moment, Scenario, ScriptStep, ScriptedAnswer, Simulator, Stage,
    StreamFailure, Substitution, Told,
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::common::PATIENCE;
use crate::common::answer::Answer;
use crate::harness::{Proxy, Setup};

const GENERATIONS: &str = "/v1/images/generations";
const EDITS: &str = "/v1/images/edits";

/// Width and height in the image itself.
fn size(image: &Value) -> (u32, u32) {
    let png = STANDARD.decode(image.as_str().unwrap()).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xae\x42\x60\x82"), "a whole PNG");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (side(16), side(20))
}

fn cat() -> Value {
    json!({ "prompt": "A cat" })
}

fn streamed() -> Value {
    json!({ "prompt": "A cat", "stream": true, "partial_images": 2 })
}

/// A form of `fields` and of files, each a name and contents.
async fn post_form(proxy: &Proxy, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, text) in fields {
        let head = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        body.extend_from_slice(head.as_bytes());
    }
    for (name, bytes) in files {
        let head = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a b.png\"\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"Content-Type: application/octet-stream\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--cut--\r\n");
    let request = proxy.http.post(format!("{}{EDITS}", proxy.base)).body(body);
    let request = request.header("content-type", "multipart/form-data; boundary=cut").bearer_auth("any");
    Answer::read(request.send().await.unwrap()).await
}

fn picture(padding: usize) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &vec![7; padding]].concat()
}

#[tokio::test]
async fn an_image_comes_with_its_real_size_format_and_tokens() {
    let proxy = Proxy::start().await;
    let request =
        json!({ "model": "gpt-image-2.5-flare", "prompt": "A cat", "size": "1536x1024", "user": "u", "n": 1 });
    let answer = proxy.post(GENERATIONS, &request).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let document = answer.json();
    assert_eq!(size(&document["data"][0]["b64_json"]), (1536, 1024));
    assert_eq!((&document["size"], &document["output_format"]), (&json!("1536x1024"), &json!("png")));
    assert_eq!((&document["background"], &document["quality"]), (&json!("opaque"), &json!("medium")));
    assert_eq!(document["usage"]["total_tokens"], 517);
    assert!(document["created"].as_u64().is_some_and(|created| created > 1_700_000_000));
    assert_eq!(answer.header("x-codex-proxy-ignored"), "user");
    assert_eq!(answer.header("x-codex-proxy-model-asked"), "gpt-image-2.5-flare");
    assert_eq!(answer.header("x-codex-proxy-model-sent"), "gpt-image-2.5-flare");
    assert_eq!(answer.header("x-codex-proxy-model-answered"), "", "the backend does not say");
    assert_ne!(answer.header("x-codex-primary-used-percent"), "");
    assert_ne!(answer.header("x-upstream-request-id"), "");

    let asked = proxy.simulator.requests_to("/backend-api/codex/images/generations").remove(0);
    assert_eq!((asked.header("originator"), asked.header("accept")), ("codex-proxy", "application/json"));
    assert_ne!(asked.header("chatgpt-account-id"), "");
    assert_eq!(asked.json()["size"], "1536x1024");
}

#[tokio::test]
async fn what_the_backend_makes_of_a_size_is_what_the_answer_says() {
    let proxy = Proxy::start().await;
    let request =
        json!({ "prompt": "A cat [[simulate:image-size=94x167]]", "size": "1024x1024", "background": "transparent" });
    for stream in [false, true] {
        let mut request = request.clone();
        request["stream"] = stream.into();
        let answer = proxy.post(GENERATIONS, &request).await;
        let facts = if stream { answer.events().remove(0) } else { answer.json() };
        assert_eq!((&facts["size"], &facts["background"]), (&json!("94x167"), &json!("transparent")), "{stream}");
    }
}

#[tokio::test]
async fn an_older_models_name_means_the_usual_one_and_that_is_said() {
    let proxy = Proxy::start().await;
    let answer =
        proxy.post(GENERATIONS, &json!({ "model": "dall-e-3", "prompt": "A cat", "quality": "standard" })).await;
    assert_eq!(answer.header("x-codex-proxy-model-asked"), "dall-e-3");
    assert_eq!(answer.header("x-codex-proxy-model-sent"), "gpt-image-2");
    assert_eq!(proxy.simulator.requests_to("/images/generations")[0].json()["model"], "gpt-image-2");
}

#[tokio::test]
async fn several_images_are_several_calls_of_which_four_run_at_once() {
    let proxy = Proxy::start().await;
    for index in 0..6 {
        let play = Scenario::ImageSize(10 + index, 10);
        proxy.next(play.delivered(Delivery::default()));
    }
    let document = proxy.post(GENERATIONS, &json!({ "prompt": "A cat", "n": 6 })).await.json();
    assert_eq!(proxy.simulator.requests_to("/images/generations").len(), 6);
    assert!(proxy.simulator.counters().peak_open_answers <= 4);
    let images = document["data"].as_array().unwrap();
    let mut sizes: Vec<_> = images.iter().map(|image| size(&image["b64_json"]).0).collect();
    assert!(images.iter().all(|image| image["size"] == format!("{}x10", size(&image["b64_json"]).0)), "each its own");
    sizes.sort_unstable();
    assert_eq!(sizes, [10, 11, 12, 13, 14, 15]);
    assert_eq!((document.get("size"), &document["quality"]), (None, &json!("medium")));
    assert_eq!(document["usage"]["output_tokens"], 6 * 515);

    for _ in 0..5 {
        proxy.next(Scenario::Stall(Duration::from_secs(1), Stage::Head));
    }
    let request = json!({ "prompt": "A cat", "n": 5, "stream": true });
    let asking = proxy.post(GENERATIONS, &request);
    let together = proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().open_answers == 4);
    let (answer, together) = tokio::join!(asking, together);
    assert!(together && proxy.simulator.counters().peak_open_answers == 4);
    assert_eq!(answer.types(), ["image_generation.completed"; 5]);
}

#[tokio::test]
async fn one_failure_of_several_ends_all() {
    let proxy = Proxy::start().await;
    let held = ScriptedAnswer::stream().bytes("{").step(ScriptStep::Hold);
    proxy.next(held.clone()).next(Scenario::Http(HttpFault::UsageLimit(60))).next(held);
    let answer = proxy.post(GENERATIONS, &json!({ "prompt": "A cat", "n": 3 })).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (429, "usage_limit_reached"));
    assert_eq!(answer.header("x-should-retry"), "false");
    let left = |simulator: &Simulator| simulator.counters().open_answers == 0;
    assert!(proxy.simulator.wait_until(Duration::from_secs(1), left).await, "the others are cancelled");
}

#[tokio::test]
async fn an_edit_takes_json_and_forms() {
    let proxy = Proxy::start().await;
    let data = format!("data:image/png;base64,{}", STANDARD.encode(picture(9)));
    let request = json!({ "prompt": "Night", "images": [{ "image_url": data }], "mask": { "image_url": data } });
    let answer = proxy.post(EDITS, &request).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);

    let fields = [("prompt", "Night"), ("size", "64x64"), ("model", "gpt-image-1"), ("n", "2"), ("user", "u")];
    let (one, two) = (picture(100), picture(200_000));
    let answer = post_form(&proxy, &fields, &[("image[]", &one), ("image[]", &two), ("mask", &one)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!((&answer.json()["size"], answer.header("x-codex-proxy-ignored")), (&json!("64x64"), "user"));
    let sent = proxy.simulator.requests_to("/images/edits");
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[1].bytes, sent[2].bytes);
    let body = sent[1].json();
    let file = |value: &Value| {
        let url = value["image_url"].as_str().unwrap().to_owned();
        STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap()
    };
    assert!(file(&body["images"][0]) == one && file(&body["images"][1]) == two && file(&body["mask"]) == one);

    let streamed = post_form(&proxy, &[("prompt", "Night"), ("stream", "true")], &[("image", &one)]).await;
    assert_eq!(streamed.types(), ["image_edit.completed"]);
}

#[tokio::test]
async fn a_request_that_cannot_be_asks_nobody() {
    let proxy = Proxy::start().await;
    let form = post_form(&proxy, &[("n", "2")], &[("image", &picture(1))]).await;
    assert_eq!((form.status.as_u16(), &form.error()["param"]), (400, &json!("prompt")));
    let form = post_form(&proxy, &[("prompt", "p")], &[("image", b"text")]).await;
    assert_eq!((form.status.as_u16(), &form.error()["param"]), (400, &json!("image[0]")));
    for (path, request, field) in [
        (GENERATIONS, json!({}), json!("prompt")),
        (GENERATIONS, json!({ "prompt": "p", "response_format": "url" }), json!("response_format")),
        (GENERATIONS, json!({ "prompt": "p", "model": "x".repeat(9000) }), json!("model")),
        (EDITS, json!({ "prompt": "p" }), json!("images")),
        (EDITS, json!([]), json!(null)),
    ] {
        let answer = proxy.post(path, &request).await;
        assert_eq!((answer.status.as_u16(), &answer.error()["param"]), (400, &field), "{}", answer.text);
    }
    assert_eq!(proxy.simulator.requests_to("/images/generations").len(), 0);
    assert_eq!(proxy.simulator.requests_to("/images/edits").len(), 0);
}

#[tokio::test]
async fn a_stream_has_what_the_backend_sends() {
    let proxy = Proxy::start().await;
    let answer = proxy.post(GENERATIONS, &streamed()).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/event-stream"));
    let events = answer.events();
    assert_eq!(answer.types(), ["image_generation.completed"], "the backend answers with a document");
    assert_eq!(size(&events[0]["b64_json"]), (1254, 1254));
    assert_eq!(events[0]["usage"]["total_tokens"], 517);
    assert_eq!(proxy.simulator.requests_to("/images/generations")[0].header("accept"), "text/event-stream");

    for delivery in [Delivery::default(), Delivery::split(1000), Delivery { crlf: true, ..Delivery::default() }] {
        proxy.next(Scenario::ImageStream(2).delivered(delivery));
        let answer = proxy.post(GENERATIONS, &streamed()).await;
        let partial = "image_generation.partial_image";
        assert_eq!(answer.types(), [partial, partial, "image_generation.completed"]);
        assert_eq!(answer.events()[1]["partial_image_index"], 1);
        assert_eq!(size(&answer.events()[2]["b64_json"]), (1254, 1254));
        assert!(answer.text.starts_with(&format!("event: {partial}\ndata: {{")), "named events");
    }
    proxy.next(Scenario::ImageStream(1));
    let document = proxy.post(GENERATIONS, &cat()).await.json();
    assert_eq!(size(&document["data"][0]["b64_json"]), (1254, 1254), "events may answer a document's request too");
}

#[tokio::test]
async fn a_failure_has_a_status_until_something_was_sent_and_is_an_event_afterwards() {
    let proxy = Proxy::start().await;
    let failure =
        |moment| Scenario::Fail(StreamFailure::of("content_policy_violation"), FailureShape::NestedError, moment);
    for request in [cat(), streamed()] {
        for (play, status, code) in [
            (failure(Moment::BeforeOutput), 400, "content_policy_violation"),
            (Scenario::Http(HttpFault::ContextLength), 400, "context_length_exceeded"),
            (Scenario::Http(HttpFault::Forbidden), 403, "unsupported_country_region_territory"),
            (Scenario::Http(HttpFault::Cloudflare), 502, "upstream_blocked"),
            (Scenario::Http(HttpFault::Overloaded), 503, "server_is_overloaded"),
            (Scenario::JsonErrorWithOk, 502, "server_error"),
            (Scenario::HtmlWithOk, 502, "upstream_invalid_response"),
            (Scenario::EmptyBody, 502, "upstream_stream_interrupted"),
            (Scenario::Cut(Moment::AfterOutput), 502, "upstream_stream_interrupted"),
            (Scenario::Raw("{\"data\":[]}".into()), 502, "upstream_invalid_response"),
        ] {
            let told = format!("{play:?}");
            let answer = proxy.next(play).post(GENERATIONS, &request).await;
            assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code), "{told}: {answer:?}");
            assert_eq!(proxy.simulator.queued(), 0, "{told}");
        }
    }
    let answer = proxy.next(failure(Moment::AfterOutput)).post(GENERATIONS, &streamed()).await;
    assert_eq!(answer.types(), ["image_generation.partial_image", "error"]);
    assert_eq!(answer.events()[1]["error"]["code"], "content_policy_violation");
    let buffered = proxy.next(failure(Moment::AfterOutput)).post(GENERATIONS, &cat()).await;
    assert_eq!((buffered.status.as_u16(), buffered.error_code().as_str()), (400, "content_policy_violation"));
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_until_the_backend_has_begun() {
    let proxy = Proxy::start().await;
    let answer =
        proxy.next(Scenario::Http(HttpFault::ServerError)).next(Scenario::HangUp).post(GENERATIONS, &cat()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(proxy.simulator.requests_to("/images/generations").len(), 3);
    let cut = proxy.next(Scenario::Cut(Moment::AfterOutput)).post(GENERATIONS, &cat()).await;
    assert_eq!(cut.status.as_u16(), 502);
    assert_eq!(proxy.simulator.requests_to("/images/generations").len(), 4, "the image has been paid for");
}

#[tokio::test]
async fn a_rejected_token_is_renewed() {
    let proxy = Proxy::start().await;
    proxy.simulator.invalidate_access_tokens();
    let answer = proxy.post(GENERATIONS, &json!({ "prompt": "A cat", "n": 4 })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(proxy.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn another_model_is_told_or_refused() {
    let substituted = || Scenario::Substituted(Substitution::new("gpt-image-1-mini", Told::Everywhere));
    let proxy = Proxy::start().await;
    let answer = proxy.next(substituted()).post(GENERATIONS, &cat()).await;
    assert_eq!(answer.header("x-codex-proxy-model-answered"), "gpt-image-1-mini");
    let settings = ServerSettings { strict_model: true, ..ServerSettings::default() };
    let strict = Proxy::with(Setup { settings, ..Setup::default() }).await;
    for request in [cat(), streamed()] {
        let answer = strict.next(substituted()).post(GENERATIONS, &request).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (502, "model_substituted"));
    }
}

#[tokio::test]
async fn an_answer_whose_image_is_none_is_an_answer_without_an_image() {
    let proxy = Proxy::start().await;
    for image in ["", "no base64!", "A"] {
        let document = json!({ "created": 1, "data": [{ "b64_json": image }] }).to_string();
        let event = json!({ "type": "image_generation.completed", "b64_json": image, "created_at": 1 });
        let event = format!("event: image_generation.completed\ndata: {event}\n\n");
        for (request, answered) in
            [(cat(), document.clone()), (streamed(), document), (cat(), event.clone()), (streamed(), event)]
        {
            let answer = proxy.next(ScriptedAnswer::stream().bytes(answered.clone())).post(GENERATIONS, &request).await;
            let told = (answer.status.as_u16(), answer.error_code());
            assert_eq!(told, (502, "upstream_invalid_response".to_owned()), "{answered} {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_moderated_prompt_is_refused_alike_wherever_it_is_told() {
    let proxy = Proxy::start().await;
    let event =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"no\",\"code\":\"moderation_blocked\"}}\n\n";
    let status = || ScriptedAnswer::error(StatusCode::BAD_REQUEST, "", Some("moderation_blocked"), "no");
    for request in [cat(), streamed()] {
        for answered in [ScriptedAnswer::stream().bytes(event), status()] {
            let answer = proxy.next(answered).post(GENERATIONS, &request).await;
            let told = (answer.status.as_u16(), answer.error_code(), answer.header("x-should-retry").to_owned());
            assert_eq!(told, (400, "moderation_blocked".to_owned(), "false".to_owned()), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_waiting_stream_is_kept_alive_and_a_late_failure_is_its_last_event() {
    let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let stalled = || Scenario::Stall(Duration::from_secs(1), Stage::Head);
    let answer = proxy.next(stalled()).post(GENERATIONS, &streamed()).await;
    assert!(answer.text.starts_with(": keepalive\n"), "{:.100}", answer.text);
    assert_eq!(answer.types().last().map(String::as_str), Some("image_generation.completed"));
    let middle =
        proxy.next(Scenario::Stall(Duration::from_secs(1), Stage::Middle)).post(GENERATIONS, &streamed()).await;
    assert!(middle.text.starts_with(": keepalive\n"));

    let late =
        ScriptedAnswer::error(StatusCode::BAD_REQUEST, "image_generation_user_error", Some("moderation_blocked"), "no");
    let answer = proxy.next(late.delayed(Duration::from_secs(1))).post(GENERATIONS, &streamed()).await;
    assert_eq!((answer.status, answer.types()), (StatusCode::OK, vec!["error".to_owned()]));
    assert_eq!(answer.events()[0]["error"]["code"], "moderation_blocked");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_calls_along() {
    let proxy = Proxy::start().await;
    for (request, begun) in [(json!({ "prompt": "p", "n": 2 }), "{"), (streamed(), ": hello\n\n")] {
        proxy.simulator.forget_requests();
        let count = request["n"].as_u64().unwrap_or(1);
        for _ in 0..count {
            proxy.next(ScriptedAnswer::stream().bytes(begun).step(ScriptStep::Hold));
        }
        let asking = proxy.http.post(format!("{}{GENERATIONS}", proxy.base)).json(&request).send();
        tokio::select! {
            answer = asking => panic!("{answer:?}"),
            asked = proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().open_answers == count) => {
                assert!(asked);
            }
        }
        let left = |simulator: &Simulator| {
            let requests = simulator.requests_to("/images/generations");
            requests.iter().all(|request| request.outcome == AnswerOutcome::Disconnected)
        };
        assert!(proxy.simulator.wait_until(Duration::from_secs(1), left).await, "within a second");
    }
}

#[tokio::test]
async fn a_shutdown_ends_a_waiting_stream_with_an_error() {
    let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    proxy.next(ScriptedAnswer::stream().bytes("{").step(ScriptStep::Hold));
    let asking = proxy.http.post(format!("{}{GENERATIONS}", proxy.base)).json(&streamed()).send();
    let response = asking.await.unwrap();
    proxy.stop();
    let answer = Answer::read_any(response).await;
    assert_eq!(answer.events().last().map(|event| event["error"]["code"].clone()), Some(json!("shutting_down")));
}

#[tokio::test]
async fn twenty_megabytes_pass_in_both_directions() {
    const LARGE: usize = 20 << 20;
    let proxy = Proxy::start().await;
    for stream in [false, true] {
        let answer =
            proxy.next(Scenario::HugeImage(LARGE)).post(GENERATIONS, &json!({ "prompt": "p", "stream": stream })).await;
        let image =
            if stream { answer.events()[0]["b64_json"].clone() } else { answer.json()["data"][0]["b64_json"].clone() };
        assert!(image.as_str().unwrap().len() > LARGE / 3 * 4);
        assert_eq!(size(&image), (1254, 1254));
    }
    let picture = picture(LARGE);
    let answer = post_form(&proxy, &[("prompt", "p")], &[("image", &picture)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let sent = proxy.simulator.requests_to("/images/edits").remove(0).json();
    let url = sent["images"][0]["image_url"].as_str().unwrap();
    assert!(STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap() == picture);
}

#[tokio::test]
async fn images_share_the_memory_of_bodies() {
    const LARGE: usize = 1 << 20;
    let settings = ServerSettings { body_memory: 5 * LARGE, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    for stream in [false, true] {
        let asked = json!({ "prompt": "p", "stream": stream, "partial_images": 1 });
        // In base64, and once as it came and once as the client gets it.
        let answer = proxy.next(Scenario::HugeImage(2 * LARGE)).post(GENERATIONS, &asked).await;
        let (status, code) = (answer.status.as_u16(), "too_many_concurrent_requests");
        assert_eq!((status, answer.error_code().as_str()), (503, code), "{stream}");
        // What was taken is given back, by the end of an answer and by each image that was read.
        for _ in 0..4 {
            let answer = proxy.next(Scenario::HugeImage(LARGE)).post(GENERATIONS, &asked).await;
            assert_eq!(answer.status, StatusCode::OK, "{stream}: {}", answer.text);
        }
    }
    // Four at a time find room, and all eight do not: each is given back once it is read.
    let several = json!({ "prompt": "p", "stream": true, "n": 8 });
    for _ in 0..8 {
        proxy.next(Scenario::HugeImage(LARGE / 4));
    }
    let events = proxy.post(GENERATIONS, &several).await.events();
    assert_eq!(events.iter().filter(|event| event["b64_json"].is_string()).count(), 8, "{}", events.len());
}

#[tokio::test]
async fn a_form_counts_against_the_limits_of_bodies() {
    let settings = ServerSettings { max_body_size: 10_000, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let answer = post_form(&proxy, &[("prompt", "p")], &[("image", &picture(20_000))]).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "request_too_large"));
    assert_eq!(post_form(&proxy, &[("prompt", "p")], &[("image", &picture(5_000))]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_log_and_the_metrics_know_the_route() {
    let proxy = Proxy::start().await;
    proxy.post("/backend-api/codex/images/generations", &cat()).await;
    proxy.post(GENERATIONS, &cat()).await;
    let name = r#"codex_proxy_requests_total{route="/images/generations",status="200"}"#;
    assert_eq!(proxy.metric(name).await, "2");
}
