//! The `auth.json` document: the login as the Codex CLI and this program share it.
//!
//! * It is edited as JSON, never through a struct: a field this program does not know keeps its value and its place.
//! * What a document means is read by [`AuthDocument::login`]: `tokens` decide, not `auth_mode` and not whether
//!   `OPENAI_API_KEY` has a value (a browser login stores a platform key beside its tokens).
//! * When the access token expires: what `expiresAt` (ms) states, else its own `exp`, else eight days after `last_refresh`.
//!   A refresh removes the statement, so it never outlives the token it was made about.
//! * The text of every value is wiped when the document is dropped, and `Debug` shows field names only.

use std::fmt;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroize as _;

use super::Access;
use super::secret::Secret;
use crate::oauth::TokenSet;
use crate::oauth::claims::Claims;

/// One login document.
#[derive(Clone, Default, PartialEq)]
pub struct AuthDocument {
    fields: Map<String, Value>,
}

/// A text that is no login document, and where it stops being one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// The column in that line, from 1; 0 where the text ended.
    pub column: usize,
    /// What is wrong there. Never quotes a value.
    pub reason: String,
}

/// What a document says about the login it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// What a call to the backend needs.
    pub access: Access,
    /// The single-use token that renews the login; absent where it cannot be renewed.
    pub refresh_token: Option<Secret>,
    /// When the access token expires, in Unix seconds; absent where nothing tells.
    pub expires_at: Option<u64>,
    /// `expiresAt` as it stands in the document, in Unix milliseconds.
    pub stated_expiry_ms: Option<u64>,
    /// The user's mail address.
    pub email: Option<String>,
    /// The user's id.
    pub user_id: Option<String>,
    /// The plan, as the issuer spells it.
    pub plan: Option<String>,
}

/// Why a well-formed document is no usable login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// There are no ChatGPT tokens; names what is there instead.
    NoTokens(&'static str),
    /// No place names the account.
    NoAccount,
}

