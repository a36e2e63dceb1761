//! What can be set about a simulator while it runs.

use std::time::Duration;

use crate::simulator::answer::frame::Delivery;
use crate::simulator::catalogue::Catalogue;
use crate::simulator::limits::Limits;
use crate::simulator::login::Login;

/// Everything that can be set. The defaults are the real services' behaviour.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the token issuer behaves.
    pub issuer: IssuerSettings,
    /// How the account's workspace is reached.
    pub workspace: Workspace,
    /// The models of the account.
    pub catalogue: Catalogue,
    /// The account's usage windows.
    pub limits: Limits,
    /// How streams are put on the wire unless a play says otherwise.
    pub delivery: Delivery,
    /// Whether streams hold an event that no client knows.
    pub unknown_events: bool,
    /// Whether requests are held against the backend's rules; measuring programs may turn it off.
    pub validate: bool,
    /// The form in which encrypted content that cannot be read is refused.
    pub encrypted_refusal: EncryptedRefusal,
    /// Whether the account may name `access_programs`.
    pub access_programs: bool,
    /// How many requests are kept for inspection.
    pub record_limit: usize,
}

/// The forms in which the backend refuses encrypted content. Its words are the same in each: "The encrypted content
/// gAAA...Rg== could not be verified."
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncryptedRefusal {
    /// 400 with the code `invalid_encrypted_content` (openai/codex#8132).
    #[default]
    Coded,
    /// 400 with no code.
    WithoutCode,
    /// 200 with `response.failed`, which has no code either.
    InStream,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: IssuerSettings::default(),
            workspace: Workspace::default(),
            catalogue: Catalogue::default(),
            limits: Limits::default(),
            delivery: Delivery::default(),
            unknown_events: true,
            validate: true,
            encrypted_refusal: EncryptedRefusal::default(),
            access_programs: false,
            record_limit: 4096,
        }
    }
}

/// How the account's workspace is reached, as `GET /backend-api/wham/accounts/check` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Where it is, in place of the usual host: `https://gov.chatgpt.com`.
    pub origin: Option<String>,
    /// What a call must say in `x-openai-account-routing-override`.
    pub routing_override: Option<String>,
    /// Whether it is deactivated.
    pub is_deactivated: bool,
    /// The status of the answer that tells all this: 200, or 401 or 404 without telling.
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
    /// Who signs in through the browser or with a device code.
    pub login: Login,
    /// A refresh answers without a refresh token (and the one that was sent keeps working).
    pub omit_refresh_token: bool,
    /// A refresh answers without an id token.
    pub omit_id_token: bool,
    /// The answer to a refresh is held back for so long; the exchange has happened by then.
    pub delay: Duration,
    /// The status of an answer to a spent refresh token: 400 or 401.
    pub reuse_status: u16,
    /// Whether a refresh token that is sent again ends the whole login, and not just that request.
    pub reuse_ends_login: bool,
    /// A refresh answers with a new login of this one instead of the sender's.
    pub refresh_as: Option<Login>,
    /// Whether any loopback port may receive the browser's redirect; the real issuer knows 1455 and 1457 only.
    pub any_redirect_port: bool,
    /// Whether codes for devices are handed out at all.
    pub device_enabled: bool,
    /// The number of polls that are answered "pending" before a device is approved by itself; `None` waits for somebody
    /// to approve it.
    pub device_pending_polls: Option<u32>,
    /// Seconds between polls, as the text the issuer sends.
    pub device_interval: String,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            login: Login::default(),
            omit_refresh_token: false,
            omit_id_token: false,
            delay: Duration::ZERO,
            reuse_status: 401,
            reuse_ends_login: true,
            refresh_as: None,
            any_redirect_port: false,
            device_enabled: true,
            device_pending_polls: Some(2),
            device_interval: "5".to_owned(),
        }
    }
}
