//! Content that no image needs goes, after a safe age and beside everything else that happens; what is needed stays, and
//! what was damaged is found and comes back with the next push.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis_app::registry::garbage::{self, Collected};
use portcullis_app::registry::verification::{self, Damaged, Fault, Verified};
use portcullis_testkit::registry::{
    Algorithm, Image, ImageRepository, OCI_CONFIG, OCI_IMAGE, OCI_LAYER, RegistryAnswer, blob_files,
    descriptor, image_manifest,
};
use portcullis_testkit::{Program, TestForge, forge, program, token_secret};
use serde_json::json;

/// The safe age, and a little more.
const DAY: i64 = 24 * 3600 + 1;

fn collect(forge: &TestForge) -> Collected {
    forge.block_on(garbage::collect(&forge.forge, false, &mut |_| {})).unwrap()
}

fn would_collect(forge: &TestForge) -> Collected {
    forge.block_on(garbage::collect(&forge.forge, true, &mut |_| {})).unwrap()
}

fn verify(forge: &TestForge, damaged: Damaged) -> Verified {
    forge.block_on(verification::verify(&forge.forge, damaged, &mut |_| {})).unwrap()
}

fn digest_of(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes)
}

fn is_stored(forge: &TestForge, bytes: &[u8]) -> bool {
    !forge.blob_files(&digest_of(bytes)).is_empty()
}

#[test]
fn what_no_manifest_names_goes_after_the_safe_age() {
    let forge = forge!();
    let image = forge.image();
    let kept = image.push_image("latest", "kept");
    let gone = image.push_image("old", "gone");
    let loose = b"pushed, and never named by a manifest".to_vec();
    image.push_blob(&loose);
    image.delete_manifest(&gone.digest).expect(202);
    // It is young yet.
    forge.clock.advance_seconds(DAY - 100);
    assert_eq!(collect(&forge), Collected::default());
    assert!(is_stored(&forge, &gone.layer) && is_stored(&forge, &loose));

    forge.clock.advance_seconds(100);
    let expected = Collected {
        links: 3,
        blobs: 3,
        bytes: (gone.layer.len() + gone.config.len() + loose.len()) as u64,
        ..Collected::default()
    };
    assert_eq!(would_collect(&forge), expected);
    assert!(is_stored(&forge, &gone.layer), "a dry run deletes nothing");
    assert_eq!(collect(&forge), expected);
    assert_eq!(collect(&forge), Collected::default());
    for bytes in [&gone.layer, &gone.config, &loose] {
        assert!(!is_stored(&forge, bytes));
        image.expect_no_blob(&digest_of(bytes));
    }
    image.expect_manifest("latest", &kept.digest, OCI_IMAGE, &kept.manifest);
    for bytes in [&kept.layer, &kept.config] {
        image.expect_blob(&digest_of(bytes), bytes);
    }
    // What is gone can be pushed again.
    image.push_image("old", "gone");
    image.expect_blob(&digest_of(&gone.layer), &gone.layer);
}

#[test]
fn a_manifest_without_a_tag_keeps_what_it_names() {
    let forge = forge!();
    let image = forge.image();
    let untagged = image.push_image("v1", "one");
    image.delete_manifest("v1").expect(202);
    forge.clock.advance_days(400);
    assert_eq!(collect(&forge).blobs, 0);
    image.expect_blob(&digest_of(&untagged.layer), &untagged.layer);
}

#[test]
fn what_another_repository_names_stays() {
    let forge = forge!();
    let project = forge.project("private");
    let (first, second) = (forge.image_in(&project), forge.image_in(&project));
    let shared = first.push_image("v1", "shared");
    second.push_image("v1", "shared");
    first.delete_manifest(&shared.digest).expect(202);
    forge.clock.advance_seconds(DAY);
    assert_eq!(collect(&forge), Collected { links: 2, ..Collected::default() });
    first.expect_no_blob(&digest_of(&shared.layer));
    second.expect_blob(&digest_of(&shared.layer), &shared.layer);
}

