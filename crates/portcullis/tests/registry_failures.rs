//! What a registry must survive: rights that end in the middle of a push, writers and sweepers at the same time, damage on
//! the disk, and clients that take more than their share. Forged bearers are in `registry_bearers.rs`.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_testkit::registry::{
    Algorithm, Body, Image, ImageRepository, OCI_CONFIG, OCI_IMAGE, RegistryAnswer, RegistryClient, Upload,
    Way, claims, descriptor, image_manifest, range_of,
};
use portcullis_testkit::{Person, Project, TestForge, forge, token_secret};
use serde_json::json;

/// Expects that a request is answered with the challenge, because of this.
#[track_caller]
fn expect_refused(answer: &RegistryAnswer, error: &str) {
    assert_eq!(answer.challenge().error.as_deref(), Some(error), "{answer:?}");
    answer.clone().expect_error(401, "UNAUTHORIZED");
}

/// A push that is under way: a bearer that permits it, an upload with something in it, and an image whose blobs are there.
struct Push {
    repository: ImageRepository,
    bearer: String,
    upload: Upload,
    image: Image,
}

impl Push {
    #[track_caller]
    fn begin(client: &RegistryClient, name: &str) -> Push {
        let scope = format!("repository:{name}:pull,push");
        let bearer = client.bearer(&[&scope]);
        let repository = client.with_bearer(&bearer).repository(name);
        let image = Image::of("image");
        repository.push_blob(&image.config);
        repository.push_blob(&image.layer);
        let mut upload = repository.open_upload();
        upload.piece(0, b"begun").expect(202);
        Push { repository, bearer, upload, image }
    }

    /// Returns the answers to every request that could come next.
    fn go_on(&mut self) -> Vec<(&'static str, RegistryAnswer)> {
        let digest = Algorithm::Sha256.digest(b"begun");
        vec![
            ("status", self.upload.clone().status()),
            ("piece", self.upload.clone().piece(5, b" and more")),
            ("end", self.upload.clone().put(&digest, b"")),
            (
                "single post",
                self.repository.upload(Way::PostOnly, b"content", &Algorithm::Sha256.digest(b"content")),
            ),
            ("another upload", self.repository.post_upload("", &[], b"")),
            ("manifest", self.repository.put_manifest("v1", OCI_IMAGE, &self.image.manifest)),
            ("cancel", self.upload.clone().cancel()),
        ]
    }

    /// Returns the answers to every request that only reads.
    fn read(&self) -> Vec<(&'static str, RegistryAnswer)> {
        let digest = Algorithm::Sha256.digest(&self.image.layer);
        vec![
            ("blob", self.repository.get_blob(&digest)),
            ("tags", self.repository.get("/tags/list")),
            ("manifest", self.repository.get_manifest("v1")),
            ("referrers", self.repository.referrers(&digest, "")),
        ]
    }

    #[track_caller]
    fn expect_pushes_refused(&mut self, status: u16, code: &str, error: Option<&str>) {
        for (what, answer) in self.go_on() {
            let found = (answer.status, answer.json()["errors"][0]["code"].clone());
            assert_eq!(found, (status, json!(code)), "{what}: {answer:?}");
            if status == 401 {
                assert_eq!(answer.challenge().error.as_deref(), error, "{what}");
            }
        }
    }

    #[track_caller]
    fn expect_reads_refused(&self, status: u16, code: &str) {
        for (what, answer) in self.read() {
            let found = (answer.status, answer.json()["errors"][0]["code"].clone());
            assert_eq!(found, (status, json!(code)), "{what}: {answer:?}");
        }
    }
}

fn name_in(project: &Project<'_>) -> String {
    format!("{}/img", project.full_path)
}

/// A person with a role, and a client with their token.
fn developer(forge: &TestForge, project: &Project<'_>) -> (Person, RegistryClient) {
    let person = project.member(30);
    let client = forge.registry(&forge.personal_token(&person.username, &["api"]));
    (person, client)
}

