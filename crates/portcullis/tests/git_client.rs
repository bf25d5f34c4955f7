//! The real `git` as people and machines use it: every kind of clone, fetch and push, and what it prints when the forge
//! says no.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Bot, Git, Project, TestForge, forge};
use serde_json::{Value, json};

/// A work tree `work` of a project, in a folder of its own.
struct Work {
    git: Git,
}

impl Work {
    fn clone_of(project: &Project, bot: &Bot) -> Work {
        let git = Git::default();
        project.clone_with(&git, &bot.secret, "work");
        Work { git }
    }

    fn git(&self, arguments: &[&str]) -> portcullis_testkit::GitAnswer {
        self.git.run_in("work", arguments)
    }

    fn commit(&self, file: &str) {
        self.git.commit("work", file, file);
    }

    fn tip(&self, revision: &str) -> String {
        self.git(&["rev-parse", revision]).works().trim().to_owned()
    }

    fn remote_refs(&self) -> String {
        self.git(&["ls-remote", "origin"]).works()
    }

    /// Pushes, which must be refused by the forge with this line, shown to the person.
    #[track_caller]
    fn refused(&self, arguments: &[&str], line: &str) {
        let before = self.remote_refs();
        let said =
            self.git(&[&["push", "origin"], arguments].concat()).fails_with("pre-receive hook declined");
        let expected = format!("remote: Portcullis: {line}");
        assert!(said.lines().any(|known| known.trim_end() == expected), "expected `{expected}` in: {said}");
        assert_eq!(self.remote_refs(), before, "a refused push changed something");
    }

    /// Pushes, which must work.
    #[track_caller]
    fn accepted(&self, arguments: &[&str]) -> String {
        self.git(&[&["push", "origin"], arguments].concat()).works()
    }
}

fn developer(project: &Project) -> Bot {
    project.token(&["write_repository"], 30)
}

fn maintainer(project: &Project) -> Bot {
    project.token(&["write_repository"], 40)
}

/// Creates an empty project beside another one.
fn empty_project(forge: &TestForge, beside: &Project, extra: Value) -> Value {
    let name = forge.word("empty");
    let mut body = json!({ "name": name, "namespace_id": beside.group.id, "visibility": "private" });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    forge.root().post("/projects", body).expect(201).json()
}

/// Makes a token of a project that is known by its answer alone.
fn token_of(forge: &TestForge, project: &Value, level: i64) -> String {
    let body = json!({ "name": "ci", "scopes": ["write_repository"], "access_level": level });
    let made =
        forge.root().post(&format!("/projects/{}/access_tokens", project["id"]), body).expect(201).json();
    portcullis_testkit::token_secret(&made)
}

fn url_of(forge: &TestForge, project: &Value, secret: &str) -> String {
    let host = forge.url.strip_prefix("http://").unwrap();
    format!("http://x:{secret}@{host}/{}.git", project["path_with_namespace"].as_str().unwrap())
}

