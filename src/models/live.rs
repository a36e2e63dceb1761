//! The account's own list of models, from the backend.
//!
//! * Parsing is lenient: an entry without a name and an unknown effort are skipped; a missing field falls back to the
//!   built-in entry of that name, then to the defaults of newer models.
//! * `ultra` is a client-side word and never a level of its own here.
//! * The backend lists `none` for no model, and some support it: it is added if the built-in table has it.
//! * Entries are ordered by the backend's `priority`, lowest first.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::models::catalogue;
use crate::models::catalogue::{Generation, Model, Visibility};
use crate::models::effort::Effort;

/// The models of an account, in the backend's display order. Empty until fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveCatalogue {
    models: Vec<Model>,
    raw: Vec<RawEntry>,
}

/// An entry as the backend sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawEntry {
    /// The oldest client version that may see it, if stated.
    pub(super) minimal_client_version: Option<String>,
    /// A JSON object.
    pub(super) json: Box<str>,
}

impl LiveCatalogue {
    /// Parses `{"models":[{"slug":…},…]}`. Fails only if the text is not such an object at all.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document<'_> = serde_json::from_slice(json)?;
        let mut listed = Vec::new();
        let mut raw = Vec::new();
        for entry in document.models {
            let Ok(info) = serde_json::from_str::<ModelInfo>(entry.get()) else { continue };
            if !info.slug.trim().is_empty() {
                let minimal_client_version = info.minimal_client_version.clone();
                raw.push(RawEntry { minimal_client_version, json: entry.get().into() });
                listed.push(info);
            }
        }
        listed.sort_by(|left, right| left.priority.total_cmp(&right.priority));
        Ok(Self { models: listed.into_iter().map(ModelInfo::into_model).collect(), raw })
    }

    /// Returns the entries as the backend sent them, in its order.
    pub(super) fn raw(&self) -> &[RawEntry] {
        &self.raw
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// Returns every model, hidden ones too.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Returns the listed models.
    pub fn listed(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.visibility == Visibility::Listed)
    }

    /// Returns the model `id` (lower case).
    pub fn find(&self, id: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.id == id)
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    models: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ModelInfo {
    slug: String,
    #[serde(default, deserialize_with = "lenient")]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    default_reasoning_level: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    supported_reasoning_levels: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    visibility: Option<String>,
    #[serde(default = "last", deserialize_with = "number_or_last")]
    priority: f64,
    #[serde(default, deserialize_with = "lenient")]
    service_tiers: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    additional_speed_tiers: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    context_window: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    max_context_window: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    input_modalities: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    minimal_client_version: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    upgrade: Option<Value>,
}

impl ModelInfo {
    fn into_model(self) -> Model {
        let id = self.slug.trim().to_ascii_lowercase();
        let known = catalogue::built_in(&id);
        let context_window = self
            .context_window
            .filter(|&tokens| tokens > 0)
            .unwrap_or_else(|| known.map_or(catalogue::CONTEXT_WINDOW, |model| model.context_window));
        Model {
            display_name: match self.display_name.as_deref().filter(|name| !name.trim().is_empty()) {
                Some(name) => Cow::Owned(name.to_owned()),
                None => known.map_or_else(|| Cow::Owned(id.clone()), |model| model.display_name.clone()),
            },
            generation: known.map_or(Generation::Newer, |model| model.generation),
            efforts: self.efforts(known),
            default_effort: match known {
                Some(model) if model.generation == Generation::Original => model.default_effort,
                _ => self.default_effort().or_else(|| known.and_then(|model| model.default_effort)),
            },
            unspecified: known.and_then(|model| model.unspecified),
            context_window,
            max_context_window: self
                .max_context_window
                .unwrap_or_else(|| known.map_or(context_window, |model| model.max_context_window))
                .max(context_window),
            max_output_tokens: known.map_or(catalogue::MAX_OUTPUT_TOKENS, |model| model.max_output_tokens),
            vision: match &self.input_modalities {
                Some(modalities) => modalities.iter().any(|modality| name_of(modality) == Some("image")),
                None => known.is_none_or(|model| model.vision),
            },
            priority: self.priority_tier(known),
            upgrade: self.upgrade(),
            built_in_upgrade: known.and_then(|model| model.built_in_upgrade),
            retired: known.is_some_and(|model| model.retired),
            visibility: match self.visibility.as_deref() {
                None | Some("list") => Visibility::Listed,
                Some(_) => Visibility::Hidden,
            },
            id: Cow::Owned(id),
        }
    }

