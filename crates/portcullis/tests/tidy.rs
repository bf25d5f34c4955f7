//! The walls that Cargo and the compiler cannot see: who may import whom, where a kind of text may stand, and which use
//! case needs no proof. It reads manifests and sources as text.
//!
//! Each check says, when it fails, why the rule is there and what to do instead.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, with functions that serve the tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_rules::access::Action;
use toml::{Table, Value};

/// What may be imported inside the workspace. A new arrow is a design decision: write its ADR first.
const ARROWS: [(&str, &[&str]); 10] = [
    ("rules", &[]),
    ("store", &["rules"]),
    ("git", &[]),
    ("registry", &[]),
    ("markup", &[]),
    ("app", &["rules", "store", "git", "registry"]),
    ("web", &["rules", "app", "markup"]),
    ("portcullis", &["rules", "app", "git", "web"]),
    ("testkit", &["rules", "app", "web"]),
    ("bench", &["rules", "app", "web"]),
];

/// The only things from outside that the rules may need: errors, hashing, dates, the names of their own values.
const RULES_MAY_NEED: [&str; 6] = ["bitflags", "crc32fast", "jiff", "serde", "sha2", "thiserror"];

/// The public functions of `app` that take no proof, each with its reason.
const WITHOUT_PROOF: [(&str, &str, &str); 19] = [
    ("access.rs", "authenticate", "it finds out who asks, before anything can be proven"),
    (
        "access.rs",
        "authenticate_holder",
        "it finds out who is behind a bearer, before anything can be proven",
    ),
    ("access.rs", "authenticate_session", "it finds out who asks, before anything can be proven"),
    (
        "access.rs",
        "act_as",
        "it takes the viewer of an administrator apart, and checks the right to do so itself",
    ),
    ("access.rs", "authorize", "it is what makes a proof"),
    ("access.rs", "authorize_within", "it is what makes a proof"),
    ("access.rs", "authorize_image", "it is what makes a proof"),
    ("forge.rs", "open", "start-up, before there is anybody"),
    ("forge.rs", "migrate_only", "start-up, before there is anybody"),
    ("forge.rs", "ping", "it says whether the database answers, and nothing else"),
    ("forge.rs", "render_metrics", "the addresses that the operator listed read them without a credential"),
    ("forge.rs", "write_last_uses", "shutdown: it writes what was noted while requests were authenticated"),
    ("jobs/mod.rs", "run_due", "what a job may do was proven when it was asked for"),
    ("jobs/mod.rs", "run_recurring", "upkeep that nobody asks for"),
    ("people.rs", "may_sign_in", "it finds out who asks, by password"),
    ("sessions.rs", "find_link", "the secret of the link is all that whoever comes with it has"),
    ("sessions.rs", "choose_password", "the secret of the link is all that whoever comes with it has"),
    ("registry/garbage.rs", "collect", "upkeep that nobody asks for"),
    ("registry/verification.rs", "verify", "the operator asks for it on the machine itself"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file of the workspace.
struct Source {
    /// Its path from the root.
    path: String,
    text: String,
}

impl Source {
    /// Returns the numbered lines that are code of the product: without comments, and without the tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        (1..).zip(self.text[..end].lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

fn files(folder: &str, extension: &str) -> Vec<Source> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|actual| actual == extension) {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root.join(folder), extension, &mut found);
    found.sort();
    let source = |path: PathBuf| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().map(source).collect()
}

/// The crates, by the name of their folder.
fn crates() -> impl Iterator<Item = &'static str> {
    ARROWS.iter().map(|(name, _)| *name)
}

fn folder(name: &str) -> String {
    if name == "bench" { name.to_owned() } else { format!("crates/{name}") }
}

fn sources(name: &str) -> Vec<Source> {
    files(&format!("{}/src", folder(name)), "rs")
}

/// Everything in Rust, tests too.
fn all_rust() -> Vec<Source> {
    [files("crates", "rs"), files("bench", "rs")].into_iter().flatten().collect()
}

fn manifest(name: &str) -> Table {
    let text = std::fs::read_to_string(root().join(folder(name)).join("Cargo.toml")).unwrap();
    text.parse().unwrap()
}

fn dependencies(name: &str, kind: &str) -> BTreeMap<String, Value> {
    let manifest = manifest(name);
    let table = manifest.get(kind).and_then(Value::as_table).cloned().unwrap_or_default();
    table.into_iter().collect()
}

