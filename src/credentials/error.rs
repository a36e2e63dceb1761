//! Errors of the login, in one enum.
//!
//! * Every message names the problem, the place, and the command or variable that helps.
//! * No message carries a token or a part of one.
//! * The conversion into an API error at the end selects the row of the error table.

use std::time::Duration;

use crate::credentials::document::{Malformed, Unusable};
use crate::credentials::place::Place;
use crate::fault::{Fault, FaultKind};
use crate::oauth::claims::ACCOUNT_CLAIM;
use crate::oauth::{Ended, IssuerError};
use crate::platform::TransportErrorKind;

/// Why the login cannot be used or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The store is empty. The operator's to fix.
    #[error("there is no ChatGPT login in {place}: {}", place.store.remedy())]
    Missing {
        /// The store.
        place: Place,
    },
    /// The store holds credentials other than a ChatGPT login. The operator's to fix.
    #[error("{place} holds {found}, not a ChatGPT login: {}", place.store.remedy())]
    NotALogin {
        /// The store.
        place: Place,
        /// The credentials it holds instead.
        found: &'static str,
    },
    /// The document does not parse, and stays untouched. The operator's to fix.
    #[error(
        "{place} is broken at {malformed}; it was left untouched: repair it, or move it away and {}",
        place.store.remedy()
    )]
    Broken {
        /// The store.
        place: Place,
        /// The syntax error.
        malformed: Malformed,
    },
    /// The tokens name no account. The operator's to fix.
    #[error(
        "the login in {place} names no account: neither tokens.account_id nor the claim {ACCOUNT_CLAIM} of its id_token \
         or access_token is there; set the account id or {}",
        place.store.remedy()
    )]
    NoAccount {
        /// The store.
        place: Place,
    },
    /// The store cannot be read. The machine's fault.
    #[error("cannot read {place}: {reason}")]
    Unreadable {
        /// The store.
        place: Place,
        /// The system's message.
        reason: String,
    },
    /// The store cannot be written. The machine's fault.
    #[error("cannot write {place}: {reason}")]
    Unwritable {
        /// The store.
        place: Place,
        /// The system's message.
        reason: String,
    },
    /// The store is read-only.
    #[error("the {} store is read-only: choose another one with --creds-store", place.store.as_str())]
    ReadOnly {
        /// The store.
        place: Place,
    },
    /// Another process held the store's lock beyond the time limit.
    #[error("another process keeps {place} locked")]
    Locked {
        /// The store.
        place: Place,
    },
    /// The process is shutting down, so no refresh begins. Passes with the restart.
    #[error("the login in {place} is not renewed, because this process is about to end")]
    Stopping {
        /// The store.
        place: Place,
    },
    /// The access token has expired or was rejected, and there is no refresh token. The operator's to fix.
    #[error("the access token in {place} has expired or is no longer accepted, and it cannot be renewed: {}", place.store.remedy())]
    NotRenewable {
        /// The store.
        place: Place,
    },
    /// The refresh token was rejected for good. The operator's to fix.
    #[error("the login in {place} has ended: its refresh token {ended}; {}", place.store.remedy())]
    Ended {
        /// The store.
        place: Place,
        /// The issuer's reason.
        ended: Ended,
    },
    /// A refresh failed temporarily. The issuer's or the network's fault.
    #[error("the login could not be renewed: {error}")]
    RefreshFailed {
        /// The issuer's answer, or the reason that there is none.
        error: IssuerError,
        /// The time until the next attempt.
        retry_after: Duration,
    },
    /// The store changed to another account's login during a request. Later requests use that one.
    #[error("the login in {place} now belongs to another account; send the request again to use it")]
    AccountChanged {
        /// The store.
        place: Place,
    },
}

impl CredentialError {
    /// Converts the reason that the document at `place` is unusable.
    pub fn unusable(place: Place, unusable: &Unusable) -> Self {
        match unusable {
            Unusable::NoTokens(found) => Self::NotALogin { place, found },
            Unusable::NoAccount => Self::NoAccount { place },
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. }
            | Self::NotALogin { .. }
            | Self::Broken { .. }
            | Self::NoAccount { .. }
            | Self::Unreadable { .. } => FaultKind::NoCredentials,
            Self::NotRenewable { .. } | Self::Ended { .. } | Self::AccountChanged { .. } => FaultKind::UpstreamAuth,
            Self::ReadOnly { .. } => FaultKind::Conflict,
            Self::Unwritable { .. } => FaultKind::Internal,
            Self::Locked { .. } => FaultKind::Busy,
            Self::Stopping { .. } => FaultKind::ShuttingDown,
            Self::RefreshFailed { error, .. } => issuer_kind(error),
        }
    }
}

impl From<CredentialError> for Fault {
    fn from(error: CredentialError) -> Self {
        let api_error = Self::new(error.kind(), error.to_string());
        match error {
            CredentialError::RefreshFailed { retry_after, .. } => api_error.with_retry_after(retry_after),
            CredentialError::Locked { .. } => api_error.with_code("login_locked").with_retry_after(LOCKED_PAUSE),
            _ => api_error,
        }
    }
}

