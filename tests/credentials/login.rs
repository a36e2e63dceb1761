//! Signing in, out, and looking at the login, against the simulated issuer.

use std::io::{BufRead, BufReader, Cursor, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::support::{Log, World, read_json, token, write_private};
use bytes::Bytes;
use codex_proxy::cli::login::{CredentialContext, LoginError, LoginOptions, Method, Seat, login};
use codex_proxy::cli::logout::{LogoutOptions, ServerSeen, logout};
use codex_proxy::cli::status::{StatusOptions, status};
use codex_proxy::credentials::status::AdminCredentials;
use codex_proxy::credentials::store::env::EnvStore;
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{CredentialHealth, CredentialStore};
use codex_proxy::oauth::IssuerError;
use codex_proxy::oauth::pkce::SignInError;
use codex_proxy::platform::HttpClient;
use codex_proxy::secret::Secret;
use codex_proxy::simulator::{ScriptedAnswer, SimulatedLogin};
use http::{Request, StatusCode};
use serde_json::{Value, json};

/// A terminal whose text can be read while a command writes to it.
type Terminal = Log;

fn context(world: &World) -> CredentialContext {
    CredentialContext { store: Arc::new(FileStore::xdg(world.path())), oauth: world.oauth() }
}

fn no_input() -> Box<dyn BufRead + Send> {
    Box::new(Cursor::new(Vec::new()))
}

fn options(method: Method) -> LoginOptions {
    LoginOptions {
        method,
        ports: vec![0],
        limit: Duration::from_secs(20),
        open_browser: |_| Ok(()),
        seat: Seat::default(),
    }
}

/// The first address in the terminal that goes to the authorize page.
async fn address(terminal: &Terminal) -> String {
    for _ in 0..1000 {
        let text = terminal.text();
        if let Some(line) = text.lines().find(|line| line.contains("/oauth/authorize?")) {
            return line.trim().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no address in {}", terminal.text());
}

/// Opens `url` as a browser would, without following redirects; returns the status and where it leads.
async fn open(url: &str) -> (u16, Option<String>) {
    let http = HttpClient::new(Duration::from_secs(5)).unwrap();
    let response = http.send(Request::get(url).body(Bytes::new()).unwrap()).await.unwrap();
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), location)
}

#[tokio::test]
async fn browser_sign_in_stores_an_independent_login() {
    static OPENED: OnceLock<String> = OnceLock::new();
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let (context, terminal) = (context(&world), Terminal::default());
    let mut output = terminal.clone();
    let options = LoginOptions {
        open_browser: |address| {
            OPENED.set(address.to_owned()).unwrap();
            Ok(())
        },
        ..options(Method::Browser)
    };
    let browser = async {
        let address = address(&terminal).await;
        let (status, callback) = open(&address).await;
        assert!((300..400).contains(&status), "{status}");
        let callback = callback.unwrap();
        // Somebody else's page sends the browser here first; that must not end the sign-in.
        let foreign = callback.replace("state=", "state=x");
        assert_eq!(open(&foreign).await.0, 400);
        assert_eq!(open(&callback).await.0, 200);
        address
    };
    let (done, address) = tokio::join!(login(&options, &context, no_input(), &mut output), browser);
    done.unwrap();
    assert_eq!(OPENED.get(), Some(&address));
    let stored = read_json(&world.path());
    assert_eq!((&stored["auth_mode"], &stored["OPENAI_API_KEY"]), (&json!("chatgpt"), &Value::Null));
    assert!(world.simulator.accepts_access_token(token(&stored, "access_token")));
    assert!(world.simulator.accepts_refresh_token(token(&stored, "refresh_token")));
    assert!(!token(&stored, "account_id").is_empty());
    assert!(terminal.text().contains("Signed in as simulated@example.com (Plus)"), "{}", terminal.text());
}

#[tokio::test]
async fn the_answer_can_be_pasted_back() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let (context, terminal) = (context(&world), Terminal::default());
    let (reader, mut keyboard) = std::io::pipe().unwrap();
    let mut output = terminal.clone();
    let user = async {
        let (_, callback) = open(&address(&terminal).await).await;
        writeln!(keyboard, "not an address\n\n{}", callback.unwrap()).unwrap();
    };
    let input = Box::new(BufReader::new(reader));
    let options = options(Method::Paste);
    let (done, ()) = tokio::join!(login(&options, &context, input, &mut output), user);
    done.unwrap();
    assert!(terminal.text().contains("paste the whole address"), "{}", terminal.text());
    assert!(world.simulator.accepts_refresh_token(token(&read_json(&world.path()), "refresh_token")));
}

