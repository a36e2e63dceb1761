//! What just happened? The newest requests.

use std::time::Duration;

use maud::{Markup, html};

use crate::humanize;
use crate::ledger::LedgerEntry;
use crate::page::view::LedgerView;
use crate::page::words;
use crate::phases::Phase;

/// Renders the table of requests, or why there is none.
pub(super) fn render(ledger: &LedgerView, now: u64) -> Markup {
    let rows = match ledger {
        LedgerView::Off => return html! { p class="note" { "Nothing is recorded: " code { "--ledger-days 0" } "." } },
        LedgerView::Unreadable(reason) => {
            return html! { p class="note" { "The ledger cannot be read: " (reason) "." } };
        }
        LedgerView::Read(rows) => rows,
    };
    if rows.recent.is_empty() {
        return html! { p class="note" { "No request yet." } };
    }
    let has_clients = rows.recent.iter().any(|entry| entry.client.is_some());
    html! {
        table class="cards" {
            caption { "The last " (rows.recent.len()) " requests, from the ledger" }
            thead {
                tr {
                    th scope="col" { "Time" }
                    th scope="col" { "Route" }
                    @if has_clients { th scope="col" { "Key" } }
                    th scope="col" { "Model asked, sent, answered" }
                    th scope="col" { "Status" }
                    th scope="col" class="number" { "First token" }
                    th scope="col" class="number" { "All" }
                    th scope="col" class="number" { "Tokens in, out" }
                    th scope="col" class="number" { "Cached" }
                }
            }
            tbody { @for entry in &rows.recent { (row(entry, has_clients, now)) } }
        }
    }
}

fn row(entry: &LedgerEntry, has_clients: bool, now: u64) -> Markup {
    let tokens = entry.tokens;
    html! {
        tr {
            th scope="row" { (words::clock(entry.started_at / 1000, now)) }
            td data-label="Route" { (entry.route) }
            @if has_clients { td data-label="Key" { (entry.client.as_deref().unwrap_or("–")) } }
            td data-label="Model" class="names" { span { (models(entry)) } }
            td data-label="Status" { span { (status(entry)) } }
            td data-label="First token" class="number" { (first_token(entry)) }
            td data-label="All" class="number" { (humanize::millis(entry.duration_ms)) }
            td data-label="Tokens" class="number" {
                @if let Some(tokens) = tokens { (humanize::count(tokens.input)) " → " (humanize::count(tokens.output)) } @else { "–" }
            }
            td data-label="Cached" class="number" {
                (tokens.and_then(|tokens| tokens.cache_hit_share()).map_or_else(|| "–".to_owned(), words::percent))
            }
        }
    }
}

/// The names in the order in which they were said; one that was repeated is left out.
fn models(entry: &LedgerEntry) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for name in [&entry.model_asked, &entry.model_sent, &entry.model_answered].into_iter().flatten() {
        if names.last() != Some(&name.as_str()) {
            names.push(name);
        }
    }
    html! {
        @if names.is_empty() { "–" }
        @for (index, name) in names.iter().enumerate() { @if index > 0 { " → " } span class="name" { (name) } }
        @if let Some(effort) = &entry.effort { " " span class="note" { (effort) } }
    }
}

fn status(entry: &LedgerEntry) -> Markup {
    let class = match (&entry.error_code, entry.is_whole) {
        (Some(_), _) => "bad",
        (None, false) => "warn",
        (None, true) => "ok",
    };
    html! {
        span class={ "status " (class) } {
            @match entry.status { Some(status) => (status), None => "none" }
        }
        @if let Some(code) = &entry.error_code { " " span class="note" { (code) } }
        @if entry.error_code.is_none() && !entry.is_whole { " " span class="note" { "client left" } }
    }
}

/// The time to the first token, and the phases that took most of it.
fn first_token(entry: &LedgerEntry) -> Markup {
    let of = |(_, time): &(Phase, Duration)| time.as_millis();
    let largest = entry.phases.iter().max_by_key(of).filter(|phase| of(phase) > 0);
    let others = entry.phases.iter().filter(|(phase, _)| Some(*phase) != largest.map(|(phase, _)| phase));
    let second = others.max_by_key(of).filter(|phase| of(phase) > 0);
    html! {
        (entry.first_token_ms.map_or_else(|| "–".to_owned(), humanize::millis))
        @if let Some(largest) = largest {
            span class="note phases" { (phase(largest)) @if let Some(second) = second { ", " (phase(second)) } }
        }
    }
}

fn phase((phase, time): (Phase, Duration)) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    format!("{} {}", phase.as_str().replace('_', " "), humanize::millis(millis))
}
