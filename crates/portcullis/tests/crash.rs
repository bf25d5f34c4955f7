//! The real program, killed at any moment: what it acknowledged is there, nothing is half done, what was begun is
//! finished after the next start. And what it needs of memory for a push that is larger than that.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::hash_map::RandomState;
use std::fs::Permissions;
use std::hash::BuildHasher as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_testkit::{Caller, Git, Program, forge, program, token_secret};
use serde_json::{Value, json};

/// The tests run one after the other: side by side, they would kill servers that have not yet done anything.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long each test goes on killing.
const SEASON: Duration = Duration::from_secs(8);

/// Sleeps for a time that nobody knows beforehand.
fn sleep_up_to(milliseconds: u64) {
    let number = RandomState::new().hash_one(0);
    std::thread::sleep(Duration::from_micros(number % (milliseconds * 1000)));
}

/// Tells the others to stop when it goes, however that comes.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn eventually(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A Git that was killed leaves its locks. Each that finds one waits for it for ten seconds, and they come one after another.
#[track_caller]
fn expect_no_git(program: &Program) {
    eventually("a Git process is left", 90, || program.children().is_empty());
}

/// Returns every page of a list.
fn all(caller: &Caller, path: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for page in 1.. {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = caller.get(&format!("{path}{separator}per_page=100&page={page}")).expect(200).json();
        let items = answer.as_array().expect("a list");
        found.extend(items.iter().cloned());
        if items.len() < 100 {
            break;
        }
    }
    found
}

/// A project with a README in a group of its own.
struct Project {
    id: i64,
    path: String,
}

impl Project {
    fn create(root: &Caller, group: &str) -> Project {
        let made = root.post("/groups", json!({ "name": group, "path": group })).expect(201).json();
        let body = json!({ "name": "app", "namespace_id": made["id"], "initialize_with_readme": true });
        let made = root.post("/projects", body).expect(201).json();
        Project { id: made["id"].as_i64().unwrap(), path: format!("{group}/app") }
    }

    fn path(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.id)
    }

    fn token(&self, root: &Caller, scopes: &[&str]) -> (i64, Caller) {
        let body = json!({ "name": "ci", "scopes": scopes, "access_level": 40 });
        let made = root.post(&self.path("/access_tokens"), body).expect(201).json();
        (made["user_id"].as_i64().unwrap(), root.with_token(&token_secret(&made)))
    }

    fn git_url(&self, caller: &Caller) -> String {
        let host = caller.url.strip_prefix("http://").unwrap();
        format!("http://x:{}@{host}/{}.git", caller.token.as_ref().unwrap(), self.path)
    }
}

/// Returns every bare repository in the data folder.
fn repositories(data: &Path) -> Vec<PathBuf> {
    let mut folders = vec![data.join("repositories/@h")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "git") {
                found.push(path);
            } else {
                folders.push(path);
            }
        }
    }
    found
}

#[track_caller]
fn expect_whole_repositories(data: &Path) {
    let git = Git::default();
    for repository in repositories(data) {
        let folder = format!("--git-dir={}", repository.display());
        let said = git
            .run(&["-c", "safe.directory=*", &folder, "fsck", "--full", "--strict", "--no-dangling"])
            .works();
        // What was never begun has no branch yet, which Git notices and which is no damage.
        let damage: Vec<_> = said.lines().filter(|line| !line.starts_with("notice: ")).collect();
        assert!(damage.is_empty(), "{folder}: {said}");
        let stale = std::fs::read_dir(repository.join("objects")).unwrap().flatten();
        let stale = stale.filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp_objdir"));
        // A quarantine is left only where Git itself was killed; it is no part of the repository and is swept by age.
        for quarantine in stale {
            assert!(quarantine.path().is_dir());
        }
    }
}

/// What one client knows of its branch.
#[derive(Default)]
struct Branch {
    name: String,
    /// What the server has said it has.
    acknowledged: Vec<String>,
    lost_answers: usize,
}

