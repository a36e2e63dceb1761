//! `POST /oauth/token`: exchanges refresh tokens and authorization codes for tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::call::Call;
use crate::issuer::{AuthorizationCode, Redirect, rejection};
use crate::login::{CLIENT_ID, RefreshRejection, Tokens};
use crate::script::ScriptedAnswer;
use crate::settings::IssuerSettings;
use crate::{Simulator, locked};

/// Answers one exchange; a test's queued answer goes first. A test's queued delays come before the exchange, here, and
/// after it.
pub(in super::super) async fn token(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    let delays = locked(&simulator.inner.token_delays).pop_front();
    let (before, after) = delays.unwrap_or((Duration::ZERO, simulator.settings().issuer.delay));
    if !before.is_zero() {
        tokio::time::sleep(before).await;
    }
    answer(simulator, call, after)
}

fn answer(simulator: &Simulator, call: &Call, delay: Duration) -> ScriptedAnswer {
    if let Some(answer) = locked(&simulator.inner.token_answers).pop_front() {
        return answer;
    }
    if call.field("client_id").as_deref() != Some(CLIENT_ID) {
        return rejection(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client specified.");
    }
    match call.field("grant_type").as_deref() {
        Some("refresh_token") => refresh(simulator, call, delay),
        Some("authorization_code") => redeem(simulator, call),
        _ => rejection(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unsupported grant type."),
    }
}

fn refresh(simulator: &Simulator, call: &Call, delay: Duration) -> ScriptedAnswer {
    let settings = &simulator.settings().issuer;
    let Some(token) = call.field("refresh_token") else {
        let message = "Missing required parameter: 'refresh_token'.";
        return rejection(StatusCode::BAD_REQUEST, "missing_required_parameter", message);
    };
    let exchanged = {
        let (now, seed) = (simulator.now(), &simulator.inner.seed);
        let mut ledger = locked(&simulator.inner.ledger);
        let exchanged = ledger.exchange(&token, settings.omit_refresh_token, now, seed);
        match (&exchanged, &settings.refresh_as) {
            (Ok(_), Some(other)) => Ok(ledger.sign_in(other.clone(), now, seed)),
            (Err(RefreshRejection::Reused), _) if settings.reuse_ends_login => {
                ledger.revoke(&token);
                exchanged
            }
            _ => exchanged,
        }
    };
    let answer = match exchanged {
        Ok(tokens) => {
            simulator.inner.journal.count(|counters| counters.refreshes += 1);
            ScriptedAnswer::json(StatusCode::OK, &refreshed(&tokens, settings))
        }
        Err(cause) => {
            if cause == RefreshRejection::Reused {
                simulator.inner.journal.count(|counters| counters.reuse_attempts += 1);
            }
            refused(cause, settings)
        }
    };
    answer.delayed(delay)
}

fn refreshed(tokens: &Tokens, settings: &IssuerSettings) -> Value {
    let mut body = document(tokens);
    if let Some(fields) = body.as_object_mut() {
        if settings.omit_refresh_token {
            fields.remove("refresh_token");
        }
        if settings.omit_id_token {
            fields.remove("id_token");
        }
    }
    body
}

fn document(tokens: &Tokens) -> Value {
    json!({
        "access_token": tokens.access,
        "id_token": tokens.id,
        "refresh_token": tokens.refresh,
        "token_type": "Bearer",
        "expires_in": 864_000,
        "scope": "openid profile email offline_access",
    })
}

fn refused(cause: RefreshRejection, settings: &IssuerSettings) -> ScriptedAnswer {
    let reuse_status = StatusCode::from_u16(settings.reuse_status).unwrap_or(StatusCode::UNAUTHORIZED);
    match cause {
        RefreshRejection::Empty => rejection(
            StatusCode::BAD_REQUEST,
            "empty_string",
            "Invalid 'refresh_token': empty string. Expected a string with minimum length 1, but got an empty string \
             instead.",
        ),
        RefreshRejection::Expired => rejection(
            StatusCode::UNAUTHORIZED,
            "refresh_token_expired",
            "Your refresh token has expired. Please try signing in again.",
        ),
        RefreshRejection::Reused => rejection(
            reuse_status,
            "refresh_token_reused",
            "Your refresh token has already been used to generate a new access token. Please try signing in again.",
        ),
        RefreshRejection::Invalidated => rejection(
            StatusCode::UNAUTHORIZED,
            "refresh_token_invalidated",
            "Your refresh token has been invalidated. Please try signing in again.",
        ),
    }
}

fn redeem(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    if call.media_type() != "application/x-www-form-urlencoded" {
        return rejection(StatusCode::BAD_REQUEST, "invalid_request", "The code exchange must be a form.");
    }
    let code = call.field("code").unwrap_or_default();
    // Removed before the check: an attempt spends a code, not its success.
    let Some(grant) = locked(&simulator.inner.grants).codes.remove(&code) else {
        return rejection(StatusCode::BAD_REQUEST, "invalid_grant", "The authorization code is unknown or was used.");
    };
    if let Err(message) = grant.check(call) {
        return rejection(StatusCode::BAD_REQUEST, "invalid_grant", message);
    }
    let login = simulator.settings().issuer.login.clone();
    let tokens = locked(&simulator.inner.ledger).sign_in(login, simulator.now(), &simulator.inner.seed);
    ScriptedAnswer::json(StatusCode::OK, &document(&tokens))
}

impl AuthorizationCode {
    fn check(&self, call: &Call) -> Result<(), &'static str> {
        let redirect = call.field("redirect_uri").unwrap_or_default();
        if !self.redirect.matches(&redirect, call) {
            return Err("The redirect_uri is not the one the code was issued for.");
        }
        let verifier = call.field("code_verifier").unwrap_or_default();
        if !(43..=128).contains(&verifier.len()) || challenge_of(&verifier) != self.challenge {
            return Err("The code_verifier does not match the code_challenge.");
        }
        Ok(())
    }
}

impl Redirect {
    fn matches(&self, redirect: &str, call: &Call) -> bool {
        match self {
            Self::Exactly(expected) => expected == redirect,
            Self::DeviceCallback => {
                redirect == "https://auth.openai.com/deviceauth/callback"
                    || redirect == format!("{}/deviceauth/callback", call.base_url())
            }
        }
    }
}

/// Returns the S256 challenge of a verifier.
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}
