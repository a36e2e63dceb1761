//! The backend's search: `POST …/alpha/search`, as the Codex CLI asks it (0.147, `codex-api/src/search.rs`).

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::record::Guard;
use crate::scenario::{Play, Scenario};
use crate::script::{ScriptStep, ScriptedAnswer};
use crate::validate::Rejection;
use crate::{Simulator, locked};

impl Simulator {
    /// `POST …/alpha/search`.
    pub(super) async fn search(&self, call: &Call, guard: Guard) -> Response<Body> {
        let accepted = self.read_object(call).and_then(|(account, body)| {
            check(&body)?;
            Ok((account, body))
        });
        let (account, body) = match accepted {
            Ok(accepted) => accepted,
            Err(rejection) => return ScriptedAnswer::from(rejection).play(guard).await,
        };
        let queries = queries(&body);
        let queued = locked(&self.inner.plays).pop_front();
        let play = queued.or_else(|| Play::directed(&queries.join("\n"))).unwrap_or_default();
        let found = ScriptedAnswer::json(StatusCode::OK, &document(&queries));
        let answer = match play.scenario {
            Scenario::Http(fault) => {
                let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
                fault.answer(model, &account.plan, self.now())
            }
            Scenario::Scripted(answer) => answer,
            Scenario::HangUp => ScriptedAnswer::hang_up(),
            Scenario::Stall(delay, _) => found.delayed(delay),
            Scenario::Cut(_) => {
                let beginning = ScriptStep::Bytes(r#"{"output":"#.into());
                ScriptedAnswer { steps: vec![beginning, ScriptStep::Cut], ..ScriptedAnswer::stream() }
            }
            _ => found,
        };
        self.with_headers(answer.play(guard).await, "", Some(&account))
    }
}

fn check(body: &Map<String, Value>) -> Result<(), Rejection> {
    for name in ["id", "model"] {
        match body.get(name) {
            None | Some(Value::Null) => return Err(Rejection::missing(name)),
            Some(Value::String(_)) => {}
            Some(other) => return Err(Rejection::wrong_type(name, "a string", other)),
        }
    }
    if let Some(unknown) = body.keys().find(|name| !KEYS.contains(&name.as_str())) {
        return Err(Rejection::unknown(unknown));
    }
    match body.get("commands") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(commands)) => match commands.iter().find(|(_, list)| !list.is_array() && !list.is_null()) {
            Some((name, list)) if name != "response_length" => {
                Err(Rejection::wrong_type(&format!("commands.{name}"), "an array", list))
            }
            _ => Ok(()),
        },
        Some(other) => Err(Rejection::wrong_type("commands", "an object", other)),
    }
}

fn queries(body: &Map<String, Value>) -> Vec<String> {
    let listed = body.get("commands").and_then(|commands| commands.get("search_query")).and_then(Value::as_array);
    let asked = listed.into_iter().flatten().filter_map(|query| query.get("q")?.as_str());
    asked.map(str::to_owned).collect()
}

fn document(queries: &[String]) -> Value {
    let results: Vec<Value> = queries
        .iter()
        .map(|query| json!({ "url": "https://example.com/", "title": format!("About {query}"), "snippet": "Simulated." }))
        .collect();
    json!({ "output": format!("Simulated results for: {}", queries.join(", ")), "encrypted_output": null, "results": results })
}

const KEYS: [&str; 7] = ["id", "model", "reasoning", "input", "commands", "settings", "max_output_tokens"];
