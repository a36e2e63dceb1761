//! JSON read without being decoded.
//!
//! * Forwarded values (texts, arguments, schemas, unknown items) are kept as raw slices of the request and copied
//!   unchanged: escapes, number digits and key order survive because nothing re-encodes them.
//! * [`Raw`] is one such slice; [`Text`] is the inside of a string.
//! * [`Object`] reads one level of an object in order; the last value of a repeated key counts.
//! * [`Path`] remembers the position of a value and is rendered only for an error.
//! * A request body nested too deeply is rejected, even if little of it is read here.
//! * [`ObjectWriter`] writes one object into a byte buffer from raw and plain values.
//!
//! What every byte of a request or an answer passes lies in the crate `codex-proxy-wire`; here are the paths and errors of requests.
//!
//! ```
//! use codex_proxy::json::{self, ObjectWriter, Path};
//!
//! let object = json::body(br#"{"name":"\u00c9vora","size":1e2,"tags":{}}"#).unwrap();
//! let name = json::text(object.find("name").unwrap(), &Path::Root.key("name")).unwrap();
//! assert_eq!((name.escaped(), name.decode().as_ref()), (r"\u00c9vora", "Évora"));
//!
//! let wrong = json::array(object.find("tags").unwrap(), &Path::Root.key("tags")).unwrap_err();
//! assert_eq!(wrong.message, "'tags' must be an array, but is an object");
//!
//! let mut out = Vec::new();
//! let mut writer = ObjectWriter::begin(&mut out);
//! writer.text("town", name).raw("size", object.find("size").unwrap()).boolean("old", true);
//! writer.end();
//! assert_eq!(out, br#"{"town":"\u00c9vora","size":1e2,"old":true}"#);
//! ```

mod path;
mod same;
mod value;

pub(crate) use same::is_same;
pub(crate) use value::may_have;

pub use codex_proxy_wire::json::{ArrayWriter, Object, ObjectWriter, Raw, Text, escape, push_string};
pub use path::Path;
pub use value::{array, body, boolean, kind, object, required, string, text, unsigned, without_mark};
