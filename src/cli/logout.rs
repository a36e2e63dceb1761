//! `logout`: removes the login from its store.
//!
//! * The login stays valid at the issuer, because another program may share it; `--revoke` revokes it.
//! * Revocation is tried once, and its failure does not keep the login here.

use std::io::Write;

use crate::cli::login::{CredentialContext, LoginError};
use crate::credentials::AuthDocument;
use crate::oauth::IssuerError;

/// The options of [`logout`].
#[derive(Debug, Clone, Copy, Default)]
pub struct LogoutOptions {
    /// Whether to revoke the login at the issuer.
    pub revoke: bool,
    /// Whether the next start imports the Codex CLI's login into an empty store.
    pub imports: bool,
}

/// Removes the login.
pub async fn logout(
    options: LogoutOptions,
    context: &CredentialContext,
    output: &mut (dyn Write + Send),
) -> Result<(), LoginError> {
    let store = &context.store;
    let place = store.place();
    if store.read().await?.is_none() {
        writeln!(output, "There is no login in {place}.")?;
        return Ok(());
    }
    let lock = store.lock().await?;
    // Read under the lock, so that the removed login is the revoked one.
    let document = store.read().await?;
    let mut stays_valid = true;
    if let Some(document) = document.filter(|_| options.revoke) {
        match revoke(context, &document).await {
            Ok(()) => {
                stays_valid = false;
                writeln!(output, "✅ The login is revoked, for every program that shares it.")?;
            }
            Err(error) => writeln!(output, "⚠️ The login could not be revoked: {error}.")?,
        }
    }
    store.delete(&lock).await?;
    writeln!(output, "✅ The login is removed from {place}.")?;
    if store.reads_cheaply() {
        writeln!(output, "A running codex-proxy stops using it within a few seconds.")?;
    } else {
        writeln!(output, "A running codex-proxy goes on using it until its access token ends; stop it too.")?;
    }
    if stays_valid {
        writeln!(output, "Its tokens stay valid at the issuer until they run out; only --revoke ends them there.")?;
    }
    if options.imports {
        writeln!(
            output,
            "With the same --creds-store the next start copies the Codex CLI's login, where there is one."
        )?;
    }
    Ok(())
}

async fn revoke(context: &CredentialContext, document: &AuthDocument) -> Result<(), IssuerError> {
    let Ok(login) = document.login() else {
        return Err(IssuerError::Invalid("there is no token to revoke".into()));
    };
    match login.refresh_token {
        Some(refresh_token) => context.oauth.revoke_refresh_token(&refresh_token).await,
        None => context.oauth.revoke_access_token(&login.access.token).await,
    }
}
