//! A token that the issuer has just given is used, whatever this machine's clock says.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Log, World, this_program};
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{CredentialHealth, TokenSupplier};

/// Suppliers that refresh in this process, and in one of their own.
fn suppliers(world: &World) -> [TokenSupplier; 2] {
    let store = || Arc::new(FileStore::xdg(world.path()));
    [TokenSupplier::new(store(), world.oauth()), this_program().supplier(store(), world.oauth())]
}

#[tokio::test]
async fn a_clock_that_is_ahead_costs_one_refresh_and_is_said() {
    for nth in 0..2 {
        let world = World::new().await;
        world.simulator.turn_back_clock(Duration::from_secs(11 * 86_400));
        world.sign_in(&world.path(), 864_000);
        let supplier = suppliers(&world).into_iter().nth(nth).unwrap();
        let (log, _recording) = Log::capture();
        let first = supplier.access().await.unwrap();
        assert!(world.simulator.accepts_access_token(first.token.expose()));
        for _ in 0..20 {
            assert_eq!(supplier.access().await.unwrap(), first);
            supplier.look_after().await;
        }
        assert_eq!(world.simulator.counters().refreshes, 1);
        assert_eq!(supplier.health(), CredentialHealth::Ok);
        let status = supplier.status().await;
        assert!(status.has_credentials && !status.is_expired && !status.needs_refresh_soon, "{status:?}");
        let text = log.text();
        assert_eq!(text.matches("clock is 11 days ahead").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn the_login_of_somebody_else_counts_by_the_same_time() {
    let world = World::new().await;
    world.simulator.turn_back_clock(Duration::from_secs(11 * 86_400));
    world.sign_in(&world.path(), 864_000);
    let [supplier, _] = suppliers(&world);
    supplier.access().await.unwrap();
    let theirs = world.sign_in(&world.path(), 864_000);
    let access = supplier.login().await.unwrap().access;
    assert_eq!(access.token.expose(), crate::support::token(&theirs, "access_token"));
    assert_eq!(supplier.access().await.unwrap(), access);
    assert_eq!(world.simulator.counters().refreshes, 1);
}