#[test]
fn a_token_that_is_revoked_in_the_middle_of_a_push_ends_it() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let client = forge.registry(&bot.secret);
    let mut push = Push::begin(&client, &name_in(&project));
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    push.expect_pushes_refused(401, "UNAUTHORIZED", Some("invalid_token"));
    push.expect_reads_refused(401, "UNAUTHORIZED");
    expect_refused(&push.repository.client.ask("GET", "/v2/", &[], Body::Bytes(b"")), "invalid_token");
    client.token_answer(&[]).expect_error(401, "UNAUTHORIZED");
    // Nobody else sees anything of what was to come.
    let other = forge.registry(&project.token(&["api"], 40).secret).repository(&name_in(&project));
    other.get_manifest("v1").expect_error(404, "MANIFEST_UNKNOWN");
    other.get_blob(&Algorithm::Sha256.digest(b"begun")).expect_error(404, "BLOB_UNKNOWN");
    Upload { repository: other, location: push.upload.location }
        .status()
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_token_that_expires_in_the_middle_of_a_push_ends_it() {
    let forge = forge!();
    let project = forge.project("private");
    let body =
        json!({ "name": "ci", "scopes": ["api"], "access_level": 40, "expires_at": forge.clock.date(1) });
    let bot = project.token_with(body);
    // Two minutes before midnight.
    forge.clock.advance_seconds(12 * 3600 - 120);
    let mut push = Push::begin(&forge.registry(&bot.secret), &name_in(&project));
    forge.clock.advance_seconds(119);
    push.upload.status().expect(204);
    // The bearer would hold for two minutes more.
    forge.clock.advance_seconds(2);
    push.expect_pushes_refused(401, "UNAUTHORIZED", Some("invalid_token"));
    push.expect_reads_refused(401, "UNAUTHORIZED");
}

#[test]
fn a_user_who_is_blocked_in_the_middle_of_a_push_is_out() {
    let forge = forge!();
    let project = forge.project("private");
    let (person, client) = developer(&forge, &project);
    let mut push = Push::begin(&client, &name_in(&project));
    forge.root().post(&format!("/users/{}/block", person.id), json!({})).expect(201);
    push.expect_pushes_refused(401, "UNAUTHORIZED", Some("invalid_token"));
    push.expect_reads_refused(401, "UNAUTHORIZED");
}

#[test]
fn a_role_that_is_lowered_in_the_middle_of_a_push_ends_it() {
    let forge = forge!();
    let project = forge.project("private");
    let (person, client) = developer(&forge, &project);
    let mut push = Push::begin(&client, &name_in(&project));
    let member = project.path(&format!("/members/{}", person.id));
    forge.root().put(&member, json!({ "access_level": 20 })).expect(200);
    push.expect_pushes_refused(401, "UNAUTHORIZED", Some("insufficient_scope"));
    // A Reporter still reads.
    assert_eq!(push.repository.tags(), Vec::<String>::new());
    assert_eq!(client.granted(&format!("repository:{}:pull,push", name_in(&project))), ["pull"]);
    // With the role back, the push goes on where it was.
    forge.root().put(&member, json!({ "access_level": 30 })).expect(200);
    push.upload.piece(5, b" and more").expect(202);
    push.upload.put(&Algorithm::Sha256.digest(b"begun and more"), b"").expect(201);
    // A Guest does not even read.
    forge.root().put(&member, json!({ "access_level": 10 })).expect(200);
    expect_refused(&push.repository.get("/tags/list"), "insufficient_scope");
    // And who is no member at all does not know of it.
    forge.root().delete(&member).expect(204);
    push.expect_reads_refused(404, "NAME_UNKNOWN");
    push.repository.post_upload("", &[], b"").expect_error(404, "NAME_UNKNOWN");
}

