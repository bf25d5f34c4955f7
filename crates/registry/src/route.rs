//! What a path below `/v2/` stands for.
//!
//! A repository may have a part that is called `blobs` or `manifests`, so a path is read from its end: the name is
//! everything in front of the last word that belongs to the protocol. Every path has one meaning at most.
//!
//! Parts are separated first and decoded afterwards, once. A slash that was hidden as `%2F` is refused, because proxies
//! disagree about it, and two of them must not see two different repositories.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::{Digest, DigestRefusal, ErrorCode, NameRefusal, RepositoryName, SessionId, Tag};

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v2`, which is answered with the way to `/v2/`.
    VersionWithoutSlash,
    /// `/v2/`.
    Version,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/{name}/blobs/{digest}`.
    Blob {
        /// The repository.
        name: RepositoryName,
        /// The content.
        digest: Digest,
    },
    /// `/v2/{name}/blobs/uploads/`.
    Uploads {
        /// The repository.
        name: RepositoryName,
    },
    /// `/v2/{name}/blobs/uploads/{session}`.
    Upload {
        /// The repository.
        name: RepositoryName,
        /// The session.
        session: SessionId,
    },
    /// `/v2/{name}/manifests/{tag or digest}`.
    Manifest {
        /// The repository.
        name: RepositoryName,
        /// Which manifest.
        reference: Reference,
    },
    /// `/v2/{name}/tags/list`.
    Tags {
        /// The repository.
        name: RepositoryName,
    },
    /// `/v2/{name}/referrers/{digest}`.
    Referrers {
        /// The repository.
        name: RepositoryName,
        /// The manifest that is referred to.
        digest: Digest,
    },
}

/// How a manifest is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By a tag, which can move.
    Tag(Tag),
    /// By its content.
    Digest(Digest),
}

impl Reference {
    /// Returns the reference in `text`. No tag has a colon and every digest has one.
    fn parse(text: &str) -> Result<Reference, RouteRefusal> {
        if text.contains(':') {
            Ok(Reference::Digest(Digest::parse(text)?))
        } else {
            Tag::parse(text).map(Reference::Tag).map_err(RouteRefusal::Tag)
        }
    }
}

/// Why a path stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// It has the shape of no endpoint.
    #[error("there is nothing at this path")]
    Unknown,
    /// A part of it hides a slash or is not text.
    #[error("the path has a part that is not a part of a name")]
    Encoding,
    /// The name of the repository is none.
    #[error("the name of the repository {0}")]
    Name(NameRefusal),
    /// The tag is none.
    #[error("the tag {0}")]
    Tag(NameRefusal),
    /// The digest is none.
    #[error("the digest {0}")]
    Digest(#[from] DigestRefusal),
    /// The identifier of the upload is none that was ever given out.
    #[error("there is no such upload")]
    Upload,
}

impl RouteRefusal {
    /// Returns the code of the protocol, which also gives the status.
    pub fn code(self) -> ErrorCode {
        match self {
            RouteRefusal::Unknown => ErrorCode::NameUnknown,
            RouteRefusal::Encoding | RouteRefusal::Name(_) => ErrorCode::NameInvalid,
            RouteRefusal::Tag(_) => ErrorCode::ManifestInvalid,
            RouteRefusal::Digest(_) => ErrorCode::DigestInvalid,
            RouteRefusal::Upload => ErrorCode::BlobUploadUnknown,
        }
    }
}

