//! Sessions of the page: what a browser shows in place of a key.
//!
//! * The cookie holds a random token, never a key; this process keeps its digest. It is `HttpOnly` and `SameSite=Strict`, so
//!   no script reads it and no other site's page sends it.
//! * Browsers send a host's cookies to every port of it. The name holds the port, so that two proxies do not overwrite each
//!   other's; another server on the same host could read the token, which opens nothing but this page.
//! * Sessions are bounded in number and time, and end with the process.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::platform::Instant;

/// The open sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<VecDeque<Session>>);

#[derive(Debug)]
struct Session {
    digest: [u8; 32],
    ends: Instant,
}

impl Sessions {
    /// Begins a session and returns its cookie, for a request to `host`. The oldest session makes room for it. `None` if the
    /// system has no random numbers.
    pub(super) fn begin(&self, host: Option<&HeaderValue>) -> Option<HeaderValue> {
        let mut token = [0_u8; 32];
        getrandom::fill(&mut token).ok()?;
        let text = URL_SAFE_NO_PAD.encode(token);
        let mut sessions = self.sessions();
        if sessions.len() >= MOST {
            sessions.pop_front();
        }
        sessions.push_back(Session { digest: digest(&text), ends: Instant::now() + LIFETIME });
        let name = name(host);
        let cookie = format!("{name}={text}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", LIFETIME.as_secs());
        HeaderValue::try_from(cookie).ok()
    }

    /// Returns whether `headers` hold the cookie of an open session. The time does not depend on which.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let name = name(headers.get(header::HOST));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut found = Choice::from(0);
        let mut sessions = self.sessions();
        sessions.retain(|session| session.ends > Instant::now());
        for (_, token) in pairs.filter(|(cookie, _)| *cookie == name).take(MOST_COOKIES) {
            let presented = digest(token);
            for session in sessions.iter() {
                found |= session.digest.ct_eq(&presented);
            }
        }
        found.into()
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cookie's name at `host`, whose port is a part of it.
fn name(host: Option<&HeaderValue>) -> String {
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    format!("codex-proxy-page-{}", port.unwrap_or("80"))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// More than one person has browsers.
const MOST: usize = 64;
/// A working day.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// The cookies of one request that are looked at.
const MOST_COOKIES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str, host: &'static str) -> HeaderMap {
        let cookie = HeaderValue::try_from(cookie).expect("a cookie");
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host)), (header::COOKIE, cookie)])
    }

    fn begun(sessions: &Sessions, host: &'static str) -> String {
        let cookie = sessions.begin(Some(&HeaderValue::from_static(host))).expect("random numbers");
        let cookie = cookie.to_str().expect("text");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"), "{cookie}");
        cookie.split(';').next().expect("a pair").to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_opens_its_own_port_until_its_time_is_over() {
        let sessions = Sessions::default();
        let cookie = begun(&sessions, "localhost:9879");
        assert!(sessions.admits(&with(&format!("a=b; {cookie}; c=d"), "localhost:9879")));
        for (cookie, host) in [
            (cookie.as_str(), "localhost:9880"),
            ("codex-proxy-page-9879=", "localhost:9879"),
            ("codex-proxy-page-9879=x", "localhost:9879"),
            ("", "localhost:9879"),
        ] {
            assert!(!sessions.admits(&with(cookie, host)), "{cookie} {host}");
        }
        assert!(!sessions.admits(&HeaderMap::new()) && !Sessions::default().admits(&with(&cookie, "localhost:9879")));
        tokio::time::advance(LIFETIME).await;
        assert!(!sessions.admits(&with(&cookie, "localhost:9879")));
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let first = begun(&sessions, "localhost");
        let second = begun(&sessions, "localhost");
        assert_ne!(first, second);
        for _ in 0..MOST - 1 {
            begun(&sessions, "localhost");
        }
        assert!(!sessions.admits(&with(&first, "localhost")) && sessions.admits(&with(&second, "localhost")));
        assert_eq!(sessions.sessions().len(), MOST);
    }
}