/// Fails with what was found, why it matters and what to do, unless nothing was.
#[track_caller]
fn expect_none(found: Vec<String>, reason: &str, way_out: &str) {
    assert!(found.is_empty(), "\n{}\n\nWhy: {reason}\nInstead: {way_out}\n", found.join("\n"));
}

/// Returns each line of code, outside of the places where it is allowed, in which one of the words stands.
fn lines_with(
    words: &[&str],
    crates: impl IntoIterator<Item = &'static str>,
    allowed: &[&str],
) -> Vec<String> {
    let mut found = Vec::new();
    for source in crates.into_iter().flat_map(sources) {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.code() {
            if words.iter().any(|word| contains_word(line, word)) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

/// Returns whether `word` stands in `line` and is not the end of a longer word.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|character| !character.is_alphanumeric() && character != '_')
    })
}

fn except<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'static str> + 'a {
    crates().filter(|name| !names.contains(name))
}

#[test]
fn crates_import_only_along_the_arrows() {
    let mut found = Vec::new();
    for (name, may) in ARROWS {
        for dependency in dependencies(name, "dependencies").keys() {
            if let Some(other) = dependency.strip_prefix("portcullis-")
                && !may.contains(&other)
            {
                found.push(format!("{}/Cargo.toml: {name} depends on {other}", folder(name)));
            }
        }
        for dependency in dependencies(name, "dev-dependencies").keys() {
            let other = dependency.strip_prefix("portcullis-");
            if other.is_some_and(|other| other != "testkit" && !may.contains(&other)) {
                found
                    .push(format!("{}/Cargo.toml: the tests of {name} depend on {dependency}", folder(name)));
            }
        }
    }
    expect_none(
        found,
        "the crates are walls: rules know nothing, store alone knows a database, app decides, web speaks HTTP",
        "move the code to where the arrow already leads; a new arrow needs an ADR first, then a line in ARROWS",
    );
}

#[test]
fn every_crate_is_known_here() {
    let mut folders: Vec<_> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.push("bench".to_owned());
    let unknown = folders.into_iter().filter(|name| !crates().any(|known| known == name)).collect();
    expect_none(
        unknown,
        "a crate that is not in ARROWS has no walls",
        "add it to ARROWS, with what it may import",
    );
}

#[test]
fn the_rules_need_almost_nothing() {
    let needed = dependencies("rules", "dependencies").into_keys();
    let found = needed
        .filter(|name| !RULES_MAY_NEED.contains(&&**name))
        .map(|name| format!("rules depends on {name}"));
    expect_none(
        found.collect(),
        "the rules are pure, so that they can be read on one screen and tested over every case there is",
        "pass in as a value what the rules would have read for themselves",
    );
    let impure = [
        "async fn",
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "println!",
    ];
    expect_none(
        lines_with(&impure, ["rules"], &[]),
        "the rules are functions from facts to an answer: no clock, no file, no request",
        "read it in app, and pass in what was read",
    );
}

#[test]
fn the_engines_know_no_users() {
    let words = [
        "UserId",
        "TokenId",
        "ProjectId",
        "AccessToken",
        "TokenSecret",
        "ScopeSet",
        "Role",
        "Visibility",
        "portcullis_rules",
    ];
    expect_none(
        lines_with(&words, ["git", "registry"], &[]),
        "git and registry are engines: paths, streams and protocol. app decides who may start them",
        "let app decide, and hand the engine the answer",
    );
}

#[test]
fn sql_stays_in_store() {
    let words = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM"];
    expect_none(
        lines_with(&words, except(&["store"]), &[]),
        "one crate knows the schema, and a test of it prepares every statement on both engines",
        "write a function in the table's file in crates/store/src",
    );
    let drivers = ["rusqlite", "tokio_postgres", "deadpool_postgres"];
    expect_none(
        lines_with(&drivers, crates(), &["crates/store/src/db/", "crates/testkit/src/postgres.rs"]),
        "one SQL text runs on both engines because one adapter hides the drivers",
        "extend the adapter in crates/store/src/db",
    );
    let mut declared = Vec::new();
    for name in except(&["store", "testkit"]) {
        for kind in ["dependencies", "dev-dependencies"] {
            let names = dependencies(name, kind).into_keys();
            declared.extend(names.filter(|dependency| {
                matches!(&**dependency, "rusqlite" | "tokio-postgres" | "deadpool-postgres")
            }));
        }
    }
    expect_none(
        declared,
        "only store knows a database driver",
        "go through a use case, or through testkit in a test",
    );
}

