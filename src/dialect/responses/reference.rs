//! The client's references to items of earlier answers, which the backend does not store.
//!
//! * A remembered item replaces its reference. Reasoning that is not remembered, or that belongs to another model, is
//!   left out and listed, since a model can do without; any other unknown item would be a hole in the conversation.
//! * A second reference to one item is left out and listed: an item is sent once, regardless of repetitions.
//! * A remembered item that is itself a reference counts as unknown, so no lookup leads to another.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::backend::request::context::{Context, RememberedItem};
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// The references of one request.
#[derive(Debug, Default)]
pub(super) struct References {
    seen: HashSet<String>,
}

impl References {
    /// Returns the item that replaces `reference` at `path`; `None` if it is left out.
    pub(super) fn resolve(
        &mut self,
        reference: &Object<'_>,
        path: &Path<'_>,
        context: &Context<'_>,
    ) -> Result<Option<RememberedItem>, Fault> {
        if let Some((key, _)) =
            reference.iter().find(|(key, value)| !matches!(*key, "type" | "id") && value.get() != "null")
        {
            return Err(unknown(&path.key(key)));
        }
        let id = reference.find("id").map(|id| json::string(id, &path.key("id"))).transpose()?.unwrap_or_default();
        // This check precedes the lookup, which copies the item: a request may name an item of megabytes half a million
        // times.
        if self.seen.contains(id.as_ref()) {
            return Ok(None);
        }
        let remembered = match (context.answered)(&id) {
            Some(item) => item,
            None if id.starts_with("rs_") => return Ok(None),
            None => return Err(unknown(path)),
        };
        self.seen.insert(id.into_owned());
        match kind(&remembered.json).as_deref() {
            None | Some("item_reference") => Err(unknown(path)),
            Some("reasoning") if !remembered.provenance.serves(&context.model.model) => Ok(None),
            Some(_) => Ok(Some(remembered)),
        }
    }
}

fn kind(item: &str) -> Option<String> {
    let object = serde_json::from_str::<Object<'_>>(item).ok()?;
    object.find("type").and_then(|kind: &RawValue| Text::of(kind)).map(|kind| kind.decode().into_owned())
}

/// Returns the error for a reference at `path` to an unknown item.
pub(super) fn unknown(path: &Path<'_>) -> Fault {
    let reason = "items are not stored upstream, so send the item itself instead of an item_reference";
    Fault::invalid(path.to_string(), format!("'{path}': {reason} (in many libraries: store: false)"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use std::sync::Arc;

    use super::*;
    use crate::backend::request::body::Provenance;
    use crate::models::Models;

    #[test]
    fn an_item_is_looked_up_once_however_often_it_is_named() {
        let model = Models::default().resolve(None, None);
        let lookups = Cell::new(0);
        let provenance = Arc::new(Provenance::new("a".into(), model.model.clone()));
        let answered = |_: &str| {
            lookups.set(lookups.get() + 1);
            let json = r#"{"type":"message","id":"msg_1"}"#.to_owned();
            Some(RememberedItem { json, provenance: Arc::clone(&provenance) })
        };
        let context = Context { answered: &answered, ..Context::new(&model) };
        let reference: Object<'_> = serde_json::from_str(r#"{"type":"item_reference","id":"msg_1"}"#).unwrap();
        let mut references = References::default();
        let mut resolve = || references.resolve(&reference, &Path::Root.key("input"), &context).unwrap();
        assert!(resolve().is_some());
        assert!((0..1000).all(|_| resolve().is_none()));
        assert_eq!(lookups.get(), 1);
    }
}
