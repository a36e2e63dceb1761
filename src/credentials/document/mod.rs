//! The `auth.json` document, shared with the Codex CLI.
//!
//! * The document is edited as JSON, never through a struct: an unknown field keeps its text, to the last digit of its
//!   numbers, and its position.
//! * [`AuthDocument::login`] interprets the document: `tokens` decide, not `auth_mode` and not whether `OPENAI_API_KEY`
//!   has a value (a browser login stores a platform key beside its tokens).
//! * The access token's expiry is `expiresAt` (ms), else its own `exp`, else eight days after `last_refresh`. A refresh
//!   removes `expiresAt`, which describes the previous token.
//! * Dropped documents are wiped, and `Debug` shows field names only.

mod fields;

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::credentials::Access;
use crate::credentials::document::fields::Fields;
use crate::oauth::TokenSet;
use crate::oauth::claims::Claims;
use crate::secret::Secret;

/// One login document.
#[derive(Clone, Default, PartialEq)]
pub struct AuthDocument {
    fields: Fields,
}

/// A syntax error in a login document, with its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Malformed {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1; 0 at the end of the text.
    pub column: usize,
    /// The problem. Never quotes a value.
    pub reason: String,
}

/// The login in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The credentials of a call to the backend.
    pub access: Access,
    /// The single-use token that renews the login; `None` if the login cannot be renewed.
    pub refresh_token: Option<Secret>,
    /// The access token's expiry in Unix seconds; `None` if unknown.
    pub expires_at: Option<u64>,
    /// The document's `expiresAt`, in Unix milliseconds.
    pub stated_expiry_ms: Option<u64>,
    /// The user's mail address.
    pub email: Option<String>,
    /// The user's id.
    pub user_id: Option<String>,
    /// The plan in the issuer's spelling.
    pub plan: Option<String>,
}

/// Why a well-formed document is no usable login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// The document has no ChatGPT tokens. Names the credentials it has instead.
    NoTokens(&'static str),
    /// Neither a field nor a claim names the account.
    NoAccount,
}

