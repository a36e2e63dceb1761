//! Tests of the database: what is written is read, and what becomes of databases that cannot be used.

mod absurd;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::ledger::summary::{Grouping, LedgerReader};
use crate::ledger::{Ledger, LedgerEntry, LedgerPlace, TokenCounts};
use crate::limits::board::LimitBoard;
use crate::limits::headers::LimitHeaders;
use crate::phases::{Phase, PhaseTimes};
use crate::platform::unix_now;

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a place for a ledger in it.
fn place() -> (TempDir, PathBuf, LedgerPlace) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state/ledger.sqlite3");
    (directory, path.clone(), LedgerPlace::File(path))
}

fn start(place: &LedgerPlace) -> Ledger {
    Ledger::start(place.clone(), 90, LimitBoard::default()).expect("a thread")
}

fn reader(place: &LedgerPlace) -> LedgerReader {
    LedgerReader::open(place).expect("readable").expect("a ledger")
}

/// A request of now.
fn entry(model: &str, tokens: u64) -> LedgerEntry {
    let mut phases = PhaseTimes::default();
    phases.add(Phase::Head, Duration::from_millis(30));
    phases.add(Phase::Retry, Duration::from_millis(200));
    LedgerEntry {
        started_at: u64::try_from(unix_now().as_millis()).expect("a time"),
        route: "/chat/completions".into(),
        client: Some("default".into()),
        model_asked: Some(model.to_owned()),
        model_sent: Some(model.to_owned()),
        status: Some(200),
        is_stream: true,
        is_whole: true,
        tokens: Some(TokenCounts { input: tokens, cached: tokens / 2, output: 7, reasoning: 3 }),
        first_token_ms: Some(250),
        duration_ms: 1000,
        upstream_request_id: Some("req-1".to_owned()),
        phases,
        ..LedgerEntry::default()
    }
}

/// Files in the directory of `path`, by their names.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().expect("a directory")).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

fn requests(place: &LedgerPlace) -> u64 {
    reader(place).usage(0, &[]).expect("sums").first().map_or(0, |group| group.sums.requests)
}

#[test]
fn what_is_written_is_read_again() {
    let (_directory, _, place) = place();
    let ledger = start(&place);
    let whole = LedgerEntry {
        model_asked: Some("fast".to_owned()),
        model_answered: Some("gpt-6-luna".to_owned()),
        effort: Some("high".to_owned()),
        tier: Some("priority".to_owned()),
        prefix_break: Some(-1),
        ..entry("gpt-6-sol", 100)
    };
    let bare = LedgerEntry { started_at: 1, route: "/x".into(), ..LedgerEntry::default() };
    let unnamed = LedgerEntry { model_asked: None, ..entry("gpt-6-sol", 0) };
    for row in [&whole, &bare, &unnamed] {
        ledger.enter(row.clone());
    }
    ledger.flush(PATIENCE);
    assert_eq!(reader(&place).newest(10).expect("rows"), [unnamed, bare, whole]);
    assert_eq!(reader(&place).newest(1).expect("rows").len(), 1);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (3, 0));
}

#[test]
fn sums_are_by_model_client_or_day() {
    let (_directory, _, place) = place();
    let ledger = start(&place);
    let failed = LedgerEntry { error_code: Some("server_error".to_owned()), tokens: None, ..entry("gpt-6-luna", 0) };
    let first = LedgerEntry { first_token_ms: None, client: None, ..failed };
    for row in [entry("gpt-6-sol", 100), entry("gpt-6-sol", 300), first] {
        ledger.enter(row);
    }
    ledger.flush(PATIENCE);
    let reader = reader(&place);
    let since = reader.since(1).expect("a time");
    let by_model = reader.usage(since, &[Grouping::Model]).expect("sums");
    let told: Vec<_> = by_model.iter().map(|group| (group.model.as_deref(), group.sums.requests)).collect();
    assert_eq!(told, [(Some("gpt-6-luna"), 1), (Some("gpt-6-sol"), 2)]);
    let (luna, sol) = (by_model[0].sums, by_model[1].sums);
    assert_eq!(
        (sol.tokens, sol.cache_hit_share),
        (TokenCounts { input: 400, cached: 200, output: 14, reasoning: 6 }, Some(0.5))
    );
    assert_eq!((sol.failed, sol.mean_first_token_ms, sol.mean_duration_ms), (0, Some(250), Some(1000)));
    assert_eq!((luna.failed, luna.mean_first_token_ms, luna.cache_hit_share), (1, None, None));
    let clients = reader.usage(since, &[Grouping::Client]).expect("sums");
    let clients: Vec<_> = clients.iter().map(|group| group.client.as_deref()).collect();
    assert_eq!(clients, [Some(""), Some("default")]);
    let days = reader.usage(since, &[Grouping::Day, Grouping::Model]).expect("sums");
    assert_eq!(days.len(), 2);
    let calendar = reader.days(14).expect("days");
    assert_eq!((calendar.len(), calendar.last()), (14, days[0].day.as_ref()), "today is the last of them");
    assert!(calendar.is_sorted(), "{calendar:?}");
    assert!(days.iter().all(|group| group.day.as_ref().is_some_and(|day| day.len() == 10) && group.client.is_none()));
    assert_eq!(reader.usage(since + 86_400, &[Grouping::Model]).expect("sums"), []);
}

