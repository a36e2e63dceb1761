//! What a WebSocket tells beside the events of an answer, because it has no status and no headers for each turn.
//!
//! * [`error`]: the frame for an answer that is an error, with its status and headers. A Codex client (0.147) reads them as it
//!   would read an HTTP answer's, and ignores an error frame without a status.
//! * [`metadata`] and [`limits`]: the headers of an answer, as the two events in which the backend sends them on its own
//!   sockets. Codex clients alone know these; some libraries crash on them.

use http::{HeaderMap, StatusCode};
use serde_json::Number;

use crate::json::ObjectWriter;

/// Writes an error as a frame. `error` is the JSON object of the error.
pub fn error(status: StatusCode, error: &str, headers: &HeaderMap) -> String {
    let mut out = Vec::new();
    let mut frame = ObjectWriter::begin(&mut out);
    frame.string("type", "error").unsigned("status", status.as_u16().into()).json("error", error);
    write_headers(headers, |_| true, frame.key("headers"));
    frame.end();
    text(out)
}

/// Writes the headers of an answer as an event; `None` if there are none to tell.
pub fn metadata(headers: &HeaderMap) -> Option<String> {
    let is_told = |name: &str| !is_of_limits(name);
    headers.keys().any(|name| is_about_the_answer(name.as_str()) && is_told(name.as_str())).then(|| {
        let mut out = Vec::new();
        let mut event = ObjectWriter::begin(&mut out);
        event.string("type", "codex.response.metadata");
        write_headers(headers, is_told, event.key("headers"));
        event.end();
        text(out)
    })
}

/// Writes the usage windows in the headers of an answer as events, one for each metered limit.
pub fn limits(headers: &HeaderMap) -> Vec<String> {
    let names = headers.keys().filter_map(|name| name.as_str().strip_prefix("x-")?.strip_suffix(PRIMARY_USED));
    names.map(|limit| limits_of(limit, headers)).collect()
}

fn limits_of(limit: &str, headers: &HeaderMap) -> String {
    let find = |name: &str| headers.get(format!("x-{limit}-{name}")).and_then(|value| value.to_str().ok());
    let mut out = Vec::new();
    let mut event = ObjectWriter::begin(&mut out);
    event.string("type", "codex.rate_limits");
    nullable(headers.get("x-codex-plan-type").and_then(|plan| plan.to_str().ok()), "plan_type", &mut event);
    let mut windows = ObjectWriter::begin(event.key("rate_limits"));
    for window in ["primary", "secondary"] {
        let number = |name: &str| find(&format!("{window}-{name}")).and_then(number);
        let Some(used) = number("used-percent") else {
            windows.json(window, "null");
            continue;
        };
        let mut inner = ObjectWriter::begin(windows.key(window));
        inner.json("used_percent", &used);
        for (key, name) in [("window_minutes", "window-minutes"), ("reset_at", "reset-at")] {
            inner.json(key, &number(name).unwrap_or_else(|| "null".to_owned()));
        }
        inner.end();
    }
    windows.end();
    write_credits(&find, &mut event);
    let metered = limit.replace('-', "_");
    event.string("metered_limit_name", &metered).string("limit_name", find("limit-name").unwrap_or(&metered));
    event.end();
    text(out)
}

fn write_credits<'h>(find: &impl Fn(&str) -> Option<&'h str>, event: &mut ObjectWriter<'_>) {
    let truth = |name: &str| find(name).and_then(truth);
    let (Some(has), Some(unlimited)) = (truth("credits-has-credits"), truth("credits-unlimited")) else {
        event.json("credits", "null");
        return;
    };
    let mut credits = ObjectWriter::begin(event.key("credits"));
    credits.boolean("has_credits", has).boolean("unlimited", unlimited);
    nullable(find("credits-balance"), "balance", &mut credits);
    credits.end();
}

fn nullable(value: Option<&str>, key: &str, object: &mut ObjectWriter<'_>) {
    match value {
        Some(value) => object.string(key, value),
        None => object.json(key, "null"),
    };
}

