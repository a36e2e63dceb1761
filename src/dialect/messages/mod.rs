//! Anthropic's Messages API.
//!
//! * Request: [`request`] reads the body; [`history`] its messages, [`block`] their parts, [`server`] the servers'
//!   tools, [`tool`] its tools, [`effort`] and [`mod@format`] the settings of the answer, [`session`] the
//!   conversation's session.
//! * Answer: [`blocks`] puts the pieces into blocks, and [`speech`] cuts their texts at stop sequences; [`events`] for streaming clients and [`document`] for the others
//!   write them, with [`answer`], [`results`] and [`usage`] for their parts. [`error`] writes errors, [`models`] lists
//!   the models, and `abilities` what each can do.
//! * [`seal`] packs encrypted reasoning for a client and unpacks it again.

mod abilities;
mod answer;
pub(super) mod block;
mod blocks;
pub mod document;
mod effort;
pub mod error;
pub mod events;
mod format;
mod history;
pub mod models;
pub mod request;
mod results;
mod seal;
mod server;
mod session;
mod speech;
pub(in crate::dialect) mod tool;
mod usage;

use http::HeaderMap;

use crate::dialect::{Ask, Dialect, Occasion};
use crate::fault::Fault;
use crate::models::EffortOrder;
use document::Message;
use events::Events;
use request::{MessagesShape, Thinking};

/// Anthropic's Messages.
#[derive(Debug)]
pub struct Messages;

impl Dialect for Messages {
    type Shape = MessagesShape;
    type Stream = Events;
    type Document = Message;

    const KEEPALIVE: &'static [u8] = PING;
    const EFFORT_ORDER: EffortOrder = EffortOrder::NameFirst;

    fn parse<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Ask<'a, MessagesShape>, Fault> {
        request::parse(body, headers)
    }

    fn may_stop(shape: &MessagesShape) -> bool {
        !shape.stop.is_empty()
    }

    fn shows_reasoning(shape: &MessagesShape, _occasion: &Occasion) -> bool {
        shape.thinking != Thinking::Hidden
    }

    fn stream(shape: MessagesShape, occasion: Occasion) -> Events {
        Events::new(shape, &occasion)
    }

    fn document(shape: MessagesShape, occasion: Occasion) -> Message {
        Message::new(shape, &occasion)
    }

    fn wants_nothing(shape: &MessagesShape) -> bool {
        shape.wants_nothing
    }
}

/// The API's own keepalive event; every client skips it, before `message_start` too.
const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";
