//! The pages that show what a repository holds, as a browser sees them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Browser, Git, Project, TestForge, forge};
use serde_json::json;

const MARKUP: &str = "<script>alert(1)</script>";

/// A private project whose files, branches and messages try to be markup, and the browser of somebody who may read it.
fn world(forge: &TestForge) -> (Project<'_>, Browser<'_>) {
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let actions = json!([
        { "action": "update", "file_path": "README.md",
          "content": format!("# Hello\n\nWords {MARKUP} [docs](docs/a.md) ![far](https://example.com/x.png)\n") },
        { "action": "create", "file_path": "docs/a.md", "content": "[up](../src/main.rs)\n" },
        { "action": "create", "file_path": "src/main.rs", "content": format!("// {MARKUP}\nfn main() {{}}\n") },
        { "action": "create", "file_path": "src/a b#c%?.txt", "content": "odd\n" },
        { "action": "create", "file_path": "empty.txt", "content": "" },
        { "action": "create", "file_path": "pic.png", "encoding": "base64", "content": "iVBORw0KGgoAAA==" },
        { "action": "create", "file_path": "evil.svg", "content": format!("<svg>{MARKUP}</svg>") },
        { "action": "create", "file_path": "data.bin", "encoding": "base64", "content": "AAECAw==" },
    ]);
    let body = json!({ "branch": "main", "commit_message": format!("Add {MARKUP}\n\nWith {MARKUP}"), "actions": actions });
    bot.post(&project.path("/repository/commits"), body).expect(201);
    for name in ["feature/one", "a&b"] {
        bot.post(&project.path("/repository/branches"), json!({ "branch": name, "ref": "main" })).expect(201);
    }
    let tag = json!({ "tag_name": "v1.0", "ref": "main", "message": format!("Says {MARKUP}") });
    bot.post(&project.path("/repository/tags"), tag).expect(201);
    let maria = project.member(20);
    let browser = Browser::signed_in(forge, &maria.username);
    (project, browser)
}

