//! What a tool has to be told: the address of this machine's proxy, a key, and the account's models.
//!
//! * The models are those of the running proxy, which may be a demo. Where none runs, the caller has others.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, StatusCode, header};
use tokio::time::timeout;

use crate::cli::config::{Config, DEFAULT_HOST, DEFAULT_PORT};
use crate::cli::error::CliError;
use crate::models::Models;
use crate::models::effort::Effort;
use crate::models::live::LiveCatalogue;
use crate::platform::{HttpClient, Reach, TransportSettings};
use crate::secret::Secret;

/// What tools are told.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Facts {
    /// The proxy's address, without `/v1`.
    pub(in crate::cli) root: String,
    /// The key to send.
    pub(in crate::cli) key: ClientKey,
    /// The models of the account, the usual one first.
    pub(in crate::cli) models: Vec<KnownModel>,
    /// The model for small tasks.
    pub(in crate::cli) small: String,
    /// The flags with which another command finds this proxy, each with a space after it.
    pub(in crate::cli) flags: String,
}

/// The key that a tool sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum ClientKey {
    /// Any: the proxy asks for none.
    Any,
    /// A key that is not known here, or not asked to be shown.
    Unknown,
    /// A key of the proxy's.
    Given(Secret),
}

/// A model, as a tool has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct KnownModel {
    /// The name for requests.
    pub(in crate::cli) id: String,
    /// The name for people.
    pub(in crate::cli) display_name: String,
    /// The tokens of input and output together.
    pub(in crate::cli) context_window: u64,
    /// The most tokens of one answer.
    pub(in crate::cli) max_output_tokens: u64,
    /// Takes images.
    pub(in crate::cli) vision: bool,
    /// The allowed efforts, lowest first.
    pub(in crate::cli) efforts: Vec<Effort>,
}

impl Facts {
    /// The facts about the proxy at `config`'s address, with `key` and `models`.
    pub(in crate::cli) fn new(config: &Config, key: ClientKey, models: &Models) -> Self {
        let known = models.names_for_people().iter().map(|name| KnownModel::of(models, name)).collect();
        let small = models.resolve(Some("haiku"), None).model;
        Self { root: address(config), key, models: known, small, flags: flags(config) }
    }

    /// Facts about nothing, to ask the table what it can do.
    pub(in crate::cli) fn nothing() -> Self {
        Self {
            root: String::new(),
            key: ClientKey::Any,
            models: Vec::new(),
            small: String::new(),
            flags: String::new(),
        }
    }

    /// The base URL of OpenAI's APIs.
    pub(in crate::cli) fn base_url(&self) -> String {
        format!("{}/v1", self.root)
    }

    /// The text in the place of the key.
    pub(in crate::cli) fn key_text(&self) -> &str {
        match &self.key {
            ClientKey::Any => ANY_KEY,
            ClientKey::Unknown => YOUR_KEY,
            ClientKey::Given(key) => key.expose(),
        }
    }

    /// Puts the facts into the places of a template in `language`, in which they stand inside quotes, in a shell without.
    pub(in crate::cli) fn fill(&self, template: &str, language: &str) -> String {
        let output = self.models.first().map_or(USUAL_OUTPUT, |model| model.max_output_tokens);
        let inside = |text: &str| match language {
            "bash" => shell_word(text),
            "powershell" => text.replace('\'', "''"),
            _ => serde_json::Value::from(text).to_string().trim_matches('"').to_owned(),
        };
        let places = [
            ("<base>", self.base_url()),
            ("<root>", self.root.clone()),
            ("<key>", inside(self.key_text())),
            ("<model>", inside(self.main())),
            ("<small>", inside(&self.small)),
            ("<window>", self.window().to_string()),
            ("<output>", output.to_string()),
        ];
        places.iter().fold(template.to_owned(), |text, (place, fact)| text.replace(place, fact))
    }

    /// The model that is used unless another one is asked for.
    pub(in crate::cli) fn main(&self) -> &str {
        self.models.first().map_or("", |model| model.id.as_str())
    }

    /// The window of the usual model, in tokens.
    pub(in crate::cli) fn window(&self) -> u64 {
        self.models.first().map_or(USUAL_WINDOW, |model| model.context_window)
    }
}

impl KnownModel {
    fn of(models: &Models, name: &str) -> Self {
        let found = models.find(name);
        let entry = |read: fn(&crate::models::entry::Entry) -> u64, usual| found.as_ref().map_or(usual, read);
        Self {
            id: name.to_owned(),
            display_name: found.as_ref().map_or_else(|| name.to_owned(), |entry| entry.display_name.clone()),
            context_window: entry(|entry| entry.context_window, USUAL_WINDOW),
            max_output_tokens: entry(|entry| entry.max_output_tokens, USUAL_OUTPUT),
            vision: found.as_ref().is_none_or(|entry| entry.capabilities.vision),
            efforts: found.map(|entry| entry.supported_reasoning_efforts).unwrap_or_default(),
        }
    }
}

