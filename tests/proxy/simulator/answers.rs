//! The simulated backend's answers: shaped like the real ones, and going wrong in every way when told to.

use std::time::Duration;

use super::support::{Answer, Backend, body, function, open, send, user};
use codex_proxy::platform::Instant;
use codex_proxy::simulator::{
    AnswerOutcome, Delivery, Ending, FailureShape, HttpFault, Limits, Moment, Scenario, ScriptStep, ScriptedAnswer,
    SimulatedWindow, Stage, StreamFailure,
};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};

/// The text of all messages.
fn text(answer: &Answer) -> String {
    let parts = answer.items().into_iter().flat_map(|item| item["content"].as_array().cloned().unwrap_or_default());
    parts.filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
}

/// The deltas of one kind, joined.
fn deltas(answer: &Answer, kind: &str) -> String {
    let events = answer.frames().into_iter().filter(|event| event["type"] == kind);
    events.map(|event| event["delta"].as_str().unwrap().to_owned()).collect()
}

fn last(answer: &Answer) -> Value {
    answer.frames().last().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_plain_answer_has_the_real_streams_traits() {
    let backend = Backend::start().await;
    let mut request = body("Bonjour, ça va? 👩‍🚀");
    request["instructions"] = json!("Be brief.");
    request["reasoning"] = json!({ "summary": "auto" });
    let answer = backend.ask(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers.get("content-type"), None);
    assert_eq!(answer.header("x-simulation"), "true");
    assert_eq!(answer.header("x-codex-primary-window-minutes"), "10080");
    assert!(!answer.header("x-oai-request-id").is_empty() && answer.header("x-models-etag").starts_with("W/"));
    assert!(answer.text.starts_with("event: response.created\ndata: {"));

    let events = answer.frames();
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert!(numbers.iter().enumerate().all(|(index, number)| *number == index as u64));
    let types = answer.types();
    for kind in ["codex.rate_limits", "response.metadata", "keepalive", "response.simulation.noted"] {
        assert!(types.iter().any(|seen| seen == kind), "{kind}");
    }
    let completed = &last(&answer)["response"];
    assert_eq!((&completed["output"], &completed["instructions"]), (&json!([]), &json!("Be brief.")));
    assert!(completed["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);

    assert_eq!(answer.items()[0]["summary"].as_array().unwrap().len(), 2);
    assert!(answer.items()[0]["encrypted_content"].as_str().unwrap().starts_with("gAAAA"));
    assert_eq!(answer.items()[1]["phase"], "final_answer");
    assert!(text(&answer).contains("simulation") && text(&answer).contains("Bonjour, ça va? 👩‍🚀"));
    assert_eq!(deltas(&answer, "response.output_text.delta"), text(&answer));
    assert!(events.iter().any(|event| event["obfuscation"].is_string()));
}

#[tokio::test]
async fn tools_are_called_as_the_request_wants_it() {
    let backend = Backend::start().await;
    let names = |answer: &Answer| -> Vec<String> {
        answer.items().iter().filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    };
    let mut request = body("Use get_weather and run_command.");
    request["tools"] =
        json!([function("get_weather", "city"), function("run_command", "command"), function("other", "x")]);
    let answer = backend.ask(&request).await;
    assert_eq!(names(&answer), ["get_weather", "run_command"]);
    assert_eq!(answer.items()[0]["arguments"], "{\"city\":\"Paris\"}");
    assert_eq!(answer.items()[1]["arguments"], "{\"command\":\"echo simulated\"}");
    request["parallel_tool_calls"] = json!(false);
    assert_eq!(names(&backend.ask(&request).await), ["get_weather"]);
    request["tool_choice"] = json!({ "type": "function", "name": "other" });
    assert_eq!(names(&backend.ask(&request).await), ["other"]);
    request["tool_choice"] = json!("none");
    assert!(names(&backend.ask(&request).await).is_empty());
    request["input"] = json!([user("Hello")]);
    request["tool_choice"] = json!("required");
    assert_eq!(names(&backend.ask(&request).await), ["get_weather"]);
    request["tool_choice"] = json!("auto");
    assert!(names(&backend.ask(&request).await).is_empty());
    request["tools"] = json!([function("get_weather", "city")]);
    let called = backend.ask(&request).await;
    assert_eq!(names(&called), ["get_weather"]);

    let call = called.items()[0].clone();
    let output = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "18 °C, sunny" });
    request["input"] = json!([user("Hello"), call, output]);
    let answer = backend.ask(&request).await;
    assert!(names(&answer).is_empty() && text(&answer).contains("“18 °C, sunny”"));
}

#[tokio::test]
async fn formats_images_and_hosted_tools_are_honoured() {
    let backend = Backend::start().await;
    let mut request = body("Hello");
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "tags"],
        "properties": {
            "name": { "type": "string" },
            "tags": { "type": "array", "items": { "type": "string", "enum": ["a", "b"] } },
        },
    });
    request["text"] = json!({ "format": { "type": "json_schema", "name": "x", "strict": true, "schema": schema } });
    let document: Value = serde_json::from_str(&text(&backend.ask(&request).await)).unwrap();
    assert_eq!(document, json!({ "name": "simulated", "tags": ["a"] }));
    let mut request = body("Hello JSON");
    request["text"] = json!({ "format": { "type": "json_object" } });
    let document: Value = serde_json::from_str(&text(&backend.ask(&request).await)).unwrap();
    assert_eq!(document["you_said"], "Hello JSON");

    let image = json!({ "type": "input_image", "image_url": "https://example.com/a.png" });
    let mut request = body("Look");
    request["input"] = json!([{ "type": "message", "role": "user", "content": [image, image] }]);
    assert!(text(&backend.ask(&request).await).contains("I received 2 images."));

    let mut request = body("web_search for cafés, then image_generation");
    request["tools"] = json!([{ "type": "web_search" }, { "type": "image_generation" }]);
    let answer = backend.ask(&request).await;
    let kinds: Vec<Value> = answer.items().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds[..3], [json!("web_search_call"), json!("message"), json!("image_generation_call")]);
    let cited = &answer.items()[1]["content"][0];
    let shown: Vec<String> = cited["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|annotation| {
            let index = |name: &str| usize::try_from(annotation[name].as_u64().unwrap()).unwrap();
            let (start, end) = (index("start_index"), index("end_index"));
            cited["text"].as_str().unwrap().chars().skip(start).take(end - start).collect()
        })
        .collect();
    assert_eq!(shown, ["the café “Example” is open", "see the source."]);
}