#[track_caller]
fn page(browser: &Browser, project: &Project, rest: &str) -> String {
    let answer = browser.get(&format!("/{}{rest}", project.full_path)).expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{rest}");
    assert!(!answer.text.contains("<script>alert"), "{rest}");
    answer.text
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_project_shows_its_files_and_its_readme() {
    let forge = forge!();
    let (project, browser) = world(&forge);
    let at = format!("/{}/-", project.full_path);
    let home = page(&browser, &project, "");
    let readme = format!("<a href=\"{at}/blob/main/docs/a.md\"");
    contains(&home, &["Hello</h1>", &readme, "</a> far</p>", &format!("{at}/tree/main/src"), "README.md"]);
    assert!(!home.contains("example.com/x.png"), "a picture of another host");

    let src = page(&browser, &project, "/-/tree/main/src");
    contains(&src, &["main.rs", "a b#c%?.txt", "a%20b%23c%25%3F.txt", "aria-label=\"The folder above\""]);
    contains(&page(&browser, &project, "/-/blob/main/src/a%20b%23c%25%3F.txt"), &["odd"]);
    // The same under every name of the commit.
    let tip = forge.root().get(&project.path("/repository/branches/main")).json()["commit"]["id"].clone();
    for revision in ["feature/one", "a&b", "v1.0", tip.as_str().unwrap(), "HEAD"] {
        contains(&page(&browser, &project, &format!("/-/tree/{revision}/src")), &["main.rs"]);
    }
    contains(&page(&browser, &project, "/-/tree"), &["README.md"]);
}

#[test]
fn a_file_is_shown_by_what_it_is() {
    let forge = forge!();
    let (project, browser) = world(&forge);
    let blob = |path: &str| page(&browser, &project, &format!("/-/blob/main/{path}"));
    contains(&blob("src/main.rs"), &["<span class=\"c\">// &lt;script&gt;", "id=\"L2\"", "fn"]);
    contains(&blob("README.md"), &["Hello</h1>", "?plain=1"]);
    contains(&blob("README.md?plain=1"), &["# Hello", "id=\"L1\""]);
    contains(&blob("empty.txt"), &["The file is empty."]);
    contains(&blob("data.bin"), &["The file is no text."]);
    contains(&blob("pic.png"), &["<img class=\"picture\""]);
    let picture = blob("evil.svg");
    assert!(picture.contains("&lt;") && !picture.contains("<svg>"), "{picture}");
    // A relative link leads where it says.
    contains(&blob("docs/a.md"), &[&format!("href=\"/{}/-/blob/main/src/main.rs\"", project.full_path)]);

    let raw = |path: &str| browser.get(&format!("/{}/-/raw/main/{path}", project.full_path)).expect(200);
    for (path, kind, shown) in [
        ("pic.png", "image/png", "inline"),
        ("evil.svg", "text/plain; charset=utf-8", "inline"),
        ("src/main.rs", "text/plain; charset=utf-8", "inline"),
        ("data.bin", "application/octet-stream", "attachment"),
    ] {
        let answer = raw(path);
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert!(answer.header("content-disposition").unwrap().starts_with(shown), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
    assert_eq!(raw("evil.svg").text, format!("<svg>{MARKUP}</svg>"));
}

#[test]
fn history_branches_and_tags_are_shown() {
    let forge = forge!();
    let (project, browser) = world(&forge);
    let list = page(&browser, &project, "/-/commits/main");
    contains(&list, &["Add &#60;script&#62;", "Initial commit"]);
    let one = page(&browser, &project, "/-/commits/main/src/main.rs");
    assert!(one.contains("Add &#60;script&#62;") && !one.contains("Initial commit"));
    contains(&page(&browser, &project, "/-/commits/main/nothing-here"), &["No commits here"]);

    let tip = forge.root().get(&project.path("/repository/branches/main")).json()["commit"]["id"].clone();
    let commit = page(&browser, &project, &format!("/-/commit/{}", tip.as_str().unwrap()));
    contains(
        &commit,
        &["With &#60;script&#62;", "8 changed files", "class=\"add\"", "src/main.rs", "New", "no text"],
    );

    contains(&page(&browser, &project, "/-/branches"), &["feature/one", "a&#38;b", "Default"]);
    let found = page(&browser, &project, "/-/branches?search=feature");
    assert!(found.contains("feature/one") && !found.contains("a&#38;b"));
    contains(&page(&browser, &project, "/-/branches?search=zzz"), &["Nothing found"]);
    contains(&page(&browser, &project, "/-/tags"), &["v1.0", "Says &#60;script&#62;"]);
}

#[test]
fn what_is_not_there_and_what_is_not_theirs_is_the_same_page() {
    let forge = forge!();
    let (project, browser) = world(&forge);
    forge.person("stranger");
    let stranger = Browser::signed_in(&forge, "stranger");
    let guest = Browser::signed_in(&forge, &project.member(10).username);
    let missing = stranger.get("/nobody/nothing/-/tree/main");
    assert_eq!(missing.status, 404);
    for rest in [
        "",
        "/-/tree/main",
        "/-/blob/main/README.md",
        "/-/raw/main/README.md",
        "/-/commits",
        "/-/branches",
        "/-/tags",
    ] {
        let address = format!("/{}{rest}", project.full_path);
        let answer = stranger.get(&address);
        assert_eq!((answer.status, &answer.text), (404, &missing.text), "{rest}");
        // Whoever is not signed in is asked to, whether there is anything or not.
        assert_eq!(Browser::new(&forge).get(&address).expect(303).text, "");
        if !rest.is_empty() {
            assert_eq!(
                guest.get(&address).status,
                404,
                "a Guest does not read the code of a private project: {rest}"
            );
        }
        // A token opens no page.
        let bot = project.token(&["api"], 40);
        let answer = bot.send("GET", &address, &[("private-token", &bot.secret)], b"");
        assert_eq!(answer.status, 303, "{rest}");
    }
    for rest in [
        "/-/tree/nothing",
        "/-/tree/main/nothing",
        "/-/tree/main/README.md",
        "/-/blob/main/src",
        "/-/blob/main/nothing",
        "/-/blob/main",
        "/-/raw/main/../../etc/passwd",
        "/-/commit/0000000000000000000000000000000000000000",
        "/-/tree/main~1",
        "/-/tree/--all",
    ] {
        assert_eq!(browser.get(&format!("/{}{rest}", project.full_path)).status, 404, "{rest}");
    }
}

#[test]
fn an_empty_repository_says_how_to_begin_and_has_no_files() {
    let forge = forge!();
    let made = forge.root().post("/projects", json!({ "name": "empty" })).expect(201).json();
    let path = made["path_with_namespace"].as_str().unwrap();
    let browser = Browser::signed_in(&forge, "root");
    let home = browser.get(&format!("/{path}")).expect(200).text;
    contains(&home, &["The repository is empty", "git push --set-upstream origin main"]);
    assert!(!home.contains("/-/branches"));
    for rest in ["/-/tree", "/-/commits", "/-/tree/main"] {
        assert_eq!(browser.get(&format!("/{path}{rest}")).status, 404, "{rest}");
    }
    contains(&browser.get(&format!("/{path}/-/branches")).expect(200).text, &["No branches yet"]);
    // Branches, but not the default one.
    let (git, token) = (Git::default(), forge.personal_token("root", &["api"]));
    git.repository("work");
    git.commit("work", "a.txt", "a\n");
    let url = format!("{}/{path}.git", forge.url.replace("://", &format!("://x:{token}@")));
    git.run_in("work", &["push", "-q", &url, "HEAD:refs/heads/other"]).works();
    browser.get(&format!("/{path}")).expect(200);
    contains(&browser.get(&format!("/{path}/-/tree/other")).expect(200).text, &["a.txt"]);
}
