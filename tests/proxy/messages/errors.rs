//! Errors in the API's shape, and keys.

use codex_proxy::models::Models;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{FailureShape, HttpFault, Moment, Scenario, ScriptedAnswer, StreamFailure};
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::harness::Setup;

#[tokio::test]
async fn errors_are_those_that_clients_act_on() {
    let proxy = Proxy::start().await;
    for (failure, status, kind, words) in [
        (StreamFailure::of("context_length_exceeded"), 400, "invalid_request_error", "prompt is too long: "),
        (StreamFailure::of("usage_limit_reached"), 429, "rate_limit_error", ""),
        (StreamFailure::of("server_is_overloaded"), 529, "overloaded_error", ""),
    ] {
        for stream in [false, true] {
            proxy.next(Scenario::Fail(failure.clone(), FailureShape::Failed, Moment::BeforeOutput));
            let mut body = asked("hi");
            body["stream"] = stream.into();
            let answer = ask(&proxy, &body).await;
            let error = answer.json();
            assert_eq!(answer.status.as_u16(), status, "{failure:?}: {error}");
            assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)));
            assert!(error["error"]["message"].as_str().unwrap().starts_with(words), "{error}");
            assert_eq!(answer.header("request-id"), error["request_id"].as_str().unwrap());
        }
    }
    // After the beginning it is the stream's last event.
    proxy.next(Scenario::Fail(StreamFailure::of("server_is_overloaded"), FailureShape::Failed, Moment::AfterOutput));
    let mut body = asked("hi");
    body["stream"] = true.into();
    let answer = ask(&proxy, &body).await;
    let last = answer.text.trim_end().rsplit("\n\n").next().unwrap();
    let error: Value = serde_json::from_str(last.strip_prefix("event: error\ndata: ").unwrap()).unwrap();
    assert_eq!(error["error"]["type"], "overloaded_error");
    assert!(!answer.text.contains("message_stop"));
    for path in ["/v1/messages/batches", "/v1/messages/nothing", "/v1/complete"] {
        let error = proxy.post(path, &json!({})).await.json();
        assert_eq!(error["error"]["type"], "not_found_error", "{path}: {error}");
    }
    let files = proxy.http.get(format!("{}/v1/files", proxy.base)).header("anthropic-version", "2026-10-21");
    let error = Answer::read(files.send().await.unwrap()).await.json();
    assert_eq!(error["error"]["type"], "not_found_error", "{error}");
    let broken = json!({ "model": "m", "messages": [{ "role": "user", "content": [
        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "?" } } ] }] });
    let calls = proxy.calls();
    assert_eq!(ask(&proxy, &broken).await.json()["error"]["message"], "Could not process image");
    assert_eq!(proxy.calls(), calls, "nothing was asked");
}

#[tokio::test]
async fn a_key_in_either_header_opens_and_a_wrong_one_is_said_in_the_apis_shape() {
    let mut settings = ServerSettings::default();
    settings.guard.api_keys = Keys::new(["k"]);
    let proxy = Proxy::with(Setup { settings, models: Models::default(), ..Setup::default() }).await;
    let send = |headers: &[(&'static str, &'static str)]| {
        let mut request =
            proxy.http.post(format!("{}/v1/messages", proxy.base)).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(asked("hi").to_string());
        async move { Answer::read(request.send().await.unwrap()).await }
    };
    for headers in [&[("x-api-key", "k")][..], &[("authorization", "Bearer k"), ("x-api-key", "other")]] {
        assert_eq!(send(headers).await.status, 200);
    }
    let answer = send(&[("x-api-key", "wrong")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (401, "false"));
    assert_eq!(answer.json()["error"]["type"], "authentication_error");
    let probe = proxy.http.head(format!("{}/api/hello", proxy.base)).send().await.unwrap();
    assert_eq!(probe.status(), 200, "there is a server");
}

#[tokio::test]
async fn refusals_of_the_backends_have_the_types_of_the_api() {
    let proxy = Proxy::start().await;
    for (fault, status, kind, retry) in [
        (HttpFault::CyberPolicy, 400, "policy_blocked", "false"),
        (HttpFault::Coded(400, "bio_policy"), 400, "policy_blocked", "false"),
        (HttpFault::Coded(400, "inference_hook_denied"), 400, "policy_blocked", "false"),
        (HttpFault::Coded(403, "access_program_not_enabled"), 400, "policy_blocked", "false"),
        (HttpFault::Coded(400, "invalid_prompt"), 400, "policy_blocked", "false"),
        (HttpFault::Coded(400, "image_content_policy_violation"), 400, "policy_blocked", "false"),
        (HttpFault::Coded(400, "file_content_policy_violation"), 400, "policy_blocked", "false"),
        (HttpFault::ContextLength, 400, "invalid_request_error", "false"),
        (HttpFault::UsageNotIncluded, 402, "billing_error", "false"),
        (HttpFault::UsageLimit(13_872), 429, "rate_limit_error", "false"),
        (HttpFault::TooLarge, 413, "request_too_large", "false"),
        (HttpFault::Overloaded, 529, "overloaded_error", ""),
    ] {
        proxy.next(Scenario::Http(fault));
        let answer = ask(&proxy, &asked("hi")).await;
        let error = answer.json();
        assert_eq!((answer.status.as_u16(), &error["error"]["type"]), (status, &json!(kind)), "{fault:?}: {error}");
        assert_eq!(answer.header("x-should-retry"), retry, "{fault:?}");
        assert!(answer.header("retry-after").is_empty() || status == 429 || status == 529, "{fault:?}");
        assert!(kind != "policy_blocked" || !answer.text.contains("Could not process"), "{}", answer.text);
    }
    let mut body = asked("hi");
    body["model"] = "gpt-9".into();
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (404, "false"), "{}", answer.text);
    let error = &answer.json()["error"];
    assert_eq!(error["type"], "not_found_error");
    assert!(error["message"].as_str().unwrap().starts_with("model: The 'gpt-9' model is not supported"), "{error}");
    for scenario in [Scenario::Cut(Moment::BeforeOutput), Scenario::Http(HttpFault::Cloudflare)] {
        // It is tried again by the proxy, and fails again.
        for _ in 0..3 {
            proxy.next(scenario.clone());
        }
        let answer = ask(&proxy, &asked("hi")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["type"]),
            (502, &json!("api_error")),
            "{scenario:?}"
        );
        while proxy.simulator.queued() > 0 {
            ask(&proxy, &asked("hi")).await;
        }
    }
    let nobody = Proxy::with(Setup { login: false, ..Setup::default() }).await;
    let answer = ask(&nobody, &asked("hi")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (401, "false"));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("login"), "{}", answer.text);
}

