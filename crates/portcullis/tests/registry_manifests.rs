//! Manifests and tags: what is accepted, what must be there first, and that exactly what was pushed comes back. What is
//! accepted of every kind is in `registry_data_sets.rs`.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::registry::{
    Algorithm, Body, DOCKER_IMAGE, DOCKER_LIST, Image, OCI_CONFIG, OCI_EMPTY, OCI_IMAGE, OCI_INDEX,
    OCI_LAYER, RegistryAnswer, descriptor, image_manifest, index_manifest, strings,
};
use portcullis_testkit::{Connection, forge};
use serde_json::{Value, json};

#[test]
fn sparse_indexes_are_refused_with_what_is_missing() {
    let forge = forge!();
    let repository = forge.image();
    let present = repository.push_image("present", "present");
    let missing = ["one", "two"].map(|seed| descriptor(OCI_IMAGE, seed.as_bytes()));
    let [one, two] = &missing;
    let index = index_manifest(&[one.clone(), descriptor(OCI_IMAGE, &present.manifest), two.clone()]);
    let answer = repository.put_manifest("sparse", OCI_INDEX, index.to_string().as_bytes());
    expect_missing(&answer, &missing);
    repository.get_manifest("sparse").expect_error(404, "MANIFEST_UNKNOWN");
}