#[tokio::test]
async fn cached_tokens_grow_with_the_conversation() {
    let backend = Backend::start().await;
    let mut request = body(&"A long prompt. ".repeat(200));
    request["prompt_cache_key"] = json!("one");
    let cached =
        |answer: Answer| last(&answer)["response"]["usage"]["input_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert_eq!(cached(backend.ask(&request).await), 0);
    let second = cached(backend.ask(&request).await);
    assert!(second >= 512);
    request["prompt_cache_key"] = json!("two");
    assert_eq!(cached(backend.ask(&request).await), 0);
}

#[tokio::test]
async fn calls_come_in_every_shape() {
    let backend = Backend::start().await;
    let kind = "response.function_call_arguments.delta";
    let plain = backend.play(Scenario::InterleavedCalls).await;
    let indices: Vec<u64> = plain
        .frames()
        .iter()
        .filter(|event| event["type"] == kind)
        .map(|event| event["output_index"].as_u64().unwrap())
        .collect();
    assert_eq!(indices[..4], [0, 1, 0, 1]);
    assert_ne!(plain.items()[0]["call_id"], plain.items()[1]["call_id"]);
    assert_eq!(plain.items()[0]["name"], "get_time", "the second call ends first");

    let done = backend.play(Scenario::ArgumentsOnlyInDone).await;
    assert_eq!(deltas(&done, kind), "");
    assert!(done.types().iter().any(|kind| kind == "response.function_call_arguments.done"));
    let item = backend.play(Scenario::ArgumentsOnlyInItem).await;
    assert!(!item.types().iter().any(|kind| kind.contains("arguments")));
    assert_eq!(item.items()[0]["arguments"], "{\"city\":\"Paris\"}");

    let types = backend.play(Scenario::DeltaBeforeItem).await.types();
    let position = |name: &str| types.iter().position(|kind| kind == name).unwrap();
    assert!(position(kind) < position("response.output_item.added"));
    assert!(backend.play(Scenario::StrayDelta).await.text.contains("fc_nobody"));
    assert_eq!(backend.play(Scenario::CustomToolCall).await.items()[0]["type"], "custom_tool_call");
    let id = backend.play(Scenario::LongIds).await.items()[0]["id"].as_str().unwrap().len();
    assert_eq!(id, 400);
}

#[tokio::test]
async fn texts_come_in_every_shape() {
    let backend = Backend::start().await;
    let done = backend.play(Scenario::TextOnlyInDone).await;
    assert_eq!(deltas(&done, "response.output_text.delta"), "");
    assert!(done.types().iter().any(|kind| kind == "response.output_text.done"));
    let item = backend.play(Scenario::TextOnlyInItem).await;
    assert!(!item.types().iter().any(|kind| kind.contains("output_text") || kind.contains("content_part")));
    assert!(text(&item).contains("simulation"));
    let single = backend.play(Scenario::SingleDelta).await;
    assert_eq!(single.types().iter().filter(|kind| kind.ends_with("output_text.delta")).count(), 1);
    assert_eq!(deltas(&single, "response.output_text.delta"), text(&single));
    assert_eq!(backend.play(Scenario::SeveralMessages).await.items().len(), 3);
    assert_eq!(backend.play(Scenario::SeveralReasoningItems).await.items().len(), 3);
    assert_eq!(
        deltas(&backend.play(Scenario::RawReasoning).await, "response.reasoning_text.delta"),
        "raw thought oneraw thought two"
    );
    let refusal = backend.play(Scenario::Refusal).await;
    assert!(deltas(&refusal, "response.refusal.delta").contains("can’t"));
    let huge = backend.play(Scenario::HugeImage(5 << 20)).await;
    assert_eq!(huge.items()[0]["result"].as_str().unwrap().len(), 5 << 20);
}

#[tokio::test]
async fn streams_fail_inside_a_200() {
    let backend = Backend::start().await;
    for (code, _) in StreamFailure::CODES {
        for shape in [FailureShape::Failed, FailureShape::NestedError, FailureShape::FlatError] {
            for moment in [Moment::BeforeOutput, Moment::AfterOutput] {
                let answer = backend.play(Scenario::Fail(StreamFailure::of(code), shape, moment)).await;
                assert_eq!(answer.status, 200);
                let has_output = !deltas(&answer, "response.output_text.delta").is_empty();
                assert_eq!(has_output, moment == Moment::AfterOutput);
                let event = last(&answer);
                let told = match shape {
                    FailureShape::Failed => &event["response"]["error"]["code"],
                    FailureShape::NestedError => &event["error"]["code"],
                    _ => &event["code"],
                };
                assert_eq!(told, code);
            }
        }
    }
    let types = backend.ask(&body("[[simulate:overloaded]]")).await.types();
    assert!(types.ends_with(&["error".to_owned(), "response.failed".to_owned()]));
    let answer = backend.ask(&body("[[simulate:rate-limit=3]]")).await;
    assert!(last(&answer)["response"]["error"]["message"].as_str().unwrap().contains("Please try again in 3s."));
    let answer = backend.ask(&body("[[simulate:incomplete=content_filter]]")).await;
    assert_eq!(last(&answer)["response"]["incomplete_details"]["reason"], "content_filter");
}

#[tokio::test]
async fn connections_break_where_they_are_told_to() {
    let backend = Backend::start().await;
    let before = backend.play(Scenario::Cut(Moment::BeforeOutput)).await;
    assert!(!before.whole && before.types().contains(&"response.created".to_owned()));
    assert!(!before.text.contains("output_item"));
    let after = backend.play(Scenario::Cut(Moment::AfterOutput)).await;
    assert!(!after.whole && !deltas(&after, "response.output_text.delta").is_empty());
    let middle = backend.play(Scenario::CutMidEvent).await;
    assert!(!middle.whole && !middle.text.ends_with('\n'));
    let clean = backend.play(Scenario::EndWithoutTerminal).await;
    assert!(clean.whole && !clean.text.contains("response.completed") && !clean.items().is_empty());
    assert_eq!(backend.play(Scenario::EmptyBody).await.text, "");
    let broken = backend.play(Scenario::MalformedEvent).await;
    assert!(broken.whole && broken.text.contains("\"del\n\n"));
    assert_eq!(deltas(&broken, "response.output_text.delta"), text(&broken));
}

#[tokio::test]
async fn a_connection_may_close_without_an_answer() {
    let backend = Backend::start().await;
    backend.simulator.queue(Scenario::HangUp);
    assert!(open(backend.request(&body("Hello"))).await.is_err());
    assert_eq!(backend.ask(&body("Hello")).await.status, 200);
}

#[tokio::test]
async fn the_last_event_comes_in_every_shape() {
    let backend = Backend::start().await;
    let usual = backend.play(Scenario::Default).await;
    assert_eq!(last(&usual)["response"]["output"], json!([]));
    let null = backend.play(Scenario::Ending(Ending::NullOutput)).await;
    assert_eq!(last(&null)["response"]["output"], Value::Null);
    let full = backend.play(Scenario::Ending(Ending::FullOutput)).await;
    assert_eq!(last(&full)["response"]["output"], json!(full.items()));
    let bare = backend.play(Scenario::Ending(Ending::BareUsage)).await;
    assert_eq!(last(&bare)["response"]["usage"].as_object().unwrap().len(), 3);
    let none = backend.play(Scenario::Ending(Ending::NoUsage)).await;
    assert_eq!(last(&none)["response"]["usage"], Value::Null);
}

#[tokio::test]
async fn silence_is_kept_and_ends() {
    let backend = Backend::start().await;
    let pause = Duration::from_millis(80);
    for stage in [Stage::Head, Stage::Output, Stage::Middle, Stage::Terminal] {
        let begun = Instant::now();
        let answer = backend.play(Scenario::Stall(pause, stage)).await;
        assert!(begun.elapsed() >= pause, "{stage:?}");
        assert_eq!(last(&answer)["type"], "response.completed");
    }
}

#[tokio::test]
async fn every_http_fault_has_its_status_and_body() {
    let backend = Backend::start().await;
    let expected = [
        (401, "Unauthorized"),
        (401, "token_invalidated"),
        (401, "token_expired"),
        (401, "account_deactivated"),
        (402, "deactivated_workspace"),
        (403, "unsupported_country"),
        (403, "Just a moment"),
        (404, "Model not found gpt-6.1-sol"),
        (404, ""),
        (408, "timeout"),
        (413, "too large"),
        (429, "resets_in_seconds"),
        (429, "resets_in_seconds"),
        (429, "usage_not_included"),
        (429, ""),
        (400, "cyber_policy"),
        (400, "context_length_exceeded"),
        (400, "invalid_encrypted_content"),
        (500, "server_error"),
        (502, "Bad Gateway"),
        (503, "server_is_overloaded"),
        (503, "slow_down"),
        (504, "Gateway Time-out"),
        (400, "misalignment_policy_violation"),
        (400, "content_policy_violation"),
        (400, "bio_policy"),
        (403, "inference_hook_denied"),
        (403, "access_program_not_enabled"),
        (403, "workspace_access_denied"),
        (429, "organization_usage_limit_exceeded"),
        (429, "organization_spend_limit_exceeded"),
        (429, "budget_reached"),
        (503, "policy_capacity_unavailable"),
        (400, "invalid_audio"),
    ];
    assert_eq!(expected.len(), HttpFault::NAMED.len());
    for ((status, part), (name, fault)) in expected.into_iter().zip(HttpFault::NAMED) {
        let answer = backend.play(Scenario::Http(*fault)).await;
        assert_eq!(answer.status, status, "{name}");
        assert!(answer.text.contains(part) && (part.is_empty() == answer.text.is_empty()), "{name}: {}", answer.text);
        assert_eq!(answer.header("x-simulation"), "true");
    }
    let limited = backend.play(Scenario::Http(HttpFault::UsageLimit(60))).await;
    assert_eq!(limited.json()["error"]["resets_in_seconds"], 60);
    assert_eq!(limited.header("x-codex-primary-used-percent"), "100");
    let reserve = backend.play(Scenario::Http(HttpFault::ReserveLeft(60))).await;
    assert_eq!(reserve.header("x-base-model-inference-limit-name"), "gpt-reserve");
    assert_eq!(reserve.header("x-codex-primary-used-percent"), "100");
    assert!(backend.play(Scenario::HtmlWithOk).await.text.contains("<html>"));
    assert_eq!(backend.play(Scenario::JsonErrorWithOk).await.code(), "server_error");
    let redirect = backend.play(Scenario::Redirect(308, "https://example.com/".to_owned())).await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (308, "https://example.com/"));
}

