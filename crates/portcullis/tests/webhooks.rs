//! Web hooks: what happens in a project is told to the addresses that its Maintainers chose, and to nothing that the server
//! alone can reach.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, ToSocketAddrs as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use portcullis_testkit::{Git, Project, TestForge, forge};
use serde_json::{Value, json};

/// A call as it arrived.
#[derive(Clone, Debug)]
struct Call {
    head: String,
    body: Value,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    #[track_caller]
    fn expect(&self, event: &str, kind: &str) -> &Value {
        assert_eq!((self.header("x-gitlab-event"), &self.body["object_kind"]), (Some(event), &json!(kind)));
        &self.body
    }
}

/// Somebody who is called, and answers what they are told to.
struct Receiver {
    url: String,
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Arc<Mutex<String>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    fn new() -> Receiver {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new("200 OK".to_owned()));
        let connections = Arc::new(AtomicUsize::new(0));
        let receiver = Receiver {
            url: format!("http://127.0.0.1:{port}/hook?key=secret-key"),
            port,
            calls: Arc::clone(&calls),
            answer: Arc::clone(&answer),
            connections: Arc::clone(&connections),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (mut bytes, mut byte) = (Vec::new(), [0]);
                while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    bytes.push(byte[0]);
                }
                let head = String::from_utf8(bytes).unwrap();
                let call = Call { head, body: Value::Null };
                let length =
                    call.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let call = Call { body: serde_json::from_slice(&body).unwrap_or_default(), ..call };
                calls.lock().unwrap().push(call);
                let answer = answer.lock().unwrap().clone();
                let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        receiver
    }

    fn answers(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    /// Returns what arrived since this was last asked.
    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    #[track_caller]
    fn one(&self) -> Call {
        let calls = self.take();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0].clone()
    }
}

fn local_forge() -> TestForge {
    forge!(|settings| settings.webhooks_may_call_local_network = true)
}

#[track_caller]
fn hook(forge: &TestForge, project: &Project<'_>, body: Value) -> Value {
    forge.root().post(&project.path("/hooks"), body).expect(201).json()
}

#[test]
fn hooks_are_administered_and_never_show_their_token() {
    let forge = forge!();
    let project = forge.project("private");
    let maintainer = project.token(&["api"], 40);
    let asked = json!({
        "url": "https://ci.example.com/notify?a=b", "name": "ci", "token": "hook-secret", "issues_events": true,
        "push_events_branch_filter": "release/*", "enable_ssl_verification": false, "merge_requests_events": "true",
    });
    let made = maintainer.post(&project.path("/hooks"), asked).expect(201).json();
    let mut expected = json!({
        "id": made["id"], "url": "https://ci.example.com/notify?a=b", "name": "ci", "description": null,
        "created_at": "2026-03-02T12:00:00.000Z", "enable_ssl_verification": false, "alert_status": "executable",
        "disabled_until": null, "url_variables": [], "push_events_branch_filter": "release/*",
        "branch_filter_strategy": "wildcard", "custom_webhook_template": null, "custom_headers": [],
        "project_id": project.id,
    });
    for (event, on) in [
        ("push_events", true),
        ("tag_push_events", false),
        ("issues_events", true),
        ("confidential_issues_events", false),
        ("note_events", false),
        ("confidential_note_events", false),
        ("merge_requests_events", true),
        ("repository_update_events", false),
        ("pipeline_events", false),
        ("wiki_page_events", false),
        ("deployment_events", false),
        ("feature_flag_events", false),
        ("job_events", false),
        ("releases_events", false),
        ("milestone_events", false),
        ("emoji_events", false),
        ("resource_access_token_events", false),
        ("resource_deploy_token_events", false),
        ("vulnerability_events", false),
        ("member_events", false),
    ] {
        expected[event] = json!(on);
    }
    assert_eq!(made, expected);
    let path = project.path(&format!("/hooks/{}", made["id"]));
    assert_eq!(maintainer.get(&path).expect(200).json(), made);
    assert_eq!(maintainer.get(&project.path("/hooks")).expect(200).json(), json!([made]));
    let changes = json!({ "push_events": false, "branch_filter_strategy": "all_branches", "name": null });
    let changed = maintainer.put(&path, changes).expect(200).json();
    assert_eq!(
        [
            &changed["push_events"],
            &changed["issues_events"],
            &changed["push_events_branch_filter"],
            &changed["name"]
        ],
        [&json!(false), &json!(true), &Value::Null, &Value::Null]
    );
    let audit = forge.root().get(&project.path("/audit_events")).expect(200).json();
    assert_eq!(audit[0]["event_name"], "webhook_updated");
    assert_eq!(audit[0]["details"]["host"], "ci.example.com");
    assert!(!audit.to_string().contains("hook-secret") && !audit.to_string().contains("a=b"));
    // The secret is nowhere in the database, as it was sent.
    for entry in std::fs::read_dir(forge.folder().join("data")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(11).any(|part| part == b"hook-secret"));
    }
    let other = forge.project("private");
    forge.root().get(&other.path(&format!("/hooks/{}", made["id"]))).expect(404);
    forge.root().delete(&other.path(&format!("/hooks/{}", made["id"]))).expect(404);
    let developer = project.token(&["api"], 30);
    developer.get(&project.path("/hooks")).expect(403);
    developer.delete(&path).expect(403);
    let reader = project.token(&["read_api"], 40);
    reader.get(&path).expect(200);
    reader.put(&path, json!({ "push_events": true })).expect(403);
    maintainer.delete(&path).expect(204);
    maintainer.get(&path).expect(404);
}

