//! What the registry lists and how it is addressed: the way in, names of repositories, tags, referrers, and the catalog.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::registry::{
    Algorithm, Body, Image, ImageRepository, OCI_CONFIG, OCI_EMPTY, OCI_IMAGE, OCI_INDEX, RegistryAnswer,
    descriptor, encode, image_manifest, strings,
};
use portcullis_testkit::{Connection, forge};
use serde_json::{Value, json};

/// Returns where the next page is, if there is one.
fn next_page(answer: &RegistryAnswer) -> Option<String> {
    let link = answer.header("link")?;
    let (address, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rest.trim_start_matches(';').trim(), "rel=\"next\"", "{link}");
    assert!(address.starts_with("/v2/"), "{link}");
    Some(address.to_owned())
}

/// Follows a list to its end, and returns what the pages have under `member`.
#[track_caller]
fn pages(repository: &ImageRepository, first: &str, member: &str) -> Vec<Vec<Value>> {
    let mut address = first.to_owned();
    let mut pages = Vec::new();
    loop {
        let answer = repository.client.ask("GET", &address, &[], Body::Bytes(b"")).expect(200);
        pages.push(answer.json()[member].as_array().unwrap().clone());
        match next_page(&answer) {
            Some(next) => address = next,
            None => return pages,
        }
        assert!(pages.len() < 100, "{first}: the pages do not end");
    }
}

/// Gives an image many tags, fifty at a time.
fn tag_all(repository: &ImageRepository, image: &Image, tags: &[String]) {
    for some in tags.chunks(50) {
        let query: Vec<_> = some.iter().map(|tag| format!("tag={tag}")).collect();
        let reference = format!("{}?{}", image.digest, query.join("&"));
        repository.put_manifest(&reference, OCI_IMAGE, &image.manifest).expect(201);
    }
}

#[test]
fn ping_answers_whoever_has_a_bearer() {
    let forge = forge!();
    let repository = forge.image();
    for method in ["GET", "HEAD"] {
        let answer = repository.client.ask(method, "/v2/", &[], Body::Bytes(b"")).expect(200);
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.body, if method == "GET" { &b"{}"[..] } else { b"" });
    }
    // A bearer without any right says who one is, too: that is what `docker login` asks.
    let bearer = repository.client.bearer(&[]);
    repository.client.with_bearer(&bearer).ask("GET", "/v2/", &[], Body::Bytes(b"")).expect(200);
}

#[test]
fn without_the_slash_one_is_sent_to_the_address_with_it() {
    let forge = forge!();
    let answer = forge.anonymous_registry().send("GET", "/v2", &[], Body::Bytes(b"")).expect(301);
    assert_eq!(answer.location(), "/v2/");
}

#[test]
fn empty_tag_list_is_of_no_repository() {
    let forge = forge!();
    let repository = forge.image();
    repository.get("/tags/list").expect_error(404, "NAME_UNKNOWN");
    // Once there is content, there is a list, and it is a list even with nothing on it.
    repository.push_blob(b"content");
    let list = repository.get("/tags/list").expect(200);
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(list.json(), json!({ "name": repository.name, "tags": [] }));
    repository.push_image("v1", "image");
    repository.delete_manifest("v1").expect(202);
    assert_eq!(repository.get("/tags/list").expect(200).json()["tags"], json!([]));
}

#[test]
fn empty_referrers_are_an_empty_index() {
    let forge = forge!();
    let repository = forge.image();
    for algorithm in Algorithm::ALL {
        // Of a repository that is not there, and of one that is.
        for _ in 0..2 {
            let answer = repository.referrers(&algorithm.digest(b"nothing"), "").expect(200);
            assert_eq!(answer.header("content-type"), Some(OCI_INDEX));
            let expected = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
            assert_eq!(answer.json(), expected);
            assert_eq!(answer.header("oci-filters-applied"), None);
            repository.push_blob(b"content");
        }
    }
}

#[test]
fn what_is_not_there_is_answered_in_the_words_of_the_protocol() {
    let forge = forge!();
    let repository = forge.image();
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull,push,delete", repository.name)]);
    let client = repository.client.with_bearer(&bearer);
    for path in
        ["/v2/nothing", "/v2/g/p", "/v2/g/p/tags", "/v2/g/p/tags/reference/v1", "/v2/_catalog/x", "/v2/_ping"]
    {
        for method in ["GET", "DELETE"] {
            let answer = client.ask(method, path, &[], Body::Bytes(b"")).expect(404);
            assert!(answer.json()["errors"][0]["code"].is_string(), "{path}: {answer:?}");
            assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"), "{path}");
        }
    }
}

