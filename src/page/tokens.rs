//! Tokens by day and model: a plot, and the table of its numbers.

use maud::{Markup, html};

use crate::humanize;
use crate::ledger::summary::UsageGroup;
use crate::page::view::{LedgerRows, LedgerView};
use crate::page::words;

/// Renders the plot and its table.
pub(super) fn render(ledger: &LedgerView) -> Markup {
    let rows = match ledger {
        LedgerView::Read(rows) if !rows.sums.is_empty() => rows,
        LedgerView::Read(_) | LedgerView::Off | LedgerView::Unreadable(_) => return html! {},
    };
    let plot = Plot::of(rows);
    html! {
        figure {
            figcaption { "Tokens by day, in and out together, the last " (rows.days.len()) " days, from the ledger" }
            ul class="legend" {
                @for (index, model) in plot.models.iter().enumerate() {
                    li { svg viewBox="0 0 1 1" aria-hidden="true" { rect class={ "series" (index) } width="1" height="1" {} } " " (model) }
                }
            }
            (plot.render(rows))
        }
        details { summary { "The numbers as a table" } (table(&rows.sums)) }
    }
}

/// Bars over days, each stacked by model.
struct Plot<'r> {
    /// The models in their order, the largest first; the rest are one.
    models: Vec<&'r str>,
    /// The tokens of each model by day, in the order of the days.
    days: Vec<(&'r str, Vec<u64>)>,
    /// The value at the top.
    top: u64,
}

impl<'r> Plot<'r> {
    fn of(rows: &'r LedgerRows) -> Self {
        let models = largest(&rows.sums);
        let mut days: Vec<(&str, Vec<u64>)> = Vec::new();
        for group in rows.sums.iter().filter(|group| tokens(group) > 0) {
            let day = group.day.as_deref().unwrap_or_default();
            if days.last().is_none_or(|(last, _)| *last != day) {
                days.push((day, vec![0; models.len()]));
            }
            // A model without a colour of its own is one of the others, which are the last.
            let index = models.iter().position(|name| *name == model(group)).unwrap_or(models.len() - 1);
            if let Some(sum) = days.last_mut().and_then(|(_, sums)| sums.get_mut(index)) {
                *sum += tokens(group);
            }
        }
        let highest = days.iter().map(|(_, sums)| sums.iter().sum::<u64>()).max().unwrap_or_default();
        Self { models, days, top: round_up(highest) }
    }

    fn render(&self, rows: &LedgerRows) -> Markup {
        let count = rows.days.len();
        let short = |day: &str| day.get(5..).unwrap_or(day).to_owned();
        let ends = [rows.days.first(), rows.days.get(count / 2), rows.days.last()];
        html! {
            div class="plot" aria-hidden="true" {
                div class="axis" { span { (humanize::count(self.top)) } span { (humanize::count(self.top / 2)) } span { "0" } }
                svg viewBox={ "0 0 " (count * DAY_WIDTH) " " (HEIGHT) } preserveAspectRatio="none" {
                    @for line in [0, HEIGHT / 2, HEIGHT] { line x1="0" x2=(count * DAY_WIDTH) y1=(line) y2=(line) {} }
                    @for (position, day) in rows.days.iter().enumerate() { (self.bar(position, day)) }
                }
                div class="days" { @for day in ends.into_iter().flatten() { span { (short(day)) } } }
            }
        }
    }

    /// The bar of a day: its models, from the ground up.
    fn bar(&self, position: usize, day: &str) -> Markup {
        let Some((_, sums)) = self.days.iter().find(|(known, _)| *known == day) else { return html! {} };
        let mut top = HEIGHT as u64 * PRECISION;
        let pieces = sums.iter().zip(&self.models).enumerate().filter(|(_, (tokens, _))| **tokens > 0);
        let pieces: Vec<_> = pieces
            .map(|(series, (tokens, model))| {
                let height = scaled(*tokens, self.top);
                top = top.saturating_sub(height);
                (series, model, *tokens, top, height)
            })
            .collect();
        html! {
            @for (series, model, tokens, top, height) in pieces {
                rect class={ "series" (series) } x=(position * DAY_WIDTH + GAP) width=(DAY_WIDTH - 2 * GAP)
                    y=(decimal(top)) height=(decimal(height)) {
                    title { (day) ", " (model) ": " (humanize::count(tokens)) }
                }
            }
        }
    }
}

