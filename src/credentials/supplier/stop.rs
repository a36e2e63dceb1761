//! The request that no new refresh begins.
//!
//! * A refresh that has begun is completed: its token is spent. A refresh that waits for a lock is given up.
//! * A delegated process sees the request as the end of its input.

use tokio::sync::watch;

/// Prevents new refreshes. Clones share one request, which cannot be withdrawn.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Prevents new refreshes from now on.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether new refreshes are prevented.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the request.
    pub async fn requested(&self) {
        // The wait fails only without a sender, and `self` is one.
        let _ = self.0.subscribe().wait_for(|is_requested| *is_requested).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}
