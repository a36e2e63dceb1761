//! The framing against a well-known parser of server-sent events.

use codex_proxy::backend::event::sse::Framer;
use eventsource_stream::Eventsource as _;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use proptest::prelude::*;

fn framed(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    Framer::default().feed(bytes, |frame| {
        found.push(String::from_utf8(frame.data.into_owned()).unwrap());
        true
    });
    found
}

fn expected(bytes: &[u8]) -> Vec<String> {
    let chunks = stream::iter([Ok::<_, std::convert::Infallible>(bytes.to_vec())]);
    chunks.eventsource().map(|event| event.unwrap().data).collect().now_or_never().unwrap()
}

proptest! {
    #[test]
    fn frames_are_what_the_other_parser_finds(pieces in prop::collection::vec(
        prop::sample::select(vec![
            "data: {\"a\":1}", "data:x", "data", "data:  two spaces", "event: e", "id: 1", "retry: 5", ": comment", "other: y",
            "é\u{2028}👋", "\n", "\n", "\r\n", "\n\n", "\r\n\r\n",
        ]),
        0..60,
    )) {
        let mut stream = pieces.concat();
        stream.push_str("\n\n");
        let without_empty = |found: Vec<String>| found.into_iter().filter(|data| !data.is_empty()).collect::<Vec<_>>();
        prop_assert_eq!(without_empty(framed(stream.as_bytes())), without_empty(expected(stream.as_bytes())));
    }
}
