//! The mapping from a client's model name to the backend's.
//!
//! The rules, in this order, without regard to case and surrounding space:
//! 1. the operator's aliases apply to the whole name and to the name without its effort suffix; an alias's target is
//!    normalised by the rules below, but never counts as a name of another family;
//! 2. a name in a catalogue stays as it is, so that `gpt-5.1-codex-max` keeps its last word; so does a name that a
//!    catalogue has with a dot in place of the version's dash (`gpt-6-1-sol`);
//! 3. one effort at the end, written `-high`, `(high)` or `:high`, is removed and kept as a hint, and a name then in a
//!    catalogue stays;
//! 4. `gpt-5.1…` and `gpt-5-codex-mini…` become the original model with the longest matching prefix;
//! 5. a newer generation (`gpt-5.2` and up, by number) passes in lower case, otherwise unchanged;
//! 6. any other name with `codex` in it becomes `gpt-5-codex`, any other `gpt-5…` becomes `gpt-5`;
//! 7. a name of another family is [`Name::Foreign`].
//!
//! Rules 2 and 4 to 6 try the whole name first if they need a catalogue's entry, and otherwise the name after a
//! vendor's prefix (`openai/…`, `openai:…`) first.

use crate::models::effort::Effort;

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A name for the backend, in lower case.
    Known(String),
    /// A name of another family.
    Foreign,
}

/// Normalises `asked` and returns its suffix's effort as a hint. `holds` tests whether a catalogue has a (lower-case)
/// name.
pub(super) fn normalise(
    asked: &str,
    aliases: &[(String, String)],
    holds: impl Fn(&str) -> bool,
) -> (Name, Option<Effort>) {
    aliased(asked, aliases, &holds).unwrap_or_else(|| named(asked, &holds))
}

/// Like [`normalise`], for an alias, with or without an effort suffix; `None` for any other name.
pub(super) fn aliased(
    asked: &str,
    aliases: &[(String, String)],
    holds: impl Fn(&str) -> bool,
) -> Option<(Name, Option<Effort>)> {
    let asked = asked.trim().to_ascii_lowercase();
    if let Some(target) = alias(&asked, aliases) {
        return Some(chosen(target, &holds));
    }
    let (stem, hint) = split_effort(&asked);
    let target = alias(stem, aliases).filter(|_| hint.is_some())?;
    Some((chosen(target, &holds).0, hint))
}

/// Like [`normalise`], for a name from the operator: an unknown name is sent unchanged.
pub(super) fn chosen(target: &str, holds: impl Fn(&str) -> bool) -> (Name, Option<Effort>) {
    match named(target, holds) {
        (Name::Foreign, _) => {
            let target = target.trim().to_ascii_lowercase();
            let (stem, hint) = split_effort(&target);
            (Name::Known(stem.to_owned()), hint)
        }
        known => known,
    }
}

fn named(asked: &str, holds: impl Fn(&str) -> bool) -> (Name, Option<Effort>) {
    let asked = asked.trim().to_ascii_lowercase();
    if let Some(name) =
        [Some(asked.as_str()), unprefixed(&asked)].into_iter().flatten().find_map(|name| held(name, &holds))
    {
        return (Name::Known(name), None);
    }
    let (stem, hint) = split_effort(&asked);
    let behind_prefix = unprefixed(stem).and_then(|rest| meaning(rest, &holds));
    let meaning = behind_prefix.or_else(|| meaning(stem, &holds));
    (meaning.map_or(Name::Foreign, Name::Known), hint)
}

/// Splits the effort off the end of `name`. A word in brackets or after a model's colon that is no effort is removed
/// too.
pub(super) fn split_effort(name: &str) -> (&str, Option<Effort>) {
    if let Some((stem, word)) = name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        return match stem.trim_end() {
            "" => (name, None),
            stem => (stem, Effort::parse(word)),
        };
    }
    if let Some((stem, word)) = name.rsplit_once(':') {
        let effort = Effort::parse(word);
        let is_model = generation(unprefixed(stem).unwrap_or(stem)).is_some();
        if !stem.is_empty() && (effort.is_some() || is_model) {
            return (stem.trim_end(), effort);
        }
    }
    // A level may have two words (`extra-high`); they are tried first.
    let dashes: Vec<_> = name.rmatch_indices('-').take(2).collect();
    let suffix = |(dash, _): &(usize, &str)| {
        let (stem, word) = (name.get(..*dash)?, name.get(dash + 1..)?);
        Some((stem, Effort::parse(word)?)).filter(|(stem, _)| !stem.is_empty())
    };
    match dashes.iter().rev().find_map(suffix) {
        Some((stem, level)) => (stem, Some(level)),
        None => (name, None),
    }
}

/// Returns the name after a vendor's prefix.
fn unprefixed(name: &str) -> Option<&str> {
    name.rsplit_once(['/', ':']).map(|(_, rest)| rest)
}

/// Returns the spelling of `name` in a catalogue.
fn held(name: &str, holds: impl Fn(&str) -> bool) -> Option<String> {
    if holds(name) {
        return Some(name.to_owned());
    }
    dotted(name).filter(|name| holds(name))
}