#[test]
fn a_project_that_becomes_private_closes_at_once() {
    let forge = forge!();
    let project = forge.project("public");
    let name = name_in(&project);
    let (_, client) = developer(&forge, &project);
    let image = client.repository(&name).push_image("v1", "image");
    let stranger = forge.person("stranger");
    let scope = format!("repository:{name}:pull");
    let readers = [forge.anonymous_registry(), forge.registry(stranger.caller.token.as_deref().unwrap())];
    let readers = readers.map(|reader| reader.with_bearer(&reader.bearer(&[&scope])).repository(&name));
    for reader in &readers {
        assert!(reader.get_manifest("v1").expect(200).body == image.manifest);
    }
    forge.root().put(&project.path(""), json!({ "visibility": "private" })).expect(200);
    for reader in &readers {
        for rest in ["/tags/list", "/manifests/v1", &format!("/manifests/{}", image.digest)] {
            reader.get(rest).expect_error(404, "NAME_UNKNOWN");
        }
        reader.get_blob(&Algorithm::Sha256.digest(&image.layer)).expect_error(404, "NAME_UNKNOWN");
        reader.referrers(&image.digest, "").expect_error(404, "NAME_UNKNOWN");
    }
    assert_eq!(client.repository(&name).tags(), ["v1"]);
}

#[test]
fn a_project_that_is_archived_in_the_middle_of_a_push_takes_nothing_more() {
    let forge = forge!();
    let project = forge.project("private");
    let client = forge.registry(&project.token(&["api"], 40).secret);
    let mut push = Push::begin(&client, &name_in(&project));
    push.repository.push_image("v0", "before");
    forge.root().post(&project.path("/archive"), json!({})).expect(201);
    push.expect_pushes_refused(403, "DENIED", None);
    assert_eq!(push.repository.tags(), ["v0"]);
    let scope = format!("repository:{}:pull,push,delete", name_in(&project));
    assert_eq!(client.granted(&scope), ["pull"]);
    forge.root().post(&project.path("/unarchive"), json!({})).expect(201);
    push.upload.put(&Algorithm::Sha256.digest(b"begun"), b"").expect(201);
    push.repository.put_manifest("v1", OCI_IMAGE, &push.image.manifest).expect(201);
}

#[test]
fn a_registry_that_is_switched_off_for_a_project_is_gone_at_once() {
    let forge = forge!();
    let project = forge.project("private");
    let client = forge.registry(&project.token(&["api"], 40).secret);
    let mut push = Push::begin(&client, &name_in(&project));
    let set = |level: &str| {
        let body = json!({ "container_registry_access_level": level });
        let shown = forge.root().put(&project.path(""), body).expect(200).json();
        assert_eq!(shown["container_registry_access_level"], level);
    };
    set("disabled");
    push.expect_pushes_refused(404, "NAME_UNKNOWN", None);
    push.expect_reads_refused(404, "NAME_UNKNOWN");
    set("private");
    push.upload.put(&Algorithm::Sha256.digest(b"begun"), b"").expect(201);
    // What it had is still there.
    push.repository.put_manifest("v1", OCI_IMAGE, &push.image.manifest).expect(201);
}

#[test]
fn images_that_become_members_only_close_to_everybody_else() {
    let forge = forge!();
    let project = forge.project("public");
    let name = name_in(&project);
    let (_, client) = developer(&forge, &project);
    client.repository(&name).push_image("v1", "image");
    let anyone = forge.anonymous_registry();
    let anyone = anyone.with_bearer(&anyone.bearer(&[&format!("repository:{name}:pull")])).repository(&name);
    assert_eq!(anyone.tags(), ["v1"]);
    let body = json!({ "container_registry_access_level": "private" });
    forge.root().put(&project.path(""), body).expect(200);
    // The project can be seen, and its images cannot.
    let answer = anyone.get("/tags/list");
    assert!(matches!(answer.status, 401 | 404), "{answer:?}");
    assert_eq!(client.repository(&name).tags(), ["v1"]);
}

