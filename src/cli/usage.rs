//! `usage`: what requests have cost, from the ledger, and the last known usage windows. Asks no backend; where the ledger is
//! empty, it asks at the configured address whether a demo runs there, which records elsewhere.
//!
//! * A line has at most 60 columns. Names that are longer are cut; `--json` has them whole.
//! * `--json` is one document: times as RFC 3339 has them, keys in snake case, `null` for what is not known.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::cli::config::Config;
use crate::cli::config::args::{SumsBy, UsageArguments};
use crate::cli::error::CliError;
use crate::cli::health;
use crate::cli::status::window_line;
use crate::humanize;
use crate::ledger::LedgerPlace;
use crate::ledger::summary::{Grouping, LedgerError, LedgerReader, UsageGroup, UsageSums};
use crate::limits::PlanLimits;
use crate::platform::unix_now;

/// Writes the sums of the last days.
pub(super) async fn show(config: &Config, arguments: UsageArguments, output: &mut impl Write) -> Result<(), CliError> {
    let Some(path) = &config.ledger_path else {
        let problem = "this user has no home directory, so nothing is recorded".to_owned();
        return Err(CliError::Option { option: "HOME".to_owned(), problem });
    };
    let unreadable = |error| CliError::Ledger { path: path.clone(), error };
    let usage = Usage::read(path, arguments).map_err(unreadable)?;
    if arguments.json {
        let text =
            serde_json::to_string_pretty(&usage.report()).map_err(|error| CliError::Internal(error.to_string()))?;
        writeln!(output, "{text}")?;
        return Ok(());
    }
    usage.write(output)?;
    if usage.total.requests == 0 && config.port != 0 {
        let url = health::url(config);
        if health::ask(&url).await.is_ok_and(|health| health.mode == "demo") {
            writeln!(output, "A demo runs at {url}:\nits requests are on its page alone.")?;
        }
    }
    Ok(())
}

/// What the ledger says.
struct Usage<'p> {
    path: &'p Path,
    arguments: UsageArguments,
    /// When the first day began, in Unix seconds; `None` if nothing was ever recorded.
    since: Option<u64>,
    groups: Vec<UsageGroup>,
    total: UsageSums,
    limits: Option<PlanLimits>,
}

impl<'p> Usage<'p> {
    fn read(path: &'p Path, arguments: UsageArguments) -> Result<Self, LedgerError> {
        let nothing =
            Self { path, arguments, since: None, groups: Vec::new(), total: UsageSums::default(), limits: None };
        let Some(reader) = LedgerReader::open(&LedgerPlace::File(path.to_owned()))? else { return Ok(nothing) };
        let since = reader.since(arguments.days)?;
        let by = match arguments.by {
            SumsBy::Model => Grouping::Model,
            SumsBy::Client => Grouping::Client,
            SumsBy::Day => Grouping::Day,
        };
        let total = reader.usage(since, &[])?.first().map(|group| group.sums).unwrap_or_default();
        let groups = reader.usage(since, &[by])?;
        Ok(Self { since: Some(since), groups, total, limits: reader.limits(None)?, ..nothing })
    }

    fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        if self.total.requests == 0 {
            let days = match self.arguments.days {
                1 => "today".to_owned(),
                days => format!("in the last {days} days"),
            };
            writeln!(output, "No requests {days}.")?;
        } else {
            let by = match self.arguments.by {
                SumsBy::Model => "model",
                SumsBy::Client => "client",
                SumsBy::Day => "day",
            };
            let cells = ["reqs", "fail", "in", "cached", "out", "first"].map(str::to_owned);
            writeln!(output, "{}", line(by, &cells))?;
            for group in &self.groups {
                writeln!(output, "{}", line(label(group), &cells_of(&group.sums)))?;
            }
            if self.groups.len() > 1 {
                writeln!(output, "{}", line("total", &cells_of(&self.total)))?;
            }
        }
        if let Some(limits) = &self.limits {
            let now = unix_now().as_secs();
            writeln!(output, "\nLimits, as told {}:", humanize::relative(limits.observed_at, now))?;
            for window in &limits.windows {
                writeln!(output, "  {}", window_line(window, now))?;
            }
        }
        Ok(())
    }

    fn report(&self) -> UsageReport<'_> {
        let limits = self.limits.as_ref().map(|limits| LimitsReport {
            observed_at: humanize::rfc3339(limits.observed_at),
            plan_type: limits.plan_type.as_deref(),
            windows: limits
                .windows
                .iter()
                .map(|window| WindowReport {
                    name: &window.name,
                    feature: window.feature.as_deref(),
                    used_percent: window.used_percent,
                    window_seconds: window.window_seconds,
                    resets_at: window.resets_at.and_then(humanize::rfc3339),
                })
                .collect(),
        });
        UsageReport {
            ledger: self.path.display().to_string(),
            days: self.arguments.days,
            since: self.since.and_then(humanize::rfc3339),
            until: humanize::rfc3339(unix_now().as_secs()),
            groups: &self.groups,
            total: self.total,
            limits,
        }
    }
}

/// The document of `--json`.
#[derive(Serialize)]
struct UsageReport<'u> {
    ledger: String,
    days: u32,
    since: Option<String>,
    until: Option<String>,
    groups: &'u [UsageGroup],
    total: UsageSums,
    limits: Option<LimitsReport<'u>>,
}

#[derive(Serialize)]
struct LimitsReport<'u> {
    observed_at: Option<String>,
    plan_type: Option<&'u str>,
    windows: Vec<WindowReport<'u>>,
}

#[derive(Serialize)]
struct WindowReport<'u> {
    name: &'u str,
    feature: Option<&'u str>,
    used_percent: f64,
    window_seconds: u64,
    resets_at: Option<String>,
}

fn label(group: &UsageGroup) -> &str {
    let name = group.day.as_deref().or(group.model.as_deref()).or(group.client.as_deref()).unwrap_or_default();
    if name.is_empty() { "-" } else { name }
}

/// Lays one line of the table out: a name and six cells.
fn line(name: &str, cells: &[String; 6]) -> String {
    let mut name: String = name.to_owned();
    if name.chars().count() > NAME {
        name = name.chars().take(NAME - 1).chain(['…']).collect();
    }
    let [requests, failed, input, cached, output, first] = cells;
    format!("{name:NAME$}  {requests:>5}  {failed:>4}  {input:>5}  {cached:>6}  {output:>5}  {first:>5}")
}

fn cells_of(sums: &UsageSums) -> [String; 6] {
    let share = sums.cache_hit_share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0));
    let first = sums.mean_first_token_ms.map_or_else(|| "-".to_owned(), humanize::millis);
    [
        humanize::count(sums.requests),
        humanize::count(sums.failed),
        humanize::count(sums.tokens.input),
        share,
        humanize::count(sums.tokens.output),
        first,
    ]
}

/// The columns of a name: more than any model's has.
const NAME: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_sixty_columns() {
        let widest = ["99.9k", "9999", "999M", "100%", "999M", "125s"].map(str::to_owned);
        for name in ["gpt-6.1-sol", "a-model-whose-name-never-ends", "käse-käse-käse-käse-käse"] {
            assert!(line(name, &widest).chars().count() <= 60, "{}", line(name, &widest));
        }
        assert!(line("a-model-whose-name-never-ends", &widest).starts_with("a-model-whose-nam…  "));
    }
}
