//! Manifests: what they name, and why one is refused.
//!
//! A manifest is JSON that a client made. It is kept byte for byte, because its digest is its name; here it is only
//! read. It is read twice: first as any JSON, where depth, members and repeated names are counted, and nothing is kept;
//! then as a manifest, where only the known members are kept. So what hostile input costs is bounded by its length, which
//! the caller bounds ([`MAX_MANIFEST_BYTES`]).
//!
//! The members are those of the OCI Image Specification (manifest, index, descriptor) and of the Docker formats
//! "manifest v2, schema 2", which differ only in their media types.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Algorithm, Digest, DigestRefusal, ErrorCode};

/// How many bytes a manifest may have if nothing else is set. Clients expect at least 4 MiB.
pub const MAX_MANIFEST_BYTES: usize = 8 * 1024 * 1024;

/// How many objects and arrays may be around a value. A manifest has four.
pub const MAX_JSON_DEPTH: usize = 64;

/// How many members and elements all objects and arrays may have together.
pub const MAX_JSON_MEMBERS: usize = 250_000;

/// How many descriptors a manifest may have.
pub const MAX_DESCRIPTORS: usize = 10_000;

/// How much of a parser's message is repeated, in characters. It can quote the input.
const MAX_MESSAGE_CHARACTERS: usize = 200;

/// The formats of manifests that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestType {
    /// An image or an artifact: a config and layers.
    OciImage,
    /// A list of manifests.
    OciIndex,
    /// An image in the format of Docker.
    DockerImage,
    /// A list of manifests in the format of Docker.
    DockerList,
}

impl ManifestType {
    /// Every format.
    pub const ALL: [ManifestType; 4] =
        [ManifestType::OciImage, ManifestType::OciIndex, ManifestType::DockerImage, ManifestType::DockerList];

    /// Returns the media type, which a manifest of the format is served with.
    pub fn as_str(self) -> &'static str {
        match self {
            ManifestType::OciImage => "application/vnd.oci.image.manifest.v1+json",
            ManifestType::OciIndex => "application/vnd.oci.image.index.v1+json",
            ManifestType::DockerImage => "application/vnd.docker.distribution.manifest.v2+json",
            ManifestType::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// Returns the format with the media type in `text`, if there is one. Parameters such as a character set are ignored.
    pub fn parse(text: &str) -> Option<ManifestType> {
        let essence = essence(text);
        ManifestType::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(essence))
    }

    /// Returns whether it is a list of manifests.
    pub fn is_index(self) -> bool {
        matches!(self, ManifestType::OciIndex | ManifestType::DockerList)
    }
}

/// Returns a media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// What must be in the repository before a manifest that names it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// A blob.
    Blob,
    /// A manifest.
    Manifest,
    /// Nothing: a layer that may not be distributed and is fetched from elsewhere.
    Nothing,
}

/// What a manifest says about other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The digest of the content.
    pub digest: Digest,
    /// The length of the content, in bytes.
    pub size: u64,
    /// The media type of the content; empty if the manifest has none.
    pub media_type: String,
    /// What must be there.
    pub requires: Requirement,
}

/// A manifest that may be stored, if what it names is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The format.
    pub media_type: ManifestType,
    /// The SHA-256 digest of the bytes, which is the name of a manifest that was pushed under a tag. What it is by
    /// another algorithm says [`Digest::of`].
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// The configuration of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image.
    pub layers: Vec<Descriptor>,
    /// The manifests in an index. What has another media type is a blob: some builders keep their cache that way.
    pub children: Vec<Descriptor>,
    /// The manifest that this one is about. It need not be there.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it is, as the list of referrers shows it: its own `artifactType`, else the media type of the
    /// config.
    pub artifact_type: Option<String>,
    /// The annotations, as the JSON object that stands in the manifest. An empty object is none.
    pub annotations: Option<String>,
}

