//! The command line as it is written: flags and commands, not yet made sense of.
//!
//! * Every option is also a key of the configuration file, under the name of its long flag.
//! * What is not given is `None` or empty here; defaults are [`crate::cli::config`]'s.

#![expect(clippy::doc_markdown, reason = "the comments are the help text, where backticks would show")]
#![allow(rustdoc::bare_urls, reason = "so would angle brackets")]

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use serde::Deserialize;

use crate::cli::config::value::{Alias, Aliases, ByteSize};

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
    /// What to do; `serve` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve the API (what happens without a command)
    #[default]
    Serve,
    /// Serve the API against a simulation: no account, no network, no files
    Demo,
    /// List the models and their reasoning efforts
    Models(Format),
    /// Show the login, its plan and expiry, and the store it is kept in
    Status(Format),
    /// Sign in with ChatGPT
    Login(Login),
    /// Sign out and remove the login from its store
    Logout(Logout),
    /// Print what a client has to be told, or tell it
    Setup(Setup),
    /// Check port, login, network and clock, and say what to do about each
    Doctor,
    /// Print a completion script for a shell
    Completions(Completions),
}

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct Format {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How to sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct Login {
    /// Sign in with a code on another device (for machines without a browser)
    #[arg(long, conflicts_with = "no_browser")]
    pub device: bool,
    /// Print the address instead of opening a browser, and take the pasted redirect
    #[arg(long)]
    pub no_browser: bool,
}

/// How to sign out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct Logout {
    /// End the login at the issuer too, for every program that shares it
    #[arg(long)]
    pub revoke: bool,
}

/// Which client to set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Setup {
    /// The client.
    #[command(subcommand)]
    pub client: Client,
}

/// A client that can be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Client {
    /// Environment of Claude Code: address, models and window, from the account's own list
    ClaudeCode(ClaudeCode),
}

/// How Claude Code is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct ClaudeCode {
    /// Put it into ~/.claude/settings.json, where everything else stays
    #[arg(long)]
    pub write: bool,
}