#[test]
fn a_project_has_a_root_image_and_images_two_levels_below() {
    let forge = forge!();
    let project = forge.project("private");
    let client = forge.registry(&project.token(&["api"], 40).secret);
    let names =
        ["", "/img", "/img/sub", "/blobs", "/manifests/blobs", "/tags/list", "/referrers", "/a-b__c.d/0"];
    for name in names {
        let repository = client.repository(&format!("{}{name}", project.full_path));
        let image = repository.push_image("v1", &format!("image {name}"));
        assert!(repository.get_manifest("v1").expect(200).body == image.manifest);
        assert!(repository.get_blob(&Algorithm::Sha256.digest(&image.layer)).status == 200);
        assert_eq!(repository.tags(), ["v1"]);
    }
    // None of them is another.
    for name in names {
        let repository = client.repository(&format!("{}{name}", project.full_path));
        let own = Image::of(&format!("image {name}"));
        assert!(repository.get_manifest("v1").expect(200).body == own.manifest, "{name}");
    }
}

#[test]
fn deeper_than_two_levels_below_a_project_is_nothing() {
    let forge = forge!();
    let project = forge.project("public");
    let client = forge.registry(&project.token(&["api"], 40).secret);
    for name in
        [format!("{}/a/b/c", project.full_path), project.group.full_path.clone(), "nobody/nothing".to_owned()]
    {
        let repository = client.repository(&name);
        // No grant for it, whoever asks.
        assert_eq!(client.granted(&format!("repository:{name}:pull,push,delete")), Vec::<String>::new());
        let answer = repository.post_upload("", &[], b"");
        assert_eq!(answer.challenge().error.as_deref(), Some("insufficient_scope"), "{name}");
    }
}

#[test]
fn a_project_whose_path_has_capitals_has_images_in_lower_case() {
    let forge = forge!();
    let group = forge.group("Acme-Corp", "public");
    let body =
        json!({ "name": "Big App", "path": "Big-App", "namespace_id": group.id, "visibility": "private" });
    let made = forge.root().post("/projects", body).expect(201).json();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let path = format!("/projects/{}/access_tokens", made["id"]);
    let token = forge.root().post(&path, token).expect(201).json();
    let client = forge.registry(token["token"].as_str().unwrap());
    let repository = client.repository("acme-corp/big-app/img");
    repository.push_image("v1", "image");
    assert_eq!(repository.tags(), ["v1"]);
    let answer = client.send("GET", "/v2/Acme-Corp/Big-App/img/tags/list", &[], Body::Bytes(b""));
    answer.expect_error(400, "NAME_INVALID");
}

#[test]
fn the_longest_path_of_a_project_wins() {
    let forge = forge!();
    let outer = forge.group("outer", "public");
    let inner = forge.subgroup("inner", "public", Some(outer.id));
    let [above, below] = [&outer, &inner].map(|group| {
        let body = json!({ "name": "app", "path": "app", "namespace_id": group.id, "visibility": "private" });
        let made = forge.root().post("/projects", body).expect(201).json();
        let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
        let path = format!("/projects/{}/access_tokens", made["id"]);
        let token = forge.root().post(&path, token).expect(201).json();
        forge.registry(token["token"].as_str().unwrap())
    });
    below.repository("outer/inner/app").push_image("v1", "below");
    above.repository("outer/app/inner/app").push_image("v1", "above");
    // Each is the other's neighbour and no more.
    for (client, name) in [(&above, "outer/inner/app"), (&below, "outer/app/inner/app")] {
        assert_eq!(client.granted(&format!("repository:{name}:pull,push,delete")), Vec::<String>::new());
    }
}

