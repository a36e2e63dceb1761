//! The parsed command line: flags and commands, not yet resolved.
//!
//! * Every option is also a key of the configuration file, under the name of its long flag.
//! * An absent option is `None` or empty here; [`crate::cli::config`] has the defaults.

#![expect(clippy::doc_markdown, reason = "the comments are the help text, where backticks would show")]
#![allow(rustdoc::bare_urls, reason = "so would angle brackets")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use serde::{Deserialize, Serialize};

use crate::cli::config::value::{Alias, Aliases, ByteSize, count};
use crate::credentials::StoreChoice;
use crate::dialect::chat::options::ReasoningFormat;
use crate::keys::expiry;
use crate::keys::named::{KeyName, NamedKey};
use crate::models::effort::Effort;
use crate::upstream::UpstreamTransport;

/// Use a ChatGPT Plus/Pro subscription from any tool that speaks the OpenAI API.
#[derive(Debug, Parser)]
#[command(name = "codex-proxy", version, after_help = EXAMPLES)]
#[command(override_usage = "codex-proxy [OPTIONS] [COMMAND]", help_expected = true, disable_help_flag = true)]
pub struct CommandLine {
    /// The options, before or after the command.
    #[command(flatten)]
    pub options: Options,
    /// Read options from this TOML file [env: CODEX_PROXY_CONFIG] [default: ~/.config/codex-proxy/config.toml, on Windows in %APPDATA%]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true, help_heading = heading::GLOBAL)]
    pub config: Option<PathBuf>,
    /// Print this help; -h prints the short one
    #[arg(short, long, action = ArgAction::HelpShort, global = true, help_heading = heading::GLOBAL)]
    help: Option<bool>,
    /// The command; `serve` if absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command of the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve the API (the default command)
    #[default]
    Serve,
    /// Serve the API against a simulation: no account, no network, no files
    Demo,
    /// List the models and their reasoning efforts
    Models(Format),
    /// Show the login, its plan and expiry, and the store it is kept in
    Status(Format),
    /// Show what requests have cost, by model, client or day
    Usage(UsageArguments),
    /// Make, list and remove keys with names and limits
    Keys(KeysArguments),
    /// Sign in with ChatGPT
    Login(LoginArguments),
    /// Sign out and remove the login from its store
    Logout(LogoutArguments),
    /// Show a tool's settings for this proxy, or write them into its file
    Setup(SetupArguments),
    /// Start a tool with settings for this proxy, without a change of its files
    Run(RunArguments),
    /// Check port, login, network and clock, and say how to fix each problem
    Doctor,
    /// Show the options in force and where each was set, or the schema of the configuration file
    Config(ConfigArguments),
    /// Ask the running server whether it serves; the exit code tells (for health checks)
    Health,
    /// Run in the background from your login on: systemd, launchd or a Windows task
    Service(ServiceArguments),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS)]
    Completions(Completions),
}

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct ConfigArguments {
    /// The action.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// An action on the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigAction {
    /// Show each option's value, and the flag, variable or file that set it; what is printed is a configuration file
    Show(Format),
    /// Print the configuration file's JSON Schema, for editors
    Schema,
}

/// What to do with the named keys.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct KeysArguments {
    /// The action.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// An action on the named keys.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum KeysAction {
    /// Make a key and print it, this once; a running server knows it within a second
    Add(AddKeyArguments),
    /// List the keys and their limits
    List(Format),
    /// Remove a key; a running server refuses it within a second
    Remove(RemoveKeyArguments),
}

/// The options of `keys add`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AddKeyArguments {
    /// The name, as the log and `usage --by client` show it
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    pub name: KeyName,
    /// Models that it may use, separated by commas; aliases too [default: all]
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    pub models: Vec<String>,
    /// Highest reasoning effort: none, minimal, low, medium, high, xhigh or max
    #[arg(long, value_name = "EFFORT", value_parser = effort)]
    pub max_effort: Option<Effort>,
    /// Tokens of a day in UTC, input and output together, such as 500k or 2M
    #[arg(long, value_name = "N", value_parser = count)]
    pub tokens_per_day: Option<u64>,
    /// Requests of any sixty seconds, at most 10000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(NamedKey::MOST_REQUESTS)))]
    pub requests_per_minute: Option<u32>,
    /// Last day, such as 2026-12-31, or the instant of its end, such as 2026-12-31T18:00:00Z
    #[arg(long, value_name = "DATE", value_parser = expiry::parse)]
    pub expires: Option<u64>,
}

