//! What deleting takes away and what it leaves, and what a registry answers that does not delete, or writes nothing.

use portcullis_testkit::registry::{
    Algorithm, Body, OCI_IMAGE, OCI_INDEX, RegistryClient, Way, descriptor, index_manifest,
};
use portcullis_testkit::{Connection, Program, forge, program, token_secret};
use serde_json::json;

#[test]
fn deleting_a_tag_takes_the_tag_and_nothing_else() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    repository.put_manifest("v2", OCI_IMAGE, &image.manifest).expect(201);
    let answer = repository.delete_manifest("v1").expect(202);
    assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    repository.get_manifest("v1").expect_error(404, "MANIFEST_UNKNOWN");
    repository.delete_manifest("v1").expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(repository.tags(), ["v2"]);
    repository.delete_manifest("v2").expect(202);
    assert_eq!(repository.tags(), Vec::<String>::new());
    // Untagged, it is still there, with all that it names.
    assert!(repository.get_manifest(&image.digest).expect(200).body == image.manifest);
    repository.head_blob(&Algorithm::Sha256.digest(&image.layer)).expect(200);
    // And can be tagged again.
    repository.put_manifest("v1", OCI_IMAGE, &image.manifest).expect(201);
    assert_eq!(repository.tags(), ["v1"]);
}

#[test]
fn deleting_a_manifest_takes_its_tags_along() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    let other = repository.push_image("other", "other");
    for tag in ["v2", "latest"] {
        repository.put_manifest(tag, OCI_IMAGE, &image.manifest).expect(201);
    }
    repository.delete_manifest(&image.digest).expect(202);
    for reference in ["v1", "v2", "latest", &image.digest] {
        repository.get_manifest(reference).expect_error(404, "MANIFEST_UNKNOWN");
        repository.head_manifest(reference).expect(404);
    }
    assert_eq!(repository.tags(), ["other"]);
    assert!(repository.get_manifest("other").expect(200).body == other.manifest);
    repository.delete_manifest(&image.digest).expect_error(404, "MANIFEST_UNKNOWN");
    // Its blobs stay until they are deleted, or swept.
    repository.head_blob(&Algorithm::Sha256.digest(&image.layer)).expect(200);
    repository.put_manifest("v1", OCI_IMAGE, &image.manifest).expect(201);
}

#[test]
fn a_blob_that_a_manifest_names_is_not_deleted() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    let blobs = [&image.config, &image.layer].map(|bytes| Algorithm::Sha256.digest(bytes));
    for digest in &blobs {
        repository.delete_blob(digest).expect_error(405, "UNSUPPORTED");
        repository.head_blob(digest).expect(200);
    }
    // Also while it is only named by one without a tag.
    repository.delete_manifest("v1").expect(202);
    for digest in &blobs {
        repository.delete_blob(digest).expect_error(405, "UNSUPPORTED");
    }
    repository.delete_manifest(&image.digest).expect(202);
    for digest in &blobs {
        repository.delete_blob(digest).expect(202);
        repository.get_blob(digest).expect_error(404, "BLOB_UNKNOWN");
        repository.delete_blob(digest).expect_error(404, "BLOB_UNKNOWN");
    }
    // Without them the manifest is not taken again.
    let answer = repository.put_manifest("v1", OCI_IMAGE, &image.manifest);
    answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn what_was_deleted_in_one_repository_is_there_in_the_others() {
    let forge = forge!();
    let repository = forge.image();
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    let elsewhere = forge.image();
    let digest = repository.push_blob(b"content");
    for other in [&sibling, &elsewhere] {
        other.push_blob(b"content");
    }
    repository.delete_blob(&digest).expect(202);
    repository.head_blob(&digest).expect(404);
    for other in [&sibling, &elsewhere] {
        assert_eq!(other.get_blob(&digest).expect(200).body, b"content");
    }
    // Pushed again, it is there again.
    for way in Way::ALL {
        repository.upload(way, b"content", &digest).expect(201);
        assert_eq!(repository.get_blob(&digest).expect(200).body, b"content");
        repository.delete_blob(&digest).expect(202);
    }
}

#[test]
fn deleting_what_an_index_names_comes_with_a_warning() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("image", "image");
    let index = index_manifest(&[descriptor(OCI_IMAGE, &image.manifest)]).to_string();
    repository.put_manifest("index", OCI_INDEX, index.as_bytes()).expect(201);
    let answer = repository.delete_manifest(&image.digest).expect(202);
    let warning = answer.header("warning").unwrap();
    assert!(warning.starts_with("299 - \"") && warning.ends_with('"'), "{warning}");
    repository.get_manifest(&image.digest).expect_error(404, "MANIFEST_UNKNOWN");
    assert!(repository.get_manifest("index").expect(200).body == index.as_bytes());
    // What nothing names goes without one.
    assert_eq!(repository.delete_manifest("index").expect(202).header("warning"), None);
    let digest = Algorithm::Sha256.digest(index.as_bytes());
    assert_eq!(repository.delete_manifest(&digest).expect(202).header("warning"), None);
}

