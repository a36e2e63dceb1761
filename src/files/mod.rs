//! What every file of a user's has in common, whatever is in it.

pub(crate) mod trust;
