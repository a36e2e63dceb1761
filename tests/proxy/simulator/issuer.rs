//! The simulated issuer refuses what the real one refuses, with its words.

use std::time::Duration;

use super::support::{Answer, get, post_form, post_json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codex_proxy::simulator::{CLIENT_ID, RunningSimulator, ScriptedAnswer, SimulatedLogin, Simulator};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

async fn started() -> (Simulator, RunningSimulator) {
    let simulator = Simulator::new();
    let running = simulator.start().await.unwrap();
    (simulator, running)
}

async fn refresh(running: &RunningSimulator, token: &str) -> Answer {
    let body = json!({ "client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": token });
    post_json(&format!("{}/oauth/token", running.auth_url()), &body).await
}

fn token(document: &Value, name: &str) -> String {
    document.get("tokens").unwrap_or(document)[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_token_rotates_and_works_once() {
    let (simulator, running) = started().await;
    let login = simulator.issue_login(SimulatedLogin::default());
    assert_eq!(login["last_refresh"].as_str().map(str::len), Some("2026-01-02T03:04:05Z".len()));
    let first = refresh(&running, &token(&login, "refresh_token")).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("x-simulation"), "true");
    let next = token(&first.json(), "refresh_token");
    assert_ne!(next, token(&login, "refresh_token"));
    assert!(simulator.accepts_access_token(&token(&first.json(), "access_token")));

    let again = refresh(&running, &token(&login, "refresh_token")).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (401, "refresh_token_reused"));
    assert!(again.text.contains("already been used to generate a new access token"));
    // The reuse has ended the chain.
    let after = refresh(&running, &next).await;
    assert_eq!((after.status.as_u16(), after.code().as_str()), (401, "refresh_token_invalidated"));
    assert!(!simulator.accepts_access_token(&token(&first.json(), "access_token")));
    let counters = simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts, counters.revoked_chains), (1, 1, 1));
}

#[tokio::test]
async fn every_refresh_refusal_has_its_code() {
    let (simulator, running) = started().await;
    let url = format!("{}/oauth/token", running.auth_url());
    assert_eq!(refresh(&running, "").await.status, 400);
    assert!(refresh(&running, "").await.text.contains("Invalid 'refresh_token': empty string"));
    let login = simulator.issue_login(SimulatedLogin::default());
    simulator.expire_refresh_tokens();
    assert_eq!(refresh(&running, &token(&login, "refresh_token")).await.code(), "refresh_token_expired");
    let login = simulator.issue_login(SimulatedLogin::default());
    simulator.invalidate_refresh_tokens();
    assert_eq!(refresh(&running, &token(&login, "refresh_token")).await.code(), "refresh_token_invalidated");
    let other = post_json(&url, &json!({ "client_id": "app_other", "grant_type": "refresh_token" })).await;
    assert_eq!(other.status, 401);
    let grant = post_form(&url, &[("client_id", CLIENT_ID), ("grant_type", "password")]).await;
    assert_eq!(grant.code(), "unsupported_grant_type");
}

#[tokio::test]
async fn a_form_refresh_works_and_options_shape_the_answer() {
    let (simulator, running) = started().await;
    let url = format!("{}/oauth/token", running.auth_url());
    let login = simulator.issue_login(SimulatedLogin::default());
    simulator.configure(|settings| settings.issuer.omit_refresh_token = true);
    let old = token(&login, "refresh_token");
    let fields = [("client_id", CLIENT_ID), ("grant_type", "refresh_token"), ("refresh_token", &old)];
    let answer = post_form(&url, &fields).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().get("refresh_token"), None);
    assert!(simulator.accepts_refresh_token(&old));

    simulator.script_token_answer(ScriptedAnswer::too_many_requests());
    simulator.script_token_answer(ScriptedAnswer::cloudflare_challenge());
    assert_eq!(post_form(&url, &fields).await.status, 429);
    assert!(post_form(&url, &fields).await.text.contains("Just a moment"));
    assert_eq!(post_form(&url, &fields).await.status, 200);
}

#[tokio::test]
async fn simultaneous_exchanges_are_counted() {
    let (simulator, running) = started().await;
    // The answers never come within this test: what counts is that both exchanges were open at once.
    simulator.configure(|settings| settings.issuer.delay = Duration::from_secs(3600));
    let refresh_token = token(&simulator.issue_login(SimulatedLogin::default()), "refresh_token");
    let exchanges = async { tokio::join!(refresh(&running, &refresh_token), refresh(&running, &refresh_token)) };
    let both = simulator.wait_until(Duration::from_secs(60), |simulator| {
        let counters = simulator.counters();
        counters.refreshes + counters.reuse_attempts == 2
    });
    tokio::select! {
        both = both => assert!(both),
        answers = exchanges => unreachable!("{answers:?}"),
    }
    let counters = simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (1, 1));
    assert_eq!((counters.peak_token_requests, counters.token_requests), (2, 2));
}

/// The query of a browser login with `change` made to one parameter.
fn authorize_url(base: &str, verifier: &str, change: Option<(&str, &str)>) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let parameters = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", "http://localhost:1455/auth/callback"),
        ("scope", "openid profile email offline_access api.connectors.read api.connectors.invoke"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("id_token_add_organizations", "true"),
        ("codex_cli_simplified_flow", "true"),
        ("state", "0123456789abcdef"),
        ("originator", "codex-proxy"),
    ];
    let parameters = parameters.map(|(name, value)| match change {
        Some((changed, other)) if changed == name => (name, other),
        _ => (name, value),
    });
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{base}/oauth/authorize?{}", query.replace('+', "%20"))
}

fn code_of(answer: &Answer) -> String {
    let location = answer.header("location");
    let query = location.split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned()
}

