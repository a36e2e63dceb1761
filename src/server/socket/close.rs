//! Why a WebSocket is closed, and with which code (RFC 6455, 7.4.1).

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::fault::{Fault, FaultKind};

/// The reason for closing a socket from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The proxy is stopping.
    Stopping,
    /// The client broke the protocol.
    Protocol,
    /// A text was not UTF-8.
    Encoding,
    /// A frame was binary.
    Binary,
    /// A frame was larger than a body may be.
    TooLarge,
    /// A frame did not go on.
    Slow,
    /// There is no room for the frame now.
    Busy,
    /// This program failed.
    Failed,
}

impl Reason {
    /// Returns the reason that `error` is; `None` if the connection is gone already.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Capacity(_) => Some(Self::TooLarge),
            Error::Utf8(_) => Some(Self::Encoding),
            Error::Protocol(error) if is_gone(error) => None,
            Error::Protocol(_) => Some(Self::Protocol),
            _ => None,
        }
    }

    /// Returns the reason that goes with `error`, which ends reading.
    pub(super) fn with(error: &Fault) -> Self {
        match error.kind {
            FaultKind::RequestTimeout => Self::Slow,
            FaultKind::Busy => Self::Busy,
            _ => Self::Failed,
        }
    }

    /// Returns the frame that tells the client.
    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Stopping => (CloseCode::Away, "the proxy is stopping"),
            Self::Protocol => (CloseCode::Protocol, "this is not the WebSocket protocol"),
            Self::Encoding => (CloseCode::Invalid, "a text frame must be UTF-8"),
            Self::Binary => (CloseCode::Unsupported, "send text frames"),
            Self::TooLarge => (CloseCode::Size, "the frame is larger than --max-body-size"),
            Self::Slow => (CloseCode::Policy, "the frame did not arrive in time"),
            Self::Busy => (CloseCode::Again, "no room for this frame now"),
            Self::Failed => (CloseCode::Error, "the proxy failed; see its log"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

fn is_gone(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError as Protocol;
    matches!(
        error,
        Protocol::ResetWithoutClosingHandshake | Protocol::SendAfterClosing | Protocol::ReceivedAfterClosing
    )
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};

    use super::*;

    #[test]
    fn errors_and_the_codes_that_answer_them() {
        let table: [(Error, Option<u16>); 5] = [
            (CapacityError::MessageTooLong { size: 2, max_size: 1 }.into(), Some(1009)),
            (Error::Utf8(String::new()), Some(1007)),
            (ProtocolError::UnmaskedFrameFromClient.into(), Some(1002)),
            (ProtocolError::ResetWithoutClosingHandshake.into(), None),
            (Error::Io(std::io::ErrorKind::ConnectionReset.into()), None),
        ];
        for (error, code) in table {
            assert_eq!(Reason::of(&error).map(|reason| reason.frame().code.into()), code, "{error}");
        }
        for (kind, code) in [(FaultKind::RequestTimeout, 1008), (FaultKind::Busy, 1013), (FaultKind::Internal, 1011)] {
            assert_eq!(u16::from(Reason::with(&Fault::new(kind, "m")).frame().code), code);
        }
        assert_eq!(u16::from(Reason::Stopping.frame().code), 1001);
        assert_eq!(u16::from(Reason::Binary.frame().code), 1003);
    }
}
