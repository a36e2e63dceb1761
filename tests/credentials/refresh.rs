//! The login survives: one refresh for all, stored before use, and final refusals told from passing ones.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Log, World, read_json, token, write_private};
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{CredentialError, CredentialHealth, TokenSupplier};
use codex_proxy::fault::Fault;
use codex_proxy::simulator::{Account, ScriptedAnswer, SimulatedLogin};
use http::StatusCode;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_with_an_expired_token_cause_one_refresh() {
    let world = World::new().await;
    let old = world.sign_in(&world.path(), -60);
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(50));
    let supplier = world.supplier();
    let calls = (0..1000).map(|_| {
        let supplier = Arc::clone(&supplier);
        async move { supplier.access().await.unwrap() }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|access| access == &answers[0]));
    assert_ne!(answers[0].token.expose(), token(&old, "access_token"));
    assert!(world.simulator.accepts_access_token(answers[0].token.expose()));
    let counters = world.simulator.counters();
    assert_eq!((counters.refreshes, counters.reuse_attempts), (1, 0));
    assert_eq!(supplier.refresh_counts().succeeded, 1);
}

#[tokio::test]
async fn a_fresh_token_needs_no_issuer() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), 86_400);
    let access = world.supplier().access().await.unwrap();
    assert_eq!(access.token.expose(), token(&document, "access_token"));
    assert_eq!(access.account_id, token(&document, "account_id"));
    assert_eq!(world.simulator.requests().len(), 0);
}

#[tokio::test]
async fn an_ageing_token_is_handed_out_and_renewed_beside_it() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), 3_000);
    let supplier = world.supplier();
    supplier.access().await.unwrap();
    let access = supplier.access().await.unwrap();
    assert_eq!(access.token.expose(), token(&document, "access_token"));
    assert!(world.simulator.wait_until(PATIENCE, |simulator| simulator.counters().refreshes == 1).await);
    supplier.settle().await;
    assert_ne!(supplier.access().await.unwrap().token.expose(), token(&document, "access_token"));
}

#[tokio::test]
async fn the_background_task_renews_without_a_request() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let supplier = world.supplier();
    supplier.look_after().await;
    assert_eq!(world.simulator.counters().refreshes, 1);
    assert_eq!(supplier.health(), CredentialHealth::Ok);
    supplier.look_after().await;
    assert_eq!(world.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn new_tokens_are_in_the_file_before_anybody_has_them() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let access = world.supplier().access().await.unwrap();
    let stored = read_json(&world.path());
    assert_eq!(token(&stored, "access_token"), access.token.expose());
    assert!(world.simulator.accepts_refresh_token(token(&stored, "refresh_token")));
}