#[test]
fn what_cannot_be_called_is_refused() {
    let forge = forge!();
    let project = forge.project("private");
    for url in [
        "",
        "ftp://example.com/",
        "example.com",
        "http://",
        "http://user:password@example.com/",
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "http://[::1]/",
        "http://0x7f.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0/",
    ] {
        let refused = forge.root().post(&project.path("/hooks"), json!({ "url": url })).expect(400);
        assert!(refused.json()["message"]["url"][0].is_string(), "{url}: {}", refused.text);
    }
    forge.root().post(&project.path("/hooks"), json!({})).expect(400);
    for wrong in [
        json!({ "token": "a\nb" }),
        json!({ "token": "x".repeat(256) }),
        json!({ "name": "x".repeat(256) }),
        json!({ "push_events": "perhaps" }),
        json!({ "branch_filter_strategy": "regex" }),
    ] {
        let mut body = wrong;
        body["url"] = json!("https://example.com/");
        forge.root().post(&project.path("/hooks"), body).expect(400);
    }
    assert_eq!(forge.root().get(&project.path("/hooks")).json(), json!([]));
}

#[test]
fn issues_and_comments_are_told_to_those_who_may_know() {
    let forge = local_forge();
    let project = forge.project("private");
    let (open, confidential) = (Receiver::new(), Receiver::new());
    let token = "a token";
    hook(
        &forge,
        &project,
        json!({
            "url": open.url, "push_events": false, "issues_events": true, "note_events": true, "token": token,
        }),
    );
    hook(
        &forge,
        &project,
        json!({
            "url": confidential.url, "confidential_issues_events": true, "confidential_note_events": true,
        }),
    );
    let bot = project.token(&["api"], 30);
    let iid = bot.issue(project.id, "A title");
    forge.run_jobs();
    let call = open.one();
    let body = call.expect("Issue Hook", "issue");
    assert_eq!(
        [
            &body["object_attributes"]["iid"],
            &body["object_attributes"]["action"],
            &body["object_attributes"]["title"]
        ],
        [&json!(iid), &json!("open"), &json!("A title")]
    );
    assert_eq!(body["user"]["id"], bot.user_id);
    assert_eq!(body["user"]["email"], "[REDACTED]");
    assert_eq!(body["project"]["path_with_namespace"], project.full_path);
    assert_eq!(call.header("x-gitlab-token"), Some(token));
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("idempotency-key"), call.header("webhook-id"));
    assert!(call.header("webhook-signature").unwrap().starts_with("v1,"));
    assert_eq!(call.header("x-gitlab-webhook-uuid").unwrap().len(), 36);
    assert!(call.head.starts_with("POST /hook?key=secret-key HTTP/1.1"));

    bot.put(&project.path("/issues/1"), json!({ "state_event": "close" })).expect(200);
    bot.post(&project.path("/issues/1/notes"), json!({ "body": "A comment" })).expect(201);
    forge.run_jobs();
    let calls = open.take();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].expect("Issue Hook", "issue")["object_attributes"]["action"], "close");
    let note = calls[1].expect("Note Hook", "note");
    assert_eq!((&note["object_attributes"]["note"], &note["issue"]["iid"]), (&json!("A comment"), &json!(1)));
    assert_ne!(calls[0].header("idempotency-key"), calls[1].header("idempotency-key"));
    assert!(confidential.take().is_empty());

    let secret = json!({ "title": "Hidden", "confidential": true });
    bot.post(&project.path("/issues"), secret).expect(201);
    bot.post(&project.path("/issues/2/notes"), json!({ "body": "Hidden too" })).expect(201);
    bot.post(&project.path("/issues/1/notes"), json!({ "body": "Internal", "internal": true })).expect(201);
    forge.run_jobs();
    assert!(open.take().is_empty());
    let calls = confidential.take();
    let events: Vec<_> = calls.iter().map(|call| call.header("x-gitlab-event").unwrap()).collect();
    assert_eq!(events, ["Confidential Issue Hook", "Confidential Note Hook", "Confidential Note Hook"]);
    assert_eq!(calls[0].header("x-gitlab-token"), None);

    // Comments on merge requests are told like those on issues.
    let iid = forge.merge_request(project.id, bot.user_id, "A merge request");
    let notes = project.path(&format!("/merge_requests/{iid}/notes"));
    bot.post(&notes, json!({ "body": "Looks good" })).expect(201);
    bot.post(&notes, json!({ "body": "Internal", "internal": true })).expect(201);
    forge.run_jobs();
    let note = open.one();
    let note = note.expect("Note Hook", "note");
    assert_eq!(
        (&note["object_attributes"]["noteable_type"], &note["object_attributes"]["note"]),
        (&json!("MergeRequest"), &json!("Looks good"))
    );
    assert_eq!(
        (&note["merge_request"]["iid"], &note["merge_request"]["title"], note.get("issue")),
        (&json!(iid), &json!("A merge request"), None)
    );
    assert_eq!(confidential.one().header("x-gitlab-event"), Some("Confidential Note Hook"));
}