impl AuthDocument {
    /// Parses a document.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let fields = Fields::parse(text).map_err(|error| Malformed::from_json(&error))?;
        Ok(Self { fields })
    }

    /// Creates the document of a sign-in completed at `now` (Unix seconds).
    pub fn from_sign_in(tokens: &TokenSet, now: u64) -> Self {
        let mut document = Self::default();
        document.replace_login(tokens, now);
        document
    }

    /// Creates a document with an access token alone, for example from the environment.
    pub fn from_access_token(token: &str, account_id: Option<&str>) -> Self {
        let mut document = Self::default();
        document.set_token("access_token", token);
        if let Some(account_id) = account_id {
            document.set_account_id(account_id);
        }
        document
    }

    /// Formats the document for storage: one line per field, in order, with a final newline.
    pub fn to_text(&self) -> zeroize::Zeroizing<String> {
        self.fields.to_text()
    }

    /// Interprets the document as a login.
    pub fn login(&self) -> Result<Login, Unusable> {
        let tokens = self.fields.object(TOKENS).unwrap_or_default();
        let stated = |name: &str| tokens.text(name).filter(|text| !text.is_empty());
        let token = stated("access_token").map(Secret::new);
        let token = token.ok_or_else(|| Unusable::NoTokens(self.other_content()))?;
        let claims = Claims::of(token.expose());
        let id_token = stated("id_token").map(Secret::new);
        let id_claims = id_token.map(|token| Claims::of(token.expose())).unwrap_or_default();
        let account_id =
            stated("account_id").or(id_claims.account_id).or(claims.account_id).ok_or(Unusable::NoAccount)?;
        let states_expiry = if self.fields.has(EXPIRES_AT) { &self.fields } else { &tokens };
        let stated_expiry_ms = states_expiry.unsigned(EXPIRES_AT);
        Ok(Login {
            access: Access { token, account_id, fedramp: id_claims.fedramp || claims.fedramp },
            refresh_token: stated("refresh_token").map(Secret::new),
            expires_at: stated_expiry_ms
                .map(|milliseconds| milliseconds / 1000)
                .or(claims.expires_at)
                .or_else(|| self.implied_expiry()),
            stated_expiry_ms,
            email: id_claims.email.or(claims.email),
            user_id: self.fields.text(USER_ID).or(id_claims.user_id).or(claims.user_id),
            plan: id_claims.plan.or(claims.plan),
        })
    }

    /// Applies the tokens of a refresh at `now` (Unix seconds); absent ones stay as they are.
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
        // It is the age of the access token, and may be its only expiry.
        if tokens.access_token.is_some() {
            self.set_last_refresh(now);
        }
    }

    /// Replaces the login by a new sign-in; unrelated fields stay. Other fields beside the tokens, such as
    /// `login_owner_id`, stay only if the account is the same.
    pub fn replace_login(&mut self, tokens: &TokenSet, now: u64) {
        self.fields.set_text("auth_mode", "chatgpt");
        if !self.fields.has(API_KEY) {
            self.fields.set_null(API_KEY);
        }
        self.fields.remove(USER_ID);
        let mut kept = self.fields.object(TOKENS).unwrap_or_default();
        if self.owner().is(&Owner::of(tokens)) == Some(true) {
            KNOWN_TOKEN_FIELDS.iter().for_each(|name| kept.remove(name));
        } else {
            kept = Fields::default();
        }
        self.fields.set_object(TOKENS, &kept);
        self.apply_refresh(tokens, now);
        let claims = [&tokens.id_token, &tokens.access_token].into_iter().flatten();
        if let Some(account_id) = claims.filter_map(|token| Claims::of(token.expose()).account_id).next() {
            self.set_account_id(&account_id);
        }
    }

    /// Returns whether the claims of `tokens` name another account or user.
    pub fn is_another_owners(&self, tokens: &TokenSet) -> bool {
        self.owner().is(&Owner::of(tokens)) == Some(false)
    }

    fn owner(&self) -> Owner {
        let tokens = self.fields.object(TOKENS).unwrap_or_default();
        let token = |name: &str| tokens.text(name).map(Secret::new);
        let mut owner = Owner::named_by([token("id_token"), token("access_token")].iter().flatten());
        // A stated account alone may be made up: the admin API takes the user's id for one.
        if !owner.accounts.is_empty() {
            owner.accounts.extend(tokens.text("account_id"));
        }
        owner
    }

    /// Returns every token of the document.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let tokens = self.fields.object(TOKENS).unwrap_or_default();
        let names = ["access_token", "refresh_token", "id_token"];
        names.into_iter().filter_map(|name| tokens.text(name)).map(Secret::new).collect()
    }

    /// Sets the account, which overrides the claims.
    pub fn set_account_id(&mut self, account_id: &str) {
        self.set_token("account_id", account_id);
    }

    /// Sets the user, which overrides the claims.
    pub fn set_user_id(&mut self, user_id: &str) {
        self.fields.set_text(USER_ID, user_id);
    }

    /// Sets the access token's expiry in Unix milliseconds.
    pub fn set_expiry(&mut self, milliseconds: u64) {
        self.fields.set_unsigned(EXPIRES_AT, milliseconds);
    }

    /// Sets one field of `tokens`, which is replaced if it is not an object.
    fn set_token(&mut self, name: &str, text: &str) {
        let mut tokens = self.fields.object(TOKENS).unwrap_or_default();
        tokens.set_text(name, text);
        self.fields.set_object(TOKENS, &tokens);
    }

    fn set_last_refresh(&mut self, now: u64) {
        let date = i64::try_from(now).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok());
        if let Some(text) = date.and_then(|date| date.format(&Rfc3339).ok()) {
            self.fields.set_text(LAST_REFRESH, &text);
        }
    }

    fn implied_expiry(&self) -> Option<u64> {
        let text = self.fields.text(LAST_REFRESH)?;
        let date = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
        Some(u64::try_from(date.unix_timestamp()).ok()?.saturating_add(TRUSTED_WITHOUT_EXPIRY))
    }

    /// Removes the expiry of the previous access token.
    fn forget_stated_expiry(&mut self) {
        self.fields.remove(EXPIRES_AT);
        if let Some(mut tokens) = self.fields.object(TOKENS) {
            tokens.remove(EXPIRES_AT);
            self.fields.set_object(TOKENS, &tokens);
        }
    }

    fn other_content(&self) -> &'static str {
        let has = |name: &str| self.fields.holds(name);
        let is_workload = |text: &str| text.starts_with("wif_") || text.to_ascii_lowercase().contains("workload");
        if self.fields.names().any(is_workload) || self.fields.text("auth_mode").is_some_and(|mode| is_workload(&mode))
        {
            "a workload identity"
        } else if has("personal_access_token") {
            "a personal access token"
        } else if has("agent_identity") {
            "an agent identity"
        } else if has("bedrock_api_key") {
            "an Amazon Bedrock key"
        } else if has(API_KEY) {
            "an OpenAI API key"
        } else {
            "no tokens"
        }
    }
}

impl Login {
    /// Returns whether the access token has expired at `now` (Unix seconds).
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Returns whether the access token expires within 60 minutes of `now` (Unix seconds).
    pub fn needs_refresh_soon(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at < now.saturating_add(REFRESH_MARGIN))
    }
}

/// The account and user that the claims of tokens name.
struct Owner {
    accounts: Vec<String>,
    users: Vec<String>,
}

impl Owner {
    fn of(tokens: &TokenSet) -> Self {
        Self::named_by([&tokens.id_token, &tokens.access_token].into_iter().flatten())
    }