#[test]
fn a_blob_that_is_pushed_or_mounted_again_begins_a_new_age() {
    let forge = forge!();
    let project = forge.project("private");
    let (first, second) = (forge.image_in(&project), forge.image_in(&project));
    let (pushed, mounted) = (b"pushed again".to_vec(), b"mounted".to_vec());
    for bytes in [&pushed, &mounted] {
        first.push_blob(bytes);
    }
    forge.clock.advance_seconds(DAY - 100);
    first.push_blob(&pushed);
    second.mount(&digest_of(&mounted), Some(&first.name)).expect(201);
    forge.clock.advance_seconds(200);
    assert_eq!(collect(&forge), Collected::default());
    forge.clock.advance_seconds(DAY);
    assert_eq!(collect(&forge).blobs, 2);
}

#[test]
fn the_content_of_a_deleted_project_goes() {
    let forge = forge!();
    let project = forge.project("private");
    let (image, hidden) = (forge.image_in(&project), forge.image_in(&project));
    let pushed = image.push_image("v1", "one");
    let deleted = hidden.push_image("v1", "two");
    let elsewhere = forge.image();
    elsewhere.push_image("v1", "one");
    let list = forge.root().get(&project.path("/registry/repositories")).expect(200).json();
    forge.root().delete(&project.path(&format!("/registry/repositories/{}", list[1]["id"]))).expect(202);
    // The safe age is counted from the end of the project, however old its content is.
    forge.clock.advance_days(30);
    forge.root().delete(&project.path("")).expect(202);
    forge.run_jobs();
    assert_eq!(collect(&forge), Collected::default());
    forge.clock.advance_seconds(DAY);
    assert_eq!(collect(&forge).blobs, 2);
    assert!(!is_stored(&forge, &deleted.layer));
    elsewhere.expect_blob(&digest_of(&pushed.layer), &pushed.layer);
}

/// Uploads and packages keep their content as images do: it stays while anything links it, and goes a safe age after the last
/// link went.
#[test]
fn files_keep_their_content_until_they_are_deleted() {
    let forge = forge!();
    let project = forge.project("private");
    let root = forge.root();
    let (shared, alone) = (b"shared by all".to_vec(), b"of one file".to_vec());
    let upload = root.upload(project.id, "a.bin", &shared).expect(201).json();
    let other = root.upload(project.id, "b.bin", &alone).expect(201).json();
    let publish = |path: &str, content: &[u8]| {
        root.publish(project.id, &format!("{path}?select=package_file"), content).expect(201).json()
    };
    let (package, second) = (publish("tool/1/f", &shared), publish("tool/2/f", &shared));
    forge.image_in(&project).push_blob(&shared);
    forge.clock.advance_days(400);
    // The image loses what no manifest of it names; the content stays for the files.
    assert_eq!(collect(&forge), Collected { links: 1, ..Collected::default() });

    root.delete(&project.path(&format!("/uploads/{}", other["id"]))).expect(204);
    root.delete(&project.path(&format!("/uploads/{}", upload["id"]))).expect(204);
    assert_eq!(collect(&forge), Collected::default(), "it is young yet");
    forge.clock.advance_seconds(DAY);
    let one = Collected { blobs: 1, bytes: alone.len() as u64, ..Collected::default() };
    assert_eq!((would_collect(&forge), collect(&forge)), (one, one));
    assert!(!is_stored(&forge, &alone) && is_stored(&forge, &shared));

    let file = format!("/packages/{}/package_files/{}", package["package_id"], package["id"]);
    root.delete(&project.path(&file)).expect(204);
    forge.clock.advance_seconds(DAY);
    assert_eq!(collect(&forge), Collected::default());
    root.delete(&project.path(&format!("/packages/{}", second["package_id"]))).expect(204);
    assert_eq!(collect(&forge), Collected::default(), "it is young yet");
    forge.clock.advance_seconds(DAY);
    assert_eq!(would_collect(&forge).blobs, 1);
    assert_eq!(collect(&forge).blobs, 1);
    assert!(!is_stored(&forge, &shared));
    // What is gone can be published again.
    publish("tool/3/f", &shared);
    assert!(is_stored(&forge, &shared));
}

