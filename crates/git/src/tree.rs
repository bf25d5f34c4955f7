//! Trees and files, read inside the process.

use std::borrow::Cow;

use gix_object::Kind;
use sha2::{Digest, Sha256};

use crate::objects::{Objects, name_of};
use crate::question::Question;
use crate::{Commit, Engine, Error, Exchange, ObjectFormat, ObjectId, RepositoryPath};

/// The largest tree object that is read, in bytes.
const MAX_TREE_BYTES: u64 = 32 * 1024 * 1024;

/// How many entries are looked at for one list. A few small objects can stand for millions of entries.
const MAX_VISITED_ENTRIES: u64 = 500_000;

/// The longest path in a list, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// The most bytes of a blob that are handed out in one piece; the others are read again as they are sent.
pub const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// What an entry of a tree is. The order is that of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A folder.
    Tree,
    /// A file, or a symbolic link.
    Blob,
    /// A commit of another repository.
    Submodule,
}

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The object.
    pub id: ObjectId,
    /// What it is.
    pub kind: EntryKind,
    /// The mode as Git writes it, such as `0o100644`.
    pub mode: u32,
    /// The path from the root; what is not UTF-8 is replaced.
    pub path: String,
    /// Where it stands in a list.
    pub place: TreePlace,
}

impl TreeEntry {
    /// Returns the last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Says whether it is a file that may be executed.
    pub fn is_executable(&self) -> bool {
        self.kind == EntryKind::Blob && self.mode & 0o111 != 0
    }
}

/// Where an entry stands in a list: folders come first, then files, then submodules, each in the order of Git.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreePlace {
    kind: EntryKind,
    key: Vec<u8>,
}

impl TreePlace {
    /// Returns the place as bytes, for a client to give back.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            EntryKind::Tree => b't',
            EntryKind::Blob => b'b',
            EntryKind::Submodule => b'c',
        };
        [&[kind][..], &self.key].concat()
    }

    /// Returns the place that these bytes stand for.
    pub fn from_bytes(bytes: &[u8]) -> Option<TreePlace> {
        let (kind, key) = bytes.split_first()?;
        let kind = match kind {
            b't' => EntryKind::Tree,
            b'b' => EntryKind::Blob,
            b'c' => EntryKind::Submodule,
            _ => return None,
        };
        Some(TreePlace { kind, key: key.to_owned() })
    }
}

/// Which entries of a tree are wanted.
#[derive(Clone, Debug)]
pub enum TreeWindow {
    /// Those behind a number of others.
    Skip(u64),
    /// Those behind a place; from the beginning without one.
    Behind(Option<TreePlace>),
}

/// What is asked for in a list of entries.
#[derive(Clone, Debug)]
pub struct TreeQuery {
    /// The commit, as a client calls it.
    pub revision: String,
    /// The folder.
    pub path: RepositoryPath,
    /// Whether what is in the folders below is wanted too.
    pub recursive: bool,
    /// Which of the entries.
    pub window: TreeWindow,
    /// How many at most.
    pub limit: usize,
}

/// A part of a list of entries.
#[derive(Debug)]
pub struct TreePage {
    /// The entries.
    pub entries: Vec<TreeEntry>,
    /// How many there are in all.
    pub total: u64,
    /// Whether there are more behind these.
    pub more: bool,
}

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No commit is called that.
    Revision,
    /// The commit has no such file or folder.
    Path,
}

/// A file as it is at a commit.
#[derive(Debug)]
pub struct File {
    /// The commit.
    pub commit: ObjectId,
    /// Where it is, and its mode.
    pub entry: TreeEntry,
    /// Its content.
    pub blob: Blob,
}

/// The content of a file.
#[derive(Debug)]
pub struct Blob {
    /// Its id.
    pub id: ObjectId,
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 of the bytes in hexadecimal digits, unless there are more than was asked for.
    pub content_sha256: Option<String>,
    /// The bytes, unless there are more than was asked for or than [`MAX_KEPT_BYTES`].
    pub content: Option<Vec<u8>>,
}

