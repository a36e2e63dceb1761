//! The commands about the login, and what the doctor finds out.

use std::io::Read as _;
use std::time::Duration;

use codex_proxy::simulator::{SimulatedLogin, SimulatedWindow, Simulator, Workspace};

use crate::common::daemon::{Daemon, Home};
use crate::{LOGIN_FILE, pointed_at, simulated, text};

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
    for part in ["overloaded", "Codex CLI"] {
        assert!(!found.contains(part), "{part} concerns nobody without a login and without a Codex CLI:\n{found}");
    }
    home.write(".codex/config.toml", "");
    let output = home.run(&["doctor", "--port", "0", "--upstream-url", nobody, "--auth-url", nobody]);
    assert!(text(&output.stdout).contains("Where the Codex CLI is signed in"), "{output:?}");
}

#[test]
fn the_doctor_tells_an_expired_login_that_can_be_renewed_from_one_that_cannot() {
    let simulator = Simulator::new();
    let mut document = simulator.issue_login(SimulatedLogin::default().expiring_in(-60));
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
    let whole = home.run(&[
        "doctor",
        "--port",
        "0",
        "--upstream-url",
        "http://127.0.0.1:9",
        "--auth-url",
        "http://127.0.0.1:9",
    ]);
    assert!(text(&whole.stdout).contains("If every model has been overloaded for hours"), "{whole:?}");

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
fn signing_in_looking_and_signing_out() {
    let (_runtime, simulator, running) = simulated();
    simulator.configure(|settings| {
        settings.issuer.device_interval = "1".to_owned();
        settings.issuer.device_pending_polls = Some(0);
        settings.limits.secondary =
            Some(SimulatedWindow { used_percent: 40.0, minutes: 300, resets_in_seconds: 7_230 });
    });
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    let home = Home::new();
    let login = home.run(&pointed_at(&["login", "--device"], &upstream, &issuer));
    assert!(login.status.success(), "{login:?}");
    assert!(text(&login.stdout).contains("Signed in as simulated@example.com"), "{login:?}");

    let status = home.run(&pointed_at(&["status"], &upstream, &issuer));
    assert!(status.status.success(), "{status:?}");
    for words in ["Plan     Plus", "weekly: 13 % used", "5-hour: 40 % used, resets in 2 hours"] {
        assert!(text(&status.stdout).contains(words), "{words} is not in\n{}", text(&status.stdout));
    }
    let status = home.run(&pointed_at(&["status", "--json"], &upstream, &issuer));
    let json: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!((&json["plan"], &json["windows"][1]["window_seconds"]), (&"plus".into(), &18_000.into()));
    for time in [&json["expires_at"], &json["windows"][1]["resets_at"]] {
        assert!(time.as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{json}");
    }
    let keys: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
    assert!(keys.iter().all(|key| key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')), "{keys:?}");

    let logout = home.run(&pointed_at(&["logout", "--revoke"], &upstream, &issuer));
    assert!(logout.status.success() && text(&logout.stdout).contains("is revoked"), "{logout:?}");
    assert!(text(&logout.stdout).contains("No codex-proxy answers"), "{logout:?}");
    assert!(!home.path().join(LOGIN_FILE).exists());
    assert_eq!(simulator.counters().revoked_chains, 1);
}

#[test]
fn status_says_so_where_the_usage_is_not_known() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(SimulatedLogin::default()).to_string());
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
    home.write(LOGIN_FILE, &simulator.issue_login(SimulatedLogin::default().expiring_in(-60)).to_string());
    let said = text(&home.run(&pointed_at(&["status"], &running.upstream_url(), &issuer)).stdout);
    assert!(said.contains("not known: the access token has expired"), "{said}");
}

#[test]
fn the_doctor_finds_nothing_where_there_is_nothing() {
    let (_runtime, simulator, running) = simulated();
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(SimulatedLogin::default()).to_string());
    let protect = |mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(home.path().join(LOGIN_FILE), permissions).expect("a mode");
    };
    protect(0o600);
    let daemon =
        Daemon::start(&mut home.command(&pointed_at(&["--port", "0", "--host", "127.0.0.1"], &upstream, &issuer)));
    let port = daemon.address.port().to_string();
    let examine = || {
        let output = home.run(&pointed_at(&["doctor", "--host", "127.0.0.1", "--port", &port], &upstream, &issuer));
        (output.status.code(), text(&output.stdout))
    };
    let (code, found) = examine();
    assert_eq!(code, Some(0), "{found}");
    for part in ["is serving on", "more minutes", "is private", "✅ backend", "✅ issuer", "✅ clock"] {
        assert!(found.contains(part), "{part} is not in\n{found}");
    }
    assert!(!found.contains('❌') && !found.contains('⚠'), "{found}");
    // What others may read and what has expired still work, and are said.
    home.write(LOGIN_FILE, &simulator.issue_login(SimulatedLogin::default().expiring_in(-60)).to_string());
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
    for login in [SimulatedLogin::default(), SimulatedLogin::default().fedramp()] {
        home.write(LOGIN_FILE, &simulator.issue_login(login).to_string());
        for (workspace, flags, code, begin, part) in [
            (usual.clone(), &[][..], 0, "✅", "is reached at its own address"),
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
    let document = Simulator::new().issue_login(SimulatedLogin::default()).to_string();
    home.write(LOGIN_FILE, &document);
    home.write(".codex/auth.json", &document);
    let nobody = "http://127.0.0.1:9";
    let doctor = || text(&home.run(&pointed_at(&["doctor", "--port", "0"], nobody, nobody)).stdout);
    assert!(doctor().contains("holds the same refresh token"), "{}", doctor());
    home.write(".codex/auth.json", &Simulator::new().issue_login(SimulatedLogin::default()).to_string());
    assert!(!doctor().contains("holds the same refresh token"), "{}", doctor());
}

#[test]
fn a_running_proxy_ends_with_its_login() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(SimulatedLogin::default()).to_string());
    let arguments = ["--port", "0", "--host", "127.0.0.1"];
    let daemon =
        Daemon::start(&mut home.command(&pointed_at(&arguments, &running.upstream_url(), &running.auth_url())));
    let answer = || {
        let mut answer = String::new();
        let hello = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        daemon.chat(hello).read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(answer().starts_with("HTTP/1.1 200 "));
    let port = daemon.address.port().to_string();
    let said = text(&home.run(&["logout", "--host", "127.0.0.1", "--port", &port]).stdout);
    assert!(
        said.contains("codex-proxy is running: it stops using the login within a few seconds")
            && said.contains("the next start copies"),
        "{said}"
    );
    let has_ended = (0..120).any(|_| {
        std::thread::sleep(Duration::from_millis(500));
        answer().starts_with("HTTP/1.1 401 ")
    });
    assert!(has_ended, "{}", answer());
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}
