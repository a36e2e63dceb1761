//! Errors of commands: one line each that says what to do.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::login::LoginError;
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
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// No socket could be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The login could not be created, removed or shown.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The HTTP client could not be created.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] TransportError),
    /// The ledger cannot be read.
    #[error("cannot read the ledger {}: {error}", .path.display())]
    Ledger {
        /// The database.
        path: PathBuf,
        /// The problem.
        error: LedgerError,
    },
    /// The command's output is closed.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
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
    /// Returns the exit code: 2 for an invalid command line, 1 for everything else.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Option { .. } => ExitCode::from(2),
            Self::ConfigFile { .. }
            | Self::File { .. }
            | Self::Bind(_)
            | Self::Login(_)
            | Self::Client(_)
            | Self::Ledger { .. }
            | Self::Output(_)
            | Self::Tool(_)
            | Self::Internal(_)
            | Self::Reported => ExitCode::FAILURE,
        }
    }
}