    fn named_by<'t>(tokens: impl Iterator<Item = &'t Secret>) -> Self {
        let (accounts, users): (Vec<_>, Vec<_>) =
            tokens.map(|token| Claims::of(token.expose())).map(|claims| (claims.account_id, claims.user_id)).unzip();
        Self { accounts: accounts.into_iter().flatten().collect(), users: users.into_iter().flatten().collect() }
    }

    /// Returns whether both are the same person in the same account; `None` if the claims do not tell.
    fn is(&self, other: &Self) -> Option<bool> {
        let same = |left: &[String], right: &[String]| {
            (!left.is_empty() && !right.is_empty()).then(|| right.iter().any(|name| left.contains(name)))
        };
        match (same(&self.accounts, &other.accounts), same(&self.users, &other.users)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (account, _) => account,
        }
    }
}

impl Malformed {
    /// `serde_json` appends the position, which has its own fields here, and quotes a value of the wrong type.
    fn from_json(error: &serde_json::Error) -> Self {
        if error.is_data() {
            return Self { line: 1, column: 1, reason: "expected a JSON object".to_owned() };
        }
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
        Self { line: error.line(), column: error.column(), reason }
    }
}

impl fmt::Debug for AuthDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.fields.names()).finish()
    }
}

const TOKENS: &str = "tokens";
const API_KEY: &str = "OPENAI_API_KEY";
const EXPIRES_AT: &str = "expiresAt";
const LAST_REFRESH: &str = "last_refresh";
/// The fields of `tokens` that a sign-in rewrites.
const KNOWN_TOKEN_FIELDS: [&str; 5] = ["id_token", "access_token", "refresh_token", "account_id", EXPIRES_AT];
/// The field of the user set through the admin API.
const USER_ID: &str = "userID";
/// The lifetime of a token without `exp` after `last_refresh`, in seconds: the Codex CLI's eight days.
pub(super) const TRUSTED_WITHOUT_EXPIRY: u64 = 8 * 24 * 60 * 60;
/// An access token is renewed this many seconds before it expires.
pub(super) const REFRESH_MARGIN: u64 = 60 * 60;

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
    fn what_stands_beside_the_tokens_belongs_to_their_account() {
        let sign_in = |account: &str| TokenSet { access_token: Some(Secret::new(jwt(account))), ..TokenSet::default() };
        let text = format!(
            r#"{{"theirs":1,"tokens":{{"access_token":"{}","account_id":"a","expiresAt":7,"login_owner_id":"o","oauth_provenance":{{"n":1.50}}}}}}"#,
            jwt("a")
        );
        let mut same = document(&text);
        same.replace_login(&sign_in("a"), 0);
        let kept = same.to_text();
        assert!(kept.contains(r#""login_owner_id": "o""#) && kept.contains(r#"{"n":1.50}"#), "{}", *kept);
        assert!(!kept.contains("expiresAt") && kept.contains("theirs"), "{}", *kept);
        for other in [sign_in("b"), TokenSet { access_token: Some(Secret::new("opaque")), ..TokenSet::default() }] {
            let mut changed = document(&text);
            changed.replace_login(&other, 0);
            let text = changed.to_text();
            assert!(!text.contains("login_owner_id") && !text.contains("oauth_provenance"), "{}", *text);
            assert!(text.contains("theirs"), "{}", *text);
        }
        let mut refreshed = document(&text);
        refreshed.apply_refresh(&sign_in("a"), 0);
        assert!(refreshed.to_text().contains(r#"{"n":1.50}"#));
    }

    #[test]
    fn tokens_of_another_account_are_told_from_those_that_say_nothing() {
        let tokens = |token: &str| TokenSet { access_token: Some(Secret::new(token)), ..TokenSet::default() };
        let named = document(&format!(r#"{{"tokens":{{"access_token":"{}","account_id":"stated"}}}}"#, jwt("a")));
        for (token, expected) in [(jwt("a"), false), (jwt("stated"), false), (jwt("b"), true), ("t".to_owned(), false)]
        {
            assert_eq!(named.is_another_owners(&tokens(&token)), expected, "{token}");
        }
        let opaque = document(r#"{"tokens":{"access_token":"t","account_id":"user-1"}}"#);
        assert!(!opaque.is_another_owners(&tokens(&jwt("a"))));
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
        for text in ["[]", "\"canary\"", "7", "null"] {
            assert_eq!(AuthDocument::parse(text).unwrap_err().reason, "expected a JSON object", "{text}");
        }
        assert!(AuthDocument::parse("").is_err());
        assert!(AuthDocument::parse(r#"{"a":1} canary"#).is_err());
    }

    #[test]
    fn what_is_there_instead_of_tokens_is_named() {
        for (text, found) in [
            (r#"{"personal_access_token":"p","OPENAI_API_KEY":"k"}"#, "a personal access token"),
            (r#"{"agent_identity":{}}"#, "an agent identity"),
            (r#"{"auth_mode":"workloadIdentity","OPENAI_API_KEY":null}"#, "a workload identity"),
            (r#"{"wif_context":{}}"#, "a workload identity"),
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
