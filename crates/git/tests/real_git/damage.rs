//! Damage: broken bodies, bad objects, servers that are killed.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_git::{Engine, ObjectFormat, PushJudge, Settings};
use tokio::io::AsyncWriteExt;

use crate::forge::{
    Forge, Judge, ZERO, client, eventually, git_processes, hook_script, push_head, text, write_noise,
};
use crate::server;

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_push_changes_nothing() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let tip = forge.id_of("main").await;
    let body = [push_head(ZERO, &tip, "refs/heads/main"), forge.pack("main\n").await].concat();
    for length in [1, 3, 4, 60, body.len() / 2, body.len() - 21, body.len() - 1] {
        let cut = Bytes::copy_from_slice(&body[..length]);
        // A body that just ends, and one that breaks.
        let _ = forge.push_body(vec![Ok(cut.clone())]).await;
        let broken = forge.push_body(vec![Ok(cut), Err(io::ErrorKind::ConnectionReset.into())]).await;
        assert!(broken.is_err(), "cut at {length}: {broken:?}");
        assert!(forge.branches().await.is_empty(), "cut at {length}");
    }
    // Even whole, it does not count when the connection broke before its end was known.
    let broken =
        forge.push_body(vec![Ok(body.clone().into()), Err(io::ErrorKind::ConnectionReset.into())]).await;
    assert!(broken.is_err());
    assert!(forge.quiet().await);
    assert!(forge.branches().await.is_empty());
    assert!(forge.push_body(vec![Ok(body.into())]).await.unwrap().contains("ok refs/heads/main"));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_packets_are_refused() {
    let forge = Forge::new().await;
    for body in ["zzzz", "0001", "0005", "ffff", "0000trailing", "0032hello world", "-123"] {
        let _ = forge.push_body(vec![Ok(Bytes::copy_from_slice(body.as_bytes()))]).await;
        assert!(forge.quiet().await, "{body:?} left a process");
    }
    assert!(forge.judge.proposed.lock().unwrap().is_empty());
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_objects_are_refused_whatever_the_client_thinks() {
    let forge = Forge::new().await;
    forge.work_tree().await;
    let write = async |kind: &str, content: &[u8]| {
        let mut command =
            client(forge.folder.path(), "work", &["hash-object", "-w", "--literally", "--stdin", "-t", kind]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).await.unwrap();
        String::from_utf8(child.wait_with_output().await.unwrap().stdout).unwrap().trim().to_owned()
    };
    let blob = write("blob", b"hello").await;
    let raw: Vec<u8> = (0..20).map(|n| u8::from_str_radix(&blob[2 * n..2 * n + 2], 16).unwrap()).collect();
    let tree = write("tree", &[b"100644 .git\0".as_slice(), &raw].concat()).await;
    let dot_git = write(
        "commit",
        format!("tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nevil\n").as_bytes(),
    )
    .await;
    let no_author =
        write("commit", format!("tree {}\n\nevil\n", forge.id_of("main^{tree}").await).as_bytes()).await;
    for (commit, reason) in [(dot_git, "hasDotgit"), (no_author, "missingAuthor")] {
        let pushed = forge.try_git("work", &["push", "origin", &format!("{commit}:refs/heads/main")]).await;
        assert!(!pushed.status.success());
        assert!(text(&pushed).contains(reason), "{}", text(&pushed));
    }
    // Objects that are promised and not sent.
    let tip = forge.id_of("main").await;
    let nothing = forge.pack("main\n^main\n").await;
    let answer = forge
        .push_body(vec![Ok([push_head(ZERO, &tip, "refs/heads/main"), nothing].concat().into())])
        .await
        .unwrap();
    assert!(!answer.contains("ok refs/heads/main"), "{answer}");
    // A pack with one bit changed.
    let mut pack = forge.pack("main\n").await;
    let middle = pack.len() / 2;
    pack[middle] ^= 1;
    let answer = forge
        .push_body(vec![Ok([push_head(ZERO, &tip, "refs/heads/main"), pack].concat().into())])
        .await
        .unwrap();
    assert!(answer.contains("unpack") && !answer.contains("ok refs/heads/main"), "{answer}");
    assert!(forge.judge.completed.lock().unwrap().is_empty());
    assert!(forge.branches().await.is_empty());
    forge.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_a_whole_repository() {
    let forge = Forge::with(|settings| settings.housekeeping.stale_temporary_after = Duration::ZERO).await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let base = forge.id_of("main").await;
    forge.commit("second").await;
    write_noise(&forge.path("work/big"), 2_000_000);
    forge.git("work", &["add", "big"]).await;
    forge.git("work", &["commit", "-q", "-m", "third"]).await;
    let pack = forge.pack(&format!("main\n^{base}\n")).await;

    // Another process serves the same folder, and gets half of a push.
    let port_file = forge.path("port");
    let mut server = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--quiet", "--ignored", "--exact", "damage::server_program", "--nocapture"])
        .env("PORTCULLIS_TEST_SERVER", forge.folder.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    assert!(eventually(|| port_file.exists()).await);
    let port: u16 = std::fs::read_to_string(&port_file).unwrap().parse().unwrap();
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = push_head(&base, &forge.id_of("main").await, "refs/heads/main");
    let length = head.len() + pack.len();
    let request = format!("POST /1.git/git-receive-pack HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.write_all(&head).await.unwrap();
    socket.write_all(&pack[..pack.len() - 30]).await.unwrap();
    let objects = forge.engine.path(1).join("objects");
    let quarantined = || {
        std::fs::read_dir(&objects).unwrap().flatten().any(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with("tmp_objdir-incoming-"))
        })
    };
    assert!(eventually(quarantined).await, "the push has not begun");
    server.start_kill().unwrap();
    server.wait().await.unwrap();

    // Its children notice that nobody feeds them any more.
    assert!(eventually(|| git_processes(forge.folder.path()).is_empty()).await);
    assert_eq!(forge.branches().await, [format!("main {base}")]);
    // What they left is swept, and the push can be done again.
    forge.engine.housekeeping(1).await.unwrap();
    forge.assert_whole().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.assert_whole().await;
}

/// Not a test: a server in a process of its own, to be killed.
#[test]
#[ignore = "started by a test that kills it"]
fn server_program() {
    let Some(folder) = std::env::var_os("PORTCULLIS_TEST_SERVER") else { return };
    let folder = std::path::PathBuf::from(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings::new(folder.join("repositories"), hook_script(&folder));
        let engine = Engine::open(settings).await.unwrap();
        let port = server::serve(engine, Arc::new(Judge::default()) as Arc<dyn PushJudge>).await;
        std::fs::write(folder.join("port.new"), port.to_string()).unwrap();
        std::fs::rename(folder.join("port.new"), folder.join("port")).unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_come_and_go_whole() {
    let forge = Forge::new().await;
    let engine = &forge.engine;
    assert!(matches!(
        engine.create(1, ObjectFormat::Sha1, "main").await,
        Err(portcullis_git::Error::AlreadyExists)
    ));
    for branch in ["", "HEAD", "-x", "a..b", "refs/heads/x", "a b", "a\nb"] {
        assert!(engine.create(7, ObjectFormat::Sha1, branch).await.is_err(), "{branch:?} was accepted");
        assert!(engine.set_default_branch(1, branch).await.is_err(), "{branch:?} was accepted");
    }
    assert!(!engine.exists(7).await.unwrap());
    engine.set_default_branch(1, "trunk").await.unwrap();
    assert_eq!(engine.default_branch(1).await.unwrap(), "trunk");
    assert_eq!(std::fs::read_dir(forge.path("repositories/@new")).unwrap().count(), 0);
    // Made at once from many sides, it is made once.
    let makers = (0..8).map(|_| engine.create(8, ObjectFormat::Sha1, "main"));
    let made = futures_util::future::join_all(makers).await;
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(engine.size_bytes(8).await.unwrap() > 0);
    assert_eq!(std::fs::read_dir(forge.path("repositories/@new")).unwrap().count(), 0);
    // It is what git itself would have made.
    let repository = engine.path(8).into_os_string().into_string().unwrap();
    forge.git(".", &["--git-dir", &repository, "fsck", "--strict"]).await;
    assert_eq!(
        forge.git(".", &["--git-dir", &repository, "rev-parse", "--is-bare-repository"]).await,
        "true\n"
    );
    use std::os::unix::fs::PermissionsExt;
    for folder in [forge.path("repositories"), engine.path(8)] {
        assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

/// Wants a file system of a few megabytes, whose folder is named by `PORTCULLIS_TEST_SMALL_DISK`:
/// `mount -t tmpfs -o size=8m none /mnt/small`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a small file system"]
async fn a_full_disk_refuses_the_push_and_nothing_else() {
    let disk = std::path::PathBuf::from(std::env::var_os("PORTCULLIS_TEST_SMALL_DISK").unwrap());
    let forge = Forge::with(|settings| settings.root = disk.join("repositories")).await;
    forge.work_tree().await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    let before = forge.branches().await;
    write_noise(&forge.path("work/big"), 20_000_000);
    forge.git("work", &["add", "big"]).await;
    forge.git("work", &["commit", "-q", "-m", "too big"]).await;
    let pushed = forge.try_git("work", &["push", "origin", "main"]).await;
    assert!(text(&pushed).contains("No space left on device"), "{}", text(&pushed));
    assert_eq!(forge.branches().await, before);
    forge.assert_whole().await;
    forge.git("work", &["reset", "-q", "--hard", "HEAD~1"]).await;
    forge.commit("small").await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    // Where not even an empty repository fits, that is said, and nothing is left of it.
    let filler = disk.join("filler");
    let _ = std::fs::write(&filler, vec![0; 16_000_000]);
    let made = forge.engine.create(2, ObjectFormat::Sha1, "main").await;
    assert!(matches!(made, Err(portcullis_git::Error::DiskFull)), "{made:?}");
    std::fs::remove_file(filler).unwrap();
    assert_eq!(std::fs::read_dir(disk.join("repositories/@new")).unwrap().count(), 0);
    forge.engine.create(2, ObjectFormat::Sha1, "main").await.unwrap();
}
