//! The first launch: what is imported, what the log says, and that the source stays as it was.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Log, Unwritable, World, read_json, token, write_private};
use codex_proxy::credentials::open::open_importing;
use codex_proxy::credentials::place::Place;
use codex_proxy::credentials::store::StoreLock;
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::credentials::{AuthDocument, CredentialError, CredentialStore, StoreOptions, TokenSupplier};
use codex_proxy::oauth::Client;
use codex_proxy::simulator::SimulatedLogin;
use futures_util::future::BoxFuture;

fn legacy(world: &World) -> PathBuf {
    world.directory.path().join("codex").join("auth.json")
}

/// Opens the xdg store of `world` with the Codex CLI's file and `keychain` as sources.
async fn launch(world: &World, keychain: Option<AuthDocument>, refresh: bool) -> (Arc<TokenSupplier>, Vec<String>) {
    launch_with(world, keychain, refresh, world.oauth()).await
}

/// The same with another issuer.
async fn launch_with(
    world: &World,
    keychain: Option<AuthDocument>,
    refresh: bool,
    oauth: Client,
) -> (Arc<TokenSupplier>, Vec<String>) {
    let (log, guard) = Log::capture();
    let sources: Vec<Arc<dyn CredentialStore>> =
        vec![Arc::new(FileStore::legacy(legacy(world))), Arc::new(MemoryStore::new(keychain))];
    let store = Arc::new(FileStore::xdg(world.path()));
    let options = StoreOptions { migrate_refresh: refresh, ..StoreOptions::default() };
    let supplier = open_importing(store, &sources, &options, oauth).await;
    drop(guard);
    (supplier, log.lines())
}

/// The marks of the log's lines, in order.
fn marks(lines: &[String]) -> String {
    let mark = |line: &String| line.chars().find(|character| "🔍📄💾🔄✅⚠❌".contains(*character));
    lines.iter().filter_map(mark).collect()
}

fn keychain_login(world: &World) -> AuthDocument {
    AuthDocument::parse(&world.simulator.issue_login(SimulatedLogin::default()).to_string()).unwrap()
}

#[tokio::test]
async fn a_legacy_login_is_copied_and_made_independent() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    let before = std::fs::read(legacy(&world)).unwrap();
    let (supplier, lines) = launch(&world, None, true).await;
    assert_eq!(marks(&lines), "🔍🔍📄💾✅🔄✅⚠", "{lines:#?}");
    let cost = lines.last().unwrap();
    for part in ["the Codex CLI will have to sign in again", "`codex-proxy login`", "--creds-store legacy"] {
        assert!(cost.contains(part), "{part} is not in {cost}");
    }
    assert!(!world.simulator.accepts_refresh_token(token(&source, "refresh_token")), "that is the cost");
    assert_eq!(std::fs::read(legacy(&world)).unwrap(), before);
    let copy = read_json(&world.path());
    assert_ne!(token(&copy, "refresh_token"), token(&source, "refresh_token"));
    assert_eq!(token(&copy, "account_id"), token(&source, "account_id"));
    assert!(world.simulator.accepts_access_token(supplier.access().await.unwrap().token.expose()));
    assert_eq!(world.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn without_the_refresh_it_is_a_plain_copy() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    let (supplier, lines) = launch(&world, None, false).await;
    assert_eq!(marks(&lines), "🔍🔍📄💾✅⚠", "{lines:#?}");
    assert_eq!(read_json(&world.path()), source);
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&source, "access_token"));
    assert_eq!(world.simulator.requests().len(), 0);
}

#[tokio::test]
async fn the_keychain_is_the_second_source() {
    let world = World::new().await;
    let (supplier, lines) = launch(&world, Some(keychain_login(&world)), true).await;
    assert_eq!(marks(&lines), "🔍🔍🔍📄💾✅🔄✅⚠", "{lines:#?}");
    supplier.access().await.unwrap();
    assert!(world.path().exists());
}

#[tokio::test]
async fn with_both_the_legacy_file_wins() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    let (_, lines) = launch(&world, Some(keychain_login(&world)), false).await;
    assert_eq!(marks(&lines), "🔍🔍📄💾✅⚠", "{lines:#?}");
    assert_eq!(read_json(&world.path()), source);
}

#[tokio::test]
async fn with_none_the_server_starts_and_the_log_names_the_command() {
    let world = World::new().await;
    let (supplier, lines) = launch(&world, None, true).await;
    assert_eq!(marks(&lines), "🔍🔍🔍⚠", "{lines:#?}");
    assert!(lines.last().unwrap().contains("codex-proxy login"), "{lines:#?}");
    assert!(supplier.access().await.is_err());
    assert!(!world.path().parent().unwrap().exists());
}

#[tokio::test]
async fn a_login_of_our_own_is_never_replaced() {
    let world = World::new().await;
    let own = world.sign_in(&world.path(), 86_400);
    world.sign_in(&legacy(&world), 86_400);
    let (_, lines) = launch(&world, None, true).await;
    assert_eq!(marks(&lines), "🔍✅", "{lines:#?}");
    assert_eq!(read_json(&world.path()), own);
}

