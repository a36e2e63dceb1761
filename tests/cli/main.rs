//! The program as a process: what it prints, how it ends.

#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod log;
mod options;
mod setup;
mod signals;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use codex_proxy::models::catalogue::TABLE;
use codex_proxy::models::effort::Effort;
use codex_proxy::simulator::{Login, RunningSimulator, Simulator, Window, Workspace};
use tempfile::TempDir;

/// A home of its own for each process, and nothing else of the environment.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(arguments).env_clear().env("HOME", self.0.path()).envs(coverage()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }
}

/// Where a process measured for coverage leaves what it has seen; nothing of it in other runs.
fn coverage() -> Option<(&'static str, OsString)> {
    std::env::var_os(COVERAGE).map(|file| (COVERAGE, file))
}

const COVERAGE: &str = "LLVM_PROFILE_FILE";

/// A running daemon; killed with its owner.
struct Daemon {
    child: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut first = String::new();
        output.read_line(&mut first).expect("a first line");
        let Some(address) = first.trim().strip_prefix("listening on http://") else {
            let mut errors = String::new();
            let _ = child.stderr.take().expect("its errors").read_to_string(&mut errors);
            panic!("{first:?} {errors}");
        };
        Self { address: address.parse().expect("an address"), child, output }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(status.success());
    }

    fn send(&self, text: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        socket.write_all(text.as_bytes()).expect("written");
        socket
    }

    fn ask(&self, text: &str) -> String {
        let mut answer = String::new();
        self.send(text).read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn chat(&self, body: &str) -> TcpStream {
        let length = body.len();
        self.send(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// Waits for the end; its exit code and what it wrote to stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().expect("its errors").read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("an end").code(), errors)
    }
}

const HEALTH: &str = "GET /health HTTP/1.0\r\nhost: localhost\r\n\r\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn a_wrong_command_line_is_one_line_and_exit_code_2() {
    let home = Home::new();
    for arguments in [
        &["--prot", "1"][..],
        &["--port", "99999"],
        &["nonsense"],
        &["--allow-origin", "*"],
        &["--upstream-url", "http://chatgpt.com"],
        &["--log-level", "loud"],
        &["login", "--device", "--no-browser"],
    ] {
        let output = home.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.starts_with("codex-proxy: ") && errors.lines().count() == 1, "{arguments:?}: {errors}");
    }
}

#[test]
fn a_failure_is_one_line_and_exit_code_1() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    home.write("bad.toml", "port = 1\nhots = \"x\"\n");
    for (arguments, part) in [
        (&["--port", port.as_str()][..], "in use"),
        (&["demo", "--port", port.as_str()], "in use"),
        (&["--host", "0.0.0.0", "--port", "0"], "without a key"),
        (&["--host", "no-such-host.invalid", "--port", "0"], "no-such-host.invalid"),
        (&["--config", "/no/such.toml"], "/no/such.toml"),
        (&["--config", "~/bad.toml"], "unknown field `hots`"),
        (&["--instructions-file", "/no/such.md"], "/no/such.md"),
    ] {
        let output = home.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.lines().count() == 1 && errors.contains(part), "{arguments:?}: {errors}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn the_usual_configuration_file_is_read_and_flags_beat_it() {
    let home = Home::new();
    home.write(".config/codex-proxy/config.toml", "default-model = \"gpt-6.1-sol\"\nmax-concurrent = 0\n");
    let output = home.run(&["models"]);
    assert!(text(&output.stderr).contains("--max-concurrent"), "{output:?}");
    assert!(home.run(&["models", "--max-concurrent", "1"]).status.success());
}

