//! No token or key is ever seen: the whole life of a login, logged as finely as can be, with every secret looked for.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use codex_proxy::simulator::{
    FailureShape, HttpFault, Moment, Play, RunningSimulator, Scenario, ScriptedAnswer, SimulatedLogin, Simulator,
    StreamFailure,
};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::LOGIN_FILE;
use crate::common::client::Client;
use crate::common::daemon::{Daemon, Home};

const API_KEY: &str = "canary-api-key-0123456789";
const ADMIN_KEY: &str = "canary-admin-key-0123456789";

/// A daemon that logs everything, and the thread that reads its log to the end.
struct Watched {
    daemon: Daemon,
    log: JoinHandle<String>,
}

impl Watched {
    fn start(home: &Home, backend: &RunningSimulator, more: &[&str]) -> Self {
        let mut command =
            home.command(&["--port", "0", "--host", "127.0.0.1", "--log-level", "trace", "--api-key", API_KEY]);
        command.args(["--upstream-url", &backend.upstream_url(), "--auth-url", &backend.auth_url()]);
        let mut daemon = Daemon::start(command.args(more).env("ADMIN_API_KEY", ADMIN_KEY));
        let mut errors = daemon.child.stderr.take().expect("its errors");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            errors.read_to_string(&mut log).expect("text");
            log
        });
        Self { daemon, log }
    }

    /// Ends it, and returns all that it logged.
    fn end(mut self) -> String {
        self.daemon.signal("-TERM");
        assert!(self.daemon.child.wait().expect("an end").success());
        self.log.join().expect("a log")
    }
}

/// Every token in the document at `path`.
fn tokens(path: &Path) -> Vec<String> {
    let document: Value = serde_json::from_slice(&std::fs::read(path).expect("the login")).expect("JSON");
    ["access_token", "refresh_token", "id_token"]
        .iter()
        .filter_map(|name| document["tokens"][*name].as_str().map(str::to_owned))
        .collect()
}

/// A secret, and pieces of it that must not be seen either: a token's parts are secrets of their own.
fn pieces(secret: &str) -> Vec<String> {
    let longest = secret.split('.').max_by_key(|part| part.len()).unwrap_or(secret);
    let middle: String = longest.chars().skip(longest.len() / 2).take(24).collect();
    vec![secret.to_owned(), middle]
}

/// A simulator, a home with a login of it, and where that login is.
async fn signed_in() -> (Simulator, RunningSimulator, Home, PathBuf) {
    let simulator = Simulator::new();
    let running = simulator.start().await.expect("a simulator");
    let home = Home::new();
    home.write(LOGIN_FILE, &simulator.issue_login(SimulatedLogin::default()).to_string());
    let stored = home.path().join(LOGIN_FILE);
    (simulator, running, home, stored)
}

fn client() -> reqwest::Client {
    Client::new(String::new()).http
}

async fn ask(base: &str, path: &str, body: &Value) -> String {
    let request = client().post(format!("{base}{path}")).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {API_KEY}")).body(body.to_string());
    let answer = request.send().await.expect("an answer");
    format!("{} {}\n", answer.status(), answer.text().await.expect("a body"))
}