#[tokio::test]
async fn a_broken_file_of_our_own_is_left_alone() {
    let world = World::new().await;
    write_private(&world.path(), "{\n  \"tokens\": {\"access");
    world.sign_in(&legacy(&world), 86_400);
    let (supplier, lines) = launch(&world, None, true).await;
    assert_eq!(marks(&lines), "🔍❌", "{lines:#?}");
    let error = supplier.access().await.unwrap_err().to_string();
    assert!(error.contains("line 2, column 20") && error.contains(world.path().to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read_to_string(world.path()).unwrap(), "{\n  \"tokens\": {\"access");
}

#[tokio::test]
async fn a_broken_legacy_file_is_named_and_the_keychain_tried() {
    let world = World::new().await;
    write_private(&legacy(&world), "{\"tokens\": [1,}");
    let (_, lines) = launch(&world, None, true).await;
    assert_eq!(marks(&lines), "🔍🔍❌🔍⚠", "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("line 1, column 15")), "{lines:#?}");
    let (supplier, lines) = launch(&world, Some(keychain_login(&world)), true).await;
    assert_eq!(marks(&lines), "🔍🔍❌🔍📄💾✅🔄✅⚠", "{lines:#?}");
    supplier.access().await.unwrap();
    assert_eq!(std::fs::read_to_string(legacy(&world)).unwrap(), "{\"tokens\": [1,}");
}

#[tokio::test]
async fn what_is_no_chatgpt_login_is_passed_over() {
    let world = World::new().await;
    for (text, found) in [
        (r#"{"OPENAI_API_KEY":"sk-x","tokens":null}"#, "an OpenAI API key"),
        (r#"{"auth_mode":"agentIdentity","agent_identity":{"agent_runtime_id":"x"}}"#, "an agent identity"),
        (r#"{"personal_access_token":"at-x"}"#, "a personal access token"),
        (r#"{"tokens":{"access_token":"opaque"}}"#, "names no account"),
    ] {
        write_private(&legacy(&world), text);
        let (_, lines) = launch(&world, None, true).await;
        assert_eq!(marks(&lines), "🔍🔍⚠🔍⚠", "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains(found)), "{found}: {lines:#?}");
    }
}

#[tokio::test]
async fn an_unwritable_target_means_working_with_the_source() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    // A file stands where the directory would be: root or not, nothing can be written there.
    std::fs::write(world.path().parent().unwrap(), "").unwrap();
    let (supplier, lines) = launch(&world, None, true).await;
    // Looking there is an error already; what there is stays in use.
    assert_eq!(marks(&lines).chars().last(), Some('⚠'), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("❌")), "{lines:#?}");
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&source, "access_token"));
    assert_eq!(world.simulator.counters().refreshes, 0);
}

#[tokio::test]
#[cfg(unix)]
async fn a_copy_that_cannot_be_written_means_the_same() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    let Some(unwritable) = Unwritable::new(world.directory.path()) else { return };
    let (supplier, lines) = launch(&world, None, true).await;
    assert_eq!(marks(&lines), "🔍🔍📄💾❌⚠", "{lines:#?}");
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&source, "access_token"));
    drop(unwritable);
}

#[tokio::test]
async fn a_refused_refresh_is_only_a_warning() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    world.simulator.invalidate_refresh_tokens();
    let (supplier, lines) = launch(&world, None, true).await;
    assert!(marks(&lines).ends_with("🔄⚠"), "{lines:#?}");
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&source, "access_token"));
    assert_eq!(read_json(&world.path()), source);
}

/// A store that is empty until its lock is taken: another process was faster.
#[derive(Debug)]
struct Overtaken {
    store: MemoryStore,
    theirs: AuthDocument,
}

impl CredentialStore for Overtaken {
    fn place(&self) -> Place {
        self.store.place()
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        self.store.read()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        Box::pin(async {
            let lock = self.store.lock().await?;
            self.store.write(&self.theirs, &lock).await?;
            Ok(lock)
        })
    }

    fn write<'a>(
        &'a self,
        document: &'a AuthDocument,
        lock: &'a StoreLock,
    ) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.store.write(document, lock)
    }

    fn delete<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        self.store.delete(lock)
    }

    fn probe<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.store.probe(lock)
    }
}

#[tokio::test]
async fn what_another_process_has_put_there_first_stays() {
    let world = World::new().await;
    world.sign_in(&legacy(&world), 86_400);
    let theirs = keychain_login(&world);
    let store = Arc::new(Overtaken { store: MemoryStore::default(), theirs: theirs.clone() });
    let sources: Vec<Arc<dyn CredentialStore>> = vec![Arc::new(FileStore::legacy(legacy(&world)))];
    let options = StoreOptions { migrate_refresh: true, ..StoreOptions::default() };
    let (log, guard) = Log::capture();
    let supplier = open_importing(store.clone(), &sources, &options, world.oauth()).await;
    drop(guard);
    assert_eq!(marks(&log.lines()), "🔍🔍📄✅", "{:#?}", log.lines());
    assert_eq!(store.read().await.unwrap(), Some(theirs.clone()));
    assert_eq!(supplier.access().await.unwrap(), theirs.login().unwrap().access);
    assert_eq!(world.simulator.requests().len(), 0, "it is theirs to refresh");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_holds_up_nobody() {
    let world = World::new().await;
    let source = world.sign_in(&legacy(&world), 86_400);
    // Connections are taken by the system, and never answered.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = crate::support::oauth(&format!("http://{}", silent.local_addr().unwrap()));
    let launch = launch_with(&world, None, true, issuer);
    let (supplier, lines) =
        tokio::time::timeout(Duration::from_secs(20), launch).await.expect("well before the issuer is given up");
    assert_eq!(marks(&lines), "🔍🔍📄💾✅🔄⚠", "{lines:#?}");
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&source, "access_token"));
    assert_eq!(read_json(&world.path()), source);
}