#[test]
fn a_project_that_is_deleted_takes_its_images_out_of_reach_at_once() {
    let forge = forge!();
    let project = forge.project("private");
    let name = name_in(&project);
    let person = forge.person("ann");
    let group = json!({ "user_id": person.id, "access_level": 40 });
    forge.root().post(&format!("/groups/{}/members", project.group.id), group).expect(201);
    let client = forge.registry(&forge.personal_token("ann", &["api"]));
    let bot = project.token(&["api"], 40);
    let of_bot = forge.registry(&bot.secret);
    let of_bot =
        of_bot.with_bearer(&of_bot.bearer(&[&format!("repository:{name}:pull,push")])).repository(&name);
    let mut push = Push::begin(&client, &name);
    let image = push.repository.push_image("v1", "image");
    forge.root().delete(&project.path("")).expect(202);
    push.expect_pushes_refused(404, "NAME_UNKNOWN", None);
    push.expect_reads_refused(404, "NAME_UNKNOWN");
    let answer = of_bot.get("/tags/list");
    assert!(matches!(answer.status, 401 | 404), "{answer:?}");
    forge.run_recurring_jobs();
    push.expect_reads_refused(404, "NAME_UNKNOWN");

    // Whoever comes to have the same name begins with nothing.
    let path = project.full_path.rsplit('/').next().unwrap();
    let body =
        json!({ "name": path, "path": path, "namespace_id": project.group.id, "visibility": "private" });
    forge.root().post("/projects", body).expect(201);
    let again = client.repository(&name);
    again.get("/tags/list").expect_error(404, "NAME_UNKNOWN");
    again.push_blob(b"something else");
    again.get_manifest(&image.digest).expect_error(404, "MANIFEST_UNKNOWN");
    again.get_blob(&Algorithm::Sha256.digest(&image.layer)).expect_error(404, "BLOB_UNKNOWN");
    Upload { repository: again, location: push.upload.location }
        .status()
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_project_that_is_renamed_has_its_images_under_the_new_name() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let client = forge.registry(&bot.secret);
    let mut push = Push::begin(&client, &name_in(&project));
    let image = push.repository.push_image("v1", "image");
    forge.root().put(&project.path(""), json!({ "path": "renamed" })).expect(200);
    push.expect_pushes_refused(404, "NAME_UNKNOWN", None);
    push.expect_reads_refused(404, "NAME_UNKNOWN");
    let renamed = client.repository(&format!("{}/renamed/img", project.group.full_path));
    assert!(renamed.get_manifest("v1").expect(200).body == image.manifest);
    assert_eq!(renamed.tags(), ["v1"]);

    // Another project takes the old name. The old bearer names it, and opens nothing of it.
    let path = project.full_path.rsplit('/').next().unwrap();
    let body =
        json!({ "name": path, "path": path, "namespace_id": project.group.id, "visibility": "private" });
    let made = forge.root().post("/projects", body).expect(201).json();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let token =
        forge.root().post(&format!("/projects/{}/access_tokens", made["id"]), token).expect(201).json();
    let theirs = forge.registry(&token_secret(&token)).repository(&name_in(&project));
    theirs.push_image("v1", "theirs");
    assert_eq!(claims(&push.bearer)["access"][0]["name"], theirs.name);
    push.expect_pushes_refused(404, "NAME_UNKNOWN", None);
    push.expect_reads_refused(404, "NAME_UNKNOWN");
    theirs.get_manifest(&image.digest).expect_error(404, "MANIFEST_UNKNOWN");
}

