//! Unsigned JSON Web Tokens: three well-formed segments with the real issuer's claims.
//!
//! * The backend's clients decode the middle segment and never verify the signature, so `alg` is `none` and the last
//!   segment declares the simulation.
//! * A `jti` makes every token unique, even within one second.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::account::Account;

/// Returns the claims that both kinds of token share. `expires_at` is in Unix seconds.
pub(super) fn claims(account: &Account, issued_at: i64, expires_at: i64, token_id: &str) -> Value {
    json!({
        "iss": "https://auth.openai.com",
        "iat": issued_at,
        "exp": expires_at,
        "jti": token_id,
        "simulation": true,
        "email": account.email,
        "https://api.openai.com/profile": { "email": account.email, "email_verified": true },
        "https://api.openai.com/auth": {
            "chatgpt_account_id": account.account_id,
            "chatgpt_plan_type": account.plan,
            "chatgpt_user_id": account.user_id,
            "user_id": account.user_id,
            "chatgpt_account_is_fedramp": account.fedramp,
            "organization_id": "org-simulated",
            "project_id": "proj_simulated",
            "completed_platform_onboarding": true,
            "is_org_owner": false,
        },
    })
}

/// Encodes `claims` as a token for `audience`.
pub(super) fn encode(mut claims: Value, audience: &str) -> String {
    claims["aud"] = json!([audience]);
    let header = json!({ "alg": "none", "typ": "JWT" });
    let segment = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", segment(&header), segment(&claims), URL_SAFE_NO_PAD.encode("simulated"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_segment_decodes_to_the_claims() {
        let token = encode(claims(&Account::default(), 10, 20, "t1"), "app_x");
        let segments: Vec<&str> = token.split('.').collect();
        assert_eq!(segments.len(), 3);
        let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segments[1]).unwrap()).unwrap();
        assert_eq!(decoded["exp"], 20);
        assert_eq!(decoded["https://api.openai.com/auth"]["chatgpt_plan_type"], "plus");
    }
}
