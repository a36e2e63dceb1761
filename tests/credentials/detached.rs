//! A refresh in a process of its own tells what a refresh in this one would have told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{REFRESHER, Unwritable, World, read_json, this_program, token, write_private};
use codex_proxy::credentials::process::DetachedRefresh;
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::credentials::{
    Access, AuthDocument, CredentialError, CredentialHealth, CredentialStore, TokenSupplier,
};
use codex_proxy::fault::Fault;
use codex_proxy::oauth::{Ended, IssuerError};
use codex_proxy::platform::Instant;
use codex_proxy::simulator::{ScriptedAnswer, SimulatedLogin};
use http::StatusCode;

/// A shell that runs `script`, in which `"$@"` is the program that refreshes.
fn shell(script: &str) -> DetachedRefresh {
    let program = std::env::current_exe().unwrap().display().to_string();
    let arguments = ["-c", script, "sh", &program].map(str::to_owned);
    DetachedRefresh::new("/bin/sh".into(), arguments.into_iter().chain(REFRESHER.map(str::to_owned)))
}

fn supplier_of(world: &World, store: impl CredentialStore + 'static, detached: DetachedRefresh) -> TokenSupplier {
    detached.supplier(Arc::new(store), world.oauth())
}

fn supplier(world: &World, detached: DetachedRefresh) -> TokenSupplier {
    supplier_of(world, FileStore::xdg(world.path()), detached)
}

fn counts(supplier: &TokenSupplier) -> (u64, u64) {
    (supplier.refresh_counts().succeeded, supplier.refresh_counts().failed)
}

#[tokio::test]
async fn the_new_login_is_stored_and_used() {
    let world = World::new().await;
    for legacy in [false, true] {
        world.sign_in(&world.path(), -60);
        let store = if legacy { FileStore::legacy(world.path()) } else { FileStore::xdg(world.path()) };
        let supplier = supplier_of(&world, store, this_program());
        let access = supplier.access().await.unwrap();
        assert!(world.simulator.accepts_access_token(access.token.expose()));
        assert_eq!(token(&read_json(&world.path()), "access_token"), access.token.expose());
        assert_eq!(counts(&supplier), (1, 0));
        assert_eq!(supplier.access().await.unwrap(), access);
    }
    assert_eq!(world.simulator.counters().refreshes, 2);
}

#[tokio::test]
async fn an_ended_login_is_not_tried_again() {
    let world = World::new().await;
    for expected in [Ended::Expired, Ended::Invalidated] {
        world.sign_in(&world.path(), -60);
        match expected {
            Ended::Expired => world.simulator.expire_refresh_tokens(),
            Ended::Reused | Ended::Invalidated => world.simulator.invalidate_refresh_tokens(),
        }
        world.simulator.forget_requests();
        let supplier = supplier(&world, this_program());
        for _ in 0..3 {
            let error = supplier.access().await.unwrap_err();
            assert!(matches!(&error, CredentialError::Ended { ended, .. } if *ended == expected), "{error}");
        }
        assert_eq!(world.simulator.requests_to("/oauth/token").len(), 1);
        assert_eq!(counts(&supplier), (0, 1));
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_keeps_its_reason_and_its_pause() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let before = read_json(&world.path());
    for (answer, status) in [
        (ScriptedAnswer::too_many_requests(), StatusCode::BAD_GATEWAY),
        (ScriptedAnswer::cloudflare_challenge(), StatusCode::BAD_GATEWAY),
        (ScriptedAnswer::hang_up(), StatusCode::BAD_GATEWAY),
    ] {
        world.simulator.script_token_answer(answer);
        let supplier = supplier(&world, this_program());
        let error = supplier.access().await.unwrap_err();
        let CredentialError::RefreshFailed { error: reason, retry_after } = &error else { panic!("{error}") };
        assert!(!matches!(reason, IssuerError::Invalid(_)), "{reason}");
        assert!(!retry_after.is_zero());
        assert_eq!(Fault::from(error).status(), status);
        assert_eq!(counts(&supplier), (0, 1));
        assert_eq!(read_json(&world.path()), before);
    }
}

#[tokio::test]
async fn tokens_that_could_not_be_stored_are_handed_over() {
    let world = World::new().await;
    let old = world.sign_in(&world.path(), -60);
    let Some(unwritable) = Unwritable::new(world.path().parent().unwrap()) else { return };
    let supplier = supplier(&world, this_program());
    let access = supplier.access().await.unwrap();
    assert!(world.simulator.accepts_access_token(access.token.expose()));
    assert_eq!(read_json(&world.path()), old);
    assert!(supplier.status().await.error.unwrap().contains("cannot write"));
    // The next one is done here, because only this process has the refresh token that still works.
    let second = supplier.renew(&access).await.unwrap();
    assert_ne!(second, access);
    drop(unwritable);
    supplier.settle().await;
    assert_eq!(token(&read_json(&world.path()), "access_token"), second.token.expose());
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (2, 0));
}

#[tokio::test]
async fn a_login_that_still_works_is_not_spent_where_the_next_could_not_be_stored() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), 1_800);
    let Some(unwritable) = Unwritable::new(world.path().parent().unwrap()) else { return };
    let supplier = supplier(&world, this_program());
    for _ in 0..3 {
        supplier.look_after().await;
        assert_eq!(supplier.access().await.unwrap().token.expose(), token(&document, "access_token"));
    }
    drop(unwritable);
    assert_eq!(world.simulator.requests_to("/oauth/token").len(), 0);
}

