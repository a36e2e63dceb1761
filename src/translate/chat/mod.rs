//! Chat Completions.
//!
//! * Request: [`request`] builds the backend's body from what `openai::chat` parsed; [`prompt`], [`content`], [`history`] and
//!   [`tools`] are its chapters, and [`replay`] puts remembered reasoning back.
//! * Answer: [`machine`] is the one state machine; [`sink`] is what it writes to, [`chunks`] for streaming clients and
//!   [`fold`] for the others.

pub mod chunks;
mod citation;
mod content;
pub mod fold;
mod history;
mod items;
pub mod machine;
mod passed;
mod prompt;
mod replay;
pub mod request;
pub mod sink;
mod thoughts;
mod tools;
mod views;

pub use chunks::Chunks;
pub use fold::Fold;
pub use machine::ChatMachine;
pub use replay::RememberedReasoning;
pub use sink::{AnswerMeta, ReasoningFormat};
pub use thoughts::{CallDigest, KeptReasoning};
