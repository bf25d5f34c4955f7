//! The engine of the container registry: the names and the protocol of OCI distribution, and later the content.
//!
//! It reads manifests ([`Manifest`]), and has the grammar of the protocol as pure functions: names, digests, paths,
//! ranges, scopes, challenges and errors. It will hold what stands behind them. It will never know a user, a token, a
//! permission, an HTTP type or a database: whoever calls it has decided that the request may happen.
//!
//! Start reading at [`names`]. The grammar is that of the OCI Distribution Specification and of the OCI Image
//! Specification.

pub mod digest;
pub mod manifest;
pub mod names;
mod oci_error;
mod range;
mod route;
mod scope;
mod session;

pub use digest::{Algorithm, Digest, DigestRefusal, Hasher};
pub use manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest, ManifestError, ManifestType, Requirement};
pub use names::{NameRefusal, RepositoryName, Tag};
pub use oci_error::{ErrorCode, ErrorEntry, error_body};
pub use range::{Download, PieceRefusal, piece_length, upload_range};
pub use route::{Endpoint, Reference, RouteRefusal};
pub use scope::{
    Challenge, ChallengeError, MAX_SCOPE_BYTES, MAX_SCOPE_ENTRIES, ResourceType, ScopeAction, ScopeEntry,
    ScopeRefusal,
};
pub use session::SessionId;
