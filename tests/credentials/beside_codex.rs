//! The login in a directory that a Codex CLI renews it in, too.
//!
//! The CLI is played by [`codex`], which reads, exchanges, locks and writes as Codex CLI 0.169 was measured to do
//! (`strace`, 2026-11-25); `tests/conformance` runs the real one. Other processes are this test program itself, started
//! with [`CHILD`] set.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{oauth, read_json, this_program, token, write_private};
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{
    CredentialError, CredentialStore as _, Environment, StoreChoice, StoreOptions, TokenSupplier, open_store,
};
use codex_proxy::oauth::{Ended, IssuerError};
use codex_proxy::secret::Secret;
use codex_proxy::simulator::{RunningSimulator, SimulatedLogin, Simulator};

/// What a Codex CLI that wants a token comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It has stored the token it was given.
    Stored,
    /// It uses the token that it found in the file.
    Adopted,
    /// The issuer refused it, and there was no other token in the file: it tries again when it is next asked.
    Refused,
    /// It was given a token and could not store it.
    Lost,
}

/// One refresh of the Codex CLI whose home is `home`.
fn codex(home: &Path, auth_url: &str) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = oauth(auth_url);
    let path = home.join("auth.json");
    let stored = || token(&read_json(&path), "refresh_token").to_owned();
    let old = stored();
    for _ in 0..3 {
        match runtime.block_on(client.refresh(&Secret::new(old.clone()))) {
            Ok(tokens) => {
                let lock = open_lock(&home.join("auth.lock"), 0o666);
                lock.lock().unwrap();
                if stored() != old {
                    return Outcome::Adopted;
                }
                let commit = open_lock(&home.join("auth.json.lock"), 0o600);
                if !(0..500).any(|_| try_for_a_moment(&commit)) {
                    return Outcome::Lost;
                }
                let mut document = read_json(&path);
                assert_eq!(token(&document, "refresh_token"), old, "somebody wrote without the locks");
                let new = |token: Option<Secret>| token.unwrap().expose().into();
                document["tokens"]["access_token"] = new(tokens.access_token);
                document["tokens"]["refresh_token"] = new(tokens.refresh_token);
                let temporary = home.join(".auth-x1y2z3");
                write_private(&temporary, &document.to_string());
                std::fs::rename(temporary, &path).unwrap();
                return Outcome::Stored;
            }
            Err(IssuerError::Ended(Ended::Reused)) if stored() != old => return Outcome::Adopted,
            Err(IssuerError::Ended(Ended::Reused)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    Outcome::Refused
}

fn try_for_a_moment(lock: &File) -> bool {
    match lock.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(Duration::from_millis(10));
            false
        }
        Err(TryLockError::Error(error)) => panic!("{error}"),
    }
}

fn open_lock(path: &Path, mode: u32) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(mode).open(path).unwrap()
}

/// Whether somebody holds the lock in `path`; a missing file is locked by nobody.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// A directory of the Codex CLI with an expired login, and the issuer it is from.
struct Home {
    simulator: Simulator,
    running: RunningSimulator,
    directory: tempfile::TempDir,
}

impl Home {
    async fn new() -> Self {
        let simulator = Simulator::new();
        // The one who comes too late is refused; how the real issuer sees the other one's tokens then is not known.
        simulator.configure(|settings| settings.issuer.reuse_ends_login = false);
        let running = simulator.start().await.unwrap();
        let home = Self { simulator, running, directory: tempfile::tempdir().unwrap() };
        let document = home.simulator.issue_login(SimulatedLogin::default().expiring_in(-60));
        write_private(&home.path(), &document.to_string());
        home
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("auth.json")
    }

