//! The newest reading of the plan's usage, with its age.
//!
//! * Headers are kept as they came, and read only when somebody asks: every answer has them.
//! * A reading belongs to one account. Another account's login does not see it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits::headers::LimitHeaders;
use crate::limits::{PlanLimits, page};

/// The newest reading. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct LimitBoard(Arc<Mutex<Option<Reading>>>);

#[derive(Debug, Clone)]
struct Reading {
    account: String,
    /// Unix seconds.
    observed_at: u64,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Headers(LimitHeaders),
    /// A usage page, and whether it could be read.
    Page(Bytes),
}

/// What the backend last told of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountLimits {
    /// The ChatGPT account.
    pub account: String,
    /// The reading.
    pub limits: PlanLimits,
}

impl LimitBoard {
    /// Keeps the headers of an answer to `account`, received at `now` (Unix seconds), if they tell any window.
    pub fn note_headers(&self, account: &str, headers: LimitHeaders, now: u64) {
        if headers.tell_any() {
            self.keep(account, now, Source::Headers(headers));
        }
    }

    /// Keeps the usage page of `account`, received at `now` (Unix seconds).
    pub fn note_page(&self, account: &str, page: Bytes, now: u64) {
        self.keep(account, now, Source::Page(page));
    }

    /// Returns when the newest reading was made, in Unix seconds.
    pub fn observed_at(&self) -> Option<u64> {
        self.reading().as_ref().map(|reading| reading.observed_at)
    }

    /// Returns the newest reading of any account.
    pub fn latest(&self) -> Option<AccountLimits> {
        let Reading { account, observed_at, source } = self.reading().clone()?;
        let limits = match source {
            Source::Headers(headers) => headers.read(observed_at),
            Source::Page(body) => page::read(&body, observed_at)?,
        };
        Some(AccountLimits { account, limits })
    }

    /// Returns the newest reading of `account` as a usage page, if it is no older than `age` seconds at `now` and names the
    /// plan.
    pub fn page(&self, account: &str, age: u64, now: u64) -> Option<Bytes> {
        let reading = self.reading().clone()?;
        if reading.account != account || now.saturating_sub(reading.observed_at) > age {
            return None;
        }
        let limits = match reading.source {
            Source::Page(body) => return Some(body),
            Source::Headers(headers) => headers.read(reading.observed_at),
        };
        page::write(&limits, now).map(Bytes::from)
    }

    fn keep(&self, account: &str, observed_at: u64, source: Source) {
        *self.reading() = Some(Reading { account: account.to_owned(), observed_at, source });
    }

    fn reading(&self) -> MutexGuard<'_, Option<Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn headers(used: &'static str) -> LimitHeaders {
        let mut headers = HeaderMap::new();
        headers.insert("x-codex-primary-used-percent", HeaderValue::from_static(used));
        headers.insert("x-codex-primary-window-minutes", HeaderValue::from_static("300"));
        headers.insert("x-codex-plan-type", HeaderValue::from_static("plus"));
        LimitHeaders::of(&headers, |_| None)
    }

    fn used(board: &LimitBoard) -> Option<f64> {
        board.latest().map(|latest| latest.limits.windows[0].used_percent)
    }

    #[test]
    fn the_newest_reading_counts_for_its_account_alone() {
        let board = LimitBoard::default();
        assert_eq!((board.latest(), board.observed_at()), (None, None));
        board.note_headers("a", headers("40"), 100);
        board.note_headers("a", LimitHeaders::default(), 200);
        assert_eq!(
            (used(&board), board.observed_at()),
            (Some(40.0), Some(100)),
            "headers without windows tell nothing"
        );
        assert!(board.page("b", 300, 100).is_none(), "another account's");
        assert!(board.page("a", 300, 401).is_none(), "too old");
        assert!(board.page("a", 300, 400).is_some());
    }

    #[test]
    fn a_page_is_passed_on_as_it_came() {
        let board = LimitBoard::default();
        let body = r#"{"plan_type":"plus","unknown":1,"rate_limit":{"primary_window":{"used_percent":7,"limit_window_seconds":300}}}"#;
        board.note_page("a", Bytes::from(body), 100);
        assert_eq!(board.page("a", 300, 100).as_deref(), Some(body.as_bytes()));
        assert_eq!(used(&board), Some(7.0));
    }
}
