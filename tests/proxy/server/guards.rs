//! Who may call. Every refusal here is of a request that other local proxies answer.

use super::Proxy;
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::host::HostPolicy;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::guard::origin::OriginPolicy;
use codex_proxy::server::settings::ServerSettings;

async fn guarded(guard: Guard) -> Proxy {
    Proxy::start(ServerSettings { guard, ..ServerSettings::default() }).await
}

const ROUTES: [&str; 6] = [
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "GET /v1/models",
    "GET /health",
    "GET /metrics",
    "GET /nowhere",
];

#[tokio::test]
async fn a_rebound_name_reaches_nothing() {
    let proxy = guarded(Guard::default()).await;
    for route in ROUTES {
        for host in ["host: evil.example", "host: 127.0.0.1.nip.io:9879", "host: localhost.evil", "host: "] {
            let answer = proxy.send(&[route, host, "content-type: application/json"], "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.error_code().as_str()),
                (403, "host_not_allowed"),
                "{route} {host}"
            );
        }
    }
    for lines in [
        &["GET /health"][..],
        &["GET /health", "host: localhost", "host: localhost"],
        &["GET http://evil.example/health", "host: localhost"],
        &["GET http://localhost/health", "host: evil.example"],
    ] {
        assert_eq!(proxy.send(lines, "").await.status, 403, "{lines:?}");
    }
    assert_eq!(proxy.send(&["GET http://127.0.0.1/health", "host: LOCALHOST:9879"], "").await.status, 200);
    for lines in [
        ["GET http://evil.example/health", "host: localhost"],
        ["GET http://localhost/health", "host: evil.example"],
        ["GET /health", "host: evil.example"],
    ] {
        let answer = proxy.send(&lines, "").await;
        assert!(answer.text.contains("evil.example"), "{lines:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_address_is_answered_to_where_there_are_keys() {
    let closed = guarded(Guard { api_keys: Keys::new(["k"]), ..Guard::default() }).await;
    let open = guarded(Guard::default()).await;
    for host in ["host: 192.168.1.5:9879", "host: 10.0.0.1", "host: [fd00::1]:9879"] {
        let with_key = ["GET /v1/models", host, "authorization: Bearer k"];
        assert_eq!(closed.send(&with_key, "").await.status, 200, "{host}");
        assert_eq!(closed.send(&["GET /v1/models", host], "").await.status, 401, "{host}");
        assert_eq!(closed.send(&["GET /health", host], "").await.status, 200, "{host}");
        let page = ["GET /v1/models", host, "authorization: Bearer k", "origin: http://evil.example"];
        assert_eq!(closed.send(&page, "").await.error_code(), "origin_not_allowed", "{host}");
        let refused = open.send(&["GET /v1/models", host], "").await;
        assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (403, "host_not_allowed"), "{host}");
        assert!(refused.text.contains("API_KEY"), "{}", refused.text);
    }
    for host in ["host: evil.example", "host: 192.168.1.5.nip.io:9879", "host: 3232235781"] {
        let answer = closed.send(&["GET /v1/models", host, "authorization: Bearer k"], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "host_not_allowed"), "{host}");
    }
}

#[tokio::test]
async fn an_allowed_host_is_let_in() {
    let hosts = HostPolicy::new(["proxy.lan"]).expect("a host");
    let proxy = guarded(Guard { hosts, ..Guard::default() }).await;
    assert_eq!(proxy.send(&["GET /health", "host: Proxy.lan:9879"], "").await.status, 200);
    assert_eq!(proxy.send(&["GET /health", "host: other.lan:9879"], "").await.status, 403);
}

#[tokio::test]
async fn a_foreign_page_reaches_nothing() {
    let proxy = guarded(Guard::default()).await;
    for route in ROUTES {
        for header in ["origin: https://evil.example", "origin: null", "sec-fetch-site: cross-site"] {
            let answer = proxy.send(&[route, "host: localhost", header, "content-type: application/json"], "{}").await;
            assert_eq!(
                (answer.status.as_u16(), answer.error_code().as_str()),
                (403, "origin_not_allowed"),
                "{route} {header}"
            );
            assert_eq!(answer.headers.get("access-control-allow-origin"), None, "{route} {header}");
        }
    }
    let preflight = [
        "OPTIONS /v1/chat/completions",
        "host: localhost",
        "origin: https://evil.example",
        "access-control-request-method: POST",
    ];
    assert_eq!(proxy.send(&preflight, "").await.status, 403);
}

#[tokio::test]
async fn an_allowed_page_gets_its_preflight_and_can_read_the_answer() {
    let origins = OriginPolicy::new(["https://app.example"]).expect("an origin");
    let proxy = guarded(Guard { origins, api_keys: Keys::new(["k"]), ..Guard::default() }).await;
    let preflight = [
        "OPTIONS /v1/chat/completions",
        "host: localhost",
        "origin: https://app.example",
        "access-control-request-method: POST",
        "access-control-request-headers: authorization,content-type",
        "access-control-request-private-network: true",
    ];
    let answer = proxy.send(&preflight, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, "https://app.example"));
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type");
    assert_eq!(answer.header("access-control-allow-private-network"), "true");
    assert!(answer.header("access-control-allow-methods").contains("POST"));

    let refused = proxy.send(&["GET /v1/models", "host: localhost", "origin: https://app.example"], "").await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (401, "https://app.example"));
    let evil = proxy.send(&["GET /v1/models", "host: localhost", "origin: https://evil.example"], "").await;
    assert_eq!((evil.status.as_u16(), evil.headers.get("access-control-allow-origin")), (403, None));
    let program = proxy.send(&["GET /v1/models", "host: localhost", "authorization: Bearer k"], "").await;
    assert_eq!(program.status.as_u16(), 200);
}