/// Why a manifest was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The media type is none of those of [`ManifestType`].
    #[error(
        "the media type {0:?} is not accepted; OCI image manifests and indexes and their Docker equivalents are"
    )]
    UnsupportedType(String),
    /// Neither the request nor the manifest has a media type.
    #[error("the manifest has no media type")]
    NoType,
    /// The request and the manifest name different media types.
    #[error("Content-Type is {content_type:?} and mediaType is {media_type:?}")]
    TypesDiffer {
        /// The type in the request.
        content_type: String,
        /// The type in the manifest.
        media_type: String,
    },
    /// It is not text in UTF-8.
    #[error("the manifest is not valid UTF-8")]
    NotUtf8,
    /// It is not JSON.
    #[error("the manifest is not JSON: {0}")]
    NotJson(String),
    /// An object has two members with one name, so that two readers may see two manifests.
    #[error("the manifest has an object with two members of one name")]
    RepeatedName,
    /// Objects and arrays are inside each other more than [`MAX_JSON_DEPTH`] times.
    #[error("the manifest is nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// There are more than [`MAX_JSON_MEMBERS`] members and elements.
    #[error("the manifest has more than {MAX_JSON_MEMBERS} members")]
    TooManyMembers,
    /// There are more than [`MAX_DESCRIPTORS`] descriptors.
    #[error("the manifest has more than {MAX_DESCRIPTORS} descriptors")]
    TooManyDescriptors,
    /// A member is missing, or not what it must be.
    #[error("the manifest is malformed: {0}")]
    Malformed(String),
    /// `schemaVersion` is not 2.
    #[error("schemaVersion must be 2")]
    SchemaVersion,
    /// It is an image and an index at once, so that two readers may see two manifests.
    #[error("the manifest has members of another format than {}", .0.as_str())]
    Ambiguous(ManifestType),
    /// A descriptor has a digest that is none.
    #[error("a digest in {member} {reason}")]
    Digest {
        /// The member with the descriptor.
        member: &'static str,
        /// What is wrong with it.
        reason: DigestRefusal,
    },
    /// A descriptor has a size that is none.
    #[error("a size in {member} is negative")]
    Size {
        /// The member with the descriptor.
        member: &'static str,
    },
}

impl ManifestError {
    /// Returns the code of the protocol, which also gives the status.
    pub fn code(&self) -> ErrorCode {
        match self {
            ManifestError::Digest { .. } => ErrorCode::DigestInvalid,
            ManifestError::Size { .. } => ErrorCode::SizeInvalid,
            _ => ErrorCode::ManifestInvalid,
        }
    }

    fn malformed(error: &serde_json::Error) -> ManifestError {
        ManifestError::Malformed(shortened(&error.to_string()))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARACTERS).collect()
}

/// The known members. Others are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: Option<i64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Object<RawDescriptor>>,
    layers: Option<Vec<Object<RawDescriptor>>>,
    manifests: Option<Vec<Object<RawDescriptor>>>,
    fs_layers: Option<IgnoredAny>,
    subject: Option<Object<RawDescriptor>>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    size: i64,
    urls: Option<Vec<String>>,
}

/// Something that stands in the input as an object. Without this an array with the values in order would pass, too, and
/// other readers would not see the same.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl RawDescriptor {
    fn check(self, member: &'static str) -> Result<Descriptor, ManifestError> {
        let digest =
            Digest::parse(&self.digest).map_err(|reason| ManifestError::Digest { member, reason })?;
        let size = u64::try_from(self.size).map_err(|_| ManifestError::Size { member })?;
        let media_type = self.media_type.unwrap_or_default();
        let requires = match member {
            "layers" if is_foreign(&media_type) && self.urls.is_some_and(|urls| !urls.is_empty()) => {
                Requirement::Nothing
            }
            "manifests" if ManifestType::parse(&media_type).is_some() => Requirement::Manifest,
            "subject" => Requirement::Nothing,
            _ => Requirement::Blob,
        };
        Ok(Descriptor { digest, size, media_type, requires })
    }
}

/// Returns whether content of the type may stay where its `urls` point.
fn is_foreign(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
        || essence.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
}