#[test]
fn http_stays_in_web() {
    expect_none(
        lines_with(&["StatusCode", "axum", "hyper", "http::"], except(&["web", "bench", "testkit"]), &[]),
        "a use case serves every door and the command line, each with its own dialect",
        "return an error that says what happened; crates/web/src/error.rs says how it sounds in HTTP",
    );
}

#[test]
fn the_environment_stays_in_the_binary() {
    expect_none(
        lines_with(
            &["std::env", "env::var", "env::args"],
            except(&["portcullis", "bench", "testkit"]),
            &["crates/git/src/hook.rs"],
        ),
        "settings are one typed structure that is passed in; nobody reads them from the air. A hook is a process of its own, \
         to which Git speaks through the environment",
        "add a key to the settings, and read it in crates/portcullis/src/config.rs",
    );
}

#[test]
fn nothing_of_the_testkit_reaches_a_release() {
    let names = except(&["testkit"]);
    let found = names.filter(|name| dependencies(name, "dependencies").contains_key("portcullis-testkit"));
    expect_none(
        found.map(str::to_owned).collect(),
        "the testkit stops the program when something is unexpected, and stands the clock still",
        "make it a dev-dependency",
    );
}

#[test]
fn versions_are_chosen_in_one_place() {
    let mut found = Vec::new();
    for name in crates() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, how) in dependencies(name, kind) {
                if how.get("workspace").and_then(Value::as_bool) != Some(true) {
                    found.push(format!("{}/Cargo.toml: {dependency}", folder(name)));
                }
            }
        }
        let lints = manifest(name);
        if lints.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool) != Some(true)
        {
            found.push(format!("{}/Cargo.toml: has no [lints] workspace = true", folder(name)));
        }
    }
    expect_none(
        found,
        "two crates with two versions of one dependency, or with their own lints, drift apart unseen",
        "name the version in the root manifest, and write `workspace = true`",
    );
}

/// A public function of a use case, with its parameters.
fn public_functions(source: &Source) -> Vec<(String, String)> {
    let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
    code.match_indices("pub async fn ")
        .map(|(at, start)| {
            let rest = &code[at + start.len()..];
            let name = rest.split(['(', '<']).next().unwrap_or_default().to_owned();
            let signature = rest.split('{').next().unwrap_or_default().to_owned();
            (name, signature)
        })
        .collect()
}

#[test]
fn every_use_case_takes_a_proof() {
    // An image, or the large files of a project, are what a caller may do something with: they hold the proof.
    let proofs = [
        "&Authorized<",
        "&Image<",
        "&LargeFiles<",
        "&Readable",
        "&Writable",
        "&impl MayRead",
        "&impl MayAdminister",
        "&Viewer",
    ];
    let (mut found, mut counted, mut used) = (Vec::new(), 0, Vec::new());
    for source in sources("app") {
        let file = source.path.strip_prefix("crates/app/src/").unwrap();
        for (name, signature) in public_functions(&source) {
            counted += 1;
            let excused =
                WITHOUT_PROOF.iter().find(|(excused, function, _)| (*excused, *function) == (file, &*name));
            match (proofs.iter().any(|proof| signature.contains(proof)), excused) {
                (false, None) => found.push(format!("{}: {name}", source.path)),
                (false, Some(excused)) => used.push(*excused),
                (true, Some(_)) => found
                    .push(format!("{}: {name} takes a proof and needs no exception any more", source.path)),
                (true, None) => {}
            }
        }
    }
    assert!(counted > 50, "only {counted} functions were found; has their shape changed?");
    for excused in WITHOUT_PROOF.iter().filter(|excused| !used.contains(*excused)) {
        found.push(format!(
            "{}: there is no {} without a proof; take its exception away",
            excused.0, excused.1
        ));
    }
    expect_none(
        found,
        "a permission is a value: a use case that asks for the proof cannot be called by who forgot the check",
        "take `&Authorized<act::…>`, or `&Viewer` for a list; if it truly can have none, name it in WITHOUT_PROOF with the reason",
    );
}

