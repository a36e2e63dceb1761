//! The simulator is as strict as what it stands for, and answers in its words.

mod answers;
mod images;
mod issuer;
mod sockets;
mod strictness;
mod support;
mod types;
