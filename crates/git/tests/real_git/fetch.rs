//! Clone, fetch and what a client may ask for.

use bytes::Bytes;
use futures_util::stream;
use portcullis_git::{Error, FirstCommit, GitProtocol, ObjectFormat, Service, Signature};

use crate::forge::{Forge, collect, first_commit, packet, text};

async fn pushed() -> Forge {
    let forge = Forge::new().await;
    forge.work_tree().await;
    forge.commit("second").await;
    forge.commit("third").await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_cloned_with_every_version_of_the_protocol() {
    let forge = pushed().await;
    let tip = forge.id_of("main").await;
    for version in ["0", "1", "2"] {
        let (config, target) = (format!("protocol.version={version}"), format!("clone{version}"));
        forge.git(".", &["-c", &config, "clone", "-q", &forge.url(1), &target]).await;
        assert_eq!(forge.git(&target, &["rev-parse", "HEAD"]).await.trim(), tip);
        forge.git(&target, &["fsck", "--strict"]).await;
    }
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_is_cloned_with_its_default_branch() {
    let forge = Forge::new().await;
    forge.engine.create(2, ObjectFormat::Sha1, "trunk").await.unwrap();
    assert!(!forge.engine.has_commits(2).await.unwrap());
    forge.git(".", &["clone", "-q", &forge.url(2), "empty"]).await;
    assert_eq!(forge.git("empty", &["symbolic-ref", "HEAD"]).await.trim(), "refs/heads/trunk");
    forge.git(".", &["-c", "protocol.version=0", "clone", "-q", &forge.url(2), "empty0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shallow_and_partial_clones_fetch_only_what_was_asked_for() {
    let forge = pushed().await;
    forge.git(".", &["clone", "-q", "--depth", "1", &forge.url(1), "shallow"]).await;
    assert_eq!(forge.git("shallow", &["rev-list", "--count", "HEAD"]).await.trim(), "1");
    forge.git("shallow", &["fetch", "-q", "--unshallow"]).await;
    assert_eq!(forge.git("shallow", &["rev-list", "--count", "HEAD"]).await.trim(), "3");

    forge.git(".", &["clone", "-q", "--bare", "--filter=blob:none", &forge.url(1), "partial"]).await;
    let missing = forge.git("partial", &["rev-list", "--objects", "--missing=print", "HEAD"]).await;
    assert!(missing.lines().any(|line| line.starts_with('?')), "{missing}");
    // The blobs are fetched by id when they are needed.
    assert_eq!(forge.git("partial", &["show", "HEAD:file"]).await, "third");

    let deep = forge.try_git(".", &["clone", "-q", "--filter=tree:9", &forge.url(1), "deep"]).await;
    assert!(!deep.status.success(), "a filter that makes the server walk was allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sha256_repository_is_pushed_to_and_cloned() {
    let forge = Forge::new().await;
    forge.engine.create(2, ObjectFormat::Sha256, "main").await.unwrap();
    assert_eq!(forge.engine.object_format(2).await.unwrap(), ObjectFormat::Sha256);
    for version in ["0", "2"] {
        let (config, target) = (format!("protocol.version={version}"), format!("empty{version}"));
        forge.git(".", &["-c", &config, "clone", "-q", &forge.url(2), &target]).await;
    }
    forge.git(".", &["init", "-q", "-b", "main", "--object-format=sha256", "work"]).await;
    forge.git("work", &["remote", "add", "origin", &forge.url(2)]).await;
    forge.commit("hello").await;
    forge.git("work", &["push", "-q", "origin", "main"]).await;
    forge.git(".", &["clone", "-q", &forge.url(2), "copy"]).await;
    assert_eq!(forge.git("copy", &["rev-parse", "HEAD"]).await.trim().len(), 64);
    let update = forge.judge.proposed.lock().unwrap()[0].0[0].clone();
    assert_eq!(update.new.format(), ObjectFormat::Sha256);

    // A client of the other format is told so.
    forge.git(".", &["init", "-q", "-b", "main", "other"]).await;
    forge.git("other", &["commit", "-q", "--allow-empty", "-m", "x"]).await;
    let refused = forge.try_git("other", &["push", &forge.url(2), "main"]).await;
    assert!(
        text(&refused).contains("does not support this repository's hash algorithm"),
        "{}",
        text(&refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn advertisements_are_what_clients_expect() {
    let forge = pushed().await;
    let two = GitProtocol::parse("version=2").unwrap();
    let started = forge.engine.stats().started_total;
    let advertise = async |service, protocol: Option<&GitProtocol>| {
        collect(forge.engine.advertise(1, service, protocol).await.unwrap()).await.unwrap()
    };
    let capabilities = advertise(Service::UploadPack, Some(&two)).await;
    assert!(capabilities.starts_with("000eversion 2\n"), "{capabilities}");
    assert!(capabilities.contains("object-format=sha1") && capabilities.contains("filter"), "{capabilities}");
    assert!(capabilities.ends_with("0000"));
    assert!(!capabilities.contains("session-id") && !capabilities.contains("object-info"));
    // Version 2 names no refs, so only the first of these started a process.
    for _ in 0..5 {
        assert_eq!(advertise(Service::UploadPack, Some(&two)).await, capabilities);
    }
    assert_eq!(forge.engine.stats().started_total, started + 1);

    let refs = advertise(Service::UploadPack, None).await;
    assert!(refs.starts_with("001e# service=git-upload-pack\n0000"), "{refs}");
    assert!(refs.contains("refs/heads/main\n"));
    // A push is not spoken in version 2, whatever the client says.
    for protocol in [None, Some(&two)] {
        let refs = advertise(Service::ReceivePack, protocol).await;
        assert!(refs.starts_with("001f# service=git-receive-pack\n0000"), "{refs}");
        for word in ["report-status-v2", "delete-refs", "atomic", "push-options", "side-band-64k"] {
            assert!(refs.contains(word), "{word} is missing: {refs}");
        }
    }
    assert!(matches!(forge.engine.advertise(9, Service::UploadPack, None).await, Err(Error::NotFound)));
}

/// What the installed git itself says to a push.
async fn said_to_a_push_by_git(forge: &Forge, id: i64, version: &str) -> String {
    let repository = forge.engine.path(id).into_os_string().into_string().unwrap();
    let output = tokio::process::Command::new("git")
        .env("GIT_PROTOCOL", version)
        .args(["-c", "receive.advertisePushOptions=true", "-c", "receive.hideRefs=refs/keep-around/"])
        .args(["receive-pack", "--http-backend-info-refs", &repository])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    format!("001f# service=git-receive-pack\n0000{}", String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_told_what_git_itself_would_say() {
    let forge = pushed().await;
    forge.engine.create(2, ObjectFormat::Sha1, "main").await.unwrap();
    forge.engine.create(3, ObjectFormat::Sha256, "main").await.unwrap();
    forge.engine.create(4, ObjectFormat::Sha256, "main").await.unwrap();
    first_commit(&forge.engine, 4).await;
    forge.git("work", &["tag", "-a", "-m", "one", "v1"]).await;
    forge.git("work", &["push", "-q", "origin", "v1", "main:refs/heads/a/b", "main:refs/heads/a-b"]).await;
    let repository = forge.engine.path(1).into_os_string().into_string().unwrap();
    let in_repository = ["-C", repository.as_str()];
    forge.git(".", &[&in_repository[..], &["pack-refs", "--all"]].concat()).await;
    forge.git("work", &["push", "-q", "origin", "main:refs/heads/loose", ":refs/heads/a-b"]).await;
    forge.git(".", &[&in_repository[..], &["update-ref", "refs/keep-around/x", "main"]].concat()).await;
    let started = forge.engine.stats().started_total;
    for (id, refs) in [(1, 4), (2, 0), (3, 0), (4, 1)] {
        for version in ["version=0", "version=1"] {
            let protocol = GitProtocol::parse(version);
            let said = forge.engine.advertise(id, Service::ReceivePack, protocol.as_ref()).await.unwrap();
            let said = collect(said).await.unwrap();
            assert_eq!(said, said_to_a_push_by_git(&forge, id, version).await, "{id}, {version}");
            assert_eq!(said.matches(" refs/").count(), refs, "{said}");
        }
    }
    // Git was asked once for each format, by the pushes above or here.
    assert!(forge.engine.stats().started_total <= started + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refs_of_the_server_are_hidden() {
    let forge = pushed().await;
    let tip = forge.id_of("main").await;
    let repository = forge.engine.path(1).into_os_string().into_string().unwrap();
    for name in ["refs/keep-around/x", "refs/tmp/x", "refs/merge-requests/1/head"] {
        forge.git(".", &["--git-dir", &repository, "update-ref", name, &tip]).await;
    }
    let seen = forge.git("work", &["ls-remote", "origin"]).await;
    assert!(seen.contains("refs/merge-requests/1/head"));
    assert!(!seen.contains("keep-around") && !seen.contains("refs/tmp"), "{seen}");
    for name in ["refs/keep-around/y", "refs/merge-requests/1/head", "refs/environments/y"] {
        let pushed = forge.try_git("work", &["push", "-f", "origin", &format!("main~1:{name}")]).await;
        assert!(text(&pushed).contains("hidden ref"), "{}", text(&pushed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_with_hundreds_of_refs_and_a_packed_request_works() {
    let forge = pushed().await;
    for n in 0..300 {
        forge.git("work", &["tag", &format!("t{n}"), "main"]).await;
    }
    forge.git("work", &["push", "-q", "origin", "--tags"]).await;
    forge.git(".", &["clone", "-q", &forge.url(1), "copy"]).await;
    for n in 0..40 {
        forge.commit(&format!("more {n}")).await;
        forge.git("work", &["branch", &format!("b{n}")]).await;
    }
    forge.git("work", &["push", "-q", "origin", "--all"]).await;
    // Forty new branches make the request longer than a kilobyte, so git compresses it.
    forge.git("copy", &["fetch", "-q"]).await;
    assert_eq!(forge.git("copy", &["branch", "-r"]).await.lines().count(), 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_git_does_not_understand_is_an_error_and_not_an_empty_answer() {
    let forge = pushed().await;
    let two = GitProtocol::parse("version=2").unwrap();
    for body in ["what?", "0009hello", "fff", "0003", "-001", "0014command=explode\n0000"] {
        let input = stream::iter([Ok(Bytes::from_static(body.as_bytes()))]);
        let answer = forge.engine.upload_pack(1, Some(&two), input).await;
        let Err(Error::BadRequest(reason)) = answer else { panic!("{body:?} was answered") };
        assert!(!reason.contains(forge.folder.path().to_str().unwrap()), "{reason}");
    }
    let empty =
        forge.engine.upload_pack(1, None, stream::iter([Ok(Bytes::from_static(b"0000"))])).await.unwrap();
    assert_eq!(collect(empty).await.unwrap(), "");
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_request_that_is_too_large_is_refused() {
    let forge = Forge::with(|settings| settings.max_fetch_request_bytes = 100_000).await;
    let two = GitProtocol::parse("version=2").unwrap();
    let line = Bytes::from(packet("command=fetch\n"));
    let arguments = Bytes::from(packet(&format!("have {}\n", "a".repeat(40))));
    let endless = stream::once(async move { Ok(Bytes::from([&line[..], b"0001"].concat())) });
    let endless = futures_util::StreamExt::chain(endless, stream::repeat_with(move || Ok(arguments.clone())));
    let answer = forge.engine.upload_pack(1, Some(&two), endless).await;
    assert!(matches!(answer, Err(Error::RequestTooLarge)), "{:?}", answer.err());
    assert!(forge.quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_commit_is_written_by_the_engine() {
    let forge = Forge::new().await;
    let first = FirstCommit {
        branch: "main".into(),
        files: vec![("README.md".into(), b"# Hello\n".to_vec()), ("docs/a \"b\".txt".into(), Vec::new())],
        message: "Initial commit\n".into(),
        author: Signature { name: "Ada <x>\n".into(), email: "ada@example.org".into() },
        at: 1_700_000_000_000_000,
    };
    let id = forge.engine.initialize(1, first.clone()).await.unwrap();
    assert!(forge.engine.has_commits(1).await.unwrap());
    assert_eq!(forge.branches().await, [format!("main {id}")]);
    forge.git(".", &["clone", "-q", &forge.url(1), "copy"]).await;
    assert_eq!(std::fs::read_to_string(forge.path("copy/README.md")).unwrap(), "# Hello\n");
    let commit = forge.engine.commit_summary(1, &id).await.unwrap().unwrap();
    assert_eq!((commit.title.as_str(), commit.author.name.as_str()), ("Initial commit", "Ada x"));
    assert_eq!(commit.committed_at, 1_700_000_000_000_000);
    // Once there is a commit, there is no second first one.
    let again = forge.engine.initialize(1, FirstCommit { message: "other".into(), ..first }).await;
    assert!(matches!(again, Err(Error::AlreadyExists)), "{again:?}");
    assert_eq!(forge.branches().await, [format!("main {id}")]);
    forge.assert_whole().await;
}
