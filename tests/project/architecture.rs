//! Who may know whom: the rooms of the crate and the rooms each of them may import from.
//!
//! A room is a folder or a file directly under `src`. The table is the one of ARCHITECTURE.md. An import that is not in it
//! fails here, and so does an entry that no import needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms, from the ground up, each with what it may know.
const ROOMS: [(&str, &[&str]); 24] = [
    ("excerpt", &[]),
    ("fault", &[]),
    ("files", &[]),
    ("humanize", &[]),
    ("limits", &[]),
    ("models", &[]),
    ("platform", &[]),
    ("secret", &[]),
    ("json", &["fault"]),
    ("keys", &["files", "humanize", "models", "platform", "secret"]),
    ("phases", &["platform"]),
    ("ledger", &["files", "limits", "phases", "platform"]),
    ("page", &["humanize", "ledger", "limits", "models", "phases"]),
    ("oauth", &["platform", "secret"]),
    ("conversation", &["excerpt", "json"]),
    ("credentials", &["fault", "files", "json", "oauth", "platform", "secret"]),
    ("backend", &["conversation", "fault", "json", "models"]),
    ("dialect", &["backend", "conversation", "fault", "json", "models"]),
    ("upstream", &["backend", "credentials", "fault", "humanize", "limits", "models", "phases", "platform"]),
    ("catalogue", &["credentials", "files", "models", "platform", "upstream"]),
    (
        "server",
        &[
            "backend",
            "catalogue",
            "conversation",
            "credentials",
            "dialect",
            "excerpt",
            "fault",
            "humanize",
            "keys",
            "ledger",
            "limits",
            "models",
            "oauth",
            "page",
            "phases",
            "platform",
            "upstream",
        ],
    ),
    (
        "cli",
        &[
            "catalogue",
            "credentials",
            "dialect",
            "excerpt",
            "files",
            "humanize",
            "keys",
            "ledger",
            "limits",
            "models",
            "oauth",
            "page",
            "phases",
            "platform",
            "secret",
            "server",
            "upstream",
        ],
    ),
    ("worker", &["credentials", "fault", "keys", "models", "oauth", "platform", "server", "upstream"]),
    ("main", &["cli"]),
];

#[test]
fn rooms_import_only_what_they_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ROOMS.iter().map(|(room, known)| (*room, known.iter().copied().collect())).collect();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let room = room_of(&path);
        if room == "lib" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for known in imports(&text).filter(|known| *known != room) {
            let is_allowed = allowed.get(room.as_str()).is_some_and(|rooms| rooms.contains(known.as_str()));
            assert!(is_allowed, "{} imports from `{known}`, which `{room}` may not know", path.display());
            found.entry(room.clone()).or_default().insert(known);
        }
    }
    for (room, known) in &allowed {
        for known in known {
            let is_used = found.get(*room).is_some_and(|found| found.contains(*known));
            assert!(
                is_used || *room == "main",
                "`{room}` knows nothing of `{known}` any more: take it out of the table"
            );
        }
    }
}

/// The table is written from the ground up: a room knows only rooms that stand before it, so there is no circle.
#[test]
fn no_room_knows_one_above_it() {
    for (position, (room, known)) in ROOMS.iter().enumerate() {
        for known in *known {
            let below = ROOMS.iter().take(position).any(|(below, _)| below == known);
            assert!(below, "`{room}` knows `{known}`, which does not stand below it");
        }
    }
}

/// The crate of what every byte passes is known where its types are shown, so that all others find them in their room.
#[test]
fn only_two_rooms_know_the_wire() {
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let knows = std::fs::read_to_string(&path).unwrap().contains("codex_proxy_wire::");
        let may_know = ["json", "backend"].contains(&room_of(&path).as_str());
        assert!(!knows || may_know, "{} names the crate of the wire", path.display());
    }
}

/// The rooms that translate know no runtime, no clock and no I/O.
#[test]
fn pure_rooms_touch_nothing() {
    for room in
        ["backend", "conversation", "dialect", "excerpt", "fault", "humanize", "json", "limits", "models", "page"]
    {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folder = root.join(room);
        let files = if folder.is_dir() { sources(&folder) } else { vec![root.join(format!("{room}.rs"))] };
        let wire = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/crates/wire/src")));
        for path in files.into_iter().chain(wire).filter(|path| !path.ends_with("tests.rs")) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for touch in ["tokio::", "std::fs", "std::net", "std::env", "std::process", "std::thread", "hyper", "axum"]
            {
                assert!(!code.contains(touch), "{} is pure, and names {touch}", path.display());
            }
        }
    }
}

/// A type's bare name means one thing in the whole project.
#[test]
fn no_two_public_types_share_a_name() {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folders = ["/src", "/crates/simulator/src", "/crates/wire/src"]
        .map(|folder| format!("{}{folder}", env!("CARGO_MANIFEST_DIR")));
    for path in folders.iter().flat_map(|folder| sources(Path::new(folder))) {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in public_types(&text) {
            owners.entry(name).or_default().push(path.display().to_string());
        }
    }
    let twins = |paths: &[String]| PLATFORMS.iter().all(|platform| paths.iter().any(|path| path.contains(platform)));
    owners.retain(|_, paths| paths.len() > 1 && !(paths.len() == 2 && twins(paths)));
    assert!(owners.is_empty(), "these names have several meanings: {owners:#?}");
}

/// The same types written twice, once for each platform; only one of the two is ever compiled.
const PLATFORMS: [&str; 2] = ["platform/native", "platform/worker"];

fn public_types(text: &str) -> impl Iterator<Item = String> {
    let items = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub "));
    let names = items.filter_map(|item| {
        let (keyword, rest) = item.split_once(' ')?;
        ["struct", "enum", "trait", "type", "union"].contains(&keyword).then_some(rest)
    });
    names.map(|rest| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect())
}

/// The same rooms in the same words for people.
#[test]
fn every_room_is_on_the_map() {
    let map = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md")).unwrap();
    for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "main") {
        assert!(map.contains(&format!("`{room}`")), "ARCHITECTURE.md says nothing of `{room}`");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.strip_suffix(".rs").map_or(first.clone(), str::to_owned)
}

/// The rooms that code names with `crate::`, in imports and in paths. Links in documentation are no imports.
fn imports(text: &str) -> impl Iterator<Item = String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let names =
        names.map(|rest| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect());
    names.filter(|name: &String| !name.is_empty())
}
