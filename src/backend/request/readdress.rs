//! A finished body rewritten for another model or effort.
//!
//! * Only the name, the effort and a service tier that the model lacks change. Everything else is copied unchanged, and
//!   the positions of reasoning stay known.
//! * Remembered reasoning that the new model cannot read is left out, as when a body is written.

use crate::backend::request::body::{Body, Origin, Without};
use crate::backend::request::context::write_reasoning;
use crate::json::{Object, ObjectWriter, Text};
use crate::models::Resolution;
use crate::models::effort::Effort;

impl Body {
    /// Rewrites the body for `model`. The error is a body that is no JSON object.
    pub fn readdressed(&self, model: &Resolution) -> Result<Self, serde_json::Error> {
        let is_same = self.names_model(&model.model);
        let (json, mut reasoning) = self.split(|origin| match origin {
            Origin::Client(_) => true,
            // Sealed reasoning is valid only for the model that produced it, which is the model in the body.
            Origin::Sealed(_) => is_same,
            Origin::Memory(provenance) => provenance.serves(&model.model),
        });
        let entries: Object<'_> = serde_json::from_slice(&json)?;
        let mut out = Vec::with_capacity(json.len() + LONGEST_CHANGE);
        let mut writer = ObjectWriter::begin(&mut out);
        for (key, value) in entries.iter() {
            match key {
                "model" => drop(writer.string(key, &model.model)),
                "reasoning" => {}
                "service_tier" if !model.supports_priority => {}
                "input" => {
                    let text = value.get();
                    let before = text.as_ptr().addr() - json.as_ptr().addr();
                    let out = writer.key(key);
                    for reasoning in &mut reasoning {
                        let moved = |at: usize| at - before + out.len();
                        reasoning.range = moved(reasoning.range.start)..moved(reasoning.range.end);
                    }
                    out.extend_from_slice(text.as_bytes());
                }
                _ => drop(writer.raw(key, value)),
            }
        }
        let settings =
            entries.find("reasoning").map(|value| serde_json::from_str::<Object<'_>>(value.get())).transpose()?;
        // Without reasoning there is nothing to summarize.
        let thinks = model.effort != Some(Effort::None);
        let summary = settings.as_ref().and_then(|settings| settings.find("summary")).and_then(Text::of);
        write_reasoning(model, summary.filter(|_| thinks), settings.as_ref(), &mut writer);
        writer.end();
        Ok(Self::new(out, reasoning))
    }

    fn names_model(&self, model: &str) -> bool {
        let json = self.bytes(Without::Any);
        let entries = serde_json::from_slice::<Object<'_>>(&json).ok();
        entries
            .and_then(|entries| Text::of(entries.find("model")?).map(|named| named.decode() == model))
            .unwrap_or(false)
    }
}

/// The approximate number of bytes by which a body may grow for another model.
const LONGEST_CHANGE: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::request::body::{Provenance, Reasoning};
    use crate::models::Models;

    fn readdressed(body: &str, model: &str, effort: Option<&str>) -> String {
        let resolution = Models::default().resolve(Some(model), effort);
        let body = Body::new(body.as_bytes().to_vec(), Vec::new()).readdressed(&resolution).unwrap();
        String::from_utf8(body.bytes(Without::Any).into()).unwrap()
    }

    #[test]
    fn only_model_effort_and_tier_change() {
        let input =
            r#"[{"type":"message","model":"gpt-5","text":"\u00e4 \"model\":\"gpt-5\"","n":12345678901234567890}]"#;
        let body = format!(
            r#"{{"model":"gpt-5","instructions":"reasoning","input":{input},"reasoning":{{"effort":"high","summary":"auto","context":"all_turns"}},"store":false,"service_tier":"priority"}}"#
        );
        assert_eq!(
            readdressed(&body, "gpt-6-sol", Some("xhigh")),
            format!(
                r#"{{"model":"gpt-6-sol","instructions":"reasoning","input":{input},"store":false,"service_tier":"priority","reasoning":{{"effort":"xhigh","summary":"auto","context":"all_turns"}}}}"#
            )
        );
        assert_eq!(
            readdressed(&body, "gpt-daybreak-blue-latest", None),
            format!(
                r#"{{"model":"gpt-daybreak-blue-latest","instructions":"reasoning","input":{input},"store":false,"reasoning":{{"summary":"auto","context":"all_turns"}}}}"#
            )
        );
    }

    #[test]
    fn reasoning_comes_and_goes() {
        let body = r#"{"model":"gpt-5","input":[]}"#;
        assert_eq!(readdressed(body, "gpt-6-sol", None), r#"{"model":"gpt-6-sol","input":[]}"#);
        let low = r#"{"model":"gpt-6-sol","input":[],"reasoning":{"effort":"low"}}"#;
        assert_eq!(readdressed(body, "gpt-6-sol", Some("low")), low);
        assert_eq!(readdressed(low, "gpt-6-luna", None), r#"{"model":"gpt-6-luna","input":[]}"#);
        let summed = r#"{"model":"gpt-5.1-codex-mini","reasoning":{"effort":"medium","summary":"auto"}}"#;
        let off = r#"{"model":"gpt-6-luna","reasoning":{"effort":"none"}}"#;
        assert_eq!(readdressed(summed, "gpt-6-luna", Some("none")), off);
        assert!(Body::new(b"[]".to_vec(), Vec::new()).readdressed(&Models::default().resolve(None, None)).is_err());
    }

    #[test]
    fn reasoning_moves_along_and_only_what_the_model_can_read_stays() {
        let json = r#"{"model":"gpt-5.1-codex-max","instructions":"i","input":[10,21,30,22,23,40],"store":false}"#;
        let memory = |model: &str| Origin::Memory(Arc::new(Provenance::new("a".into(), model.to_owned())));
        let at = |text: &str, origin: Origin| {
            let start = json.find(text).unwrap();
            Reasoning { range: start..start + text.len(), origin }
        };
        let reasoning = vec![
            at("21", Origin::Client(Some(1))),
            at("22", memory("gpt-5.1-codex-max")),
            at("23", memory("gpt-6-sol")),
            at("40", Origin::Sealed([0; 8])),
        ];
        let model = Models::default().resolve(Some("gpt-6-sol"), Some("high"));
        let body = Body::new(json.as_bytes().to_vec(), reasoning).readdressed(&model).unwrap();
        let text = |without| String::from_utf8(body.bytes(without).into()).unwrap();
        let expected = |input: &str| {
            format!(
                r#"{{"model":"gpt-6-sol","instructions":"i","input":[{input}],"store":false,"reasoning":{{"effort":"high"}}}}"#
            )
        };
        assert_eq!(text(Without::OthersThan("a")), expected("10,21,30,23"));
        assert_eq!(text(Without::OthersThan("b")), expected("10,21,30"));
        assert_eq!(text(Without::Any), expected("10,30"));
        let same = Models::default().resolve(Some("gpt-5.1-codex-max"), Some("low"));
        let kept =
            Body::new(json.as_bytes().to_vec(), vec![at("40", Origin::Sealed([0; 8]))]).readdressed(&same).unwrap();
        assert!(kept.has_reasoning(), "another effort of the same model");
    }
}
