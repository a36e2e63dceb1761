//! The login: set through the admin API, published in KV, renewed once by its owner.

use std::time::Duration;

use codex_proxy::simulator::{SimulatedLogin, Simulator};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::world::{CHAT, HERE, PATIENCE, World, user};

/// A token that has expired and can be renewed.
fn expired() -> SimulatedLogin {
    SimulatedLogin::default().expiring_in(-60)
}

/// Answers to refreshes take so long. Setting credentials has the models fetched, and with them a token renewed that needs
/// it: a test that is to see the old one makes the issuer slow before.
fn slow_issuer(world: &World, seconds: u64) {
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_secs(seconds));
}

fn token<'a>(document: &'a Value, name: &str) -> &'a str {
    document["tokens"][name].as_str().unwrap()
}

fn bearer(simulator: &Simulator) -> String {
    let requests = simulator.requests_to("/responses");
    requests.last().unwrap().header("authorization").trim_start_matches("Bearer ").to_owned()
}

/// Asks until KV holds another refresh token than `spent`.
async fn rotated(world: &World, spent: &str) -> Value {
    let wait = async {
        loop {
            let document = world.edge.document();
            if document["tokens"]["refresh_token"].as_str().is_some_and(|token| token != spent) {
                return document;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("a new login in KV")
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_set_shown_and_used() {
    let Some(world) = World::with(&[HERE], json!({})).await else { return };
    let status = world.status(HERE).await;
    assert_eq!((&status["hasCredentials"], &status["store"]), (&json!(false), &json!("kv")));
    let refused = world.chat().await;
    assert_eq!(refused.status, 401);
    assert!(refused.error()["message"].as_str().unwrap().contains("POST /admin/credentials"), "{}", refused.text);

    let login = world.sign_in(SimulatedLogin::default().on_plan("pro")).await;
    let status = world.status(HERE).await;
    assert_eq!((&status["type"], &status["hasCredentials"]), (&json!("oauth"), &json!(true)));
    assert_eq!((&status["isExpired"], &status["needsRefreshSoon"]), (&json!(false), &json!(false)));
    assert_eq!(status["planType"], "pro");
    assert!(status["minutesUntilExpiry"].as_u64().unwrap() > 14_000, "{status}");
    assert!(!status.to_string().contains(token(&login, "refresh_token")));
    world.chat().await.message();
    assert_eq!(bearer(&world.simulator), token(&login, "access_token"));
    assert_eq!(token(&world.edge.document(), "refresh_token"), token(&login, "refresh_token"));
    assert_eq!(world.edge.kv()["metadata"]["revision"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed_once_and_the_next_one_saved() {
    let Some(world) = World::with(&[HERE], json!({})).await else { return };
    slow_issuer(&world, 2);
    let first = world.sign_in(expired()).await;
    let answers = join_all((0..40).map(|_| world.chat())).await;
    for answer in answers {
        answer.message();
    }
    assert_eq!(world.simulator.counters().refreshes, 1);
    let metrics = world.get("/metrics").await.text;
    assert!(metrics.contains("codex_proxy_token_refreshes_total{outcome=\"ok\"} 1\n"), "{metrics}");
    let second = world.edge.document();
    assert_ne!(token(&second, "refresh_token"), token(&first, "refresh_token"));
    assert_eq!(bearer(&world.simulator), token(&second, "access_token"));

    world.simulator.expire_access_tokens();
    let answers = join_all((0..10).map(|_| world.chat())).await;
    for answer in answers {
        answer.message();
    }
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (2, 0), "{counters:?}");
    assert_ne!(token(&world.edge.document(), "refresh_token"), token(&second, "refresh_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_isolates_and_an_old_copy_in_kv_cause_one_refresh() {
    let Some(world) = World::with(&[HERE, "there", "elsewhere"], json!({})).await else { return };
    slow_issuer(&world, 2);
    world.sign_in(expired()).await;
    let old = world.edge.kv();
    assert_eq!(old["metadata"]["revision"], 1);
    let places = [HERE, "there"].into_iter().cycle().take(20);
    for answer in join_all(places.map(|place| world.chat_at(place))).await {
        answer.message();
    }
    assert_eq!(world.simulator.counters().refreshes, 1);
    let renewed = world.edge.document();

    // What a place far away still reads.
    world.edge.put(&old);
    for place in ["elsewhere", "there", HERE] {
        world.chat_at(place).await.message();
        assert_eq!(bearer(&world.simulator), token(&renewed, "access_token"), "{place}");
    }
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (1, 0), "{counters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_near_its_end_is_used_and_renewed_beside_its_use() {
    let Some(world) = World::with(&[HERE], json!({})).await else { return };
    slow_issuer(&world, 5);
    let login = world.sign_in(SimulatedLogin::default().expiring_in(59 * 60)).await;
    world.chat().await.message();
    assert_eq!(bearer(&world.simulator), token(&login, "access_token"));
    let renewed = rotated(&world, token(&login, "refresh_token")).await;
    world.chat().await.message();
    assert_eq!(bearer(&world.simulator), token(&renewed, "access_token"));
    assert_eq!(world.simulator.counters().refreshes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_set_win_over_those_that_were_kept() {
    let Some(world) = World::with(&[HERE, "there"], json!({})).await else { return };
    world.sign_in(expired()).await;
    world.chat().await.message();
    slow_issuer(&world, 1);
    world.simulator.expire_access_tokens();
    // A refresh of the old login is under way while the new one is set.
    let (old, new) = tokio::join!(world.chat(), async {
        let asked = |simulator: &Simulator| simulator.counters().refreshes == 2;
        assert!(world.simulator.wait_until(PATIENCE, asked).await);
        world.sign_in_at("there", SimulatedLogin::default().for_account("another-account")).await
    });
    assert!([200, 401].contains(&old.status.as_u16()), "served, or told to ask again: {}", old.text);
    assert_eq!(token(&world.edge.document(), "refresh_token"), token(&new, "refresh_token"));
    assert_eq!(world.status(HERE).await["accountID"], "another-account");
    for place in ["there", HERE] {
        world.chat_at(place).await.message();
        assert_eq!(bearer(&world.simulator), token(&new, "access_token"), "{place}");
    }

    world.simulator.expire_access_tokens();
    world.chat().await.message();
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (3, 0), "{counters:?}");
    assert_eq!(world.status("there").await["accountID"], "another-account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_outlives_the_request_that_asked_for_it() {
    let Some(world) = World::with(&[HERE], json!({})).await else { return };
    let login = world.sign_in(SimulatedLogin::default()).await;
    slow_issuer(&world, 2);
    world.simulator.expire_access_tokens();
    let client = world.hasty(CHAT, &user("hi")).await;
    let asked = |simulator: &Simulator| simulator.counters().refreshes == 1;
    assert!(world.simulator.wait_until(PATIENCE, asked).await);
    client.vanish();
    rotated(&world, token(&login, "refresh_token")).await;
    world.chat().await.message();
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (1, 0), "{counters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_has_ended_says_what_to_do_and_a_new_one_helps() {
    let Some(world) = World::with(&[HERE], json!({})).await else { return };
    world.sign_in(SimulatedLogin::default()).await;
    world.simulator.expire_access_tokens();
    world.simulator.expire_refresh_tokens();
    for _ in 0..3 {
        let answer = world.chat().await;
        assert_eq!((answer.status.as_u16(), &answer.error()["code"]), (401, &json!("upstream_auth")));
        assert!(answer.text.contains("POST /admin/credentials"), "{}", answer.text);
    }
    assert_eq!(world.simulator.counters().token_requests, 1, "a dead token is tried once");
    assert!(world.status(HERE).await["error"].as_str().is_some_and(|error| error.contains("has expired")));
    world.sign_in(SimulatedLogin::default()).await;
    world.chat().await.message();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_put_into_kv_by_hand_counts_until_there_is_another() {
    let Some(world) = World::with(&[HERE, "there"], json!({})).await else { return };
    let document = world.simulator.issue_login(expired());
    world.edge.put(&json!({ "value": document.to_string(), "metadata": null }));
    world.chat().await.message();
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (1, 0));
    assert_eq!(world.edge.kv()["metadata"]["revision"], 1);
    let stored = world.edge.document();
    assert_eq!(stored["auth_mode"], "chatgpt");
    world.chat_at("there").await.message();
    assert_eq!(bearer(&world.simulator), token(&stored, "access_token"));
}
