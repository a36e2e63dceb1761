//! `setup`: what a tool has to be told, shown or written into its own settings.
//!
//! * [`tools`] is the table: files, snippets, starts. [`facts`] is what the table is filled with.
//! * Nothing is written unless asked for, and a key is written only with `--with-key`.
//! * [`edit`] changes a text and keeps the rest of it; [`apply`] does so with files; [`run`] needs none.

mod apply;
mod change;
mod claude_window;
mod edit;
mod facts;
mod guides;
#[cfg(all(test, target_os = "linux"))]
mod pages;
mod places;
pub(in crate::cli) mod run;
mod tool;
mod tools;

use std::io::Write;
use std::sync::Arc;

use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::cli::config::Config;
use crate::cli::config::args::SetupArguments;
use crate::cli::error::CliError;
use crate::cli::serve::{CONNECT_TIMEOUT, issuer};
use crate::cli::setup::apply::Outcome;
use crate::cli::setup::change::SettingsFile;
use crate::cli::setup::edit::Difference;
use crate::cli::setup::facts::{ClientKey, Facts, Running, YOUR_KEY};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Snippet, Tool};
use crate::cli::{models, variable};
use crate::credentials::{TokenSupplier, open_store};
use crate::models::Models;
use crate::platform::HttpClient;
use crate::upstream::Upstream;

pub(super) use facts::flags;
pub(super) use guides::guides;

/// Shows a tool's settings, writes them, or takes them out. What is doubtful about them goes to `notes`.
pub(super) async fn set_up(
    config: &Config,
    arguments: SetupArguments,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), CliError> {
    let Some(name) = arguments.tool.as_deref() else { return list(output) };
    let tool = find(name)?;
    let places = Places::new(&variable);
    if config.port == 0 {
        return Err(option("--port", "0 is any port; name the one that the proxy has"));
    }
    if arguments.with_key && config.client_key.is_none() {
        return Err(option(
            "--with-key",
            "no key is known here; name it in CODEX_PROXY_API_KEY or with --api-key-file",
        ));
    }
    let found = facts::running(config).await?;
    let models = match &found {
        Running::Yes(models) => models.clone(),
        _ if arguments.remove => last_known(config)?,
        Running::No | Running::Other | Running::Locked => models::known(config).await?,
    };
    let facts = Facts::new(config, facts::key(config, &found, arguments.with_key), &models);
    let names_models = tool.shown.names_a_model() || !(tool.files)(&facts, &places).is_empty();
    if let Some(doubt) = doubt(config, &found, names_models.then_some(&models)).filter(|_| !arguments.remove) {
        writeln!(notes, "⚠️ {doubt}")?;
    }
    if !arguments.write && !arguments.remove {
        return show(tool, &facts, &places, output);
    }
    change(config, tool, &facts, &places, arguments.write, output)
}

/// Returns a warning if no proxy answers at the configured address, or refuses the key: the settings then hold the built-in
/// list, or would not work. `models` are those of the settings, if they name any.
fn doubt(config: &Config, found: &Running, models: Option<&Models>) -> Option<String> {
    let place = facts::address(config);
    let so = match models {
        None => "",
        Some(models) if models.live().is_empty() => ", so these are the built-in models",
        Some(_) => ", so these are the models known without it",
    };
    match found {
        Running::Yes(_) => None,
        Running::No => {
            let again = if models.is_some() { "; run it again when one does" } else { " yet" };
            Some(format!("no proxy is running at {place}{so}{again}"))
        }
        Running::Other => Some(format!("another program answers at {place}{so}; name the proxy's port with --port")),
        Running::Locked if config.client_key.is_some() => {
            let key = facts::key_place(config);
            Some(format!("the proxy at {place} refuses the key of {key}{so}"))
        }
        Running::Locked => Some(format!(
            "the proxy at {place} asks for a key{so}; name one in CODEX_PROXY_API_KEY or with --api-key-file"
        )),
    }
}