impl AuthDocument {
    /// Reads the text of a document.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_str(text).map_err(|error| Malformed::from_json(&error))?;
        match value {
            Value::Object(fields) => Ok(Self { fields }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Malformed { line: 1, column: 1, reason: "expected a JSON object".to_owned() })
            }
        }
    }

    /// A new document for the result of a sign-in that ended at `now` (Unix seconds).
    pub fn from_sign_in(tokens: &TokenSet, now: u64) -> Self {
        let mut document = Self { fields: Map::new() };
        document.replace_login(tokens, now);
        document
    }

    /// A document that holds just an access token, such as one given in the environment.
    pub fn from_access_token(token: &str, account_id: Option<&str>) -> Self {
        let mut document = Self { fields: Map::new() };
        document.set_token("access_token", token);
        if let Some(account_id) = account_id {
            document.set_account_id(account_id);
        }
        document
    }

    /// The text to store: pretty-printed, fields in their order, with a final newline.
    pub fn to_text(&self) -> zeroize::Zeroizing<String> {
        let mut text = serde_json::to_string_pretty(&self.fields).unwrap_or_default();
        text.push('\n');
        zeroize::Zeroizing::new(text)
    }

    /// The login this document holds.
    pub fn login(&self) -> Result<Login, Unusable> {
        let token = self.token("access_token").ok_or_else(|| Unusable::NoTokens(self.other_content()))?;
        let claims = Claims::of(token);
        let id_claims = self.token("id_token").map(Claims::of).unwrap_or_default();
        let account_id = self
            .token("account_id")
            .map(str::to_owned)
            .or(id_claims.account_id)
            .or(claims.account_id)
            .ok_or(Unusable::NoAccount)?;
        let stated_expiry_ms = self.stated_expiry_ms();
        let user_id = self.fields.get(USER_ID).and_then(Value::as_str).map(str::to_owned);
        Ok(Login {
            access: Access { token: Secret::new(token), account_id, fedramp: id_claims.fedramp || claims.fedramp },
            refresh_token: self.token("refresh_token").map(Secret::new),
            expires_at: stated_expiry_ms
                .map(|milliseconds| milliseconds / 1000)
                .or(claims.expires_at)
                .or_else(|| self.implied_expiry()),
            stated_expiry_ms,
            email: id_claims.email.or(claims.email),
            user_id: user_id.or(id_claims.user_id).or(claims.user_id),
            plan: id_claims.plan.or(claims.plan),
        })
    }

    /// Takes over what a refresh at `now` (Unix seconds) returned; what it did not return stays as it is.
    pub fn apply_refresh(&mut self, tokens: &TokenSet, now: u64) {
        if let Some(token) = &tokens.id_token {
            self.set_token("id_token", token.expose());
        }
        if let Some(token) = &tokens.access_token {
            self.set_token("access_token", token.expose());
            self.forget_stated_expiry();
            if let (None, Some(seconds)) = (Claims::of(token.expose()).expires_at, tokens.expires_in) {
                self.set_expiry(now.saturating_add(seconds).saturating_mul(1000));
            }
        }
        if let Some(token) = &tokens.refresh_token {
            self.set_token("refresh_token", token.expose());
        }
        self.set_last_refresh(now);
    }

    /// Makes this the document of a new sign-in; fields that do not belong to a login stay.
    pub fn replace_login(&mut self, tokens: &TokenSet, now: u64) {
        self.set("auth_mode", Value::from("chatgpt"));
        self.fields.entry("OPENAI_API_KEY").or_insert(Value::Null);
        self.fields.shift_remove(USER_ID);
        wipe_removed(self.fields.get_mut("tokens").map(Value::take));
        self.set("tokens", Value::Object(Map::new()));
        self.apply_refresh(tokens, now);
        let claims = [&tokens.id_token, &tokens.access_token].into_iter().flatten();
        if let Some(account_id) = claims.filter_map(|token| Claims::of(token.expose()).account_id).next() {
            self.set_account_id(&account_id);
        }
    }

    /// Names the account, over what the claims say.
    pub fn set_account_id(&mut self, account_id: &str) {
        self.set_token("account_id", account_id);
    }

    /// Names the user, over what the claims say.
    pub fn set_user_id(&mut self, user_id: &str) {
        self.set(USER_ID, Value::from(user_id));
    }

    /// States when the access token expires, in Unix milliseconds.
    pub fn set_expiry(&mut self, milliseconds: u64) {
        self.set("expiresAt", Value::from(milliseconds));
    }

    fn token(&self, name: &str) -> Option<&str> {
        self.fields.get("tokens")?.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Writes one field of `tokens`, which becomes an object if it is none.
    fn set_token(&mut self, name: &str, text: &str) {
        let tokens = self.fields.entry("tokens").or_insert(Value::Null);
        if !tokens.is_object() {
            *tokens = Value::Object(Map::new());
        }
        if let Some(tokens) = tokens.as_object_mut() {
            wipe_removed(tokens.insert(name.to_owned(), Value::from(text)));
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        wipe_removed(self.fields.insert(name.to_owned(), value));
    }

    fn set_last_refresh(&mut self, now: u64) {
        let date = i64::try_from(now).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok());
        if let Some(text) = date.and_then(|date| date.format(&Rfc3339).ok()) {
            self.set("last_refresh", Value::from(text));
        }
    }

    /// `expiresAt`, at the top or beside the tokens.
    fn stated_expiry_ms(&self) -> Option<u64> {
        let tokens = self.fields.get("tokens").and_then(Value::as_object);
        let stated = [Some(&self.fields), tokens].into_iter().flatten().find_map(|object| object.get("expiresAt"));
        stated.and_then(Value::as_u64)
    }

    fn implied_expiry(&self) -> Option<u64> {
        let text = self.fields.get("last_refresh")?.as_str()?;
        let date = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(u64::try_from(date.unix_timestamp()).ok()?.saturating_add(TRUSTED_WITHOUT_EXPIRY))
    }

    /// A new access token makes an old statement false.
    fn forget_stated_expiry(&mut self) {
        self.fields.shift_remove("expiresAt");
        if let Some(tokens) = self.fields.get_mut("tokens").and_then(Value::as_object_mut) {
            tokens.shift_remove("expiresAt");
        }
    }

    fn other_content(&self) -> &'static str {
        let has = |name: &str| self.fields.get(name).is_some_and(|value| !value.is_null());
        if has("personal_access_token") {
            "a personal access token"
        } else if has("agent_identity") {
            "an agent identity"
        } else if has("bedrock_api_key") {
            "an Amazon Bedrock key"
        } else if has("OPENAI_API_KEY") {
            "an OpenAI API key"
        } else {
            "no tokens"
        }
    }
}

impl Login {
    /// Whether the access token has expired at `now` (Unix seconds).
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Whether the access token has less than 60 minutes left at `now` (Unix seconds).
    pub fn needs_refresh_soon(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at < now.saturating_add(REFRESH_MARGIN))
    }
}

impl Malformed {
    /// `serde_json`'s own text ends with the place, which is said separately here.
    fn from_json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
        Self { line: error.line(), column: error.column(), reason }
    }
}

impl fmt::Debug for AuthDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.fields.keys()).finish()
    }
}

impl Drop for AuthDocument {
    fn drop(&mut self) {
        for value in self.fields.values_mut() {
            wipe(value);
        }
    }
}

