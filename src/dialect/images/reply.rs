//! The answer of one call, from reads of any size: a document, or a stream of events.
//!
//! * The backend answers with a document, as far as is known; events are read if it sends them. Which it is shows in the
//!   first byte, for the content type is not reliable.
//! * The document is kept as it came, and its images are slices of it: a long image is copied once.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::picture::{Picture, is_base64};
use crate::backend::event::Event;
use crate::backend::event::failure::Failure;
use crate::backend::event::sse::{Frame, Framer, LARGEST_FRAME, on_one_line};
use crate::json::{Object, ObjectWriter, Text};

/// One piece of a call's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyPiece {
    /// An event with an unfinished image, as the backend sent it.
    Partial(Bytes),
    /// Finished images.
    Completed(ImageAnswer),
    /// The tokens of an answer that holds no image.
    Spent(ImageUsage),
    /// The backend reports a failure.
    Failed(Failure),
    /// The body is no answer; these bytes are its beginning.
    Unreadable(Bytes),
}

/// The finished images of one call, and the facts about them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageAnswer {
    /// The time of the answer in Unix seconds, if told.
    pub created: Option<u64>,
    /// The answering model, if told.
    pub model: Option<String>,
    /// The images, each a JSON object with `b64_json`.
    pub images: Vec<ImageDatum>,
    /// The tokens used, if told.
    pub usage: Option<ImageUsage>,
}

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageDatum {
    /// The image as a JSON object, as it came.
    pub json: Bytes,
    /// The image in base64, escaped for JSON.
    pub base64: Bytes,
    /// What the image is.
    pub facts: ImageFacts,
}

/// What the backend tells about an image; format and size as the image itself tells them, if it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// `background`.
    pub background: Option<String>,
    /// `output_format`.
    pub output_format: Option<String>,
    /// `quality`.
    pub quality: Option<String>,
    /// `size`.
    pub size: Option<String>,
}

/// The tokens of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageUsage {
    /// `input_tokens`.
    pub input: u64,
    /// `output_tokens`.
    pub output: u64,
    /// The text and image tokens in `input_tokens_details`.
    pub input_details: Option<(u64, u64)>,
    /// The text and image tokens in `output_tokens_details`.
    pub output_details: Option<(u64, u64)>,
    /// The backend's own object as JSON, of one call that tells its total.
    pub own: Option<String>,
}

/// Reads the answer of one call.
#[derive(Debug, Default)]
pub enum ReplyReader {
    /// Nothing but white space has come.
    #[default]
    Undecided,
    /// A document, as far as it has come.
    Document(Vec<u8>),
    /// A stream of events.
    Events(Framer),
    /// The answer is complete.
    Ended,
}

impl ReplyReader {
    /// Takes the next bytes and gives every completed piece to `each`. Bytes after the answer's end are ignored.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(ReplyPiece)) {
        if let Self::Undecided = self {
            bytes = bytes.trim_ascii_start();
            let Some(first) = bytes.first() else { return };
            // A line of an event stream begins with the name of its field, or with a colon.
            *self = match first {
                b':' | b'a'..=b'z' => Self::Events(Framer::default()),
                _ => Self::Document(Vec::new()),
            };
        }
        match self {
            Self::Document(document) if document.len().saturating_add(bytes.len()) > LARGEST_FRAME => {
                each(ReplyPiece::Failed(Failure::of_an_event_too_large()));
                *self = Self::Ended;
            }
            Self::Document(document) => document.extend_from_slice(bytes),
            Self::Events(framer) => {
                let mut ended = false;
                framer.feed(bytes, |frame| {
                    ended = read_event(&frame, each);
                    !ended
                });
                if framer.is_overfull() && !ended {
                    each(ReplyPiece::Failed(Failure::of_an_event_too_large()));
                    ended = true;
                }
                if ended {
                    *self = Self::Ended;
                }
            }
            Self::Undecided | Self::Ended => {}
        }
    }

    /// Returns whether the answer is complete, so that the rest of the body need not be awaited.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Takes the end of the body. Returns whether the answer is complete.
    pub fn end(&mut self, each: &mut impl FnMut(ReplyPiece)) -> bool {
        match std::mem::replace(self, Self::Ended) {
            Self::Undecided => false,
            Self::Document(document) => {
                read_document(&Bytes::from(document), each);
                true
            }
            Self::Events(mut framer) => {
                let mut ended = false;
                framer.end(|frame| {
                    ended = read_event(&frame, each);
                    !ended
                });
                ended
            }
            Self::Ended => true,
        }
    }
}

