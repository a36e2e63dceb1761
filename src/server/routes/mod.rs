//! The routes, one file for each kind.
//!
//! * [`generate`]: every API with translated answers. [`responses`]: the backend's own API, relayed.
//! * [`messages`]: the routes beside Anthropic's Messages.
//! * [`images`]: OpenAI's Images API. [`search`]: the backend's search, passed on.
//! * [`models`], [`usage`], [`holder`] (what a key allows and has left), [`health`] and [`admin`]; [`account`]: what a Codex CLI asks before its first turn; [`absent`]:
//!   unsupported routes.
//! * [`incoming`]: the common part of the routes that call the backend.

pub(super) mod absent;
pub(super) mod account;
pub(super) mod admin;
pub(super) mod generate;
pub(super) mod health;
pub(super) mod holder;
pub(super) mod images;
mod incoming;
pub(super) mod messages;
pub(super) mod models;
pub(super) mod responses;
pub(super) mod search;
pub(super) mod usage;