/// The options of `keys remove`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RemoveKeyArguments {
    /// The name
    #[arg(value_name = "NAME")]
    pub name: String,
}

fn effort(word: &str) -> Result<Effort, String> {
    let levels = Effort::ALL.map(Effort::as_str).join(", ");
    Effort::parse(word).ok_or_else(|| format!("{word:?} is none of {levels}"))
}

/// What to do with the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct ServiceArguments {
    /// The action.
    #[command(subcommand)]
    pub action: ServiceAction,
}

/// An action on the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ServiceAction {
    /// Write the service's files; the options of the command line become the service's
    Install(InstallArguments),
    /// Stop the service and remove its files
    Uninstall(UninstallArguments),
    /// Show whether it is installed, and whether it runs
    Status,
    /// Show its log
    Logs(LogsArguments),
}

/// The options of `service install`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct InstallArguments {
    /// Replace files that were changed by hand
    #[arg(long)]
    pub force: bool,
    /// Let systemd open the port and start the service with the first request
    #[arg(long)]
    pub socket: bool,
    /// Leave out what needs user namespaces, for systems that forbid them
    #[arg(long)]
    pub no_sandbox: bool,
}

/// The options of `service uninstall`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct UninstallArguments {
    /// Remove files that were changed by hand, too
    #[arg(long)]
    pub force: bool,
}

/// The options of `service logs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct LogsArguments {
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub follow: bool,
}

/// The output format of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct Format {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The options of `usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct UsageArguments {
    /// Days to sum up, today included
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// What to sum up by
    #[arg(long, value_name = "BY", value_enum, default_value_t = SumsBy::Model)]
    pub by: SumsBy,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `usage` sums up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SumsBy {
    /// The model sent
    Model,
    /// The client's key
    Client,
    /// The day
    Day,
}

/// The options of `login`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct LoginArguments {
    /// Sign in with a code on another device (for machines without a browser)
    #[arg(long, conflicts_with = "no_browser")]
    pub device: bool,
    /// Print the address instead of opening a browser, and take the pasted redirect
    #[arg(long)]
    pub no_browser: bool,
}

/// The options of `logout`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct LogoutArguments {
    /// Revoke the login at the issuer too, for every program that shares it
    #[arg(long)]
    pub revoke: bool,
}

/// What `setup` does, and for which tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SetupArguments {
    /// The tool; without one, the tools are listed
    #[arg(value_name = "TOOL")]
    pub tool: Option<String>,
    /// Put the settings into the tool's own file, where everything else stays
    #[arg(long)]
    pub write: bool,
    /// Take them out of it again
    #[arg(long, conflicts_with = "write")]
    pub remove: bool,
    /// Show or write the key of CODEX_PROXY_API_KEY, --api-key or --api-key-file in place of a placeholder
    #[arg(long)]
    pub with_key: bool,
}

/// The tool that `run` starts.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunArguments {
    /// The tool, and its own arguments; options of codex-proxy's stand before it
    #[arg(value_names = ["TOOL", "ARGS"], required = true, trailing_var_arg = true, num_args = 1..)]
    pub command: Vec<OsString>,
}

