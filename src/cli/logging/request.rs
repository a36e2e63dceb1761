//! The one short line of a request: `200 POST /v1/responses gpt-6.1-sol 0.9s→14s 9.5k→1.2k (8k cached)`.
//!
//! * Status, method and route; the model sent, behind the one asked for if that is another; the name of the key; the times to the first token and
//!   to the end; the tokens in and out. What is not known is left out.
//! * A failure ends in its code and, where it quotes nothing of the request, its message.

use std::fmt::Write as _;

use crate::cli::logging::fields::LogFields;
use crate::cli::terminal::Paint;
use crate::excerpt::escape_into;
use crate::keys::named::KeyName;
use crate::server::observe::{ANSWERED, CLIENT_LEFT};

/// Returns the line of the request that `fields` describe if `message` is the one of its end.
pub(super) fn summary(paint: Paint, message: &str, fields: &LogFields) -> Option<String> {
    let method = fields.text("method").filter(|_| [ANSWERED, CLIENT_LEFT].contains(&message))?;
    let mut parts = vec![status(paint, fields), escaped(method), escaped(fields.text("path").unwrap_or("-"))];
    parts.extend(model(fields));
    parts.extend(
        fields.text("client").filter(|client| *client != KeyName::DEFAULT).map(|client| format!("by {client}")),
    );
    parts.extend(times(fields));
    parts.extend(tokens(fields));
    if message == CLIENT_LEFT {
        parts.push(paint.warning(CLIENT_LEFT));
    }
    if let Some(code) = fields.text("error_code") {
        let mut failure = code.to_owned();
        for detail in [fields.text("error_param"), fields.text("error")].into_iter().flatten() {
            // Writing to a text cannot fail.
            let _ = write!(failure, ": {detail}");
        }
        parts.push(paint.warning(&escaped(&failure)));
    }
    if fields.text("path") == Some("other") || fields.text("error_code").is_some() {
        parts.extend(fields.text("request_id").map(|id| paint.dim(&escaped(id))));
    }
    Some(parts.join(" "))
}

fn status(paint: Paint, fields: &LogFields) -> String {
    match fields.count("status") {
        Some(status) => paint.status(status),
        // The client left before there was an answer.
        None => "---".to_owned(),
    }
}

fn model(fields: &LogFields) -> Option<String> {
    let sent = fields.text("model")?;
    let asked = fields.text("model_asked").filter(|asked| *asked != "-" && *asked != sent);
    let answered = fields.text("model_answered").filter(|answered| *answered != sent);
    let names: Vec<_> = [asked, Some(sent), answered].into_iter().flatten().map(escaped).collect();
    Some(names.join("→"))
}

fn times(fields: &LogFields) -> Option<String> {
    let whole = seconds(fields.millis("duration_ms")?);
    Some(match fields.millis("ttft_ms") {
        Some(first) => format!("{}→{whole}", seconds(first)),
        None => whole,
    })
}

fn tokens(fields: &LogFields) -> Option<String> {
    let (input, output) = (fields.count("tokens_in")?, fields.count("tokens_out")?);
    let cached = fields.count("tokens_cached").filter(|cached| *cached > 0);
    let cached = cached.map(|cached| format!(" ({} cached)", thousands(cached))).unwrap_or_default();
    Some(format!("{}→{}{cached}", thousands(input), thousands(output)))
}

fn seconds(millis: f64) -> String {
    match millis {
        millis if millis < 100.0 => format!("{millis:.0}ms"),
        millis if millis < 9_950.0 => format!("{:.1}s", millis / 1000.0),
        millis => format!("{:.0}s", millis / 1000.0),
    }
}

/// Writes a count with at most two significant digits of its thousands: `63`, `9.5k`, `8k`, `120k`.
fn thousands(count: u64) -> String {
    if count < 1000 {
        return count.to_string();
    }
    let tenths = count.saturating_add(50) / 100;
    match tenths % 10 {
        tenth if tenth > 0 && tenths < 100 => format!("{}.{tenth}k", tenths / 10),
        _ => format!("{}k", count.saturating_add(500) / 1000),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    // Writing to a text cannot fail.
    let _ = escape_into(&mut escaped, text);
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(message: &str, fields: Value) -> Option<String> {
        let Value::Object(given) = fields else { panic!("an object") };
        let mut fields = LogFields::default();
        given.into_iter().for_each(|(name, value)| fields.set(name.leak(), value));
        summary(Paint::Plain, message, &fields)
    }

    #[test]
    fn an_answer_is_one_short_line() {
        let fields = json!({
            "request_id": "r", "method": "POST", "path": "/v1/responses", "model_asked": "gpt-6.1-sol",
            "model": "gpt-6.1-sol", "status": 200, "ttft_ms": 912.3, "duration_ms": 14_020.0,
            "tokens_in": 9_512, "tokens_cached": 8_000, "tokens_out": 1_201,
        });
        let expected = "200 POST /v1/responses gpt-6.1-sol 0.9s→14s 9.5k→1.2k (8k cached)";
        assert_eq!(line(ANSWERED, fields).as_deref(), Some(expected));
        let by =
            |client| line(ANSWERED, json!({ "method": "GET", "path": "/v1/models", "status": 200, "client": client }));
        assert_eq!(by("laptop").as_deref(), Some("200 GET /v1/models by laptop"));
        assert_eq!(by("default").as_deref(), Some("200 GET /v1/models"));
        assert_eq!(line("sent", json!({ "method": "POST" })), None, "a line of its own");
    }

    #[test]
    fn other_models_failures_and_clients_that_left_are_told() {
        let fields = json!({
            "request_id": "r", "method": "POST", "path": "/v1/chat/completions", "model_asked": "gpt-4o", "model": "gpt-6-sol",
            "model_answered": "gpt-6-luna", "duration_ms": 3.2,
        });
        let expected = "--- POST /v1/chat/completions gpt-4o→gpt-6-sol→gpt-6-luna 3ms client left";
        assert_eq!(line(CLIENT_LEFT, fields).as_deref(), Some(expected));
        let fields = json!({
            "request_id": "r\n", "method": "GET", "path": "other", "status": 404, "duration_ms": 0.2,
            "error_code": "not_found", "error": "no\u{1b} such",
        });
        let expected = "404 GET other 0ms not_found: no\\u{1b} such r\\n";
        assert_eq!(line(ANSWERED, fields).as_deref(), Some(expected));
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let counts =
            [(0, "0"), (999, "999"), (1000, "1k"), (1049, "1k"), (1050, "1.1k"), (9_512, "9.5k"), (9_960, "10k")];
        for (count, expected) in counts.into_iter().chain([(12_400, "12k"), (272_000, "272k")]) {
            assert_eq!(thousands(count), expected, "{count}");
        }
        for (millis, expected) in [(0.4, "0ms"), (99.4, "99ms"), (912.0, "0.9s"), (9_960.0, "10s"), (301_000.0, "301s")]
        {
            assert_eq!(seconds(millis), expected, "{millis}");
        }
    }
}