/// Returns the pushes in a project's feed, the newest first, as `action ref`.
fn feed(forge: &TestForge, project: i64) -> Vec<String> {
    forge.run_jobs();
    let events = forge.root().get(&format!("/projects/{project}/events?per_page=100")).expect(200).json();
    let pushes = events.as_array().unwrap().iter().filter(|event| !event["push_data"].is_null());
    pushes
        .map(|event| {
            format!(
                "{} {}",
                event["action_name"].as_str().unwrap(),
                event["push_data"]["ref"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn every_version_of_the_protocol_clones_pushes_and_fetches() {
    let forge = forge!();
    let project = forge.project("private");
    let url = project.git_url("x", &maintainer(&project).secret);
    let git = Git::default();
    for version in ["0", "1", "2"] {
        let config = format!("protocol.version={version}");
        let (left, right) = (format!("left{version}"), format!("right{version}"));
        for folder in [&left, &right] {
            git.run(&["-c", &config, "clone", "-q", &url, folder]).works();
            git.run_in(folder, &["config", "protocol.version", version]).works();
        }
        git.commit(&left, &format!("file{version}"), "text");
        git.run_in(&left, &["push", "-q"]).works();
        git.run_in(&right, &["pull", "-q", "--ff-only"]).works();
        let tips = [&left, &right].map(|folder| git.run_in(folder, &["rev-parse", "HEAD"]).works());
        assert_eq!(tips[0], tips[1], "version {version}");
        git.run_in(&right, &["fsck", "--strict"]).works();
    }
    assert_eq!(feed(&forge, project.id), ["pushed to main"; 3]);
}

#[test]
fn a_token_works_in_every_place_where_git_keeps_credentials() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = developer(&project);
    let (git, url) = (Git::default(), project.plain_git_url());
    for user in ["oauth2", "project_1_bot", "anything-at-all"] {
        git.run(&["ls-remote", &project.git_url(user, &bot.secret)]).works();
    }
    let helper = format!("credential.helper=!f() {{ echo username=x; echo password={}; }}; f", bot.secret);
    git.run(&["-c", &helper, "ls-remote", &url]).works();
    let header = format!("http.extraHeader=Authorization: Bearer {}", bot.secret);
    git.run(&["-c", &header, "ls-remote", &url]).works();
    let host = forge.url.strip_prefix("http://").unwrap().split(':').next().unwrap();
    std::fs::write(git.path(".netrc"), format!("machine {host} login x password {}\n", bot.secret)).unwrap();
    git.run(&["clone", "-q", &url, "work"]).works();
    git.commit("work", "a.txt", "a");
    git.run_in("work", &["push", "-q", "origin", "HEAD:topic"]).works();
}

#[test]
fn what_git_prints_says_what_is_wrong() {
    let forge = forge!();
    let project = forge.project("private");
    let git = Git::default();
    let ls = |url: &str| git.run(&["ls-remote", url]);
    ls(&project.plain_git_url()).fails_with("could not read Username");
    let said = ls(&project.git_url("x", "wrong")).fails_with("Authentication failed");
    assert!(said.contains("remote: HTTP Basic: Access denied."), "{said}");
    let outsider = forge.project("private").token(&["api"], 40);
    let said = ls(&project.git_url("x", &outsider.secret)).fails_with("not found");
    assert!(said.contains("remote: The project you were looking for could not be found"), "{said}");
    let useless = project.token(&["read_registry"], 40);
    let said = ls(&project.git_url("x", &useless.secret)).fails_with("error: 403");
    assert!(said.contains("remote: You are not allowed to download code."), "{said}");
    let guest = project.token(&["read_repository"], 10);
    let said = ls(&project.git_url("x", &guest.secret)).fails_with("error: 403");
    assert!(said.contains("remote: You are not allowed to download code from this project."), "{said}");
    let reporter = project.token(&["write_repository"], 20);
    let work = Work::clone_of(&project, &reporter);
    let said = work.git(&["push", "origin", "HEAD:topic"]).fails_with("error: 403");
    assert!(said.contains("remote: You are not allowed to push code to this project."), "{said}");
    forge.root().post(&project.path("/archive"), json!({})).expect(201);
    let archived = developer(&project);
    let said =
        work.git(&["push", &project.git_url("x", &archived.secret), "HEAD:topic"]).fails_with("error: 403");
    assert!(said.contains("remote: You can't push code to an archived project."), "{said}");
    work.git(&["fetch", &project.git_url("x", &archived.secret)]).works();
}

#[test]
fn without_git_in_the_address_the_redirect_is_followed() {
    let forge = forge!();
    let project = forge.project("private");
    let url = project.git_url("x", &developer(&project).secret);
    let git = Git::default();
    let said = git.run(&["clone", url.strip_suffix(".git").unwrap(), "work"]).works();
    assert!(said.contains("warning: redirecting to"), "{said}");
    git.commit("work", "a.txt", "a");
    git.run_in("work", &["push", "-q", "origin", "HEAD:topic"]).works();
    assert_eq!(feed(&forge, project.id), ["pushed new topic"]);
}

#[test]
fn shallow_clones_deepen_and_push() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = maintainer(&project);
    let url = project.git_url("x", &bot.secret);
    let work = Work::clone_of(&project, &bot);
    for number in 1..=5 {
        let date = format!("2026-01-0{number}T00:00:00Z");
        std::fs::write(work.git.path("work/file"), &date).unwrap();
        work.git(&["add", "file"]).works();
        let mut commit = work.git.command("work", &["commit", "-q", "-m", &date]);
        assert!(commit.env("GIT_COMMITTER_DATE", &date).status().unwrap().success());
    }
    work.accepted(&["main", "HEAD~2:refs/heads/older"]);
    let git = &work.git;
    let count = |folder: &str| {
        git.run_in(folder, &["rev-list", "--count", "HEAD"]).works().trim().parse::<u32>().unwrap()
    };
    for version in ["0", "2"] {
        let config = format!("protocol.version={version}");
        let clone = |folder: &str, options: &[&str]| {
            git.run(&[&["-c", &config, "clone", "-q", "--single-branch"], options, &[&url, folder]].concat())
                .works();
            count(folder)
        };
        let folder = format!("shallow{version}");
        assert_eq!(clone(&folder, &["--depth=1"]), 1);
        git.run_in(&folder, &["fetch", "-q", "--deepen=2"]).works();
        assert_eq!(count(&folder), 3);
        // What is built on a part of the history can be pushed.
        git.commit(&folder, &format!("more{version}"), "more");
        git.run_in(&folder, &["push", "-q", "origin", &format!("HEAD:from-shallow{version}")]).works();
        git.run_in(&folder, &["fetch", "-q", "--unshallow"]).works();
        assert_eq!(count(&folder), 7);
        assert_eq!(clone(&format!("since{version}"), &["--shallow-since=2026-01-04T00:00:00Z"]), 2);
        assert_eq!(clone(&format!("exclude{version}"), &["--shallow-exclude=older"]), 2);
        git.run_in(&folder, &["fsck", "--strict"]).works();
    }
}

#[test]
fn a_partial_clone_fetches_what_it_needs_later() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = maintainer(&project);
    let url = project.git_url("x", &bot.secret);
    let work = Work::clone_of(&project, &bot);
    work.git.commit("work", "docs/small.txt", "small\n");
    work.git.commit("work", "docs/large.txt", &"large\n".repeat(1000));
    work.accepted(&["main"]);
    let git = &work.git;
    let missing = |folder: &str| {
        let objects = git.run_in(folder, &["rev-list", "--objects", "--missing=print", "HEAD"]).works();
        objects.lines().filter(|line| line.starts_with('?')).count()
    };
    for (filter, expected) in
        [("blob:none", 3), ("blob:limit=1k", 1), ("tree:0", 3), ("combine:blob:none+tree:1", 3)]
    {
        let folder = filter.replace([':', '='], "-");
        let option = format!("--filter={filter}");
        git.run(&["clone", "-q", "--no-checkout", &option, &url, &folder]).works();
        assert_eq!(missing(&folder), expected, "{filter}");
        git.run_in(&folder, &["checkout", "-q", "main"]).works();
        assert_eq!(
            std::fs::read_to_string(git.path(&format!("{folder}/docs/small.txt"))).unwrap(),
            "small\n"
        );
        let large = git.run_in(&folder, &["show", "HEAD:docs/large.txt"]).works();
        assert_eq!(large.lines().count(), 1000, "{filter}");
    }
    // What would make the server walk without end.
    let blob = work.tip("HEAD:docs/small.txt");
    for (filter, reason) in
        [(format!("sparse:oid={blob}"), "'sparse:oid' not supported"), ("tree:9".to_owned(), "max depth 3")]
    {
        let option = format!("--filter={filter}");
        git.run(&["clone", "-q", "--no-checkout", &option, &url, "walk"]).fails_with(reason);
    }
    // A lazy fetch is a request of its own, with a credential of its own.
    git.run(&["clone", "-q", "--no-checkout", "--filter=blob:none", &url, "late"]).works();
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    git.run_in("late", &["checkout", "-q", "main"]).fails_with("Authentication failed");
}

#[test]
fn a_sha256_project_is_pushed_to_and_cloned() {
    let forge = forge!();
    let beside = forge.project("private");
    let project = empty_project(&forge, &beside, json!({ "repository_object_format": "sha256" }));
    assert_eq!(project["repository_object_format"], "sha256");
    let url = url_of(&forge, &project, &token_of(&forge, &project, 40));
    let git = Git::default();
    git.repository("old");
    git.run_in("old", &["push", &url, "main"])
        .fails_with("does not support this repository's hash algorithm");
    git.run(&["init", "-q", "-b", "main", "--object-format=sha256", "new"]).works();
    git.commit("new", "a.txt", "a");
    git.run_in("new", &["push", "-q", &url, "main"]).works();
    let tip = git.run_in("new", &["rev-parse", "HEAD"]).works();
    assert_eq!(tip.trim().len(), 64);
    for version in ["0", "2"] {
        let folder = format!("clone{version}");
        git.run(&["-c", &format!("protocol.version={version}"), "clone", "-q", &url, &folder]).works();
        assert_eq!(git.run_in(&folder, &["rev-parse", "HEAD"]).works(), tip);
    }
    git.commit("new", "b.txt", "b");
    git.run_in("new", &["push", "-q", &url, "main"]).works();
    git.run_in("new", &["push", "-q", "-f", &url, "HEAD~1:refs/heads/other"]).works();
    let id = project["id"].as_i64().unwrap();
    assert_eq!(feed(&forge, id), ["pushed new other", "pushed to main", "pushed new main"]);
    let events = forge.root().get(&format!("/projects/{id}/events")).json();
    assert_eq!(events[1]["push_data"]["commit_title"], "add b.txt");
    assert_eq!(events[1]["push_data"]["commit_from"].as_str().unwrap(), tip.trim());
    // Names that look like an object are refused in this format, too.
    git.run_in("new", &["push", &url, &format!("HEAD:refs/heads/{}", tip.trim())])
        .fails_with("hexadecimal branch name");
}

#[test]
fn pushes_of_every_kind_arrive_and_are_recorded() {
    let forge = forge!();
    let project = forge.project("private");
    let work = Work::clone_of(&project, &maintainer(&project));
    let old = work.tip("main");
    work.commit("a.txt");
    work.accepted(&["main"]);
    work.accepted(&["main:topic"]);
    work.commit("b.txt");
    work.accepted(&["-o", "ci.skip", "-o", "merge_request.create", "main:topic"]);
    work.accepted(&["--force", &format!("{old}:topic")]);
    work.accepted(&["--force-with-lease", "main~1:topic"]);
    work.accepted(&["--delete", "topic"]);
    work.git(&["tag", "light"]).works();
    work.git(&["tag", "-a", "-m", "one", "v1.0"]).works();
    work.accepted(&["light", "v1.0"]);
    work.accepted(&["--delete", "light"]);
    work.git(&["notes", "add", "-m", "well done", "main~1"]).works();
    work.accepted(&["refs/notes/commits"]);
    let refs = work.remote_refs();
    for name in ["refs/heads/main", "refs/tags/v1.0", "refs/tags/v1.0^{}", "refs/notes/commits"] {
        assert!(refs.contains(&format!("\t{name}\n")), "{refs}");
    }
    assert!(!refs.contains("topic") && !refs.contains("light"), "{refs}");
    let other = Git::default();
    other.run(&["clone", "-q", &project.git_url("x", &developer(&project).secret), "other"]).works();
    other.run_in("other", &["fetch", "-q", "origin", "refs/notes/*:refs/notes/*"]).works();
    assert!(other.run_in("other", &["log", "--notes", "-1"]).works().contains("well done"));
    let mut seen = feed(&forge, project.id);
    seen.reverse();
    let expected = [
        "pushed to main",
        "pushed new topic",
        "pushed to topic",
        "pushed to topic",
        "pushed to topic",
        "deleted topic",
        "pushed new light",
        "pushed new v1.0",
        "deleted light",
    ];
    assert_eq!(seen, expected);
    // The notes are no entry of the feed, but the audit log has every push.
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).json();
    let pushes =
        audit.as_array().unwrap().iter().filter(|entry| entry.to_string().contains("repository_pushed"));
    assert_eq!(pushes.count(), 9);
}

#[test]
fn an_atomic_push_is_all_or_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let work = Work::clone_of(&project, &maintainer(&project));
    let old = work.tip("main");
    work.commit("a.txt");
    // A branch below another one cannot be: git itself refuses it, after the rules have allowed it.
    work.git(&["push", "--atomic", "origin", "main", "main:main/below"]).fails_with("atomic");
    assert!(work.remote_refs().contains(&format!("{old}\trefs/heads/main")));
    assert!(feed(&forge, project.id).is_empty());
    work.git(&["push", "origin", "main", "main:main/below"]).fails_with("main/below");
    assert!(work.remote_refs().contains(&format!("{}\trefs/heads/main", work.tip("main"))));
    assert_eq!(feed(&forge, project.id), ["pushed to main"]);
    work.accepted(&["--atomic", "main:one", "main:two"]);
    work.accepted(&["--atomic", ":one", ":two", "main:three"]);
    assert_eq!(work.remote_refs().matches("refs/heads/").count(), 2);
}

