//! What a login file survives: modes, links, full disks, directories that cannot be written, rests of killed writers.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use crate::support::{Log, Unwritable, World, read_json, token, write_private};
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{AuthDocument, CredentialError, CredentialStore as _};
use serde_json::json;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn write(store: &FileStore, document: &AuthDocument) -> Result<(), CredentialError> {
    let lock = store.lock().await?;
    store.write(document, &lock).await
}

#[tokio::test]
async fn directories_and_files_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a").join("b").join("auth.json");
    let store = FileStore::xdg(path.clone());
    for _ in 0..2 {
        write(&store, &AuthDocument::from_access_token("t", Some("acc"))).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&path.with_file_name("auth.json.lock")), 0o600);
    }
    assert_eq!((mode(path.parent().unwrap()), mode(&directory.path().join("a"))), (0o700, 0o700));
    assert_eq!(names(path.parent().unwrap()), ["auth.json", "auth.json.lock"]);
}

#[tokio::test]
async fn a_file_others_may_read_is_used_with_one_warning() {
    let (log, _guard) = Log::capture();
    let world = World::new().await;
    world.sign_in(&world.path(), 86_400);
    fs::set_permissions(world.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let supplier = world.supplier();
    for _ in 0..3 {
        supplier.look_after().await;
    }
    supplier.access().await.unwrap();
    assert_eq!(log.count("may be read by others (mode 644)"), 1);
    assert_eq!(log.count("chmod 600"), 1);
}

#[tokio::test]
async fn a_link_is_followed_and_stays_a_link() {
    let world = World::new().await;
    let real = world.directory.path().join("elsewhere").join("real.json");
    let old = world.sign_in(&real, -60);
    fs::create_dir_all(world.path().parent().unwrap()).unwrap();
    symlink("../elsewhere/real.json", world.path()).unwrap();
    world.supplier().access().await.unwrap();
    assert!(fs::symlink_metadata(world.path()).unwrap().is_symlink());
    assert!(!fs::symlink_metadata(&real).unwrap().is_symlink());
    assert_ne!(token(&read_json(&real), "refresh_token"), token(&old, "refresh_token"));
    assert_eq!(names(real.parent().unwrap()), ["real.json", "real.json.lock"]);
    assert_eq!(names(world.path().parent().unwrap()), ["auth.json"]);
}

#[tokio::test]
async fn links_that_lead_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let (dangling, circular) = (directory.path().join("dangling"), directory.path().join("circular"));
    symlink("new.json", &dangling).unwrap();
    symlink("circular", &circular).unwrap();
    let document = AuthDocument::from_access_token("t", Some("acc"));
    let store = FileStore::xdg(dangling);
    assert_eq!(store.read().await, Ok(None));
    write(&store, &document).await.unwrap();
    assert!(directory.path().join("new.json").is_file());
    let store = FileStore::xdg(circular);
    assert!(matches!(store.read().await, Err(CredentialError::Unreadable { .. })));
    assert!(write(&store, &document).await.is_err());
}

#[tokio::test]
async fn what_is_no_file_is_refused_without_hanging() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_owned(), "/dev/zero".into(), "/dev/full".into()] {
        let error = FileStore::xdg(path).read().await.unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}

#[tokio::test]
async fn a_half_written_file_is_an_error_with_its_place_and_untouched() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), -60);
    let whole = serde_json::to_string_pretty(&document).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        write_private(&world.path(), &whole[..length]);
        let error = world.supplier().access().await.unwrap_err();
        let CredentialError::Broken { malformed, .. } = &error else { panic!("{error}") };
        assert!(malformed.line >= 1);
        assert!(error.to_string().contains(world.path().to_str().unwrap()), "{error}");
        assert!(!error.to_string().contains(&token(&document, "access_token")[..16]), "{error}");
        assert_eq!(fs::read_to_string(world.path()).unwrap(), &whole[..length]);
    }
    assert_eq!(world.simulator.requests().len(), 0);
}