#[test]
fn every_action_is_asked_somewhere() {
    let code: String = ["app", "web"]
        .into_iter()
        .flat_map(sources)
        .flat_map(|source| source.code().map(|(_, line)| format!("{line}\n")).collect::<Vec<_>>())
        .collect();
    // Act and action: the type in a signature, or the value in a guard.
    let asked = |name: &str| {
        [format!("act::{name}"), format!("Action::{name}")].iter().any(|text| {
            code.match_indices(text.as_str())
                .any(|(at, _)| !code[at + text.len()..].starts_with(|next: char| next.is_alphanumeric()))
        })
    };
    let unasked =
        Action::ALL.iter().map(|action| action.name()).filter(|name| !asked(name)).map(str::to_owned);
    expect_none(
        unasked.collect(),
        "a row of the rules that nothing asks for is a promise that nothing keeps",
        "ask for it where it belongs, or remove the action and its row",
    );
}

#[test]
fn lints_are_expected_and_not_allowed() {
    let mut found = Vec::new();
    for source in all_rust() {
        // Written in two parts, so that this line is not one of them.
        for attribute in [concat!("#[", "allow("), concat!("#![", "allow(")] {
            if source.text.contains(attribute) {
                found.push(format!("{}: {attribute}…)]", source.path));
            }
        }
        for (at, _) in source.text.match_indices("[expect(") {
            if source.text[..at].ends_with(['#', '!'])
                && !source.text[at..].split(")]").next().unwrap().contains("reason")
            {
                let line = source.text[..at].lines().count();
                found.push(format!("{}:{line}: an expectation without a reason", source.path));
            }
        }
    }
    expect_none(
        found,
        "an allowance stays when what it allowed is gone, and nobody knows why it was there",
        "write `#[expect(…, reason = \"…\")]`, which complains when it is not needed any more",
    );
}

#[test]
fn every_crate_opens_with_what_it_is_for() {
    let mut found = Vec::new();
    for name in crates() {
        let files = sources(name);
        let opening = files.iter().find(|source| matches!(source.name(), "lib.rs" | "main.rs"));
        let Some(opening) = opening else {
            found.push(format!("{name} has neither lib.rs nor main.rs"));
            continue;
        };
        let words: usize = opening
            .text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(|line| line.split_whitespace().count())
            .sum();
        if words < 15 {
            found.push(format!("{}: its opening has {words} words", opening.path));
        }
    }
    for source in crates().flat_map(sources).filter(|source| !source.text.starts_with("//! ")) {
        found.push(format!("{}: has no opening line", source.path));
    }
    expect_none(
        found,
        "a reader wants to know what a room is for before looking into its cupboards",
        "begin the file with `//!`: its job and its limits; a crate's lib.rs also says where to start reading",
    );
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let nothing = ["util", "utils", "helper", "helpers", "manager", "common", "misc", "shared"];
    let mut found = Vec::new();
    for source in all_rust() {
        if source.path.split(['/', '.']).any(|part| nothing.contains(&part)) {
            found.push(source.path.clone());
        }
        for (number, line) in source.code() {
            let module = line.trim().trim_start_matches("pub ").strip_prefix("mod ");
            if module.is_some_and(|module| nothing.contains(&module.trim_end_matches([';', '{', ' ']))) {
                found.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    expect_none(
        found,
        "such a name says nothing, so everything ends up there",
        "name the file for the noun a newcomer would look for",
    );
}

#[test]
fn tests_stand_at_the_end_of_their_file() {
    let mut found = Vec::new();
    for source in crates().flat_map(sources) {
        let Some((_, tests)) = source.text.split_once("#[cfg(test)]\nmod tests {") else { continue };
        if tests.split_once("\n}\n").is_some_and(|(_, rest)| !rest.trim().is_empty()) {
            found.push(source.path);
        }
    }
    expect_none(
        found,
        "these checks read a file up to its tests; what stands behind them is not looked at",
        "move the tests to the end of the file",
    );
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut found = Vec::new();
    for source in all_rust() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if words.iter().any(|word| contains_word(line, word)) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    expect_none(
        found,
        "nobody comes back to a note in the code",
        "do it now, or write the limitation down in docs/compatibility.md and an issue",
    );
}

#[test]
fn decisions_are_numbered() {
    let records = files("docs/adr", "md");
    let mut found = Vec::new();
    for (number, record) in (1..).zip(&records) {
        if !record.name().starts_with(&format!("{number:04}-")) {
            found.push(format!("{}: expected the number {number:04}", record.path));
        }
        if !record.text.starts_with(&format!("# {number}. ")) {
            found.push(format!("{}: its title does not begin with `# {number}. `", record.path));
        }
    }
    assert!(!records.is_empty(), "docs/adr holds nothing");
    expect_none(
        found,
        "a decision is cited by its number",
        "give it the next free one; supersede, never renumber",
    );
}

/// Returns everything that is compiled for the machine at hand, as name and version, and its licence. What was needed to
/// build this test is there without the network. (`cargo metadata` would also name what a feature that is off would need.)
fn dependency_tree() -> Option<Vec<(String, String)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments =
        ["tree", "--workspace", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"];
    let output =
        Command::new(cargo).args(arguments).args(["--locked", "--offline"]).current_dir(root()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: cargo does not run here: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let mut found: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, licence)| (package.to_owned(), licence.trim_end_matches(" (*)").to_owned()))
        .collect();
    found.sort();
    found.dedup();
    Some(found)
}

/// Returns whether a licence expression (SPDX, annex D) can be met with `allowed` licences alone.
fn can_be_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let (met, rest) = any_of(&words, allowed);
    assert!(rest.is_empty(), "{expression} is no licence expression");
    met
}

fn any_of<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = all_of(words, allowed);
    while let Some(("OR", more)) = rest.split_first().map(|(word, more)| (*word, more)) {
        let (other, after) = all_of(more, allowed);
        (met, rest) = (met || other, after);
    }
    (met, rest)
}

