//! The word that no new refresh may begin.
//!
//! * A refresh that has begun is finished: its token is spent. One that still waits for a lock is given up.
//! * The process that does a refresh for the daemon hears the word as the end of its input.

use tokio::sync::watch;

/// Asks whatever waits to begin a refresh to give up. Clones share one request, which cannot be taken back.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// From now on no refresh begins.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether no refresh may begin any more.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until no refresh may begin any more.
    pub async fn requested(&self) {
        // Fails only without a sender, and this value is one.
        let _ = self.0.subscribe().wait_for(|is_requested| *is_requested).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}