/// Reads an event; other events than those of images are left out. Returns whether it is the last.
fn read_event(frame: &Frame<'_>, each: &mut impl FnMut(ReplyPiece)) -> bool {
    let Some(event) = Event::parse(&frame.data) else { return false };
    let kind = event.kind.as_ref();
    if kind == "error" {
        each(ReplyPiece::Failed(Failure::from_error_event(&frame.data)));
        return true;
    }
    let Some(stage) = kind.strip_prefix("image_generation.").or_else(|| kind.strip_prefix("image_edit.")) else {
        return false;
    };
    match stage {
        "partial_image" => {
            each(ReplyPiece::Partial(Bytes::copy_from_slice(&frame.data)));
            false
        }
        "completed" => {
            let object: Object<'_> = serde_json::from_slice(&frame.data).unwrap_or_default();
            each(ReplyPiece::Completed(ImageAnswer::of_event(&object)));
            true
        }
        _ => false,
    }
}

/// Reads a whole document.
fn read_document(document: &Bytes, each: &mut impl FnMut(ReplyPiece)) {
    let unreadable = || ReplyPiece::Unreadable(document.slice(..document.len().min(LONGEST_SAMPLE)));
    let Ok(object) = serde_json::from_slice::<Object<'_>>(document) else { return each(unreadable()) };
    let answer = ImageAnswer::of_document(document, &object);
    if !answer.images.is_empty() {
        return each(ReplyPiece::Completed(answer));
    }
    if let Some(usage) = answer.usage {
        each(ReplyPiece::Spent(usage));
    }
    each(Failure::from_body(document).map_or_else(unreadable, ReplyPiece::Failed));
}

impl ImageAnswer {
    fn of_document(document: &Bytes, object: &Object<'_>) -> Self {
        let listed = object.find("data").and_then(|data| serde_json::from_str::<Vec<&RawValue>>(data.get()).ok());
        let images = listed.unwrap_or_default().into_iter().filter_map(|raw| {
            let item: Object<'_> = serde_json::from_str(raw.get()).ok()?;
            let text = Text::of(item.find("b64_json")?).filter(holds_image)?;
            let base64 = document.slice_ref(text.escaped().as_bytes());
            Some(ImageDatum {
                json: document.slice_ref(raw.get().as_bytes()),
                base64,
                facts: ImageFacts::of(object, text),
            })
        });
        Self { images: images.collect(), ..Self::about(object) }
    }

    /// The answer in a last event, whose one image stands among its facts.
    fn of_event(object: &Object<'_>) -> Self {
        let text = object.find("b64_json").and_then(Text::of).filter(holds_image);
        let Some(text) = text else { return Self::about(object) };
        let mut json = Vec::with_capacity(text.escaped().len() + ROOM);
        let mut item = ObjectWriter::begin(&mut json);
        item.text("b64_json", text);
        if let Some(words) = object.find("revised_prompt") {
            item.raw("revised_prompt", words);
        }
        item.end();
        let json = Bytes::from(json);
        let start = r#"{"b64_json":""#.len();
        let base64 = json.slice(start..start + text.escaped().len());
        Self { images: vec![ImageDatum { json, base64, facts: ImageFacts::of(object, text) }], ..Self::about(object) }
    }

