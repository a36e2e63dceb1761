//! The environment: every option is also a variable.
//!
//! * The variable of `--some-option` is `CODEX_PROXY_SOME_OPTION`. Some options have an older, shorter name too; the longer
//!   one wins, because other programs use names like `HOST` and `PORT` for purposes of their own.
//! * An empty variable counts as unset.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValue;
use clap::{CommandFactory as _, ValueEnum};

use crate::cli::config::args::{CommandLine, Options};
use crate::cli::config::origins::{OptionOrigin, Origins};
use crate::cli::config::schema;
use crate::cli::config::value::Alias;
use crate::cli::error::CliError;

impl Options {
    /// Reads the environment through `variable`, and records in `origins` which variables are set. An unusable value is an
    /// error.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        origins: &mut Origins,
    ) -> Result<Self, CliError> {
        let mut set = Variables { variable, origins };
        Ok(Self {
            creds_store: set.choice("creds-store")?,
            creds_path: set.path("creds-path"),
            disable_migrate_refresh: set.flag("disable-migrate-refresh")?,
            host: set.text("host")?,
            port: set.parsed("port")?,
            log_level: set.text("log-level")?,
            log_bodies: set.flag("log-bodies")?,
            api_key: set.keys("api-key")?,
            api_key_file: set.path("api-key-file"),
            allow_host: set.list("allow-host")?,
            allow_origin: set.list("allow-origin")?,
            default_model: set.text("default-model")?,
            model_alias: set.aliases("model-alias")?,
            strict_model: set.flag("strict-model")?,
            instructions_file: set.path("instructions-file"),
            reasoning_format: set.choice("reasoning-format")?,
            no_reasoning_replay: set.flag("no-reasoning-replay")?,
            max_body_size: set.parsed("max-body-size")?,
            max_concurrent: set.parsed("max-concurrent")?,
            threads: set.parsed("threads")?,
            ledger_days: set.parsed("ledger-days")?,
            upstream_url: set.text("upstream-url")?,
            upstream_transport: set.choice("upstream-transport")?,
            account_routing_override: set.text("account-routing-override")?,
            auth_url: set.text("auth-url")?,
            originator: set.text("originator")?,
            client_version: set.text("client-version")?,
            ..Self::default()
        })
    }
}

/// Returns the names of the variable of `option`, the first of which wins.
pub fn names(option: &str) -> Vec<String> {
    let own = format!("{PREFIX}{}", option.replace('-', "_").to_ascii_uppercase());
    let older = OLDER.iter().find(|(known, _)| *known == option).map(|(_, name)| (*name).to_owned());
    [Some(own), older].into_iter().flatten().collect()
}

/// Checks the names of all variables that begin with this program's prefix, `others` being those of no option. Returns a warning
/// for each unknown one; one about a key is an error, because the API would be open to everybody.
pub(in crate::cli) fn check_names(
    set: impl Iterator<Item = OsString>,
    others: &[&str],
) -> Result<Vec<String>, CliError> {
    let whole = CommandLine::command();
    let options = schema::options(&whole).filter_map(|(option, _)| names(option).into_iter().next());
    let known: Vec<_> = options.chain(others.iter().map(|name| format!("{PREFIX}{name}"))).collect();
    let mut warnings = Vec::new();
    for name in set.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(PREFIX)) {
        if known.contains(&name) {
            continue;
        }
        let near = alike(
            name.strip_prefix(PREFIX).unwrap_or_default(),
            known.iter().map(|known| known.strip_prefix(PREFIX).unwrap_or_default()),
        );
        let advice = near.map(|near| format!("; did you mean {PREFIX}{near}?")).unwrap_or_default();
        let problem = format!("it is no variable of this program{advice}");
        if name.contains("KEY") {
            return Err(CliError::Option { option: name, problem });
        }
        warnings.push(format!("⚠️ {name}: {problem}"));
    }
    Ok(warnings)
}

/// Returns the one of `known` that `unknown` may have been meant to be: at most a third of it is another letter, or it is a part
/// of the name.
pub(super) fn alike<'k>(unknown: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let length = unknown.chars().count();
    let distances = known.map(|name| (strsim::osa_distance(unknown, name), name));
    let near =
        distances.filter(|(distance, name)| *distance <= length.div_ceil(3) || length > 2 && name.contains(unknown));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The beginning of the names of this program's variables.
const PREFIX: &str = "CODEX_PROXY_";