#[test]
fn merge_requests_are_told_from_their_opening_to_their_end() {
    let forge = local_forge();
    let project = forge.project("private");
    let (told, other) = (Receiver::new(), Receiver::new());
    let events = |url: &str, on: bool| json!({ "url": url, "push_events": false, "merge_requests_events": on, "issues_events": !on });
    hook(&forge, &project, events(&told.url, true));
    hook(&forge, &project, events(&other.url, false));
    let bot = project.token(&["api"], 30);
    let branch = bot.post(&project.path("/repository/branches"), json!({ "branch": "a", "ref": "main" }));
    let head = branch.expect(201).json()["commit"]["id"].clone();
    let body = json!({
        "source_branch": "a", "target_branch": "main", "title": "Draft: a", "labels": "bug",
        "assignee_id": bot.user_id, "reviewer_ids": [bot.user_id],
    });
    bot.post(&project.path("/merge_requests"), body).expect(201);
    forge.run_jobs();
    let call = told.one();
    let body = call.expect("Merge Request Hook", "merge_request");
    let attributes = &body["object_attributes"];
    for (key, value) in [
        ("iid", json!(1)),
        ("action", json!("open")),
        ("state", json!("opened")),
        ("title", json!("Draft: a")),
        ("draft", json!(true)),
        ("source_branch", json!("a")),
        ("target_branch", json!("main")),
        ("target_project_id", json!(project.id)),
        ("author_id", json!(bot.user_id)),
        ("assignee_ids", json!([bot.user_id])),
        ("labels", json!([{ "title": "bug" }])),
    ] {
        assert_eq!(attributes[key], value, "{key}");
    }
    assert_eq!((&attributes["last_commit"]["id"], &body["event_type"]), (&head, &json!("merge_request")));
    assert_eq!(
        (&body["user"]["id"], &body["reviewers"][0]["email"]),
        (&json!(bot.user_id), &json!("[REDACTED]"))
    );
    assert_eq!(attributes["target"]["path_with_namespace"], project.full_path);

    let one = project.path("/merge_requests/1");
    bot.put(&one, json!({ "title": "b" })).expect(200);
    bot.post(&format!("{one}/approve"), Value::Null).expect(201);
    bot.post(&format!("{one}/unapprove"), Value::Null).expect(201);
    bot.put(&one, json!({ "state_event": "close" })).expect(200);
    bot.put(&one, json!({ "state_event": "reopen" })).expect(200);
    forge.run_jobs();
    let calls = told.take();
    let actions: Vec<_> = calls.iter().map(|call| call.body["object_attributes"]["action"].clone()).collect();
    assert_eq!(actions, ["update", "approved", "unapproved", "close", "reopen"]);
    assert!(other.take().is_empty());
}

