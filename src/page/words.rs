//! Times as elements: what people read inside, what a program reads in an attribute.

use maud::{Markup, html};

use crate::humanize;

/// The age of `at` at `now`, or the time until then: `3 minutes ago`, `in 2 hours`.
pub(super) fn relative(at: u64, now: u64) -> Markup {
    html! { time datetime=[humanize::rfc3339(at)] title=[humanize::instant(at)] { (humanize::relative(at, now)) } }
}

/// The time of day of `at`, with the date unless it is that of `now`. It is UTC; the script puts the browser's own time in
/// its place.
pub(super) fn clock(at: u64, now: u64) -> Markup {
    let text = humanize::instant(at).unwrap_or_else(|| "after the year 9999".to_owned());
    let is_today = at / DAY == now / DAY;
    let shown = text.get(if is_today { 11.. } else { 5.. }).unwrap_or(&text);
    html! { time class="clock" datetime=[humanize::rfc3339(at)] { (shown) } }
}

/// A button that copies the text beside it. Only the script can do that, and shows it.
pub(super) fn copy(what: &str) -> Markup {
    html! { button type="button" class="copy" hidden aria-label={ "Copy " (what) } { "Copy" } }
}

/// A share in whole percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

const DAY: u64 = 86_400;