/// Pushes one commit after the other until told to stop. A branch whose lock was left behind by a killed Git is given
/// up for a new one: the old one is free again when the lock is old enough.
fn keep_pushing(git: &Git, folder: &str, stop: &AtomicBool) -> Vec<Branch> {
    let mut branches = vec![Branch { name: format!("{folder}-0"), ..Branch::default() }];
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        git.commit(folder, "file", &format!("{folder} {number}"));
        let tip = git.run_in(folder, &["rev-parse", "HEAD"]).works().trim().to_owned();
        let count = branches.len();
        let branch = branches.last_mut().unwrap();
        let pushed =
            git.run_in(folder, &["push", "-q", "origin", &format!("HEAD:refs/heads/{}", branch.name)]);
        if pushed.ok {
            branch.acknowledged.push(tip);
            continue;
        }
        branch.lost_answers += 1;
        if pushed.text.contains(".lock") || pushed.text.contains("failed to update ref") {
            branches.push(Branch { name: format!("{folder}-{count}"), ..Branch::default() });
        } else {
            std::thread::sleep(Duration::from_millis(30));
        }
    }
    branches
}

/// Follows a branch through the feed from its beginning, and returns where that leads.
fn story(root: &Caller, project: &Project, branch: &str) -> Option<String> {
    let mut pushes = all(root, &project.path("/events"));
    pushes.retain(|event| event["push_data"]["ref"] == branch);
    let mut at = None;
    for _ in 0..pushes.len() {
        let next: Vec<_> =
            pushes.iter().filter(|push| push["push_data"]["commit_from"].as_str() == at.as_deref()).collect();
        let [next] = next.as_slice() else { return at };
        at = next["push_data"]["commit_to"].as_str().map(str::to_owned);
    }
    at
}

#[test]
fn a_server_killed_at_any_moment_keeps_every_push_that_it_acknowledged() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let project = Project::create(&root, "acme");
    let (_, bot) = project.token(&root, &["write_repository"]);
    let git = Git::default();
    let url = project.git_url(&bot);
    let folders = ["left", "right"];
    for folder in folders {
        git.run(&["clone", "-q", &url, folder]).works();
    }
    let stop = AtomicBool::new(false);
    let mut kills = [0, 0];
    let branches: Vec<(&str, Branch)> = std::thread::scope(|scope| {
        let writers = folders.map(|folder| {
            let (git, stop) = (&git, &stop);
            scope.spawn(move || keep_pushing(git, folder, stop))
        });
        let stopping = Stopping(&stop);
        let begun = Instant::now();
        while begun.elapsed() < SEASON {
            sleep_up_to(700);
            match (kills[0] + kills[1]) % 3 {
                // As a power cut would: everything at once.
                0 => {
                    program.kill_with_children();
                    kills[1] += 1;
                }
                // Git is left alone and must end by itself.
                1 => {
                    program.kill();
                    kills[0] += 1;
                    eventually("a Git process outlives its server", 10, || program.children().is_empty());
                }
                // Git may still be at work when the next server starts.
                _ => {
                    program.kill();
                    kills[0] += 1;
                }
            }
            program.restart();
        }
        drop(stopping);
        let written = writers.map(|writer| writer.join().expect("a writer ends"));
        folders
            .into_iter()
            .zip(written)
            .flat_map(|(folder, branches)| branches.into_iter().map(move |branch| (folder, branch)))
            .collect()
    });

    expect_no_git(&program);
    expect_whole_repositories(&program.data());
    let refs = git.run(&["ls-remote", &url]).works();
    let tip_of = |branch: &Branch| {
        let line = refs.lines().find(|line| line.ends_with(&format!("\trefs/heads/{}", branch.name)));
        line.map(|line| line.split('\t').next().unwrap().to_owned())
    };
    let (mut acknowledged, mut lost, mut unanswered) = (0, 0, 0);
    for (folder, branch) in &branches {
        acknowledged += branch.acknowledged.len();
        unanswered += branch.lost_answers;
        let tip = tip_of(branch);
        for push in &branch.acknowledged {
            let kept = tip
                .as_ref()
                .is_some_and(|tip| git.run_in(folder, &["merge-base", "--is-ancestor", push, tip]).ok);
            lost += usize::from(!kept);
        }
    }
    eprintln!(
        "pushes: {} kills of the server alone, {} with its children; {acknowledged} acknowledged on {} branches, \
         {unanswered} without an answer, {lost} lost",
        kills[0],
        kills[1],
        branches.len()
    );
    assert_eq!(lost, 0);
    assert!(acknowledged > 0 && unanswered > 0, "the kills hit nothing");

    // The feed tells every branch's story without a gap, also of pushes that were accepted by a server which did not
    // live to record them.
    for (_, branch) in &branches {
        let tip = tip_of(branch);
        let what = format!("a push to {} that happened is not in the feed: {tip:?}", branch.name);
        eventually(&what, 90, || story(&root, &project, &branch.name) == tip);
    }
    // The forge goes on.
    git.run_in("left", &["push", "-q", "origin", "HEAD:refs/heads/afterwards"]).works();
    git.run(&["clone", "-q", &url, "whole"]).works();
}

