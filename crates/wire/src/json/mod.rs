//! JSON that is kept as it stands: raw values, the insides of strings, one level of an object or an array, and what writes them.

mod depth;
mod object;
mod raw;
mod text;
mod write;

pub use depth::is_nested_within;
pub use object::{Object, elements};
pub use raw::Raw;
pub use text::Text;
pub use write::{ArrayWriter, ObjectWriter, escape, push_string};