// The simulator must go on answering while the test waits for the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_backend_quotes_is_neither_passed_on_nor_logged() {
    let (simulator, running, home, stored) = signed_in().await;
    let watched = Watched::start(&home, &running, &[]);
    let base = watched.daemon.base();
    let tokens = tokens(&stored);
    let words = format!("bad token {}, again: {}", tokens[0], tokens[0]);
    let detail = json!({ "detail": words });
    let mut plays: Vec<(Play, usize)> =
        [(StatusCode::BAD_REQUEST, 1), (StatusCode::FORBIDDEN, 1), (StatusCode::INTERNAL_SERVER_ERROR, 3)]
            .map(|(status, attempts)| (ScriptedAnswer::json(status, &detail).into(), attempts))
            .into();
    for moment in [Moment::BeforeOutput, Moment::AfterOutput] {
        for code in ["server_error", "invalid_prompt"] {
            let failure = StreamFailure { code: code.to_owned(), message: words.clone() };
            plays.push((Scenario::Fail(failure, FailureShape::Failed, moment).into(), 1));
        }
    }
    let mut seen = String::new();
    for (play, attempts) in plays {
        for stream in [false, true] {
            let chat = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": stream });
            let responses = json!({ "input": "hi", "stream": stream });
            for (path, body) in [("/v1/chat/completions", chat), ("/v1/responses", responses)] {
                (0..attempts).for_each(|_| simulator.queue(play.clone()));
                let answer = ask(&base, path, &body).await;
                assert!(answer.contains("bad token ***, again: ***"), "{play:?} {path} {answer}");
                assert_eq!(simulator.queued(), 0);
                seen += &answer;
            }
        }
    }
    seen += &watched.end();
    assert!(seen.contains("TRACE") && seen.contains(" server_error: "), "{seen}");
    for piece in tokens.iter().flat_map(|token| pieces(token)) {
        assert_eq!(seen.lines().find(|line| line.contains(&piece)), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_header_quotes_is_not_passed_on() {
    let (simulator, running, home, stored) = signed_in().await;
    let watched = Watched::start(&home, &running, &[]);
    let base = watched.daemon.base();
    let tokens = tokens(&stored);
    let frame = json!({ "type": "response.completed", "response": { "id": "r", "output": [], "status": "completed" } });
    let answer = ScriptedAnswer::stream().bytes(format!("data: {frame}\n\n"));
    let refusal = ScriptedAnswer::json(StatusCode::BAD_REQUEST, &json!({ "detail": "no" }));
    let mut seen = String::new();
    for answer in [answer, refusal] {
        for (name, value) in [("x-codex-note", &tokens[0]), ("x-request-id", &tokens[0])] {
            let quoted = format!("for Bearer {value}");
            simulator.queue(answer.clone().header(HeaderName::from_static(name), &quoted));
            let request = client().post(format!("{base}/v1/responses")).header("content-type", "application/json");
            let request = request.header("authorization", format!("Bearer {API_KEY}")).body(r#"{"input":"hi"}"#);
            let answer = request.send().await.expect("an answer");
            seen += &format!("{:?}\n", answer.headers());
        }
    }
    assert!(seen.contains("for Bearer ***"), "{seen}");
    seen += &watched.end();
    for piece in pieces(&tokens[0]) {
        assert_eq!(seen.lines().find(|line| line.contains(&piece)), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_refused_is_not_quoted_in_the_log() {
    let (simulator, running, home, _) = signed_in().await;
    let watched = Watched::start(&home, &running, &[]);
    let base = watched.daemon.base();
    let message = |role: &str| json!({ "messages": [{ "role": role, "content": "hi" }] });
    let answer = ask(&base, "/v1/chat/completions", &message("look-for-me")).await;
    assert!(answer.starts_with("400 ") && answer.contains("look-for-me"), "{answer}");
    let error =
        ScriptedAnswer::error(StatusCode::BAD_REQUEST, "invalid_request_error", None, "bad value 'look-for-me'");
    simulator.queue(error);
    let answer = ask(&base, "/v1/chat/completions", &message("user")).await;
    assert!(answer.starts_with("400 ") && answer.contains("look-for-me"), "{answer}");
    let log = watched.end();
    assert!(log.contains("TRACE") && log.contains(": messages[0].role req_"), "{log}");
    assert_eq!(log.lines().find(|line| line.contains("look-for-me")), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_holds_its_own_key_is_logged_without_it() {
    let (_simulator, running, home, _) = signed_in().await;
    let watched = Watched::start(&home, &running, &["--log-bodies"]);
    let message = json!([{ "role": "user", "content": format!("Why does \"{API_KEY}\" not work?") }]);
    let answer = ask(&watched.daemon.base(), "/v1/chat/completions", &json!({ "messages": message })).await;
    assert!(answer.starts_with("200 ") && answer.contains(API_KEY), "the answer is the client's: {answer}");
    let log = watched.end();
    assert!(log.contains("Why does") && !log.contains(API_KEY), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_in_any_log_answer_or_number() {
    let simulator = Simulator::new();
    let running = simulator.start().await.expect("a simulator");
    let home = Home::new();
    home.write(".codex/auth.json", &simulator.issue_login(SimulatedLogin::default()).to_string());
    let stored = home.path().join(LOGIN_FILE);
    let mut secrets = tokens(&home.path().join(".codex/auth.json"));

    let watched = Watched::start(&home, &running, &["--log-bodies"]);
    let base = watched.daemon.base();
    let http = client();
    let mut seen = String::new();
    let chat = json!({ "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let ask = |path: &str, key: &str, body: Option<String>| {
        let url = format!("{base}{path}");
        let request = match body {
            Some(body) => http.post(url).header("content-type", "application/json").body(body),
            None => http.get(url),
        };
        let request = request.header("authorization", format!("Bearer {key}"));
        async {
            let answer = request.send().await.expect("an answer");
            format!("{} {:?} {}\n", answer.status(), answer.headers().clone(), answer.text().await.expect("a body"))
        }
    };

    // An imported login, a wrong key, a renewal, a login that is refused for good, credentials by hand.
    seen += &ask("/v1/chat/completions", API_KEY, Some(chat.clone())).await;
    seen += &ask("/v1/chat/completions", "canary-wrong-key-987654321", Some(chat.clone())).await;
    secrets.extend(tokens(&stored));
    simulator.invalidate_access_tokens();
    seen += &ask("/v1/chat/completions", API_KEY, Some(chat.clone())).await;
    secrets.extend(tokens(&stored));
    for _ in 0..3 {
        simulator.queue(Scenario::Http(HttpFault::TokenInvalidated));
    }
    simulator.invalidate_refresh_tokens();
    seen += &ask("/v1/chat/completions", API_KEY, Some(chat.clone())).await;
    let fresh = simulator.issue_login(SimulatedLogin::default());
    let by_hand = json!({
        "accessToken": fresh["tokens"]["access_token"],
        "refreshToken": fresh["tokens"]["refresh_token"],
        "expiresAt": 4_102_444_800_000_u64,
    });
    seen += &ask("/admin/credentials", ADMIN_KEY, Some(by_hand.to_string())).await;
    secrets.extend(tokens(&stored));
    seen += &ask("/admin/credentials", ADMIN_KEY, Some(json!({ "accessToken": 5 }).to_string())).await;
    for (path, key) in [("/admin/credentials/status", ADMIN_KEY), ("/health", API_KEY), ("/metrics", API_KEY)] {
        seen += &ask(path, key, None).await;
    }
    seen += &ask("/v1/chat/completions", API_KEY, Some(chat)).await;
    assert!(seen.contains("200 OK") && seen.contains("401 Unauthorized"), "{seen}");
    assert!(seen.contains("codex_proxy_requests_total"), "{seen}");

    seen += &watched.end();
    assert!(seen.contains("TRACE"), "logged as finely as can be");
    secrets.extend([API_KEY, ADMIN_KEY, "canary-wrong-key-987654321"].map(str::to_owned));
    secrets.sort();
    secrets.dedup();
    assert!(secrets.len() >= 9, "{} secrets", secrets.len());
    for secret in &secrets {
        for piece in pieces(secret) {
            let found = seen.lines().find(|line| line.contains(&piece));
            assert_eq!(found, None, "a secret of {} characters is seen", secret.len());
        }
    }
}