/// Returns a header's number as JSON.
fn number(text: &str) -> Option<String> {
    let text = text.trim();
    let whole = text.parse::<i64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(text.parse().ok()?)).map(|number| number.to_string())
}

fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn write_headers(headers: &HeaderMap, is_told: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    for (name, value) in headers {
        let name = name.as_str();
        if let Ok(value) = value.to_str()
            && is_about_the_answer(name)
            && is_told(name)
        {
            object.string(name, value);
        }
    }
    object.end();
}

/// Returns whether a header is about the answer rather than about the HTTP message that carries it.
fn is_about_the_answer(name: &str) -> bool {
    !matches!(name, "cache-control" | "connection" | "date" | "vary" | "x-accel-buffering")
        && !name.starts_with("content-")
        && !name.starts_with("access-control-")
}

/// Returns whether [`limits`] tells a header's value.
fn is_of_limits(name: &str) -> bool {
    ["-used-percent", "-window-minutes", "-reset-at", "-reset-after-seconds"].iter().any(|end| name.ends_with(end))
        || name.starts_with("x-codex-credits-")
}

fn text(json: Vec<u8>) -> String {
    // JSON is written from strings, so it is one.
    String::from_utf8(json).unwrap_or_default()
}

const PRIMARY_USED: &str = "-primary-used-percent";

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_error_has_its_status_and_the_headers_that_are_about_it() {
        let sent = headers(&[
            ("content-type", "application/json"),
            ("retry-after", "7"),
            ("x-codex-primary-used-percent", "100.0"),
            ("access-control-allow-origin", "*"),
        ]);
        assert_eq!(
            error(StatusCode::TOO_MANY_REQUESTS, r#"{"code":"c"}"#, &sent),
            r#"{"type":"error","status":429,"error":{"code":"c"},"headers":{"retry-after":"7","x-codex-primary-used-percent":"100.0"}}"#
        );
    }

    #[test]
    fn headers_are_told_in_the_two_events_of_the_backend() {
        let sent = headers(&[
            ("x-codex-plan-type", "plus"),
            ("x-codex-primary-used-percent", "42.5"),
            ("x-codex-primary-window-minutes", "10080"),
            ("x-codex-primary-reset-at", "1786161248"),
            ("x-codex-credits-has-credits", "True"),
            ("x-codex-credits-unlimited", "0"),
            ("x-codex-turn-state", "ts"),
            ("x-gpt-reserve-primary-used-percent", "x"),
            ("x-gpt-reserve-limit-name", "Reserve"),
            ("content-type", "text/event-stream"),
        ]);
        let told = metadata(&sent).expect("headers");
        assert_eq!(
            told,
            r#"{"type":"codex.response.metadata","headers":{"x-codex-plan-type":"plus","x-codex-turn-state":"ts","x-gpt-reserve-limit-name":"Reserve"}}"#
        );
        let mut windows = limits(&sent);
        windows.sort();
        let rest = r#""rate_limits":{"primary":null,"secondary":null},"credits":null,"metered_limit_name":"gpt_reserve","limit_name":"Reserve"}"#;
        assert_eq!(windows[0], format!(r#"{{"type":"codex.rate_limits","plan_type":"plus",{rest}"#));
        let primary = r#"{"used_percent":42.5,"window_minutes":10080,"reset_at":1786161248}"#;
        let credits = r#"{"has_credits":true,"unlimited":false,"balance":null}"#;
        assert_eq!(
            windows[1],
            format!(
                r#"{{"type":"codex.rate_limits","plan_type":"plus","rate_limits":{{"primary":{primary},"secondary":null}},"credits":{credits},"metered_limit_name":"codex","limit_name":"codex"}}"#
            )
        );
    }

    #[test]
    fn no_headers_are_no_events() {
        let sent = headers(&[("content-type", "text/event-stream"), ("x-codex-credits-balance", "0")]);
        assert_eq!((metadata(&sent), limits(&sent)), (None, Vec::new()));
    }
}
