//! Image repositories and their tags, with what is counted and named beside them.

use portcullis_rules::id::{ContainerRepositoryId, ProjectId, UserId};
use portcullis_store::container_cleanup_policies::{self as policies, CleanupPolicy};
use portcullis_store::container_manifests::{self, NewManifest};
use portcullis_store::container_repositories::{self, ContainerRepository, RepositoriesOf};
use portcullis_store::container_tags::{self, TagDetails};
use portcullis_store::db::Tx;
use portcullis_store::{blobs, projects};

use crate::engines::Place;
use crate::world::World;
use crate::{NOW, PART, WHOLE, kept, keys, part_of};

/// Adds a repository with tags, each on a manifest of its own.
async fn add(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    author: UserId,
    tags: &[&str],
) -> ContainerRepositoryId {
    let repository = container_repositories::ensure(tx, project, image, NOW).await.unwrap();
    for tag in tags {
        let new = manifest(repository, tag, author);
        let manifest = container_manifests::insert(tx, &new, NOW).await.unwrap();
        container_tags::set(tx, repository, tag, manifest, author, NOW).await.unwrap();
    }
    repository
}

fn manifest<'a>(repository: ContainerRepositoryId, digest: &'a str, author: UserId) -> NewManifest<'a> {
    NewManifest {
        repository,
        digest,
        media_type: "application/vnd.oci.image.manifest.v1+json",
        content_size: 100,
        config_digest: Some("sha256:c"),
        built_at: Some(7),
        subject: None,
        artifact_type: None,
        annotations: None,
        author,
        body: b"{}",
        blobs: &[],
        manifests: &[],
    }
}

pub async fn container_repositories_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let mut ids = Vec::new();
    for (project, image, tags) in [
        (world.open, "", &["a", "B", "_"][..]),
        (world.inner, "x", &["a"]),
        (world.archived, "x/y", &[]),
        (world.hidden, "", &["a"]),
        (world.open, "z", &[]),
        (world.personal, "", &["a", "b"]),
    ] {
        ids.push(add(&mut tx, project, image, world.ana, tags).await);
    }
    let gone = add(&mut tx, world.open, "gone", world.ana, &["a"]).await;
    assert!(container_repositories::request_deletion(&mut tx, gone, NOW).await.unwrap());
    let list = async |tx: &mut Tx, of, window| container_repositories::list(tx, of, window).await.unwrap();
    let key = |repository: &ContainerRepository| repository.id.0;

    let all = list(&mut tx, RepositoriesOf::Group(world.top), WHOLE).await.items;
    assert_eq!(keys(&all, key), [ids[0].0, ids[1].0, ids[2].0, ids[4].0]);
    part_of(&list(&mut tx, RepositoriesOf::Group(world.top), PART).await, &all, key);
    let of = RepositoriesOf::Group(world.sub);
    kept(of, &list(&mut tx, of, WHOLE).await, &all, key, |one| one.project != world.open);
    let of = RepositoriesOf::Project(world.open);
    kept(of, &list(&mut tx, of, WHOLE).await, &all, key, |one| one.project == world.open);

    let counts = container_tags::counts_of(&mut tx, &ids).await.unwrap();
    let count = |id| counts.iter().find(|(of, _)| *of == id).map(|(_, count)| *count);
    assert_eq!([0, 1, 2, 5].map(|at| count(ids[at])), [Some(3), Some(1), None, Some(2)]);
    let names = container_tags::first_names_of(&mut tx, &[ids[5], ids[0]], 2).await.unwrap();
    let expected = [(ids[0], "B"), (ids[0], "_"), (ids[5], "a"), (ids[5], "b")];
    assert_eq!(names, expected.map(|(id, name)| (id, name.to_owned())));
    assert!(container_tags::counts_of(&mut tx, &[]).await.unwrap().is_empty());

    assert_eq!(
        container_repositories::ids_in_project(&mut tx, world.open).await.unwrap(),
        [ids[0], ids[4], gone]
    );
    assert_eq!(container_repositories::delete_manifests(&mut tx, ids[0], 2).await.unwrap(), 2);
    assert_eq!(container_repositories::delete_manifests(&mut tx, ids[0], 2).await.unwrap(), 1);
    assert!(container_tags::list(&mut tx, ids[0], WHOLE).await.unwrap().items.is_empty());
}