/// Whoever asks, these are refused before anything is looked up, and whatever the client did to their encoding.
#[test]
fn a_name_that_is_none_is_refused_before_anybody_is_asked_who_they_are() {
    let forge = forge!();
    let long = "a".repeat(300);
    let very_long = format!("g/{}", "a/".repeat(2500));
    let digest = Algorithm::Sha256.digest(b"content");
    for name in [
        "G/p",
        "g/P/img",
        "g//p",
        "/g/p",
        "g/p/",
        "../etc",
        "g/../p",
        "g/./p",
        "g/..",
        "%2e%2e/p",
        "g/%2e%2e/p",
        "g%2Fp",
        "g%2fp/img",
        "g/p%5Cimg",
        "g/p%00",
        "g/p%0a",
        "g/p img",
        "g/p%20img",
        "g/_p",
        "g/p_",
        "g/-p",
        "g/p-",
        "g/p..q",
        "g/p___q",
        "g/p%ff",
        "g/%c3%a4",
        "g/p:v1",
        "g/p@x",
        "g/p%252Fq",
        &long,
        very_long.trim_end_matches('/'),
    ] {
        for rest in
            ["/tags/list", "/manifests/latest", &format!("/blobs/{digest}"), &format!("/referrers/{digest}")]
        {
            if name.contains(' ') {
                continue;
            }
            let reply = Connection::ask(&forge, &format!("GET /v2/{name}{rest}"), &[], b"");
            let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
            assert_eq!(
                (reply.status, &body["errors"][0]["code"]),
                (400, &json!("NAME_INVALID")),
                "{name}{rest}: {reply:?}"
            );
            assert_eq!(reply.header("www-authenticate"), None);
        }
        let line = format!("POST /v2/{}/blobs/uploads/", name.replace(' ', "%20"));
        assert_eq!(Connection::ask(&forge, &line, &[], b"").status, 400, "{name}");
    }
}

#[test]
fn a_tag_or_digest_that_is_none_is_refused_before_anybody_is_asked_who_they_are() {
    let forge = forge!();
    let project = forge.project("private");
    let name = &project.full_path;
    let ask = |path: &str| {
        let reply = Connection::ask(&forge, &format!("GET /v2/{name}{path}"), &[], b"");
        let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        (reply.status, body["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    };
    for tag in ["-a", ".a", "..", "a+b", "a%20b", "%c3%a4", &"a".repeat(129), "../x", "a/b", ""] {
        assert_eq!(ask(&format!("/manifests/{tag}")), (400, "MANIFEST_INVALID".to_owned()), "{tag}");
    }
    assert_eq!(ask("/manifests/..%2Fx"), (400, "NAME_INVALID".to_owned()));
    for digest in ["sha256:abc", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:..", "x:y"] {
        assert_eq!(ask(&format!("/manifests/{digest}")), (400, "DIGEST_INVALID".to_owned()), "{digest}");
        assert_eq!(ask(&format!("/blobs/{digest}")), (400, "DIGEST_INVALID".to_owned()), "{digest}");
        assert_eq!(ask(&format!("/referrers/{digest}")), (400, "DIGEST_INVALID".to_owned()), "{digest}");
    }
    assert_eq!(ask("/manifests/latest").0, 401);
    // What a path hid did not become a file.
    let stray = std::fs::read_dir(forge.folder()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(stray.collect::<Vec<_>>(), ["data"]);
}

/// Many clients take no more than 255 characters for host and name together.
#[test]
fn a_name_leaves_room_for_the_host() {
    let forge = forge!(|settings| settings.external_url = Some("https://git.example.com".to_owned()));
    let longest = 255 - "git.example.com/".len();
    for (length, status) in [(longest, 401), (longest + 1, 400), (255, 400), (256, 400)] {
        let name = format!("acme/app/{}", "x".repeat(length - 9));
        let reply = Connection::ask(&forge, &format!("GET /v2/{name}/tags/list"), &[], b"");
        assert_eq!(reply.status, status, "{length}: {reply:?}");
    }
}

#[test]
fn tags_are_listed_in_the_order_of_their_bytes() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("latest", "image");
    let tags = ["v1", "V1", "_x", "10", "9", "v1.0", "v1-rc", "v1_a", "a", "Z", "z", "0"];
    tag_all(&repository, &image, &tags.map(str::to_owned));
    let mut sorted = [&tags[..], &["latest"]].concat();
    sorted.sort_unstable();
    assert_eq!(repository.tags(), sorted);

    let list = |query: &str| {
        let answer = repository.get(&format!("/tags/list{query}")).expect(200);
        (strings(&answer.json()["tags"]), next_page(&answer).is_some())
    };
    let owned = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    assert_eq!(list("?n=3"), (owned(&sorted[..3]), true));
    assert_eq!(list("?n=3&last=9"), (owned(&sorted[3..6]), true));
    assert_eq!(list(&format!("?n=100&last={}", sorted[10])), (owned(&sorted[11..]), false));
    assert_eq!(list(&format!("?n={}", sorted.len())), (owned(&sorted), false));
    assert_eq!(list(&format!("?n={}", sorted.len() - 1)), (owned(&sorted[..sorted.len() - 1]), true));
    assert_eq!(list("?n=0"), (vec![], false));
    // It need not be a tag, and it is not one of those that follow.
    assert_eq!(list("?last=b"), (owned(&sorted[sorted.iter().position(|tag| *tag > "b").unwrap()..]), false));
    assert_eq!(list("?last=zzzz"), (vec![], false));
    assert_eq!(list("?last=latest").0[0], "v1");
    // More than anybody gets.
    assert_eq!(list("?n=1000000"), (owned(&sorted), false));
    for n in ["-1", "x", "1.5", "+1", "1e3", "99999999999999999999999"] {
        let answer = repository.get(&format!("/tags/list?n={n}"));
        // One that is only too large asks for as many as there are.
        if n.starts_with('9') && answer.status == 200 {
            continue;
        }
        answer.expect_error(400, "UNSUPPORTED");
    }
}

#[test]
fn every_tag_is_on_exactly_one_page() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("t0000", "image");
    let tags: Vec<_> = (0..1203).map(|number| format!("t{number:04}")).collect();
    tag_all(&repository, &image, &tags);
    for (query, lengths) in [
        ("", vec![1000, 203]),
        ("?n=5000", vec![1000, 203]),
        ("?n=500", vec![500, 500, 203]),
        ("?n=401", vec![401, 401, 401]),
    ] {
        let pages = pages(&repository, &repository.path(&format!("/tags/list{query}")), "tags");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), lengths, "{query}");
        assert_eq!(strings(&Value::Array(pages.concat())), tags, "{query}");
    }
}

