//! `GET /backend-api/wham/accounts/check`: where the workspaces of a Codex CLI's own login are served.
//!
//! * A Codex CLI (0.169) that is signed in asks this of its `chatgpt_base_url` before its first turn, and gives the turn up
//!   (`workspace routing discovery failed`) where the answer does not name its workspace.
//! * The answer is this proxy's own: the workspace that the CLI names is served where the CLI asks. Nothing is asked of the
//!   backend: the CLI's login is not the one that pays, and its token goes no further.
//! * A provider called `OpenAI` demands an address with https here, so docs/codex.md gives the provider another name.

use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use crate::excerpt::{NAME, beginning};
use crate::server::routes::models::json;

/// Tells a Codex CLI that its workspace is served here.
pub(in crate::server) async fn check(headers: HeaderMap) -> Response {
    let id = headers.get(ACCOUNT_ID).and_then(|id| id.to_str().ok()).unwrap_or("default");
    let id = beginning(id, NAME);
    json(&ServedAccounts { accounts: [ServedAccount { id }], account_ordering: [id] })
}

#[derive(Serialize)]
struct ServedAccounts<'a> {
    accounts: [ServedAccount<'a>; 1],
    account_ordering: [&'a str; 1],
}

/// A workspace without `workspace_backend_origin`: the CLI then asks at the address it knows.
#[derive(Serialize)]
struct ServedAccount<'a> {
    id: &'a str,
}

const ACCOUNT_ID: &str = "chatgpt-account-id";