#[test]
fn large_fetch_requests_are_compressed_and_large_pushes_are_probed_and_chunked() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = maintainer(&project);
    let work = Work::clone_of(&project, &bot);
    let url = project.git_url("x", &bot.secret);
    let traced = |folder: &str, arguments: &[&str]| {
        let mut command = work.git.command(folder, arguments);
        let output = command.env("GIT_TRACE_CURL", "1").env("GIT_TRACE_CURL_NO_DATA", "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(output.status.success(), "{text}");
        text
    };
    // Two hundred commits, each with a branch and a tag.
    let mut stream = String::new();
    for number in 1..=200 {
        stream.push_str(&format!(
            "commit refs/heads/many/{number}\ncommitter Ann <ann@example.com> {} +0000\ndata 3\none\nM 100644 inline f{number}\ndata 1\nx\n\
             reset refs/tags/t{number}\nfrom refs/heads/many/{number}\n\n",
            1_700_000_000 + number
        ));
    }
    work.git.run_with_input("work", &["fast-import", "--quiet"], stream.as_bytes()).works();
    work.git(&["push", "-q", "origin", "refs/heads/many/*", "refs/tags/*"]).works();
    for version in ["0", "2"] {
        let (config, folder) = (format!("protocol.version={version}"), format!("all{version}"));
        let said = traced("", &["-c", &config, "clone", "-q", &url, &folder]);
        assert!(said.contains("content-encoding: gzip"), "{said}");
        let refs = work.git.run_in(&folder, &["for-each-ref"]).works();
        assert_eq!(refs.matches("refs/tags/t").count(), 200);
        // A client with two hundred commits that nobody here has ever seen asks about them.
        let folder = format!("strange{version}");
        work.git.run(&["init", "-q", "-b", "mine", &folder]).works();
        let strange = stream.replace("Ann", "Zoe");
        work.git.run_with_input(&folder, &["fast-import", "--quiet"], strange.as_bytes()).works();
        let said = traced(&folder, &["-c", &config, "fetch", "-q", &url, "main"]);
        assert!(said.contains("content-encoding: gzip"), "{said}");
        assert_eq!(work.git.run_in(&folder, &["rev-parse", "FETCH_HEAD"]).works().trim(), work.tip("main"));
    }

    // One megabyte, with a buffer of 64 KiB.
    work.git.commit_noise("work", "noise", 1 << 20);
    let before = feed(&forge, project.id).len();
    let said = traced("work", &["-c", "http.postBuffer=65536", "push", "-q", "origin", "main"]);
    let probe = said.find("send header: content-length: 4\n").expect("no probe");
    let body = said.find("send header: transfer-encoding: chunked\n").expect("no chunks");
    assert!(probe < body, "{said}");
    // The probe is no push.
    assert_eq!(feed(&forge, project.id).len(), before + 1);
    let other = Git::default();
    project.clone_with(&other, &bot.secret, "other");
    assert_eq!(std::fs::metadata(other.path("other/noise")).unwrap().len(), 1 << 20);
}