#[test]
fn the_files_of_a_deleted_project_go() {
    let forge = forge!();
    let (project, elsewhere) = (forge.project("private"), forge.project("private"));
    let root = forge.root();
    let (uploaded, published, shared) = (b"uploaded".to_vec(), b"published".to_vec(), b"shared".to_vec());
    root.upload(project.id, "a", &uploaded).expect(201);
    root.publish(project.id, "tool/1/f", &published).expect(201);
    root.publish(project.id, "tool/1/g", &shared).expect(201);
    root.upload(elsewhere.id, "a", &shared).expect(201);
    forge.clock.advance_days(30);
    root.delete(&project.path("")).expect(202);
    forge.run_jobs();
    assert_eq!(collect(&forge), Collected::default());
    forge.clock.advance_seconds(DAY);
    assert_eq!(collect(&forge).blobs, 2);
    assert!(!is_stored(&forge, &uploaded) && !is_stored(&forge, &published) && is_stored(&forge, &shared));
}

/// Damage to the content of a file is found like that of an image, and the next upload of the same content repairs it.
#[test]
fn damage_to_files_is_found_and_repaired() {
    let forge = forge!();
    let project = forge.project("private");
    let content = b"the content of a file".to_vec();
    let path = forge.root().upload(project.id, "a.bin", &content).expect(201).json()["full_path"].clone();
    let path = path.as_str().unwrap();
    forge.root().publish(project.id, "tool/1/f", &content).expect(201);
    let package = format!("/api/v4/projects/{}/packages/generic/tool/1/f", project.id);
    let get = |path: &str| forge.root().send("GET", path, &[], b"");
    let file = forge.blob_files(&digest_of(&content)).remove(0);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, b"something else").unwrap();
    let faults = vec![(digest_of(&content), Fault::Damaged)];
    assert_eq!(verify(&forge, Damaged::IsReported).faults, faults);
    assert_eq!(verify(&forge, Damaged::IsRemoved).faults, faults);
    collect(&forge);
    assert_eq!((get(path).status, get(&package).status), (404, 404));
    assert_eq!(verify(&forge, Damaged::IsReported).known_missing, 1);
    forge.root().publish(project.id, "tool/2/f", &content).expect(201);
    assert_eq!((get(path).text.as_bytes(), get(&package).text.as_bytes()), (&content[..], &content[..]));
    assert_eq!(verify(&forge, Damaged::IsReported).faults, []);
}

/// Where there is no registry there are uploads and packages, and what they leave behind goes all the same.
#[test]
fn without_a_registry_files_are_collected_too() {
    let forge = forge!(|settings| settings.container_registry = false);
    let project = forge.project("private");
    let content = b"content".to_vec();
    let upload = forge.root().upload(project.id, "a", &content).expect(201).json();
    forge.root().delete(&project.path(&format!("/uploads/{}", upload["id"]))).expect(204);
    forge.clock.advance_seconds(DAY);
    forge.run_recurring_jobs();
    assert!(!is_stored(&forge, &content));
}

#[test]
fn content_on_no_record_goes_when_it_is_old() {
    let forge = forge!();
    let image = forge.image();
    let known = image.push_image("v1", "known");
    let file = forge.blob_files(&digest_of(&known.layer)).remove(0);
    // As if the database had been put back from an older backup.
    let stray = |bytes: &[u8], age: Duration| {
        let digest = digest_of(bytes);
        let hex = digest.strip_prefix("sha256:").unwrap();
        let path = file.parent().unwrap().parent().unwrap().join(&hex[..2]).join(hex);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(forge.forge.now().unsigned_abs());
        File::options().write(true).open(&path).unwrap().set_modified(now - age).unwrap();
    };
    let (old, young) = (b"old".to_vec(), b"young".to_vec());
    stray(&old, Duration::from_secs(2 * 24 * 3600));
    stray(&young, Duration::from_secs(3600));
    let expected = Collected { strays: 1, bytes: 3, ..Collected::default() };
    assert_eq!(would_collect(&forge), expected);
    assert_eq!(collect(&forge), expected);
    assert!(!is_stored(&forge, &old) && is_stored(&forge, &young) && is_stored(&forge, &known.layer));
}

