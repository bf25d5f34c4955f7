//! Changes that are made without a work tree: commits put together in memory, and refs that are moved.
//!
//! A change has two halves. First it is prepared: what is there is read, the new objects are put together and so get
//! their names, and nothing is on the disk yet. Whoever decides about changes can now be asked about exactly what would
//! happen. Then the objects are written, and one process moves the refs, each only if it still is what was read.

use std::time::Duration;

use gix_object::Kind;

use crate::changing_tree::{ChangingTree, Found, mode};
use crate::commit::Authorship;
use crate::disk::blocking;
use crate::file_path::{FilePath, SpecialFile};
use crate::limits::Place;
use crate::loose::{self, NewObject};
use crate::objects::{Objects, name_of};
use crate::{Engine, Error, ObjectFormat, ObjectId, RefName, RefUpdate, UpdateKind, process, special_files};

/// How many files one commit may change over the API.
const MAX_CHANGES: usize = 1000;

/// The longest message of a commit or a tag that is made here, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The longest name or address of a person in a commit, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// How long moving refs may take.
const MOVE_LIMIT: Duration = Duration::from_secs(30);

/// How long merging two trees may take.
const MERGE_LIMIT: Duration = Duration::from_secs(60);

/// How long git may look for a relation between two commits.
const ANCESTRY_LIMIT: Duration = Duration::from_secs(40);

/// The most that git says when it merges without messages, in bytes: an id, and the names of files in conflict.
const MAX_MERGE_BYTES: usize = 16 * 1024 * 1024;

/// What is done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// A file that is not there comes to be.
    Create {
        /// Where.
        path: FilePath,
        /// What is in it.
        content: Vec<u8>,
        /// Whether it can be run.
        executable: bool,
    },
    /// A file that is there gets another content.
    Update {
        /// Which.
        path: FilePath,
        /// What is in it then.
        content: Vec<u8>,
        /// Whether it can be run; as before when absent.
        executable: Option<bool>,
    },
    /// A file that is there gets another path.
    Move {
        /// Where it goes; nothing is there.
        path: FilePath,
        /// Where it was.
        from: FilePath,
        /// What is in it then; as before when absent.
        content: Option<Vec<u8>>,
    },
    /// A file that is there goes.
    Delete {
        /// Which.
        path: FilePath,
    },
    /// A file that is there can be run, or no longer.
    SetExecutable {
        /// Which.
        path: FilePath,
        /// Whether it can.
        executable: bool,
    },
}

/// What a commit that is to be made holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// The first parent's files, or none, after these changes, which are made one after the other.
    Changed(Vec<FileChange>),
    /// Exactly this tree, which is there.
    Tree(ObjectId),
}

/// A commit that is to be made.
#[derive(Clone, Debug)]
pub struct NewCommit {
    /// Its parents, first parent first.
    pub parents: Vec<ObjectId>,
    /// Its files.
    pub content: Content,
    /// Who wrote the change.
    pub author: Authorship,
    /// Who makes the commit.
    pub committer: Authorship,
    /// The message.
    pub message: String,
}

/// An annotated tag that is to be made.
#[derive(Clone, Debug)]
pub struct NewTag {
    /// The tag.
    pub name: RefName,
    /// The commit it names.
    pub target: ObjectId,
    /// Who makes it.
    pub tagger: Authorship,
    /// The message.
    pub message: String,
}

/// An object that has a name already, and is not on the disk yet.
#[derive(Debug)]
pub struct Prepared {
    id: ObjectId,
    objects: Vec<NewObject>,
}

impl Prepared {
    /// Returns the id of the commit or tag.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }
}

impl Engine {
    /// Puts a commit together. Nothing is written yet.
    ///
    /// # Errors
    /// [`Error::Inapplicable`] when a change cannot be made to the files that are there, or is not one that a push could
    /// bring.
    pub async fn prepare_commit(&self, id: i64, new: NewCommit) -> Result<Prepared, Error> {
        self.read(id, move |objects| {
            let mut made = Vec::new();
            let tree = match new.content {
                Content::Tree(tree) => tree,
                Content::Changed(changes) => {
                    let start = new.parents.first().map(|parent| tree_of(objects, parent)).transpose()?;
                    changed(objects, start.as_ref(), changes, &mut made)?
                }
            };
            let mut text = format!("tree {tree}\n");
            for parent in &new.parents {
                text.push_str(&format!("parent {parent}\n"));
            }
            text.push_str(&format!("author {}\ncommitter {}\n\n", line(&new.author)?, line(&new.committer)?));
            text.push_str(&checked_message(new.message)?);
            let commit = NewObject::new(objects.format(), Kind::Commit, text.into_bytes())?;
            let id = commit.id.clone();
            made.push(commit);
            Ok(Prepared { id, objects: made })
        })
        .await
    }