#[tokio::test]
async fn device_sign_in_waits_for_the_user() {
    let world = World::new().await;
    world.simulator.configure(|settings| {
        settings.issuer.device_interval = "1".to_owned();
        settings.issuer.device_pending_polls = Some(1);
    });
    let terminal = Terminal::default();
    let mut output = terminal.clone();
    login(&options(Method::Device), &context(&world), no_input(), &mut output).await.unwrap();
    assert!(terminal.text().contains("/codex/device"), "{}", terminal.text());
    assert!(world.simulator.accepts_refresh_token(token(&read_json(&world.path()), "refresh_token")));
}

#[tokio::test]
async fn device_sign_in_goes_on_after_an_outage() {
    let world = World::new().await;
    world.simulator.configure(|settings| {
        settings.issuer.device_interval = "1".to_owned();
        settings.issuer.device_pending_polls = Some(0);
        settings.issuer.device_failures = vec![500, 503];
    });
    login(&options(Method::Device), &context(&world), no_input(), &mut Terminal::default()).await.unwrap();
    assert_eq!(world.simulator.requests_to("/deviceauth/token").len(), 3);
    world.simulator.configure(|settings| settings.issuer.device_failures = vec![400]);
    let error = login(&options(Method::Device), &context(&world), no_input(), &mut Terminal::default()).await;
    assert!(matches!(error, Err(LoginError::Issuer(IssuerError::Refused { .. }))), "{error:?}");
}

#[tokio::test]
async fn who_waits_for_another_program_is_told() {
    let world = World::new().await;
    world.sign_in(&world.path(), 86_400);
    let lock = FileStore::xdg(world.path()).lock().await.unwrap();
    let terminal = Terminal::default();
    let release = async {
        while !terminal.text().contains("Waiting for another program") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(lock);
    };
    let (context, mut output) = (context(&world), terminal.clone());
    let (done, ()) = tokio::join!(logout(LogoutOptions::default(), &context, &mut output), release);
    done.unwrap();
    assert!(terminal.text().contains("is removed from"), "{}", terminal.text());
}

#[tokio::test]
async fn device_sign_in_may_be_off() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.device_enabled = false);
    let error = login(&options(Method::Device), &context(&world), no_input(), &mut Terminal::default()).await;
    assert!(matches!(error, Err(LoginError::NoDeviceCodes)), "{error:?}");
}

#[tokio::test]
async fn nobody_is_sent_to_a_browser_for_a_login_that_cannot_be_stored() {
    let world = World::new().await;
    write_private(&world.path(), "{\"tokens\": ");
    let terminal = Terminal::default();
    let error =
        login(&options(Method::Browser), &context(&world), no_input(), &mut terminal.clone()).await.unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    let env = CredentialContext { store: Arc::new(EnvStore::new(None, None)), oauth: world.oauth() };
    let error = login(&options(Method::Browser), &env, no_input(), &mut terminal.clone()).await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_eq!(terminal.text(), "");
}

#[tokio::test]
async fn signing_in_again_keeps_foreign_fields_and_drops_the_old_login() {
    let world = World::new().await;
    world.simulator.configure(|settings| {
        settings.issuer.device_interval = "1".to_owned();
        settings.issuer.device_pending_polls = Some(0);
    });
    let old = r#"{"mine": [1], "tokens": {"access_token": "old", "account_id": "old"}, "expiresAt": 1}"#;
    write_private(&world.path(), old);
    login(&options(Method::Device), &context(&world), no_input(), &mut Terminal::default()).await.unwrap();
    let stored = read_json(&world.path());
    assert_eq!(stored["mine"], json!([1]));
    assert_ne!(token(&stored, "account_id"), "old");
    assert_eq!(stored.get("expiresAt"), None);
}

