//! The user's files, whatever they hold: whom they may be trusted from, how one is read or replaced, and how a private one is
//! made.

pub(crate) mod private;
pub(crate) mod read;
pub(crate) mod replace;
pub(crate) mod trust;