#[test]
fn pushes_are_told_with_their_commits() {
    let forge = local_forge();
    let project = forge.project("private");
    let (all, releases) = (Receiver::new(), Receiver::new());
    hook(&forge, &project, json!({ "url": all.url, "tag_push_events": true }));
    hook(&forge, &project, json!({ "url": releases.url, "push_events_branch_filter": "release/*" }));
    let bot = project.token(&["write_repository"], 40);
    let git = Git::default();
    project.clone_with(&git, &bot.secret, "work");
    git.commit("work", "one.txt", "one");
    git.commit("work", "two.txt", "two");
    git.run_in("work", &["push", "-q", "origin", "HEAD:main"]).works();
    forge.run_jobs();
    let call = all.one();
    let body = call.expect("Push Hook", "push");
    assert_eq!((&body["ref"], &body["total_commits_count"]), (&json!("refs/heads/main"), &json!(2)));
    assert_eq!(body["user_id"], bot.user_id);
    let commits = body["commits"].as_array().unwrap();
    assert_eq!(commits.len(), 2);
    assert_eq!((&commits[1]["id"], &body["checkout_sha"]), (&body["after"], &body["after"]));
    assert_ne!(body["before"], body["after"]);
    assert!(releases.take().is_empty());

    git.run_in("work", &["push", "-q", "origin", "HEAD:release/1"]).works();
    git.run_in("work", &["tag", "v1"]).works();
    git.run_in("work", &["push", "-q", "origin", "v1"]).works();
    git.run_in("work", &["push", "-q", "origin", ":release/1"]).works();
    forge.run_jobs();
    let created = releases.take();
    assert_eq!(created[0].body["before"], "0".repeat(40));
    assert_eq!((created.len(), &created[1].body["after"]), (2, &json!("0".repeat(40))));
    let tags: Vec<_> = all.take().into_iter().filter(|call| call.body["object_kind"] == "tag_push").collect();
    assert_eq!((tags.len(), &tags[0].body["ref"]), (1, &json!("refs/tags/v1")));
}

#[test]
fn a_call_that_fails_is_made_again_and_a_hook_that_goes_on_failing_is_left_alone() {
    let forge = local_forge();
    let project = forge.project("private");
    let receiver = Receiver::new();
    let made =
        hook(&forge, &project, json!({ "url": receiver.url, "push_events": false, "issues_events": true }));
    let path = project.path(&format!("/hooks/{}", made["id"]));
    receiver.answers("500 No");
    forge.root().issue(project.id, "one");
    forge.run_jobs();
    let first = receiver.one();
    forge.run_jobs();
    assert!(receiver.take().is_empty(), "it waits");
    receiver.answers("204 Yes");
    forge.clock.advance_seconds(10);
    forge.run_jobs();
    let second = receiver.one();
    assert_eq!(second.header("idempotency-key"), first.header("idempotency-key"));
    assert_eq!(second.body, first.body);
    forge.clock.advance_days(1);
    forge.run_jobs();
    assert!(receiver.take().is_empty(), "it is done");

    receiver.answers("404 No");
    forge.root().issue(project.id, "two");
    for wait in [0, 10, 60, 360, 86_400] {
        forge.clock.advance_seconds(wait);
        forge.run_jobs();
    }
    assert_eq!(receiver.take().len(), 4, "then it is given up");
    let paused = forge.root().get(&path).expect(200).json();
    assert_eq!(paused["alert_status"], "temporarily_disabled");
    assert!(paused["disabled_until"].is_string());
    // After the pause it is called again; each failure doubles the next pause, and in the end it is not called any more.
    for _ in 0..40 {
        forge.clock.advance_days(2);
        forge.root().issue(project.id, "more");
        forge.run_jobs();
    }
    assert_eq!(forge.root().get(&path).json()["alert_status"], "disabled");
    receiver.take();
    forge.clock.advance_days(2);
    forge.root().issue(project.id, "unheard");
    forge.run_jobs();
    assert!(receiver.take().is_empty());
    // Who changes the hook has looked after it.
    receiver.answers("200 OK");
    assert_eq!(forge.root().put(&path, json!({})).expect(200).json()["alert_status"], "executable");
    forge.root().issue(project.id, "heard");
    forge.run_jobs();
    receiver.one();
}

