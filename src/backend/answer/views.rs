//! Items and their parts, reduced to the few fields that an answer needs.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::items::ItemKind;
use crate::backend::event::Event;
use crate::backend::event::delta::DeltaKind;
use crate::backend::event::scanner::{Scanner, once};
use crate::json::{Raw, Text};

/// The fields read of an item.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ItemView<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) call_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) input: Option<Raw<'a>>,
    #[serde(borrow, default, deserialize_with = "list_or_none")]
    pub(crate) content: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default, deserialize_with = "list_or_none")]
    pub(crate) summary: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default)]
    pub(crate) encrypted_content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) result: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) output_format: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) action: Option<&'a RawValue>,
}

impl<'a> ItemView<'a> {
    /// Reads `raw`; `None` if it is malformed.
    pub(crate) fn read(raw: Raw<'a>) -> Option<Self> {
        Self::scan(raw).or_else(|| Self::parse(raw))
    }

    fn parse(raw: Raw<'a>) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    fn scan(raw: Raw<'a>) -> Option<Self> {
        let (mut view, mut lists, mut action) = (Self::default(), [None; 2], None);
        Scanner::of_raw(raw).object(|key, scanner| {
            let field = match key {
                b"type" => &mut view.kind,
                b"id" => &mut view.id,
                b"call_id" => &mut view.call_id,
                b"name" => &mut view.name,
                b"arguments" => &mut view.arguments,
                b"input" => &mut view.input,
                b"content" => &mut lists[0],
                b"summary" => &mut lists[1],
                b"encrypted_content" => &mut view.encrypted_content,
                b"result" => &mut view.result,
                b"output_format" => &mut view.output_format,
                b"action" => &mut action,
                _ => return scanner.skip(),
            };
            once(field, scanner.raw()?)
        })?;
        let [content, summary] = lists;
        Some(Self {
            kind: told(view.kind),
            id: told(view.id),
            call_id: told(view.call_id),
            name: told(view.name),
            arguments: told(view.arguments),
            input: told(view.input),
            content: list(content)?,
            summary: list(summary)?,
            encrypted_content: told(view.encrypted_content),
            result: told(view.result),
            output_format: told(view.output_format),
            action: told(action).and_then(Raw::value),
        })
    }

    /// Reads `raw`; of an item with malformed fields, only the id.
    pub(crate) fn read_leniently(raw: Raw<'a>) -> Self {
        #[derive(Deserialize)]
        struct Id<'a> {
            #[serde(borrow, default)]
            id: Option<Raw<'a>>,
        }
        let id = || serde_json::from_str::<Id<'_>>(raw.get()).ok().and_then(|view| view.id);
        Self::read(raw).unwrap_or_else(|| Self { id: id(), ..Self::default() })
    }

    /// Returns the encrypted reasoning; an empty text is none.
    pub(crate) fn encrypted(&self) -> Option<Text<'a>> {
        self.encrypted_content.and_then(Raw::text).filter(|text| !text.is_empty())
    }

    /// Returns the arguments or input of a call.
    pub(crate) fn payload(&self, kind: CallKind) -> Option<Text<'a>> {
        match kind {
            CallKind::Function => self.arguments,
            CallKind::Custom => self.input,
        }
        .and_then(Raw::text)
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
        let text = |kind, index, text: Option<Raw<'a>>| {
            let text = text.and_then(Raw::text);
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

    /// Reads the parts of a finished message or of finished reasoning, an item of this `kind`.
    pub(crate) fn all_in(item: &ItemView<'a>, kind: ItemKind) -> Vec<Self> {
        let content = || (0..).zip(item.content.iter().flatten().copied());
        match kind {
            ItemKind::Message => content().flat_map(|(index, part)| Self::of_content(part, index)).collect(),
            ItemKind::Reasoning => {
                let summary = (0..).zip(item.summary.iter().flatten().copied());
                let summary = summary.filter_map(|(index, part)| Self::of_reasoning(part, DeltaKind::Summary, index));
                let raw = content().filter_map(|(index, part)| Self::of_reasoning(part, DeltaKind::Reasoning, index));
                summary.chain(raw).collect()
            }
            ItemKind::Unknown | ItemKind::Call(_) | ItemKind::Image | ItemKind::Search | ItemKind::Other => Vec::new(),
        }
    }

    fn of_content(part: Raw<'a>, index: u64) -> Vec<Self> {
        let view = PartView::read(part);
        let kind = view.kind.and_then(Raw::text).map(Text::escaped);
        let text = view.text.and_then(Raw::text);
        match (kind, text) {
            (Some("output_text"), Some(text)) => {
                vec![Self { kind: DeltaKind::Text, index, text, citations: view.annotations }]
            }
            (Some("reasoning_text"), Some(text)) => {
                vec![Self { kind: DeltaKind::Reasoning, index, text, citations: None }]
            }
            _ => {
                let refusal = view.refusal.and_then(Raw::text);
                refusal
                    .map(|text| Self { kind: DeltaKind::Refusal, index, text, citations: None })
                    .into_iter()
                    .collect()
            }
        }
    }

    fn of_reasoning(part: Raw<'a>, kind: DeltaKind, index: u64) -> Option<Self> {
        let text = PartView::read(part).text.and_then(Raw::text)?;
        Some(Self { kind, index, text, citations: None })
    }
}

