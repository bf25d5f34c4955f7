//! Discussions: comments that answer each other, and what was settled.
//!
//! A comment that stands alone is a discussion of its own, which becomes a real one when somebody answers it. Everything in
//! a discussion is internal, or nothing is. Only discussions of merge requests are settled.

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{DiscussionId, NoteId};
use portcullis_store::db::Tx;
use portcullis_store::discussions;
use portcullis_store::notes::{self, Note};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::merge_requests::auto_merge;
use crate::noteables::{CommentedOn, OnMergeRequest, Subject, get_locked};
use crate::notes::{
    NewNoteRequest, NoteAudience, add, announce, change, check_body, check_lock, get_changeable, remove,
};
use crate::positions::Position;

/// The most comments a discussion has.
const MAX_NOTES: i64 = 500;

/// The most discussions of a page.
const MAX_PAGE: i64 = 100;

/// A discussion with its comments.
#[derive(Clone, Debug)]
pub struct DiscussionDetails {
    /// The id.
    pub id: DiscussionId,
    /// Its comments, the oldest first. There is at least one.
    pub notes: Vec<Note>,
}

impl DiscussionDetails {
    /// Returns whether it is one comment that nobody answered.
    pub fn is_individual(&self) -> bool {
        self.notes.first().is_some_and(|note| note.discussion.is_none())
    }
}

/// Returns the discussions on something, the oldest first.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this viewer.
pub async fn list<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    iid: i64,
    window: Window,
) -> Result<Listing<DiscussionDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let on = S::get(&mut tx, access, iid).await?.on();
    let (project, sight) = (access.project(), S::note_sight(access));
    let first = notes::list_beginnings(&mut tx, project, on, sight, window).await?;
    let ids: Vec<_> = first.items.iter().filter_map(|note| Some(note.discussion.as_ref()?.id.0)).collect();
    let all = Window { limit: MAX_PAGE * MAX_NOTES, offset: 0 };
    let mut inside = match ids.as_slice() {
        [] => Vec::new(),
        ids => notes::list_of_discussions(&mut tx, project, on, sight, ids, all).await?,
    };
    Ok(first.map(|note| {
        let id = note.discussion_id();
        let notes = match note.discussion {
            None => vec![note],
            Some(_) => inside.extract_if(.., |other| other.discussion_id() == id).collect(),
        };
        DiscussionDetails { id, notes }
    }))
}

/// Returns one discussion.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for this viewer.
pub async fn get<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    iid: i64,
    id: DiscussionId,
) -> Result<DiscussionDetails, Error> {
    let mut tx = forge.db().read().await?;
    let subject = S::get(&mut tx, access, iid).await?;
    get_shown::<S, _>(&mut tx, access, &subject, id).await
}

/// Returns one comment of a discussion.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for this viewer.
pub async fn get_note<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    iid: i64,
    (id, note): (DiscussionId, NoteId),
) -> Result<Note, Error> {
    let mut tx = forge.db().read().await?;
    let subject = S::get(&mut tx, access, iid).await?;
    let note = crate::notes::get_shown::<S, _>(&mut tx, access, &subject, note).await?;
    belongs(note, id)
}

async fn get_shown<S: CommentedOn, A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    subject: &Subject,
    id: DiscussionId,
) -> Result<DiscussionDetails, Error> {
    let (project, on, sight) = (access.project(), subject.on(), S::note_sight(access));
    let all = Window { limit: MAX_NOTES, offset: 0 };
    let mut notes = notes::list_of_discussions(tx, project, on, sight, &[id.0], all).await?;
    if notes.is_empty() {
        let alone = notes::find(tx, project, on, NoteId(id.0), sight).await?;
        notes.extend(alone.filter(|note| note.discussion.is_none()));
    }
    if notes.is_empty() { Err(Error::NotFound("Discussion")) } else { Ok(DiscussionDetails { id, notes }) }
}

/// A comment is found in its own discussion only.
fn belongs(note: Note, id: DiscussionId) -> Result<Note, Error> {
    if note.discussion_id() == id { Ok(note) } else { Err(Error::NotFound("Note")) }
}

/// Begins a discussion with a comment, about a place in a difference if one is given.
///
/// # Errors
/// As [`notes::create`](crate::notes::create); [`Error::Invalid`] for the place.
pub async fn create<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Comment>,
    iid: i64,
    request: NewNoteRequest,
    position: Option<Position>,
) -> Result<DiscussionDetails, Error> {
    check_body(&request.body)?;
    let mut fields = FieldErrors::default();
    let position = position.map(|position| position.checked(&mut fields));
    fields.finish()?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let note = add::<S, _>(forge, &mut tx, &access, &subject, &request).await?;
    let id = discussions::begin(&mut tx, access.project(), subject.on(), note, position.as_deref()).await?;
    let note = announce::<S, _>(forge, &mut tx, &access, subject, note).await?;
    tx.commit().await?;
    Ok(DiscussionDetails { id, notes: vec![note] })
}

