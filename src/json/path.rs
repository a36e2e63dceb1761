//! The position of a value in a request.

use std::fmt;

/// A path such as `messages[2].content[0].image_url`: a chain on the stack, rendered only in an error.
#[derive(Debug, Clone, Copy)]
pub enum Path<'p> {
    /// The request body itself.
    Root,
    /// A key of an object.
    Key(&'p Path<'p>, &'p str),
    /// An element of an array.
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    /// Returns the path of the value under `name`.
    pub const fn key(&'p self, name: &'p str) -> Self {
        Self::Key(self, name)
    }

    /// Returns the path of the value at `index`, counted from 0.
    pub const fn index(&'p self, index: usize) -> Self {
        Self::Index(self, index)
    }

    /// Returns the path with a star for each index, which matches all places of its kind.
    pub const fn pattern(&'p self) -> impl fmt::Display + 'p {
        Pattern(self)
    }
}

struct Pattern<'p>(&'p Path<'p>);

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Path::Root => Ok(()),
            Path::Key(Path::Root, name) => formatter.write_str(name),
            Path::Key(parent, name) => write!(formatter, "{}.{name}", Self(parent)),
            Path::Index(parent, _) => write!(formatter, "{}[*]", Self(parent)),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, name) => formatter.write_str(name),
            Self::Key(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_the_request() {
        let messages = Path::Root.key("messages");
        let message = messages.index(2);
        let content = message.key("content");
        let part = content.index(0);
        assert_eq!(part.key("type").to_string(), "messages[2].content[0].type");
        assert_eq!(part.key("type").pattern().to_string(), "messages[*].content[*].type");
    }
}
