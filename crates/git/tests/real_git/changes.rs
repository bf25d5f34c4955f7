//! Commits, tags and refs that are made without a work tree, looked at with the real git.

use std::time::Duration;

use portcullis_git::{
    Authorship, Content, Engine, Error, FileChange, FilePath, NewCommit, NewTag, ObjectFormat, ObjectId,
    Prepared, RefName, RefUpdate,
};

use crate::forge::{Forge, collect, text};

fn somebody() -> Authorship {
    Authorship {
        name: "Bo <b> Ot".into(),
        email: "bo@example.org\n".into(),
        at: 1_700_000_000_000_000,
        offset_minutes: -570,
    }
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn create(at: &str, content: &str) -> FileChange {
    FileChange::Create { path: path(at), content: content.into(), executable: false }
}

fn update(at: &str, content: &str) -> FileChange {
    FileChange::Update { path: path(at), content: content.into(), executable: None }
}

fn branch(name: &str) -> RefName {
    RefName::branch_named(name).unwrap()
}

async fn prepare(
    engine: &Engine,
    id: i64,
    parents: &[&ObjectId],
    content: Content,
) -> Result<Prepared, Error> {
    let parents = parents.iter().map(|&parent| parent.clone()).collect();
    let new =
        NewCommit { parents, content, author: somebody(), committer: somebody(), message: "é\n\nb".into() };
    engine.prepare_commit(id, new).await
}

/// Makes a commit on a branch from what it has now.
async fn commit(engine: &Engine, id: i64, on: &str, changes: Vec<FileChange>) -> Result<ObjectId, Error> {
    let tip = engine.find_branch(id, on).await.unwrap().map(|branch| branch.tip);
    let parents: Vec<_> = tip.iter().collect();
    let prepared = prepare(engine, id, &parents, Content::Changed(changes)).await?;
    let made = prepared.id().clone();
    let update = RefUpdate::new(branch(on), tip, Some(made.clone())).unwrap();
    engine.write(id, prepared).await?;
    engine.change_refs(id, &[update]).await?;
    Ok(made)
}

/// Returns what the server's repository says, asked by git itself.
async fn ask(forge: &Forge, id: i64, arguments: &[&str]) -> String {
    let place = forge.engine.path(id);
    let place = format!("--git-dir={}", place.display());
    forge.git(".", &[&[place.as_str()], arguments].concat()).await
}

async fn files(forge: &Forge, id: i64, revision: &str) -> Vec<String> {
    let said = ask(forge, id, &["ls-tree", "-r", revision]).await;
    said.lines()
        .map(|line| {
            let (about, name) = line.split_once('\t').unwrap();
            format!("{} {name}", about.split(' ').next().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_commit_does_everything_that_can_be_done_to_files() {
    let forge = Forge::new().await;
    forge.engine.create(2, ObjectFormat::Sha256, "main").await.unwrap();
    for id in [1, 2] {
        let engine = &forge.engine;
        let begin = ["a/x", "a.b", "a0", "a-", "deep/er/file", "deep/other", "run.sh", "gone/only"];
        let first = commit(engine, id, "main", begin.map(|at| create(at, at)).to_vec()).await.unwrap();
        let changes = vec![
            update("a/x", "new"),
            FileChange::Move { path: path("moved/x"), from: path("deep/er/file"), content: None },
            FileChange::Move { path: path("a/b"), from: path("a.b"), content: Some("other".into()) },
            FileChange::Delete { path: path("gone/only") },
            // What was a folder is a file now, and what was a file a folder.
            create("gone", "file"),
            FileChange::Delete { path: path("a0") },
            create("a0/in/it", ""),
            FileChange::SetExecutable { path: path("run.sh"), executable: true },
            FileChange::Create { path: path("bin/tool"), content: vec![0, 159, 146, 150], executable: true },
            update("a0/in/it", "twice"),
        ];
        let second = commit(engine, id, "main", changes).await.unwrap();
        let expected = [
            "100644 a-",
            "100644 a/b",
            "100644 a/x",
            "100644 a0/in/it",
            "100755 bin/tool",
            "100644 deep/other",
            "100644 gone",
            "100644 moved/x",
            "100755 run.sh",
        ];
        assert_eq!(files(&forge, id, second.as_str()).await, expected);
        assert_eq!(ask(&forge, id, &["show", "main:a0/in/it"]).await, "twice");
        assert_eq!(ask(&forge, id, &["show", "main:moved/x"]).await, "deep/er/file");
        let raw = ask(&forge, id, &["cat-file", "commit", second.as_str()]).await;
        let who = "Bo b Ot <bo@example.org> 1700000000 -0930";
        assert!(raw.contains(&format!("parent {first}\nauthor {who}\ncommitter {who}\n\né\n\nb\n")), "{raw}");
        ask(&forge, id, &["fsck", "--strict", "--full"]).await;
        let counted = ask(&forge, id, &["count-objects", "-v"]).await;
        assert!(counted.contains("garbage: 0"), "{counted}");
        let report = engine.fsck(id).await.unwrap();
        assert!(report.clean, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_says_why_and_leaves_nothing() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    std::os::unix::fs::symlink("/etc/passwd", forge.path("work/link")).unwrap();
    forge
        .git("work", &["update-index", "--add", "--cacheinfo", &format!("160000,{},module", "1".repeat(40))])
        .await;
    forge.commit("second").await;
    forge.git("work", &["add", "link"]).await;
    forge.git("work", &["commit", "-q", "-m", "link"]).await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let before = forge.branches().await;
    let moved = |to: &str| FileChange::Move { path: path(to), from: path("link"), content: None };
    for (change, problem) in [
        (create("file", ""), "A file with this name already exists"),
        (create("module", ""), "A file with this name already exists"),
        (create("file/below", ""), "A file with the name of a folder of the path already exists"),
        (update("none", ""), "A file with this name doesn't exist"),
        (update("file/below", ""), "A file with this name doesn't exist"),
        (FileChange::Delete { path: path("module") }, "A file with this name doesn't exist"),
        (
            FileChange::SetExecutable { path: path("link"), executable: true },
            "A link cannot be made executable",
        ),
        (moved("file"), "A file with this name already exists"),
        (moved(".gitmodules"), ".gitmodules must not be a link"),
        (
            create(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=x\n"),
            ".gitmodules holds something that has to be pushed with Git",
        ),
    ] {
        // What came before it in the same commit does not happen either.
        let changes = vec![create("folder/new", "x"), change.clone()];
        match commit(&forge.engine, 1, "main", changes).await {
            Err(Error::Inapplicable(text)) => assert_eq!(text, problem, "{change:?}"),
            other => panic!("{change:?}: {other:?}"),
        }
    }
    let folder = vec![create("folder/new", "x"), create("folder", "x")];
    let refused = commit(&forge.engine, 1, "main", folder).await;
    assert!(
        matches!(refused, Err(Error::Inapplicable(text)) if text == "A directory with this name already exists")
    );
    let many = (0..1001).map(|number| create(&format!("f{number}"), "")).collect();
    assert!(matches!(commit(&forge.engine, 1, "main", many).await, Err(Error::Inapplicable(_))));
    assert_eq!(forge.branches().await, before);
    assert!(ask(&forge, 1, &["count-objects"]).await.starts_with("0 objects"), "objects were written");

    // A link and a submodule beside what changes stay what they are.
    commit(&forge.engine, 1, "main", vec![moved("there/link"), update("file", "x")]).await.unwrap();
    assert_eq!(files(&forge, 1, "main").await, ["100644 file", "160000 module", "120000 there/link"]);
    ask(&forge, 1, &["fsck", "--strict"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_moves_only_from_where_it_was_read() {
    let forge = Forge::new().await;
    let engine = &forge.engine;
    let first = commit(engine, 1, "main", vec![create("a", "a")]).await.unwrap();
    let (one, two) = tokio::join!(
        commit(engine, 1, "main", vec![create("b", "b")]),
        commit(engine, 1, "main", vec![create("c", "c")])
    );
    // Both may have read before either wrote; at least one wins, and a loser is told.
    let won = [&one, &two].iter().filter(|made| made.is_ok()).count();
    assert!(won >= 1, "{one:?} {two:?}");
    for lost in [one, two].into_iter().filter_map(Result::err) {
        assert!(matches!(&lost, Error::Moved(name) if name.branch() == Some("main")), "{lost:?}");
    }

    let tip = engine.find_branch(1, "main").await.unwrap().unwrap().tip;
    let to = |name: &str, old: Option<&ObjectId>, new: Option<&ObjectId>| {
        RefUpdate::new(branch(name), old.cloned(), new.cloned()).unwrap()
    };
    let change = async |updates: &[RefUpdate]| engine.change_refs(1, updates).await;
    for packed in [false, true] {
        if packed {
            ask(&forge, 1, &["pack-refs", "--all"]).await;
        }
        for wrong in [
            to("main", None, Some(&first)),
            to("main", Some(&first), Some(&tip)),
            to("main", Some(&first), None),
            to("none", Some(&first), None),
            to("none", Some(&first), Some(&tip)),
        ] {
            assert!(matches!(change(&[wrong]).await, Err(Error::Moved(_))));
        }
        let below = change(&[to("main/below", None, Some(&tip))]).await;
        assert!(matches!(below, Err(Error::Inapplicable(_))), "{below:?}");
        // All or nothing.
        let mixed = change(&[to("new", None, Some(&tip)), to("main", Some(&first), None)]).await;
        assert!(matches!(mixed, Err(Error::Moved(_))), "{mixed:?}");
        assert_eq!(forge.branches().await, [format!("main {tip}")]);
    }
    change(&[to("main", Some(&tip), Some(&first)), to("x/y", None, Some(&tip))]).await.unwrap();
    assert_eq!(forge.branches().await, [format!("main {first}"), format!("x/y {tip}")]);
    change(&[to("x/y", Some(&tip), None)]).await.unwrap();
    change(&[to("x", None, Some(&tip))]).await.unwrap();
    assert!(
        engine.is_ancestor(1, &first, &tip).await.unwrap()
            && !engine.is_ancestor(1, &tip, &first).await.unwrap()
    );
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotated_tag_is_one_for_git() {
    let forge = Forge::new().await;
    let target = commit(&forge.engine, 1, "main", vec![create("a", "a")]).await.unwrap();
    let name = RefName::parse("refs/tags/v1/ü").unwrap();
    let new =
        NewTag { name: name.clone(), target: target.clone(), tagger: somebody(), message: "One".into() };
    let prepared = forge.engine.prepare_tag(new).await.unwrap();
    let update = RefUpdate::new(name, None, Some(prepared.id().clone())).unwrap();
    forge.engine.write(1, prepared).await.unwrap();
    forge.engine.change_refs(1, &[update]).await.unwrap();
    assert_eq!(ask(&forge, 1, &["rev-parse", "v1/ü^{commit}"]).await.trim(), target.as_str());
    let raw = ask(&forge, 1, &["cat-file", "tag", "v1/ü"]).await;
    assert!(
        raw.ends_with("type commit\ntag v1/ü\ntagger Bo b Ot <bo@example.org> 1700000000 -0930\n\nOne\n"),
        "{raw}"
    );
    ask(&forge, 1, &["fsck", "--strict"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_are_merged_on_a_base_that_is_given() {
    let forge = Forge::new().await;
    for (id, format) in [(1, ObjectFormat::Sha1), (2, ObjectFormat::Sha256)] {
        let engine = &forge.engine;
        if id == 2 {
            engine.create(2, format, "main").await.unwrap();
        }
        let lines = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let base = commit(engine, id, "main", vec![create("a", lines)]).await.unwrap();
        let theirs =
            commit(engine, id, "main", vec![update("a", &lines.replace('1', "one")), create("b", "b")]).await;
        let theirs = theirs.unwrap();
        let eight = Content::Changed(vec![update("a", &lines.replace('8', "eight"))]);
        let other = prepare(engine, id, &[&base], eight).await.unwrap();
        let ours = other.id().clone();
        let created = RefUpdate::new(branch("other"), None, Some(ours.clone())).unwrap();
        engine.write(id, other).await.unwrap();
        engine.change_refs(id, &[created]).await.unwrap();
        let found = engine.commits(id, vec![base.clone(), theirs.clone(), ours.clone()]).await.unwrap();
        let [base, theirs, ours] = [0, 1, 2].map(|number: usize| found[number].tree.clone());

        let merged = engine.merge_trees(id, Some(&base), &ours, Some(&theirs)).await.unwrap().unwrap();
        let text = ask(&forge, id, &["show", &format!("{merged}:a")]).await;
        assert_eq!(text, lines.replace('1', "one").replace('8', "eight"));
        // Taken back again, ours is as it was.
        let back = engine.merge_trees(id, Some(&theirs), &merged, Some(&base)).await.unwrap();
        assert_eq!(back, Some(ours.clone()));
        // Everything that the first commit brought, once more, on top of another content of the same file.
        assert_eq!(engine.merge_trees(id, None, &ours, Some(&theirs)).await.unwrap(), None);
        let emptied = engine.merge_trees(id, Some(&base), &base, None).await.unwrap().unwrap();
        assert_eq!(ask(&forge, id, &["ls-tree", emptied.as_str()]).await, "");
        let picked = prepare(engine, id, &[], Content::Tree(merged)).await.unwrap();
        let created = RefUpdate::new(branch("picked"), None, Some(picked.id().clone())).unwrap();
        engine.write(id, picked).await.unwrap();
        engine.change_refs(id, &[created]).await.unwrap();
        ask(&forge, id, &["fsck", "--strict"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_merged_as_git_merges_them() {
    let forge = Forge::new().await;
    forge.engine.create(2, ObjectFormat::Sha256, "main").await.unwrap();
    for id in [1, 2] {
        let engine = &forge.engine;
        let lines = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let base = commit(engine, id, "main", vec![create("a", lines)]).await.unwrap();
        for name in ["topic", "clash"] {
            let made = RefUpdate::new(branch(name), None, Some(base.clone())).unwrap();
            engine.change_refs(id, &[made]).await.unwrap();
        }
        let topic = commit(engine, id, "topic", vec![update("a", &lines.replace('1', "one"))]).await.unwrap();
        let clash = commit(engine, id, "clash", vec![update("a", &lines.replace('8', "8!"))]).await.unwrap();
        let main = commit(engine, id, "main", vec![update("a", &lines.replace('8', "eight"))]).await.unwrap();

        let merged = engine.merge_commits(id, &main, &topic).await.unwrap().unwrap();
        let text = ask(&forge, id, &["show", &format!("{merged}:a")]).await;
        assert_eq!(text, lines.replace('1', "one").replace('8', "eight"));
        assert_eq!(engine.merge_commits(id, &main, &clash).await.unwrap(), None);
        // What one side has already changes nothing.
        let tree = engine.commits(id, vec![main.clone()]).await.unwrap()[0].tree.clone();
        assert_eq!(engine.merge_commits(id, &main, &base).await.unwrap(), Some(tree));
        // Two histories that never meet are not brought together.
        commit(engine, id, "other", vec![create("b", "b")]).await.unwrap();
        let other = engine.find_branch(id, "other").await.unwrap().unwrap().tip;
        assert_eq!(engine.merge_commits(id, &main, &other).await.unwrap(), None);

        // Merges are left out of what is made once more, and the oldest comes first.
        let second = commit(engine, id, "topic", vec![create("c", "c")]).await.unwrap();
        let content = Content::Tree(merged);
        let merge = prepare(engine, id, &[&second, &main], content).await.unwrap();
        let tip = merge.id().clone();
        engine.write(id, merge).await.unwrap();
        let found = engine.commits_to_replay(id, &main, &tip, 10).await.unwrap();
        assert_eq!(found.iter().map(|commit| &commit.id).collect::<Vec<_>>(), [&topic, &second]);
        let newest = engine.commits_to_replay(id, &main, &tip, 1).await.unwrap();
        assert_eq!(newest.iter().map(|commit| &commit.id).collect::<Vec<_>>(), [&second]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ref_of_a_merge_request_moves_only_from_what_it_was() {
    let forge = Forge::new().await;
    let engine = &forge.engine;
    let first = commit(engine, 1, "main", vec![create("a", "1")]).await.unwrap();
    let second = commit(engine, 1, "main", vec![update("a", "2")]).await.unwrap();
    let head = async || engine.merge_request_head(1, 7).await.unwrap();
    assert_eq!(head().await, None);
    assert!(engine.set_merge_request_head(1, 7, None, None).await.unwrap());
    assert!(engine.set_merge_request_head(1, 7, None, Some(&first)).await.unwrap());
    assert_eq!(head().await, Some(first.clone()));
    for (old, new) in [(None, &second), (Some(&second), &first)] {
        assert!(!engine.set_merge_request_head(1, 7, old, Some(new)).await.unwrap());
    }
    assert_eq!(head().await, Some(first.clone()));
    assert!(engine.set_merge_request_head(1, 7, Some(&first), Some(&second)).await.unwrap());

    // It is fetched as it is now, also when it was packed; and a push neither sees nor writes it.
    ask(&forge, 1, &["pack-refs", "--all"]).await;
    assert_eq!(head().await, Some(second.clone()));
    forge.git(".", &["init", "-q", "reader"]).await;
    let name = "refs/merge-requests/7/head";
    forge.git("reader", &["fetch", "-q", &forge.url(1), name]).await;
    assert_eq!(forge.git("reader", &["rev-parse", "FETCH_HEAD"]).await.trim(), second.as_str());
    assert!(engine.refs(1).await.unwrap().iter().all(|(name, _)| name.as_str() == "refs/heads/main"));
    let pushed = forge.try_git("reader", &["push", &forge.url(1), &format!("FETCH_HEAD:{name}")]).await;
    assert!(!pushed.status.success(), "{}", text(&pushed));

    assert!(!engine.set_merge_request_head(1, 7, Some(&first), None).await.unwrap());
    assert!(engine.set_merge_request_head(1, 7, Some(&second), None).await.unwrap());
    assert_eq!(head().await, None);
    let seen = forge.git(".", &["ls-remote", &forge.url(1)]).await;
    assert!(!seen.contains("merge-requests"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commits_of_a_merge_request_are_kept_by_its_ref() {
    let forge = Forge::with(|settings| settings.housekeeping.prune_after = Duration::ZERO).await;
    let engine = &forge.engine;
    let base = commit(engine, 1, "main", vec![create("a", "1")]).await.unwrap();
    let made = RefUpdate::new(branch("topic"), None, Some(base.clone())).unwrap();
    engine.change_refs(1, &[made]).await.unwrap();
    let tip = commit(engine, 1, "topic", vec![create("b", "2")]).await.unwrap();
    assert!(engine.set_merge_request_head(1, 1, None, Some(&tip)).await.unwrap());
    let gone = RefUpdate::new(branch("topic"), Some(tip.clone()), None).unwrap();
    engine.change_refs(1, &[gone]).await.unwrap();
    ask(&forge, 1, &["gc", "-q", "--prune=now"]).await;
    engine.housekeeping(1).await.unwrap();
    assert_eq!(engine.commits(1, vec![tip.clone()]).await.unwrap().len(), 1);

    let said = engine.raw_diff(1, Some(&base), &tip).await.unwrap();
    let said = collect(said).await.unwrap();
    assert!(said.starts_with("diff --git a/b b/b\nnew file mode 100644\nindex "), "{said}");
    assert!(
        said.ends_with("--- /dev/null\n+++ b/b\n@@ -0,0 +1 @@\n+2\n\\ No newline at end of file\n"),
        "{said}"
    );
    let whole = collect(engine.raw_diff(1, None, &tip).await.unwrap()).await.unwrap();
    assert_eq!(whole.matches("diff --git").count(), 2);
}

/// Eve may push. Git checks what she pushes for submodules that would run something on whoever clones them. So she brings
/// the two halves of such a file in two branches, each of them harmless, and has the server put them together.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_push_could_bring_is_not_merged_either() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let gap = "# nothing\n".repeat(10);
    let push = async |branch: &str, text: String| {
        forge.git("work", &["checkout", "-q", "-B", branch, "main"]).await;
        std::fs::write(forge.path("work/.gitmodules"), text).unwrap();
        forge.git("work", &["add", "-A"]).await;
        forge.git("work", &["commit", "-q", "-m", branch]).await;
        forge.git("work", &["push", "-q", "-f", "origin", branch]).await;
        let tip = forge.engine.find_branch(1, branch).await.unwrap().unwrap().tip;
        forge.engine.commits(1, vec![tip]).await.unwrap()[0].tree.clone()
    };
    let base = push("base", format!("[x \"a\"]\n{gap}update = none\n")).await;
    let ours = push("ours", format!("[x \"a\"]\n{gap}update = !touch /tmp/eve\n")).await;
    let theirs = push("theirs", format!("[submodule \"a\"]\n{gap}update = none\n")).await;
    let whole = format!("[submodule \"a\"]\n{gap}update = !touch /tmp/eve\n");
    std::fs::write(forge.path("work/.gitmodules"), whole).unwrap();
    forge.git("work", &["commit", "-q", "-a", "-m", "whole"]).await;
    let pushed = forge.try_git("work", &["push", "origin", "HEAD:whole"]).await;
    assert!(text(&pushed).contains("gitmodulesUpdate"), "{}", text(&pushed));

    let merged = forge.engine.merge_trees(1, Some(&base), &ours, Some(&theirs)).await;
    assert!(matches!(merged, Err(Error::Inapplicable(_))), "{merged:?}");
    // What one side has as it is was pushed, and may stay.
    let taken = forge.engine.merge_trees(1, Some(&base), &base, Some(&ours)).await.unwrap();
    assert_eq!(taken, Some(ours));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_cloned_and_pushed_onto() {
    let forge = Forge::new().await;
    commit(&forge.engine, 1, "main", vec![create("README.md", "hello")]).await.unwrap();
    forge.git(".", &["clone", "-q", &forge.url(1), "work"]).await;
    commit(&forge.engine, 1, "main", vec![update("README.md", "hello again")]).await.unwrap();
    // A fetch just before must not be answered from what was kept.
    forge.git("work", &["pull", "-q", "--ff-only"]).await;
    assert_eq!(std::fs::read_to_string(forge.path("work/README.md")).unwrap(), "hello again");
    forge.commit("from a work tree").await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    commit(&forge.engine, 1, "main", vec![update("file", "over")]).await.unwrap();
    let pushed = forge.try_git("work", &["push", "origin", "main~1:main"]).await;
    assert!(!pushed.status.success(), "{}", text(&pushed));
    forge.engine.housekeeping(1).await.unwrap();
    forge.assert_whole().await;
}
