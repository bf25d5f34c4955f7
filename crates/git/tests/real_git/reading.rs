//! Reading content while packs come and go, and while clients do.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use portcullis_git::{
    ArchiveFormat, Error, LogQuery, LogStart, ObjectFormat, ObjectId, RepositoryPath, TreeQuery, TreeWindow,
};

use crate::forge::Forge;
use crate::limits::with_large_file;

fn path(text: &str) -> RepositoryPath {
    RepositoryPath::parse(text).unwrap()
}

/// The story: housekeeping puts packs together and removes the old ones while somebody reads from them.
#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_notice_that_packs_are_replaced() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    for n in 0..20 {
        forge.commit(&format!("commit {n}")).await;
        forge.git("work", &["push", "-q", "origin", "main"]).await;
    }
    let repository = forge.engine.path(1);
    let done = Arc::new(AtomicBool::new(false));
    let tidying = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                // Each round leaves other packs: one, or one for each few objects.
                let limit = if rounds % 2 == 0 { "--max-pack-size=2g" } else { "--write-midx" };
                let mut git = Command::new("git");
                git.arg("--git-dir").arg(&repository).args(["repack", "-a", "-d", "-f", "-q", limit]);
                assert!(git.env("GIT_CONFIG_GLOBAL", "/dev/null").status().unwrap().success());
                rounds += 1;
            }
            rounds
        }
    });
    let query = || LogQuery::from(LogStart::Revision("main".to_owned()), 100);
    let tree = || TreeQuery {
        revision: "main".to_owned(),
        path: RepositoryPath::root(),
        recursive: true,
        window: TreeWindow::Skip(0),
        limit: 10,
    };
    let (begun, mut reads) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        let commits = forge.engine.log(1, query()).await.unwrap().unwrap();
        assert_eq!(commits.len(), 21);
        let file = forge.engine.file(1, "main", path("file"), 100).await.unwrap().unwrap();
        assert_eq!(file.blob.content.as_deref(), Some(&b"commit 19"[..]));
        assert_eq!(forge.engine.tree(1, tree()).await.unwrap().unwrap().total, 1);
        reads += 1;
    }
    done.store(true, Ordering::Relaxed);
    let rounds = tidying.join().unwrap();
    assert!(reads > 10 && rounds > 3, "{reads} reads, {rounds} rounds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_ends_with_its_client() {
    let forge = Forge::new().await;
    with_large_file(&forge, 32 * 1024 * 1024).await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let commit = forge.engine.find_commit(1, "main").await.unwrap().unwrap();
    let mut archive =
        forge.engine.archive(1, &commit.id, None, ArchiveFormat::Tar, "../a b").await.unwrap().body;
    let first = archive.next().await.unwrap().unwrap();
    // The folder's name cannot lead anywhere.
    assert!(String::from_utf8_lossy(&first).contains("..-a-b/"), "{:?}", &first[..64]);
    assert_eq!(forge.engine.stats().running, 1);
    drop(archive);
    assert!(forge.quiet().await);

    let blob = forge.engine.file(1, "main", path("large"), 10).await.unwrap().unwrap().blob;
    assert_eq!((blob.size, blob.content), (32 * 1024 * 1024, None));
    let mut bytes = forge.engine.blob_bytes(1, &blob.id).await.unwrap().body;
    bytes.next().await.unwrap().unwrap();
    drop(bytes);
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_away_is_not_read_any_more() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let commit = forge.engine.find_commit(1, "main").await.unwrap().unwrap();
    forge.engine.delete(1).await.unwrap();
    assert!(matches!(forge.engine.find_commit(1, "main").await, Err(Error::NotFound)));
    assert!(matches!(forge.engine.branches(1).await, Err(Error::NotFound)));
    assert!(matches!(forge.engine.blame(1, &commit.id, path("file"), None).await, Err(Error::NotFound)));
    assert!(matches!(forge.engine.diff(1, None, &commit.id, 0, 10).await, Err(Error::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_commit_is_found_among_others() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["checkout", "-q", "-b", "side"]).await;
    forge.git("work", &["commit", "-q", "--allow-empty", "-m", "side"]).await;
    forge.git("work", &["checkout", "-q", "main"]).await;
    forge.git("work", &["commit", "-q", "--allow-empty", "-m", "second"]).await;
    forge.git("work", &["tag", "second"]).await;
    forge.git("work", &["merge", "-q", "--no-ff", "-m", "merge", "side"]).await;
    forge.git("work", &["push", "-q", "origin", "main", "side", "second"]).await;
    let mut ids = Vec::new();
    for name in ["main~2", "side", "second", "main"] {
        ids.push(ObjectId::parse(forge.id_of(name).await.trim()).unwrap());
    }
    let [first, side, second, merge] = &ids[..] else { unreachable!() };
    let missing = ObjectId::parse(&"1".repeat(40)).unwrap();
    let all = [first.clone(), side.clone(), second.clone(), merge.clone(), missing];
    for (commit, expected) in
        [(first, vec![side, second, merge]), (side, vec![merge]), (second, vec![merge]), (merge, vec![])]
    {
        let found = forge.engine.descendants_among(1, commit, &all).await.unwrap();
        assert_eq!(found, expected.into_iter().cloned().collect(), "{commit}");
    }
    assert!(forge.engine.descendants_among(1, first, &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_commits_are_no_expressions() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.commit("second").await;
    forge.git("work", &["tag", "-a", "-m", "a tag", "annotated"]).await;
    forge.git("work", &["tag", "-a", "-m", "a tag of a tag", "twice", "annotated"]).await;
    let tree = forge.id_of("main^{tree}").await;
    forge.git("work", &["tag", "folder", &tree]).await;
    forge.git("work", &["push", "-q", "--tags", "origin", "main"]).await;
    forge.engine.create(2, ObjectFormat::Sha256, "main").await.unwrap();
    let id = forge.id_of("main").await;
    let tag = forge.id_of("twice").await;
    let found = async |name: &str| {
        forge.engine.find_commit(1, name).await.unwrap().map(|commit| commit.id.to_string())
    };
    for name in
        ["", "HEAD", "main", "annotated", "twice", "refs/tags/twice", &id, &tag, &id[..4], &id.to_uppercase()]
    {
        assert_eq!(found(name).await.as_deref(), Some(&*id), "{name:?}");
    }
    for name in [
        "folder",
        &tree,
        &id[..3],
        "main^",
        "main~1",
        "main@{0}",
        "@",
        ":/second",
        "main:file",
        "-main",
        "main\n",
        "../../HEAD",
        "refs/heads",
        "refs/heads/../../HEAD",
        "^main",
        "a..b",
        &"0".repeat(40),
        &"0".repeat(64),
    ] {
        assert_eq!(found(name).await, None, "{name:?}");
    }
    assert_eq!(forge.engine.find_commit(2, &id).await.unwrap(), None);
    let tags = forge.engine.tags(1).await.unwrap();
    let described = forge.engine.described_tags(1, tags).await.unwrap();
    let messages: Vec<_> = described
        .iter()
        .map(|tag| {
            (
                tag.name.tag().unwrap(),
                tag.annotation.as_ref().map(|said| said.message.trim_end()),
                tag.commit.is_some(),
            )
        })
        .collect();
    assert_eq!(
        messages,
        [
            ("annotated", Some("a tag"), true),
            ("folder", None, false),
            ("twice", Some("a tag of a tag"), true)
        ]
    );
}

/// The newest commits are walked here and not by git: histories with merges, with several roots, and with commits whose
/// times are equal or run backwards.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_commits_come_in_the_order_of_git() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let mut number = 7_u64;
    let mut random = |below: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % below
    };
    let mut input = String::new();
    for mark in 1..=300_u64 {
        let (time, message) = (1_700_000_000 + mark / 3 + random(6), format!("commit {mark}"));
        input += &format!("commit refs/heads/line-{}\nmark :{mark}\n", random(4));
        input += &format!("committer A <a@example.com> {time} +0000\ndata {}\n{message}\n", message.len());
        let parents = if mark == 1 { 0 } else { [1, 1, 1, 2, 3][random(5) as usize] };
        let mut chosen: Vec<_> = (0..parents).map(|_| mark - 1 - random((mark - 1).min(12))).collect();
        chosen.dedup();
        for (place, parent) in chosen.iter().enumerate() {
            input += &format!("{} :{parent}\n", if place == 0 { "from" } else { "merge" });
        }
        if chosen.is_empty() {
            input += "deleteall\n";
        }
        input += &format!("M 100644 inline f{}\ndata 1\nx\n", random(50));
    }
    input += "commit refs/heads/all\ncommitter A <a@example.com> 1700000000 +0000\ndata 1\nx\n";
    input += "from :300\nmerge :299\nmerge :298\nmerge :297\nmerge :290\n";
    let file = forge.path("history");
    std::fs::write(&file, input).unwrap();
    let mut import = crate::forge::client(&forge.path("."), "work", &["fast-import", "--quiet", "--force"]);
    import.stdin(std::fs::File::open(&file).unwrap());
    assert!(import.status().await.unwrap().success());
    forge.git("work", &["push", "-q", "origin", "all"]).await;
    let graphs = forge.engine.path(1).join("objects/info/commit-graphs");
    assert!(compare_with_git(&forge).await > 300);

    forge.engine.housekeeping(1).await.unwrap();
    assert!(graphs.join("commit-graph-chain").exists(), "housekeeping wrote no commit-graph");
    assert!(compare_with_git(&forge).await > 300, "by the commit-graph");

    let newer = ["commit-tree", "all^{tree}", "-p", "all", "-p", "line-1", "-p", "all~3", "-m", "newer"];
    let newer = forge.git("work", &newer).await;
    forge.git("work", &["update-ref", "refs/heads/all", newer.trim()]).await;
    forge.git("work", &["push", "-q", "origin", "all"]).await;
    assert!(compare_with_git(&forge).await > 300, "by a commit-graph that does not know the newest commit");

    for file in std::fs::read_dir(&graphs).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "graph") {
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, "damaged").unwrap();
        }
    }
    // Opened anew, as after a restart.
    forge.git("work", &["push", "-q", "origin", "all:refs/heads/another"]).await;
    assert!(compare_with_git(&forge).await > 300, "beside a damaged commit-graph");
}

/// Compares pages of the branch `all` with what git says, and returns how many commits were compared.
async fn compare_with_git(forge: &Forge) -> usize {
    let mut walked = 0;
    for (skip, limit, first_parent) in
        [(0, 1000, false), (0, 20, false), (37, 50, false), (0, 1000, true), (999, 1, false)]
    {
        let mut query = LogQuery::from(LogStart::Revision("all".to_owned()), limit);
        (query.skip, query.first_parent) = (skip, first_parent);
        let ours: Vec<_> = forge
            .engine
            .log(1, query)
            .await
            .unwrap()
            .unwrap()
            .iter()
            .map(|commit| commit.id.to_string())
            .collect();
        let (skip, count) = (format!("--skip={skip}"), format!("--max-count={limit}"));
        let mut arguments = vec!["rev-list", &skip, &count, "all"];
        if first_parent {
            arguments.push("--first-parent");
        }
        let theirs = forge.git("work", &arguments).await;
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>(), "{arguments:?}");
        walked += ours.len();
    }
    walked
}