#[test]
fn embedded_data_spares_no_blob() {
    let forge = forge!();
    let repository = forge.image();
    let mut config = descriptor(OCI_EMPTY, b"{}");
    config["data"] = json!("e30=");
    let manifest = image_manifest(&config, &[]).to_string();
    repository
        .put_manifest("data", OCI_IMAGE, manifest.as_bytes())
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn a_layer_that_is_to_be_fetched_from_nowhere_must_be_there() {
    let forge = forge!();
    let repository = forge.image();
    repository.push_blob(b"{}");
    let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let mut nowhere = descriptor(kind, b"missing");
    for urls in [Value::Null, json!([])] {
        nowhere["urls"] = urls;
        let manifest = image_manifest(&descriptor(OCI_EMPTY, b"{}"), std::slice::from_ref(&nowhere));
        let answer = repository.put_manifest("nowhere", OCI_IMAGE, manifest.to_string().as_bytes());
        answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    }
    // An ordinary layer is not excused by an address.
    let mut ordinary = descriptor(OCI_LAYER, b"missing");
    ordinary["urls"] = json!(["https://store.example.com/blobs/1"]);
    let manifest = image_manifest(&descriptor(OCI_EMPTY, b"{}"), &[ordinary]);
    let answer = repository.put_manifest("nowhere", OCI_IMAGE, manifest.to_string().as_bytes());
    answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn bad_digest_image_is_refused() {
    let forge = forge!();
    let repository = forge.image();
    for algorithm in Algorithm::ALL {
        let image = Image::of("image");
        repository.push_blob(&image.config);
        repository.push_blob(&image.layer);
        let said = algorithm.digest(&image.manifest);
        let padded = [&image.manifest[..], b"  "].concat();
        for query in ["", "?tag=bad"] {
            let answer = repository.put_manifest(&format!("{said}{query}"), OCI_IMAGE, &padded);
            answer.expect_error(400, "DIGEST_INVALID");
        }
        for name in [said, algorithm.digest(&padded), "bad".to_owned()] {
            repository.get_manifest(&name).expect_error(404, "MANIFEST_UNKNOWN");
        }
    }
    assert_eq!(repository.tags(), Vec::<String>::new());
}

#[test]
fn missing_manifest_by_digest_is_unknown() {
    let forge = forge!();
    let repository = forge.image();
    for algorithm in Algorithm::ALL {
        let digest = algorithm.digest(b"missing");
        repository.get_manifest(&digest).expect(404);
        repository.push_blob(b"missing");
        // A blob is no manifest.
        repository.get_manifest(&digest).expect_error(404, "MANIFEST_UNKNOWN");
        let head = repository.head_manifest(&digest).expect(404);
        assert_eq!(head.body, b"");
        repository.delete_manifest(&digest).expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[test]
fn missing_manifest_by_tag_is_unknown() {
    let forge = forge!();
    let repository = forge.image();
    repository.push_image("present", "present");
    for tag in ["missing", "Present", "present_", "latest"] {
        repository.get_manifest(tag).expect_error(404, "MANIFEST_UNKNOWN");
        repository.head_manifest(tag).expect(404);
        repository.delete_manifest(tag).expect_error(404, "MANIFEST_UNKNOWN");
    }
}

const BAD_DIGESTS: [&str; 6] = [
    "sha256:baddigeststring",
    "sha256:",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
    "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
];

#[test]
fn invalid_digest_format_is_refused_on_manifest_put() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("present", "present");
    for digest in BAD_DIGESTS {
        let answer = repository.put_manifest(digest, OCI_IMAGE, &image.manifest);
        answer.expect_error(400, "DIGEST_INVALID");
    }
}

#[test]
fn invalid_digest_format_is_refused_on_manifest_get() {
    let forge = forge!();
    let repository = forge.image();
    repository.push_image("present", "present");
    for digest in BAD_DIGESTS {
        repository.get_manifest(digest).expect_error(400, "DIGEST_INVALID");
        repository.get_blob(digest).expect_error(400, "DIGEST_INVALID");
        repository.referrers(digest, "").expect_error(400, "DIGEST_INVALID");
    }
}

#[test]
fn what_docker_left_behind_is_refused() {
    let forge = forge!();
    let repository = forge.image();
    let old = json!({ "schemaVersion": 1, "name": "a", "tag": "b", "architecture": "amd64", "fsLayers": [], "history": [] });
    let old = old.to_string();
    for kind in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        OCI_IMAGE,
    ] {
        repository.put_manifest("old", kind, old.as_bytes()).expect_error(400, "MANIFEST_INVALID");
    }
}

#[test]
fn the_type_of_a_manifest_is_said_once() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("present", "present");
    let put = |tag: &str, kind: Option<&str>, bytes: &[u8]| {
        let headers: Vec<_> = kind.iter().map(|kind| ("content-type", *kind)).collect();
        repository.client.ask(
            "PUT",
            &repository.path(&format!("/manifests/{tag}")),
            &headers,
            Body::Bytes(bytes),
        )
    };
    // What the manifest says counts when the request says nothing.
    put("silent", None, &image.manifest).expect(201);
    repository.expect_manifest("silent", &image.digest, OCI_IMAGE, &image.manifest);
    // Parameters are no part of it.
    put("charset", Some(&format!("{OCI_IMAGE}; charset=utf-8")), &image.manifest).expect(201);
    repository.expect_manifest("charset", &image.digest, OCI_IMAGE, &image.manifest);
    // What the request says counts when the manifest says nothing.
    let mut unsaid: Value = serde_json::from_slice(&image.manifest).unwrap();
    unsaid.as_object_mut().unwrap().remove("mediaType");
    let unsaid = unsaid.to_string().into_bytes();
    put("unsaid", Some(OCI_IMAGE), &unsaid).expect(201);
    repository.expect_manifest("unsaid", &Algorithm::Sha256.digest(&unsaid), OCI_IMAGE, &unsaid);

    put("differing", Some(DOCKER_IMAGE), &image.manifest).expect_error(400, "MANIFEST_INVALID");
    put("differing", Some(OCI_INDEX), &image.manifest).expect_error(400, "MANIFEST_INVALID");
    put("unknown", Some("application/json"), &image.manifest).expect_error(400, "MANIFEST_INVALID");
    put("unknown", Some("text/html"), b"<html>").expect_error(400, "MANIFEST_INVALID");
    put("untyped", None, &unsaid).expect_error(400, "MANIFEST_INVALID");
    assert_eq!(repository.tags(), ["charset", "present", "silent", "unsaid"]);
}

#[test]
fn a_manifest_larger_than_the_limit_is_refused_with_the_limit() {
    const LIMIT: usize = 4 * 1024 * 1024;
    let forge = forge!(|settings| settings.max_manifest_bytes = LIMIT);
    let repository = forge.image();
    let image = repository.push_image("present", "present");
    let padded = |length: usize| {
        let mut bytes = image.manifest.clone();
        bytes.resize(length, b' ');
        bytes
    };
    let fits = padded(LIMIT);
    repository.put_manifest("fits", OCI_IMAGE, &fits).expect(201);
    assert_eq!(repository.get_manifest("fits").expect(200).body.len(), LIMIT);
    let too_large = padded(LIMIT + 1);
    for body in [Body::Bytes(&too_large), Body::Stream(&too_large)] {
        let path = repository.path("/manifests/large");
        let answer = repository.client.ask("PUT", &path, &[("content-type", OCI_IMAGE)], body);
        let answer = answer.expect_error(413, "SIZE_INVALID");
        assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("4194304"), "{answer:?}");
    }
    // Of a gigabyte no more is read than shows that it is too large.
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull,push", repository.name)]);
    let mut connection = Connection::open(&forge);
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: forge\r\nAuthorization: Bearer {bearer}\r\nContent-Type: {OCI_IMAGE}\r\n\
         Content-Length: 1073741824\r\nConnection: close\r\n\r\n",
        repository.path("/manifests/large")
    );
    connection.send(head.as_bytes());
    connection.send(&too_large);
    assert_eq!(connection.head().status, 413);
    assert_eq!(repository.tags(), ["fits", "present"]);
}