/// Writes the settings into a tool's files, or takes them out.
fn change(
    config: &Config,
    tool: &Tool,
    facts: &Facts,
    places: &Places<'_>,
    writes: bool,
    output: &mut impl Write,
) -> Result<(), CliError> {
    let flag = if writes { "--write" } else { "--remove" };
    let files = (tool.files)(facts, places);
    if files.is_empty() {
        return Err(option(flag, &format!("the settings of {} are only shown; leave {flag} out", tool.name)));
    }
    if !places.has_home {
        return Err(option(flag, "this user has no home directory"));
    }
    let is_own = |value: &Value, was_written: bool| {
        let url = value.as_str().unwrap_or_default();
        claude_window::is_ours(url, &config.host, config.port) || was_written && claude_window::is_loopback(url)
    };
    for (index, file) in files.iter().enumerate() {
        let named = |problem| CliError::Settings(format!("{} {problem}", file.path.display()));
        let outcome = if writes { apply::write(file, is_own) } else { apply::take_out(file, is_own) }.map_err(named)?;
        tell(file, &outcome, output)?;
        // Files beside the first say nothing of whose they are.
        if index == 0 && matches!(outcome, Outcome::Absent | Outcome::Foreign(_)) {
            break;
        }
    }
    if writes { finish(tool, facts, output) } else { Ok(()) }
}

/// The tool called `name`; the error lists them all.
fn find(name: &str) -> Result<&'static Tool, CliError> {
    tools::find(name).ok_or_else(|| {
        let names: Vec<_> = tools::all().map(|tool| tool.name).collect();
        option("TOOL", &format!("{name:?} is none of {}", names.join(", ")))
    })
}

fn list(output: &mut impl Write) -> Result<(), CliError> {
    for tool in tools::all() {
        let places = Places::new(&|_| None);
        let is_written = !(tool.files)(&Facts::nothing(), &places).is_empty();
        let ways = match (is_written, tool.start.is_some()) {
            (true, true) => "shown, written, run",
            (true, false) => "shown, written",
            (false, true) => "shown, run",
            (false, false) => "shown",
        };
        writeln!(output, "{:14}  {:28}  {ways}", tool.name, tool.title)?;
    }
    writeln!(
        output,
        "\ncodex-proxy setup TOOL shows its settings; --write and --remove change its file; codex-proxy run TOOL needs none"
    )?;
    Ok(())
}

/// Everything that is to be copied, and what else can be done. Words stand behind `#`, so that the commands of a shell can be
/// taken as they are.
fn show(tool: &Tool, facts: &Facts, places: &Places<'_>, output: &mut impl Write) -> Result<(), CliError> {
    let files = (tool.files)(facts, places);
    for snippet in snippets(tool, facts, places, &files)? {
        let sign = if snippet.language == "js" { "//" } else { "#" };
        writeln!(output, "{sign} {}:\n{}", snippet.place, snippet.text)?;
    }
    for line in [(tool.then)(facts), key_notice(facts)].iter().filter(|line| !line.is_empty()) {
        writeln!(output, "# {line}")?;
    }
    let (name, flags) = (tool.name, &facts.flags);
    if !files.is_empty() {
        writeln!(
            output,
            "# Put into the file, with everything else in it kept: codex-proxy setup {flags}{name} --write"
        )?;
    }
    if tool.start.is_some() && name != "env" {
        writeln!(output, "# Started without a change of its files: codex-proxy run {flags}{name}")?;
    }
    Ok(())
}

/// The files as they would be if they were new, then what is only shown.
fn snippets(tool: &Tool, facts: &Facts, places: &Places<'_>, files: &[SettingsFile]) -> Result<Vec<Snippet>, CliError> {
    let mut snippets = Vec::new();
    for file in files {
        let text = edit::shown(file.format, file.blank, &file.changes).map_err(CliError::Internal)?;
        snippets.push(Snippet::new(places::shown(&file.path, &places.home), file.format.language(), &text));
    }
    snippets.extend(tool.shown.snippets(facts, places));
    Ok(snippets)
}

