//! `setup claude-code`: what it prints and writes, and what the doctor says of it.

use codex_proxy::simulator::SimulatedLogin;
use serde_json::Value;

use super::{simulated, text};
use crate::common::daemon::Home;

#[test]
fn claude_code_is_told_the_accounts_models_and_their_window() {
    let (_runtime, simulator, running) = simulated();
    let upstream_url = running.upstream_url();
    let home = Home::new();
    home.write(".config/codex-proxy/auth.json", &simulator.issue_login(SimulatedLogin::default()).to_string());
    let arguments =
        ["setup", "claude-code", "--upstream-url", &upstream_url, "--client-version", "0.160.0", "--port", "4711"];
    let printed = text(&home.run(&arguments).stdout);
    let block: Value = serde_json::from_str(printed.split("\n\n").next().expect("a block")).expect("JSON");
    let env = block["env"].as_object().expect("an object");
    assert_eq!(env["ANTHROPIC_BASE_URL"], "http://localhost:4711");
    assert_eq!((&env["ANTHROPIC_MODEL"], &env["ANTHROPIC_AUTH_TOKEN"]), (&"gpt-6.1-sol".into(), &"any".into()));
    assert_eq!(env["ANTHROPIC_DEFAULT_HAIKU_MODEL"], "gpt-6-luna");
    let number = |name: &str| env[name].as_str().expect("a text").parse::<u64>().expect("a number");
    let (whole, compact) = (number("CLAUDE_CODE_MAX_CONTEXT_TOKENS"), number("CLAUDE_CODE_AUTO_COMPACT_WINDOW"));
    assert!(whole >= 100_000 && compact == whole / 100 * 92, "{whole} {compact}");
    assert!(!home.path().join(".claude").exists(), "nothing is written unless asked for");

    home.write(".claude/settings.json", "{\n  \"model\": \"opus\",\n  \"env\": {\n    \"OWN\": \"1\"\n  }\n}\n");
    let output = home.run(&[&arguments[..], &["--write"]].concat());
    assert!(output.status.success() && text(&output.stdout).starts_with("wrote "), "{output:?}");
    let written = std::fs::read_to_string(home.path().join(".claude/settings.json")).expect("there");
    let file: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!((&file["model"], &file["env"]["OWN"]), (&"opus".into(), &"1".into()));
    assert_eq!(file["env"]["ANTHROPIC_MODEL"], "gpt-6.1-sol");
}

#[test]
fn the_doctor_notices_a_window_that_is_too_large() {
    let home = Home::new();
    let nobody = "http://127.0.0.1:9";
    let arguments = ["doctor", "--port", "4711", "--upstream-url", nobody, "--auth-url", nobody];
    let said = |home: &Home| {
        let found = text(&home.run(&arguments).stdout);
        found.lines().find(|line| line.contains(" claude ")).map(str::to_owned)
    };
    assert_eq!(said(&home), None, "nobody has set Claude Code up");
    let settings = |env: &str| format!("{{\"env\":{{\"ANTHROPIC_BASE_URL\":\"http://localhost:4711\"{env}}}}}");
    home.write(".claude/settings.json", &settings(""));
    assert!(said(&home).expect("a line").contains("setup claude-code"));
    home.write(".claude/settings.json", &settings(",\"CLAUDE_CODE_MAX_CONTEXT_TOKENS\":\"1000000\""));
    assert!(said(&home).expect("a line").contains("CLAUDE_CODE_MAX_CONTEXT_TOKENS is 1000000"));
    home.write(".claude/settings.json", &settings(",\"CLAUDE_CODE_AUTO_COMPACT_WINDOW\":200000"));
    assert!(said(&home).expect("a line").starts_with("✅"));
    let mut command = home.command(&arguments);
    command.env("CLAUDE_CODE_AUTO_COMPACT_WINDOW", "900000");
    let found = text(&command.output().expect("it runs").stdout);
    assert!(found.contains("CLAUDE_CODE_AUTO_COMPACT_WINDOW is 900000"), "{found}");
    home.write(".claude/settings.json", "{\"env\":{\"ANTHROPIC_BASE_URL\":\"https://api.anthropic.com\"}}");
    assert_eq!(said(&home), None, "it asks somebody else");
}
