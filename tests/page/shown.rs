//! What the page shows, and that it stays current.

use codex_proxy::humanize;
use codex_proxy::ledger::summary::Grouping;
use serde_json::json;

use crate::world::{SETTINGS, World};

/// The texts of the cells of a table's body, row by row.
fn cells(part: &str) -> String {
    format!(
        "[...document.querySelectorAll('#{part} tbody tr')].map(row => [...row.children].map(cell => cell.textContent))"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_are_the_ledgers_and_change_with_it() {
    let Some(world) = World::open().await else { return };
    for model in ["gpt-6.1-sol", "gpt-6-luna"] {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "canary of a conversation" }] });
        assert_eq!(world.client.post("/v1/chat/completions", &body).await.status, 200);
    }
    assert_eq!(world.client.post("/v1/chat/completions", &json!({ "messages": [] })).await.status, 400);
    let ledger = world.ledger();
    let asked = world.simulator.requests().len();
    let tab = world.page().await;
    tab.until("document.getElementById('live').textContent === 'Kept current.'").await;

    let rows = tab.eval(&cells("recent")).await;
    let newest = ledger.newest(20).expect("rows");
    assert_eq!(rows.as_array().map(Vec::len), Some(newest.len()));
    for (shown, entry) in rows.as_array().expect("rows").iter().zip(&newest) {
        assert_eq!(shown[1], *entry.route);
        assert_eq!(shown[2], entry.model_sent.as_deref().unwrap_or("–"), "asked, sent and answered are one");
        let code = entry.error_code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
        assert_eq!(shown[3], format!("{}{code}", entry.status.expect("a status")));
        assert_eq!(shown[5], humanize::millis(entry.duration_ms));
        let tokens = entry.tokens.map(|tokens| format!("{} → {}", tokens.input, tokens.output));
        assert_eq!(shown[6], tokens.unwrap_or_else(|| "–".to_owned()));
    }
    let sums = ledger.usage(ledger.since(14).expect("a time"), &[Grouping::Day, Grouping::Model]).expect("sums");
    let shown = tab.eval(&cells("tokens")).await;
    let expected: Vec<_> = sums
        .iter()
        .rev()
        .map(|group| {
            let model = group.model.as_deref().filter(|model| !model.is_empty()).unwrap_or("no model");
            let (sums, tokens) = (group.sums, group.sums.tokens);
            let cached = sums.cache_hit_share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
            let numbers = [sums.requests.to_string(), sums.failed.to_string(), tokens.input.to_string(), cached];
            let day = [group.day.clone().expect("a day"), model.to_owned()];
            day.into_iter().chain(numbers).chain([tokens.output.to_string()]).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(shown, json!(expected));
    let text = tab.text().await;
    assert!(text.contains("87 % left") && text.contains("It works."), "{text}");
    assert!(!tab.eval("document.documentElement.outerHTML").await.to_string().contains("canary of a conversation"));

    assert_eq!(world.client.ask(true).await.status, 200);
    tab.until("document.querySelectorAll('#recent tbody tr').length === 4").await;
    assert_eq!(world.simulator.requests().len(), asked + 1, "the page asks the backend for nothing");
    let origin = world.url();
    for request in tab.events("Network.requestWillBeSent").await {
        let url = request["request"]["url"].as_str().expect("an address");
        assert!(url.starts_with(&origin) || url.starts_with("data:"), "{url}");
    }
    assert_eq!(tab.complaints().await, [json!(null); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_stays_open_when_its_part_changes() {
    let Some(world) = World::open().await else { return };
    world.client.ask(false).await;
    let tab = world.page().await;
    tab.until("document.getElementById('live').textContent === 'Kept current.'").await;
    // The ledger writes a row some moments after its answer.
    tab.until("document.querySelector('#tokens details') !== null").await;
    tab.eval("document.querySelector('#tokens details').open = true").await;
    world.client.ask(false).await;
    tab.until("document.querySelectorAll('#recent tbody tr').length === 2").await;
    assert_eq!(tab.eval("document.querySelector('#tokens details').open").await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_verdict_is_announced_and_a_page_whose_proxy_is_gone_says_so() {
    let Some(world) = World::open().await else { return };
    let tab = world.page().await;
    tab.until("document.getElementById('live').textContent === 'Kept current.'").await;
    assert_eq!(tab.eval("document.getElementById('said').textContent").await, "", "nothing has changed");
    world.client.ask(false).await;
    tab.until("document.getElementById('said').textContent === 'It works.'").await;
    world.stop();
    tab.until("document.body.classList.contains('stale')").await;
    assert!(tab.text().await.contains("Not current: the proxy does not answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_copies_what_stands_beside_it() {
    let Some(world) = World::open().await else { return };
    let tab = world.page().await;
    world.browser.grant_clipboard(world.url().trim_end_matches('/')).await;
    tab.call("Page.bringToFront", json!({})).await;
    tab.eval("document.querySelector('.tools details').open = true").await;
    let last = "[...document.querySelectorAll('.tools button.copy')].at(-1)";
    assert_eq!(tab.eval(&format!("{last}.getAttribute('aria-label')")).await, "Copy for A tool: In a shell");
    tab.eval(&format!("{last}.click()")).await;
    tab.until(&format!("{last}.textContent === 'Copied'")).await;
    assert_eq!(tab.eval("document.getElementById('said').textContent").await, "Copied");
    assert_eq!(tab.eval("navigator.clipboard.readText()").await, SETTINGS);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_everything_is_there() {
    let Some(world) = World::open().await else { return };
    world.client.ask(false).await;
    drop(world.ledger());
    let tab = world.browser.tab().await;
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    tab.open(&world.url()).await;
    let text = tab.text().await;
    for told in ["It works.", "% left", "http://localhost:9879/v1", "/chat/completions", "gpt-6.1-sol", "Nothing."] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(tab.eval("document.querySelectorAll('table').length").await, 3);
    assert!(!text.contains("Copy"), "a button without an effect: {text}");
}
