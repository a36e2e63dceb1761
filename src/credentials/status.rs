//! Credentials in the admin API's requests and responses.
//!
//! * A request is validated as a whole: one error lists every missing or mistyped field.
//! * The account is the request's, else the token's claim, else the user id; without any of them the token is rejected.
//! * A response never holds a token or a part of one.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::credentials::Login;
use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::Place;
use crate::fault::Fault;
use crate::json;
use crate::oauth::TokenSet;
use crate::oauth::claims::{ACCOUNT_CLAIM, Claims};
use crate::secret::Secret;

/// Checked credentials from the body of `POST /admin/credentials`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminCredentials {
    access_token: Secret,
    refresh_token: Secret,
    expires_at: u64,
    user_id: Option<String>,
    account_id: String,
}

impl AdminCredentials {
    /// Reads `{accessToken, refreshToken, expiresAt (ms), userID?, accountID?}`.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let value: Value = serde_json::from_slice(json::without_mark(body))
            .map_err(|error| Fault::invalid("body", malformed(&error)))?;
        let Value::Object(fields) = value else {
            return Err(Fault::invalid("body", "the body must be a JSON object"));
        };
        let mut problems = Problems::default();
        let access_token = problems.required_text(&fields, "accessToken");
        let refresh_token = problems.required_text(&fields, "refreshToken");
        let expires_at = problems.milliseconds(&fields, "expiresAt");
        let user_id = problems.optional_text(&fields, "userID");
        let account_id = problems.optional_text(&fields, "accountID");
        let claims = access_token.as_deref().map(Claims::of);
        let has_token = claims.is_some();
        let claims = claims.unwrap_or_default();
        let account_id = account_id.or(claims.account_id).or_else(|| user_id.clone());
        // Without a token, its claims cannot name the account.
        if account_id.is_none() && has_token {
            problems.add("accountID", format!("is needed: the token has no claim {ACCOUNT_CLAIM}"));
        }
        problems.into_result()?;
        Ok(Self {
            access_token: Secret::new(access_token.unwrap_or_default()),
            refresh_token: Secret::new(refresh_token.unwrap_or_default()),
            expires_at: expires_at.unwrap_or_default(),
            user_id,
            account_id: account_id.unwrap_or_default(),
        })
    }

    /// Writes these credentials into `document`, at `now` (Unix seconds).
    pub(super) fn apply(&self, document: &mut AuthDocument, now: u64) {
        let tokens = TokenSet {
            access_token: Some(self.access_token.clone()),
            refresh_token: Some(self.refresh_token.clone()),
            ..TokenSet::default()
        };
        document.replace_login(&tokens, now);
        document.set_account_id(&self.account_id);
        document.set_expiry(self.expires_at);
        if let Some(user_id) = &self.user_id {
            document.set_user_id(user_id);
        }
    }
}

/// The body of `GET /admin/credentials/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminStatus {
    /// Always `oauth`.
    pub r#type: &'static str,
    /// Whether there is a usable login.
    pub has_credentials: bool,
    /// The user's id.
    #[serde(rename = "userID")]
    pub user_id: Option<String>,
    /// The access token's expiry in Unix milliseconds; `null` if unknown.
    pub expires_at: Option<u64>,
    /// Whole minutes until the expiry; 0 once it has passed.
    pub minutes_until_expiry: Option<u64>,
    /// Whether the access token has expired.
    pub is_expired: bool,
    /// Whether the access token expires within 60 minutes.
    pub needs_refresh_soon: bool,
    /// The plan in the issuer's spelling.
    pub plan_type: Option<String>,
    /// The ChatGPT account.
    #[serde(rename = "accountID")]
    pub account_id: Option<String>,
    /// The kind of the store.
    pub store: &'static str,
    /// The problem, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl AdminStatus {
    /// Describes `login`, read from `place` at `now` (Unix seconds). `problem` is the reason that it cannot be renewed.
    pub fn new(
        login: Result<Login, CredentialError>,
        problem: Option<CredentialError>,
        place: &Place,
        now: u64,
    ) -> Self {
        let (login, error) = match login {
            Ok(login) => (Some(login), problem),
            Err(error) => (None, Some(error)),
        };
        let expires_at = login.as_ref().and_then(|login| login.expires_at);
        Self {
            r#type: "oauth",
            has_credentials: login.is_some(),
            expires_at: login
                .as_ref()
                .and_then(|login| login.stated_expiry_ms)
                .or(expires_at.map(|seconds| seconds.saturating_mul(1000))),
            minutes_until_expiry: expires_at.map(|seconds| seconds.saturating_sub(now) / 60),
            is_expired: login.as_ref().is_some_and(|login| login.is_expired(now)),
            needs_refresh_soon: login.as_ref().is_some_and(|login| login.needs_refresh_soon(now)),
            user_id: login.as_ref().and_then(|login| login.user_id.clone()),
            plan_type: login.as_ref().and_then(|login| login.plan.clone()),
            account_id: login.map(|login| login.access.account_id),
            store: place.store.as_str(),
            error: error.map(|error| error.to_string()),
        }
    }
}

