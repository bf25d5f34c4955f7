//! Reactions to issues, merge requests and comments on them.
//!
//! Who may comment on something may react to it. A reaction is taken back by whoever made it, and by administrators.

use portcullis_rules::access::{Act, on};
use portcullis_rules::id::{AwardId, NoteId};
use portcullis_store::award_emoji::{self, Award, Awardable};
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::noteables::{CommentedOn, Subject, get_locked};
use crate::notes::{check_lock, get_shown};

/// The longest name of an emoji, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The most reactions that one user makes to one thing.
const MAX_OF_USER: i64 = 100;

/// Returns the name of an emoji in its usual form, if it can be one.
fn checked_name(name: &str) -> Option<&str> {
    let name = name.trim();
    let name = name.strip_prefix(':').and_then(|name| name.strip_suffix(':')).unwrap_or(name);
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'+'));
    match name {
        "+1" => Some("thumbsup"),
        "-1" => Some("thumbsdown"),
        name => is_name.then_some(name),
    }
}

/// Returns what is reacted to: something, or with `note` a comment on it; and whether the forge wrote that.
async fn awardable<S: CommentedOn, A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    subject: &Subject,
    note: Option<NoteId>,
) -> Result<(Awardable, bool), Error> {
    let Some(id) = note else { return Ok((subject.on().into(), false)) };
    let note = get_shown::<S, _>(tx, access, subject, id).await?;
    Ok((Awardable::Note(note.id), note.system))
}

/// Returns the reactions to something or to a comment on it, the oldest first.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this viewer.
pub async fn list<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    (iid, note): (i64, Option<NoteId>),
    window: Window,
) -> Result<Listing<Award>, Error> {
    let mut tx = forge.db().read().await?;
    let subject = S::get(&mut tx, access, iid).await?;
    let (to, _) = awardable::<S, _>(&mut tx, access, &subject, note).await?;
    Ok(award_emoji::list(&mut tx, access.project(), to, window).await?)
}

/// Returns one reaction.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this viewer.
pub async fn get<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    (iid, note): (i64, Option<NoteId>),
    id: AwardId,
) -> Result<Award, Error> {
    let mut tx = forge.db().read().await?;
    let subject = S::get(&mut tx, access, iid).await?;
    let (to, _) = awardable::<S, _>(&mut tx, access, &subject, note).await?;
    award_emoji::find(&mut tx, access.project(), to, id).await?.ok_or(Error::NotFound("Award Emoji"))
}

/// Reacts to something, or to a comment on it.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this caller and, as in GitLab, when the emoji has no such name, the
/// caller has reacted with it, or the forge wrote the comment itself; [`Error::Forbidden`] when the discussion is locked;
/// [`Error::Unprocessable`] when they reacted too often.
pub async fn create<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Comment>,
    (iid, note): (i64, Option<NoteId>),
    name: &str,
) -> Result<Award, Error> {
    let name = checked_name(name).ok_or(Error::NotFound("Award Emoji Name is not a valid emoji name"))?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let (to, by_forge) = awardable::<S, _>(&mut tx, &access, &subject, note).await?;
    if by_forge {
        return Err(Error::NotFound("Award Emoji Awardable cannot add emoji reactions"));
    }
    check_lock(&access, &subject)?;
    let (project, identity) = (access.project(), access.identity()?);
    let (same, count) = award_emoji::count_of(&mut tx, project, to, identity.user, name).await?;
    if same {
        return Err(Error::NotFound("Award Emoji Name has already been taken"));
    }
    if count >= MAX_OF_USER {
        let problem = format!("Too many reactions (maximum is {MAX_OF_USER})");
        return Err(Error::Unprocessable(problem));
    }
    let id = award_emoji::insert(&mut tx, project, to, identity.user, name, now).await?;
    if identity.bot {
        record(&mut tx, &access, "award_emoji_created", &subject, (id, note, name), now).await?;
    }
    let award = award_emoji::find(&mut tx, project, to, id).await?.ok_or(Error::NotFound("Award Emoji"))?;
    tx.commit().await?;
    Ok(award)
}

async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    event: &'static str,
    subject: &Subject,
    (id, note, name): (AwardId, Option<NoteId>, &str),
    now: i64,
) -> Result<(), Error> {
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    let details =
        json!({ subject.iid_name(): subject.iid(), "note_id": note.map(|note| note.0), "name": name });
    audit::record(tx, access.viewer(), entry.target("AwardEmoji", id.0).details(details), now).await
}

/// Takes a reaction back.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this caller; [`Error::Forbidden`] when it is somebody else's.
pub async fn delete<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::ChangeOwn>,
    (iid, note): (i64, Option<NoteId>),
    id: AwardId,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let (to, _) = awardable::<S, _>(&mut tx, &access, &subject, note).await?;
    let award = award_emoji::find(&mut tx, access.project(), to, id).await?;
    let award = award.ok_or(Error::NotFound("Award Emoji"))?;
    if award.user.id != access.identity()?.user && !access.viewer().is_administrator() {
        return Err(Error::Forbidden("It is somebody else's reaction".to_owned()));
    }
    award_emoji::delete(&mut tx, access.project(), id).await?;
    record(&mut tx, &access, "award_emoji_deleted", &subject, (id, note, &award.name), now).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_emoji_are_brought_to_one_form() {
        for (name, expected) in [
            ("thumbsup", Some("thumbsup")),
            (" :tada: ", Some("tada")),
            ("+1", Some("thumbsup")),
            (":-1:", Some("thumbsdown")),
            ("100", Some("100")),
            ("flag-de", Some("flag-de")),
            ("", None),
            ("::", None),
            ("Tada", None),
            ("a b", None),
            ("<b>", None),
            ("ü", None),
        ] {
            assert_eq!(checked_name(name), expected, "{name:?}");
        }
        assert!(checked_name(&"a".repeat(64)).is_some());
        assert!(checked_name(&"a".repeat(65)).is_none());
    }
}