#[test]
fn what_is_no_manifest_is_refused() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("present", "present");
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let (config, layer) = (descriptor(OCI_CONFIG, &image.config), descriptor(OCI_LAYER, &image.layer));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let changed = |name: &str, value: Value| {
        let mut manifest = image_manifest(&config, std::slice::from_ref(&layer));
        manifest[name] = value;
        manifest.to_string().into_bytes()
    };
    let with_layer = |name: &str, value: Value| {
        let mut layer = layer.clone();
        layer[name] = value;
        image_manifest(&config, &[layer]).to_string().into_bytes()
    };
    let invalid: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no JSON", b"manifest".to_vec()),
        ("half of it", image.manifest[..100].to_vec()),
        ("more behind it", [&image.manifest[..], b"{}"].concat()),
        ("an empty object", b"{}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("a byte order mark", [b"\xef\xbb\xbf", &image.manifest[..]].concat()),
        ("no UTF-8", [&image.manifest[..image.manifest.len() - 1], b",\"a\":\"\xff\"}"].concat()),
        ("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("too deep", changed("deep", Value::Null).splice_null(&deep)),
        ("a member twice", text.replacen('{', "{\"schemaVersion\":2,", 1).into_bytes()),
        ("schemaVersion 1", changed("schemaVersion", json!(1))),
        ("schemaVersion as text", changed("schemaVersion", json!("2"))),
        ("no config", changed("config", Value::Null)),
        ("config as text", changed("config", json!("sha256:abc"))),
        ("layers as an object", changed("layers", json!({}))),
        ("image and index", changed("manifests", json!([]))),
        ("annotations as a list", changed("annotations", json!([]))),
        ("annotations of numbers", changed("annotations", json!({ "a": 1 }))),
        ("a size with a fraction", with_layer("size", json!(1.5))),
        (
            "a size beyond all numbers",
            changed("layers", Value::Null).splice_null(&format!(
                "[{{\"mediaType\":\"a\",\"digest\":\"{}\",\"size\":1{}}}]",
                layer["digest"].as_str().unwrap(),
                "0".repeat(400)
            )),
        ),
        ("too many descriptors", changed("layers", Value::Array(vec![layer.clone(); 10_001]))),
    ];
    for (what, bytes) in &invalid {
        let answer = repository.put_manifest("invalid", OCI_IMAGE, bytes);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.expect_error(400, "MANIFEST_INVALID");
    }
    for (bytes, code) in [
        (with_layer("digest", json!("sha256:abc")), "DIGEST_INVALID"),
        (with_layer("digest", json!("../../etc/passwd")), "DIGEST_INVALID"),
        (with_layer("size", json!(-1)), "SIZE_INVALID"),
    ] {
        repository.put_manifest("invalid", OCI_IMAGE, &bytes).expect_error(400, code);
    }
    assert_eq!(repository.tags(), ["present"]);
}

trait SpliceNull {
    /// Puts a text in the place of the only `null`.
    fn splice_null(self, text: &str) -> Vec<u8>;
}

impl SpliceNull for Vec<u8> {
    fn splice_null(self, text: &str) -> Vec<u8> {
        String::from_utf8(self).unwrap().replacen("null", text, 1).into_bytes()
    }
}

/// Expects that exactly these are named as missing.
#[track_caller]
fn expect_missing(answer: &RegistryAnswer, missing: &[Value]) {
    let answer = answer.clone().expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    assert_eq!(errors.len(), missing.len(), "{errors:?}");
    for one in missing {
        let digest = one["digest"].as_str().unwrap();
        let named = |error: &&Value| {
            error["code"] == "MANIFEST_BLOB_UNKNOWN" && error["detail"].to_string().contains(digest)
        };
        assert_eq!(errors.iter().filter(named).count(), 1, "{digest}: {errors:?}");
    }
}

