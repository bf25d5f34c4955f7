//! Pointers of Git LFS: small files that stand for large ones, which are kept elsewhere.
//!
//! They are looked for in what a push has just brought, by reading its pack inside the process, and in all that the refs of
//! a repository reach, which Git lists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use gix_object::Kind;
use gix_pack::Bundle;
use gix_pack::cache::Never;
use gix_pack::data::decode::header::ResolvedBase;
use gix_pack::data::entry::Header;
use gix_zlib::Inflate;

use crate::ancestry::only_bundle;
use crate::disk::blocking;
use crate::objects::Objects;
use crate::question::Question;
use crate::{Engine, Error, ObjectFormat, ObjectId};

/// The longest pointer, in bytes (Git LFS specification, "The Pointer").
pub const MAX_POINTER_BYTES: u64 = 1024;

/// The longest difference from another object that is looked at, in bytes: one that makes a pointer is shorter.
const MAX_DELTA_BYTES: u64 = 4 * MAX_POINTER_BYTES;

/// How many small objects are read between two looks at what Git lists.
const BATCH: usize = 4096;

/// How long listing everything that refs reach may take.
const LIST_LIMIT: Duration = Duration::from_secs(3600);

/// What a pointer begins with.
const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

/// A small file that stands for a large one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LfsPointer {
    /// The SHA-256 of the large file, in 64 small hexadecimal digits.
    pub oid: String,
    /// How many bytes it has.
    pub size: u64,
}

impl LfsPointer {
    /// Returns the pointer that a file is, if it is one.
    pub fn parse(content: &[u8]) -> Option<LfsPointer> {
        if content.len() as u64 > MAX_POINTER_BYTES {
            return None;
        }
        let text = str::from_utf8(content).ok()?;
        let mut lines = text.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let (mut oid, mut size) = (None, None);
        for line in lines {
            let (key, value) = line.split_once(' ')?;
            match key {
                "oid" if oid.is_none() => oid = Some(value.strip_prefix("sha256:")?),
                "size" if size.is_none() => size = value.parse::<u64>().ok(),
                // Extensions say how the content was changed before it was stored.
                key if key.starts_with("ext-") => {}
                _ => return None,
            }
        }
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let oid = oid.filter(|oid| oid.len() == 64 && oid.bytes().all(digit))?;
        Some(LfsPointer { oid: oid.to_owned(), size: size? })
    }
}

/// Returns the pointers in the pack that a push has brought, each once. What cannot be read there is none. Blocks.
pub(crate) fn arrived(quarantine: &Path, format: ObjectFormat) -> Vec<LfsPointer> {
    let Some(bundle) = only_bundle(quarantine, format) else { return Vec::new() };
    let (mut inflate, mut bytes, mut found) = (Inflate::default(), Vec::new(), BTreeSet::new());
    for index in 0..bundle.index.num_objects() {
        if is_small_blob(&bundle, index, &mut inflate)
            && let Ok((object, _)) = bundle.get_object_by_index(index, &mut bytes, &mut inflate, &mut Never)
        {
            found.extend(LfsPointer::parse(object.data));
        }
    }
    found.into_iter().collect()
}

/// Says whether an object could be a pointer, without unpacking more of it than its beginning.
fn is_small_blob(bundle: &Bundle, index: u32, inflate: &mut Inflate) -> bool {
    let Ok(entry) = bundle.pack.entry(bundle.index.pack_offset_at_index(index)) else { return false };
    match entry.header {
        Header::Blob => entry.decompressed_size <= MAX_POINTER_BYTES,
        Header::OfsDelta { .. } | Header::RefDelta { .. } if entry.decompressed_size <= MAX_DELTA_BYTES => {
            let base = |id: &gix_hash::oid| {
                let index = bundle.index.lookup(id);
                let entry =
                    index.and_then(|index| bundle.pack.entry(bundle.index.pack_offset_at_index(index)).ok());
                Ok(entry.map(ResolvedBase::InPack))
            };
            let becomes = bundle.pack.decode_header(entry, inflate, &base);
            becomes
                .is_ok_and(|becomes| becomes.kind == Kind::Blob && becomes.object_size <= MAX_POINTER_BYTES)
        }
        _ => false,
    }
}