fn all_of<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let Some(("AND", more)) = rest.split_first().map(|(word, more)| (*word, more)) {
        let (other, after) = one(more, allowed);
        (met, rest) = (met && other, after);
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inside @ ..] => {
            let (met, rest) = any_of(inside, allowed);
            (met, rest.strip_prefix(&[")"]).expect("a parenthesis is closed"))
        }
        [licence, "WITH", exception, rest @ ..] => {
            (allowed.contains(&format!("{licence} WITH {exception}")), rest)
        }
        [licence, rest @ ..] => (allowed.iter().any(|one| one == licence), rest),
        [] => (false, words),
    }
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for (expression, met) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("(GPL-3.0 OR MIT) AND MIT", true),
        ("GPL-3.0 OR MIT AND ISC", false),
        ("MIT AND (ISC OR GPL-3.0)", false),
    ] {
        assert_eq!(can_be_met(expression, &allowed), met, "{expression}");
    }
}

/// `deny.toml` says what may be used; `cargo deny` reads it where it is installed, and this everywhere.
#[test]
fn dependencies_may_be_used() {
    let Some(packages) = dependency_tree() else { return };
    let policy: Table = std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let texts = |list: &Value, key: Option<&str>| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|item| key.map_or(item, |key| &item[key]).as_str().expect("a text").to_owned()).collect()
    };
    let (allowed, banned) =
        (texts(&policy["licenses"]["allow"], None), texts(&policy["bans"]["deny"], Some("crate")));
    assert!(
        banned.iter().any(|name| name == "openssl") && banned.iter().any(|name| name == "native-tls"),
        "{banned:?}"
    );
    assert!(packages.len() > 100, "only {} packages were found", packages.len());
    let mut found = Vec::new();
    for (package, licence) in &packages {
        let name = package.split(' ').next().unwrap();
        let ours = package.contains(&*format!("({}", root().display()));
        if !ours && (licence.is_empty() || !can_be_met(licence, &allowed)) {
            found.push(format!(
                "{package} is under {}",
                if licence.is_empty() { "no licence that it names" } else { licence }
            ));
        }
        if banned.iter().any(|banned| banned == name) {
            found.push(format!("{package} is banned"));
        }
        if package.contains("://") {
            found.push(format!("{package} does not come from the registry"));
        }
    }
    expect_none(
        found,
        "what we link must ask nothing of our users but a notice, and there is one implementation of TLS and cryptography",
        "find another crate, or switch off the feature that pulls it in; what may be used is said in deny.toml",
    );
}
