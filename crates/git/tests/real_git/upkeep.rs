//! Housekeeping.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use portcullis_git::HousekeepingSettings;

use crate::forge::Forge;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a file look older.
fn age(path: &Path, by: Duration) {
    let file = File::open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap() - by;
    file.set_modified(time).unwrap();
}

fn packs(forge: &Forge, extension: &str) -> usize {
    let folder = forge.engine.path(1).join("objects/pack");
    let files = fs::read_dir(folder).unwrap().flatten();
    files.filter(|entry| entry.path().extension().is_some_and(|found| found == extension)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_packs_become_few_and_clones_go_on_working() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    assert_eq!(forge.engine.housekeeping(1).await.unwrap().steps, Vec::<&str>::new());
    for n in 0..12 {
        forge.commit(&format!("commit {n}")).await;
        forge
            .git("work", &["push", "-q", "origin", "main", &format!("main:b{n}"), &format!("main:c{n}")])
            .await;
    }
    assert_eq!(packs(&forge, "pack"), 12);
    let report = forge.engine.housekeeping(1).await.unwrap();
    assert_eq!(report.steps, ["pack-refs", "geometric-repack", "commit-graph"]);
    assert!(packs(&forge, "pack") < 6);
    assert_eq!(packs(&forge, "bitmap"), 1);
    assert!(forge.engine.path(1).join("objects/pack/multi-pack-index").exists());
    assert_eq!(forge.branches().await.len(), 25);
    forge.assert_whole().await;
    // There is nothing left to do.
    assert_eq!(forge.engine.housekeeping(1).await.unwrap().steps, Vec::<&str>::new());

    forge.git(".", &["clone", "-q", &forge.url(1), "copy"]).await;
    forge.git("copy", &["fsck"]).await;
    forge.commit("after").await;
    forge.git("work", &["push", "-q", "origin", "main", ":b1"]).await;
    assert_eq!(forge.branches().await.len(), 24);
    forge.git("copy", &["pull", "-q"]).await;
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reaches_is_set_apart_and_deleted_when_it_is_old() {
    let forge = Forge::with(|settings| {
        settings.housekeeping =
            HousekeepingSettings { full_repack_every: 5 * DAY, ..settings.housekeeping.clone() };
    })
    .await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.commit("secret").await;
    let secret = forge.id_of("main").await;
    forge.git("work", &["push", "-q", "origin", "main:topic"]).await;
    forge.git("work", &["push", "-q", "origin", ":topic"]).await;
    let repository = forge.engine.path(1);
    let here = repository.to_str().unwrap().to_owned();
    let kept =
        async || forge.try_git(".", &["--git-dir", &here, "cat-file", "-e", &secret]).await.status.success();

    age(&repository.join("config"), 6 * DAY);
    let report = forge.engine.housekeeping(1).await.unwrap();
    assert_eq!(report.steps, ["full-repack", "commit-graph"]);
    assert!(kept().await, "a young object was deleted");
    assert_eq!(packs(&forge, "mtimes"), 1);
    forge.assert_whole().await;

    // Its age is recorded in the pack of unreachable objects, so the test shortens the limit and not the age.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut settings = portcullis_git::Settings::new(forge.path("repositories"), forge.path("hook"));
    settings.housekeeping.prune_after = Duration::ZERO;
    let engine = portcullis_git::Engine::open(settings).await.unwrap();
    age(&repository.join("housekeeping-full-repack"), 6 * DAY);
    assert_eq!(engine.housekeeping(1).await.unwrap().steps[0], "full-repack");
    assert!(!kept().await, "an old object was kept");
    forge.assert_whole().await;
    forge.git(".", &["clone", "-q", &forge.url(1), "copy"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debris_is_swept_by_age_and_nothing_else_is() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let repository = forge.engine.path(1);
    let debris = |suffix: &str| {
        fs::create_dir_all(repository.join(format!("objects/tmp_objdir-incoming-{suffix}/pack"))).unwrap();
        [
            format!("objects/pack/tmp_pack_{suffix}"),
            format!("objects/pack/.tmp-1-pack-{suffix}"),
            format!("objects/tmp_objdir-incoming-{suffix}/pack/tmp_pack_x"),
            format!("objects/pack/pack-{suffix}.keep"),
            format!("refs/heads/{suffix}.lock"),
            format!("{suffix}.lock"),
        ]
        .map(|name| repository.join(name))
    };
    let (old, young) = (debris("old"), debris("young"));
    for path in old.iter().chain(&young) {
        fs::write(path, "receive-pack 1 on here").unwrap();
    }
    let keep = repository.join("objects/pack/pack-by-hand.keep");
    fs::write(&keep, "important").unwrap();
    for path in old.iter().chain([&keep]) {
        age(path, 2 * DAY);
    }
    for folder in ["objects/tmp_objdir-incoming-old/pack", "objects/tmp_objdir-incoming-old"] {
        age(&repository.join(folder), 2 * DAY);
    }
    let report = forge.engine.housekeeping(1).await.unwrap();
    assert_eq!(report.stale_files_removed, 6);
    for path in &old {
        assert!(!path.exists(), "{} was kept", path.display());
    }
    for path in young.iter().chain([&keep]) {
        assert!(path.exists(), "{} was removed", path.display());
    }
    assert_eq!(forge.branches().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_housekeeping_runs_at_a_time_for_a_repository() {
    let forge = Forge::new().await;
    let file =
        File::options().create(true).append(true).open(forge.engine.path(1).join("housekeeping")).unwrap();
    file.lock().unwrap();
    assert!(forge.engine.housekeeping(1).await.unwrap().already_running);
    drop(file);
    assert!(!forge.engine.housekeeping(1).await.unwrap().already_running);
}

#[tokio::test(flavor = "multi_thread")]
async fn loose_objects_are_gathered() {
    let forge = Forge::with(|settings| settings.housekeeping.max_loose_objects = 2).await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.engine.housekeeping(1).await.unwrap();
    // Objects that something else has written into the repository, one by one.
    let here = forge.engine.path(1).to_str().unwrap().to_owned();
    forge.commit("loose").await;
    forge.git("work", &["-c", "receive.unpackLimit=1000", "push", "-q", &here, "main:loose"]).await;
    let report = forge.engine.housekeeping(1).await.unwrap();
    assert_eq!(report.steps, ["loose-repack", "commit-graph"]);
    assert_eq!(forge.branches().await.len(), 2);
    forge.assert_whole().await;
}