#[test]
fn a_manifest_waits_for_its_blobs() {
    let forge = forge!();
    let repository = forge.image();
    let image = Image::of("image");
    let (config, layer) = (descriptor(OCI_CONFIG, &image.config), descriptor(OCI_LAYER, &image.layer));
    let put = || repository.put_manifest("v1", OCI_IMAGE, &image.manifest);
    // In another repository of the project they are of no use.
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    sibling.push_blob(&image.config);
    sibling.push_blob(&image.layer);
    expect_missing(&put(), &[config, layer.clone()]);
    repository.push_blob(&image.config);
    expect_missing(&put(), &[layer]);
    repository.get_manifest("v1").expect(404);
    repository.get_manifest(&image.digest).expect(404);
    // Named twice, it is missing once.
    let twice = descriptor(OCI_LAYER, b"twice");
    let manifest = image_manifest(&descriptor(OCI_CONFIG, &image.config), &[twice.clone(), twice.clone()]);
    let answer = repository.put_manifest("v1", OCI_IMAGE, manifest.to_string().as_bytes());
    expect_missing(&answer, &[twice]);
    repository.push_blob(&image.layer);
    put().expect(201);
}

#[test]
fn an_index_waits_for_its_manifests() {
    let forge = forge!();
    let repository = forge.image();
    let image = Image::of("image");
    let child = descriptor(OCI_IMAGE, &image.manifest);
    let index = index_manifest(std::slice::from_ref(&child)).to_string();
    let put = || repository.put_manifest("v1", OCI_INDEX, index.as_bytes());
    // The same bytes as a blob are no manifest.
    repository.push_blob(&image.manifest);
    expect_missing(&put(), std::slice::from_ref(&child));
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    sibling.push_image("v1", "image");
    expect_missing(&put(), &[child]);
    repository.push_image("image", "image");
    put().expect(201);
    repository.expect_manifest(
        "v1",
        &Algorithm::Sha256.digest(index.as_bytes()),
        OCI_INDEX,
        index.as_bytes(),
    );
}

#[test]
fn a_manifest_is_kept_byte_for_byte() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("plain", "image");
    let plain: Value = serde_json::from_slice(&image.manifest).unwrap();
    let pretty = serde_json::to_string_pretty(&plain).unwrap();
    let odd = format!("\r\n\t {} \n", pretty.replace("schemaVersion", "schema\\u0056ersion"));
    let unicode = pretty.replacen('{', "{\"x-\u{e4}\\ud83d\\ude00/\\/\": 1.0e+2,", 1);
    for (tag, text) in [("pretty", &pretty), ("odd", &odd), ("unicode", &unicode)] {
        repository.put_manifest(tag, OCI_IMAGE, text.as_bytes()).expect(201);
        let digest = Algorithm::Sha256.digest(text.as_bytes());
        repository.expect_manifest(tag, &digest, OCI_IMAGE, text.as_bytes());
        repository.expect_manifest(&digest, &digest, OCI_IMAGE, text.as_bytes());
    }
}

#[test]
fn tags_in_parameters_are_all_set_or_none() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("present", "image");
    let put = |tags: &[String]| {
        let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        repository.put_manifest(&format!("{}?{}", image.digest, query.join("&")), OCI_IMAGE, &image.manifest)
    };
    let many: Vec<_> = (0..51).map(|number| format!("t{number:02}")).collect();
    put(&many).expect(414);
    assert_eq!(repository.tags(), ["present"]);
    for bad in ["-a", ".a", "a/b", "a:b", &"a".repeat(129), ""] {
        put(&["good".to_owned(), bad.replace('/', "%2F")]).expect_error(400, "MANIFEST_INVALID");
    }
    assert_eq!(repository.tags(), ["present"]);
    let answer = put(&many[..50]).expect(201);
    let named = answer.headers.get_all("oci-tag").iter().map(|value| value.to_str().unwrap());
    let named: Vec<_> = named.flat_map(|value| value.split(',').map(str::trim)).collect();
    assert_eq!(named, many[..50]);
    assert_eq!(repository.tags().len(), 51);
    // A manifest that is refused takes its tags with it.
    let answer =
        repository.put_manifest(&format!("{}?tag=never", Algorithm::Sha256.digest(b"{}")), OCI_IMAGE, b"{}");
    answer.expect_error(400, "MANIFEST_INVALID");
    repository.get_manifest("never").expect(404);
}

