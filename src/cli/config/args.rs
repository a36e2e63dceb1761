//! The parsed command line: flags and commands, not yet resolved.
//!
//! * Every option is also a key of the configuration file, under the name of its long flag.
//! * An absent option is `None` or empty here; [`crate::cli::config`] has the defaults.

#![expect(clippy::doc_markdown, reason = "the comments are the help text, where backticks would show")]
#![allow(rustdoc::bare_urls, reason = "so would angle brackets")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use serde::Deserialize;

use crate::cli::config::value::{Alias, Aliases, ByteSize};
use crate::credentials::StoreChoice;
use crate::dialect::chat::options::ReasoningFormat;

/// Use a ChatGPT Plus/Pro subscription from any tool that speaks the OpenAI API.
#[derive(Debug, Parser)]
#[command(name = "codex-proxy", version, after_help = EXAMPLES, term_width = 0)]
#[command(override_usage = "codex-proxy [OPTIONS] [COMMAND]", help_expected = true, disable_help_flag = true)]
pub struct CommandLine {
    /// The options, before or after the command.
    #[command(flatten)]
    pub options: Options,
    /// Read options from this TOML file [env: CODEX_PROXY_CONFIG] [default: ~/.config/codex-proxy/config.toml, on Windows in %APPDATA%]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub config: Option<PathBuf>,
    /// Print this help
    #[arg(short, long, action = ArgAction::HelpShort, global = true)]
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
    /// Print a completion script for a shell
    Completions(Completions),
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
    /// Show or write the key of API_KEY, --api-key or --api-key-file in place of a placeholder
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// Store of the login [env: CREDS_STORE] [default: auto]
    #[arg(long, value_name = "STORE", hide_possible_values = false, global = true)]
    pub creds_store: Option<StoreChoice>,
    /// The login's file, for the stores auto, xdg and legacy [env: CREDS_PATH]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub creds_path: Option<PathBuf>,
    /// Do not renew an imported login at once (it then shares its tokens with the tool it came from)
    #[arg(long, global = true)]
    pub disable_migrate_refresh: bool,
    /// Address to listen on; localhost is both 127.0.0.1 and ::1 [env: HOST] [default: localhost]
    #[arg(long, value_name = "HOST", global = true)]
    pub host: Option<String>,
    /// Port to listen on; 0 means any free port [env: PORT] [default: 9879]
    #[arg(long, value_name = "PORT", global = true)]
    pub port: Option<u16>,
    /// Log level: off, error, warn, info, debug, trace, or a filter [env: RUST_LOG] [default: info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Log request and answer bodies, without credentials (they hold your conversations)
    #[arg(long, global = true)]
    pub log_bodies: bool,
    /// Key that clients must send; may be repeated. Every user of this machine can read it in the process list: prefer
    /// --api-key-file or the environment [env: API_KEY, separated by commas]
    #[arg(long, value_name = "KEY", global = true)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub api_key: Vec<String>,
    /// File with more keys, one per line; - is standard input [env: CODEX_PROXY_API_KEY_FILE]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub api_key_file: Option<PathBuf>,
    /// Host name that requests may be addressed to, beside localhost; may be repeated
    #[arg(long, value_name = "HOST", global = true)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub allow_host: Vec<String>,
    /// Origin of web pages that may call, such as https://app.example; may be repeated
    #[arg(long, value_name = "ORIGIN", global = true)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub allow_origin: Vec<String>,
    /// Model for requests that name none [env: DEFAULT_MODEL] [default: the first that the account lists]
    #[arg(long, value_name = "MODEL", global = true)]
    pub default_model: Option<String>,
    /// Map the name FROM to the model TO; may be repeated
    #[arg(long, value_name = "FROM=TO", global = true)]
    #[serde(deserialize_with = "Aliases::entries")]
    pub model_alias: Vec<Alias>,
    /// Refuse a request whose model is retired or replaced by the backend, instead of naming the model that answers
    #[arg(long, global = true)]
    pub strict_model: bool,
    /// File with the instructions to send; the client's own become a developer message [env: INSTRUCTIONS_FILE]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub instructions_file: Option<PathBuf>,
    /// Form of reasoning in chat answers [default: reasoning_content]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub reasoning_format: Option<ReasoningFormat>,
    /// Do not return a chat's earlier reasoning to the model on the next turn
    #[arg(long, global = true)]
    pub no_reasoning_replay: bool,
    /// Largest request body, such as 10MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", global = true)]
    pub max_body_size: Option<ByteSize>,
    /// Most requests at the same time [default: 512]
    #[arg(long, value_name = "COUNT", global = true)]
    pub max_concurrent: Option<usize>,
    /// Threads that serve, one connection on one of them [env: CODEX_PROXY_THREADS] [default: one a processor, at most 4]
    #[arg(long, value_name = "COUNT", global = true)]
    pub threads: Option<usize>,
    /// Days that the ledger of requests is kept, without any text of them; 0 records none [env:
    /// CODEX_PROXY_LEDGER_DAYS] [default: 90]
    #[arg(long, value_name = "DAYS", global = true)]
    pub ledger_days: Option<u32>,
    /// Address of the backend [env: CODEX_UPSTREAM_URL] [default: https://chatgpt.com/backend-api/codex, for FedRAMP workspaces https://gov.chatgpt.com/backend-api/codex]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, global = true)]
    pub upstream_url: Option<String>,
    /// Header x-openai-account-routing-override of every call, for workspaces that need one (see doctor) [env:
    /// CODEX_ACCOUNT_ROUTING_OVERRIDE]
    #[arg(long, value_name = "ROUTE", global = true)]
    pub account_routing_override: Option<String>,
    /// Address of the token issuer [env: CODEX_AUTH_URL] [default: https://auth.openai.com]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, global = true)]
    pub auth_url: Option<String>,
    /// Name of this program in calls to the backend [env: CODEX_ORIGINATOR] [default: codex-proxy]
    #[arg(long, value_name = "NAME", global = true)]
    pub originator: Option<String>,
    /// Settings of Anthropic's API that only the configuration file has.
    #[arg(skip)]
    pub messages: MessagesTable,
    /// Codex CLI version sent to the backend, which decides the models listed [env: CODEX_CLIENT_VERSION] [default:
    /// 0.169.0]
    #[arg(long, value_name = "VERSION", global = true)]
    pub client_version: Option<String>,
}

/// The table `messages` of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessagesTable {
    /// What the words of Anthropic's tiers mean.
    pub models: TierTable,
}

/// The table `messages.models`: the models that stand for Anthropic's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
  codex-proxy doctor                        find out why it does not work

Point a client at it with OPENAI_BASE_URL=http://localhost:9879/v1 and any API key.
ENV=production logs one JSON object a line. ADMIN_API_KEY opens /admin/credentials.";