/// Rewrites `gpt-6-1-sol` as `gpt-6.1-sol`: some tools allow no dot in a name. A date (`gpt-5-2025-08-07`) is no
/// version.
fn dotted(name: &str) -> Option<String> {
    let (major, rest) = name.strip_prefix("gpt-")?.split_once('-')?;
    let (minor, rest) = rest.split_at(rest.find('-').unwrap_or(rest.len()));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = is_number(major) && is_number(minor) && minor.len() <= 2 && !minor.starts_with('0');
    is_version.then(|| format!("gpt-{major}.{minor}{rest}"))
}

fn alias<'a>(name: &str, aliases: &'a [(String, String)]) -> Option<&'a str> {
    aliases.iter().find(|(from, _)| from.trim().eq_ignore_ascii_case(name)).map(|(_, to)| to.as_str())
}

fn meaning(name: &str, holds: impl Fn(&str) -> bool) -> Option<String> {
    if let Some(held) = held(name, holds) {
        return Some(held);
    }
    let dotted = dotted(name);
    let name = dotted.as_deref().unwrap_or(name);
    let generation = generation(name);
    let prefix = |prefixes: &[&'static str]| prefixes.iter().find(|prefix| name.starts_with(**prefix)).copied();
    let original = match generation {
        Some((5, 1)) => prefix(&["gpt-5.1-codex-max", "gpt-5.1-codex-mini", "gpt-5.1-codex", "gpt-5.1"]),
        Some(newer) if newer > (5, 1) => return Some(name.to_owned()),
        _ => prefix(&["gpt-5-codex-mini"]),
    };
    let loose = || if name.contains("codex") { Some("gpt-5-codex") } else { prefix(&["gpt-5"]) };
    original.or_else(loose).map(str::to_owned)
}

/// Returns the generation of `gpt-<major>[.<minor>]…`; a number too large to parse counts as the largest.
fn generation(name: &str) -> Option<(u64, u64)> {
    let (major, rest) = leading_number(name.strip_prefix("gpt-")?)?;
    let minor = rest.strip_prefix('.').and_then(leading_number);
    Some((major, minor.map_or(0, |(minor, _)| minor)))
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (!digits.is_empty()).then(|| (digits.parse().unwrap_or(u64::MAX), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::catalogue;

    fn name(asked: &str) -> Option<String> {
        match normalise(asked, &[], |id| catalogue::built_in(id).is_some()).0 {
            Name::Known(name) => Some(name),
            Name::Foreign => None,
        }
    }

    #[test]
    fn names_and_what_they_mean() {
        let table = [
            ("gpt-5", "gpt-5"),
            (" GPT-5-Codex ", "gpt-5-codex"),
            ("gpt-5-mini", "gpt-5"),
            ("gpt-5o", "gpt-5"),
            ("gpt-5.", "gpt-5"),
            ("gpt-5-2025-08-07", "gpt-5"),
            ("gpt-5-mini-codex-preview", "gpt-5-codex"),
            ("codex-mini-latest", "gpt-5-codex"),
            ("claude-codex", "gpt-5-codex"),
            ("gpt-5-codex-mini-2025", "gpt-5-codex-mini"),
            ("gpt-5.1-2025-11-13", "gpt-5.1"),
            ("gpt-5.1-mini", "gpt-5.1"),
            ("gpt-5.1-codex-preview", "gpt-5.1-codex"),
            ("gpt-5.1-codex-max-preview", "gpt-5.1-codex-max"),
            ("gpt-5.1-codex-mini-x", "gpt-5.1-codex-mini"),
            ("gpt-5.10", "gpt-5.10"),
            ("gpt-5.2-codex", "gpt-5.2-codex"),
            ("GPT-6.1-Sol", "gpt-6.1-sol"),
            ("gpt-99999999999999999999999", "gpt-99999999999999999999999"),
            ("gpt-50", "gpt-50"),
            ("codex-auto-review", "codex-auto-review"),
            ("openai/gpt-5.5", "gpt-5.5"),
            ("a/b/gpt-5.1-codex-high", "gpt-5.1-codex"),
            ("openai/gpt-5.1-codex-max", "gpt-5.1-codex-max"),
            ("openai:gpt-6.1-sol", "gpt-6.1-sol"),
            ("gpt-5-5", "gpt-5.5"),
            ("gpt-6-1-sol", "gpt-6.1-sol"),
            ("OpenAI/GPT-6-1-Terra", "gpt-6.1-terra"),
            ("gpt-5-6-luna", "gpt-5.6-luna"),
            ("gpt-5-1-codex-max", "gpt-5.1-codex-max"),
            ("gpt-5-1", "gpt-5.1"),
            ("gpt-5-3-codex-preview", "gpt-5.3-codex-preview"),
            ("gpt-7-2-nova", "gpt-7.2-nova"),
            ("gpt-5-08-07", "gpt-5"),
            ("gpt-6.1-sol:latest", "gpt-6.1-sol"),
            ("x/gpt-6-luna:free", "gpt-6-luna"),
        ];
        for (asked, meant) in table {
            assert_eq!(name(asked).as_deref(), Some(meant), "{asked}");
        }
        for foreign in [
            "gpt-4o",
            "gpt-4.1-mini",
            "claude-opus-4-5",
            "gemini-3-pro",
            "o3",
            "gpt-",
            "gpt-x",
            "gpt-4-1",
            "high",
            "-high",
            "(high)",
            ":high",
            "ft:gpt-4o:us:x",
        ] {
            assert_eq!(name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn one_effort_word_is_taken_off() {
        let table = [
            ("gpt-5-high", "gpt-5", Some(Effort::High)),
            ("gpt-5.1-codex-max", "gpt-5.1-codex-max", None),
            ("gpt-5.1-Codex-Max-XHIGH", "gpt-5.1-codex-max", Some(Effort::Xhigh)),
            ("gpt-5.1-codex-max-max", "gpt-5.1-codex-max", Some(Effort::Max)),
            ("gpt-5.1-codex-high-low", "gpt-5.1-codex", Some(Effort::Low)),
            ("gpt-5-none", "gpt-5", Some(Effort::None)),
            ("gpt-7-ultra", "gpt-7", Some(Effort::Max)),
            ("gpt-6-luna-ultra", "gpt-6-luna", Some(Effort::Max)),
            ("gpt-6-luna-maximum", "gpt-6-luna", Some(Effort::Max)),
            ("gpt-6-luna-off", "gpt-6-luna", Some(Effort::None)),
            ("gpt-6-luna-very-high", "gpt-6-luna", Some(Effort::Xhigh)),
            ("gpt-6-luna-sparkling", "gpt-6-luna-sparkling", None),
            ("gpt-6-sol-max", "gpt-6-sol", Some(Effort::Max)),
            ("gpt-5.5(high)", "gpt-5.5", Some(Effort::High)),
            ("GPT-6.1-Sol (Extra High)", "gpt-6.1-sol", Some(Effort::Xhigh)),
            ("gpt-6.1-sol(8192)", "gpt-6.1-sol", None),
            ("gpt-5.5:high", "gpt-5.5", Some(Effort::High)),
            ("openai:gpt-6-luna:off", "gpt-6-luna", Some(Effort::None)),
            ("gpt-6-1-sol-high", "gpt-6.1-sol", Some(Effort::High)),
            ("gpt-5-1-codex-max-low", "gpt-5.1-codex-max", Some(Effort::Low)),
            ("gpt-6.1-sol-x-high", "gpt-6.1-sol", Some(Effort::Xhigh)),
            ("gpt-6-sol-extra-high", "gpt-6-sol", Some(Effort::Xhigh)),
            ("openai/gpt-6.1-sol(low)", "gpt-6.1-sol", Some(Effort::Low)),
        ];
        for (asked, meant, effort) in table {
            let (found, hint) = normalise(asked, &[], |id| catalogue::built_in(id).is_some());
            assert_eq!((found, hint), (Name::Known(meant.to_owned()), effort), "{asked}");
        }
    }

    /// Behind a dash, in brackets and behind a colon.
    #[test]
    fn the_three_forms_take_the_same_words() {
        for word in [
            "none",
            "off",
            "disabled",
            "minimal",
            "minimum",
            "min",
            "low",
            "medium",
            "med",
            "normal",
            "high",
            "xhigh",
            "x-high",
            "extra-high",
            "extra_high",
            "very-high",
            "max",
            "maximum",
            "ultra",
            "enormous",
        ] {
            let level = Effort::parse(word);
            let dashed = split_effort(&format!("gpt-6-luna-{word}")).1;
            let bracketed = split_effort(&format!("gpt-6-luna({word})")).1;
            let behind_colon = split_effort(&format!("gpt-6-luna:{word}")).1;
            assert_eq!((dashed, bracketed, behind_colon), (level, level, level), "{word}");
        }
    }

    #[test]
    fn a_catalogues_own_name_wins_over_a_guess() {
        let own =
            ["gpt-6-1-sol", "gpt-7:high", "gpt-7(x)", "vendor/gpt-5.1-codex-max", "gpt-6-extra-high", "gpt-7-ultra"];
        for name in own {
            let (found, hint) = normalise(name, &[], |id| own.contains(&id) || catalogue::built_in(id).is_some());
            assert_eq!((found, hint), (Name::Known(name.to_owned()), None));
        }
    }

    #[test]
    fn aliases_come_first_and_their_target_is_normalised_once() {
        let aliases = [("Fast".to_owned(), "GPT-5.5-low".to_owned()), ("gpt-5".to_owned(), "fast".to_owned())];
        let resolve = |asked| normalise(asked, &aliases, |id| catalogue::built_in(id).is_some());
        assert_eq!(resolve("fast"), (Name::Known("gpt-5.5".to_owned()), Some(Effort::Low)));
        assert_eq!(resolve("FAST-high"), (Name::Known("gpt-5.5".to_owned()), Some(Effort::High)));
        assert_eq!(resolve("gpt-5"), (Name::Known("fast".to_owned()), None));
    }
}