/// Claude Code removes the image or the document from its conversation on these words.
#[tokio::test]
async fn a_file_that_the_backend_cannot_read_is_named_in_the_clients_words() {
    let proxy = Proxy::start().await;
    for (code, words) in [
        ("invalid_image", "Could not process image"),
        ("invalid_image_format", "Could not process image"),
        ("invalid_file", "Could not process PDF"),
        ("unsupported_file", "Could not process PDF"),
        ("file_too_large", "Could not process PDF"),
        ("pdf_parse_error", "Could not process PDF"),
    ] {
        proxy.next(Scenario::Http(HttpFault::Coded(400, code)));
        let answer = ask(&proxy, &asked("hi")).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), &error["message"]), (400, &json!(words)), "{code}: {error}");
        assert_eq!((&error["type"], &error["details"]["error_code"]), (&json!("invalid_request_error"), &json!(code)));
    }
    proxy.next(Scenario::Http(HttpFault::Coded(400, "profile_incomplete")));
    let words = ask(&proxy, &asked("hi")).await.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(!words.contains("Could not process"), "{words}");
}

/// An error as the backend sends it, as a status and inside a stream that has not begun to answer.
async fn refusals(proxy: &Proxy, error: &Value) -> Vec<Answer> {
    let failed = json!({ "type": "response.failed", "response": { "status": "failed", "error": error } });
    let mut answers = Vec::new();
    for play in [
        ScriptedAnswer::json(StatusCode::BAD_REQUEST, &json!({ "error": error })),
        ScriptedAnswer::stream().bytes(format!("data: {failed}\n\n")),
    ] {
        proxy.next(play);
        answers.push(ask(proxy, &asked("hi")).await);
        assert_eq!(proxy.simulator.queued(), 0);
    }
    answers
}

/// The codex client, too, knows this rejection by its text alone.
#[tokio::test]
async fn an_image_or_an_overflow_that_only_the_text_names_is_recognised() {
    let proxy = Proxy::start().await;
    let image = "The image data you provided does not represent a valid image. Please check your input and try again.";
    let overflow = "Your input exceeds the context window of this model. Please adjust your input and try again.";
    let mut answers = Vec::new();
    for (text, code, param) in [
        (image, Value::Null, Value::Null),
        (image, json!("invalid_value"), json!("input")),
        (image, json!("invalid_value"), json!("input[0].content[0].image_url")),
        (image, json!("invalid_request_error"), Value::Null),
        (overflow, Value::Null, Value::Null),
        (overflow, json!("invalid_value"), json!("input")),
    ] {
        let error = json!({ "message": text, "type": "invalid_request_error", "code": code, "param": param });
        answers.extend(refusals(&proxy, &error).await.into_iter().map(|answer| (text, answer)));
        let untyped = json!({ "message": text, "code": code });
        answers.extend(refusals(&proxy, &untyped).await.into_iter().map(|answer| (text, answer)));
    }
    for text in [image, overflow] {
        proxy.next(ScriptedAnswer::json(StatusCode::BAD_REQUEST, &json!({ "detail": text })));
        answers.push((text, ask(&proxy, &asked("hi")).await));
    }
    for (text, answer) in answers {
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (400, "false"), "{}", answer.text);
        assert_eq!(error["type"], "invalid_request_error", "{error}");
        let message = error["message"].as_str().unwrap();
        if text == image {
            assert_eq!(message, "Could not process image");
        } else {
            assert!(message.starts_with("prompt is too long: ") && message.ends_with(" maximum"), "{message}");
        }
    }
}

#[tokio::test]
async fn what_would_change_the_answers_meaning_is_refused_by_its_name() {
    let proxy = Proxy::start().await;
    for (key, value) in [
        ("safeguards", json!([{ "type": "something" }])),
        ("mcp_servers", json!([{ "type": "url", "url": "https://s.example", "name": "s" }])),
    ] {
        let mut body = asked("hi");
        body[key] = value;
        let answer = ask(&proxy, &body).await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (400, "false"), "{}", answer.text);
        assert!(message.starts_with(&format!("{key}: ")), "{message}");
        body[key] = json!([]);
        assert_eq!(ask(&proxy, &body).await.status, 200, "an empty list asks for nothing");
    }
    assert_eq!(proxy.calls(), 2);
}
