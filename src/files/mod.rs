//! The user's files, whatever they hold: whom they may be trusted from, and how one is replaced.

pub(crate) mod replace;
pub(crate) mod trust;
