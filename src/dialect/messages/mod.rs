//! Anthropic's Messages API, as far as chat clients send it: [`block`]s among the parts of a chat message.

pub(super) mod block;