#[tokio::test]
async fn logout_revokes_only_when_asked() {
    let world = World::new().await;
    for (revoke, revoked) in [(false, 0), (true, 1)] {
        let document = world.sign_in(&world.path(), 86_400);
        let terminal = Terminal::default();
        logout(LogoutOptions { revoke, ..LogoutOptions::default() }, &context(&world), &mut terminal.clone())
            .await
            .unwrap();
        assert!(!world.path().exists());
        assert_eq!(world.simulator.accepts_refresh_token(token(&document, "refresh_token")), !revoke);
        assert_eq!(world.simulator.counters().revoked_chains, revoked);
        let text = terminal.text();
        assert!(text.contains("is removed from") && text.contains("within a few seconds"), "{text}");
        assert_eq!(text.contains("stay valid at the issuer"), !revoke, "{text}");
        assert!(!text.contains("the next start"), "{text}");
    }
    let terminal = Terminal::default();
    logout(LogoutOptions::default(), &context(&world), &mut terminal.clone()).await.unwrap();
    assert!(terminal.text().contains("There is no login"), "{}", terminal.text());
}

#[tokio::test]
async fn logout_goes_on_where_the_issuer_is_away() {
    let world = World::new().await;
    world.sign_in(&world.path(), 86_400);
    let store = Arc::new(FileStore::xdg(world.path()));
    let away = CredentialContext { store, oauth: crate::support::oauth("http://127.0.0.1:9") };
    let terminal = Terminal::default();
    let options = LogoutOptions { revoke: true, imports: true, server: ServerSeen::Running };
    let error = logout(options, &away, &mut terminal.clone()).await.unwrap_err();
    assert!(error.to_string().contains("could not be revoked, so its tokens stay valid"), "{error}");
    assert!(!world.path().exists());
    let text = terminal.text();
    assert!(
        !text.contains("only --revoke")
            && text.contains("codex-proxy is running: it stops")
            && text.contains("the next start copies"),
        "{text}"
    );
}

async fn shown(context: &CredentialContext, json: bool) -> (bool, String) {
    let terminal = Terminal::default();
    let options = StatusOptions { json, usage: None, ledger: None };
    let works = status(&options, context, &mut terminal.clone()).await.unwrap();
    (works, terminal.text())
}

#[tokio::test]
async fn status_says_whose_login_and_how_long() {
    let world = World::new().await;
    let (works, text) = shown(&context(&world), false).await;
    assert!(!works && text.contains("codex-proxy login"), "{text}");

    let document = world.sign_in(&world.path(), 2 * 86_400 + 3_630);
    let (works, text) = shown(&context(&world), false).await;
    assert!(works, "{text}");
    for words in ["simulated@example.com", "Plan     Plus", "expires in 2 days 1 hour", "xdg: /"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let (_, text) = shown(&context(&world), true).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["account_id"], document["tokens"]["account_id"]);
    assert_eq!((&report["plan"], &report["is_expired"]), (&json!("plus"), &json!(false)));
    assert!(!text.contains(token(&document, "access_token")));

    world.sign_in(&world.path(), -3_700);
    let (_, text) = shown(&context(&world), false).await;
    assert!(text.contains("expired 1 hour 1 minute ago"), "{text}");
    assert_eq!(world.simulator.counters().refreshes, 0, "looking does not refresh");
}

#[tokio::test]
async fn credentials_from_the_admin_api_are_stored_and_used() {
    let world = World::new().await;
    let document = world.simulator.issue_login(SimulatedLogin::default());
    let supplier = world.supplier();
    assert!(!supplier.status().await.has_credentials);
    let body = json!({
        "accessToken": document["tokens"]["access_token"],
        "refreshToken": document["tokens"]["refresh_token"],
        "expiresAt": 4_000_000_000_000_u64,
        "userID": "me",
    });
    let credentials = AdminCredentials::parse(body.to_string().as_bytes()).unwrap();
    supplier.store_tokens(&credentials).await.unwrap();
    let access = supplier.access().await.unwrap();
    assert_eq!(access.token.expose(), token(&document, "access_token"));
    assert_eq!(access.account_id, token(&document, "account_id"));
    let status = supplier.status().await;
    assert_eq!((status.user_id.as_deref(), status.plan_type.as_deref()), (Some("me"), Some("plus")));
    assert_eq!(supplier.health(), CredentialHealth::Ok);
    supplier.renew(&access).await.unwrap();
    assert_eq!(read_json(&world.path())["userID"], "me");
}

