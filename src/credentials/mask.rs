//! Masks tokens in text from other programs: an error message may quote the token it is about.
//!
//! * Every occurrence of a token is replaced.
//! * Long pieces of a token are replaced too: a message may be truncated or quote one segment.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::secret::Secret;

/// Replaces each of `secrets`, and their longer pieces, by `***`.
pub(super) fn mask<'t>(text: &'t str, secrets: &[Secret]) -> Cow<'t, str> {
    let secrets = || secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SHORTEST_SECRET);
    let words = text.split(|letter| !is_token_letter(letter)).map(|word| word.trim_matches('.'));
    let pieces = words.filter(|word| word.len() >= SHORTEST_PIECE && secrets().any(|secret| secret.contains(word)));
    let mut found: Vec<&str> = secrets().filter(|secret| text.contains(secret)).chain(pieces).collect();
    found.sort_unstable_by_key(|piece| Reverse(piece.len()));
    found.into_iter().fold(Cow::Borrowed(text), |text, piece| text.replace(piece, MASKED).into())
}

const fn is_token_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_')
}

const MASKED: &str = "***";
/// A shorter text is no token, and may be a word.
const SHORTEST_SECRET: usize = 12;
/// A shorter piece is useless to an attacker.
const SHORTEST_PIECE: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_its_pieces_are_masked_and_nothing_else() {
        let secrets = [Secret::new("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2ln"), Secret::new("short")];
        for (text, masked) in [
            ("bad token eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2ln!", "bad token ***!"),
            ("xeyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2lny", "x***y"),
            ("no eyJhbGciOiJIUzI1NiJ9.eyJl... here", "no ***... here"),
            ("its part \"eyJleHAiOjE4MDAwMDAwMDB9\"", "its part \"***\""),
            (
                "short eyJhbGci of another eyJhbGciOiJSUzI1NiJ9aaaaaaa",
                "short eyJhbGci of another eyJhbGciOiJSUzI1NiJ9aaaaaaa",
            ),
            ("", ""),
        ] {
            assert_eq!(mask(text, &secrets), masked);
        }
        assert!(matches!(mask("nothing", &secrets), Cow::Borrowed("nothing")));
    }
}
