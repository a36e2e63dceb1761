//! An issuer that rotates the refresh token without a usable access token costs no refresh per request.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{World, read_json, this_program, token};
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{CredentialError, TokenSupplier};
use codex_proxy::simulator::{ScriptedAnswer, SimulatedLogin};
use http::StatusCode;
use serde_json::{Value, json};

/// Suppliers that refresh in this process, and in one of their own.
fn suppliers(world: &World) -> [TokenSupplier; 2] {
    let store = || Arc::new(FileStore::xdg(world.path()));
    [TokenSupplier::new(store(), world.oauth()), this_program().supplier(store(), world.oauth())]
}

/// Queues ten answers that rotate the refresh token and give `access_token` with it.
fn rotate(world: &World, access_token: Option<&Value>) {
    for nth in 1..=10 {
        let mut answer = json!({ "refresh_token": format!("rt_{nth}") });
        if let Some(access_token) = access_token {
            answer["access_token"] = access_token.clone();
        }
        world.simulator.script_token_answer(ScriptedAnswer::json(StatusCode::OK, &answer));
    }
}

fn asked(world: &World) -> usize {
    world.simulator.requests_to("/oauth/token").len()
}

#[tokio::test]
async fn a_rotation_without_a_usable_access_token_is_stored_and_waits() {
    for is_present in [false, true] {
        for nth in 0..2 {
            let world = World::new().await;
            world.sign_in(&world.path(), -60);
            let expired = world.simulator.issue_login(SimulatedLogin::default().expiring_in(-30));
            rotate(&world, is_present.then_some(&expired["tokens"]["access_token"]));
            let supplier = suppliers(&world).into_iter().nth(nth).unwrap();
            let expected =
                if is_present { "its access token has expired already" } else { "there is no new access token in it" };
            for _ in 0..10 {
                let error = supplier.access().await.unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
            }
            // A slow machine may outlast the first wait.
            assert!((1..=3).contains(&asked(&world)), "{} refreshes", asked(&world));
            assert_eq!(token(&read_json(&world.path()), "refresh_token"), format!("rt_{}", asked(&world)));
            let counts = supplier.refresh_counts();
            assert_eq!((counts.succeeded, counts.failed), (0, asked(&world) as u64));

            let theirs = world.sign_in(&world.path(), 86_400);
            assert_eq!(supplier.access().await.unwrap().token.expose(), token(&theirs, "access_token"));
        }
    }
}

#[tokio::test]
async fn the_wait_doubles_although_the_refresh_token_changes() {
    for nth in 0..2 {
        let world = World::new().await;
        world.sign_in(&world.path(), -60);
        rotate(&world, None);
        let supplier = suppliers(&world).into_iter().nth(nth).unwrap();
        for expected in [1, 2] {
            let error = supplier.access().await.unwrap_err();
            let CredentialError::RefreshFailed { retry_after, .. } = error else { panic!("{error}") };
            assert_eq!(retry_after, Duration::from_secs(expected));
            tokio::time::sleep(retry_after + Duration::from_millis(50)).await;
        }
        assert_eq!(asked(&world), 2);
    }
}

#[tokio::test]
async fn a_token_that_works_stays_in_use_and_one_that_was_rejected_is_not_renewed_twice() {
    for nth in 0..2 {
        let world = World::new().await;
        let document = world.sign_in(&world.path(), 1_800);
        rotate(&world, None);
        let supplier = suppliers(&world).into_iter().nth(nth).unwrap();
        let access = supplier.access().await.unwrap();
        for _ in 0..10 {
            supplier.look_after().await;
            assert_eq!(supplier.access().await.unwrap().token.expose(), token(&document, "access_token"));
        }
        supplier.renew(&access).await.unwrap_err();
        assert!((1..=3).contains(&asked(&world)), "{} refreshes", asked(&world));
    }
}