#[tokio::test]
async fn a_token_from_the_environment_is_used_until_it_expires() {
    let world = World::new().await;
    for (seconds, works) in [(3_000, true), (-60, false)] {
        let document = world.simulator.issue_login(SimulatedLogin::default().expiring_in(seconds));
        let store = EnvStore::new(Some(Secret::new(token(&document, "access_token"))), None);
        assert!(store.is_read_only());
        let supplier = world.supplier_of(Arc::new(store));
        match supplier.access().await {
            Ok(access) => assert!(works && access.account_id == token(&document, "account_id")),
            Err(error) => assert!(!works && error.to_string().contains("set ACCESS_TOKEN"), "{error}"),
        }
        assert_eq!(supplier.health(), if works { CredentialHealth::Ok } else { CredentialHealth::Expired });
        supplier.look_after().await;
    }
    assert_eq!(world.simulator.requests().len(), 0);
}

/// What the browser brings when the user says no there.
fn denied(callback: &str) -> String {
    let state = callback.split(['?', '&']).find(|pair| pair.starts_with("state=")).unwrap();
    let (address, _) = callback.split_once('?').unwrap();
    format!("{address}?error=access_denied&error_description=No+way&{state}")
}

#[tokio::test]
async fn a_no_in_the_browser_ends_the_sign_in_and_stores_nothing() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let (context, terminal) = (context(&world), Terminal::default());
    let mut output = terminal.clone();
    let browser_options = options(Method::Browser);
    let browser = async {
        let (_, callback) = open(&address(&terminal).await).await;
        let callback = callback.unwrap();
        let (origin, _) = callback.split_once("/auth/").unwrap();
        assert_eq!(open(&format!("{origin}/favicon.ico")).await.0, 404);
        assert_eq!(open(&denied(&callback)).await.0, 200);
    };
    let (done, ()) = tokio::join!(login(&browser_options, &context, no_input(), &mut output), browser);
    let error = done.unwrap_err();
    assert!(matches!(error, LoginError::SignIn(SignInError::Refused(_))), "{error}");
    assert!(error.to_string().contains("No way"), "{error}");

    let terminal = Terminal::default();
    let (reader, mut keyboard) = std::io::pipe().unwrap();
    let mut output = terminal.clone();
    let paste_options = options(Method::Paste);
    let user = async {
        let (_, callback) = open(&address(&terminal).await).await;
        writeln!(keyboard, "{}", denied(&callback.unwrap())).unwrap();
    };
    let (done, ()) = tokio::join!(login(&paste_options, &context, Box::new(BufReader::new(reader)), &mut output), user);
    assert!(matches!(done, Err(LoginError::SignIn(SignInError::Refused(_)))), "{done:?}");
    assert!(!world.path().exists());
}

#[tokio::test]
async fn the_browser_may_come_back_after_the_terminal_is_closed() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let (context, terminal) = (context(&world), Terminal::default());
    let mut output = terminal.clone();
    let options = options(Method::Paste);
    let browser = async {
        let (_, callback) = open(&address(&terminal).await).await;
        assert_eq!(open(&callback.unwrap()).await.0, 200);
    };
    let (done, ()) = tokio::join!(login(&options, &context, no_input(), &mut output), browser);
    done.unwrap();
    assert!(world.simulator.accepts_refresh_token(token(&read_json(&world.path()), "refresh_token")));
}

#[tokio::test]
async fn without_a_port_the_browser_cannot_come_back() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let taken = |method| LoginOptions { ports: vec![port], ..options(method) };
    for method in [Method::Browser, Method::Paste] {
        let error = login(&taken(method), &context(&world), no_input(), &mut Terminal::default()).await.unwrap_err();
        assert!(matches!(error, LoginError::Port { .. }), "{error}");
        assert!(error.to_string().contains(&port.to_string()) && error.to_string().contains("--device"), "{error}");
    }
    // Pasting goes on without one.
    let terminal = Terminal::default();
    let (reader, mut keyboard) = std::io::pipe().unwrap();
    let mut output = terminal.clone();
    let (context, options) = (context(&world), taken(Method::Paste));
    let user = async {
        let (_, callback) = open(&address(&terminal).await).await;
        writeln!(keyboard, "{}", callback.unwrap()).unwrap();
    };
    let (done, ()) = tokio::join!(login(&options, &context, Box::new(BufReader::new(reader)), &mut output), user);
    done.unwrap();
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.device_pending_polls = None);
    for method in [Method::Browser, Method::Paste, Method::Device] {
        let options = LoginOptions { limit: Duration::from_millis(50), ..options(method) };
        let error = login(&options, &context(&world), no_input(), &mut Terminal::default()).await.unwrap_err();
        assert!(matches!(error, LoginError::TooLate(_)), "{error}");
    }
    assert!(!world.path().exists());
}

