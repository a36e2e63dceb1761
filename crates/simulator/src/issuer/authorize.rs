//! `GET /oauth/authorize`: checks every parameter of the browser login, then redirects as if the user had approved.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use crate::call::Call;
use crate::issuer::{AuthorizationCode, Redirect, rejection};
use crate::login::CLIENT_ID;
use crate::script::ScriptedAnswer;
use crate::{Simulator, locked};

/// Redirects to `redirect_uri` with a code and the state, or names the invalid parameter.
pub(in super::super) fn authorize(simulator: &Simulator, call: &Call) -> ScriptedAnswer {
    let any_port = simulator.settings().issuer.any_redirect_port;
    if let Err(message) = check(call, any_port) {
        return rejection(StatusCode::BAD_REQUEST, "invalid_request", message);
    }
    let redirect = call.parameter("redirect_uri").unwrap_or_default();
    let challenge = call.parameter("code_challenge").unwrap_or_default();
    let code = {
        let mut grants = locked(&simulator.inner.grants);
        let code = format!("ac_simulated_{}_{}", simulator.inner.seed, grants.next_name());
        let grant = AuthorizationCode { challenge, redirect: Redirect::Exactly(redirect.clone()) };
        grants.codes.insert(code.clone(), grant);
        code
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", &code);
    query.append_pair("scope", SCOPE);
    query.append_pair("state", &call.parameter("state").unwrap_or_default());
    ScriptedAnswer::redirect(StatusCode::FOUND, &format!("{redirect}?{}", query.finish()))
}

fn check(call: &Call, any_port: bool) -> Result<(), &'static str> {
    // The real page reads a plus sign literally, not as a space.
    if call.query().contains('+') {
        return Err("Invalid scope: spaces must be encoded as %20.");
    }
    let parameter = |name: &str| call.parameter(name).unwrap_or_default();
    let expected = [
        ("response_type", "code", "Invalid response_type."),
        ("client_id", CLIENT_ID, "Invalid client_id."),
        ("scope", SCOPE, "Invalid scope."),
        ("code_challenge_method", "S256", "Invalid code_challenge_method."),
        ("id_token_add_organizations", "true", "Invalid id_token_add_organizations."),
        ("codex_cli_simplified_flow", "true", "Invalid codex_cli_simplified_flow."),
    ];
    if let Some((_, _, message)) = expected.into_iter().find(|(name, value, _)| parameter(name) != *value) {
        return Err(message);
    }
    if !is_redirect(&parameter("redirect_uri"), any_port) {
        return Err("Invalid redirect_uri.");
    }
    if !is_digest(&parameter("code_challenge")) {
        return Err("Invalid code_challenge.");
    }
    if parameter("state").len() < 16 {
        return Err("Invalid state: too short to be unguessable.");
    }
    if parameter("originator").is_empty() {
        return Err("Missing originator.");
    }
    Ok(())
}

/// Returns whether `uri` is `http://localhost:PORT/auth/callback` with an allowed port.
fn is_redirect(uri: &str, any_port: bool) -> bool {
    let port = uri.strip_prefix("http://localhost:").and_then(|rest| rest.strip_suffix("/auth/callback"));
    port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| any_port || matches!(port, 1455 | 1457))
}

fn is_digest(challenge: &str) -> bool {
    URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|bytes| bytes.len() == 32)
}

const SCOPE: &str = "openid profile email offline_access api.connectors.read api.connectors.invoke";
