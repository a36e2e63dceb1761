//! What Claude Code is told of the window, for the doctor: a wrong one is noticed only when a long conversation fails.

use std::net::IpAddr;

use http::Uri;
use serde_json::Value;

use crate::cli::config::Config;
use crate::cli::setup::apply::LARGEST;
use crate::cli::setup::edit;
use crate::cli::setup::facts::flags;
use crate::cli::setup::places::Places;
use crate::cli::setup::tools::claude_code::{BASE_URL, MODEL, WINDOWS, path};
use crate::files::read;
use crate::models::Models;

/// What Claude Code is told of the window, where it is told to ask this program at all; the error is that it is told too much.
pub(in crate::cli) fn examine(config: &Config, models: &Models, places: &Places<'_>) -> Option<Result<String, String>> {
    let written = read::regular_text(&path(places), LARGEST).unwrap_or_default();
    let told = |name: &str| {
        let in_file = || match edit::value_in(&written, &["env", name])? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        places.text(name).or_else(in_file).filter(|value| !value.is_empty())
    };
    told(BASE_URL).filter(|url| is_ours(url, &config.host, config.port))?;
    let name = told(MODEL).unwrap_or_else(|| "opus".to_owned());
    let model = models.resolve(Some(&name), None).model;
    let window = models.find(&model).map_or(WINDOW, |entry| entry.context_window);
    let remedy = format!("run: codex-proxy setup {}claude-code --write", flags(config));
    Some(judge(&WINDOWS.map(|name| (name, told(name))), &name, window, &remedy))
}

/// Whether a window is told and none is larger than the `window` of the model `name`. `remedy` is the end of an error.
fn judge(told: &[(&str, Option<String>); 2], name: &str, window: u64, remedy: &str) -> Result<String, String> {
    for (variable, value) in told {
        let tokens = value.as_ref().map(|value| value.parse::<u64>().unwrap_or(u64::MAX));
        if tokens.is_some_and(|tokens| tokens > window) {
            let value = value.as_deref().unwrap_or_default();
            return Err(format!("{variable} is {value}, but {name} takes {window} tokens; {remedy}"));
        }
    }
    if told.iter().all(|(_, value)| value.is_none()) {
        return Err(format!("takes {name}, which has a window of {window} tokens, for a model with 1000000; {remedy}"));
    }
    Ok(format!("knows that {name} has a window of {window} tokens"))
}

/// Whether `url` leads to the address at which this machine serves.
pub(in crate::cli::setup) fn is_ours(url: &str, own_host: &str, own_port: u16) -> bool {
    let Ok(url) = url.trim().parse::<Uri>() else { return false };
    let port = url.port_u16().or(if url.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    (is_loopback_host(host(&url)) || host(&url) == own_host) && port == Some(own_port)
}

/// Whether `url` leads to this machine.
pub(in crate::cli::setup) fn is_loopback(url: &str) -> bool {
    url.trim().parse::<Uri>().is_ok_and(|url| is_loopback_host(host(&url)))
}

fn host(url: &Uri) -> &str {
    url.host().unwrap_or_default().trim_matches(['[', ']'])
}

fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The window of a model that is not in the list: most models have this one.
const WINDOW: u64 = 272_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_is_too_large_or_not_told_is_noticed() {
        let judged = |whole: Option<&str>, compact: Option<&str>| {
            judge(&[(WINDOWS[0], whole.map(str::to_owned)), (WINDOWS[1], compact.map(str::to_owned))], "m", 272_000, "")
        };
        assert!(judged(Some("272000"), Some("250240")).is_ok());
        assert!(judged(None, Some("250000")).is_ok());
        for (whole, compact) in
            [(None, None), (Some("1000000"), Some("250000")), (Some("272000"), Some("272001")), (Some("x"), None)]
        {
            assert!(judged(whole, compact).is_err(), "{whole:?} {compact:?}");
        }
        let is_ours = |url| is_ours(url, "box.lan", 9879);
        for own in ["http://localhost:9879", "http://127.0.0.1:9879/v1", "http://[::1]:9879/", "https://box.lan:9879"] {
            assert!(is_ours(own), "{own}");
        }
        for foreign in
            ["https://api.anthropic.com", "http://localhost:19879", "http://other:9879", "http://localhost", "x y"]
        {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
