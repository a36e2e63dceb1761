//! Pages of a gateway in front of the backend: a block of this machine, or a report of an outage behind it.
//!
//! * A challenge asks for a browser, so a retry ends the same. Cloudflare marks it with the header
//!   `cf-mitigated: challenge`, and its page by the script that runs it
//!   (<https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/>).
//! * A page with the status 403 is a block as well, by any gateway.
//! * A page with any other status is what its status says: Cloudflare's error pages carry its name too.

use http::{HeaderMap, StatusCode};

use crate::fault::{Fault, FaultKind};

/// Returns the error for an answer by which a gateway blocks this machine; `None` for any other answer.
pub(super) fn block(status: StatusCode, headers: &HeaderMap, text: &str) -> Option<Fault> {
    let is_challenge = is_challenge(status, headers, text);
    let is_refusal = status == StatusCode::FORBIDDEN && is_page(text);
    if !is_challenge && !is_refusal {
        return None;
    }
    let gateway = if is_challenge || text.to_ascii_lowercase().contains("cloudflare") {
        "the backend's protection (Cloudflare) blocks this machine"
    } else {
        "the answer is a page with the status 403: something in front of the backend blocks this machine"
    };
    let message = format!(
        "{gateway}: this happens in some regions, behind some VPNs and in data centres. The login is not at fault"
    );
    Some(Fault::new(FaultKind::UpstreamBlocked, message))
}

/// Returns whether a body is HTML.
pub(super) fn is_page(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

fn is_challenge(status: StatusCode, headers: &HeaderMap, text: &str) -> bool {
    let has_mark = || {
        // The second script measures visitors, and is part of ordinary pages.
        CHALLENGE_MARKS.iter().any(|mark| text.contains(mark))
            || (text.contains("/cdn-cgi/challenge-platform") && !text.contains("/scripts/jsd/"))
    };
    headers.contains_key("cf-mitigated") || (matches!(status.as_u16(), 403 | 429 | 503) && is_page(text) && has_mark())
}

const CHALLENGE_MARKS: [&str; 4] = ["Just a moment", "Attention Required", "_cf_chl_opt", "cf-mitigated"];