#[tokio::test]
async fn a_login_that_is_taken_away_meanwhile_is_missing() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let script = format!("rm '{}'; exec \"$@\"", world.path().display());
    let supplier = supplier(&world, shell(&script));
    let error = supplier.access().await.unwrap_err();
    assert!(matches!(error, CredentialError::Missing { .. }), "{error}");
    assert_eq!(supplier.health(), CredentialHealth::Missing);
    assert_eq!(world.simulator.requests_to("/oauth/token").len(), 0);
}

#[tokio::test]
async fn what_the_other_could_not_do_though_nothing_has_changed_is_a_locked_store() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let supplier = supplier(&world, shell("read -r order; echo refresh begun; echo 'refresh report \"store\"'"));
    let error = supplier.access().await.unwrap_err();
    assert!(matches!(error, CredentialError::Locked { .. }), "{error}");
}

#[tokio::test]
async fn one_that_breaks_off_is_a_failure_and_not_done_twice() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    for (script, words) in [
        ("read -r order; echo refresh begun", "ended without a report"),
        ("read -r order; echo refresh begun; echo 'refresh report \"stored\"'", "of no use"),
    ] {
        let supplier = supplier(&world, shell(script));
        let error = supplier.access().await.unwrap_err();
        assert!(matches!(error, CredentialError::RefreshFailed { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(counts(&supplier), (0, 1));
    }
    // It may have been used up: whether it was is for the next try to find out.
    assert_eq!(world.simulator.requests_to("/oauth/token").len(), 0);
}

#[tokio::test]
async fn what_is_handed_over_broken_is_an_error() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let report = r#"refresh report {"unsaved":{"document":"{","reason":"full"}}"#;
    let supplier = supplier(&world, shell(&format!("read -r order; echo refresh begun; echo '{report}'")));
    let error = supplier.access().await.unwrap_err();
    assert!(matches!(error, CredentialError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn where_no_process_does_it_this_one_does() {
    let world = World::new().await;
    for nobody in [DetachedRefresh::new(Path::new("/nonexistent").into(), ["x"]), shell("exit 1"), shell("echo hello")]
    {
        world.sign_in(&world.path(), -60);
        let refreshes = world.simulator.counters().refreshes;
        let supplier = supplier(&world, nobody);
        let access = supplier.access().await.unwrap();
        assert_eq!(token(&read_json(&world.path()), "access_token"), access.token.expose());
        assert_eq!((counts(&supplier), world.simulator.counters().refreshes), ((1, 0), refreshes + 1));
    }
    // No other process can see this one's memory.
    let login = world.simulator.issue_login(SimulatedLogin::default().expiring_in(-60));
    let store = MemoryStore::new(Some(AuthDocument::parse(&login.to_string()).unwrap()));
    let supplier = supplier_of(&world, store, shell("echo refresh begun"));
    assert!(world.simulator.accepts_access_token(supplier.access().await.unwrap().token.expose()));
}

#[tokio::test]
async fn a_rejected_token_is_renewed_though_it_has_not_expired() {
    let world = World::new().await;
    world.sign_in(&world.path(), 86_400);
    let supplier = supplier(&world, this_program());
    let access = supplier.access().await.unwrap();
    let renewed = supplier.renew(&access).await.unwrap();
    assert_ne!(renewed, access);
    assert_eq!(token(&read_json(&world.path()), "access_token"), renewed.token.expose());
    // Another account's login in the meantime is not used for a request that began as this one's.
    let other = SimulatedLogin::default().for_account("somebody-else");
    write_private(&world.path(), &world.simulator.issue_login(other).to_string());
    let error = supplier.reload(&renewed).await.unwrap_err();
    assert!(matches!(error, CredentialError::AccountChanged { .. }), "{error}");
}

/// Waits until `lock` has been asked for in vain for a while: nobody can see a process that waits.
const WHILE_IT_WAITS: Duration = Duration::from_millis(300);

/// A request for a token that goes on by itself.
#[expect(clippy::disallowed_methods, reason = "its result is wanted, and it runs nowhere but here")]
fn asking(supplier: &Arc<TokenSupplier>) -> tokio::task::JoinHandle<Result<Access, CredentialError>> {
    let supplier = Arc::clone(supplier);
    tokio::spawn(async move { supplier.access().await })
}

#[tokio::test]
async fn a_process_that_ends_waits_for_nobody_elses_lock() {
    let world = World::new().await;
    let before = world.sign_in(&world.path(), -60);
    for supplier in [Arc::new(supplier(&world, this_program())), world.supplier()] {
        let lock = FileStore::xdg(world.path()).lock().await.unwrap();
        let asking = asking(&supplier);
        tokio::time::sleep(WHILE_IT_WAITS).await;
        let began = Instant::now();
        supplier.stop().await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let error = asking.await.unwrap().unwrap_err();
        assert!(matches!(error, CredentialError::Stopping { .. }), "{error}");
        drop(lock);
        assert!(matches!(supplier.access().await, Err(CredentialError::Stopping { .. })));
    }
    assert_eq!(read_json(&world.path()), before);
    assert!(world.simulator.requests_to("/oauth/token").is_empty());
}

#[tokio::test]
async fn a_process_that_ends_waits_for_the_refresh_that_has_begun() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(500));
    let supplier = Arc::new(supplier(&world, this_program()));
    let asking = asking(&supplier);
    while world.simulator.counters().refreshes == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    supplier.stop().await;
    let access = asking.await.unwrap().unwrap();
    assert_eq!(token(&read_json(&world.path()), "access_token"), access.token.expose());
}
