//! `web_search_options`: a web search requested without naming a tool.

use serde_json::value::RawValue;

use crate::conversation::ignored::Ignored;
use crate::conversation::tool::{PLACE, WebSearch};
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path};

/// Reads the options in `value`.
pub(super) fn parse<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<WebSearch<'a>, Fault> {
    let options = json::object(value, path)?;
    ignored.add_unknown(&options, &["search_context_size", "user_location"], path);
    let size_path = path.key("search_context_size");
    let size = options.find("search_context_size").map(|size| json::text(size, &size_path)).transpose()?;
    if let Some(size) = size.filter(|size| !["low", "medium", "high"].iter().any(|known| size.is(known))) {
        let message = format!("'{size_path}' must be low, medium or high, but is '{}'", size.decode());
        return Err(Fault::invalid(size_path.to_string(), message));
    }
    let location_path = path.key("user_location");
    let location = options.find("user_location").map(|value| location(value, &location_path, ignored)).transpose()?;
    Ok(WebSearch { context_size: size, location, allowed_domains: None, is_live: false, tells_sources: false })
}

/// Reads `{"type":"approximate","approximate":{…}}` as in chat, or the same fields flat.
fn location<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Object<'a>, Fault> {
    let location = json::object(value, path)?;
    let inner_path = path.key("approximate");
    let (place, path) = match location.find("approximate") {
        Some(inner) => {
            ignored.add_unknown(&location, &["type", "approximate"], path);
            (json::object(inner, &inner_path)?, &inner_path)
        }
        None => (location, path),
    };
    ignored.add_unknown(&place, &[PLACE.as_slice(), &["type"]].concat(), path);
    Ok(place)
}