/// Tells the others to stop when it goes, however that comes.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_tag_that_is_moved_all_the_time_is_never_missing() {
    const MOVES: usize = 100;
    let forge = forge!();
    let repository = forge.image();
    let images = ["one", "two"].map(|seed| repository.push_image("v1", seed));
    let stop = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = repository.get_manifest("v1").expect(200);
                    let image = images.iter().find(|image| image.manifest == answer.body);
                    let digest = image.map(|image| &*image.digest);
                    assert!(digest.is_some(), "neither of the two");
                    assert_eq!(answer.header("docker-content-digest"), digest);
                    assert_eq!(repository.tags(), ["v1"]);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stopping = Stopping(&stop);
        let writers = images.each_ref().map(|image| {
            let repository = &repository;
            scope.spawn(move || {
                for _ in 0..MOVES {
                    repository.put_manifest("v1", OCI_IMAGE, &image.manifest).expect(201);
                }
            })
        });
        for writer in writers {
            writer.join().expect("a writer ends");
        }
    });
    assert!(reads.load(Ordering::Relaxed) > 0);
    // Whoever comes last wins.
    for image in [&images[0], &images[1], &images[0]] {
        repository.put_manifest("v1", OCI_IMAGE, &image.manifest).expect(201);
        assert!(repository.get_manifest("v1").expect(200).body == image.manifest);
    }
}

