//! The supplier's state between two reads of the store.
//!
//! * The login in memory is the store's, except after a failed write: then it is newer, and [`Unsaved`] records the
//!   refresh token left in the store, which tells the stale login from another program's new one.
//! * An ended refresh token stays ended until the document holds another one.
//! * A temporary failure blocks further attempts for a time that doubles up to a minute. Another program's login ends
//!   the wait; a refresh token that an own refresh brought without a usable access token does not.

use std::time::Duration;

use crate::credentials::Access;
use crate::credentials::document::{AuthDocument, Login};
use crate::credentials::error::CredentialError;
use crate::credentials::place::Place;
use crate::oauth::{Ended, IssuerError};
use crate::platform::Instant;
use crate::secret::Secret;

/// A document and the login in it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) document: AuthDocument,
    pub(super) login: Login,
}

impl Held {
    pub(super) fn new(document: AuthDocument, place: &Place) -> Result<Self, CredentialError> {
        match document.login() {
            Ok(login) => Ok(Self { document, login }),
            Err(unusable) => Err(CredentialError::unusable(place.clone(), &unusable)),
        }
    }

    /// Returns whether the token may be sent at `now`; `rejected` must not be sent again.
    pub(super) fn serves(&self, rejected: Option<&Secret>, now: u64) -> bool {
        !self.login.is_expired(now) && Some(&self.login.access.token) != rejected
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) held: Option<Held>,
    /// The previous login: calls that carry its token may still be in flight.
    former: Option<AuthDocument>,
    pub(super) unsaved: Option<Unsaved>,
    /// While set, a login that still works is not renewed, because the store cannot be written.
    postponed: Option<Instant>,
    failure: Option<Failure>,
    given: Option<Given>,
}

/// A token from a refresh.
#[derive(Debug)]
struct Given {
    token: Secret,
    at: Instant,
    /// Whether the backend has accepted it for a call.
    is_proven: bool,
}

/// The failed write of the login in memory.
#[derive(Debug)]
pub(super) struct Unsaved {
    /// The refresh token in the store at that time.
    pub(super) stored: Option<Secret>,
    /// The store's error.
    pub(super) error: CredentialError,
}

#[derive(Debug)]
enum Failure {
    Ended { refresh_token: Secret, ended: Ended },
    Passing { error: IssuerError, until: Instant, delay: Duration },
}

/// The usability of the token in memory.
pub(super) enum Usability {
    Fresh(Access),
    /// Usable, and to be renewed in the background.
    Ageing(Access),
    Unusable,
}

impl State {
    pub(super) fn usability(&self, now: u64) -> Usability {
        let Some(login) = self.held.as_ref().map(|held| &held.login) else {
            return Usability::Unusable;
        };
        if login.is_expired(now) {
            Usability::Unusable
        } else if login.needs_refresh_soon(now) {
            Usability::Ageing(login.access.clone())
        } else {
            Usability::Fresh(login.access.clone())
        }
    }

    /// Adopts the store's login.
    pub(super) fn adopt(&mut self, held: Held) {
        let other_chain = self.held.as_ref().is_none_or(|old| old.login.refresh_token != held.login.refresh_token);
        if other_chain {
            self.failure = None;
        }
        self.unsaved = None;
        self.hold(held);
    }

    /// Postpones renewing a login that still works; returns `true` the first time.
    pub(super) fn postpone(&mut self) -> bool {
        self.postponed.replace(Instant::now() + LONGEST_DELAY).is_none()
    }

    /// Returns whether the renewal is postponed.
    pub(super) fn is_postponed(&self) -> bool {
        self.postponed.is_some_and(|until| Instant::now() < until)
    }

    /// Adopts a renewed login; `unsaved` if the store could not take it.
    pub(super) fn renewed(&mut self, held: Held, unsaved: Option<Unsaved>) {
        self.failure = None;
        self.advance(held, unsaved);
    }

    /// Adopts the document of an own refresh, which may have rotated the refresh token without a usable access token: a
    /// failure stays, so that the next attempt waits.
    pub(super) fn advance(&mut self, held: Held, unsaved: Option<Unsaved>) {
        if unsaved.is_none() {
            self.postponed = None;
        }
        self.unsaved = unsaved;
        self.hold(held);
    }

    /// Records that a refresh has succeeded.
    pub(super) fn recovered(&mut self) {
        self.failure = None;
    }

    /// Records a token from a refresh.
    pub(super) fn given(&mut self, token: Secret) {
        self.given = Some(Given { token, at: Instant::now(), is_proven: false });
    }

    /// Records that the backend has accepted `token`; returns whether it is the last refresh's.
    pub(super) fn prove(&mut self, token: &Secret) -> bool {
        let given = self.given.as_mut().filter(|given| given.token == *token);
        given.map(|given| given.is_proven = true).is_some()
    }

    /// Returns whether a refresh returned `token` within the last minute.
    pub(super) fn has_just_been_given(&self, token: &Secret) -> bool {
        self.given.as_ref().is_some_and(|given| given.is_recent(token))
    }

