//! The log, always on stderr: human-readable or, with `ENV=production`, one JSON object per line.
//!
//! * Any other value of `ENV` means human-readable: shells use a variable of that name for other things.
//! * A panic is logged like any other line.
//! * [`queue`] writes the lines to stderr, so that no task waits for it; [`lines`] makes them of [`fields`].

mod fields;
mod lines;
mod queue;
mod request;

use std::io;
use std::panic;
use std::time::Duration;

use time::UtcOffset;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::error::CliError;
use crate::cli::logging::lines::{LineForm, LogLines};
use crate::cli::logging::queue::LogQueue;
use crate::cli::terminal::Paint;

/// The running log. Dropping it waits up to a second for queued lines.
#[derive(Debug)]
pub(super) struct Log(LogQueue);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush(Duration::from_secs(1));
    }
}

/// Starts the log. `filter` is a level, or directives like `info,codex_proxy=debug`.
pub(super) fn start(filter: &str, production: bool) -> Result<Log, CliError> {
    let filter = parse(filter)?;
    let form = if production {
        LineForm::Json
    } else {
        // Only a process of one thread may ask for it, so before the queue starts its own.
        LineForm::Text { paint: Paint::for_stream(&io::stderr()), offset: UtcOffset::current_local_offset().ok() }
    };
    let queue = LogQueue::start(io::stderr())?;
    let lines = LogLines { form, queue: queue.clone() };
    let started = Registry::default().with(lines).with(filter).try_init();
    started.map_err(|error| CliError::Internal(error.to_string()))?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(|text| &**text));
        tracing::error!(place, "panic: {}", text.unwrap_or("unknown"));
    }));
    Ok(Log(queue))
}

/// Parses a level for everything, levels for modules, or both; the longest matching module decides.
///
/// Not `EnvFilter`: its filters by span and field add 0.3 MB of regular expressions.
fn parse(text: &str) -> Result<Targets, CliError> {
    let wrong = |part: &str| CliError::Option {
        option: "--log-level".to_owned(),
        problem: format!("{part:?} is none of off, error, warn, info, debug, trace, nor like codex_proxy=debug"),
    };
    let mut filter = Targets::new().with_default(LevelFilter::ERROR);
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (module, level) = part.split_once('=').map_or((None, part), |(module, level)| (Some(module), level));
        let level: LevelFilter = level.trim().parse().map_err(|_| wrong(part))?;
        filter = match module.map(str::trim) {
            None => filter.with_default(level),
            Some(module) if is_module(module) => filter.with_target(module, level),
            Some(_) => return Err(wrong(part)),
        };
    }
    Ok(filter)
}

fn is_module(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for right in ["info", "OFF", "warn,codex_proxy=trace", "codex_proxy::server=debug", ""] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["loud", "info,verbose", "codex_proxy=loud", "=info=", "codex_proxy[request]=debug"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
