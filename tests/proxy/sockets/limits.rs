//! What a socket may take: a slot for its turn, bytes for its frames, time for the rest of one.

use std::time::Duration;

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{Scenario, Stage};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::common::socket::{CODEX, Refused, Socket, id, said};
use crate::harness::{Proxy, Setup};

async fn limited(settings: ServerSettings) -> Proxy {
    Proxy::with(Setup { settings, ..Setup::default() }).await
}

#[tokio::test]
async fn a_turn_takes_a_slot_and_an_idle_socket_none() {
    let proxy = limited(ServerSettings { max_concurrent: 2, ..ServerSettings::default() }).await;
    let (mut one, mut other) = (proxy.codex().await, proxy.codex().await);
    let refused = Socket::try_open(proxy.address(), CODEX).await.err();
    assert_eq!(refused, Some(Refused(426, "upgrade_required".to_owned())), "there are as many places as slots");
    assert_eq!(proxy.ask(false).await.status, 200);
    proxy.next(Scenario::Stall(Duration::from_secs(600), Stage::Middle));
    proxy.next(Scenario::Stall(Duration::from_secs(600), Stage::Middle));
    one.create(&json!({ "input": [said("hi")] })).await;
    let posted = proxy.begin_chat(true).await;
    while one.event().await["type"] != "response.output_text.delta" {}
    let busy = other.refused(&json!({ "input": [said("hi")] })).await;
    assert_eq!((&busy["status"], &busy["error"]["code"]), (&json!(503), &json!("too_many_concurrent_requests")));
    assert_eq!(busy["headers"]["retry-after"], "1");
    drop((posted, one));
    while other.turn(&json!({ "input": [said("hi")] })).await.pop().unwrap()["type"] == "error" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(other);
    while Socket::try_open(proxy.address(), CODEX).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_frame_is_at_most_as_large_as_a_body() {
    let settings = ServerSettings { max_body_size: 1 << 20, ..ServerSettings::default() };
    let proxy = limited(settings).await;
    let mut socket = proxy.codex().await;
    id(&socket.turn(&json!({ "input": [said(&"x".repeat((1 << 20) - 1000))] })).await);
    socket.create(&json!({ "input": [said(&"x".repeat(1 << 20))] })).await;
    assert_eq!(socket.closed().await, Some(1009));
    // A declared length is enough.
    let mut socket = proxy.codex().await;
    let head = [&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    socket.frames.get_mut().write_all(&head).await.unwrap();
    assert_eq!(socket.closed().await, Some(1009));
}

#[tokio::test]
async fn what_breaks_the_protocol_closes_the_socket() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    socket.send(Message::Binary("{}".into())).await;
    assert_eq!(socket.closed().await, Some(1003));
    for (bytes, code) in [(&b"\x81\x02{}"[..], 1002), (b"\xc1\x82\0\0\0\0{}", 1002), (b"\x81\x81\0\0\0\0\xff", 1007)] {
        let mut socket = proxy.codex().await;
        socket.frames.get_mut().write_all(bytes).await.unwrap();
        assert_eq!(socket.closed().await, Some(code), "{bytes:?}");
    }
}

#[tokio::test]
async fn half_a_frame_is_not_waited_for() {
    // A socket looks at what it waits for as often as it would be pinged.
    let (body_silence, keepalive) = (Duration::from_millis(50), Duration::from_millis(200));
    let settings = ServerSettings { body_silence, keepalive, ..ServerSettings::default() };
    let proxy = limited(settings).await;
    let mut idle = proxy.codex().await;
    let mut socket = proxy.codex().await;
    socket.frames.get_mut().write_all(b"\x81\x85\0\0\0\0{").await.unwrap();
    let error = socket.event().await;
    assert_eq!((&error["status"], &error["error"]["code"]), (&json!(408), &json!("request_timeout")));
    assert_eq!(socket.closed().await, Some(1008));
    id(&idle.turn(&json!({ "input": [said("hi")] })).await);
}

#[tokio::test]
async fn incomplete_and_waiting_frames_share_the_bytes_of_bodies() {
    let settings = ServerSettings { body_memory: 256 << 10, ..ServerSettings::default() };
    let proxy = limited(settings).await;
    let large = "x".repeat(150 << 10);
    let (mut one, mut other) = (proxy.codex().await, proxy.codex().await);
    // A frame of 150 KiB whose last byte does not come.
    let length = u64::try_from(large.len()).unwrap() + 1;
    let head = [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4], large.as_bytes()].concat();
    one.frames.get_mut().write_all(&head).await.unwrap();
    loop {
        let mut third = proxy.codex().await;
        third.create(&json!({ "input": [said(&large)] })).await;
        let event = third.rest().await.pop().unwrap();
        if event["type"] == "error" {
            assert_eq!(event["error"]["code"], "too_many_concurrent_requests");
            break;
        }
    }
    id(&other.turn(&json!({ "input": [said("small")] })).await);
    drop(one);
    while other.turn(&json!({ "input": [said(&large)] })).await.pop().unwrap()["type"] == "error" {
        other = proxy.codex().await;
    }
}

#[tokio::test]
async fn only_so_many_frames_wait() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    proxy.next(Scenario::Stall(Duration::from_secs(600), Stage::Middle));
    for _ in 0..18 {
        socket.create(&json!({ "input": [said("hi")] })).await;
    }
    let events = socket.rest().await;
    let last = events.last().unwrap();
    assert_eq!((&last["status"], last["error"]["message"].as_str().unwrap().contains("16")), (&json!(503), true));
}

#[tokio::test]
async fn a_long_event_arrives_whole() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.library().await;
    proxy.next(Scenario::HugeImage(3 << 20));
    let events = socket.turn(&json!({ "input": [said("draw")], "tools": [{ "type": "image_generation" }] })).await;
    let done = events.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
    assert!(done["item"]["result"].as_str().unwrap().len() >= 3 << 20);
    id(&events);
}
