//! Errors of commands: one line each that says what to do.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::config::origins::{OptionOrigin, Origins};
use crate::cli::login::LoginError;
use crate::cli::terminal::OutputError;
use crate::ledger::summary::LedgerError;
use crate::platform::TransportError;
use crate::server::listen::BindError;

/// A command's failure. Its text is shown to the user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// An option's value is invalid. The user's to correct.
    #[error("{option}: {problem}")]
    Option {
        /// The flag, variable or key.
        option: String,
        /// The problem and the expected value.
        problem: String,
    },
    /// The configuration file cannot be used. The user's to correct.
    #[error("the configuration file {} {problem}", .path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// An option's file cannot be read.
    #[error("{option}: cannot read {}: {error}", .path.display())]
    File {
        /// The option.
        option: String,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// No socket could be bound.
    #[error("{error}{place}")]
    Bind {
        /// The reason.
        error: BindError,
        /// The place where the host or port was set, as an appendix.
        place: String,
    },
    /// The port is in use by this program.
    #[error("port {port} is in use by {what}; stop that one, or choose another port with --port{place}")]
    Taken {
        /// The port.
        port: u16,
        /// What serves there.
        what: &'static str,
        /// The place where the port was set, as an appendix.
        place: String,
    },
    /// The login could not be created, removed or shown.
    #[error(transparent)]
    Login(LoginError),
    /// The HTTP client could not be created.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] TransportError),
    /// The service's files were left alone, or its manager does not answer.
    #[error("{0}")]
    Service(String),
    /// The ledger cannot be read.
    #[error("cannot read the ledger {}: {error}", .path.display())]
    Ledger {
        /// The database.
        path: PathBuf,
        /// The problem.
        error: LedgerError,
    },
    /// The named keys cannot be read or changed. The user's to correct.
    #[error("the named keys in {}: {problem}", .path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// The command's output cannot be written.
    #[error("{0}")]
    Output(std::io::Error),
    /// The system refuses what the program needs: threads, descriptors, files.
    #[error("the system refuses what this program needs: {0}")]
    System(std::io::Error),
    /// A tool's settings file was left alone, with the reason.
    #[error("{0}")]
    Settings(String),
    /// A tool could not be started.
    #[error("{0}")]
    Tool(String),
    /// A defect of this program.
    #[error("internal error: {0}")]
    Internal(String),
    /// The problem was already reported on the output.
    #[error("")]
    Reported,
}

impl CliError {
    /// Names the options of this error by the places where they were set.
    #[must_use]
    pub fn located(self, origins: &Origins) -> Self {
        let set = |option: &str| match origins.of(option) {
            Some(origin @ (OptionOrigin::Variable(_) | OptionOrigin::File(_))) => format!(" (set by {origin})"),
            Some(OptionOrigin::Flag) | None => String::new(),
        };
        match self {
            Self::Option { option, problem } => Self::Option { option: origins.name(&option), problem },
            Self::File { option, path, error } => Self::File { option: origins.name(&option), path, error },
            Self::Bind { error, .. } => {
                let place = set(if matches!(error, BindError::InUse { .. }) { "port" } else { "host" });
                Self::Bind { error, place }
            }
            Self::Taken { port, what, .. } => Self::Taken { port, what, place: set("port") },
            other => other,
        }
    }

    /// Returns the exit code: 2 for an invalid command line, 75 ("try again") for an address that this machine does not have
    /// yet, such as that of a network that is not up, 1 for everything else.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Option { .. } => ExitCode::from(2),
            Self::Bind { error: BindError::Refused { error, .. }, .. }
                if error.kind() == ErrorKind::AddrNotAvailable =>
            {
                ExitCode::from(TRY_AGAIN)
            }
            Self::ConfigFile { .. }
            | Self::File { .. }
            | Self::Bind { .. }
            | Self::Taken { .. }
            | Self::Login(_)
            | Self::Service(_)
            | Self::Settings(_)
            | Self::Client(_)
            | Self::Ledger { .. }
            | Self::Keys { .. }
            | Self::Output(_)
            | Self::System(_)
            | Self::Tool(_)
            | Self::Internal(_)
            | Self::Reported => ExitCode::FAILURE,
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if OutputError::is(&error) { Self::Output(error) } else { Self::System(error) }
    }
}

impl From<LoginError> for CliError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Terminal(error) => error.into(),
            other => Self::Login(other),
        }
    }
}

impl From<BindError> for CliError {
    fn from(error: BindError) -> Self {
        Self::Bind { error, place: String::new() }
    }
}

/// `EX_TEMPFAIL` (<https://man.openbsd.org/sysexits.3>): a service manager may start the program again.
const TRY_AGAIN: u8 = 75;