fn issuer_kind(error: &IssuerError) -> FaultKind {
    match error {
        IssuerError::Ended(_) => FaultKind::UpstreamAuth,
        IssuerError::Refused { .. } => FaultKind::UpstreamServerError,
        IssuerError::Blocked { .. } => FaultKind::UpstreamBlocked,
        IssuerError::Transport(error) => match error.kind {
            TransportErrorKind::Interrupted => FaultKind::UpstreamInterrupted,
            TransportErrorKind::Request => FaultKind::Internal,
            TransportErrorKind::Dns | TransportErrorKind::Connect | TransportErrorKind::Tls => {
                FaultKind::UpstreamUnreachable
            }
        },
        IssuerError::Timeout(_) => FaultKind::UpstreamTimeout,
        IssuerError::Invalid(_) => FaultKind::UpstreamInvalid,
    }
}

/// The pause before a locked login is asked for again.
const LOCKED_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::place::StoreName;
    use crate::platform::TransportError;

    fn place(store: StoreName) -> Place {
        Place { store, location: "/somewhere/auth.json".to_owned() }
    }

    #[test]
    fn a_missing_login_is_401_and_names_the_command() {
        let error = Fault::from(CredentialError::Missing { place: place(StoreName::Xdg) });
        assert_eq!(error.status(), 401);
        assert_eq!(error.code(), Some("no_credentials"));
        assert!(error.message.contains("`codex-proxy login`"), "{}", error.message);
    }

    #[test]
    fn an_ended_login_is_upstream_auth_and_names_the_command() {
        for ended in [Ended::Expired, Ended::Reused, Ended::Invalidated] {
            let error = Fault::from(CredentialError::Ended { place: place(StoreName::Xdg), ended });
            assert_eq!((error.status().as_u16(), error.code()), (401, Some("upstream_auth")));
            assert!(error.message.contains("`codex-proxy login`"), "{}", error.message);
        }
    }

    #[test]
    fn an_expired_environment_token_says_to_set_a_new_one() {
        let error = CredentialError::NotRenewable { place: place(StoreName::Env) };
        assert!(error.to_string().contains("set ACCESS_TOKEN to a new token"), "{error}");
    }

    #[test]
    fn a_passing_failure_says_when_to_come_back() {
        let error = CredentialError::RefreshFailed {
            error: IssuerError::Timeout(Duration::from_secs(30)),
            retry_after: Duration::from_secs(4),
        };
        let error = Fault::from(error);
        assert_eq!((error.status().as_u16(), error.retry_after), (504, Some(Duration::from_secs(4))));
    }

    #[test]
    fn a_missing_account_names_the_claim() {
        let error = CredentialError::NoAccount { place: place(StoreName::Legacy) };
        assert!(error.to_string().contains("https://api.openai.com/auth.chatgpt_account_id"), "{error}");
    }

    #[test]
    fn a_refresh_that_failed_is_told_from_a_login_that_ended() {
        let transport = |kind| IssuerError::Transport(TransportError { kind, message: "m".to_owned() });
        let refused = IssuerError::Refused {
            status: http::StatusCode::BAD_REQUEST,
            code: None,
            message: Some("try again".to_owned()),
            retry_after: None,
        };
        for (error, status, code) in [
            (refused, 502, "server_error"),
            (IssuerError::Blocked { status: http::StatusCode::FORBIDDEN }, 502, "upstream_blocked"),
            (transport(TransportErrorKind::Dns), 502, "upstream_unreachable"),
            (transport(TransportErrorKind::Connect), 502, "upstream_unreachable"),
            (transport(TransportErrorKind::Tls), 502, "upstream_unreachable"),
            (transport(TransportErrorKind::Interrupted), 502, "upstream_stream_interrupted"),
            (transport(TransportErrorKind::Request), 500, "internal_error"),
            (IssuerError::Timeout(Duration::from_secs(30)), 504, "upstream_timeout"),
            (IssuerError::Invalid("x".into()), 502, "upstream_invalid_response"),
            (IssuerError::Ended(Ended::Reused), 401, "upstream_auth"),
        ] {
            let reason = error.to_string();
            let error = CredentialError::RefreshFailed { error, retry_after: Duration::from_secs(3) };
            let error = Fault::from(error);
            assert_eq!((error.status().as_u16(), error.code()), (status, Some(code)), "{reason}");
            assert!(error.message.contains(&reason), "{}", error.message);
            assert_eq!(error.retry_after, Some(Duration::from_secs(3)), "{reason}");
        }
    }

    #[test]
    fn what_the_operator_must_mend_names_the_place() {
        let place = || place(StoreName::Xdg);
        let malformed = crate::credentials::AuthDocument::parse("{").unwrap_err();
        for (error, status, part) in [
            (CredentialError::NotALogin { place: place(), found: "an OpenAI API key" }, 401, "an OpenAI API key"),
            (CredentialError::Broken { place: place(), malformed }, 401, "line 1"),
            (CredentialError::Unreadable { place: place(), reason: "denied".to_owned() }, 401, "denied"),
            (CredentialError::Unwritable { place: place(), reason: "full".to_owned() }, 500, "full"),
            (CredentialError::Locked { place: place() }, 503, "locked"),
            (CredentialError::Stopping { place: place() }, 503, "about to end"),
            (CredentialError::AccountChanged { place: place() }, 401, "another account"),
        ] {
            let error = Fault::from(error);
            assert_eq!(error.status().as_u16(), status, "{}", error.message);
            assert!(
                error.message.contains("/somewhere/auth.json") && error.message.contains(part),
                "{}",
                error.message
            );
        }
        let error = Fault::from(CredentialError::ReadOnly { place: Place { store: StoreName::Env, ..place() } });
        assert_eq!(error.status().as_u16(), 409);
        assert!(error.message.contains("env"), "{}", error.message);
    }
}
