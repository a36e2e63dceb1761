//! Turns a scenario into the steps of an answer.
//!
//! * The items' events are created first, then the scenario drops, moves or adds some, then they are numbered and
//!   framed.
//! * Between the items come the events that clients of the real stream must tolerate: keepalives, the backend's
//!   internal ones and an unknown one.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::answer;
use crate::answer::envelope::{Envelope, Terminal, Usage};
use crate::answer::frame::{Delivery, number};
use crate::answer::output::{Output, Place};
use crate::fault::StreamFailure;
use crate::record::Guard;
use crate::scenario::{FailureShape, Moment, Play, Scenario, Stage};
use crate::script::{ScriptStep, ScriptedAnswer, play_steps};
use crate::turn::{Tool, ToolKind, Turn};
use crate::vault::Owner;
use crate::{Simulator, locked};

/// The inputs of one answer.
pub(crate) struct Performance<'a> {
    simulator: &'a Simulator,
    turn: Turn,
    plan: String,
    delivery: Delivery,
    unknown_events: bool,
}

impl<'a> Performance<'a> {
    pub(crate) fn new(simulator: &'a Simulator, turn: Turn, plan: String) -> Self {
        let settings = simulator.settings();
        Self { simulator, turn, plan, delivery: settings.delivery.clone(), unknown_events: settings.unknown_events }
    }

    /// Plays the queued scenario, or the one named in the user's text, or the default.
    pub(crate) async fn play(mut self, guard: Guard) -> Response<Body> {
        let queued = locked(&self.simulator.inner.plays).pop_front();
        let directed = || self.turn.user_spoke_last().then(|| Play::directed(&self.turn.last_user_text())).flatten();
        let play = queued.or_else(directed).unwrap_or_default();
        if let Some(delivery) = play.delivery {
            self.delivery = delivery;
        }
        match play.scenario {
            Scenario::Paced(count, interval) => self.play_paced(count, interval, guard).await,
            scenario => self.compose(scenario).play(guard).await,
        }
    }

