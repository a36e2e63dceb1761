//! `serve`: the daemon.
//!
//! * The port is bound first: a port in use is the likeliest problem.
//! * The first line on stdout is the address, written once requests are answered.
//! * SIGTERM, SIGINT or SIGHUP (a closing terminal) shuts down gracefully, a second one at once; both with exit code 0.
//!   A token refresh under way is waited for in any case, since its tokens exist nowhere else.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::{health, notify, setup};
use crate::credentials::process::DetachedRefresh;
use crate::credentials::{TokenSupplier, open_supplier};
use crate::ledger::{Ledger, LedgerEntry, LedgerPlace};
use crate::oauth::Client;
use crate::platform;
use crate::platform::{Cores, HttpClient};
use crate::server::listen::BindError;
use crate::server::{App, listen, router};

/// Serves until a signal, on the sockets of `inherited` if there are any, else on the configured address.
pub(super) async fn serve(
    config: &Config,
    inherited: Vec<std::net::TcpListener>,
    output: &mut impl Write,
) -> Result<(), CliError> {
    let mut signals = Signals::new()?;
    let is_given = !inherited.is_empty();
    let listeners = if is_given { listen::adopt(inherited, config.has_key)? } else { bind(config).await? };
    let client = HttpClient::new(CONNECT_TIMEOUT)?;
    let mut store = config.store.clone();
    store.detached_refresh = DetachedRefresh::this_program().ok();
    let supplier = open_supplier(&store, &config.environment, issuer(config, &client)).await;
    let url = announce(&listeners, output)?;
    log_start(config, &url);
    if let Some(warning) = if is_given { differs(config, &listeners) } else { None } {
        tracing::warn!("{warning}");
    }
    let record = Record { place: config.ledger_path.clone().map(LedgerPlace::File), former: Vec::new() };
    run(config, listeners, client, supplier, record, &mut signals).await
}

/// Binds the configured address. If it is taken, the error says whether this program has it.
pub(super) async fn bind(config: &Config) -> Result<Vec<TcpListener>, CliError> {
    let error = match listen::bind(&config.host, config.port, config.has_key).await {
        Ok(listeners) => return Ok(listeners),
        Err(error) => error,
    };
    if let BindError::InUse { port, .. } = error
        && let Ok(Ok(health)) = timeout(GLANCE, health::ask(&health::url(config))).await
    {
        let what = if health.mode == "demo" { "the demo of codex-proxy" } else { "another codex-proxy" };
        return Err(CliError::Taken { port, what, place: String::new() });
    }
    Err(error.into())
}

/// Returns a warning if the sockets of the service manager are others than the options name: those have no effect then.
fn differs(config: &Config, listeners: &[TcpListener]) -> Option<String> {
    let given: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let host = config.host.trim().trim_matches(['[', ']']);
    let is_host =
        |ip: IpAddr| if host.eq_ignore_ascii_case("localhost") { ip.is_loopback() } else { host.parse() == Ok(ip) };
    let is_port = given.iter().any(|address| address.port() == config.port);
    let wrong = [("host", !given.iter().any(|address| is_host(address.ip()))), ("port", !is_port)];
    let wrong = wrong.into_iter().filter(|(option, differs)| *differs && config.origins.of(option).is_some());
    let wrong: Vec<_> = wrong.map(|(option, _)| config.origins.name(&format!("--{option}"))).collect();
    let names = (!wrong.is_empty()).then(|| wrong.join(" and "))?;
    let given = given.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" and ");
    Some(format!(
        "⚠️ {names} has no effect: the service manager has opened {given}; codex-proxy service install --socket with the \
         option writes its socket anew"
    ))
}

/// Where requests are recorded.
pub(super) struct Record {
    /// The ledger; none for a user without a home.
    pub(super) place: Option<LedgerPlace>,
    /// The requests that are entered at the start.
    pub(super) former: Vec<LedgerEntry>,
}