#[test]
fn small_commands_answer() {
    let home = Home::new();
    assert!(text(&home.run(&["--help"]).stdout).contains("Examples:"));
    assert!(text(&home.run(&["--version"]).stdout).starts_with("codex-proxy "));
    assert!(text(&home.run(&["completions", "bash"]).stdout).contains("complete -F"));
    assert!(text(&home.run(&["models"]).stdout).contains("gpt-5.1-codex-max"));
    let json: serde_json::Value = serde_json::from_slice(&home.run(&["models", "--json"]).stdout).expect("JSON");
    assert_eq!(json["data"][0]["id"], "gpt-5");
    let status = home.run(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(text(&status.stdout).contains("codex-proxy login"), "{status:?}");
}

#[test]
fn the_doctor_makes_every_check_whatever_it_finds() {
    let home = Home::new();
    let nobody = "http://127.0.0.1:9";
    let output = home.run(&["doctor", "--port", "0", "--upstream-url", nobody, "--auth-url", nobody]);
    let found = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{found}");
    for part in
        ["✅ port", "❌ login", "codex-proxy login", "❌ backend", "❌ issuer", "➖ clock", "not checked: offline"]
    {
        assert!(found.contains(part), "{part} is not in\n{found}");
    }
}

#[test]
fn the_doctor_tells_an_expired_login_that_can_be_renewed_from_one_that_cannot() {
    let simulator = Simulator::new();
    let mut document = simulator.issue_login(Login::default().expiring_in(-60));
    let token = document["tokens"]["access_token"].as_str().expect("a token").to_owned();
    let examine = |home: &Home, store: &str| {
        let nobody = "http://127.0.0.1:9";
        let mut command = home.command(&["doctor", "--creds-store", store, "--port", "0"]);
        command.args(["--upstream-url", nobody, "--auth-url", nobody]).env("ACCESS_TOKEN", &token);
        let found = text(&command.output().expect("it runs").stdout);
        let line = found.lines().find(|line| line.contains(" login ")).expect("a line about the login");
        line.to_owned()
    };
    let home = Home::new();
    let line = examine(&home, "env");
    assert!(line.starts_with("❌") && line.contains("set ACCESS_TOKEN to a new token"), "{line}");

    home.write(".config/codex-proxy/auth.json", &document.to_string());
    let line = examine(&home, "xdg");
    assert!(line.starts_with("⚠️") && line.contains("it is renewed on the next start"), "{line}");

    document["tokens"]["refresh_token"] = serde_json::Value::Null;
    home.write(".config/codex-proxy/auth.json", &document.to_string());
    for store in ["xdg", "auto"] {
        let line = examine(&home, store);
        assert!(line.starts_with("❌") && line.contains("run `codex-proxy login`"), "{line}");
    }
    let status = home.run(&["status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    assert!(text(&status.stdout).contains("cannot be renewed"), "{status:?}");
}

#[test]
fn the_demo_answers_and_says_what_it_is() {
    let home = Home::new();
    let mut demo = Daemon::start(home.command(&["demo", "--port", "0"]));
    let mut banner = String::new();
    while !banner.contains("Stop it") {
        assert!(demo.output.read_line(&mut banner).expect("a line") > 0, "{banner}");
    }
    assert!(banner.contains("THIS IS A SIMULATION"), "{banner}");
    assert!(demo.ask(HEALTH).contains(r#""credentials":"ok""#));
    let mut answer = String::new();
    let body = r#"{"messages":[{"role":"user","content":"Hello!"}],"stream":true}"#;
    demo.chat(body).read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("data: [DONE]"), "{answer}");
    demo.signal("-TERM");
    assert_eq!(demo.end().0, Some(0));
    let left: Vec<_> = std::fs::read_dir(home.0.path()).expect("a directory").collect();
    assert!(left.is_empty(), "the demo writes no files: {left:?}");
}

/// What the lines of `text` name as if it were to be had: a retired model, in a line that does not say so.
fn retired_examples(text: &str) -> Vec<String> {
    let is_retired = |word: &str| {
        let word = word.trim_matches(['.', '-']);
        TABLE.iter().any(|model| {
            let rest = word.strip_prefix(model.id.as_ref()).filter(|_| model.retired);
            rest.is_some_and(|rest| rest.is_empty() || Effort::ALL.iter().any(|effort| rest == format!("-{effort}")))
        })
    };
    let words = |line: &str| {
        line.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '.' | '-')).any(is_retired)
    };
    text.lines().filter(|line| words(line) && !line.contains("retired")).map(str::to_owned).collect()
}

#[test]
fn no_example_names_a_retired_model() {
    assert_eq!(retired_examples("use `gpt-5.5`.\ngpt-5.6-sol\nx/gpt-5-high\ngpt-5 is retired").len(), 2);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = ["README.md", "SECURITY.md", "wrangler.toml"].map(|name| root.join(name)).into();
    for (folder, extension) in [("docs", "md"), ("src/cli", "rs"), ("tests/conformance/clients", "py")] {
        let entries =
            std::fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
        paths.extend(entries.filter(|path| path.extension().is_some_and(|found| found == extension)));
    }
    // Its table holds them all, and says which are retired.
    paths.retain(|path| !path.ends_with("docs/models.md"));
    for path in paths {
        let found = retired_examples(&std::fs::read_to_string(&path).expect("text"));
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
    let found = retired_examples(&text(&Home::new().run(&["--help"]).stdout));
    assert!(found.is_empty(), "--help: {found:#?}");
}

#[test]
fn a_retired_model_is_logged_once() {
    let home = Home::new();
    let demo = Daemon::start(home.command(&["demo", "--port", "0"]));
    // Another list of models would be a new beginning.
    let list = "GET /v1/models HTTP/1.0\r\nhost: localhost\r\n\r\n";
    while !demo.ask(list).contains(r#"[{"id":"gpt-6.1-sol""#) {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        let mut answer = String::new();
        let body = r#"{"model":"gpt-5.5","messages":[{"role":"user","content":"Hello!"}]}"#;
        demo.chat(body).read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(r#""model":"gpt-6-sol""#), "{answer}");
    }
    demo.signal("-TERM");
    let (_, log) = demo.end();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("does not let this account have the model")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("gpt-5.5") && lines[0].contains("gpt-6-sol"), "{log}");
    assert_eq!(log.lines().filter(|line| line.contains("answered") && line.contains("gpt-5.5")).count(), 3, "{log}");
}

#[test]
fn a_signal_ends_it_in_good_order_and_a_second_one_at_once() {
    let home = Home::new();
    let daemon = Daemon::start(home.command(&["--port", "0"]));
    assert!(daemon.ask(HEALTH).contains(r#""credentials":"missing""#));
    daemon.signal("-INT");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");

    let demo = Daemon::start(home.command(&["demo", "--port", "0"]));
    let body = r#"{"messages":[{"role":"user","content":"[[simulate:stall-mid-stream]]"}],"stream":true}"#;
    let mut stream = demo.chat(body);
    let mut first = [0; 1];
    stream.read_exact(&mut first).expect("an answer has begun");
    demo.signal("-TERM");
    while TcpStream::connect(demo.address).is_ok() {
        std::thread::yield_now();
    }
    demo.signal("-TERM");
    let (code, log) = demo.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("second signal"), "{log}");
}

#[test]
fn in_production_every_line_of_the_log_is_a_json_object() {
    let home = Home::new();
    let mut command = home.command(&["--port", "0"]);
    command.env("ENV", "production");
    let daemon = Daemon::start(command);
    daemon.ask("GET /v1/models HTTP/1.0\r\nhost: localhost\r\nx-request-id: look-for-me\r\n\r\n");
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let own = lines.iter().find(|line| line["span"]["request_id"] == "look-for-me").expect("the request's line");
    assert_eq!((&own["span"]["route"], &own["span"]["status"]), (&"/models".into(), &200.into()));
    assert!(own["span"]["duration_ms"].is_number(), "{own}");
}

#[test]
fn bodies_are_logged_only_on_demand_and_without_credentials() {
    let home = Home::new();
    let body = r#"{"messages":[{"role":"user","content":"look-for-me eyJhbGciOiJIUzI1NiJ9.e30.canary"}]}"#;
    for (arguments, is_logged) in
        [(&["demo", "--port", "0"][..], false), (&["demo", "--port", "0", "--log-bodies"], true)]
    {
        let demo = Daemon::start(home.command(arguments));
        let mut answer = String::new();
        demo.chat(body).read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        demo.signal("-TERM");
        let (_, log) = demo.end();
        assert_eq!(log.contains("look-for-me"), is_logged, "{log}");
        assert_eq!(log.contains("chat.completion"), is_logged, "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
}

#[test]
fn a_lack_of_file_descriptors_is_survived() {
    let home = Home::new();
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_codex-proxy");
    command.arg("-c").arg(format!("ulimit -n 64 && exec {program} --port 0"));
    command.env_clear().env("HOME", home.0.path()).env("PATH", "/usr/bin:/bin").envs(coverage()).stdin(Stdio::null());
    let daemon = Daemon::start(command);
    let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(daemon.address).expect("queued")).collect();
    drop(clients);
    assert!(daemon.ask(HEALTH).contains(r#""status":"ok""#));
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn no_core_dump_holds_a_token() {
    let daemon = Daemon::start(Home::new().command(&["--port", "0"]));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.child.id())).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
}

#[test]
fn the_accounts_models_are_listed_and_remembered() {
    let (_runtime, simulator, running) = simulated();
    let upstream_url = running.upstream_url();
    let home = Home::new();
    let list = || {
        let arguments = ["models", "--upstream-url", &upstream_url, "--client-version", "0.160.0"];
        let output = home.run(&arguments);
        assert!(output.status.success());
        (text(&output.stdout).lines().nth(1).expect("a model").to_owned(), text(&output.stderr))
    };
    let (first, errors) = list();
    assert!(first.starts_with("gpt-5 ") && errors.is_empty(), "without a login: {first} {errors}");
    home.write(".config/codex-proxy/auth.json", &simulator.issue_login(Login::default()).to_string());
    let (first, errors) = list();
    assert!(first.starts_with("gpt-6.1-sol "), "{first} {errors}");
    drop(running);
    let (first, errors) = list();
    assert!(first.starts_with("gpt-6.1-sol ") && errors.contains("cannot be fetched"), "{first} {errors}");
}

/// A backend and issuer beside the commands that are run; whoever holds the runtime keeps it alive.
fn simulated() -> (tokio::runtime::Runtime, Simulator, RunningSimulator) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let simulator = Simulator::new();
    let running = runtime.block_on(simulator.start()).expect("it listens");
    (runtime, simulator, running)
}

fn pointed_at<'a>(command: &[&'a str], upstream: &'a str, issuer: &'a str) -> Vec<&'a str> {
    [command, &["--upstream-url", upstream, "--auth-url", issuer]].concat()
}

const LOGIN_FILE: &str = ".config/codex-proxy/auth.json";

#[test]
fn signing_in_looking_and_signing_out() {
    let (_runtime, simulator, running) = simulated();
    simulator.configure(|settings| {
        settings.issuer.device_interval = "1".to_owned();
        settings.issuer.device_pending_polls = Some(0);
        settings.limits.secondary = Some(Window { used_percent: 40.0, minutes: 300, resets_in_seconds: 7_230 });
    });
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    let home = Home::new();
    let login = home.run(&pointed_at(&["login", "--device"], &upstream, &issuer));
    assert!(login.status.success(), "{login:?}");
    assert!(text(&login.stdout).contains("Signed in as simulated@example.com"), "{login:?}");

    let status = home.run(&pointed_at(&["status"], &upstream, &issuer));
    assert!(status.status.success(), "{status:?}");
    for words in ["Plan     Plus", "weekly: 12 % used", "5-hour: 40 % used, starts anew in 2 hours"] {
        assert!(text(&status.stdout).contains(words), "{words} is not in\n{}", text(&status.stdout));
    }
    let status = home.run(&pointed_at(&["status", "--json"], &upstream, &issuer));
    let json: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!((&json["planType"], &json["windows"][1]["window_seconds"]), (&"plus".into(), &18_000.into()));

    let logout = home.run(&pointed_at(&["logout", "--revoke"], &upstream, &issuer));
    assert!(logout.status.success() && text(&logout.stdout).contains("is revoked"), "{logout:?}");
    assert!(!home.0.path().join(LOGIN_FILE).exists());
    assert_eq!(simulator.counters().revoked_chains, 1);
}

#[test]
fn status_says_so_where_the_usage_is_not_known() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(Login::default()).to_string());
    let issuer = running.auth_url();
    for (upstream, words) in [
        (format!("{issuer}/elsewhere/codex"), "the backend answered 404"),
        ("http://127.0.0.1:9".to_owned(), "refused"),
    ] {
        let status = home.run(&pointed_at(&["status"], &upstream, &issuer));
        let said = text(&status.stdout);
        assert!(status.status.success(), "the login works all the same: {said}");
        assert!(said.contains("Usage    not known: ") && said.contains(words), "{words}: {said}");
    }
    home.write(LOGIN_FILE, &simulator.issue_login(Login::default().expiring_in(-60)).to_string());
    let said = text(&home.run(&pointed_at(&["status"], &running.upstream_url(), &issuer)).stdout);
    assert!(said.contains("not known: the access token has expired"), "{said}");
}

