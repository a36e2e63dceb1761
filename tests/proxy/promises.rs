//! The page of promises names tests that exist.

use std::path::Path;

/// The names between backticks that have a `::` in them, from the rows of the page's table.
fn named(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|name| name.contains("::")).collect()
}

#[test]
fn every_promise_is_proven_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
    let names = named(&page);
    assert!(names.len() > 40, "the table is read");
    for name in names {
        let (file, test) = name.rsplit_once("::").unwrap();
        let path = root.join("tests").join(format!("{}.rs", file.replace("::", "/")));
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_test = source.contains(&format!("fn {test}("))
            && source
                .split(&format!("fn {test}("))
                .next()
                .is_some_and(|before| before.trim_end().trim_end_matches("async").trim_end().ends_with(']'));
        assert!(is_test, "{name} is no test in {}", path.display());
    }
}

#[test]
fn every_row_of_the_promises_names_a_test() {
    let page = include_str!("../../docs/promises.md");
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise |")).collect();
    assert!(rows.len() >= 30);
    for row in rows {
        assert!(!named(row).is_empty(), "{row}");
    }
}
