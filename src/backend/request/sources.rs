//! Bodies without the pages of web searches, where the backend refuses them.
//!
//! No source tells whether this backend names the pages that a search found, and whether it takes them back with the
//! history. So they are asked for and sent, and only a body that it refuses is changed.

use crate::backend::request::body::{Body, Edit, INCLUDE, INCLUDE_WITH_SOURCES};
use crate::json::{Object, ObjectWriter, Text};

impl Body {
    /// Returns the body without the request for a search's pages; `None` if it has no such request.
    pub fn without_sources(&self) -> Option<Self> {
        let entries: Object<'_> = serde_json::from_slice(self.whole()).ok()?;
        let include = entries.find("include").filter(|include| include.get() == INCLUDE_WITH_SOURCES)?;
        self.replacing(include, INCLUDE)
    }

    /// Returns the body without the pages of the searches in its history; `None` if there are none.
    pub fn without_found_pages(&self) -> Option<Self> {
        let mut edits = Vec::new();
        for item in self.input()? {
            if !item.find("type").and_then(Text::of).is_some_and(|kind| kind.is("web_search_call")) {
                continue;
            }
            let Some(value) = item.find("action") else { continue };
            let action: Object<'_> = serde_json::from_str(value.get()).unwrap_or_default();
            if action.iter().any(|(key, _)| key == SOURCES) {
                edits.push(Edit { range: self.place_of(value), by: without(&action) });
            }
        }
        if edits.is_empty() { None } else { self.edited(&edits) }
    }
}

/// Writes `action` without its pages.
fn without(action: &Object<'_>) -> String {
    let mut json = Vec::new();
    let mut object = ObjectWriter::begin(&mut json);
    for (key, value) in action.iter().filter(|(key, _)| *key != SOURCES) {
        object.raw(key, value);
    }
    object.end();
    String::from_utf8(json).unwrap_or_default()
}

const SOURCES: &str = "sources";
