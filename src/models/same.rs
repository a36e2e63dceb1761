//! Equality of model names.

/// Returns whether `answered`, the backend's name for the answering model, means the model `sent`, without regard to
/// case.
///
/// * A snapshot equals its model: `gpt-6.1-sol-2026-09-29` answers for `gpt-6.1-sol`, and the snapshot of any date for
///   `…-latest`. OpenAI's API has always answered with the snapshot's name.
/// * Two snapshots of different dates are different models.
/// * `gpt-reserve` is an allowance: a luna answers for it (openai/codex#45132).
/// * Any other difference is another model: `-mini`, `-codex` and `-max` are no snapshots.
pub fn same_model(sent: &str, answered: &str) -> bool {
    // The usual case needs no second look.
    if sent == answered {
        return true;
    }
    let (sent, answered) = (sent.trim().to_ascii_lowercase(), answered.trim().to_ascii_lowercase());
    let ((sent, asked_date), (answered, date)) = (without_date(&sent), without_date(&answered));
    let is_one_date = match (asked_date, date) {
        (Some(asked), Some(date)) => asked.replace('-', "") == date.replace('-', ""),
        (None, _) | (_, None) => true,
    };
    (sent == answered && is_one_date) || (sent == "gpt-reserve" && answered.ends_with("-luna"))
}

/// Splits the date off a name: `-2026-09-29`, `-20260929`; `-latest` is a date without a value.
fn without_date(name: &str) -> (&str, Option<&str>) {
    if let Some(base) = name.strip_suffix("-latest") {
        return (base, None);
    }
    for (length, dashes) in [(10, &[4, 7][..]), (8, &[])] {
        let Some((base, date)) = name.len().checked_sub(length).and_then(|start| name.split_at_checked(start)) else {
            continue;
        };
        let is_date = date.bytes().enumerate().all(|(place, byte)| match dashes.contains(&place) {
            true => byte == b'-',
            false => byte.is_ascii_digit(),
        });
        if let Some(base) = base.strip_suffix('-').filter(|base| is_date && !base.is_empty()) {
            return (base, Some(date));
        }
    }
    (name, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_its_model() {
        for (sent, answered) in [
            ("gpt-6.1-sol", "gpt-6.1-sol"),
            ("gpt-6.1-sol", " GPT-6.1-Sol "),
            ("gpt-6.1-sol", "gpt-6.1-sol-2026-09-29"),
            ("gpt-6.1-sol", "gpt-6.1-sol-20260929"),
            ("gpt-6.1-sol-2026-09-29", "gpt-6.1-sol"),
            ("gpt-6.1-sol-2026-09-29", "gpt-6.1-sol-20260929"),
            ("gpt-daybreak-blue-latest", "gpt-daybreak-blue-2026-08-01"),
            ("gpt-daybreak-blue-latest", "gpt-daybreak-blue"),
            ("gpt-reserve", "gpt-5.6-luna"),
            ("gpt-reserve", "gpt-6-luna-2026-10-01"),
        ] {
            assert!(same_model(sent, answered), "{sent} {answered}");
        }
    }

    #[test]
    fn another_name_is_another_model() {
        for (sent, answered) in [
            ("gpt-6.1-sol", "gpt-6-sol"),
            ("gpt-6.1-sol", "gpt-6.1-terra"),
            ("gpt-6.1-sol", "gpt-6.1-sol-mini"),
            ("gpt-5.1-codex", "gpt-5.1-codex-max"),
            ("gpt-5.1-codex-max", "gpt-5.1-codex"),
            ("gpt-5-2025-08-07", "gpt-5-2025-11-13"),
            ("gpt-6.1-sol", "gpt-6.1-sol-2026-9-29"),
            ("gpt-6.1-sol", "gpt-6.1-sol-1234567"),
            ("gpt-6-luna", "gpt-reserve"),
            ("gpt-reserve", "gpt-6-sol"),
            ("gpt-6.1-sol", "2026-09-29"),
            ("gpt-6.1-sol", "söl-2026-09-29"),
            ("gpt-6.1-sol", ""),
        ] {
            assert!(!same_model(sent, answered), "{sent} {answered}");
        }
    }
}
