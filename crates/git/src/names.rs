//! The names git gives to things: object ids, object formats, refs, and the protocol version a client asked for.
//!
//! Every one of these arrives from outside. They are parsed here, once, into types that cannot hold anything
//! else, so that no later code has to ask whether a string may begin with a dash or hold a newline.

use std::fmt;

use crate::Error;

/// The hash function that names the objects of a repository. It is chosen at creation and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectFormat {
    /// SHA-1: 40 hexadecimal digits. What nearly every client expects.
    Sha1,
    /// SHA-256: 64 hexadecimal digits.
    Sha256,
}

impl ObjectFormat {
    /// Returns git's own name for the format.
    pub fn name(self) -> &'static str {
        match self {
            ObjectFormat::Sha1 => "sha1",
            ObjectFormat::Sha256 => "sha256",
        }
    }

    /// Returns the format with that name, if there is one.
    pub fn from_name(name: &str) -> Option<ObjectFormat> {
        [ObjectFormat::Sha1, ObjectFormat::Sha256].into_iter().find(|format| format.name() == name)
    }

    /// Returns how many hexadecimal digits an object id has.
    pub fn hex_length(self) -> usize {
        match self {
            ObjectFormat::Sha1 => 40,
            ObjectFormat::Sha256 => 64,
        }
    }
}

/// The id of an object: 40 or 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(Box<str>);

impl ObjectId {
    /// Returns the id written as `text`, or nothing when it is not 40 or 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<ObjectId> {
        let right_length = matches!(text.len(), 40 | 64);
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (right_length && digits).then(|| ObjectId(text.into()))
    }

    /// Returns the id that stands for "no object": the old side of a creation, the new side of a deletion.
    pub fn zero(format: ObjectFormat) -> ObjectId {
        ObjectId("0".repeat(format.hex_length()).into())
    }

    /// Says whether this is the id that stands for "no object".
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }

    /// Returns the format this id belongs to.
    pub fn format(&self) -> ObjectFormat {
        if self.0.len() == 40 { ObjectFormat::Sha1 } else { ObjectFormat::Sha256 }
    }

    /// Returns the hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({})", self.0)
    }
}

/// The full name of a ref that a push may write: a branch, a tag or a note.
///
/// The grammar is that of `git check-ref-format`, narrowed to `refs/heads/`, `refs/tags/` and `refs/notes/`, to
/// valid UTF-8, and to no component that begins with a dash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(Box<str>);

/// Why a ref name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefNameError {
    /// The name breaks the grammar of `git check-ref-format`, or ours.
    #[error("not a valid ref name")]
    Malformed,
    /// The name is well formed, but lies outside branches, tags and notes.
    #[error("only branches, tags and notes can be pushed")]
    Forbidden,
}

/// The longest ref name accepted, in bytes. Each component becomes a file name, which the file system ends at 255;
/// the whole becomes part of a path.
const MAX_REF_NAME_BYTES: usize = 1024;

const BRANCH_PREFIX: &str = "refs/heads/";
const TAG_PREFIX: &str = "refs/tags/";
const NOTE_PREFIX: &str = "refs/notes/";

impl RefName {
    /// Parses the full name of a ref that may be written.
    pub fn parse(name: &str) -> Result<RefName, RefNameError> {
        if !is_well_formed(name) {
            return Err(RefNameError::Malformed);
        }
        if ![BRANCH_PREFIX, TAG_PREFIX, NOTE_PREFIX].iter().any(|prefix| name.starts_with(prefix)) {
            return Err(RefNameError::Forbidden);
        }
        Ok(RefName(name.into()))
    }

    /// Returns the ref of the branch with that short name.
    ///
    /// `HEAD` is refused: it is a legal branch in git's grammar and a trap in everyday use.
    pub fn branch_named(short: &str) -> Result<RefName, RefNameError> {
        if short == "HEAD" || short.starts_with("refs/") {
            return Err(RefNameError::Malformed);
        }
        RefName::parse(&format!("{BRANCH_PREFIX}{short}"))
    }

    /// Returns the full name, beginning with `refs/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the short name when this is a branch.
    pub fn branch(&self) -> Option<&str> {
        self.0.strip_prefix(BRANCH_PREFIX)
    }

    /// Returns the short name when this is a tag.
    pub fn tag(&self) -> Option<&str> {
        self.0.strip_prefix(TAG_PREFIX)
    }

    /// Returns the short name when this is a ref for notes.
    pub fn note(&self) -> Option<&str> {
        self.0.strip_prefix(NOTE_PREFIX)
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefName({})", self.0)
    }
}

/// The rules of `git check-ref-format`, and two of our own: a bounded length, and no leading dash in any component,
/// so that no part of a name can ever be taken for an option.
fn is_well_formed(name: &str) -> bool {
    if name.is_empty() || name.len() > MAX_REF_NAME_BYTES || name.ends_with('.') {
        return false;
    }
    if name.contains("..") || name.contains("@{") {
        return false;
    }
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.contains(forbidden) {
        return false;
    }
    name.split('/').all(|component| {
        !component.is_empty()
            && component.len() <= 250
            && !component.starts_with(['.', '-'])
            && !component.ends_with(".lock")
    })
}

