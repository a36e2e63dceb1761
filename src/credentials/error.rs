//! Why there is no token to send, in one enum.
//!
//! * Every message says what is wrong, where, and which command or variable helps.
//! * No message carries a token or a part of one.
//! * The conversion at the end decides which row of the API's error table a client sees.

use std::time::Duration;

use crate::credentials::document::{Malformed, Unusable};
use crate::credentials::place::Place;
use crate::fault::{ApiError, ErrorKind};
use crate::oauth::claims::ACCOUNT_CLAIM;
use crate::oauth::{Ended, IssuerError};
use crate::platform::TransportErrorKind;

/// Why the login cannot be used or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The store holds nothing. The operator's to do.
    #[error("there is no ChatGPT login in {place}: {}", place.store.remedy())]
    Missing {
        /// Where it was looked for.
        place: Place,
    },
    /// The store holds something else than a ChatGPT login. The operator's to do.
    #[error("{place} holds {found}, not a ChatGPT login: {}", place.store.remedy())]
    NotALogin {
        /// Where it is.
        place: Place,
        /// What it holds instead.
        found: &'static str,
    },
    /// The document cannot be read as one, and is left as it is. The operator's to do.
    #[error(
        "{place} is broken at {malformed}; it was left untouched: repair it, or move it away and {}",
        place.store.remedy()
    )]
    Broken {
        /// Where it is.
        place: Place,
        /// What is wrong in it.
        malformed: Malformed,
    },
    /// The tokens do not say whose they are. The operator's to do.
    #[error(
        "the login in {place} names no account: neither tokens.account_id nor the claim {ACCOUNT_CLAIM} of its id_token \
         or access_token is there; set the account id or {}",
        place.store.remedy()
    )]
    NoAccount {
        /// Where it is.
        place: Place,
    },
    /// The store cannot be read. The machine's fault.
    #[error("cannot read {place}: {reason}")]
    Unreadable {
        /// Where it is.
        place: Place,
        /// The system's words.
        reason: String,
    },
    /// The store cannot be written. The machine's fault.
    #[error("cannot write {place}: {reason}")]
    Unwritable {
        /// Where it is.
        place: Place,
        /// The system's words.
        reason: String,
    },
    /// The store is not to be written.
    #[error("the {} store is read-only: choose another one with --creds-store", place.store.as_str())]
    ReadOnly {
        /// Which it is.
        place: Place,
    },
    /// Another process has held the store's lock for too long.
    #[error("another process keeps {place} locked")]
    Locked {
        /// Where it is.
        place: Place,
    },
    /// The process is about to end, so no refresh begins. Passes with its restart.
    #[error("the login in {place} is not renewed, because this process is about to end")]
    Stopping {
        /// Where it is.
        place: Place,
    },
    /// The access token has expired or is no longer accepted, and nothing is there to renew it with. The operator's to do.
    #[error("the access token in {place} has expired or is no longer accepted, and it cannot be renewed: {}", place.store.remedy())]
    NotRenewable {
        /// Where it is.
        place: Place,
    },
    /// The refresh token will never work again. The operator's to do.
    #[error("the login in {place} has ended: its refresh token {ended}; {}", place.store.remedy())]
    Ended {
        /// Where it is.
        place: Place,
        /// How it ended.
        ended: Ended,
    },
    /// A refresh failed in a way that may pass. The issuer's or the network's fault.
    #[error("the login could not be renewed: {error}")]
    RefreshFailed {
        /// What the issuer said, or that it could not be asked.
        error: IssuerError,
        /// When the next try is due.
        retry_after: Duration,
    },
    /// While a request was on its way, the store came to hold another account's login. Later requests use that one.
    #[error("the login in {place} now belongs to another account; send the request again to use it")]
    AccountChanged {
        /// Where it is.
        place: Place,
    },
}

impl CredentialError {
    /// Why the document found at `place` is no login.
    pub fn unusable(place: Place, unusable: &Unusable) -> Self {
        match unusable {
            Unusable::NoTokens(found) => Self::NotALogin { place, found },
            Unusable::NoAccount => Self::NoAccount { place },
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. }
            | Self::NotALogin { .. }
            | Self::Broken { .. }
            | Self::NoAccount { .. }
            | Self::Unreadable { .. } => ErrorKind::NoCredentials,
            Self::NotRenewable { .. } | Self::Ended { .. } | Self::AccountChanged { .. } => ErrorKind::UpstreamAuth,
            Self::ReadOnly { .. } => ErrorKind::Conflict,
            Self::Unwritable { .. } | Self::Locked { .. } => ErrorKind::Internal,
            Self::Stopping { .. } => ErrorKind::ShuttingDown,
            Self::RefreshFailed { error, .. } => issuer_kind(error),
        }
    }
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> Self {
        let api_error = Self::new(error.kind(), error.to_string());
        if let CredentialError::RefreshFailed { retry_after, .. } = error {
            return api_error.with_retry_after(retry_after);
        }
        api_error
    }
}

fn issuer_kind(error: &IssuerError) -> ErrorKind {
    match error {
        IssuerError::Ended(_) => ErrorKind::UpstreamAuth,
        IssuerError::Refused { .. } => ErrorKind::UpstreamServerError,
        IssuerError::Blocked { .. } => ErrorKind::UpstreamBlocked,
        IssuerError::Transport(error) => match error.kind {
            TransportErrorKind::Interrupted => ErrorKind::UpstreamInterrupted,
            TransportErrorKind::Request => ErrorKind::Internal,
            TransportErrorKind::Dns | TransportErrorKind::Connect | TransportErrorKind::Tls => {
                ErrorKind::UpstreamUnreachable
            }
        },
        IssuerError::Timeout(_) => ErrorKind::UpstreamTimeout,
        IssuerError::Invalid(_) => ErrorKind::UpstreamInvalid,
    }
}

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
        let error = ApiError::from(CredentialError::Missing { place: place(StoreName::Xdg) });
        assert_eq!(error.status(), 401);
        assert_eq!(error.code(), Some("no_credentials"));
        assert!(error.message.contains("`codex-proxy login`"), "{}", error.message);
    }

    #[test]
    fn an_ended_login_is_upstream_auth_and_names_the_command() {
        for ended in [Ended::Expired, Ended::Reused, Ended::Invalidated] {
            let error = ApiError::from(CredentialError::Ended { place: place(StoreName::Xdg), ended });
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
        let error = ApiError::from(error);
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
            let error = ApiError::from(error);
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
            (CredentialError::Locked { place: place() }, 500, "locked"),
            (CredentialError::Stopping { place: place() }, 503, "about to end"),
            (CredentialError::AccountChanged { place: place() }, 401, "another account"),
        ] {
            let error = ApiError::from(error);
            assert_eq!(error.status().as_u16(), status, "{}", error.message);
            assert!(
                error.message.contains("/somewhere/auth.json") && error.message.contains(part),
                "{}",
                error.message
            );
        }
        let error = ApiError::from(CredentialError::ReadOnly { place: Place { store: StoreName::Env, ..place() } });
        assert_eq!(error.status().as_u16(), 409);
        assert!(error.message.contains("env"), "{}", error.message);
    }
}