#[tokio::test]
async fn a_browser_that_does_not_open_leaves_the_address() {
    let world = World::new().await;
    world.simulator.configure(|settings| settings.issuer.any_redirect_port = true);
    let (context, terminal) = (context(&world), Terminal::default());
    let mut output = terminal.clone();
    let options =
        LoginOptions { open_browser: |_| Err(std::io::ErrorKind::NotFound.into()), ..options(Method::Browser) };
    let browser = async {
        let (_, callback) = open(&address(&terminal).await).await;
        assert_eq!(open(&callback.unwrap()).await.0, 200);
    };
    let (done, ()) = tokio::join!(login(&options, &context, no_input(), &mut output), browser);
    done.unwrap();
}

#[tokio::test]
async fn a_sign_in_without_all_its_tokens_stores_nothing() {
    let world = World::new().await;
    world.simulator.configure(|settings| {
        settings.issuer.device_interval = "1".to_owned();
        settings.issuer.device_pending_polls = Some(0);
    });
    for (answer, words) in [
        (ScriptedAnswer::json(StatusCode::OK, &json!({ "access_token": "a", "id_token": "b" })), "a token is missing"),
        (ScriptedAnswer::json(StatusCode::OK, &json!([])), "not a JSON object"),
        (ScriptedAnswer::status(StatusCode::OK).bytes(vec![b' '; 2 << 20]), "too long"),
        (ScriptedAnswer::cloudflare_challenge(), "Cloudflare"),
    ] {
        world.simulator.script_token_answer(answer);
        let error = login(&options(Method::Device), &context(&world), no_input(), &mut Terminal::default()).await;
        let error = error.unwrap_err();
        assert!(matches!(error, LoginError::Issuer(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!world.path().exists());
    }
}

#[tokio::test]
async fn a_login_without_a_refresh_token_is_revoked_by_its_access_token() {
    let world = World::new().await;
    let mut document = world.simulator.issue_login(SimulatedLogin::default());
    let access = token(&document, "access_token").to_owned();
    document["tokens"].as_object_mut().unwrap().remove("refresh_token");
    write_private(&world.path(), &document.to_string());
    logout(
        LogoutOptions { revoke: true, imports: true, server: ServerSeen::Running },
        &context(&world),
        &mut Terminal::default(),
    )
    .await
    .unwrap();
    assert!(!world.simulator.accepts_access_token(&access));
    let sent = world.simulator.requests_to("/oauth/revoke").pop().unwrap().json();
    assert_eq!((&sent["token"], &sent["token_type_hint"]), (&json!(access), &json!("access_token")));

    // What holds no token is removed all the same.
    write_private(&world.path(), r#"{"OPENAI_API_KEY": "sk-x"}"#);
    let terminal = Terminal::default();
    logout(
        LogoutOptions { revoke: true, imports: true, server: ServerSeen::Running },
        &context(&world),
        &mut terminal.clone(),
    )
    .await
    .unwrap();
    assert!(terminal.text().contains("no token in it to revoke"), "{}", terminal.text());
    assert!(!world.path().exists());
    assert_eq!(world.simulator.requests_to("/oauth/revoke").len(), 1);
}

#[tokio::test]
async fn the_issuer_may_refuse_a_device_or_be_away() {
    let world = World::new().await;
    let unknown = codex_proxy::oauth::client::DeviceCode {
        device_auth_id: Secret::new("deviceauth_nobody"),
        user_code: "NONE-0000".to_owned(),
        interval: Duration::from_secs(1),
    };
    let error = world.oauth().device_authorization(&unknown).await.unwrap_err();
    assert!(matches!(&error, IssuerError::Refused { status, .. } if status.as_u16() == 400), "{error}");
    let away = crate::support::oauth("http://127.0.0.1:9");
    assert!(matches!(away.device_code().await, Err(IssuerError::Transport(_))));
    let nowhere = crate::support::oauth("not a url");
    let error = nowhere.device_code().await.unwrap_err();
    assert!(matches!(error, IssuerError::Transport(_)), "{error}");
}
