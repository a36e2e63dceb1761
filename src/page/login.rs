//! The facts behind the verdict: the login, the process, who answers.

use maud::{Markup, html};

use crate::humanize;
use crate::page::verdict::plan;
use crate::page::view::{LoginView, PageView};
use crate::page::words;

/// Renders the facts as a list of terms.
pub(super) fn facts(view: &PageView) -> Markup {
    let login = &view.login;
    html! {
        dl {
            dt { "Plan" } dd { (plan(login.plan.as_deref())) }
            dt { "Access token" } dd { (token(login, view.now)) }
            dt { "Stored in" } dd { (login.store) }
            dt { "Running" } dd { "for " (humanize::duration(view.now.saturating_sub(view.started_at))) }
        }
    }
}

/// Renders who is signed in, behind a summary: a picture of the page need not show it.
pub(super) fn account(login: &LoginView) -> Markup {
    let Some(account) = login.account.as_deref() else { return html! {} };
    html! {
        details {
            summary { "Account" }
            p { @if let Some(email) = &login.email { (email) br; } code { (account) } }
        }
    }
}

fn token(login: &LoginView, now: u64) -> Markup {
    if !login.is_there {
        return html! { "none" };
    }
    let renewal = if login.is_renewable { "renews itself" } else { "cannot be renewed" };
    match login.expires_at {
        None => html! { (renewal) },
        Some(at) if login.is_expired => html! { "expired " (words::relative(at, now)) ", " (renewal) },
        Some(at) if login.is_renewable => html! { (renewal) ", expires " (words::relative(at, now)) },
        Some(at) => html! { "expires " (words::relative(at, now)) ", " (renewal) },
    }
}
