//! A tree that is being changed. Only the folders on the way to what changes are read, and only they are written anew.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use gix_hash::ObjectId as Id;
use gix_object::Kind;
use gix_object::tree::name_order;

use crate::file_path::FilePath;
use crate::loose::NewObject;
use crate::objects::{Objects, name_of};
use crate::{Error, ObjectId};

/// What Git calls the kinds of entries that a tree has.
pub(crate) mod mode {
    pub(crate) const FOLDER: u16 = 0o040_000;
    pub(crate) const FILE: u16 = 0o100_644;
    pub(crate) const EXECUTABLE: u16 = 0o100_755;
    pub(crate) const LINK: u16 = 0o120_000;
    /// The bits that say what an entry is.
    const KIND: u16 = 0o170_000;

    /// Says whether an entry is a file of whatever permissions. Old trees have more of them than Git writes today.
    pub(crate) fn is_file(mode: u16) -> bool {
        mode & KIND == FILE & KIND
    }
}

/// How many bytes of trees are read for one commit.
const MAX_TREE_BYTES: u64 = 64 * 1024 * 1024;

/// A tree that is being changed.
pub(crate) struct ChangingTree<'a> {
    source: Source<'a>,
    root: Folder,
}

struct Source<'a> {
    objects: &'a Objects,
    bytes_left: u64,
}

#[derive(Default)]
struct Folder(BTreeMap<Vec<u8>, Node>);

enum Node {
    Kept { mode: u16, id: Id },
    Open(Folder),
}

/// What a tree has under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Folder,
    /// A file or a link.
    File {
        mode: u16,
        id: Id,
    },
    /// The place of a submodule.
    Module,
}

impl Source<'_> {
    fn load(&mut self, id: &ObjectId) -> Result<Folder, Error> {
        let too_large = || Error::Inapplicable("The folders that would change are too large".into());
        let content = match self.objects.header(id)? {
            Some((Kind::Tree, bytes)) if bytes > self.bytes_left => return Err(too_large()),
            _ => self.objects.content(id, Kind::Tree, MAX_TREE_BYTES)?,
        };
        let content = content.ok_or_else(|| Error::internal("a tree is missing"))?;
        self.bytes_left = self.bytes_left.saturating_sub(content.len() as u64);
        let mut folder = Folder::default();
        for entry in gix_object::TreeRefIter::from_bytes(&content, hash(id)) {
            let entry = entry.map_err(|_| Error::internal("a tree is damaged"))?;
            let node = Node::Kept { mode: entry.mode.value(), id: entry.oid.to_owned() };
            folder.0.insert(entry.filename.to_vec(), node);
        }
        Ok(folder)
    }
}

fn hash(id: &ObjectId) -> gix_hash::Kind {
    match id.format() {
        crate::ObjectFormat::Sha1 => gix_hash::Kind::Sha1,
        crate::ObjectFormat::Sha256 => gix_hash::Kind::Sha256,
    }
}

impl Folder {
    fn is_empty(&self) -> bool {
        self.0.values().all(|node| matches!(node, Node::Open(folder) if folder.is_empty()))
    }
}

impl<'a> ChangingTree<'a> {
    /// Begins with a tree, or with an empty one.
    pub(crate) fn begin(objects: &'a Objects, tree: Option<&ObjectId>) -> Result<ChangingTree<'a>, Error> {
        let mut source = Source { objects, bytes_left: MAX_TREE_BYTES };
        let root = tree.map_or(Ok(Folder::default()), |tree| source.load(tree))?;
        Ok(ChangingTree { source, root })
    }

    /// Returns the entries of the root as they were read: their names, modes and ids.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], u16, Id)> {
        self.root.0.iter().filter_map(|(name, node)| match node {
            Node::Kept { mode, id } => Some((name.as_slice(), *mode, *id)),
            Node::Open(_) => None,
        })
    }

    /// Returns what the tree has under a path now.
    pub(crate) fn find(&mut self, path: &FilePath) -> Result<Found, Error> {
        let Some(folder) = self.above(path)? else { return Ok(Found::Nothing) };
        Ok(match folder.0.get(path.name().as_bytes()) {
            None => Found::Nothing,
            Some(Node::Open(folder)) if folder.is_empty() => Found::Nothing,
            Some(Node::Open(_) | Node::Kept { mode: mode::FOLDER, .. }) => Found::Folder,
            Some(Node::Kept { mode, id }) if mode::is_file(*mode) || *mode == mode::LINK => {
                Found::File { mode: *mode, id: *id }
            }
            Some(Node::Kept { .. }) => Found::Module,
        })
    }