fn tell(file: &SettingsFile, outcome: &Outcome, output: &mut impl Write) -> Result<(), CliError> {
    let path = file.path.display();
    match outcome {
        Outcome::Same(differences) => {
            writeln!(output, "nothing to change in {path}")?;
            tell_differences(differences, output)?;
        }
        Outcome::Written { differences, backup } => {
            writeln!(output, "wrote {path}")?;
            tell_differences(differences, output)?;
            if let Some(backup) = backup {
                writeln!(output, "  as it was before: {}", backup.display())?;
            }
        }
        Outcome::Absent => writeln!(output, "nothing of codex-proxy's in {path}")?,
        Outcome::Foreign(place) => {
            writeln!(
                output,
                "left {path} as it is: {place} is not what codex-proxy setup writes for this address (--host), so it counts as your own"
            )?;
        }
        Outcome::TakenOut(None) => writeln!(output, "restored {path}")?,
        Outcome::TakenOut(Some(backup)) => {
            writeln!(
                output,
                "took codex-proxy's settings out of {path}\n  as it was before them: {}",
                backup.display()
            )?;
        }
        Outcome::Deleted => writeln!(output, "removed {path}, which held nothing else")?,
    }
    Ok(())
}

fn tell_differences(differences: &[Difference], output: &mut impl Write) -> Result<(), CliError> {
    for difference in differences {
        match difference {
            Difference::Added(path, value) => tell_value('+', path, value, output)?,
            Difference::Changed(path, before, after) => {
                tell_value('-', path, before, output)?;
                tell_value('+', path, after, output)?;
            }
            Difference::Kept(path, value) => writeln!(output, "    {path} stays {value}")?,
        }
    }
    Ok(())
}

fn tell_value(sign: char, path: &str, value: &Value, output: &mut impl Write) -> Result<(), CliError> {
    let separator = if path.is_empty() { "" } else { ": " };
    for (index, line) in edit::lines(value).lines().enumerate() {
        let lead = if index == 0 { format!("{path}{separator}") } else { String::new() };
        writeln!(output, "  {sign} {lead}{line}")?;
    }
    Ok(())
}

/// What is left to do for the user after the settings are written.
fn finish(tool: &Tool, facts: &Facts, output: &mut impl Write) -> Result<(), CliError> {
    for line in [(tool.then)(facts), key_notice(facts)].iter().filter(|line| !line.is_empty()) {
        writeln!(output, "{line}")?;
    }
    Ok(())
}

fn key_notice(facts: &Facts) -> String {
    match facts.key {
        ClientKey::Any => String::new(),
        ClientKey::Unknown => {
            format!("The proxy asks for a key: put one of its own in the place of {YOUR_KEY}, or let --with-key do it.")
        }
        ClientKey::Given(_) => {
            "The key of CODEX_PROXY_API_KEY, --api-key or --api-key-file is among these settings.".to_owned()
        }
    }
}

/// What the doctor says of Claude Code's window.
pub(super) fn examine_claude(config: &Config, models: &Models) -> Option<Result<String, String>> {
    claude_window::examine(config, models, &Places::new(&variable))
}

/// The models as they were last known, without asking for them.
pub(super) fn remembered(config: &Config, client: &HttpClient, supplier: &TokenSupplier) -> Arc<Models> {
    let models = Arc::new(config.models());
    if let Some(cache) = config.catalogue_cache.clone() {
        let (upstream, supplier) = (config.upstream.clone(), supplier.clone());
        let upstream = Upstream::new(upstream, client.clone(), supplier, models.clone(), |_| ());
        drop(Catalogue::new(upstream, models.clone()).with_cache(Box::new(cache)));
    }
    models
}

/// The same, for what is taken out or checked: no network and no login are needed for that.
pub(super) fn last_known(config: &Config) -> Result<Arc<Models>, CliError> {
    let client = HttpClient::new(CONNECT_TIMEOUT)?;
    let supplier = TokenSupplier::new(open_store(&config.store, &config.environment), issuer(config, &client));
    Ok(remembered(config, &client, &supplier))
}

fn option(option: &str, problem: &str) -> CliError {
    CliError::Option { option: option.to_owned(), problem: problem.to_owned() }
}
