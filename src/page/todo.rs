//! Anything to do? What only a person can put right.

use maud::{Markup, html};

use crate::limits::PlanLimits;
use crate::page::verdict::left;
use crate::page::view::{LedgerView, PageView};
use crate::page::words;

/// Renders the list, or that it is empty.
pub(super) fn render(view: &PageView) -> Markup {
    let items = items(view);
    html! {
        @if items.is_empty() { p { "Nothing." } }
        @else { ul { @for item in &items { li { (item) } } } }
    }
}

fn items(view: &PageView) -> Vec<Markup> {
    let mut items = Vec::new();
    login(view, &mut items);
    limits(view, &mut items);
    match &view.ledger {
        LedgerView::Read(rows) if rows.lost > 0 => items.push(html! {
            (rows.lost) " requests could not be recorded since the start; the log says why."
        }),
        LedgerView::Unreadable(_) => items.push(html! { "The ledger cannot be read; the log says why." }),
        LedgerView::Read(_) | LedgerView::Off => {}
    }
    items
}

fn login(view: &PageView, items: &mut Vec<Markup>) {
    let login = &view.login;
    let sign_in = html! { code { "codex-proxy login" } };
    if view.is_demo {
        items.push(html! { "For real answers: " (sign_in) ", then " code { "codex-proxy" } "." });
        return;
    }
    if let Some(error) = &login.error {
        items.push(html! { (error) });
    } else if !login.is_there {
        items.push(html! { "Sign in: " (sign_in) "." });
    }
    let ends = login.expires_at.filter(|at| login.is_there && !login.is_renewable && *at < view.now + SOON);
    if let Some(at) = ends {
        let when = words::relative(at, view.now);
        items.push(html! { "The login ends " (when) " and cannot renew itself: sign in with " (sign_in) "." });
    }
}

fn limits(view: &PageView, items: &mut Vec<Markup>) {
    let Some(limits) = &view.limits else { return };
    let exhausted = view.exhausted();
    for window in limits.windows.iter().filter(|window| PlanLimits::is_current(window, view.now)) {
        let left = left(window);
        let is_spent = left == 0 || exhausted == Some(window);
        let again = window.resets_at.map(|at| html! { " It begins anew " (words::relative(at, view.now)) "." });
        if is_spent {
            items.push(html! { "The " (window.title()) " window is spent." (again.unwrap_or_default()) });
        } else if left < NEARLY {
            items.push(html! { "The " (window.title()) " window has " (left) " % left." (again.unwrap_or_default()) });
        }
    }
}

/// The time before the end of a login at which it is told, in seconds.
const SOON: u64 = 3 * 86_400;
/// The share of a window, in percent, below which it is told.
const NEARLY: u64 = 10;
