//! Reads objects inside the process.
//!
//! Content is not remembered between requests; an object database may be (see [`crate::open_objects`]). What a client
//! calls a commit is resolved here to an id, so that Git itself is only ever told ids.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_hash::{ObjectId as Id, Prefix};
use gix_object::{Find, FindHeader, Kind};

use crate::commit::{Annotation, Commit, ParsedTag};
use crate::{Branch, Engine, Error, ObjectFormat, ObjectId, RefName, refs};

/// The largest commit or tag that is read, in bytes.
const MAX_COMMIT_BYTES: u64 = 10 * 1024 * 1024;

/// The largest object that is unpacked, in bytes.
const MAX_OBJECT_BYTES: usize = 64 * 1024 * 1024;

/// How many tags may stand between a name and its commit.
const MAX_TAG_DEPTH: usize = 10;

/// The fewest digits that an id may be shortened to.
const MIN_ID_DIGITS: usize = 4;

/// The objects of one repository, for one request at a time.
pub(crate) struct Objects {
    repository: PathBuf,
    format: ObjectFormat,
    odb: gix_odb::HandleArc,
    graph: OnceCell<Option<gix_commitgraph::Graph>>,
}

/// A tag and what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag; [`RefName::tag`] gives its short name.
    pub name: RefName,
    /// What the ref points at: a commit, or the object of an annotated tag.
    pub target: ObjectId,
    /// What an annotated tag says; nothing of a plain one.
    pub annotation: Option<Annotation>,
    /// The commit it names; nothing when it names a tree or a blob.
    pub commit: Option<Commit>,
}

impl Objects {
    /// Opens the objects of a repository. Blocks.
    pub(crate) fn open(repository: PathBuf, format: ObjectFormat) -> Result<Objects, Error> {
        let options = gix_odb::store::init::Options {
            // Deltas of a damaged pack may promise any size.
            alloc_limit_bytes: Some(MAX_OBJECT_BYTES),
            current_dir: Some(repository.clone()),
            ..Default::default()
        };
        let folder = repository.join("objects");
        let store = gix_odb::Store::at_opts(folder, hash(format), &mut std::iter::empty(), options)
            .map_err(Error::io("opening the objects of a repository"))?;
        Ok(Objects { repository, format, odb: Arc::new(store).to_cache_arc(), graph: OnceCell::new() })
    }

    /// Returns the commit-graph that housekeeping has written, if there is one that can be read. It need not know every
    /// commit.
    pub(crate) fn graph(&self) -> Option<&gix_commitgraph::Graph> {
        let open = || {
            let info = self.repository.join("objects/info");
            gix_commitgraph::at(info, hash(self.format), Some(MAX_OBJECT_BYTES)).ok()
        };
        self.graph.get_or_init(open).as_ref()
    }

    pub(crate) fn repository(&self) -> &Path {
        &self.repository
    }

    pub(crate) fn format(&self) -> ObjectFormat {
        self.format
    }

    /// Returns what an object is and how many bytes it has, if it is there. Its content is not unpacked.
    pub(crate) fn header(&self, id: &ObjectId) -> Result<Option<(Kind, u64)>, Error> {
        let Some(id) = self.own(id) else { return Ok(None) };
        let header = self.odb.try_header(&id).map_err(damaged)?;
        Ok(header.map(|header| (header.kind, header.size)))
    }

    /// Returns the content of an object of this kind that has at most so many bytes. One that is larger is an error.
    pub(crate) fn content(&self, id: &ObjectId, kind: Kind, at_most: u64) -> Result<Option<Vec<u8>>, Error> {
        match self.header(id)? {
            Some((found, bytes)) if found == kind && bytes <= at_most => {}
            Some((found, _)) if found == kind => {
                return Err(Error::internal("an object is too large to be read"));
            }
            _ => return Ok(None),
        }
        let Some(id) = self.own(id) else { return Ok(None) };
        let mut content = Vec::new();
        let found = self.odb.try_find(&id, &mut content).map_err(damaged)?.map(|data| data.data.len());
        Ok(found.map(|length| {
            content.truncate(length);
            content
        }))
    }

