//! Pages of a gateway in front of the backend: a block is final, an outage is retried.

use codex_proxy::simulator::ScriptedAnswer;
use futures_util::future::join_all;
use http::{HeaderName, StatusCode};

use crate::failures::ask_everywhere;
use crate::harness::Proxy;

fn page(status: u16, body: &str) -> ScriptedAnswer {
    ScriptedAnswer::status(StatusCode::from_u16(status).unwrap()).bytes(body.to_owned())
}

/// A page in the form of Cloudflare's own error pages.
fn branded(status: u16) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>chatgpt.com | {status}: Bad gateway</title></head><body>\
         <div id=\"cf-error-details\"><h1>Error code {status}</h1><p>Cloudflare</p><p>Host</p>\
         <p>Performance &amp; security by <a href=\"https://www.cloudflare.com/\">Cloudflare</a></p></div></body></html>"
    )
}

#[tokio::test]
async fn an_error_page_of_a_gateway_is_an_outage_and_retried() {
    let of_nginx = "<html><body><h1>Bad Gateway</h1><hr>nginx</body></html>";
    let statuses = [500, 502, 503, 504, 520, 521, 522, 523, 524, 530];
    let pages = statuses.iter().flat_map(|&status| [(status, branded(status)), (status, of_nginx.to_owned())]);
    // Each with a proxy of its own: they wait between their attempts at the same time.
    join_all(pages.map(async |(status, body)| {
        let proxy = Proxy::start().await;
        for (path, answer) in ask_everywhere(&proxy, page(status, &body), 3).await {
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{status} {path}: {}", answer.text);
            assert_eq!(answer.error()["code"], "server_error", "{status} {path}");
            assert_eq!(answer.header("x-should-retry"), "", "{status} {path}");
            let message = answer.error()["message"].as_str().unwrap().to_owned();
            assert_eq!(message, format!("the backend answered {status} with a page instead of data"));
        }
    }))
    .await;
}

#[tokio::test]
async fn a_page_about_the_request_keeps_its_status() {
    let proxy = Proxy::start().await;
    for (given, status, code) in [(413, 413, "request_too_large"), (429, 429, "rate_limit_exceeded")] {
        for (path, answer) in ask_everywhere(&proxy, page(given, &branded(given)), 1).await {
            assert_eq!(answer.status.as_u16(), status, "{given} {path}: {}", answer.text);
            assert_eq!(answer.error()["code"], code, "{given} {path}");
        }
    }
}

#[tokio::test]
async fn a_block_is_final_and_its_gateway_named_only_if_it_is_known() {
    let proxy = Proxy::start().await;
    let mitigated = |status| page(status, "").header(HeaderName::from_static("cf-mitigated"), "challenge");
    let script = "<html><script src=\"/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1\"></script></html>";
    for (play, is_cloudflare) in [
        (mitigated(403), true),
        (mitigated(429), true),
        (mitigated(503), true),
        (page(503, script), true),
        (page(429, "<html><title>Just a moment...</title></html>"), true),
        (page(403, &branded(403)), true),
        (page(403, "<html><h1>403 Forbidden</h1><hr>cloudflare</html>"), true),
        (page(403, "<html><body>nginx 403 Forbidden</body></html>"), false),
        (page(403, "<html>Sorry"), false),
    ] {
        for (path, answer) in ask_everywhere(&proxy, play.clone(), 1).await {
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{play:?} {path}: {}", answer.text);
            assert_eq!(answer.error()["code"], "upstream_blocked", "{play:?} {path}");
            assert_eq!(answer.header("x-should-retry"), "false", "{play:?} {path}");
            let message = answer.error()["message"].as_str().unwrap().to_owned();
            assert_eq!(message.contains("Cloudflare"), is_cloudflare, "{play:?}: {message}");
            assert!(message.contains("blocks this machine"), "{message}");
        }
    }
    // The script of ordinary pages is no challenge.
    let measured =
        page(503, "<html><script src=\"/cdn-cgi/challenge-platform/h/b/scripts/jsd/main.js\"></script></html>");
    for (path, answer) in ask_everywhere(&proxy, measured, 3).await {
        assert_eq!(answer.error()["code"], "server_error", "{path}");
    }
}