/// Opens merge requests and merges them, one after the other, until told to stop. Returns those whose merge was
/// acknowledged, and how often no answer came.
fn keep_merging(caller: &Caller, project: &Project, stop: &AtomicBool) -> (Vec<i64>, usize) {
    let (mut merged, mut unanswered) = (Vec::new(), 0);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let branch = format!("topic-{number}");
        let file = json!([{ "action": "create", "file_path": branch, "content": branch }]);
        let body =
            json!({ "branch": branch, "start_branch": "main", "commit_message": branch, "actions": file });
        let opened = json!({ "source_branch": branch, "target_branch": "main", "title": branch });
        let committed = caller.try_post(&project.path("/repository/commits"), &body);
        let opened = committed.and_then(|_| caller.try_post(&project.path("/merge_requests"), &opened));
        let done = opened.and_then(|answer| {
            let iid = if answer.status == 201 { answer.json()["iid"].as_i64() } else { None };
            let Some(iid) = iid else { return Ok(None) };
            let path = format!("/api/v4{}", project.path(&format!("/merge_requests/{iid}/merge")));
            let answer = caller.try_send("PUT", &path, &[], b"")?;
            Ok((answer.status == 200).then_some(iid))
        });
        match done {
            Ok(iid) => merged.extend(iid),
            Err(_) => {
                unanswered += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    (merged, unanswered)
}

#[test]
fn a_merge_request_is_merged_exactly_when_its_commits_are_in_the_target() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let project = Project::create(&root, "acme");
    let (_, bot) = project.token(&root, &["api"]);
    let stop = AtomicBool::new(false);
    let mut kills = 0;
    let (acknowledged, unanswered) = std::thread::scope(|scope| {
        let merging = scope.spawn(|| keep_merging(&bot, &project, &stop));
        let stopping = Stopping(&stop);
        let begun = Instant::now();
        while begun.elapsed() < SEASON {
            sleep_up_to(500);
            if kills % 2 == 0 {
                program.kill_with_children()
            } else {
                program.kill()
            }
            kills += 1;
            program.restart();
        }
        drop(stopping);
        merging.join().expect("the merging ends")
    });
    expect_no_git(&program);
    expect_whole_repositories(&program.data());
    let git = Git::default();
    git.run(&["clone", "-q", "--mirror", &project.git_url(&bot), "mirror"]).works();
    // What was about to happen and did not is known for sure when Git can no longer be at it.
    let differs = || {
        let mut found = all(&root, &project.path("/merge_requests"));
        found.retain(|it| {
            let head = it["sha"].as_str().unwrap();
            let there = git.run_in("mirror", &["merge-base", "--is-ancestor", head, "main"]).ok;
            (it["state"] == "merged") != there
        });
        found
    };
    eventually("the records and the branch differ", 90, || differs().is_empty());
    let merged = all(&root, &project.path("/merge_requests?state=merged"));
    let lost = acknowledged.iter().filter(|iid| merged.iter().all(|it| it["iid"] != json!(iid))).count();
    eprintln!(
        "merges: {kills} kills; {} acknowledged, {} recorded, {unanswered} without an answer, {lost} lost",
        acknowledged.len(),
        merged.len()
    );
    assert_eq!(lost, 0);
    assert!(!acknowledged.is_empty() && unanswered > 0, "the kills hit nothing");
}

/// Posts the same again and again until told to stop, a project each time by another name. Returns how often no answer
/// came.
fn keep_creating(
    caller: &Caller,
    path: &str,
    body: &Value,
    made: &Mutex<Vec<Value>>,
    stop: &AtomicBool,
) -> usize {
    let named = body["name"].is_string();
    let (mut number, mut unanswered) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let mut body = body.clone();
        if !named {
            body["name"] = json!(format!("made-{number}"));
        }
        match caller.try_post(path, &body) {
            Ok(answer) if answer.status == 201 => made.lock().unwrap().push(answer.json()),
            Ok(answer) => panic!("{path}: {answer:?}"),
            Err(_) => {
                unanswered += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    unanswered
}

#[test]
fn a_token_or_a_project_is_created_whole_or_not_at_all() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let project = Project::create(&root, "acme");
    let stop = AtomicBool::new(false);
    let tokens: Mutex<Vec<Value>> = Mutex::default();
    let projects: Mutex<Vec<Value>> = Mutex::default();
    let (mut kills, mut unanswered) = (0, 0);
    let group = root.get("/groups/acme").expect(200).json()["id"].clone();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 30 });
    let next_project = json!({ "namespace_id": group, "initialize_with_readme": true });
    std::thread::scope(|scope| {
        let mut makers = Vec::new();
        for _ in 0..2 {
            makers.push(
                scope.spawn(|| keep_creating(&root, &project.path("/access_tokens"), &token, &tokens, &stop)),
            );
        }
        makers.push(scope.spawn(|| keep_creating(&root, "/projects", &next_project, &projects, &stop)));
        let stopping = Stopping(&stop);
        let begun = Instant::now();
        while begun.elapsed() < SEASON {
            sleep_up_to(500);
            program.kill();
            kills += 1;
            program.restart();
        }
        drop(stopping);
        unanswered = makers.into_iter().map(|maker| maker.join().expect("a maker ends")).sum();
    });

    let (tokens, projects) = (tokens.into_inner().unwrap(), projects.into_inner().unwrap());
    eprintln!(
        "creations: {kills} kills; {} tokens and {} projects acknowledged, {unanswered} requests without an answer",
        tokens.len(),
        projects.len()
    );
    assert!(!tokens.is_empty() && !projects.is_empty() && unanswered > 0, "the kills hit nothing");
    for made in &tokens {
        let user = root.with_token(&token_secret(made)).get("/user").expect(200).json();
        assert_eq!((&user["id"], &user["bot"]), (&made["user_id"], &json!(true)));
    }
    // Every bot has a token and a membership and every token a bot, the unanswered ones included.
    let listed = all(&root, &project.path("/access_tokens"));
    let members = all(&root, &project.path("/members"));
    let mut holders: Vec<_> = listed.iter().map(|token| token["user_id"].as_i64().unwrap()).collect();
    let bots = members.iter().filter(|member| member["username"].as_str().unwrap().starts_with("project_"));
    let mut bots: Vec<_> = bots
        .map(|member| (member["id"].as_i64().unwrap(), member["username"].as_str().unwrap().to_owned()))
        .collect();
    holders.sort_unstable();
    bots.sort();
    assert_eq!(holders, bots.iter().map(|bot| bot.0).collect::<Vec<_>>());
    assert!(listed.len() >= tokens.len());
    // Names are given out lowest first, so a user that is half a bot would leave a gap.
    let mut names: Vec<_> = bots.into_iter().map(|bot| bot.1).collect();
    let mut expected: Vec<_> = (0..names.len())
        .map(|number| match number {
            0 => format!("project_{}_bot", project.id),
            _ => format!("project_{}_bot{number}", project.id),
        })
        .collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    let created = all(&root, &project.path("/audit_events"));
    let created = created.iter().filter(|entry| entry.to_string().contains("project_access_token_created"));
    assert_eq!(created.count(), listed.len());

    expect_whole_repositories(&program.data());
    let git = Git::default();
    let found = all(&root, "/groups/acme/projects");
    for made in &projects {
        assert!(found.iter().any(|project| project["id"] == made["id"]));
    }
    for project in &found {
        let path = project["path_with_namespace"].as_str().unwrap();
        let project = Project { id: project["id"].as_i64().unwrap(), path: path.to_owned() };
        let refs = git.run(&["ls-remote", &project.git_url(&root)]).works();
        assert!(refs.contains("refs/heads/main"), "{path}: {refs}");
    }
}