    /// Returns the commit with exactly this id.
    pub(crate) fn commit(&self, id: &ObjectId) -> Result<Option<Commit>, Error> {
        let content = self.content(id, Kind::Commit, MAX_COMMIT_BYTES)?;
        Ok(content.and_then(|content| Commit::parse(id.clone(), &content)))
    }

    /// Returns the commits with these ids, in order; those that are not there are left out.
    pub(crate) fn commits(&self, ids: &[ObjectId]) -> Result<Vec<Commit>, Error> {
        ids.iter().filter_map(|id| self.commit(id).transpose()).collect()
    }

    /// Returns the commit that an id stands for, through annotated tags, and what the first of these says.
    pub(crate) fn peeled(&self, id: &ObjectId) -> Result<(Option<Annotation>, Option<Commit>), Error> {
        let (mut id, mut said) = (id.clone(), None);
        for _ in 0..MAX_TAG_DEPTH {
            match self.header(&id)? {
                Some((Kind::Commit, _)) => return Ok((said, self.commit(&id)?)),
                Some((Kind::Tag, _)) => {
                    let content = self.content(&id, Kind::Tag, MAX_COMMIT_BYTES)?;
                    let Some(tag) = content.and_then(|content| ParsedTag::parse(&content)) else { break };
                    said.get_or_insert(tag.annotation);
                    id = tag.target;
                }
                _ => break,
            }
        }
        Ok((said, None))
    }

    /// Returns the commit that a client calls by this name: `HEAD` or nothing for the default branch, an id that may be
    /// shortened, a tag, a branch, or a ref with its full name. Expressions such as `main~1` are none.
    pub(crate) fn resolve(&self, revision: &str) -> Result<Option<Commit>, Error> {
        if revision.is_empty() || revision == "HEAD" {
            let head = refs::head(&self.repository)?;
            return self.commit_of_ref(&head);
        }
        if let Some(id) = ObjectId::parse(&revision.to_ascii_lowercase())
            && id.format() == self.format
            && let (_, Some(commit)) = self.peeled(&id)?
        {
            return Ok(Some(commit));
        }
        for name in [revision.to_owned(), format!("refs/tags/{revision}"), format!("refs/heads/{revision}")] {
            if let Ok(name) = RefName::parse(&name)
                && let Some(commit) = self.commit_of_ref(&name)?
            {
                return Ok(Some(commit));
            }
        }
        self.commit_by_prefix(revision)
    }

    fn commit_of_ref(&self, name: &RefName) -> Result<Option<Commit>, Error> {
        match refs::find(&self.repository, name)? {
            Some(tip) => Ok(self.peeled(&tip)?.1),
            None => Ok(None),
        }
    }

    /// Returns the only commit whose id begins with these digits.
    fn commit_by_prefix(&self, digits: &str) -> Result<Option<Commit>, Error> {
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || !(MIN_ID_DIGITS..self.format.hex_length()).contains(&digits.len()) {
            return Ok(None);
        }
        let Ok(prefix) = Prefix::from_hex(digits) else { return Ok(None) };
        let mut candidates = HashSet::new();
        self.odb.lookup_prefix(prefix, Some(&mut candidates)).map_err(damaged)?;
        let mut found = None;
        for candidate in candidates {
            let candidate = name_of(&candidate)?;
            if let Some((Kind::Commit, _)) = self.header(&candidate)?
                && found.replace(candidate).is_some()
            {
                return Ok(None);
            }
        }
        found.map_or(Ok(None), |id| self.commit(&id))
    }

    /// Returns the tag that a ref is.
    pub(crate) fn tag(&self, name: RefName, target: ObjectId) -> Result<Tag, Error> {
        let (annotation, commit) = self.peeled(&target)?;
        Ok(Tag { name, target, annotation, commit })
    }

