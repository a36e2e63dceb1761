//! The user's files, whatever their contents: who may change them, and how a private one is made.

pub(crate) mod private;
pub(crate) mod trust;
