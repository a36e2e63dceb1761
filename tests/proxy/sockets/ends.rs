//! How a socket ends: by its client, or with the proxy.

use std::time::Duration;

use codex_proxy::simulator::{Scenario, Stage};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::common::PATIENCE;
use crate::common::socket::{Socket, id, said, types};
use crate::harness::{Proxy, Setup};

const FOR_EVER: Duration = Duration::from_secs(600);

/// A socket in the middle of a turn that pauses for this long.
async fn midway(proxy: &Proxy, pause: Duration) -> Socket {
    let mut socket = proxy.codex().await;
    proxy.next(Scenario::Stall(pause, Stage::Middle));
    socket.create(&json!({ "input": [said("hi")] })).await;
    while socket.event().await["type"] != "response.output_text.delta" {}
    socket
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    let proxy = Proxy::start().await;
    for (round, is_orderly) in (1..).zip([true, false]) {
        let mut socket = midway(&proxy, FOR_EVER).await;
        if is_orderly {
            socket.send(Message::Close(None)).await;
            while socket.text().await.is_ok() {}
        }
        drop(socket);
        let is_ended =
            proxy.simulator.wait_until(Duration::from_secs(1), |simulator| simulator.counters().disconnects == round);
        assert!(is_ended.await, "within a second");
    }
}

#[tokio::test]
async fn before_the_answer_has_begun_too() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    proxy.next(Scenario::Stall(FOR_EVER, Stage::Head));
    socket.create(&json!({ "input": [said("hi")] })).await;
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().open_answers == 1).await);
    drop(socket);
    let is_ended =
        proxy.simulator.wait_until(Duration::from_secs(1), |simulator| simulator.counters().disconnects == 1);
    assert!(is_ended.await, "within a second");
}

#[tokio::test]
async fn a_stopping_proxy_lets_the_turn_end_and_begins_no_other() {
    let proxy = Proxy::with(Setup { grace: PATIENCE, ..Setup::default() }).await;
    let mut idle = proxy.codex().await;
    let mut socket = midway(&proxy, Duration::from_millis(300)).await;
    socket.create(&json!({ "input": [said("waits")] })).await;
    socket.send(Message::Ping("seen".into())).await;
    // Once that is answered, the frame before it has been read too.
    while !matches!(socket.frames.next().await, Some(Ok(Message::Pong(_)))) {}
    proxy.stop();
    assert_eq!(idle.closed().await, Some(1001));
    let (mut refused, mut events) = (0, Vec::new());
    while events.last().is_none_or(|event: &serde_json::Value| event["type"] != "response.completed") {
        let event = socket.event().await;
        if event["error"]["code"] == "shutting_down" { refused += 1 } else { events.push(event) }
    }
    assert_eq!(refused, 1, "the frame that waited");
    id(&events);
    assert_eq!(socket.closed().await, Some(1001));
}

#[tokio::test]
async fn a_turn_that_outlasts_the_grace_time_ends_with_an_error() {
    let proxy = Proxy::start().await;
    let mut socket = midway(&proxy, FOR_EVER).await;
    proxy.stop();
    let events = socket.rest().await;
    assert_eq!(types(&events)[events.len() - 2..], ["error", "response.failed"]);
    assert_eq!(events.last().unwrap()["response"]["error"]["code"], "shutting_down", "{events:?}");
    assert_eq!(socket.closed().await, Some(1001));
}