#[tokio::test]
async fn unknown_fields_and_the_order_of_fields_stay() {
    let world = World::new().await;
    let mut document = world.sign_in(&world.path(), -60);
    document["tokens"]["added_later"] = json!({"b": [1, null], "a": "ü"});
    let text = format!(
        r#"{{"zeta": 1, "tokens": {}, "auth_mode": "chatgpt", "alpha": {{"x": true}}, "last_refresh": "2026-01-01T00:00:00Z", "OPENAI_API_KEY": "sk-kept"}}"#,
        document["tokens"]
    );
    write_private(&world.path(), &text);
    world.supplier().access().await.unwrap();
    let stored = read_json(&world.path());
    let keys: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["zeta", "tokens", "auth_mode", "alpha", "last_refresh", "OPENAI_API_KEY"]);
    assert_eq!(stored["tokens"]["added_later"], document["tokens"]["added_later"]);
    assert_eq!((&stored["alpha"]["x"], &stored["OPENAI_API_KEY"]), (&json!(true), &json!("sk-kept")));
    assert_ne!(stored["last_refresh"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn numbers_of_unknown_fields_keep_every_digit() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), -60);
    let tokens = document["tokens"].to_string().replacen('{', r#"{"inner":-0.10e+300,"#, 1);
    let unknown = r#"[1,12345678901234567890123]"#;
    write_private(&world.path(), &format!(r#"{{"unknown_field":{unknown},"tokens":{tokens}}}"#));
    let renewed = world.supplier().access().await.unwrap();
    let text = std::fs::read_to_string(world.path()).unwrap();
    assert!(text.contains(renewed.token.expose()) && text.contains(unknown), "the unknown field is altered");
    assert!(text.contains(r#""inner": -0.10e+300"#), "the unknown token field is altered");
}

#[tokio::test]
async fn what_the_answer_leaves_out_stays() {
    let world = World::new().await;
    let old = world.sign_in(&world.path(), -60);
    world.simulator.configure(|settings| {
        settings.issuer.omit_refresh_token = true;
        settings.issuer.omit_id_token = true;
    });
    world.supplier().access().await.unwrap();
    let stored = read_json(&world.path());
    assert_eq!(token(&stored, "refresh_token"), token(&old, "refresh_token"));
    assert_eq!(token(&stored, "id_token"), token(&old, "id_token"));
    assert_ne!(token(&stored, "access_token"), token(&old, "access_token"));
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_take_the_new_token_along() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(100));
    let supplier = world.supplier();
    let impatient = tokio::time::timeout(Duration::from_millis(20), supplier.access());
    assert!(impatient.await.is_err());
    assert!(world.simulator.wait_until(PATIENCE, |simulator| simulator.counters().refreshes == 1).await);
    supplier.settle().await;
    let stored = read_json(&world.path());
    assert!(world.simulator.accepts_refresh_token(token(&stored, "refresh_token")));
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&stored, "access_token"));
    assert_eq!(world.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn a_final_refusal_is_remembered_until_the_document_changes() {
    for (end, words) in [("expired", "has expired"), ("invalidated", "was revoked")] {
        let world = World::new().await;
        world.sign_in(&world.path(), -60);
        if end == "expired" {
            world.simulator.expire_refresh_tokens();
        } else {
            world.simulator.invalidate_refresh_tokens();
        }
        let supplier = world.supplier();
        for _ in 0..3 {
            let error = supplier.access().await.unwrap_err();
            assert!(matches!(error, CredentialError::Ended { .. }), "{error}");
            assert!(error.to_string().contains(words) && error.to_string().contains("codex-proxy login"), "{error}");
            assert_eq!(Fault::from(error).code(), Some("upstream_auth"));
        }
        assert_eq!(world.simulator.requests_to("/oauth/token").len(), 1);
        assert_eq!(supplier.health(), CredentialHealth::Expired);

        let fresh = world.sign_in(&world.path(), 86_400);
        assert_eq!(supplier.access().await.unwrap().token.expose(), token(&fresh, "access_token"));
        assert_eq!(supplier.health(), CredentialHealth::Ok);
    }
}

#[tokio::test]
async fn a_used_token_is_final_only_if_nobody_stored_the_next_one() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), -60);
    // Somebody else uses the token; the store does not learn of it.
    world.oauth().refresh(&codex_proxy::secret::Secret::new(token(&document, "refresh_token"))).await.unwrap();
    let supplier = world.supplier();
    let error = supplier.access().await.unwrap_err();
    assert!(error.to_string().contains("was already used"), "{error}");
}

#[tokio::test]
async fn tokens_that_a_program_without_a_lock_stores_meanwhile_are_adopted() {
    let world = World::new().await;
    let path = world.directory.path().join("auth.json");
    let mut document = world.sign_in(&path, -60);
    let secret = codex_proxy::secret::Secret::new(token(&document, "refresh_token"));
    let theirs = world.oauth().refresh(&secret).await.unwrap();
    let supplier = world.supplier_of(Arc::new(FileStore::legacy(path.clone())));
    let request = supplier.access();
    let store = async {
        // The other program has used the token and takes its time to store the answer, writing in place.
        world.simulator.wait_until(PATIENCE, |simulator| simulator.counters().reuse_attempts == 1).await;
        document["tokens"]["access_token"] = theirs.access_token.as_ref().unwrap().expose().into();
        document["tokens"]["refresh_token"] = theirs.refresh_token.as_ref().unwrap().expose().into();
        std::fs::write(&path, document.to_string()).unwrap();
    };
    let (access, ()) = tokio::join!(request, store);
    assert_eq!(access.unwrap().token.expose(), theirs.access_token.unwrap().expose());
}