#[test]
fn the_same_blob_from_many_clients_is_stored_once() {
    let forge = forge!();
    let project = forge.project("private");
    let one = forge.image_in(&project);
    let repositories = [one.clone(), one.client.repository(&format!("{}-too", one.name)), forge.image()];
    let bytes: Vec<u8> =
        (0..(1 << 18)).flat_map(|number: u32| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let digest = Algorithm::Sha256.digest(&bytes);
    std::thread::scope(|scope| {
        for number in 0..9 {
            let (repository, bytes, digest) = (&repositories[number % 3], &bytes, &digest);
            scope.spawn(move || {
                repository.upload(Way::ALL[number % Way::ALL.len()], bytes, digest).expect(201)
            });
        }
    });
    for repository in &repositories {
        assert!(repository.get_blob(&digest).expect(200).body == bytes);
    }
    assert_eq!(forge.blob_files(&digest).len(), 1);
}

/// Pushes while somebody deletes. Whichever comes first: what was pushed last, with nobody deleting, is there.
#[test]
fn a_blob_that_is_pushed_while_it_is_deleted_ends_whole() {
    let forge = forge!();
    let repository = forge.image();
    let bytes: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Algorithm::Sha256.digest(&bytes);
    for round in 0..30 {
        std::thread::scope(|scope| {
            let deleter = scope.spawn(|| repository.delete_blob(&digest).status);
            let pushed = repository.upload(Way::ALL[round % Way::ALL.len()], &bytes, &digest).expect(201);
            assert_eq!(pushed.header("docker-content-digest"), Some(&*digest));
            assert!(matches!(deleter.join().expect("it ends"), 202 | 404));
        });
        let answer = repository.get_blob(&digest);
        match answer.status {
            200 => assert!(answer.body == bytes),
            status => assert_eq!(status, 404),
        }
        repository.upload(Way::PostPut, &bytes, &digest).expect(201);
        assert!(repository.get_blob(&digest).expect(200).body == bytes, "round {round}");
    }
}

/// Pushes and mounts while what is unused is swept away. What was acknowledged is there, and a manifest that names it in
/// time keeps it there.
#[test]
fn a_blob_that_is_pushed_while_it_is_swept_ends_whole() {
    let forge = forge!();
    let repository = forge.image();
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    for round in 0..12 {
        let bytes = format!("content {round}").into_bytes();
        let digest = repository.push_blob(&bytes);
        let mounts = round % 2 == 1;
        if !mounts {
            repository.delete_blob(&digest).expect(202);
        }
        forge.clock.advance_days(2);
        let keeper = if mounts { &sibling } else { &repository };
        std::thread::scope(|scope| {
            scope.spawn(|| forge.run_recurring_jobs());
            // The sweeper may be the first, and then there is nothing to mount.
            if !mounts || sibling.mount(&digest, Some(&repository.name)).status != 201 {
                keeper.push_blob(&bytes);
            }
        });
        if mounts {
            let status = repository.delete_blob(&digest).status;
            assert!(matches!(status, 202 | 404), "{status}");
        }
        forge.run_recurring_jobs();
        assert_eq!(keeper.get_blob(&digest).expect(200).body, bytes, "round {round}");
        let manifest = image_manifest(&descriptor(OCI_CONFIG, &bytes), &[]).to_string();
        keeper.put_manifest("v1", OCI_IMAGE, manifest.as_bytes()).expect(201);
        for _ in 0..2 {
            forge.clock.advance_days(2);
            forge.run_recurring_jobs();
            assert_eq!(keeper.get_blob(&digest).expect(200).body, bytes, "round {round}");
        }
        assert_eq!(forge.blob_files(&digest).len(), 1);
    }
}

#[test]
fn a_token_has_only_so_many_uploads_open() {
    let forge = forge!();
    let project = forge.project("private");
    let repository = forge.image_in(&project);
    let neighbour = forge.image_in(&project);
    let mut open: Vec<_> = (0..100).map(|_| repository.open_upload()).collect();
    for _ in 0..30 {
        let answer = repository.post_upload("", &[], b"").expect_error(429, "TOOMANYREQUESTS");
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    // In another repository it is the same token.
    let elsewhere = repository.client.repository(&format!("{}-too", repository.name));
    elsewhere.post_upload("", &[], b"").expect_error(429, "TOOMANYREQUESTS");
    // Another one is not disturbed, and reading goes on.
    neighbour.push_blob(b"content");
    repository.get("/tags/list").expect_error(404, "NAME_UNKNOWN");
    // Those that are open can be used, and each that ends makes room for one.
    open[0].cancel().expect(204);
    repository.open_upload();
    repository.post_upload("", &[], b"").expect_error(429, "TOOMANYREQUESTS");
    open[1].put(&Algorithm::Sha256.digest(b"content"), b"content").expect(201);
    repository.open_upload();
    repository.post_upload("", &[], b"").expect_error(429, "TOOMANYREQUESTS");
    // Those that nobody goes on with stand in nobody's way for long, and one that somebody does is not lost for them.
    forge.clock.advance_seconds(3601);
    open[2].piece(0, b"content").expect(202);
    repository.open_upload();
    open[2].put(&Algorithm::Sha256.digest(b"content"), b"").expect(201);
}

#[test]
fn the_operator_says_how_many_uploads_a_token_has_open() {
    let forge = forge!(|settings| settings.registry_open_uploads = 3);
    let repository = forge.image();
    let uploads = [(); 3].map(|()| repository.open_upload());
    repository.post_upload("", &[], b"").expect_error(429, "TOOMANYREQUESTS");
    for mut upload in uploads {
        upload.cancel().expect(204);
    }
    // What is never open does not count.
    for number in 0..5 {
        let bytes = format!("content {number}").into_bytes();
        repository.upload(Way::PostOnly, &bytes, &Algorithm::Sha256.digest(&bytes)).expect(201);
        repository.push_blob(&bytes);
    }
}

/// Damages the file of a blob. What the server sends then is an error, never other bytes; pushed again, the blob is whole.
#[test]
fn a_blob_that_is_damaged_on_the_disk_is_an_error_and_can_be_pushed_again() {
    type Damage = fn(&Path);

    let forge = forge!();
    let repository = forge.image();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let damages: [(&str, Damage); 4] = [
        ("gone", |path| std::fs::remove_file(path).unwrap()),
        ("empty", |path| std::fs::write(path, b"").unwrap()),
        ("cut off", |path| std::fs::File::options().write(true).open(path).unwrap().set_len(1000).unwrap()),
        ("longer", |path| {
            let mut longer = std::fs::read(path).unwrap();
            longer.extend_from_slice(b"more");
            std::fs::write(path, longer).unwrap();
        }),
    ];
    let digest = repository.push_blob(&bytes);
    for (what, damage) in damages {
        let files = forge.blob_files(&digest);
        assert_eq!(files.len(), 1);
        let mut permissions = std::fs::metadata(&files[0]).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        std::fs::set_permissions(&files[0], permissions).unwrap();
        damage(&files[0]);
        for headers in [&[][..], &[("range", "bytes=0-99")], &[("range", "bytes=50000-")]] {
            let answer = repository.get_with(&format!("/blobs/{digest}"), headers);
            assert!(answer.status >= 500, "{what}: {headers:?}: {answer:?}");
            assert!(answer.body.len() < 1000, "{what}");
        }
        // The rest of the registry is well.
        repository.push_image("v1", what);
        repository.push_blob(&bytes);
        assert!(repository.get_blob(&digest).expect(200).body == bytes, "{what}");
    }
}

/// A file system of its own, small and in memory. Only the superuser may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still runs in it ends by itself.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_nothing_else() {
    let Some(disk) = SmallDisk::mount("32m") else {
        eprintln!("not tested: a small file system can be mounted only by the superuser");
        return;
    };
    let forge = forge!(|settings| settings.data = disk.0.path().join("data"));
    let repository = forge.image();
    repository.push_image("v1", "image");
    let large: Vec<u8> = (0..(12 << 20)).flat_map(|number: u32| number.to_le_bytes()).collect();
    let digest = Algorithm::Sha256.digest(&large);
    // A server that has no room need not hear the rest: then the client may be cut off while it is still sending.
    let refused = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = repository.client.try_ask(method, path, headers, Body::Bytes(body));
        assert!(answer.as_ref().map_or(true, |answer| answer.status >= 500), "{answer:?}");
    };
    let octets = ("content-type", "application/octet-stream");
    let post = repository.path(&format!("/blobs/uploads/?digest={digest}"));
    refused("POST", &post, &[octets], &large);
    let whole = repository.open_upload();
    refused("PUT", &whole.address(&format!("digest={digest}")), &[octets], &large);
    let mut upload = repository.open_upload();
    upload.piece(0, &large[..1 << 20]).expect(202);
    let range = range_of(1 << 20, &large[1 << 20..]);
    refused("PATCH", &upload.location, &[octets, ("content-range", &range)], &large[1 << 20..]);
    repository.head_blob(&digest).expect(404);
    // What did not fit takes no room, so that there is some for what does.
    let status = upload.status();
    if status.status == 204 {
        assert_eq!(status.header("range"), Some("0-1048575"));
        upload.cancel().expect(204);
    }
    let fits = &large[..4 << 20];
    let digest = repository.push_blob(fits);
    assert!(repository.get_blob(&digest).expect(200).body == fits);
    repository.push_image("v2", "another");
    assert_eq!(repository.tags(), ["v1", "v2"]);
}