#[test]
fn the_first_push_names_the_default_branch() {
    let forge = forge!();
    let beside = forge.project("private");
    let project = empty_project(&forge, &beside, json!({}));
    let id = &project["id"];
    assert_eq!((&project["empty_repo"], &project["default_branch"]), (&json!(true), &json!(null)));
    let url = url_of(&forge, &project, &token_of(&forge, &project, 40));
    let git = Git::default();
    let said = git.run(&["clone", &url, "empty"]).works();
    assert!(said.contains("appear to have cloned an empty repository"), "{said}");
    git.repository("work");
    // Tags alone do not begin a project.
    git.run_in("work", &["tag", "v0"]).works();
    git.run_in("work", &["push", "-q", &url, "v0"]).works();
    assert_eq!(forge.root().get(&format!("/projects/{id}")).json()["empty_repo"], true);
    git.run_in("work", &["push", "-q", &url, "main:trunk"]).works();
    let found = forge.root().get(&format!("/projects/{id}")).json();
    assert_eq!((&found["empty_repo"], &found["default_branch"]), (&json!(false), &json!("trunk")));
    let protected = forge.root().get(&format!("/projects/{id}/protected_branches")).json();
    assert_eq!((protected.as_array().unwrap().len(), &protected[0]["name"]), (1, &json!("trunk")));
    git.run(&["clone", "-q", &url, "clone"]).works();
    assert_eq!(git.run_in("clone", &["symbolic-ref", "HEAD"]).works().trim(), "refs/heads/trunk");
    // It is the default from now on, whatever comes later.
    git.run_in("work", &["push", "-q", &url, "main:main", "main:aaa"]).works();
    assert_eq!(forge.root().get(&format!("/projects/{id}")).json()["default_branch"], "trunk");
    git.run_in("work", &["push", &url, ":trunk"])
        .fails_with("The default branch of a project cannot be deleted.");

    // Among several, the one that was chosen at creation wins.
    let project = empty_project(&forge, &beside, json!({ "default_branch": "develop" }));
    let url = url_of(&forge, &project, &token_of(&forge, &project, 40));
    git.run_in("work", &["push", "-q", &url, "main:aaa", "main:develop", "main:zzz"]).works();
    let found = forge.root().get(&format!("/projects/{}", project["id"])).json();
    assert_eq!(found["default_branch"], "develop");
}