#[test]
fn the_doctor_finds_nothing_where_there_is_nothing() {
    let (_runtime, simulator, running) = simulated();
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(Login::default()).to_string());
    let protect = |mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(home.0.path().join(LOGIN_FILE), permissions).expect("a mode");
    };
    protect(0o600);
    let daemon = Daemon::start(home.command(&pointed_at(&["--port", "0", "--host", "127.0.0.1"], &upstream, &issuer)));
    let port = daemon.address.port().to_string();
    let examine = || {
        let output = home.run(&pointed_at(&["doctor", "--host", "127.0.0.1", "--port", &port], &upstream, &issuer));
        (output.status.code(), text(&output.stdout))
    };
    let (code, found) = examine();
    assert_eq!(code, Some(0), "{found}");
    for part in ["is serving on", "more minutes", "is yours alone", "✅ backend", "✅ issuer", "✅ clock"] {
        assert!(found.contains(part), "{part} is not in\n{found}");
    }
    assert!(!found.contains('❌') && !found.contains('⚠'), "{found}");
    // What others may read and what has expired still work, and are said.
    home.write(LOGIN_FILE, &simulator.issue_login(Login::default().expiring_in(-60)).to_string());
    protect(0o644);
    let (code, found) = examine();
    assert_eq!(code, Some(0), "{found}");
    assert!(found.contains("chmod 600") && found.contains("has expired"), "{found}");
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    let (_, found) = examine();
    assert!(found.contains("is free"), "{found}");
}

