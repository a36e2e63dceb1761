//! A refresh in a process of its own, so that it ends well when this one is killed in the middle.
//!
//! * Between the moment the issuer exchanges a refresh token and the moment the new one is on the disk, the login exists
//!   only on the way. A process that dies then would lose it. The refreshing process is small, lives for one refresh,
//!   stands in a session of its own and heeds no signal but SIGKILL: a service manager or a container that stops sends
//!   its signals to every process, not to the daemon alone.
//! * It does one whole refresh: takes the store's lock, reads again, adopts or exchanges, stores. Whoever comes next
//!   waits for its lock and finds the new login.
//! * Orders and reports are one JSON object each, over pipes; no token stands in an argument or a variable.
//! * Where it cannot be started, the refresh is done in this process.
//! * The pipe of the order stays open. Its end, whether the daemon stops or dies, tells the process not to begin what it
//!   has not begun; the daemon then waits for no lock of somebody else's.
//!
//! The program's entry has to call [`answer`] when its first argument is [`ARGUMENT`], before anything else.

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

/// The first argument of a process that is to do one refresh.
pub const ARGUMENT: &str = "refresh-login";

/// How to start a process that does one refresh.
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

/// What the process is to do.
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
    /// Starts this program's own file, even if another version has taken its place since.
    pub fn this_program() -> io::Result<Self> {
        let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        Ok(Self::new(program, [ARGUMENT]))
    }

    /// Starts `program` with `arguments`; it must call [`answer`].
    pub fn new(program: PathBuf, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { program, arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// A supplier of `store`'s login that refreshes in such a process, if another process can open the store.
    pub fn supplier(self, store: Arc<dyn CredentialStore>, oauth: Client) -> TokenSupplier {
        let process = store.address().map(|store| RefreshProcess { start: self, store, oauth: oauth.clone() });
        let supplier = TokenSupplier::new(store, oauth);
        match process {
            Some(process) => supplier.with_delegate(Arc::new(process)),
            None => supplier,
        }
    }

    /// Has `order` done, unless `stop` is requested before the exchange begins. `None` where no process could be started
    /// to do it.
    async fn run(&self, order: &Order, stop: &Stop) -> Option<Report> {
        let order = Zeroizing::new(serde_json::to_string(order).ok()?);
        let child = self.start().inspect_err(|error| tracing::debug!("cannot refresh in another process: {error}"));
        let mut child = child.ok()?;
        let input = Arc::new(Mutex::new(child.stdin.take()));
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let order_input = Arc::clone(&input);
        // A thread of its own, because the runtime would wait for one of its own when it shuts down.
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

/// `None` where the process did not begin its work; one that began and broke off is a failure that may pass.
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

/// Reads one order from `input`, does it, and reports to `output`: the whole of a process started for one refresh.
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
    // From here on nobody else may do it. Nobody listening any more is no reason to stop.
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

/// Leaves the daemon's session and takes every signal that can be taken, to no effect. Until then the refresh has not
/// begun, so a signal in between costs nothing.
#[cfg(unix)]
fn stand_apart(runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    // A process that leads a group already, as in a test, has a session of its own or does without.
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
        // A handler that has been installed stays: <https://docs.rs/tokio/latest/tokio/signal/unix/struct.Signal.html>.
        drop(signal(kind)?);
    }
    Ok(())
}

/// Console signals do not reach a process without a console.
#[cfg(not(unix))]
fn stand_apart(_runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    Ok(())
}

/// The store at `address`.
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
