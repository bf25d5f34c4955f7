//! Fetches that are repeated: what is kept, for whom, and when it goes.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use portcullis_git::{Engine, Error, Exchange, GitProtocol, ObjectFormat, Settings};
use tempfile::TempDir;

use crate::forge::{Forge, Policy, eventually, git_processes, packet};
use crate::limits::{stand_in, with_large_file};

/// A fetch in version 2 with these arguments.
fn fetch(arguments: &[&str]) -> Bytes {
    let mut body = packet("command=fetch");
    body.extend(packet("object-format=sha1"));
    body.extend(b"0001");
    for argument in ["no-progress\n", "ofs-delta\n"].iter().chain(arguments) {
        body.extend(packet(argument));
    }
    body.extend(b"0000");
    body.into()
}

/// A fetch of everything that a revision of the work tree reaches.
async fn clone_of(forge: &Forge, revision: &str) -> Bytes {
    fetch(&["include-tag\n", &format!("want {}\n", forge.id_of(revision).await), "done\n"])
}

async fn ask(engine: &Engine, body: &Bytes) -> Result<Exchange, Error> {
    let two = GitProtocol::parse("version=2").unwrap();
    engine.upload_pack(1, Some(&two), stream::iter([Ok(body.clone())])).await
}

async fn read(mut exchange: Exchange) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = exchange.body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

async fn answer(engine: &Engine, body: &Bytes) -> Vec<u8> {
    read(ask(engine, body).await.unwrap()).await.unwrap()
}

fn started(engine: &Engine) -> u64 {
    engine.stats().started_total
}

/// Returns how many objects the pack of an answer has.
fn objects(answer: &[u8]) -> u32 {
    let at = answer.windows(8).position(|bytes| bytes == b"PACK\0\0\0\x02").unwrap() + 8;
    u32::from_be_bytes(answer[at..at + 4].try_into().unwrap())
}

/// A repository with one large file, and a request for all of it.
async fn large() -> (Forge, Bytes) {
    large_with(|_| {}).await
}

async fn large_with(change: impl FnOnce(&mut Settings)) -> (Forge, Bytes) {
    let forge = Forge::with(change).await;
    with_large_file(&forge, 3 * 1024 * 1024).await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let body = clone_of(&forge, "main").await;
    (forge, body)
}

/// An engine whose git is a script.
struct Scripted {
    engine: Engine,
    folder: TempDir,
}

/// The part of a script that waits to be told to go on.
const WAIT: &str = "while [ ! -e \"$0-goes-on\" ]; do sleep 0.02; done";

