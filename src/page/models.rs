//! Which models? Those that the account can be expected to have.

use maud::{Markup, html};

use crate::models::entry::Entry;
use crate::page::view::ModelsView;
use crate::page::words;

/// Renders the table of models with its source.
pub(super) fn render(models: &ModelsView) -> Markup {
    html! {
        table class="cards" {
            caption {
                @if models.is_own_list { "The account's own list" } @else { "The built-in list, until the account's own is known" }
            }
            thead {
                tr {
                    th scope="col" { "Name" }
                    th scope="col" class="number" { "Context" }
                    th scope="col" { "Efforts" }
                    th scope="col" { "Without one" }
                }
            }
            tbody { @for entry in &models.entries { (row(entry)) } }
        }
    }
}

fn row(entry: &Entry) -> Markup {
    let efforts: Vec<_> = entry.supported_reasoning_efforts.iter().map(|effort| effort.as_str()).collect();
    html! {
        tr {
            th scope="row" { code { (entry.id) } (words::copy(&entry.id)) }
            td data-label="Context" class="number" { (entry.context_window / 1000) "k" }
            td data-label="Efforts" { @if efforts.is_empty() { "–" } @else { (efforts.join(", ")) } }
            td data-label="Without one" { (entry.default_reasoning_effort.map_or("–", |effort| effort.as_str())) }
        }
    }
}
