//! The state machine from the backend's events to a chat answer, the same for streaming and buffered clients.
//!
//! * Every text and every argument is passed on once, whether it comes in deltas, in the part's `done`, or only in the
//!   finished item.
//! * Messages are separated by a blank line, and so are the parts of the reasoning.
//! * Only calls the client runs itself become calls: searches and image generation are the backend's own business.
//! * An event that is not understood is skipped; only the backend's last event ends the answer.

use serde_json::value::RawValue;

use super::citation;
use super::items::{Call, Items, Key, PartKind};
use super::passed::Passed;
use super::sink::{AnswerMeta, CallHead, CallKind, FinishReason, Image, ReasoningFormat, Sink};
use super::thoughts::{KeptReasoning, Thoughts};
use super::views::{ItemView, PartView};
use crate::openai::error::ApiError;
use crate::openai::json::Text;
use crate::translate::answerer::Answerer;
use crate::translate::delta::{Delta, DeltaKind};
use crate::translate::event::{Event, ResponseView, Usage};
use crate::translate::failure::Failure;
use crate::translate::sse::Frame;
use crate::translate::{Machine, Step};

/// Turns the backend's events into a chat answer.
#[derive(Debug)]
pub struct ChatMachine<S> {
    sink: S,
    answerer: Answerer,
    reasoning: ReasoningFormat,
    legacy_functions: bool,
    identified: bool,
    visible: bool,
    items: Items,
    calls: usize,
    /// The message whose text has been passed on last.
    speaking: Option<usize>,
    reasoned: bool,
    /// `<think>` has been written and not closed.
    thinking: bool,
    /// Characters of content passed on.
    content_length: u64,
    usage: Option<Usage>,
    thoughts: Thoughts,
}

impl<S: Sink> ChatMachine<S> {
    /// A machine at the beginning of an answer.
    pub fn new(meta: &AnswerMeta, sink: S) -> Self {
        Self {
            sink,
            answerer: Answerer::new(&meta.model, false),
            reasoning: meta.reasoning,
            legacy_functions: meta.legacy_functions,
            identified: false,
            visible: false,
            items: Items::default(),
            calls: 0,
            speaking: None,
            reasoned: false,
            thinking: false,
            content_length: 0,
            usage: None,
            thoughts: Thoughts::default(),
        }
    }

    fn event(&mut self, event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) -> Step {
        if let Some(delta) = Delta::of(event) {
            self.delta(&delta, out);
            return Step::Continue;
        }
        let view = self.answerer.note(event);
        if let Some(failure) = self.answerer.refused() {
            return failed(failure);
        }
        self.sink.model(self.answerer.name());
        match event.kind.as_ref() {
            "response.output_text.done" => self.part_done(event, PartKind::Text, event.content_index, event.text, out),
            "response.refusal.done" => {
                self.part_done(event, PartKind::Refusal, event.content_index, event.refusal, out);
            }
            "response.reasoning_summary_text.done" => {
                self.part_done(event, PartKind::Summary, event.summary_index, event.text, out);
            }
            "response.reasoning_text.done" => {
                self.part_done(event, PartKind::Reasoning, event.content_index, event.text, out);
            }
            "response.function_call_arguments.done" => self.arguments_done(event, event.arguments, out),
            "response.custom_tool_call_input.done" => self.arguments_done(event, event.input, out),
            "response.output_text.annotation.added" => self.annotation_added(event, out),
            "response.content_part.done" => self.content_part_done(event, out),
            "response.reasoning_summary_part.done" => self.summary_part_done(event, out),
            "response.output_item.added" => self.item_added(event, out),
            "response.output_item.done" => self.item_done(event.item, event.output_index, out),
            "response.created" | "response.in_progress" if !self.identified => {
                self.identify(&view.or_else(|| event.response.map(ResponseView::parse)).unwrap_or_default());
            }
            "response.completed" => return self.complete(&view.unwrap_or_default(), None, out),
            "response.incomplete" => {
                let view = view.unwrap_or_default();
                let reason = FinishReason::of_incomplete(view.incomplete_reason());
                return self.complete(&view, Some(reason), out);
            }
            "response.failed" | "response.cancelled" => return failed(Failure::from_failed_response(event)),
            "error" => return failed(Failure::from_error_event(data)),
            _ => {}
        }
        Step::Continue
    }