impl Engine {
    /// Tells of every pointer that any ref of a repository reaches. One may be told of more than once. However many there
    /// are, some hundred kilobytes are in memory at a time.
    ///
    /// # Errors
    /// When not everything could be looked at: then nothing may be concluded from what was not told of.
    pub async fn reachable_lfs_pointers(
        &self,
        id: i64,
        mut tell: impl FnMut(LfsPointer) + Send,
    ) -> Result<(), Error> {
        let repository = self.existing(id)?;
        let format = self.object_format(id).await?;
        let options = ["--all", "--objects", "--no-object-names", "--filter-provided-objects"];
        let question = Question::new("rev-list", &options)
            .option("--filter", "object:type=blob")
            .option("--filter", format!("blob:limit={}", MAX_POINTER_BYTES + 1));
        let mut said = self.ask_at_length(id, question, LIST_LIMIT).await?.body;
        let (mut line, mut ids) = (Vec::new(), Vec::new());
        while let Some(chunk) = said.next().await {
            for byte in chunk.map_err(Error::io("listing what refs reach"))? {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let id = str::from_utf8(&line).ok().and_then(ObjectId::parse);
                ids.push(id.ok_or_else(|| Error::internal("git listed what is no object"))?);
                line.clear();
                if ids.len() == BATCH {
                    for pointer in read(repository.clone(), format, std::mem::take(&mut ids)).await? {
                        tell(pointer);
                    }
                }
            }
        }
        if !said.ended_well() || !line.is_empty() {
            return Err(Error::internal("git could not list what the refs of a repository reach"));
        }
        read(repository, format, ids).await?.into_iter().for_each(tell);
        Ok(())
    }
}

/// Returns which of these objects are pointers. It takes no place of its own: whoever lists them has one.
async fn read(
    repository: PathBuf,
    format: ObjectFormat,
    ids: Vec<ObjectId>,
) -> Result<Vec<LfsPointer>, Error> {
    blocking(move || {
        let objects = Objects::open(repository, format)?;
        let mut found = Vec::new();
        for id in ids {
            let content = objects.content(&id, Kind::Blob, MAX_POINTER_BYTES)?;
            let content = content.ok_or_else(|| Error::internal(format!("the blob {id} is missing")))?;
            found.extend(LfsPointer::parse(&content));
        }
        Ok(found)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_what_its_specification_says() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let plain = format!("{VERSION}\noid sha256:{oid}\nsize 12345\n");
        let pointer = LfsPointer { oid: oid.to_owned(), size: 12345 };
        assert_eq!(LfsPointer::parse(plain.as_bytes()), Some(pointer.clone()));
        let extended = format!("{VERSION}\next-0-foo sha256:{oid}\noid sha256:{oid}\nsize 12345\n");
        assert_eq!(LfsPointer::parse(extended.as_bytes()), Some(pointer));
        for wrong in [
            String::new(),
            format!("oid sha256:{oid}\nsize 12345\n"),
            format!("{VERSION}0\noid sha256:{oid}\nsize 12345\n"),
            format!("{VERSION}\noid sha256:{}\nsize 1\n", oid.to_uppercase()),
            format!("{VERSION}\noid sha256:{oid}0\nsize 1\n"),
            format!("{VERSION}\noid md5:{oid}\nsize 1\n"),
            format!("{VERSION}\noid sha256:{oid}\nsize -1\n"),
            format!("{VERSION}\noid sha256:{oid}\n"),
            format!("{VERSION}\nsize 1\n"),
            format!("{VERSION}\noid sha256:{oid}\nsize 1\n\nAnd some words about pointers.\n"),
            format!("{plain}ext-1-x {}\n", "x".repeat(1024)),
        ] {
            assert_eq!(LfsPointer::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(LfsPointer::parse(b"version \xff"), None);
    }
}
