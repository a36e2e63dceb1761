//! Who sees the page: those with a key, on any screen, with any sense.

use serde_json::json;

use crate::browser::{Tab, axe};
use crate::world::{KEY, World};

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_set_nothing_shows_without_it() {
    let Some(world) = World::keyed().await else { return };
    let tab = world.page().await;
    let text = tab.text().await;
    for told in ["works", "Plan", "left", "ledger", "gpt"] {
        assert!(!text.contains(told), "{told}: {text}");
    }
    enter(&tab, "wrong").await;
    assert!(
        tab.text()
            .await
            .contains("That key does not open this page: it takes one of CODEX_PROXY_API_KEY or --api-key-file")
    );
    enter(&tab, KEY).await;
    tab.until("document.getElementById('live')?.textContent === 'Kept current.'").await;
    assert!(tab.text().await.contains("Ready."));
    assert_eq!(tab.eval("document.cookie").await, "", "no script sees the session");
    assert!(!tab.eval("document.documentElement.outerHTML").await.to_string().contains(KEY));
    // The browser sends the session everywhere on this origin; the API does not know it.
    assert_eq!(tab.eval("fetch('/v1/models').then(answer => answer.status)").await, 401);
    assert_eq!(tab.eval("location.pathname + location.search").await, "/");
}

/// Sends the form as a person does.
async fn enter(tab: &Tab, key: &str) {
    let before = tab.loads().await;
    tab.eval(&format!("document.getElementById('key').value = {}", json!(key))).await;
    tab.eval("document.querySelector('form button').click()").await;
    tab.loaded_since(before).await;
}

/// Looks at the page in both schemes, wide and narrow: axe-core finds nothing serious or critical, and nothing is wider than
/// the screen.
async fn examine(world: &World) {
    let script = std::fs::read_to_string(axe()).expect("axe-core");
    let tab = world.page().await;
    for (scheme, width) in [("light", 1100), ("light", 360), ("dark", 360), ("dark", 1100)] {
        tab.appear(width, 900, scheme).await;
        tab.open(&world.url()).await;
        tab.eval("document.querySelectorAll('details').forEach(details => (details.open = true))").await;
        tab.eval(&format!("{script}; null")).await;
        let found = tab.eval(FOUND).await;
        assert_eq!(found["serious"], json!([]), "{scheme} {width}");
        assert!(found["passed"].as_u64() > Some(10), "it has looked: {found}");
        let scrolls = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(tab.eval(scrolls).await, false, "{scheme} {width}");
    }
}

const FOUND: &str = "axe.run().then(({ violations, passes }) => ({
    passed: passes.length,
    serious: violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => [id, nodes.map(node => node.html)]),
}))";

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_serious_in_the_page_in_any_scheme_on_any_screen() {
    let Some(world) = World::open().await else { return };
    world.client.ask(false).await;
    let body = json!({ "model": "a-model-with-a-name-that-is-longer-than-a-narrow-screen-is-wide", "messages": [] });
    world.client.post("/v1/chat/completions", &body).await;
    drop(world.ledger());
    examine(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_serious_in_the_form_in_any_scheme_on_any_screen() {
    if let Some(world) = World::keyed().await {
        examine(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_reaches_everything_that_can_be_used() {
    let Some(world) = World::open().await else { return };
    let tab = world.page().await;
    tab.until("!document.querySelector('button.copy').hidden").await;
    let usable = tab.eval(
        "[...document.querySelectorAll('summary, button, input, a')].filter(one => one.checkVisibility()).length",
    );
    let usable = usable.await.as_u64().expect("a number");
    let mut reached = Vec::new();
    for _ in 0..usable {
        for kind in ["keyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
            tab.call("Input.dispatchKeyEvent", key).await;
        }
        let focus = "[...document.querySelectorAll('*')].indexOf(document.activeElement)";
        reached.push(tab.eval(focus).await.as_u64().expect("an element"));
    }
    assert!(reached.is_sorted_by(|one, next| one < next), "in the order of the page: {reached:?}");
}