    fn identify(&mut self, view: &ResponseView<'_>) {
        if let Some(id) = view.id.as_deref().filter(|_| !self.identified) {
            self.sink.identify(id);
            self.identified = true;
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let key = Key { id: delta.item_id, output_index: delta.output_index };
        let (kind, index) = match delta.kind {
            DeltaKind::Text => (PartKind::Text, delta.content_index),
            DeltaKind::Refusal => (PartKind::Refusal, delta.content_index),
            DeltaKind::Summary => (PartKind::Summary, delta.summary_index),
            DeltaKind::Reasoning => (PartKind::Reasoning, delta.content_index),
            DeltaKind::Arguments | DeltaKind::Input => return self.arguments_delta(key, delta.text, out),
        };
        let item = self.items.find_or_add(key);
        self.part_text(item, kind, index.unwrap_or(0), delta.text, out);
    }

    fn part_done(
        &mut self,
        event: &Event<'_>,
        kind: PartKind,
        index: Option<u64>,
        text: Option<&RawValue>,
        out: &mut Vec<u8>,
    ) {
        if let Some(text) = text.and_then(Text::of) {
            let item = self.items.find_or_add(event.key());
            self.whole_part(item, kind, index.unwrap_or(0), text, out);
        }
    }

    /// Passes on what has not been of a part that is known whole.
    fn whole_part(&mut self, item: usize, kind: PartKind, index: u64, text: Text<'_>, out: &mut Vec<u8>) {
        let length = self.content_length;
        let Some(part) = self.items.item(item).map(|item| item.part(kind, index, length)) else { return };
        if let Some(rest) = part.sent.rest_of(text) {
            self.part_text(item, kind, index, rest, out);
        }
    }

    fn part_text(&mut self, position: usize, kind: PartKind, index: u64, text: Text<'_>, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.separate(position, kind, index, out);
        let length = self.content_length;
        if let Some(item) = self.items.item(position) {
            item.part(kind, index, length).sent.add(text);
        }
        match kind {
            PartKind::Text => self.content(text, out),
            PartKind::Refusal => {
                self.visible = true;
                self.sink.refusal(text, out);
            }
            PartKind::Summary | PartKind::Reasoning => self.reason(text, out),
        }
    }

    /// What must stand before the next text of a part: nothing, unless the part begins with it, or another message has
    /// spoken meanwhile.
    fn separate(&mut self, position: usize, kind: PartKind, index: u64, out: &mut Vec<u8>) {
        let length = self.content_length;
        let Some(item) = self.items.item(position) else { return };
        let has_begun = !item.part(kind, index, length).sent.is_empty();
        let speaks_on = self.speaking == Some(position);
        if has_begun && (kind != PartKind::Text || speaks_on) {
            return;
        }
        match kind {
            PartKind::Text => {
                self.end_thinking(out);
                if !speaks_on && self.speaking.replace(position).is_some() {
                    self.content(BLANK_LINE, out);
                }
                if has_begun {
                    return;
                }
                let length = self.content_length;
                if let Some(item) = self.items.item(position) {
                    item.part(kind, index, length).offset = length;
                }
            }
            PartKind::Refusal => {}
            PartKind::Summary | PartKind::Reasoning => {
                if std::mem::replace(&mut self.reasoned, true) {
                    self.reason(BLANK_LINE, out);
                }
            }
        }
    }

    fn content(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        self.visible = true;
        self.content_length += text.length() as u64;
        self.sink.content(text, out);
    }

    fn reason(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        match self.reasoning {
            ReasoningFormat::None => {}
            ReasoningFormat::ThinkTags => {
                if !std::mem::replace(&mut self.thinking, true) {
                    self.content(THINK_BEGIN, out);
                }
                self.content(text, out);
            }
            ReasoningFormat::ReasoningContent | ReasoningFormat::Reasoning => {
                self.visible = true;
                self.sink.reasoning(text, out);
            }
        }
    }

    fn end_thinking(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.thinking) {
            self.content(THINK_END, out);
        }
    }

    fn arguments_delta(&mut self, key: Key<'_>, text: Text<'_>, out: &mut Vec<u8>) {
        let found =
            self.items.find(key).filter(|position| self.items.item(*position).is_some_and(|item| item.call.is_some()));
        match found {
            Some(position) => self.arguments(position, text, out),
            None => self.items.keep_early(key, text),
        }
    }

    fn arguments_done(&mut self, event: &Event<'_>, arguments: Option<&RawValue>, out: &mut Vec<u8>) {
        if let Some(position) = self.items.find(event.key()) {
            self.whole_arguments(position, arguments.and_then(Text::of), out);
        }
    }

