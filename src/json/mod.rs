//! JSON that is looked at without being decoded.
//!
//! * What is only passed on (texts, arguments, schemas, unknown items) is kept as the raw slice of the request and copied
//!   as it stands: escapes, number digits and key order survive because nothing re-encodes them.
//! * [`Object`] reads one level of an object in order; a key given twice counts with its last value.
//! * [`Path`] remembers where a value stands and is spelled out only when something is wrong with it.
//! * A request body nested beyond reason is refused, however little of it is looked at here.
//! * [`ObjectWriter`] writes one object into a byte buffer from raw and plain values.
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

mod depth;
mod path;
mod text;
mod value;
mod write;

pub use path::Path;
pub use text::Text;
pub use value::{Object, array, body, boolean, kind, object, required, string, text, unsigned, without_mark};
pub use write::{ArrayWriter, ObjectWriter, escape, push_string};