#[test]
fn uploads_that_nobody_goes_on_with_are_given_up() {
    let forge = forge!();
    let image = forge.image();
    let mut idle = image.open_upload();
    idle.stream(b"a beginning").expect(202);
    forge.clock.advance_seconds(DAY - 100);
    let mut busy = image.open_upload();
    busy.stream(b"another").expect(202);
    forge.clock.advance_seconds(200);
    assert_eq!(would_collect(&forge).uploads, 1);
    assert_eq!(collect(&forge).uploads, 1);
    idle.expect_gone();
    busy.expect_size(7);
}

/// Images that share their content are pushed and deleted, while two collectors at a time find everything old that is not
/// being used. What was acknowledged can be pulled, until the one who pushed it deletes it.
#[test]
fn pushes_and_deletions_race_with_collectors() {
    const ENOUGH: usize = 6;
    let forge = forge!();
    let project = forge.project("private");
    let images: Vec<_> = (0..3).map(|_| forge.image_in(&project)).collect();
    let (acknowledged, collected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // How fast each of them is depends on the machine: they go on until all of them did something.
    let begun = Instant::now();
    let goes_on = || {
        let idle =
            acknowledged.load(Ordering::Relaxed) < ENOUGH || collected.load(Ordering::Relaxed) < ENOUGH;
        begun.elapsed() < Duration::from_secs(2) || (idle && begun.elapsed() < Duration::from_secs(120))
    };
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while goes_on() {
                // The clock stands still while they are at work, as it does in proportion to how long a mark holds.
                forge.clock.advance_seconds(DAY);
                std::thread::scope(|scope| {
                    for both in [scope.spawn(|| collect(&forge).blobs), scope.spawn(|| collect(&forge).blobs)]
                    {
                        collected
                            .fetch_add(usize::try_from(both.join().unwrap()).unwrap(), Ordering::Relaxed);
                    }
                });
            }
        });
        let pushers = images.iter().map(|image| {
            scope.spawn(|| {
                while goes_on() {
                    acknowledged.fetch_add(usize::from(push_and_delete(image)), Ordering::Relaxed);
                }
            })
        });
        for one in pushers.collect::<Vec<_>>() {
            one.join().unwrap();
        }
        collector.join().unwrap();
    });
    let (acknowledged, collected) = (acknowledged.into_inner(), collected.into_inner());
    assert!(
        acknowledged >= ENOUGH && collected >= ENOUGH,
        "{acknowledged} images, {collected} blobs collected"
    );
    let faults = verify(&forge, Damaged::IsReported).faults;
    assert_eq!(faults, []);
    for image in &images {
        image.push_image("latest", "shared by all");
    }
}

/// Returns whether the image was acknowledged. Between two requests of a push a day may go by, so that it must begin again.
fn push_and_delete(image: &ImageRepository) -> bool {
    let wanted = Image::of("shared by all");
    let patiently = |ask: &dyn Fn() -> RegistryAnswer| {
        loop {
            let answer = ask();
            // Its bearer was of another day, or the content was being deleted.
            if !matches!(answer.status, 401 | 503) {
                return answer;
            }
        }
    };
    for bytes in [&wanted.config, &wanted.layer] {
        let query = format!("?digest={}", digest_of(bytes));
        patiently(&|| image.post_upload(&query, &[], bytes)).expect(201);
    }
    let put = patiently(&|| image.put_manifest("latest", OCI_IMAGE, &wanted.manifest));
    if put.status != 201 {
        put.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
        return false;
    }
    for bytes in [&wanted.config, &wanted.layer] {
        let got = patiently(&|| image.get_blob(&digest_of(bytes))).expect(200);
        assert!(&got.body == bytes, "other bytes");
    }
    patiently(&|| image.delete_manifest(&wanted.digest)).expect(202);
    true
}

