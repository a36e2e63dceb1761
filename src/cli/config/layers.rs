//! The layers of options: flags override the environment, the environment overrides the configuration file.
//!
//! * An empty variable counts as unset.
//! * A list in one layer replaces the same list of the layers below.
//! * An unknown key in the configuration file is an error with its name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::cli::config::args::{MessagesTable, Options};
use crate::cli::error::CliError;
use crate::files::trust;

impl Options {
    /// Reads the environment through `variable`. An unusable value is an error.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, CliError> {
        let set = |name: &str| -> Result<Option<String>, CliError> {
            Ok(text(name, variable(name))?.filter(|value| !value.trim().is_empty()))
        };
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self {
            creds_store: choice("CREDS_STORE", set("CREDS_STORE")?)?,
            creds_path: path("CREDS_PATH"),
            host: set("HOST")?,
            port: parsed("PORT", set("PORT")?)?,
            log_level: set("RUST_LOG")?,
            api_key: keys("API_KEY", text("API_KEY", variable("API_KEY"))?)?,
            api_key_file: path("CODEX_PROXY_API_KEY_FILE"),
            default_model: set("DEFAULT_MODEL")?,
            instructions_file: path("INSTRUCTIONS_FILE"),
            threads: parsed("CODEX_PROXY_THREADS", set("CODEX_PROXY_THREADS")?)?,
            ledger_days: parsed("CODEX_PROXY_LEDGER_DAYS", set("CODEX_PROXY_LEDGER_DAYS")?)?,
            upstream_url: set("CODEX_UPSTREAM_URL")?,
            account_routing_override: set("CODEX_ACCOUNT_ROUTING_OVERRIDE")?,
            auth_url: set("CODEX_AUTH_URL")?,
            originator: set("CODEX_ORIGINATOR")?,
            client_version: set("CODEX_CLIENT_VERSION")?,
            ..Self::default()
        })
    }

    /// Reads the configuration file at `path`.
    pub fn from_file(path: &Path) -> Result<Self, CliError> {
        let problem = |problem| CliError::ConfigFile { path: path.to_owned(), problem };
        trust::check_owner(path).map_err(problem)?;
        let text = std::fs::read_to_string(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
        Self::from_toml(&text).map_err(problem)
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let place = line.map_or_else(|| "is wrong: ".to_owned(), |line| format!("is wrong in line {line}: "));
            // A message of several lines would be split in a log.
            place + &error.message().replace('\n', " ")
        })
    }

    /// Fills unset options from `below`.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        let list = |own: Vec<_>, below| if own.is_empty() { below } else { own };
        Self {
            creds_store: self.creds_store.or(below.creds_store),
            creds_path: self.creds_path.or(below.creds_path),
            disable_migrate_refresh: self.disable_migrate_refresh || below.disable_migrate_refresh,
            host: self.host.or(below.host),
            port: self.port.or(below.port),
            log_level: self.log_level.or(below.log_level),
            log_bodies: self.log_bodies || below.log_bodies,
            api_key: list(self.api_key, below.api_key),
            api_key_file: self.api_key_file.or(below.api_key_file),
            allow_host: list(self.allow_host, below.allow_host),
            allow_origin: list(self.allow_origin, below.allow_origin),
            default_model: self.default_model.or(below.default_model),
            model_alias: if self.model_alias.is_empty() { below.model_alias } else { self.model_alias },
            strict_model: self.strict_model || below.strict_model,
            instructions_file: self.instructions_file.or(below.instructions_file),
            reasoning_format: self.reasoning_format.or(below.reasoning_format),
            no_reasoning_replay: self.no_reasoning_replay || below.no_reasoning_replay,
            max_body_size: self.max_body_size.or(below.max_body_size),
            max_concurrent: self.max_concurrent.or(below.max_concurrent),
            threads: self.threads.or(below.threads),
            ledger_days: self.ledger_days.or(below.ledger_days),
            upstream_url: self.upstream_url.or(below.upstream_url),
            account_routing_override: self.account_routing_override.or(below.account_routing_override),
            auth_url: self.auth_url.or(below.auth_url),
            originator: self.originator.or(below.originator),
            messages: if self.messages == MessagesTable::default() { below.messages } else { self.messages },
            client_version: self.client_version.or(below.client_version),
        }
    }
}

