//! The report of a delegated refresh, from another process or from the owner of a Worker's login.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::oauth::{Ended, IssuerError};
use crate::platform::{TransportError, TransportErrorKind};

/// The serialisable result of a refresh.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The store holds a usable token.
    Stored,
    /// The store already held a usable token; the caller counted this refresh earlier.
    Known,
    /// The issuer gave new tokens, and the store could not take them.
    Unsaved {
        /// The whole document with the new tokens.
        document: String,
        /// The store's error.
        reason: String,
    },
    /// The store cannot be written, and the old tokens still work.
    Unwritable {
        /// The store's error.
        reason: String,
    },
    /// The issuer gave no tokens.
    Refused(IssuerReport),
    /// A problem of the store, which the caller finds by reading it.
    Store,
}

/// A serialisable [`IssuerError`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant and field is that of `IssuerError`")]
pub enum IssuerReport {
    Expired,
    Reused,
    Invalidated,
    Refused { status: u16, code: Option<String>, message: Option<String>, retry_after: Option<u64> },
    Blocked { status: u16 },
    Transport { kind: String, message: String },
    Timeout { seconds: u64 },
    Invalid { what: String },
}

impl From<IssuerError> for IssuerReport {
    fn from(error: IssuerError) -> Self {
        match error {
            IssuerError::Ended(Ended::Expired) => Self::Expired,
            IssuerError::Ended(Ended::Reused) => Self::Reused,
            IssuerError::Ended(Ended::Invalidated) => Self::Invalidated,
            IssuerError::Refused { status, code, message, retry_after } => Self::Refused {
                status: status.as_u16(),
                code,
                message,
                retry_after: retry_after.map(|delay| delay.as_secs()),
            },
            IssuerError::Blocked { status } => Self::Blocked { status: status.as_u16() },
            IssuerError::Transport(error) => {
                Self::Transport { kind: format!("{:?}", error.kind), message: error.message }
            }
            IssuerError::Timeout(limit) => Self::Timeout { seconds: limit.as_secs() },
            IssuerError::Invalid(what) => Self::Invalid { what: what.into_owned() },
        }
    }
}

impl From<IssuerReport> for IssuerError {
    fn from(report: IssuerReport) -> Self {
        let status = |status| StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        match report {
            IssuerReport::Expired => Self::Ended(Ended::Expired),
            IssuerReport::Reused => Self::Ended(Ended::Reused),
            IssuerReport::Invalidated => Self::Ended(Ended::Invalidated),
            IssuerReport::Refused { status: code_number, code, message, retry_after } => Self::Refused {
                status: status(code_number),
                code,
                message,
                retry_after: retry_after.map(Duration::from_secs),
            },
            IssuerReport::Blocked { status: number } => Self::Blocked { status: status(number) },
            IssuerReport::Transport { kind, message } => {
                let known = TRANSPORT_KINDS.into_iter().find(|known| format!("{known:?}") == kind);
                let kind = known.unwrap_or(TransportErrorKind::Interrupted);
                Self::Transport(TransportError { kind, message })
            }
            IssuerReport::Timeout { seconds } => Self::Timeout(Duration::from_secs(seconds)),
            IssuerReport::Invalid { what } => Self::Invalid(what.into()),
        }
    }
}

const TRANSPORT_KINDS: [TransportErrorKind; 5] = [
    TransportErrorKind::Dns,
    TransportErrorKind::Connect,
    TransportErrorKind::Tls,
    TransportErrorKind::Request,
    TransportErrorKind::Interrupted,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_survives_the_way() {
        let transport =
            TRANSPORT_KINDS.map(|kind| IssuerError::Transport(TransportError { kind, message: "m".to_owned() }));
        let others = [
            IssuerError::Ended(Ended::Expired),
            IssuerError::Ended(Ended::Reused),
            IssuerError::Ended(Ended::Invalidated),
            IssuerError::Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                code: Some("c".to_owned()),
                message: None,
                retry_after: Some(Duration::from_secs(7)),
            },
            IssuerError::Blocked { status: StatusCode::FORBIDDEN },
            IssuerError::Timeout(Duration::from_secs(30)),
            IssuerError::Invalid("x".into()),
        ];
        for error in transport.into_iter().chain(others) {
            let text = serde_json::to_string(&Report::Refused(error.clone().into())).unwrap();
            let Report::Refused(report) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!(IssuerError::from(report), error);
        }
    }
}
