//! Ends of answers and of sockets.

use std::time::Duration;

use codex_proxy::simulator::{Scenario, SocketAct, SocketFault, Stage};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::Value;

use super::{PATIENCE, ask, forward, setup, shape, start, succeeded, tool_round, with_tool};
use crate::harness::{Proxy, Setup, user};

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_is_not_asked_again() {
    for act in [SocketAct::Cut, SocketAct::Close(1011), SocketAct::Binary] {
        let proxy = start().await;
        let mut body = user("hi");
        body["stream"] = true.into();
        proxy.simulator.queue_socket_fault(SocketFault::Within(act.clone()));
        let answer = succeeded(proxy.chat(&body).await);
        let events: Vec<Value> = answer.events();
        let error = events.last().unwrap();
        assert_eq!(error["error"]["code"], "upstream_stream_interrupted", "{act:?}: {}", answer.text);
        assert!(!answer.text.contains(r#""finish_reason":"stop""#), "{}", answer.text);
        assert_eq!(proxy.ways(), [1, 1, 0], "{act:?}");
    }
}

#[tokio::test]
async fn what_breaks_before_anything_shows_is_retried_as_over_http() {
    use codex_proxy::simulator::Moment;
    let proxy = start().await;
    proxy.next(Scenario::Cut(Moment::BeforeOutput));
    let answer = succeeded(proxy.chat(&user("hi")).await);
    assert!(answer.text.contains("This is a simulation"), "{}", answer.text);
    assert_eq!(proxy.ways(), [1, 1, 1], "the next attempt trusts no socket");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_answer() {
    let proxy = start().await;
    proxy.next(Scenario::Paced(100_000, Duration::from_millis(1)));
    let response = proxy.begin_chat(true).await;
    let mut stream = response.bytes_stream();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().disconnects == 1).await);
    succeeded(proxy.chat(&user("hi")).await);
    assert_eq!(proxy.ways(), [2, 2, 0], "another socket");
}

#[tokio::test]
async fn so_many_sockets_are_open_and_no_more() {
    let proxy = start().await;
    let asked: Vec<_> = (0..33).map(|number| user(&format!("conversation {number}"))).collect();
    for _ in 0..32 {
        proxy.next(Scenario::Paced(2, Duration::from_secs(600)));
    }
    let calls: Vec<_> = asked[..32].iter().map(|body| Box::pin(proxy.chat(body))).collect();
    let mut calls = join_all(calls);
    let begun = proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().frames == 32);
    tokio::select! {
        _ = &mut calls => unreachable!("the answers take ten minutes"),
        begun = begun => assert!(begun, "{:?}", proxy.ways()),
    }
    succeeded(proxy.chat(&asked[32]).await);
    assert_eq!(proxy.ways(), [32, 32, 1], "all places are taken");
    drop(calls);
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().disconnects == 32).await);
    for body in &asked {
        succeeded(proxy.chat(body).await);
    }
    assert_eq!(proxy.ways(), [65, 65, 1]);
    let closed = proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().last_close == Some(1000)).await;
    assert!(closed, "the one that has been idle longest gives way");
}

#[tokio::test]
async fn frames_that_belong_to_nobody_change_nothing() {
    for frame in [
        r#"{"type":"codex.response.metadata","headers":{}}"#,
        r#"{"type":"responsesapi.websocket_timing"}"#,
        r#"{"type":"keepalive"}"#,
        "no JSON",
        r#"{"type":7}"#,
    ] {
        let proxy = start().await;
        let plain = Proxy::start().await;
        proxy.simulator.queue_socket_fault(SocketFault::Before(frame.to_owned()));
        let (one, other) = (succeeded(proxy.chat(&user("hi")).await), succeeded(plain.chat(&user("hi")).await));
        assert_eq!(one.message().content, other.message().content, "{frame}");
        assert_eq!(proxy.ways(), [1, 1, 0], "{frame}");
    }
}

#[tokio::test]
async fn an_error_without_a_status_is_an_event() {
    let proxy = start().await;
    let error = r#"{"type":"error","error":{"type":"server_error","code":"server_error","message":"no"}}"#;
    proxy.simulator.queue_socket_fault(SocketFault::Instead(SocketAct::Text(error.to_owned())));
    let answer = proxy.chat(&user("hi")).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (502, "server_error"), "{}", answer.text);
}

#[tokio::test]
async fn silence_ends_a_call_as_over_http() {
    let proxy = Proxy::with(Setup { idle_timeout: Duration::from_secs(1), ..setup() }).await;
    proxy.simulator.queue_socket_fault(SocketFault::Instead(SocketAct::Silence));
    let answer = proxy.chat(&user("hi")).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (504, "upstream_timeout"), "{}", answer.text);
    assert_eq!(proxy.ways(), [1, 1, 0], "the request may have been taken");
}

#[tokio::test]
async fn a_socket_is_closed_when_it_is_idle() {
    let proxy = start().await;
    let mut body = with_tool();
    tool_round(&proxy, &mut body, "1").await;
    forward(Duration::from_secs(4 * 60)).await;
    proxy.next(Scenario::CommentedCall);
    tool_round(&proxy, &mut body, "1").await;
    assert_eq!(proxy.ways(), [1, 2, 0]);
    assert_eq!(proxy.simulator.counters().last_close, None);
    forward(Duration::from_secs(5 * 60 + 1)).await;
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().last_close == Some(1000)).await);
    ask(&proxy, &body).await;
    assert_eq!(proxy.ways(), [2, 3, 0]);
    assert_eq!(shape(&proxy.frames()[2]), (9, false), "another socket knows nothing");
}

#[tokio::test]
async fn a_socket_is_not_used_once_it_is_old() {
    let proxy = start().await;
    ask(&proxy, &user("hi")).await;
    for _ in 0..13 {
        forward(Duration::from_secs(4 * 60)).await;
        ask(&proxy, &user("hi")).await;
    }
    assert_eq!(proxy.ways(), [1, 14, 0], "52 minutes");
    forward(Duration::from_secs(4 * 60)).await;
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().last_close == Some(1000)).await);
    ask(&proxy, &user("hi")).await;
    assert_eq!(proxy.ways(), [2, 15, 0], "56 minutes");
}

#[tokio::test]
async fn a_backend_whose_sockets_end_earlier_is_asked_by_http() {
    let proxy = start().await;
    proxy.simulator.configure(|settings| settings.sockets.lifetime = Duration::from_secs(60));
    ask(&proxy, &user("hi")).await;
    forward(Duration::from_secs(90)).await;
    ask(&proxy, &user("hi")).await;
    assert_eq!(proxy.ways(), [1, 2, 1]);
    ask(&proxy, &user("hi")).await;
    assert_eq!(proxy.ways(), [2, 3, 1], "and then over a new one");
}

#[tokio::test]
async fn a_stop_closes_the_sockets_in_order() {
    let proxy = start().await;
    succeeded(proxy.chat(&user("hi")).await);
    proxy.app.upstream.close().await;
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().last_close == Some(1000)).await);
    succeeded(proxy.chat(&user("hi")).await);
    assert_eq!(proxy.ways(), [1, 1, 1], "no more are opened");
}

#[tokio::test]
async fn a_slow_beginning_is_waited_for() {
    let proxy = start().await;
    proxy.next(Scenario::Stall(Duration::from_millis(200), Stage::Output));
    let mut body = with_tool();
    tool_round(&proxy, &mut body, "1").await;
    succeeded(proxy.chat(&body).await);
    assert_eq!(shape(&proxy.frames()[1]), (1, true));
}