#[tokio::test]
async fn everything_else_passes_and_a_valid_token_keeps_working() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), 1_800);
    let supplier = world.supplier();
    for answer in [
        ScriptedAnswer::status(StatusCode::UNAUTHORIZED),
        ScriptedAnswer::cloudflare_challenge(),
        ScriptedAnswer::too_many_requests(),
        ScriptedAnswer::status(StatusCode::BAD_GATEWAY),
    ] {
        world.simulator.script_token_answer(answer);
    }
    for _ in 0..20 {
        supplier.look_after().await;
        assert_eq!(supplier.access().await.unwrap().token.expose(), token(&document, "access_token"));
    }
    // The pause between two tries keeps forty looks from becoming forty questions, even on a slow machine.
    assert!((1..=3).contains(&world.simulator.requests_to("/oauth/token").len()));
    assert_eq!(read_json(&world.path()), document);
}

#[tokio::test]
async fn an_expired_token_and_an_issuer_that_is_away_say_when_to_come_back() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    world.simulator.script_token_answer(ScriptedAnswer::status(StatusCode::SERVICE_UNAVAILABLE));
    let supplier = world.supplier();
    let error = Fault::from(supplier.access().await.unwrap_err());
    assert_eq!(error.status(), 502);
    assert!(error.retry_after.is_some());
    tokio::time::sleep(error.retry_after.unwrap() + Duration::from_millis(50)).await;
    supplier.access().await.unwrap();
}

#[tokio::test]
async fn a_rejected_token_is_reloaded_and_then_renewed() {
    let world = World::new().await;
    world.sign_in(&world.path(), 86_400);
    let supplier = world.supplier();
    let first = supplier.access().await.unwrap();
    assert_eq!(supplier.reload(&first).await.unwrap(), first);

    let other = world.sign_in(&world.path(), 86_400);
    let second = supplier.reload(&first).await.unwrap();
    assert_eq!(second.token.expose(), token(&other, "access_token"));
    assert_eq!(supplier.renew(&first).await.unwrap(), second);
    assert_eq!(world.simulator.counters().refreshes, 0);

    let renewals = futures_util::future::join_all((0..50).map(|_| supplier.renew(&second))).await;
    let third = renewals[0].clone().unwrap();
    assert_ne!(third, second);
    assert!(renewals.iter().all(|access| access.as_ref() == Ok(&third)));
    assert_eq!(world.simulator.counters().refreshes, 1);
}

#[tokio::test]
async fn a_request_is_not_sent_on_with_another_accounts_login() {
    let world = World::new().await;
    let path = world.directory.path().join("auth.json");
    world.sign_in(&path, 86_400);
    let supplier = world.supplier_of(Arc::new(FileStore::legacy(path.clone())));
    let first = supplier.access().await.unwrap();
    let other = world.simulator.issue_login(SimulatedLogin::default().for_account("another"));
    write_private(&path, &other.to_string());
    let error = supplier.reload(&first).await.unwrap_err();
    assert!(matches!(error, CredentialError::AccountChanged { .. }), "{error}");
    assert_eq!(supplier.access().await.unwrap().account_id, "another");
}

#[tokio::test]
async fn tokens_of_another_account_are_refused_and_the_login_is_kept() {
    let world = World::new().await;
    let others = [
        SimulatedLogin::default().for_account("another-account"),
        SimulatedLogin { account: another_user(), ..SimulatedLogin::default() },
    ];
    for other in others {
        world.sign_in(&world.path(), -60);
        let before = std::fs::read(world.path()).unwrap();
        world.simulator.configure(|settings| settings.issuer.refresh_as = Some(other));
        let error = world.supplier().access().await.unwrap_err();
        assert!(error.to_string().contains("its tokens belong to another account"), "{error}");
        assert_eq!(std::fs::read(world.path()).unwrap(), before);
    }
}

fn another_user() -> Account {
    Account { user_id: "user-another".to_owned(), ..Account::default() }
}

/// A login that has been used, and is kept fresh.
async fn in_use() -> (World, Arc<TokenSupplier>) {
    let world = World::new().await;
    world.sign_in(&world.path(), 864_000);
    let supplier = world.supplier();
    supplier.access().await.unwrap();
    codex_proxy::platform::spawn(Arc::clone(&supplier).keep_fresh());
    tokio::time::sleep(Duration::from_secs(1)).await;
    (world, supplier)
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_taken_away_ends_in_memory_within_seconds() {
    let (world, supplier) = in_use().await;
    std::fs::remove_file(world.path()).unwrap();
    assert!(supplier.access().await.is_ok(), "nobody has looked yet");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(matches!(supplier.access().await, Err(CredentialError::Missing { .. })));
}

#[tokio::test(start_paused = true)]
async fn another_login_is_used_within_seconds() {
    let (world, supplier) = in_use().await;
    let theirs = world.sign_in(&world.path(), 864_000);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&theirs, "access_token"));
}