#[test]
fn the_doctor_tells_how_the_workspace_is_reached() {
    let (_runtime, simulator, running) = simulated();
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    let home = Home::new();
    let examine = |more: &[&str]| {
        let mut command = home.command(&pointed_at(&["doctor", "--port", "0"], &upstream, &issuer));
        let output = command.args(more).output().expect("it runs");
        let found = text(&output.stdout);
        let line = found.lines().find(|line| line.contains(" workspace ")).expect("a line about the workspace");
        assert!(found.contains("✅ login"), "nothing of this is the login's fault: {found}");
        (output.status.code(), line.to_owned())
    };
    let play = |workspace: Workspace| simulator.configure(|settings| settings.workspace = workspace);
    let usual = Workspace::default();
    let government = "https://gov.chatgpt.com";
    for login in [Login::default(), Login::default().fedramp()] {
        home.write(LOGIN_FILE, &simulator.issue_login(login).to_string());
        for (workspace, flags, code, begin, part) in [
            (usual.clone(), &[][..], 0, "✅", "is asked where it is served"),
            (
                Workspace { origin: Some(government.to_owned()), ..usual.clone() },
                &[],
                0,
                "⚠️",
                "--upstream-url https://gov.chatgpt.com/backend-api/codex",
            ),
            (Workspace { origin: Some("http://x".to_owned()), ..usual.clone() }, &[], 0, "⚠️", "no https address"),
            (
                Workspace { routing_override: Some("eu".to_owned()), ..usual.clone() },
                &[],
                0,
                "⚠️",
                "--account-routing-override eu",
            ),
            (
                Workspace { routing_override: Some("eu".to_owned()), ..usual.clone() },
                &["--account-routing-override", "eu"],
                0,
                "✅",
                "",
            ),
            (Workspace { is_deactivated: true, ..usual.clone() }, &[], 1, "❌", "is deactivated"),
            (Workspace { status: 401, ..usual.clone() }, &[], 0, "➖", "proves nothing about the login"),
            (Workspace { status: 404, ..usual.clone() }, &[], 0, "➖", "404"),
        ] {
            play(workspace.clone());
            let (found, line) = examine(flags);
            assert_eq!(found, Some(code), "{workspace:?}: {line}");
            assert!(line.starts_with(begin) && line.contains(part), "{workspace:?}: {line}");
        }
    }
}