#[tokio::test]
async fn bytes_are_delivered_as_told() {
    let backend = Backend::start().await;
    let whole = backend.play(Scenario::TextOnlyInItem).await;
    let split = backend.play(Scenario::TextOnlyInItem.delivered(Delivery::split(1))).await;
    assert!(split.pieces.iter().all(|size| *size == 1));
    assert_eq!(split.types(), whole.types());
    let shaped = Delivery {
        crlf: true,
        multi_line: true,
        no_space: true,
        no_event_lines: true,
        content_type: true,
        done_marker: true,
        ..Delivery::default()
    };
    let answer = backend.play(Scenario::TextOnlyInItem.delivered(shaped)).await;
    assert_eq!(answer.types(), whole.types());
    assert!(answer.text.contains("\r\n\r\n") && !answer.text.contains("event:") && answer.text.ends_with("[DONE]\n\n"));
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    let raw = "data: {\"type\":\"x\"}\n\n";
    assert_eq!(backend.play(Scenario::Raw(raw.into())).await.text, raw);
    let scripted =
        ScriptedAnswer::status(StatusCode::IM_A_TEAPOT).bytes("a").step(ScriptStep::Wait(Duration::ZERO)).bytes("b");
    let answer = backend.play(scripted).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (418, "ab"));
}

