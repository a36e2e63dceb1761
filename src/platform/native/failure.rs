//! Conversion of the HTTP library's errors.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::platform::native::{TransportError, TransportErrorKind};

/// Converts the error of a connection to `host` that cannot be made, with the message of its innermost cause.
pub(super) fn connect_error(error: &(dyn Error + 'static), host: &str) -> TransportError {
    transport_error(error, host, connect_kind(error))
}

/// Converts the error of a call to `host`, likewise.
pub(super) fn call_error(error: &hyper::Error, host: &str) -> TransportError {
    transport_error(error, host, TransportErrorKind::Interrupted)
}

/// Converts the error of a response's body, likewise.
pub(super) fn body_error(error: &hyper::Error) -> TransportError {
    transport_error(error, "the server", TransportErrorKind::Interrupted)
}

/// Converts `error`, which is of `kind` unless its causes tell more.
pub(super) fn transport_error(error: &(dyn Error + 'static), host: &str, kind: TransportErrorKind) -> TransportError {
    if let Some(tls) = causes(error).find_map(rustls_error) {
        return TransportError { kind: TransportErrorKind::Tls, message: tls_problem(tls, host) };
    }
    let gone = if causes(error).any(is_unanswered_ping) {
        Some("it fell silent and did not answer an HTTP/2 PING")
    } else if causes(error).any(is_dropped) {
        Some("it was closed, or it fell silent and did not answer an HTTP/2 PING")
    } else {
        None
    };
    if let Some(message) = gone {
        return TransportError { kind: TransportErrorKind::Interrupted, message: message.to_owned() };
    }
    let message = if kind == TransportErrorKind::Dns {
        format!("DNS has no answer for {host}")
    } else {
        causes(error).last().unwrap_or(error).to_string()
    };
    TransportError { kind, message }
}

/// Returns `error` and its causes, innermost last.
pub(super) fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

/// The library reports a connect error without its stage; its resolver names itself in the chain.
fn connect_kind(error: &(dyn Error + 'static)) -> TransportErrorKind {
    if causes(error).any(|cause| cause.to_string() == "dns error") {
        TransportErrorKind::Dns
    } else {
        TransportErrorKind::Connect
    }
}

/// I/O errors, often nested, wrap errors without showing them as their source.
fn rustls_error<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.downcast_ref().or_else(|| inside.and_then(|inner| rustls_error(inner)))
}

/// Recognises hyper's error for an unanswered PING.
fn is_unanswered_ping(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
}

/// Recognises the HTTP/2 library's error for a stream whose connection is gone.
fn is_dropped(cause: &(dyn Error + 'static)) -> bool {
    let error = cause.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Explains a failed TLS handshake with `host`.
fn tls_problem(error: &rustls::Error, host: &str) -> String {
    let rustls::Error::InvalidCertificate(problem) = error else { return error.to_string() };
    match problem {
        CertificateError::NotValidForName => format!("its TLS certificate is for another name than {host}"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("its TLS certificate is for {}, not for {}", names(presented), expected.to_str())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the TLS certificate of {host} has expired, or this machine's clock is ahead")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the TLS certificate of {host} is not valid yet, or this machine's clock is behind")
        }
        CertificateError::UnknownIssuer => format!(
            "the TLS certificate of {host} is signed by nobody this machine trusts; if a company's proxy or a virus \
             scanner opens connections, have the system trust its authority"
        ),
        other => format!("the TLS certificate of {host} cannot be used: {other}"),
    }
}

/// Formats a certificate's names without rustls's type marks, such as `DnsName("example.com")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inside = name.split_once('(').map_or(name.as_str(), |(_, inside)| inside.trim_end_matches(')'));
        inside.trim_matches('"').to_owned()
    };
    let names: Vec<_> = presented.iter().take(MOST_NAMES).map(bare).collect();
    if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
}

/// Names of a certificate in one message.
const MOST_NAMES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_another_name_is_told_with_both_names() {
        let expected = rustls::pki_types::ServerName::try_from("chatgpt.com").expect("a name");
        let presented = vec![r#"DnsName("proxy.example")"#.to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        let problem = CertificateError::NotValidForNameContext { expected, presented };
        let told = tls_problem(&rustls::Error::InvalidCertificate(problem), "chatgpt.com");
        assert_eq!(told, "its TLS certificate is for proxy.example, 10.0.0.1, not for chatgpt.com");
    }

    #[test]
    fn every_problem_of_a_certificate_names_the_host() {
        for problem in [
            CertificateError::NotValidForName,
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::UnknownIssuer,
            CertificateError::Revoked,
        ] {
            let told = tls_problem(&rustls::Error::InvalidCertificate(problem), "chatgpt.com");
            assert!(told.contains("chatgpt.com") && told.contains("certificate"), "{told}");
        }
    }
}