    fn compose(&self, scenario: Scenario) -> ScriptedAnswer {
        let now = self.simulator.now();
        match scenario {
            Scenario::Http(fault) => fault.answer(self.turn.model(), &self.plan, now),
            Scenario::HtmlWithOk => ScriptedAnswer::html(StatusCode::OK, PAGE),
            Scenario::JsonErrorWithOk => {
                let error = json!({ "message": "Something went wrong (simulated).", "type": "server_error", "code": "server_error" });
                ScriptedAnswer::stream().bytes(format!("{:#}", json!({ "error": error })))
            }
            Scenario::Redirect(status, location) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::TEMPORARY_REDIRECT);
                ScriptedAnswer::redirect(status, &location)
            }
            Scenario::Raw(bytes) => self.streamed(self.delivery.cut(vec![ScriptStep::Bytes(bytes)])),
            Scenario::Scripted(answer) => answer,
            Scenario::HangUp => ScriptedAnswer::hang_up(),
            Scenario::EmptyBody => self.streamed(Vec::new()),
            other => {
                let delay = if let Scenario::Stall(delay, Stage::Head) = other { delay } else { Duration::ZERO };
                let answer = self.streamed(self.steps(&other)).delayed(delay);
                let named = if let Scenario::Substituted(substitution) = &other { substitution.header() } else { None };
                match named {
                    Some(model) => answer.header(HeaderName::from_static("openai-model"), model),
                    None => answer,
                }
            }
        }
    }

    fn streamed(&self, steps: Vec<ScriptStep>) -> ScriptedAnswer {
        let answer = ScriptedAnswer { steps, ..ScriptedAnswer::stream() };
        if self.delivery.content_type {
            answer.header(CONTENT_TYPE, "text/event-stream; charset=utf-8")
        } else {
            answer
        }
    }

    fn steps(&self, scenario: &Scenario) -> Vec<ScriptStep> {
        let outputs = self.outputs(scenario);
        let (envelope, usage) = self.envelope(&outputs);
        let mut events = self.opening(&envelope);
        let opened = events.len();
        events.extend(self.body(scenario, &outputs));
        let middle = after_first_deltas(&events, opened);
        let end_at = match scenario {
            Scenario::Fail(_, _, Moment::BeforeOutput) | Scenario::Cut(Moment::BeforeOutput) => opened,
            Scenario::Fail(_, _, Moment::AfterOutput) | Scenario::Cut(Moment::AfterOutput) => middle,
            Scenario::CutMidEvent => middle + 1,
            _ => events.len(),
        };
        events.truncate(end_at);
        let told = events.len();
        events.extend(terminals(scenario).iter().filter_map(|terminal| envelope.closing(terminal, usage)));
        if let Scenario::Ending(ending) = scenario {
            ending.change(&mut events);
        }
        if let Scenario::Substituted(substitution) = scenario {
            substitution.tell(&mut events, middle);
        }
        if let (Scenario::ServedTier(tier), Some(last)) = (scenario, events.last_mut()) {
            last["response"]["service_tier"] = tier.as_str().into();
        }
        number(&mut events);
        let mut steps: Vec<ScriptStep> =
            events.iter().map(|event| ScriptStep::Bytes(self.delivery.frame(event))).collect();
        self.disturb(scenario, &mut steps, (opened, middle, told));
        self.finish(scenario, steps)
    }

    /// Adds pauses and broken frames; `places` are the indices of the first item, of the middle and of the last event.
    fn disturb(&self, scenario: &Scenario, steps: &mut Vec<ScriptStep>, places: (usize, usize, usize)) {
        let (opened, middle, told) = places;
        match scenario {
            Scenario::Stall(delay, Stage::Output) => steps.insert(opened, ScriptStep::Wait(*delay)),
            Scenario::Stall(delay, Stage::Middle) => steps.insert(middle, ScriptStep::Wait(*delay)),
            Scenario::Stall(delay, Stage::Terminal) => steps.insert(told, ScriptStep::Wait(*delay)),
            Scenario::MalformedEvent => {
                let broken =
                    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"del\n\n";
                steps.insert(middle, ScriptStep::Bytes(broken.into()));
            }
            Scenario::CutMidEvent => {
                if let Some(ScriptStep::Bytes(bytes)) = steps.last_mut() {
                    bytes.truncate(bytes.len() / 2);
                }
            }
            _ => {}
        }
    }

    fn finish(&self, scenario: &Scenario, steps: Vec<ScriptStep>) -> Vec<ScriptStep> {
        let mut steps = self.delivery.cut(steps);
        if !self.delivery.pace.is_zero() {
            steps = steps.into_iter().flat_map(|step| [ScriptStep::Wait(self.delivery.pace), step]).collect();
        }
        if self.delivery.done_marker {
            steps.push(ScriptStep::Bytes("data: [DONE]\n\n".into()));
        }
        if matches!(scenario, Scenario::Cut(_) | Scenario::CutMidEvent) {
            steps.push(ScriptStep::Cut);
        } else if self.delivery.hold_open {
            steps.push(ScriptStep::Hold);
        }
        // Forces streaming, without a length.
        steps.push(ScriptStep::Wait(Duration::ZERO));
        steps
    }

    fn outputs(&self, scenario: &Scenario) -> Vec<Output> {
        let thought = |parts: [&str; 2], raw| Output::Reasoning { parts: parts.map(str::to_owned).to_vec(), raw };
        let plain = || Output::answer(format!("{}\n\nScenario: {scenario:.60?}", answer::DISCLAIMER));
        match scenario {
            Scenario::InterleavedCalls => self.calls(2),
            Scenario::ArgumentsOnlyInDone | Scenario::ArgumentsOnlyInItem => self.calls(2),
            Scenario::DeltaBeforeItem | Scenario::StrayDelta => self.calls(1),
            Scenario::CustomToolCall => vec![self.custom_call()],
            Scenario::CommentedCall => {
                let mut outputs = vec![answer::reasoning(), Output::commentary(), answer::reasoning()];
                outputs.extend(self.calls(1));
                outputs
            }
            Scenario::SeveralMessages => {
                vec![Output::commentary(), plain(), Output::answer("A second message ends the simulation.")]
            }
            Scenario::SeveralReasoningItems => vec![
                thought(["**First thought**\n\nAlpha.", "**Second thought**\n\nBeta."], false),
                thought(["**Third thought**\n\nGamma.", "**Fourth thought**\n\nDelta."], false),
                plain(),
            ],
            Scenario::RawReasoning => vec![thought(["raw thought one", "raw thought two"], true), plain()],
            Scenario::Refusal => vec![Output::Refusal("I can’t help with that (simulated).".to_owned())],
            Scenario::WebSearch => answer::search(&self.turn),
            Scenario::ImageGeneration => answer::picture(),
            Scenario::HugeImage(size) => vec![Output::Image("A".repeat(*size)), plain()],
            Scenario::Fail(..) | Scenario::Cut(_) | Scenario::CutMidEvent | Scenario::EndWithoutTerminal => {
                vec![plain()]
            }
            Scenario::TextOnlyInDone | Scenario::TextOnlyInItem | Scenario::SingleDelta | Scenario::MalformedEvent => {
                vec![plain()]
            }
            _ => answer::plan(&self.turn),
        }
    }

    /// Returns `count` calls of the declared functions in turn, or of two invented ones.
    fn calls(&self, count: usize) -> Vec<Output> {
        let is_function = |tool: &&Tool| matches!(tool.kind, ToolKind::Function(_));
        let mut tools: Vec<Tool> = self.turn.tools.iter().filter(is_function).cloned().collect();
        if tools.is_empty() {
            let schema =
                json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
            let invented =
                |name: &str| Tool { name: name.to_owned(), namespace: None, kind: ToolKind::Function(schema.clone()) };
            tools = vec![invented("get_weather"), invented("get_time")];
        }
        tools.iter().cycle().take(count).map(answer::call).collect()
    }

    fn custom_call(&self) -> Output {
        let declared = self.turn.tools.iter().find(|tool| tool.kind == ToolKind::Custom).cloned();
        let invented = || Tool { name: "apply_patch".to_owned(), namespace: None, kind: ToolKind::Custom };
        answer::call(&declared.unwrap_or_else(invented))
    }

    fn opening(&self, envelope: &Envelope) -> Vec<Value> {
        let [created, in_progress] = envelope.opening();
        let limits = self.simulator.settings().limits.event(&self.plan, self.simulator.now());
        let metadata = json!({
            "type": "response.metadata",
            "headers": { "openai-model": self.turn.model() },
            "metadata": {},
        });
        vec![created, limits, in_progress, metadata, json!({ "type": "keepalive" })]
    }

    fn body(&self, scenario: &Scenario, outputs: &[Output]) -> Vec<Value> {
        let place = |index| Place {
            vault: &self.simulator.inner.vault,
            owner: Owner { account: &self.turn.account_id, model: self.turn.model() },
            index,
            long_ids: matches!(scenario, Scenario::LongIds),
        };
        let groups: Vec<Vec<Value>> =
            outputs.iter().enumerate().map(|(index, output)| output.events(place(index))).collect();
        let groups = rearrange(scenario, groups);
        let mut events = Vec::new();
        for (index, group) in groups.into_iter().enumerate() {
            if index > 0 {
                events.push(json!({ "type": "keepalive" }));
            }
            events.extend(group);
        }
        if self.unknown_events {
            let note = "No client knows this event.";
            events.push(json!({ "type": "response.simulation.noted", "note": note }));
        }
        events
    }

    fn envelope(&self, outputs: &[Output]) -> (Envelope, Usage) {
        let earlier = self.turn.cache_key().map_or(0, |key| self.simulator.inner.earlier_input(key));
        let usage = Usage::of(&self.turn, outputs, earlier);
        if let Some(key) = self.turn.cache_key() {
            self.simulator.inner.remember_input(key, usage.input);
        }
        (Envelope::new(self.simulator.inner.vault.id("resp"), self.simulator.now(), &self.turn), usage)
    }

    /// Generates the stream while sending, so that its length needs no memory.
    async fn play_paced(&self, count: u64, interval: Duration, guard: Guard) -> Response<Body> {
        let outputs = [Output::answer("x")];
        let (envelope, usage) = self.envelope(&outputs);
        let mut events = self.opening(&envelope);
        events.extend(self.body(&Scenario::Default, &outputs));
        let is_delta = |event: &Value| event["type"] == "response.output_text.delta";
        let first = events.iter().position(is_delta).unwrap_or(events.len());
        let mut closing: Vec<Value> = events.split_off(first);
        let template = if closing.is_empty() { Value::Null } else { closing.remove(0) };
        closing.extend(envelope.closing(&Terminal::Completed, Usage { output: count, ..usage }));
        number(&mut events);
        let told = events.iter().filter(|event| event.get("sequence_number").is_some()).count() as u64;
        let opening: Vec<ScriptStep> =
            events.iter().map(|event| ScriptStep::Bytes(self.delivery.frame(event))).collect();
        let delivery = self.delivery.clone();
        let deltas = (0..count).flat_map(move |index| {
            let mut event = template.clone();
            event["delta"] = numbered(index).into();
            event["sequence_number"] = (told + index).into();
            [ScriptStep::Wait(interval), ScriptStep::Bytes(delivery.frame(&event))]
        });
        let delivery = self.delivery.clone();
        let ending = std::iter::once_with(move || {
            let text: String = (0..count).map(numbered).collect();
            let numbered = (told.saturating_add(count)..).zip(closing);
            let frames = numbered.map(|(sequence, mut event)| {
                event["sequence_number"] = sequence.into();
                replace_text(&mut event, &text);
                ScriptStep::Bytes(delivery.frame(&event))
            });
            frames.collect::<Vec<_>>()
        });
        let steps = opening.into_iter().chain(deltas).chain(ending.flatten());
        play_steps(StatusCode::OK, Duration::ZERO, steps, guard, false).await
    }
}

