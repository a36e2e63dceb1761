//! The backend's image endpoints: `POST …/images/generations` and `POST …/images/edits`.
//!
//! * As measured in public (openai/codex#28723 and reports of September 2026): JSON alone; a text, a background and up to
//!   five images count; any model, quality, format and number is taken, and one PNG comes back, with the facts about it.
//! * The picture has the wanted size. The real backend has its own mind about that: so has this one for
//!   `[[simulate:image-size=941x1672]]`.
//! * Addresses of images are not fetched, with the backend's message (NousResearch/hermes-agent#107174).
//! * A document is the usual answer; `[[simulate:image-stream=2]]` sends events, two of them with unfinished images.

mod check;
mod png;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::record::Guard;
use crate::scenario::{Moment, Play, Scenario, Stage};
use crate::script::{ScriptStep, ScriptedAnswer};
use crate::validate::Rejection;
use crate::{Simulator, locked};

/// The endpoint of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageEndpoint {
    Generations,
    Edits,
}

/// Returns the rejection of a body, if it is not valid.
pub(super) fn rejection_of(body: &[u8], is_edit: bool) -> Option<Rejection> {
    let endpoint = if is_edit { ImageEndpoint::Edits } else { ImageEndpoint::Generations };
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => check::request(&body, endpoint).err(),
        Ok(_) | Err(_) => Some(Rejection::detail("Input should be a valid dictionary")),
    }
}

impl Simulator {
    /// `POST …/images/generations` and `POST …/images/edits`.
    pub(super) async fn images(&self, call: &Call, endpoint: ImageEndpoint, guard: Guard) -> Response<Body> {
        let accepted = self.read_object(call).and_then(|(account, body)| {
            check::request(&body, endpoint)?;
            Ok((account, body))
        });
        let (account, body) = match accepted {
            Ok(accepted) => accepted,
            Err(rejection) => return ScriptedAnswer::from(rejection).play(guard).await,
        };
        let prompt = body.get("prompt").and_then(Value::as_str).unwrap_or_default();
        let queued = locked(&self.inner.plays).pop_front();
        let play = queued.or_else(|| Play::directed(prompt)).unwrap_or_default();
        let answer = Drawing { simulator: self, endpoint, body: &body }.compose(play, &account.plan);
        let id = self.inner.vault.id("img");
        let response = answer.header(REQUEST_ID, &id).play(guard).await;
        self.with_headers(response, "", Some(&account))
    }
}

/// One accepted request.
struct Drawing<'a> {
    simulator: &'a Simulator,
    endpoint: ImageEndpoint,
    body: &'a Map<String, Value>,
}