impl Endpoint {
    /// Returns what `path` stands for: a path as it came, with its escapes and without a query.
    ///
    /// # Errors
    /// Why it stands for nothing.
    pub fn parse(path: &str) -> Result<Endpoint, RouteRefusal> {
        if path == "/v2" {
            return Ok(Endpoint::VersionWithoutSlash);
        }
        let rest = path.strip_prefix("/v2/").ok_or(RouteRefusal::Unknown)?;
        let parts = rest.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
        match parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
            [""] => Ok(Endpoint::Version),
            ["_catalog"] => Ok(Endpoint::Catalog),
            [name @ .., "tags", "list"] => Ok(Endpoint::Tags { name: repository(name)? }),
            parts => Endpoint::of_content(parts),
        }
    }

    /// Returns what the parts stand for if the last word of the protocol is in front of a digest, a tag or a session.
    fn of_content(parts: &[&str]) -> Result<Endpoint, RouteRefusal> {
        let before_last = &parts[..parts.len() - 1];
        let word = before_last.iter().rposition(|part| matches!(*part, "blobs" | "manifests" | "referrers"));
        let word = word.ok_or(RouteRefusal::Unknown)?;
        let name = repository(&parts[..word])?;
        match (parts[word], &parts[word + 1..]) {
            ("blobs", ["uploads", ""]) => Ok(Endpoint::Uploads { name }),
            ("blobs", ["uploads", session]) => {
                let session = SessionId::parse(session).ok_or(RouteRefusal::Upload)?;
                Ok(Endpoint::Upload { name, session })
            }
            ("blobs", [digest]) => Ok(Endpoint::Blob { name, digest: Digest::parse(digest)? }),
            ("manifests", [reference]) => {
                Ok(Endpoint::Manifest { name, reference: Reference::parse(reference)? })
            }
            ("manifests", _) => Err(RouteRefusal::Tag(NameRefusal::NotATag)),
            ("referrers", [digest]) => Ok(Endpoint::Referrers { name, digest: Digest::parse(digest)? }),
            _ => Err(RouteRefusal::Unknown),
        }
    }

    /// Returns the repository, if the path names one.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Endpoint::VersionWithoutSlash | Endpoint::Version | Endpoint::Catalog => None,
            Endpoint::Blob { name, .. }
            | Endpoint::Uploads { name }
            | Endpoint::Upload { name, .. }
            | Endpoint::Manifest { name, .. }
            | Endpoint::Tags { name }
            | Endpoint::Referrers { name, .. } => Some(name),
        }
    }
}

fn repository(parts: &[&str]) -> Result<RepositoryName, RouteRefusal> {
    RepositoryName::parse(&parts.join("/")).map_err(RouteRefusal::Name)
}