/// Sets the text of an event that repeats it.
fn replace_text(event: &mut Value, text: &str) {
    for pointer in ["/text", "/part/text", "/item/content/0/text"] {
        if let Some(place) = event.pointer_mut(pointer) {
            *place = text.into();
        }
    }
}

fn numbered(index: u64) -> String {
    format!("{index} ")
}

fn terminals(scenario: &Scenario) -> Vec<Terminal> {
    match scenario {
        Scenario::Incomplete(reason) => vec![Terminal::Incomplete(reason.word())],
        Scenario::Cut(_) | Scenario::CutMidEvent | Scenario::EndWithoutTerminal => vec![Terminal::None],
        Scenario::Fail(StreamFailure { code, message }, shape, _) => {
            let (code, message) = (code.clone(), message.clone());
            let failed = Terminal::Failed { code: code.clone(), message: message.clone() };
            match shape {
                FailureShape::Failed => vec![failed],
                FailureShape::NestedError => vec![Terminal::Error { code, message, nested: true }],
                FailureShape::FlatError => vec![Terminal::Error { code, message, nested: false }],
                FailureShape::ErrorThenFailed => vec![Terminal::Error { code, message, nested: true }, failed],
                FailureShape::Cancelled => vec![Terminal::Cancelled { code, message }],
            }
        }
        _ => vec![Terminal::Completed],
    }
}

