//! The frame around the parts: head, style, script; and the form that asks for a key.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::page::connect;
use crate::page::view::{Guides, PagePart, PageView, STAMP, ids};

/// Renders the whole page.
pub fn page(view: &PageView, parts: &[PagePart], guides: Option<&Guides>) -> String {
    let inside = |id: &str| {
        PreEscaped(parts.iter().find(|(name, _)| *name == id).map(|(_, markup)| markup.as_str()).unwrap_or_default())
    };
    let part = |id: &'static str| html! { div id=(id) { (inside(id)) } };
    let body = html! {
        header {
            h1 { "codex-proxy" } span class="note" { (env!("CARGO_PKG_VERSION")) }
            @if view.is_demo {
                p class="demo" { strong { "Demo." } " No model answers, and the requests before the start are made up." }
            }
            (part(ids::VERDICT))
        }
        main {
            div class="pair" {
                (section("works", "Does it work?", &html! { (part(ids::LOGIN)) (part(ids::ACCOUNT)) }))
                (section("left", "How much is left?", &part(ids::LIMITS)))
            }
            @if let Some(guides) = guides { (section("how", "How do I connect?", &connect::render(guides))) }
            (section("happened", "What just happened?", &html! { (part(ids::TOKENS)) (part(ids::RECENT)) }))
            (section("which", "Which models?", &part(ids::MODELS)))
            (section("do", "Anything to do?", &part(ids::TODO)))
        }
        footer {
            p class="note" {
                "As of " span id=(STAMP) { (inside(STAMP)) } ". " span id="live" role="status" {}
                " This page only reads, and holds no text of a conversation."
            }
            p id="said" class="unseen" role="status" {}
        }
        script { (PreEscaped(SCRIPT)) }
    };
    document("codex-proxy", &body)
}

/// Renders the form that asks for a key. It says nothing of the proxy but its name.
pub fn sign_in(problem: Option<&str>) -> String {
    let body = html! {
        main class="sign-in" {
            h1 { "codex-proxy" }
            form method="post" action=(SIGN_IN) {
                label for="key" { "One of this proxy's keys" }
                input id="key" name="key" type="password" autocomplete="current-password" required autofocus
                    aria-describedby=[problem.map(|_| "problem")];
                @if let Some(problem) = problem { p id="problem" class="bad" role="alert" { (problem) } }
                button type="submit" { "Show the page" }
            }
        }
    };
    document("codex-proxy: key", &body)
}

fn document(title: &str, body: &Markup) -> String {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    html.into_string()
}

fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! { section aria-labelledby=(id) { h2 id=(id) { (title) } (body) } }
}

/// The style of both documents. The policy of their answers names its digest.
pub const STYLE: &str = include_str!("page.css");
/// The script of the page, likewise.
pub const SCRIPT: &str = include_str!("page.js");
/// Where the form is sent.
pub const SIGN_IN: &str = "/page/key";