pub async fn container_tags_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    // Sorted by their bytes, whatever the locale of the database.
    let sorted = ["0", "A", "Z", "_", "a", "a.1", "z"];
    let repository = add(&mut tx, world.open, "x", world.ana, &["z", "a.1", "A", "_", "0", "a", "Z"]).await;
    add(&mut tx, world.open, "y", world.ana, &["elsewhere"]).await;
    let all = container_tags::list(&mut tx, repository, WHOLE).await.unwrap();
    assert_eq!((all.items.as_slice(), all.total), (&sorted.map(str::to_owned)[..], Some(7)));
    let part = container_tags::list(&mut tx, repository, PART).await.unwrap();
    assert_eq!(part.items, sorted[1..3]);
    assert_eq!(container_tags::names_after(&mut tx, repository, "Z", 2).await.unwrap(), ["_", "a"]);
    assert_eq!(container_tags::names_before(&mut tx, repository, Some("a"), 2).await.unwrap(), ["_", "Z"]);
    assert_eq!(container_tags::names_before(&mut tx, repository, None, 2).await.unwrap(), ["z", "a.1"]);

    // An index is as large as its images, and as old as the newest.
    let new = NewManifest { built_at: Some(9), content_size: 30, ..manifest(repository, "newer", world.ana) };
    container_manifests::insert(&mut tx, &new, NOW).await.unwrap();
    let index = NewManifest {
        built_at: None,
        config_digest: None,
        content_size: 4,
        manifests: &["a", "newer"],
        ..manifest(repository, "index", world.ana)
    };
    let index = container_manifests::insert(&mut tx, &index, NOW).await.unwrap();
    container_tags::set(&mut tx, repository, "index", index, world.ana, NOW).await.unwrap();
    let details = |tag: &str, config: Option<&str>, total_size, built_at| TagDetails {
        name: tag.to_owned(),
        digest: tag.to_owned(),
        config_digest: config.map(str::to_owned),
        total_size,
        built_at: Some(built_at),
    };
    for expected in [details("index", None, 130, 9), details("a", Some("sha256:c"), 100, 7)] {
        let found = container_tags::details(&mut tx, repository, &expected.name).await.unwrap();
        assert_eq!(found, Some(expected));
    }
    assert_eq!(container_tags::details(&mut tx, repository, "elsewhere").await.unwrap(), None);
    let ages = container_tags::all_with_age(&mut tx, repository).await.unwrap();
    let age = |tag: &str| ages.iter().find(|aged| aged.name == tag).unwrap().pushed_at;
    assert_eq!((ages.len(), age("index"), age("z")), (8, NOW, NOW));
}

pub async fn cleanup_policies_are_found_when_they_are_due(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let policy = |enabled, next_run_at| CleanupPolicy {
        enabled,
        cadence: "1d".to_owned(),
        keep_n: Some(5),
        older_than: None,
        name_regex: Some(".*".to_owned()),
        name_regex_keep: None,
        next_run_at,
    };
    for (project, enabled, at) in [
        (world.open, true, 30),
        (world.inner, true, 10),
        (world.archived, true, 20),
        (world.hidden, false, 10),
        (world.personal, true, 31),
    ] {
        policies::set(&mut tx, project, &policy(enabled, at), NOW).await.unwrap();
    }
    let due = policies::due(&mut tx, 30, 10).await.unwrap();
    let projects: Vec<_> = due.iter().map(|(project, _)| *project).collect();
    assert_eq!(projects, [world.inner, world.archived, world.open]);
    assert_eq!(policies::due(&mut tx, 30, 1).await.unwrap(), [(world.inner, "1d".to_owned())]);
    policies::set_next_run(&mut tx, world.inner, 40).await.unwrap();
    assert_eq!(policies::due(&mut tx, 30, 1).await.unwrap()[0].0, world.archived);

    let found = policies::find_in_force(&mut tx, world.open).await.unwrap();
    assert_eq!(found, Some(policy(true, 30)));
    assert_eq!(policies::find_in_force(&mut tx, world.archived).await.unwrap(), None, "it is archived");
    assert_eq!(policies::find_in_force(&mut tx, world.hidden).await.unwrap(), None, "it is off");
    let shown = projects::find(&mut tx, world.hidden).await.unwrap().unwrap().cleanup_policy;
    assert_eq!(shown, Some(policy(false, 10)));
    policies::set(&mut tx, world.open, &policy(false, 50), NOW).await.unwrap();
    assert_eq!(policies::find_in_force(&mut tx, world.open).await.unwrap(), None);
}

