//! What every route answers, with and without `/v1`.

use super::Proxy;
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;

#[tokio::test]
async fn health_says_that_it_serves_and_that_there_is_no_login() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let answer = proxy.get("/health").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(
        answer.json(),
        serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "mode": "live", "credentials": "missing"})
    );
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let list = proxy.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"][0]["id"], "gpt-5");
    assert_eq!(list["data"][0]["capabilities"]["vision"], true);
    assert_eq!(proxy.get("/models").await.json(), list);

    let one = proxy.get("/v1/models/gpt-5.1-codex-max-xhigh").await;
    assert_eq!((one.status.as_u16(), one.json()["default_reasoning_effort"].as_str()), (200, Some("xhigh")));
    let none = proxy.get("/v1/models/claude/opus").await;
    assert_eq!((none.status.as_u16(), none.error_code().as_str()), (404, "model_not_found"));
    assert_eq!(none.json()["error"]["param"], "model");
}

#[tokio::test]
async fn what_is_not_there_says_why() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    for (target, status, code) in [
        ("/", 404, "not_found"),
        ("/v1", 404, "not_found"),
        ("/v2/models", 404, "not_found"),
        ("/v1/responses/resp_1", 404, "not_found"),
        ("/v1/responses/resp_1/input_items", 404, "not_found"),
        ("/v1/chat/completions/chatcmpl-1", 404, "not_found"),
        ("/v1/embeddings", 501, "not_implemented"),
        ("/v1/completions", 501, "not_implemented"),
        ("/v1/audio/speech", 501, "not_implemented"),
        ("/embeddings", 501, "not_implemented"),
    ] {
        let answer = proxy.get(target).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code), "{target}");
        assert_eq!(answer.header("x-should-retry"), "false", "{target}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_answered_in_json() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    for path in ["/v1/models/%ff", "/models/%C3%28", "/backend-api/codex/models/%ff", "/v1/responses/%ff/%00", "/%ff"] {
        let answer = proxy.get(path).await;
        assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text);
        assert!(answer.error()["message"].as_str().is_some_and(|words| words.len() > 20), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_not_served_says_whether_the_backend_has_it() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    for (target, words) in [
        ("/v1/embeddings", "backend has no embeddings"),
        ("/v1/images/variations", "backend makes no variations"),
        ("/v1/realtime/sessions", "this proxy does not serve it"),
        ("/v1/audio/transcriptions", "this proxy serves no audio"),
        ("/v1/files", "this proxy keeps no files"),
        ("/v1/completions", "backend has no text completions"),
        ("/v1/fine_tuning/jobs", "backend does not support it"),
    ] {
        let message = proxy.get(target).await.json()["error"]["message"].as_str().expect("words").to_owned();
        assert!(message.contains(words), "{target}: {message}");
    }
}