/// How clients on this machine reach the daemon.
pub(in crate::cli) fn address(config: &Config) -> String {
    let host = match config.host.as_str() {
        "0.0.0.0" | "::" | "[::]" => "localhost".to_owned(),
        host if host.parse::<Ipv6Addr>().is_ok() => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("http://{host}:{}", config.port)
}

/// The flags with which another command of this program finds the same proxy: `--port 3000 `, or nothing for the usual one.
pub(in crate::cli) fn flags(config: &Config) -> String {
    let host = match config.host.as_str() {
        DEFAULT_HOST | "0.0.0.0" | "::" | "[::]" => String::new(),
        host => format!("--host {} ", shell_word(host)),
    };
    let port = if config.port == DEFAULT_PORT { String::new() } else { format!("--port {} ", config.port) };
    host + &port
}

/// Writes `text` as one word of a shell, quoted if it has other letters than names have.
pub(in crate::cli) fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/:".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether `key` stands for a key and is none.
pub(in crate::cli) fn is_placeholder(key: &str) -> bool {
    ["", ANY_KEY, YOUR_KEY].contains(&key)
}

/// What is found at the proxy's address.
#[derive(Debug)]
pub(in crate::cli) enum Running {
    /// Nothing answers there.
    No,
    /// Something else answers there.
    Other,
    /// The proxy; it asks for another key than the one that was sent.
    Locked,
    /// The proxy, with its models.
    Yes(Arc<Models>),
}

/// Asks the proxy at `config`'s address for its models.
pub(in crate::cli) async fn running(config: &Config) -> Result<Running, CliError> {
    let settings = TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() };
    let client = HttpClient::with_settings(settings)?;
    let address = address(config);
    let Some((_, health)) = fetch(&client, &format!("{address}/health"), None).await else { return Ok(Running::No) };
    if !serde_json::from_slice::<serde_json::Value>(&health).is_ok_and(|health| health.get("credentials").is_some()) {
        return Ok(Running::Other);
    }
    let url = format!("{address}/v1/models?client_version={}", config.upstream.client_version);
    Ok(match fetch(&client, &url, config.client_key.as_ref()).await {
        Some((StatusCode::OK, body)) => {
            let models = config.models();
            LiveCatalogue::parse(&body).into_iter().for_each(|live| models.set_live(live));
            Running::Yes(Arc::new(models))
        }
        Some((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)) => Running::Locked,
        Some(_) => Running::Other,
        None => Running::No,
    })
}

/// Returns the option, variable or file that set the key sent to the proxy.
pub(in crate::cli) fn key_place(config: &Config) -> String {
    let option = ["api-key", "api-key-file"].into_iter().find(|option| config.origins.of(option).is_some());
    config.origins.name(&format!("--{}", option.unwrap_or("api-key")))
}

/// The key for settings of the proxy that was `found`: one of its own only if `with_key`.
pub(in crate::cli) fn key(config: &Config, found: &Running, with_key: bool) -> ClientKey {
    match &config.client_key {
        Some(key) if with_key => ClientKey::Given(key.clone()),
        Some(_) => ClientKey::Unknown,
        None if config.has_key || matches!(found, Running::Locked) => ClientKey::Unknown,
        None => ClientKey::Any,
    }
}

/// The status and body of an answer; `None` if there is none in time.
async fn fetch(client: &HttpClient, url: &str, key: Option<&Secret>) -> Option<(StatusCode, Vec<u8>)> {
    let mut request = Request::get(url);
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
    }
    let request = request.body(Bytes::new()).ok()?;
    let answer = async {
        let (head, mut body) = client.send(request).await.ok()?.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.ok()?);
            if bytes.len() > LARGEST {
                return None;
            }
        }
        Some((head.status, bytes))
    };
    timeout(PATIENCE, answer).await.ok().flatten()
}

/// The key for a proxy that asks for none: most tools insist on one.
pub(in crate::cli) const ANY_KEY: &str = "any";
/// Stands for a key that the user has to put there.
pub(in crate::cli) const YOUR_KEY: &str = "YOUR_API_KEY";
/// The window of a model that is not in the list: most models have this one.
const USUAL_WINDOW: u64 = 272_000;
/// The longest answer of such a model.
const USUAL_OUTPUT: u64 = 128_000;
/// How long this machine's proxy may take for its list of models.
const PATIENCE: Duration = Duration::from_secs(5);
/// Larger than any list of models.
const LARGEST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_one_word_wherever_it_is_put() {
        let key = ClientKey::Given(Secret::new("a'b\"; $(x) `y`"));
        let facts = Facts { key, ..Facts::nothing() };
        assert_eq!(facts.fill("K=<key>", "bash"), r#"K='a'\''b"; $(x) `y`'"#);
        assert_eq!(facts.fill("k = \"<key>\"", "python"), r#"k = "a'b\"; $(x) `y`""#);
        assert_eq!(facts.fill("$k = '<key>'", "powershell"), r#"$k = 'a''b"; $(x) `y`'"#);
        assert_eq!(Facts::nothing().fill("K=<key>", "bash"), "K=any");
    }
}