    /// Puts an annotated tag together. Nothing is written yet.
    ///
    /// # Errors
    /// [`Error::Inapplicable`] for a message that is too long.
    pub async fn prepare_tag(&self, new: NewTag) -> Result<Prepared, Error> {
        let name = new.name.tag().ok_or_else(|| Error::BadRequest("not a tag".into()))?;
        let text =
            format!("object {}\ntype commit\ntag {name}\ntagger {}\n\n", new.target, line(&new.tagger)?);
        let text = text + &checked_message(new.message)?;
        let tag = NewObject::new(new.target.format(), Kind::Tag, text.into_bytes())?;
        Ok(Prepared { id: tag.id.clone(), objects: vec![tag] })
    }

    /// Writes what was prepared. When this returns it is on the disk, and nothing refers to it yet.
    pub async fn write(&self, id: i64, prepared: Prepared) -> Result<(), Error> {
        let repository = self.existing(id)?;
        let _place = self.place(id).await?;
        blocking(move || loose::write(&repository, &prepared.objects)).await
    }

    /// Changes refs: all of them, or none. When this returns it is on the disk.
    ///
    /// # Errors
    /// [`Error::Moved`] when a ref is not what its update says it was; [`Error::Inapplicable`] when a ref cannot be
    /// because of another one, as `a/b` beside `a`; [`Error::Overloaded`]. In these cases nothing has changed.
    pub async fn change_refs(&self, id: i64, updates: &[RefUpdate]) -> Result<(), Error> {
        let repository = self.existing(id)?;
        let place = self.place(id).await?;
        let script: String = updates.iter().map(command).collect();
        let call = self.git().inside("update-ref", &repository).args(["--no-deref", "--stdin"]);
        let work = process::run(call, Some(script.into_bytes()), 64 * 1024, MOVE_LIMIT);
        let finished = tokio::select! {
            finished = work => finished,
            () = place.removed().cancelled_owned() => Err(Error::NotFound),
        };
        self.forget_answers(id);
        let finished = finished?;
        if finished.status.success() {
            return Ok(());
        }
        let said = &finished.errors;
        if said.contains("exists; cannot create") {
            return Err(Error::Inapplicable("The name is taken by a branch or tag above or below it".into()));
        }
        // The lock of a ref that somebody else is moving is such a case too.
        let named =
            updates.iter().find(|update| said.contains(&format!("cannot lock ref '{}'", update.name)));
        match named {
            Some(update) => Err(Error::Moved(update.name.clone())),
            None => finished.expect_success("moving refs").map(|_| ()),
        }
    }

