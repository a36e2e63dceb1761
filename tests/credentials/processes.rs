//! The login across processes: two that share a file, one that is killed in the middle, one whose disk is full.
//!
//! The other processes are this test program itself, started with [`CHILD`] set; see [`child`].

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{World, oauth, read_json, this_program, token, write_private};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{AuthDocument, CredentialStore as _, TokenSupplier};
use serde_json::json;

/// Holds the login file, the issuer's address, and `detached` or `inside` for where refreshes are done, a line each, in a
/// process that is to be the other one.
const CHILD: &str = "CODEX_PROXY_TEST_CHILD";

/// Not a test of its own: what the other processes run. Answers each line of its input with one line.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let [path, auth_url, refresh] = order.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = oauth(auth_url);
    let supplier = || {
        let (store, client) = (Arc::new(FileStore::xdg(PathBuf::from(path))), client.clone());
        if refresh == "detached" { this_program().supplier(store, client) } else { TokenSupplier::new(store, client) }
    };
    let mut kept = supplier();
    println!("\nready");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "anew" => kept = supplier(),
            "copy" => {
                let copy = FileStore::xdg(Path::new(path).with_file_name("made").join("deeper").join("auth.json"));
                let document = AuthDocument::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
                runtime.block_on(async { copy.write(&document, &copy.lock().await.unwrap()).await.unwrap() });
            }
            _ => {}
        }
        let answer = runtime.block_on(async { kept.access().await });
        match answer {
            Ok(access) => println!("\ntoken {}", access.token.expose()),
            Err(error) => println!("\nerror {error}"),
        }
    }
}

struct Other {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(path: &Path, auth_url: &str, refresh: &str, shell: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(if shell.is_empty() { program.as_path() } else { Path::new("sh") });
        if !shell.is_empty() {
            command.arg("-c").arg(format!("{shell} exec \"$0\" \"$@\"")).arg(&program);
        }
        let mut process = command
            .args(["--exact", "processes::child", "--nocapture"])
            .env(CHILD, format!("{}\n{auth_url}\n{refresh}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    fn ready(mut self) -> Self {
        assert_eq!(self.line("ready"), "ready");
        self
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.input, "{order}").unwrap();
    }

    /// The next line that begins with `start` or tells of an error.
    fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the other process has ended");
            if line.starts_with(start) || line.starts_with("error") {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The login in `path` gets an access token that has expired; its refresh token stays.
fn expire(path: &Path) {
    let mut document = read_json(path);
    let payload = URL_SAFE_NO_PAD.encode(json!({"exp": 1_700_000_000}).to_string());
    document["tokens"]["access_token"] = format!("e30.{payload}.x").into();
    write_private(path, &document.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_refresh_once_a_round() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let mut others = [(); 2].map(|()| Other::start(&world.path(), &world.running.auth_url(), "inside", "").ready());
    for round in 1..=200 {
        expire(&world.path());
        for other in &mut others {
            other.tell("anew");
        }
        let [one, two] = others.each_mut().map(|other| other.line("token"));
        assert_eq!(one, two, "round {round}");
        let access = one.strip_prefix("token ").unwrap_or_else(|| panic!("round {round}: {one}"));
        assert!(world.simulator.accepts_access_token(access), "round {round}");
        let counters = world.simulator.counters();
        assert_eq!((counters.refreshes, counters.reuse_attempts), (round, 0), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_is_private_whatever_the_umask() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut other = Other::start(&world.path(), &world.running.auth_url(), "detached", "umask 000;").ready();
    other.tell("copy");
    assert!(other.line("token").starts_with("token "));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let made = world.path().with_file_name("made");
    for directory in [&made, &made.join("deeper")] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    let file = made.join("deeper").join("auth.json");
    for file in
        [&world.path(), &world.path().with_file_name("auth.json.lock"), &file, &file.with_extension("json.lock")]
    {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_the_old_file_and_the_work_going() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    for refresh in ["inside", "detached"] {
        world.sign_in(&world.path(), -60);
        let before = std::fs::read(world.path()).unwrap();
        let refreshes = world.simulator.counters().refreshes;
        // No file may grow beyond nothing, as on a disk without room.
        let limit = "trap '' XFSZ; ulimit -f 0;";
        let mut other = Other::start(&world.path(), &world.running.auth_url(), refresh, limit).ready();
        let mut seen = Vec::new();
        for _ in 0..3 {
            other.tell("again");
            seen.push(other.line("token"));
        }
        assert!(seen.iter().all(|line| line == &seen[0] && line.starts_with("token ")), "{refresh}: {seen:?}");
        assert!(world.simulator.accepts_access_token(&seen[0]["token ".len()..]));
        assert_eq!(world.simulator.counters().refreshes, refreshes + 1, "{refresh}");
        assert_eq!(std::fs::read(world.path()).unwrap(), before, "{refresh}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_of_a_refresh_loses_nothing() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let auth_url = world.running.auth_url();
    // The exchange has happened while its answer is still on the way: the moment that loses logins.
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(10));
    let mut kills = [0; 3];
    let client = world.oauth();
    let start = || Other::start(&world.path(), &auth_url, "detached", "");
    let mut next = start();
    for round in 0..200_u64 {
        expire(&world.path());
        let rotations = world.simulator.counters().refreshes;
        let mut other = std::mem::replace(&mut next, start()).ready();
        other.tell("anew");
        // Spread over the refresh, in an order that looks random and is the same in every run.
        std::thread::sleep(Duration::from_micros(round * 7919 % 40_000));
        other.process.kill().unwrap();
        other.process.wait().unwrap();
        let was_exchanged = world.simulator.counters().refreshes > rotations;
        let is_stored = world.simulator.accepts_refresh_token(token(&read_json(&world.path()), "refresh_token"));
        kills[usize::from(was_exchanged) + usize::from(was_exchanged && is_stored)] += 1;
        let supplier = TokenSupplier::new(Arc::new(FileStore::xdg(world.path())), client.clone());
        let access = supplier.access().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(world.simulator.accepts_access_token(access.token.expose()), "round {round}");
    }
    println!("killed before the exchange, between it and the file, after both: {kills:?}");
    assert_eq!(world.simulator.counters().reuse_attempts, 0);
}
