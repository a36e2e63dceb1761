//! How much is left? A bar for each of the plan's windows.

use maud::{Markup, html};

use crate::limits::{PlanLimits, UsageWindow};
use crate::page::verdict::left;
use crate::page::words;

/// Renders the newest reading with its age and source.
pub(super) fn render(limits: Option<&PlanLimits>, now: u64) -> Markup {
    let Some(limits) = limits else {
        return html! {
            p class="note" { "Not known yet: the backend tells it with its next answer. " code { "codex-proxy status" } " asks for it." }
        };
    };
    html! {
        @for window in &limits.windows { (bar(window, now)) }
        @if limits.windows.is_empty() { p { "The plan has no usage windows." } }
        @if let Some(credits) = limits.credits.as_ref().filter(|credits| credits.has_credits) {
            p { "Credits: " @if credits.unlimited { "without an end" } @else { (credits.balance.as_deref().unwrap_or("some")) } }
        }
        p class="note" { "As the backend told it " (words::relative(limits.observed_at, now)) ". The page itself asks for nothing." }
    }
}

fn bar(window: &UsageWindow, now: u64) -> Markup {
    if !PlanLimits::is_current(window, now) {
        let since = window.resets_at.map(|at| words::relative(at, now));
        return html! {
            div class="window" {
                p class="title" { strong { (window.title()) } " " span { "began anew " (since.unwrap_or_default()) } }
                p class="note" { "The next answer tells how much is left." }
            }
        };
    }
    let left = left(window);
    let class = match left {
        0..10 => "bad",
        10..25 => "warn",
        _ => "ok",
    };
    html! {
        div class="window" {
            p class="title" { strong { (window.title()) } " " span { (left) " % left" } }
            svg class={ "bar " (class) } viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true" {
                rect class="track" width="100" height="1" {}
                rect class="rest" width=(left) height="1" {}
            }
            @if let Some(at) = window.resets_at {
                p class="note" { "Resets " (words::relative(at, now)) ", at " (words::clock(at, now)) }
            }
        }
    }
}
