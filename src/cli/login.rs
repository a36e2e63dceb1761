//! `login`: signs the user in and stores the result as an independent login.
//!
//! * Obstacles to storing the result are found before the user goes to a browser.
//! * The browser's redirect goes to a port of this machine; with [`Method::Paste`] it may also be pasted.
//! * The device sign-in waits a quarter of an hour, and tolerates failures of the network and the issuer meanwhile.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use qrcode::render::unicode::Dense1x2;
use tokio::sync::mpsc;

use crate::credentials::store::StoreLock;
use crate::credentials::{CredentialError, CredentialStore, TokenSupplier};
use crate::humanize;
use crate::oauth::callback::{Callback, PORTS};
use crate::oauth::client::{AuthorizationCode, DeviceCode};
use crate::oauth::pkce::{SignIn, SignInError};
use crate::oauth::{Client, IssuerError};

/// The store and issuer of the commands about the login.
#[derive(Debug, Clone)]
pub struct CredentialContext {
    /// The store of the login.
    pub store: Arc<dyn CredentialStore>,
    /// The token issuer.
    pub oauth: Client,
}

/// The way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// In a browser that this program opens.
    #[default]
    Browser,
    /// In any browser; the redirect address may be pasted.
    Paste,
    /// On another device, by typing a code.
    Device,
}

/// The options of [`login`].
#[derive(Debug, Clone)]
pub struct LoginOptions {
    /// The way to sign in.
    pub method: Method,
    /// The callback ports to try, in order. The issuer redirects to [`PORTS`] only.
    pub ports: Vec<u16>,
    /// The user's time limit.
    pub limit: Duration,
    /// Opens a page in the user's browser.
    pub open_browser: fn(&str) -> io::Result<()>,
    /// The terminal that the user sits at.
    pub seat: Seat,
}

/// What a user's terminal can do for a sign-in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seat {
    /// Whether a browser of this machine would not be seen: no display, or a remote shell.
    pub is_remote: bool,
    /// Whether a picture of characters can be shown, for a phone's camera.
    pub shows_pictures: bool,
}

impl Seat {
    /// Looks at the process's environment through `variable`, and at whether its output is a terminal.
    pub fn of(variable: impl Fn(&str) -> bool, is_terminal: bool) -> Self {
        let has_display = !cfg!(target_os = "linux") || variable("DISPLAY") || variable("WAYLAND_DISPLAY");
        let is_remote = variable("SSH_CONNECTION") || variable("SSH_TTY") || !has_display;
        Self { is_remote, shows_pictures: is_terminal }
    }
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            method: Method::Browser,
            ports: PORTS.to_vec(),
            limit: LIMIT,
            // Not waited for: some launchers stay until their browser is closed.
            open_browser: |address| open::that_detached(address),
            seat: Seat::default(),
        }
    }
}

