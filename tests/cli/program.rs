//! What the program prints and how it ends.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use codex_proxy::models::catalogue::TABLE;
use codex_proxy::models::effort::Effort;
use codex_proxy::simulator::SimulatedLogin;

use crate::common::daemon::{Daemon, Home, coverage};
use crate::{HEALTH, pointed_at, simulated, text};

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
        &["--default-model", ""],
        &["--default-model", &"m".repeat(257)],
        &["login", "--device", "--no-browser"],
    ] {
        let output = home.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.starts_with("codex-proxy: ") && errors.lines().count() == 1, "{arguments:?}: {errors}");
    }
}

#[test]
fn a_group_without_its_command_shows_its_help() {
    let home = Home::new();
    for (group, action) in [("config", "  show "), ("keys", "  add "), ("service", "  install ")] {
        let output = home.run(&[group]);
        let help = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{help}");
        assert!(help.lines().any(|line| line.starts_with(action)), "{help}");
        assert!(help.contains(&format!("Usage: codex-proxy {group}")), "{help}");
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
        (&["--host", "0.0.0.0", "--port", "0"], "set CODEX_PROXY_API_KEY"),
        (&["--host", "no-such-host.invalid", "--port", "0"], "no-such-host.invalid"),
        (&["--config", "/no/such.toml"], "/no/such.toml"),
        (&["--config", "~/bad.toml"], "unknown key `hots`; did you mean `host`?"),
        (&["--instructions-file", "/no/such.md"], "/no/such.md"),
        (&["--api-key-file", "/no/such.keys"], "--api-key-file: cannot read /no/such.keys"),
    ] {
        let output = home.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.lines().count() == 1 && errors.contains(part), "{arguments:?}: {errors}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_port_that_this_program_has_is_said_to_be_its_own() {
    let home = Home::new();
    let demo = Daemon::start(&mut home.command(&["demo", "--port", "0"]));
    let port = demo.address.port().to_string();
    for arguments in [&["--port", port.as_str()][..], &["demo", "--port", port.as_str()]] {
        let output = home.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("is in use by the demo of codex-proxy; stop that one"), "{errors}");
    }
}

#[test]
fn a_server_for_all_addresses_names_one_that_can_be_used() {
    let home = Home::new();
    let daemon = Daemon::start(&mut home.command(&["--host", "0.0.0.0", "--port", "0", "--api-key", "k"]));
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    assert!(log.contains("clients use http://localhost:") && log.contains("this one's name or address"), "{log}");
}

