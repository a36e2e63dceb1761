//! The limits of concurrent work: requests, the bytes of their bodies, and WebSockets.
//!
//! * A request has a [`Slot`] until the answer's last byte was handed over, or its client has disconnected.
//! * The bytes of a body count from their read or decompression until the backend has begun to answer, since until then
//!   the body may be sent again. A single body always fits, however large the operator allows it to be.
//! * The bytes of an answer that is kept whole, such as an image, count too, and never fit beyond the limit.
//! * A WebSocket has a [`SocketPlace`] as long as it is open, beside the slot of the turn that it runs. There are as many places
//!   as slots. The bytes of a frame that is incomplete or waits for its turn count as those of a body ([`Room`]).
//! * A request beyond capacity is refused at once with 503 and `Retry-After`: queueing would hide the overload from the
//!   client, which knows better when to retry.
//! * While three quarters of the slots or of the bytes are taken, capacity is [short](Capacity::is_short), and slow
//!   clients are cut off: see [`super::progress`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fault::{Fault, FaultKind};

/// The capacity shared by all requests and connections. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Capacity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: Share,
    bodies: Share,
    sockets: Share,
}

/// A limited resource and the amount taken.
#[derive(Debug)]
struct Share {
    most: usize,
    taken: AtomicUsize,
}

impl Share {
    const fn of(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }

    /// Takes `count` if available, or if the caller's `own` share is all that is taken.
    fn take(&self, count: usize, own: usize) -> bool {
        let before = self.taken.fetch_add(count, Ordering::Relaxed);
        let fits = before.saturating_add(count) <= self.most || before == own;
        if !fits {
            self.give_back(count);
        }
        fits
    }

    fn give_back(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }

    fn is_short(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.most - self.most / 4
    }
}

impl Capacity {
    /// Creates the capacity for `requests` requests, as many WebSockets, and `body_bytes` bytes of bodies.
    pub fn new(requests: usize, body_bytes: usize) -> Self {
        let (slots, bodies, sockets) = (Share::of(requests), Share::of(body_bytes), Share::of(requests));
        Self(Arc::new(Shared { slots, bodies, sockets }))
    }

    /// Takes a slot for one more request.
    pub(super) fn slot(&self) -> Result<Slot, Fault> {
        if self.0.slots.taken.fetch_add(1, Ordering::Relaxed) < self.0.slots.most {
            return Ok(Slot(Arc::new(Taken { room: self.room() })));
        }
        self.0.slots.give_back(1);
        Err(busy(format!("{} requests are in flight already", self.0.slots.most)))
    }

    /// Returns an empty share of the bytes for bodies.
    pub(super) fn room(&self) -> Room {
        Room { capacity: self.clone(), held: AtomicUsize::new(0) }
    }

    /// Takes a place for one more WebSocket; `None` if there is none left.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn place(&self) -> Option<SocketPlace> {
        self.0.sockets.take(1, usize::MAX).then(|| SocketPlace(self.clone()))
    }

    /// Returns the number of open WebSockets.
    pub(super) fn sockets(&self) -> usize {
        self.0.sockets.taken.load(Ordering::Relaxed)
    }

    /// Returns whether capacity is short, so that slow clients are cut off.
    pub fn is_short(&self) -> bool {
        self.0.slots.is_short() || self.0.bodies.is_short()
    }

    /// Returns the number of slots taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.slots.taken.load(Ordering::Relaxed)
    }

    /// Returns the bytes of bodies held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.bodies.taken.load(Ordering::Relaxed)
    }
}

/// A request's slot and the bytes it holds; both are released with its last clone.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    room: Room,
}

impl Slot {
    /// Takes `bytes` more for a body. The error is the client's answer.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Fault> {
        self.0.room.hold(bytes)
    }

    /// Takes `bytes` more for an answer that is kept whole. The error is the client's answer.
    pub(super) fn hold_answer(&self, bytes: usize) -> Result<(), Fault> {
        self.0.room.hold_within(bytes, usize::MAX)
    }

    /// Gives `bytes` back that were held.
    pub(super) fn release(&self, bytes: usize) {
        self.0.room.release(bytes);
    }

    /// Sets the held bytes to `bytes`, without a limit: an admitted request is not refused for its translation's size.
    pub(super) fn now_holds(&self, bytes: usize) {
        self.0.room.now_holds(bytes);
    }

    /// Returns whether capacity is short, so that slow clients are cut off.
    pub(super) fn is_short(&self) -> bool {
        self.0.room.is_short()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.capacity.0.slots.give_back(1);
    }
}