/// Drops and moves events for the scenario.
fn rearrange(scenario: &Scenario, mut groups: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    match scenario {
        Scenario::InterleavedCalls => vec![interleave(groups)],
        Scenario::ArgumentsOnlyInDone => without(groups, &[".delta"]),
        Scenario::ArgumentsOnlyInItem => without(groups, &[".delta", "arguments.done", "input.done"]),
        Scenario::TextOnlyInDone => without(groups, &[".delta"]),
        Scenario::TextOnlyInItem => {
            without(groups, &[".delta", "output_text.done", "content_part.added", "content_part.done"])
        }
        Scenario::DeltaBeforeItem => {
            groups.iter_mut().filter(|group| group.len() > 2).for_each(|group| group.swap(0, 1));
            groups
        }
        Scenario::StrayDelta => {
            let stray = json!({
                "type": "response.function_call_arguments.delta", "item_id": "fc_nobody", "output_index": 99,
                "delta": "{\"stray\":true}",
            });
            groups.iter_mut().filter(|group| !group.is_empty()).for_each(|group| group.insert(1, stray.clone()));
            groups
        }
        Scenario::SingleDelta => groups.into_iter().map(join_deltas).collect(),
        _ => groups,
    }
}

fn without(mut groups: Vec<Vec<Value>>, endings: &[&str]) -> Vec<Vec<Value>> {
    let is_told = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default();
        !endings.iter().any(|ending| kind.ends_with(ending))
    };
    groups.iter_mut().for_each(|group| group.retain(is_told));
    groups
}

