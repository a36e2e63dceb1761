//! The token issuer: exchange, browser login, device login, revocation.
//!
//! * Every error has the body of the real issuer, so that a client meets it in tests.
//! * Authorization codes and refresh tokens work once.

use std::collections::HashMap;

use http::StatusCode;
use serde_json::json;

use crate::call::Call;
use crate::script::ScriptedAnswer;
use crate::{Simulator, locked};

mod authorize;
mod device;
mod token;

pub(super) use authorize::authorize;
pub(super) use device::{device_approval, device_page, device_poll, user_code};
pub(super) use token::token;

/// The grants that wait for their exchange.
#[derive(Debug, Default)]
pub(super) struct Grants {
    codes: HashMap<String, AuthorizationCode>,
    devices: HashMap<String, Device>,
    issued: u64,
}

/// A code from the browser or from a device, before its exchange.
#[derive(Debug, Clone)]
struct AuthorizationCode {
    challenge: String,
    redirect: Redirect,
}

/// The `redirect_uri` required for the exchange.
#[derive(Debug, Clone)]
enum Redirect {
    Exactly(String),
    DeviceCallback,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    polls: u32,
    approved: bool,
}

impl Grants {
    /// Marks the device that shows `user_code` as approved.
    pub(super) fn approve(&mut self, user_code: &str) -> bool {
        let device = self.devices.values_mut().find(|device| device.user_code.eq_ignore_ascii_case(user_code.trim()));
        device.map(|device| device.approved = true).is_some()
    }

    fn next_name(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }
}

/// Revokes the login of a token. Like the real one it accepts anything.
pub(super) fn revoke(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    let Some(token) = call.field("token").filter(|token| !token.is_empty()) else {
        return rejection(
            StatusCode::BAD_REQUEST,
            "missing_required_parameter",
            "Missing required parameter: 'token'.",
        );
    };
    locked(&simulator.inner.ledger).revoke(&token);
    ScriptedAnswer::json(StatusCode::OK, &json!({}))
}

fn rejection(status: StatusCode, code: &str, message: &str) -> ScriptedAnswer {
    ScriptedAnswer::error(status, "invalid_request_error", Some(code), message)
}
