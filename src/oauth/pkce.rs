//! A browser sign-in with PKCE, from the address that the browser opens to the authorization code.
//!
//! * `state` ties the callback to this sign-in, the verifier ties the code to this program; both come from the system's
//!   random source and exist only here.
//! * Spaces in the address are `%20`: the issuer reads a `+` as part of a scope.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::oauth::CLIENT_ID;
use crate::oauth::client::AuthorizationCode;
use crate::secret::Secret;

/// A sign-in that waits for the browser.
#[derive(Debug, Clone)]
pub struct SignIn {
    state: Secret,
    verifier: Secret,
    redirect_uri: String,
}

/// The reason that a sign-in gave no usable code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The system's random source failed.
    #[error("the system's random source failed")]
    NoRandomness,
    /// The callback belongs to another sign-in.
    #[error("this answer belongs to another sign-in: its state does not match")]
    WrongState,
    /// The callback has neither a code nor an error.
    #[error("the address has no code; paste the whole address from the browser")]
    NoCode,
    /// The issuer or the user refused.
    #[error("the sign-in was refused: {0}")]
    Refused(String),
    /// Another program's sign-in asked for the port.
    #[error("another program's sign-in has taken the port")]
    TakenOver,
}

impl SignIn {
    /// Begins a sign-in with its callback on `port` of this machine.
    pub fn begin(port: u16) -> Result<Self, SignInError> {
        Ok(Self {
            state: Secret::new(random_text::<32>()?),
            verifier: Secret::new(random_text::<64>()?),
            redirect_uri: format!("http://localhost:{port}/auth/callback"),
        })
    }

    /// Returns the address for the browser, at the issuer `issuer`.
    pub fn address(&self, issuer: &str, originator: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose().as_bytes()));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("id_token_add_organizations", "true")
            .append_pair("codex_cli_simplified_flow", "true")
            .append_pair("state", self.state.expose())
            .append_pair("originator", originator)
            .finish();
        // A plus sign in a value is written %2B, so every remaining `+` stands for a space.
        format!("{}/oauth/authorize?{}", issuer.trim_end_matches('/'), query.replace('+', "%20"))
    }

    /// Returns whether `query` holds this sign-in's state, compared in constant time.
    pub fn is_named_by(&self, query: &str) -> bool {
        let state = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "state");
        let state = state.map(|(_, state)| state).unwrap_or_default();
        state.as_bytes().ct_eq(self.state.expose().as_bytes()).into()
    }

    /// Reads the query of the redirect.
    pub fn accept(&self, query: &str) -> Result<AuthorizationCode, SignInError> {
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        if !self.is_named_by(query) {
            return Err(SignInError::WrongState);
        }
        if let Some(error) = field("error") {
            return Err(SignInError::Refused(refusal(&error, field("error_description").as_deref())));
        }
        let code = field("code").filter(|code| !code.is_empty()).ok_or(SignInError::NoCode)?;
        Ok(AuthorizationCode {
            code: Secret::new(code),
            verifier: self.verifier.clone(),
            redirect_uri: self.redirect_uri.clone(),
        })
    }

    /// Reads the redirect address that the user copied from the browser.
    pub fn accept_pasted(&self, pasted: &str) -> Result<AuthorizationCode, SignInError> {
        let pasted = pasted.trim();
        let query = pasted.split_once('?').map_or(pasted, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let has_fields = form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "state");
        if has_fields { self.accept(query) } else { Err(SignInError::NoCode) }
    }
}

fn refusal(error: &str, description: Option<&str>) -> String {
    let description = description.unwrap_or_default();
    if description.contains("missing_codex_entitlement") {
        return "this workspace does not include Codex; ask its administrator, or sign in with another one".to_owned();
    }
    if description.is_empty() { error.to_owned() } else { format!("{description} ({error})") }
}

fn random_text<const BYTES: usize>() -> Result<String, SignInError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| SignInError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

const SCOPE: &str = "openid profile email offline_access api.connectors.read api.connectors.invoke";

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in() -> SignIn {
        SignIn {
            state: Secret::new("st+te"),
            verifier: Secret::new("verifier"),
            redirect_uri: "http://localhost:1455/auth/callback".into(),
        }
    }

    #[test]
    fn the_address_has_every_parameter_and_no_plus() {
        assert_eq!(
            sign_in().address("https://auth.openai.com/", "codex-proxy"),
            "https://auth.openai.com/oauth/authorize?response_type=code&client_id=app_EMoamEEZ73f0CkXaXp7hrann\
             &redirect_uri=http%3A%2F%2Flocalhost%3A1455%2Fauth%2Fcallback\
             &scope=openid%20profile%20email%20offline_access%20api.connectors.read%20api.connectors.invoke\
             &code_challenge=iMnq5o6zALKXGivsnlom_0F5_WYda32GHkxlV7mq7hQ&code_challenge_method=S256\
             &id_token_add_organizations=true&codex_cli_simplified_flow=true&state=st%2Bte&originator=codex-proxy"
        );
    }

    #[test]
    fn two_sign_ins_differ() {
        let (one, two) = (SignIn::begin(1).unwrap(), SignIn::begin(1).unwrap());
        assert_ne!(one.state, two.state);
        assert_ne!(one.verifier, two.verifier);
        assert_eq!((one.state.expose().len(), one.verifier.expose().len()), (43, 86));
    }

    #[test]
    fn only_an_answer_with_our_state_counts() {
        let code = sign_in().accept("code=c%2B1&state=st%2Bte").unwrap();
        assert_eq!(code.code.expose(), "c+1");
        assert_eq!(sign_in().accept("code=c&state=other"), Err(SignInError::WrongState));
        assert_eq!(sign_in().accept("code=c"), Err(SignInError::WrongState));
        assert_eq!(sign_in().accept("state=st%2Bte"), Err(SignInError::NoCode));
        assert_eq!(sign_in().accept("error=access_denied&state=x"), Err(SignInError::WrongState));
    }

    #[test]
    fn a_refusal_is_explained() {
        let error = sign_in().accept("error=access_denied&error_description=missing_codex_entitlement&state=st%2Bte");
        assert!(error.unwrap_err().to_string().contains("does not include Codex"));
        let error = sign_in().accept("error=access_denied&error_description=No%20way&state=st%2Bte").unwrap_err();
        assert_eq!(error, SignInError::Refused("No way (access_denied)".to_owned()));
    }

    #[test]
    fn a_pasted_address_is_read_whole_or_from_its_query() {
        for pasted in [
            " http://localhost:1455/auth/callback?code=c&state=st%2Bte \n",
            "code=c&state=st%2Bte",
            "?code=c&state=st%2Bte#fragment",
        ] {
            assert_eq!(sign_in().accept_pasted(pasted).unwrap().code.expose(), "c", "{pasted}");
        }
        assert_eq!(sign_in().accept_pasted("c"), Err(SignInError::NoCode));
        assert_eq!(sign_in().accept_pasted(""), Err(SignInError::NoCode));
    }
}