#[test]
fn redirects_are_not_followed_and_a_new_address_does_not_get_the_old_token() {
    let forge = local_forge();
    let project = forge.project("private");
    let (first, second) = (Receiver::new(), Receiver::new());
    first.answers(&format!("302 Found\r\nLocation: {}", second.url));
    let body =
        json!({ "url": first.url, "push_events": false, "issues_events": true, "token": "for the first" });
    let made = hook(&forge, &project, body);
    forge.root().issue(project.id, "one");
    forge.run_jobs();
    assert_eq!(first.one().header("x-gitlab-token"), Some("for the first"));
    assert!(second.take().is_empty());
    forge.root().delete(&project.path(&format!("/hooks/{}", made["id"]))).expect(204);
    forge.clock.advance_days(1);
    forge.run_jobs();
    assert!(first.take().is_empty(), "what waits goes with the hook");

    let body =
        json!({ "url": first.url, "push_events": false, "issues_events": true, "token": "for the first" });
    let made = hook(&forge, &project, body);
    let path = project.path(&format!("/hooks/{}", made["id"]));
    forge.root().put(&path, json!({ "url": second.url })).expect(200);
    forge.root().issue(project.id, "two");
    forge.run_jobs();
    assert_eq!(second.one().header("x-gitlab-token"), None);
}

/// A Maintainer has a name of their own domain mean the address of something inside: the metadata service, a database.
/// The name is fine when the hook is made; what it means is looked at when it is called.
#[test]
fn a_name_that_means_an_address_of_the_local_network_is_not_called() {
    let forge = forge!();
    let project = forge.project("private");
    let receiver = Receiver::new();
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned();
    if name.is_empty() || name == "localhost" || (name.as_str(), receiver.port).to_socket_addrs().is_err() {
        return;
    }
    let url = format!("http://{name}:{}/", receiver.port);
    let made = hook(&forge, &project, json!({ "url": url, "push_events": false, "issues_events": true }));
    for wait in [0, 10, 60, 360] {
        forge.root().issue(project.id, "an issue");
        forge.clock.advance_seconds(wait);
        forge.run_jobs();
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
    let path = project.path(&format!("/hooks/{}", made["id"]));
    assert_eq!(forge.root().get(&path).json()["alert_status"], "temporarily_disabled");
}

#[test]
fn a_merge_and_the_issue_it_closes_are_told() {
    let forge = local_forge();
    let receiver = Receiver::new();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let issue = bot.issue(project.id, "a bug");
    let files = json!([{ "action": "create", "file_path": "a", "content": "a" }]);
    let body = json!({ "branch": "topic", "start_branch": "main", "commit_message": "a", "actions": files });
    bot.post(&project.path("/repository/commits"), body).expect(201);
    let body = json!({
        "source_branch": "topic", "target_branch": "main", "title": "A fix", "description": format!("Fixes #{issue}"),
    });
    bot.post(&project.path("/merge_requests"), body).expect(201);
    let events = json!({
        "url": receiver.url, "push_events": false, "merge_requests_events": true, "issues_events": true,
    });
    hook(&forge, &project, events);
    bot.put(&project.path("/merge_requests/1/merge"), json!({})).expect(200);
    forge.run_jobs();
    let calls = receiver.take();
    assert_eq!(calls.len(), 2, "{calls:?}");
    let of = |kind: &str| calls.iter().find(|call| call.body["object_kind"] == kind).unwrap();
    let merged = of("merge_request").expect("Merge Request Hook", "merge_request");
    let attributes = &merged["object_attributes"];
    assert_eq!((&attributes["action"], &attributes["state"]), (&json!("merge"), &json!("merged")));
    assert_eq!(merged["user"]["id"], json!(bot.user_id));
    let closed = of("issue").expect("Issue Hook", "issue");
    let attributes = &closed["object_attributes"];
    assert_eq!((&attributes["iid"], &attributes["action"]), (&json!(issue), &json!("close")));
}