/// Starts all items first, then alternates their events, and ends them in reverse order.
fn interleave(groups: Vec<Vec<Value>>) -> Vec<Value> {
    let mut ends = Vec::new();
    let mut rests = Vec::new();
    let mut events = Vec::new();
    for mut group in groups {
        let end = group.pop();
        let mut rest = group.into_iter();
        events.extend(rest.next());
        rests.push(rest);
        ends.extend(end);
    }
    while rests.iter().any(|rest| rest.len() > 0) {
        events.extend(rests.iter_mut().filter_map(Iterator::next));
    }
    events.extend(ends.into_iter().rev());
    events
}

fn join_deltas(group: Vec<Value>) -> Vec<Value> {
    let is_delta = |event: &Value| event["type"].as_str().is_some_and(|kind| kind.ends_with(".delta"));
    let whole: String =
        group.iter().filter(|event| is_delta(event)).filter_map(|event| event["delta"].as_str()).collect();
    let mut first = true;
    let keep = |mut event: Value| {
        if !is_delta(&event) {
            return Some(event);
        }
        event["delta"] = whole.as_str().into();
        std::mem::take(&mut first).then_some(event)
    };
    group.into_iter().filter_map(keep).collect()
}

/// Returns the index after the third delta, or after the last if there are fewer; at least `from`.
fn after_first_deltas(events: &[Value], from: usize) -> usize {
    let is_delta = |event: &&Value| event["type"].as_str().is_some_and(|kind| kind.ends_with(".delta"));
    let deltas = events.iter().enumerate().filter(|(_, event)| is_delta(event)).take(3);
    deltas.last().map_or(from, |(index, _)| index + 1)
}

/// A page without useful information.
const PAGE: &str = "<!DOCTYPE html><html><head><title>ChatGPT</title></head><body>Simulated page</body></html>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_alternates_and_ends_in_reverse() {
        let group =
            |name: &str| ["added", "delta", "delta", "end"].map(|step| json!(format!("{name}.{step}"))).to_vec();
        let order = interleave(vec![group("a"), group("b")]);
        let expected = ["a.added", "b.added", "a.delta", "b.delta", "a.delta", "b.delta", "b.end", "a.end"];
        assert_eq!(order, expected.map(|name| json!(name)));
    }

    #[test]
    fn bytes_are_the_unit_of_a_raw_body() {
        assert_eq!(Delivery::split(2).cut(vec![ScriptStep::Bytes("abc".into())]).len(), 2);
    }
}
