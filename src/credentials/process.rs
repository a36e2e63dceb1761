//! A refresh in a separate process, which completes even if the daemon is killed.
//!
//! * Between the issuer's exchange of a refresh token and the write of the new one, the login exists only in flight: a
//!   process that dies then loses it. The refreshing process is small, lives for one refresh, has a session of its own
//!   and ignores every signal but SIGKILL, because a service manager or container runtime signals all processes, not
//!   the daemon alone.
//! * The process does one whole refresh: takes the store's lock, reads again, adopts or exchanges, stores. Another
//!   process waits for the lock and finds the new login.
//! * Orders and reports are one JSON object each, over pipes; no argument or variable holds a token.
//! * If the process cannot be started, the daemon refreshes in its own.
//! * The order's pipe stays open. Its end, when the daemon stops or dies, tells the process not to begin the exchange;
//!   the daemon then stops waiting for another program's lock.
//!
//! The program's `main` must call [`answer`] when its first argument is [`ARGUMENT`], before anything else.

use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credentials::place::StoreAddress;
use crate::credentials::store::CredentialStore;
use crate::credentials::store::file::FileStore;
use crate::credentials::store::keychain::KeychainStore;
use crate::credentials::supplier::TokenSupplier;
use crate::credentials::supplier::delegate::{Delegate, Need};
use crate::credentials::supplier::refresh::Shared;
use crate::credentials::supplier::report::{IssuerReport, Report};
use crate::credentials::supplier::stop::Stop;
use crate::oauth::Client;
use crate::platform::HttpClient;
use crate::secret::Secret;

/// The first argument of a process started for one refresh.
pub const ARGUMENT: &str = "refresh-login";

/// The command that starts a process for one refresh.
#[derive(Debug, Clone)]
pub struct DetachedRefresh {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// A [`Delegate`] that starts a process for each refresh of one login.
#[derive(Debug, Clone)]
struct RefreshProcess {
    start: DetachedRefresh,
    store: StoreAddress,
    oauth: Client,
}

/// The request to the process.
#[derive(Serialize, Deserialize)]
struct Order {
    store: StoreAddress,
    issuer: String,
    originator: String,
    user_agent: String,
    replaces: Option<String>,
    is_rejected: bool,
}

impl DetachedRefresh {
    /// Uses this program's own file, even if another version has replaced it since.
    pub fn this_program() -> io::Result<Self> {
        let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        Ok(Self::new(program, [ARGUMENT]))
    }

    /// Uses `program` with `arguments`; it must call [`answer`].
    pub fn new(program: PathBuf, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { program, arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Creates a supplier that delegates refreshes, if another process can open the store.
    pub fn supplier(self, store: Arc<dyn CredentialStore>, oauth: Client) -> TokenSupplier {
        let process = store.address().map(|store| RefreshProcess { start: self, store, oauth: oauth.clone() });
        let supplier = TokenSupplier::new(store, oauth);
        match process {
            Some(process) => supplier.with_delegate(Arc::new(process)),
            None => supplier,
        }
    }

    /// Runs `order` in a process, unless `stop` is requested before the exchange begins. Returns `None` if no process
    /// could be started.
    async fn run(&self, order: &Order, stop: &Stop) -> Option<Report> {
        let order = Zeroizing::new(serde_json::to_string(order).ok()?);
        let child = self.start().inspect_err(|error| tracing::debug!("cannot refresh in another process: {error}"));
        let mut child = child.ok()?;
        let input = Arc::new(Mutex::new(child.stdin.take()));
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let order_input = Arc::clone(&input);
        // Not a runtime thread: the runtime would wait for it at shutdown.
        let waiter = std::thread::Builder::new().name("refresh".to_owned()).spawn(move || {
            let _ = sender.send(converse(child, &order_input, &order));
        });
        waiter.ok()?;
        if let Either::Left((report, _)) = select(&mut receiver, pin!(stop.requested())).await {
            return report.ok()?;
        }
        input.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.await.ok()?
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(windows)]
        std::os::windows::process::CommandExt::creation_flags(&mut command, DETACHED);
        command.spawn()
    }
}

impl Delegate for RefreshProcess {
    fn renew<'a>(&'a self, need: &'a Need, stop: &'a Stop) -> BoxFuture<'a, Option<Report>> {
        let order = Order {
            store: self.store.clone(),
            issuer: self.oauth.issuer().to_owned(),
            originator: self.oauth.originator().to_owned(),
            user_agent: self.oauth.user_agent().to_owned(),
            replaces: need.replaces.as_ref().map(|token| token.expose().to_owned()),
            is_rejected: need.is_rejected,
        };
        async move { self.start.run(&order, stop).await }.boxed()
    }
}

