//! The layers of options: flags override the environment, the environment overrides the configuration file, and the file
//! overrides the defaults.
//!
//! * An empty variable counts as unset.
//! * A list in one layer replaces the same list of the layers below.
//! * An unknown key in the configuration file is an error with its name.

use std::path::Path;

use crate::cli::config::args::{MessagesTable, Options};
use crate::cli::config::origins::{OptionOrigin, Origins};
use crate::cli::config::value::ByteSize;
use crate::cli::config::variables::alike;
use crate::cli::config::{DEFAULT_HOST, DEFAULT_LOG_LEVEL, DEFAULT_PORT, LEDGER_DAYS};
use crate::cli::error::CliError;
use crate::credentials::StoreChoice;
use crate::files::{read, trust};
use crate::platform::Cores;
use crate::server::settings::ServerSettings;
use crate::upstream::{UpstreamTransport, defaults};

/// How a configuration file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChoice {
    /// By the flag or the variable.
    Named,
    /// At its usual place.
    Usual,
}

impl Options {
    /// Reads the configuration file at `path`, and records in `origins` which options it sets. One that the user named may be a
    /// pipe; the usual one must be a file in a directory of the user's.
    pub fn from_file(path: &Path, named: FileChoice, origins: &mut Origins) -> Result<Self, CliError> {
        let problem = |problem| CliError::ConfigFile { path: path.to_owned(), problem };
        trust::check_owner(path).map_err(problem)?;
        let text = match named {
            FileChoice::Named => read::named_text(path, LARGEST),
            FileChoice::Usual => {
                path.parent().map_or(Ok(()), trust::check_directory).map_err(problem)?;
                read::regular_text(path, LARGEST)
            }
        };
        let text = text.map_err(|error| problem(unreadable(&error)))?;
        let options = Self::from_toml(&text).map_err(problem)?;
        let keys: toml_edit::DocumentMut = text.parse().unwrap_or_default();
        keys.iter().for_each(|(key, _)| origins.note(key, OptionOrigin::File(path.to_owned())));
        Ok(options)
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        toml_edit::de::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let place = line.map_or_else(|| "is wrong: ".to_owned(), |line| format!("is wrong in line {line}: "));
            place + &explained(error.message())
        })
    }

    /// Returns the lowest layer: the default of every option that has one, but for what depends on the login or the account.
    pub fn defaults() -> Self {
        let server = ServerSettings::default();
        Self {
            creds_store: Some(StoreChoice::default()),
            disable_migrate_refresh: Some(false),
            host: Some(DEFAULT_HOST.to_owned()),
            port: Some(DEFAULT_PORT),
            log_level: Some(DEFAULT_LOG_LEVEL.to_owned()),
            log_bodies: Some(server.log_bodies),
            strict_model: Some(server.strict_model),
            reasoning_format: Some(server.reasoning_format),
            no_reasoning_replay: Some(!server.reasoning_replay),
            max_body_size: Some(ByteSize(server.max_body_size)),
            max_concurrent: Some(server.max_concurrent),
            threads: Some(Cores::default_count()),
            ledger_days: Some(LEDGER_DAYS),
            upstream_url: Some(defaults::UPSTREAM_URL.to_owned()),
            upstream_transport: Some(UpstreamTransport::default()),
            auth_url: Some(defaults::AUTH_URL.to_owned()),
            originator: Some(defaults::ORIGINATOR.to_owned()),
            client_version: Some(defaults::CLIENT_VERSION.to_owned()),
            ..Self::default()
        }
    }

    /// Fills unset options from `below`.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        let list = |own: Vec<_>, below| if own.is_empty() { below } else { own };
        Self {
            creds_store: self.creds_store.or(below.creds_store),
            creds_path: self.creds_path.or(below.creds_path),
            disable_migrate_refresh: self.disable_migrate_refresh.or(below.disable_migrate_refresh),
            host: self.host.or(below.host),
            port: self.port.or(below.port),
            log_level: self.log_level.or(below.log_level),
            log_bodies: self.log_bodies.or(below.log_bodies),
            api_key: list(self.api_key, below.api_key),
            api_key_file: self.api_key_file.or(below.api_key_file),
            allow_host: list(self.allow_host, below.allow_host),
            allow_origin: list(self.allow_origin, below.allow_origin),
            default_model: self.default_model.or(below.default_model),
            model_alias: if self.model_alias.is_empty() { below.model_alias } else { self.model_alias },
            strict_model: self.strict_model.or(below.strict_model),
            instructions_file: self.instructions_file.or(below.instructions_file),
            reasoning_format: self.reasoning_format.or(below.reasoning_format),
            no_reasoning_replay: self.no_reasoning_replay.or(below.no_reasoning_replay),
            max_body_size: self.max_body_size.or(below.max_body_size),
            max_concurrent: self.max_concurrent.or(below.max_concurrent),
            threads: self.threads.or(below.threads),
            ledger_days: self.ledger_days.or(below.ledger_days),
            upstream_url: self.upstream_url.or(below.upstream_url),
            upstream_transport: self.upstream_transport.or(below.upstream_transport),
            account_routing_override: self.account_routing_override.or(below.account_routing_override),
            auth_url: self.auth_url.or(below.auth_url),
            originator: self.originator.or(below.originator),
            messages: if self.messages == MessagesTable::default() { below.messages } else { self.messages },
            client_version: self.client_version.or(below.client_version),
        }
    }
}

