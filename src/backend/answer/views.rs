//! Items and their parts, reduced to the few fields that an answer needs.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::event::Event;
use crate::backend::event::delta::DeltaKind;
use crate::json::Text;

/// The fields read of an item.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ItemView<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) call_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    pub(crate) summary: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    pub(crate) encrypted_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) output_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) action: Option<&'a RawValue>,
}

impl<'a> ItemView<'a> {
    pub(crate) fn parse(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// Reads `raw`; of an item with malformed fields, only the id.
    pub(crate) fn read(raw: &'a RawValue) -> Self {
        #[derive(Deserialize)]
        struct Id<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
        }
        let id = || serde_json::from_str::<Id<'_>>(raw.get()).ok().and_then(|view| view.id);
        Self::parse(raw).unwrap_or_else(|| Self { id: id(), ..Self::default() })
    }

    /// Returns the arguments or input of a call.
    pub(crate) fn payload(&self, kind: CallKind) -> Option<Text<'a>> {
        match kind {
            CallKind::Function => self.arguments,
            CallKind::Custom => self.input,
        }
        .and_then(Text::of)
    }
}

/// The complete text of a part, with its citations.
#[derive(Debug, Clone)]
pub(crate) struct WholePart<'a> {
    pub(crate) kind: DeltaKind,
    pub(crate) index: u64,
    pub(crate) text: Text<'a>,
    /// The citations; `None` if the backend did not tell them.
    pub(crate) citations: Option<Vec<&'a RawValue>>,
}

impl<'a> WholePart<'a> {
    /// Reads the complete text in `event`: the part's text alone, or the part.
    pub(crate) fn all_of(event: &Event<'a>) -> Vec<Self> {
        let (content, summary) = (event.content_index.unwrap_or_default(), event.summary_index.unwrap_or_default());
        let text = |kind, index, text: Option<&'a RawValue>| {
            let text = text.and_then(Text::of);
            text.map(|text| Self { kind, index, text, citations: None }).into_iter().collect()
        };
        match event.kind.as_ref() {
            "response.output_text.done" => text(DeltaKind::Text, content, event.text),
            "response.refusal.done" => text(DeltaKind::Refusal, content, event.refusal),
            "response.reasoning_summary_text.done" => text(DeltaKind::Summary, summary, event.text),
            "response.reasoning_text.done" => text(DeltaKind::Reasoning, content, event.text),
            "response.function_call_arguments.done" => text(DeltaKind::Arguments, 0, event.arguments),
            "response.custom_tool_call_input.done" => text(DeltaKind::Input, 0, event.input),
            "response.content_part.done" => event.part.map(|part| Self::of_content(part, content)).unwrap_or_default(),
            "response.reasoning_summary_part.done" => {
                event.part.and_then(|part| Self::of_reasoning(part, DeltaKind::Summary, summary)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Reads the parts of a finished message or of finished reasoning.
    pub(crate) fn all_in(item: &ItemView<'a>) -> Vec<Self> {
        let content = || (0..).zip(item.content.iter().flatten().copied());
        match item.kind.and_then(Text::of).map(Text::escaped) {
            Some("message") => content().flat_map(|(index, part)| Self::of_content(part, index)).collect(),
            Some("reasoning") => {
                let summary = (0..).zip(item.summary.iter().flatten().copied());
                let summary = summary.filter_map(|(index, part)| Self::of_reasoning(part, DeltaKind::Summary, index));
                let raw = content().filter_map(|(index, part)| Self::of_reasoning(part, DeltaKind::Reasoning, index));
                summary.chain(raw).collect()
            }
            _ => Vec::new(),
        }
    }

    fn of_content(part: &'a RawValue, index: u64) -> Vec<Self> {
        let view = PartView::parse(part);
        let kind = view.kind.and_then(Text::of).map(Text::escaped);
        let text = view.text.and_then(Text::of);
        match (kind, text) {
            (Some("output_text"), Some(text)) => {
                vec![Self { kind: DeltaKind::Text, index, text, citations: view.annotations }]
            }
            (Some("reasoning_text"), Some(text)) => {
                vec![Self { kind: DeltaKind::Reasoning, index, text, citations: None }]
            }
            _ => {
                let refusal = view.refusal.and_then(Text::of);
                refusal
                    .map(|text| Self { kind: DeltaKind::Refusal, index, text, citations: None })
                    .into_iter()
                    .collect()
            }
        }
    }

    fn of_reasoning(part: &'a RawValue, kind: DeltaKind, index: u64) -> Option<Self> {
        let text = PartView::parse(part).text.and_then(Text::of)?;
        Some(Self { kind, index, text, citations: None })
    }
}

/// Returns the type of a part.
pub(crate) fn kind_of_part(part: &RawValue) -> Option<Text<'_>> {
    PartView::parse(part).kind.and_then(Text::of)
}

/// The fields read of a part of a message or of reasoning.
#[derive(Debug, Default, Deserialize)]
struct PartView<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<Vec<&'a RawValue>>,
}

impl<'a> PartView<'a> {
    /// Reads `part`; an unreadable part is empty.
    fn parse(part: &'a RawValue) -> Self {
        serde_json::from_str(part.get()).unwrap_or_default()
    }
}