#[test]
fn what_a_crash_left_of_a_project_does_not_stand_in_the_way_of_the_next_one() {
    let forge = forge!();
    let project = forge.project("private");
    // What a process leaves that dies between making the repository and committing the project.
    let settings = portcullis_git::Settings::new(forge.folder().join("data/repositories"), "/bin/false");
    let next = project.id + 1;
    forge.block_on(async {
        let engine = portcullis_git::Engine::open(settings).await.unwrap();
        engine.create(next, portcullis_git::ObjectFormat::Sha256, "left-behind").await.unwrap();
    });
    let body = json!({ "name": "next", "namespace_id": project.group.id });
    let made = forge.root().post("/projects", body).expect(201).json();
    assert_eq!(made["id"], next);
    assert_eq!(made["repository_object_format"], "sha1");
}

#[test]
fn a_push_whose_server_did_not_live_to_record_it_is_recorded_by_whoever_comes_next() {
    const HUNG_UP: &str = "hung up";
    let forge = forge!();
    let beside = forge.project("private");
    let body = json!({ "name": "empty", "namespace_id": beside.group.id });
    let made = forge.root().post("/projects", body).expect(201).json();
    let project = Project {
        id: made["id"].as_i64().unwrap(),
        path: made["path_with_namespace"].as_str().unwrap().to_owned(),
    };
    let developer = json!({ "name": "ci", "scopes": ["write_repository"], "access_level": 30 });
    let developer = forge.root().post(&project.path("/access_tokens"), developer).expect(201).json();
    let developer = forge.with_token(&token_secret(&developer));
    let feed = || {
        forge.run_jobs();
        let events = forge.root().get(&project.path("/events")).expect(200).json();
        let pushes = events.as_array().unwrap().iter().rev().filter(|event| !event["push_data"].is_null());
        pushes.map(|event| event["push_data"]["ref"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Git is ended after the refs have moved and before it says so, as it is by a server that dies.
    let hook = forge.folder().join("data/repositories/@server/hooks/reference-transaction");
    let unrecorded = |work: &dyn Fn()| {
        let script = "#!/bin/sh\ncat >/dev/null\n[ \"$1\" != committed ] || kill -9 $PPID\n";
        std::fs::write(&hook, script).unwrap();
        std::fs::set_permissions(&hook, Permissions::from_mode(0o700)).unwrap();
        work();
        std::fs::remove_file(&hook).unwrap();
    };
    let git = Git::default();
    git.repository("work");
    let push = |caller: &Caller, refs: &[&str]| {
        let url = project.git_url(caller);
        git.run_in("work", &[&["push", "-q", "--atomic", &url], refs].concat())
    };

    // The first push of all. The next one knows what it did, so that it is no first push again.
    unrecorded(&|| drop(push(forge.root(), &["main:trunk"]).fails_with(HUNG_UP)));
    assert_eq!(forge.root().get(&project.path("")).json()["empty_repo"], true);
    push(&developer, &["main:topic"]).works();
    let found = forge.root().get(&project.path("")).json();
    assert_eq!((&found["empty_repo"], &found["default_branch"]), (&json!(false), &json!("trunk")));
    assert_eq!(feed(), ["trunk", "topic"]);
    push(&developer, &["main:other"]).works();
    git.commit("work", "a.txt", "a");
    push(&developer, &["main:trunk"]).fails_with("protected branches");

    // Moved twice, the branch has both moves in its story.
    unrecorded(&|| drop(push(&developer, &["main:topic"]).fails_with(HUNG_UP)));
    git.commit("work", "b.txt", "b");
    push(&developer, &["main:topic"]).works();
    feed();
    let tip = git.run_in("work", &["rev-parse", "main"]).works();
    assert_eq!(story(forge.root(), &project, "topic").as_deref(), Some(tip.trim()));

    // With no push after it, the job finds it.
    unrecorded(&|| drop(push(&developer, &["main:late", ":other"]).fails_with(HUNG_UP)));
    assert!(!feed().contains(&"late".to_owned()));
    forge.run_recurring_jobs();
    assert_eq!(feed()[feed().len() - 2..], ["other", "late"]);
    forge.run_recurring_jobs();
    let recorded = feed();

    // What was accepted and then did not happen is waited for, and forgotten.
    push(&developer, &["main:late/below"]).fails_with("late/below");
    forge.run_recurring_jobs();
    forge.clock.advance_seconds(301);
    forge.run_recurring_jobs();
    assert_eq!(feed(), recorded);
}

/// Commits to a branch over the API, one commit after the other, until told to stop. A branch whose lock was left behind by
/// a killed Git is given up for a new one.
fn keep_committing(caller: &Caller, project: &Project, name: &str, stop: &AtomicBool) -> Vec<Branch> {
    let named = |number: usize| Branch { name: format!("{name}-{number}"), ..Branch::default() };
    let (mut branches, mut number) = (vec![named(0)], 0);
    let (mut begun, mut stuck) = (false, 0);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let count = branches.len();
        let branch = branches.last_mut().unwrap();
        let file = format!("{}-{number}", branch.name);
        let action = json!({ "action": "create", "file_path": format!("a/b/{file}"), "content": file });
        let mut body = json!({ "branch": branch.name, "commit_message": "x", "actions": [action] });
        if !begun {
            body["start_branch"] = json!("main");
        }
        match caller.try_post(&project.path("/repository/commits"), &body) {
            Ok(answer) if answer.status == 201 => {
                branch.acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned());
                (begun, stuck) = (true, 0);
            }
            // The branch was made, and nobody heard of it.
            Ok(answer) if answer.text.contains("already exists") => begun = true,
            Ok(answer) if answer.text.contains("Could not update") => {
                stuck += 1;
                if stuck > 2 {
                    branches.push(named(count));
                    (begun, stuck) = (false, 0);
                }
            }
            Ok(answer) => assert!(answer.status >= 500, "{answer:?}"),
            Err(_) => {
                branch.lost_answers += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    branches
}

#[test]
fn a_server_killed_at_any_moment_keeps_every_commit_over_the_api_that_it_acknowledged() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let project = Project::create(&root, "acme");
    let (_, bot) = project.token(&root, &["api"]);
    let stop = AtomicBool::new(false);
    let mut kills = 0;
    let branches: Vec<Branch> = std::thread::scope(|scope| {
        let writers = ["left", "right"].map(|name| {
            let (bot, project, stop) = (&bot, &project, &stop);
            scope.spawn(move || keep_committing(bot, project, name, stop))
        });
        let stopping = Stopping(&stop);
        let begun = Instant::now();
        while begun.elapsed() < SEASON {
            sleep_up_to(500);
            if kills % 2 == 0 {
                program.kill_with_children();
            } else {
                program.kill();
            }
            kills += 1;
            program.restart();
        }
        drop(stopping);
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer ends")).collect()
    });

    expect_no_git(&program);
    expect_whole_repositories(&program.data());
    let git = Git::default();
    git.run(&["clone", "-q", "--bare", &project.git_url(&bot), "bare"]).works();
    let tip_of = |branch: &Branch| {
        let tip =
            git.run_in("bare", &["rev-parse", "-q", "--verify", &format!("refs/heads/{}", branch.name)]);
        tip.ok.then(|| tip.text.trim().to_owned())
    };
    let (mut acknowledged, mut lost, mut unanswered) = (0, 0, 0);
    for branch in &branches {
        unanswered += branch.lost_answers;
        acknowledged += branch.acknowledged.len();
        let history = git.run_in("bare", &["rev-list", &format!("refs/heads/{}", branch.name)]).text;
        let history: Vec<_> = history.lines().collect();
        lost += branch.acknowledged.iter().filter(|commit| !history.contains(&commit.as_str())).count();
    }
    eprintln!(
        "commits: {kills} kills; {acknowledged} acknowledged on {} branches, {unanswered} without an answer, {lost} lost",
        branches.len()
    );
    assert_eq!(lost, 0);
    assert!(acknowledged > 0 && unanswered > 0, "the kills hit nothing");
    for branch in &branches {
        let tip = tip_of(branch);
        let what = format!("a commit to {} that happened is not in the feed: {tip:?}", branch.name);
        eventually(&what, 90, || story(&root, &project, &branch.name) == tip);
    }
}

#[test]
fn a_commit_over_the_api_whose_server_did_not_live_to_record_it_is_recorded_too() {
    let forge = forge!();
    let made = forge.project("private");
    let project = Project { id: made.id, path: made.full_path.clone() };
    let bot = made.token(&["api"], 40);
    let commit = |file: &str| {
        let action = json!({ "action": "create", "file_path": file, "content": "x" });
        let body = json!({ "branch": "main", "commit_message": file, "actions": [action] });
        bot.post(&project.path("/repository/commits"), body)
    };
    let tip = || {
        let branch = bot.get(&project.path("/repository/branches/main")).expect(200).json();
        branch["commit"]["id"].as_str().unwrap().to_owned()
    };
    let moves = || {
        forge.run_jobs();
        let pushes = all(forge.root(), &project.path("/events"));
        let pushes = pushes.iter().rev().filter(|event| !event["push_data"].is_null());
        pushes.map(|event| event["push_data"]["commit_to"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let hook = forge.folder().join("data/repositories/@server/hooks/reference-transaction");
    let unrecorded = |file: &str| {
        let script = "#!/bin/sh\ncat >/dev/null\n[ \"$1\" != committed ] || kill -9 $PPID\n";
        std::fs::write(&hook, script).unwrap();
        std::fs::set_permissions(&hook, Permissions::from_mode(0o700)).unwrap();
        commit(file).expect(500);
        std::fs::remove_file(&hook).unwrap();
        tip()
    };
    let first = unrecorded("first");
    assert!(moves().is_empty());
    // The next change records it before it moves the same branch.
    commit("second").expect(201);
    let second = tip();
    assert_eq!(moves(), [first.clone(), second.clone()]);
    // With none after it, the job does.
    let third = unrecorded("third");
    forge.run_recurring_jobs();
    assert_eq!(moves(), [first, second, third]);
    let audit = all(forge.root(), &project.path("/audit_events"));
    let pushed = audit.iter().filter(|entry| entry["event_name"] == "repository_pushed");
    assert!(pushed.clone().all(|entry| entry["author_id"] == json!(bot.user_id)));
    assert_eq!(pushed.count(), 3);
}

#[test]
fn a_ghost_job_that_is_cut_off_is_finished_after_the_next_start() {
    const ROUNDS: usize = 6;
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let project = Project::create(&root, "acme");
    let git = Git::default();
    let mut bots = Vec::new();
    let (mut interrupted, mut issues) = (0, 0);
    let gone = |id: i64| root.get(&format!("/users/{id}")).status == 404;
    for round in 0..ROUNDS {
        let made: Vec<_> = (0..3).map(|_| project.token(&root, &["api", "write_repository"])).collect();
        // In the first round one bot has more to move than fits in one transaction.
        let count = if round == 0 { 90 } else { 20 };
        issues += made.len() * count;
        std::thread::scope(|scope| {
            for (_, bot) in &made {
                let (project, bot) = (&project, if round == 0 { &made[0].1 } else { bot });
                scope.spawn(move || {
                    for number in 0..count {
                        let iid = bot.issue(project.id, &format!("issue {number}"));
                        bot.post(
                            &project.path(&format!("/issues/{iid}/notes")),
                            json!({ "body": "a comment" }),
                        )
                        .expect(201);
                    }
                });
            }
        });
        if round == 0 {
            git.run(&["clone", "-q", &project.git_url(&made[0].1), "work"]).works();
            git.commit("work", "file", "by a bot");
            git.run_in("work", &["push", "-q", "origin", "main"]).works();
        }
        // All are revoked at once, and the server is killed while it clears up after them.
        std::thread::scope(|scope| {
            for token in all(&root, &project.path("/access_tokens")) {
                let (root, path) = (&root, project.path(&format!("/access_tokens/{}", token["id"])));
                scope.spawn(move || root.delete(&path).expect(204));
            }
        });
        sleep_up_to(60);
        program.kill();
        program.restart();
        interrupted += usize::from(made.iter().any(|(id, _)| !gone(*id)));
        // Whatever the job has come to, the door is shut.
        for (_, bot) in &made {
            bot.get("/user").expect(401);
        }
        bots.extend(made);
    }
    let begun = Instant::now();
    eventually("a bot whose token was revoked is never deleted", 90, || bots.iter().all(|(id, _)| gone(*id)));
    eprintln!(
        "ghost jobs: {ROUNDS} kills, {interrupted} with work left; {} bots with {issues} issues, the last gone {:.1} s after the end",
        bots.len(),
        begun.elapsed().as_secs_f64()
    );

    let ghost = |author: &Value| author["username"] == "ghost";
    let found = all(&root, &project.path("/issues?scope=all"));
    assert_eq!(found.len(), issues);
    assert!(found.iter().all(|issue| ghost(&issue["author"])));
    let notes = all(&root, &project.path(&format!("/issues/{}/notes", found[0]["iid"])));
    assert!(!notes.is_empty() && notes.iter().all(|note| ghost(&note["author"])));
    let events = all(&root, &project.path("/events"));
    assert!(
        events
            .iter()
            .filter(|event| !event["target_type"].is_null())
            .all(|event| event["author_username"] == "ghost")
    );
    assert!(events.iter().any(|event| event["author_username"] == "ghost" && !event["push_data"].is_null()));
    assert_eq!(all(&root, &project.path("/access_tokens?state=inactive")), Vec::<Value>::new());
    assert!(
        all(&root, &project.path("/members"))
            .iter()
            .all(|member| !member["username"].as_str().unwrap().starts_with("project_"))
    );
    // It was done once for each.
    let audit = all(&root, "/audit_events");
    for (id, _) in &bots {
        let destroyed = audit
            .iter()
            .filter(|entry| entry["entity_id"] == *id && entry.to_string().contains("user_destroyed"));
        assert_eq!(destroyed.count(), 1);
    }
}

/// A file system of its own, small and in memory. Only the superuser may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still runs in it ends by itself.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_nothing_else() {
    let Some(disk) = SmallDisk::mount("48m") else {
        eprintln!("not tested: a small file system can be mounted only by the superuser");
        return;
    };
    let _turn = turn();
    let forge = forge!(|settings| settings.data = disk.0.path().join("data"));
    let project = forge.project("private");
    let bot = project.token(&["api", "write_repository"], 40);
    let git = Git::default();
    project.clone_with(&git, &bot.secret, "work");
    let before = git.run_in("work", &["ls-remote"]).works();
    git.commit_noise("work", "noise", 64 << 20);
    let said = git.run_in("work", &["push", "origin", "main"]).fails_with("No space left on device");
    assert!(said.contains("unpacker error") || said.contains("unpack failed"), "{said}");
    assert_eq!(git.run_in("work", &["ls-remote"]).works(), before);
    git.run_in("work", &["reset", "-q", "--hard", "HEAD~1"]).works();
    git.commit("work", "small", "small");
    git.run_in("work", &["push", "-q", "origin", "main"]).works();

    // Not a byte is left. What is there can be read; what cannot be written is an error, and changes nothing.
    let filler = disk.0.path().join("filler");
    let _ = std::fs::write(&filler, vec![b'x'; 64 << 20]);
    git.commit("work", "more", "more");
    git.run_in("work", &["push", "origin", "main"]).fails_with("error");
    forge.root().get(&project.path("")).expect(200);
    git.run(&["clone", "-q", &project.git_url("x", &bot.secret), "again"]).works();
    let made = forge.root().post("/projects", json!({ "name": "full", "namespace_id": project.group.id }));
    assert!(made.status >= 500, "{made:?}");
    std::fs::remove_file(filler).unwrap();

    git.run_in("work", &["push", "-q", "origin", "main"]).works();
    forge.root().post("/projects", json!({ "name": "full", "namespace_id": project.group.id })).expect(201);
    bot.issue(project.id, "there is room again");
    expect_whole_repositories(&disk.0.path().join("data"));
}

#[test]
fn a_push_larger_than_memory_allows_goes_through_in_a_little() {
    const SIZE: usize = 256 << 20;
    const BOUND_KIB: u64 = 64 << 10;
    let _turn = turn();
    let program = program!();
    let root = program.root();
    let project = Project::create(&root, "acme");
    let (_, bot) = project.token(&root, &["write_repository"]);
    let git = Git::default();
    let url = project.git_url(&bot);
    git.run(&["clone", "-q", &url, "work"]).works();
    git.commit_noise("work", "noise", SIZE);
    let before = program.memory_kib("VmRSS");
    git.run_in("work", &["push", "-q", "origin", "main"]).works();
    let pushed = program.memory_kib("VmHWM");
    git.run(&["clone", "-q", "--bare", &url, "clone"]).works();
    let cloned = program.memory_kib("VmHWM");
    eprintln!(
        "memory: {before} KiB before, at most {pushed} KiB after a push and {cloned} KiB after a clone of {SIZE} bytes"
    );
    let tips = ["work", "clone"].map(|folder| git.run_in(folder, &["rev-parse", "main"]).works());
    assert_eq!(tips[0], tips[1]);
    // The kernel keeps the two figures apart and brings them up to date lazily: the peak can trail the present a little.
    let grown = pushed.max(cloned).saturating_sub(before);
    assert!(grown <= BOUND_KIB, "it grew by {grown} KiB");
}