/// Returns `None` if the process did not begin; a process that began and broke off is a temporary failure.
fn converse(mut child: Child, input: &Mutex<Option<ChildStdin>>, order: &str) -> Option<Report> {
    if let Some(input) = input.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        // An order is JSON on one line.
        let _ = input.write_all(order.as_bytes()).and_then(|()| input.write_all(b"\n")).and_then(|()| input.flush());
    }
    let mut text = Zeroizing::new(String::new());
    if let Some(mut output) = child.stdout.take() {
        let _ = output.read_to_string(&mut text);
    }
    let _ = child.wait();
    let lines = text.lines().map(str::trim_start);
    let report = lines.filter_map(|line| line.strip_prefix(REPORT)).next_back();
    if let Some(report) = report.and_then(|report| serde_json::from_str(report).ok()) {
        return Some(report);
    }
    if !text.contains(BEGUN) {
        return None;
    }
    let what = "the refreshing process ended without a report".to_owned();
    Some(Report::Refused(IssuerReport::Invalid { what }))
}

/// Reads one order from `input`, executes it and reports to `output`: the whole of a process started for one refresh.
///
/// The end of `input` after the order's line requests that no refresh begins.
///
/// The end of `input` behind the order's line asks for no refresh to begin any more.
pub fn answer(input: impl io::Read + Send + 'static, output: &mut dyn io::Write) -> ExitCode {
    let mut input = io::BufReader::new(input);
    let mut order = Zeroizing::new(String::new());
    let read = input.read_line(&mut order);
    let (Ok(_), Ok(order)) = (read, serde_json::from_str::<Order>(&order)) else { return ExitCode::FAILURE };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(runtime), Ok(http)) = (runtime, HttpClient::new(CONNECT_LIMIT)) else { return ExitCode::FAILURE };
    if stand_apart(&runtime).is_err() {
        return ExitCode::FAILURE;
    }
    let oauth = Client::new(http, &order.issuer, &order.originator, &order.user_agent);
    // From here on no other process may do the refresh, and it continues without a listener.
    let _ = writeln!(output, "{BEGUN}").and_then(|()| output.flush());
    let need = Need { replaces: order.replaces.map(Secret::new), is_rejected: order.is_rejected };
    let shared = Shared::new(open(order.store), oauth);
    let stop = shared.stop.clone();
    let watcher = std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
        let _ = io::copy(&mut input, &mut io::sink());
        stop.request();
    });
    if watcher.is_err() {
        return ExitCode::FAILURE;
    }
    let report = runtime.block_on(shared.renew_and_report(&need));
    let report = Zeroizing::new(serde_json::to_string(&report).unwrap_or_default());
    let _ = writeln!(output, "\n{REPORT}{}", *report).and_then(|()| output.flush());
    ExitCode::SUCCESS
}

/// Leaves the daemon's session and ignores every signal that can be caught. The refresh has not begun yet, so an
/// earlier signal costs nothing.
#[cfg(unix)]
fn stand_apart(runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    // A group leader, as in a test, has a session of its own or needs none.
    let _ = rustix::process::setsid();
    let _guard = runtime.enter();
    for kind in [
        SignalKind::alarm(),
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::io(),
        SignalKind::pipe(),
        SignalKind::quit(),
        SignalKind::terminate(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ] {
        // Tokio keeps an installed handler: <https://docs.rs/tokio/latest/tokio/signal/unix/struct.Signal.html>.
        drop(signal(kind)?);
    }
    Ok(())
}

/// Console signals do not reach a process without a console.
#[cfg(not(unix))]
fn stand_apart(_runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    Ok(())
}

fn open(address: StoreAddress) -> Arc<dyn CredentialStore> {
    match address {
        StoreAddress::Xdg(path) => Arc::new(FileStore::xdg(path)),
        StoreAddress::Legacy(path) => Arc::new(FileStore::legacy(path)),
        StoreAddress::Shared(path) => Arc::new(FileStore::shared(path)),
        StoreAddress::Keychain(directory) => Arc::new(KeychainStore::own(&directory)),
    }
}

const BEGUN: &str = "refresh begun";
const REPORT: &str = "refresh report ";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// `CREATE_NEW_PROCESS_GROUP` and `CREATE_NO_WINDOW`.
#[cfg(windows)]
const DETACHED: u32 = 0x0800_0200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_makes_no_sense_is_not_begun() {
        let mut output = Vec::new();
        answer("{}".as_bytes(), &mut output);
        assert_eq!(output, b"");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_said_to_be() {
        let missing = DetachedRefresh::new("/nonexistent/program".into(), [ARGUMENT]);
        let order = Order {
            store: StoreAddress::Xdg("/nonexistent".into()),
            issuer: String::new(),
            originator: String::new(),
            user_agent: String::new(),
            replaces: None,
            is_rejected: false,
        };
        assert_eq!(missing.run(&order, &Stop::default()).await, None);
    }
}
