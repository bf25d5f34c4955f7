//! Limits: how many run at once, how long, how large, and that nothing is left when the caller goes.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use portcullis_git::{Engine, Error, ObjectFormat, PushJudge, Service, Settings};

use crate::forge::{Forge, Policy, ZERO, collect, eventually, packet, push_head, text, write_noise};

/// A work tree with one large file that does not compress, pushed to repository 1.
pub async fn with_large_file(forge: &Forge, bytes: usize) {
    forge.work_tree().await;
    write_noise(&forge.path("work/large"), bytes);
    forge.git("work", &["config", "core.compression", "0"]).await;
    forge.git("work", &["config", "core.bigFileThreshold", "1m"]).await;
    forge.git("work", &["add", "large"]).await;
    forge.git("work", &["commit", "-q", "-m", "large"]).await;
}

/// A fetch in version 0 of everything on `main`.
async fn want_main(forge: &Forge) -> Bytes {
    let tip = forge.id_of("main").await;
    let mut body = packet(&format!("want {tip} side-band-64k ofs-delta\n"));
    body.extend_from_slice(b"0000");
    body.extend_from_slice(&packet("done\n"));
    body.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_places_are_taken_others_are_told_to_come_back() {
    let forge = Forge::with(|settings| {
        settings.max_processes = 1;
        settings.queue_length = 1;
        settings.queue_wait = Duration::from_millis(300);
    })
    .await;
    forge.engine.create(2, ObjectFormat::Sha1, "main").await.unwrap();
    for id in [1, 2] {
        crate::forge::first_commit(&forge.engine, id).await;
    }
    let held = forge.engine.advertise(1, Service::UploadPack, None).await.unwrap();
    assert_eq!(forge.engine.stats().running, 1);
    let refused = forge.engine.advertise(2, Service::UploadPack, None).await;
    assert!(matches!(refused, Err(Error::Overloaded { retry_after }) if !retry_after.is_zero()));
    assert_eq!(forge.engine.stats().refused_total, 1);
    // The place is held as long as the answer, not as long as the process.
    let waiting = tokio::spawn({
        let engine = forge.engine.clone();
        async move { engine.advertise(2, Service::UploadPack, None).await.map(|_| ()) }
    });
    assert!(eventually(|| forge.engine.stats().waiting == 1).await);
    drop(held);
    waiting.await.unwrap().unwrap();
    assert!(forge.engine.wait_until_idle(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_takes_its_processes_with_it() {
    let forge = Forge::new().await;
    with_large_file(&forge, 20 * 1024 * 1024).await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    assert!(forge.quiet().await);

    let request = stream::iter([Ok(want_main(&forge).await)]);
    let mut exchange = forge.engine.upload_pack(1, None, request).await.unwrap();
    exchange.body.next().await.unwrap().unwrap();
    assert!(!crate::forge::git_processes(forge.folder.path()).is_empty());
    let before = Instant::now();
    drop(exchange);
    assert!(forge.quiet().await, "a fetch outlived its client");
    assert!(before.elapsed() < Duration::from_secs(1));

    // A push that stops in the middle of its pack, without having been answered.
    forge.commit("next").await;
    let pack = forge.pack("main\n^main~1\n").await;
    let tip = forge.id_of("main").await;
    let head = push_head(&forge.id_of("main~1").await, &tip, "refs/heads/main");
    let half = stream::iter([Ok(Bytes::from(head)), Ok(Bytes::copy_from_slice(&pack[..pack.len() / 2]))]);
    let engine = forge.engine.clone();
    let judge = Arc::clone(&forge.judge) as Arc<dyn PushJudge>;
    let push = tokio::spawn(async move {
        engine.receive_pack(1, None, half.chain(stream::pending()), judge).await.map(|_| ())
    });
    assert!(eventually(|| !crate::forge::git_processes(forge.folder.path()).is_empty()).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    push.abort();
    assert!(forge.quiet().await, "a push outlived its client");
    assert!(eventually(|| forge.engine.stats().running == 0).await);
    assert_eq!(forge.branches().await, [format!("main {}", forge.id_of("main~1").await)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_client_goes_while_it_is_judged_does_not_happen() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.set_policy(Policy::WaitBefore);
    let body =
        [push_head(ZERO, &forge.id_of("main").await, "refs/heads/main"), forge.pack("main\n").await].concat();
    let engine = forge.engine.clone();
    let judge = Arc::clone(&forge.judge) as Arc<dyn PushJudge>;
    let push = tokio::spawn(async move {
        engine.receive_pack(1, None, stream::iter([Ok(Bytes::from(body))]), judge).await.map(|_| ())
    });
    forge.judge.reached.notified().await;
    push.abort();
    let _ = push.await;
    forge.judge.go_on.notify_one();
    assert!(forge.quiet().await);
    assert!(forge.branches().await.is_empty());
    assert!(forge.judge.completed.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_has_happened_is_told_even_when_the_client_has_gone() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.set_policy(Policy::WaitAfter);
    let tip = forge.id_of("main").await;
    let body = [push_head(ZERO, &tip, "refs/heads/main"), forge.pack("main\n").await].concat();
    let judge = Arc::clone(&forge.judge) as Arc<dyn PushJudge>;
    let exchange =
        forge.engine.receive_pack(1, None, stream::iter([Ok(Bytes::from(body))]), judge).await.unwrap();
    forge.judge.reached.notified().await;
    drop(exchange);
    forge.judge.go_on.notify_one();
    assert!(eventually(|| forge.judge.completed.lock().unwrap().len() == 1).await);
    assert_eq!(forge.branches().await, [format!("main {tip}")]);
    assert!(forge.quiet().await);
    assert!(eventually(|| forge.engine.stats().running == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_push_ends_properly_when_its_client_goes_before_the_report() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    // The refs have moved, and git takes its time before it says so.
    forge.once_moved("sleep 1");
    let tip = forge.id_of("main").await;
    let body = [push_head(ZERO, &tip, "refs/heads/main"), forge.pack("main\n").await].concat();
    let engine = forge.engine.clone();
    let judge = Arc::clone(&forge.judge) as Arc<dyn PushJudge>;
    let push = tokio::spawn(async move {
        let exchange = engine.receive_pack(1, None, stream::iter([Ok(Bytes::from(body))]), judge).await;
        collect(exchange.unwrap()).await
    });
    let branch = forge.engine.path(1).join("refs/heads/main");
    assert!(eventually(|| branch.exists()).await);
    push.abort();
    assert!(push.await.unwrap_err().is_cancelled());
    assert!(forge.judge.completed.lock().unwrap().is_empty());
    assert!(eventually(|| forge.judge.completed.lock().unwrap().len() == 1).await, "a push was forgotten");
    assert!(forge.quiet().await);
    assert!(eventually(|| forge.engine.stats().running == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_repository_ends_what_runs_on_it() {
    let forge = Forge::new().await;
    with_large_file(&forge, 20 * 1024 * 1024).await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let request = stream::iter([Ok(want_main(&forge).await)]);
    let mut exchange = forge.engine.upload_pack(1, None, request).await.unwrap();
    exchange.body.next().await.unwrap().unwrap();
    forge.engine.delete(1).await.unwrap();
    assert!(forge.quiet().await);
    assert!(collect(exchange).await.is_err(), "a cut answer looked whole");
    assert!(!forge.engine.exists(1).await.unwrap());
    assert!(matches!(forge.engine.advertise(1, Service::ReceivePack, None).await, Err(Error::NotFound)));
    forge.engine.delete(1).await.unwrap();
    forge.engine.empty_trash().await.unwrap();
    assert_eq!(std::fs::read_dir(forge.path("repositories/@trash")).unwrap().count(), 0);
}

/// Writes a stand-in for git that says its version and otherwise runs `script`.
pub fn stand_in(folder: &std::path::Path, script: &str) -> std::path::PathBuf {
    let path = folder.join("git-stand-in");
    let text =
        format!("#!/bin/sh\nif [ \"$1\" = version ]; then echo git version 2.45.0; exit; fi\n{script}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn engine_with(folder: &std::path::Path, script: &str) -> Engine {
    let mut settings = Settings::new(folder.join("repositories"), "/bin/false");
    settings.git = stand_in(folder, script);
    settings.exit_limit = Duration::from_millis(200);
    settings.idle_limit = Duration::from_millis(500);
    let engine = Engine::open(settings).await.unwrap();
    engine.create(1, ObjectFormat::Sha1, "main").await.unwrap();
    // Without a ref, git would not be asked for an advertisement.
    std::fs::write(engine.path(1).join("refs/heads/main"), "a".repeat(40)).unwrap();
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_that_closes_its_output_and_hangs_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    // It also leaves a child of its own, which holds nothing but would stay.
    let script = "echo hello; sleep 61 & exec >&- 2>&- <&-; sleep 62";
    let engine = engine_with(folder.path(), script).await;
    let exchange = engine.advertise(1, Service::UploadPack, None).await.unwrap();
    let before = Instant::now();
    assert!(collect(exchange).await.is_err());
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(engine.stats().killed_total, 1);
    assert!(eventually(|| engine.stats().running == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_that_says_nothing_for_too_long_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine_with(folder.path(), "sleep 63").await;
    let before = Instant::now();
    assert!(engine.advertise(1, Service::UploadPack, None).await.is_err());
    assert!(before.elapsed() < Duration::from_secs(5));
    assert!(eventually(|| engine.stats().running == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_or_missing_git_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |git: &std::path::Path| {
        let mut settings = Settings::new(folder.path().join("repositories"), "/bin/false");
        settings.git = git.to_owned();
        Engine::open(settings).await.map(|_| ()).unwrap_err().to_string()
    };
    let old = folder.path().join("old");
    std::fs::write(&old, "#!/bin/sh\necho git version 2.38.1\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = open(&old).await;
    assert!(said.contains("git 2.39 or newer is needed") && said.contains("2.38.1"), "{said}");
    assert!(open(std::path::Path::new("no-such-git")).await.contains("git is not installed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_push_is_bounded() {
    let forge = Forge::with(|settings| settings.max_push_bytes = Some(1024 * 1024)).await;
    with_large_file(&forge, 3 * 1024 * 1024).await;
    let pushed = forge.try_git("work", &["push", "origin", "main"]).await;
    assert!(!pushed.status.success());
    assert!(text(&pushed).contains("exceeds maximum allowed size"), "{}", text(&pushed));
    assert!(forge.branches().await.is_empty());
    assert!(forge.judge.proposed.lock().unwrap().is_empty());
    forge.assert_whole().await;
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_push_and_clone_need_little_memory() {
    let forge = Forge::new().await;
    with_large_file(&forge, 200 * 1024 * 1024).await;
    let before = memory_kib("VmRSS:");
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.git(".", &["clone", "-q", "--bare", &forge.url(1), "copy"]).await;
    // The high-water mark of the whole test process, so other tests count as well.
    let growth = memory_kib("VmHWM:").saturating_sub(before);
    assert!(growth < 64 * 1024, "{growth} KiB");
    assert!(forge.quiet().await);
}

fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