/// Which shell to complete in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Everything that flags, environment and configuration file can say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// Where the login is kept [env: CREDS_STORE] [default: auto]
    #[arg(long, value_name = "STORE", hide_possible_values = false, global = true)]
    pub creds_store: Option<CredsStore>,
    /// The login's file, for the stores auto, xdg and legacy [env: CREDS_PATH]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub creds_path: Option<PathBuf>,
    /// Do not renew an imported login at once (it then shares its tokens with the tool it came from)
    #[arg(long, global = true)]
    pub disable_migrate_refresh: bool,
    /// Address to listen on; localhost is both 127.0.0.1 and ::1 [env: HOST] [default: localhost]
    #[arg(long, value_name = "HOST", global = true)]
    pub host: Option<String>,
    /// Port to listen on; 0 takes any free one [env: PORT] [default: 9879]
    #[arg(long, value_name = "PORT", global = true)]
    pub port: Option<u16>,
    /// What to log: off, error, warn, info, debug, trace, or a filter [env: RUST_LOG] [default: info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Log request and answer bodies, without credentials (they hold your conversations)
    #[arg(long, global = true)]
    pub log_bodies: bool,
    /// Key that clients must present; may be repeated. Every user of this machine can read it in the process list:
    /// better use --api-key-file or the environment [env: API_KEY, separated by commas]
    #[arg(long, value_name = "KEY", global = true)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub api_key: Vec<String>,
    /// File with further keys, one a line; - is standard input [env: CODEX_PROXY_API_KEY_FILE]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub api_key_file: Option<PathBuf>,
    /// Host name that requests may be addressed to, beside localhost; may be repeated
    #[arg(long, value_name = "HOST", global = true)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub allow_host: Vec<String>,
    /// Origin whose web pages may call, such as https://app.example; may be repeated
    #[arg(long, value_name = "ORIGIN", global = true)]
    #[serde(deserialize_with = "crate::cli::config::value::one_or_many")]
    pub allow_origin: Vec<String>,
    /// Model for requests that name none [env: DEFAULT_MODEL] [default: the first that the account lists]
    #[arg(long, value_name = "MODEL", global = true)]
    pub default_model: Option<String>,
    /// Let the name FROM mean the model TO; may be repeated
    #[arg(long, value_name = "FROM=TO", global = true)]
    #[serde(deserialize_with = "Aliases::entries")]
    pub model_alias: Vec<Alias>,
    /// Refuse a request whose model is retired or exchanged by the backend, instead of naming the model that answers
    #[arg(long, global = true)]
    pub strict_model: bool,
    /// File whose text is sent as instructions; the client's own become a developer message [env: INSTRUCTIONS_FILE]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, global = true)]
    pub instructions_file: Option<PathBuf>,
    /// How chat answers show reasoning [default: reasoning_content]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub reasoning_format: Option<Reasoning>,
    /// Do not give the model its earlier reasoning back on the next turn of a chat
    #[arg(long, global = true)]
    pub no_reasoning_replay: bool,
    /// Size of a request body at most, such as 10MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", global = true)]
    pub max_body_size: Option<ByteSize>,
    /// Requests worked on at once at most [default: 512]
    #[arg(long, value_name = "COUNT", global = true)]
    pub max_concurrent: Option<usize>,
    /// Address of the backend [env: CODEX_UPSTREAM_URL] [default: https://chatgpt.com/backend-api/codex, for FedRAMP workspaces https://gov.chatgpt.com/backend-api/codex]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, global = true)]
    pub upstream_url: Option<String>,
    /// Header x-openai-account-routing-override of every call, for workspaces that need one (doctor tells) [env: CODEX_ACCOUNT_ROUTING_OVERRIDE]
    #[arg(long, value_name = "ROUTE", global = true)]
    pub account_routing_override: Option<String>,
    /// Address of the token issuer [env: CODEX_AUTH_URL] [default: https://auth.openai.com]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, global = true)]
    pub auth_url: Option<String>,
    /// Name this program gives itself at the backend [env: CODEX_ORIGINATOR] [default: codex-proxy]
    #[arg(long, value_name = "NAME", global = true)]
    pub originator: Option<String>,
    /// What only the configuration file says of Anthropic's API.
    #[arg(skip)]
    pub messages: Messages,
    /// Codex CLI version whose models the backend shows [env: CODEX_CLIENT_VERSION] [default: 0.169.0]
    #[arg(long, value_name = "VERSION", global = true)]
    pub client_version: Option<String>,
}

/// The table `messages` of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Messages {
    /// What the words of Anthropic's tiers mean.
    pub models: Tiers,
}

/// The table `messages.models`: the models that stand for Anthropic's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tiers {
    /// Stands for names with `opus`.
    pub opus: Option<String>,
    /// Stands for names with `sonnet`.
    pub sonnet: Option<String>,
    /// Stands for names with `haiku`.
    pub haiku: Option<String>,
}

/// Where the login is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredsStore {
    /// The program's own file, filled from another tool's login on first launch
    Auto,
    /// The program's own file
    Xdg,
    /// The Codex CLI's file
    Legacy,
    /// The system's keychain
    Keychain,
    /// The variables `ACCESS_TOKEN` and `ACCOUNT_ID`
    Env,
}

/// How chat answers show reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
pub enum Reasoning {
    /// In the field `reasoning_content`
    #[value(name = "reasoning_content")]
    #[serde(rename = "reasoning_content")]
    ReasoningContent,
    /// In the field `reasoning`
    #[serde(rename = "reasoning")]
    Reasoning,
    /// In the text, between `<think>` and `</think>`
    #[serde(rename = "think-tags")]
    ThinkTags,
    /// Not at all
    #[serde(rename = "none")]
    None,
}

const EXAMPLES: &str = "\
Examples:
  codex-proxy login                         sign in with ChatGPT
  codex-proxy                               serve on http://localhost:9879/v1
  codex-proxy demo                          try it without an account
  codex-proxy --api-key-file keys.txt       keys that clients must send, one a line
  codex-proxy --model-alias gpt-4o=gpt-6-luna
                                            let tools that insist on gpt-4o have gpt-6-luna
  codex-proxy doctor                        find out why it does not work

Point a client at it with OPENAI_BASE_URL=http://localhost:9879/v1 and any API key.
ENV=production logs one JSON object a line. ADMIN_API_KEY opens /admin/credentials.";
