//! The routing of the login's workspace, from `GET …/wham/accounts/check`.
//!
//! * The Codex CLI (0.169) asks before a turn and follows the answer; this program only reports it, in `doctor`.
//! * Read leniently: a list of entries, or a map of them, each with the account's id.
//! * A status other than 200 proves nothing about the login.

use http::{StatusCode, Uri};
use serde_json::Value;

use crate::credentials::Access;
use crate::upstream::defaults;
use crate::upstream::page::Asker;

/// The backend's statement about a workspace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Workspace {
    origin: Option<String>,
    route: Option<String>,
    is_deactivated: bool,
}

/// A problem for the user to fix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The workspace accepts no calls.
    Unusable(String),
    /// Calls seem to go to the wrong address.
    Misrouted(String),
}

impl Workspace {
    /// Fetches the workspace of `access`. The error is a predicate without a subject.
    pub(super) async fn ask(asker: &Asker, access: &Access) -> Result<Self, String> {
        let answer = asker.page(access, PAGE).await?;
        if answer.status != StatusCode::OK {
            return Err(format!("the backend answered {}, which proves nothing about the login", answer.status));
        }
        Self::parse(&answer.body, &access.account_id).ok_or_else(|| "the backend names no such account".to_owned())
    }

    fn parse(body: &[u8], account_id: &str) -> Option<Self> {
        let document: Value = serde_json::from_slice(body).ok()?;
        let entries: Vec<&Value> = match document.get("accounts")? {
            Value::Array(entries) => entries.iter().collect(),
            Value::Object(entries) => entries.values().collect(),
            _ => return None,
        };
        let entries = entries.into_iter().map(|entry| entry.get("account").unwrap_or(entry));
        let is_ours = |entry: &Value| {
            ["id", "account_id"].iter().any(|name| entry.get(name).and_then(Value::as_str) == Some(account_id))
        };
        let entry = entries.into_iter().find(|entry| is_ours(entry))?;
        let text = |name: &str| {
            let text = entry.get(name)?.as_str()?.trim();
            (!text.is_empty() && text != defaults::UNCONSTRAINED).then(|| text.to_owned())
        };
        Some(Self {
            origin: text("workspace_backend_origin"),
            route: text("account_routing_override"),
            is_deactivated: entry.get("is_deactivated").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// Returns the problems of calls to `url` with `route`, and the settings that fix them.
    pub(super) fn problems(&self, url: &str, route: Option<&str>) -> Vec<Problem> {
        let deactivated = self.is_deactivated.then(|| {
            Problem::Unusable(
                "the workspace is deactivated; sign in to another one with `codex-proxy login`".to_owned(),
            )
        });
        let misrouted = [self.wrong_origin(url), self.wrong_route(route)].into_iter().flatten();
        deactivated.into_iter().chain(misrouted.map(Problem::Misrouted)).collect()
    }

    fn wrong_origin(&self, url: &str) -> Option<String> {
        let named = self.origin.as_deref()?;
        let Some(origin) = origin(named).filter(|origin| origin.starts_with("https://")) else {
            return Some(format!(
                "the workspace names {named:?} as its backend, which is no https address: not followed"
            ));
        };
        (crate::cli::workspace::origin(url).as_deref() != Some(&origin)).then(|| {
            format!("the workspace is served at {origin}; start with --upstream-url {origin}/backend-api/codex")
        })
    }

    fn wrong_route(&self, configured: Option<&str>) -> Option<String> {
        match (self.route.as_deref(), configured) {
            (named, configured) if named == configured => None,
            (None, Some(configured)) => {
                Some(format!("the workspace needs no --account-routing-override, and {configured:?} is set"))
            }
            (Some(named), _) => Some(match defaults::header_text(named.to_owned()) {
                Ok(route) => format!("the workspace needs a route; start with --account-routing-override {route}"),
                Err(problem) => format!("the workspace needs a route that cannot be sent: {problem}"),
            }),
            (None, None) => None,
        }
    }
}

/// Returns scheme, host and port of an address.
fn origin(address: &str) -> Option<String> {
    let address: Uri = address.parse().ok()?;
    Some(format!("{}://{}", address.scheme_str()?, address.authority()?))
}

const PAGE: &str = "wham/accounts/check";

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(fields: &str) -> Workspace {
        Workspace::parse(format!(r#"{{"accounts":[{{"id":"b"}},{{"id":"a",{fields}}}]}}"#).as_bytes(), "a").unwrap()
    }

    fn told(fields: &str, route: Option<&str>) -> String {
        let problems = workspace(fields).problems(defaults::UPSTREAM_URL, route);
        problems.iter().map(|problem| format!("{problem:?}")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_to_set_is_told() {
        for (fields, route, parts) in [
            (r#""plan_type":"plus""#, None, vec![]),
            (r#""workspace_backend_origin":"https://chatgpt.com","account_routing_override":null"#, None, vec![]),
            (r#""workspace_backend_origin":"NO_CONSTRAINT","account_routing_override":"NO_CONSTRAINT""#, None, vec![]),
            (r#""account_routing_override":"NO_CONSTRAINT""#, Some("us"), vec!["needs no"]),
            (r#""account_routing_override":"eu""#, Some("eu"), vec![]),
            (
                r#""workspace_backend_origin":"https://gov.chatgpt.com/""#,
                None,
                vec!["--upstream-url https://gov.chatgpt.com/backend-api/codex"],
            ),
            (r#""workspace_backend_origin":"http://chatgpt.com""#, None, vec!["no https address"]),
            (r#""account_routing_override":"eu""#, None, vec!["--account-routing-override eu"]),
            (r#""account_routing_override":"eu""#, Some("us"), vec!["--account-routing-override eu"]),
            (r#""account_routing_override":"e\nu""#, None, vec!["cannot be sent"]),
            (r#""account_routing_override":"""#, Some("us"), vec!["needs no"]),
            (
                r#""is_deactivated":true,"account_routing_override":"eu""#,
                None,
                vec!["Unusable", "deactivated", "Misrouted"],
            ),
        ] {
            let told = told(fields, route);
            assert_eq!(told.is_empty(), parts.is_empty(), "{fields}: {told}");
            assert!(parts.iter().all(|part| told.contains(part)), "{fields}: {told}");
        }
    }

    #[test]
    fn entries_may_be_a_list_or_a_map() {
        let entry = r#"{"account_id":"a","is_deactivated":true}"#;
        for accounts in
            [format!("[{entry}]"), format!(r#"{{"a":{entry}}}"#), format!(r#"{{"x":{{"account":{entry}}}}}"#)]
        {
            let found = Workspace::parse(format!(r#"{{"accounts":{accounts}}}"#).as_bytes(), "a");
            assert!(found.is_some_and(|found| found.is_deactivated), "{accounts}");
        }
        for body in ["", "[]", "{}", r#"{"accounts":7}"#, r#"{"accounts":[]}"#, r#"{"accounts":[{"id":"b"}]}"#] {
            assert_eq!(Workspace::parse(body.as_bytes(), "a"), None, "{body}");
        }
    }
}
