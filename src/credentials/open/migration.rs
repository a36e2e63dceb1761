//! The first launch copies another tool's login and makes the copy independent.
//!
//! * Sources are tried in order; the first usable login is copied. Sources are never written.
//! * A store with a document, even a broken one, is left as it is.
//! * If the store cannot be read or cannot take the copy, the source itself is used, so that a refresh is stored where
//!   it came from.
//! * Every step logs one line that begins with a mark: 🔍 looking (at DEBUG), 📄 reading, 💾 writing, 🔄 renewing,
//!   ✅ done, ⚠️ a warning, ❌ an error.

use std::sync::Arc;

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::{Place, StoreName};
use crate::credentials::store::CredentialStore;
use crate::credentials::supplier::TokenSupplier;

#[derive(Debug)]
pub(super) enum Outcome {
    /// The store had a document, or no source had a login.
    AsItWas,
    Imported,
    /// The store cannot take a copy; this is the source.
    Fallback(Arc<dyn CredentialStore>),
}

/// Copies the first usable login of `sources` into `target` if that is empty.
pub(super) async fn import(target: &dyn CredentialStore, sources: &[Arc<dyn CredentialStore>]) -> Outcome {
    let place = target.place();
    tracing::debug!("🔍 Checking for credentials in {place}");
    let can_be_written = match target.read().await {
        Ok(Some(_)) => {
            tracing::info!("✅ Using the credentials in {place}");
            return Outcome::AsItWas;
        }
        Ok(None) => true,
        Err(error) => {
            tracing::error!("❌ {error}");
            if !matches!(error, CredentialError::Unreadable { .. }) {
                return Outcome::AsItWas;
            }
            false
        }
    };
    let Some((source, document)) = first_usable(sources).await else {
        tracing::warn!("⚠️ No credentials found: {}", place.store.remedy());
        return Outcome::AsItWas;
    };
    if !can_be_written {
        return fall_back(source);
    }
    match copy(target, &document).await {
        Ok(true) => {
            tracing::info!("✅ Copied the credentials to {place}; {} is unchanged", source.place());
            Outcome::Imported
        }
        Ok(false) => {
            tracing::info!("✅ Another process has put credentials in {place}; using them");
            Outcome::AsItWas
        }
        Err(error) => {
            tracing::error!("❌ Migration failed: {error}");
            fall_back(source)
        }
    }
}

fn fall_back(source: Arc<dyn CredentialStore>) -> Outcome {
    tracing::warn!("⚠️ Continuing with the existing credentials in {}", source.place());
    Outcome::Fallback(source)
}

/// Renews an imported login, so that it no longer depends on the other tool, whose refresh token this uses up. A
/// failure is only a warning: the copied access token still works.
pub(super) async fn make_independent(supplier: &TokenSupplier) {
    tracing::info!("🔄 Refreshing the token to get a login of our own");
    match supplier.renew_now().await {
        Ok(_) => {
            tracing::info!("✅ The login in {} is independent now", supplier.place());
            tracing::warn!("⚠️ {IMPORT_COST}");
        }
        Err(error) => tracing::warn!("⚠️ Token refresh failed: {error}; continuing with the copied credentials"),
    }
}

/// Warns that both tools share one refresh token.
pub(super) fn warn_of_sharing(supplier: &TokenSupplier) {
    tracing::warn!(
        "⚠️ The refresh token in {} is the Codex CLI's too, and works once: whichever renews first, the other will have to \
         sign in again",
        supplier.place()
    );
}

/// A refresh token works once, and the copied one is also the Codex CLI's.
const IMPORT_COST: &str = "That used up the refresh token that the Codex CLI still holds: the Codex CLI will have to sign in \
                           again (`codex login`) when its token ends. To avoid this, give this proxy a login of its own with \
                           `codex-proxy login` before its first start, or share one with --creds-store legacy";

async fn first_usable(sources: &[Arc<dyn CredentialStore>]) -> Option<(Arc<dyn CredentialStore>, AuthDocument)> {
    for source in sources {
        let place = source.place();
        tracing::debug!("🔍 Checking for credentials in {place}");
        match usable(source.as_ref()).await {
            Ok(document) => {
                tracing::info!("📄 Reading the credentials from {place}");
                return Some((Arc::clone(source), document));
            }
            Err(CredentialError::Missing { .. }) => {}
            Err(error @ CredentialError::Broken { .. }) => tracing::error!("❌ {error}"),
            Err(error) if is_out_of_reach(&place) => tracing::debug!("{error}"),
            Err(error) => tracing::warn!("⚠️ {error}"),
        }
    }
    None
}

/// Returns whether `place` is a keychain that this session cannot have: the Secret Service is on the session's bus, which
/// machines without a desktop do not start.
fn is_out_of_reach(place: &Place) -> bool {
    let has_bus = cfg!(any(windows, target_os = "macos")) || std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some();
    place.store == StoreName::Keychain && !has_bus
}

async fn usable(source: &dyn CredentialStore) -> Result<AuthDocument, CredentialError> {
    let place = source.place();
    let document = source.read().await?.ok_or_else(|| CredentialError::Missing { place: place.clone() })?;
    match document.login() {
        Ok(_) => Ok(document),
        Err(unusable) => Err(CredentialError::unusable(place, &unusable)),
    }
}

/// Returns `false` if another process stored a document first.
async fn copy(target: &dyn CredentialStore, document: &AuthDocument) -> Result<bool, CredentialError> {
    let lock = target.lock().await?;
    if target.read().await?.is_some() {
        return Ok(false);
    }
    tracing::info!("💾 Writing the credentials to {}", target.place());
    target.write(document, &lock).await?;
    Ok(true)
}