/// Returns the type of a part.
pub(crate) fn kind_of_part(part: Raw<'_>) -> Option<Text<'_>> {
    PartView::read(part).kind.and_then(Raw::text)
}

/// The fields read of a part of a message or of reasoning.
#[derive(Debug, Default, Deserialize)]
struct PartView<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Raw<'a>>,
    #[serde(borrow, default, deserialize_with = "list_or_none")]
    annotations: Option<Vec<&'a RawValue>>,
}

impl<'a> PartView<'a> {
    /// Reads `part`; an unreadable part is empty.
    fn read(part: Raw<'a>) -> Self {
        Self::scan(part).or_else(|| Self::parse(part)).unwrap_or_default()
    }

    fn parse(part: Raw<'a>) -> Option<Self> {
        serde_json::from_str(part.get()).ok()
    }

    fn scan(part: Raw<'a>) -> Option<Self> {
        let (mut view, mut annotations) = (Self::default(), None);
        Scanner::of_raw(part).object(|key, scanner| {
            let field = match key {
                b"type" => &mut view.kind,
                b"text" => &mut view.text,
                b"refusal" => &mut view.refusal,
                b"annotations" => &mut annotations,
                _ => return scanner.skip(),
            };
            once(field, scanner.raw()?)
        })?;
        let annotations = match list(annotations)? {
            Some(list) => Some(list.into_iter().map(Raw::value).collect::<Option<_>>()?),
            None => None,
        };
        Some(Self { kind: told(view.kind), text: told(view.text), refusal: told(view.refusal), annotations })
    }
}

/// Parses a list; anything else counts as absent.
fn list_or_none<'de: 'a, 'a, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'a>,
    D: Deserializer<'de>,
{
    let raw = Option::<&'a RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// Returns a scanned field, unless it is `null`.
fn told(field: Option<Raw<'_>>) -> Option<Raw<'_>> {
    field.filter(|raw| !raw.is_null())
}

/// Reads a scanned field that has to be a list; `None` if it is something else.
fn list(field: Option<Raw<'_>>) -> Option<Option<Vec<Raw<'_>>>> {
    match told(field) {
        None => Some(None),
        Some(raw) => Scanner::of_raw(raw).array().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Asserts that scanners give what parsers give, or nothing. Returns whether they gave an item and a part.
    fn assert_same(json: &str) -> (bool, bool) {
        let raw = Raw::of_valid(json);
        let (item, part) = (ItemView::scan(raw), PartView::scan(raw));
        let found = (item.is_some(), part.is_some());
        if item.is_some() {
            assert_eq!(format!("{item:?}"), format!("{:?}", ItemView::parse(raw)), "{json}");
        }
        if part.is_some() {
            assert_eq!(format!("{part:?}"), format!("{:?}", PartView::parse(raw)), "{json}");
        }
        found
    }

    #[test]
    fn what_the_backend_sends_needs_no_parser() {
        for json in [
            r#"{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","text":"a"}],"role":"assistant"}"#,
            r#"{"id":"fc_1","type":"function_call","arguments":"{\"a\":1}","call_id":"c","name":"f"}"#,
            r#"{"id":"rs_1","type":"reasoning","content":null,"encrypted_content":"x","summary":[]}"#,
            r#"{"id":"ws_1","type":"web_search_call","action":{"type":"search","query":"q"}}"#,
            r#"{"type":"output_text","annotations":[{"url":"u"}, {}],"logprobs":[],"text":"a\n\u00e4"}"#,
            r#"{"type":"refusal","refusal":"no","annotations":null}"#,
        ] {
            assert_eq!(assert_same(json), (true, true), "{json}");
        }
    }

    #[test]
    fn unusual_forms_are_left_to_the_parser() {
        let cases = [
            ("7", (false, false)),
            ("null", (false, false)),
            ("{\n\"id\":\"a\"}", (false, false)),
            (r#"{"type":"a","type":"b"}"#, (false, false)),
            (r#"{"t\u0079pe":"a"}"#, (false, false)),
            (r#"{"content":"a"}"#, (false, true)),
            (r#"{"summary":{}}"#, (false, true)),
            (r#"{"annotations":1}"#, (true, false)),
        ];
        for (json, found) in cases {
            assert_eq!(assert_same(json), found, "{json}");
        }
    }

    fn field() -> impl Strategy<Value = String> {
        let keys = vec![
            "type",
            "id",
            "call_id",
            "name",
            "arguments",
            "input",
            "content",
            "summary",
            "encrypted_content",
            "result",
            "output_format",
            "action",
            "text",
            "refusal",
            "annotations",
            "status",
            "t\\u0079pe",
            "",
        ];
        let values = vec![
            "null",
            "7",
            "-1.5e3",
            "true",
            r#""a\"\\\u00e4""#,
            "\"é\"",
            "[]",
            "[ ]",
            "[null, \"a\",{}]",
            r#"[{"text":"a"}]"#,
            r#"{"type":"search","queries":["a"]}"#,
            "{ }",
            "[\n1]",
            " 1 ",
        ];
        (prop::sample::select(keys), prop::sample::select(values)).prop_map(|(key, value)| format!("\"{key}\":{value}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_parser_gives_the_same(fields in prop::collection::vec(field(), 0..6)) {
            assert_same(&format!("{{{}}}", fields.join(",")));
        }
    }
}
