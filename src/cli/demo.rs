//! `demo`: the proxy against a simulated backend in the same process. No account, no network, no files.
//!
//! * Its ledger is in memory, and begins with requests that were never made ([`sample`]), so that the page at `/` has something
//!   to show. The page says so.

mod sample;

use std::io::Write;
use std::sync::Arc;

use codex_proxy_simulator::{SimulatedLogin, Simulator, SimulatorSettings};

use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::serve;
use crate::cli::serve::Signals;
use crate::credentials::store::memory::MemoryStore;
use crate::credentials::{AuthDocument, TokenSupplier};
use crate::ledger::LedgerPlace;
use crate::platform::{HttpClient, Reach, TransportSettings, unix_now};
use crate::server::settings::ServerMode;
use crate::upstream::Routing;

/// Serves with temporary credentials until a signal.
pub(super) async fn demo(mut config: Config, output: &mut impl Write) -> Result<(), CliError> {
    let mut signals = Signals::new()?;
    let listeners = serve::bind(&config).await?;
    // Client libraries with a closed list of events would fail at the simulator's extra ones.
    let simulator =
        Simulator::with_settings(SimulatorSettings { unknown_events: false, ..SimulatorSettings::default() });
    let running = simulator.start().await?;
    config.upstream.base_url = running.upstream_url();
    config.upstream.routing = Routing::default();
    config.auth_url = running.auth_url();
    config.catalogue_cache = None;
    config.server.mode = ServerMode::Demo;
    let login = simulator.issue_login(SimulatedLogin::default()).to_string();
    let login = AuthDocument::parse(&login).map_err(|error| CliError::Internal(error.to_string()))?;
    let client =
        HttpClient::with_settings(TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() })?;
    let store = Arc::new(MemoryStore::new(Some(login)));
    let supplier = Arc::new(TokenSupplier::new(store, serve::issuer(&config, &client)));
    let url = serve::announce(&listeners, output)?;
    serve::log_start(&config, &url);
    // The reader of the address may have closed the pipe; that is no reason to stop.
    let _ = output.write_all(banner(&url, config.has_key).as_bytes()).and_then(|()| output.flush());
    let former = sample::requests(unix_now().as_secs(), &config.models());
    let record = serve::Record { place: Some(LedgerPlace::Memory("demo".into())), former };
    serve::run(&config, listeners, client, supplier, record, &mut signals).await
}

fn banner(url: &str, has_key: bool) -> String {
    let port = url.rsplit(':').next().unwrap_or_default();
    let (key, header, note) = if has_key {
        let note = "\nYOUR_API_KEY is one of the keys that are set with --api-key or CODEX_PROXY_API_KEY.\n";
        ("YOUR_API_KEY", " -H 'authorization: Bearer YOUR_API_KEY'", note)
    } else {
        ("any", "", "")
    };
    format!(
        r#"
THIS IS A SIMULATION: no model answers, nothing leaves this machine, nothing is stored.

The page, which begins with made-up requests: {url}/

Try it:
  curl -N {url}/v1/chat/completions -H 'content-type: application/json'{header} \
    -d '{{"messages":[{{"role":"user","content":"Hello!"}}],"stream":true}}'

OpenAI SDKs and most tools:
  export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}

A tool of yours, with none of its files changed (`codex-proxy setup` lists the tools):
  codex-proxy run --port {port} opencode
{note}
Stop it with Ctrl-C. For real answers: codex-proxy login, then codex-proxy.
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_says_what_it_is_and_how_to_try_it() {
        let keyed = banner("http://127.0.0.1:9879", true);
        assert!(keyed.contains("OPENAI_API_KEY=YOUR_API_KEY") && keyed.contains("Bearer YOUR_API_KEY"), "{keyed}");
        assert!(!keyed.contains("=any\n"), "{keyed}");
        let text = banner("http://127.0.0.1:9879", false);
        assert!(text.contains("made-up requests: http://127.0.0.1:9879/\n"), "{text}");
        assert!(text.contains("SIMULATION") && text.contains("http://127.0.0.1:9879/v1/chat/completions"));
        assert!(text.contains("codex-proxy run --port 9879 opencode\n"), "{text}");
    }
}
