//! Retries of failed calls, only while the client has received nothing.
//!
//! * Failed or broken connections, and the statuses 408, 500, 502 to 504, 520 to 527 and 530: twice, after 200 ms and
//!   400 ms with jitter.
//! * A rate limit with "try again in" at most five seconds: once, after that time.
//! * Overload and usage limits: never. More requests make the first worse and do not help the second.

use std::time::Duration;

/// Whether a retry makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never: it would fail the same way.
    Never,
    /// Soon: the failure may be temporary.
    Soon,
    /// After the backend's retry time.
    After(Duration),
}

/// The number of retries of a call.
#[derive(Debug, Default)]
pub struct Retries {
    soon: u32,
    after: u32,
}

impl Retries {
    /// Returns the wait before the next attempt, or `None` to give up. `jitter` is a number from 0 to 1.
    pub fn delay(&mut self, retry: Retry, jitter: f64) -> Option<Duration> {
        match retry {
            Retry::Soon if self.soon < MAX_SOON => {
                let delay = FIRST_DELAY * 2_u32.pow(self.soon);
                self.soon += 1;
                Some(delay.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0)))
            }
            Retry::After(delay) if self.after < MAX_AFTER && delay <= LONGEST_WAIT => {
                self.after += 1;
                Some(delay)
            }
            Retry::Never | Retry::Soon | Retry::After(_) => None,
        }
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const MAX_SOON: u32 = 2;
const MAX_AFTER: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_faults_twice_with_growing_delay() {
        let mut retries = Retries::default();
        assert_eq!(retries.delay(Retry::Soon, 0.5), Some(Duration::from_millis(200)));
        assert_eq!(retries.delay(Retry::Soon, 1.0), Some(Duration::from_millis(440)));
        assert_eq!(retries.delay(Retry::Soon, 0.0), None);
    }

    #[test]
    fn a_named_time_once_and_only_if_short() {
        let mut retries = Retries::default();
        assert_eq!(retries.delay(Retry::After(Duration::from_secs(6)), 0.0), None);
        assert_eq!(retries.delay(Retry::After(Duration::from_secs(5)), 0.0), Some(Duration::from_secs(5)));
        assert_eq!(retries.delay(Retry::After(Duration::from_secs(1)), 0.0), None);
        assert_eq!(retries.delay(Retry::Never, 0.0), None);
    }
}
