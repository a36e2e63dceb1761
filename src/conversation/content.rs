//! What a turn holds: a text, or parts of several kinds.

use crate::json::Text;

/// The content of a message.
#[derive(Debug, Clone, Default)]
pub enum Content<'a> {
    /// `null`, or none at all.
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
    /// Text that a parser has put together, escaped: what there is no other part for.
    Composed(String),
    /// The name of the participant who speaks, before everything that is said.
    Name(Text<'a>),
    /// A refusal of the assistant's.
    Refusal(Text<'a>),
    /// An image.
    Image {
        /// Where it is.
        source: Source<'a>,
        /// How closely it is looked at: `auto`, `low`, `high` or `original`.
        detail: Option<Text<'a>>,
    },
    /// A file, inline or by URL.
    File {
        /// The file itself, as a data URL or in base64.
        data: Option<Source<'a>>,
        /// Its name.
        name: Option<Text<'a>>,
        /// Where it is.
        url: Option<Text<'a>>,
    },
}

/// Where an image or a file is.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Behind a URL, often a data URL.
    Url(Text<'a>),
    /// Here, in base64.
    Base64 {
        /// `image/png` and the like.
        media_type: Text<'a>,
        /// The bytes.
        data: Text<'a>,
    },
}

impl<'a> Content<'a> {
    /// The parts; none of a plain text.
    pub fn parts(&self) -> &[Part<'a>] {
        match self {
            Self::Absent | Self::Text(_) => &[],
            Self::Parts(parts) => parts,
        }
    }

    /// Whether a text in it has the word "json".
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

    /// Whether there is neither a text nor a part.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(_) => false,
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    /// The same content with `first` before and `last` behind it.
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