impl Scripted {
    async fn new(script: &str, change: impl FnOnce(&mut Settings)) -> Scripted {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("repositories"), "/bin/false");
        settings.git = stand_in(folder.path(), script);
        change(&mut settings);
        let engine = Engine::open(settings).await.unwrap();
        engine.create(1, ObjectFormat::Sha1, "main").await.unwrap();
        Scripted { engine, folder }
    }

    fn go_on(&self) {
        std::fs::write(self.folder.path().join("git-stand-in-goes-on"), "").unwrap();
    }

    fn stop(&self) {
        std::fs::remove_file(self.folder.path().join("git-stand-in-goes-on")).unwrap();
    }

    /// Lets a request be seen, without anything being learned from it.
    async fn see(&self, body: &Bytes) {
        drop(ask(&self.engine, body).await);
        assert!(eventually(|| self.processes().is_empty()).await);
    }

    fn processes(&self) -> Vec<i32> {
        git_processes(self.folder.path())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_who_asks_the_same_gets_what_the_second_got() {
    let (forge, long) = large().await;
    let tip = format!("want {}\n", forge.id_of("main").await);
    let short = fetch(&[&tip, "filter blob:none\n", "done\n"]);
    for body in [short, long] {
        let (before, bytes_before) = (forge.engine.stats(), forge.engine.stats().answer_bytes);
        answer(&forge.engine, &body).await;
        let second = answer(&forge.engine, &body).await;
        assert_eq!(started(&forge.engine), before.started_total + 2);
        assert_eq!(forge.engine.stats().answers_reused_total, before.answers_reused_total);
        for _ in 0..3 {
            assert!(answer(&forge.engine, &body).await == second, "{} bytes", second.len());
        }
        assert_eq!(started(&forge.engine), before.started_total + 2);
        assert_eq!(forge.engine.stats().answers_reused_total, before.answers_reused_total + 3);
        assert_eq!(forge.engine.stats().answer_bytes, bytes_before + second.len() as u64);
    }
    // Nothing of it has a name.
    let own = std::fs::read_dir(forge.path("repositories/@server")).unwrap();
    let mut names: Vec<_> = own.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["home", "hooks"]);
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_from_a_kept_answer_is_a_clone() {
    let (forge, _) = large().await;
    let mut processes = Vec::new();
    for target in ["one", "two", "three", "four"] {
        let before = started(&forge.engine);
        forge.git(".", &["clone", "-q", &forge.url(1), target]).await;
        processes.push(started(&forge.engine) - before);
        forge.git(target, &["fsck", "--strict"]).await;
        assert_eq!(forge.git(target, &["rev-parse", "HEAD"]).await.trim(), forge.id_of("main").await);
    }
    // The first asks for the capabilities too. All ask for the refs.
    assert_eq!(processes, [3, 2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_start_one_process() {
    let script = format!("cat >/dev/null; {WAIT}; head -c 300000 /dev/zero");
    let scripted = Scripted::new(&script, |_| {}).await;
    let body = fetch(&["done\n"]);
    scripted.go_on();
    answer(&scripted.engine, &body).await;
    scripted.stop();
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let (engine, body) = (scripted.engine.clone(), body.clone());
            tokio::spawn(async move { answer(&engine, &body).await })
        })
        .collect();
    assert!(eventually(|| scripted.engine.stats().running == 1).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    scripted.go_on();
    for asked in asking {
        assert_eq!(asked.await.unwrap().len(), 300_000);
    }
    assert_eq!(started(&scripted.engine), 2);
    assert_eq!(scripted.engine.stats().answers_reused_total, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_push_has_brought_is_in_the_next_answer() {
    let (forge, body) = large().await;
    let mut before = 0;
    for _ in 0..3 {
        before = objects(&answer(&forge.engine, &body).await);
    }
    assert!(forge.engine.stats().answer_bytes > 0);
    // The same commit is asked for, and a tag of it comes along.
    forge.git("work", &["tag", "-a", "-m", "one", "v1"]).await;
    forge.git("work", &["push", "-q", "origin", "v1"]).await;
    assert_eq!(forge.engine.stats().answer_bytes, 0);
    assert_eq!(objects(&answer(&forge.engine, &body).await), before + 1);
    assert_eq!(objects(&answer(&forge.engine, &body).await), before + 1);

    // It is so as soon as the refs have moved, however long the judge takes to hear of it.
    assert!(forge.engine.stats().answer_bytes > 0);
    forge.set_policy(Policy::WaitAfter);
    forge.git("work", &["tag", "-a", "-m", "two", "v2"]).await;
    let push = async { forge.git("work", &["push", "-q", "origin", "v2"]).await };
    let look = async {
        forge.judge.reached.notified().await;
        assert_eq!(forge.engine.stats().answer_bytes, 0);
        assert_eq!(objects(&answer(&forge.engine, &body).await), before + 2);
        forge.judge.go_on.notify_one();
    };
    tokio::join!(push, look);

    // And also if nobody tells us.
    forge.set_policy(Policy::Accept);
    assert!(forge.engine.stats().answer_bytes > 0);
    forge.once_moved("kill -9 $PPID");
    forge.git("work", &["tag", "-a", "-m", "three", "v3"]).await;
    assert!(!forge.try_git("work", &["push", "-q", "origin", "v3"]).await.status.success());
    assert!(eventually(|| forge.engine.stats().answer_bytes == 0).await);
    assert_eq!(objects(&answer(&forge.engine, &body).await), before + 3);

    // A push that is refused changes nothing.
    forge.once_moved("true");
    forge.set_policy(Policy::Refuse(vec!["No.".into()]));
    answer(&forge.engine, &body).await;
    let kept = forge.engine.stats().answer_bytes;
    assert!(kept > 0);
    forge.git("work", &["tag", "-a", "-m", "four", "v4"]).await;
    assert!(!forge.try_git("work", &["push", "-q", "origin", "v4"]).await.status.success());
    assert_eq!(forge.engine.stats().answer_bytes, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_repository_answers_nothing() {
    let (forge, body) = large().await;
    for _ in 0..2 {
        answer(&forge.engine, &body).await;
    }
    let mut begun = ask(&forge.engine, &body).await.unwrap();
    begun.body.next().await.unwrap().unwrap();
    forge.engine.delete(1).await.unwrap();
    assert!(matches!(ask(&forge.engine, &body).await, Err(Error::NotFound)));
    // Who had been let in before may finish, because the answer was whole.
    assert!(read(begun).await.is_ok());
    assert!(eventually(|| forge.engine.stats().answer_bytes == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_repository_breaks_an_answer_that_is_being_written() {
    let scripted = Scripted::new("cat >/dev/null; printf 0008abcd; sleep 64", |_| {}).await;
    let body = fetch(&["done\n"]);
    scripted.see(&body).await;
    let begun = ask(&scripted.engine, &body).await.unwrap();
    scripted.engine.delete(1).await.unwrap();
    assert!(read(begun).await.is_err(), "a cut answer looked whole");
    assert!(eventually(|| scripted.processes().is_empty()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_that_is_killed_breaks_the_answer_of_all() {
    let scripted = Scripted::new("cat >/dev/null; head -c 300000 /dev/zero; sleep 65", |_| {}).await;
    let body = fetch(&["done\n"]);
    scripted.see(&body).await;
    let mut following = Vec::new();
    for _ in 0..3 {
        following.push(ask(&scripted.engine, &body).await.unwrap());
    }
    // A shell that is about to start a child shows twice.
    assert!(eventually(|| scripted.processes().len() == 1).await);
    let processes = scripted.processes();
    let killed = std::process::Command::new("kill").arg("-9").arg(processes[0].to_string()).status();
    assert!(killed.unwrap().success());
    for exchange in following {
        assert!(read(exchange).await.is_err(), "a cut answer looked whole");
    }
    assert!(eventually(|| scripted.engine.stats().answer_bytes == 0).await);
    // Nobody gets the broken one afterwards.
    let before = started(&scripted.engine);
    drop(ask(&scripted.engine, &body).await.unwrap());
    assert_eq!(started(&scripted.engine), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_is_killed_when_the_last_one_leaves_and_not_before() {
    let script = format!("cat >/dev/null; printf 0008abcd; {WAIT}; printf 0000");
    let scripted = Scripted::new(&script, |_| {}).await;
    let body = fetch(&["done\n"]);
    scripted.see(&body).await;
    let killed = scripted.engine.stats().killed_total;
    let first = ask(&scripted.engine, &body).await.unwrap();
    let second = ask(&scripted.engine, &body).await.unwrap();
    assert_eq!(scripted.engine.stats().answers_reused_total, 1);
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!scripted.processes().is_empty(), "the second one lost its answer");
    drop(second);
    assert!(eventually(|| scripted.processes().is_empty()).await);
    assert!(eventually(|| scripted.engine.stats().running == 0).await);
    assert_eq!(scripted.engine.stats().killed_total, killed + 1);
    assert!(eventually(|| scripted.engine.stats().answer_bytes == 0).await);

    // One that comes while another leaves gets all of it.
    let first = ask(&scripted.engine, &body).await.unwrap();
    let second = ask(&scripted.engine, &body).await.unwrap();
    drop(first);
    scripted.go_on();
    assert_eq!(read(second).await.unwrap(), b"0008abcd0000");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_beginning_and_leaves_counts_as_well() {
    let scripted = Scripted::new("cat >/dev/null; sleep 66", |_| {}).await;
    let body = fetch(&["done\n"]);
    let wait = async || tokio::time::timeout(Duration::from_millis(300), ask(&scripted.engine, &body)).await;
    assert!(wait().await.is_err());
    assert!(eventually(|| scripted.processes().is_empty()).await);
    let (one, two) = tokio::join!(wait(), wait());
    assert!(one.is_err() && two.is_err());
    assert!(eventually(|| scripted.processes().is_empty()).await);
    assert_eq!(started(&scripted.engine), 2);
    assert!(eventually(|| scripted.engine.stats().running == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_no_process_and_no_place() {
    let (forge, body) = large().await;
    answer(&forge.engine, &body).await;
    let slow = ask(&forge.engine, &body).await.unwrap();
    assert!(forge.quiet().await);
    assert!(eventually(|| forge.engine.stats().running == 0).await);
    assert_eq!(read(slow).await.unwrap(), answer(&forge.engine, &body).await);
    assert_eq!(forge.engine.stats().killed_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_let_go() {
    is_let_go(|settings| settings.idle_limit = Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_too_long_is_let_go() {
    is_let_go(|settings| settings.fetch_limit = Duration::from_secs(2)).await;
}

async fn is_let_go(change: impl FnOnce(&mut Settings)) {
    let (forge, body) = large_with(change).await;
    for _ in 0..2 {
        answer(&forge.engine, &body).await;
    }
    let mut idle = ask(&forge.engine, &body).await.unwrap();
    idle.body.next().await.unwrap().unwrap();
    forge.engine.delete(1).await.unwrap();
    assert!(forge.engine.stats().answer_bytes > 0, "a reader lost its answer");
    assert!(eventually(|| forge.engine.stats().answer_bytes == 0).await);
    assert!(read(idle).await.is_err(), "a cut answer looked whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_after_its_time_without_being_asked_for() {
    let scripted = Scripted::new("cat >/dev/null; head -c 300000 /dev/zero", |settings| {
        settings.answer_lifetime = Duration::from_secs(2);
    })
    .await;
    let body = fetch(&["done\n"]);
    for _ in 0..3 {
        answer(&scripted.engine, &body).await;
    }
    assert_eq!(started(&scripted.engine), 2);
    assert_eq!(scripted.engine.stats().answer_bytes, 300_000);
    assert!(eventually(|| scripted.engine.stats().answer_bytes == 0).await);
    // What was asked for too long ago does not count as a first time.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    answer(&scripted.engine, &body).await;
    assert_eq!((started(&scripted.engine), scripted.engine.stats().answer_bytes), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_computed_each_time() {
    // One answer may have 1 MiB, the packs have three.
    let forge = Forge::with(|settings| settings.answer_cache_bytes = 4 << 20).await;
    with_large_file(&forge, 3 * 1024 * 1024).await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let body = clone_of(&forge, "main").await;
    let before = started(&forge.engine);
    // The first does not finish, so nothing but the packs tells how large the answer is.
    drop(ask(&forge.engine, &body).await.unwrap());
    let second = ask(&forge.engine, &body).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(forge.engine.stats().answer_bytes, 0, "it was begun to be kept");
    drop(second);
    for _ in 0..2 {
        answer(&forge.engine, &body).await;
    }
    assert_eq!(started(&forge.engine), before + 4);
    assert_eq!(forge.engine.stats().answer_bytes, 0);
    // A short answer from a large repository is kept.
    let short = fetch(&[&format!("want {}\n", forge.id_of("main").await), "filter blob:none\n", "done\n"]);
    for _ in 0..3 {
        answer(&forge.engine, &short).await;
    }
    assert_eq!(started(&forge.engine), before + 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_with_its_length_once_that_is_known() {
    let (forge, _) = large().await;
    let body = fetch(&[&format!("want {}\n", forge.id_of("main").await), "filter blob:none\n", "done\n"]);
    // The first does not finish, so room is taken for all packs.
    drop(ask(&forge.engine, &body).await.unwrap());
    let length = answer(&forge.engine, &body).await.len() as u64;
    assert_eq!(forge.engine.stats().answer_bytes, length);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_outgrows_its_room_is_finished_and_not_kept() {
    let script = format!("cat >/dev/null; head -c 200000 /dev/zero; {WAIT}; head -c 300000 /dev/zero");
    let scripted = Scripted::new(&script, |settings| settings.answer_cache_bytes = 1_000_000).await;
    let body = fetch(&["done\n"]);
    scripted.see(&body).await;
    // The packs of an empty repository promise a short answer.
    let first = ask(&scripted.engine, &body).await.unwrap();
    let second = ask(&scripted.engine, &body).await.unwrap();
    assert_eq!(started(&scripted.engine), 2);
    scripted.go_on();
    assert_eq!(read(first).await.unwrap().len(), 500_000);
    assert_eq!(read(second).await.unwrap().len(), 500_000);
    assert!(eventually(|| scripted.engine.stats().answer_bytes == 0).await);
    answer(&scripted.engine, &body).await;
    answer(&scripted.engine, &body).await;
    assert_eq!(started(&scripted.engine), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_answer_makes_room() {
    // Four answers fit.
    let limit = |settings: &mut Settings| settings.answer_cache_bytes = 900_000;
    let scripted = Scripted::new("cat >/dev/null; head -c 200000 /dev/zero", limit).await;
    let bodies: Vec<_> = (0..6).map(|n| fetch(&[&format!("have {n:040}\n"), "done\n"])).collect();
    let keep = async |body| {
        for _ in 0..2 {
            answer(&scripted.engine, body).await;
        }
    };
    for body in &bodies[..5] {
        keep(body).await;
        assert!(scripted.engine.stats().answer_bytes <= 900_000);
    }
    assert_eq!(scripted.engine.stats().answer_bytes, 800_000);
    let before = started(&scripted.engine);
    // The younger ones are still there, so the oldest has gone.
    let mut reading = Vec::new();
    for body in &bodies[1..5] {
        let mut exchange = ask(&scripted.engine, body).await.unwrap();
        let first = exchange.body.next().await.unwrap().unwrap();
        reading.push((first.len(), exchange));
    }
    assert_eq!(started(&scripted.engine), before);
    // What is being read does not make room, so there is none.
    keep(&bodies[5]).await;
    answer(&scripted.engine, &bodies[5]).await;
    assert_eq!(started(&scripted.engine), before + 3);
    assert_eq!(scripted.engine.stats().answer_bytes, 800_000);
    for (first, exchange) in reading {
        assert_eq!(first + read(exchange).await.unwrap().len(), 200_000);
    }
    assert!(
        eventually_async(async || {
            let before = started(&scripted.engine);
            answer(&scripted.engine, &bodies[5]).await;
            started(&scripted.engine) == before
        })
        .await
    );
    assert_eq!(scripted.engine.stats().answer_bytes, 800_000);
}

async fn eventually_async(mut condition: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..50 {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_name_refs_or_speak_otherwise_are_computed_each_time() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.commit("second").await;
    forge.git("work", &["branch", "old", "main~1"]).await;
    forge.git("work", &["push", "-q", "origin", "main", "old"]).await;
    let tip = forge.id_of("main").await;
    let shallow = fetch(&[&format!("want {tip}\n"), "deepen-not refs/heads/old\n", "done\n"]);
    let before = started(&forge.engine);
    for _ in 0..3 {
        assert_eq!(objects(&answer(&forge.engine, &shallow).await), 3);
    }
    assert_eq!(started(&forge.engine), before + 3);
    let version_0 =
        [packet(&format!("want {tip} side-band-64k\n")), b"0000".to_vec(), packet("done\n")].concat();
    for _ in 0..3 {
        let body = stream::iter([Ok(Bytes::from(version_0.clone()))]);
        read(forge.engine.upload_pack(1, None, body).await.unwrap()).await.unwrap();
    }
    assert_eq!(started(&forge.engine), before + 6);
    // A fetch in version 2 is not one in another: what git makes of it is an error, each time.
    let body = fetch(&[&format!("want {tip}\n"), "done\n"]);
    for _ in 0..3 {
        let sent = forge.engine.upload_pack(1, None, stream::iter([Ok(body.clone())])).await;
        assert!(matches!(sent, Err(Error::BadRequest(_))), "{:?}", sent.err());
    }
    assert_eq!(started(&forge.engine), before + 9);
    assert_eq!(forge.engine.stats().answer_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_when_there_is_no_room_for_answers() {
    let forge = Forge::with(|settings| settings.answer_cache_bytes = 0).await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let body = clone_of(&forge, "main").await;
    let before = started(&forge.engine);
    for _ in 0..4 {
        answer(&forge.engine, &body).await;
    }
    assert_eq!(started(&forge.engine), before + 4);
    assert_eq!(forge.engine.stats().answer_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_all_and_kept_for_nobody() {
    let script = format!("cat >/dev/null; {WAIT}; echo 'fatal: no such luck' >&2; exit 128");
    let scripted = Scripted::new(&script, |_| {}).await;
    let body = fetch(&["done\n"]);
    scripted.go_on();
    let reason = async || match ask(&scripted.engine, &body).await {
        Err(Error::BadRequest(reason)) => reason,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was answered"),
    };
    assert_eq!(reason().await, "no such luck");
    scripted.stop();
    let later = async {
        assert!(eventually(|| started(&scripted.engine) == 2).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
        scripted.go_on();
    };
    let (one, two, three, ()) = tokio::join!(reason(), reason(), reason(), later);
    assert_eq!([one, two, three], ["no such luck"; 3]);
    // The first of the three failed for all, and then the others asked for themselves.
    assert_eq!(started(&scripted.engine), 4);
    assert!(eventually(|| scripted.engine.stats().answer_bytes == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_says_when_it_fails_is_told_and_not_kept() {
    let (forge, _) = large().await;
    let body = fetch(&[&format!("want {}\n", "5".repeat(40)), "done\n"]);
    let before = started(&forge.engine);
    for _ in 0..3 {
        let said = String::from_utf8(answer(&forge.engine, &body).await).unwrap();
        assert!(said.contains("ERR upload-pack: not our ref 555"), "{said}");
    }
    assert_eq!(started(&forge.engine), before + 3);
    assert!(eventually(|| forge.engine.stats().answer_bytes == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_breaks_one_answer_and_not_the_next() {
    let script = format!("cat >/dev/null; printf 0008abcd; {WAIT}; head -c 300000 /dev/zero");
    let scripted = Scripted::new(&script, |_| {}).await;
    let body = fetch(&["done\n"]);
    scripted.see(&body).await;
    let begun = ask(&scripted.engine, &body).await.unwrap();
    // A folder that has gone stands for a disk that is full: no file can be made.
    let own = scripted.folder.path().join("repositories/@server");
    let away = scripted.folder.path().join("away");
    std::fs::rename(&own, &away).unwrap();
    scripted.go_on();
    assert!(read(begun).await.is_err(), "a cut answer looked whole");
    assert!(eventually(|| scripted.processes().is_empty()).await);
    std::fs::rename(&away, &own).unwrap();
    assert_eq!(answer(&scripted.engine, &body).await.len(), 300_008);
    assert!(eventually(|| scripted.engine.stats().answer_bytes == 0).await);
    assert_eq!(started(&scripted.engine), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_repositories_never_share_an_answer() {
    let scripted = Scripted::new("cat >/dev/null; for last; do :; done; echo \"$last\"", |_| {}).await;
    scripted.engine.create(2, ObjectFormat::Sha1, "main").await.unwrap();
    let body = fetch(&["done\n"]);
    let two = GitProtocol::parse("version=2").unwrap();
    for id in [1, 2, 1, 2, 1, 2] {
        let sent = stream::iter([Ok(body.clone())]);
        let said = read(scripted.engine.upload_pack(id, Some(&two), sent).await.unwrap()).await.unwrap();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(Path::new(said.trim()), scripted.engine.path(id));
    }
    assert_eq!(scripted.engine.stats().answers_reused_total, 2);
}
