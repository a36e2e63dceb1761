//! The content of a turn: a text, or parts of several kinds.

use crate::json::Text;

/// The content of a message.
#[derive(Debug, Clone, Default)]
pub enum Content<'a> {
    /// `null` or missing.
    #[default]
    Absent,
    /// One text.
    Text(Text<'a>),
    /// Parts, in order.
    Parts(Vec<Part<'a>>),
}

/// One part of a message.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Text.
    Text(Text<'a>),
    /// Text composed by a parser, escaped, for content without a part of its own.
    Composed(String),
    /// The name of the participant who speaks, placed before all other parts.
    Name(Text<'a>),
    /// A refusal by the assistant.
    Refusal(Text<'a>),
    /// An image.
    Image {
        /// The image's source.
        source: Source<'a>,
        /// The resolution at which the model sees it: `auto`, `low`, `high` or `original`.
        detail: Option<Text<'a>>,
    },
    /// A file, inline or by URL.
    File {
        /// The file's contents, as a data URL or in base64.
        data: Option<Source<'a>>,
        /// The file's name.
        name: Option<Text<'a>>,
        /// The file's URL.
        url: Option<Text<'a>>,
    },
}

/// The source of an image or a file.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A URL, often a data URL.
    Url(Text<'a>),
    /// Inline base64.
    Base64 {
        /// The media type, such as `image/png`.
        media_type: Text<'a>,
        /// The bytes, in base64.
        data: Text<'a>,
    },
}

impl<'a> Content<'a> {
    /// Returns the parts; none for a plain text.
    pub fn parts(&self) -> &[Part<'a>] {
        match self {
            Self::Absent | Self::Text(_) => &[],
            Self::Parts(parts) => parts,
        }
    }

    /// Returns whether a text in the content contains the word "json".
    pub fn mentions_json(&self) -> bool {
        fn text_of<'t>(part: &'t Part<'_>) -> Option<Text<'t>> {
            match part {
                Part::Text(text) | Part::Refusal(text) | Part::Name(text) => Some(*text),
                Part::Composed(text) => Some(Text::from_escaped(text)),
                Part::Image { .. } | Part::File { .. } => None,
            }
        }
        match self {
            Self::Absent => false,
            Self::Text(text) => text.mentions_json(),
            Self::Parts(parts) => parts.iter().filter_map(text_of).any(Text::mentions_json),
        }
    }

    /// Returns whether the content has neither a text nor a part.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(_) => false,
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    /// Returns the same content with `first` before it and `last` after it.
    pub(crate) fn between(self, first: Option<Part<'a>>, last: Vec<Part<'a>>) -> Self {
        if first.is_none() && last.is_empty() {
            return self;
        }
        let parts = match self {
            Self::Absent => Vec::new(),
            Self::Text(text) => vec![Part::Text(text)],
            Self::Parts(parts) => parts,
        };
        Self::Parts(first.into_iter().chain(parts).chain(last).collect())
    }
}