/// A reader of variables that records which are set.
struct Variables<'o, F> {
    variable: F,
    origins: &'o mut Origins,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<'_, F> {
    /// Returns the name and the value of the variable of `option`.
    fn raw(&mut self, option: &str) -> Option<(String, OsString)> {
        let set = names(option).into_iter().find_map(|name| {
            let value = (self.variable)(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        })?;
        self.origins.note(option, OptionOrigin::Variable(set.0.clone()));
        Some(set)
    }

    fn path(&mut self, option: &str) -> Option<PathBuf> {
        self.raw(option).map(|(_, value)| value.into())
    }

    fn named_text(&mut self, option: &str) -> Result<Option<(String, String)>, CliError> {
        let Some((name, value)) = self.raw(option) else { return Ok(None) };
        Ok(text(&name, Some(value))?.map(|value| (name, value)))
    }

    fn text(&mut self, option: &str) -> Result<Option<String>, CliError> {
        Ok(self.named_text(option)?.map(|(_, value)| value).filter(|value| !value.trim().is_empty()))
    }

    fn parsed<T: FromStr<Err: Explained>>(&mut self, option: &str) -> Result<Option<T>, CliError> {
        let Some((name, value)) = self.named_text(option)?.filter(|(_, value)| !value.trim().is_empty()) else {
            return Ok(None);
        };
        let problem = |error: T::Err| CliError::Option { option: name, problem: error.explain(&value) };
        value.trim().parse().map(Some).map_err(problem)
    }

    fn choice<T: ValueEnum>(&mut self, option: &str) -> Result<Option<T>, CliError> {
        let Some((name, value)) = self.named_text(option)?.filter(|(_, value)| !value.trim().is_empty()) else {
            return Ok(None);
        };
        T::from_str(value.trim(), true).map(Some).map_err(|_| {
            let words: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
            let words: Vec<_> = words.iter().map(PossibleValue::get_name).collect();
            CliError::Option { option: name, problem: format!("{value:?} is none of {}", words.join(", ")) }
        })
    }

    fn flag(&mut self, option: &str) -> Result<Option<bool>, CliError> {
        let Some((name, value)) = self.named_text(option)?.filter(|(_, value)| !value.trim().is_empty()) else {
            return Ok(None);
        };
        match value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(true)),
            "0" | "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(CliError::Option { option: name, problem: format!("{value:?} is neither true nor false") }),
        }
    }

    /// Reads a list separated by commas.
    fn list(&mut self, option: &str) -> Result<Vec<String>, CliError> {
        let value = self.text(option)?.unwrap_or_default();
        Ok(value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// Reads keys. A value without a key is an error: it would leave the API open.
    fn keys(&mut self, option: &str) -> Result<Vec<String>, CliError> {
        let Some((name, value)) = self.named_text(option)? else { return Ok(Vec::new()) };
        let keys: Vec<_> = value.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
        if keys.is_empty() {
            let problem = "it is set, but holds no key; name at least one, or unset it".to_owned();
            return Err(CliError::Option { option: name, problem });
        }
        Ok(keys)
    }

    fn aliases(&mut self, option: &str) -> Result<Vec<Alias>, CliError> {
        let Some((name, value)) = self.named_text(option)? else { return Ok(Vec::new()) };
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().map_err(|problem| CliError::Option { option: name.clone(), problem })).collect()
    }
}

/// Converts the variable `name` to text.
pub(in crate::cli) fn text(name: &str, value: Option<OsString>) -> Result<Option<String>, CliError> {
    let wrong =
        |_| CliError::Option { option: name.to_owned(), problem: "it is set, but not to UTF-8 text".to_owned() };
    value.map(|value| value.into_string().map_err(wrong)).transpose()
}

/// The error of a parser, said for the value that it refused.
trait Explained {
    /// Says what is wrong with `value`, and what is expected.
    fn explain(self, value: &str) -> String;
}

impl Explained for std::num::ParseIntError {
    fn explain(self, value: &str) -> String {
        format!("{value:?} is not a whole number in its range")
    }
}

impl Explained for String {
    fn explain(self, _value: &str) -> String {
        self
    }
}