#[tokio::test]
async fn bodies_a_page_can_send_unasked_are_not_taken() {
    let proxy = guarded(Guard::default()).await;
    for content_type in [
        "content-type: text/plain",
        "content-type: text/plain;charset=UTF-8",
        "content-type: application/x-www-form-urlencoded",
        "content-type: multipart/form-data; boundary=x",
        "accept: */*",
    ] {
        let answer = proxy.send(&["POST /v1/responses", "host: localhost", content_type], "{}").await;
        assert_eq!(
            (answer.status.as_u16(), answer.error_code().as_str()),
            (415, "unsupported_media_type"),
            "{content_type}"
        );
    }
}

#[tokio::test]
async fn a_form_is_taken_where_images_are_changed_and_only_with_a_header_no_page_can_send_unasked() {
    let proxy = guarded(Guard::default()).await;
    let form = "content-type: multipart/form-data; boundary=x";
    let body = "--x\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\n1\r\n--x--\r\n";
    for (route, header, expected) in [
        ("/v1/images/edits", "authorization: Bearer any", 400),
        ("/images/edits", "x-api-key: any", 400),
        ("/backend-api/codex/images/edits", "authorization: Bearer any", 400),
        ("/v1/images/edits", "accept: */*", 415),
        ("/v1/images/generations", "authorization: Bearer any", 415),
        ("/v1/chat/completions", "authorization: Bearer any", 415),
    ] {
        let answer = proxy.send(&[&format!("POST {route}"), "host: localhost", form, header], body).await;
        assert_eq!(answer.status.as_u16(), expected, "{route} {header}: {answer:?}");
        let says_form = format!("{answer:?}").contains("a form is taken too");
        assert_eq!(says_form, expected == 415 && route.ends_with("/images/edits"), "{route}: {answer:?}");
    }
    let page =
        ["POST /v1/images/edits", "host: localhost", form, "authorization: Bearer any", "origin: https://evil.example"];
    assert_eq!(proxy.send(&page, body).await.status, 403);
}

#[tokio::test]
async fn a_missing_a_wrong_and_a_malformed_key_get_the_same_answer() {
    let proxy = guarded(Guard { api_keys: Keys::new(["right", "other"]), ..Guard::default() }).await;
    let id = "x-request-id: same";
    let mut answers = Vec::new();
    for header in [
        "accept: */*",
        "authorization: Bearer wrong",
        "authorization: Bearer",
        "authorization: Basic cmlnaHQ=",
        "authorization: right",
        "authorization: Bearer right right",
        "x-api-key: rightright",
        "x-api-key: ",
    ] {
        let mut answer = proxy.send(&["GET /v1/models", "host: localhost", id, header], "").await;
        answer.headers.remove("date");
        answers.push(answer);
    }
    assert_eq!((answers[0].status.as_u16(), answers[0].error_code().as_str()), (401, "invalid_api_key"));
    assert_eq!(answers[0].header("www-authenticate"), "Bearer");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");

    for header in ["authorization: Bearer right", "authorization: bearer other", "x-api-key: right"] {
        assert_eq!(proxy.send(&["GET /v1/models", "host: localhost", header], "").await.status, 200, "{header}");
    }
}

#[tokio::test]
async fn with_a_key_only_health_is_open() {
    let proxy = guarded(Guard { api_keys: Keys::new(["k"]), ..Guard::default() }).await;
    assert_eq!(proxy.get("/health").await.status, 200);
    for target in ["/v1/models", "/models", "/metrics", "/nowhere", "/Health", "/health/"] {
        assert_eq!(proxy.get(target).await.status, 401, "{target}");
    }
}

#[tokio::test]
async fn a_refusal_comes_before_the_body() {
    let proxy = guarded(Guard { api_keys: Keys::new(["k"]), ..Guard::default() }).await;
    // None of the announced bytes is ever sent.
    let lines = ["POST /v1/responses", "host: localhost", "content-type: application/json", "content-length: 1000000"];
    assert_eq!(proxy.send(&lines, "").await.status, 401);
}

#[tokio::test]
async fn the_admin_api_has_a_key_of_its_own() {
    let status = "GET /admin/credentials/status";
    let closed = guarded(Guard { api_keys: Keys::new(["user"]), ..Guard::default() }).await;
    for key in ["x-api-key: user", "x-api-key: ", "accept: */*"] {
        let answer = closed.send(&[status, "host: localhost", key], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "admin_disabled"), "{key}");
    }
    let guard = Guard { api_keys: Keys::new(["user"]), admin_keys: Keys::new(["boss"]), ..Guard::default() };
    let open = guarded(guard).await;
    for (key, expected) in [
        ("x-api-key: boss", 200),
        ("authorization: Bearer boss", 200),
        ("authorization: Bearer user", 401),
        ("accept: */*", 401),
    ] {
        assert_eq!(open.send(&[status, "host: localhost", key], "").await.status, expected, "{key}");
    }
    assert_eq!(open.send(&["GET /v1/models", "host: localhost", "x-api-key: boss"], "").await.status, 401);
}
