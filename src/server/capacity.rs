//! The limits of concurrent work: requests, and the bytes of their bodies.
//!
//! * A request has a [`Place`] until the answer's last byte was handed over, or its client has disconnected.
//! * The bytes of a body count from their read or decompression until the backend has begun to answer, since until then
//!   the body may be sent again. A single body always fits, however large the operator allows it to be.
//! * A request beyond capacity is refused at once with 503 and `Retry-After`: queueing would hide the overload from the
//!   client, which knows better when to retry.
//! * While three quarters of the slots or of the bytes are taken, capacity is [short](Capacity::is_short), and slow
//!   clients are cut off: see [`super::progress`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fault::{ApiError, ErrorKind};

/// The capacity shared by all requests and connections. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Capacity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Share,
    bodies: Share,
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
    /// Creates the capacity for `requests` requests and `body_bytes` bytes of bodies.
    pub fn new(requests: usize, body_bytes: usize) -> Self {
        let (places, bodies) = (Share::of(requests), Share::of(body_bytes));
        Self(Arc::new(Shared { places, bodies }))
    }

    /// Takes a slot for one more request.
    pub(super) fn place(&self) -> Result<Place, ApiError> {
        if self.0.places.taken.fetch_add(1, Ordering::Relaxed) < self.0.places.most {
            return Ok(Place(Arc::new(Taken { capacity: self.clone(), held: AtomicUsize::new(0) })));
        }
        self.0.places.give_back(1);
        Err(busy(format!("{} requests are in flight already", self.0.places.most)))
    }

    /// Returns whether capacity is short, so that slow clients are cut off.
    pub fn is_short(&self) -> bool {
        self.0.places.is_short() || self.0.bodies.is_short()
    }

    /// Returns the number of slots taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.places.taken.load(Ordering::Relaxed)
    }

    /// Returns the bytes of bodies held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.bodies.taken.load(Ordering::Relaxed)
    }
}

/// A request's slot and the bytes it holds; both are released with its last clone.
#[derive(Debug, Clone)]
pub struct Place(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    capacity: Capacity,
    held: AtomicUsize,
}

impl Place {
    /// Takes `bytes` more for a body. The error is the client's answer.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), ApiError> {
        let bodies = &self.0.capacity.0.bodies;
        if bodies.take(bytes, self.0.held.load(Ordering::Relaxed)) {
            self.0.held.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        let most = bodies.most >> 20;
        Err(busy(format!("the requests in flight take the {most} MiB that there are for their bodies")))
    }

    /// Sets the held bytes to `bytes`, without a limit: an admitted request is not refused for its translation's size.
    pub(super) fn now_holds(&self, bytes: usize) {
        self.0.now_holds(bytes);
    }

    /// Returns whether capacity is short, so that slow clients are cut off.
    pub(super) fn is_short(&self) -> bool {
        self.0.capacity.is_short()
    }
}

impl Taken {
    fn now_holds(&self, bytes: usize) {
        let bodies = &self.capacity.0.bodies;
        bodies.taken.fetch_add(bytes, Ordering::Relaxed);
        bodies.give_back(self.held.swap(bytes, Ordering::Relaxed));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.now_holds(0);
        self.capacity.0.places.give_back(1);
    }
}

/// Returns the error for exhausted capacity.
pub(super) fn busy(message: String) -> ApiError {
    ApiError::new(ErrorKind::Busy, message).with_retry_after(RETRY_AFTER)
}

const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_and_the_only_body_always_fits() {
        let capacity = Capacity::new(3, 100);
        let (one, two) = (capacity.place().expect("a place"), capacity.place().expect("a place"));
        one.hold(60).expect("room");
        assert!(two.hold(50).is_err() && two.hold(40).is_ok() && one.hold(1).is_err());
        drop(two);
        one.hold(1000).expect("alone");
        assert_eq!(capacity.held(), 1060);
        one.now_holds(7);
        assert_eq!(capacity.held(), 7);
        drop(one);
        assert_eq!((capacity.held(), capacity.taken()), (0, 0));
    }

    #[test]
    fn room_is_short_from_three_quarters_on() {
        let capacity = Capacity::new(4, 100);
        let places: Vec<_> = (0..4).map(|_| capacity.place().expect("a place")).collect();
        assert!(capacity.is_short() && capacity.place().is_err());
        let mut places = places.into_iter();
        let place = places.next_back().expect("four");
        assert!(capacity.is_short());
        drop(places.by_ref().take(2).collect::<Vec<_>>());
        assert!(!capacity.is_short());
        place.hold(75).expect("room");
        assert!(capacity.is_short());
        assert!(!Capacity::new(usize::MAX, usize::MAX).is_short());
    }
}
