//! The documents name files and tests that exist.
//!
//! * A path under `src` or `tests` between backticks is that of a file or folder.
//! * `` `a_test` in `a/file.rs` `` is a test of that file; several names may stand before the `in`.
//! * `` `program::module::test` `` in the table of promises is a test of `tests/program/module.rs`.
//! * `--test program` names a test program.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The documents that are written by hand, each with its name.
fn documents() -> Vec<(String, String)> {
    let here = std::fs::read_dir(root()).unwrap().chain(std::fs::read_dir(root().join("docs")).unwrap());
    let files = here.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// What stands between backticks, each with the text before it since the one before.
fn spans(document: &str) -> Vec<(&str, &str)> {
    // Fences hold commands and examples.
    let prose = document.split("```").step_by(2);
    let mut found = Vec::new();
    for prose in prose {
        let pieces: Vec<&str> = prose.split('`').collect();
        found.extend(pieces.chunks_exact(2).map(|pair| (pair[0], pair[1])));
    }
    found
}

/// Whether `file` has a test function `name`.
fn is_test(file: &Path, name: &str) -> bool {
    let source = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    source
        .split_once(&format!("fn {name}("))
        .is_some_and(|(before, _)| before.trim_end().trim_end_matches("async").trim_end().ends_with(']'))
}

#[test]
fn every_path_leads_somewhere() {
    let mut counted = 0;
    for (name, text) in documents() {
        let is_path = |span: &str| span.starts_with("tests/") || span.starts_with("src/");
        for (_, path) in spans(&text).into_iter().filter(|(_, span)| is_path(span) && !span.contains(['*', '<', ' '])) {
            assert!(root().join(path).exists(), "{name} names {path}");
            counted += 1;
        }
    }
    assert!(counted > 60, "the documents are read: {counted}");
}

#[test]
fn every_test_is_in_the_file_that_is_named_for_it() {
    let mut counted = 0;
    for (document, text) in documents() {
        let mut names: Vec<&str> = Vec::new();
        for (before, span) in spans(&text) {
            let is_name = span.len() > 8
                && span.chars().all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter));
            let between = before.trim();
            if is_name {
                if !matches!(between, "," | "and") {
                    names.clear();
                }
                names.push(span);
            } else {
                if between == "in" && span.ends_with(".rs") {
                    for name in &names {
                        assert!(is_test(&root().join(span), name), "{document}: {name} is no test in {span}");
                        counted += 1;
                    }
                }
                names.clear();
            }
        }
    }
    assert!(counted > 60, "the documents are read: {counted}");
}

/// The tests between backticks in the rows of the table of promises.
fn named(row: &str) -> Vec<&str> {
    row.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
}

#[test]
fn every_promise_is_proven_by_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")).collect();
    assert!(rows.len() >= 30);
    for row in rows {
        assert!(!named(row).is_empty(), "{row}");
        for name in named(row) {
            let (file, test) = name.rsplit_once("::").unwrap();
            let path = root().join("tests").join(format!("{}.rs", file.replace("::", "/")));
            assert!(is_test(&path, test), "{name} is no test in {}", path.display());
        }
    }
}

#[test]
fn every_test_program_that_is_named_exists() {
    let more = ["justfile", ".ci/run", "scripts/coverage.sh"];
    let more = more.map(|path| (path.to_owned(), std::fs::read_to_string(root().join(path)).unwrap()));
    for (document, text) in documents().into_iter().chain(more) {
        for rest in text.split("--test ").skip(1) {
            let program: String =
                rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
            let tests = root().join("tests");
            let exists = tests.join(&program).join("main.rs").exists() || tests.join(format!("{program}.rs")).exists();
            assert!(exists, "{document} names the test program {program}");
        }
    }
}