/// A bearer is as good as the rights behind it at the moment, which includes those of the source of a mount.
#[test]
fn a_mount_asks_again_whether_the_source_may_be_read() {
    let forge = forge!();
    let (source, target) = (forge.project("public"), forge.project("private"));
    let bytes = b"a layer of theirs";
    let digest =
        forge.registry(&source.token(&["api"], 40).secret).repository(&name_in(&source)).push_blob(bytes);
    let client = forge.registry(&target.token(&["api"], 40).secret);
    let scopes = format!("repository:{}:pull,push repository:{}:pull", name_in(&target), name_in(&source));
    let wide = client.with_bearer(&client.bearer(&[&scopes]));
    forge.root().put(&source.path(""), json!({ "visibility": "private" })).expect(200);
    let opened = wide.repository(&name_in(&target)).mount(&digest, Some(&name_in(&source))).expect(202);
    assert!(opened.location().contains("/blobs/uploads/"));
    wide.repository(&name_in(&target)).get_blob(&digest).expect(404);
    let manifest = image_manifest(&descriptor(OCI_CONFIG, bytes), &[]);
    // Nor can a manifest claim it.
    let target = client.repository(&name_in(&target));
    let answer = target.put_manifest("v1", OCI_IMAGE, manifest.to_string().as_bytes());
    answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}
