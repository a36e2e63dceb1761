//! What the page shows.

use maud::Markup;

use crate::ledger::LedgerEntry;
use crate::ledger::summary::UsageGroup;
use crate::limits::PlanLimits;
use crate::models::entry::Entry;
use crate::page::verdict::Verdict;
use crate::page::{limits, login, models, recent, todo, tokens, verdict, words};

/// Everything that the page shows and that changes. Times are Unix seconds.
#[derive(Debug, Clone)]
pub struct PageView {
    /// When it was gathered.
    pub now: u64,
    /// When the process started.
    pub started_at: u64,
    /// Whether the simulator answers.
    pub is_demo: bool,
    /// The login.
    pub login: LoginView,
    /// The newest reading of the plan's windows.
    pub limits: Option<PlanLimits>,
    /// The requests.
    pub ledger: LedgerView,
    /// The models that answer.
    pub models: ModelsView,
}

/// The login, as `codex-proxy status` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginView {
    /// Whether there is one.
    pub is_there: bool,
    /// Whether its access token has expired.
    pub is_expired: bool,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// The user's mail address.
    pub email: Option<String>,
    /// The ChatGPT account.
    pub account: Option<String>,
    /// The plan in the issuer's spelling.
    pub plan: Option<String>,
    /// When the access token expires.
    pub expires_at: Option<u64>,
    /// The store and its location.
    pub store: String,
    /// The problem, if any.
    pub error: Option<String>,
}

/// What the ledger says.
#[derive(Debug, Clone)]
pub enum LedgerView {
    /// Nothing is recorded.
    Off,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It was read.
    Read(LedgerRows),
}

/// The part of the ledger that is shown.
#[derive(Debug, Clone, Default)]
pub struct LedgerRows {
    /// The newest requests, the newest first.
    pub recent: Vec<LedgerEntry>,
    /// The days of the plot, as `2026-11-26`, the oldest first.
    pub days: Vec<String>,
    /// The sums of these days by day and model.
    pub sums: Vec<UsageGroup>,
    /// The requests of this process that could not be recorded.
    pub lost: u64,
}

/// The models that answer.
#[derive(Debug, Clone, Default)]
pub struct ModelsView {
    /// The models, the usual one first.
    pub entries: Vec<Entry>,
    /// Whether they are the account's own list, not the built-in one.
    pub is_own_list: bool,
}

/// How one tool is pointed at this proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolGuide {
    /// The name on the command line.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// The commands that do it.
    pub commands: Vec<GuideText>,
    /// The settings, for doing it by hand.
    pub settings: Vec<GuideText>,
    /// What to do then; may be empty.
    pub then: String,
}

/// A text to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuideText {
    /// Where it belongs, or what it does.
    pub place: String,
    /// The text.
    pub text: String,
}

/// How tools are pointed at this proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guides {
    /// The address of OpenAI's APIs, with `/v1`.
    pub base_url: String,
    /// The address of Anthropic's API.
    pub root: String,
    /// The key to send, if any will do; `None` if one of the proxy's is needed.
    pub any_key: Option<&'static str>,
    /// The tools.
    pub tools: Vec<ToolGuide>,
}

/// A part of the page: the id of its element, and what is inside.
pub type PagePart = (&'static str, String);

impl PageView {
    /// Renders every part that changes.
    pub fn parts(&self) -> Vec<PagePart> {
        let verdict = Verdict::of(self);
        let parts: [(&'static str, Markup); 8] = [
            (ids::VERDICT, verdict.render(self.now)),
            (ids::LOGIN, login::facts(self)),
            (ids::ACCOUNT, login::account(&self.login)),
            (ids::LIMITS, limits::render(self.limits.as_ref(), self.now)),
            (ids::RECENT, recent::render(&self.ledger, self.now)),
            (ids::TOKENS, tokens::render(&self.ledger)),
            (ids::MODELS, models::render(&self.models)),
            (ids::TODO, todo::render(self)),
        ];
        let stamp = (STAMP, words::clock(self.now, self.now).into_string());
        parts.into_iter().map(|(id, markup)| (id, markup.into_string())).chain([stamp]).collect()
    }

    /// Returns the ledger's part, if it was read.
    pub(super) fn rows(&self) -> Option<&LedgerRows> {
        match &self.ledger {
            LedgerView::Read(rows) => Some(rows),
            LedgerView::Off | LedgerView::Unreadable(_) => None,
        }
    }

    /// Returns the newest request that was for a model.
    pub(super) fn last_answer(&self) -> Option<&LedgerEntry> {
        self.rows()?.recent.iter().find(|entry| entry.model_sent.is_some() && entry.status.is_some())
    }

    /// Returns the window that is spent, if the plan as a whole is.
    pub(super) fn exhausted(&self) -> Option<&crate::limits::UsageWindow> {
        verdict::exhausted(self.limits.as_ref()?, self.now)
    }
}

/// The id of the part that says when the page was made. It changes by itself.
pub const STAMP: &str = "stamp";

/// The ids of the other parts' elements.
pub(super) mod ids {
    pub(in crate::page) const VERDICT: &str = "verdict";
    pub(in crate::page) const LOGIN: &str = "login";
    pub(in crate::page) const ACCOUNT: &str = "account";
    pub(in crate::page) const LIMITS: &str = "limits";
    pub(in crate::page) const RECENT: &str = "recent";
    pub(in crate::page) const TOKENS: &str = "tokens";
    pub(in crate::page) const MODELS: &str = "models";
    pub(in crate::page) const TODO: &str = "todo";
}
