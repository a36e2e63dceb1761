//! The list of models in the API's form.
//!
//! Claude Code keeps only names that begin with `claude`, so each model is listed with that prefix, and then by its own
//! name.

use serde::Serialize;

use super::abilities::Abilities;
use crate::models::entry::Entry;

/// One page of the list.
#[derive(Debug, Serialize)]
pub struct ModelPage {
    data: Vec<ModelInfo>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelInfo {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    display_name: String,
    created_at: &'static str,
    lifecycle: &'static str,
    max_input_tokens: u64,
    max_tokens: u64,
    capabilities: Abilities,
}

/// The requested page of the list.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// The maximum number of models; 20 if absent.
    pub limit: Option<usize>,
    /// The id of the model after which the page begins.
    pub after_id: Option<String>,
    /// The id of the model before which the page ends.
    pub before_id: Option<String>,
}

impl ModelPage {
    /// Selects the page of `entries` for `query`.
    pub fn of(entries: &[Entry], query: &PageQuery) -> Self {
        let prefixed = entries.iter().map(|entry| ModelInfo::named(format!("{PREFIX}{}", entry.id), entry));
        let all: Vec<ModelInfo> = prefixed.chain(entries.iter().map(ModelInfo::of)).collect();
        let place = |id: &Option<String>| id.as_ref().and_then(|id| all.iter().position(|model| model.id == *id));
        let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
        let (start, end) = match (place(&query.after_id), place(&query.before_id)) {
            (Some(after), _) => (after + 1, (after + 1 + limit).min(all.len())),
            (None, Some(before)) => (before.saturating_sub(limit), before),
            (None, None) => (0, limit.min(all.len())),
        };
        let has_more = if query.before_id.is_some() && query.after_id.is_none() { start > 0 } else { end < all.len() };
        let data = all.get(start..end).unwrap_or_default().to_vec();
        let id_of = |model: Option<&ModelInfo>| model.map(|model| model.id.clone());
        Self { has_more, first_id: id_of(data.first()), last_id: id_of(data.last()), data }
    }
}

impl ModelInfo {
    /// Describes the model of `entry` under its own name.
    pub fn of(entry: &Entry) -> Self {
        Self::named(entry.id.clone(), entry)
    }

    /// Returns the model of `entry` under the name `id`.
    pub fn named(id: String, entry: &Entry) -> Self {
        Self {
            kind: "model",
            id,
            display_name: format!("{} (ChatGPT)", entry.display_name),
            created_at: CREATED,
            lifecycle: "active",
            max_input_tokens: entry.context_window,
            max_tokens: entry.max_output_tokens,
            capabilities: Abilities::of(entry),
        }
    }
}

const PREFIX: &str = "claude-";
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 1000;
/// The creation date, equal to the other form of the list; the backend gives no dates.
const CREATED: &str = "2025-08-07T00:00:00Z";
