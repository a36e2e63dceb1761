//! Events scanned and parsed: both read the same, or only the parser reads.

use proptest::prelude::*;

use super::*;

const CREATED: &str = r#"{"type":"response.created","response":{"id":"resp_1","instructions":"a\n\"b\" \u00e4é","metadata":{},"model":"m","output":[],"service_tier":"auto","tools":[{"type":"function","parameters":{"a":[1,-2.5e3,null,true]}}],"usage":null},"sequence_number":0}"#;
const ADDED: &str = r#"{"type":"response.output_item.added","item":{"id":"msg_1","type":"message","content":[]},"output_index":1,"sequence_number":2}"#;
const DONE: &str = r#"{"type":"response.output_text.done","content_index":0,"item_id":"msg_1","logprobs":[],"output_index":1,"text":"a\\b"}"#;
const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"resp_1","headers":{"openai-model":"m"},"incomplete_details":{"reason":"x"},"output":[{"id":"msg_1"}],"usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}},"headers":{}}"#;

/// Asserts that the scanner gives what the parser gives, or nothing. Returns whether it gave something.
fn assert_same(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Some(mut scanned) = Event::scan(data) else { return false };
    assert!(std::str::from_utf8(data).is_ok(), "{text}");
    let response = scanned.response.as_mut();
    if let (Some(event), Some(view)) = (scanned.around_response.take(), response) {
        assert_eq!([event.before, view.json, event.after].concat(), data, "{text}");
        if let (Some(around), Some(output)) = (view.around_output.take(), view.output) {
            assert_eq!([around.before, output.get().as_bytes(), around.after].concat(), view.json, "{text}");
        }
    }
    let parsed = Event::parse(data).unwrap_or_else(|| panic!("only the scanner takes {text}"));
    assert_eq!(format!("{scanned:?}"), format!("{parsed:?}"), "{text}");
    true
}

#[test]
fn reads_any_key_order_and_ignores_the_rest() {
    let event = Event::read(br#"{"obfuscation":"xx","delta":"a\nb","logprobs":[],"item_id":"m","type":"t"}"#).unwrap();
    assert_eq!(event.kind, "t");
    assert_eq!(event.delta().unwrap().escaped(), r"a\nb");
    assert_eq!(event.item_id.unwrap().get(), r#""m""#);
}

#[test]
fn what_is_no_event_is_none() {
    for data in ["", "[DONE]", "{", "{}", "[]", r#"{"type":1}"#, r#"{"type":"a"}x"#, r#"{"type":"a","type":"a"}"#] {
        assert!(Event::read(data.as_bytes()).is_none(), "{data}");
    }
}

#[test]
fn what_the_backend_sends_needs_no_parser() {
    for event in [CREATED, ADDED, DONE, COMPLETED] {
        assert!(assert_same(event.as_bytes()), "{event}");
    }
}

#[test]
fn every_cut_and_every_changed_byte_gives_what_a_parser_gives() {
    for event in [CREATED, ADDED, DONE, COMPLETED] {
        let event = event.as_bytes();
        for place in 0..event.len() {
            assert!(Event::scan(&event[..place]).is_none());
            for byte in (0..0x80).chain([0x80, 0xa0, 0xc3, 0xff]) {
                let mut changed = event.to_vec();
                changed[place] = byte;
                assert_same(&changed);
            }
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "0",
        "7",
        "007",
        "-1",
        "1.5",
        "9999999999999999999",
        "99999999999999999999",
        "true",
        "\"\"",
        "\"m\"",
        r#""a\"\\\n""#,
        r#""\u00e4\ud83d""#,
        r#""\q""#,
        "\"é\"",
        "\"a\tb\"",
        "[]",
        "{}",
        "[1,]",
        " 1 ",
        "\n1",
        "",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(", "))),
            prop::collection::vec(field(inner), 0..6).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

fn field(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let keys = vec![
        "sequence_number",
        "item_id",
        "output_index",
        "content_index",
        "delta",
        "text",
        "annotation",
        "part",
        "item",
        "response",
        "headers",
        "safety_buffering",
        "id",
        "usage",
        "input_tokens",
        "incomplete_details",
        "reason",
        "output",
        "model",
        "service_tier",
        "instructions",
        "m\\u006fdel",
        "",
    ];
    (prop::sample::select(keys), value).prop_map(|(key, value)| format!("\"{key}\":{value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_parser_gives_the_same(fields in prop::collection::vec(field(value()), 0..5), place in 0usize..6) {
        let mut fields = fields;
        fields.insert(place.min(fields.len()), r#""type":"response.completed""#.to_owned());
        assert_same(format!("{{{}}}", fields.join(",")).as_bytes());
    }
}