#[test]
fn a_ledger_goes_on_after_a_restart() {
    let (_directory, path, place) = place();
    for written in 1..=3 {
        let ledger = start(&place);
        ledger.enter(entry("gpt-6-sol", 1));
        ledger.close(PATIENCE);
        assert_eq!(requests(&place), written);
    }
    let left = names(&path);
    assert!(left.contains(&"ledger.sqlite3".to_owned()), "{left:?}");
}

#[cfg(unix)]
#[test]
fn the_files_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path, place) = place();
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    assert_eq!(names(&path), ["ledger.sqlite3", "ledger.sqlite3-shm", "ledger.sqlite3-wal"]);
    for name in names(&path) {
        assert_eq!(mode(&path.with_file_name(&name)), 0o600, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_change_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path, place) = place();
    fs::create_dir(path.parent().expect("a directory")).expect("created");
    fs::set_permissions(path.parent().expect("a directory"), fs::Permissions::from_mode(0o777)).expect("a mode");
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (0, 1));
}

#[test]
fn a_database_that_cannot_be_read_is_set_aside_whole() {
    let newer = |path: &Path| {
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch("PRAGMA application_id = 0x4364784c; PRAGMA user_version = 99; CREATE TABLE t (x);")
            .expect("made");
    };
    let foreign = |path: &Path| {
        let connection = Connection::open(path).expect("a database");
        connection.execute_batch("CREATE TABLE letters (text); INSERT INTO letters VALUES ('kept');").expect("made");
    };
    let broken = |path: &Path| fs::write(path, "this was a database once, or so they say").expect("written");
    let makers: [(_, fn(&Path)); 3] = [("newer", newer), ("broken", foreign), ("broken", broken)];
    for (word, make) in makers {
        let (_directory, path, place) = place();
        fs::create_dir(path.parent().expect("a directory")).expect("created");
        make(&path);
        let before = fs::read(&path).expect("bytes");
        let ledger = start(&place);
        ledger.enter(entry("gpt-6-sol", 1));
        ledger.flush(PATIENCE);
        assert_eq!((requests(&place), ledger.counts().lost), (1, 0), "{word}");
        let aside = names(&path).into_iter().find(|name| name.starts_with(&format!("ledger.sqlite3.{word}-")));
        let aside = path.with_file_name(aside.expect("it is set aside"));
        assert_eq!(fs::read(aside).expect("bytes"), before, "{word}");
    }
}

#[test]
fn a_newer_database_is_not_read() {
    let (_directory, path, place) = place();
    fs::create_dir(path.parent().expect("a directory")).expect("created");
    let connection = Connection::open(&path).expect("a database");
    connection
        .execute_batch("PRAGMA application_id = 0x4364784c; PRAGMA user_version = 99; CREATE TABLE t (x);")
        .expect("made");
    let error = LedgerReader::open(&place).expect_err("too new").to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn damage_that_shows_later_costs_no_row() {
    let (_directory, path, place) = place();
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.close(PATIENCE);
    // The first page, which says what the file is, stays.
    let mut bytes = fs::read(&path).expect("bytes");
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0x5a);
    fs::write(&path, bytes).expect("written");
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (2, 0));
    assert_eq!(requests(&place), 1, "in a new file");
    assert!(names(&path).iter().any(|name| name.starts_with("ledger.sqlite3.broken-")), "{:?}", names(&path));
}