    fn lock(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn supplier(&self) -> TokenSupplier {
        supplier(&self.path(), &self.running.auth_url())
    }

    /// The login in the file works, and so does `access`.
    fn check(&self, access: &str, case: &str) {
        let document = read_json(&self.path());
        assert!(self.simulator.accepts_refresh_token(token(&document, "refresh_token")), "{case}: the file's login");
        assert!(self.simulator.accepts_access_token(token(&document, "access_token")), "{case}: the file's token");
        assert!(self.simulator.accepts_access_token(access), "{case}: our token");
    }
}

fn supplier(path: &Path, auth_url: &str) -> TokenSupplier {
    TokenSupplier::new(store(path), oauth(auth_url))
}

fn store(path: &Path) -> Arc<FileStore> {
    Arc::new(FileStore::legacy(path.to_owned()))
}

/// How a round goes, in milliseconds: when we begin and when the CLI does, and how long the first and the second
/// exchange take before and after the token is spent.
#[derive(Debug, Clone, Copy)]
struct Round {
    begin: [u64; 2],
    first: [u64; 2],
    second: [u64; 2],
}

/// Rounds with issuers that take up to eight seconds, in an order that looks random and is the same in every run.
fn rounds() -> Vec<Round> {
    let mut state = 1_u64;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut rounds = vec![
        // The CLI first, its answer long under way; we are refused at once.
        Round { begin: [300, 0], first: [0, 8000], second: [0, 0] },
        // The CLI first; ours takes so long that it has to wait for `auth.lock`.
        Round { begin: [300, 0], first: [0, 400], second: [7600, 0] },
        // We first, our answer long under way; the CLI is refused again and again.
        Round { begin: [0, 300], first: [0, 8000], second: [0, 0] },
        Round { begin: [0, 300], first: [7000, 1000], second: [0, 7000] },
        Round { begin: [0, 0], first: [0, 0], second: [0, 0] },
    ];
    rounds.extend((0..19).map(|_| {
        let slowest = [20, 400, 2000, 8000][usize::try_from(below(4)).unwrap()];
        let mut exchange = || {
            let whole = below(slowest);
            let before = below(whole + 1);
            [before, whole - before]
        };
        let (first, second) = (exchange(), exchange());
        Round { begin: [below(50), below(50)], first, second }
    }));
    rounds
}

impl Round {
    fn apply(&self, simulator: &Simulator) {
        for [before, after] in [self.first, self.second] {
            simulator.delay_token_answer(Duration::from_millis(before), Duration::from_millis(after));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_refresh_at_once_and_no_login_is_lost() {
    let playing = rounds().into_iter().map(|round| {
        tokio::spawn(async move {
            let home = Home::new().await;
            round.apply(&home.simulator);
            let (directory, auth_url) = (home.directory.path().to_owned(), home.running.auth_url());
            let other = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(round.begin[1]));
                codex(&directory, &auth_url)
            });
            tokio::time::sleep(Duration::from_millis(round.begin[0])).await;
            let access = home.supplier().access().await.unwrap_or_else(|error| panic!("{round:?}: {error}"));
            let outcome = tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap();
            assert_ne!(outcome, Outcome::Lost, "{round:?}");
            home.check(access.token.expose(), &format!("{round:?}, {outcome:?}"));
            outcome
        })
    });
    let mut outcomes = Vec::new();
    for round in playing.collect::<Vec<_>>() {
        outcomes.push(round.await.unwrap());
    }
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    let (stored, adopted, refused) = (count(Outcome::Stored), count(Outcome::Adopted), count(Outcome::Refused));
    println!("{stored} stored, {adopted} adopted, {refused} refused for the time being");
    assert!(stored >= 2 && adopted + refused >= 2, "{outcomes:?}");
}

/// The roles of other processes: `codex` or `proxy`, the home and the issuer's address, a line each.
const CHILD: &str = "CODEX_PROXY_BESIDE_CODEX";

/// Not a test of its own: what other processes run. Says in one line what came of it.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let [role, home, auth_url] = order.split('\n').collect::<Vec<_>>().try_into().unwrap();
    if role == "codex" {
        println!("\nresult {:?}", codex(Path::new(home), auth_url));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let supplier = this_program().supplier(store(&Path::new(home).join("auth.json")), oauth(auth_url));
    match runtime.block_on(supplier.access()) {
        Ok(access) => println!("\nresult {}", access.token.expose()),
        Err(error) => println!("\nresult error {error}"),
    }
}

fn start(role: &str, home: &Home) -> Child {
    let order = format!("{role}\n{}\n{}", home.directory.path().display(), home.running.auth_url());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "beside_codex::child", "--nocapture"])
        .env(CHILD, order)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn result(process: Child) -> String {
    let output = tokio::task::spawn_blocking(|| process.wait_with_output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("result "));
    line.unwrap_or_else(|| panic!("no result in {text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_refresh_at_once_in_processes_of_their_own() {
    let places = Arc::new(tokio::sync::Semaphore::new(8));
    let playing = rounds().into_iter().map(|round| {
        let places = Arc::clone(&places);
        tokio::spawn(async move {
            let _place = places.acquire().await.unwrap();
            let home = Home::new().await;
            round.apply(&home.simulator);
            let mut order = [("proxy", round.begin[0]), ("codex", round.begin[1])];
            order.sort_by_key(|(_, begin)| *begin);
            let first = start(order[0].0, &home);
            tokio::time::sleep(Duration::from_millis(order[1].1 - order[0].1)).await;
            let second = start(order[1].0, &home);
            let results = [result(first).await, result(second).await];
            let [proxy, codex] = if order[0].0 == "proxy" { [0, 1] } else { [1, 0] };
            assert_ne!(results[codex], "Lost", "{round:?}");
            home.check(&results[proxy], &format!("{round:?}: {results:?}"));
        })
    });
    for round in playing.collect::<Vec<_>>() {
        round.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_the_codex_cli_waits_loses_neither_login() {
    for (kill_after, exchange) in [(700, [0, 2000]), (700, [2000, 0]), (0, [0, 300]), (150, [0, 300])] {
        let home = Home::new().await;
        let [before, after] = exchange.map(Duration::from_millis);
        home.simulator.delay_token_answer(before, after);
        let mut proxy = start("proxy", &home);
        assert!(home.simulator.wait_until(LONG, |simulator| simulator.counters().token_requests >= 1).await);
        let other = start("codex", &home);
        tokio::time::sleep(Duration::from_millis(kill_after)).await;
        proxy.kill().unwrap();
        proxy.wait().unwrap();
        let outcome = result(other).await;
        assert_ne!(outcome, "Lost");
        let access = home.supplier().access().await.unwrap_or_else(|error| panic!("{outcome}: {error}"));
        home.check(access.token.expose(), &format!("killed after {kill_after} ms, {outcome}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_codex_cli_waits_for_our_refresh_and_never_for_our_file_lock() {
    let home = Home::new().await;
    home.simulator.delay_token_answer(Duration::ZERO, Duration::from_millis(1500));
    let supplier = home.supplier();
    let refreshing = tokio::spawn(async move { supplier.access().await });
    assert!(home.simulator.wait_until(LONG, |simulator| simulator.counters().refreshes == 1).await);
    assert!(is_locked(&home.lock("auth.lock")), "the refresh is ours");
    assert!(!is_locked(&home.lock("auth.json.lock")), "nothing is being stored");
    let access = refreshing.await.unwrap().unwrap();
    home.check(access.token.expose(), "alone");
    for name in ["auth.lock", "auth.json.lock", "auth.json.codex-proxy.lock"] {
        assert!(!is_locked(&home.lock(name)), "{name} is free again");
        let mode = std::fs::metadata(home.lock(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name} is there for the next one");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_token_lets_the_codex_cli_in_before_we_look() {
    let home = Home::new().await;
    // The CLI has exchanged the token and waits for its answer.
    let old = token(&read_json(&home.path()), "refresh_token").to_owned();
    let tokens = oauth(&home.running.auth_url()).refresh(&Secret::new(old)).await.unwrap();
    let supplier = home.supplier();
    let refreshing = tokio::spawn(async move { supplier.access().await });
    assert!(home.simulator.wait_until(LONG, |simulator| simulator.counters().reuse_attempts == 1).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!refreshing.is_finished(), "we look for what the CLI is about to store");
    assert!(!is_locked(&home.lock("auth.lock")) && !is_locked(&home.lock("auth.json.lock")));
    let mut document = read_json(&home.path());
    document["tokens"]["access_token"] = tokens.access_token.as_ref().unwrap().expose().into();
    document["tokens"]["refresh_token"] = tokens.refresh_token.unwrap().expose().into();
    write_private(&home.path(), &document.to_string());
    let access = refreshing.await.unwrap().unwrap();
    assert_eq!(Some(access.token), tokens.access_token);
    assert_eq!(home.simulator.counters().reuse_attempts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_issuer_keeps_our_own_processes_apart_and_the_codex_cli_waiting_only_so_long() {
    let home = Home::new().await;
    home.simulator.configure(|settings| settings.issuer.reuse_ends_login = true);
    home.simulator.delay_token_answer(Duration::ZERO, Duration::from_millis(9500));
    let suppliers = [home.supplier(), home.supplier()];
    let refreshing = suppliers.map(|supplier| tokio::spawn(async move { supplier.access().await }));
    assert!(home.simulator.wait_until(LONG, |simulator| simulator.counters().refreshes == 1).await);
    let began = Instant::now();
    while is_locked(&home.lock("auth.lock")) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(5), "let go after {:?}", began.elapsed());
    assert!(is_locked(&home.lock("auth.json.codex-proxy.lock")), "before the answer was there");
    for one in refreshing {
        let access = one.await.unwrap().unwrap();
        home.check(access.token.expose(), "one exchange for both");
    }
    assert_eq!((home.simulator.counters().refreshes, home.simulator.counters().reuse_attempts), (1, 0));
}

#[tokio::test]
async fn our_own_directory_has_one_lock_as_before() {
    let home = Home::new().await;
    let supplier = TokenSupplier::new(Arc::new(FileStore::xdg(home.path())), oauth(&home.running.auth_url()));
    supplier.access().await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(home.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["auth.json", "auth.json.lock"]);
}

#[tokio::test]
async fn a_file_that_leads_to_the_codex_clis_is_locked_like_it() {
    let home = Home::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("auth.json");
    std::os::unix::fs::symlink(home.path(), &link).unwrap();
    let environment = Environment { codex_home: Some(home.directory.path().to_owned()), ..Environment::default() };
    let options = StoreOptions { choice: StoreChoice::Xdg, path: Some(link.clone()), ..StoreOptions::default() };
    let store = open_store(&options, &environment);
    let lock = store.lock().await.unwrap();
    assert!(store.is_shared() && is_locked(&home.lock("auth.lock")));
    drop(lock);
    // In somebody else's CODEX_HOME the lock that its CLI has left behind tells.
    let unknown = FileStore::xdg(link);
    assert!(unknown.is_shared());
    std::fs::remove_file(home.lock("auth.lock")).unwrap();
    assert!(!unknown.is_shared());
}

#[tokio::test(start_paused = true)]
async fn no_wait_for_a_lock_is_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auth.json");
    write_private(&path, r#"{"tokens":{"access_token":"t","account_id":"a"}}"#);
    let store = FileStore::legacy(path);
    let document = store.read().await.unwrap().unwrap();
    let lock = store.lock().await.unwrap();
    // Somebody has the file's lock without `auth.lock`, which no program of today does.
    let commit = open_lock(&directory.path().join("auth.json.lock"), 0o600);
    commit.lock().unwrap();
    store.write(&document, &lock).await.unwrap();
    drop(lock);
    let other = open_lock(&directory.path().join("auth.lock"), 0o600);
    other.lock().unwrap();
    let error = store.lock().await.unwrap_err();
    assert!(matches!(error, CredentialError::Locked { .. }), "{error}");
}

/// More than any step takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
