//! Reads the refs of a repository without starting a process.
//!
//! A ref is a small file below `refs`, or a line of `packed-refs`; the file wins. Git packs refs by writing the line
//! before it removes the file, so the files must be read first: then a ref that is being packed is seen in at least
//! one of the two places.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::{Error, ObjectId, RefName};

/// What every ref begins with.
const ALL: &str = "refs/";

/// What the refs begin with that a push may write.
const WRITABLE: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/notes/"];

/// Returns all refs below one prefix, such as `refs/heads/`, by full name. Blocks. Refs that are damaged, symbolic, or
/// not writable by a push are passed over.
pub(crate) fn read(repository: &Path, prefix: &str) -> Result<BTreeMap<RefName, ObjectId>, Error> {
    let doing = || Error::io("reading the refs of a repository");
    let mut refs = BTreeMap::new();
    // Refs of the server itself, as those of merge requests, may be many, and none of them would be kept.
    let prefixes: &[&str] = if prefix == ALL { &WRITABLE } else { &[prefix] };
    let mut folders: Vec<_> =
        prefixes.iter().map(|prefix| (repository.join(prefix), (*prefix).to_owned())).collect();
    while let Some((folder, prefix)) = folders.pop() {
        for (path, name, is_folder) in entries(&folder).map_err(doing())? {
            let name = format!("{prefix}{name}");
            if is_folder {
                folders.push((path, format!("{name}/")));
                continue;
            }
            let Ok(name) = RefName::parse(&name) else { continue };
            match fs::read_to_string(&path) {
                Ok(text) => {
                    if let Some(id) = ObjectId::parse(text.trim_end()) {
                        refs.insert(name, id);
                    }
                }
                // It has been packed or deleted since the folder was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(doing()(error)),
            }
        }
    }
    for (id, name) in lines_of(&packed(repository)?).filter(|(_, name)| name.starts_with(prefix)) {
        if let (Some(id), Ok(name)) = (ObjectId::parse(id), RefName::parse(name)) {
            refs.entry(name).or_insert(id);
        }
    }
    Ok(refs)
}

/// Returns what a ref points at, if it exists. Blocks.
pub(crate) fn find(repository: &Path, name: &RefName) -> Result<Option<ObjectId>, Error> {
    find_any(repository, name.as_str())
}

/// As [`find`], for a ref that only the server writes. The name must not come from outside.
pub(crate) fn find_any(repository: &Path, name: &str) -> Result<Option<ObjectId>, Error> {
    match fs::read_to_string(repository.join(name)) {
        Ok(text) => return Ok(ObjectId::parse(text.trim_end())),
        // It may be packed; a folder in its place holds other refs.
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(Error::io("reading a ref")(error)),
    }
    let packed = packed(repository)?;
    let found = lines_of(&packed).find(|(_, packed)| *packed == name);
    Ok(found.and_then(|(id, _)| ObjectId::parse(id)))
}

fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}

/// Returns those of some refs that do not exist. Blocks.
pub(crate) fn missing(repository: &Path, mut names: Vec<RefName>) -> Result<Vec<RefName>, Error> {
    names.retain(|name| !repository.join(name.as_str()).is_file());
    if !names.is_empty() {
        let packed = packed(repository)?;
        let packed: HashSet<&str> = lines_of(&packed).map(|(_, name)| name).collect();
        names.retain(|name| !packed.contains(name.as_str()));
    }
    Ok(names)
}

/// Says whether there is any ref at all, of whatever kind. Blocks.
pub(crate) fn is_empty(repository: &Path) -> Result<bool, Error> {
    if count_loose(repository) > 0 {
        return Ok(false);
    }
    let packed = match fs::File::open(repository.join("packed-refs")) {
        Ok(packed) => io::BufReader::new(packed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Error::io("reading the refs of a repository")(error)),
    };
    // The header alone is left when every packed ref has been deleted.
    let named = packed.lines().any(|line| line.map_or(true, |line| !line.starts_with('#')));
    Ok(!named)
}

/// Returns what `packed-refs` holds; nothing when there is none.
fn packed(repository: &Path) -> Result<String, Error> {
    match fs::read_to_string(repository.join("packed-refs")) {
        Ok(packed) => Ok(packed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::io("reading the refs of a repository")(error)),
    }
}

/// Returns the refs in the lines of `packed-refs`, each with its id. Lines with `#` are the header, lines with `^` the
/// peeled value of the tag above.
fn lines_of(packed: &str) -> impl Iterator<Item = (&str, &str)> {
    packed.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// Counts the refs that are files of their own.
pub(crate) fn count_loose(repository: &Path) -> usize {
    let mut count = 0;
    let mut folders = vec![repository.join("refs")];
    while let Some(folder) = folders.pop() {
        for (path, _, is_folder) in entries(&folder).unwrap_or_default() {
            if is_folder {
                folders.push(path);
            } else {
                count += 1;
            }
        }
    }
    count
}

/// Returns what `HEAD` points at.
pub(crate) fn head(repository: &Path) -> Result<RefName, Error> {
    let text = fs::read_to_string(repository.join("HEAD")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound,
        _ => Error::io("reading the default branch")(error),
    })?;
    text.strip_prefix("ref: ")
        .and_then(|name| RefName::parse(name.trim_end()).ok())
        .ok_or_else(|| Error::internal("a HEAD that names no branch"))
}

fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, String, bool)>> {
    let mut found = Vec::new();
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in listing {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && let Ok(kind) = entry.file_type()
        {
            found.push((entry.path(), name, kind.is_dir()));
        }
    }
    Ok(found)
}
