//! The life of a stream: quiet ones, huge ones, abandoned ones.

use std::time::Duration;

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{AnswerOutcome, Delivery, Scenario, Stage};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

const LONG: Duration = Duration::from_secs(20);

async fn quick_keepalives() -> Proxy {
    let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
    Proxy::with(Setup { settings, ..Setup::default() }).await
}

fn streaming() -> Value {
    let mut body = user("hi");
    body["stream"] = true.into();
    body
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_without_blank_lines() {
    let proxy = quick_keepalives().await;
    for stage in [Stage::Head, Stage::Output, Stage::Middle, Stage::Terminal] {
        proxy.next(Scenario::Stall(Duration::from_millis(800), stage));
        let answer = proxy.chat(&streaming()).await;
        let keepalives = answer.text.lines().filter(|line| *line == ": keepalive").count();
        assert!(keepalives >= 2, "{stage:?}: {keepalives}\n{}", answer.text);
        assert!(!answer.text.contains(": keepalive\n\n"), "a comment is not an event of its own");
        answer.message();
    }
}

#[tokio::test]
async fn a_lively_stream_needs_no_keepalives() {
    let proxy = Proxy::start().await;
    assert!(!proxy.chat(&streaming()).await.text.contains("keepalive"));
}

#[tokio::test]
async fn the_answer_ends_with_the_last_event_though_the_connection_stays_open() {
    let proxy = Proxy::start().await;
    proxy.next(Scenario::Default.delivered(Delivery { hold_open: true, ..Delivery::default() }));
    tokio::time::timeout(LONG, proxy.chat(&streaming())).await.unwrap().message();
    proxy.next(Scenario::Default.delivered(Delivery { hold_open: true, ..Delivery::default() }));
    tokio::time::timeout(LONG, proxy.chat(&user("hi"))).await.unwrap().message();
}

#[tokio::test]
async fn the_backend_may_cut_and_frame_as_it_likes() {
    let proxy = Proxy::start().await;
    let strip = |text: &str| text.to_owned();
    for delivery in [
        Delivery::split(1),
        Delivery::split(7),
        Delivery { crlf: true, ..Delivery::default() },
        Delivery { multi_line: true, ..Delivery::default() },
    ] {
        proxy.next(Scenario::SeveralMessages.delivered(delivery.clone()));
        let streamed = proxy.chat(&streaming()).await.message();
        proxy.next(Scenario::SeveralMessages);
        assert_eq!(strip(&streamed.content), proxy.chat(&user("hi")).await.message().content, "{delivery:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    let proxy = Proxy::start().await;
    for case in 0..8 {
        let stage = if case & 1 == 0 { Stage::Head } else { Stage::Middle };
        let stream = case & 2 == 0;
        let (path, mut body) =
            if case & 4 == 0 { ("chat/completions", user("hi")) } else { ("responses", json!({ "input": "hi" })) };
        proxy.simulator.forget_requests();
        proxy.next(Scenario::Stall(LONG, stage));
        body["stream"] = stream.into();
        let request = proxy.http.post(format!("{}/v1/{path}", proxy.base));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let asking = tokio::spawn(request.send());
        assert!(proxy.simulator.wait_until(LONG, |simulator| !simulator.requests_to("/responses").is_empty()).await);
        if stage == Stage::Middle && stream {
            let mut pieces = asking.await.unwrap().unwrap().bytes_stream();
            assert!(pieces.next().await.is_some());
        } else {
            asking.abort();
        }
        let left = |simulator: &codex_proxy::simulator::Simulator| {
            simulator.requests_to("/responses").iter().all(|request| request.outcome == AnswerOutcome::Disconnected)
        };
        assert!(proxy.simulator.wait_until(Duration::from_secs(1), left).await, "{path} {stage:?} {stream}");
    }
}

#[tokio::test]
async fn a_client_that_only_closed_its_sending_side_is_answered() {
    let proxy = Proxy::start().await;
    for (stream, end) in [(false, "}"), (true, "data: [DONE]\n\n\r\n0\r\n\r\n")] {
        let mut body = user("hi");
        body["stream"] = stream.into();
        let mut socket = TcpStream::connect(proxy.base.trim_start_matches("http://")).await.unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        let body = body.to_string();
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(LONG, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.contains("HTTP/1.1 200 OK\r\n") && answer.ends_with(end), "{answer}");
    }
}

#[tokio::test]
async fn clients_that_leave_leave_no_task_behind() {
    let proxy = Proxy::start().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let quiet_at = async |most: usize| {
        let begun = tokio::time::Instant::now();
        while tasks() > most && begun.elapsed() < LONG {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tasks()
    };
    proxy.chat(&streaming()).await.message();
    proxy.app.catalogue.settle().await;
    let before = tasks();
    let mut streams = Vec::new();
    for nth in 0..20 {
        proxy.next(Scenario::Stall(10 * LONG, if nth % 2 == 0 { Stage::Middle } else { Stage::Terminal }));
        let request = proxy.http.post(format!("{}/v1/chat/completions", proxy.base)).json(&streaming());
        let mut pieces = request.send().await.unwrap().bytes_stream();
        assert!(pieces.next().await.is_some());
        streams.push(pieces);
    }
    assert!(tasks() >= before + 20, "each stream is somebody's work: {before} before, {} now", tasks());
    drop(streams);
    let after = quiet_at(before).await;
    assert!(after <= before, "{before} tasks before, {after} after");
}

#[tokio::test]
async fn a_five_megabyte_image_arrives_whole() {
    let proxy = Proxy::start().await;
    let size = 5 << 20;
    proxy.next(Scenario::HugeImage(size));
    let streamed = proxy.chat(&streaming()).await.message();
    assert_eq!(streamed.images.len(), 1);
    assert!(streamed.images[0].len() > size / 2);
    proxy.next(Scenario::HugeImage(size));
    assert_eq!(proxy.chat(&user("hi")).await.message().images, streamed.images);
}

#[tokio::test]
async fn many_numbered_deltas_come_in_order_and_none_is_lost() {
    let proxy = Proxy::start().await;
    proxy.next(Scenario::Paced(2_000, Duration::ZERO));
    let answer = proxy.chat(&streaming()).await;
    let numbers: Vec<u64> = answer.message().content.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.len(), 2_000, "{}", &answer.text[..500]);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[tokio::test]
async fn reasoning_in_every_format() {
    use codex_proxy::dialect::chat::options::ReasoningFormat;
    for (format, field) in [
        (ReasoningFormat::ReasoningContent, Some("reasoning_content")),
        (ReasoningFormat::Reasoning, Some("reasoning")),
        (ReasoningFormat::ThinkTags, None),
        (ReasoningFormat::None, None),
    ] {
        let settings = ServerSettings { reasoning_format: format, ..ServerSettings::default() };
        let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
        proxy.next(Scenario::SeveralReasoningItems);
        let message = proxy.chat(&user("hi")).await.json()["choices"][0]["message"].clone();
        for name in ["reasoning_content", "reasoning"] {
            assert_eq!(message.get(name).is_some(), field == Some(name), "{format:?} {name}");
        }
        let content = message["content"].as_str().unwrap();
        let thinks = content.starts_with("<think>\n") && content.contains("\n</think>\n\nThis is a simulation");
        assert_eq!(thinks, format == ReasoningFormat::ThinkTags, "{content}");
        proxy.next(Scenario::SeveralReasoningItems);
        assert_eq!(proxy.chat(&streaming()).await.message().content, content);
    }
}

#[tokio::test]
async fn answers_are_told_apart_by_their_content_type() {
    let proxy = Proxy::start().await;
    let read = |answer: &Answer| answer.header("content-type").to_owned();
    assert_eq!(read(&proxy.chat(&streaming()).await), "text/event-stream");
    assert_eq!(read(&proxy.chat(&user("hi")).await), "application/json");
    assert_eq!(read(&proxy.post("/v1/responses", &json!({ "input": "hi" })).await), "application/json");
}

#[tokio::test]
async fn the_content_type_of_the_backends_answer_says_nothing() {
    use codex_proxy::simulator::ScriptedAnswer;
    use http::StatusCode;
    use http::header::CONTENT_TYPE;
    let proxy = Proxy::start().await;
    let stream = include_bytes!("../fixtures/streams/text.sse");
    for content_type in ["application/json", "text/html; charset=utf-8", "text/event-stream"] {
        let answer = ScriptedAnswer::status(StatusCode::OK).header(CONTENT_TYPE, content_type).bytes(&stream[..]);
        proxy.next(answer);
        let content = proxy.chat(&user("hi")).await.message().content;
        assert!(content.contains("Grüße"), "{content_type}: {content}");
    }
}
