//! The settings of a simulator, which may change while it runs.

use std::time::Duration;

use crate::answer::frame::Delivery;
use crate::catalogue::SimulatedCatalogue;
use crate::limits::Limits;
use crate::login::SimulatedLogin;
use crate::socket::SocketSettings;

/// The settings. The defaults are the real services' behaviour.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// The behaviour of the token issuer.
    pub issuer: IssuerSettings,
    /// The routing of the account's workspace.
    pub workspace: Workspace,
    /// The models of the account.
    pub catalogue: SimulatedCatalogue,
    /// The account's usage windows.
    pub limits: Limits,
    /// The default delivery of streams.
    pub delivery: Delivery,
    /// Whether streams contain an unknown event.
    pub unknown_events: bool,
    /// Whether requests are validated by the backend's rules; benchmarks may turn it off.
    pub validate: bool,
    /// The form of the error for unreadable encrypted content.
    pub encrypted_rejection: EncryptedRejection,
    /// Whether the account may send `access_programs`.
    pub access_programs: bool,
    /// The places of files that are refused. No source tells what the backend does with them.
    pub refused_files: RefusedFiles,
    /// The WebSockets.
    pub sockets: SocketSettings,
    /// The number of requests kept for inspection.
    pub record_limit: usize,
}

/// The places of files that the backend refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedFiles {
    /// Files at a URL.
    pub at_urls: bool,
    /// Files in the outputs of tools.
    pub in_outputs: bool,
}

/// The forms of the backend's error for encrypted content. The message is always the same: "The encrypted content
/// gAAA...Rg== could not be verified."
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncryptedRejection {
    /// 400 with the code `invalid_encrypted_content` (openai/codex#8132).
    #[default]
    Coded,
    /// 400 without a code.
    WithoutCode,
    /// 200 with `response.failed`, without a code either.
    InStream,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self {
            issuer: IssuerSettings::default(),
            workspace: Workspace::default(),
            catalogue: SimulatedCatalogue::default(),
            limits: Limits::default(),
            delivery: Delivery::default(),
            unknown_events: true,
            validate: true,
            encrypted_rejection: EncryptedRejection::default(),
            access_programs: false,
            refused_files: RefusedFiles::default(),
            sockets: SocketSettings::default(),
            record_limit: 4096,
        }
    }
}

/// The routing of the account's workspace, in `GET /backend-api/wham/accounts/check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The origin in place of the usual one: `https://gov.chatgpt.com`.
    pub origin: Option<String>,
    /// The required value of `x-openai-account-routing-override`.
    pub routing_override: Option<String>,
    /// Whether the workspace is deactivated.
    pub is_deactivated: bool,
    /// The status of the answer: 200, or 401 or 404 without a document.
    pub status: u16,
}

impl Default for Workspace {
    fn default() -> Self {
        Self { origin: None, routing_override: None, is_deactivated: false, status: 200 }
    }
}

/// How the token issuer behaves.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// The login of a browser or device sign-in.
    pub login: SimulatedLogin,
    /// Whether a refresh omits the refresh token (and the old one keeps working).
    pub omit_refresh_token: bool,
    /// Whether a refresh omits the id token.
    pub omit_id_token: bool,
    /// The delay of a refresh's answer, after the exchange.
    pub delay: Duration,
    /// The status for a spent refresh token: 400 or 401.
    pub reuse_status: u16,
    /// Whether the reuse of a refresh token ends the whole login, and not just that request.
    pub reuse_ends_login: bool,
    /// A login that a refresh returns in place of the sender's.
    pub refresh_as: Option<SimulatedLogin>,
    /// Whether any loopback port may receive the browser's redirect; the real issuer allows 1455 and 1457 only.
    pub any_redirect_port: bool,
    /// Whether the device login is offered.
    pub device_enabled: bool,
    /// The number of polls answered "pending" before a device is approved automatically; `None` waits for an approval.
    pub device_pending_polls: Option<u32>,
    /// The statuses of the first polls, which fail.
    pub device_failures: Vec<u16>,
    /// The seconds between polls, as the issuer's string.
    pub device_interval: String,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            login: SimulatedLogin::default(),
            omit_refresh_token: false,
            omit_id_token: false,
            delay: Duration::ZERO,
            reuse_status: 401,
            reuse_ends_login: true,
            refresh_as: None,
            any_redirect_port: false,
            device_enabled: true,
            device_pending_polls: Some(2),
            device_failures: Vec::new(),
            device_interval: "5".to_owned(),
        }
    }
}