    fn about(object: &Object<'_>) -> Self {
        let created = ["created", "created_at"].iter().find_map(|name| object.find(name)?.get().parse().ok());
        let usage = object.find("usage").and_then(ImageUsage::read);
        Self { created, model: string(object, "model"), images: Vec::new(), usage }
    }
}

impl ImageFacts {
    fn of(object: &Object<'_>, base64: Text<'_>) -> Self {
        let picture = Picture::of_base64(base64);
        let size = picture.size.map(|(width, height)| format!("{width}x{height}"));
        Self {
            background: string(object, "background"),
            output_format: picture.format.map(str::to_owned).or_else(|| string(object, "output_format")),
            quality: string(object, "quality"),
            size: size.or_else(|| string(object, "size")),
        }
    }

    /// Returns the facts by their names.
    pub fn named(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("background", self.background.as_deref()),
            ("output_format", self.output_format.as_deref()),
            ("quality", self.quality.as_deref()),
            ("size", self.size.as_deref()),
        ]
    }
}

impl ImageUsage {
    fn read(raw: &RawValue) -> Option<Self> {
        let object: Object<'_> = serde_json::from_str(raw.get()).ok()?;
        let number = |object: &Object<'_>, name: &str| object.find(name)?.get().parse::<u64>().ok();
        let details = |name: &str| {
            let details: Object<'_> = serde_json::from_str(object.find(name)?.get()).ok()?;
            let (text, image) = (number(&details, "text_tokens"), number(&details, "image_tokens"));
            (text.is_some() || image.is_some()).then(|| (text.unwrap_or_default(), image.unwrap_or_default()))
        };
        Some(Self {
            input: number(&object, "input_tokens")?,
            output: number(&object, "output_tokens")?,
            input_details: details("input_tokens_details"),
            output_details: details("output_tokens_details"),
            own: object.find("total_tokens").map(|_| on_one_line(raw.get()).into_owned()),
        })
    }

    /// Adds the tokens of another call.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let sum = |one: Option<(u64, u64)>, two: Option<(u64, u64)>| match (one, two) {
            (Some((text, image)), Some((more_text, more_image))) => {
                Some((text.saturating_add(more_text), image.saturating_add(more_image)))
            }
            (known, None) | (None, known) => known,
        };
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            input_details: sum(self.input_details, other.input_details),
            output_details: sum(self.output_details, other.output_details),
            own: None,
        }
    }

    /// Writes the tokens in OpenAI's form: those of one call with all that the backend tells of them.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(own) = &self.own {
            out.extend_from_slice(own.as_bytes());
            return;
        }
        let mut object = ObjectWriter::begin(out);
        for (total, details, (name, details_name)) in [
            (self.input, self.input_details, ("input_tokens", "input_tokens_details")),
            (self.output, self.output_details, ("output_tokens", "output_tokens_details")),
        ] {
            object.unsigned(name, total);
            if let Some((text, image)) = details {
                let mut details = ObjectWriter::begin(object.key(details_name));
                details.unsigned("image_tokens", image).unsigned("text_tokens", text);
                details.end();
            }
        }
        object.unsigned("total_tokens", self.input.saturating_add(self.output));
        object.end();
    }
}

/// Returns whether `text` is base64 of anything: nobody could make an image of another text.
fn holds_image(text: &Text<'_>) -> bool {
    let decoded = text.decode();
    !decoded.is_empty() && is_base64(&decoded)
}

fn string(object: &Object<'_>, name: &str) -> Option<String> {
    let text = Text::of(object.find(name)?)?.decode();
    (text.len() <= LONGEST_WORD).then(|| text.into_owned())
}

/// The beginning of a body that is no answer, for its error.
const LONGEST_SAMPLE: usize = 64 << 10;
/// The longest word that is believed.
const LONGEST_WORD: usize = 256;
/// Enough for the keys around an image.
const ROOM: usize = 256;
