//! The account's own models: when they are fetched, what becomes of them, and that nothing depends on it.

use std::path::Path;
use std::time::Duration;

use codex_proxy::catalogue::CatalogueError;
use codex_proxy::models::Models;
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{ScriptStep, ScriptedAnswer, SimulatedLogin};
use http::StatusCode;
use http::header::ETAG;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::harness::{Proxy, Setup, user};

impl Proxy {
    /// How often the list was asked for.
    fn lists(&self) -> usize {
        self.simulator.requests_to("/models").len()
    }

    /// The names in `/v1/models`, as the clients see them once no fetch is on its way.
    async fn names(&self) -> Vec<String> {
        self.app.catalogue.settle().await;
        let list = self.get("/v1/models").await.json();
        list["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Asks `model` and waits for what follows from the answer.
    async fn ask(&self, model: &str) {
        let mut body = user("hi");
        body["model"] = model.into();
        self.chat(&body).await.message();
        self.app.catalogue.settle().await;
    }
}

fn scripted(models: Value) -> ScriptedAnswer {
    ScriptedAnswer::json(StatusCode::OK, &json!({ "models": models }))
}

#[tokio::test]
async fn the_start_fetches_and_the_list_begins_with_the_accounts_models() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let request = proxy.simulator.requests_to("/models").pop().unwrap();
    assert_eq!((request.method.as_str(), request.query.as_str()), ("GET", "client_version=0.160.0"));
    assert!(request.header("authorization").starts_with("Bearer "));
    for (name, value) in [
        ("accept", "application/json"),
        ("originator", "codex-proxy"),
        ("version", "0.160.0"),
        ("content-type", ""),
        ("session-id", ""),
        ("if-none-match", ""),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert_ne!(request.header("chatgpt-account-id"), "");
    assert!(request.header("user-agent").starts_with("codex-proxy/"));

    let names = proxy.names().await;
    let variants = |model: &str, efforts: &[&str]| {
        let variants = efforts.iter().map(|effort| format!("{model}-{effort}"));
        std::iter::once(model.to_owned()).chain(variants).collect::<Vec<_>>()
    };
    let to_max = ["low", "medium", "high", "xhigh", "max"];
    let listed = [
        "gpt-6.1-sol",
        "gpt-6-astra",
        "gpt-6-sol",
        "gpt-6-luna",
        "gpt-5.6-sol",
        "gpt-6.1-terra",
        "gpt-5.6-terra",
        "gpt-5.6-luna",
    ];
    let mut expected: Vec<_> = listed.iter().flat_map(|model| variants(model, &to_max)).collect();
    expected.extend(variants("gpt-5", &["minimal", "low", "medium", "high"]));
    assert_eq!(names[..expected.len()], expected);
    assert_eq!(names.last().unwrap(), "gpt-5.1-codex-mini-high");
    assert!(!names.contains(&"codex-auto-review".to_owned()), "hidden");
    assert_eq!(proxy.get("/v1/models/codex-auto-review").await.status, StatusCode::OK);
    assert_eq!(proxy.lists(), 1);
}

#[tokio::test]
async fn a_codex_client_gets_the_backends_own_entries_beside_the_list() {
    let proxy = Proxy::start().await;
    // Nothing is known yet: this one request waits for the list.
    let answer = proxy.get("/v1/models?client_version=0.169.0").await;
    assert_eq!(proxy.lists(), 1);
    let both = answer.json();
    assert_eq!(both["data"], proxy.get("/v1/models").await.json()["data"]);
    let (simulator, login) = (&proxy.simulator, proxy.app.supplier.access().await.unwrap());
    let backend = proxy
        .http
        .get(format!("{}/models?client_version=0.160.0", proxy.upstream_url))
        .bearer_auth(login.token.expose())
        .header("chatgpt-account-id", &login.account_id);
    let backend: Value = backend.send().await.unwrap().json().await.unwrap();
    assert_eq!(both["models"], backend["models"]);
    assert!(both["models"][0]["model_messages"]["instructions_template"].is_string());
    assert_eq!(proxy.get("/v1/models").await.json().get("models"), None, "only where it is asked for");

    // The tag is the one that answers announce.
    proxy.ask("gpt-6.1-sol").await;
    let etag = answer.header("etag").to_owned();
    let announced = proxy.chat(&user("hi")).await.header("x-models-etag").to_owned();
    assert!(!etag.is_empty() && etag == announced, "{etag} {announced}");
    let url = format!("{}/v1/models?client_version=0.169.0", proxy.base);
    let again = proxy.http.get(url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((again.status(), again.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, etag.as_str()));

    let old = proxy.get("/models?x=1&client_version=0.144.0").await.json();
    assert_eq!(old["models"][0]["slug"], "gpt-5.6-sol");
    assert!(!simulator.requests_to("/models").is_empty());
}

#[tokio::test]
async fn without_the_accounts_list_a_codex_client_gets_the_built_in_one() {
    let proxy = Proxy::with(Setup { login: false, ..Setup::default() }).await;
    let answer = proxy.get("/v1/models?client_version=0.169.0").await;
    assert_eq!((answer.status, answer.header("etag")), (StatusCode::OK, ""));
    let models = answer.json()["models"].clone();
    let slugs: Vec<_> = models.as_array().unwrap().iter().map(|model| model["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs[..4], ["gpt-6.1-sol", "gpt-6-astra", "gpt-6-sol", "gpt-6-luna"]);
    assert!(!slugs.contains(&"gpt-5.5"), "{slugs:?}");

    let proxy = Proxy::start().await;
    proxy.simulator.script_models_answer(ScriptedAnswer::status(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(proxy.get("/v1/models?client_version=0.169.0").await.json()["models"], models);
}

#[tokio::test]
async fn a_current_copy_is_not_fetched_again_and_a_confirmed_one_stays() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let names = proxy.names().await;
    for _ in 0..5 {
        proxy.ask("gpt-6.1-sol").await;
        proxy.get("/v1/models").await;
    }
    assert_eq!(proxy.lists(), 1);
    proxy.app.catalogue.refresh().await.unwrap();
    let confirmed = proxy.simulator.requests_to("/models").pop().unwrap();
    assert_eq!(confirmed.status, Some(StatusCode::NOT_MODIFIED));
    assert_eq!(proxy.names().await, names);
}

#[tokio::test]
async fn an_old_copy_is_renewed_beside_a_request() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(299)).await;
    proxy.app.catalogue.keep_current();
    proxy.app.catalogue.settle().await;
    assert_eq!(proxy.lists(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    // The connections of before are as old by now.
    proxy.app.catalogue.keep_current();
    proxy.app.catalogue.keep_current();
    proxy.app.catalogue.settle().await;
    assert_eq!(proxy.lists(), 2);
}

#[tokio::test]
async fn no_request_waits_and_one_fetch_is_enough() {
    let proxy = Proxy::start().await;
    proxy.simulator.script_models_answer(ScriptedAnswer::stream().bytes("{").step(ScriptStep::Hold));
    let asks = (0..20).map(|_| async { proxy.chat(&user("hi")).await.message() });
    futures_util::future::join_all(asks).await;
    assert_eq!(proxy.get("/v1/models").await.json()["data"][0]["id"], "gpt-5");
    assert_eq!(proxy.lists(), 1);
}

#[tokio::test]
async fn another_tag_on_an_answer_is_followed_at_once() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    assert_eq!(proxy.get("/v1/models/gpt-5.6-nova").await.status, StatusCode::NOT_FOUND);
    proxy.simulator.configure(|settings| {
        let mut nova = settings.catalogue.model("gpt-5.6-sol").unwrap().clone();
        nova.slug = "gpt-5.6-nova".to_owned();
        settings.catalogue.models.insert(0, nova);
    });
    proxy.ask("gpt-6.1-sol").await;
    assert_eq!(proxy.lists(), 2);
    assert_eq!(proxy.names().await[0], "gpt-5.6-nova");
    proxy.ask("gpt-6.1-sol").await;
    assert_eq!(proxy.lists(), 2);
}

#[tokio::test]
async fn a_tag_that_never_matches_is_followed_once() {
    let proxy = Proxy::start().await;
    for _ in 0..2 {
        let answer = scripted(json!([{ "slug": "gpt-6.1-sol" }])).header(ETAG, "\"of its own\"");
        proxy.simulator.script_models_answer(answer);
    }
    proxy.begin().await;
    for _ in 0..3 {
        proxy.ask("gpt-6.1-sol").await;
    }
    assert_eq!(proxy.lists(), 2);
}

#[tokio::test]
async fn a_failure_changes_nothing() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let names = proxy.names().await;
    let whole = |body: &'static str| ScriptedAnswer::stream().bytes(body);
    let failures = [
        ScriptedAnswer::status(StatusCode::INTERNAL_SERVER_ERROR),
        ScriptedAnswer::json(StatusCode::UNAUTHORIZED, &json!({ "detail": "Unauthorized" })),
        ScriptedAnswer::redirect(StatusCode::FOUND, "http://127.0.0.1:1/"),
        ScriptedAnswer::cloudflare_challenge(),
        ScriptedAnswer::hang_up(),
        whole("<html>"),
        whole(r#"{"models":{}}"#),
        whole(r#"{"models":[]}"#),
        whole(r#"{"models":[{"slug":7},null]}"#),
        whole(r#"{"models":[{"slug":"gpt-6.1-sol"#).step(ScriptStep::Cut),
    ];
    for (index, failure) in failures.into_iter().enumerate() {
        proxy.simulator.script_models_answer(failure.clone());
        let error = proxy.app.catalogue.refresh().await.expect_err("a failure");
        assert_eq!(proxy.lists(), index + 2, "no second try: {failure:?}");
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(proxy.names().await, names);
    assert_eq!(proxy.simulator.counters().token_requests, 0, "the login is left alone");
    proxy.app.catalogue.refresh().await.unwrap();
}

#[tokio::test]
async fn a_failure_is_not_repeated_by_the_next_requests() {
    let proxy = Proxy::start().await;
    proxy.simulator.script_models_answer(ScriptedAnswer::status(StatusCode::INTERNAL_SERVER_ERROR));
    for _ in 0..3 {
        // Each answer also announces a tag that is not known.
        proxy.ask("gpt-6.1-sol").await;
        assert_eq!(proxy.names().await[0], "gpt-5");
    }
    assert_eq!(proxy.lists(), 1);
}

#[tokio::test]
async fn a_stalled_answer_is_given_up_after_five_seconds() {
    let proxy = Proxy::start().await;
    let stalled = ScriptedAnswer::stream().bytes("{").step(ScriptStep::Hold);
    proxy.simulator.script_models_answer(stalled);
    tokio::time::pause();
    let begun = Instant::now();
    let error = proxy.app.catalogue.refresh().await.expect_err("too late");
    assert!(matches!(error, CatalogueError::Timeout(_)), "{error}");
    assert!((5..6).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn without_a_login_nothing_is_asked() {
    let proxy = Proxy::with(Setup { login: false, ..Setup::default() }).await;
    proxy.begin().await;
    assert_eq!(proxy.chat(&user("hi")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(proxy.names().await[0], "gpt-5");
    assert_eq!(proxy.simulator.counters().requests, 0);
}

#[tokio::test]
async fn the_client_version_decides_what_is_there() {
    let proxy = Proxy::with(Setup { client_version: "0.128.0", ..Setup::default() }).await;
    proxy.begin().await;
    let names = proxy.names().await;
    assert_eq!(names[0], "gpt-5", "nothing is listed for so old a client");
    assert!(!names.iter().any(|name| name.starts_with("gpt-6")), "{names:?}");
    assert_eq!(proxy.simulator.requests_to("/models")[0].query, "client_version=0.128.0");
}

#[tokio::test]
async fn a_restart_knows_the_models_before_the_network_does() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache/codex-proxy");
    let with_cache = |upstream_url| Setup { cache_directory: Some(cache.clone()), upstream_url, ..Setup::default() };
    let first = Proxy::with(with_cache(None)).await;
    first.begin().await;
    let names = first.names().await;
    assert_eq!(names[0], "gpt-6.1-sol");
    check_file(&cache, &first);

    // Its login is one that the first one's backend does not know.
    let second = Proxy::with(with_cache(Some(first.upstream_url.clone()))).await;
    assert_eq!(second.app.models.list()[0].id, "gpt-6.1-sol");
    let error = second.app.catalogue.refresh().await.expect_err("401");
    assert!(matches!(error, CatalogueError::Status(StatusCode::UNAUTHORIZED)), "{error}");
    assert_eq!(second.names().await, names);

    // The list of another backend is not this one's.
    let third = Proxy::with(with_cache(None)).await;
    assert_eq!(third.app.models.list()[0].id, "gpt-5");
}

fn check_file(cache: &Path, proxy: &Proxy) {
    let path = cache.join("models.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let copy: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(copy["client_version"], "0.160.0");
    assert!(copy["fetched_at"].as_u64().unwrap() > 1_700_000_000);
    assert!(copy["etag"].as_str().unwrap().starts_with("W/"));
    assert_eq!(copy["models"][0]["slug"], "gpt-6.1-sol");
    let request = proxy.simulator.requests_to("/models").pop().unwrap();
    for secret in [request.header("authorization").trim_start_matches("Bearer "), request.header("chatgpt-account-id")]
    {
        assert!(!secret.is_empty() && !text.contains(secret));
    }
    assert_eq!(std::fs::read_dir(cache).unwrap().count(), 1, "no temporary file stays");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(cache), mode(&path)), (0o700, 0o600));
    }
}

#[tokio::test]
async fn a_kept_tag_counts_for_its_account_and_client_version_only() {
    let directory = tempfile::tempdir().unwrap();
    let simulated = Proxy::start().await;
    let setup = |client_version| Setup {
        cache_directory: Some(directory.path().to_owned()),
        upstream_url: Some(simulated.upstream_url.clone()),
        client_version,
        ..Setup::default()
    };
    let list = || scripted(json!([{ "slug": "gpt-6.1-sol" }])).header(ETAG, "\"kept\"");
    let mut asked = Vec::new();
    for client_version in ["0.160.0", "0.160.0", "0.161.0"] {
        simulated.simulator.script_models_answer(list());
        let proxy = Proxy::with(setup(client_version)).await;
        proxy.app.catalogue.refresh().await.unwrap();
        asked.push(simulated.simulator.requests_to("/models").pop().unwrap().header("if-none-match").to_owned());
    }
    assert_eq!(asked, ["", "\"kept\"", ""]);

    let path = directory.path().join("models.json");
    let mut copy: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    copy["account_fingerprint"] = "somebody else".into();
    std::fs::write(&path, copy.to_string()).unwrap();
    simulated.simulator.script_models_answer(list());
    let proxy = Proxy::with(setup("0.161.0")).await;
    assert_eq!(proxy.app.models.list()[0].id, "gpt-6.1-sol");
    proxy.app.catalogue.refresh().await.unwrap();
    assert_eq!(simulated.simulator.requests_to("/models").pop().unwrap().header("if-none-match"), "");
}

#[tokio::test]
async fn a_broken_cache_is_no_cache() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models.json");
    let setup = || Setup { cache_directory: Some(directory.path().to_owned()), ..Setup::default() };
    for text in ["", "{", "null", "[]", r#"{"models":[]}"#, r#"{"models":[{"slug":"x"}],"fetched_at":"today"}"#, "\0"] {
        std::fs::write(&path, text).unwrap();
        let proxy = Proxy::with(setup()).await;
        assert_eq!(proxy.app.models.list()[0].id, "gpt-5", "{text:?}");
        proxy.begin().await;
        assert_eq!(proxy.names().await[0], "gpt-6.1-sol", "{text:?}");
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(kept["models"][0]["slug"], "gpt-6.1-sol", "it has been replaced");
    }
    // Neither readable nor writable.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("in the way"), "").unwrap();
    let proxy = Proxy::with(setup()).await;
    proxy.begin().await;
    assert_eq!(proxy.names().await[0], "gpt-6.1-sol");
}

#[tokio::test]
async fn the_default_is_the_first_listed_model() {
    let proxy = Proxy::start().await;
    assert_eq!(proxy.sent(&user("hi")).await["model"], "gpt-6.1-sol", "by the built-in table");
    proxy.simulator.configure(|settings| settings.catalogue.models.swap(0, 2));
    proxy.app.catalogue.refresh().await.unwrap();
    assert_eq!(proxy.sent(&user("hi")).await["model"], "gpt-6-sol");
    let mut foreign = user("hi");
    foreign["model"] = "claude-opus-4-5".into();
    assert_eq!(proxy.sent(&foreign).await["model"], "gpt-6-sol");

    let models = Models::new(Vec::new(), Some("gpt-6-luna".to_owned()));
    let wished = Proxy::with(Setup { models, ..Setup::default() }).await;
    wished.begin().await;
    assert_eq!(wished.sent(&user("hi")).await["model"], "gpt-6-luna");
}

#[tokio::test]
async fn tiers_and_efforts_are_the_catalogues() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["model"] = "gpt-daybreak-blue-latest".into();
    body["service_tier"] = "priority".into();
    body["reasoning_effort"] = "max".into();
    let built_in = proxy.sent(&body).await;
    assert_eq!((&built_in["service_tier"], &built_in["reasoning"]["effort"]), (&Value::Null, &json!("max")));
    let live = json!([{ "slug": "gpt-daybreak-blue-latest", "service_tiers": [{ "id": "priority" }],
        "supported_reasoning_levels": [{ "effort": "low" }, { "effort": "high" }, { "effort": "ultra" }] }]);
    proxy.app.catalogue.settle().await;
    proxy.simulator.script_models_answer(scripted(live));
    proxy.app.catalogue.refresh().await.unwrap();
    proxy.simulator.configure(|settings| settings.validate = false);
    let live = proxy.sent(&body).await;
    assert_eq!((&live["service_tier"], &live["reasoning"]["effort"]), (&json!("priority"), &json!("high")));
}

#[tokio::test]
async fn credentials_given_by_hand_bring_their_models_along() {
    let guard = Guard { admin_keys: Keys::new(["boss"]), ..Guard::default() };
    let settings = ServerSettings { guard, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, login: false, ..Setup::default() }).await;
    proxy.begin().await;
    assert_eq!(proxy.lists(), 0, "there is nothing to ask with");
    let login = proxy.simulator.issue_login(SimulatedLogin::default());
    let by_hand = json!({
        "accessToken": login["tokens"]["access_token"],
        "refreshToken": login["tokens"]["refresh_token"],
        "expiresAt": 4_000_000_000_000_u64,
    });
    let request = proxy.http.post(format!("{}/admin/credentials", proxy.base)).header("x-api-key", "boss");
    assert_eq!(request.json(&by_hand).send().await.unwrap().status(), StatusCode::OK);
    proxy.app.catalogue.settle().await;
    assert_eq!(proxy.lists(), 1);
}

#[tokio::test]
async fn an_alias_is_shown_as_its_model_under_its_own_name() {
    let alias = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let aliases =
        vec![alias("gpt-4o", "gpt-5.6-sol"), alias("Fast", "gpt-6.1-sol-low"), alias("other", "no-such-model")];
    let proxy = Proxy::with(Setup { models: Models::new(aliases, None), ..Setup::default() }).await;
    let target = proxy.get("/v1/models/gpt-5.6-sol").await.json();
    for (id, effort) in [("gpt-4o", "low"), ("GPT-4o", "low"), ("gpt-4o-high", "high"), ("fast", "low")] {
        let answer = proxy.get(&format!("/v1/models/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{id}: {}", answer.text);
        let entry = answer.json();
        assert_eq!((&entry["id"], &entry["default_reasoning_effort"]), (&id.into(), &effort.into()));
        let same = entry["supported_reasoning_efforts"] == target["supported_reasoning_efforts"];
        assert_eq!(same, id != "fast", "{id}");
    }
    for id in ["gpt-4.1", "gpt-5-mini", "other"] {
        assert_eq!(proxy.get(&format!("/v1/models/{id}")).await.status, StatusCode::NOT_FOUND, "{id}");
    }
}
