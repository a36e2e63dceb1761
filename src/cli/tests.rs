//! Tests of the command line.

use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::cli::config::args::CommandLine;

#[test]
fn the_definition_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn options_stand_before_and_after_the_command() {
    for words in [["codex-proxy", "--port", "1", "serve"], ["codex-proxy", "serve", "--port", "1"]] {
        let line = CommandLine::try_parse_from(words).expect("a command line");
        assert_eq!((line.options.port, line.command), (Some(1), Some(Command::Serve)));
    }
    assert_eq!(CommandLine::try_parse_from(["codex-proxy"]).expect("a command line").command, None);
}

#[test]
fn help_has_one_line_for_each_option_and_examples_at_the_end() {
    let help = help::definition(false).term_width(0).render_help().to_string();
    for argument in CommandLine::command().get_arguments() {
        let Some(long) = argument.get_long() else { continue };
        let own = |line: &&str| {
            let name = line.trim_start().trim_start_matches("-h, ").trim_start_matches("-V, ");
            name.strip_prefix(&format!("--{long}")).is_some_and(|rest| rest.starts_with([' ', '[']))
        };
        let lines: Vec<_> = help.lines().filter(own).collect();
        assert_eq!(lines.len(), 1, "--{long} in\n{help}");
        assert!(lines[0].len() > 40, "{lines:?}");
    }
    let (_, examples) = help.split_once("Examples:").expect("examples");
    assert!(examples.contains("codex-proxy demo"));
}

#[test]
fn a_usage_error_is_one_line() {
    for words in [&["codex-proxy", "--prot", "1"][..], &["codex-proxy", "--port", "x"], &["codex-proxy", "nonsense"]] {
        let error = CommandLine::try_parse_from(words).expect_err("wrong");
        let line = usage_error(&error);
        assert!(!line.contains('\n') && line.ends_with("see codex-proxy --help"), "{line}");
        assert!(!line.contains("error:") && line.contains(words[1]), "{line}");
    }
}

#[test]
fn a_usage_error_has_words_of_its_own() {
    for (words, said) in [
        (&["--port", "x"][..], r#"--port: "x" is not a whole number; see codex-proxy --help"#),
        (&["--port", "99999"], "--port: 99999 is not in 0..=65535; see codex-proxy --help"),
        (&["completions"], "<SHELL> is missing; see codex-proxy --help"),
        (
            &["--creds-store", "nowhere"],
            r#"--creds-store: "nowhere" is none of auto, xdg, legacy, keychain, env; see codex-proxy --help"#,
        ),
        (
            &["--max-body-size", "much"],
            r#"--max-body-size: "much" is not a size; write it like 64MiB; see codex-proxy --help"#,
        ),
    ] {
        let line: Vec<OsString> = [&["codex-proxy"], words].concat().iter().map(OsString::from).collect();
        assert_eq!(usage_error(&Given::parse(&line).expect_err("wrong")), said);
    }
}

#[test]
fn the_options_of_the_line_can_be_given_again() {
    let line =
        ["codex-proxy", "--port", "1", "service", "install", "--allow-host", "a", "--allow-host=b", "--log-bodies"];
    let given = Given::parse(&line.map(OsString::from)).expect("a command line");
    let mut flags = given.flags;
    flags.sort();
    assert_eq!(flags, ["--allow-host=a", "--allow-host=b", "--log-bodies=true", "--port=1"]);
    assert!(given.origins.of("port").is_some() && given.origins.of("host").is_none());
}

#[test]
fn the_help_of_every_command_is_as_ever() {
    fn add(command: &mut clap::Command, path: &str, whole: &mut String) {
        let help = command.clone().term_width(100).bin_name(path).render_help();
        whole.push_str(&format!("$ {path} --help\n{help}\n"));
        let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "help") {
            let inner = command.find_subcommand_mut(name).expect("a command");
            add(inner, &format!("{path} {name}"), whole);
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (name, is_brief) in [("help", false), ("help.short", true)] {
        let mut whole = String::new();
        let mut command = help::definition(is_brief);
        command.build();
        add(&mut command, "codex-proxy", &mut whole);
        settings.bind(|| insta::assert_snapshot!(name, whole));
    }
}

#[test]
fn the_arguments_of_a_tool_are_its_own() {
    let words = ["codex-proxy", "run", "--port", "1", "claude", "-p", "--help", "--port", "2", "--", "-x"];
    let line = Given::parse(&words.map(OsString::from)).expect("a command line").line;
    let Some(Command::Run(arguments)) = line.command else { panic!("{:?}", line.command) };
    assert_eq!(line.options.port, Some(1));
    assert_eq!(arguments.command, ["claude", "-p", "--help", "--port", "2", "--", "-x"]);
}

#[test]
fn the_help_of_setup_and_run_is_short() {
    for (command, own) in [("setup", "--write"), ("run", "TOOL")] {
        let help = Given::parse(&["codex-proxy", command, "--help"].map(OsString::from)).expect_err("help").to_string();
        assert!(help.contains(own) && help.contains("--port") && !help.contains("--max-body-size"), "{help}");
        assert!(help.lines().count() < 40, "{help}");
    }
}