    /// Like [`Self::has_just_been_given`], for a token that the backend has not accepted yet.
    pub(super) fn is_new_and_unproven(&self, token: &Secret) -> bool {
        self.given.as_ref().is_some_and(|given| given.is_recent(token) && !given.is_proven)
    }

    /// Drops a login that is no longer in the store.
    pub(super) fn forget(&mut self) {
        if self.unsaved.is_none() {
            self.former = self.held.take().map(|old| old.document).or(self.former.take());
            self.failure = None;
        }
    }

    /// Returns every token that may be in flight.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let documents = self.held.as_ref().map(|held| &held.document).into_iter().chain(&self.former);
        documents.flat_map(AuthDocument::secrets).collect()
    }

    fn hold(&mut self, held: Held) {
        let token = held.login.access.token.clone();
        let replaced = self.held.replace(held).filter(|old| old.login.access.token != token);
        self.former = replaced.map(|old| old.document).or(self.former.take());
    }

    /// Returns whether the store still holds the document of the failed write.
    pub(super) fn outdates(&self, stored: &Held) -> bool {
        self.unsaved.as_ref().is_some_and(|unsaved| unsaved.stored == stored.login.refresh_token)
    }

    /// Returns the reason not to send `refresh_token` now.
    pub(super) fn blocked(&self, refresh_token: &Secret, place: &Place) -> Option<CredentialError> {
        match self.failure.as_ref()? {
            Failure::Ended { refresh_token: dead, ended } => {
                (dead == refresh_token).then(|| CredentialError::Ended { place: place.clone(), ended: *ended })
            }
            Failure::Passing { error, until, .. } => {
                let retry_after = until.checked_duration_since(Instant::now())?;
                Some(CredentialError::RefreshFailed { error: error.clone(), retry_after })
            }
        }
    }

    /// Records that `refresh_token` has ended.
    pub(super) fn ended(&mut self, refresh_token: Secret, ended: Ended) {
        self.failure = Some(Failure::Ended { refresh_token, ended });
    }

    /// Records a temporary failure and returns the wait before the next attempt.
    pub(super) fn failed(&mut self, error: IssuerError) -> Duration {
        let doubled = match &self.failure {
            Some(Failure::Passing { delay, .. }) => (*delay * 2).min(LONGEST_DELAY),
            Some(Failure::Ended { .. }) | None => FIRST_DELAY,
        };
        let asked_for = match &error {
            IssuerError::Refused { retry_after, .. } => retry_after.unwrap_or_default().min(LONGEST_REQUESTED_DELAY),
            IssuerError::Ended(_)
            | IssuerError::Blocked { .. }
            | IssuerError::Transport(_)
            | IssuerError::Timeout(_)
            | IssuerError::Invalid(_) => Duration::ZERO,
        };
        let wait = doubled.max(asked_for);
        self.failure = Some(Failure::Passing { error, until: Instant::now() + wait, delay: doubled });
        wait
    }
}

impl Given {
    fn is_recent(&self, token: &Secret) -> bool {
        self.token == *token && self.at.elapsed() < SHORTEST_LIFE
    }
}

/// A new token is not replaced within this time.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const LONGEST_REQUESTED_DELAY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::credentials::place::StoreName;

    fn refused(retry_after: Option<u64>) -> IssuerError {
        let retry_after = retry_after.map(Duration::from_secs);
        IssuerError::Refused { status: StatusCode::BAD_GATEWAY, code: None, message: None, retry_after }
    }

    fn held(refresh_token: &str) -> Held {
        let text = format!(r#"{{"tokens":{{"access_token":"t","account_id":"a","refresh_token":"{refresh_token}"}}}}"#);
        let place = Place { store: StoreName::Memory, location: String::new() };
        Held::new(AuthDocument::parse(&text).unwrap(), &place).unwrap()
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_begins_anew_after_a_success() {
        let mut state = State::default();
        let pauses: Vec<u64> = (0..8).map(|_| state.failed(refused(None)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        state.renewed(held("r"), None);
        assert_eq!(state.failed(IssuerError::Timeout(Duration::from_secs(30))), Duration::from_secs(1));
    }

    #[test]
    fn the_issuer_may_ask_for_a_longer_pause_but_not_for_an_hour() {
        let mut state = State::default();
        assert_eq!(state.failed(refused(Some(90))), Duration::from_secs(90));
        assert_eq!(state.failed(refused(Some(3600))), Duration::from_secs(600));
        assert_eq!(state.failed(refused(Some(1))), Duration::from_secs(4));
    }

    #[test]
    fn a_token_that_ended_is_blocked_until_another_is_there() {
        let place = Place { store: StoreName::Memory, location: String::new() };
        let mut state = State::default();
        state.adopt(held("old"));
        state.ended(Secret::new("old"), Ended::Reused);
        assert!(matches!(state.blocked(&Secret::new("old"), &place), Some(CredentialError::Ended { .. })));
        assert_eq!(state.blocked(&Secret::new("new"), &place), None);
        state.adopt(held("old"));
        assert!(state.blocked(&Secret::new("old"), &place).is_some(), "the same document changes nothing");
        state.adopt(held("new"));
        assert_eq!(state.blocked(&Secret::new("old"), &place), None);
    }
}