    /// Passes on what has not been of arguments that are known whole.
    fn whole_arguments(&mut self, position: usize, arguments: Option<Text<'_>>, out: &mut Vec<u8>) {
        let sent = self.items.item(position).and_then(|item| item.call.as_ref()).map(|call| call.sent);
        if let Some(rest) = arguments.and_then(|arguments| sent?.rest_of(arguments)) {
            self.arguments(position, rest, out);
        }
    }

    fn arguments(&mut self, position: usize, text: Text<'_>, out: &mut Vec<u8>) {
        let Some(call) = self.items.item(position).and_then(|item| item.call.as_mut()) else { return };
        if text.is_empty() {
            return;
        }
        call.sent.add(text);
        let (index, kind) = (call.index, call.kind);
        // The legacy form has room for one call, and the request asked for no more.
        if !(self.legacy_functions && index > 0) {
            self.sink.arguments(index, kind, text, out);
        }
    }

    fn annotation_added(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let Some(annotation) = event.annotation else { return };
        let position = self.items.find_or_add(event.key());
        self.annotation(position, event.content_index.unwrap_or(0), annotation, out);
    }

    fn annotation(&mut self, position: usize, index: u64, annotation: &RawValue, out: &mut Vec<u8>) {
        let length = self.content_length;
        let Some(item) = self.items.item(position) else { return };
        let part = item.part(PartKind::Text, index, length);
        part.annotations += 1;
        if let Some(json) = citation::translate(annotation, part.offset) {
            self.visible = true;
            self.sink.annotation(&json, out);
        }
    }

    fn content_part_done(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if let Some(part) = event.part {
            let position = self.items.find_or_add(event.key());
            self.message_part(position, event.content_index.unwrap_or(0), part, out);
        }
    }

    fn summary_part_done(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if let Some(part) = event.part {
            let position = self.items.find_or_add(event.key());
            self.reasoning_part(position, PartKind::Summary, event.summary_index.unwrap_or(0), part, out);
        }
    }

    /// Passes on what has not been of a finished message part.
    fn message_part(&mut self, position: usize, index: u64, part: &RawValue, out: &mut Vec<u8>) {
        let Ok(part) = serde_json::from_str::<PartView<'_>>(part.get()) else { return };
        if let Some(text) = part.output_text() {
            self.whole_part(position, PartKind::Text, index, text, out);
        }
        if let Some(refusal) = part.refusal.and_then(Text::of) {
            self.whole_part(position, PartKind::Refusal, index, refusal, out);
        }
        let length = self.content_length;
        let known = self.items.item(position).map_or(0, |item| item.part(PartKind::Text, index, length).annotations);
        for annotation in part.annotations.unwrap_or_default().into_iter().skip(known) {
            self.annotation(position, index, annotation, out);
        }
    }

    fn item_added(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let Some(view) = event.item.and_then(ItemView::parse) else { return };
        let position = self.items.find_or_add(view.key(event.output_index));
        // A name is sent once and cannot be mended: a call without one waits for the end of its item.
        let has_name = view.name.and_then(Text::of).is_some_and(|name| !name.is_empty());
        if let Some(kind) = view.call_kind().filter(|_| has_name) {
            self.begin_call(position, kind, &view, event.output_index, out);
        }
    }

    /// Announces a call as soon as its id and name are known, with whatever arguments have come before it.
    fn begin_call(
        &mut self,
        position: usize,
        kind: CallKind,
        view: &ItemView<'_>,
        output_index: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        let (Some(id), Some(name)) = (view.call_id.and_then(Text::of), view.name.and_then(Text::of)) else { return };
        let index = self.calls;
        let Some(item) = self.items.item(position).filter(|item| item.call.is_none()) else { return };
        let initial = view.payload(kind).map(|text| text.escaped().to_owned()).unwrap_or_default();
        item.call = Some(Call { index, kind, sent: Passed::default(), initial });
        self.calls += 1;
        self.thoughts.led_to_call(id);
        self.end_thinking(out);
        self.visible = true;
        if !(self.legacy_functions && index > 0) {
            self.sink.call(CallHead { index, kind, id, name }, out);
        }
        let early = self.items.take_early(view.key(output_index));
        self.arguments(position, Text::from_escaped(&early), out);
    }

    /// Passes on what has not been of a finished item.
    fn item_done(&mut self, item: Option<&RawValue>, output_index: Option<u64>, out: &mut Vec<u8>) {
        let Some(view) = item.and_then(ItemView::parse) else { return };
        let key = view.key(output_index);
        let position = self.items.find_or_add(key);
        self.finished_texts(position, &view, out);
        if let Some(kind) = view.call_kind() {
            // The finished item has them all, so what came early could only be a part of it.
            let is_whole = view.payload(kind).is_some_and(|payload| !payload.is_empty());
            if is_whole && self.items.item(position).is_some_and(|item| item.call.is_none()) {
                self.items.take_early(key);
            }
            self.begin_call(position, kind, &view, output_index, out);
            self.whole_arguments(position, view.payload(kind), out);
            self.thoughts.call_done(&view, kind);
        }
        if let Some(item) = self.items.item(position) {
            item.done = true;
        }
    }

