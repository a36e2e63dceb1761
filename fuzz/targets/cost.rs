//! Any body, grown to half a megabyte by repeating what is in it, costs no more than 50 ns a byte.
//!
//! * What grows are two parts of the body, each to half of the size: an array or object whose elements come again as they are
//!   or each with a number of its own in its strings, or a string. So a mechanism that takes the square of something shows, or
//!   the product of two.
//! * An instrumented build is slower than a release, and so may the machine be. How much is measured: a plain conversation of
//!   the same size is translated before, and what it takes against its time in a release is the measure for 50 ns.
//! * Time is the thread's processor time, the least of several runs, so that a busy machine does not count.

#![no_main]

use std::sync::OnceLock;

use codex_proxy::backend::request;
use codex_proxy::backend::request::context::Context;
use codex_proxy::dialect::chat::request::parse;
use codex_proxy::dialect::responses::forward::translate;
use codex_proxy::dialect::responses::request::ResponsesRequest;
use codex_proxy::models::Models;
use libfuzzer_sys::fuzz_target;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};

fuzz_target!(|input: &[u8]| {
    let Some((seed, body)) = input.split_first_chunk::<3>() else { return };
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return };
    grow(&mut body, *seed);
    let body = serde_json::to_vec(&body).expect("a value is JSON");
    if body.len() < SIZE / 2 {
        return;
    }
    let bound = |plain: f64| (MOST * plain / PLAIN_IN_A_RELEASE).max(TIMES * plain);
    static PLAIN: OnceLock<f64> = OnceLock::new();
    if cost(&body, 1) <= bound(*PLAIN.get_or_init(plain)) {
        return;
    }
    // Once more, and the measure too: the machine may have been busy, or slower than in the beginning.
    let (own, plain) = (cost(&body, 7), plain());
    let beginning = String::from_utf8_lossy(&body[..body.len().min(400)]);
    assert!(own <= bound(plain), "{own:.0} ns a byte, and {plain:.0} for a plain conversation: {beginning}");
});

/// Nanoseconds a byte, the least of so many runs.
fn cost(body: &[u8], runs: usize) -> f64 {
    let models = Models::default();
    let time = || {
        let begun = now();
        if let Ok(chat) = parse(body)
            && let Some(conversation) = chat.form.own()
        {
            let model = models.resolve(chat.model.as_deref(), chat.effort.as_deref());
            std::hint::black_box(request::translate(conversation, &Context::new(&model)));
        }
        if let Ok(responses) = ResponsesRequest::parse(body) {
            let model = models.resolve(responses.model.as_deref(), responses.effort.as_deref());
            drop(std::hint::black_box(translate(&responses, &Context::new(&model))));
        }
        now() - begun
    };
    let least = (0..runs).map(|_| time()).min().unwrap_or_default();
    least as f64 / body.len() as f64
}

/// Nanoseconds a byte of a conversation without anything special.
fn plain() -> f64 {
    let turn = r#"{"role":"user","content":"asked this"},{"role":"assistant","content":"said that"}"#;
    let body = format!(r#"{{"messages":[{}]}}"#, vec![turn; SIZE / turn.len()].join(","));
    cost(body.as_bytes(), 7)
}

/// Nanoseconds of processor time that this thread has taken.
fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).expect("positive") * 1_000_000_000 + u64::try_from(time.tv_nsec).expect("positive")
}

/// Grows the parts of `body` that `seed` chooses, the copies being told apart as it says.
fn grow(body: &mut Value, seed: [u8; 3]) {
    let [first, way, second] = seed;
    for which in [first, second] {
        let count = parts(body);
        if count > 0 {
            with_part(body, &mut (usize::from(which) % count), &mut |part| enlarge(part, way, SIZE / 2));
        }
    }
}

/// Containers and strings in `value`.
fn parts(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(parts).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(parts).sum::<usize>(),
        Value::String(_) => 1,
        _ => 0,
    }
}

fn with_part(value: &mut Value, left: &mut usize, change: &mut dyn FnMut(&mut Value)) -> bool {
    if !matches!(value, Value::Array(_) | Value::Object(_) | Value::String(_)) {
        return false;
    }
    if *left == 0 {
        change(value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(elements) => elements.iter_mut().any(|element| with_part(element, left, change)),
        Value::Object(members) => members.values_mut().any(|member| with_part(member, left, change)),
        _ => false,
    }
}

fn enlarge(part: &mut Value, way: u8, room: usize) {
    match part {
        Value::String(text) if !text.is_empty() => *text = text.repeat(room / text.len() + 1),
        Value::Array(elements) if !elements.is_empty() => {
            let copies = room / serde_json::to_vec(elements).map_or(1, |text| text.len()) + 1;
            let own = elements.clone();
            let copy = |number| own.iter().cloned().map(move |element| numbered(element, number, way));
            elements.extend((0..copies).flat_map(copy));
        }
        Value::Object(members) if !members.is_empty() => {
            let copies = room / (serde_json::to_vec(members).map_or(1, |text| text.len()) + 6 * members.len()) + 1;
            let own: Map<String, Value> = members.clone();
            for number in 0..copies {
                members.extend(
                    own.iter().map(|(key, value)| (format!("{key}{number}"), numbered(value.clone(), number, way))),
                );
            }
        }
        _ => {}
    }
}

/// `value` as the copy with this number. `way` says which of its strings get the number: by what their keys end in.
fn numbered(value: Value, number: usize, way: u8) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(|element| numbered(element, number, way)).collect(),
        Value::Object(members) => {
            let each = |(key, value): (String, Value)| {
                let is_chosen = match way % 4 {
                    0 => false,
                    1 => key.ends_with("id"),
                    2 => key.ends_with("name"),
                    _ => key.ends_with("id") || key.ends_with("name"),
                };
                match value {
                    Value::String(text) if is_chosen => (key, Value::String(format!("{text}{number}"))),
                    value => (key, numbered(value, number, way)),
                }
            };
            Value::Object(members.into_iter().map(each).collect())
        }
        value => value,
    }
}

/// The size of what is translated; large enough that a square of anything in it is far above the bound.
const SIZE: usize = 512 << 10;
/// Nanoseconds that a byte may cost in a release.
const MOST: f64 = 50.0;
/// What a byte of [`plain`] costs in a release: the 15 ns that `just bench input` shows for messages, less what the sockets
/// and the copies of any text take.
const PLAIN_IN_A_RELEASE: f64 = 12.0;
/// What is within so many times a plain conversation is no fault, whatever the machine.
const TIMES: f64 = 4.0;
