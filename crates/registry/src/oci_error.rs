//! The error codes of the OCI distribution protocol, and the body of an answer that refuses.
//!
//! The codes are those of the OCI Distribution Specification, section "Error Codes". Where that leaves the status open,
//! the one that most registries answer is taken.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A code of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The repository does not link the blob.
    BlobUnknown,
    /// The upload session cannot go on as asked. An answer about the order of pieces has status 416 instead.
    BlobUploadInvalid,
    /// There is no such upload session in the repository.
    BlobUploadUnknown,
    /// A digest is missing, malformed, of an algorithm that is not supported, or not that of the content.
    DigestInvalid,
    /// A manifest names content that the repository does not have.
    ManifestBlobUnknown,
    /// A manifest, or the tag it is to have, breaks the rules.
    ManifestInvalid,
    /// The repository has no manifest under that tag or digest.
    ManifestUnknown,
    /// The name of a repository breaks the grammar.
    NameInvalid,
    /// There is no such repository, as far as the caller may know.
    NameUnknown,
    /// A length is not the announced one. An answer about content that is too large has status 413 instead.
    SizeInvalid,
    /// The request needs a token, or one that permits more.
    Unauthorized,
    /// A rule forbids what the token permits.
    Denied,
    /// The operation or a parameter is not offered. An answer about a parameter has status 400 instead.
    Unsupported,
    /// The caller asks too often, or has too much open.
    TooManyRequests,
    /// There is no registry here. Outside the list of the specification; the token endpoint answers it.
    Unavailable,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [ErrorCode; 15] = [
        ErrorCode::BlobUnknown,
        ErrorCode::BlobUploadInvalid,
        ErrorCode::BlobUploadUnknown,
        ErrorCode::DigestInvalid,
        ErrorCode::ManifestBlobUnknown,
        ErrorCode::ManifestInvalid,
        ErrorCode::ManifestUnknown,
        ErrorCode::NameInvalid,
        ErrorCode::NameUnknown,
        ErrorCode::SizeInvalid,
        ErrorCode::Unauthorized,
        ErrorCode::Denied,
        ErrorCode::Unsupported,
        ErrorCode::TooManyRequests,
        ErrorCode::Unavailable,
    ];

    /// Returns the code as it stands in a body.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BlobUnknown => "BLOB_UNKNOWN",
            ErrorCode::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            ErrorCode::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            ErrorCode::DigestInvalid => "DIGEST_INVALID",
            ErrorCode::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            ErrorCode::ManifestInvalid => "MANIFEST_INVALID",
            ErrorCode::ManifestUnknown => "MANIFEST_UNKNOWN",
            ErrorCode::NameInvalid => "NAME_INVALID",
            ErrorCode::NameUnknown => "NAME_UNKNOWN",
            ErrorCode::SizeInvalid => "SIZE_INVALID",
            ErrorCode::Unauthorized => "UNAUTHORIZED",
            ErrorCode::Denied => "DENIED",
            ErrorCode::Unsupported => "UNSUPPORTED",
            ErrorCode::TooManyRequests => "TOOMANYREQUESTS",
            ErrorCode::Unavailable => "UNAVAILABLE",
        }
    }

    /// Returns the status of an HTTP answer with this code, where the occasion names no other.
    pub fn status(self) -> u16 {
        match self {
            ErrorCode::BlobUploadInvalid
            | ErrorCode::DigestInvalid
            | ErrorCode::ManifestBlobUnknown
            | ErrorCode::ManifestInvalid
            | ErrorCode::NameInvalid
            | ErrorCode::SizeInvalid => 400,
            ErrorCode::Unauthorized => 401,
            ErrorCode::Denied => 403,
            ErrorCode::BlobUnknown
            | ErrorCode::BlobUploadUnknown
            | ErrorCode::ManifestUnknown
            | ErrorCode::NameUnknown
            | ErrorCode::Unavailable => 404,
            ErrorCode::Unsupported => 405,
            ErrorCode::TooManyRequests => 429,
        }
    }

    /// Returns what is said where there is nothing more exact to say.
    pub fn message(self) -> &'static str {
        match self {
            ErrorCode::BlobUnknown => "blob unknown to the repository",
            ErrorCode::BlobUploadInvalid => "the upload cannot go on this way",
            ErrorCode::BlobUploadUnknown => "upload unknown to the repository",
            ErrorCode::DigestInvalid => "the digest is not valid or not that of the content",
            ErrorCode::ManifestBlobUnknown => "the manifest names content that is unknown to the repository",
            ErrorCode::ManifestInvalid => "the manifest is not valid",
            ErrorCode::ManifestUnknown => "manifest unknown to the repository",
            ErrorCode::NameInvalid => "the name of the repository is not valid",
            ErrorCode::NameUnknown => "repository unknown to the registry",
            ErrorCode::SizeInvalid => "the length is not the announced one",
            ErrorCode::Unauthorized => "authentication required",
            ErrorCode::Denied => "access forbidden",
            ErrorCode::Unsupported => "the operation is not supported",
            ErrorCode::TooManyRequests => "too many requests",
            ErrorCode::Unavailable => "registry not enabled",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One error in the body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorEntry {
    /// What kind of error it is, for programs.
    pub code: ErrorCode,
    /// What was wrong and what would be right, for people.
    pub message: Cow<'static, str>,
    /// Anything else that a program can use, such as the digest that is missing.
    pub detail: Option<Value>,
}

impl ErrorEntry {
    /// Returns an error that says `message`, or what is usually said when it is empty.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> ErrorEntry {
        let message = message.into();
        let message = if message.is_empty() { Cow::Borrowed(code.message()) } else { message };
        ErrorEntry { code, message, detail: None }
    }

    /// Returns the error with something that a program can use.
    pub fn with_detail(self, detail: impl Into<Value>) -> ErrorEntry {
        ErrorEntry { detail: Some(detail.into()), ..self }
    }
}

