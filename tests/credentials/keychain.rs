//! The keychain store against a real Secret Service.
//!
//! Each test starts this program again under `dbus-run-session` with a `gnome-keyring-daemon` and a home of its own.
//! Where those two are not installed that is said and nothing is tested; with `CI` set it is a failure.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Log, World, read_json, this_program, token};
use codex_proxy::credentials::store::keychain::{KeychainStore, codex_account};
use codex_proxy::credentials::{
    AuthDocument, CredentialError, CredentialStore, Environment, StoreChoice, StoreOptions, open_supplier,
};
use codex_proxy::platform::Instant;
use codex_proxy::simulator::SimulatedLogin;
use dbus_secret_service_keyring_store::Store;
use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};

const INSIDE: &str = "CODEX_PROXY_TEST_KEYCHAIN";

/// Whether this process runs inside a session of its own. If not, runs `test` in one and answers no.
fn is_inside(test: &str, start_keyring: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !is_there("dbus-run-session") || !is_there("gnome-keyring-daemon") {
        assert!(std::env::var_os("CI").is_none(), "dbus and gnome-keyring are needed here");
        println!("skipped: dbus-run-session or gnome-keyring-daemon is not installed");
        return false;
    }
    let home = tempfile::tempdir().unwrap();
    let script = format!("{start_keyring}; exec \"$0\" --exact keychain::{test} --nocapture --test-threads 1");
    let output = Command::new("timeout")
        .args(["60", "dbus-run-session", "--", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env_remove("XDG_DATA_HOME")
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// An item as any other program sees it.
fn entry(service: &str, account: &str) -> Entry {
    Store::new().unwrap().build(service, account, None).unwrap()
}

const UNLOCKED: &str = "printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null";
const LOCKED: &str = "gnome-keyring-daemon --start --components=secrets >/dev/null";

#[test]
fn an_item_is_written_read_and_removed() {
    if is_inside("an_item_is_written_read_and_removed", UNLOCKED) {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let whole = KeychainStore::own(directory.path());
            let parted = KeychainStore::own(directory.path()).with_part_size(2_500);
            for store in [&whole, &parted, &whole] {
                written_read_and_removed(store).await;
            }
            // From one form to the other, shorter and longer, without a rest.
            let lock = whole.lock().await.unwrap();
            for (store, length) in
                [(&parted, 9_000), (&parted, 3_000), (&whole, 9_000), (&parted, 10), (&parted, 6_000)]
            {
                let document = AuthDocument::from_access_token(&"y".repeat(length), Some("acc"));
                store.write(&document, &lock).await.unwrap();
                assert_eq!(whole.read().await.unwrap(), Some(document), "{length}");
            }
            assert!(parted.delete(&lock).await.unwrap());
            for part in ["auth.json.0.0", "auth.json.1.0", "auth.json.0.3"] {
                assert!(matches!(entry("codex-proxy", part).get_secret(), Err(Error::NoEntry)));
            }
        });
    }
}

async fn written_read_and_removed(store: &KeychainStore) {
    assert_eq!(store.read().await.unwrap(), None);
    // As long as a real one: three tokens of two thousand characters each.
    let document = AuthDocument::from_access_token(&"x".repeat(6_000), Some("acc"));
    let lock = store.lock().await.unwrap();
    store.write(&document, &lock).await.unwrap();
    assert_eq!(store.read().await.unwrap(), Some(document));
    store.probe(&lock).await.unwrap();
    assert!(store.delete(&lock).await.unwrap());
    assert!(!store.delete(&lock).await.unwrap());
    assert_eq!(store.read().await.unwrap(), None);
}

#[test]
fn the_codex_clis_item_is_imported_and_stays() {
    if is_inside("the_codex_clis_item_is_imported_and_stays", UNLOCKED) {
        block_on(async {
            for choice in [StoreChoice::Keychain, StoreChoice::Auto] {
                let (log, _guard) = Log::capture();
                let world = World::new().await;
                let codex_home = world.directory.path().join("codex");
                std::fs::create_dir(&codex_home).unwrap();
                let item = entry("Codex Auth", &codex_account(&codex_home));
                let source = world.simulator.issue_login(SimulatedLogin::default());
                item.set_password(&source.to_string()).unwrap();
                let environment = Environment {
                    config_directory: Some(world.directory.path().to_owned()),
                    codex_home: Some(codex_home),
                    ..Environment::default()
                };
                let options = StoreOptions { choice, ..StoreOptions::default() };
                let supplier = open_supplier(&options, &environment, world.oauth()).await;
                let access = supplier.access().await.unwrap_or_else(|error| panic!("{error}\n{}", log.text()));
                assert_ne!(access.token.expose(), token(&source, "access_token"));
                assert!(world.simulator.accepts_access_token(access.token.expose()));
                assert_eq!(item.get_password().unwrap(), source.to_string(), "the source is unchanged");
                assert_eq!(world.simulator.counters().refreshes, 1);
                if choice == StoreChoice::Auto {
                    let stored = read_json(&world.path());
                    assert_eq!(token(&stored, "access_token"), access.token.expose());
                }
            }
        });
    }
}

#[test]
fn a_locked_keychain_does_not_hang() {
    if is_inside("a_locked_keychain_does_not_hang", LOCKED) {
        let begun = Instant::now();
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let store = KeychainStore::own(directory.path()).with_limit(Duration::from_secs(2));
            let lock = store.lock().await.unwrap();
            let document = AuthDocument::from_access_token("t", Some("acc"));
            let error = store.write(&document, &lock).await.unwrap_err();
            assert!(matches!(error, CredentialError::Unwritable { .. }), "{error}");
            let world = World::new().await;
            let supplier = world.supplier_of(Arc::new(store));
            assert!(supplier.access().await.is_err());
        });
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[test]
fn without_any_keychain_the_error_says_so() {
    if is_inside("without_any_keychain_the_error_says_so", "unset DBUS_SESSION_BUS_ADDRESS") {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let error = KeychainStore::own(directory.path()).read().await.unwrap_err();
            assert!(error.to_string().contains("keychain"), "{error}");
            println!("{error}");
        });
    }
}