#[tokio::test]
async fn paced_deltas_are_numbered() {
    let backend = Backend::start().await;
    let answer = backend.play(Scenario::Paced(500, Duration::ZERO)).await;
    let expected: String = (0..500).map(|number| format!("{number} ")).collect();
    assert_eq!(deltas(&answer, "response.output_text.delta"), expected);
    assert_eq!(text(&answer), expected);
    let numbers: Vec<u64> = answer.frames().iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert!(numbers.iter().enumerate().all(|(index, number)| *number == index as u64));
    assert_eq!(last(&answer)["type"], "response.completed");
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let backend = Backend::start().await;
    backend.simulator.queue(Scenario::Paced(u64::MAX, Duration::from_millis(1)));
    let mut body = open(backend.request(&body("Hello"))).await.unwrap().bytes_stream();
    let first = body.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: response.created"));
    drop(body);
    let limit = Duration::from_secs(60);
    assert!(backend.simulator.wait_until(limit, |simulator| simulator.counters().disconnects == 1).await);
    assert_eq!(backend.simulator.requests()[0].outcome, AnswerOutcome::Disconnected);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_noticed() {
    let backend = Backend::start().await;
    backend.simulator.queue(Scenario::Stall(Duration::from_secs(3600), Stage::Head));
    let asked = body("Hello");
    let waiting = backend.ask(&asked);
    let limit = Duration::from_secs(60);
    let arrived = backend.simulator.wait_until(limit, |simulator| simulator.counters().responses == 1);
    tokio::select! {
        arrived = arrived => assert!(arrived),
        answer = waiting => unreachable!("{answer:?}"),
    }
    assert!(backend.simulator.wait_until(limit, |simulator| simulator.counters().disconnects == 1).await);
}

#[tokio::test]
async fn a_held_connection_ends_with_the_client() {
    let backend = Backend::start().await;
    backend.simulator.queue(Scenario::Default.delivered(Delivery { hold_open: true, ..Delivery::default() }));
    let response = open(backend.request(&body("Hello"))).await.unwrap();
    let mut body = response.bytes_stream();
    let mut text = String::new();
    while !text.contains("response.completed") {
        text.push_str(&String::from_utf8_lossy(&body.next().await.unwrap().unwrap()));
    }
    assert_eq!(backend.simulator.counters().open_answers, 1);
    drop(body);
    let limit = Duration::from_secs(60);
    assert!(backend.simulator.wait_until(limit, |simulator| simulator.counters().open_answers == 0).await);
    assert_eq!(backend.simulator.requests()[0].outcome, AnswerOutcome::Disconnected);
}

#[tokio::test]
async fn models_have_a_tag_and_a_gate() {
    let backend = Backend::start().await;
    assert_eq!(backend.get("/backend-api/codex/models").await.status, 422);
    let answer = backend.get("/backend-api/codex/models?client_version=0.155.0").await;
    assert_eq!(answer.json()["models"][0]["slug"], "gpt-6.1-sol");
    let tag = answer.header("etag").to_owned();
    assert_eq!(backend.ask(&body("Hello")).await.header("x-models-etag"), tag);
    let head = backend.head("GET", "/backend-api/codex/models?client_version=0.155.0").header("if-none-match", &tag);
    assert_eq!(send(head.body(bytes::Bytes::new()).unwrap()).await.status, 304);
    let old = backend.get("/backend-api/codex/models?client_version=0.128.0").await;
    assert!(!old.text.contains("gpt-6") && old.text.contains("codex-auto-review"));
}

#[tokio::test]
async fn usage_and_upgrade() {
    let backend = Backend::start().await;
    let weekly = SimulatedWindow { used_percent: 39.6, minutes: 10_080, resets_in_seconds: 60 };
    backend.simulator.configure(|settings| settings.limits = Limits { primary: weekly, ..Limits::default() });
    let usage = backend.get("/backend-api/wham/usage").await.json();
    assert_eq!(usage["rate_limit"]["primary_window"]["used_percent"], 40);
    assert_eq!(usage["rate_limit"]["primary_window"]["limit_window_seconds"], 604_800);

    let head = backend.head("GET", "/backend-api/codex/responses").header("upgrade", "websocket");
    let head = head.header("connection", "upgrade");
    assert_eq!(send(head.body(bytes::Bytes::new()).unwrap()).await.status, 426);
    assert_eq!(backend.get("/backend-api/codex/chat/completions").await.status, 404);
}

#[tokio::test]
async fn a_compaction_comes_as_a_stream_and_its_endpoint_is_gone() {
    let backend = Backend::start().await;
    let path = "/backend-api/codex/responses/compact";
    let head = backend.head("POST", path).header("content-type", "application/json");
    let gone = send(head.body(body("Hello").to_string().into()).unwrap()).await;
    assert_eq!((gone.status.as_u16(), gone.json()), (404, json!({ "detail": "Not Found" })));

    let mut request = body("Hello");
    request["input"] = json!([user("Hello"), { "type": "compaction_trigger" }]);
    let answer = backend.ask(&request).await;
    assert_eq!(answer.frames().last().unwrap()["response"]["output"], json!([]));
    let [compaction] = answer.items().try_into().unwrap();
    assert_eq!(compaction["type"], "compaction");
    assert!(compaction["encrypted_content"].as_str().unwrap().starts_with("gAAAA"));

    request["input"] = json!([user("Hello"), compaction, user("Go on")]);
    assert_eq!(backend.ask(&request).await.status, 200);
    request["model"] = "gpt-6-luna".into();
    assert_eq!(backend.ask(&request).await.status, 200, "another model may read it");
    request["input"][1]["encrypted_content"] = "gAAAAABforeign".into();
    assert_eq!(backend.ask(&request).await.code(), "invalid_encrypted_content");
}

/// Every directive answers something over HTTP; those with long pauses are told to be short.
#[tokio::test]
async fn every_directive_plays() {
    let backend = Backend::start().await;
    for name in Scenario::names() {
        let value = match name.as_str() {
            "hold-open" | "hang-up" => continue,
            "huge-image" => "=100000",
            "paced" => "=5x1ms",
            name if name.starts_with("stall") || name.starts_with("silence") || name == "pace" => "=1ms",
            _ => "",
        };
        let answer = backend.ask(&body(&format!("Please [[simulate:{name}{value}]]"))).await;
        assert_eq!(answer.header("x-simulation"), "true", "{name}");
    }
}