    fn finished_texts(&mut self, position: usize, view: &ItemView<'_>, out: &mut Vec<u8>) {
        let content = || (0..).zip(view.content.iter().flatten().copied());
        match view.kind.and_then(Text::of).map(Text::escaped) {
            Some("message") => {
                self.thoughts.led_to_message();
                for (index, part) in content() {
                    self.message_part(position, index, part, out);
                }
            }
            Some("reasoning") => {
                self.thoughts.add(view);
                for (index, part) in (0..).zip(view.summary.iter().flatten().copied()) {
                    self.reasoning_part(position, PartKind::Summary, index, part, out);
                }
                for (index, part) in content() {
                    self.reasoning_part(position, PartKind::Reasoning, index, part, out);
                }
            }
            Some("image_generation_call") => self.image(view, out),
            _ => {}
        }
    }

    fn reasoning_part(&mut self, position: usize, kind: PartKind, index: u64, part: &RawValue, out: &mut Vec<u8>) {
        let Ok(part) = serde_json::from_str::<PartView<'_>>(part.get()) else { return };
        if let Some(text) = part.text.and_then(Text::of) {
            self.whole_part(position, kind, index, text, out);
        }
    }

    fn image(&mut self, view: &ItemView<'_>, out: &mut Vec<u8>) {
        let Some(base64) = view.result.and_then(Text::of).filter(|result| !result.is_empty()) else { return };
        let format = view.output_format.and_then(Text::of).unwrap_or(PNG);
        self.end_thinking(out);
        self.visible = true;
        self.sink.image(Image { format, base64 }, out);
    }

    fn complete(&mut self, view: &ResponseView<'_>, cut: Option<FinishReason>, out: &mut Vec<u8>) -> Step {
        self.identify(view);
        if self.items.is_empty() {
            // No event told of any item: then, and only then, the summary at the end is all there is.
            let output: Vec<&RawValue> =
                view.output.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
            for (index, item) in (0..).zip(output) {
                self.item_done(Some(item), Some(index), out);
            }
        }
        self.flush_calls(out);
        self.end_thinking(out);
        self.usage = view.usage;
        self.visible = true;
        self.sink.finish(cut.unwrap_or_else(|| self.finish_reason()), view.usage, out);
        Step::Complete
    }

    /// Arguments that stood only in an item's first event.
    fn flush_calls(&mut self, out: &mut Vec<u8>) {
        let mut waiting = Vec::new();
        for item in self.items.iter_mut() {
            if let Some(call) = item.call.as_mut().filter(|call| call.sent.is_empty() && !call.initial.is_empty()) {
                waiting.push((call.index, call.kind, std::mem::take(&mut call.initial)));
            }
        }
        for (index, kind, arguments) in waiting {
            self.sink.arguments(index, kind, Text::from_escaped(&arguments), out);
        }
    }

    fn finish_reason(&self) -> FinishReason {
        match (self.calls, self.legacy_functions) {
            (0, _) => FinishReason::Stop,
            (_, true) => FinishReason::FunctionCall,
            (_, false) => FinishReason::ToolCalls,
        }
    }
}

impl<S: Sink> Machine for ChatMachine<S> {
    fn begin(&mut self, answerer: Answerer) {
        self.answerer = answerer;
        self.sink.model(self.answerer.name());
    }

    fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        if let Some(delta) = Delta::read(&frame.data) {
            self.delta(&delta, out);
            return Step::Continue;
        }
        Event::parse(&frame.data).map_or(Step::Continue, |event| self.event(&event, &frame.data, out))
    }

    fn visible(&self) -> bool {
        self.visible
    }

    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.sink.fail(error, out);
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn take_reasoning(&mut self) -> Vec<KeptReasoning> {
        self.thoughts.take()
    }
}

fn failed(failure: Failure) -> Step {
    Step::Failed { failure, reported: false }
}

const PNG: Text<'static> = Text::from_escaped("png");
const BLANK_LINE: Text<'static> = Text::from_escaped(r"\n\n");
const THINK_BEGIN: Text<'static> = Text::from_escaped(r"<think>\n");
const THINK_END: Text<'static> = Text::from_escaped(r"\n</think>\n\n");
