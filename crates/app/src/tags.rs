//! The tags of a repository as they are read.

use std::cmp::Ordering;
use std::collections::HashMap;

pub use portcullis_git::{Annotation, Tag};
use portcullis_git::{ObjectId, RefName};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::ProjectId;
use portcullis_store::releases;
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::commits::cut;
use crate::forge::Forge;
use crate::protected_tags::Protection;
use crate::search::NameFilter;

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagOrder {
    /// The name.
    Name,
    /// When the tag was made; of a plain one, its commit.
    #[default]
    Updated,
    /// The version that the name is.
    Version,
}

/// A tag with what the project says about it.
#[derive(Clone, Debug)]
pub struct TagDetails {
    /// The tag.
    pub tag: Tag,
    /// The description of the release that was made of it, if there is one.
    pub release: Option<Option<String>>,
    /// Whether it is protected.
    pub protected: bool,
}

/// Returns tags with what the project says about them, in two questions.
async fn with_details(forge: &Forge, project: ProjectId, tags: Vec<Tag>) -> Result<Vec<TagDetails>, Error> {
    let names: Vec<_> = tags.iter().filter_map(|tag| tag.name.tag()).collect();
    let mut tx = forge.db().read().await?;
    let protected = portcullis_store::protected_tags::of_project(&mut tx, project).await?;
    let mut releases: HashMap<_, _> =
        releases::descriptions_of(&mut tx, project, &names).await?.into_iter().collect();
    drop(tx);
    let details = |tag: Tag| {
        let name = tag.name.tag().unwrap_or_default();
        let (release, protected) = (releases.remove(name), Protection::of(name, &protected).exists());
        TagDetails { tag, release, protected }
    };
    Ok(tags.into_iter().map(details).collect())
}

/// Lists the tags.
///
/// # Errors
/// [`Error::Overloaded`].
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    filter: &NameFilter,
    order: TagOrder,
    descending: bool,
    window: Window,
) -> Result<Listing<TagDetails>, Error> {
    let id = access.project().0;
    let mut tags = forge.git().tags(id).await?;
    let short = |name: &RefName| name.tag().unwrap_or_default().to_owned();
    tags.retain(|(name, _)| filter.fits(name.tag().unwrap_or_default()));
    match order {
        TagOrder::Name => {}
        TagOrder::Version => tags.sort_by(|(a, _), (b, _)| by_version(&short(a), &short(b))),
        TagOrder::Updated => {
            let targets: Vec<ObjectId> = tags.iter().map(|(_, target)| target.clone()).collect();
            let times = forge.git().times(id, targets).await?;
            let mut timed: Vec<_> = times.into_iter().zip(tags).collect();
            timed.sort_by_key(|(time, _)| *time);
            tags = timed.into_iter().map(|(_, tag)| tag).collect();
        }
    }
    if descending {
        tags.reverse();
    }
    let page = cut(tags, window);
    let described = forge.git().described_tags(id, page.items).await?;
    Ok(Listing { items: with_details(forge, access.project(), described).await?, total: page.total })
}

/// Returns a tag.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(forge: &Forge, access: &Authorized<act::ReadCode>, name: &str) -> Result<TagDetails, Error> {
    find(forge, access, name).await
}

/// Returns a tag, for whoever may do something with it.
pub(crate) async fn find<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    name: &str,
) -> Result<TagDetails, Error> {
    let tag = forge.git().find_tag(access.project().0, name).await?.ok_or(Error::NotFound("Tag"))?;
    let details = with_details(forge, access.project(), vec![tag]).await?.pop();
    details.ok_or(Error::NotFound("Tag"))
}

/// Compares names as versions: numbers by their size, and what has a suffix behind a dash comes before what has none.
fn by_version(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        let (left, right) = (a.next(), b.next());
        let order = match (left, right) {
            (None, None) => return Ordering::Equal,
            (None, Some(rest)) => {
                return if rest.starts_with('-') { Ordering::Greater } else { Ordering::Less };
            }
            (Some(rest), None) => {
                return if rest.starts_with('-') { Ordering::Less } else { Ordering::Greater };
            }
            (Some(left), Some(right)) => match (is_number(left), is_number(right)) {
                (true, true) => {
                    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
                    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
                }
                _ => match (left.starts_with('-'), right.starts_with('-')) {
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    _ => left.cmp(right),
                },
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn is_number(part: &str) -> bool {
    part.starts_with(|character: char| character.is_ascii_digit())
}

/// Splits a name into runs of digits and runs of anything else; a leading `v` does not count.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let name = name.strip_prefix(['v', 'V']).filter(|rest| is_number(rest)).unwrap_or(name);
    let mut rest = name;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = rest.find(|character: char| character.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let mut names = ["v1.10.0", "v1.9.0", "1.9.0-rc.2", "v1.9.0-rc.10", "v1.9", "v1.9.0.1", "v2"];
        names.sort_by(|a, b| by_version(a, b));
        assert_eq!(names, ["v1.9", "1.9.0-rc.2", "v1.9.0-rc.10", "v1.9.0", "v1.9.0.1", "v1.10.0", "v2"]);
    }
}