fn decode(part: &str) -> Result<Cow<'_, str>, RouteRefusal> {
    let text = percent_decode_str(part).decode_utf8().map_err(|_| RouteRefusal::Encoding)?;
    if text.contains(['/', '\\', '\0']) { Err(RouteRefusal::Encoding) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SESSION: &str = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";

    fn digest() -> Digest {
        Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap()
    }

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    fn tag(text: &str) -> Reference {
        Reference::Tag(Tag::parse(text).unwrap())
    }

    #[test]
    fn every_endpoint_is_found() {
        let digest = digest();
        let session = SessionId::parse(SESSION).unwrap();
        for (path, expected) in [
            ("/v2".to_owned(), Endpoint::VersionWithoutSlash),
            ("/v2/".to_owned(), Endpoint::Version),
            ("/v2/_catalog".to_owned(), Endpoint::Catalog),
            (format!("/v2/g/p/blobs/{digest}"), Endpoint::Blob { name: name("g/p"), digest: digest.clone() }),
            ("/v2/g/p/blobs/uploads/".to_owned(), Endpoint::Uploads { name: name("g/p") }),
            (format!("/v2/g/p/blobs/uploads/{SESSION}"), Endpoint::Upload { name: name("g/p"), session }),
            (
                "/v2/g/p/manifests/v1".to_owned(),
                Endpoint::Manifest { name: name("g/p"), reference: tag("v1") },
            ),
            (
                format!("/v2/g/p/manifests/{digest}"),
                Endpoint::Manifest { name: name("g/p"), reference: Reference::Digest(digest.clone()) },
            ),
            ("/v2/g/p/tags/list".to_owned(), Endpoint::Tags { name: name("g/p") }),
            (
                format!("/v2/g/p/referrers/{digest}"),
                Endpoint::Referrers { name: name("g/p"), digest: digest.clone() },
            ),
            // Parts of a name that are words of the protocol elsewhere.
            (
                "/v2/a/blobs/manifests/latest".to_owned(),
                Endpoint::Manifest { name: name("a/blobs"), reference: tag("latest") },
            ),
            (
                format!("/v2/blobs/manifests/blobs/{digest}"),
                Endpoint::Blob { name: name("blobs/manifests"), digest: digest.clone() },
            ),
            (
                "/v2/blobs/uploads/blobs/uploads/".to_owned(),
                Endpoint::Uploads { name: name("blobs/uploads") },
            ),
            ("/v2/a/tags/list/tags/list".to_owned(), Endpoint::Tags { name: name("a/tags/list") }),
            ("/v2/a/manifests/tags/list".to_owned(), Endpoint::Tags { name: name("a/manifests") }),
            (
                "/v2/a/tags/list/manifests/list".to_owned(),
                Endpoint::Manifest { name: name("a/tags/list"), reference: tag("list") },
            ),
            (
                "/v2/a/manifests/blobs".to_owned(),
                Endpoint::Manifest { name: name("a"), reference: tag("blobs") },
            ),
            (
                format!("/v2/referrers/referrers/{digest}"),
                Endpoint::Referrers { name: name("referrers"), digest: digest.clone() },
            ),
            // Escapes are undone once.
            (
                "/v2/%67/p/manifest%73/v1".to_owned(),
                Endpoint::Manifest { name: name("g/p"), reference: tag("v1") },
            ),
            (
                format!("/v2/g/p/manifests/{}", digest.to_string().replace(':', "%3A")),
                Endpoint::Manifest { name: name("g/p"), reference: Reference::Digest(digest.clone()) },
            ),
        ] {
            assert_eq!(Endpoint::parse(&path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_stands_for_nothing_says_why() {
        let not_a_name = RouteRefusal::Name(NameRefusal::NotARepository);
        let not_a_tag = RouteRefusal::Tag(NameRefusal::NotATag);
        let malformed = RouteRefusal::Digest(DigestRefusal::Malformed);
        for (path, expected) in [
            ("", RouteRefusal::Unknown),
            ("/", RouteRefusal::Unknown),
            ("/v1/", RouteRefusal::Unknown),
            ("/v2x", RouteRefusal::Unknown),
            ("/v2/g", RouteRefusal::Unknown),
            ("/v2/g/p", RouteRefusal::Unknown),
            ("/v2/_catalog/", RouteRefusal::Unknown),
            ("/v2/g/p/tags", RouteRefusal::Unknown),
            ("/v2/g/p/tags/list/", RouteRefusal::Unknown),
            ("/v2/g/p/tags/listing", RouteRefusal::Unknown),
            ("/v2/g/p/blobs", RouteRefusal::Unknown),
            ("/v2/g/p/blobs/uploads/a/b", RouteRefusal::Unknown),
            ("/v2/g/p/tags/reference/v1", RouteRefusal::Unknown),
            ("/v2/g%2Fp/manifests/v1", RouteRefusal::Encoding),
            ("/v2/g%2fp/manifests/v1", RouteRefusal::Encoding),
            ("/v2/g/p/manifests/a%2Fb", RouteRefusal::Encoding),
            ("/v2/g%5Cp/manifests/v1", RouteRefusal::Encoding),
            ("/v2/g%00/manifests/v1", RouteRefusal::Encoding),
            ("/v2/g%FF/manifests/v1", RouteRefusal::Encoding),
            // Decoded once, this is `%2F`, which no name has.
            ("/v2/g%252Fp/manifests/v1", not_a_name),
            ("/v2/g%zz/manifests/v1", not_a_name),
            ("/v2/../etc/manifests/v1", not_a_name),
            ("/v2/%2e%2e/etc/manifests/v1", not_a_name),
            ("/v2//manifests/v1", not_a_name),
            ("/v2/manifests/v1", not_a_name),
            ("/v2/tags/list", not_a_name),
            ("/v2/G/p/manifests/v1", not_a_name),
            ("/v2/g//p/manifests/v1", not_a_name),
            ("/v2/g/p/manifests/", not_a_tag),
            ("/v2/g/p/manifests/-v1", not_a_tag),
            ("/v2/g/p/manifests/../x", not_a_tag),
            ("/v2/g/p/manifests/v1/x", not_a_tag),
            ("/v2/g/p/manifests/sha256:baddigeststring", malformed),
            ("/v2/g/p/blobs/sha256:baddigeststring", malformed),
            ("/v2/g/p/blobs/uploads", malformed),
            ("/v2/g/p/referrers/v1", malformed),
            ("/v2/g/p/blobs/uploads/x", RouteRefusal::Upload),
            ("/v2/g/p/blobs/uploads/..", RouteRefusal::Upload),
        ] {
            assert_eq!(Endpoint::parse(path), Err(expected), "{path}");
        }
        let md5 = format!("/v2/g/p/blobs/md5:{}", "a".repeat(32));
        assert_eq!(Endpoint::parse(&md5), Err(RouteRefusal::Digest(DigestRefusal::Unsupported)));
        let long = format!("/v2/{}/tags/list", "a".repeat(5000));
        assert!(matches!(Endpoint::parse(&long), Err(RouteRefusal::Name(NameRefusal::TooLong(_)))));
        let long = format!("/v2/g/p/manifests/{}", "a".repeat(129));
        assert!(matches!(Endpoint::parse(&long), Err(RouteRefusal::Tag(NameRefusal::TooLong(_)))));
    }

    #[test]
    fn refusals_have_the_codes_of_the_protocol() {
        for (path, code, status) in [
            ("/v2/x", ErrorCode::NameUnknown, 404),
            ("/v2/g%2Fp/tags/list", ErrorCode::NameInvalid, 400),
            ("/v2/G/tags/list", ErrorCode::NameInvalid, 400),
            ("/v2/g/manifests/-", ErrorCode::ManifestInvalid, 400),
            ("/v2/g/blobs/sha256:x", ErrorCode::DigestInvalid, 400),
            ("/v2/g/blobs/uploads/x", ErrorCode::BlobUploadUnknown, 404),
        ] {
            let refusal = Endpoint::parse(path).unwrap_err();
            assert_eq!((refusal.code(), refusal.code().status()), (code, status), "{path}");
        }
    }

    /// Names whose parts are mostly words of the protocol.
    fn names() -> impl Strategy<Value = String> {
        let part = proptest::sample::select(vec![
            "a",
            "blobs",
            "manifests",
            "tags",
            "list",
            "referrers",
            "uploads",
            "v2",
        ]);
        proptest::collection::vec(part, 1..6).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn every_name_and_reference_is_found_again(
            text in names(), reference in "[a-z]{1,6}|list|blobs|uploads|manifests",
        ) {
            let (digest, session) = (digest(), SessionId::parse(SESSION).unwrap());
            let name = name(&text);
            for (path, expected) in [
                (format!("/v2/{text}/blobs/{digest}"), Endpoint::Blob { name: name.clone(), digest: digest.clone() }),
                (format!("/v2/{text}/blobs/uploads/"), Endpoint::Uploads { name: name.clone() }),
                (format!("/v2/{text}/blobs/uploads/{session}"), Endpoint::Upload { name: name.clone(), session }),
                (
                    format!("/v2/{text}/manifests/{reference}"),
                    Endpoint::Manifest { name: name.clone(), reference: tag(&reference) },
                ),
                (format!("/v2/{text}/tags/list"), Endpoint::Tags { name: name.clone() }),
                (
                    format!("/v2/{text}/referrers/{digest}"),
                    Endpoint::Referrers { name: name.clone(), digest: digest.clone() },
                ),
            ] {
                prop_assert_eq!(Endpoint::parse(&path), Ok(expected.clone()), "{}", path);
                prop_assert_eq!(expected.repository(), Some(&name));
            }
        }

        /// Whatever is found has a name that keeps the grammar, and the path written from it means the same.
        #[test]
        fn what_is_found_is_safe(path in r"/v2/([a-zA./%20-]|%2[eEfF]|%25|blobs/|manifests/|uploads/|tags/list){0,12}") {
            if let Ok(endpoint) = Endpoint::parse(&path)
                && let Some(name) = endpoint.repository()
            {
                prop_assert_eq!(RepositoryName::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(!path.to_ascii_lowercase().contains("%2f"), "{}", path);
            }
        }

        #[test]
        fn nothing_panics(path in ".{0,80}") {
            let _ = (Endpoint::parse(&path), Endpoint::parse(&format!("/v2/{path}")));
        }
    }
}