/// Converts the variable `name` to text.
pub(in crate::cli) fn text(name: &str, value: Option<OsString>) -> Result<Option<String>, CliError> {
    let wrong =
        |_| CliError::Option { option: name.to_owned(), problem: "it is set, but not to UTF-8 text".to_owned() };
    value.map(|value| value.into_string().map_err(wrong)).transpose()
}

/// Reads the keys in the variable `name`. A non-empty value without a key is an error: it would leave the API open.
fn keys(name: &str, value: Option<String>) -> Result<Vec<String>, CliError> {
    let value = value.unwrap_or_default();
    let keys: Vec<_> = value.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
    if keys.is_empty() && !value.is_empty() {
        let problem = "it is set, but holds no key; name at least one, or unset it".to_owned();
        return Err(CliError::Option { option: name.to_owned(), problem });
    }
    Ok(keys)
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, value: Option<String>) -> Result<Option<T>, CliError> {
    let wrong =
        |value: &str, error| CliError::Option { option: name.to_owned(), problem: format!("{value:?}: {error}") };
    value.map(|value| value.trim().parse().map_err(|error| wrong(&value, error))).transpose()
}

fn choice<T: ValueEnum>(name: &str, value: Option<String>) -> Result<Option<T>, CliError> {
    let Some(value) = value else { return Ok(None) };
    T::from_str(value.trim(), true).map(Some).map_err(|_| {
        let names: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        let names: Vec<_> = names.iter().map(PossibleValue::get_name).collect();
        CliError::Option { option: name.to_owned(), problem: format!("{value:?} is none of {}", names.join(", ")) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::value::ByteSize;
    use crate::credentials::StoreChoice;
    use crate::dialect::chat::options::ReasoningFormat;

    fn environment(pairs: &'static [(&str, &str)]) -> Result<Options, CliError> {
        Options::from_environment(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn every_variable_is_read_and_an_empty_one_is_unset() {
        let options = environment(&[
            ("CREDS_STORE", "Legacy"),
            ("CREDS_PATH", "~/x"),
            ("HOST", "::1"),
            ("PORT", " 3000 "),
            ("RUST_LOG", ""),
            ("API_KEY", "a, b,,"),
            ("CODEX_ORIGINATOR", "me"),
            ("CODEX_PROXY_LEDGER_DAYS", "0"),
        ])
        .expect("options");
        assert_eq!((options.creds_store, options.port), (Some(StoreChoice::Legacy), Some(3000)));
        assert_eq!((options.api_key, options.log_level), (vec!["a".to_owned(), "b".to_owned()], None));
        assert_eq!((options.originator.as_deref(), options.ledger_days), (Some("me"), Some(0)));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        assert!(environment(&[("PORT", "99999")]).expect_err("wrong").to_string().starts_with("PORT: \"99999\""));
        let error = environment(&[("CREDS_STORE", "vault")]).expect_err("wrong").to_string();
        assert_eq!(error, r#"CREDS_STORE: "vault" is none of auto, xdg, legacy, keychain, env"#);
    }

    #[test]
    fn a_key_that_is_set_and_cannot_be_used_is_an_error() {
        for blank in [" ", ",", " , ,"] {
            let error = environment(Box::leak(Box::new([("API_KEY", blank)]))).expect_err("wrong").to_string();
            assert!(error.starts_with("API_KEY: it is set, but holds no key"), "{error}");
        }
        assert_eq!(environment(&[("API_KEY", "")]).expect("unset"), Options::default());
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_no_text_is_an_error() {
        use std::os::unix::ffi::OsStringExt as _;
        for name in ["API_KEY", "HOST", "PORT", "RUST_LOG", "DEFAULT_MODEL", "CODEX_UPSTREAM_URL", "CODEX_ORIGINATOR"] {
            let variable = |asked: &str| (asked == name).then(|| OsString::from_vec(vec![b'k', 0xff]));
            let error = Options::from_environment(variable).expect_err("wrong").to_string();
            assert_eq!(error, format!("{name}: it is set, but not to UTF-8 text"));
        }
    }

    #[test]
    fn the_file_knows_every_long_flag() {
        let options = Options::from_toml(
            r#"
            creds-store = "keychain"
            creds-path = "~/auth.json"
            disable-migrate-refresh = true
            host = "0.0.0.0"
            port = 3000
            log-level = "debug"
            log-bodies = true
            api-key = ["a", "b"]
            api-key-file = "keys"
            allow-host = "proxy.lan"
            allow-origin = ["https://app.example"]
            default-model = "gpt-6.1-sol"
            strict-model = true
            instructions-file = "i.md"
            reasoning-format = "think-tags"
            no-reasoning-replay = true
            max-body-size = "1MiB"
            max-concurrent = 7
            ledger-days = 30
            upstream-url = "https://u"
            account-routing-override = "eu"
            auth-url = "https://a"
            originator = "me"
            client-version = "1.2.3"

            [model-alias]
            "gpt-4o" = "gpt-6.1-sol"

            [messages.models]
            opus = "gpt-6.1-sol"
            sonnet = "gpt-6-sol"
            haiku = "gpt-6-luna"
            "#,
        )
        .expect("options");
        assert_eq!(options.reasoning_format, Some(ReasoningFormat::ThinkTags));
        assert_eq!((options.max_body_size, options.allow_host.len()), (Some(ByteSize(1 << 20)), 1));
        assert_eq!(options.ledger_days, Some(30));
        assert_eq!(options.model_alias[0].to_string(), "gpt-4o=gpt-6.1-sol");
        assert_eq!(options.messages.models.haiku.as_deref(), Some("gpt-6-luna"));
        assert!(Options::from_toml("[messages.models]\nfable = \"x\"").is_err());
        let list = Options::from_toml(r#"model-alias = ["a=b"]"#).expect("options");
        assert_eq!(list.model_alias[0].to_string(), "a=b");
        assert_eq!(Options::from_toml("").expect("options"), Options::default());
    }

    #[test]
    fn flags_variables_and_file_know_the_same_words() {
        fn words<T: ValueEnum>() -> Vec<(String, T)> {
            let word = |value: &T| value.to_possible_value().map(|word| word.get_name().to_owned());
            T::value_variants().iter().filter_map(|value| Some((word(value)?, value.clone()))).collect()
        }
        let file = |key: &str, word: &str| Options::from_toml(&format!("{key} = \"{word}\"")).expect("options");
        for (word, store) in words::<StoreChoice>() {
            assert_eq!(file("creds-store", &word).creds_store, Some(store), "{word}");
        }
        for (word, format) in words::<ReasoningFormat>() {
            assert_eq!(file("reasoning-format", &word).reasoning_format, Some(format), "{word}");
        }
    }

    #[test]
    fn a_wrong_file_is_told_by_line_and_key() {
        let unknown = Options::from_toml("port = 1\nhots = \"x\"\n").expect_err("wrong");
        assert!(unknown.starts_with("is wrong in line 2: unknown field `hots`"), "{unknown}");
        let mistyped = Options::from_toml("port = \"x\"").expect_err("wrong");
        assert!(mistyped.contains("line 1") && !mistyped.contains('\n'), "{mistyped}");
        for wrong in
            ["port = 70000", "max-body-size = \"much\"", "model-alias = [\"x\"]", "creds-store = \"vault\"", "x"]
        {
            assert!(Options::from_toml(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_beat_the_environment_and_the_environment_beats_the_file() {
        let flags = Options { port: Some(1), ..Options::default() };
        let variables = Options { port: Some(2), host: Some("b".to_owned()), ..Options::default() };
        let file = Options {
            port: Some(3),
            host: Some("c".to_owned()),
            api_key: vec!["k".to_owned()],
            log_bodies: true,
            ..Options::default()
        };
        let options = flags.or(variables).or(file);
        assert_eq!((options.port, options.host.as_deref()), (Some(1), Some("b")));
        assert!(options.log_bodies && options.api_key == ["k"]);
    }
}