/// Files with the same content are published and deleted, while two collectors at a time find everything old that is not
/// linked. What was acknowledged can be downloaded, until the one who published it deletes it.
#[test]
fn files_race_with_collectors() {
    const ENOUGH: usize = 6;
    let forge = forge!();
    let projects: Vec<_> = (0..3).map(|_| forge.project("private")).collect();
    let (acknowledged, collected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    let goes_on = || {
        let idle =
            acknowledged.load(Ordering::Relaxed) < ENOUGH || collected.load(Ordering::Relaxed) < ENOUGH;
        begun.elapsed() < Duration::from_secs(1) || (idle && begun.elapsed() < Duration::from_secs(120))
    };
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while goes_on() {
                forge.clock.advance_seconds(DAY);
                std::thread::scope(|scope| {
                    for both in [scope.spawn(|| collect(&forge).blobs), scope.spawn(|| collect(&forge).blobs)]
                    {
                        collected
                            .fetch_add(usize::try_from(both.join().unwrap()).unwrap(), Ordering::Relaxed);
                    }
                });
            }
        });
        let publishers = projects.iter().map(|project| {
            scope.spawn(|| {
                let root = forge.root().clone();
                while goes_on() {
                    // It waits where the same content is just being deleted.
                    let made = root.publish(project.id, "tool/1/f?select=package_file", b"shared by all");
                    if made.status == 503 {
                        continue;
                    }
                    let package = made.expect(201).json()["package_id"].clone();
                    let path = format!("/api/v4/projects/{}/packages/generic/tool/1/f", project.id);
                    assert_eq!(root.send("GET", &path, &[], b"").expect(200).text, "shared by all");
                    root.delete(&project.path(&format!("/packages/{package}"))).expect(204);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        for one in publishers.collect::<Vec<_>>() {
            one.join().unwrap();
        }
        collector.join().unwrap();
    });
    let (acknowledged, collected) = (acknowledged.into_inner(), collected.into_inner());
    assert!(
        acknowledged >= ENOUGH && collected >= ENOUGH,
        "{acknowledged} files, {collected} blobs collected"
    );
    assert_eq!(verify(&forge, Damaged::IsReported).faults, []);
}

#[test]
fn damage_is_found_removed_and_repaired_by_the_next_push() {
    let forge = forge!();
    let image = forge.image();
    let pushed = image.push_image("v1", "whole");
    let damaged = forge.blob_files(&digest_of(&pushed.layer)).remove(0);
    let missing = forge.blob_files(&digest_of(&pushed.config)).remove(0);
    assert_eq!(verify(&forge, Damaged::IsReported).blobs, 2);
    let mut other = pushed.layer.clone();
    other[3] ^= 1;
    std::fs::remove_file(&damaged).unwrap();
    std::fs::write(&damaged, &other).unwrap();
    std::fs::remove_file(&missing).unwrap();

    let mut expected =
        vec![(digest_of(&pushed.layer), Fault::Damaged), (digest_of(&pushed.config), Fault::Missing)];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let found = |damaged: Damaged| {
        let mut faults = verify(&forge, damaged).faults;
        faults.sort_by(|a, b| a.0.cmp(&b.0));
        faults
    };
    assert_eq!(found(Damaged::IsReported), expected);
    assert!(damaged.exists(), "it is only told of");
    assert_eq!(found(Damaged::IsRemoved), expected);
    assert!(!damaged.exists());
    // Now a client is told to push them: before, it would have passed them over.
    image.head_blob(&digest_of(&pushed.layer)).expect(404);
    image.head_blob(&digest_of(&pushed.config)).expect(404);
    image.expect_manifest("v1", &pushed.digest, OCI_IMAGE, &pushed.manifest);
    assert!(found(Damaged::IsReported).iter().all(|(_, fault)| *fault == Fault::Missing));
    collect(&forge);

    image.push_image("v1", "whole");
    for bytes in [&pushed.layer, &pushed.config] {
        image.expect_blob(&digest_of(bytes), bytes);
    }
    assert_eq!(found(Damaged::IsReported), []);
}

#[test]
fn the_recurring_job_collects() {
    let forge = forge!();
    let loose = b"loose".to_vec();
    forge.image().push_blob(&loose);
    forge.clock.advance_seconds(DAY);
    forge.run_recurring_jobs();
    assert!(!is_stored(&forge, &loose));
}

fn image_of(program: &Program) -> ImageRepository {
    let root = program.root();
    let group = root.post("/groups", json!({ "name": "acme", "path": "acme" })).expect(201).json();
    let project = json!({ "name": "app", "namespace_id": group["id"] });
    let project = root.post("/projects", project).expect(201).json();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let token = root.post(&format!("/projects/{}/access_tokens", project["id"]), token).expect(201).json();
    let client = portcullis_testkit::RegistryClient::new(&program.url, Some(&token_secret(&token)));
    client.repository("acme/app/x")
}

/// The commands run beside the server, on the same data.
#[test]
fn an_operator_collects_and_verifies_while_the_server_runs() {
    let program = program!();
    let image = image_of(&program);
    let pushed = image.push_image("v1", "one");
    let said = program.command(&["registry", "gc", "--dry-run"]);
    assert!(said.starts_with("would be removed: 0 blobs of 0 bytes"), "{said}");
    let said = program.command(&["registry", "gc"]);
    assert!(said.starts_with("removed: 0 blobs of 0 bytes"), "{said}");
    let said = program.command(&["registry", "verify"]);
    assert_eq!(said, format!("2 blobs of {} bytes were read", pushed.layer.len() + pushed.config.len()));

    if std::env::var("PORTCULLIS_TEST_ENGINE").as_deref() == Ok("postgres") {
        // The address of its database is in the testkit; what follows is the same on both.
        return;
    }
    let layer = digest_of(&pushed.layer);
    std::fs::remove_file(&blob_files(&program.data(), &layer)[0]).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["registry", "verify", "--remove-damaged", "--data"])
        .arg(program.data())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("missing  {layer}\n")), "{text}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "portcullis: 0 blobs are damaged and 1 are missing\n");
    image.push_blob(&pushed.layer);
    image.expect_blob(&layer, &pushed.layer);
    program.command(&["registry", "verify"]);
}

