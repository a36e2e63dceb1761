//! How do I connect my tool? Addresses, a key, and every tool of the table.

use maud::{Markup, html};

use crate::page::view::{GuideText, Guides, ToolGuide};
use crate::page::words;

/// Renders the guides.
pub(super) fn render(guides: &Guides) -> Markup {
    html! {
        dl class="addresses" {
            dt { "OpenAI's APIs" } dd { code { (guides.base_url) } (words::copy("the address of OpenAI's APIs")) }
            dt { "Anthropic's API" } dd { code { (guides.root) } (words::copy("the address of Anthropic's API")) }
            dt { "Key" }
            dd {
                @match guides.any_key {
                    Some(key) => { code { (key) } (words::copy("a key")) span class="note" { "any will do" } }
                    None => { "one of this proxy's keys" }
                }
            }
        }
        p class="note" { "On this machine. Choose a tool:" }
        (tools(guides, |tool| !tool.commands.is_empty()))
        details class="more" {
            summary { "More tools and libraries" }
            (tools(guides, |tool| tool.commands.is_empty()))
        }
    }
}

/// The tools for which there is a command, or those whose settings are put where they belong by hand.
fn tools(guides: &Guides, is_meant: impl Fn(&ToolGuide) -> bool) -> Markup {
    html! { div class="tools" { @for tool in guides.tools.iter().filter(|tool| is_meant(tool)) { (guide(tool)) } } }
}

fn guide(tool: &ToolGuide) -> Markup {
    html! {
        details name="tool" {
            summary { (tool.title) }
            div class="guide" {
                @for text in &tool.commands { (snippet(text, tool.title)) }
                @if !tool.commands.is_empty() && !tool.settings.is_empty() { p class="note" { "Or by hand:" } }
                @for text in &tool.settings { (snippet(text, tool.title)) }
                @if !tool.then.is_empty() { p { (tool.then) } }
            }
        }
    }
}

fn snippet(text: &GuideText, title: &str) -> Markup {
    html! {
        div class="snippet" {
            p class="place" { (text.place) }
            (words::copy(&format!("for {title}: {}", text.place)))
            pre tabindex="0" { code { (text.text.trim_end()) } }
        }
    }
}