/// The shell to complete in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// The options of flags, environment and configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// Store of the login [env: CREDS_STORE] [default: auto]
    #[arg(long, value_name = "STORE", hide_possible_values = false, global = true, help_heading = heading::LOGIN)]
    pub creds_store: Option<StoreChoice>,
    /// The login's file, for the stores auto, xdg and legacy [env: CREDS_PATH]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true, help_heading = heading::LOGIN)]
    #[serde(serialize_with = "crate::cli::config::value::shown_path")]
    pub creds_path: Option<PathBuf>,
    /// Do not renew an imported login at once (it then shares its tokens with the tool it came from)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, global = true, help_heading = heading::LOGIN)]
    pub disable_migrate_refresh: Option<bool>,
    /// Address to listen on; localhost is both 127.0.0.1 and ::1 [env: HOST] [default: localhost]
    #[arg(long, value_name = "HOST", global = true, help_heading = heading::SERVER)]
    pub host: Option<String>,
    /// Port to listen on; 0 means any free port [env: PORT] [default: 9879]
    #[arg(long, value_name = "PORT", global = true, help_heading = heading::SERVER)]
    pub port: Option<u16>,
    /// Log level: off, error, warn, info, debug, trace, or a filter [env: RUST_LOG] [default: info]
    #[arg(long, value_name = "LEVEL", global = true, help_heading = heading::LOG)]
    pub log_level: Option<String>,
    /// Log request and answer bodies, without credentials (they hold your conversations)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, global = true, help_heading = heading::LOG)]
    pub log_bodies: Option<bool>,
    /// Key that clients must send; may be repeated. Every user of this machine can read it in the process list: prefer
    /// --api-key-file or the environment [env: API_KEY, separated by commas]
    #[arg(long, value_name = "KEY", global = true, help_heading = heading::SERVER)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many", skip_serializing)]
    pub api_key: Vec<String>,
    /// File with more keys, one per line; - is standard input
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true, help_heading = heading::SERVER)]
    #[serde(serialize_with = "crate::cli::config::value::shown_path")]
    pub api_key_file: Option<PathBuf>,
    /// Host name that requests may be addressed to, beside localhost; may be repeated
    #[arg(long, value_name = "HOST", global = true, help_heading = heading::SERVER)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub allow_host: Vec<String>,
    /// Origin of web pages that may call, such as https://app.example; may be repeated
    #[arg(long, value_name = "ORIGIN", global = true, help_heading = heading::SERVER)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub allow_origin: Vec<String>,
    /// Model for requests that name none [env: DEFAULT_MODEL] [default: the first that the account lists]
    #[arg(long, value_name = "MODEL", global = true, help_heading = heading::MODELS)]
    pub default_model: Option<String>,
    /// Map the name FROM to the model TO; may be repeated
    #[arg(long, value_name = "FROM=TO", global = true, help_heading = heading::MODELS)]
    #[serde(deserialize_with = "Aliases::entries")]
    pub model_alias: Vec<Alias>,
    /// Refuse a request whose model is retired or replaced by the backend, instead of naming the model that answers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, global = true, help_heading = heading::MODELS)]
    pub strict_model: Option<bool>,
    /// File with the instructions to send; the client's own become a developer message [env: INSTRUCTIONS_FILE]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true, help_heading = heading::MODELS)]
    #[serde(serialize_with = "crate::cli::config::value::shown_path")]
    pub instructions_file: Option<PathBuf>,
    /// Form of reasoning in chat answers [default: reasoning_content]
    #[arg(long, value_name = "FORMAT", global = true, help_heading = heading::MODELS)]
    pub reasoning_format: Option<ReasoningFormat>,
    /// Do not return a chat's earlier reasoning to the model on the next turn
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, global = true, help_heading = heading::MODELS)]
    pub no_reasoning_replay: Option<bool>,
    /// Largest request body, such as 10MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", global = true, help_heading = heading::SERVER)]
    pub max_body_size: Option<ByteSize>,
    /// Most requests at the same time [default: 512]
    #[arg(long, value_name = "COUNT", global = true, help_heading = heading::SERVER)]
    pub max_concurrent: Option<usize>,
    /// Threads that serve, one connection on one of them [default: one a processor, at most 4]
    #[arg(long, value_name = "COUNT", global = true, help_heading = heading::SERVER)]
    pub threads: Option<usize>,
    /// Days that the ledger of requests is kept, without any text of them; 0 records none [default: 90]
    #[arg(long, value_name = "DAYS", global = true, help_heading = heading::LEDGER)]
    pub ledger_days: Option<u32>,
    /// Address of the backend [env: CODEX_UPSTREAM_URL] [default: https://chatgpt.com/backend-api/codex, for FedRAMP workspaces https://gov.chatgpt.com/backend-api/codex]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, global = true, help_heading = heading::BACKEND)]
    pub upstream_url: Option<String>,
    /// How calls for answers reach the backend [default: http]
    #[arg(long, value_name = "TRANSPORT", global = true, help_heading = heading::BACKEND)]
    pub upstream_transport: Option<UpstreamTransport>,
    /// Header x-openai-account-routing-override of every call, for workspaces that need one (see doctor) [env:
    /// CODEX_ACCOUNT_ROUTING_OVERRIDE]
    #[arg(long, value_name = "ROUTE", global = true, help_heading = heading::BACKEND)]
    pub account_routing_override: Option<String>,
    /// Address of the token issuer [env: CODEX_AUTH_URL] [default: https://auth.openai.com]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, global = true, help_heading = heading::BACKEND)]
    pub auth_url: Option<String>,
    /// Name of this program in calls to the backend [env: CODEX_ORIGINATOR] [default: codex-proxy]
    #[arg(long, value_name = "NAME", global = true, help_heading = heading::BACKEND)]
    pub originator: Option<String>,
    /// Settings of Anthropic's API that only the configuration file has.
    #[arg(skip)]
    pub messages: MessagesTable,
    /// Codex CLI version sent to the backend, which decides the models listed [env: CODEX_CLIENT_VERSION] [default:
    /// 0.169.0]
    #[arg(long, value_name = "VERSION", global = true, help_heading = heading::BACKEND)]
    pub client_version: Option<String>,
}