/// One thread, and nothing of it left waiting at the end.
fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn what_is_no_document_is_said_to_be_and_stays() {
    if is_inside("what_is_no_document_is_said_to_be_and_stays", UNLOCKED) {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let store = KeychainStore::own(directory.path());
            let item = entry("codex-proxy", "auth.json");
            for (secret, words) in [
                (&b"\xff\xfe"[..], "not text"),
                (b"{\"tokens\": ", "line 1"),
                (b"in parts: 0 2", "a part of it is missing"),
            ] {
                item.set_secret(secret).unwrap();
                let error = store.read().await.unwrap_err();
                assert!(error.to_string().contains(words), "{words}: {error}");
                assert!(error.to_string().contains("the keychain item \"codex-proxy\" (auth.json)"), "{error}");
                assert_eq!(item.get_secret().unwrap(), secret);
            }
        });
    }
}

#[test]
fn another_process_renews_a_login_in_the_keychain() {
    if is_inside("another_process_renews_a_login_in_the_keychain", UNLOCKED) {
        block_on(async {
            let world = World::new().await;
            let store = Arc::new(KeychainStore::own(world.directory.path()));
            let source = world.simulator.issue_login(SimulatedLogin::default().expiring_in(-60));
            let document = AuthDocument::parse(&source.to_string()).unwrap();
            store.write(&document, &store.lock().await.unwrap()).await.unwrap();
            let supplier = this_program().supplier(store.clone(), world.oauth());
            let access = supplier.access().await.unwrap();
            assert!(world.simulator.accepts_access_token(access.token.expose()));
            let stored = store.read().await.unwrap().unwrap().login().unwrap();
            assert_eq!(stored.access, access);
            assert_eq!(world.simulator.counters().refreshes, 1);
        });
    }
}
