//! Objects that are made in this process, and how they come onto the disk: one file each, as `git hash-object -w` would
//! write it.
//!
//! Each is on the disk, with its name, before anything refers to it. One that is there already is replaced by itself,
//! which makes it young again: what nothing has reached for long is deleted by housekeeping, and must not be while a
//! branch is about to reach it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use gix_object::Kind;
use gix_zlib::Compression;
use gix_zlib::stream::deflate;

use crate::{Error, ObjectFormat, ObjectId};

/// An object that is not on the disk yet.
#[derive(Clone, Debug)]
pub(crate) struct NewObject {
    pub(crate) kind: Kind,
    pub(crate) id: ObjectId,
    pub(crate) content: Vec<u8>,
}

impl NewObject {
    /// Names an object by its content.
    pub(crate) fn new(format: ObjectFormat, kind: Kind, content: Vec<u8>) -> Result<NewObject, Error> {
        let hash = match format {
            ObjectFormat::Sha1 => gix_hash::Kind::Sha1,
            ObjectFormat::Sha256 => gix_hash::Kind::Sha256,
        };
        // SHA-1 is computed so that a known attack on it is seen: then there is no id.
        let id = gix_object::compute_hash(hash, kind, &content)
            .ok()
            .and_then(|id| ObjectId::parse(&id.to_string()))
            .ok_or_else(|| Error::BadRequest("the content is an attack on SHA-1".into()))?;
        Ok(NewObject { kind, id, content })
    }
}

/// Writes objects. Blocks.
pub(crate) fn write(repository: &Path, objects: &[NewObject]) -> Result<(), Error> {
    let doing = || Error::io("writing objects");
    let folder = repository.join("objects");
    let mut changed = BTreeSet::new();
    for object in objects {
        let (prefix, name) = object.id.as_str().split_at(2);
        let place = folder.join(prefix);
        if let Err(error) = fs::DirBuilder::new().mode(0o700).create(&place) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(doing()(error));
            }
        } else {
            changed.insert(folder.clone());
        }
        write_one(&place, name, object).map_err(doing())?;
        changed.insert(place);
    }
    // A name is on the disk once its folder is.
    changed.iter().try_for_each(|folder| File::open(folder)?.sync_all()).map_err(doing())
}

fn write_one(folder: &Path, name: &str, object: &NewObject) -> io::Result<()> {
    // Housekeeping removes files with this beginning when they are old.
    let mut fresh = tempfile::Builder::new();
    let fresh =
        fresh.prefix("tmp_obj_").permissions(fs::Permissions::from_mode(0o444)).tempfile_in(folder)?;
    let mut packed = deflate::Write::new(io::BufWriter::new(fresh), Compression::BEST_SPEED);
    packed.write_all(&gix_object::encode::loose_header(object.kind, object.content.len() as u64))?;
    packed.write_all(&object.content)?;
    packed.flush()?;
    let fresh = packed.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
    fresh.as_file().sync_all()?;
    fresh.persist(folder.join(name)).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn git_reads_what_is_written() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let folder = tempfile::tempdir().unwrap();
            let git = |arguments: &[&str]| {
                let output = Command::new("git").args(arguments).current_dir(folder.path()).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                output.stdout
            };
            git(&["init", "-q", "--bare", &format!("--object-format={}", format.name())]);
            let contents = [Vec::new(), b"hello\n".to_vec(), vec![7; 300_000], (0..=255).collect()];
            let objects: Vec<_> = contents
                .iter()
                .map(|content| NewObject::new(format, Kind::Blob, content.clone()).unwrap())
                .collect();
            for _ in 0..2 {
                write(folder.path(), &objects).unwrap();
            }
            for object in &objects {
                assert_eq!(git(&["cat-file", "blob", object.id.as_str()]), object.content);
            }
            git(&["fsck", "--strict"]);
            let left = String::from_utf8(git(&["count-objects", "-v"])).unwrap();
            assert!(left.contains("count: 4\n") && left.contains("garbage: 0"), "{left}");
        }
    }
}