/// The problems of a request body, by field.
#[derive(Default)]
struct Problems(Vec<(&'static str, String)>);

impl Problems {
    fn add(&mut self, field: &'static str, problem: impl Into<String>) {
        self.0.push((field, problem.into()));
    }

    fn required_text(&mut self, fields: &Map<String, Value>, name: &'static str) -> Option<String> {
        if fields.get(name).is_none_or(Value::is_null) {
            self.add(name, "is missing");
            return None;
        }
        self.optional_text(fields, name)
    }

    fn optional_text(&mut self, fields: &Map<String, Value>, name: &'static str) -> Option<String> {
        let value = fields.get(name).filter(|value| !value.is_null())?;
        let text = value.as_str().map(str::trim).filter(|text| is_header_text(text));
        if text.is_none() {
            self.add(name, "must be a non-empty string of visible ASCII characters");
        }
        text.map(str::to_owned)
    }

    fn milliseconds(&mut self, fields: &Map<String, Value>, name: &'static str) -> Option<u64> {
        let Some(value) = fields.get(name).filter(|value| !value.is_null()) else {
            self.add(name, "is missing");
            return None;
        };
        let Some(milliseconds) = value.as_u64() else {
            self.add(name, "must be a whole number of milliseconds since 1970");
            return None;
        };
        if milliseconds < SMALLEST_MILLISECONDS {
            self.add(name, "must be in milliseconds since 1970; this looks like seconds");
        }
        Some(milliseconds)
    }

    fn into_result(self) -> Result<(), Fault> {
        let Some((first, _)) = self.0.first() else {
            return Ok(());
        };
        let list: Vec<String> = self.0.iter().map(|(field, problem)| format!("{field} {problem}")).collect();
        Err(Fault::invalid(*first, list.join("; ")))
    }
}

/// Stored values are later sent as header values.
fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `serde_json` never quotes the text in a syntax error.
fn malformed(error: &serde_json::Error) -> String {
    format!("the body is not JSON: {error}")
}

/// As seconds this is the year 5138, as milliseconds 1973.
const SMALLEST_MILLISECONDS: u64 = 100_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::place::StoreName;

    fn problems(body: &str) -> String {
        let error = AdminCredentials::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.status(), 400);
        error.message
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(problems("\u{feff}{}"), problems("{}"));
    }

    #[test]
    fn takes_complete_credentials() {
        let body =
            br#"{"accessToken":"a","refreshToken":"r","expiresAt":1900000000000,"userID":"u","accountID":"acc"}"#;
        let mut document = AuthDocument::default();
        AdminCredentials::parse(body).unwrap().apply(&mut document, 1_800_000_000);
        let login = document.login().unwrap();
        assert_eq!(login.access.account_id, "acc");
        assert_eq!(login.user_id.as_deref(), Some("u"));
        assert_eq!(login.expires_at, Some(1_900_000_000));
    }

    #[test]
    fn the_user_id_stands_in_for_the_account() {
        let body = br#"{"accessToken":"a","refreshToken":"r","expiresAt":1900000000000,"userID":"u"}"#;
        assert_eq!(AdminCredentials::parse(body).unwrap().account_id, "u");
    }

    #[test]
    fn lists_everything_that_is_wrong() {
        let message = problems(r#"{"accessToken":"a","refreshToken":7,"expiresAt":"soon","userID":""}"#);
        for field in ["refreshToken must", "expiresAt must", "userID must", "accountID is needed"] {
            assert!(message.contains(field), "{field}: {message}");
        }
        assert_eq!(problems("{}"), "accessToken is missing; refreshToken is missing; expiresAt is missing");
        assert!(problems("[]").contains("JSON object"));
        assert!(problems("{").contains("not JSON"));
    }

    #[test]
    fn seconds_are_not_milliseconds() {
        let message = problems(r#"{"accessToken":"a","refreshToken":"r","expiresAt":1900000000,"accountID":"acc"}"#);
        assert!(message.contains("looks like seconds"), "{message}");
    }

    #[test]
    fn a_token_must_fit_in_a_header() {
        let message =
            problems(r#"{"accessToken":"a\nb","refreshToken":"r","expiresAt":1900000000000,"accountID":"x"}"#);
        assert_eq!(message, "accessToken must be a non-empty string of visible ASCII characters");
    }

    #[test]
    fn status_has_the_documented_fields() {
        let place = Place { store: StoreName::Xdg, location: "/x".to_owned() };
        let missing = Err(CredentialError::Missing { place: place.clone() });
        let status = serde_json::to_value(AdminStatus::new(missing, None, &place, 0)).unwrap();
        let keys: Vec<&String> = status.as_object().unwrap().keys().collect();
        let expected = [
            "type",
            "hasCredentials",
            "userID",
            "expiresAt",
            "minutesUntilExpiry",
            "isExpired",
            "needsRefreshSoon",
            "planType",
            "accountID",
            "store",
            "error",
        ];
        assert_eq!(keys, expected);
        assert_eq!(status["hasCredentials"], false);
    }
}
