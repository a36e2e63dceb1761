//! The help: each command shows the options that matter to it, its own first.
//!
//! * Every option is accepted by every command, so that one configuration serves them all; those without effect are hidden.
//! * `-h` shows the options that most people need, `--help` all of them.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, parser::ValueSource};

use crate::cli::config::args::{CommandLine, heading};
use crate::cli::config::origins::{OptionOrigin, Origins};

/// A parsed command line, and which options were given on it.
#[derive(Debug)]
pub struct Given {
    /// The parsed line.
    pub line: CommandLine,
    /// The options of the line.
    pub origins: Origins,
    /// The options that concern the server, as flags to give again: `--port=3000`.
    pub flags: Vec<OsString>,
}

impl Given {
    /// Parses the arguments of a process, its name first.
    pub fn parse(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let before_operands = arguments.iter().take_while(|argument| *argument != OsStr::new("--"));
        let is_brief = before_operands.clone().any(|argument| argument == OsStr::new("-h"));
        let matches = definition(is_brief).try_get_matches_from(arguments)?;
        let line = CommandLine::from_arg_matches(&matches)?;
        let mut origins = Origins::default();
        let mut flags = Vec::new();
        for option in options_of(&matches) {
            origins.note(&option, OptionOrigin::Flag);
            flags.extend(again(&matches, &option));
        }
        Ok(Self { line, origins, flags })
    }
}

/// Returns the definition of the command line, each command with the options that it shows.
pub fn definition(is_brief: bool) -> Command {
    let whole = CommandLine::command();
    let options: Vec<_> = whole.get_arguments().filter(|option| option.is_global_set()).cloned().collect();
    let names: Vec<_> = whole.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut whole = whole.mut_args(|option| {
        let is_hidden = is_brief && !is_essential(option.get_long());
        option.hide(is_hidden)
    });
    for name in names {
        let hidden = options.iter().filter(|option| {
            let is_shown = is_shown_by(&name, option);
            !is_shown || is_brief && !is_essential(option.get_long())
        });
        let hidden: Vec<_> = hidden.map(|option| option.clone().hide(true)).collect();
        whole = whole.mut_subcommand(name, |command| command.args(hidden));
    }
    whole
}

fn is_shown_by(command: &str, option: &Arg) -> bool {
    match command {
        "setup" | "run" => option.get_long().is_some_and(|option| OF_TOOLS.contains(&option)),
        _ => option.get_help_heading().is_none_or(|heading| headings_of(command).contains(&heading)),
    }
}

fn headings_of(command: &str) -> &'static [&'static str] {
    use heading::{BACKEND, GLOBAL, LEDGER, LOG, LOGIN, MODELS, SERVER};
    match command {
        "usage" => &[GLOBAL, LOG],
        "completions" | "keys" | "service" => &[GLOBAL],
        "health" => &[GLOBAL, SERVER],
        "login" | "logout" | "status" => &[GLOBAL, LOGIN, BACKEND, LOG],
        "models" => &[GLOBAL, LOGIN, MODELS, BACKEND, LOG],
        _ => &[GLOBAL, SERVER, LOGIN, MODELS, LEDGER, LOG, BACKEND],
    }
}

fn is_essential(option: Option<&str>) -> bool {
    option.is_none_or(|option| ESSENTIAL.contains(&option))
}

/// The long names of the options given on the command line.
fn options_of(matches: &ArgMatches) -> Vec<String> {
    let definition = CommandLine::command();
    let given = definition.get_arguments().filter(|option| option.get_long().is_some());
    let given = given.filter(|option| matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine));
    given.filter_map(|option| option.get_long().map(str::to_owned)).collect()
}

fn again(matches: &ArgMatches, option: &str) -> Vec<OsString> {
    let values = matches.get_raw(&option.replace('-', "_")).into_iter().flatten();
    let flag = |value: &OsStr| {
        let mut flag = OsString::from(format!("--{option}="));
        flag.push(value);
        flag
    };
    values.map(flag).collect()
}

/// The options that the help of `setup` and `run` shows: where the proxy is, and its key.
const OF_TOOLS: [&str; 4] = ["host", "port", "api-key-file", "help"];
/// The options of the short help.
const ESSENTIAL: [&str; 9] =
    ["host", "port", "api-key-file", "creds-store", "default-model", "log-level", "config", "help", "version"];