/// The reason that there is no new login.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The login could not be stored.
    #[error(transparent)]
    Store(#[from] CredentialError),
    /// The issuer failed.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The browser's redirect had no usable code.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// No callback port is free.
    #[error("cannot listen for the browser on port {ports}: {error}; use --no-browser or --device")]
    Port {
        /// The ports tried.
        ports: String,
        /// The error of the last one.
        error: io::Error,
    },
    /// The user exceeded the time limit.
    #[error("nobody signed in within {} minutes; run the command again", .0.as_secs() / 60)]
    TooLate(Duration),
    /// The issuer has no device sign-in for this account.
    #[error("the sign-in service offers no device codes here; use `codex-proxy login --no-browser`")]
    NoDeviceCodes,
    /// The removed login could not be revoked.
    #[error("the login could not be revoked, so its tokens stay valid at the issuer until they run out: {0}")]
    NotRevoked(IssuerError),
    /// The terminal is closed.
    #[error("cannot write to the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Signs the user in. `input` is read only for a pasted address, a line at a time.
pub async fn login(
    options: &LoginOptions,
    context: &CredentialContext,
    input: Box<dyn BufRead + Send>,
    output: &mut (dyn Write + Send),
) -> Result<(), LoginError> {
    check_store(context.store.as_ref(), output).await?;
    let signing_in = async {
        match options.method {
            Method::Browser => in_browser(options, context, output).await,
            Method::Paste => with_paste(options, context, input, output).await,
            Method::Device => on_device(options.seat, context, output).await,
        }
    };
    let code = tokio::time::timeout(options.limit, signing_in).await;
    let code = code.map_err(|_| LoginError::TooLate(options.limit))??;
    let tokens = context.oauth.exchange(&code).await?;
    let supplier = TokenSupplier::new(Arc::clone(&context.store), context.oauth.clone());
    supplier.store_sign_in(&tokens).await?;
    let login = supplier.login().await?;
    let who = login.email.unwrap_or(login.access.account_id);
    let plan = login.plan.map(|plan| format!(" ({})", humanize::plan(&plan))).unwrap_or_default();
    writeln!(output, "✅ Signed in as {who}{plan}. The login is stored in {}.", context.store.place())?;
    writeln!(
        output,
        "Next: `codex-proxy` serves on http://localhost:9879/v1; `codex-proxy doctor` checks everything."
    )?;
    Ok(())
}

async fn check_store(store: &dyn CredentialStore, output: &mut (dyn Write + Send)) -> Result<(), LoginError> {
    if store.is_read_only() {
        return Err(CredentialError::ReadOnly { place: store.place() }.into());
    }
    let lock = patiently(store, output).await?;
    store.read().await?;
    Ok(store.probe(&lock).await?)
}

/// Takes the lock of `store`, and says what it waits for if that takes long.
pub(super) async fn patiently(
    store: &dyn CredentialStore,
    output: &mut (dyn Write + Send),
) -> Result<StoreLock, LoginError> {
    let mut lock = store.lock();
    if let Ok(lock) = tokio::time::timeout(WORDLESS, &mut lock).await {
        return Ok(lock?);
    }
    writeln!(output, "Waiting for another program, which is changing the login in {} …", store.place())?;
    output.flush()?;
    Ok(lock.await?)
}

async fn in_browser(
    options: &LoginOptions,
    context: &CredentialContext,
    output: &mut (dyn Write + Send),
) -> Result<AuthorizationCode, LoginError> {
    let callback = bind(&options.ports).await?;
    let sign_in = SignIn::begin(callback.port())?;
    let address = sign_in.address(context.oauth.issuer(), context.oauth.originator());
    writeln!(output, "Sign in to ChatGPT in your browser. If none opens, open this address:\n\n{address}\n")?;
    if options.seat.is_remote {
        writeln!(output, "No browser on this machine? Ctrl-C, then: codex-proxy login --device")?;
    }
    output.flush()?;
    let open_browser = options.open_browser;
    // In a thread of its own: a text browser's command returns only when the browser is closed.
    let opener = std::thread::Builder::new().spawn(move || {
        if let Err(error) = open_browser(&address) {
            tracing::debug!("no browser could be opened: {error}");
        }
    });
    drop(opener);
    Ok(callback.wait(&sign_in).await?)
}

async fn with_paste(
    options: &LoginOptions,
    context: &CredentialContext,
    input: Box<dyn BufRead + Send>,
    output: &mut (dyn Write + Send),
) -> Result<AuthorizationCode, LoginError> {
    let callback = bind(&options.ports).await;
    let port = callback.as_ref().map_or(PORTS[0], Callback::port);
    let sign_in = SignIn::begin(port)?;
    let address = sign_in.address(context.oauth.issuer(), context.oauth.originator());
    writeln!(
        output,
        "Open this address in any browser and sign in to ChatGPT:\n\n{address}\n\n\
         The browser then goes to http://localhost:{port}/… and may say that it cannot be reached.\n\
         Paste the whole address it was sent to here:"
    )?;
    output.flush()?;
    let pasted = pasted(&sign_in, input, output);
    let callback = match callback {
        Ok(callback) => callback,
        // Without a port and a terminal there is nothing to wait for.
        Err(error) => return pasted.await?.ok_or(error),
    };
    let mut browser = std::pin::pin!(callback.wait(&sign_in));
    tokio::select! {
        answer = &mut browser => Ok(answer?),
        pasted = pasted => match pasted? {
            Some(code) => Ok(code),
            None => {
                writeln!(output, "Nothing can be pasted here: waiting for the browser to come back.")?;
                output.flush()?;
                Ok(browser.await?)
            }
        },
    }
}

/// Returns the code in the pasted address; `None` if the input ends without one.
async fn pasted(
    sign_in: &SignIn,
    input: Box<dyn BufRead + Send>,
    output: &mut (dyn Write + Send),
) -> Result<Option<AuthorizationCode>, LoginError> {
    let mut lines = lines(input);
    while let Some(line) = lines.recv().await {
        if line.trim().is_empty() {
            continue;
        }
        match sign_in.accept_pasted(&line) {
            Ok(code) => return Ok(Some(code)),
            Err(error @ SignInError::Refused(_)) => return Err(error.into()),
            Err(error) => writeln!(output, "{error}. Try again:")?,
        }
        output.flush()?;
    }
    Ok(None)
}

/// Reads the lines of `input` in a detached thread.
fn lines(mut input: Box<dyn BufRead + Send>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    let reader = std::thread::Builder::new().spawn(move || {
        let mut line = String::new();
        while matches!(input.read_line(&mut line), Ok(read) if read > 0) {
            if sender.blocking_send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    drop(reader);
    receiver
}

async fn on_device(
    seat: Seat,
    context: &CredentialContext,
    output: &mut (dyn Write + Send),
) -> Result<AuthorizationCode, LoginError> {
    let device = context.oauth.device_code().await?.ok_or(LoginError::NoDeviceCodes)?;
    writeln!(
        output,
        "Open {} on any device, sign in to ChatGPT and type this code:\n\n    {}\n\n\
         It is valid for 15 minutes. If the page refuses it, allow device codes in ChatGPT's security settings first.\n\
         Never type a code that somebody else gave you.",
        context.oauth.device_page(),
        device.user_code
    )?;
    if let Some(picture) = seat.shows_pictures.then(|| picture(&context.oauth.device_page())).flatten() {
        writeln!(output, "\nThe page, for a phone's camera:\n\n{picture}")?;
    }
    output.flush()?;
    poll(&context.oauth, &device).await
}

/// Draws the QR code of `address`, two rows of modules a line, light on dark terminals.
fn picture(address: &str) -> Option<String> {
    let code = qrcode::QrCode::with_error_correction_level(address, qrcode::EcLevel::L).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    Some(renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// Polls until the user has typed the code. What passes is waited for as long as the code is valid, since the user may have typed
/// it already.
async fn poll(oauth: &Client, device: &DeviceCode) -> Result<AuthorizationCode, LoginError> {
    let mut interval = device.interval;
    let mut pause = interval;
    loop {
        tokio::time::sleep(pause).await;
        pause = interval;
        match oauth.device_authorization(device).await {
            Ok(Some(code)) => return Ok(code),
            Ok(None) => {}
            Err(error) if is_passing(&error) => {
                if let IssuerError::Refused { status: StatusCode::TOO_MANY_REQUESTS, retry_after, .. } = &error {
                    (interval, pause) = slowed(interval, *retry_after);
                }
                tracing::debug!("retrying after: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the interval of the polls after a 429 with this `Retry-After`, and the pause before the next one.
fn slowed(interval: Duration, retry_after: Option<Duration>) -> (Duration, Duration) {
    let interval = (interval + SLOWER).min(SLOWEST);
    (interval, retry_after.unwrap_or_default().clamp(interval, SLOWEST))
}

fn is_passing(error: &IssuerError) -> bool {
    match error {
        IssuerError::Transport(_) | IssuerError::Timeout(_) => true,
        IssuerError::Refused { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
        IssuerError::Ended(_) | IssuerError::Blocked { .. } | IssuerError::Invalid(_) => false,
    }
}

async fn bind(ports: &[u16]) -> Result<Callback, LoginError> {
    Callback::bind(ports).await.map_err(|error| {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        LoginError::Port { ports: ports.join(" or "), error }
    })
}

const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The wait that needs no words.
const WORDLESS: Duration = Duration::from_secs(2);
/// How much slower each 429 makes the polls, as RFC 8628 has it.
const SLOWER: Duration = Duration::from_secs(5);
/// The longest pause between two polls.
const SLOWEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_shell_and_a_terminal_are_noticed() {
        let seat = |set: &[&str]| Seat::of(|name| set.contains(&name), false).is_remote;
        assert!(seat(&["SSH_CONNECTION", "DISPLAY"]) && seat(&["SSH_TTY"]));
        assert!(!seat(&["DISPLAY"]) && !seat(&["WAYLAND_DISPLAY"]));
        assert!(Seat::of(|_| true, true).shows_pictures);
    }

    #[test]
    fn a_busy_issuer_is_polled_less_often() {
        let seconds = Duration::from_secs;
        assert_eq!(slowed(seconds(5), None), (seconds(10), seconds(10)));
        assert_eq!(slowed(seconds(5), Some(seconds(30))), (seconds(10), seconds(30)));
        assert_eq!(slowed(seconds(58), Some(seconds(3600))), (seconds(60), seconds(60)));
    }

    #[test]
    fn the_picture_is_a_square_that_fits_a_terminal() {
        let picture = picture("https://auth.openai.com/codex/device").expect("a picture");
        let widths: Vec<_> = picture.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 40), "{widths:?}");
        assert_eq!(widths.len(), widths[0].div_ceil(2));
    }
}
