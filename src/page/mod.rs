//! The page at `/`: what the proxy knows of itself, as HTML. Pure.
//!
//! * [`view`] is what is shown, gathered by the server. [`view::PageView::parts`] renders it: each part is the inside of one
//!   element, so that the whole page and an update of it come from one rendering.
//! * The parts follow the order in which people ask: does it work (`verdict`, `login`), how much is left (`limits`), how do
//!   I connect (`connect`), what happened (`recent`, `tokens`), which models (`models`), what is to be done (`todo`).
//! * Every text from elsewhere is escaped by `maud`, which writes the HTML. Numbers stand with their age and their source.
//! * Nothing can be changed through the page, and no text of a conversation is known to it.
//! * [`document`] is the frame: head, style, script, the form that asks for a key.

mod connect;
pub mod document;
mod limits;
mod login;
mod models;
mod recent;
#[cfg(test)]
mod tests;
mod todo;
mod tokens;
mod verdict;
pub mod view;
mod words;
