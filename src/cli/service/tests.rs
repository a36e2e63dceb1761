//! Tests of the rendered files.

use super::*;

fn definition() -> ServiceDefinition {
    ServiceDefinition {
        program: "/home/u/.local/bin/codex-proxy".to_owned(),
        flags: vec!["--port=3000".to_owned(), "--config=/home/u/my files/100% <$HOME> & \"x\".toml".to_owned()],
        variables: vec![("HTTPS_PROXY".to_owned(), "http://proxy:8080/?a=%41&b".to_owned())],
        writable: vec!["/home/u/.config/codex-proxy".to_owned(), "/home/u/my files".to_owned()],
        log: "/home/u/.cache/codex-proxy/codex-proxy.log".to_owned(),
        has_sandbox: true,
        sockets: Vec::new(),
    }
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn the_files_are_rendered_as_ever() {
    let plain = ServiceDefinition { has_sandbox: false, flags: Vec::new(), variables: Vec::new(), ..definition() };
    let sockets = vec!["127.0.0.1:9879".to_owned(), "[::1]:9879".to_owned()];
    let socket = ServiceDefinition { sockets, ..definition() };
    snapshot("service.systemd", &systemd::service(&definition()));
    snapshot("service.systemd-plain", &systemd::service(&plain));
    snapshot("service.systemd-activated", &systemd::service(&socket));
    snapshot("service.systemd-socket", &systemd::socket(&socket).expect("a socket"));
    snapshot("service.launchd", &launchd::agent(&definition()));
    snapshot("service.task", &task::task(&definition()));
    assert_eq!(systemd::socket(&definition()), None);
}

#[test]
#[cfg(unix)]
fn the_managers_are_called_as_ever() {
    let mut calls = String::new();
    for manager in [ServiceManager::Systemd, ServiceManager::Launchd, ServiceManager::TaskScheduler] {
        let config = Config::resolve(crate::cli::config::args::Options::default(), |name| {
            (name == "HOME").then(|| "/home/u".into())
        });
        let files = manager.files(&config.expect("a configuration"), &definition()).expect("files");
        let more = [vec![manager.asking(), manager.showing("the.log", false), manager.showing("the.log", true)]];
        let all = [manager.starting(&files), manager.restarting(&files, SocketChange::Same), manager.stopping(&files)]
            .into_iter()
            .chain(more);
        for call in all.flatten() {
            // The user's number is not the same everywhere.
            let call = manager::typed(&call);
            let call = call.split(' ').map(|word| match word.strip_prefix("gui/") {
                Some(rest) => format!("gui/UID{}", rest.trim_start_matches(|letter: char| letter.is_ascii_digit())),
                None => word.to_owned(),
            });
            calls.push_str(&call.collect::<Vec<_>>().join(" "));
            calls.push('\n');
        }
    }
    snapshot("service.calls", &calls);
}

#[test]
#[cfg(unix)]
fn a_changed_socket_is_opened_anew_without_its_service() {
    let config = Config::resolve(crate::cli::config::args::Options::default(), |name| {
        (name == "HOME").then(|| "/home/u".into())
    });
    let definition = ServiceDefinition { sockets: vec!["127.0.0.1:9879".to_owned()], ..definition() };
    let files = ServiceManager::Systemd.files(&config.expect("a configuration"), &definition).expect("files");
    let steps: Vec<_> =
        ServiceManager::Systemd.restarting(&files, SocketChange::Same).iter().map(manager::typed).collect();
    assert_eq!(
        steps[1..],
        ["systemctl --user stop codex-proxy.service", "systemctl --user restart codex-proxy.socket"]
    );
}

#[test]
#[cfg(unix)]
fn flags_are_made_to_last() {
    let options = crate::cli::config::args::Options::default();
    let config = Config::resolve(options, |name| (name == "HOME").then(|| "/home/u".into())).expect("a configuration");
    let define = |flag: &str| {
        let arguments = InstallArguments::default();
        ServiceDefinition::new(&config, arguments, &[flag.into()], Path::new("/p"), |_| None).map(|made| made.flags)
    };
    assert_eq!(define("--port=1").expect("a flag"), ["--port=1"]);
    assert_eq!(define("--config=~/c.toml").expect("a flag"), ["--config=~/c.toml"]);
    let made = define("--config=c.toml").expect("a flag");
    let path = made[0].strip_prefix("--config=").expect("a path");
    assert!(Path::new(path).is_absolute() && path.ends_with("c.toml"), "{path}");
    for (flag, part) in
        [("--api-key=k", "--api-key-file"), ("--api-key-file=-", "standard input"), ("--host=a\nb", "control")]
    {
        let error = define(flag).expect_err("refused").to_string();
        assert!(error.contains(part), "{flag}: {error}");
    }
}

#[test]
fn the_flags_in_a_file_are_those_that_it_was_written_with() {
    for (manager, text) in [
        (ServiceManager::Systemd, systemd::service(&definition())),
        (ServiceManager::Launchd, launchd::agent(&definition())),
    ] {
        assert_eq!(installed::flags(manager, &text), definition().flags, "{manager:?}");
    }
    // A path of Windows has no quotes.
    let flags = vec!["--port=3000".to_owned(), r"--config=C:\my files\100%.toml".to_owned()];
    let text = task::task(&ServiceDefinition { flags: flags.clone(), ..definition() });
    assert_eq!(installed::flags(ServiceManager::TaskScheduler, &text), flags);
    let sockets = vec!["[::1]:3000".to_owned()];
    let socket = systemd::socket(&ServiceDefinition { sockets, ..definition() }).expect("a socket");
    assert_eq!(installed::address(&socket), "[::1]:3000".parse().ok());
    assert!(installed::flags(ServiceManager::Systemd, "").is_empty() && installed::address("").is_none());
}
