//! Checks of the user's files that do not depend on their contents.

pub(crate) mod trust;