#[test]
fn the_doctor_tells_a_login_that_two_programs_hold() {
    let home = Home::new();
    let document = Simulator::new().issue_login(Login::default()).to_string();
    home.write(LOGIN_FILE, &document);
    home.write(".codex/auth.json", &document);
    let nobody = "http://127.0.0.1:9";
    let doctor = || text(&home.run(&pointed_at(&["doctor", "--port", "0"], nobody, nobody)).stdout);
    assert!(doctor().contains("holds the same refresh token"), "{}", doctor());
    home.write(".codex/auth.json", &Simulator::new().issue_login(Login::default()).to_string());
    assert!(!doctor().contains("holds the same refresh token"), "{}", doctor());
}

#[test]
fn a_running_proxy_ends_with_its_login() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(Login::default()).to_string());
    let arguments = ["--port", "0", "--host", "127.0.0.1"];
    let daemon = Daemon::start(home.command(&pointed_at(&arguments, &running.upstream_url(), &running.auth_url())));
    let answer = || {
        let mut answer = String::new();
        let hello = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        daemon.chat(hello).read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(answer().starts_with("HTTP/1.1 200 "));
    let said = text(&home.run(&["logout"]).stdout);
    assert!(said.contains("within a few seconds") && said.contains("the next start copies"), "{said}");
    let has_ended = (0..120).any(|_| {
        std::thread::sleep(Duration::from_millis(500));
        answer().starts_with("HTTP/1.1 401 ")
    });
    assert!(has_ended, "{}", answer());
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn another_program_on_the_port_is_not_taken_for_this_one() {
    let home = Home::new();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("bound").port().to_string();
    let answers = std::thread::spawn(move || {
        let (mut socket, _) = other.accept().expect("a question");
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let nobody = "http://127.0.0.1:9";
    let output = home.run(&pointed_at(&["doctor", "--host", "127.0.0.1", "--port", &port], nobody, nobody));
    let found = text(&output.stdout);
    assert!(found.contains("❌ port") && found.contains("in use"), "{found}");
    answers.join().expect("asked once");
}

#[test]
fn a_model_of_somebody_elses_is_answered_by_the_default_and_said_once() {
    let demo = Daemon::start(Home::new().command(&["demo", "--port", "0"]));
    for model in ["gpt-4o", "gpt-4o", "gemini-pro"] {
        let mut answer = String::new();
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        demo.chat(&body).read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(body.contains(r#""model":"gpt-"#) && !body.contains(model), "{answer}");
        assert!(head.contains(&format!("x-codex-proxy-model-asked: {model}")), "{answer}");
    }
    demo.signal("-TERM");
    let (_, log) = demo.end();
    let said = |model: &str| {
        log.lines().filter(|line| line.contains("no model of this backend") && line.contains(model)).count()
    };
    assert_eq!((said("gpt-4o"), said("gemini-pro")), (1, 1), "{log}");
}