/// A server that is killed between two steps of a deletion leaves a blob that is marked. The next collector ends it, and
/// the content can be pushed again.
#[test]
fn a_deletion_that_was_cut_off_goes_on() {
    let forge = forge!();
    let image = forge.image();
    let loose = b"to be deleted".to_vec();
    let digest = digest_of(&loose);
    image.push_blob(&loose);
    let file = forge.blob_files(&digest).remove(0);
    // A folder in the place of the file cannot be deleted as one: the deletion stops halfway.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    forge.clock.advance_seconds(DAY);
    assert!(forge.block_on(garbage::collect(&forge.forge, false, &mut |_| {})).is_err());
    std::fs::remove_dir(&file).unwrap();
    // For a few minutes it belongs to the collector that began it.
    image.post_upload(&format!("?digest={digest}"), &[], &loose).expect(503);
    collect(&forge);
    image.client.forget_bearers();
    forge.clock.advance_seconds(301);
    collect(&forge);
    image.push_blob(&loose);
    image.expect_blob(&digest, &loose);
}

/// A push that took longer than the safe age between its blobs and its manifest is told what to push again.
#[test]
fn a_manifest_never_names_what_a_collector_took_away() {
    let forge = forge!();
    let image = forge.image();
    let Image { config, layer, .. } = Image::of("one");
    image.push_blob(&config);
    image.push_blob(&layer);
    forge.clock.advance_seconds(DAY);
    collect(&forge);
    let manifest = image_manifest(&descriptor(OCI_CONFIG, &config), &[descriptor(OCI_LAYER, &layer)]);
    let refused = image.put_manifest("v1", OCI_IMAGE, manifest.to_string().as_bytes());
    refused.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    image.push_image("v1", "one");
}
