//! The engine of the container registry: the names, the content and the protocol of OCI distribution.
//!
//! It stores blobs in a folder or in an S3-compatible bucket ([`BlobStore`]), takes uploads in ([`Uploads`]), reads
//! manifests ([`Manifest`]), and has the grammar of the protocol as pure functions: paths, ranges, scopes, challenges and
//! errors. It will never know a user, a token, a permission, an HTTP type or a database: whoever calls it has decided
//! that the request may happen, and keeps what links repositories, tags, manifests and upload sessions to their content.
//!
//! Start reading at [`names`] for what things are called, then at `uploads.rs` for how content comes in and `local.rs`
//! for where it stays. The grammar is that of the OCI Distribution Specification and of the OCI Image Specification.

pub mod digest;
mod error;
mod local;
pub mod manifest;
pub mod names;
mod oci_error;
mod range;
mod route;
mod s3;
mod scope;
mod session;
mod store;
mod uploads;

pub use digest::{Algorithm, Digest, DigestRefusal, Hasher};
pub use error::{BoxError, Error};
pub use manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest, ManifestError, ManifestType, Requirement};
pub use names::{MAX_REPOSITORY_NAME_BYTES, NameRefusal, RepositoryName, Tag};
pub use oci_error::{ErrorCode, ErrorEntry, error_body};
pub use range::{Download, PieceRefusal, piece_length, upload_range};
pub use route::{Endpoint, Reference, RouteRefusal};
pub use s3::S3Settings;
pub use scope::{
    Challenge, ChallengeError, MAX_SCOPE_BYTES, MAX_SCOPE_ENTRIES, ResourceType, ScopeAction, ScopeEntry,
    ScopeRefusal,
};
pub use session::SessionId;
pub use store::{BlobEntry, BlobRead, BlobStore, BlobStream};
pub use uploads::{Progress, Uploads};
