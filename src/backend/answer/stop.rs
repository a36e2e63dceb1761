//! Stop sequences, which the backend does not support: a text is shown up to the first one and no further.
//!
//! * Characters are matched and not their escapes, across any number of pieces; the shown text keeps the backend's
//!   escapes.
//! * Only characters that could begin a sequence are held back: at most one fewer than the longest sequence has.
//! * The hit that begins first counts, and of two that begin together the one that ends first. A hit is certain only
//!   once no sequence that began before it can still match.
//! * The cost is one step for each character and sequence, regardless of partial matches.

use crate::json::Text;

/// The stop sequences of one request.
///
/// ```
/// use codex_proxy::backend::answer::stop::{StopFilter, StopSequences};
/// use codex_proxy::json::Text;
/// use serde_json::value::RawValue;
///
/// let sequences = StopSequences::new(vec!["END".to_owned()]).unwrap();
/// let mut filter = StopFilter::new(&sequences);
/// let mut shown = String::new();
/// for piece in [r#""one E""#, r#""ND two""#] {
///     let piece: &RawValue = serde_json::from_str(piece).unwrap();
///     let hit = filter.take(Text::of(piece).unwrap(), |text| shown += text.escaped());
///     if let Some(number) = hit {
///         assert_eq!(sequences.get(number), Some("END"));
///     }
/// }
/// assert_eq!(shown, "one ");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSequences(Vec<String>);

impl StopSequences {
    /// Creates the list from sequences, of which none may be empty; `None` if there are none.
    pub fn new(sequences: Vec<String>) -> Option<Self> {
        (!sequences.is_empty() && sequences.iter().all(|sequence| !sequence.is_empty())).then_some(Self(sequences))
    }

    /// Returns the sequence with this number.
    pub fn get(&self, number: usize) -> Option<&str> {
        self.0.get(number).map(String::as_str)
    }
}

/// Searches a text in pieces for stop sequences.
#[derive(Debug, Clone)]
pub struct StopFilter {
    patterns: Vec<Pattern>,
    /// The characters received but not yet shown, escaped.
    held: String,
    /// The beginning of each character in `held`; an incomplete surrogate pair is not among them.
    begins: Vec<usize>,
    /// The number of bytes of `held` already searched.
    seen: usize,
    /// The hit that counts unless an earlier one comes: the number of its sequence, and its beginning in `begins`.
    hit: Option<(usize, usize)>,
}

impl StopFilter {
    /// Creates a filter for a new text.
    pub fn new(sequences: &StopSequences) -> Self {
        let patterns = sequences.0.iter().map(|sequence| Pattern::new(sequence)).collect();
        Self { patterns, held: String::new(), begins: Vec::new(), seen: 0, hit: None }
    }