impl From<ErrorCode> for ErrorEntry {
    fn from(code: ErrorCode) -> ErrorEntry {
        ErrorEntry::new(code, "")
    }
}

/// Returns the body of an answer with these errors, as JSON: `{"errors":[{"code":…,"message":…,"detail":…}]}`.
pub fn error_body(errors: &[ErrorEntry]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        errors: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        code: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a Value>,
    }
    let errors = errors.iter().map(|error| Entry {
        code: error.code.as_str(),
        message: &error.message,
        detail: error.detail.as_ref(),
    });
    serde_json::to_vec(&Body { errors: errors.collect() })
        .expect("strings and values of JSON can always be written as JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_upper_case_letters_and_underscores() {
        let mut seen = HashSet::new();
        for code in ErrorCode::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
            assert!(seen.insert(code.as_str()), "{code} stands for two errors");
            assert!((400..500).contains(&code.status()), "{code}");
            assert!(!code.message().is_empty());
        }
    }

    #[test]
    fn statuses_are_those_that_clients_expect() {
        for (code, status) in [
            (ErrorCode::BlobUnknown, 404),
            (ErrorCode::BlobUploadInvalid, 400),
            (ErrorCode::ManifestBlobUnknown, 400),
            (ErrorCode::Unauthorized, 401),
            (ErrorCode::Denied, 403),
            (ErrorCode::Unsupported, 405),
            (ErrorCode::TooManyRequests, 429),
        ] {
            assert_eq!(code.status(), status, "{code}");
        }
    }

    #[test]
    fn the_body_has_the_shape_of_the_specification() {
        let body = error_body(&[
            ErrorCode::ManifestBlobUnknown.into(),
            ErrorEntry::new(ErrorCode::DigestInvalid, "a \"quoted\" message")
                .with_detail(json!({"digest": "x"})),
        ]);
        let expected = json!({"errors": [
            {
                "code": "MANIFEST_BLOB_UNKNOWN",
                "message": "the manifest names content that is unknown to the repository",
            },
            {"code": "DIGEST_INVALID", "message": "a \"quoted\" message", "detail": {"digest": "x"}},
        ]});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        assert_eq!(error_body(&[]), br#"{"errors":[]}"#);
    }
}
