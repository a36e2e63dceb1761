//! Any one event of a stream lost, repeated, swapped with another or damaged: the answer is whole, or it is an error.
//!
//! * Whole means: what a client has in the end equals an independent reading of the undamaged stream. On the Responses API
//!   that is asked of three clients, which believe the deltas, the finished items and the last event.
//! * Every position of a short stream is tried, and of a long one as many as the time allows, spread evenly.

use codex_proxy::backend::answer::Step;
use serde_json::Value;

use super::fold::{chunks, collect, completion, data, meta, of_chunks, of_completion, relay};
use super::reading::Reading;
use super::recordings::streams;
use crate::common::chat::Message;

/// What can happen to one event.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Removed,
    RepeatedAtOnce,
    RepeatedLater,
    SwappedWithNext,
    SwappedWithLater,
    Truncated,
    DeltaChanged,
    WithoutData,
}

impl Damage {
    const ALL: [Self; 8] = [
        Self::Removed,
        Self::RepeatedAtOnce,
        Self::RepeatedLater,
        Self::SwappedWithNext,
        Self::SwappedWithLater,
        Self::Truncated,
        Self::DeltaChanged,
        Self::WithoutData,
    ];

    /// The stream with this done to its event at `position`; `None` where it cannot be done.
    fn done_to(self, frames: &[String], position: usize) -> Option<Vec<u8>> {
        let mut frames = frames.to_vec();
        let frame = frames[position].clone();
        let later = position + 1 + position % 5;
        match self {
            Self::Removed => drop(frames.remove(position)),
            Self::RepeatedAtOnce => frames.insert(position, frame),
            Self::RepeatedLater => frames.insert(later.min(frames.len() - 1), frame),
            Self::SwappedWithNext if position + 1 < frames.len() => frames.swap(position, position + 1),
            Self::SwappedWithLater if later < frames.len() => frames.swap(position, later),
            Self::SwappedWithNext | Self::SwappedWithLater => return None,
            Self::Truncated => {
                let cut = (frame.len() * 2 / 3..frame.len()).find(|at| frame.is_char_boundary(*at))?;
                frames[position] = format!("{}\n\n", frame[..cut].trim_end());
            }
            Self::DeltaChanged => {
                let (head, tail) = frame.split_once("\"delta\":\"")?;
                let end = tail.find('"')?;
                let place = tail[..end].find(|character: char| character.is_ascii_alphanumeric())?;
                if tail[..place].ends_with('\\') {
                    return None;
                }
                let other = if tail.as_bytes()[place] == b'x' { "y" } else { "x" };
                frames[position] = format!("{head}\"delta\":\"{}{other}{}", &tail[..place], &tail[place + 1..]);
            }
            Self::WithoutData => {
                let lines: Vec<&str> = frame.lines().filter(|line| !line.starts_with("data")).collect();
                frames[position] = format!("{}\n\n", lines.join("\n").trim_end());
            }
        }
        Some(frames.concat().into_bytes())
    }
}

/// An undamaged stream and what it says.
struct Whole {
    name: String,
    frames: Vec<String>,
    /// `None` where the answer never becomes whole.
    reading: Option<Reading>,
    finish: String,
    usage: Value,
}

impl Whole {
    fn of(name: String, stream: &[u8]) -> Self {
        let text = String::from_utf8(stream.to_vec()).unwrap().replace("\r\n", "\n");
        let frames = frames_of(&text);
        let events = data(text.as_bytes());
        let (streamed, step) = chunks(&meta(), &[text.as_bytes()]);
        let reading = Reading::of_items(&events);
        let answer = (step == Step::Complete).then(|| of_chunks(&streamed));
        let (finish, usage) = answer.map(|answer| (answer.finish, answer.usage)).unwrap_or_default();
        let ends = events
            .iter()
            .any(|event| matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete")));
        Self { name, frames, reading: ends.then_some(reading), finish, usage }
    }

    /// Whether the deltas say what the items say; some recordings were cut by hand.
    fn is_sound(&self) -> bool {
        let events = data(self.frames.concat().as_bytes());
        let said = |reading: Reading| reading.told_in_deltas();
        self.reading.as_ref().is_none_or(|reading| said(reading.clone()) == said(Reading::of_deltas(&events)))
    }

    /// What is wrong with an answer that claims to be whole.
    fn fault_of_chat(&self, answer: &Message) -> Option<String> {
        let Some(reading) = &self.reading else { return Some("an answer that never ended became whole".to_owned()) };
        let expected = reading.as_chat();
        let mut calls = (answer.calls.clone(), expected.calls);
        calls.0.sort();
        calls.1.sort();
        let pairs = [
            ("text", &answer.content, &expected.content),
            ("refusal", &answer.refusal, &expected.refusal),
            ("reasoning", &answer.reasoning, &expected.reasoning),
            ("finish", &answer.finish, &self.finish),
        ];
        let differs = pairs.into_iter().find(|(_, found, expected)| found != expected);
        if let Some((name, found, expected)) = differs {
            return Some(format!("{name}: {found:?} instead of {expected:?}"));
        }
        if calls.0 != calls.1 {
            return Some(format!("calls: {:?} instead of {:?}", calls.0, calls.1));
        }
        let urls = |annotations: &[Value]| -> Vec<Value> {
            annotations.iter().map(|annotation| annotation["url_citation"]["url"].clone()).collect()
        };
        if urls(&answer.annotations) != urls(&expected.annotations) {
            return Some(format!("citations: {:?}", answer.annotations));
        }
        let images: Vec<&str> =
            answer.images.iter().filter_map(|url| url.split_once(";base64,").map(|(_, data)| data)).collect();
        if images != expected.images {
            return Some("images".to_owned());
        }
        (answer.usage != self.usage).then(|| "usage".to_owned())
    }

    fn fault_of_reading(&self, found: &Reading, what: impl Fn(Reading) -> Reading) -> Option<String> {
        let Some(reading) = &self.reading else { return Some("an answer that never ended became whole".to_owned()) };
        let (found, expected) = (what(found.clone()), what(reading.clone()));
        (found != expected).then(|| format!("{found:?} instead of {expected:?}"))
    }
}

/// How many answers became whole and how many errors, and what was wrong.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    errors: usize,
    faults: Vec<String>,
}

