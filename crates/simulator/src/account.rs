//! The account of a simulated login.

/// The user and workspace of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The ChatGPT account (workspace) id.
    pub account_id: String,
    /// The user's id.
    pub user_id: String,
    /// The user's mail address.
    pub email: String,
    /// The plan in the claims' spelling: `plus`, `pro`, `free` …
    pub plan: String,
    /// Whether the workspace is a FedRAMP one.
    pub fedramp: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            account_id: "51a0a7ed-0000-4000-8000-000000000001".to_owned(),
            user_id: "user-simulated".to_owned(),
            email: "simulated@example.com".to_owned(),
            plan: "plus".to_owned(),
            fedramp: false,
        }
    }
}