/// Says in one line what the parser found. Its own messages name types of the language and list every key.
fn explained(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(unknown) = quoted.next()
    {
        let advice = alike(unknown, quoted).map_or_else(
            || "the keys are the long flags of codex-proxy --help".to_owned(),
            |known| format!("did you mean `{known}`?"),
        );
        return format!("unknown key `{unknown}`; {advice}");
    }
    let words = WORDS.iter().fold(message.replace('\n', " "), |text, (theirs, ours)| text.replace(theirs, ours));
    words.trim().to_owned()
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidData => "cannot be read: it is not UTF-8 text".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// More bytes than any configuration has.
const LARGEST: u64 = 1 << 20;
/// Expressions of the parser, and what they mean to its user.
const WORDS: [(&str, &str); 6] = [
    ("expected u16", "expected a whole number up to 65535"),
    ("expected usize", "expected a whole number"),
    ("expected a string", "expected a text in quotes"),
    ("expected a boolean", "expected true or false"),
    ("string values must be quoted, expected literal string", "a text must stand in quotes"),
    ("unknown variant", "unknown word"),
];

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::dialect::chat::options::ReasoningFormat;

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
            upstream-transport = "websocket"
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
        assert_eq!(unknown, "is wrong in line 2: unknown key `hots`; did you mean `host`?");
        for word in ["zzz", "env"] {
            let nothing_alike = Options::from_toml(&format!("{word} = 1")).expect_err("wrong");
            let told = format!("unknown key `{word}`; the keys are the long flags of codex-proxy --help");
            assert!(nothing_alike.ends_with(&told), "{nothing_alike}");
        }
        let mistyped = Options::from_toml("port = \"x\"").expect_err("wrong");
        assert!(mistyped.contains("line 1") && mistyped.contains("a whole number up to 65535"), "{mistyped}");
        let unquoted = Options::from_toml("host = localhost").expect_err("wrong");
        assert!(!unquoted.contains("literal") && !unquoted.contains('\n'), "{unquoted}");
        for wrong in
            ["port = 70000", "max-body-size = \"much\"", "model-alias = [\"x\"]", "creds-store = \"nowhere\"", "x"]
        {
            assert!(Options::from_toml(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_beat_the_environment_and_the_environment_beats_the_file() {
        let flags = Options { port: Some(1), strict_model: Some(false), ..Options::default() };
        let variables = Options { port: Some(2), host: Some("b".to_owned()), ..Options::default() };
        let file = Options {
            port: Some(3),
            host: Some("c".to_owned()),
            api_key: vec!["k".to_owned()],
            log_bodies: Some(true),
            strict_model: Some(true),
            ..Options::default()
        };
        let options = flags.or(variables).or(file);
        assert_eq!((options.port, options.host.as_deref()), (Some(1), Some("b")));
        assert_eq!((options.log_bodies, options.strict_model), (Some(true), Some(false)));
        assert_eq!(options.api_key, ["k"]);
    }
}