#[tokio::test]
async fn a_writer_in_place_is_waited_for() {
    let world = World::new().await;
    let whole = world.sign_in(&world.path(), 86_400).to_string();
    write_private(&world.path(), &whole[..whole.len() / 2]);
    let supplier = world.supplier();
    let finish = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        write_private(&world.path(), &whole);
    };
    let (access, ()) = tokio::join!(supplier.access(), finish);
    access.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_keeps_the_old_file_and_the_work_going() {
    let world = World::new().await;
    let old = world.sign_in(&world.path(), -60);
    let (log, _guard) = Log::capture();
    let Some(unwritable) = Unwritable::new(world.path().parent().unwrap()) else { return };
    let supplier = world.supplier();
    let access = supplier.access().await.unwrap();
    assert!(world.simulator.accepts_access_token(access.token.expose()));
    for _ in 0..5 {
        assert_eq!(supplier.access().await.unwrap(), access);
        supplier.look_after().await;
    }
    assert_eq!(read_json(&world.path()), old, "the old file survives");
    assert!(supplier.status().await.error.unwrap().contains("cannot write"));
    assert_eq!(log.count("could not be stored"), 1, "{}", log.text());
    // The next refresh uses the token in memory, not the spent one in the file.
    let second = supplier.renew(&access).await.unwrap();
    assert_eq!(log.count("could not be stored"), 1, "{}", log.text());
    drop(unwritable);
    supplier.look_after().await;
    let stored = read_json(&world.path());
    assert_eq!(token(&stored, "access_token"), second.token.expose());
    assert!(world.simulator.accepts_refresh_token(token(&stored, "refresh_token")));
    assert_eq!(world.simulator.counters().reuse_attempts, 0);
}

#[tokio::test]
async fn a_token_that_still_works_is_not_renewed_where_the_new_one_could_not_be_stored() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), 1_800);
    let (log, _guard) = Log::capture();
    let Some(unwritable) = Unwritable::new(world.path().parent().unwrap()) else { return };
    let supplier = world.supplier();
    for _ in 0..5 {
        supplier.look_after().await;
        assert_eq!(supplier.access().await.unwrap().token.expose(), token(&document, "access_token"));
    }
    assert_eq!(world.simulator.counters().refreshes, 0);
    assert_eq!(log.count("is not renewed early"), 1, "{}", log.text());
    // Rejected by the backend it is of no use, and then a token in memory is better than none.
    let access = supplier.access().await.unwrap();
    assert_ne!(supplier.renew(&access).await.unwrap(), access);
    drop(unwritable);
}

#[tokio::test]
async fn a_login_stored_by_somebody_else_goes_before_one_in_memory_only() {
    let world = World::new().await;
    world.sign_in(&world.path(), -60);
    let Some(unwritable) = Unwritable::new(world.path().parent().unwrap()) else { return };
    let supplier = world.supplier();
    supplier.access().await.unwrap();
    drop(unwritable);
    let theirs = world.sign_in(&world.path(), 86_400);
    supplier.look_after().await;
    assert_eq!(supplier.access().await.unwrap().token.expose(), token(&theirs, "access_token"));
    assert_eq!(read_json(&world.path()), theirs);
}