    /// Puts a file at a path, over the one that is there.
    pub(crate) fn put(&mut self, path: &FilePath, mode: u16, id: &ObjectId) -> Result<(), Error> {
        let id = Id::from_hex(id.as_str().as_bytes()).map_err(|_| Error::internal("an id that is none"))?;
        self.put_entry(path, mode, id)
    }

    /// As [`ChangingTree::put`], with an id that came from a tree.
    pub(crate) fn put_entry(&mut self, path: &FilePath, mode: u16, id: Id) -> Result<(), Error> {
        let ChangingTree { source, root } = self;
        let mut folder = root;
        for part in path.folders() {
            open(source, folder, part)?;
            folder = match folder
                .0
                .entry(part.as_bytes().to_vec())
                .or_insert_with(|| Node::Open(Folder::default()))
            {
                Node::Open(folder) => folder,
                Node::Kept { .. } => {
                    return Err(Error::Inapplicable(
                        "A file with the name of a folder of the path already exists".into(),
                    ));
                }
            };
        }
        folder.0.insert(path.name().as_bytes().to_vec(), Node::Kept { mode, id });
        Ok(())
    }

    /// Takes away what is at a path.
    pub(crate) fn remove(&mut self, path: &FilePath) -> Result<(), Error> {
        if let Some(folder) = self.above(path)? {
            folder.0.remove(path.name().as_bytes());
        }
        Ok(())
    }

    /// Returns the folder that holds a path, if there is one.
    fn above(&mut self, path: &FilePath) -> Result<Option<&mut Folder>, Error> {
        let ChangingTree { source, root } = self;
        let mut folder = root;
        for part in path.folders() {
            open(source, folder, part)?;
            folder = match folder.0.get_mut(part.as_bytes()) {
                Some(Node::Open(folder)) => folder,
                _ => return Ok(None),
            };
        }
        Ok(Some(folder))
    }

    /// Adds the trees that are new to `objects`, and returns the id of the root.
    pub(crate) fn finish(self, objects: &mut Vec<NewObject>) -> Result<ObjectId, Error> {
        write(&self.root, self.source.objects, objects)
    }
}

/// Reads the folder `part` of `folder`, if it is one and was not read before.
fn open(source: &mut Source<'_>, folder: &mut Folder, part: &str) -> Result<(), Error> {
    if let Entry::Occupied(mut entry) = folder.0.entry(part.as_bytes().to_vec())
        && let Node::Kept { mode: mode::FOLDER, id } = entry.get()
    {
        let loaded = source.load(&name_of(id)?)?;
        entry.insert(Node::Open(loaded));
    }
    Ok(())
}

/// Writes a folder behind those in it. Empty ones go, as Git does not know them.
fn write(folder: &Folder, from: &Objects, objects: &mut Vec<NewObject>) -> Result<ObjectId, Error> {
    let mut entries = Vec::with_capacity(folder.0.len());
    for (name, node) in &folder.0 {
        match node {
            Node::Kept { mode, id } => entries.push((name, *mode, *id)),
            Node::Open(folder) if folder.is_empty() => {}
            Node::Open(folder) => {
                let id = write(folder, from, objects)?;
                let id = Id::from_hex(id.as_str().as_bytes())
                    .map_err(|_| Error::internal("an id that is none"))?;
                entries.push((name, mode::FOLDER, id));
            }
        }
    }
    entries.sort_by(|(a, a_mode, _), (b, b_mode, _)| {
        name_order(a, *a_mode == mode::FOLDER, b, *b_mode == mode::FOLDER)
    });
    let mut content = Vec::new();
    for (name, mode, id) in entries {
        content.extend_from_slice(format!("{mode:o} ").as_bytes());
        content.extend_from_slice(name);
        content.push(0);
        content.extend_from_slice(id.as_slice());
    }
    let tree = NewObject::new(from.format(), Kind::Tree, content)?;
    let id = tree.id.clone();
    objects.push(tree);
    Ok(id)
}
