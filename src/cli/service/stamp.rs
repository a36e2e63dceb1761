//! The stamp of a written file: the sum of its text, by which a later change of the user's is noticed.

use sha2::{Digest as _, Sha256};

/// Stands in a rendered text where [`stamped`] puts the sum.
pub(super) const MARK: &str = "Written by codex-proxy service install; sum 0000000000000000";

/// Puts the sum of `text` into its mark.
pub(super) fn stamped(text: &str) -> String {
    text.replacen(NO_SUM, &sum(text), 1)
}

/// Returns whether `text` is as it was written, by this version of the program or another.
pub(super) fn is_untouched(text: &str) -> bool {
    let Some(start) = text.find(PREFIX).map(|start| start + PREFIX.len()) else { return false };
    let Some(stated) = text.get(start..start + NO_SUM.len()) else { return false };
    let blank = [text.get(..start), Some(NO_SUM), text.get(start + NO_SUM.len()..)];
    let blank: String = blank.into_iter().flatten().collect();
    sum(&blank) == stated
}

/// Returns whether `line` is the one with the sum.
pub(super) fn is_mark(line: &str) -> bool {
    line.contains(PREFIX)
}

fn sum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

const PREFIX: &str = "Written by codex-proxy service install; sum ";
const NO_SUM: &str = "0000000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed() {
        let text = stamped(&format!("# {MARK}\n[Unit]\n"));
        assert!(is_untouched(&text), "{text}");
        assert!(!is_untouched(&text.replace("[Unit]", "[Unit]\nAfter=x")) && !is_untouched("[Unit]\n"));
        assert!(!is_untouched(PREFIX) && !is_untouched(&format!("{PREFIX}é0000000000000000")));
    }
}
