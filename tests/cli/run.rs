//! `run`: what a tool is started with, and what is said where it cannot be.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use serde_json::Value;

use super::text;
use crate::common::daemon::{Daemon, Home};

/// A home with programs of its own, which print their arguments and variables and end with 7.
struct Tools {
    home: Home,
    demo: Daemon,
}

impl Tools {
    fn new(options: &[&str]) -> Self {
        let home = Home::new();
        for name in ["opencode", "claude", "codex", "aider", "cn", "llm", "pi", "python3", "node", "mine"] {
            let path = format!("bin/{name}");
            home.write(&path, "#!/bin/sh\nfor argument; do echo \"argument $argument\"; done\n/usr/bin/env\nexit 7\n");
            let file = home.path().join(path);
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let demo = Daemon::quiet(&mut home.command(&[&["demo", "--port", "0"], options].concat()));
        Self { home, demo }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let port = self.demo.address.port().to_string();
        let mut command = self.home.command(&[&["run", "--port", &port], arguments].concat());
        command.env("PATH", self.home.path().join("bin")).env("ANTHROPIC_API_KEY", "another");
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// What a tool printed, which has to end as it did.
    fn started(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(7), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    /// The variable `name` of a tool that was started with `arguments`.
    fn variable(&self, arguments: &[&str], name: &str) -> Option<String> {
        let said = self.started(arguments);
        said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    }
}

#[test]
fn each_tool_gets_this_address_in_its_own_way() {
    let tools = Tools::new(&[]);
    let root = format!("http://localhost:{}", tools.demo.address.port());
    for (tool, variable, value) in [
        ("claude-code", "ANTHROPIC_BASE_URL", root.clone()),
        ("claude", "ANTHROPIC_AUTH_TOKEN", "any".to_owned()),
        ("aider", "AIDER_OPENAI_API_BASE", format!("{root}/v1")),
        ("llm", "OPENAI_BASE_URL", format!("{root}/v1")),
        ("pi", "CODEX_PROXY_API_KEY", "any".to_owned()),
        ("python", "OPENAI_BASE_URL", format!("{root}/v1")),
        ("node", "ANTHROPIC_BASE_URL", root.clone()),
    ] {
        assert_eq!(tools.variable(&[tool], variable), Some(value), "{tool}");
    }
    assert_eq!(tools.variable(&["env", "mine"], "OPENAI_API_KEY"), Some("any".to_owned()));
    assert_eq!(tools.variable(&["claude"], "ANTHROPIC_API_KEY"), None, "two keys would be one too many");
    let said = tools.started(&["opencode", "run", "--help", "--port", "1"]);
    assert!(said.starts_with("argument run\nargument --help\nargument --port\nargument 1\n"), "{said}");
    let content = &said[said.find("OPENCODE_CONFIG_CONTENT=").expect("there") + 24..];
    let content = Value::from_iter(
        serde_json::Deserializer::from_str(content)
            .into_iter::<serde_json::Map<_, _>>()
            .next()
            .expect("JSON")
            .expect("an object"),
    );
    assert_eq!(content["provider"]["codex-proxy"]["options"]["baseURL"], format!("{root}/v1"));
    let said = tools.started(&["codex", "exec", "-m", "x"]);
    assert!(said.contains(&format!("argument model_providers.codex-proxy.base_url=\"{root}/v1\"\n")), "{said}");
    assert!(said.contains("argument exec\nargument -m\nargument x\n"), "{said}");
}

#[test]
fn a_key_goes_into_the_environment_and_no_argument() {
    let tools = Tools::new(&["--api-key", "look-for-me"]);
    for tool in ["opencode", "claude", "codex", "aider", "cn", "llm", "pi", "python"] {
        let without = tools.output(&[tool]);
        let asked = text(&without.stderr);
        assert!(asked.contains("asks for a key") && asked.contains("CODEX_PROXY_API_KEY"), "{tool}: {without:?}");
        let wrong = tools.command(&[tool]).env("API_KEY", "another").output().expect("it runs");
        assert!(text(&wrong.stderr).contains("refuses the key of API_KEY (environment)"), "{tool}: {wrong:?}");
        let output = tools.command(&[tool]).env("API_KEY", "look-for-me").output().expect("it runs");
        let said = text(&output.stdout);
        let arguments: String = said.lines().filter(|line| line.starts_with("argument ")).collect();
        assert!(output.status.code() == Some(7) && !arguments.contains("look-for-me"), "{tool}: {output:?}");
        assert!(tool == "cn" || said.replace("\nAPI_KEY=look-for-me", "").contains("look-for-me"), "{tool}: {said}");
    }
    let profile = tools.home.path().join(".cache/codex-proxy/run/continue.yaml");
    assert!(fs::read_to_string(&profile).expect("there").contains("look-for-me"));
    assert_eq!(fs::metadata(&profile).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_file_of_a_tool_is_touched() {
    let tools = Tools::new(&[]);
    let settings = "{\"env\": {\"ANTHROPIC_BASE_URL\": \"https://gateway.example\"}}";
    tools.home.write(".claude/settings.json", settings);
    let said = tools.started(&["claude", "-p"]);
    assert!(said.starts_with("argument --settings\nargument {\"env\":"), "the file would win: {said}");
    for tool in ["opencode", "codex", "aider", "continue", "llm", "pi"] {
        tools.started(&[tool]);
    }
    assert!(!tools.started(&["pi", "install", "x"]).contains("--extension"), "a command stands first");
    let mut left: Vec<_> = fs::read_dir(tools.home.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".cache", ".claude", "bin"]);
    assert_eq!(fs::read_to_string(tools.home.path().join(".claude/settings.json")).expect("there"), settings);
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let tools = Tools::new(&[]);
    let said = |command: &mut Command| {
        let output = command.output().expect("it runs");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");
        (output.status.code(), text(&output.stderr))
    };
    let (code, error) = said(tools.command(&["opencode"]).env("PATH", "/nowhere"));
    assert!(
        code == Some(1) && error.contains("not installed") && error.contains("npm install -g opencode-ai"),
        "{error}"
    );
    let (code, error) =
        said(tools.home.command(&["run", "--port", "9", "claude"]).env("PATH", tools.home.path().join("bin")));
    assert!(code == Some(1) && error.contains("no proxy is running at http://localhost:9"), "{error}");
    assert!(error.contains("codex-proxy demo") && error.contains("--port"), "{error}");
    let (code, error) = said(&mut tools.command(&["zed"]));
    assert!(
        code == Some(2) && error.contains(&format!("codex-proxy setup --port {} zed", tools.demo.address.port())),
        "{error}"
    );
    let (code, error) = said(&mut tools.command(&["nonsense"]));
    assert!(code == Some(2) && error.contains("opencode, claude-code"), "{error}");
    let (_, error) = said(&mut tools.command(&["env", "no-such-program"]));
    assert!(error.contains("no-such-program"), "{error}");
}

#[test]
fn an_option_of_ours_after_the_tool_is_the_tools_and_that_is_said() {
    let tools = Tools::new(&[]);
    let port = tools.demo.address.port().to_string();
    let output = |arguments: &[&str]| {
        let mut command = tools.home.command(arguments);
        command.env("PATH", tools.home.path().join("bin")).env("CODEX_PROXY_PORT", &port);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        (text(&output.stdout), text(&output.stderr))
    };
    for (given, passed) in [(&["--port", "9999"][..], "--port\nargument 9999"), (&["--port=9999"], "--port=9999")] {
        let (said, noted) = output(&[&["run", "opencode", "serve"], given].concat());
        assert!(said.starts_with(&format!("argument serve\nargument {passed}\n")), "{said}");
        let note = "note: --port after the tool is the tool's own; for another proxy: codex-proxy run --port 9999 opencode \
                    serve\n";
        assert_eq!(noted, note);
    }
    let (_, noted) = output(&["run", "env", "mine", "--host", "10.0.0.1"]);
    assert!(noted.contains("codex-proxy run --host 10.0.0.1 env mine\n"), "{noted}");
    for silent in [&["run", "--port", &port, "opencode", "--port", "1"][..], &["run", "opencode", "--", "--port", "1"]]
    {
        assert_eq!(output(silent).1, "", "{silent:?}");
    }
}

#[test]
fn another_program_is_not_taken_for_the_proxy() {
    let tools = Tools::new(&[]);
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("bound").port().to_string();
    let answers = std::thread::spawn(move || {
        let (mut socket, _) = other.accept().expect("a question");
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
    let mut command = tools.home.command(&["run", "--host", "127.0.0.1", "--port", &port, "claude"]);
    let output = command.env("PATH", tools.home.path().join("bin")).output().expect("it runs");
    assert!(text(&output.stderr).contains("another program answers"), "{output:?}");
    answers.join().expect("asked once");
}

#[test]
fn a_signal_is_the_tools() {
    let tools = Tools::new(&[]);
    tools.home.write(
        "bin/mine",
        "#!/bin/sh\ntrap 'echo trapped; exit 3' TERM\necho ready\nwhile :; do /bin/sleep 0.05; done\n",
    );
    let mut child = tools.command(&["env", "mine"]).stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut output = child.stdout.take().expect("its output");
    let mut said = [0; 6];
    output.read_exact(&mut said).expect("it is ready");
    let killed = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().expect("kill runs");
    assert!(killed.success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    assert_eq!((child.wait().expect("an end").code(), rest.as_str()), (Some(3), "trapped\n"));
}