fn sha256(content: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An entry as it stands in a tree object.
struct Raw<'a> {
    mode: u32,
    name: &'a [u8],
    id: &'a gix_hash::oid,
    /// How many bytes are behind it.
    rest: usize,
}

impl Raw<'_> {
    fn kind(&self) -> EntryKind {
        match self.mode & 0o170_000 {
            0o040_000 => EntryKind::Tree,
            0o160_000 => EntryKind::Submodule,
            _ => EntryKind::Blob,
        }
    }

    fn place(&self, prefix: &[u8]) -> TreePlace {
        let kind = self.kind();
        let mut key = [prefix, self.name].concat();
        // Git sorts folders as if their names ended with a slash.
        if kind == EntryKind::Tree {
            key.push(b'/');
        }
        TreePlace { kind, key }
    }

    fn entry(&self, prefix: &[u8]) -> Result<TreeEntry, Error> {
        Ok(TreeEntry {
            id: name_of(self.id)?,
            kind: self.kind(),
            mode: self.mode,
            path: String::from_utf8_lossy(&[prefix, self.name].concat()).into_owned(),
            place: self.place(prefix),
        })
    }
}

/// Returns the entries of a tree object; nothing behind the first that is damaged.
fn entries(content: &[u8], format: ObjectFormat) -> impl Iterator<Item = Raw<'_>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let mode = u32::from_str_radix(str::from_utf8(&rest[..space]).ok()?, 8).ok()?;
        let named = &rest[space + 1..];
        let end = named.iter().position(|byte| *byte == 0)?;
        let (id, behind) = named[end + 1..].split_at_checked(format.hex_length() / 2)?;
        rest = behind;
        let id = gix_hash::oid::try_from_bytes(id).ok()?;
        Some(Raw { mode, name: &named[..end], id, rest: rest.len() })
    })
}

impl Objects {
    fn tree(&self, id: &ObjectId) -> Result<Vec<u8>, Error> {
        self.content(id, Kind::Tree, MAX_TREE_BYTES)?.ok_or_else(|| Error::internal("a tree that is missing"))
    }

    /// Returns what is at a path of a tree; the root is no entry.
    pub(crate) fn entry_at(
        &self,
        root: &ObjectId,
        path: &RepositoryPath,
    ) -> Result<Option<TreeEntry>, Error> {
        let (mut tree, mut prefix) = (root.clone(), Vec::new());
        let mut parts = path.as_str().split('/').peekable();
        while let Some(part) = parts.next() {
            let content = self.tree(&tree)?;
            let found = entries(&content, self.format()).find(|entry| entry.name == part.as_bytes());
            let Some(found) = found else { return Ok(None) };
            if parts.peek().is_none() {
                return found.entry(&prefix).map(Some);
            }
            if found.kind() != EntryKind::Tree {
                return Ok(None);
            }
            tree = name_of(found.id)?;
            prefix.extend_from_slice(part.as_bytes());
            prefix.push(b'/');
        }
        Ok(None)
    }

    /// Returns the commit and what is at a path of it.
    fn located(
        &self,
        revision: &str,
        path: &RepositoryPath,
    ) -> Result<Result<(Commit, TreeEntry), Missing>, Error> {
        let Some(commit) = self.resolve(revision)? else { return Ok(Err(Missing::Revision)) };
        let found = self.entry_at(&commit.tree, path)?;
        Ok(found.map(|entry| (commit, entry)).ok_or(Missing::Path))
    }

    /// Returns a blob, looked at if it has at most so many bytes.
    pub(crate) fn blob(&self, id: &ObjectId, at_most: u64) -> Result<Option<Blob>, Error> {
        let Some((Kind::Blob, size)) = self.header(id)? else { return Ok(None) };
        let content = if size <= at_most { self.content(id, Kind::Blob, at_most)? } else { None };
        let content_sha256 = content.as_deref().map(sha256);
        // However long a client takes to read, it keeps no more than this of our memory.
        let content = content.filter(|content| content.len() <= MAX_KEPT_BYTES);
        Ok(Some(Blob { id: id.clone(), size, content_sha256, content }))
    }