/// Serves `listeners` with the login of `supplier` until a signal.
pub(super) async fn run(
    config: &Config,
    listeners: Vec<TcpListener>,
    client: HttpClient,
    supplier: Arc<TokenSupplier>,
    record: Record,
    signals: &mut Signals,
) -> Result<(), CliError> {
    // Dropped last: a refresh that began on one of the threads is waited for below.
    let cores = Cores::start(config.threads)?;
    platform::spawn(supplier.clone().keep_fresh());
    let login = TokenSupplier::clone(&supplier);
    let app = App::new(config.server.clone(), config.models(), login, config.upstream.clone(), client);
    let mut app = app.map_err(|error| CliError::Internal(error.to_string()))?;
    if let Some(cache) = config.catalogue_cache.clone() {
        app = app.with_catalogue_cache(Box::new(cache));
    }
    let ledger = record.place.and_then(|place| start_ledger(config, place, &app));
    if let Some(ledger) = ledger.clone() {
        record.former.into_iter().for_each(|entry| ledger.enter(entry));
        app = app.with_ledger(ledger);
    }
    tell_of_keys(config, ledger.is_some());
    let port = listeners.first().map(TcpListener::local_addr).transpose()?.map_or(config.port, |bound| bound.port());
    app = app.with_guides(setup::guides(config, port));
    let upstream = app.upstream.clone();
    let app = Arc::new(app);
    app.catalogue.start();
    platform::spawn(upstream.clone().keep_warm());
    let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let stopping = async {
        let _ = stopped.await;
    };
    let signalled = async {
        signals.next().await;
        notify::stopping();
        tracing::info!("stopping: answers under way have {} s to end", GRACE.as_secs());
        let _ = stop.send(());
        signals.next().await;
    };
    tokio::select! {
        () = listen::run(listeners, router(app), &cores, stopping, GRACE, cut_off, capacity) => upstream.close().await,
        () = signalled => tracing::warn!("second signal: answers under way are cut off"),
        () = notify::feed_watchdog() => {}
    }
    supplier.stop().await;
    if let Some(ledger) = ledger {
        ledger.close(LEDGER_PATIENCE);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Starts the ledger at `place`, unless it is switched off.
fn start_ledger(config: &Config, place: LedgerPlace, app: &App) -> Option<Ledger> {
    if config.ledger_days == 0 {
        return None;
    }
    let started = Ledger::start(place, config.ledger_days, app.limits().clone());
    started.inspect_err(|error| tracing::warn!("⚠️ requests are not recorded: no thread for the ledger: {error}")).ok()
}

/// Logs the named keys in force, and a limit of theirs that a restart forgets.
fn tell_of_keys(config: &Config, is_recorded: bool) {
    let named = config.server.guard.named.current();
    if !named.is_empty() {
        tracing::info!("{} named keys are in force", named.iter().count());
    }
    if !is_recorded && named.iter().any(|key| key.tokens_per_day.is_some()) {
        tracing::warn!("⚠️ the ledger is off: the tokens a day of named keys are counted from this start on");
    }
}

/// Creates the token issuer's client.
pub(super) fn issuer(config: &Config, client: &HttpClient) -> Client {
    Client::new(client.clone(), &config.auth_url, &config.upstream.originator, &config.upstream.user_agent)
}

/// Logs what is in force: the base URL for clients, the version, and where options come from.
pub(super) fn log_start(config: &Config, url: &str) {
    let file = config.origins.file().map(|path| path.display().to_string());
    let variables = Some(config.origins.variables().join(", ")).filter(|names| !names.is_empty());
    let host = config.host.trim().trim_matches(['[', ']']).parse::<IpAddr>();
    let others = if host.is_ok_and(|host| host.is_unspecified()) {
        "; on other machines this one's name or address stands in the place of localhost"
    } else {
        ""
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = file,
        environment = variables,
        "ready: clients use {url}/v1, and people {url}/{others}"
    );
    notify::ready(url);
}

/// Writes the first socket's address, and returns the one that clients on this machine use.
pub(super) fn announce(listeners: &[TcpListener], output: &mut impl Write) -> Result<String, CliError> {
    let address = listeners.first().map(TcpListener::local_addr).transpose()?;
    let address = address.ok_or_else(|| CliError::Internal("nothing to listen on".to_owned()))?;
    // The server serves without a reader of its output, too.
    let _ = writeln!(output, "listening on http://{address}").and_then(|()| output.flush());
    // Nobody can reach an address that stands for all of them, and some systems refuse it.
    let is_any = address.ip().is_unspecified();
    Ok(if is_any { format!("http://localhost:{}", address.port()) } else { format!("http://{address}") })
}

/// The signals that end the process.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
    /// Caught, so that a write beyond the limit on the size of files fails instead of ending the process.
    #[cfg(unix)]
    _file_size: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Catches the signals instead of ending the process.
    #[cfg(unix)]
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ)).ok(),
        })
    }

    /// Catches Ctrl-C instead of ending the process.
    #[cfg(not(unix))]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// The time limit for a connection to the backend or the issuer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long another program on the port may take to say that it is this one.
const GLANCE: Duration = Duration::from_secs(1);
/// The signal of a write beyond the limit on the size of files, on Linux and macOS alike.
#[cfg(unix)]
const SIGXFSZ: i32 = 25;
/// The longest wait for the ledger's last rows.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);
/// The grace time of answers under way at shutdown.
const GRACE: Duration = Duration::from_secs(10);
