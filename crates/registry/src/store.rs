//! Where blobs are: content that is named by its digest, in a folder on disk or in a bucket of an S3-compatible service.
//!
//! A blob has one name, which says what its bytes are, so it never changes: it is there or not. Nothing here knows which
//! repository has a blob, or whether any has. Blobs come in through [`Uploads`](crate::Uploads) alone, which checks that
//! the name is true.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::local::LocalStore;
use crate::s3::{S3Settings, S3Store};
use crate::{Digest, Error};

/// The bytes of a blob, in pieces. It ends with an error if the bytes end too early.
pub type BlobStream = BoxStream<'static, io::Result<Bytes>>;

/// A blob that is being read.
pub struct BlobRead {
    /// How many bytes the blob has.
    pub size: u64,
    /// Which of them are sent.
    pub range: Range<u64>,
    /// The bytes of the range.
    pub bytes: BlobStream,
}

impl fmt::Debug for BlobRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobRead")
            .field("size", &self.size)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// A blob in the list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    /// The blob.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// When it was stored, in microseconds since 1970-01-01 UTC.
    pub modified: i64,
}

/// The place for blobs. Cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    pub(crate) place: Place,
}

#[derive(Clone)]
pub(crate) enum Place {
    Local(Arc<LocalStore>),
    S3(Arc<S3Store>),
}

impl BlobStore {
    /// Returns the store in a folder, which is made with mode 0700 when it is missing. Blocks.
    ///
    /// # Errors
    /// `Internal` or `DiskFull` when the folders cannot be made.
    pub fn local(folder: &Path) -> Result<BlobStore, Error> {
        Ok(BlobStore { place: Place::Local(Arc::new(LocalStore::open(folder)?)) })
    }

    /// Returns the store in a bucket. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// `Unusable` when the settings contradict each other or are not complete.
    pub fn s3(settings: &S3Settings) -> Result<BlobStore, Error> {
        Ok(BlobStore { place: Place::S3(Arc::new(S3Store::open(settings)?)) })
    }

    /// Returns how many bytes a blob has, or `None` if it is not stored.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match &self.place {
            Place::Local(store) => store.size(digest).await,
            Place::S3(store) => store.size(digest).await,
        }
    }

    /// Reads a range of a blob, or all of it. `recorded` is how many bytes the blob had when it was stored, as far as the
    /// caller knows it.
    ///
    /// Some hundred kilobytes are in memory at a time, however large the blob and however slow the reader is. A blob
    /// that is deleted meanwhile is read to its end where it is a file; in a bucket the stream may break off.
    ///
    /// # Errors
    /// `BlobMissing`, `BlobDamaged` when it has not as many bytes as recorded, `RangeOutside`, `Unavailable`, `Internal`.
    /// What goes wrong later is an error in the stream.
    pub async fn read(
        &self,
        digest: &Digest,
        recorded: Option<u64>,
        range: Option<Range<u64>>,
    ) -> Result<BlobRead, Error> {
        match &self.place {
            Place::Local(store) => store.read(digest, recorded, range).await,
            Place::S3(store) => store.read(digest, recorded, range).await,
        }
    }

    /// Deletes a blob. That it is not there is no error.
    ///
    /// The caller makes sure that nobody has begun to rely on the blob since it was found to be without use: an upload
    /// of the same content ends as soon as it sees that the blob is there.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    pub async fn delete(&self, digest: &Digest) -> Result<(), Error> {
        match &self.place {
            Place::Local(store) => store.delete(digest).await,
            Place::S3(store) => store.delete(digest).await,
        }
    }

    /// Returns every blob, in no particular order. One that comes or goes meanwhile may be in it or not.
    pub fn list(&self) -> BoxStream<'static, Result<BlobEntry, Error>> {
        match &self.place {
            Place::Local(store) => store.list().boxed(),
            Place::S3(store) => store.list().boxed(),
        }
    }

    /// Returns how many bytes of room there are, where that can be known.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn free_bytes(&self) -> Result<Option<u64>, Error> {
        match &self.place {
            Place::Local(store) => store.free_bytes().await.map(Some),
            Place::S3(_) => Ok(None),
        }
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Local(store) => f.debug_tuple("BlobStore").field(&store.root()).finish(),
            Place::S3(store) => f.debug_tuple("BlobStore").field(&store.bucket()).finish(),
        }
    }
}

/// Checks the size of a blob against the one on record, and returns the range that is to be read.
pub(crate) fn check_range(
    digest: &Digest,
    size: u64,
    recorded: Option<u64>,
    range: Option<Range<u64>>,
) -> Result<Range<u64>, Error> {
    if let Some(recorded) = recorded.filter(|recorded| *recorded != size) {
        return Err(Error::BlobDamaged { digest: digest.clone(), recorded, actual: size });
    }
    let range = range.unwrap_or(0..size);
    if range.start > range.end || range.end > size { Err(Error::RangeOutside { size }) } else { Ok(range) }
}
