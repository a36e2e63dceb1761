//! The issuer's endpoints, one method each.
//!
//! * Every call has a time limit over the whole of it, connect and read included.
//! * Answers are read up to a size limit; tokens leave this module only as [`Secret`]s.
//! * A refresh is one request, never retried here: a token with a lost answer may already be used up, and the retry is
//!   for the owner of the store to decide.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::oauth::error::IssuerError;
use crate::oauth::{CLIENT_ID, TokenSet};
use crate::platform::{HttpClient, TransportError, TransportErrorKind, sleep};
use crate::secret::Secret;

/// A client of the issuer.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    issuer: String,
    originator: String,
    user_agent: String,
}

/// A pending device sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    /// The issuer's id of this sign-in.
    pub device_auth_id: Secret,
    /// The code that the user types.
    pub user_code: String,
    /// The polling interval.
    pub interval: Duration,
}

/// The authorization code of a sign-in, and the proof that the sign-in is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// The code.
    pub code: Secret,
    /// The PKCE verifier of the sign-in.
    pub verifier: Secret,
    /// The redirect address of the sign-in.
    pub redirect_uri: String,
}

impl Client {
    /// Creates a client of the issuer at `issuer` (a trailing slash is ignored), which identifies itself as
    /// `originator` and `user_agent`.
    pub fn new(http: HttpClient, issuer: &str, originator: &str, user_agent: &str) -> Self {
        Self {
            http,
            issuer: issuer.trim_end_matches('/').to_owned(),
            originator: originator.to_owned(),
            user_agent: user_agent.to_owned(),
        }
    }

    /// Returns the issuer's address, without a trailing slash.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns this program's `originator`.
    pub fn originator(&self) -> &str {
        &self.originator
    }

    /// Returns this program's `User-Agent`.
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// Exchanges `refresh_token`, which is used up by it, for new tokens.
    pub async fn refresh(&self, refresh_token: &Secret) -> Result<TokenSet, IssuerError> {
        let body = json!({
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.expose(),
        });
        let answer = self.post_json("/oauth/token", &body, REFRESH_LIMIT).await?;
        TokenSet::parse(&answer.success()?).ok_or_else(|| IssuerError::Invalid("it is not a JSON object".into()))
    }

