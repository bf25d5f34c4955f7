//! The index of what clients call, `docs/endpoints.md`: every row tells the truth about the routes, and what a client
//! needs is shown by tests that exist.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use portcullis_web::routes::table;

/// One row of the index.
struct Row {
    id: String,
    /// Method and path, with every parameter as `{}`.
    routes: Vec<(String, String)>,
    need: String,
    answer: String,
    /// File and function.
    tests: Vec<(String, String)>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The texts between backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A path in which every parameter is `{}`, however it is written.
fn shape(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with([':', '{']) { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/endpoints.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, endpoint, need, answer, tests] = cells[..] else { panic!("five columns: {line}") };
        let routes = quoted(endpoint).into_iter().map(|route| {
            let (method, path) = route.split_once(' ').unwrap_or_else(|| panic!("{id}: {route}"));
            (method.to_owned(), shape(path))
        });
        let tests = quoted(tests).into_iter().map(|test| {
            let (file, function) = test.split_once("::").unwrap_or_else(|| panic!("{id}: {test}"));
            (file.to_owned(), function.to_owned())
        });
        rows.push(Row {
            id: id.to_owned(),
            routes: routes.collect(),
            need: need.to_owned(),
            answer: answer.to_owned(),
            tests: tests.collect(),
        });
    }
    rows
}

/// The tests of the whole program, by their files.
fn tests_by_file() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for file in std::fs::read_dir(root().join("crates/portcullis/tests")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = text.split("#[test]").skip(1).filter_map(|after| {
            let (_, name) = after.split_once("fn ")?;
            Some(name.split(['(', '<']).next()?.to_owned())
        });
        found.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), tests.collect());
    }
    found
}

#[test]
fn every_row_is_written_as_the_others_and_once() {
    let rows = rows();
    let mut ids = BTreeSet::new();
    let mut routes = BTreeSet::new();
    for row in &rows {
        assert!(ids.insert(&row.id), "{} is there twice", row.id);
        assert!(["P0", "P1", "P2"].contains(&row.need.as_str()), "{}: {}", row.id, row.need);
        assert!(["same", "different", "absent"].contains(&row.answer.as_str()), "{}: {}", row.id, row.answer);
        assert!(!row.routes.is_empty(), "{} names no endpoint", row.id);
        for route in &row.routes {
            assert!(routes.insert(route), "{}: {route:?} is in two rows", row.id);
        }
    }
    // So many endpoints are those without which a client stops. One row has a second path for the word `self`.
    assert_eq!(rows.iter().filter(|row| row.need == "P0").count(), 75);
}

#[test]
fn what_is_said_to_be_there_is_a_route_and_what_is_said_to_be_absent_is_none() {
    let known: BTreeSet<_> = table()
        .into_iter()
        .filter_map(|route| Some((route.method.to_string(), shape(route.path.strip_prefix("/api/v4")?))))
        .collect();
    for row in rows() {
        for (method, path) in &row.routes {
            // What is read is read without its body too.
            let method = if method == "HEAD" { "GET" } else { method };
            let there = known.contains(&(method.to_owned(), path.clone()));
            assert_eq!(there, row.answer != "absent", "{}: {method} {path} is {}", row.id, row.answer);
        }
    }
}

#[test]
fn what_clients_need_is_there_and_shown_by_tests_that_exist() {
    let known = tests_by_file();
    for row in rows() {
        assert!(row.need != "P0" || row.answer != "absent", "{} is needed", row.id);
        assert!(
            row.need == "P2" || row.answer == "absent" || !row.tests.is_empty(),
            "{} is shown by no test",
            row.id
        );
        for (file, function) in &row.tests {
            let there = known.get(file).is_some_and(|tests| tests.contains(function));
            assert!(there, "{}: there is no test {file}::{function}", row.id);
        }
    }
}
