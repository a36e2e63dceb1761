//! `setup`: what it shows, writes and takes out again, and what the doctor says of Claude Code's window.

use std::fs;
use std::path::Path;
use std::process::Output;

use codex_proxy::simulator::SimulatedLogin;
use serde_json::Value;

use super::{simulated, text};
use crate::common::daemon::{Daemon, Home};

#[test]
fn claude_code_is_told_the_accounts_models_and_their_window() {
    let (_runtime, simulator, running) = simulated();
    let upstream_url = running.upstream_url();
    let home = Home::new();
    home.write(".config/codex-proxy/auth.json", &simulator.issue_login(SimulatedLogin::default()).to_string());
    let arguments =
        ["setup", "claude-code", "--upstream-url", &upstream_url, "--client-version", "0.160.0", "--port", "4711"];
    let printed = text(&home.run(&arguments).stdout);
    let (place, rest) = printed.split_once(":\n").expect("a place");
    assert_eq!(Path::new(place), Path::new("# ~").join(".claude").join("settings.json"));
    let block: Value = serde_json::from_str(rest.split("\n\n").next().expect("a block")).expect("JSON");
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
    let written = fs::read_to_string(home.path().join(".claude/settings.json")).expect("there");
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
    assert!(said(&home).expect("a line").contains("setup --port 4711 claude-code"));
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

/// A backend that is not there: the models are then the built-in ones.
const NOBODY: &str = "http://127.0.0.1:9";

fn set_up(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["setup"], arguments, &["--port", "4711", "--upstream-url", NOBODY, "--auth-url", NOBODY]].concat())
}

