//! `logout`: removes the login from its store.
//!
//! * The login stays valid at the issuer, because another program may share it; `--revoke` revokes it.
//! * Revocation is tried once. Its failure does not keep the login here, and is the command's.

use std::io::Write;

use crate::cli::login::{CredentialContext, LoginError, patiently};
use crate::credentials::Login;
use crate::oauth::IssuerError;

/// The options of [`logout`].
#[derive(Debug, Clone, Copy, Default)]
pub struct LogoutOptions {
    /// Whether to revoke the login at the issuer.
    pub revoke: bool,
    /// Whether the next start imports the Codex CLI's login into an empty store.
    pub imports: bool,
    /// Whether a server of this program uses the login.
    pub server: ServerSeen,
}

/// Whether a server of this program answered on the configured address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerSeen {
    /// Nobody was asked.
    #[default]
    Unknown,
    /// It answered.
    Running,
    /// Nothing answered.
    Absent,
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
    let lock = patiently(store.as_ref(), output).await?;
    // Read under the lock, so that the removed login is the revoked one.
    let document = store.read().await?;
    let login = document.filter(|_| options.revoke).map(|document| document.login());
    let revoked = match &login {
        Some(Ok(login)) => Some(revoke(context, login).await),
        Some(Err(_)) | None => None,
    };
    if let Some(Ok(())) = revoked {
        writeln!(output, "✅ The login is revoked, for every program that shares it.")?;
    }
    store.delete(&lock).await?;
    writeln!(output, "✅ The login is removed from {place}.")?;
    writeln!(output, "{}", server_note(options.server, store.reads_cheaply()))?;
    if let Some(Err(_)) = login {
        writeln!(output, "There was no token in it to revoke.")?;
    } else if revoked.is_none() {
        writeln!(output, "Its tokens stay valid at the issuer until they run out; only --revoke ends them there.")?;
    }
    if options.imports {
        writeln!(
            output,
            "With the same --creds-store the next start copies the Codex CLI's login, where there is one."
        )?;
    }
    revoked.unwrap_or(Ok(())).map_err(LoginError::NotRevoked)
}

/// Says what becomes of a running server, which notices a removal in stores that are read cheaply.
fn server_note(server: ServerSeen, notices_removal: bool) -> &'static str {
    match (server, notices_removal) {
        (ServerSeen::Absent, true) => {
            "No codex-proxy answers on the configured address; one elsewhere stops using it within a few seconds."
        }
        (ServerSeen::Absent, false) => {
            "No codex-proxy answers on the configured address; one elsewhere goes on using it until its token ends."
        }
        (ServerSeen::Unknown, true) => "A running codex-proxy stops using it within a few seconds.",
        (ServerSeen::Running, true) => "codex-proxy is running: it stops using the login within a few seconds.",
        (ServerSeen::Unknown, false) => {
            "A running codex-proxy goes on using it until its access token ends; stop it too."
        }
        (ServerSeen::Running, false) => {
            "codex-proxy is running: it goes on using the login until its access token ends; stop it too."
        }
    }
}

async fn revoke(context: &CredentialContext, login: &Login) -> Result<(), IssuerError> {
    match &login.refresh_token {
        Some(refresh_token) => context.oauth.revoke_refresh_token(refresh_token).await,
        None => context.oauth.revoke_access_token(&login.access.token).await,
    }
}
