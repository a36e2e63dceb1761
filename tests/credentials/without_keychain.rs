//! A build without the feature `keychain`: `just check-features` runs these.

use codex_proxy::credentials::store::keychain::KeychainStore;
use codex_proxy::credentials::{
    AuthDocument, CredentialStore as _, Environment, StoreChoice, StoreOptions, open_supplier,
};

use crate::support::{Log, World};

#[tokio::test]
async fn the_keychain_says_that_it_was_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeychainStore::own(directory.path());
    let lock = store.lock().await.unwrap();
    let document = AuthDocument::from_access_token("t", Some("acc"));
    let errors = [
        store.read().await.unwrap_err(),
        store.write(&document, &lock).await.unwrap_err(),
        store.delete(&lock).await.unwrap_err(),
        store.probe(&lock).await.unwrap_err(),
    ];
    for error in errors.map(|error| error.to_string()) {
        assert!(error.contains("built without the feature `keychain`") && error.contains("--creds-store"), "{error}");
    }
}

#[tokio::test]
async fn the_keychain_is_named_only_where_it_was_chosen() {
    for (choice, is_named) in [(StoreChoice::Auto, false), (StoreChoice::Keychain, true)] {
        let (log, _guard) = Log::capture();
        let world = World::new().await;
        let directory = Some(world.directory.path().to_owned());
        let environment =
            Environment { config_directory: directory.clone(), codex_home: directory, ..Environment::default() };
        let options = StoreOptions { choice, ..StoreOptions::default() };
        let supplier = open_supplier(&options, &environment, world.oauth()).await;
        let error = supplier.access().await.unwrap_err().to_string();
        assert_eq!(error.contains("built without"), is_named, "{error}");
        assert_eq!(log.text().contains("keychain"), is_named, "{}", log.text());
    }
}
