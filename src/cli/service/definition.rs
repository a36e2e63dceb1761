//! What every service file is rendered from, whatever the system.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::cli::config::Config;
use crate::cli::config::args::InstallArguments;
use crate::cli::error::CliError;

/// A background service of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceDefinition {
    /// The program's file.
    pub(super) program: String,
    /// The flags of its start.
    pub(super) flags: Vec<String>,
    /// Variables that the service would otherwise not have, by name.
    pub(super) variables: Vec<(String, String)>,
    /// Directories, beside the usual ones, that the program writes to.
    pub(super) writable: Vec<String>,
    /// The file of the log, where the system keeps none.
    pub(super) log: String,
    /// Whether to use what needs user namespaces.
    pub(super) has_sandbox: bool,
    /// The addresses that the service manager opens; none if the program does.
    pub(super) sockets: Vec<String>,
}

impl ServiceDefinition {
    /// Describes the service of `program` with `flags`, which are those of the command line in force.
    pub(super) fn new(
        config: &Config,
        arguments: InstallArguments,
        flags: &[OsString],
        program: &Path,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, CliError> {
        let flags = flags.iter().map(|flag| lasting(flag)).collect::<Result<Vec<_>, _>>()?;
        let variables = VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?)));
        let variables = variables.map(|(name, value)| Ok((name.clone(), plain(&name, &value)?)));
        let own = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
        let environment = &config.environment;
        let login = config.store.path.as_deref().map(|path| environment.expand(path));
        let written = [
            environment.config_directory.is_some().then(|| environment.own_directory()),
            environment.own_cache_directory(),
            environment.own_state_directory(),
            environment.legacy_path().parent().map(Path::to_owned),
            login.as_deref().and_then(Path::parent).map(Path::to_owned),
        ];
        Ok(Self {
            program: plain("the program's path", program.as_os_str())?,
            flags,
            variables: variables.collect::<Result<_, CliError>>()?,
            writable: written.into_iter().filter_map(own).collect(),
            log: own(environment.own_cache_directory()).unwrap_or_default() + "/codex-proxy.log",
            has_sandbox: !arguments.no_sandbox,
            sockets: if arguments.socket { sockets(config)? } else { Vec::new() },
        })
    }
}

/// Returns a flag that means the same in another directory and that may stand in a file.
fn lasting(flag: &OsStr) -> Result<String, CliError> {
    let flag = plain("a flag", flag)?;
    let Some((name, value)) = flag.split_once('=') else { return Ok(flag) };
    if name == "--api-key" {
        let problem = "a key would stand in the service's file; put it into a file of its own and name that with \
                       --api-key-file"
            .to_owned();
        return Err(CliError::Option { option: name.to_owned(), problem });
    }
    if !PATHS.contains(&name) || value.starts_with('~') {
        return Ok(flag);
    }
    if value == "-" {
        let problem = "a service has no standard input; name a file".to_owned();
        return Err(CliError::Option { option: name.to_owned(), problem });
    }
    let path = std::path::absolute(value)?;
    Ok(format!("{name}={}", path.display()))
}

fn plain(what: &str, text: &OsStr) -> Result<String, CliError> {
    let wrong = |problem: &str| CliError::Option { option: what.to_owned(), problem: problem.to_owned() };
    let text = text.to_str().ok_or_else(|| wrong("it is not UTF-8 text, which a service's file has to be"))?;
    if text.chars().any(char::is_control) {
        return Err(wrong("it has a control character, which a service's file cannot hold"));
    }
    Ok(text.to_owned())
}

fn sockets(config: &Config) -> Result<Vec<String>, CliError> {
    let host = config.host.trim().trim_matches(['[', ']']);
    let hosts = if host.eq_ignore_ascii_case("localhost") { vec!["127.0.0.1", "::1"] } else { vec![host] };
    let wrong =
        |option: &str, problem: &str| CliError::Option { option: option.to_owned(), problem: problem.to_owned() };
    if config.port == 0 {
        return Err(wrong("--port", "the service manager needs to know the port that it opens"));
    }
    let address = |host: &str| match host.parse() {
        Ok(IpAddr::V4(address)) => Ok(format!("{address}:{}", config.port)),
        Ok(IpAddr::V6(address)) => Ok(format!("[{address}]:{}", config.port)),
        Err(_) => Err(wrong("--host", "with --socket it has to be localhost or an address")),
    };
    hosts.into_iter().map(address).collect()
}

/// Variables that a shell has and a service does not.
pub(super) const VARIABLES: [&str; 11] = [
    "ALL_PROXY",
    "CODEX_HOME",
    "CODEX_PROXY_CONFIG",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "https_proxy",
    "no_proxy",
];
/// Flags whose values are paths.
const PATHS: [&str; 4] = ["--api-key-file", "--config", "--creds-path", "--instructions-file"];
