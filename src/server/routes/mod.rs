//! The routes, one file for each kind.
//!
//! * [`generate`]: every API with translated answers. [`responses`]: the backend's own API, relayed.
//! * [`messages`]: the routes beside Anthropic's Messages.
//! * [`models`], [`usage`], [`health`] and [`admin`]; [`absent`]: unsupported routes.
//! * [`incoming`]: the common part of the routes that call the backend.

pub(super) mod absent;
pub(super) mod admin;
pub(super) mod generate;
pub(super) mod health;
mod incoming;
pub(super) mod messages;
pub(super) mod models;
pub(super) mod responses;
pub(super) mod usage;
