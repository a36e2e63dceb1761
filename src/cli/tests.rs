//! Tests of the command line.

use clap::Parser as _;

use super::*;

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
    let help = CommandLine::command().render_help().to_string();
    for argument in CommandLine::command().get_arguments() {
        let Some(long) = argument.get_long() else { continue };
        let own = |line: &&str| {
            line.trim_start().trim_start_matches("-h, ").trim_start_matches("-V, ").starts_with(&format!("--{long} "))
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
        let line = usage_error(&error.to_string());
        assert!(!line.contains('\n') && line.ends_with("see codex-proxy --help"), "{line}");
        assert!(!line.contains("error:") && line.contains(words[1]), "{line}");
    }
}

#[test]
fn the_arguments_of_a_tool_are_its_own() {
    let words = ["codex-proxy", "run", "--port", "1", "claude", "-p", "--help", "--port", "2", "--", "-x"];
    let line = parse(words.map(OsString::from)).expect("a command line");
    let Some(Command::Run(arguments)) = line.command else { panic!("{:?}", line.command) };
    assert_eq!(line.options.port, Some(1));
    assert_eq!(arguments.command, ["claude", "-p", "--help", "--port", "2", "--", "-x"]);
}

#[test]
fn the_help_of_setup_and_run_is_short() {
    for (command, own) in [("setup", "--write"), ("run", "TOOL")] {
        let help = parse(["codex-proxy", command, "--help"].map(OsString::from)).expect_err("help").to_string();
        assert!(help.contains(own) && help.contains("--port") && !help.contains("--max-body-size"), "{help}");
        assert!(help.lines().count() < 20, "{help}");
    }
}