    /// Returns when what an id names was made, in Unix microseconds UTC: the annotation's time, or the commit's.
    fn time_of(&self, id: &ObjectId) -> Result<Option<i64>, Error> {
        let (annotation, commit) = self.peeled(id)?;
        let tagged = annotation.and_then(|annotation| annotation.tagger);
        Ok(tagged.map(|tagger| tagger.at).or(commit.map(|commit| commit.committer.at)))
    }

    /// Returns the id as the library knows it, if it has the format of this repository.
    pub(crate) fn own(&self, id: &ObjectId) -> Option<Id> {
        Id::from_hex(id.as_str().as_bytes()).ok().filter(|_| id.format() == self.format)
    }
}

/// Returns our name of an id.
pub(crate) fn name_of(id: &gix_hash::oid) -> Result<ObjectId, Error> {
    ObjectId::parse(&id.to_string()).ok_or_else(|| Error::internal("an object id that is none"))
}

fn hash(format: ObjectFormat) -> gix_hash::Kind {
    match format {
        ObjectFormat::Sha1 => gix_hash::Kind::Sha1,
        ObjectFormat::Sha256 => gix_hash::Kind::Sha256,
    }
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("an object cannot be read: {error:#}"))
}

impl Engine {
    /// Returns the commit that a client calls by this name: `HEAD` or nothing for the default branch, an id that may be
    /// shortened, a tag, a branch, or a ref with its full name.
    pub async fn find_commit(&self, id: i64, revision: &str) -> Result<Option<Commit>, Error> {
        let revision = revision.to_owned();
        self.read(id, move |objects| objects.resolve(&revision)).await
    }

    /// Returns the commits with these ids, in order; those that are not there are left out.
    pub async fn commits(&self, id: i64, ids: Vec<ObjectId>) -> Result<Vec<Commit>, Error> {
        self.read(id, move |objects| objects.commits(&ids)).await
    }

    /// Returns a branch by its short name.
    pub async fn find_branch(&self, id: i64, name: &str) -> Result<Option<Branch>, Error> {
        let Ok(name) = RefName::branch_named(name) else { return Ok(None) };
        self.read(id, move |objects| {
            let tip = refs::find(objects.repository(), &name)?;
            Ok(tip.map(|tip| Branch { name, tip }))
        })
        .await
    }

    /// Returns a tag by its short name.
    pub async fn find_tag(&self, id: i64, name: &str) -> Result<Option<Tag>, Error> {
        let Ok(name) = RefName::parse(&format!("refs/tags/{name}")) else { return Ok(None) };
        self.read(id, move |objects| match refs::find(objects.repository(), &name)? {
            Some(target) => Ok(Some(objects.tag(name, target)?)),
            None => Ok(None),
        })
        .await
    }

    /// Returns all tags, by name, each with what it points at. Nothing is known yet of what that is.
    pub async fn tags(&self, id: i64) -> Result<Vec<(RefName, ObjectId)>, Error> {
        self.read(id, |objects| Ok(refs::read(objects.repository(), "refs/tags/")?.into_iter().collect()))
            .await
    }

    /// Looks at what these tags name, in order.
    pub async fn described_tags(&self, id: i64, tags: Vec<(RefName, ObjectId)>) -> Result<Vec<Tag>, Error> {
        self.read(id, move |objects| {
            tags.into_iter().map(|(name, target)| objects.tag(name, target)).collect()
        })
        .await
    }

    /// Returns when what these ids name was made, in order, in Unix microseconds UTC: the annotation's time, or the
    /// commit's.
    pub async fn times(&self, id: i64, ids: Vec<ObjectId>) -> Result<Vec<Option<i64>>, Error> {
        self.read(id, move |objects| ids.iter().map(|id| objects.time_of(id)).collect()).await
    }
}
