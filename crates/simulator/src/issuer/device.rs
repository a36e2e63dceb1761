//! The device login: a code to type on another device, and polling until the user has.
//!
//! * The flow is not RFC 8628's: pending polls are 403 or 404, and the verifier comes from the issuer.

use http::StatusCode;
use serde_json::json;

use crate::call::Call;
use crate::issuer::token::challenge_of;
use crate::issuer::{AuthorizationCode, Device, Redirect, rejection};
use crate::login::CLIENT_ID;
use crate::script::ScriptedAnswer;
use crate::{Simulator, locked};

/// Issues a device id and the code to type. The interval is a string, as the real one's.
pub(in super::super) fn user_code(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    let settings = &simulator.settings().issuer;
    if !settings.device_enabled {
        return ScriptedAnswer::status(StatusCode::NOT_FOUND);
    }
    if call.field("client_id").as_deref() != Some(CLIENT_ID) {
        return rejection(StatusCode::BAD_REQUEST, "invalid_client", "Invalid client specified.");
    }
    let mut grants = locked(&simulator.inner.grants);
    let number = grants.next_name();
    let device_id = format!("deviceauth_{}_{number}", simulator.inner.seed);
    let user_code = format!("SIMU-{number:04}");
    let device = Device { user_code: user_code.clone(), polls: 0, approved: false };
    grants.devices.insert(device_id.clone(), device);
    let body = json!({ "device_auth_id": device_id, "user_code": user_code, "interval": settings.device_interval });
    ScriptedAnswer::json(StatusCode::OK, &body)
}

/// Answers a poll: 403 or 404 while pending, then the code and its verifier, once.
pub(in super::super) fn device_poll(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    let settings = simulator.settings();
    let (pending_polls, failures) = (settings.issuer.device_pending_polls, &settings.issuer.device_failures);
    let device_id = call.field("device_auth_id").unwrap_or_default();
    let mut grants = locked(&simulator.inner.grants);
    let known = grants.devices.get_mut(&device_id);
    let Some(device) = known.filter(|device| call.field("user_code").as_deref() == Some(&device.user_code)) else {
        return rejection(StatusCode::BAD_REQUEST, "invalid_device", "Unknown device_auth_id or user_code.");
    };
    let failure = usize::try_from(device.polls).ok().and_then(|poll| failures.get(poll));
    if let Some(status) = failure.and_then(|status| StatusCode::from_u16(*status).ok()) {
        device.polls += 1;
        return ScriptedAnswer::status(status);
    }
    let approved = device.approved || pending_polls.is_some_and(|pending| device.polls >= pending);
    device.polls += 1;
    if !approved {
        let status = if device.polls % 2 == 1 { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        return rejection(status, "deviceauth_authorization_pending", "Device authorization is pending.");
    }
    grants.devices.remove(&device_id);
    let number = grants.next_name();
    let verifier = format!("simulated-verifier-{}-{number:032}", simulator.inner.seed);
    let code = format!("ac_simulated_{}_{number}", simulator.inner.seed);
    let challenge = challenge_of(&verifier);
    let grant = AuthorizationCode { challenge: challenge.clone(), redirect: Redirect::DeviceCallback };
    grants.codes.insert(code.clone(), grant);
    let body = json!({ "authorization_code": code, "code_challenge": challenge, "code_verifier": verifier });
    ScriptedAnswer::json(StatusCode::OK, &body)
}

/// Returns the page for the code.
pub(in super::super) fn device_page() -> ScriptedAnswer {
    ScriptedAnswer::html(StatusCode::OK, PAGE)
}

/// Approves the device with the code, as sent by the page.
pub(in super::super) fn device_approval(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    if simulator.approve_device(&call.field("user_code").unwrap_or_default()) {
        ScriptedAnswer::html(StatusCode::OK, APPROVED)
    } else {
        ScriptedAnswer::html(StatusCode::NOT_FOUND, UNKNOWN)
    }
}

const PAGE: &str = "<!DOCTYPE html><title>Simulated device login</title><h1>Simulated device login</h1>\
    <form method=post><label>Code <input name=user_code></label><button>Approve</button></form>";
const APPROVED: &str = "<!DOCTYPE html><title>Approved</title><p>Approved (simulation). You may close this page.";
const UNKNOWN: &str = "<!DOCTYPE html><title>Unknown code</title><p>No device shows this code (simulation).";