fn wipe_removed(value: Option<Value>) {
    if let Some(mut value) = value {
        wipe(&mut value);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where the user named through the admin API is kept.
const USER_ID: &str = "userID";
/// How long a token without any `exp` is trusted after `last_refresh`, in seconds: the Codex CLI's eight days.
const TRUSTED_WITHOUT_EXPIRY: u64 = 8 * 24 * 60 * 60;
/// How long before its end an access token is renewed, in seconds.
const REFRESH_MARGIN: u64 = 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> AuthDocument {
        AuthDocument::parse(text).unwrap()
    }

    fn jwt(account: &str) -> String {
        use base64::Engine as _;
        let payload =
            format!(r#"{{"exp":9999999999,"https://api.openai.com/auth":{{"chatgpt_account_id":"{account}"}}}}"#);
        format!("e30.{}.s", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn tokens_decide_and_not_the_mode_or_a_key() {
        for mode in ["chatgpt", "apikey", "chatgptAuthTokens", "new-mode"] {
            let text = format!(
                r#"{{"auth_mode":"{mode}","OPENAI_API_KEY":"sk-1","agent_identity":"x","tokens":{{"access_token":"t","account_id":"acc"}}}}"#
            );
            assert_eq!(document(&text).login().unwrap().access.account_id, "acc");
        }
        for tokens in ["null", "{}", "[]", "7", r#"{"access_token":""}"#] {
            let text = format!(r#"{{"OPENAI_API_KEY":"sk-1","tokens":{tokens}}}"#);
            assert_eq!(document(&text).login(), Err(Unusable::NoTokens("an OpenAI API key")), "{tokens}");
        }
    }

    #[test]
    fn the_account_is_the_stated_one_then_the_claims() {
        let account =
            |tokens: &str| document(&format!(r#"{{"tokens":{tokens}}}"#)).login().map(|login| login.access.account_id);
        let (id, access) = (jwt("of-id"), jwt("of-access"));
        let all = format!(r#"{{"id_token":"{id}","access_token":"{access}","account_id":"stated"}}"#);
        assert_eq!(account(&all).unwrap(), "stated");
        let null = format!(r#"{{"id_token":"{id}","access_token":"{access}","account_id":null}}"#);
        assert_eq!(account(&null).unwrap(), "of-id");
        assert_eq!(account(&format!(r#"{{"id_token":"no jwt","access_token":"{access}"}}"#)).unwrap(), "of-access");
        assert_eq!(account(r#"{"access_token":"opaque"}"#), Err(Unusable::NoAccount));
    }

    #[test]
    fn an_empty_refresh_token_is_none() {
        let text = r#"{"tokens":{"access_token":"t","refresh_token":"","account_id":"a"}}"#;
        assert_eq!(document(text).login().unwrap().refresh_token, None);
    }

    #[test]
    fn a_refresh_makes_an_old_statement_false() {
        let mut document =
            document(r#"{"expiresAt":1000,"tokens":{"access_token":"t","account_id":"a","expiresAt":2}}"#);
        assert_eq!(document.login().unwrap().expires_at, Some(1));
        let tokens = TokenSet { access_token: Some(Secret::new("new")), expires_in: Some(60), ..TokenSet::default() };
        document.apply_refresh(&tokens, 1_000_000);
        assert_eq!(document.login().unwrap().expires_at, Some(1_000_060));
    }

    #[test]
    fn debug_output_names_fields_and_shows_no_value() {
        let text = format!("{:?}", document(r#"{"tokens":{"access_token":"canary"},"OPENAI_API_KEY":"canary"}"#));
        assert_eq!(text, r#"{"tokens", "OPENAI_API_KEY"}"#);
    }

    #[test]
    fn what_is_no_object_says_where() {
        let error = AuthDocument::parse("{\n \"a\": canary}").unwrap_err();
        assert_eq!((error.line, error.reason.contains("canary")), (2, false));
        assert!(AuthDocument::parse("[]").is_err());
        assert!(AuthDocument::parse("").is_err());
    }

    #[test]
    fn what_is_there_instead_of_tokens_is_named() {
        for (text, found) in [
            (r#"{"personal_access_token":"p","OPENAI_API_KEY":"k"}"#, "a personal access token"),
            (r#"{"agent_identity":{}}"#, "an agent identity"),
            (r#"{"bedrock_api_key":"b"}"#, "an Amazon Bedrock key"),
            (r#"{"OPENAI_API_KEY":null,"bedrock_api_key":null}"#, "no tokens"),
        ] {
            assert_eq!(document(text).login(), Err(Unusable::NoTokens(found)), "{text}");
        }
    }

    #[test]
    fn a_token_may_be_set_where_tokens_is_no_object() {
        let mut document = document(r#"{"tokens":[1],"kept":true}"#);
        document.set_account_id("acc");
        assert_eq!(*document.to_text(), "{\n  \"tokens\": {\n    \"account_id\": \"acc\"\n  },\n  \"kept\": true\n}\n");
    }

    #[test]
    fn a_new_document_is_what_the_codex_cli_would_write() {
        let tokens = TokenSet {
            id_token: Some(Secret::new(jwt("of-id"))),
            access_token: Some(Secret::new("opaque")),
            refresh_token: Some(Secret::new("r")),
            expires_in: None,
        };
        let document = AuthDocument::from_sign_in(&tokens, 0);
        let login = document.login().unwrap();
        assert_eq!((login.access.account_id.as_str(), login.refresh_token), ("of-id", Some(Secret::new("r"))));
        let text = document.to_text();
        for part in
            [r#""auth_mode": "chatgpt""#, r#""OPENAI_API_KEY": null"#, r#""last_refresh": "1970-01-01T00:00:00Z""#]
        {
            assert!(text.contains(part), "{part} is not in {}", *text);
        }
    }
}
