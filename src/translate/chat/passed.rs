//! How much of a text has been passed on, in as few bytes as it takes to tell whether a whole text continues it.

use crate::openai::json::Text;

/// What has been passed on of one text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Bytes, escapes and all.
    length: usize,
    /// FNV-1a over them, from zero.
    digest: u64,
}

impl Passed {
    /// Whether nothing has been.
    pub(super) const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// `text` has been passed on, too.
    pub(super) fn add(&mut self, text: Text<'_>) {
        *self = self.and(text.escaped());
    }

    /// What is left of `whole`: all of it if nothing has been passed on, the end of it if what has been is its beginning.
    /// `None` where it says something else, or nothing more.
    pub(super) fn rest_of(self, whole: Text<'_>) -> Option<Text<'_>> {
        let (beginning, rest) = whole.escaped().split_at_checked(self.length)?;
        let continues = !rest.is_empty() && Self::default().and(beginning) == self;
        continues.then_some(Text::from_escaped(rest))
    }

    fn and(self, escaped: &str) -> Self {
        let digest = escaped.bytes().fold(self.digest, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME));
        Self { length: self.length + escaped.len(), digest }
    }
}

const PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    fn rest<'a>(deltas: &[&str], whole: &'a str) -> Option<&'a str> {
        let mut passed = Passed::default();
        deltas.iter().for_each(|delta| passed.add(Text::from_escaped(delta)));
        passed.rest_of(Text::from_escaped(whole)).map(Text::escaped)
    }

    #[test]
    fn the_end_is_left_and_of_another_text_nothing() {
        assert_eq!(rest(&[], "whole"), Some("whole"));
        assert_eq!(rest(&["wh", "o"], "whole"), Some("le"));
        assert_eq!(rest(&[r"\u00e9", "é"], r"\u00e9é\n"), Some(r"\n"));
        for other in ["", "wh", "who", "wxole", "é", "wé"] {
            assert_eq!(rest(&["wh", "o"], other), None, "{other}");
        }
        assert_eq!(rest(&[], ""), None);
    }
}