#[test]
fn nothing_is_deleted_where_the_operator_says_so() {
    let forge = forge!(|settings| settings.registry_deletion = false);
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    let blob = repository.push_blob(b"unused");
    for reference in ["v1", &image.digest, "missing"] {
        repository.delete_manifest(reference).expect_error(405, "UNSUPPORTED");
    }
    repository.delete_blob(&blob).expect_error(405, "UNSUPPORTED");
    assert!(repository.get_manifest("v1").expect(200).body == image.manifest);
    repository.head_blob(&blob).expect(200);
    // An upload is no content yet.
    repository.open_upload().cancel().expect(204);
}

#[test]
fn a_registry_that_is_read_only_grants_nothing_but_reading() {
    let forge = forge!(|settings| settings.registry_read_only = true);
    let repository = forge.image();
    let scope = format!("repository:{}:pull,push,delete,*", repository.name);
    assert_eq!(repository.client.granted(&scope), ["pull"]);
    // Reading goes on as ever.
    repository.get("/tags/list").expect_error(404, "NAME_UNKNOWN");
    assert_eq!(repository.referrers(&Algorithm::Sha256.digest(b""), "").status, 200);
    // Whoever comes with less is told so, or to come again later, and writes nothing either way.
    let answer = repository.post_upload("", &[], b"");
    assert!(matches!(answer.status, 401 | 503), "{answer:?}");
}

/// Those who were given the right to write before are told to come again.
#[test]
fn a_registry_that_becomes_read_only_takes_nothing_and_serves_what_it_has() {
    let mut program = program!();
    let root = program.root();
    let made = root.post("/groups", json!({ "name": "acme", "path": "acme" })).expect(201).json();
    let body = json!({ "name": "app", "path": "app", "namespace_id": made["id"] });
    let made = root.post("/projects", body).expect(201).json();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let path = format!("/projects/{}/access_tokens", made["id"]);
    let token = root.post(&path, token).expect(201).json();
    let client = RegistryClient::new(&program.url, Some(&token_secret(&token)));
    let bearer = client.bearer(&["repository:acme/app/img:pull,push,delete"]);
    let repository = client.with_bearer(&bearer).repository("acme/app/img");
    let image = repository.push_image("v1", "image");
    let mut upload = repository.open_upload();
    upload.piece(0, b"begun").expect(202);
    let configure = |program: &mut Program, read_only: bool| {
        let text = format!("registry_read_only = {read_only}\n");
        std::fs::write(program.data().join("portcullis.toml"), text).unwrap();
        program.kill();
        program.restart();
    };
    configure(&mut program, true);
    let digest = Algorithm::Sha256.digest(&image.layer);
    for (method, path) in [
        ("POST", repository.path("/blobs/uploads/")),
        ("POST", repository.path(&format!("/blobs/uploads/?digest={digest}"))),
        ("POST", repository.path(&format!("/blobs/uploads/?mount={digest}&from=acme/app/img"))),
        ("PATCH", upload.location.clone()),
        ("PUT", format!("{}?digest={digest}", upload.location)),
        ("PUT", repository.path("/manifests/v2")),
        ("DELETE", repository.path("/manifests/v1")),
        ("DELETE", repository.path(&format!("/blobs/{digest}"))),
    ] {
        let headers = [("content-type", "application/octet-stream")];
        let answer = repository.client.ask(method, &path, &headers, Body::Bytes(&image.layer));
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(seconds > 0);
    }
    assert!(repository.get_manifest("v1").expect(200).body == image.manifest);
    assert_eq!(repository.tags(), ["v1"]);
    configure(&mut program, false);
    upload.put(&Algorithm::Sha256.digest(b"begun"), b"").expect(201);
}

/// A download that has begun is finished with the right bytes, whatever is deleted meanwhile.
#[test]
fn what_is_being_downloaded_arrives_although_it_is_deleted() {
    let forge = forge!();
    let repository = forge.image();
    // More than what any buffer on the way takes.
    let bytes: Vec<u8> = (0..(24 << 20) / 4).flat_map(|number: u32| number.to_le_bytes()).collect();
    let digest = repository.push_blob(&bytes);
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull", repository.name)]);
    let mut connection = Connection::open(&forge);
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: forge\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n\r\n",
        repository.path(&format!("/blobs/{digest}"))
    );
    connection.send(head.as_bytes());
    assert_eq!(connection.head().status, 200);
    repository.delete_blob(&digest).expect(202);
    forge.clock.advance_days(3);
    forge.run_recurring_jobs();
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut connection.0, &mut read).unwrap();
    assert!(read == bytes, "{} bytes of {}", read.len(), bytes.len());
    repository.head_blob(&digest).expect(404);
    // Nothing refers to it any more, and it is old enough: its file is gone.
    assert_eq!(forge.blob_files(&digest).len(), 0);
}
