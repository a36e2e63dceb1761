//! References of the client's to items of earlier answers, which the backend does not store.
//!
//! * An item takes the place of its reference if it is remembered. Reasoning that is not, or that was another model's, is
//!   left out and named, since a model can do without; anything else would be a hole in the conversation.
//! * A second reference to one item is left out and named: however often a client repeats it, it is sent once.
//! * An item that is itself a reference is none. So nothing is looked up for what was looked up.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::backend::request::context::{Context, RememberedItem};
use crate::fault::ApiError;
use crate::json;
use crate::json::{Object, Path, Text};

/// The references of one request.
#[derive(Debug, Default)]
pub(super) struct References {
    seen: HashSet<String>,
}

impl References {
    /// The item that takes the place of `reference`, which stands at `path`; `None` if it is left out.
    pub(super) fn resolve(
        &mut self,
        reference: &Object<'_>,
        path: &Path<'_>,
        context: &Context<'_>,
    ) -> Result<Option<RememberedItem>, ApiError> {
        if let Some((key, _)) =
            reference.iter().find(|(key, value)| !matches!(*key, "type" | "id") && value.get() != "null")
        {
            return Err(unknown(&path.key(key)));
        }
        let id = reference.find("id").map(|id| json::string(id, &path.key("id"))).transpose()?.unwrap_or_default();
        let remembered = match (context.answered)(&id) {
            Some(item) => item,
            None if id.starts_with("rs_") => return Ok(None),
            None => return Err(unknown(path)),
        };
        if !self.seen.insert(id.into_owned()) {
            return Ok(None);
        }
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

/// The reference at `path` names nothing that is known here.
pub(super) fn unknown(path: &Path<'_>) -> ApiError {
    let reason = "items are not stored upstream, so send the item itself instead of an item_reference";
    ApiError::invalid(path.to_string(), format!("'{path}': {reason} (in many libraries: store: false)"))
}