    /// Returns the listed efforts, and `none` if it is known to be supported without being listed. An original model
    /// keeps its own range.
    fn efforts(&self, known: Option<&Model>) -> Cow<'static, [Effort]> {
        let fallback = || known.map_or(Cow::Borrowed(&[][..]), |model| model.efforts.clone());
        if known.is_some_and(|model| model.generation == Generation::Original) {
            return fallback();
        }
        let words = self.supported_reasoning_levels.iter().flatten().filter_map(name_of);
        let mut levels: Vec<Effort> =
            words.filter(|word| !word.eq_ignore_ascii_case("ultra")).filter_map(Effort::parse).collect();
        if levels.is_empty() {
            return fallback();
        }
        if known.is_some_and(|model| model.efforts.contains(&Effort::None)) {
            levels.push(Effort::None);
        }
        levels.sort_unstable();
        levels.dedup();
        Cow::Owned(levels)
    }

    fn default_effort(&self) -> Option<Effort> {
        self.default_reasoning_level.as_deref().and_then(Effort::parse)
    }

    fn upgrade(&self) -> Option<String> {
        let name = name_of(self.upgrade.as_ref()?)?.trim();
        (!name.is_empty()).then(|| name.to_ascii_lowercase())
    }

    fn priority_tier(&self, known: Option<&Model>) -> bool {
        let lists = [&self.service_tiers, &self.additional_speed_tiers];
        if lists.iter().all(|list| list.is_none()) {
            return known.is_some_and(|model| model.priority);
        }
        lists.into_iter().flatten().flatten().filter_map(name_of).any(|tier| matches!(tier, "priority" | "fast"))
    }
}

/// Returns the name in a value, which is either a string or an object with it.
fn name_of(element: &Value) -> Option<&str> {
    ["id", "effort", "model"].iter().find_map(|key| element.get(key)).unwrap_or(element).as_str()
}

/// Reads a value; one of the wrong type counts as absent.
fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

fn number_or_last<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_else(last))
}

/// Sorts models without a rank after those with one.
fn last() -> f64 {
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::live::Effort::{High, Low, Max, Medium, None as Off};

    fn parse(json: &str) -> LiveCatalogue {
        LiveCatalogue::parse(json.as_bytes()).expect("a catalogue")
    }

    #[test]
    fn reads_what_it_knows_and_orders_by_priority() {
        let live = parse(
            r#"{"models":[
              {"slug":"gpt-7-nova","display_name":"GPT-7 Nova","priority":5,"visibility":"list",
               "default_reasoning_level":"medium","context_window":400000,"input_modalities":["text"],
               "supported_reasoning_levels":[{"effort":"low","description":"x"},{"effort":"galactic"},{"effort":"max"},{"effort":"ultra"}],
               "service_tiers":[{"id":"priority","name":"Fast"}],"upgrade":null},
              {"slug":"GPT-7-Hidden","priority":1,"visibility":"hide","supported_reasoning_levels":["high"],
               "upgrade":{"model":"GPT-7-Nova","migration_markdown":"x"}}
            ],"etag":"x"}"#,
        );
        let names: Vec<_> = live.models().iter().map(|model| model.id.as_ref()).collect();
        assert_eq!(names, ["gpt-7-hidden", "gpt-7-nova"]);
        let nova = live.find("gpt-7-nova").expect("nova");
        assert_eq!(nova.efforts.as_ref(), [Low, Max]);
        assert_eq!((nova.default_effort, nova.unspecified), (Some(Medium), None));
        assert_eq!((nova.context_window, nova.vision, nova.priority), (400_000, false, true));
        let hidden = live.find("gpt-7-hidden").expect("hidden");
        assert_eq!(hidden.efforts.as_ref(), [High]);
        assert_eq!((hidden.upgrade.as_deref(), nova.upgrade.as_deref()), (Some("gpt-7-nova"), None));
        assert_eq!(live.listed().count(), 1);
    }

    #[test]
    fn ultra_alone_does_not_make_a_model_take_max() {
        let live = parse(r#"{"models":[{"slug":"x","supported_reasoning_levels":["low","ultra"]}]}"#);
        assert_eq!(live.find("x").expect("x").clamp(Effort::parse("ultra")), Some(Low));
    }

    #[test]
    fn missing_and_mistyped_fields_fall_back_to_the_built_in_entry() {
        let live = parse(
            r#"{"models":[{"slug":"gpt-5.6-luna","priority":"first","context_window":"big","service_tiers":7,
                "supported_reasoning_levels":null,"input_modalities":{},"upgrade":{"model":5}},{"name":"nameless"},{"slug":" "},4]}"#,
        );
        let built_in = catalogue::built_in("gpt-5.6-luna").expect("built in");
        assert_eq!(live.models(), std::slice::from_ref(built_in));
    }

    #[test]
    fn an_original_model_keeps_its_range() {
        let live = parse(r#"{"models":[{"slug":"gpt-5.1","supported_reasoning_levels":["none","max"]}]}"#);
        assert_eq!(live.find("gpt-5.1").expect("gpt-5.1").clamp(Some(Off)), Some(Low));
    }

    #[test]
    fn text_that_is_no_catalogue_is_an_error() {
        for json in ["", "[]", "{}", r#"{"models":{}}"#, "<html>"] {
            assert!(LiveCatalogue::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