pub async fn what_blobs_take_is_counted_once_in_each_place(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let (first, second) = (
        add(&mut tx, world.open, "", world.ana, &[]).await,
        add(&mut tx, world.open, "x", world.ana, &[]).await,
    );
    let elsewhere = add(&mut tx, world.inner, "", world.ana, &[]).await;
    for (digest, size, repositories) in [
        ("sha256:a", 10, &[first, second, elsewhere][..]),
        ("sha256:b", 5, &[second]),
        ("sha256:c", 1000, &[]),
    ] {
        let blob = blobs::rely_on(&mut tx, digest, size, NOW).await.unwrap().unwrap();
        for repository in repositories {
            assert!(blobs::link(&mut tx, *repository, blob, NOW).await.unwrap());
        }
    }
    assert_eq!(blobs::bytes_of_repository(&mut tx, second).await.unwrap(), 15);
    assert_eq!(blobs::bytes_of_project(&mut tx, world.open).await.unwrap(), 15);
    assert_eq!(blobs::bytes_below(&mut tx, world.top).await.unwrap(), 25);
    assert_eq!(blobs::recorded(&mut tx).await.unwrap(), (3, 1015));
}

pub async fn a_link_that_no_manifest_needs_goes_and_no_other(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let repository = add(&mut tx, world.open, "x", world.ana, &[]).await;
    let other = add(&mut tx, world.open, "y", world.ana, &[]).await;
    let mut ids = Vec::new();
    for digest in ["sha256:named", "sha256:loose", "sha256:fresh"] {
        let blob = blobs::rely_on(&mut tx, digest, 1, 10).await.unwrap().unwrap();
        for place in [repository, other] {
            assert!(blobs::link(&mut tx, place, blob, 10).await.unwrap());
        }
        ids.push(blob);
    }
    blobs::rely_on(&mut tx, "sha256:fresh", 1, 20).await.unwrap();
    let new = NewManifest { blobs: &["sha256:named"], ..manifest(repository, "sha256:m", world.ana) };
    let made = container_manifests::insert(&mut tx, &new, 10).await.unwrap();

    let zero = portcullis_rules::id::BlobId(0);
    assert_eq!(blobs::unreferenced_after(&mut tx, repository, zero, 10, 9).await.unwrap(), []);
    assert_eq!(blobs::unreferenced_after(&mut tx, repository, zero, 11, 9).await.unwrap(), [ids[1]]);
    assert_eq!(blobs::unreferenced_after(&mut tx, other, zero, 11, 9).await.unwrap(), ids[..2]);
    let without_use = blobs::without_use_after(&mut tx, zero, 11, 9).await.unwrap();
    assert_eq!(without_use.iter().map(|blob| blob.id).collect::<Vec<_>>(), [ids[1]]);
    for (place, blob, gone) in [
        (repository, 0, false),
        (repository, 1, true),
        (repository, 2, false),
        (other, 0, true),
        (other, 1, true),
    ] {
        let unlinked = blobs::unlink_unreferenced(&mut tx, place, ids[blob], 11).await.unwrap();
        assert_eq!(unlinked, gone, "{place} {blob}");
    }
    let unused = blobs::unused_after(&mut tx, zero, 11, 9).await.unwrap();
    assert_eq!(unused.iter().map(|blob| blob.id).collect::<Vec<_>>(), [ids[1]]);
    // What a manifest named is kept for a while after the manifest has gone.
    container_manifests::delete(&mut tx, made, 30).await.unwrap();
    assert_eq!(blobs::unreferenced_after(&mut tx, repository, zero, 30, 9).await.unwrap(), [ids[2]]);
    assert_eq!(blobs::unreferenced_after(&mut tx, repository, zero, 31, 9).await.unwrap(), [ids[0], ids[2]]);
}
