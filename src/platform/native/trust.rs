//! The certificate authorities of TLS: the system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR` (not on macOS and
//! Windows, whose own verifier decides).
//!
//! * The configuration is built once for all connections: reading the system's authorities takes milliseconds.
//! * A variable without any certificate is an error at start: no connection could be made, and the verifier's message
//!   names neither the variable nor the file.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;

use crate::platform::native::settings::{Reach, TransportSettings};
use crate::platform::native::{TransportError, TransportErrorKind};

/// Builds the TLS configuration of `settings`, with HTTP/2 offered before HTTP/1.1.
pub(super) fn tls(settings: &TransportSettings) -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(error.to_string()))?;
    let mut config = match settings.reach {
        Reach::Loopback => builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth(),
        Reach::Network => {
            #[cfg(not(any(windows, target_vendor = "apple")))]
            variables::check(|name| std::env::var_os(name))?;
            let authorities = settings.authorities.iter().cloned();
            let verifier = Verifier::new_with_extra_roots(authorities, provider).map_err(|error| no_trust(&error))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn no_trust(error: &rustls::Error) -> TransportError {
    unusable(format!(
        "this system has no certificates of authorities to trust ({error}); install them (on Debian the package \
         ca-certificates), or name a file of them with SSL_CERT_FILE"
    ))
}

fn unusable(message: String) -> TransportError {
    TransportError { kind: TransportErrorKind::Request, message }
}

#[cfg(not(any(windows, target_vendor = "apple")))]
mod variables {
    //! `SSL_CERT_FILE` and `SSL_CERT_DIR`, by OpenSSL's rules: a file of certificates in PEM, and directories of such files.

    use std::ffi::OsString;
    use std::path::Path;
    use std::{env, fs};

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::{Error as PemError, PemObject as _};

    use super::unusable;
    use crate::platform::TransportError;

    /// Checks that the variables, read through `variable`, lead to certificates.
    pub(super) fn check(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), TransportError> {
        if let Some(file) = variable(FILE) {
            certificates(Path::new(&file)).map_err(|problem| names_nothing(FILE, &file, &problem))?;
        }
        let Some(directories) = variable(DIRECTORIES) else { return Ok(()) };
        let mut problem = "it names no directory".to_owned();
        for directory in env::split_paths(&directories).filter(|path| !path.as_os_str().is_empty()) {
            match any_certificate(&directory) {
                Ok(()) => return Ok(()),
                Err(reason) => problem = reason,
            }
        }
        Err(names_nothing(DIRECTORIES, &directories, &problem))
    }

    /// Checks `file`; the error is the reason that it holds no certificate.
    fn certificates(file: &Path) -> Result<(), String> {
        // A pipe would be waited for, and could not be read twice, by the verifier too.
        if !fs::metadata(file).map_err(|error| error.to_string())?.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        let mut all = CertificateDer::pem_file_iter(file).map_err(|error| match error {
            PemError::Io(error) => error.to_string(),
            other => other.to_string(),
        })?;
        match all.find_map(Result::ok) {
            Some(_) => Ok(()),
            None => Err("there is no certificate in it (PEM is expected)".to_owned()),
        }
    }

    fn any_certificate(directory: &Path) -> Result<(), String> {
        let files = fs::read_dir(directory).map_err(|error| error.to_string())?;
        let mut files = files.filter_map(Result::ok).map(|file| file.path()).filter(|path| path.is_file());
        if files.any(|file| certificates(&file).is_ok()) {
            return Ok(());
        }
        Err("no file in it holds a certificate (PEM is expected)".to_owned())
    }

    fn names_nothing(name: &str, value: &OsString, problem: &str) -> TransportError {
        unusable(format!("the variable {name} names {}, which cannot be used: {problem}", Path::new(value).display()))
    }

    const FILE: &str = "SSL_CERT_FILE";
    const DIRECTORIES: &str = "SSL_CERT_DIR";

    #[cfg(test)]
    mod tests {
        use super::*;

        fn told(name: &str, value: &Path) -> Option<String> {
            check(|asked| (asked == name).then(|| value.as_os_str().to_owned())).err().map(|error| error.message)
        }

        #[test]
        fn what_leads_to_no_certificate_is_named_with_its_path() {
            let place = tempfile::tempdir().expect("a directory");
            let empty = place.path().join("empty.pem");
            let key = place.path().join("key.pem");
            let certificate = place.path().join("certificate.pem");
            let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
            fs::write(&empty, "").expect("written");
            fs::write(&key, identity.signing_key.serialize_pem()).expect("written");
            let missing = place.path().join("missing");
            let pipe = place.path().join("pipe");
            rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
            let endless = Path::new("/dev/zero").to_owned();
            for file in [&missing, &empty, &key, &place.path().to_owned(), &pipe, &endless] {
                let told = told(FILE, file).unwrap_or_else(|| panic!("{}", file.display()));
                assert!(told.contains("SSL_CERT_FILE") && told.contains(&file.display().to_string()), "{told}");
            }
            for directory in [&missing, &empty, &place.path().to_owned()] {
                let told = told(DIRECTORIES, directory).unwrap_or_else(|| panic!("{}", directory.display()));
                assert!(told.contains("SSL_CERT_DIR") && told.contains(&directory.display().to_string()), "{told}");
            }
            assert!(told(DIRECTORIES, Path::new("")).is_some() && told(FILE, Path::new("")).is_some());

            fs::write(&certificate, identity.cert.pem()).expect("written");
            assert_eq!(told(FILE, &certificate), None);
            assert_eq!(told(DIRECTORIES, place.path()), None);
            let several = env::join_paths([&missing, &place.path().to_owned()]).expect("paths");
            assert_eq!(told(DIRECTORIES, Path::new(&several)), None);
            assert_eq!(told("OTHER", &missing), None);
        }
    }
}