#[test]
fn the_first_push_needs_a_maintainer() {
    let forge = forge!();
    let beside = forge.project("private");
    let project = empty_project(&forge, &beside, json!({}));
    let [developer, maintainer] =
        [30, 40].map(|level| url_of(&forge, &project, &token_of(&forge, &project, level)));
    let git = Git::default();
    git.repository("work");
    let path = project["path_with_namespace"].as_str().unwrap();
    let line = format!(
        "A default branch does not exist yet in {path}. Ask a project Owner or Maintainer to create one."
    );
    for branch in ["main", "topic"] {
        let said = git
            .run_in("work", &["push", &developer, &format!("main:{branch}")])
            .fails_with("pre-receive hook declined");
        assert!(said.contains(&format!("remote: Portcullis: {line}")), "{said}");
    }
    assert_eq!(git.run_in("work", &["ls-remote", &maintainer]).works(), "");
    git.run_in("work", &["push", "-q", &maintainer, "main"]).works();
    git.run_in("work", &["push", "-q", &developer, "main:topic"]).works();
    git.commit("work", "a.txt", "a");
    let said = git.run_in("work", &["push", &developer, "main"]).fails_with("pre-receive hook declined");
    assert!(
        said.contains("You are not allowed to push code to protected branches on this project."),
        "{said}"
    );
}

