//! The translation alone: generated events of one kind through a machine, in reads of one event or of many.

use std::hint::black_box;
use std::time::Instant;

use codex_proxy::backend::answer::machine::AnswerMachine;
use codex_proxy::backend::answer::{Machine, Step, Transcoder};
use codex_proxy::dialect::chat::chunks::Chunks;
use codex_proxy::dialect::chat::document::Completion;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use codex_proxy::dialect::responses::relay::Relay;

/// What is translated.
const CASES: [&str; 6] = ["text", "escaped", "reasoning", "arguments", "fold", "relay"];

/// How the bytes come: an event a read, or as many as fit into the largest read.
const READS: [&str; 2] = ["paced", "burst"];
const BURST: usize = 16 << 10;

/// Prints nanoseconds an event for every case and both sizes of read.
pub(crate) fn report() {
    for case in CASES {
        for read in READS {
            report_case(case, read);
        }
    }
}

/// Runs one case once, for a profiler to look at.
pub(crate) fn run_once(case: &str, read: &str, events: usize) {
    run(&Plan::new(case, read, events));
}

/// The median of several runs.
fn report_case(case: &str, read: &str) {
    let plan = Plan::new(case, read, 50_000);
    let mut times: Vec<u128> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            run(&plan);
            begun.elapsed().as_nanos() / 50_000
        })
        .collect();
    times.sort_unstable();
    println!("{case:10} {read}: {} ns an event ({} to {})", times[4], times[0], times[8]);
}

struct Plan {
    case: &'static str,
    opening: Vec<u8>,
    read: Vec<u8>,
    repeats: usize,
}

impl Plan {
    fn new(case: &str, read: &str, events: usize) -> Self {
        let case = CASES.into_iter().find(|known| *known == case).expect("a known case");
        let event = event(case);
        let in_a_read = if read == "paced" { 1 } else { BURST / event.len() };
        Self { case, opening: opening(case), read: event.repeat(in_a_read), repeats: events / in_a_read }
    }
}

fn run(plan: &Plan) {
    let meta = AnswerMeta {
        created: 1_700_000_000,
        model: "gpt-6.1-sol".to_owned(),
        fallback_id: "chatcmpl-req".to_owned(),
        include_usage: true,
        legacy_functions: false,
        reasoning: ReasoningFormat::default(),
        stop: None,
    };
    match plan.case {
        "relay" => drive(plan, Relay::default()),
        "fold" => drive(
            plan,
            AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Completion::new(meta.clone())),
        ),
        _ => drive(
            plan,
            AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Chunks::new(meta.clone())),
        ),
    }
}

fn drive(plan: &Plan, machine: impl Machine) {
    let mut transcoder = Transcoder::new(machine);
    let mut first = Vec::new();
    assert_eq!(transcoder.feed(&plan.opening, &mut first), &Step::Continue);
    for _ in 0..plan.repeats {
        let mut out = Vec::new();
        assert_eq!(transcoder.feed(black_box(&plan.read), &mut out), &Step::Continue);
        black_box(out);
    }
}

fn opening(case: &str) -> Vec<u8> {
    let item = match case {
        "arguments" => r#"{"type":"function_call","id":"ITEM","call_id":"call_1","name":"edit","arguments":""}"#,
        "reasoning" => r#"{"type":"reasoning","id":"ITEM","summary":[]}"#,
        _ => r#"{"type":"message","id":"ITEM","role":"assistant","content":[]}"#,
    };
    let response = r#"{"type":"response.created","response":{"id":"resp_1","output":[]},"sequence_number":0}"#;
    let item = item.replace("ITEM", ITEM);
    let added =
        format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{item},"sequence_number":1}}"#);
    format!("event: response.created\ndata: {response}\n\nevent: response.output_item.added\ndata: {added}\n\n")
        .into_bytes()
}

/// An event as the backend sends it today.
fn event(case: &str) -> Vec<u8> {
    let delta = if case == "escaped" { r#"a \u00e4\n\t\"b\" of some"# } else { " the quick" };
    let (kind, place) = match case {
        "arguments" => ("response.function_call_arguments.delta", ""),
        "reasoning" => ("response.reasoning_summary_text.delta", r#""summary_index":0,"#),
        _ => ("response.output_text.delta", r#""content_index":0,"logprobs":[],"#),
    };
    let json = format!(
        r#"{{"type":"{kind}",{place}"delta":"{delta}","item_id":"{ITEM}","obfuscation":"aZ3kQ9xW1mB","output_index":0,"sequence_number":123}}"#
    );
    format!("event: {kind}\ndata: {json}\n\n").into_bytes()
}

const ITEM: &str = "msg_7ae93b306a22ed7f54e225d6db82a13c325daea5cc23209f";
