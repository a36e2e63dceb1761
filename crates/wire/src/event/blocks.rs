//! Searches of blocks of bytes: sixteen are compared in one instruction, on any processor.
//!
//! Strings are most of what the backend sends, and most of them are passed over. Many are short, so that a search must not
//! need any preparation.

use wide::u8x16;

/// A part of a text that is searched at once.
pub(super) type Block = [u8; BLOCK];

/// The size of a [`Block`].
pub(super) const BLOCK: usize = 4 * LANES;

/// The bytes that are compared in one instruction.
const LANES: usize = 16;

/// Returns the places of quotes and backslashes in `block`, one bit each, the first place in the lowest.
pub(super) fn marks(block: &Block) -> u64 {
    match block.as_chunks().0 {
        [a, b, c, d] => {
            let (low, high) = (marks_of(a) | marks_of(b) << LANES, marks_of(c) | marks_of(d) << LANES);
            u64::from(low) | u64::from(high) << (2 * LANES)
        }
        // A block has four parts.
        _ => 0,
    }
}

/// Returns the place of the first quote or backslash in the beginning of `text`, for keys and other short strings.
pub(super) fn near_mark(text: &[u8]) -> Option<usize> {
    let first = marks_of(text.first_chunk()?);
    if first != 0 {
        return Some(first.trailing_zeros() as usize);
    }
    let next = marks_of(text.get(LANES..)?.first_chunk()?);
    (next != 0).then(|| LANES + next.trailing_zeros() as usize)
}

fn marks_of(lanes: &[u8; LANES]) -> u32 {
    let bytes = u8x16::new(*lanes);
    (bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

/// Returns whether a byte is below 32.
pub(super) fn holds_control_characters(data: &[u8]) -> bool {
    // The last lanes may overlap with others.
    let Some(last) = data.last_chunk() else { return data.iter().any(|byte| *byte < b' ') };
    let (lines, rest) = data.as_chunks::<BLOCK>();
    let mut lowest = u8x16::new(*last);
    for line in lines {
        if let [a, b, c, d] = line.as_chunks().0 {
            let (a, b, c, d) = (u8x16::new(*a), u8x16::new(*b), u8x16::new(*c), u8x16::new(*d));
            lowest = lowest.min(a.min(b).min(c.min(d)));
        }
    }
    for lanes in rest.as_chunks().0 {
        lowest = lowest.min(u8x16::new(*lanes));
    }
    lowest.min(u8x16::splat(b' ' - 1)).simd_eq(lowest).any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quote_and_backslash_of_a_block_is_found() {
        assert_eq!((marks(&[b'a'; BLOCK]), near_mark(b"\"")), (0, None));
        for place in 0..BLOCK {
            for (byte, is_found) in [(b'"', true), (b'\\', true), (b'!', false), (b'#', false), (0xA2, false)] {
                let mut block = [0xFF; BLOCK];
                block[place] = byte;
                assert_eq!(marks(&block), u64::from(is_found) << place, "{byte} at {place}");
                assert_eq!(near_mark(&block), (is_found && place < 2 * LANES).then_some(place), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn a_control_character_is_found_anywhere() {
        for length in [0, 1, 15, 16, 17, 63, 64, 65, 80, 100, 200] {
            for other in [b' ', b'a', 0x7F, 0x80, 0xFF] {
                let data = vec![other; length];
                assert!(!holds_control_characters(&data));
                for place in 0..length {
                    for byte in [0, b'\n', 31] {
                        let mut changed = data.clone();
                        changed[place] = byte;
                        assert!(holds_control_characters(&changed), "{byte} at {place} of {length}");
                    }
                }
            }
        }
    }
}
