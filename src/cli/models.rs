//! `models`: the account's models and their efforts, or the built-in table without a login.
//!
//! * For people the models that answer come first, and the retired ones last, with their successors. `--json` is the list of
//!   `/v1/models`, in its order.

use std::io::Write;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::cli::config::Config;
use crate::cli::config::args::Format;
use crate::cli::error::CliError;
use crate::cli::serve::{CONNECT_TIMEOUT, issuer};
use crate::credentials::{TokenSupplier, open_store};
use crate::models::Models;
use crate::models::effort::Effort;
use crate::models::entry::Entry;
use crate::platform::HttpClient;
use crate::upstream::Upstream;

/// Writes every listed model.
pub(super) async fn list(config: &Config, format: Format, output: &mut impl Write) -> Result<(), CliError> {
    let models = known(config).await?;
    if format.json {
        let list = serde_json::json!({ "object": "list", "data": models.list() });
        let text = serde_json::to_string_pretty(&list).map_err(|error| CliError::Internal(error.to_string()))?;
        writeln!(output, "{text}")?;
        return Ok(());
    }
    if models.live().is_empty() {
        writeln!(output, "The built-in list, until the account's own is known:\n")?;
    }
    let names = models.names_for_people();
    let retired = retired(&models, &names);
    let width = |names: &[String]| names.iter().map(String::len).max().unwrap_or_default();
    let (width, retired_width) = (width(&names), width(&retired));
    let entries: Vec<_> = names.iter().filter_map(|name| models.find(name)).collect();
    writeln!(output, "{:width$}  {:>7}  efforts (* by default)", "model", "context")?;
    for entry in &entries {
        let context = format!("{}k", entry.context_window / 1000);
        writeln!(output, "{:width$}  {context:>7}  {}", entry.id, efforts(entry))?;
    }
    if let Some(example) = entries.iter().find_map(with_effort) {
        writeln!(output, "\nA name may end in an effort: {example}")?;
    }
    if !retired.is_empty() {
        writeln!(output, "\nRetired, with their successors:")?;
    }
    for name in &retired {
        writeln!(output, "{name:retired_width$}  {}", models.upgrade_of(name).as_deref().unwrap_or("-"))?;
    }
    Ok(())
}

/// The efforts of a model, with a star behind its default.
fn efforts(entry: &Entry) -> String {
    let default = entry.default_reasoning_effort;
    let mark = |effort: &Effort| format!("{effort}{}", if Some(*effort) == default { "*" } else { "" });
    entry.supported_reasoning_efforts.iter().map(mark).collect::<Vec<_>>().join(" ")
}

/// The listed models beside those of `names`.
fn retired(models: &Models, names: &[String]) -> Vec<String> {
    let entries = models.list();
    let retired = entries.iter().filter(|entry| !is_variant(entry, &entries) && !names.contains(&entry.id));
    retired.map(|entry| entry.id.clone()).collect()
}

/// What the backend lists; where it cannot be asked, what it listed last.
pub(super) async fn known(config: &Config) -> Result<Arc<Models>, CliError> {
    let client = HttpClient::new(CONNECT_TIMEOUT)?;
    let store = open_store(&config.store, &config.environment);
    let supplier = TokenSupplier::new(store, issuer(config, &client));
    let models = Arc::new(config.models());
    let upstream = Upstream::new(config.upstream.clone(), client, supplier.clone(), models.clone(), |_| ());
    let mut catalogue = Catalogue::new(upstream, models);
    if let Some(cache) = config.catalogue_cache.clone() {
        catalogue = catalogue.with_cache(Box::new(cache));
    }
    let outcome = catalogue.refresh().await;
    // A renewed token exists nowhere else until it is stored.
    supplier.stop().await;
    match outcome {
        Err(error) if error.is_no_login() => return Ok(Arc::new(config.models())),
        Err(error) => tracing::warn!("{error}; listing the models known so far"),
        Ok(()) => {}
    }
    Ok(catalogue.models().clone())
}

/// Returns whether an entry only adds an effort to another's name.
fn is_variant(entry: &Entry, entries: &[Entry]) -> bool {
    let Some((stem, word)) = entry.id.rsplit_once('-') else { return false };
    let base = entries.iter().find(|base| base.id == stem);
    base.is_some_and(|base| base.supported_reasoning_efforts.iter().any(|effort| effort.as_str() == word))
}

/// The name of a model with its usual effort, or with its highest where it has none.
fn with_effort(entry: &Entry) -> Option<String> {
    let effort = entry.default_reasoning_effort.or_else(|| entry.supported_reasoning_efforts.last().copied())?;
    Some(format!("{}-{effort}", entry.id))
}