#[test]
fn a_digest_makes_no_tag_and_a_tag_can_move() {
    let forge = forge!();
    let repository = forge.image();
    let one = repository.push_image("v1", "one");
    let two = Image::of("two");
    repository.push_blob(&two.config);
    repository.push_blob(&two.layer);
    repository.put_manifest(&two.digest, OCI_IMAGE, &two.manifest).expect(201);
    assert_eq!(repository.tags(), ["v1"]);
    repository.expect_manifest("v1", &one.digest, OCI_IMAGE, &one.manifest);
    repository.put_manifest("v1", OCI_IMAGE, &two.manifest).expect(201);
    repository.expect_manifest("v1", &two.digest, OCI_IMAGE, &two.manifest);
    repository.expect_manifest(&one.digest, &one.digest, OCI_IMAGE, &one.manifest);
    // Names of tags are case-sensitive, and may be as long as this.
    let longest = format!("_{}", "Zz.-".repeat(31)) + "abc";
    assert_eq!(longest.len(), 128);
    repository.put_manifest(&longest, OCI_IMAGE, &one.manifest).expect(201);
    repository.put_manifest("V1", OCI_IMAGE, &one.manifest).expect(201);
    repository.expect_manifest("v1", &two.digest, OCI_IMAGE, &two.manifest);
    assert_eq!(repository.tags(), ["V1", &longest, "v1"]);
}

#[test]
fn what_a_client_accepts_decides_by_tag_and_not_by_digest() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    let index = index_manifest(&[descriptor(OCI_IMAGE, &image.manifest)]).to_string();
    repository.put_manifest("list", OCI_INDEX, index.as_bytes()).expect(201);
    let get = |reference: &str, accept: &[&str]| {
        let headers: Vec<_> = accept.iter().map(|kinds| ("accept", *kinds)).collect();
        repository.get_with(&format!("/manifests/{reference}"), &headers)
    };
    let served: [&[&str]; 8] = [
        &[],
        &["*/*"],
        &["application/*"],
        &[OCI_IMAGE],
        &[&format!("{DOCKER_IMAGE}, {OCI_IMAGE}")],
        &[DOCKER_LIST, OCI_INDEX, OCI_IMAGE],
        &[&format!("{OCI_IMAGE};q=0.1, {DOCKER_IMAGE};q=0.9")],
        &[&format!("text/html , {OCI_IMAGE} ; q=1")],
    ];
    for accept in served {
        let answer = get("v1", accept).expect(200);
        assert_eq!(answer.header("content-type"), Some(OCI_IMAGE), "{accept:?}");
        assert!(answer.body == image.manifest);
    }
    for accept in [DOCKER_IMAGE, "text/html", "application/json", OCI_INDEX] {
        get("v1", &[accept]).expect_error(404, "MANIFEST_UNKNOWN");
        // A digest leaves no choice.
        assert!(get(&image.digest, &[accept]).expect(200).body == image.manifest, "{accept}");
    }
    // Nothing is rewritten for clients that know only single images.
    get("list", &[OCI_IMAGE]).expect_error(404, "MANIFEST_UNKNOWN");
    assert!(get("list", &[OCI_INDEX]).expect(200).body == index.as_bytes());
}

#[test]
fn a_manifest_that_is_known_is_not_sent_again() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    for reference in ["v1", &image.digest] {
        let path = format!("/manifests/{reference}");
        let etag = format!("\"{}\"", image.digest);
        let answer = repository.get_with(&path, &[("if-none-match", &etag)]).expect(304);
        assert_eq!(answer.body, b"");
        repository.get_with(&path, &[("if-none-match", "\"other\"")]).expect(200);
    }
    repository.push_image("v1", "another");
    let etag = format!("\"{}\"", image.digest);
    repository.get_with("/manifests/v1", &[("if-none-match", &etag)]).expect(200);
}

#[test]
fn a_repository_of_the_same_project_has_manifests_of_its_own() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    sibling.push_blob(b"content");
    sibling.get_manifest("v1").expect_error(404, "MANIFEST_UNKNOWN");
    sibling.get_manifest(&image.digest).expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(strings(&sibling.get("/tags/list").expect(200).json()["tags"]), Vec::<String>::new());
}