/// The headings of the options in the help.
pub mod heading {
    /// What every command has.
    pub const GLOBAL: &str = "Global options";
    /// Where the server listens, who may reach it, and how much it takes.
    pub const SERVER: &str = "Server";
    /// Where the login is.
    pub const LOGIN: &str = "Login";
    /// Models and what is made of a request for them.
    pub const MODELS: &str = "Models";
    /// How long the ledger of requests is kept.
    pub const LEDGER: &str = "Ledger";
    /// What is logged.
    pub const LOG: &str = "Log";
    /// The backend, and how this program calls itself there.
    pub const BACKEND: &str = "Backend (advanced)";
}

/// The table `messages` of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessagesTable {
    /// What the words of Anthropic's tiers mean.
    pub models: TierTable,
}

/// The table `messages.models`: the models that stand for Anthropic's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierTable {
    /// Stands for names with `opus`.
    pub opus: Option<String>,
    /// Stands for names with `sonnet`.
    pub sonnet: Option<String>,
    /// Stands for names with `haiku`.
    pub haiku: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  codex-proxy login                         sign in with ChatGPT
  codex-proxy                               serve on http://localhost:9879/v1
  codex-proxy demo                          try it without an account
  codex-proxy --api-key-file keys.txt       keys that clients must send, one a line
  codex-proxy --model-alias gpt-4o=gpt-6-luna
                                            let tools that insist on gpt-4o have gpt-6-luna
  codex-proxy setup opencode                show a tool's settings; --write puts them into its file
  codex-proxy run claude                    start a tool with them, and change none of its files
  codex-proxy keys add ci --tokens-per-day 1M
                                            make a key of its own for one client, with limits
  codex-proxy doctor                        find out why it does not work

Point a client at it with OPENAI_BASE_URL=http://localhost:9879/v1 and any API key.
Every option is also a variable: --max-body-size is CODEX_PROXY_MAX_BODY_SIZE.
Flags beat variables, and variables beat the file.
CODEX_PROXY_ENV=production logs one JSON object a line.
CODEX_PROXY_ADMIN_API_KEY opens /admin/credentials.
ACCESS_TOKEN and ACCOUNT_ID are the login of --creds-store env.
CODEX_HOME, XDG_CONFIG_HOME, XDG_CACHE_HOME, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE
and NO_COLOR have their usual meanings.";

const COMPLETIONS: &str = "\
Where the script goes:
  bash        codex-proxy completions bash > ~/.local/share/bash-completion/completions/codex-proxy
  zsh         codex-proxy completions zsh > \"${fpath[1]}/_codex-proxy\"
  fish        codex-proxy completions fish > ~/.config/fish/completions/codex-proxy.fish
  powershell  codex-proxy completions powershell | Out-String | Invoke-Expression    (in $PROFILE)";