#[test]
fn protected_branches_are_decided_for_each_ref() {
    let forge = forge!();
    let project = forge.project("private");
    let (dev, main) = (developer(&project), maintainer(&project));
    let work = Work::clone_of(&project, &main);
    let old = work.tip("main");
    work.commit("a.txt");
    work.accepted(&[
        "main",
        "main:release/1",
        "main:open",
        "main:forced",
        "main:nobody",
        "main:topic",
        "main:a-stable",
    ]);
    let protect = |name: &str, push: i64, force: bool| {
        let body = json!({ "name": name, "push_access_level": push, "allow_force_push": force });
        forge.root().post(&project.path("/protected_branches"), body).expect(201);
    };
    protect("release/*", 40, false);
    protect("*-stable", 40, false);
    protect("open", 30, false);
    protect("forced", 30, true);
    protect("nobody", 0, true);
    let back = format!("{old}:");

    let as_developer = Work::clone_of(&project, &dev);
    as_developer.commit("b.txt");
    const PUSH: &str = "You are not allowed to push code to protected branches on this project.";
    const CREATE: &str = "You are not allowed to create protected branches on this project.";
    const FORCE: &str = "You are not allowed to force push code to a protected branch on this project.";
    const DELETE: &str = "You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch.";
    const DELETE_HERE: &str = "You can only delete protected branches using the web interface.";
    for (arguments, line) in [
        ("HEAD:main", PUSH),
        ("HEAD:release/1", PUSH),
        ("HEAD:a-stable", PUSH),
        ("HEAD:nobody", PUSH),
        ("HEAD:release/2", CREATE),
        ("HEAD:release/2/deep", CREATE),
        ("HEAD:b-stable", CREATE),
        (&format!("+{back}open"), FORCE),
        (&format!("+{back}main"), PUSH),
        (":release/1", DELETE),
        (":open", DELETE),
        (":main", "The default branch of a project cannot be deleted."),
    ] {
        as_developer.refused(&[arguments], line);
    }
    as_developer.accepted(&["HEAD:open", "HEAD:topic", "HEAD:releases", "HEAD:stable"]);
    as_developer.accepted(&[&format!("+{back}topic"), &format!("+{back}forced"), ":stable"]);

    work.git(&["fetch", "-q"]).works();
    for (arguments, line) in [
        (format!("+{back}main"), FORCE),
        (format!("+{back}release/1"), FORCE),
        (":release/1".to_owned(), DELETE_HERE),
        (":nobody".to_owned(), DELETE_HERE),
        (":main".to_owned(), "The default branch of a project cannot be deleted."),
    ] {
        work.refused(&[&arguments], line);
    }
    work.commit("c.txt");
    work.refused(&["main:nobody"], PUSH);
    work.accepted(&["main", "main:release/1", "main:release/2"]);

    // One bad ref refuses the whole push, in whatever order they come, and only the bad one is complained about.
    for refs in [["HEAD:fine", "+HEAD:main"], ["+HEAD:main", "HEAD:fine"]] {
        as_developer.refused(&refs, PUSH);
    }
    let said =
        as_developer.git(&["push", "origin", "+HEAD:main", ":release/1", "HEAD:fine"]).fails_with(PUSH);
    assert!(said.contains(DELETE), "{said}");
    assert_eq!(said.matches("remote: Portcullis:").count(), 2, "{said}");

    // Of several patterns that cover a branch, each must allow.
    protect("open*", 40, true);
    as_developer.refused(&["+HEAD~1:open"], PUSH);
    work.accepted(&["main:open-too"]);
    work.refused(&[&format!("+{back}open")], FORCE);

    // A protection that is changed or taken away counts at once.
    forge
        .root()
        .patch(&project.path("/protected_branches/release%2F%2A"), json!({ "allow_force_push": true }))
        .expect(200);
    work.accepted(&[&format!("+{back}release/1")]);
    forge.root().delete(&project.path("/protected_branches/release%2F%2A")).expect(204);
    work.accepted(&[":release/1"]);
    as_developer.accepted(&["HEAD:release/3"]);
    forge.root().delete(&project.path("/protected_branches/main")).expect(204);
    as_developer.accepted(&["+HEAD:main"]);
}

