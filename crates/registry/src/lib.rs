//! The engine of the container registry: the names of the OCI distribution protocol, and later the content they name.
//!
//! Now it holds the three kinds of name that every request of the protocol is made of: [`RepositoryName`], [`Tag`] and
//! [`Digest`]. It will hold what stands behind them: blobs, manifests, tags and uploads on disk, found through a link
//! of their repository. It will never know a user, a token or a permission: `portcullis-app` decides who may start it.
//!
//! Start reading at [`names`]. The grammar is that of the OCI Distribution Specification, section "Pulling manifests",
//! and of the OCI Image Specification, section "Digests".

pub mod digest;
pub mod names;

pub use digest::{Algorithm, Digest, DigestRefusal};
pub use names::{NameRefusal, RepositoryName, Tag};
