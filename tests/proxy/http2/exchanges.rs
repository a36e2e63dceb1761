//! Streams that are reset, connections that go away, clients that leave or take nothing.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use h2::Reason;

use super::assert_whole;
use super::backend::{Act, Backend, Seen};
use super::daemon::Daemon;
use crate::common::PATIENCE;
use crate::common::answer::Answer;

#[tokio::test]
async fn calls_share_one_connection_a_thread() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    assert_whole(&daemon.ask(false).await);
    let answers = futures_util::future::join_all((0..50).map(|nth| daemon.ask(nth % 2 == 0))).await;
    answers.iter().for_each(assert_whole);
    let calls = backend.calls();
    assert_eq!(calls.len(), 51);
    let connections: std::collections::BTreeSet<_> = calls.iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    assert!(connections.len() <= threads, "{calls:?}");
}

#[tokio::test]
async fn a_stream_reset_before_its_answer_is_tried_again() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    for stream in [false, true] {
        for reason in [Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM, Reason::CANCEL] {
            backend.next([Act::Reset(reason)]);
            assert_whole(&daemon.ask(stream).await);
            assert_eq!(backend.calls().len(), 2, "{reason}");
        }
        backend.next([Act::Reset(Reason::INTERNAL_ERROR); 3]);
        let Answer { status, text, .. } = daemon.ask(stream).await;
        assert!(status == 502 && text.contains(r#""code":"upstream_unreachable""#), "{status} {text}");
        assert_eq!(backend.calls().len(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    for stream in [false, true] {
        backend.next([Act::GoAwayUnheard]);
        assert_whole(&daemon.ask(stream).await);
        let calls = backend.calls();
        assert!(calls.len() == 2 && calls[0] != calls[1], "{calls:?}");

        backend.next([Act::GoAwayAndAnswer]);
        assert_whole(&daemon.ask(stream).await);
        assert_whole(&daemon.ask(stream).await);
        let calls = backend.calls();
        assert!(calls.len() == 2 && calls[0] != calls[1], "the answer was whole, and so is the next: {calls:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_is_an_error() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    let breaks = [
        Act::ResetLater(Reason::INTERNAL_ERROR),
        Act::ResetLater(Reason::CANCEL),
        Act::ResetLater(Reason::NO_ERROR),
        Act::GoAwayLater,
    ];
    for act in breaks {
        backend.next([act, act]);
        let Answer { status, text, .. } = daemon.ask(false).await;
        assert!(status == 502 && text.contains("upstream_stream_interrupted"), "{act:?}: {status} {text}");
        let Answer { status, text, .. } = daemon.ask(true).await;
        assert!(
            status == 200 && text.contains("over ") && text.contains("upstream_stream_interrupted"),
            "{act:?}: {text}"
        );
        assert!(!text.contains(r#""finish_reason":"stop""#) && text.ends_with("data: [DONE]\n\n"), "{act:?}: {text}");
        assert_eq!(backend.calls().len(), 2, "what a client has seen a part of is not asked for again");
        assert_whole(&daemon.ask(true).await);
        backend.calls();
    }
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_and_no_other() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    let mut best = PATIENCE;
    for _ in 0..5 {
        backend.next([Act::Hold, Act::Hold]);
        let (mut leaves, stays) = (daemon.begin_chat(true).await.bytes_stream(), daemon.begin_chat(true).await);
        leaves.next().await.expect("some").expect("output");
        let left = Instant::now();
        drop(leaves);
        backend.saw(&Seen::ResetByClient(Reason::CANCEL)).await;
        best = best.min(left.elapsed());
        assert_whole(&daemon.ask(true).await);
        drop(stays);
        backend.saw(&Seen::ResetByClient(Reason::CANCEL)).await;
    }
    // Other programs may hold the machine up, this one may not: the best of several counts.
    assert!(best <= Duration::from_millis(100), "{best:?}");
}

#[tokio::test]
async fn clients_that_take_nothing_disturb_no_other() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    assert_whole(&daemon.ask(false).await);
    backend.next([Act::Flood, Act::Flood]);
    let stalled = [daemon.begin_chat(true).await, daemon.begin_chat(true).await];
    backend.saw(&Seen::Stalled).await;
    backend.saw(&Seen::Stalled).await;
    backend.next([Act::Answer]);
    assert_whole(&daemon.ask(true).await);
    assert_eq!(backend.calls().len(), 1, "at the first try");
    for response in stalled {
        let text = tokio::time::timeout(PATIENCE, response.text()).await.expect("in time").expect("an orderly end");
        assert!(text.contains("drop") && text.contains(r#""finish_reason":"stop""#), "{}", text.len());
    }
}