#[test]
fn the_usual_configuration_file_is_read_and_flags_beat_it() {
    let home = Home::new();
    home.write(".config/codex-proxy/config.toml", "default-model = \"gpt-6.1-sol\"\nmax-concurrent = 0\n");
    let output = home.run(&["models"]);
    assert!(text(&output.stderr).contains("max-concurrent in "), "{output:?}");
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
fn the_demo_answers_and_says_what_it_is() {
    let home = Home::new();
    let mut demo = Daemon::start(&mut home.command(&["demo", "--port", "0"]));
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
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("a directory").collect();
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
    let demo = Daemon::start(&mut home.command(&["demo", "--port", "0"]));
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
    let lines: Vec<_> = log.lines().filter(|line| line.contains("denies this account the model")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("gpt-5.5") && lines[0].contains("gpt-6-sol"), "{log}");
    assert_eq!(
        log.lines().filter(|line| line.contains(" 200 POST ") && line.contains("gpt-5.5→gpt-6-sol")).count(),
        3,
        "{log}"
    );
}

#[test]
fn a_signal_ends_it_in_good_order_and_a_second_one_at_once() {
    let home = Home::new();
    let daemon = Daemon::start(&mut home.command(&["--port", "0"]));
    assert!(daemon.ask(HEALTH).contains(r#""credentials":"missing""#));
    daemon.signal("-INT");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");

    let demo = Daemon::start(&mut home.command(&["demo", "--port", "0"]));
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
    let daemon = Daemon::start(&mut command);
    daemon.ask("GET /v1/models HTTP/1.0\r\nhost: localhost\r\nx-request-id: look-for-me\r\n\r\n");
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let own = lines.iter().find(|line| line["request_id"] == "look-for-me").expect("the request's line");
    assert_eq!((&own["route"], &own["path"], &own["status"]), (&"/models".into(), &"/v1/models".into(), &200.into()));
    assert!(own["duration_ms"].is_number() && own["message"] == "answered", "{own}");
    let started = lines.iter().find(|line| line["version"].is_string()).expect("the line of the start");
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert!(lines.iter().all(|line| line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z'))), "{log}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_machine_without_login_and_desktop_gets_one_warning() {
    // The directory must outlive the daemon, which has its ledger there.
    let home = Home::new();
    let daemon = Daemon::start(&mut home.command(&["--port", "0"]));
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("codex-proxy login"), "{log}");
    assert!(!log.contains("keychain") && !log.contains("🔍"), "{log}");
}

#[test]
fn a_request_is_one_short_line_without_colours() {
    let home = Home::new();
    let demo = Daemon::start(&mut home.command(&["demo", "--port", "0"]));
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}"#;
    demo.chat(body).read_to_string(&mut String::new()).expect("an answer");
    demo.ask("GET /nowhere HTTP/1.0\r\nhost: localhost\r\n\r\n");
    demo.signal("-TERM");
    let (_, log) = demo.end();
    let line = |part: &str| log.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {log}"));
    let answered = line(" 200 POST /v1/chat/completions gpt-4o→gpt-");
    assert!(answered.len() < 120 && answered.contains("s→") && !answered.contains("request_id"), "{answered}");
    assert!(line(" 404 GET other ").contains("there is no GET /nowhere"), "{log}");
    assert!(line("ready: clients use http://127.0.0.1:").contains("version="), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn bodies_are_logged_only_on_demand_and_without_credentials() {
    let home = Home::new();
    let body = r#"{"messages":[{"role":"user","content":"look-for-me eyJhbGciOiJIUzI1NiJ9.e30.canary"}]}"#;
    for (arguments, is_logged) in
        [(&["demo", "--port", "0"][..], false), (&["demo", "--port", "0", "--log-bodies"], true)]
    {
        let demo = Daemon::start(&mut home.command(arguments));
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
    command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin").envs(coverage()).stdin(Stdio::null());
    let daemon = Daemon::start(&mut command);
    let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(daemon.address).expect("queued")).collect();
    drop(clients);
    assert!(daemon.ask(HEALTH).contains(r#""status":"ok""#));
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_is_a_failure_and_one_that_is_closed_is_none() {
    let home = Home::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("it is there");
    for (arguments, words) in [
        (&["models", "--json"][..], "cannot write the output"),
        (&["completions", "bash"], "cannot write the output"),
        (&["config", "schema"], "cannot write the output"),
        (&["status"], "cannot write the output"),
        (&["health", "--port", "1"], ""),
    ] {
        let output = home.command(arguments).stdout(full()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {output:?}");
    }
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = home.command(&["models"]).stdout(closed).output().expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_system_refuses_is_told() {
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_codex-proxy");
    for limit in [4, 6, 14] {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit} && exec {program} --port 0"));
        command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        let output = command.output().expect("it runs");
        let errors = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{limit}: {output:?}");
        assert!(!errors.is_empty() && !errors.contains("panicked"), "{limit}: {errors}");
    }
    // A number of sockets that were handed to another process, or to none.
    let mut command = home.command(&["--port", "0"]);
    let daemon = Daemon::start(command.env("LISTEN_FDS", "1"));
    assert!(daemon.ask(HEALTH).contains(r#""status":"ok""#));
}

#[test]
#[cfg(target_os = "linux")]
fn no_core_dump_holds_a_token() {
    let daemon = Daemon::start(&mut Home::new().command(&["--port", "0"]));
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
        let said = text(&output.stdout);
        let first = said.lines().skip_while(|line| !line.starts_with("model ")).nth(1).expect("a model").to_owned();
        (first, text(&output.stderr), said)
    };
    let (first, errors, said) = list();
    assert!(first.starts_with("gpt-6.1-sol ") && errors.is_empty(), "without a login: {first} {errors}");
    assert!(said.starts_with("The built-in list, until the account's own is known:\n"), "{said}");
    assert!(said.contains("A name may end in an effort: gpt-6"), "{said}");
    let (living, retired) = said.split_once("\nRetired, with their successors:\n").expect("the retired ones");
    assert!(!living.contains("gpt-5-codex") && retired.starts_with("gpt-5 ") && retired.contains("gpt-6"), "{said}");
    home.write(".config/codex-proxy/auth.json", &simulator.issue_login(SimulatedLogin::default()).to_string());
    let (first, errors, said) = list();
    assert!(first.starts_with("gpt-6.1-sol ") && !said.contains("built-in"), "{first} {errors} {said}");
    drop(running);
    let (first, errors, said) = list();
    assert!(!said.contains("built-in"), "remembered: {said}");
    assert!(first.starts_with("gpt-6.1-sol ") && errors.contains("cannot be fetched"), "{first} {errors}");
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
    let demo = Daemon::start(&mut Home::new().command(&["demo", "--port", "0"]));
    for model in ["gpt-4o", "gpt-4o", "llama-4"] {
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
    assert_eq!((said("gpt-4o"), said("llama-4")), (1, 1), "{log}");
}