/// Bytes of the share for bodies, released when dropped.
#[derive(Debug)]
pub struct Room {
    capacity: Capacity,
    held: AtomicUsize,
}

impl Room {
    /// Takes `bytes` more. The error is the client's answer.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Fault> {
        self.hold_within(bytes, self.held.load(Ordering::Relaxed))
    }

    /// Takes `bytes` more, beyond the limit if `own` is all that is taken.
    fn hold_within(&self, bytes: usize, own: usize) -> Result<(), Fault> {
        let bodies = &self.capacity.0.bodies;
        if bodies.take(bytes, own) {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        let most = bodies.most >> 20;
        Err(busy(format!("the bodies of the requests in flight use all of their {most} MiB")))
    }

    /// Gives `bytes` back, or all that is held if that is less.
    fn release(&self, bytes: usize) {
        self.now_holds(self.held.load(Ordering::Relaxed).saturating_sub(bytes));
    }

    /// Sets the held bytes to `bytes`, without a limit.
    pub(super) fn now_holds(&self, bytes: usize) {
        let bodies = &self.capacity.0.bodies;
        bodies.taken.fetch_add(bytes, Ordering::Relaxed);
        bodies.give_back(self.held.swap(bytes, Ordering::Relaxed));
    }

    /// Returns whether capacity is short, so that slow clients are cut off.
    pub(super) fn is_short(&self) -> bool {
        self.capacity.is_short()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.now_holds(0);
    }
}

/// The place of an open WebSocket, released when dropped.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct SocketPlace(Capacity);

#[cfg(not(target_arch = "wasm32"))]
impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.0.0.sockets.give_back(1);
    }
}

/// Returns the error for exhausted capacity.
pub(super) fn busy(message: String) -> Fault {
    Fault::new(FaultKind::Busy, message).with_retry_after(RETRY_AFTER)
}

const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_and_the_only_body_always_fits() {
        let capacity = Capacity::new(3, 100);
        let (one, two) = (capacity.slot().expect("a slot"), capacity.slot().expect("a slot"));
        one.hold(60).expect("room");
        assert!(two.hold(50).is_err() && two.hold(40).is_ok() && one.hold(1).is_err());
        drop(two);
        one.hold(1000).expect("alone");
        assert_eq!(capacity.held(), 1060);
        assert!(one.hold_answer(1).is_err(), "an answer has no such right");
        one.release(1000);
        one.hold_answer(40).expect("room");
        assert_eq!(capacity.held(), 100);
        one.release(101);
        assert_eq!(capacity.held(), 0, "no more than was held");
        one.now_holds(7);
        assert_eq!(capacity.held(), 7);
        drop(one);
        assert_eq!((capacity.held(), capacity.taken()), (0, 0));
    }

    #[test]
    fn sockets_have_places_of_their_own() {
        let capacity = Capacity::new(2, 100);
        let slot = capacity.slot().expect("a slot");
        let places: Vec<_> = (0..2).map(|_| capacity.place().expect("a place")).collect();
        assert!(capacity.place().is_none() && capacity.slot().is_ok());
        assert_eq!((capacity.sockets(), capacity.taken()), (2, 1));
        drop((places, slot));
        assert_eq!((capacity.sockets(), capacity.taken()), (0, 0));
    }

    #[test]
    fn room_is_short_from_three_quarters_on() {
        let capacity = Capacity::new(4, 100);
        let slots: Vec<_> = (0..4).map(|_| capacity.slot().expect("a slot")).collect();
        assert!(capacity.is_short() && capacity.slot().is_err());
        let mut slots = slots.into_iter();
        let slot = slots.next_back().expect("four");
        assert!(capacity.is_short());
        drop(slots.by_ref().take(2).collect::<Vec<_>>());
        assert!(!capacity.is_short());
        slot.hold(75).expect("room");
        assert!(capacity.is_short());
        assert!(!Capacity::new(usize::MAX, usize::MAX).is_short());
    }
}
