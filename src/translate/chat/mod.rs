//! Chat Completions.
//!
//! * Request: [`request`] builds the backend's body from what `openai::chat` parsed; [`prompt`], [`content`], [`history`] and
//!   [`tools`] are its chapters, and [`replay`] puts remembered reasoning back.
//! * Answer: [`machine`] is the one state machine, with a chapter on [`texts`] and one on [`calls`]; [`sink`] is what it
//!   gives the pieces to, [`chunks`] for streaming clients and [`fold`] for the others; [`flow`] puts them one behind the
//!   other.

mod calls;
pub mod chunks;
mod citation;
mod content;
mod flow;
pub mod fold;
mod history;
pub mod machine;
mod prompt;
mod replay;
pub mod request;
pub mod sink;
mod texts;
mod thoughts;
mod tools;

pub use chunks::Chunks;
pub use fold::Fold;
pub use machine::ChatMachine;
pub use replay::RememberedReasoning;
pub use sink::{AnswerMeta, ReasoningFormat};
pub use thoughts::{CallDigest, KeptReasoning};
