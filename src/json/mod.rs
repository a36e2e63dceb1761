//! JSON that is looked at without being decoded.
//!
//! * What is only passed on (texts, arguments, schemas, unknown items) is kept as the raw slice of the request and copied
//!   as it stands: escapes, number digits and key order survive because nothing re-encodes them.
//! * [`Object`] reads one level of an object in order; a key given twice counts with its last value.
//! * [`Path`] remembers where a value stands and is spelled out only when something is wrong with it.
//! * A request body nested beyond reason is refused, however little of it is looked at here.
//! * [`ObjectWriter`] writes one object into a byte buffer from raw and plain values.

mod depth;
mod path;
mod text;
mod value;
mod write;

pub use path::Path;
pub use text::Text;
pub use value::{Object, array, body, boolean, kind, object, required, string, text, unsigned, without_mark};
pub use write::{ArrayWriter, ObjectWriter, escape, push_string};
