//! The data sets of the OCI conformance program, by their names. Each goes all the way: it is pushed, listed, read by HEAD
//! and by GET, found as what refers to something, and deleted.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::forge;
use portcullis_testkit::registry::{
    Algorithm, DOCKER_IMAGE, DOCKER_LIST, ImageRepository, OCI_CONFIG, OCI_EMPTY, OCI_IMAGE, OCI_INDEX,
    OCI_LAYER, RegistryAnswer, Way, descriptor, descriptor_by, encode, image_manifest, index_manifest,
};
use serde_json::{Value, json};

const ARTIFACT: &str = "application/vnd.example.conformance.v1";

/// The number of a manifest that refers to another, and what kind of artifact it is listed as.
type Referrer = (usize, Option<&'static str>);

/// What is pushed together: blobs, then manifests in this order, then tags.
#[derive(Default)]
struct Set {
    blobs: Vec<(Algorithm, Vec<u8>)>,
    manifests: Vec<Pushed>,
    /// A tag, and the number of its manifest.
    tags: Vec<(&'static str, usize)>,
    /// Whether the tags come with the manifest, as parameters.
    tags_as_parameters: bool,
    /// For a subject, what refers to it.
    referrers: Vec<(String, Vec<Referrer>)>,
}

struct Pushed {
    algorithm: Algorithm,
    media_type: &'static str,
    bytes: Vec<u8>,
}

impl Pushed {
    fn digest(&self) -> String {
        self.algorithm.digest(&self.bytes)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

impl Set {
    fn blob(&mut self, algorithm: Algorithm, media_type: &str, bytes: &[u8]) -> Value {
        self.blobs.push((algorithm, bytes.to_vec()));
        descriptor_by(algorithm, media_type, bytes)
    }

    /// Adds a manifest, and returns a descriptor of it.
    fn manifest(&mut self, algorithm: Algorithm, manifest: &Value) -> Value {
        let media_type = match manifest["mediaType"].as_str().unwrap() {
            OCI_INDEX => OCI_INDEX,
            DOCKER_IMAGE => DOCKER_IMAGE,
            DOCKER_LIST => DOCKER_LIST,
            _ => OCI_IMAGE,
        };
        let bytes = manifest.to_string().into_bytes();
        let found = descriptor_by(algorithm, media_type, &bytes);
        self.manifests.push(Pushed { algorithm, media_type, bytes });
        found
    }

    /// Adds an image with two layers, changed by `change` before it is a manifest.
    fn image(&mut self, algorithm: Algorithm, seed: &str, change: impl FnOnce(&mut Value)) -> Value {
        let config = json!({ "architecture": "amd64", "os": "linux", "seed": seed }).to_string();
        let config = self.blob(algorithm, OCI_CONFIG, config.as_bytes());
        let layers = ["one", "two"]
            .map(|layer| self.blob(algorithm, OCI_LAYER, format!("layer {layer} of {seed}").as_bytes()));
        let mut manifest = image_manifest(&config, &layers);
        change(&mut manifest);
        self.manifest(algorithm, &manifest)
    }

    /// Adds an artifact: a config of nothing, and one layer of its own kind.
    fn artifact(&mut self, seed: &str, change: impl FnOnce(&mut Value)) -> Value {
        let config = self.blob(Algorithm::Sha256, OCI_EMPTY, b"{}");
        let layer = self.blob(Algorithm::Sha256, ARTIFACT, format!("artifact {seed}").as_bytes());
        let mut manifest = image_manifest(&config, &[layer]);
        manifest["artifactType"] = json!(ARTIFACT);
        change(&mut manifest);
        self.manifest(Algorithm::Sha256, &manifest)
    }

    /// Adds an index of two images.
    fn index(&mut self, seed: &str, change: impl FnOnce(&mut Value)) -> Value {
        let children = ["amd64", "arm64"].map(|architecture| {
            let mut child = self.image(Algorithm::Sha256, &format!("{seed} {architecture}"), |_| {});
            child["platform"] = json!({ "os": "linux", "architecture": architecture });
            child
        });
        let mut index = index_manifest(&children);
        change(&mut index);
        self.manifest(Algorithm::Sha256, &index)
    }

    fn push(&self, repository: &ImageRepository) {
        for (number, (algorithm, bytes)) in self.blobs.iter().enumerate() {
            let way = Way::ALL[number % Way::ALL.len()];
            repository.upload(way, bytes, &algorithm.digest(bytes)).expect(201);
        }
        for (number, manifest) in self.manifests.iter().enumerate() {
            let mut reference = manifest.digest();
            let tags = self.tags.iter().filter(|(_, of)| self.tags_as_parameters && *of == number);
            let tags: Vec<_> = tags.map(|(tag, _)| *tag).collect();
            for (at, tag) in tags.iter().enumerate() {
                reference.push_str(&format!("{}tag={tag}", if at == 0 { "?" } else { "&" }));
            }
            let answer = repository.put_manifest(&reference, manifest.media_type, &manifest.bytes);
            repository.expect_accepted(&answer, &manifest.digest());
            let subject = manifest.json()["subject"]["digest"].as_str().map(str::to_owned);
            assert_eq!(answer.header("oci-subject"), subject.as_deref());
            let accepted = answer.headers.get_all("oci-tag").iter().map(|value| value.to_str().unwrap());
            let accepted: Vec<_> = accepted.flat_map(|value| value.split(',').map(str::trim)).collect();
            assert_eq!(accepted, tags);
        }
        for (tag, number) in self.tags.iter().filter(|_| !self.tags_as_parameters) {
            let manifest = &self.manifests[*number];
            let answer = repository.put_manifest(tag, manifest.media_type, &manifest.bytes);
            // What is pushed under a tag is called by SHA-256.
            repository.expect_accepted(&answer, &Algorithm::Sha256.digest(&manifest.bytes));
        }
    }

    fn expect_there(&self, repository: &ImageRepository) {
        let mut tags: Vec<_> = self.tags.iter().map(|(tag, _)| *tag).collect();
        tags.sort_unstable();
        assert_eq!(repository.tags(), tags);
        for manifest in &self.manifests {
            repository.expect_manifest(
                &manifest.digest(),
                &manifest.digest(),
                manifest.media_type,
                &manifest.bytes,
            );
        }
        for (tag, number) in &self.tags {
            let Pushed { media_type, bytes, .. } = &self.manifests[*number];
            let digest = if self.tags_as_parameters {
                self.manifests[*number].digest()
            } else {
                Algorithm::Sha256.digest(bytes)
            };
            repository.expect_manifest(tag, &digest, media_type, bytes);
        }
        for (algorithm, bytes) in &self.blobs {
            let digest = algorithm.digest(bytes);
            assert_eq!(
                repository.head_blob(&digest).expect(200).header("docker-content-digest"),
                Some(&*digest)
            );
            assert!(repository.get_blob(&digest).expect(200).body == *bytes);
        }
        for (subject, expected) in &self.referrers {
            self.expect_referrers(repository, subject, "", expected);
            for (_, kind) in expected {
                let Some(kind) = kind else { continue };
                let these: Vec<_> =
                    expected.iter().filter(|(_, other)| *other == Some(*kind)).copied().collect();
                let query = format!("?artifactType={}", encode(kind));
                let answer = self.expect_referrers(repository, subject, &query, &these);
                assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
            }
            let answer =
                self.expect_referrers(repository, subject, "?artifactType=application/x-nobody", &[]);
            assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        }
    }

    fn expect_referrers(
        &self,
        repository: &ImageRepository,
        subject: &str,
        query: &str,
        expected: &[Referrer],
    ) -> RegistryAnswer {
        let answer = repository.referrers(subject, query).expect(200);
        assert_eq!(answer.header("content-type"), Some(OCI_INDEX));
        let index = answer.json();
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
        let by_digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
        let mut found = index["manifests"].as_array().unwrap().clone();
        found.sort_by_key(by_digest);
        let mut wanted: Vec<_> = expected
            .iter()
            .map(|(number, kind)| {
                let manifest = &self.manifests[*number];
                let mut entry = descriptor(manifest.media_type, &manifest.bytes);
                if let Some(kind) = kind {
                    entry["artifactType"] = json!(kind);
                }
                if let Some(annotations) = manifest.json().get("annotations") {
                    entry["annotations"] = annotations.clone();
                }
                entry
            })
            .collect();
        wanted.sort_by_key(by_digest);
        assert_eq!(found, wanted);
        answer
    }

    /// Deletes the tags, then the manifests from the last to the first, then the blobs. Each is gone at once.
    fn delete(&self, repository: &ImageRepository) {
        for (tag, number) in &self.tags {
            repository.delete_manifest(tag).expect(202);
            repository.head_manifest(tag).expect(404);
            if !self.tags_as_parameters {
                repository
                    .head_manifest(&Algorithm::Sha256.digest(&self.manifests[*number].bytes))
                    .expect(200);
            }
        }
        assert_eq!(repository.tags(), Vec::<String>::new());
        for manifest in self.manifests.iter().rev() {
            let name = manifest.digest();
            repository.delete_manifest(&name).expect(202);
            repository.get_manifest(&name).expect_error(404, "MANIFEST_UNKNOWN");
        }
        for (subject, _) in &self.referrers {
            self.expect_referrers(repository, subject, "", &[]);
        }
        let mut digests: Vec<_> =
            self.blobs.iter().map(|(algorithm, bytes)| algorithm.digest(bytes)).collect();
        digests.sort();
        digests.dedup();
        for digest in digests {
            repository.delete_blob(&digest).expect(202);
            repository.head_blob(&digest).expect(404);
        }
    }

    fn goes_all_the_way(&self) {
        let forge = forge!();
        let repository = forge.image();
        self.push(&repository);
        self.expect_there(&repository);
        // Pushed again, nothing changes.
        self.push(&repository);
        self.expect_there(&repository);
        self.delete(&repository);
    }
}

#[test]
fn image_goes_all_the_way() {
    let mut set = Set::default();
    set.image(Algorithm::Sha256, "image", |_| {});
    set.tags.push(("image", 0));
    set.goes_all_the_way();
}

#[test]
fn image_uncompressed_goes_all_the_way() {
    let mut set = Set::default();
    set.image(Algorithm::Sha256, "image", |manifest| {
        for layer in manifest["layers"].as_array_mut().unwrap() {
            layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar");
        }
    });
    set.tags.push(("image-uncompressed", 0));
    set.goes_all_the_way();
}

#[test]
fn large_manifest_goes_all_the_way() {
    let mut set = Set::default();
    set.image(Algorithm::Sha256, "image", |manifest| {
        let long = "A".repeat(10_000);
        let names = (0..390).map(|number| (format!("large-annotation-{number}"), json!(long)));
        manifest["annotations"] = Value::Object(names.collect());
    });
    assert!(set.manifests[0].bytes.len() > 3_900_000);
    set.tags.push(("large-manifest", 0));
    set.goes_all_the_way();
}

#[test]
fn index_goes_all_the_way() {
    let mut set = Set::default();
    set.index("index", |_| {});
    set.tags.push(("index", 2));
    set.goes_all_the_way();
}

#[test]
fn nested_index_goes_all_the_way() {
    let mut set = Set::default();
    let inner = ["one", "two"].map(|seed| set.index(seed, |_| {}));
    set.manifest(Algorithm::Sha256, &index_manifest(&inner));
    set.tags.push(("index-of-index", 6));
    set.goes_all_the_way();
}

#[test]
fn empty_index_goes_all_the_way() {
    let mut set = Set::default();
    set.manifest(Algorithm::Sha256, &index_manifest(&[]));
    set.tags.push(("index", 0));
    set.goes_all_the_way();
}

#[test]
fn artifact_goes_all_the_way() {
    let mut set = Set::default();
    set.artifact("artifact", |_| {});
    set.tags.push(("artifact", 0));
    set.goes_all_the_way();
}

#[test]
fn artifact_index_goes_all_the_way() {
    let mut set = Set::default();
    let children = ["one", "two"].map(|seed| set.artifact(seed, |_| {}));
    let mut index = index_manifest(&children);
    index["artifactType"] = json!(ARTIFACT);
    set.manifest(Algorithm::Sha256, &index);
    set.tags.push(("artifact-index", 2));
    set.goes_all_the_way();
}

#[test]
fn artifact_without_layers_goes_all_the_way() {
    let mut set = Set::default();
    let empty = set.blob(Algorithm::Sha256, OCI_EMPTY, b"{}");
    let mut manifest = image_manifest(&empty, std::slice::from_ref(&empty));
    manifest["artifactType"] = json!(ARTIFACT);
    set.manifest(Algorithm::Sha256, &manifest);
    set.tags.push(("artifact-without-layers", 0));
    set.goes_all_the_way();
}

#[test]
fn artifacts_with_subject_go_all_the_way() {
    let mut set = Set::default();
    let subject = set.image(Algorithm::Sha256, "image", |_| {});
    // An image refers to it too: then it is of the kind of its config.
    set.image(Algorithm::Sha256, "referrer", |manifest| manifest["subject"] = subject.clone());
    set.artifact("one", |manifest| {
        manifest["subject"] = subject.clone();
        manifest["annotations"] = json!({ "org.opencontainers.conformance": "hello", "number": "1" });
    });
    set.artifact("two", |manifest| {
        manifest["subject"] = subject.clone();
        manifest["artifactType"] = json!("application/vnd.example.other.v1");
        manifest["annotations"] = json!({ "org.opencontainers.conformance": "hello", "number": "2" });
    });
    set.tags.extend([("image", 0), ("tagged-artifact1", 2), ("tagged-artifact2", 3)]);
    let other = "application/vnd.example.other.v1";
    let entries = vec![(1, Some(OCI_CONFIG)), (2, Some(ARTIFACT)), (3, Some(other))];
    set.referrers.push((subject["digest"].as_str().unwrap().to_owned(), entries));
    set.goes_all_the_way();
}

#[test]
fn index_with_subject_goes_all_the_way() {
    let mut set = Set::default();
    let subject = set.index("index", |_| {});
    set.index("referrer", |index| {
        index["subject"] = subject.clone();
        index["artifactType"] = json!(ARTIFACT);
        index["annotations"] = json!({ "org.opencontainers.conformance": "hello" });
    });
    // One without a kind of artifact has none in the list either.
    let mut bare = index_manifest(&[]);
    bare["subject"] = subject.clone();
    set.manifest(Algorithm::Sha256, &bare);
    set.tags.extend([("index", 2), ("tagged-artifact", 5)]);
    set.referrers
        .push((subject["digest"].as_str().unwrap().to_owned(), vec![(5, Some(ARTIFACT)), (6, None)]));
    set.goes_all_the_way();
}

#[test]
fn missing_subject_goes_all_the_way() {
    let mut set = Set::default();
    let subject = descriptor(OCI_IMAGE, b"missing content");
    set.artifact("referrer", |manifest| manifest["subject"] = subject.clone());
    set.tags.push(("tagged-artifact", 0));
    set.referrers.push((subject["digest"].as_str().unwrap().to_owned(), vec![(0, Some(ARTIFACT))]));
    set.goes_all_the_way();
}

#[test]
fn data_field_goes_all_the_way() {
    let mut set = Set::default();
    let empty = set.blob(Algorithm::Sha256, OCI_EMPTY, b"{}");
    let mut config = empty;
    config["data"] = json!("e30=");
    let mut layer = set.blob(Algorithm::Sha256, OCI_LAYER, b"hello");
    layer["data"] = json!("aGVsbG8=");
    set.manifest(Algorithm::Sha256, &image_manifest(&config, &[layer]));
    set.tags.push(("data-field", 0));
    set.goes_all_the_way();
}

#[test]
fn non_distributable_layers_go_all_the_way() {
    let mut set = Set::default();
    let config = set.blob(Algorithm::Sha256, OCI_CONFIG, b"{\"os\":\"linux\"}");
    let own = set.blob(Algorithm::Sha256, OCI_LAYER, b"a layer");
    let foreign = [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ];
    let mut layers: Vec<_> = foreign
        .iter()
        .map(|kind| {
            let mut layer = descriptor(kind, kind.as_bytes());
            layer["urls"] = json!(["https://store.example.com/blobs/1"]);
            layer
        })
        .collect();
    layers.push(own);
    set.manifest(Algorithm::Sha256, &image_manifest(&config, &layers));
    set.tags.push(("non-distributable-image", 0));
    set.goes_all_the_way();
}

#[test]
fn custom_fields_go_all_the_way() {
    let mut set = Set::default();
    set.index("custom", |index| {
        index["org.example.custom"] = json!({ "deeper": [1, 2.50, "three", null, true] });
        index["manifests"][0]["org.example.custom"] = json!("in a descriptor");
    });
    set.image(Algorithm::Sha256, "custom", |manifest| manifest["zzz"] = json!("unknown"));
    set.tags.extend([("custom-fields", 2), ("custom-image", 3)]);
    set.goes_all_the_way();
}

#[test]
fn no_layers_goes_all_the_way() {
    let mut set = Set::default();
    let config = set.blob(Algorithm::Sha256, OCI_CONFIG, b"{\"os\":\"linux\"}");
    set.manifest(Algorithm::Sha256, &image_manifest(&config, &[]));
    set.tags.push(("no-layers", 0));
    set.goes_all_the_way();
}

#[test]
fn sha512_goes_all_the_way() {
    let mut set = Set::default();
    set.image(Algorithm::Sha512, "image", |_| {});
    set.goes_all_the_way();
}

/// A tag on a manifest that is called by SHA-512, and blobs of both kinds in one image.
#[test]
fn the_two_digests_live_side_by_side() {
    let mut set = Set::default();
    let config = set.blob(Algorithm::Sha512, OCI_CONFIG, b"{\"os\":\"linux\"}");
    let layers = [
        set.blob(Algorithm::Sha256, OCI_LAYER, b"layer one"),
        set.blob(Algorithm::Sha512, OCI_LAYER, b"layer two"),
    ];
    let image = set.manifest(Algorithm::Sha512, &image_manifest(&config, &layers));
    set.manifest(Algorithm::Sha256, &index_manifest(&[image]));
    set.tags.push(("mixed", 1));
    set.goes_all_the_way();
}

#[test]
fn tag_param_sha256_goes_all_the_way() {
    tag_param_goes_all_the_way(Algorithm::Sha256);
}

#[test]
fn tag_param_sha512_goes_all_the_way() {
    tag_param_goes_all_the_way(Algorithm::Sha512);
}

fn tag_param_goes_all_the_way(algorithm: Algorithm) {
    let mut set = Set { tags_as_parameters: true, ..Set::default() };
    set.image(algorithm, "image", |_| {});
    // At least ten in one request.
    set.tags.extend(["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t10"].map(|tag| (tag, 0)));
    set.goes_all_the_way();
}

#[test]
fn docker_images_and_lists_go_all_the_way() {
    let mut set = Set::default();
    let config = set.blob(Algorithm::Sha256, "application/vnd.docker.container.image.v1+json", b"{\"a\":1}");
    let layer =
        set.blob(Algorithm::Sha256, "application/vnd.docker.image.rootfs.diff.tar.gzip", b"a docker layer");
    let mut image = image_manifest(&config, &[layer]);
    image["mediaType"] = json!(DOCKER_IMAGE);
    let mut child = set.manifest(Algorithm::Sha256, &image);
    child["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let mut list = index_manifest(&[child]);
    list["mediaType"] = json!(DOCKER_LIST);
    set.manifest(Algorithm::Sha256, &list);
    set.tags.extend([("image", 0), ("list", 1)]);
    set.goes_all_the_way();
}
