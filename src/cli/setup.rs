//! `setup`: what a client has to be told, from the account's own list of models.
//!
//! * Claude Code takes any model it does not know for one with a window of 1,000,000 tokens, asks for tiers of Anthropic's and
//!   learns nothing of either from a server: its environment has to say.
//! * Its settings file is changed in place of the user only when asked for. Everything else in it stays as it is.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use serde_json::{Map, Value};

use crate::catalogue::Catalogue;
use crate::cli::config::Config;
use crate::cli::config::args::ClaudeCodeArguments;
use crate::cli::error::CliError;
use crate::cli::{models, variable};
use crate::credentials::TokenSupplier;
use crate::models::Models;
use crate::platform::HttpClient;
use crate::upstream::Upstream;

/// Prints the settings, or writes them.
pub(super) async fn claude_code(
    config: &Config,
    arguments: ClaudeCodeArguments,
    output: &mut impl Write,
) -> Result<(), CliError> {
    let settings = settings(config, &*models::known(config).await?);
    if !arguments.write {
        let block = pretty(&Value::from(Map::from_iter([("env".to_owned(), Value::from(settings))])))?;
        writeln!(output, "{block}\n\nPut this into ~/.claude/settings.json, or let --write do it.")?;
        return Ok(());
    }
    let path = settings_file().ok_or_else(|| option("--write", "this user has no home directory".to_owned()))?;
    let key = merge(&path, settings).map_err(|problem| option("--write", format!("{} {problem}", path.display())))?;
    writeln!(output, "wrote {}", path.display())?;
    if key == YOUR_KEY {
        writeln!(output, "Put a key of this server's in the place of {YOUR_KEY} in it.")?;
    }
    Ok(())
}