impl Manifest {
    /// Returns the manifest in `bytes`, which came with this value of `Content-Type`, if any.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?;
        // A type that is not accepted is refused before anything is read.
        let content_type = content_type.map(essence).filter(|text| !text.is_empty());
        let announced = content_type.map(accepted).transpose()?;
        survey(text)?;
        let Object(document): Object<Document<'_>> =
            serde_json::from_str(text).map_err(|error| ManifestError::malformed(&error))?;
        let own = document.media_type.as_deref().filter(|text| !text.is_empty());
        let media_type = match (announced, own.map(accepted).transpose()) {
            (Some(announced), Ok(Some(own))) if own == announced => own,
            (Some(announced), Ok(None)) => announced,
            (Some(announced), _) => {
                return Err(ManifestError::TypesDiffer {
                    content_type: announced.as_str().to_owned(),
                    media_type: shortened(own.unwrap_or_default()),
                });
            }
            (None, own) => own?.ok_or(ManifestError::NoType)?,
        };
        if document.schema_version != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        document.check(media_type, bytes)
    }

    /// Returns what the manifest names: the config, the layers and the manifests, without the subject.
    pub fn content(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.children)
    }
}

fn accepted(media_type: &str) -> Result<ManifestType, ManifestError> {
    ManifestType::parse(media_type).ok_or_else(|| ManifestError::UnsupportedType(shortened(media_type)))
}

impl Document<'_> {
    fn check(self, media_type: ManifestType, bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let (of_image, of_index) = (self.config.is_some() || self.layers.is_some(), self.manifests.is_some());
        let foreign = if media_type.is_index() { of_image } else { of_index };
        if foreign || self.fs_layers.is_some() {
            return Err(ManifestError::Ambiguous(media_type));
        }
        if !media_type.is_index() && self.config.is_none() {
            return Err(ManifestError::Malformed("config is missing".to_owned()));
        }
        let lists = [&self.layers, &self.manifests];
        let listed: usize = lists.into_iter().flatten().map(Vec::len).sum();
        if listed > MAX_DESCRIPTORS {
            return Err(ManifestError::TooManyDescriptors);
        }
        let all = |list: Option<Vec<Object<RawDescriptor>>>, member| {
            let list = list.unwrap_or_default().into_iter();
            list.map(|Object(one)| one.check(member)).collect::<Result<Vec<_>, _>>()
        };
        let config = self.config.map(|Object(config)| config.check("config")).transpose()?;
        let subject = self.subject.map(|Object(subject)| subject.check("subject")).transpose()?;
        let type_of_config = config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = self.artifact_type.filter(|own| !own.is_empty()).or(type_of_config);
        Ok(Manifest {
            media_type,
            digest: Digest::of(Algorithm::Sha256, bytes),
            size: bytes.len() as u64,
            config,
            layers: all(self.layers, "layers")?,
            children: all(self.manifests, "manifests")?,
            subject,
            artifact_type: artifact_type.filter(|artifact_type| !artifact_type.is_empty()),
            annotations: self.annotations.map(check_annotations).transpose()?.flatten(),
        })
    }
}

/// Returns the annotations if they are an object of strings that has any.
fn check_annotations(raw: &RawValue) -> Result<Option<String>, ManifestError> {
    struct Strings;

    impl<'de> Visitor<'de> for Strings {
        /// How many there are.
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("annotations that are an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while map.next_entry::<IgnoredAny, Text<'de>>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }

    let count = serde_json::Deserializer::from_str(raw.get())
        .deserialize_map(Strings)
        .map_err(|error| ManifestError::malformed(&error))?;
    Ok((count > 0).then(|| raw.get().to_owned()))
}

/// Some text, borrowed from the input where it has no escapes.
#[derive(PartialEq, Eq, Hash)]
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

/// Walks over any JSON and checks what must be true of all of it. Keeps the names of the objects that are open, and
/// nothing else.
fn survey(text: &str) -> Result<(), ManifestError> {
    let (mut members, mut refusal) = (0, None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let survey = Survey { depth: 0, members: &mut members, refusal: &mut refusal };
    let walked =
        de::DeserializeSeed::deserialize(survey, &mut deserializer).and_then(|()| deserializer.end());
    match (walked, refusal) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(refusal)) => Err(refusal),
        (Err(error), None) => Err(ManifestError::NotJson(shortened(&error.to_string()))),
    }
}

struct Survey<'s> {
    /// How many objects and arrays are around the value.
    depth: usize,
    members: &'s mut usize,
    /// Why the walk was broken off. The parser's own errors have no room for it.
    refusal: &'s mut Option<ManifestError>,
}

