//! `GET /backend-api/wham/accounts/check`: where the workspaces of a Codex CLI's own login are served.
//!
//! * A Codex CLI (0.169) that is signed in asks this of its `chatgpt_base_url` before its first turn, and gives the turn up
//!   (`workspace routing discovery failed`) where the answer does not name its workspace.
//! * The answer is this proxy's own: the workspace that the CLI names is served where the CLI asks. Nothing is asked of the
//!   backend: the CLI's login is not the one that pays, and its token goes no further.
//! * The CLI's terminal interface starts only if the answer holds an origin with `https` and one of the routes that it knows
//!   (`account/read`). Turns of a provider with a `base_url` of its own do not go to that origin. It is this server's own
//!   name, so that a CLI that followed it would bring its token to nobody else.
//! * A provider called `OpenAI` demands an address with https here, so docs/codex.md gives the provider another name.

use axum::extract::Request;
use axum::response::Response;
use serde::Serialize;

use crate::excerpt::{NAME, beginning};
use crate::server::address::authority;
use crate::server::routes::models::json;
use crate::upstream::defaults::UNCONSTRAINED;

/// Tells a Codex CLI that its workspace is served here.
pub(in crate::server) async fn check(request: Request) -> Response {
    let id = request.headers().get(ACCOUNT_ID).and_then(|id| id.to_str().ok()).unwrap_or("default");
    let id = beginning(id, NAME);
    let account = ServedAccount {
        id,
        workspace_backend_origin: format!("https://{}", authority(&request)),
        account_routing_override: UNCONSTRAINED,
    };
    json(&ServedAccounts { accounts: [account], account_ordering: [id] })
}

#[derive(Serialize)]
struct ServedAccounts<'a> {
    accounts: [ServedAccount<'a>; 1],
    account_ordering: [&'a str; 1],
}

#[derive(Serialize)]
struct ServedAccount<'a> {
    id: &'a str,
    workspace_backend_origin: String,
    account_routing_override: &'static str,
}

const ACCOUNT_ID: &str = "chatgpt-account-id";