impl Tally {
    fn note(&mut self, what: &str, step: &Step, fault: impl FnOnce() -> Option<String>) {
        if *step != Step::Complete {
            self.errors += 1;
        } else if let Some(fault) = fault() {
            self.faults.push(format!("{what}: {fault}"));
        } else {
            self.whole += 1;
        }
    }
}

fn check(whole: &Whole, stream: &[u8], what: &str, tallies: &mut [Tally; 4]) {
    let (streamed, step) = chunks(&meta(), &[stream]);
    tallies[0].note(what, &step, || whole.fault_of_chat(&of_chunks(&streamed)));
    let (buffered, step) = completion(&meta(), &[stream]);
    tallies[1].note(what, &step, || whole.fault_of_chat(&of_completion(&buffered)));
    let (relayed, step) = relay(&[stream]);
    tallies[2].note(what, &step, || {
        let events = data(&relayed);
        let output = Reading::of_output(&events.last().unwrap()["response"]["output"]);
        let faults = [
            ("deltas", whole.fault_of_reading(&Reading::of_deltas(&events), Reading::told_in_deltas)),
            ("items", whole.fault_of_reading(&Reading::of_items(&events), Reading::shown)),
            ("output", whole.fault_of_reading(&output, Reading::shown)),
        ];
        faults.into_iter().find_map(|(reader, fault)| Some(format!("by its {reader}: {}", fault?)))
    });
    let (document, step) = collect(&[stream]);
    tallies[3].note(what, &step, || {
        let document: Value = serde_json::from_slice(&document).unwrap();
        whole.fault_of_reading(&Reading::of_output(&document["output"]), Reading::shown)
    });
}

/// The positions that are tried in these events: all of a short stream, some of a long one, and always the last ones.
fn positions(frames: &[String]) -> impl Iterator<Item = usize> {
    let (events, bytes) = (frames.len(), frames.iter().map(String::len).sum::<usize>());
    let step = (events * bytes / work()).max(1);
    (0..events).filter(move |position| position % step == 0 || (events - position < 4 && 4 * bytes < work()))
}

#[test]
fn an_answer_with_one_damaged_event_is_whole_or_an_error() {
    let mut tallies: [Tally; 4] = Default::default();
    let (mut read, mut tried) = (0, 0);
    for (name, stream) in streams() {
        let whole = Whole::of(name, &stream);
        if !whole.is_sound() {
            continue;
        }
        read += 1;
        for position in positions(&whole.frames) {
            for damage in Damage::ALL {
                if let Some(stream) = damage.done_to(&whole.frames, position) {
                    let kind = whole.frames[position].lines().next().unwrap_or_default();
                    check(&whole, &stream, &format!("{} {position} {damage:?} {kind}", whole.name), &mut tallies);
                    tried += 1;
                }
            }
        }
    }
    report(&tallies);
    println!("{tried} damaged streams made of {read} whole ones");
    assert!(tallies.iter().all(|tally| tally.faults.is_empty()));
}

#[test]
fn an_answer_with_several_damaged_events_is_whole_or_an_error_too() {
    let mut tallies: [Tally; 4] = Default::default();
    let short = streams().into_iter().filter(|(_, stream)| stream.len() < 60_000);
    let all: Vec<Whole> = short
        .map(|(name, stream)| Whole::of(name, &stream))
        .filter(|whole| whole.is_sound() && whole.frames.len() > 5)
        .collect();
    let mut random = 1_u64;
    let mut choose = |count: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % count
    };
    for _ in 0..rounds() {
        let whole = &all[choose(all.len())];
        let (mut frames, mut what) = (whole.frames.clone(), whole.name.clone());
        for _ in 0..2 + choose(2) {
            let (damage, position) = (Damage::ALL[choose(Damage::ALL.len())], choose(frames.len()));
            if let Some(stream) = damage.done_to(&frames, position) {
                what += &format!(" {position} {damage:?}");
                frames = frames_of(std::str::from_utf8(&stream).unwrap());
            }
        }
        check(whole, frames.concat().as_bytes(), &what, &mut tallies);
    }
    report(&tallies);
    assert!(tallies.iter().all(|tally| tally.faults.is_empty()));
}

/// How many streams with several damaged events are read.
fn rounds() -> usize {
    work() / 40
}

fn report(tallies: &[Tally; 4]) {
    let names = ["chat, streamed", "chat, buffered", "responses, streamed", "responses, buffered"];
    for (name, tally) in names.iter().zip(tallies) {
        println!("{name}: {} whole, {} errors, {} faults", tally.whole, tally.errors, tally.faults.len());
        for fault in tally.faults.iter().take(SHOWN) {
            println!("  {}", fault.chars().take(400).collect::<String>());
        }
    }
}

fn frames_of(text: &str) -> Vec<String> {
    text.split("\n\n").filter(|frame| !frame.trim().is_empty()).map(|frame| format!("{frame}\n\n")).collect()
}

/// How many bytes one kind of damage to one stream may cost to read; `CODEX_PROXY_DAMAGE` sets another number.
fn work() -> usize {
    std::env::var("CODEX_PROXY_DAMAGE").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(30_000)
}

/// How many faults are shown of each API and mode.
const SHOWN: usize = 12;