#[tokio::test]
async fn addresses_are_understood_as_tools_write_them() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let json = "content-type: application/json";
    let backend = ["/backend-api/codex", "//backend-api//codex/", "/backend-api/codex/v1"];
    for prefix in ["", "/", "/v1", "//v1", "/v1/", "/v1/v1", "/v1//v1", "///v1/v1///v1"].into_iter().chain(backend) {
        for suffix in ["", "/", "//"] {
            for route in ["/chat/completions", "/chat//completions", "/responses", "/responses//compact"] {
                let target = format!("{prefix}{route}{suffix}");
                let answer = proxy.send(&[&format!("POST {target}"), "host: localhost", json], "[]").await;
                assert_eq!(answer.status.as_u16(), 400, "{target}: {answer:?}");
            }
            let target = format!("{prefix}/models{suffix}");
            assert_eq!(proxy.get(&target).await.status, 200, "{target}");
            let target = format!("{prefix}/models/gpt-5.1{suffix}?a=/b//c/");
            assert_eq!(proxy.get(&target).await.json()["id"], "gpt-5.1", "{target}");
            let target = format!("{prefix}/embeddings{suffix}");
            assert_eq!(proxy.get(&target).await.status, 501, "{target}");
        }
    }
    assert_eq!(proxy.get("//health/").await.status, 200);
    let absolute = ["GET http://localhost//v1/v1/models/", "host: localhost"];
    assert_eq!(proxy.send(&absolute, "").await.status, 200);
    let metrics = proxy.get("//metrics/").await.text;
    for route in ["/chat/completions", "/responses", "/responses/compact", "/models", "/models/{*id}", "/embeddings"] {
        assert!(metrics.contains(&format!("route=\"{route}\"")), "{route} is not in\n{metrics}");
    }
    assert!(!metrics.contains("//") && !metrics.contains(r#"route="other""#), "{metrics}");
}

#[tokio::test]
async fn guards_see_the_address_that_is_served() {
    let guard = Guard { api_keys: Keys::new(["user"]), admin_keys: Keys::new(["boss"]), ..Guard::default() };
    let proxy = Proxy::start(ServerSettings { guard, ..ServerSettings::default() }).await;
    for open in ["/backend-api/codex/health", "/backend-api/codex/admin/credentials/status"] {
        let lines = [&format!("GET {open}"), "host: localhost", "authorization: Bearer user"];
        assert_eq!(proxy.send(&lines, "").await.status, 404, "{open}: the prefix has the routes of the API alone");
    }
    for target in ["//admin/credentials/status", "/admin//credentials/status/", "///admin///credentials/status"] {
        let lines = [&format!("GET {target}"), "host: localhost", "authorization: Bearer user"];
        assert_eq!(proxy.send(&lines, "").await.status, 401, "{target}");
        let lines = [&format!("GET {target}"), "host: localhost", "authorization: Bearer boss"];
        assert_eq!(proxy.send(&lines, "").await.status, 200, "{target}");
    }
    for target in ["//v1/models", "/v1/v1/models/", "/health/../v1/models", "//health/x", "/backend-api/codex/models"] {
        assert_eq!(proxy.get(target).await.status, 401, "{target}");
    }
}

#[tokio::test]
async fn a_signed_in_codex_cli_is_told_that_its_workspace_is_served_here() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let check = "GET /backend-api/wham/accounts/check";
    let answer = proxy.send(&[check, "host: localhost", "chatgpt-account-id: acc-1"], "").await;
    let served = serde_json::json!({
        "id": "acc-1", "workspace_backend_origin": "https://localhost", "account_routing_override": "NO_CONSTRAINT"
    });
    let expected = serde_json::json!({ "accounts": [served], "account_ordering": ["acc-1"] });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    assert_eq!(proxy.send(&[check, "host: localhost"], "").await.json()["accounts"][0]["id"], "default");
    let guard = Guard { api_keys: Keys::new(["k"]), ..Guard::default() };
    let proxy = Proxy::start(ServerSettings { guard, ..ServerSettings::default() }).await;
    assert_eq!(proxy.send(&[check, "host: localhost", "authorization: Bearer eyJ"], "").await.status, 401);
}

#[tokio::test]
async fn a_base_url_that_is_too_long_is_told_what_it_should_be() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    for (method, target) in [
        ("POST", "/v1/chat/completions/chat/completions"),
        ("POST", "/chat/completions/chat/completions"),
        ("POST", "/v1/v1/chat/completions//chat/completions/"),
        ("GET", "/v1/chat/completions/models"),
        ("GET", "/v1/chat/completions/v1/models"),
        ("GET", "/v1/chat/completions/models/gpt-5"),
        ("POST", "/v1/chat/completions/responses"),
        ("POST", "/v1/responses/responses"),
        ("GET", "/v1/responses/models"),
        ("POST", "/v1/responses/chat/completions"),
        ("POST", "/v1/responses/compact/responses"),
        ("POST", "/v1/models/chat/completions"),
        ("GET", "/v1/models/models"),
        ("POST", "/v1/embeddings/embeddings"),
        ("POST", "/v1/images/generations/images/generations"),
        ("POST", "/v1/images/edits/images/generations"),
        ("POST", "/backend-api/codex/responses/responses"),
    ] {
        let head = [&format!("{method} {target}"), "host: localhost:9879", "content-type: application/json"];
        let answer = proxy.send(&head, if method == "POST" { "{}" } else { "" }).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "not_found"), "{target}");
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("base URL") && message.contains("http://localhost:9879/v1"), "{target}: {message}");
    }
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let answer = proxy.send(&["DELETE /v1/models", "host: localhost"], "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD");
    for (target, allow) in [("POST /", "HEAD,GET"), ("PATCH /", "HEAD,GET"), ("GET /api/hello", "HEAD")] {
        let answer = proxy.send(&[target, "host: localhost", "content-type: application/json"], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{target}");
    }
    assert_eq!(proxy.send(&["GET /", "host: localhost"], "").await.status, 404, "who wants no page");
    let options = proxy.send(&["OPTIONS /v1/models", "host: localhost"], "").await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, "GET,HEAD"));
    assert_eq!(options.headers.get("access-control-allow-origin"), None);
    let head = proxy.send(&["HEAD /health", "host: localhost"], "").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_sane_one_is_kept() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let mut seen = std::collections::HashSet::new();
    for target in ["/health", "/nowhere", "/v1/models", "/v1/models"] {
        let id = proxy.get(target).await.header("x-request-id").to_owned();
        assert!(id.starts_with("req_") && seen.insert(id));
    }
    let kept = proxy.send(&["GET /health", "host: localhost", "x-request-id: 0ea-7.B_c:9"], "").await;
    assert_eq!(kept.header("x-request-id"), "0ea-7.B_c:9");
    for wild in
        ["x-request-id: ", "x-request-id: a b", "x-request-id: {}", &format!("x-request-id: {}", "a".repeat(129))]
    {
        let answer = proxy.send(&["GET /health", "host: localhost", wild], "").await;
        assert!(answer.header("x-request-id").starts_with("req_"), "{wild}");
    }
}