    /// Says whether one commit is another one, or is reachable from it.
    pub async fn is_ancestor(&self, id: i64, old: &ObjectId, new: &ObjectId) -> Result<bool, Error> {
        if old == new {
            return Ok(true);
        }
        let repository = self.existing(id)?;
        let _place = self.place(id).await?;
        let arguments = ["--is-ancestor", "--end-of-options", old.as_str(), new.as_str()];
        let call = self.git().inside("merge-base", &repository).args(arguments);
        let finished = process::run(call, None, 1024, ANCESTRY_LIMIT).await?;
        match finished.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(Error::internal(format!("comparing two commits: {}", finished.errors.trim()))),
        }
    }

    /// Applies what lies between the trees `base` and `theirs` to the tree `ours`, and returns the tree that results;
    /// nothing when the two cannot be brought together. An absent tree is an empty one.
    ///
    /// # Errors
    /// [`Error::Inapplicable`] when the result is not one that a push could bring.
    pub async fn merge_trees(
        &self,
        id: i64,
        base: Option<&ObjectId>,
        ours: &ObjectId,
        theirs: Option<&ObjectId>,
    ) -> Result<Option<ObjectId>, Error> {
        let repository = self.existing(id)?;
        let place = self.place(id).await?;
        // Git before 2.40 cannot be told a base. It finds the one that it is to use as the only parent of both sides.
        let (base, ours, theirs) = (base.cloned(), ours.clone(), theirs.cloned());
        let sides = [base.clone(), Some(ours.clone()), theirs.clone()];
        let written_to = repository.clone();
        let (ours, theirs) = blocking(move || {
            let format = ours.format();
            let nothing = NewObject::new(format, Kind::Tree, Vec::new())?;
            let tree = |tree: Option<ObjectId>| tree.unwrap_or_else(|| nothing.id.clone());
            let base = side(format, &tree(base), None, "base")?;
            let sides = [
                side(format, &ours, Some(&base.id), "ours")?,
                side(format, &tree(theirs), Some(&base.id), "theirs")?,
            ];
            let ids = (sides[0].id.clone(), sides[1].id.clone());
            let [ours, theirs] = sides;
            loose::write(&written_to, &[nothing, base, ours, theirs])?;
            Ok(ids)
        })
        .await?;
        self.merge(id, place, &ours, &theirs, sides.into_iter().flatten().collect()).await
    }

    /// Merges two commits as `git merge` does, and returns the tree that results; nothing when the two cannot be brought
    /// together, because they changed the same places or have no history in common. No commit is made.
    ///
    /// # Errors
    /// [`Error::Inapplicable`] when the result is not one that a push could bring.
    pub async fn merge_commits(
        &self,
        id: i64,
        ours: &ObjectId,
        theirs: &ObjectId,
    ) -> Result<Option<ObjectId>, Error> {
        let pair = [ours.clone(), theirs.clone()];
        let sides = self
            .read(id, move |objects| {
                pair.iter().map(|commit| tree_of(objects, commit)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let place = self.place(id).await?;
        self.merge(id, place, ours, theirs, sides).await
    }

    /// Merges two commits whose trees are among `sides`.
    async fn merge(
        &self,
        id: i64,
        place: Place,
        ours: &ObjectId,
        theirs: &ObjectId,
        sides: Vec<ObjectId>,
    ) -> Result<Option<ObjectId>, Error> {
        let repository = self.existing(id)?;
        let arguments = ["--write-tree", "--no-messages", "-z", ours.as_str(), theirs.as_str()];
        let call = self.git().inside("merge-tree", &repository).args(arguments);
        let work = process::run(call, None, MAX_MERGE_BYTES, MERGE_LIMIT);
        let finished = tokio::select! {
            finished = work => finished?,
            () = place.removed().cancelled_owned() => return Err(Error::NotFound),
        };
        match finished.status.code() {
            Some(0) => {
                let said = finished.output.split(|byte| *byte == 0).next().unwrap_or_default();
                let tree = str::from_utf8(said).ok().and_then(|said| ObjectId::parse(said.trim_end()));
                let tree = tree.ok_or_else(|| Error::internal("git merged and named no tree"))?;
                let merged = tree.clone();
                self.read(id, move |objects| special_files::check_merged(objects, &merged, &sides)).await?;
                Ok(Some(tree))
            }
            Some(1) => Ok(None),
            _ if finished.errors.contains("unrelated histories") => Ok(None),
            _ => Err(Error::internal(format!("merging two trees: {}", finished.errors.trim()))),
        }
    }
}

/// Makes a commit that only stands for one side of a merge.
fn side(
    format: ObjectFormat,
    tree: &ObjectId,
    parent: Option<&ObjectId>,
    name: &str,
) -> Result<NewObject, Error> {
    let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
    let text = format!("tree {tree}\n{parent}author m <m> 0 +0000\ncommitter m <m> 0 +0000\n\n{name}\n");
    NewObject::new(format, Kind::Commit, text.into_bytes())
}

/// Returns the command for `git update-ref --stdin`. The names hold neither spaces nor quotes.
fn command(update: &RefUpdate) -> String {
    let RefUpdate { name, old, new, kind } = update;
    match kind {
        UpdateKind::Create => format!("create {name} {new}\n"),
        UpdateKind::Update => format!("update {name} {new} {old}\n"),
        UpdateKind::Delete => format!("delete {name} {old}\n"),
    }
}

fn tree_of(objects: &Objects, commit: &ObjectId) -> Result<ObjectId, Error> {
    let commit = objects.commit(commit)?.ok_or_else(|| Error::internal("a commit is missing"))?;
    Ok(commit.tree)
}

/// Makes changes to a tree, and returns the id of what results.
fn changed(
    objects: &Objects,
    start: Option<&ObjectId>,
    changes: Vec<FileChange>,
    made: &mut Vec<NewObject>,
) -> Result<ObjectId, Error> {
    if changes.len() > MAX_CHANGES {
        return Err(Error::Inapplicable(format!("A commit can change at most {MAX_CHANGES} files")));
    }
    let mut tree = ChangingTree::begin(objects, start)?;
    for change in changes {
        apply(objects, &mut tree, change, made)?;
    }
    tree.finish(made)
}

fn apply(
    objects: &Objects,
    tree: &mut ChangingTree<'_>,
    change: FileChange,
    made: &mut Vec<NewObject>,
) -> Result<(), Error> {
    let permissions = |executable| if executable { mode::EXECUTABLE } else { mode::FILE };
    let mut blob = |path: &FilePath, content: Vec<u8>| {
        special_files::check(path, &content)?;
        let blob = NewObject::new(objects.format(), Kind::Blob, content)?;
        let id = blob.id.clone();
        made.push(blob);
        Ok::<_, Error>(id)
    };
    match change {
        FileChange::Create { path, content, executable } => {
            check_free(tree, &path)?;
            tree.put(&path, permissions(executable), &blob(&path, content)?)
        }
        FileChange::Update { path, content, executable } => {
            let (before, _) = file(tree, &path)?;
            let mode = executable.filter(|_| mode::is_file(before)).map_or(before, permissions);
            tree.put(&path, mode, &blob(&path, content)?)
        }
        FileChange::Move { path, from, content } => {
            let (mode, id) = file(tree, &from)?;
            tree.remove(&from)?;
            check_free(tree, &path)?;
            if path.special().is_some() && !mode::is_file(mode) {
                return Err(Error::Inapplicable(format!("{path} must not be a link")));
            }
            match content {
                Some(content) => tree.put(&path, mode, &blob(&path, content)?),
                None => {
                    if matches!(path.special(), Some(SpecialFile::Modules | SpecialFile::Attributes)) {
                        let content =
                            objects.content(&name_of(&id)?, Kind::Blob, special_files::MAX_BYTES)?;
                        special_files::check(&path, &content.unwrap_or_default())?;
                    }
                    tree.put_entry(&path, mode, id)
                }
            }
        }
        FileChange::Delete { path } => {
            file(tree, &path)?;
            tree.remove(&path)
        }
        FileChange::SetExecutable { path, executable } => match file(tree, &path)? {
            (mode, id) if mode::is_file(mode) => tree.put_entry(&path, permissions(executable), id),
            _ => Err(Error::Inapplicable("A link cannot be made executable".into())),
        },
    }
}

/// Returns the file at a path, or what GitLab says where there is none.
fn file(tree: &mut ChangingTree<'_>, path: &FilePath) -> Result<(u16, gix_hash::ObjectId), Error> {
    match tree.find(path)? {
        Found::File { mode, id } => Ok((mode, id)),
        _ => Err(Error::Inapplicable("A file with this name doesn't exist".into())),
    }
}

fn check_free(tree: &mut ChangingTree<'_>, path: &FilePath) -> Result<(), Error> {
    match tree.find(path)? {
        Found::Nothing => Ok(()),
        Found::Folder => Err(Error::Inapplicable("A directory with this name already exists".into())),
        Found::File { .. } | Found::Module => {
            Err(Error::Inapplicable("A file with this name already exists".into()))
        }
    }
}

/// Returns how a commit names somebody: `Name <address> seconds offset`.
fn line(who: &Authorship) -> Result<String, Error> {
    let [name, email] = [&who.name, &who.email].map(|text| crate::history::plain(text));
    if name.len() > MAX_NAME_BYTES || email.len() > MAX_NAME_BYTES {
        return Err(Error::Inapplicable("The name or address of the author is too long".into()));
    }
    let name = if name.is_empty() { &email } else { &name };
    let seconds = who.at.div_euclid(1_000_000).max(0);
    let minutes = who.offset_minutes.clamp(-14 * 60, 14 * 60);
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    Ok(format!("{name} <{email}> {seconds} {sign}{hours:02}{minutes:02}"))
}

/// Git keeps a message as it is, and a commit with a NUL in it is refused everywhere.
fn checked_message(mut message: String) -> Result<String, Error> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(Error::Inapplicable(format!("The message is longer than {MAX_MESSAGE_BYTES} bytes")));
    }
    message.retain(|character| character != '\0');
    if !message.ends_with('\n') {
        message.push('\n');
    }
    Ok(message)
}
