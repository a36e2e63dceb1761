//! The commands, each a function of typed options that writes for a person to whatever it is given.
//!
//! * [`login`], [`logout`], [`status`]: the user's login.

pub mod login;
pub mod logout;
pub mod status;
pub mod usage;
pub mod words;