/// The options with a second, older name of their variable.
const OLDER: [(&str, &str); 13] = [
    ("account-routing-override", "CODEX_ACCOUNT_ROUTING_OVERRIDE"),
    ("api-key", "API_KEY"),
    ("auth-url", "CODEX_AUTH_URL"),
    ("client-version", "CODEX_CLIENT_VERSION"),
    ("creds-path", "CREDS_PATH"),
    ("creds-store", "CREDS_STORE"),
    ("default-model", "DEFAULT_MODEL"),
    ("host", "HOST"),
    ("instructions-file", "INSTRUCTIONS_FILE"),
    ("log-level", "RUST_LOG"),
    ("originator", "CODEX_ORIGINATOR"),
    ("port", "PORT"),
    ("upstream-url", "CODEX_UPSTREAM_URL"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::StoreChoice;

    fn environment(pairs: &[(&str, &str)]) -> Result<Options, CliError> {
        let set = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value));
        Options::from_environment(set, &mut Origins::default())
    }

    #[test]
    fn the_older_names_are_read_and_an_empty_one_is_unset() {
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
    fn every_flag_has_a_variable_that_sets_it() {
        let sample = |option: &str| match option {
            "creds-store" => "xdg",
            "reasoning-format" => "none",
            "upstream-transport" => "websocket",
            "model-alias" => "a=b",
            "max-body-size" => "1MiB",
            "disable-migrate-refresh" | "log-bodies" | "strict-model" | "no-reasoning-replay" => "true",
            _ => "7",
        };
        let elsewhere = ["config", "help", "version"];
        let mut count = 0;
        for argument in CommandLine::command().get_arguments() {
            let Some(option) = argument.get_long().filter(|long| !elsewhere.contains(long)) else { continue };
            let name = &names(option)[0];
            let options = environment(&[(name, sample(option))]).expect("options");
            assert_ne!(options, Options::default(), "{name} sets nothing");
            count += 1;
        }
        assert!(
            OLDER
                .iter()
                .all(|(option, _)| CommandLine::command().get_arguments().any(|a| a.get_long() == Some(option)))
        );
        assert!(count > 20, "{count}");
    }

    #[test]
    fn the_longer_name_wins_and_is_told() {
        let set = |name: &str| match name {
            "CODEX_PROXY_HOST" => Some("127.0.0.1".into()),
            "HOST" => Some("x86_64-conda-linux-gnu".into()),
            "PORT" => Some("1".into()),
            _ => None,
        };
        let mut origins = Origins::default();
        let options = Options::from_environment(set, &mut origins).expect("options");
        assert_eq!(options.host.as_deref(), Some("127.0.0.1"));
        assert_eq!(origins.variables(), ["CODEX_PROXY_HOST", "PORT"]);
    }

    #[test]
    fn a_wrong_variable_is_named_in_words_of_its_own() {
        let problem = |name: &str, value: &str| environment(&[(name, value)]).expect_err("wrong").to_string();
        assert_eq!(problem("PORT", "99999"), r#"PORT: "99999" is not a whole number in its range"#);
        assert_eq!(
            problem("CREDS_STORE", "nowhere"),
            r#"CREDS_STORE: "nowhere" is none of auto, xdg, legacy, keychain, env"#
        );
        assert_eq!(problem("CODEX_PROXY_LOG_BODIES", "x"), r#"CODEX_PROXY_LOG_BODIES: "x" is neither true nor false"#);
        assert!(problem("CODEX_PROXY_MODEL_ALIAS", "x").starts_with("CODEX_PROXY_MODEL_ALIAS: \"x\" is not an alias"));
    }

    #[test]
    fn an_unknown_name_is_told_and_one_about_a_key_is_an_error() {
        let check = |names: &[&str]| check_names(names.iter().map(OsString::from), &["CONFIG"]);
        assert!(check(&["CODEX_PROXY_API_KEY", "CODEX_PROXY_CONFIG", "CODEX_HOME", "HOME"]).expect("known").is_empty());
        let warnings = check(&["CODEX_PROXY_SERVICE_HOST", "CODEX_PROXY_LOG_LEVELS"]).expect("warnings");
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].ends_with("it is no variable of this program"), "{warnings:?}");
        assert!(warnings[1].ends_with("did you mean CODEX_PROXY_LOG_LEVEL?"), "{warnings:?}");
        for (unknown, near) in [
            ("FOO", None),
            ("PROT", Some("PORT")),
            ("CONCURRENT", Some("MAX_CONCURRENT")),
            ("LOGLEVEL", Some("LOG_LEVEL")),
        ] {
            let warnings = check(&[&format!("CODEX_PROXY_{unknown}")]).expect("a warning");
            let told = warnings[0].split_once("did you mean CODEX_PROXY_").map(|(_, name)| name.trim_end_matches('?'));
            assert_eq!(told, near, "{unknown}");
        }
        let error = check(&["CODEX_PROXY_API_KEYS"]).expect_err("an open API").to_string();
        assert!(error.starts_with("CODEX_PROXY_API_KEYS: ") && error.ends_with("mean CODEX_PROXY_API_KEY?"), "{error}");
    }

    #[test]
    fn a_key_that_is_set_and_cannot_be_used_is_an_error() {
        for blank in [" ", ",", " , ,"] {
            let error = environment(&[("API_KEY", blank)]).expect_err("wrong").to_string();
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
            let error = Options::from_environment(variable, &mut Origins::default()).expect_err("wrong").to_string();
            assert_eq!(error, format!("{name}: it is set, but not to UTF-8 text"));
        }
    }
}
