//! The Responses API over a WebSocket: `GET /v1/responses` with `Upgrade: websocket`.
//!
//! * The guards apply to the upgrade as to any request, and it takes a place among the sockets. Whatever stands in its way is
//!   an HTTP answer ([`open`](open())).
//! * A turn is a request: the frame is posted to the router in this process, with the headers of the upgrade, and the answer's
//!   events go out as frames ([`turn`]). So guards, slots, limits, log, metrics and the translation are those of a POST.
//! * One turn at a time. Frames that come meanwhile wait, as they do at the backend ([`session`]).
//! * Bytes of a frame that is incomplete or waits count among those of all bodies ([`meter`]). A frame is at most as large as a
//!   body.
//! * The backend is read only as the client reads ([`outgoing`]). Closing the socket ends the call.
//! * Extensions and subprotocols are not negotiated: the library has no compression, and Codex clients go without.
//! * HTTP/1.1 alone has this upgrade. Over HTTP/2 it would take extended CONNECT (RFC 8441), and this server speaks no HTTP/2.

mod close;
mod meter;
mod open;
mod outgoing;
mod session;
mod turn;

pub(super) use open::{Turns, open};
pub(super) use session::{Ends, Session};