impl Survey<'_> {
    fn refuse<E: de::Error>(&mut self, refusal: ManifestError) -> E {
        let error = E::custom(&refusal);
        *self.refusal = Some(refusal);
        error
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        if self.depth == MAX_JSON_DEPTH { Err(self.refuse(ManifestError::TooDeep)) } else { Ok(()) }
    }

    fn count<E: de::Error>(&mut self) -> Result<(), E> {
        *self.members += 1;
        if *self.members > MAX_JSON_MEMBERS {
            return Err(self.refuse(ManifestError::TooManyMembers));
        }
        Ok(())
    }

    fn inside(&mut self) -> Survey<'_> {
        Survey { depth: self.depth + 1, members: self.members, refusal: self.refusal }
    }
}

impl<'de> de::DeserializeSeed<'de> for Survey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Survey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.enter()?;
        while elements.next_element_seed(self.inside())?.is_some() {
            self.count()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.enter()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<Text<'de>>()? {
            self.count()?;
            if !names.insert(name) {
                return Err(self.refuse(ManifestError::RepeatedName));
            }
            members.next_value_seed(self.inside())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn hex(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn descriptor(media_type: &str, digit: char, size: i64) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", hex(digit)), "size": size})
    }

    fn image() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", 'a', 10),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", 'b', 20)],
        })
    }

    fn index() -> Value {
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(IMAGE, 'c', 30)]})
    }

    fn parse(manifest: &Value, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        Manifest::parse(manifest.to_string().as_bytes(), content_type)
    }

    /// Returns the manifest with one member set, or taken away.
    fn with(mut manifest: Value, member: &str, value: Option<Value>) -> Value {
        let members = manifest.as_object_mut().unwrap();
        match value {
            Some(value) => members.insert(member.to_owned(), value),
            None => members.remove(member),
        };
        manifest
    }

    #[test]
    fn an_image_names_its_config_and_its_layers() {
        let text = image().to_string();
        let manifest = Manifest::parse(text.as_bytes(), Some(IMAGE)).unwrap();
        assert_eq!(manifest.media_type, ManifestType::OciImage);
        assert_eq!(manifest.digest, Digest::of(Algorithm::Sha256, text.as_bytes()));
        assert_eq!(manifest.size, text.len() as u64);
        let named: Vec<_> = manifest
            .content()
            .map(|one| (one.digest.hex().to_owned(), one.size, one.media_type.as_str(), one.requires))
            .collect();
        assert_eq!(
            named,
            [
                (hex('a'), 10, "application/vnd.oci.image.config.v1+json", Requirement::Blob),
                (hex('b'), 20, "application/vnd.oci.image.layer.v1.tar+gzip", Requirement::Blob),
            ]
        );
        assert!(manifest.children.is_empty() && manifest.subject.is_none() && manifest.annotations.is_none());
    }

    #[test]
    fn an_index_names_manifests_and_blobs() {
        let children = json!([descriptor(IMAGE, 'c', 30), descriptor("application/x-cache", 'd', 40)]);
        let manifest = parse(&with(index(), "manifests", Some(children)), None).unwrap();
        assert_eq!(manifest.media_type, ManifestType::OciIndex);
        let named: Vec<_> =
            manifest.content().map(|one| (one.digest.hex().to_owned(), one.requires)).collect();
        assert_eq!(named, [(hex('c'), Requirement::Manifest), (hex('d'), Requirement::Blob)]);
        assert_eq!((manifest.artifact_type, manifest.config), (None, None));
    }

    #[test]
    fn the_type_is_that_of_the_request_and_of_the_manifest() {
        let untyped = with(image(), "mediaType", None);
        for (manifest, content_type, expected) in [
            (image(), Some(IMAGE), Ok(ManifestType::OciImage)),
            (image(), None, Ok(ManifestType::OciImage)),
            (image(), Some(""), Ok(ManifestType::OciImage)),
            (untyped.clone(), Some(IMAGE), Ok(ManifestType::OciImage)),
            (
                untyped.clone(),
                Some("Application/vnd.oci.image.manifest.v1+JSON ; charset=utf-8"),
                Ok(ManifestType::OciImage),
            ),
            (untyped.clone(), Some(ManifestType::DockerImage.as_str()), Ok(ManifestType::DockerImage)),
            (
                with(index(), "mediaType", None),
                Some(ManifestType::DockerList.as_str()),
                Ok(ManifestType::DockerList),
            ),
            (untyped.clone(), None, Err(ManifestError::NoType)),
            (with(image(), "mediaType", Some(json!(""))), None, Err(ManifestError::NoType)),
            (
                image(),
                Some(ManifestType::DockerImage.as_str()),
                Err(ManifestError::TypesDiffer {
                    content_type: ManifestType::DockerImage.as_str().to_owned(),
                    media_type: IMAGE.to_owned(),
                }),
            ),
            (
                with(image(), "mediaType", Some(json!("text/plain"))),
                Some(IMAGE),
                Err(ManifestError::TypesDiffer {
                    content_type: IMAGE.to_owned(),
                    media_type: "text/plain".to_owned(),
                }),
            ),
            (
                with(image(), "mediaType", Some(json!("text/plain"))),
                None,
                Err(ManifestError::UnsupportedType("text/plain".to_owned())),
            ),
        ] {
            let parsed = parse(&manifest, content_type).map(|manifest| manifest.media_type);
            assert_eq!(parsed, expected, "{content_type:?} {manifest}");
        }
        for refused in [
            "application/vnd.docker.distribution.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.oci.artifact.manifest.v1+json",
            "application/json",
            "application/octet-stream",
        ] {
            let parsed = parse(&untyped, Some(refused));
            assert_eq!(parsed, Err(ManifestError::UnsupportedType(refused.to_owned())));
        }
    }

    #[test]
    fn only_schema_two_is_read() {
        for version in [None, Some(json!(1)), Some(json!(3)), Some(Value::Null)] {
            let parsed = parse(&with(image(), "schemaVersion", version), None);
            assert_eq!(parsed, Err(ManifestError::SchemaVersion));
        }
        for version in [json!("2"), json!(2.0), json!([2])] {
            let parsed = parse(&with(image(), "schemaVersion", Some(version)), None);
            assert!(matches!(parsed, Err(ManifestError::Malformed(_))), "{parsed:?}");
        }
    }

    #[test]
    fn a_manifest_of_two_formats_is_refused() {
        let both = with(image(), "manifests", Some(json!([])));
        assert_eq!(parse(&both, None), Err(ManifestError::Ambiguous(ManifestType::OciImage)));
        for member in ["layers", "config"] {
            let both = with(index(), member, Some(image()[member].clone()));
            assert_eq!(parse(&both, None), Err(ManifestError::Ambiguous(ManifestType::OciIndex)), "{member}");
        }
        let both = with(image(), "fsLayers", Some(json!([])));
        assert_eq!(parse(&both, None), Err(ManifestError::Ambiguous(ManifestType::OciImage)));
    }

    #[test]
    fn what_may_be_empty_may_be_empty() {
        for layers in [None, Some(json!([])), Some(Value::Null)] {
            assert_eq!(parse(&with(image(), "layers", layers), None).unwrap().layers, []);
        }
        for manifests in [None, Some(json!([])), Some(Value::Null)] {
            assert_eq!(parse(&with(index(), "manifests", manifests), None).unwrap().children, []);
        }
        let no_config = parse(&with(image(), "config", None), None);
        assert_eq!(no_config, Err(ManifestError::Malformed("config is missing".to_owned())));
    }

    #[test]
    fn unknown_members_are_passed_over() {
        let mut manifest = with(image(), "org.example.new", Some(json!({"any": [1, null, {"thing": -1.5}]})));
        manifest["config"]["newField"] = json!("x");
        manifest["layers"][0]["data"] = json!("aGVsbG8=");
        assert_eq!(parse(&manifest, None).unwrap().layers.len(), 1);
    }

    #[test]
    fn every_descriptor_is_checked() {
        type Place = fn(Value) -> Value;
        let places: [(&'static str, Place); 4] = [
            ("config", |one| with(image(), "config", Some(one))),
            ("layers", |one| with(image(), "layers", Some(json!([image()["layers"][0], one])))),
            ("manifests", |one| with(index(), "manifests", Some(json!([one])))),
            ("subject", |one| with(index(), "subject", Some(one))),
        ];
        for (member, place) in places {
            let changed = |name: &str, value: Value| with(descriptor("x/y", 'e', 1), name, Some(value));
            assert!(parse(&place(descriptor("x/y", 'e', 0)), None).is_ok(), "{member}");
            let parsed = parse(&place(changed("digest", json!("sha256:baddigeststring"))), None);
            let malformed = ManifestError::Digest { member, reason: DigestRefusal::Malformed };
            assert_eq!(parsed, Err(malformed.clone()), "{member}");
            assert_eq!(malformed.code(), ErrorCode::DigestInvalid);
            let parsed = parse(&place(changed("digest", json!(format!("sha1:{}", "a".repeat(40))))), None);
            let unsupported = ManifestError::Digest { member, reason: DigestRefusal::Unsupported };
            assert_eq!(parsed, Err(unsupported), "{member}");
            let parsed = parse(&place(changed("size", json!(-1))), None);
            assert_eq!(parsed, Err(ManifestError::Size { member }), "{member}");
            for (name, value) in [
                ("size", json!("1")),
                ("size", json!(1.5)),
                ("size", json!(9_223_372_036_854_775_808_u64)),
                ("size", Value::Null),
                ("digest", json!(1)),
                ("mediaType", json!(1)),
                ("urls", json!("x")),
            ] {
                let parsed = parse(&place(changed(name, value)), None);
                assert!(matches!(parsed, Err(ManifestError::Malformed(_))), "{member} {name}: {parsed:?}");
            }
            for name in ["digest", "size"] {
                let parsed = parse(&place(with(descriptor("x/y", 'e', 1), name, None)), None);
                assert!(matches!(parsed, Err(ManifestError::Malformed(_))), "{member} {name}: {parsed:?}");
            }
        }
    }

    /// Who attacks: somebody who pushes a manifest that this registry reads as an image, and a scanner as something else.
    #[test]
    fn an_array_is_no_object() {
        let one = json!(["x/y", format!("sha256:{}", hex('a')), 1, null]);
        for manifest in [
            with(image(), "config", Some(one.clone())),
            with(image(), "layers", Some(json!([one.clone()]))),
            with(image(), "subject", Some(one)),
            json!([2, IMAGE, null, image()["config"], [], null, null, null, null]),
        ] {
            let parsed = parse(&manifest, Some(IMAGE));
            assert!(matches!(parsed, Err(ManifestError::Malformed(_))), "{parsed:?}");
        }
    }

    #[test]
    fn a_layer_that_is_elsewhere_need_not_be_here() {
        let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
        let docker = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let urls = || Some(json!(["https://example.com/layer"]));
        for (media_type, urls, expected) in [
            (foreign, urls(), Requirement::Nothing),
            (docker, urls(), Requirement::Nothing),
            (foreign, None, Requirement::Blob),
            (foreign, Some(json!([])), Requirement::Blob),
            (foreign, Some(Value::Null), Requirement::Blob),
            ("application/vnd.oci.image.layer.v1.tar", urls(), Requirement::Blob),
        ] {
            let layer = with(descriptor(media_type, 'f', 1), "urls", urls.clone());
            let manifest = parse(&with(image(), "layers", Some(json!([layer]))), None).unwrap();
            assert_eq!(manifest.layers[0].requires, expected, "{media_type} {urls:?}");
        }
        // A config cannot be elsewhere.
        let config = with(descriptor(foreign, 'f', 1), "urls", urls());
        let manifest = parse(&with(image(), "config", Some(config)), None).unwrap();
        assert_eq!(manifest.config.unwrap().requires, Requirement::Blob);
    }

    #[test]
    fn a_referrer_says_what_it_is() {
        let config = Some("application/vnd.oci.image.config.v1+json");
        for (manifest, expected) in [
            (image(), config),
            (with(image(), "artifactType", Some(json!(""))), config),
            (with(image(), "artifactType", Some(json!("application/x-sbom"))), Some("application/x-sbom")),
            (index(), None),
            (with(index(), "artifactType", Some(json!("application/x-list"))), Some("application/x-list")),
        ] {
            let parsed = parse(&with(manifest, "subject", Some(descriptor(IMAGE, '9', 5))), None).unwrap();
            assert_eq!(parsed.artifact_type.as_deref(), expected);
            assert_eq!(parsed.subject.unwrap().digest.hex(), hex('9'));
        }
    }

    #[test]
    fn annotations_are_kept_as_they_stand() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations": {{ "b" : "\u00e4", "a":"1" }} }}"#
        );
        let manifest = Manifest::parse(text.as_bytes(), None).unwrap();
        assert_eq!(manifest.annotations.as_deref(), Some(r#"{ "b" : "\u00e4", "a":"1" }"#));
        for none in [None, Some(Value::Null), Some(json!({}))] {
            assert_eq!(parse(&with(index(), "annotations", none), None).unwrap().annotations, None);
        }
        for wrong in [json!([]), json!("a"), json!({"a": 1}), json!({"a": null}), json!({"a": {"b": "c"}})] {
            let parsed = parse(&with(index(), "annotations", Some(wrong)), None);
            assert!(matches!(parsed, Err(ManifestError::Malformed(_))), "{parsed:?}");
        }
    }

    #[test]
    fn a_name_stands_once_in_an_object() {
        for text in [
            r#"{"schemaVersion":2,"schemaVersion":2}"#,
            r#"{"a":{"b":[{"x":1,"y":2,"x":1}]}}"#,
            // The same name, once with an escape.
            r#"{"layers":[],"l\u0061yers":[]}"#,
        ] {
            assert_eq!(
                Manifest::parse(text.as_bytes(), Some(IMAGE)),
                Err(ManifestError::RepeatedName),
                "{text}"
            );
        }
        // In two objects it may stand.
        assert!(parse(&with(image(), "a", Some(json!({"config": 1}))), None).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize, open: &str, close: &str| {
            let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let text = with(image(), "x", Some(json!("HERE"))).to_string().replace("\"HERE\"", &inner);
            Manifest::parse(text.as_bytes(), None)
        };
        // The manifest itself is one level.
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            assert!(nested(MAX_JSON_DEPTH - 1, open, close).is_ok());
            assert_eq!(nested(MAX_JSON_DEPTH, open, close), Err(ManifestError::TooDeep));
            assert_eq!(nested(200_000, open, close), Err(ManifestError::TooDeep));
        }
    }

    #[test]
    fn the_number_of_members_is_bounded() {
        let numbers = |count: usize| {
            let list = vec!["1"; count].join(",");
            let text = with(image(), "x", Some(json!("HERE"))).to_string();
            Manifest::parse(text.replace("\"HERE\"", &format!("[{list}]")).as_bytes(), None)
        };
        // The rest of the manifest has 12 of its own.
        assert!(numbers(MAX_JSON_MEMBERS - 12).is_ok());
        assert_eq!(numbers(MAX_JSON_MEMBERS - 11), Err(ManifestError::TooManyMembers));
        let names: Vec<_> = (0..=MAX_JSON_MEMBERS).map(|at| format!("\"{at}\":0")).collect();
        let object = format!("{{{}}}", names.join(","));
        assert_eq!(Manifest::parse(object.as_bytes(), Some(IMAGE)), Err(ManifestError::TooManyMembers));
    }

    #[test]
    fn the_number_of_descriptors_is_bounded() {
        let layers = |count: usize| {
            let layers = vec![descriptor("x/y", 'b', 1); count];
            parse(&with(image(), "layers", Some(json!(layers))), None).map(|manifest| manifest.layers.len())
        };
        assert_eq!(layers(MAX_DESCRIPTORS), Ok(MAX_DESCRIPTORS));
        assert_eq!(layers(MAX_DESCRIPTORS + 1), Err(ManifestError::TooManyDescriptors));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,2",
            "{\"a\":1,}",
            "{} {}",
            "nul",
            "\u{feff}{}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":1e999}",
            "'a'",
        ] {
            let parsed = Manifest::parse(text.as_bytes(), Some(IMAGE));
            assert!(matches!(parsed, Err(ManifestError::NotJson(_))), "{text:?}: {parsed:?}");
        }
        for text in ["[]", "1", "null", "\"a\""] {
            let parsed = Manifest::parse(text.as_bytes(), Some(IMAGE));
            assert!(matches!(parsed, Err(ManifestError::Malformed(_))), "{text:?}: {parsed:?}");
        }
        // Inside a string, too, and where nothing would have looked at it.
        let invalid = [br#"{"x":""#.as_slice(), &[0xff], br#""}"#].concat();
        assert_eq!(Manifest::parse(&invalid, Some(IMAGE)), Err(ManifestError::NotUtf8));
    }

    #[test]
    fn a_message_does_not_repeat_a_long_input() {
        let long = "x".repeat(100_000);
        for parsed in [
            parse(&with(image(), "schemaVersion", Some(json!(long))), None),
            parse(&with(image(), "mediaType", Some(json!(long))), None),
            parse(&image(), Some(&long)),
        ] {
            let message = parsed.unwrap_err().to_string();
            assert!(message.len() < 500, "{} bytes", message.len());
        }
    }

    #[test]
    fn a_manifest_of_four_mebibytes_is_read() {
        let annotations: serde_json::Map<_, _> =
            (0..390).map(|at| (format!("org.example.{at}"), json!("x".repeat(10_000)))).collect();
        let manifest = with(image(), "annotations", Some(Value::Object(annotations)));
        let parsed = parse(&manifest, Some(IMAGE)).unwrap();
        assert!(parsed.size > 3_900_000 && (parsed.size as usize) < MAX_MANIFEST_BYTES);
    }

    /// Any JSON, with the names and words that mean something.
    fn any_json() -> impl Strategy<Value = Value> {
        let word = proptest::sample::select(vec![
            "schemaVersion",
            "mediaType",
            "config",
            "layers",
            "manifests",
            "subject",
            "annotations",
            "digest",
            "size",
            "urls",
            IMAGE,
            INDEX,
            "sha256:",
            "a",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            word.clone().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((word.clone().prop_map(str::to_owned), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&bytes, Some(IMAGE));
        }

        /// Whatever a member is, the manifest is refused or has the digest of its bytes.
        #[test]
        fn any_member_may_be_anything(
            manifest in prop_oneof![Just(image()), Just(index())],
            member in proptest::sample::select(vec![
                "schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations",
                "artifactType", "fsLayers", "other",
            ]),
            value in any_json(),
        ) {
            let text = with(manifest, member, Some(value)).to_string();
            if let Ok(parsed) = Manifest::parse(text.as_bytes(), None) {
                prop_assert_eq!(parsed.digest, Digest::of(Algorithm::Sha256, text.as_bytes()));
                if let Some(annotations) = parsed.annotations {
                    prop_assert!(text.contains(&annotations));
                }
            }
        }

        /// Cut anywhere, it is no JSON any more.
        #[test]
        fn a_manifest_that_was_cut_is_refused(at in any::<proptest::sample::Index>()) {
            let text = image().to_string();
            let cut = &text.as_bytes()[..at.index(text.len())];
            prop_assert!(matches!(Manifest::parse(cut, Some(IMAGE)), Err(ManifestError::NotJson(_))));
        }
    }
}