#[tokio::test]
async fn the_write_of_a_killed_process_is_finished() {
    let world = World::new().await;
    let mut old = world.sign_in(&world.path(), -60);
    let beside = |name: &str| world.path().with_file_name(name);
    old["tokens"]["refresh_token"] = json!("spent");
    write_private(&world.path(), &old.to_string());
    // Older than the file, and cut short: both are rests that mean nothing.
    write_private(&beside(".auth.json.cut.tmp"), "{\"tokens\":");
    let written = fs::File::options().write(true).open(world.path()).unwrap();
    written.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000)).unwrap();
    let next = world.simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default().expiring_in(-30));
    write_private(&beside(".auth.json.whole.tmp"), &next.to_string());
    let access = world.supplier().access().await.unwrap();
    assert!(world.simulator.accepts_access_token(access.token.expose()));
    assert_eq!(world.simulator.counters().refreshes, 1);
    assert_eq!(names(world.path().parent().unwrap()), ["auth.json", "auth.json.lock"]);
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[tokio::test]
#[cfg(unix)]
async fn what_others_may_have_put_beside_a_login_is_left_alone() {
    let world = World::new().await;
    let document = world.sign_in(&world.path(), 86_400);
    let written = fs::File::options().write(true).open(world.path()).unwrap();
    written.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000)).unwrap();
    let beside = |name: &str| world.path().with_file_name(name);
    let planted = world.simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default());
    write_private(&beside(".auth.json.planted.tmp"), &planted.to_string());
    set_mode(&beside(".auth.json.planted.tmp"), 0o666);
    symlink(beside("elsewhere"), beside(".auth.json.link.tmp")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(beside(".auth.json.pipe.tmp")).status().unwrap();
    assert!(made.success());
    drop(FileStore::xdg(world.path()).lock().await.unwrap());
    assert_eq!(read_json(&world.path()), document);
    for left in [".auth.json.planted.tmp", ".auth.json.link.tmp", ".auth.json.pipe.tmp"] {
        assert!(fs::symlink_metadata(beside(left)).is_ok(), "{left}");
    }
}

#[tokio::test]
#[cfg(unix)]
async fn a_login_that_others_can_write_is_refused() {
    let world = World::new().await;
    world.sign_in(&world.path(), 86_400);
    let directory = world.path().parent().unwrap().to_owned();
    for (path, mode, good_mode) in [(&world.path(), 0o666, 0o600), (&directory, 0o777, 0o700)] {
        set_mode(path, mode);
        let error = world.supplier().access().await.unwrap_err();
        assert!(matches!(error, CredentialError::Unreadable { .. }), "{error}");
        let advice = format!("run `chmod go-w {}`", path.display());
        assert!(error.to_string().contains(&advice), "{error}");
        set_mode(path, good_mode);
        assert!(world.supplier().access().await.is_ok());
    }
    set_mode(&directory, 0o777);
    let error = FileStore::xdg(world.path()).lock().await.unwrap_err();
    assert!(matches!(error, CredentialError::Unwritable { .. }), "{error}");
}

#[tokio::test]
async fn every_statement_about_the_end_of_a_token_counts() {
    let world = World::new().await;
    let day = 86_400;
    let now = codex_proxy::platform::unix_now().as_secs();
    for (fields, expired) in [
        (json!({"expiresAt": (now + day) * 1000}), false),
        (json!({"expiresAt": (now - day) * 1000}), true),
        (json!({"last_refresh": "2020-01-01T00:00:00.123456Z"}), true),
        (json!({"last_refresh": "2999-01-01T00:00:00+02:00"}), false),
        (json!({}), false),
    ] {
        let mut document = fields;
        document["tokens"] = json!({"access_token": "opaque", "account_id": "acc"});
        write_private(&world.path(), &document.to_string());
        let supplier = world.supplier_of(Arc::new(FileStore::xdg(world.path())));
        assert_eq!(supplier.access().await.is_err(), expired, "{document}");
    }
}

#[tokio::test]
async fn removing_removes_once_and_only_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auth.json");
    let store = FileStore::xdg(path.clone());
    write(&store, &AuthDocument::from_access_token("t", Some("acc"))).await.unwrap();
    let lock = store.lock().await.unwrap();
    assert!(store.delete(&lock).await.unwrap());
    assert!(!store.delete(&lock).await.unwrap());
    assert_eq!(names(directory.path()), ["auth.json.lock"]);
    fs::create_dir(&path).unwrap();
    let error = store.delete(&lock).await.unwrap_err();
    assert!(matches!(error, CredentialError::Unwritable { .. }), "{error}");
    assert!(path.is_dir());
}

#[tokio::test]
async fn a_file_below_a_file_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = FileStore::xdg(file.join("auth.json")).read().await.unwrap_err();
    assert!(matches!(error, CredentialError::Unreadable { .. }), "{error}");
}