#[test]
fn names_and_tags_follow_their_rules() {
    let forge = forge!();
    let project = forge.project("private");
    let (dev, main) = (developer(&project), maintainer(&project));
    let work = Work::clone_of(&project, &dev);
    work.commit("a.txt");
    let hex = "0123456789abcdef0123456789abcdef01234567";
    work.refused(
        &[&format!("HEAD:refs/heads/{hex}")],
        "You cannot create a branch with a 40-character hexadecimal branch name.",
    );
    work.refused(&["HEAD:refs/tags/main"], "You cannot use default branch name to create a tag");
    for name in [hex.to_owned(), format!("{hex}-x"), hex.repeat(2)[..64].to_owned()] {
        work.refused(
            &[&format!("HEAD:refs/tags/{name}")],
            "You cannot create a tag with a SHA-1 or SHA-256 tag name.",
        );
    }
    work.refused(&["HEAD:refs/tags/refs/tags/x"], "You cannot create a tag with a prohibited pattern.");
    work.accepted(&["HEAD:refs/tags/v1", "HEAD:refs/tags/v2", "HEAD:refs/tags/0123abc"]);
    work.refused(&["+HEAD~1:refs/tags/v1"], "You are not allowed to change existing tags on this project.");
    work.accepted(&[":refs/tags/v2"]);
    work.accepted(&[&format!("HEAD:refs/heads/{}", &hex[..39])]);
    let as_maintainer = Work::clone_of(&project, &main);
    as_maintainer.accepted(&["+HEAD~0:refs/tags/v1"]);
}