/// Answers in a discussion. A comment that stands alone becomes the beginning of one; an answer is internal where the
/// discussion is.
///
/// # Errors
/// As [`notes::create`](crate::notes::create); [`Error::BadRequest`] to what the forge wrote; [`Error::Unprocessable`] when
/// the discussion has too many comments.
pub async fn reply<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Comment>,
    iid: i64,
    id: DiscussionId,
    request: NewNoteRequest,
) -> Result<Note, Error> {
    check_body(&request.body)?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let discussion = get_shown::<S, _>(&mut tx, &access, &subject, id).await?;
    let first = discussion.notes.first().ok_or(Error::NotFound("Discussion"))?;
    let (project, on) = (access.project(), subject.on());
    if first.system {
        return Err(Error::BadRequest("Discussion is an individual note.".to_owned()));
    }
    if discussion.is_individual() {
        discussions::begin(&mut tx, project, on, first.id, None).await?;
    }
    if discussions::count_notes(&mut tx, project, id).await? >= MAX_NOTES {
        let problem = format!("The discussion has too many comments (maximum is {MAX_NOTES})");
        return Err(Error::Unprocessable(problem));
    }
    let request = NewNoteRequest { audience: NoteAudience::of(first), ..request };
    let note = add::<S, _>(forge, &mut tx, &access, &subject, &request).await?;
    notes::set_discussion(&mut tx, project, note, id).await?;
    let note = announce::<S, _>(forge, &mut tx, &access, subject, note).await?;
    tx.commit().await?;
    Ok(note)
}

/// Changes what a comment of a discussion says.
///
/// # Errors
/// As [`notes::update`](crate::notes::update).
pub async fn update_note<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::ChangeOwn>,
    iid: i64,
    (id, note): (DiscussionId, NoteId),
    body: &str,
) -> Result<Note, Error> {
    check_body(body)?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let note = belongs(get_changeable::<S>(&mut tx, &access, &subject, note).await?, id)?;
    change::<S>(forge, &mut tx, &access, &subject, &note, body).await?;
    let note = crate::notes::get_shown::<S, _>(&mut tx, &access, &subject, note.id).await?;
    tx.commit().await?;
    Ok(note)
}

/// Deletes a comment of a discussion.
///
/// # Errors
/// As [`notes::delete`](crate::notes::delete).
pub async fn delete_note<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::ChangeOwn>,
    iid: i64,
    (id, note): (DiscussionId, NoteId),
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let note = belongs(get_changeable::<S>(&mut tx, &access, &subject, note).await?, id)?;
    remove::<S>(forge, &mut tx, &access, &subject, &note).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether a discussion is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Yes,
    /// It is open.
    No,
}

/// Settles a discussion on a merge request, or opens it again; with `note`, only if that comment is in it. Whoever opened the merge request may, and whoever may change
/// any.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this caller; [`Error::Refused`] when they may not; [`Error::BadRequest`] when
/// it is one comment that nobody answered; [`Error::Forbidden`] when the discussion is locked.
pub async fn settle(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnMergeRequestNote>,
    iid: i64,
    (id, note): (DiscussionId, Option<NoteId>),
    settled: Settled,
) -> Result<DiscussionDetails, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<OnMergeRequest, _>(&mut tx, &access, iid).await?;
    let discussion = get_shown::<OnMergeRequest, _>(&mut tx, &access, &subject, id).await?;
    if note.is_some_and(|note| discussion.notes.iter().all(|found| found.id != note)) {
        return Err(Error::NotFound("Note"));
    }
    let user = access.identity()?.user;
    if subject.author() != user {
        access.also::<act::UpdateMergeRequest>()?;
    }
    check_lock(&access, &subject)?;
    let known = discussion.notes.first().and_then(|note| note.discussion.as_ref());
    let known = known.ok_or_else(|| Error::BadRequest("Discussion is not resolvable".to_owned()))?;
    let mut awaited = false;
    if known.resolution.is_some() != (settled == Settled::Yes) {
        let resolved = (settled == Settled::Yes).then_some((user, now));
        discussions::set_resolved(&mut tx, access.project(), id, resolved).await?;
        subject.touch(&mut tx, now).await?;
        if let (Settled::Yes, Subject::MergeRequest(found)) = (settled, &subject) {
            // It may have been the last thing that a merge request waited for.
            awaited = auto_merge::look_again(&mut tx, found, now).await?;
        }
    }
    let discussion = get_shown::<OnMergeRequest, _>(&mut tx, &access, &subject, id).await?;
    tx.commit().await?;
    if awaited {
        forge.jobs_wake().notify_waiters();
    }
    Ok(discussion)
}