#[test]
fn damage_in_old_pages_is_found_at_the_start() {
    let (_directory, path, place) = place();
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.close(PATIENCE);
    // The tables are there, and what they hold is not.
    let connection = Connection::open(&path).expect("a database");
    let roots = "SELECT rootpage FROM sqlite_schema WHERE name IN ('request', 'usage') OR tbl_name = 'request'";
    let mut statement = connection.prepare(roots).expect("a query");
    let pages = statement.query_map([], |row| row.get::<_, u32>(0)).expect("rows");
    let pages: Vec<_> = pages.map(|page| usize::try_from(page.expect("a page")).expect("a number")).collect();
    drop(statement);
    drop(connection);
    let mut bytes = fs::read(&path).expect("bytes");
    for page in pages {
        bytes[(page - 1) * 4096..page * 4096].fill(0x5a);
    }
    fs::write(&path, bytes).expect("written");
    let ledger = start(&place);
    ledger.flush(PATIENCE);
    assert!(names(&path).iter().any(|name| name.starts_with("ledger.sqlite3.broken-")), "{:?}", names(&path));
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    assert_eq!((ledger.counts().written, ledger.counts().lost, requests(&place)), (1, 0, 1));
}

#[test]
#[cfg(unix)]
fn a_ledger_that_is_taken_away_is_begun_anew() {
    let (_directory, path, place) = place();
    let ledger = start(&place);
    let one_more = || {
        ledger.enter(entry("gpt-6-sol", 1));
        ledger.flush(PATIENCE);
    };
    one_more();
    fs::remove_dir_all(path.parent().expect("a directory")).expect("removed");
    one_more();
    assert_eq!(requests(&place), 1, "in a new file");
    // Another file in its place is written to, and loses nothing that it has.
    let (_elsewhere, other, other_place) = self::place();
    let another = start(&other_place);
    another.enter(entry("gpt-6-luna", 1));
    another.close(PATIENCE);
    for name in names(&path) {
        fs::remove_file(path.with_file_name(name)).expect("removed");
    }
    fs::rename(&other, &path).expect("moved");
    one_more();
    one_more();
    assert_eq!(requests(&place), 3);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (4, 0));
}

/// Another program's connection, in a transaction that keeps every writer waiting.
fn locked(path: &Path) -> Connection {
    let other = Connection::open(path).expect("a database");
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO name (text) VALUES ('other');").expect("locked");
    other
}

#[test]
fn a_locked_file_is_waited_for() {
    let (_directory, path, place) = place();
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    let other = locked(&path);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ledger.enter(entry("gpt-6-sol", 1));
            ledger.flush(PATIENCE);
        });
        // Longer than it takes to begin the batch, shorter than the writer waits.
        std::thread::sleep(Duration::from_millis(600));
        other.execute_batch("COMMIT").expect("unlocked");
    });
    ledger.flush(PATIENCE);
    assert_eq!((ledger.counts().written, ledger.counts().lost, requests(&place)), (2, 0, 2));
}

#[test]
fn a_file_that_stays_locked_costs_rows_and_nothing_else() {
    let (_directory, path, place) = place();
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    let _lock = locked(&path);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (1, 1));
    assert_eq!(requests(&place), 1, "and it can be read");
}

#[test]
fn rows_beyond_the_queue_are_counted() {
    let (_directory, path, place) = place();
    fs::create_dir(path.parent().expect("a directory")).expect("created");
    let ledger = start(&place);
    for _ in 0..30_000 {
        ledger.enter(entry("gpt-6-sol", 1));
    }
    ledger.flush(PATIENCE);
    let counts = ledger.counts();
    assert_eq!(counts.written + counts.lost, 30_000);
    assert_eq!(requests(&place), counts.written);
}

#[test]
fn old_rows_are_deleted_at_the_start() {
    let (_directory, _, place) = place();
    let ledger = start(&place);
    let day = 86_400_000;
    let now = entry("gpt-6-sol", 1).started_at;
    for age in [10, 3, 0] {
        for _ in 0..700 {
            ledger.enter(LedgerEntry { started_at: now - age * day, ..entry("gpt-6-sol", 1) });
        }
    }
    ledger.close(PATIENCE);
    let ledger = Ledger::start(place.clone(), 5, LimitBoard::default()).expect("a thread");
    ledger.flush(PATIENCE);
    assert_eq!(reader(&place).newest(u32::MAX).expect("rows").len(), 1400);
    assert_eq!(requests(&place), 1400);
}