#[tokio::test]
async fn the_browser_login_checks_pkce() {
    let (simulator, running) = started().await;
    let base = running.auth_url();
    let verifier = "v".repeat(86);
    let redirected = get(&authorize_url(&base, &verifier, None)).await;
    assert_eq!(redirected.status, 302);
    assert!(redirected.header("location").starts_with("http://localhost:1455/auth/callback?"));
    assert!(redirected.header("location").contains("state=0123456789abcdef"));
    let code = code_of(&redirected);
    let exchange = |code: String, verifier: String, redirect: &'static str| {
        let url = format!("{base}/oauth/token");
        async move {
            let fields = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", redirect),
                ("client_id", CLIENT_ID),
                ("code_verifier", &verifier),
            ];
            post_form(&url, &fields).await
        }
    };
    let redirect = "http://localhost:1455/auth/callback";
    let answer = exchange(code.clone(), verifier.clone(), redirect).await;
    assert_eq!(answer.status, 200);
    assert!(simulator.accepts_refresh_token(&token(&answer.json(), "refresh_token")));
    assert_eq!(exchange(code, verifier.clone(), redirect).await.code(), "invalid_grant");
    let code = code_of(&get(&authorize_url(&base, &verifier, None)).await);
    assert_eq!(exchange(code, "w".repeat(86), redirect).await.code(), "invalid_grant");
    let code = code_of(&get(&authorize_url(&base, &verifier, None)).await);
    assert_eq!(exchange(code, verifier, "http://localhost:1457/auth/callback").await.code(), "invalid_grant");
}

#[tokio::test]
async fn the_authorize_page_refuses_each_wrong_parameter() {
    let (simulator, running) = started().await;
    let base = running.auth_url();
    for change in [
        ("response_type", "token"),
        ("client_id", "app_x"),
        ("redirect_uri", "http://localhost:9999/auth/callback"),
        ("redirect_uri", "http://evil.example:1455/auth/callback"),
        ("scope", "openid"),
        ("code_challenge", "short"),
        ("code_challenge_method", "plain"),
        ("id_token_add_organizations", "false"),
        ("codex_cli_simplified_flow", "false"),
        ("state", ""),
        ("originator", ""),
    ] {
        assert_eq!(get(&authorize_url(&base, "v", Some(change))).await.status, 400, "{change:?}");
    }
    assert_eq!(get(&authorize_url(&base, "v", None).replace("%20", "+")).await.status, 400);
    simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let any = ("redirect_uri", "http://localhost:9999/auth/callback");
    assert_eq!(get(&authorize_url(&base, "v", Some(any))).await.status, 302);
}

#[tokio::test]
async fn the_device_login_waits_for_approval() {
    let (simulator, running) = started().await;
    simulator.configure(|settings| settings.issuer.device_pending_polls = None);
    let base = running.auth_url();
    let accounts = format!("{base}/api/accounts/deviceauth");
    let begun = post_json(&format!("{accounts}/usercode"), &json!({ "client_id": CLIENT_ID })).await.json();
    assert_eq!(begun["interval"], "5");
    let poll = || {
        let body = json!({ "device_auth_id": begun["device_auth_id"], "user_code": begun["user_code"] });
        let url = format!("{accounts}/token");
        async move { post_json(&url, &body).await }
    };
    assert_eq!(poll().await.status, 403);
    assert_eq!(poll().await.status, 404);
    let page = format!("{base}/codex/device");
    assert_eq!(post_form(&page, &[("user_code", "NONE-0000")]).await.status, 404);
    assert_eq!(post_form(&page, &[("user_code", begun["user_code"].as_str().unwrap())]).await.status, 200);
    let granted = poll().await.json();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", granted["authorization_code"].as_str().unwrap()),
        ("redirect_uri", "https://auth.openai.com/deviceauth/callback"),
        ("client_id", CLIENT_ID),
        ("code_verifier", granted["code_verifier"].as_str().unwrap()),
    ];
    let tokens = post_form(&format!("{base}/oauth/token"), &fields).await;
    assert_eq!(tokens.status, 200);
    assert!(simulator.accepts_access_token(&token(&tokens.json(), "access_token")));
    simulator.configure(|settings| settings.issuer.device_enabled = false);
    let disabled = post_json(&format!("{accounts}/usercode"), &json!({ "client_id": CLIENT_ID })).await;
    assert_eq!(disabled.status, 404);
}

#[tokio::test]
async fn a_revoked_login_is_gone() {
    let (simulator, running) = started().await;
    let login = simulator.issue_login(SimulatedLogin::default());
    let body = json!({ "token": token(&login, "refresh_token"), "token_type_hint": "refresh_token" });
    assert_eq!(post_json(&format!("{}/oauth/revoke", running.auth_url()), &body).await.status, 200);
    assert!(!simulator.accepts_access_token(&token(&login, "access_token")));
    assert_eq!(refresh(&running, &token(&login, "refresh_token")).await.code(), "refresh_token_invalidated");
}

#[tokio::test]
async fn the_clock_and_lifetimes_decide_expiry() {
    let (simulator, _running) = started().await;
    let expired = simulator.issue_login(SimulatedLogin::default().expiring_in(-1));
    assert!(!simulator.accepts_access_token(&token(&expired, "access_token")));
    let login = simulator.issue_login(SimulatedLogin::default().expiring_in(3600));
    assert!(simulator.accepts_access_token(&token(&login, "access_token")));
    simulator.advance_clock(Duration::from_secs(3601));
    assert!(!simulator.accepts_access_token(&token(&login, "access_token")));
}

#[tokio::test]
async fn a_dropped_handle_closes_the_port() {
    let (_simulator, running) = started().await;
    let address = running.base_url().strip_prefix("http://").unwrap().to_owned();
    drop(running);
    let closed = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
}