/// The models with the most tokens, the largest first; where they are many, the rest are one.
fn largest(sums: &[UsageGroup]) -> Vec<&str> {
    let mut totals: Vec<(&str, u64)> = Vec::new();
    for group in sums.iter().filter(|group| tokens(group) > 0) {
        match totals.iter_mut().find(|(name, _)| *name == model(group)) {
            Some((_, total)) => *total += tokens(group),
            None => totals.push((model(group), tokens(group))),
        }
    }
    let most = if totals.len() > MOST_SERIES { MOST_SERIES - 1 } else { MOST_SERIES };
    let mut models = Vec::new();
    while let Some(index) = (0..totals.len()).max_by_key(|index| totals.get(*index).map(|(_, total)| *total)) {
        if models.len() == most {
            models.push(OTHERS);
            break;
        }
        models.push(totals.swap_remove(index).0);
    }
    models
}

fn table(sums: &[UsageGroup]) -> Markup {
    html! {
        table class="cards" {
            caption { "Tokens by day and model, the newest first" }
            thead {
                tr {
                    th scope="col" { "Day" }
                    th scope="col" { "Model" }
                    th scope="col" class="number" { "Requests" }
                    th scope="col" class="number" { "Failed" }
                    th scope="col" class="number" { "In" }
                    th scope="col" class="number" { "Cached" }
                    th scope="col" class="number" { "Out" }
                }
            }
            tbody {
                @for group in sums.iter().rev() {
                    tr {
                        th scope="row" { (group.day.as_deref().unwrap_or_default()) }
                        td data-label="Model" { (model(group)) }
                        td data-label="Requests" class="number" { (group.sums.requests) }
                        td data-label="Failed" class="number" { (group.sums.failed) }
                        td data-label="In" class="number" { (group.sums.tokens.input) }
                        td data-label="Cached" class="number" { (group.sums.cache_hit_share.map_or_else(|| "–".to_owned(), words::percent)) }
                        td data-label="Out" class="number" { (group.sums.tokens.output) }
                    }
                }
            }
        }
    }
}

fn model(group: &UsageGroup) -> &str {
    group.model.as_deref().filter(|model| !model.is_empty()).unwrap_or("no model")
}

fn tokens(group: &UsageGroup) -> u64 {
    group.sums.tokens.input.saturating_add(group.sums.tokens.output)
}

/// The next number whose half is easy to read: 1, 2, 4, 6, 8 or 10 of a power of ten.
fn round_up(highest: u64) -> u64 {
    let mut unit = 1_u64;
    while highest > unit.saturating_mul(10) {
        unit = unit.saturating_mul(10);
    }
    [1, 2, 4, 6, 8, 10]
        .into_iter()
        .map(|times| unit.saturating_mul(times))
        .find(|top| *top >= highest)
        .unwrap_or(highest)
}

/// The height of `tokens` in hundredths.
fn scaled(tokens: u64, top: u64) -> u64 {
    let height = u128::from(tokens) * HEIGHT as u128 * u128::from(PRECISION) / u128::from(top.max(1));
    u64::try_from(height).unwrap_or_default()
}

fn decimal(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / PRECISION, hundredths % PRECISION)
}

/// The models with a colour of their own, the rest included.
const MOST_SERIES: usize = 5;
const OTHERS: &str = "others";
/// The plot's units: it is stretched to the room it has.
const DAY_WIDTH: usize = 10;
const GAP: usize = 1;
const HEIGHT: usize = 100;
const PRECISION: u64 = 100;