#[test]
fn limits_are_kept_with_the_rows() {
    let (_directory, path, place) = place();
    let limits = LimitBoard::default();
    let ledger = Ledger::start(place.clone(), 90, limits.clone()).expect("a thread");
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    assert_eq!(reader(&place).limits(None).expect("readable"), None);
    let now = unix_now().as_secs();
    for (account, used) in [("account-canary", "40"), ("another", "7")] {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-codex-primary-used-percent", http::HeaderValue::from_static(used));
        headers.insert("x-codex-primary-window-minutes", http::HeaderValue::from_static("10080"));
        limits.note_headers(account, LimitHeaders::of(&headers, |_| None), now + u64::from(account == "another"));
        ledger.enter(entry("gpt-6-sol", 1));
        ledger.flush(PATIENCE);
    }
    let used = |account: Option<&str>| {
        reader(&place).limits(account).expect("readable").map(|limits| limits.windows[0].used_percent)
    };
    assert_eq!((used(Some("account-canary")), used(None), used(Some("third"))), (Some(40.0), Some(7.0), None));
    ledger.close(PATIENCE);
    let bytes = fs::read(&path).expect("bytes");
    assert!(!bytes.windows(14).any(|part| part == b"account-canary"), "an account has no name there");
}

#[test]
fn a_ledger_in_memory_leaves_nothing_behind() {
    let place = LedgerPlace::Memory("a-test".into());
    let ledger = start(&place);
    ledger.enter(entry("gpt-6-sol", 1));
    ledger.flush(PATIENCE);
    assert_eq!(requests(&place), 1);
    let other = LedgerPlace::Memory("another-test".into());
    assert!(LedgerReader::open(&other).ok().flatten().is_none());
}

#[test]
fn where_nothing_was_recorded_there_is_no_ledger() {
    let (_directory, path, place) = place();
    assert!(LedgerReader::open(&place).expect("no trouble").is_none());
    assert!(!path.exists(), "reading makes no file");
}

/// A million requests in one file: how long it takes to sum them up, and how large it is.
#[test]
#[ignore = "takes a minute: just test-slow"]
fn a_million_requests_are_summed_up_at_once() {
    let (_directory, path, place) = place();
    let ledger = start(&place);
    let now = entry("gpt-6-sol", 1).started_at;
    let span = 90 * 86_400_000;
    for number in 0..1_000_000_u64 {
        let model = ["gpt-6.1-sol", "gpt-6-luna", "gpt-6-sol"][usize::try_from(number % 3).expect("small")];
        let client = ["default", "laptop", "ci"][usize::try_from(number / 7 % 3).expect("small")];
        ledger.enter(LedgerEntry {
            started_at: now - span + number * (span / 1_000_000),
            client: Some(client.into()),
            model_asked: (number % 2 == 0).then(|| "claude-sonnet-4-5-20250929".to_owned()),
            model_answered: Some(model.to_owned()),
            effort: Some("high".to_owned()),
            upstream_request_id: Some(format!("{number:08x}-5f0b-4c55-9e1c-2c963f66afa6")),
            prefix_break: (number % 50 == 0).then_some(3),
            ..entry(model, 30_000 + number % 90_000)
        });
        if number % 4000 == 0 {
            ledger.flush(PATIENCE);
        }
    }
    ledger.close(PATIENCE);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (1_000_000, 0));
    let size = fs::metadata(&path).expect("a file").len();
    assert!(size <= 200_000_000, "{size} bytes");
    let reader = reader(&place);
    // The shortest of five: how long the questions take, not what else the machine does.
    let time = |what: &str, bound: u128, ask: &dyn Fn()| {
        let once = || {
            let begun = crate::platform::Instant::now();
            ask();
            begun.elapsed().as_millis()
        };
        let taken = (0..5).map(|_| once()).min().expect("five");
        println!("{what}: {taken} ms");
        assert!(taken <= bound, "{what}: {taken} ms");
    };
    let sums = |days: u32, by: &[Grouping]| {
        let since = reader.since(days).expect("a time");
        assert!(!reader.usage(since, by).expect("sums").is_empty());
    };
    for by in [Grouping::Model, Grouping::Client, Grouping::Day] {
        time("codex-proxy usage", 500, &|| {
            sums(91, &[]);
            sums(91, &[by]);
        });
    }
    time("the page", 200, &|| {
        assert_eq!(reader.newest(25).expect("rows").len(), 25);
        assert_eq!(reader.days(14).expect("days").len(), 14);
        sums(14, &[Grouping::Day, Grouping::Model]);
    });
}

#[cfg(unix)]
#[test]
fn a_file_that_others_could_write_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path, place) = place();
    start(&place).close(PATIENCE);
    for mode in [0o666, 0o622, 0o606] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        let ledger = start(&place);
        ledger.enter(entry("gpt-6-sol", 1));
        ledger.close(PATIENCE);
        assert_eq!((ledger.counts().written, ledger.counts().lost), (0, 1), "{mode:o}");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, mode);
    }
}