/// Pushes an artifact that refers to `subject`, and returns its digest.
#[track_caller]
fn refer(repository: &ImageRepository, subject: &Value, change: impl FnOnce(&mut Value)) -> String {
    let mut manifest = image_manifest(&descriptor(OCI_EMPTY, b"{}"), &[]);
    manifest["subject"] = subject.clone();
    change(&mut manifest);
    let bytes = manifest.to_string().into_bytes();
    let digest = Algorithm::Sha256.digest(&bytes);
    let answer = repository.put_manifest(&digest, OCI_IMAGE, &bytes).expect(201);
    assert_eq!(answer.header("oci-subject"), subject["digest"].as_str());
    digest
}

fn digests(index: &Value) -> Vec<String> {
    let manifests = index["manifests"].as_array().unwrap();
    manifests.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_referrer_is_listed_as_long_as_it_is_there() {
    let forge = forge!();
    let repository = forge.image();
    let image = repository.push_image("v1", "image");
    repository.push_blob(b"{}");
    let subject = descriptor(OCI_IMAGE, &image.manifest);
    let listed = |query: &str| digests(&repository.referrers(&image.digest, query).expect(200).json());
    assert_eq!(listed(""), Vec::<String>::new());
    let bare = refer(&repository, &subject, |_| {});
    let named = refer(&repository, &subject, |manifest| {
        manifest["artifactType"] = json!("application/vnd.example+json");
        manifest["annotations"] = json!({ "a": "1", "b": "\u{e4} \"quoted\"" });
    });
    let mut both = vec![bare.clone(), named.clone()];
    both.sort();
    let mut found = listed("");
    found.sort();
    assert_eq!(found, both);

    let answer =
        repository.referrers(&image.digest, "?artifactType=application%2Fvnd.example%2Bjson").expect(200);
    assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
    let index = answer.json();
    assert_eq!(digests(&index), std::slice::from_ref(&named));
    let entry = &index["manifests"][0];
    assert_eq!(entry["artifactType"], "application/vnd.example+json");
    assert_eq!(entry["annotations"], json!({ "a": "1", "b": "\u{e4} \"quoted\"" }));
    assert_eq!(entry["mediaType"], OCI_IMAGE);
    assert!(entry["size"].as_u64().is_some_and(|size| size > 100));
    // Without a kind of its own, it is of the kind of its config.
    assert_eq!(listed(&format!("?artifactType={}", encode(OCI_EMPTY))), std::slice::from_ref(&bare));
    // The image itself refers to nothing.
    assert_eq!(listed(&format!("?artifactType={}", encode(OCI_CONFIG))), Vec::<String>::new());

    // It outlives its subject, and not itself.
    repository.delete_manifest(&image.digest).expect(202);
    assert_eq!(listed("").len(), 2);
    repository.delete_manifest(&named).expect(202);
    assert_eq!(listed(""), std::slice::from_ref(&bare));
    repository.delete_manifest(&bare).expect(202);
    assert_eq!(listed(""), Vec::<String>::new());
}

#[test]
fn a_referrer_counts_only_in_its_own_repository() {
    let forge = forge!();
    let repository = forge.image();
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    let image = repository.push_image("v1", "image");
    sibling.push_image("v1", "image");
    repository.push_blob(b"{}");
    let referrer = refer(&repository, &descriptor(OCI_IMAGE, &image.manifest), |_| {});
    assert_eq!(digests(&repository.referrers(&image.digest, "").expect(200).json()), [referrer]);
    assert_eq!(digests(&sibling.referrers(&image.digest, "").expect(200).json()), Vec::<String>::new());
}

/// The subject's place in the list is by its digest as written, whichever algorithm that is.
#[test]
fn a_subject_may_be_named_by_either_digest() {
    let forge = forge!();
    let repository = forge.image();
    repository.push_blob(b"{}");
    for algorithm in Algorithm::ALL {
        let subject = json!({ "mediaType": OCI_IMAGE, "digest": algorithm.digest(b"subject"), "size": 7 });
        let referrer = refer(&repository, &subject, |_| {});
        let answer = repository.referrers(&algorithm.digest(b"subject"), "").expect(200);
        assert_eq!(digests(&answer.json()), [referrer]);
    }
}

#[test]
fn a_long_list_of_referrers_comes_in_pages() {
    let forge = forge!();
    let repository = forge.image();
    repository.push_blob(b"{}");
    let subject = descriptor(OCI_IMAGE, b"subject");
    // Six of them with a megabyte of annotations each: two pages are too few.
    let mut expected: Vec<_> = (0..6)
        .map(|number| {
            refer(&repository, &subject, |manifest| {
                manifest["artifactType"] = json!(format!("application/x-{}", number % 2));
                manifest["annotations"] =
                    json!({ "number": number.to_string(), "long": "x".repeat(1 << 20) });
            })
        })
        .collect();
    expected.sort();
    let subject = subject["digest"].as_str().unwrap();
    for (query, count) in [("", 6), ("?artifactType=application/x-1", 3)] {
        let first = repository.path(&format!("/referrers/{subject}{query}"));
        let pages = pages(&repository, &first, "manifests");
        assert!(count < 6 || pages.len() > 1, "everything is on one page");
        for page in &pages {
            assert!(serde_json::to_vec(page).unwrap().len() < 5 << 20, "a page is larger than 4 MiB");
        }
        let mut found = digests(&json!({ "manifests": pages.concat() }));
        found.sort();
        assert_eq!(found.len(), count, "{query}");
        found.retain(|digest| expected.contains(digest));
        found.dedup();
        assert_eq!(found.len(), count, "{query}");
    }
}

#[test]
fn the_catalog_is_for_administrators() {
    let forge = forge!();
    let (one, two) = (forge.image(), forge.image_in(&forge.project("public")));
    for repository in [&one, &two] {
        repository.push_image("v1", "image");
    }
    let root = forge.registry(forge.root().token.as_deref().unwrap());
    let list = |query: &str| {
        let answer = root.ask("GET", &format!("/v2/_catalog{query}"), &[], Body::Bytes(b"")).expect(200);
        (strings(&answer.json()["repositories"]), next_page(&answer))
    };
    let mut names = vec![one.name.clone(), two.name.clone()];
    names.sort();
    assert_eq!(list(""), (names.clone(), None));
    let (first, next) = list("?n=1");
    assert_eq!(first, names[..1]);
    let next = next.unwrap();
    assert_eq!(list(next.strip_prefix("/v2/_catalog").unwrap()), (names[1..].to_vec(), None));
    assert_eq!(list(&format!("?last={}", names[0])), (names[1..].to_vec(), None));

    let person = forge.person("ann");
    for client in [one.client.clone(), forge.registry(person.caller.token.as_deref().unwrap())] {
        assert_eq!(client.granted("registry:catalog:*"), Vec::<String>::new());
        let challenge = client.ask("GET", "/v2/_catalog", &[], Body::Bytes(b"")).challenge();
        assert_eq!(challenge.scope.as_deref(), Some("registry:catalog:*"));
        assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
    }
    let challenge = forge.anonymous_registry().send("GET", "/v2/_catalog", &[], Body::Bytes(b"")).challenge();
    assert_eq!((challenge.scope.as_deref(), challenge.error), (Some("registry:catalog:*"), None));
}