    /// Lists what is in a folder.
    fn list(&self, query: &TreeQuery) -> Result<Result<TreePage, Missing>, Error> {
        let Some(commit) = self.resolve(&query.revision)? else { return Ok(Err(Missing::Revision)) };
        let root = match query.path.is_root() {
            true => commit.tree,
            false => match self.entry_at(&commit.tree, &query.path)? {
                Some(entry) if entry.kind == EntryKind::Tree => entry.id,
                _ => return Ok(Err(Missing::Path)),
            },
        };
        let prefix =
            if query.path.is_root() { Vec::new() } else { format!("{}/", query.path.as_str()).into_bytes() };
        let (mut page, root) = (Page::new(query), self.tree(&root)?);
        self.visit(&root, &prefix, query.recursive, |entry, prefix| {
            page.count(entry, prefix);
            Ok(())
        })?;
        page.collect();
        self.visit(&root, &prefix, query.recursive, |entry, prefix| page.take(entry, prefix))?;
        Ok(Ok(page.finish()))
    }

    /// Visits the entries of a folder, whose content `root` is, in the order of Git; with `recursive` a folder before what
    /// is in it.
    fn visit(
        &self,
        root: &[u8],
        prefix: &[u8],
        recursive: bool,
        mut see: impl FnMut(&Raw<'_>, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let too_large = || Error::BadRequest("the tree has too many entries to be listed".to_owned());
        let mut left = MAX_VISITED_ENTRIES;
        // A stack of our own: a tree may be as deep as its longest path.
        let mut open = vec![(Cow::Borrowed(root), 0, prefix.to_owned())];
        while let Some((content, at, prefix)) = open.last_mut() {
            let rest = content.get(*at..).unwrap_or_default();
            let Some(entry) = entries(rest, self.format()).next() else {
                open.pop();
                continue;
            };
            left = left.checked_sub(1).ok_or_else(too_large)?;
            see(&entry, prefix)?;
            let below = (recursive && entry.kind() == EntryKind::Tree)
                .then(|| Ok::<_, Error>((name_of(entry.id)?, [prefix, entry.name, b"/"].concat())))
                .transpose()?;
            *at = content.len() - entry.rest;
            if let Some((id, prefix)) = below {
                if prefix.len() > MAX_PATH_BYTES {
                    return Err(too_large());
                }
                open.push((Cow::Owned(self.tree(&id)?), 0, prefix));
            }
        }
        Ok(())
    }
}

/// Gathers a part of a list in two walks: the first counts how many of each kind stand before the part, the second
/// takes it. Nothing else is kept, however long the list is.
struct Page<'a> {
    query: &'a TreeQuery,
    /// How many entries of each kind there are in all.
    counts: [u64; 3],
    /// How many entries of each kind stand before the part.
    before: [u64; 3],
    seen: [u64; 3],
    taken: [Vec<TreeEntry>; 3],
    /// The numbers in the whole list that the part has.
    numbers: std::ops::Range<u64>,
}

