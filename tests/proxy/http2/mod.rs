//! HTTP/2 as the real backend speaks it: over TLS, many streams on one connection, streams that are reset, connections
//! that go away or fall silent.

mod backend;
mod crowds;
mod daemon;
mod exchanges;
mod forwarder;
mod http1;
mod networks;
mod proxy;
mod recorder;
mod silence;
mod sockets;
mod warmth;
mod ways;
mod wire;

use crate::common::answer::Answer;

fn assert_whole(answer: &Answer) {
    let text = &answer.text;
    let is_whole = text.contains(r#""finish_reason":"stop""#) && text.contains("HTTP/2");
    assert!(answer.status == 200 && is_whole, "{answer:?}");
}