impl Drawing<'_> {
    fn compose(&self, play: Play, plan: &str) -> ScriptedAnswer {
        let delivery = play.delivery.unwrap_or_else(|| self.simulator.settings().delivery.clone());
        let whole = |value: &Value| ScriptStep::Bytes(value.to_string().into());
        let steps = match play.scenario {
            Scenario::Http(fault) => return fault.answer(self.word("model", ""), plan, self.simulator.now()),
            Scenario::Scripted(answer) => return answer,
            Scenario::HangUp => return ScriptedAnswer::hang_up(),
            Scenario::HtmlWithOk => return ScriptedAnswer::html(StatusCode::OK, "<html>simulated</html>"),
            Scenario::EmptyBody => Vec::new(),
            Scenario::Raw(bytes) => vec![ScriptStep::Bytes(bytes)],
            Scenario::JsonErrorWithOk => {
                let error = json!({ "message": "Something went wrong (simulated).", "type": "server_error", "code": "server_error" });
                vec![whole(&json!({ "error": error }))]
            }
            Scenario::ImageStream(partials) => {
                self.events(partials).iter().map(|event| ScriptStep::Bytes(delivery.frame(event))).collect()
            }
            Scenario::Fail(failure, _, moment) => {
                let error =
                    json!({ "code": failure.code, "message": failure.message, "type": "image_generation_error" });
                let mut events = self.events(usize::from(moment == Moment::AfterOutput));
                events.pop();
                events.push(json!({ "type": "error", "error": error }));
                events.iter().map(|event| ScriptStep::Bytes(delivery.frame(event))).collect()
            }
            Scenario::Substituted(substitution) => {
                let mut document = self.document(0);
                document["model"] = substitution.model.as_str().into();
                vec![whole(&document)]
            }
            Scenario::ImageSize(width, height) => vec![whole(&self.picture((width, height), 0))],
            Scenario::HugeImage(size) => vec![whole(&self.document(size))],
            Scenario::Stall(delay, Stage::Head) => {
                return ScriptedAnswer::json(StatusCode::OK, &self.document(0)).delayed(delay);
            }
            Scenario::Stall(delay, _) => {
                let text = self.document(0).to_string();
                let (first, rest) = text.split_at(text.len() / 2);
                let bytes = |text: &str| ScriptStep::Bytes(text.to_owned().into());
                vec![bytes(first), ScriptStep::Wait(delay), bytes(rest)]
            }
            Scenario::Cut(_) | Scenario::CutMidEvent => {
                let text = self.document(0).to_string();
                vec![ScriptStep::Bytes(text[..text.len() / 2].to_owned().into()), ScriptStep::Cut]
            }
            _ => vec![whole(&self.document(0))],
        };
        ScriptedAnswer { steps: delivery.cut(steps), ..ScriptedAnswer::stream() }
    }

    /// The document of the wanted picture, with `padding` further bytes.
    fn document(&self, padding: usize) -> Value {
        let size = self.word("size", "auto").split_once('x');
        let size = size.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        self.picture(
            size.filter(|(width, height)| (1..=4096).contains(width) && (1..=4096).contains(height)).unwrap_or(USUAL),
            padding,
        )
    }

    fn picture(&self, (width, height): (u32, u32), padding: usize) -> Value {
        let background = self.word("background", "auto");
        let is_transparent = background == "transparent";
        let image = STANDARD.encode(png::draw(width, height, is_transparent, padding));
        let sources = self.body.get("images").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let words = self.word("prompt", "").split_whitespace().count() as u64;
        let (input, output) = (words + 323 * sources, 515);
        json!({
            "created": self.simulator.now(),
            "background": if is_transparent { "transparent" } else { "opaque" },
            "data": [{ "b64_json": image, "generation_id": self.simulator.inner.vault.id("gen") }],
            "output_format": "png",
            "quality": "medium",
            "size": format!("{width}x{height}"),
            "usage": {
                "input_tokens": input,
                "input_tokens_details": { "image_tokens": input - words, "text_tokens": words },
                "output_tokens": output,
                "output_tokens_details": { "image_tokens": output, "text_tokens": 0 },
                "total_tokens": input + output,
            },
        })
    }

    /// The events of the public API's stream.
    fn events(&self, partials: usize) -> Vec<Value> {
        let prefix = match self.endpoint {
            ImageEndpoint::Generations => "image_generation",
            ImageEndpoint::Edits => "image_edit",
        };
        let mut document = self.document(0);
        let event = |document: &Value, kind: &str| {
            let mut event = json!({ "type": format!("{prefix}.{kind}"), "b64_json": document["data"][0]["b64_json"], "created_at": document["created"] });
            for fact in ["background", "output_format", "quality", "size"] {
                event[fact] = document[fact].clone();
            }
            event
        };
        let mut events = vec![json!({ "type": "keepalive" })];
        for index in 0..partials {
            let mut partial = event(&document, "partial_image");
            partial["partial_image_index"] = index.into();
            events.push(partial);
        }
        let mut completed = event(&document, "completed");
        completed["usage"] = document["usage"].take();
        events.push(completed);
        events
    }

    fn word<'w>(&'w self, name: &str, default: &'w str) -> &'w str {
        self.body.get(name).and_then(Value::as_str).unwrap_or(default)
    }
}

/// The size of a picture whose size is left to the backend.
const USUAL: (u32, u32) = (1254, 1254);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-codex-imagegen-request-id");