impl Page<'_> {
    fn new(query: &TreeQuery) -> Page<'_> {
        let (counts, before, seen) = ([0; 3], [0; 3], [0; 3]);
        Page { query, counts, before, seen, taken: Default::default(), numbers: 0..0 }
    }

    fn count(&mut self, entry: &Raw<'_>, prefix: &[u8]) {
        let kind = entry.kind() as usize;
        self.counts[kind] += 1;
        if let TreeWindow::Behind(Some(place)) = &self.query.window
            && entry.place(prefix) <= *place
        {
            self.before[kind] += 1;
        }
    }

    fn collect(&mut self) {
        let start = match self.query.window {
            TreeWindow::Skip(skip) => skip,
            TreeWindow::Behind(_) => self.before.iter().sum(),
        };
        self.numbers = start..start.saturating_add(self.query.limit as u64);
    }

    fn take(&mut self, entry: &Raw<'_>, prefix: &[u8]) -> Result<(), Error> {
        let kind = entry.kind() as usize;
        let number = self.counts[..kind].iter().sum::<u64>() + self.seen[kind];
        self.seen[kind] += 1;
        if self.numbers.contains(&number) {
            self.taken[kind].push(entry.entry(prefix)?);
        }
        Ok(())
    }

    fn finish(self) -> TreePage {
        let total = self.counts.iter().sum();
        TreePage {
            entries: self.taken.into_iter().flatten().collect(),
            total,
            more: self.numbers.end < total,
        }
    }
}

impl Engine {
    /// Lists what is in a folder at a commit: folders first, then files, then submodules.
    pub async fn tree(&self, id: i64, query: TreeQuery) -> Result<Result<TreePage, Missing>, Error> {
        self.read(id, move |objects| objects.list(&query)).await
    }

    /// Returns a file at a commit, looked at if it has at most so many bytes. A symbolic link is a file whose
    /// content is where it leads.
    pub async fn file(
        &self,
        id: i64,
        revision: &str,
        path: RepositoryPath,
        at_most: u64,
    ) -> Result<Result<File, Missing>, Error> {
        let revision = revision.to_owned();
        self.read(id, move |objects| {
            let (commit, entry) = match objects.located(&revision, &path)? {
                Ok(found) => found,
                Err(missing) => return Ok(Err(missing)),
            };
            let blob = objects.blob(&entry.id, at_most)?;
            Ok(blob.map(|blob| File { commit: commit.id, entry, blob }).ok_or(Missing::Path))
        })
        .await
    }

    /// Says whether a commit has something at this path.
    pub async fn has_path(&self, id: i64, commit: &Commit, path: RepositoryPath) -> Result<bool, Error> {
        let tree = commit.tree.clone();
        self.read(id, move |objects| Ok(path.is_root() || objects.entry_at(&tree, &path)?.is_some())).await
    }

    /// Returns a blob by its id, looked at if it has at most so many bytes.
    pub async fn blob(&self, id: i64, blob: &ObjectId, at_most: u64) -> Result<Option<Blob>, Error> {
        let blob = blob.clone();
        self.read(id, move |objects| objects.blob(&blob, at_most)).await
    }

    /// Returns the bytes of a blob as they are read, however many.
    pub async fn blob_bytes(&self, id: i64, blob: &ObjectId) -> Result<Exchange, Error> {
        self.deliver(id, Question::new("cat-file", &["blob"]).object(blob)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_read_until_they_are_damaged() {
        let mut content = b"40000 a\0".to_vec();
        content.extend([1; 20]);
        content.extend_from_slice(b"100755 b c\0");
        content.extend([2; 20]);
        content.extend_from_slice(b"160000 d\0");
        content.extend([3; 20]);
        let kinds: Vec<_> = entries(&content, ObjectFormat::Sha1)
            .map(|entry| (entry.kind(), entry.name.to_owned()))
            .collect();
        assert_eq!(
            kinds,
            [
                (EntryKind::Tree, b"a".to_vec()),
                (EntryKind::Blob, b"b c".to_vec()),
                (EntryKind::Submodule, b"d".to_vec())
            ]
        );
        assert_eq!(entries(&content[..40], ObjectFormat::Sha1).count(), 1);
        assert_eq!(entries(b"x", ObjectFormat::Sha1).count(), 0);
    }

    #[test]
    fn a_place_survives_its_journey() {
        let place = TreePlace { kind: EntryKind::Blob, key: b"a/\xff".to_vec() };
        assert_eq!(TreePlace::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(TreePlace::from_bytes(b""), None);
        assert_eq!(TreePlace::from_bytes(b"xy"), None);
    }
}
