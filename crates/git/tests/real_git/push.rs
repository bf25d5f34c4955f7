//! Pushes: what is accepted, what is refused, what the person sees, and what the judge is told.

use bytes::Bytes;
use portcullis_git::{ObjectId, UpdateKind};

use crate::forge::{Forge, Policy, ZERO, packet, push_head, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_judged_and_then_told() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let said = forge.git("work", &["push", "-o", "ci.skip", "-o", "é=1", "origin", "main"]).await;
    assert!(said.contains("remote: Portcullis: Thank you."), "{said}");
    assert!(said.contains("remote: Portcullis: tricky [31mline"), "{said}");
    let tip = forge.id_of("main").await;
    assert_eq!(forge.branches().await, [format!("main {tip}")]);
    let (updates, options) = forge.judge.proposed.lock().unwrap()[0].clone();
    assert_eq!(options, ["ci.skip", "é=1"]);
    assert_eq!(updates[0].name.branch(), Some("main"));
    assert_eq!((updates[0].kind, updates[0].old.is_zero()), (UpdateKind::Create, true));
    assert_eq!(updates[0].new.as_str(), tip);
    assert_eq!(*forge.judge.completed.lock().unwrap(), [updates]);
    assert!(forge.judge.size_bytes.lock().unwrap().unwrap() > 100);
    forge.assert_whole().await;
    assert!(forge.quiet().await);
    assert_eq!(forge.engine.stats().running, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_changes_nothing_and_says_why() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.set_policy(Policy::Refuse(vec!["You may not.\nReally.".into(), "Ask Ada.".into()]));
    let pushed = forge.try_git("work", &["push", "origin", "main"]).await;
    let said = text(&pushed);
    assert!(!pushed.status.success());
    for line in ["You may not.", "Really.", "Ask Ada."] {
        assert!(said.contains(&format!("remote: Portcullis: {line}")), "{said}");
    }
    assert!(said.contains("(pre-receive hook declined)"), "{said}");
    assert!(forge.branches().await.is_empty());
    assert!(forge.judge.completed.lock().unwrap().is_empty());
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_that_panics_has_refused() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.set_policy(Policy::Panic);
    let pushed = forge.try_git("work", &["push", "origin", "main"]).await;
    assert!(text(&pushed).contains("could not be checked and was refused"), "{}", text(&pushed));
    assert!(forge.branches().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn force_is_recognised_inside_the_quarantine() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.set_policy(Policy::RefuseForced);
    forge.commit("second").await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let second = forge.id_of("main").await;
    forge.git("work", &["commit", "-q", "--amend", "-m", "other history"]).await;
    let pushed = forge.try_git("work", &["push", "-f", "origin", "main"]).await;
    assert!(text(&pushed).contains("remote: Portcullis: No force here."), "{}", text(&pushed));
    // Backwards is forced as well, though it brings no object.
    let pushed = forge.try_git("work", &["push", "-f", "origin", "HEAD~1:main"]).await;
    assert!(!pushed.status.success());
    assert_eq!(*forge.judge.forced.lock().unwrap(), [false, true, true]);
    assert_eq!(forge.branches().await, [format!("main {second}")]);
    forge.set_policy(Policy::Accept);
    forge.git("work", &["push", "-q", "-f", "origin", "main"]).await;
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refs_are_deleted_and_all_three_kinds_are_written() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["tag", "-a", "-m", "one", "v1"]).await;
    forge.git("work", &["notes", "add", "-m", "well done"]).await;
    forge.git("work", &["push", "-q", "origin", "main", "main:topic", "v1", "refs/notes/commits"]).await;
    let seen = forge.git("work", &["ls-remote", "origin"]).await;
    for name in ["refs/heads/main", "refs/heads/topic", "refs/tags/v1", "refs/notes/commits"] {
        assert!(seen.contains(name), "{seen}");
    }
    let tag = ObjectId::parse(&forge.id_of("v1").await).unwrap();
    assert_eq!(forge.engine.commit_summary(1, &tag).await.unwrap().unwrap().title, "first");
    forge.git("work", &["push", "-q", "origin", ":topic", ":v1"]).await;
    let update = forge.judge.completed.lock().unwrap().last().unwrap()[0].clone();
    assert_eq!(update.kind, UpdateKind::Delete);
    assert!(update.new.is_zero());
    assert_eq!(forge.branches().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_push_is_all_or_nothing_and_the_judge_hears_what_really_changed() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.commit("second").await;
    // A branch below `main` cannot be made while `main` is there: git itself refuses this ref, after the judge.
    let pushed = forge.try_git("work", &["push", "--atomic", "origin", "main", "main:main/below"]).await;
    assert!(!pushed.status.success());
    assert_eq!(forge.branches().await, [format!("main {}", forge.id_of("main~1").await)]);
    assert_eq!(forge.judge.completed.lock().unwrap().len(), 1);
    let pushed = forge.try_git("work", &["push", "origin", "main", "main:main/below"]).await;
    assert!(!pushed.status.success());
    assert_eq!(forge.branches().await, [format!("main {}", forge.id_of("main").await)]);
    let completed = forge.judge.completed.lock().unwrap().clone();
    assert_eq!((completed.len(), completed[1].len()), (2, 1));
    assert_eq!(completed[1][0].name.as_str(), "refs/heads/main");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_branches_tags_and_notes_with_good_names_are_written() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    for (name, reason) in [
        ("refs/replace/x", "Only branches, tags and notes"),
        ("refs/other", "Only branches, tags and notes"),
        ("refs/heads/HEAD", "not an allowed name"),
        ("refs/heads/-x", "not an allowed name"),
        ("refs/tags/a/-b", "not an allowed name"),
    ] {
        let pushed = forge.try_git("work", &["push", "origin", &format!("main:{name}")]).await;
        assert!(text(&pushed).contains(reason), "{name}: {}", text(&pushed));
    }
    // Names that no git client would send.
    let tip = forge.id_of("main").await;
    let pack = forge.pack("main\n").await;
    for name in [
        "refs/heads/../../x",
        "refs/heads/a..b",
        "refs/heads/a\nb",
        "HEAD",
        "../x",
        "--help",
        "refs/heads/\u{1b}",
    ] {
        let body = [push_head(ZERO, &tip, name), pack.clone()].concat();
        let answer = forge.push_body(vec![Ok(body.into())]).await;
        assert!(!answer.is_ok_and(|text| text.contains(&format!("ok {name}"))), "{name:?} was accepted");
    }
    assert!(forge.judge.proposed.lock().unwrap().is_empty(), "the judge was asked about nonsense");
    assert!(forge.branches().await.is_empty());
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_or_too_long_push_options_are_refused() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let many: Vec<String> = (0..21).map(|n| format!("--push-option=o{n}")).collect();
    let mut arguments = vec!["push", "origin", "main"];
    arguments.extend(many.iter().map(String::as_str));
    let pushed = forge.try_git("work", &arguments).await;
    assert!(text(&pushed).contains("more than 20 push options"), "{}", text(&pushed));
    let long = format!("--push-option={}", "x".repeat(1025));
    let pushed = forge.try_git("work", &["push", "origin", "main", &long]).await;
    assert!(text(&pushed).contains("longer than 1024 bytes"), "{}", text(&pushed));
    assert!(forge.branches().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_deleted() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main", "main:packed"]).await;
    forge.engine.housekeeping(1).await.unwrap();
    // Git itself would believe a client that names an old id which nobody knows.
    let unknown = "5".repeat(40);
    let answer =
        forge.push_body(vec![Ok(push_head(&unknown, ZERO, "refs/heads/never").into())]).await.unwrap();
    assert!(answer.contains("refs/heads/never does not exist."), "{answer}");
    assert_eq!(forge.judge.proposed.lock().unwrap().len(), 1);
    assert_eq!(forge.judge.completed.lock().unwrap().len(), 1);
    forge.git("work", &["push", "-q", "origin", ":packed"]).await;
    assert_eq!(forge.judge.completed.lock().unwrap()[1][0].kind, UpdateKind::Delete);
}

/// No Git leaves the report out. What happened stays to be found out by whoever recorded that it might.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_push_whose_client_wants_no_report_the_judge_hears_nothing() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let tip = forge.id_of("main").await;
    for (wanted, end) in [("", ""), (" side-band-64k", "0000")] {
        let name = format!("refs/heads/main{}", end.len());
        let head =
            [packet(&format!("{ZERO} {tip} {name}\0object-format=sha1{wanted}")), b"0000".to_vec()].concat();
        let body = [head, forge.pack("main\n").await].concat();
        assert_eq!(forge.push_body(vec![Ok(body.into())]).await.unwrap(), end);
    }
    assert_eq!(forge.branches().await, [format!("main0 {tip}"), format!("main4 {tip}")]);
    assert_eq!(forge.judge.proposed.lock().unwrap().len(), 2);
    assert!(forge.judge.completed.lock().unwrap().is_empty());
    // One that wants a report alone gets one.
    let head = [packet(&format!("{ZERO} {tip} refs/heads/plain\0report-status")), b"0000".to_vec()].concat();
    let body = [head, forge.pack("main\n").await].concat();
    let report = forge.push_body(vec![Ok(body.into())]).await.unwrap();
    assert_eq!(report, "000eunpack ok\n0018ok refs/heads/plain\n0000");
    assert_eq!(forge.judge.completed.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_is_answered_with_nothing_and_judged_by_nobody() {
    let forge = Forge::new().await;
    let answer = forge.push_body(vec![Ok(Bytes::from_static(b"0000"))]).await.unwrap();
    assert_eq!(answer, "");
    assert!(forge.judge.proposed.lock().unwrap().is_empty());
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_tags_are_pushed_at_once() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let tip = forge.id_of("main").await;
    let packed: String = (0..2000).map(|n| format!("{tip} refs/tags/tag-{n:04}\n")).collect();
    std::fs::write(forge.path("work/.git/packed-refs"), packed).unwrap();
    forge.git("work", &["push", "-q", "origin", "--tags"]).await;
    assert_eq!(forge.judge.completed.lock().unwrap()[0].len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_pushes_to_one_branch_one_wins() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let base = forge.id_of("main").await;
    forge.git("work", &["checkout", "-q", "-b", "left"]).await;
    forge.commit("left").await;
    forge.git("work", &["checkout", "-q", "-b", "right", "main"]).await;
    forge.commit("right").await;
    let body = async |branch: &str| {
        let pack = forge.pack(&format!("{branch}\n^main\n")).await;
        vec![Ok(Bytes::from(
            [push_head(&base, &forge.id_of(branch).await, "refs/heads/main"), pack].concat(),
        ))]
    };
    let (left, right) = (body("left").await, body("right").await);
    let (left, right) = tokio::join!(forge.push_body(left), forge.push_body(right));
    let won =
        [left.unwrap(), right.unwrap()].iter().filter(|said| said.contains("ok refs/heads/main")).count();
    assert_eq!(won, 1);
    forge.assert_whole().await;
    // No lock is left behind.
    forge.git("work", &["push", "-q", "-f", "origin", "right:main"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_counted_and_described() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let old = ObjectId::parse(&forge.id_of("main").await).unwrap();
    for n in 0..5 {
        forge.commit(&format!("commit {n}\n\nbody")).await;
    }
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let new = ObjectId::parse(&forge.id_of("main").await).unwrap();
    let engine = &forge.engine;
    assert_eq!(engine.count_commits(1, std::slice::from_ref(&old), &new, 100).await.unwrap(), 5);
    assert_eq!(engine.count_commits(1, &[], &new, 100).await.unwrap(), 6);
    assert_eq!(engine.count_commits(1, &[], &new, 3).await.unwrap(), 3);
    let zero = ObjectId::parse(ZERO).unwrap();
    assert_eq!(engine.count_commits(1, std::slice::from_ref(&zero), &new, 100).await.unwrap(), 6);
    assert_eq!(engine.count_commits(1, &[], &zero, 100).await.unwrap(), 0);
    let commit = engine.commit_summary(1, &new).await.unwrap().unwrap();
    assert_eq!((commit.title.as_str(), commit.parents.len()), ("commit 4", 1));
    let unknown = ObjectId::parse(&"a".repeat(40)).unwrap();
    assert_eq!(engine.commit_summary(1, &unknown).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_hook_refuses() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    // Somebody runs receive-pack by hand with our hook: nobody says yes, so nothing happens.
    let repository = forge.engine.path(1).into_os_string().into_string().unwrap();
    let hooks = format!("core.hooksPath={}", forge.path("repositories/@server/hooks").display());
    let receive = format!("git -c {hooks} receive-pack");
    let pushed = forge.try_git("work", &["push", "--receive-pack", &receive, &repository, "main"]).await;
    assert!(!pushed.status.success());
    assert!(text(&pushed).contains("no connection to the server"), "{}", text(&pushed));
    assert!(forge.branches().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_refused_when_the_hook_cannot_run() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    // The program has been removed, as while it is being replaced by a newer one.
    std::fs::rename(forge.path("hook"), forge.path("hook-elsewhere")).unwrap();
    let pushed = forge.try_git("work", &["push", "origin", "main"]).await;
    assert!(text(&pushed).contains("pre-receive hook declined"), "{}", text(&pushed));
    // Without the files themselves git would go on as if nobody had to be asked.
    std::fs::rename(forge.path("hook-elsewhere"), forge.path("hook")).unwrap();
    let hook = forge.path("repositories/@server/hooks/pre-receive");
    std::fs::rename(&hook, forge.path("pre-receive")).unwrap();
    let pushed = forge.try_git("work", &["push", "origin", "main"]).await;
    assert!(!pushed.status.success());
    assert!(forge.branches().await.is_empty());
    std::fs::rename(forge.path("pre-receive"), &hook).unwrap();
    forge.git("work", &["push", "-q", "origin", "main"]).await;
}