    /// Exchanges the code of a completed sign-in for the login's first three tokens.
    pub async fn exchange(&self, code: &AuthorizationCode) -> Result<TokenSet, IssuerError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code.code.expose())
            .append_pair("redirect_uri", &code.redirect_uri)
            .append_pair("client_id", CLIENT_ID)
            .append_pair("code_verifier", code.verifier.expose())
            .finish();
        let request = self.request("/oauth/token", "application/x-www-form-urlencoded", form)?;
        let answer = self.send(request, EXCHANGE_LIMIT).await?.success()?;
        let tokens = TokenSet::parse(&answer).ok_or_else(|| IssuerError::Invalid("it is not a JSON object".into()))?;
        if tokens.id_token.is_none() || tokens.access_token.is_none() || tokens.refresh_token.is_none() {
            return Err(IssuerError::Invalid("a token is missing".into()));
        }
        Ok(tokens)
    }

    /// Begins a device sign-in. Returns `None` if the issuer does not offer it.
    pub async fn device_code(&self) -> Result<Option<DeviceCode>, IssuerError> {
        let body = json!({ "client_id": CLIENT_ID });
        let answer = self.post_json("/api/accounts/deviceauth/usercode", &body, EXCHANGE_LIMIT).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer: UserCode = serde_json::from_slice(&answer.success()?)
            .map_err(|_| IssuerError::Invalid("the device sign-in lacks its code".into()))?;
        Ok(Some(DeviceCode {
            device_auth_id: Secret::new(answer.device_auth_id),
            user_code: answer.user_code,
            interval: answer.interval.as_ref().and_then(interval).unwrap_or(DEFAULT_INTERVAL),
        }))
    }

    /// Returns the page where the user types the device code.
    pub fn device_page(&self) -> String {
        format!("{}/codex/device", self.issuer)
    }

    /// Polls the device sign-in. Returns `None` while it is pending.
    pub async fn device_authorization(&self, device: &DeviceCode) -> Result<Option<AuthorizationCode>, IssuerError> {
        let body = json!({ "device_auth_id": device.device_auth_id.expose(), "user_code": device.user_code });
        let answer = self.post_json("/api/accounts/deviceauth/token", &body, EXCHANGE_LIMIT).await?;
        // A Cloudflare page has the status of a pending sign-in, and must not be polled for a quarter of an hour.
        if answer.status == StatusCode::FORBIDDEN || answer.status == StatusCode::NOT_FOUND {
            return match IssuerError::from_answer(answer.status, &answer.headers, &answer.body) {
                blocked @ IssuerError::Blocked { .. } => Err(blocked),
                _pending => Ok(None),
            };
        }
        let answer: DeviceToken = serde_json::from_slice(&answer.success()?)
            .map_err(|_| IssuerError::Invalid("the finished device sign-in lacks its code".into()))?;
        Ok(Some(AuthorizationCode {
            code: Secret::new(answer.authorization_code),
            verifier: Secret::new(answer.code_verifier),
            redirect_uri: format!("{}/deviceauth/callback", self.issuer),
        }))
    }

    /// Revokes the login of `refresh_token`, for every program that shares it.
    pub async fn revoke_refresh_token(&self, refresh_token: &Secret) -> Result<(), IssuerError> {
        let body = json!({
            "token": refresh_token.expose(),
            "token_type_hint": "refresh_token",
            "client_id": CLIENT_ID,
        });
        self.post_json("/oauth/revoke", &body, REVOKE_LIMIT).await?.success().map(drop)
    }

    /// Revokes an access token, for a login without a refresh token.
    pub async fn revoke_access_token(&self, access_token: &Secret) -> Result<(), IssuerError> {
        let body = json!({ "token": access_token.expose(), "token_type_hint": "access_token" });
        self.post_json("/oauth/revoke", &body, REVOKE_LIMIT).await?.success().map(drop)
    }

    async fn post_json(&self, path: &str, body: &Value, limit: Duration) -> Result<Answer, IssuerError> {
        self.send(self.request(path, "application/json", body.to_string())?, limit).await
    }

    fn request(&self, path: &str, content_type: &str, body: String) -> Result<http::Request<Bytes>, IssuerError> {
        http::Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.issuer))
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, &self.user_agent)
            .header("originator", &self.originator)
            .body(Bytes::from(body))
            .map_err(|error| TransportError { kind: TransportErrorKind::Request, message: error.to_string() }.into())
    }

    async fn send(&self, request: http::Request<Bytes>, limit: Duration) -> Result<Answer, IssuerError> {
        let call = async {
            let (head, mut body) = self.http.send(request).await?.into_parts();
            let mut bytes = Zeroizing::new(Vec::new());
            while let Some(chunk) = body.next().await {
                bytes.extend_from_slice(&chunk?);
                if bytes.len() > MAX_ANSWER {
                    return Err(IssuerError::Invalid("it is too long".into()));
                }
            }
            Ok(Answer { status: head.status, headers: head.headers, body: bytes })
        };
        within(limit, call).await
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    fn success(self) -> Result<Zeroizing<Vec<u8>>, IssuerError> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        Err(IssuerError::from_answer(self.status, &self.headers, &self.body))
    }
}

#[derive(Deserialize)]
struct UserCode {
    device_auth_id: String,
    #[serde(alias = "usercode")]
    user_code: String,
    interval: Option<Value>,
}

#[derive(Deserialize)]
struct DeviceToken {
    authorization_code: String,
    code_verifier: String,
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, IssuerError>>) -> Result<T, IssuerError> {
    match select(std::pin::pin!(call), std::pin::pin!(sleep(limit))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(IssuerError::Timeout(limit)),
    }
}

/// The issuer sends the seconds as a string.
fn interval(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds.clamp(1, 60)))
}

const REFRESH_LIMIT: Duration = Duration::from_secs(30);
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
const REVOKE_LIMIT: Duration = Duration::from_secs(10);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_a_string_or_a_number() {
        assert_eq!(interval(&json!("5")), Some(Duration::from_secs(5)));
        assert_eq!(interval(&json!(7)), Some(Duration::from_secs(7)));
        assert_eq!(interval(&json!("0")), Some(Duration::from_secs(1)));
        assert_eq!(interval(&json!("soon")), None);
    }
}