#[tokio::test]
async fn metrics_count_what_was_answered() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    proxy.get("/v1/models").await;
    proxy.get("/models").await;
    proxy.get("/nowhere").await;
    let answer = proxy.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        r#"codex_proxy_requests_total{route="/models",status="200"} 2"#,
        r#"codex_proxy_requests_total{route="other",status="404"} 1"#,
        "codex_proxy_requests_in_flight 1",
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line} is not in\n{}", answer.text);
    }
}

#[tokio::test]
async fn credentials_are_given_and_seen_through_the_admin_api() {
    let guard = Guard { admin_keys: Keys::new(["boss"]), ..Guard::default() };
    let proxy = Proxy::start(ServerSettings { guard, ..ServerSettings::default() }).await;
    let status = ["GET /admin/credentials/status", "host: localhost", "x-api-key: boss"];
    let before = proxy.send(&status, "").await.json();
    assert_eq!((&before["type"], &before["hasCredentials"]), (&"oauth".into(), &false.into()));

    let post =
        ["POST /admin/credentials", "host: localhost", "authorization: Bearer boss", "content-type: application/json"];
    let wrong = proxy.send(&post, r#"{"accessToken":7}"#).await;
    assert_eq!(wrong.status.as_u16(), 400);
    let message = wrong.json()["error"]["message"].to_string();
    assert!(["accessToken", "refreshToken", "expiresAt"].iter().all(|field| message.contains(field)), "{message}");

    let body = r#"{"accessToken":"canary-a","refreshToken":"canary-r","expiresAt":4102444800000,"userID":"u","accountID":"acc"}"#;
    let stored = proxy.send(&post, body).await;
    assert_eq!((stored.status.as_u16(), stored.json()["status"].as_str()), (200, Some("success")), "{stored:?}");
    let after = proxy.send(&status, "").await;
    let json = after.json();
    assert_eq!((&json["hasCredentials"], &json["userID"]), (&true.into(), &"u".into()));
    assert_eq!((&json["expiresAt"], &json["isExpired"]), (&4_102_444_800_000_u64.into(), &false.into()));
    assert!(!after.text.contains("canary"), "{after:?}");
    assert_eq!(proxy.get("/health").await.json()["credentials"], "ok");
}

#[tokio::test]
async fn a_question_for_the_options_is_answered_anywhere() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    for target in ["/", "/v1/chat/completions", "/v1/anything"] {
        let answer = proxy.send(&[&format!("OPTIONS {target}"), "host: localhost"], "").await;
        assert!(answer.status.is_success(), "{target}: {answer:?}");
        assert_eq!(answer.headers.get("access-control-allow-origin"), None, "{target}");
    }
}

#[tokio::test]
async fn two_encodings_of_one_body_are_refused() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let lines = [
        "POST /v1/chat/completions",
        "host: localhost",
        "content-type: application/json",
        "content-encoding: gzip",
        "content-encoding: gzip",
    ];
    let answer = proxy.send(&lines, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (415, "unsupported_media_type"));
}