fn done(home: &Home, arguments: &[&str]) -> String {
    let output = set_up(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

/// Each tool that is written, with its file, an earlier text of it, and a part of what it gets.
const WRITTEN: [(&str, &str, &str, &str); 9] = [
    (
        "opencode",
        ".config/opencode/opencode.jsonc",
        "{ // mine\n  \"theme\": 1.10, // last\n}\n",
        "\"context\": 272000",
    ),
    (
        "opencode",
        ".config/opencode/opencode.json",
        "{\"provider\":{\"x\":{}},\"model\":\"x/y\"}",
        "codex-proxy/gpt-6-luna",
    ),
    (
        "claude-code",
        ".claude/settings.json",
        "{\n  \"env\": {\n    \"ANTHROPIC_MODEL\": \"opus\"\n  },\n  \"n\": 1e3\n}",
        "250240",
    ),
    (
        "codex",
        ".codex/codex-proxy.config.toml",
        "# mine\nmodel = \"o\" # why\n\n[features]\nx = true\n",
        "wire_api = \"responses\"",
    ),
    ("aider", ".aider.conf.yml", "# mine\ndark-mode: true\nmodel: mine\n", "weak-model: \"openai/gpt-6-luna\""),
    ("aider", ".aider.model.metadata.json", "{\"mine\": {\"max_tokens\": 1}}", "\"max_input_tokens\": 272000"),
    ("zed", ".config/zed/settings.json", "// Zed\n{\n  \"theme\": \"One\",\n}\n", "\"max_tokens\": 272000"),
    (
        "llm",
        ".config/io.datasette.llm/extra-openai-models.yaml",
        "- model_id: mine\n  model_name: m\n",
        "aliases: [\"codex-proxy\"]",
    ),
    (
        "pi",
        ".pi/agent/models.json",
        "{\r\n  \"providers\": { \"mine\": { \"baseUrl\": \"u\" } }\r\n}",
        "\"contextWindow\": 272000",
    ),
];

#[test]
#[cfg(target_os = "linux")]
fn what_is_written_is_taken_out_again_to_the_byte() {
    for (tool, path, before, part) in WRITTEN {
        let home = Home::new();
        home.write(path, before);
        let file = home.path().join(path);
        let read = || fs::read_to_string(&file).expect("there");
        let said = done(&home, &[tool, "--write"]);
        let written = read();
        assert!(written.contains(part) && said.contains("wrote ") && said.contains("  + "), "{path}: {said}{written}");
        let backup = fs::read_to_string(format!("{}.codex-proxy-backup", file.display())).expect("a backup");
        assert_eq!(backup, before);
        let again = done(&home, &[tool, "--write"]);
        assert!(again.contains("nothing to change") && !again.contains("wrote "), "{again}");
        assert_eq!(read(), written);
        assert!(done(&home, &[tool, "--remove"]).contains("restored "), "{path}");
        assert_eq!(read(), before);
        assert!(done(&home, &[tool, "--remove"]).contains("nothing of codex-proxy's"), "{path}");
        assert!(!Path::new(&format!("{}.codex-proxy-backup", file.display())).exists(), "{path}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_new_file_is_private_and_is_removed_again() {
    use std::os::unix::fs::PermissionsExt as _;
    for (tool, path, _, part) in WRITTEN.iter().filter(|(_, path, ..)| !path.ends_with(".jsonc")) {
        let home = Home::new();
        done(&home, &[tool, "--write"]);
        let file = home.path().join(path);
        assert!(fs::read_to_string(&file).expect("there").contains(part), "{path}");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600, "{path}");
        assert!(done(&home, &[tool, "--remove"]).contains("removed "), "{path}");
        assert!(!file.exists(), "{path}");
    }
}

/// Runs `setup` for a proxy on `port`.
#[cfg(target_os = "linux")]
fn done_for(port: &str, home: &Home, arguments: &[&str]) -> String {
    let place = ["--port", port, "--upstream-url", NOBODY, "--auth-url", NOBODY];
    let output = home.run(&[&["setup"], arguments, &place[..]].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

#[test]
#[cfg(target_os = "linux")]
fn any_number_of_writes_is_taken_out_as_one() {
    for (tool, path, before, _) in WRITTEN {
        for before in [None, Some(before)] {
            let home = Home::new();
            if let Some(text) = before {
                home.write(path, text);
            } else if path.ends_with(".jsonc") {
                continue;
            }
            let made = done_for("4711", &home, &[tool, "--write"]);
            let again = done_for("4712", &home, &[tool, "--write"]);
            assert_eq!(made.contains("as it was before"), before.is_some(), "{path}: {made}");
            assert!(before.is_some() || !again.contains("as it was before"), "{path}: {again}");
            let said = done_for("4713", &home, &[tool, "--remove"]);
            assert!(said.contains(if before.is_some() { "restored " } else { "removed " }), "{path}: {said}");
            assert_eq!(fs::read_to_string(home.path().join(path)).ok().as_deref(), before, "{path}");
            assert!(!home.path().join(format!("{path}.codex-proxy-backup")).exists(), "{path}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_added_to_a_new_file_stays_without_a_backup() {
    let home = Home::new();
    let path = ".claude/settings.json";
    done_for("4711", &home, &["claude-code", "--write"]);
    let written = fs::read_to_string(home.path().join(path)).expect("there");
    home.write(path, &written.replacen('{', "{\n  \"theme\": \"dark\",", 1));
    done_for("4712", &home, &["claude-code", "--write"]);
    done_for("4712", &home, &["claude-code", "--remove"]);
    let left: Value = serde_json::from_str(&fs::read_to_string(home.path().join(path)).expect("there")).expect("JSON");
    assert_eq!(left, serde_json::json!({ "theme": "dark" }));
    assert!(!home.path().join(format!("{path}.codex-proxy-backup")).exists());
}

#[test]
fn what_was_changed_since_stays() {
    let home = Home::new();
    let path = ".claude/settings.json";
    home.write(path, "{\n  \"env\": {\n    \"ANTHROPIC_MODEL\": \"opus\"\n  }\n}\n");
    done(&home, &["claude-code", "--write"]);
    let written = fs::read_to_string(home.path().join(path)).expect("there");
    home.write(path, &written.replace("{\n  \"env\"", "{\n  \"new\": 1,\n  \"env\""));
    let said = done(&home, &["claude-code", "--remove"]);
    assert!(said.contains("took ") && said.contains("codex-proxy-backup"), "{said}");
    let after = fs::read_to_string(home.path().join(path)).expect("there");
    assert_eq!(after, "{\n  \"new\": 1,\n  \"env\": {\n    \"ANTHROPIC_MODEL\": \"opus\"\n  }\n}\n");
    // Another port than the one that was written, while a backup says that one was.
    home.write(path, &after);
    done(&home, &["claude-code", "--write"]);
    let other = ["--port", "4712", "--upstream-url", NOBODY, "--auth-url", NOBODY];
    assert!(home.run(&[&["setup", "claude-code", "--write"], &other[..]].concat()).status.success());
    let removed = home.run(&[&["setup", "claude-code", "--remove"], &other[..]].concat());
    assert!(text(&removed.stdout).contains("restored "), "{removed:?}");
    assert_eq!(fs::read_to_string(home.path().join(path)).expect("there"), after);
    home.write(path, "{\"env\": {\"ANTHROPIC_BASE_URL\": \"https://gateway.example\"}}");
    assert!(done(&home, &["claude-code", "--remove"]).contains("nothing of codex-proxy's"), "another's gateway");
}

/// Providers of this program's name that `setup` has not written: a tool, its file, and the text.
const HAND_MADE: [(&str, &str, &str); 6] = [
    (
        "opencode",
        ".config/opencode/opencode.json",
        "{\n  // mine\n  \"model\": \"codex-proxy/a\",\n  \"provider\": { \"codex-proxy\": { \"options\": { \"baseURL\": \
         \"https://relay.example/v1\", \"apiKey\": \"secret\" } } }\n}\n",
    ),
    (
        "opencode",
        ".config/opencode/opencode.json",
        "{ \"provider\": { \"codex-proxy\": { \"npm\": \"mine\", \"options\": { \"baseURL\": \"http://localhost:1/v1\" } } } }",
    ),
    (
        "pi",
        ".pi/agent/models.json",
        "{\"providers\":{\"codex-proxy\":{\"baseUrl\":\"https://relay.example/v1\",\"apiKey\":\"secret\"}}}\n",
    ),
    (
        "pi",
        ".pi/agent/models.json",
        "{\"providers\":{\"codex-proxy\":{\"baseUrl\":\"http://localhost:1/v1\",\"api\":\"openai-completions\",\"headers\":{}}}}\n",
    ),
    (
        "zed",
        ".config/zed/settings.json",
        "{\"language_models\":{\"openai_compatible\":{\"codex-proxy\":{\"api_url\":\"https://relay.example/v1\"}}}}\n",
    ),
    (
        "codex",
        ".codex/codex-proxy.config.toml",
        "model_provider = \"codex-proxy\"\n[model_providers.codex-proxy]\nbase_url = \"https://relay.example/v1\"\n",
    ),
];

#[test]
#[cfg(target_os = "linux")]
fn a_provider_of_the_same_name_that_was_made_by_hand_stays() {
    for (tool, path, before) in HAND_MADE {
        let home = Home::new();
        home.write(path, before);
        let file = home.path().join(path);
        let said = done(&home, &[tool, "--remove"]);
        assert!(said.contains("as it is") && !said.contains("restored"), "{path}: {said}");
        assert_eq!(fs::read_to_string(&file).expect("there"), before, "{path}");
        // What was written over it is undone, and what stands in its place since is kept again.
        done(&home, &[tool, "--write"]);
        assert!(done(&home, &[tool, "--remove"]).contains("restored "), "{path}");
        assert_eq!(fs::read_to_string(&file).expect("there"), before, "{path}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_setup_wrote_is_taken_out_without_a_backup_and_for_another_port() {
    // Claude Code has no place with this program's name: there, another port without a backup is the user's.
    for (tool, path, before, part) in WRITTEN.into_iter().filter(|(tool, ..)| *tool != "claude-code") {
        let home = Home::new();
        home.write(path, before);
        done_for("4712", &home, &[tool, "--write"]);
        let file = home.path().join(path);
        fs::remove_file(format!("{}.codex-proxy-backup", file.display())).expect("a backup");
        done(&home, &[tool, "--remove"]);
        let after = fs::read_to_string(&file).expect("there");
        assert!(!after.contains(part) && !after.contains("4712"), "{path}: {after}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_byte_order_mark_stays_where_it_is() {
    for (tool, path, before, part) in WRITTEN {
        let home = Home::new();
        let before = format!("\u{feff}{before}");
        home.write(path, &before);
        let read = || fs::read_to_string(home.path().join(path)).expect("there");
        done(&home, &[tool, "--write"]);
        assert!(read().starts_with('\u{feff}') && read().contains(part), "{path}: {}", read());
        assert!(done(&home, &[tool, "--write"]).contains("nothing to change"), "{path}");
        assert!(done(&home, &[tool, "--remove"]).contains("restored "), "{path}");
        assert_eq!(read(), before, "{path}");
    }
}

#[test]
fn a_key_is_written_only_when_asked_for() {
    let home = Home::new();
    let path = home.path().join(".claude/settings.json");
    let run = |arguments: &[&str]| {
        let mut command =
            home.command(&[&["setup", "claude-code", "--port", "4711", "--upstream-url", NOBODY], arguments].concat());
        let output = command.env("API_KEY", "look-for-me").output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let shown = run(&[]);
    assert!(shown.contains("YOUR_API_KEY") && !shown.contains("look-for-me"), "{shown}");
    let said = run(&["--write"]);
    assert!(said.contains("--with-key") && !said.contains("look-for-me"), "{said}");
    assert!(fs::read_to_string(&path).expect("there").contains("YOUR_API_KEY"));
    let said = run(&["--write", "--with-key"]);
    assert!(said.contains("***") && !said.contains("look-for-me"), "{said}");
    assert!(fs::read_to_string(&path).expect("there").contains("look-for-me"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
    let said = run(&["--write"]);
    assert!(said.contains("stays \"***\"") && !said.contains("look-for-me"), "a key is the user's: {said}");
    let mut command =
        home.command(&["setup", "aider", "--write", "--with-key", "--port", "4711", "--upstream-url", NOBODY]);
    let output = command.env("API_KEY", "look-for-me").output().expect("it runs");
    let said = text(&output.stdout);
    assert!(said.contains("openai-api-key: \"***\"") && !said.contains("look-for-me"), "{said}");
    assert!(fs::read_to_string(home.path().join(".aider.conf.yml")).expect("there").contains("look-for-me"));
    let output = set_up(&home, &["claude-code", "--with-key"]);
    assert_eq!(output.status.code(), Some(2), "no key is known: {output:?}");
}

#[test]
fn what_cannot_be_written_is_left_alone() {
    let home = Home::new();
    for (tool, path, before, part) in [
        ("claude-code", ".claude/settings.json", "{\n  // a comment\n}", "line 2, column 3"),
        ("claude-code", ".claude/settings.json", "{\"env\": 1}", "env that is no object"),
        ("codex", ".codex/codex-proxy.config.toml", "a = 1\nb\n", "line 2"),
        ("aider", ".aider.conf.yml", "a: 1\nopenai-api-base: x\n", "line 2"),
    ] {
        home.write(path, before);
        let output = set_up(&home, &[tool, "--write"]);
        // Above it stands that no proxy runs.
        let said = text(&output.stderr);
        let errors = said.lines().last().expect("an error");
        assert!(output.status.code() == Some(1) && errors.contains(part), "{output:?}");
        assert!(errors.contains("nothing was changed") && said.lines().count() == 2, "{said}");
        assert_eq!(fs::read_to_string(home.path().join(path)).expect("there"), before);
    }
    for arguments in [&["continue", "--write"][..], &["nonsense"], &["pi", "--write", "--remove"]] {
        let output = set_up(&home, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

#[test]
#[cfg(unix)]
fn links_stay_links_and_read_only_files_stay_as_they_are() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::new();
    let link = home.path().join(".claude/settings.json");
    home.write("dotfiles/claude.json", "{}\n");
    home.write(".claude/other", "");
    let real = home.path().join("dotfiles/claude.json");
    symlink(&real, &link).expect("linked");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("a mode");
    done(&home, &["claude-code", "--write"]);
    assert!(link.is_symlink() && fs::read_to_string(&real).expect("there").contains("ANTHROPIC_MODEL"));
    assert_eq!(fs::metadata(&real).expect("there").permissions().mode() & 0o777, 0o640);
    done(&home, &["claude-code", "--remove"]);
    assert_eq!(fs::read_to_string(&real).expect("there"), "{}\n");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o440)).expect("a mode");
    let output = set_up(&home, &["claude-code", "--write"]);
    assert!(text(&output.stderr).contains("read-only"), "{output:?}");
    fs::remove_file(&real).expect("removed");
    let output = set_up(&home, &["claude-code", "--write"]);
    assert!(text(&output.stderr).contains("a link to a file that is not there") && link.is_symlink(), "{output:?}");
}

#[test]
fn every_tool_is_listed_and_shown_with_this_address() {
    let home = Home::new();
    let listed = done(&home, &[]);
    let tools: Vec<_> = listed.lines().take_while(|line| !line.is_empty()).collect();
    assert!(tools.len() > 20, "{listed}");
    for tool in ["opencode", "cline", "python", "autogen"] {
        assert!(tools.iter().any(|line| line.starts_with(tool)), "{listed}");
    }
    for tool in tools.iter().filter_map(|line| line.split_whitespace().next()) {
        let shown = done(&home, &[tool]);
        assert!(shown.contains("http://localhost:4711"), "{tool}: {shown}");
        for hint in
            shown.lines().filter(|line| line.contains("codex-proxy setup ") || line.contains("codex-proxy run "))
        {
            let commands = hint.matches("codex-proxy setup ").count() + hint.matches("codex-proxy run ").count();
            assert_eq!(hint.matches("--port 4711 ").count(), commands, "{hint}");
        }
    }
    assert_eq!(fs::read_dir(home.path()).expect("a directory").count(), 0, "nothing is written unless asked for");
}

#[test]
fn settings_for_nobody_or_another_program_are_doubted() {
    use std::io::{Read as _, Write as _};
    let home = Home::new();
    let output = set_up(&home, &["opencode", "--write"]);
    let warned = text(&output.stderr);
    assert!(output.status.success() && warned.lines().count() == 1, "{output:?}");
    assert!(warned.contains("no proxy is running at http://localhost:4711") && warned.contains("built-in"), "{warned}");
    assert_eq!(text(&set_up(&home, &["opencode", "--remove"]).stderr), "", "that needs no proxy");
    let warned = text(&set_up(&home, &["env"]).stderr);
    assert_eq!(warned, "⚠️ no proxy is running at http://localhost:4711 yet\n", "settings without a model");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("bound").port().to_string();
    let answers = std::thread::spawn(move || {
        let (mut socket, _) = other.accept().expect("a question");
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
    let place = ["--host", "127.0.0.1", "--port", &port, "--upstream-url", NOBODY, "--auth-url", NOBODY];
    let output = home.run(&[&["setup", "opencode"], &place[..]].concat());
    let warned = text(&output.stderr);
    assert!(output.status.success() && warned.contains("another program answers at"), "{output:?}");
    answers.join().expect("asked once");
}

#[test]
fn a_key_that_the_proxy_refuses_is_doubted() {
    let home = Home::new();
    let demo = Daemon::quiet(&mut home.command(&["demo", "--port", "0", "--api-key", "right"]));
    let port = demo.address.port().to_string();
    let warned = |key: &str| {
        let mut command = home.command(&["setup", "opencode", "--with-key", "--port", &port, "--upstream-url", NOBODY]);
        let output = command.env("CODEX_PROXY_API_KEY", key).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    assert!(warned("wrong").contains("refuses the key of CODEX_PROXY_API_KEY (environment)"), "{}", warned("wrong"));
    assert_eq!(warned("right"), "");
    let output = home.run(&["setup", "opencode", "--port", &port, "--upstream-url", NOBODY]);
    assert!(text(&output.stderr).contains("asks for a key, so these are the built-in models"), "{output:?}");
}

#[test]
fn the_models_are_those_of_the_proxy_that_runs() {
    let home = Home::new();
    let demo = Daemon::start(&mut home.command(&["demo", "--port", "0", "--default-model", "gpt-6-luna"]));
    let port = demo.address.port().to_string();
    let list = "GET /v1/models HTTP/1.0\r\nhost: localhost\r\n\r\n";
    while !demo.ask(list).contains(r#"[{"id":"gpt-6.1-sol""#) {
        std::thread::yield_now();
    }
    // A backend is not asked: there is none at this address.
    let output = home.run(&["setup", "pi", "--port", &port, "--upstream-url", NOBODY, "--auth-url", NOBODY]);
    let shown = text(&output.stdout);
    assert!(shown.contains(&format!("http://localhost:{port}/v1")) && shown.contains("gpt-6.1-terra"), "{shown}");
    // The built-in table calls it GPT-6.1 Sol.
    assert!(shown.contains("\"name\": \"gpt-6.1-sol\""), "{shown}");
}
