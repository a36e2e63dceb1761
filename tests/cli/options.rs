//! Options that are set and cannot be used, and files that are not this user's alone.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::common::daemon::{Daemon, Home};
use crate::text;

fn protect(home: &Home, path: &str, mode: u32) {
    std::fs::set_permissions(home.path().join(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
}

fn refused(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let errors = text(&output.stderr);
    assert!(!output.status.success() && text(&output.stdout).is_empty(), "{output:?}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn a_variable_that_cannot_be_used_refuses_the_start() {
    let home = Home::new();
    let table: [(&str, &[u8], &str); 14] = [
        ("API_KEY", b"k\xff", "API_KEY: "),
        ("API_KEY", b",", "API_KEY: "),
        ("API_KEY", b"  ", "API_KEY: "),
        ("ADMIN_API_KEY", b"k\xff", "ADMIN_API_KEY: "),
        ("ADMIN_API_KEY", b" ", "ADMIN_API_KEY: "),
        ("ENV", b"\xff", "ENV: "),
        ("ACCESS_TOKEN", b"t\xff", "ACCESS_TOKEN: "),
        ("CODEX_HOME", b"relative", "CODEX_HOME: "),
        ("CODEX_PROXY_API_KEY_FILE", b"/no/such/file", "/no/such/file"),
        ("CODEX_PROXY_API_KEYS", b"secret", "CODEX_PROXY_API_KEYS: "),
        ("CODEX_PROXY_API_KEY", b"a\nb", "no header may hold"),
        ("CODEX_PROXY_ADMIN_API_KEY", b"a\nb", "no header may hold"),
        ("CODEX_PROXY_ENV", b"prod", "CODEX_PROXY_ENV: "),
        ("CREDS_STORE", b"nowhere", "CREDS_STORE"),
    ];
    for (name, value, part) in table {
        let mut command = home.command(&["--port", "0"]);
        command.env(name, OsStr::from_bytes(value));
        let errors = refused(command);
        assert!(errors.contains(part), "{name}: {errors}");
    }
}

#[test]
fn an_error_names_the_place_where_its_value_was_set() {
    let home = Home::new();
    let said = |variable: Option<(&str, &str)>, arguments: &[&str]| {
        let mut command = home.command(arguments);
        refused({
            command.envs(variable);
            command
        })
    };
    let from_compiler = said(Some(("HOST", "x86_64-conda-linux-gnu.invalid")), &["--port", "0"]);
    assert!(from_compiler.contains("(set by HOST (environment))"), "{from_compiler}");
    let own = said(Some(("CODEX_PROXY_MAX_CONCURRENT", "0")), &["--port", "0"]);
    assert!(own.starts_with("codex-proxy: CODEX_PROXY_MAX_CONCURRENT (environment): 0 would"), "{own}");
    home.write(".config/codex-proxy/config.toml", "max-concurrent = 0\n");
    let filed = said(None, &["--port", "0"]);
    assert!(filed.contains("max-concurrent in ") && filed.contains("config.toml: 0 would"), "{filed}");
    let flag = said(None, &["--port", "0", "--max-concurrent", "0"]);
    assert!(flag.starts_with("codex-proxy: --max-concurrent: 0 would"), "{flag}");
}

#[test]
fn a_variable_of_the_programs_own_beats_one_of_others() {
    let home = Home::new();
    let mut command = home.command(&["--port", "0"]);
    command.env("HOST", "nowhere.invalid").env("CODEX_PROXY_HOST", "127.0.0.1");
    command.env("API_KEY", "left over").env("CODEX_PROXY_API_KEY", "own").env("CODEX_PROXY_ENV", "production");
    let daemon = Daemon::start(&mut command);
    let ask = |key: &str| {
        daemon.ask(&format!("GET /v1/models HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\r\n"))
    };
    assert!(ask("own").starts_with("HTTP/1.0 200") && ask("left over").starts_with("HTTP/1.0 401"));
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    assert!(log.contains(r#""environment":"CODEX_PROXY_API_KEY, CODEX_PROXY_HOST""#), "{log}");
}

#[test]
fn keys_come_from_a_file_or_from_standard_input() {
    let home = Home::new();
    home.write("keys", "# those of the house\n\n first \nsecond\n");
    protect(&home, "keys", 0o600);
    let ask = |daemon: &Daemon, key: &str| {
        daemon.ask(&format!("GET /v1/models HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\r\n"))
    };
    let daemon = Daemon::start(&mut home.command(&["--port", "0", "--api-key-file", "~/keys", "--api-key", "third"]));
    for (key, status) in [("first", "200"), ("second", "200"), ("third", "200"), ("# those", "401"), ("", "401")] {
        let answer = ask(&daemon, key);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{key}: {answer}");
    }
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    assert!(log.contains("process list") && !log.contains("chmod"), "{log}");

    let (read, mut write) = std::os::unix::net::UnixStream::pair().expect("a pair");
    write.write_all(b"piped\n").expect("written");
    drop(write);
    let mut command = home.command(&["--port", "0", "--api-key-file", "-"]);
    command.stdin(std::os::fd::OwnedFd::from(read));
    let daemon = Daemon::start(&mut command);
    assert!(ask(&daemon, "piped").starts_with("HTTP/1.0 200") && ask(&daemon, "first").starts_with("HTTP/1.0 401"));

    // As Notepad writes it.
    home.write("keys", "\u{feff}first\r\nsecond\r\n");
    let daemon = Daemon::start(&mut home.command(&["--port", "0", "--api-key-file", "~/keys"]));
    assert!(["first", "second"].iter().all(|key| ask(&daemon, key).starts_with("HTTP/1.0 200")));
    drop(daemon);

    home.write("keys", "# none\n");
    assert!(refused(home.command(&["--port", "0", "--api-key-file", "~/keys"])).contains("no key"));
    let mut command = home.command(&["--port", "0", "--api-key-file", "-"]);
    command.stdin(Stdio::null());
    assert!(refused(command).contains("no key"));
}

#[test]
fn a_file_that_others_can_write_is_refused_and_one_they_can_read_is_said() {
    let home = Home::new();
    let config = ".config/codex-proxy/config.toml";
    home.write(config, "api-key = \"k\"\n");
    home.write("keys", "k\n");
    for (path, arguments) in [(config, &["--port", "0"][..]), ("keys", &["--port", "0", "--api-key-file", "~/keys"])] {
        protect(&home, path, 0o666);
        let errors = refused(home.command(arguments));
        assert!(errors.contains("can be written by others") && errors.contains(path), "{errors}");
        protect(&home, path, 0o644);
        let daemon = Daemon::start(&mut home.command(arguments));
        daemon.signal("-TERM");
        let (_, log) = daemon.end();
        assert!(log.contains("may be read by others") && log.contains("chmod 600"), "{path}: {log}");
        protect(&home, path, 0o600);
    }
    let daemon = Daemon::start(&mut home.command(&["--port", "0"]));
    daemon.signal("-TERM");
    assert!(!daemon.end().1.contains("chmod"));
}

#[test]
fn what_somebody_else_may_have_put_there_is_neither_waited_for_nor_trusted() {
    let home = Home::new();
    let own = ".config/codex-proxy/config.toml";
    let pipe = |path: &str| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        path
    };
    let usual = pipe(own);
    assert!(refused(home.command(&["models"])).contains("it is not a regular file"));
    std::fs::remove_file(&usual).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &usual).expect("a link");
    assert!(refused(home.command(&["models"])).contains("it is not a regular file"));
    let endless = home.command(&["models", "--config", "/dev/zero"]);
    assert!(refused(endless).contains("it is larger than"));
    std::fs::remove_file(&usual).expect("removed");
    home.write(own, "port = 0");
    protect(&home, ".config/codex-proxy", 0o777);
    assert!(refused(home.command(&["models"])).contains("its directory "));
    protect(&home, ".config/codex-proxy", 0o700);
    let named = pipe("keys");
    protect(&home, "keys", 0o666);
    let keys = home.command(&["--port", "0", "--api-key-file", named.to_str().expect("text")]);
    assert!(refused(keys).contains("can be written by others"));
    let mut certificates = home.command(&["models"]);
    certificates.env("SSL_CERT_FILE", &named);
    assert!(refused(certificates).contains("SSL_CERT_FILE"));
    let lock = pipe(".config/codex-proxy/keys.json.lock");
    assert!(refused(home.command(&["keys", "add", "laptop"])).contains("it is not a regular file"));
    std::fs::remove_file(lock).expect("removed");
    // The list of models is fetched again where its copy cannot be read, and a ledger that cannot be used costs its rows.
    pipe(".cache/codex-proxy/models.json");
    pipe(".local/state/codex-proxy/ledger.sqlite3");
    assert!(refused(home.command(&["usage"])).contains("it is not a regular file"));
    let daemon = Daemon::start(&mut home.command(&["--port", "0"]));
    assert!(daemon.ask(crate::HEALTH).contains(r#""status":"ok""#));
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert!(code == Some(0) && log.contains("ledger") && log.contains("it is not a regular file"), "{log}");
}

/// The file that a link leads to may hold the key, or be the keys.
#[test]
fn a_link_that_leads_nowhere_does_not_open_the_api() {
    for name in ["config.toml", "keys.json"] {
        for target in ["/nonexistent/dotfiles/file", name] {
            let home = Home::new();
            home.write(".config/codex-proxy/other", "");
            let path = home.path().join(".config/codex-proxy").join(name);
            std::os::unix::fs::symlink(target, &path).expect("a link");
            let error = refused(home.command(&["--port", "0"]));
            assert!(error.contains(name) && !error.contains("listening"), "{name} -> {target}: {error}");
        }
    }
}

#[test]
fn nothing_is_read_from_the_current_directory() {
    let home = Home::new();
    home.write("codex-proxy/config.toml", "upstream-url = \"https://thief.example\"\nunknown = 1\n");
    home.write(".codex/auth.json", "{");
    for (name, value) in [("HOME", ""), ("HOME", "."), ("XDG_CONFIG_HOME", ".")] {
        let mut command = home.command(&["models"]);
        command.current_dir(home.path()).env(name, value);
        // Whether there is a home in the user database or not: what lies here is not looked at.
        let output = command.output().expect("it runs");
        assert!(!text(&output.stderr).contains("unknown"), "{output:?}");
    }
}