/// The value of the `Git-Protocol` request header, known to be safe to hand to a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitProtocol(Box<str>);

/// The longest protocol value accepted, in bytes; clients send `version=2`.
const MAX_PROTOCOL_BYTES: usize = 256;

impl GitProtocol {
    /// Returns the value if it is a colon-separated list of `key=value` pairs of ASCII letters and digits.
    /// Anything else must be ignored, as if the header had not been sent.
    pub fn parse(value: &str) -> Option<GitProtocol> {
        let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let pair = |text: &str| text.split_once('=').is_some_and(|(key, value)| word(key) && word(value));
        (value.len() <= MAX_PROTOCOL_BYTES && value.split(':').all(pair)).then(|| GitProtocol(value.into()))
    }

    /// Returns the highest known protocol version asked for: 0, 1 or 2.
    pub fn version(&self) -> u8 {
        let versions = self.0.split(':').filter_map(|pair| pair.strip_prefix("version="));
        versions.filter_map(|v| v.parse().ok()).filter(|v| *v <= 2).max().unwrap_or(0)
    }

    /// Returns the value as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which half of the protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// The server sends objects: clone, fetch, ls-remote.
    UploadPack,
    /// The server receives objects: push.
    ReceivePack,
}

impl Service {
    /// Returns the name used in URLs and content types: `git-upload-pack` or `git-receive-pack`.
    pub fn name(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }

    /// Returns the service with that name, if there is one.
    pub fn from_name(name: &str) -> Option<Service> {
        [Service::UploadPack, Service::ReceivePack].into_iter().find(|service| service.name() == name)
    }

    /// Returns the subcommand of `git` that speaks this service.
    pub(crate) fn subcommand(self) -> &'static str {
        match self {
            Service::UploadPack => "upload-pack",
            Service::ReceivePack => "receive-pack",
        }
    }
}

impl From<RefNameError> for Error {
    fn from(error: RefNameError) -> Error {
        Error::BadRequest(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ref_names_are_refused() {
        for name in [
            "",
            "HEAD",
            "refs",
            "refs/heads/",
            "refs/heads//x",
            "refs/heads/.x",
            "refs/heads/a/.b",
            "refs/heads/a..b",
            "refs/heads/a.lock",
            "refs/heads/a.lock/b",
            "refs/heads/a.",
            "refs/heads/a b",
            "refs/heads/a~1",
            "refs/heads/a^",
            "refs/heads/a:b",
            "refs/heads/a?",
            "refs/heads/a*",
            "refs/heads/a[b",
            "refs/heads/a\\b",
            "refs/heads/a@{1}",
            "refs/heads/a\nb",
            "refs/heads/a\0b",
            "refs/heads/a\x7f",
            "refs/heads/--upload-pack=x",
            "refs/heads/a/-b",
            "/refs/heads/a",
            "refs/heads/a/",
        ] {
            assert!(RefName::parse(name).is_err(), "{name:?} was accepted");
        }
        assert!(RefName::parse(&format!("refs/heads/{}", "x".repeat(251))).is_err());
        assert_eq!(RefName::parse("refs/merge-requests/1/head"), Err(RefNameError::Forbidden));
        assert_eq!(RefName::parse("refs/replace/abc"), Err(RefNameError::Forbidden));
    }

    #[test]
    fn ordinary_ref_names_are_accepted() {
        for name in [
            "refs/heads/main",
            "refs/heads/feature/a-b_c",
            "refs/tags/v1.0",
            "refs/notes/commits",
            "refs/heads/é",
            "refs/heads/@",
        ] {
            assert!(RefName::parse(name).is_ok(), "{name:?} was refused");
        }
        assert_eq!(RefName::branch_named("a/b").unwrap().branch(), Some("a/b"));
        assert!(RefName::branch_named("HEAD").is_err());
        assert!(RefName::branch_named("-x").is_err());
    }

    #[test]
    fn the_protocol_header_is_taken_only_when_it_is_plain() {
        assert_eq!(GitProtocol::parse("version=2").unwrap().version(), 2);
        assert_eq!(GitProtocol::parse("version=1:a=b").unwrap().version(), 1);
        assert_eq!(GitProtocol::parse("a=b").unwrap().version(), 0);
        for value in ["", "version", "version=", "version=2:", "version=2\n", "version=2 ", "x=$(id)", "a==b"]
        {
            assert_eq!(GitProtocol::parse(value), None, "{value:?} was accepted");
        }
    }

    #[test]
    fn object_ids_are_lower_case_and_whole() {
        assert!(ObjectId::parse(&"a".repeat(40)).is_some());
        assert!(ObjectId::parse(&"a".repeat(64)).is_some());
        assert!(ObjectId::parse(&"A".repeat(40)).is_none());
        assert!(ObjectId::parse(&"a".repeat(41)).is_none());
        assert!(ObjectId::zero(ObjectFormat::Sha256).is_zero());
    }
}
