//! Why a command fails, in one line that says what to do.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::login::LoginError;
use crate::platform::TransportError;
use crate::server::listen::BindError;

/// A command's failure. Its text is all a person sees of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// An option has a value that means nothing. The user's to correct.
    #[error("{option}: {problem}")]
    Option {
        /// The flag, variable or key.
        option: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The configuration file cannot be used. The user's to correct.
    #[error("the configuration file {} {problem}", .path.display())]
    ConfigFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that an option names cannot be read.
    #[error("{option}: cannot read {}: {error}", .path.display())]
    File {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// There is nothing to listen on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The login could not be made, removed or shown.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// No connection can be made at all.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] TransportError),
    /// The terminal or pipe the command writes to is gone.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// A defect of this program.
    #[error("internal error: {0}")]
    Internal(String),
    /// What is wrong has been said already, line by line.
    #[error("")]
    Reported,
}

impl CliError {
    /// What the process ends with: 2 where the command line is wrong, 1 for everything else.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Option { .. } => ExitCode::from(2),
            Self::ConfigFile { .. }
            | Self::File { .. }
            | Self::Bind(_)
            | Self::Login(_)
            | Self::Client(_)
            | Self::Output(_)
            | Self::Internal(_)
            | Self::Reported => ExitCode::FAILURE,
        }
    }
}