#[tokio::test]
async fn a_login_removed_meanwhile_is_not_brought_back() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(100));
    let supplier = world.supplier();
    let remove = async {
        world.simulator.wait_until(PATIENCE, |simulator| simulator.counters().refreshes == 1).await;
        std::fs::remove_file(world.path()).unwrap();
    };
    let (access, ()) = tokio::join!(supplier.access(), remove);
    assert!(matches!(access, Err(CredentialError::Missing { .. })));
    assert!(!world.path().exists());
    assert_eq!(supplier.health(), CredentialHealth::Missing);
}

#[tokio::test]
async fn a_missing_login_names_the_command_and_a_later_one_is_found() {
    let world = World::new().await;
    let supplier = world.supplier();
    assert_eq!(supplier.health(), CredentialHealth::Missing);
    let error = Fault::from(supplier.access().await.unwrap_err());
    assert_eq!((error.status().as_u16(), error.code()), (401, Some("no_credentials")));
    assert!(error.message.contains("codex-proxy login"));
    assert!(!world.path().parent().unwrap().exists(), "looking must not make directories");
    world.sign_in(&world.path(), 86_400);
    assert_eq!(supplier.health(), CredentialHealth::Ok);
    supplier.access().await.unwrap();
}

#[tokio::test]
async fn no_token_reaches_log_error_or_debug_output() {
    let (log, _guard) = Log::capture();
    let world = World::new().await;
    let document = world.sign_in(&world.path(), -60);
    let supplier = world.supplier();
    let access = supplier.access().await.unwrap();
    let renewed = supplier.renew(&access).await.unwrap();
    world.simulator.invalidate_refresh_tokens();
    let error = supplier.renew(&renewed).await.unwrap_err();
    let status = serde_json::to_string(&supplier.status().await).unwrap();
    let shown = format!("{}\n{supplier:?}\n{error}\n{error:?}\n{status}\n{access:?}", log.text());
    assert!(shown.contains("codex_proxy::credentials"), "the log was captured");
    let stored = read_json(&world.path());
    for document in [&document, &stored] {
        for name in ["id_token", "access_token", "refresh_token"] {
            // A part of it would be as bad.
            let secret = token(document, name);
            assert!(!shown.contains(&secret[secret.len() - 24..]), "{name} shows");
        }
    }
}

#[tokio::test]
async fn a_login_that_somebody_stores_during_a_refresh_is_not_overwritten() {
    let world = World::new().await;
    let path = world.directory.path().join("auth.json");
    world.sign_in(&path, -60);
    world.simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(100));
    let supplier = world.supplier_of(Arc::new(FileStore::legacy(path.clone())));
    let store = async {
        world.simulator.wait_until(PATIENCE, |simulator| simulator.counters().refreshes == 1).await;
        world.sign_in(&path, 86_400)
    };
    let (access, theirs) = tokio::join!(supplier.access(), store);
    assert_eq!(access.unwrap().token.expose(), token(&theirs, "access_token"));
    assert_eq!(read_json(&path), theirs);
}

#[tokio::test]
async fn a_refresh_that_brings_an_expired_token_keeps_the_chain() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let useless = world.simulator.issue_login(SimulatedLogin::default().expiring_in(-30));
    let answer = json!({
        "access_token": useless["tokens"]["access_token"],
        "refresh_token": useless["tokens"]["refresh_token"],
    });
    world.simulator.script_token_answer(ScriptedAnswer::json(StatusCode::OK, &answer));
    let supplier = world.supplier();
    let error = supplier.access().await.unwrap_err();
    assert!(error.to_string().contains("expired already"), "{error}");
    let CredentialError::RefreshFailed { retry_after, .. } = error else { panic!("{error}") };
    // The old refresh token is used up, so the new one is all there is.
    assert_eq!(token(&read_json(&world.path()), "refresh_token"), token(&useless, "refresh_token"));
    tokio::time::sleep(retry_after + Duration::from_millis(50)).await;
    let access = supplier.access().await.unwrap();
    assert!(world.simulator.accepts_access_token(access.token.expose()));
    assert_eq!(world.simulator.counters().reuse_attempts, 0);
}