/// The variables for Claude Code, in the order in which they are shown.
fn settings(config: &Config, models: &Models) -> Map<String, Value> {
    let main = models.resolve(None, None).model;
    let small = models.resolve(Some("haiku"), None).model;
    let window = window_of(models, &main);
    let key = if config.has_key { YOUR_KEY } else { "any" };
    let texts = [
        (BASE_URL, address(config)),
        (TOKEN, key.to_owned()),
        (MODEL, main),
        ("ANTHROPIC_DEFAULT_HAIKU_MODEL", small),
        (WINDOWS[0], window.to_string()),
        (WINDOWS[1], (window / 100 * FILLED_PERCENT).to_string()),
    ];
    texts.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// How clients on this machine reach the daemon.
fn address(config: &Config) -> String {
    let host = match config.host.as_str() {
        "0.0.0.0" | "::" | "[::]" => "localhost".to_owned(),
        host if host.parse::<Ipv6Addr>().is_ok() => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("http://{host}:{}", config.port)
}

fn window_of(models: &Models, name: &str) -> u64 {
    let model = models.resolve(Some(name), None).model;
    models.find(&model).map_or(WINDOW, |entry| entry.context_window)
}

/// Where Claude Code keeps its user's settings.
fn settings_file() -> Option<PathBuf> {
    let named = variable("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    let usual = || Some(PathBuf::from(variable("HOME")?).join(".claude"));
    Some(named.or_else(usual)?.join("settings.json"))
}

/// Puts `settings` into `env` of the file at `path`, which need not be there. A key that is set stays: it is no placeholder.
fn merge(path: &Path, mut settings: Map<String, Value>) -> Result<String, String> {
    let path = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(_) if fs::symlink_metadata(path).is_ok() => {
            return Err("is a link to a file that is not there; nothing was changed".into());
        }
        Err(_) => path.to_owned(),
    };
    let mut whole = read(&path)?;
    let env = whole.entry("env").or_insert_with(|| Map::new().into());
    let env = env.as_object_mut().ok_or("has an 'env' that is no object; nothing was changed")?;
    if env.get(TOKEN).and_then(Value::as_str).is_some_and(|key| !PLACEHOLDERS.contains(&key)) {
        settings.remove(TOKEN);
    }
    env.extend(settings);
    let key = env.get(TOKEN).and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = pretty(&whole.into()).map_err(|error| error.to_string())?;
    replace(&path, &format!("{text}\n")).map_err(|error| format!("cannot be written: {error}"))?;
    Ok(key)
}

/// The object in the file at `path`; an empty one where there is no file, or nothing in it.
fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(&text).map_err(|error| format!("is no JSON object: {error}; nothing was changed"))
}

/// Writes beside the file and puts it in its place, with the rights that it had; a new file is its user's alone.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut temporary = tempfile::Builder::new().prefix(".settings").suffix(".tmp").tempfile_in(directory)?;
    temporary.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(path) {
        temporary.as_file().set_permissions(metadata.permissions())?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What Claude Code is told of the window, where it is told to ask this program at all; the error is that it is told too much.
pub(super) fn examine(config: &Config, models: &Models) -> Option<Result<String, String>> {
    let file = settings_file();
    let written = file.as_deref().and_then(|file| read(file).ok()).and_then(|mut whole| whole.remove("env"));
    let told = |name: &str| {
        let set = variable(name).and_then(|value| value.into_string().ok());
        let in_file = || match written.as_ref()?.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        set.or_else(in_file).filter(|value| !value.is_empty())
    };
    told(BASE_URL).filter(|url| is_ours(url, &config.host, config.port))?;
    let name = told(MODEL).unwrap_or_else(|| "opus".to_owned());
    Some(judge(&WINDOWS.map(|name| (name, told(name))), &name, window_of(models, &name)))
}

/// Whether a window is told and none is larger than the `window` of the model `name`.
fn judge(told: &[(&str, Option<String>); 2], name: &str, window: u64) -> Result<String, String> {
    let remedy = "run: codex-proxy setup claude-code --write";
    for (variable, value) in told {
        let tokens = value.as_ref().map(|value| value.parse::<u64>().unwrap_or(u64::MAX));
        if tokens.is_some_and(|tokens| tokens > window) {
            let value = value.as_deref().unwrap_or_default();
            return Err(format!("{variable} is {value}, but {name} takes {window} tokens; {remedy}"));
        }
    }
    if told.iter().all(|(_, value)| value.is_none()) {
        return Err(format!("takes {name}, which has a window of {window} tokens, for a model with 1000000; {remedy}"));
    }
    Ok(format!("knows that {name} has a window of {window} tokens"))
}

/// Whether `url` leads to the address at which this machine serves.
fn is_ours(url: &str, own_host: &str, own_port: u16) -> bool {
    let Ok(url) = url.trim().parse::<Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let port = url.port_u16().or(if url.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    (is_loopback || host == own_host) && port == Some(own_port)
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

fn pretty(value: &Value) -> Result<String, CliError> {
    serde_json::to_string_pretty(value).map_err(|error| CliError::Internal(error.to_string()))
}

fn option(option: &str, problem: String) -> CliError {
    CliError::Option { option: option.to_owned(), problem }
}

const BASE_URL: &str = "ANTHROPIC_BASE_URL";
const TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
/// Placeholder values of the key. They are replaced, and any other value is kept.
const PLACEHOLDERS: [&str; 3] = ["", "any", YOUR_KEY];
const YOUR_KEY: &str = "YOUR_API_KEY";
const MODEL: &str = "ANTHROPIC_MODEL";
/// How large the window is, and from where on the conversation is summed up.
const WINDOWS: [&str; 2] = ["CLAUDE_CODE_MAX_CONTEXT_TOKENS", "CLAUDE_CODE_AUTO_COMPACT_WINDOW"];
/// How full the window gets before that: the summary itself needs room.
const FILLED_PERCENT: u64 = 92;
/// The window of a model that is not in the list: most models have this one.
const WINDOW: u64 = 272_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(before: Option<&str>) -> (Result<String, String>, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sub").join("settings.json");
        if let Some(before) = before {
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, before).expect("written");
        }
        let settings = Map::from_iter([(TOKEN.to_owned(), "any".into()), (MODEL.to_owned(), "m".into())]);
        (merge(&path, settings), fs::read_to_string(&path).unwrap_or_default())
    }

    #[test]
    fn everything_else_in_the_file_stays() {
        let before = "{\n  \"model\": \"opus\",\n  \"env\": {\n    \"B\": \"1\",\n    \"ANTHROPIC_MODEL\": \"old\",\n    \
                      \"A\": \"2\"\n  },\n  \"cost\": 1.10,\n  \"hooks\": {}\n}\n";
        let (outcome, after) = written(Some(before));
        outcome.expect("written");
        let expected =
            before.replace("\"old\"", "\"m\"").replace("\"2\"\n", "\"2\",\n    \"ANTHROPIC_AUTH_TOKEN\": \"any\"\n");
        assert_eq!(after, expected.replace("1.10", "1.1"));
        let key = r#"{"env":{"ANTHROPIC_AUTH_TOKEN":"secret"}}"#;
        assert!(written(Some(key)).1.contains("secret"), "a key is the user's");
        let placeholder = key.replace("secret", YOUR_KEY);
        assert!(!written(Some(&placeholder)).1.contains(YOUR_KEY), "a placeholder is nobody's");
        for nothing in [None, Some(""), Some("{}")] {
            let (outcome, after) = written(nothing);
            outcome.expect("written");
            assert!(after.contains("\"ANTHROPIC_MODEL\": \"m\"") && after.ends_with("}\n"), "{after}");
        }
    }

    #[test]
    fn a_file_that_is_not_understood_is_left_alone() {
        for odd in ["[]", "{", "{\"env\": 1}", "// a comment\n{}"] {
            let (outcome, after) = written(Some(odd));
            assert!(outcome.is_err_and(|problem| problem.contains("nothing was changed")), "{odd}");
            assert_eq!(after, odd);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_nothing_stays_a_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let link = directory.path().join("settings.json");
        std::os::unix::fs::symlink(directory.path().join("gone"), &link).expect("linked");
        assert!(merge(&link, Map::new()).is_err_and(|problem| problem.contains("nothing was changed")));
        assert!(link.is_symlink());
    }

    #[test]
    #[cfg(unix)]
    fn a_file_keeps_its_rights_and_its_link() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let (path, link) = (directory.path().join("real"), directory.path().join("settings.json"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        merge(&path, Map::new()).expect("written");
        assert_eq!(mode(&path), 0o600, "a new one");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        merge(&link, Map::new()).expect("written");
        assert_eq!(mode(&path), 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    }

    #[test]
    fn a_window_that_is_too_large_or_not_told_is_noticed() {
        let judged = |whole: Option<&str>, compact: Option<&str>| {
            judge(&[(WINDOWS[0], whole.map(str::to_owned)), (WINDOWS[1], compact.map(str::to_owned))], "m", 272_000)
        };
        assert!(judged(Some("272000"), Some("250240")).is_ok());
        assert!(judged(None, Some("250000")).is_ok());
        for (whole, compact) in
            [(None, None), (Some("1000000"), Some("250000")), (Some("272000"), Some("272001")), (Some("x"), None)]
        {
            assert!(judged(whole, compact).is_err(), "{whole:?} {compact:?}");
        }
        let is_ours = |url| is_ours(url, "box.lan", 9879);
        for own in ["http://localhost:9879", "http://127.0.0.1:9879/v1", "http://[::1]:9879/", "https://box.lan:9879"] {
            assert!(is_ours(own), "{own}");
        }
        for foreign in
            ["https://api.anthropic.com", "http://localhost:19879", "http://other:9879", "http://localhost", "x y"]
        {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
