//! One file for each kind of route.
//!
//! * [`generate`]: every API whose answers are made from the pieces of the backend's. [`responses`]: the backend's own, relayed.
//! * [`messages`]: what stands beside Anthropic's Messages.
//! * [`models`], [`health`] and [`admin`]; [`absent`] says what is not served, and why.
//! * [`incoming`]: what the routes that call the backend have in common before they do.

pub(super) mod absent;
pub(super) mod admin;
pub(super) mod generate;
pub(super) mod health;
mod incoming;
pub(super) mod messages;
pub(super) mod models;
pub(super) mod responses;
