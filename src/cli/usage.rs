//! The plan's usage, from the backend's usage page.
//!
//! * A window is identified by its length, never by its position: the first one has been five hours, a week and a
//!   month.
//! * Every level of the answer may be absent.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use crate::credentials::Access;
use crate::platform::HttpClient;
use crate::upstream;
use crate::upstream::defaults;

/// A usage window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UsageWindow {
    /// The name: `5-hour`, `weekly`, `30-day` …
    pub name: String,
    /// The feature of the window; `None` for the plan as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// The used share in percent.
    pub used_percent: f64,
    /// The length in seconds.
    pub window_seconds: u64,
    /// The next reset, in Unix seconds.
    pub resets_at: Option<u64>,
}

/// A client of the backend's pages.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The HTTP client.
    pub http: HttpClient,
    /// The backend's address, and this program's identification there.
    pub upstream: upstream::UpstreamSettings,
}

impl Asker {
    /// Fetches the windows of `access`'s plan. The error is a predicate without a subject.
    pub async fn windows(&self, access: &Access) -> Result<Vec<UsageWindow>, String> {
        let (status, body) = self.page(access, "wham/usage").await?;
        if !status.is_success() {
            return Err(format!("the backend answered {status}"));
        }
        windows(&body).ok_or_else(|| "the answer cannot be read".to_owned())
    }

    /// Fetches a page of the backend, such as `wham/usage`, with the login of `access`. The error is a predicate
    /// without a subject.
    pub async fn page(&self, access: &Access, page: &str) -> Result<(StatusCode, Vec<u8>), String> {
        let unusable = |_| "the request could not be built".to_owned();
        let mut request = Request::get(defaults::page(self.upstream.url_for(access), page))
            .body(Bytes::new())
            .map_err(|error| unusable(error.to_string()))?;
        let identified = self.upstream.identify(request.headers_mut(), access);
        identified.map_err(|part| unusable(part.to_owned()))?;
        let answer = tokio::time::timeout(LIMIT, self.answer(request)).await;
        answer.map_err(|_| format!("no answer within {} seconds", LIMIT.as_secs()))?
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<(StatusCode, Vec<u8>), String> {
        let (head, mut stream) = self.http.send(request).await.map_err(|error| error.to_string())?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
            if body.len() > MAX_ANSWER {
                return Err("the answer is too long".to_owned());
            }
        }
        Ok((head.status, body))
    }
}

fn windows(body: &[u8]) -> Option<Vec<UsageWindow>> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let plan = answer.rate_limit.into_iter().flat_map(|limit| limit.windows(None));
    let others = answer.additional_rate_limits.unwrap_or_default().into_iter();
    let others = others.flat_map(|other| {
        let feature = other.limit_name;
        other.rate_limit.into_iter().flat_map(move |limit| limit.windows(feature.clone()))
    });
    Some(plan.chain(others).collect())
}

/// Names a window of this length.
fn name(seconds: u64) -> String {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        604_800 => "weekly".to_owned(),
        seconds if seconds >= DAY && seconds % DAY == 0 => format!("{}-day", seconds / DAY),
        seconds if seconds >= HOUR => format!("{}-hour", seconds.div_ceil(HOUR)),
        seconds => format!("{}-minute", seconds.div_ceil(60)),
    }
}

#[derive(Deserialize)]
struct Answer {
    rate_limit: Option<Limit>,
    additional_rate_limits: Option<Vec<Additional>>,
}

#[derive(Deserialize)]
struct Additional {
    limit_name: Option<String>,
    rate_limit: Option<Limit>,
}

#[derive(Deserialize)]
struct Limit {
    primary_window: Option<Reported>,
    secondary_window: Option<Reported>,
}

#[derive(Deserialize)]
struct Reported {
    used_percent: Option<f64>,
    limit_window_seconds: Option<u64>,
    reset_at: Option<u64>,
}

impl Limit {
    fn windows(self, feature: Option<String>) -> impl Iterator<Item = UsageWindow> {
        let reported = [self.primary_window, self.secondary_window].into_iter().flatten();
        reported.filter_map(move |window| {
            let window_seconds = window.limit_window_seconds?;
            Some(UsageWindow {
                name: name(window_seconds),
                feature: feature.clone(),
                used_percent: window.used_percent?,
                window_seconds,
                resets_at: window.reset_at,
            })
        })
    }
}

const LIMIT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_named_by_their_length() {
        let body = br#"{"plan_type":"plus","rate_limit":{"allowed":true,
            "primary_window":{"used_percent":40,"limit_window_seconds":604800,"reset_at":1786161248},
            "secondary_window":{"used_percent":7.5,"limit_window_seconds":18000}},
            "credits":null,
            "additional_rate_limits":[{"limit_name":"Spark","rate_limit":{"primary_window":
                {"used_percent":1,"limit_window_seconds":2592000,"reset_at":1},"secondary_window":null}}]}"#;
        let windows = windows(body).unwrap();
        let names: Vec<(&str, Option<&str>)> =
            windows.iter().map(|window| (window.name.as_str(), window.feature.as_deref())).collect();
        assert_eq!(names, [("weekly", None), ("5-hour", None), ("30-day", Some("Spark"))]);
        assert_eq!((windows[0].used_percent, windows[0].resets_at), (40.0, Some(1_786_161_248)));
    }

    #[test]
    fn every_level_may_be_absent() {
        for body in ["{}", r#"{"rate_limit":null}"#, r#"{"rate_limit":{},"additional_rate_limits":[{}]}"#] {
            assert_eq!(windows(body.as_bytes()), Some(Vec::new()), "{body}");
        }
        assert_eq!(windows(b"<html>"), None);
    }
}