#[test]
fn refs_that_belong_to_the_server_and_names_that_are_none_cannot_be_pushed() {
    let forge = forge!();
    let project = forge.project("private");
    let work = Work::clone_of(&project, &maintainer(&project));
    for name in [
        "environments/x",
        "keep-around/x",
        "merge-requests/1/head",
        "pipelines/1",
        "remotes/origin/x",
        "tmp/x",
    ] {
        work.git(&["push", "origin", &format!("HEAD:refs/{name}")]).fails_with("deny updating a hidden ref");
    }
    for name in ["refs/replace/x", "refs/stash", "refs/x/y", "refs/changes/01/1"] {
        let line = format!("Only branches, tags and notes can be pushed, not {name}.");
        work.refused(&[&format!("HEAD:{name}")], &line);
    }
    work.refused(&["HEAD:refs/heads/-x"], "refs/heads/-x is not an allowed name.");
    work.refused(&["HEAD:refs/heads/HEAD"], "refs/heads/HEAD is not an allowed name.");
    assert_eq!(work.remote_refs().lines().count(), 2, "HEAD and main");
    let options: Vec<_> = (0..21).map(|number| format!("--push-option={number}")).collect();
    let options: Vec<_> = options.iter().map(String::as_str).chain(["HEAD:many-options"]).collect();
    work.git(&[&["push", "origin"], options.as_slice()].concat()).fails_with("more than 20 push options");
}

#[test]
fn dangerous_and_oversized_packs_are_refused_and_leave_nothing() {
    let forge = forge!(|settings| settings.max_push_bytes = Some(1 << 20));
    let project = forge.project("private");
    let work = Work::clone_of(&project, &maintainer(&project));
    let blob = work.tip("HEAD:README.md");
    for name in [".git", ".GIT", "git~1", "..", "."] {
        let entry = [b"100644 ", name.as_bytes(), b"\0", &bytes_of(&blob)].concat();
        let hash = ["hash-object", "-t", "tree", "-w", "--literally", "--stdin"];
        let tree = work.git.run_with_input("work", &hash, &entry).works();
        let commit = work.git(&["commit-tree", "-m", "trap", tree.trim()]).works();
        let said = work
            .git(&["push", "origin", &format!("{}:refs/heads/trap", commit.trim())])
            .fails_with("unpacker error");
        assert!(said.contains("remote: "), "{said}");
    }
    work.git.commit_noise("work", "noise", 3 << 20);
    work.git(&["push", "origin", "HEAD:large"]).fails_with("pack exceeds maximum allowed size");
    assert_eq!(work.remote_refs().lines().count(), 2, "HEAD and main");
    assert!(feed(&forge, project.id).is_empty());
    let repositories = forge.folder().join("data/repositories/@h");
    let find = |pattern: &str| {
        let output =
            std::process::Command::new("find").arg(&repositories).args(["-name", pattern]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(find("tmp_*") + &find("incoming-*"), "");
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn pushes_and_fetches_at_once_all_arrive() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = developer(&project);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (project, bot) = (&project, &bot);
            scope.spawn(move || {
                let work = Work::clone_of(project, bot);
                for round in 0..3 {
                    work.commit(&format!("{number}-{round}"));
                    work.accepted(&["-q", &format!("HEAD:branch-{number}")]);
                    work.git(&["fetch", "-q"]).works();
                }
            });
        }
    });
    let mut seen = feed(&forge, project.id);
    seen.sort();
    let expected: Vec<_> = (0..6)
        .flat_map(|number| [format!("pushed to branch-{number}"), format!("pushed to branch-{number}")])
        .collect();
    assert_eq!(seen[6..], expected);
    // Of two that move one branch, one wins and the other is told; no lock is left behind.
    let works = [Work::clone_of(&project, &bot), Work::clone_of(&project, &bot)];
    for (number, work) in works.iter().enumerate() {
        work.commit(&format!("race-{number}"));
    }
    let won = std::thread::scope(|scope| {
        let racing =
            works.each_ref().map(|work| scope.spawn(|| work.git(&["push", "-q", "origin", "HEAD:race"]).ok));
        racing.into_iter().map(|one| one.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
    works[0].accepted(&["-q", "-f", "HEAD:race"]);
}