    /// Takes the next piece of the text, and gives the certain part to `show`. Returns the number of a sequence that
    /// was hit: the text ends with the characters shown.
    pub fn take(&mut self, text: Text<'_>, mut show: impl FnMut(Text<'_>)) -> Option<usize> {
        self.held.push_str(text.escaped());
        while let Some((character, length)) = first_character(self.held.get(self.seen..).unwrap_or_default()) {
            self.begins.push(self.seen);
            self.seen += length;
            self.step(character);
            if self.is_decided() {
                break;
            }
        }
        if self.is_decided() {
            return self.end(show);
        }
        // The searched characters with which no sequence has begun.
        let longest = self.patterns.iter().map(|pattern| pattern.matched).max().unwrap_or_default();
        let undecided = self.begins.len() - longest;
        let first = self.hit.map_or(undecided, |(_, begin)| begin.min(undecided));
        self.show_first(first, &mut show);
        None
    }

    /// Returns the bytes received but not yet shown, escaped.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes the end of the text, or an interruption by another piece. Held characters go to `show`, unless a sequence
    /// was hit.
    pub fn end(&mut self, mut show: impl FnMut(Text<'_>)) -> Option<usize> {
        let hit = self.hit.take();
        match hit {
            Some((_, begin)) => self.show_first(begin, &mut show),
            None if !self.held.is_empty() => show(Text::from_escaped(&self.held)),
            None => {}
        }
        self.held.clear();
        self.begins.clear();
        self.seen = 0;
        self.patterns.iter_mut().for_each(|pattern| pattern.matched = 0);
        hit.map(|(number, _)| number)
    }

    fn step(&mut self, character: u32) {
        let end = self.begins.len();
        for (number, pattern) in self.patterns.iter_mut().enumerate() {
            if pattern.step(character) {
                let begin = end - pattern.characters.len();
                if self.hit.is_none_or(|(_, earliest)| begin < earliest) {
                    self.hit = Some((number, begin));
                }
            }
        }
    }

    /// Returns whether there is a hit and no sequence that began before it can still match.
    fn is_decided(&self) -> bool {
        let may_begin_before = |begin| self.patterns.iter().any(|pattern| self.begins.len() - pattern.matched < begin);
        self.hit.is_some_and(|(_, begin)| !may_begin_before(begin))
    }

    /// Shows the first `count` held characters.
    fn show_first(&mut self, count: usize, show: &mut impl FnMut(Text<'_>)) {
        let end = self.begins.get(count).copied().unwrap_or(self.seen);
        if end == 0 {
            return;
        }
        show(Text::from_escaped(self.held.get(..end).unwrap_or_default()));
        self.held.drain(..end);
        self.begins.drain(..count);
        self.begins.iter_mut().for_each(|begin| *begin -= end);
        self.seen -= end;
        self.hit = self.hit.map(|(number, begin)| (number, begin - count));
    }
}

/// One sequence and the number of its characters matched at the end of the text.
#[derive(Debug, Clone)]
struct Pattern {
    characters: Vec<u32>,
    /// For every prefix of the sequence, the length of its longest border (Knuth, Morris and Pratt).
    borders: Vec<usize>,
    matched: usize,
}

impl Pattern {
    fn new(sequence: &str) -> Self {
        let characters: Vec<u32> = sequence.chars().map(u32::from).collect();
        let mut borders = vec![0; characters.len()];
        let mut border = 0;
        for end in 1..characters.len() {
            while border > 0 && characters[border] != characters[end] {
                border = borders[border - 1];
            }
            border += usize::from(characters[border] == characters[end]);
            borders[end] = border;
        }
        Self { characters, borders, matched: 0 }
    }

    /// Advances by `character`; returns whether the sequence is complete.
    fn step(&mut self, character: u32) -> bool {
        while self.matched > 0 && self.characters[self.matched] != character {
            self.matched = self.borders[self.matched - 1];
        }
        self.matched += usize::from(self.characters[self.matched] == character);
        let is_whole = self.matched == self.characters.len();
        if is_whole {
            self.matched = self.borders[self.matched - 1];
        }
        is_whole
    }
}

/// Decodes the first character of `escaped` and the length of its spelling. `None` at the end, and at a first surrogate
/// whose second half may follow.
fn first_character(escaped: &str) -> Option<(u32, usize)> {
    let first = escaped.chars().next()?;
    if first != '\\' {
        return Some((first.into(), first.len_utf8()));
    }
    let (unit, length) = escaped_unit(escaped)?;
    if !(0xD800..0xDC00).contains(&unit) {
        return Some((unit, length));
    }
    let rest = escaped.get(length..).unwrap_or_default();
    match escaped_unit(rest) {
        Some((second @ 0xDC00..=0xDFFF, more)) => {
            Some((0x1_0000 + ((unit - 0xD800) << 10) + (second - 0xDC00), length + more))
        }
        None if rest.is_empty() => None,
        _ => Some((unit, length)),
    }
}

fn escaped_unit(escaped: &str) -> Option<(u32, usize)> {
    let unit = match escaped.strip_prefix('\\')?.as_bytes().first()? {
        b'b' => 8,
        b't' => 9,
        b'n' => 10,
        b'f' => 12,
        b'r' => 13,
        b'u' => return Some((u32::from_str_radix(escaped.get(2..6)?, 16).ok()?, 6)),
        itself => u32::from(*itself),
    };
    Some((unit, 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequences(sequences: &[&str]) -> StopSequences {
        StopSequences::new(sequences.iter().map(|sequence| (*sequence).to_owned()).collect()).unwrap()
    }

    /// Returns the text shown for these pieces, and the sequence that was hit.
    fn shown(stops: &StopSequences, pieces: &[&str]) -> (String, Option<usize>) {
        let mut filter = StopFilter::new(stops);
        let mut shown = String::new();
        for piece in pieces {
            if let Some(number) = filter.take(Text::from_escaped(piece), |text| shown.push_str(text.escaped())) {
                return (shown, Some(number));
            }
        }
        let hit = filter.end(|text| shown.push_str(text.escaped()));
        (shown, hit)
    }

    #[test]
    fn there_are_some_or_there_is_nothing_to_look_for() {
        assert_eq!(StopSequences::new(Vec::new()), None);
        assert_eq!(StopSequences::new(vec!["a".to_owned(), String::new()]), None);
        assert_eq!(sequences(&["a", "b"]).get(1), Some("b"));
    }

    #[test]
    fn the_text_ends_before_the_first_hit() {
        let stops = sequences(&["END", "\n\n"]);
        assert_eq!(shown(&stops, &["on", "e", "E", "N", "D", "two"]), ("one".to_owned(), Some(0)));
        assert_eq!(shown(&stops, &[r"one\n", r"\u000Atwo"]), ("one".to_owned(), Some(1)));
        assert_eq!(shown(&stops, &["one E", "N"]), ("one EN".to_owned(), None));
        assert_eq!(shown(&stops, &["ENEND"]), ("EN".to_owned(), Some(0)));
        assert_eq!(shown(&sequences(&["😀"]), &[r"a\ud83d", r"\ude00b"]), ("a".to_owned(), Some(0)));
        assert_eq!(shown(&sequences(&["😀"]), &[r"a\ud83d", "b"]), (r"a\ud83db".to_owned(), None));
        assert_eq!(shown(&sequences(&["x"]), &[r"a\ud83d"]), (r"a\ud83d".to_owned(), None));
    }

    #[test]
    fn the_hit_that_begins_first_counts() {
        let stops = sequences(&["bc", "abcd"]);
        assert_eq!(shown(&stops, &["xabcd"]), ("x".to_owned(), Some(1)));
        assert_eq!(shown(&stops, &["xab", "c", "x"]), ("xa".to_owned(), Some(0)));
        assert_eq!(shown(&stops, &["xabc"]), ("xa".to_owned(), Some(0)));
        assert_eq!(shown(&sequences(&["ab", "abc"]), &["abc"]), (String::new(), Some(0)));
    }

    #[test]
    fn nothing_is_held_back_that_cannot_begin_a_sequence() {
        let mut filter = StopFilter::new(&sequences(&["abc"]));
        let mut shown = String::new();
        for (piece, so_far) in [("xy", "xy"), ("za", "xyz"), ("b", "xyz"), ("a", "xyzab"), ("d", "xyzabad")] {
            filter.take(Text::from_escaped(piece), |text| shown.push_str(text.escaped()));
            assert_eq!(shown, so_far);
        }
    }

    #[test]
    fn a_sequence_that_almost_comes_forever_costs_no_more() {
        let stops = sequences(&[&("a".repeat(500) + "b")]);
        let mut filter = StopFilter::new(&stops);
        let mut shown = 0;
        for _ in 0..20_000 {
            assert_eq!(filter.take(Text::from_escaped("a"), |text| shown += text.escaped().len()), None);
        }
        assert_eq!(shown, 19_500);
    }

    proptest! {
        #[test]
        fn any_pieces_show_what_a_search_finds(
            text in "[ab😀\n]{0,20}",
            stops in prop::collection::vec("[ab😀\n]{1,4}", 1..4),
            cuts in prop::collection::vec(0..20_usize, 0..6),
            escaped in any::<bool>(),
        ) {
            let found = StopSequences::new(stops.clone()).unwrap();
            let end = stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
            let spell = |character: char| {
                let mut units = [0; 2];
                let escapes = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
                if escaped || character == '\n' { escapes.collect() } else { vec![character.to_string()] }
            };
            let units: Vec<String> = text.chars().flat_map(spell).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(units.len())).collect();
            cuts.extend([0, units.len()]);
            cuts.sort_unstable();
            let pieces: Vec<String> = cuts.windows(2).map(|pair| units[pair[0]..pair[1]].concat()).collect();
            let (shown, hit) = shown(&found, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(Text::from_escaped(&shown).decode(), &text[..end.unwrap_or(text.len())]);
            prop_assert_eq!(hit.is_some(), end.is_some());
        }
    }
}
