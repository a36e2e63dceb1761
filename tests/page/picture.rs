//! The picture of the README, taken of the demo: `just screenshot`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::Browser;
use crate::common::client::Client;
use crate::common::daemon::{Daemon, Home};

/// The demo on `port`, as somebody has used it for a moment.
async fn demo(port: &str) -> Daemon {
    let demo = Daemon::quiet(&mut Home::new().command(&["demo", "--port", port]));
    let client = Client::new(demo.base());
    for model in ["gpt-6.1-sol", "gpt-6-luna", "gpt-4o"] {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello!" }], "stream": true });
        assert_eq!(client.post("/v1/chat/completions", &body).await.status, 200);
    }
    let body =
        json!({ "model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{ "role": "user", "content": "Hi" }] });
    assert_eq!(client.post("/v1/messages", &body).await.status, 200);
    demo
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_made_up_requests_and_says_so() {
    let Some(browser) = Browser::start().await else { return };
    let demo = demo("0").await;
    let tab = browser.tab().await;
    tab.open(&format!("{}/", demo.base())).await;
    tab.until("document.querySelectorAll('#recent tbody tr').length === 20").await;
    tab.until("document.querySelector('#recent tbody tr').textContent.includes('claude-sonnet-4-5')").await;
    let text = tab.text().await;
    assert!(text.contains("Demo. No model answers, and the requests before the start are made up."), "{text}");
    assert!(text.contains("OpenCode") && text.contains("% left"), "{text}");
    let bars =
        tab.eval("new Set([...document.querySelectorAll('.plot rect')].map(bar => bar.getAttribute('x'))).size").await;
    assert_eq!(bars, 14, "a bar for each day");
    assert!(text.contains(&format!("http://localhost:{}/v1", demo.address.port())), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes files: just screenshot"]
async fn the_picture_of_the_readme() {
    let Some(browser) = Browser::start().await else { panic!("no picture without a browser") };
    let demo = demo("9879").await;
    let tab = browser.tab().await;
    let folder = std::env::var_os("SCREENSHOTS").expect("SCREENSHOTS names a folder");
    for (name, scheme) in [("page.png", "light"), ("page-dark.png", "dark")] {
        tab.appear(1080, 1320, scheme).await;
        tab.open(&format!("{}/", demo.base())).await;
        tab.until("document.querySelector('#recent tbody tr').textContent.includes('claude-sonnet-4-5')").await;
        let picture = tab.call("Page.captureScreenshot", json!({ "format": "png", "optimizeForSpeed": false })).await;
        let bytes = STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(Path::new(&folder).join(name), bytes).expect("written");
    }
}
