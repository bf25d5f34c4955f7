//! Comments on issues and merge requests.
//!
//! A comment is reached only through what it is on, which must be something that the caller is shown. An internal comment
//! is shown to those who may read confidential issues, or on a merge request to members from Reporter on, to nobody else:
//! not even to an author who may no longer.

use portcullis_rules::access::{Act, Role, on};
use portcullis_rules::id::NoteId;
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::notes::{self, NewNote, Note, NoteFilter};
use portcullis_store::select::{Listing, Window};
use portcullis_store::{discussions, projects};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::{check_text, with_details};
use crate::merge_requests;
use crate::noteables::{CommentedOn, Subject, get_locked};
use crate::webhooks::occasions;

/// The longest comment, in characters.
const MAX_BODY_CHARACTERS: usize = 1_000_000;

/// How much of a comment the activity feed quotes, in characters.
const MAX_QUOTED_CHARACTERS: usize = 300;

/// Who may read a comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoteAudience {
    /// Everybody who is shown what it is on.
    #[default]
    Everybody,
    /// Those who may read confidential issues, or internal comments on merge requests.
    Internal,
}

impl NoteAudience {
    pub(crate) fn of(note: &Note) -> NoteAudience {
        if note.internal { NoteAudience::Internal } else { NoteAudience::Everybody }
    }
}

/// A comment as it is sent.
#[derive(Clone, Debug, Default)]
pub struct NewNoteRequest {
    /// What it says, in Markdown.
    pub body: String,
    /// Who may read it.
    pub audience: NoteAudience,
    /// When it is said to have been made, in Unix microseconds; kept only from an Owner, and never in the future.
    pub created_at: Option<i64>,
}

/// Returns the comments on something that the viewer is shown.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this viewer.
pub async fn list<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    iid: i64,
    filter: NoteFilter,
    window: Window,
) -> Result<Listing<Note>, Error> {
    let mut tx = forge.db().read().await?;
    let on = S::get(&mut tx, access, iid).await?.on();
    Ok(notes::list(&mut tx, access.project(), on, S::note_sight(access), filter, window).await?)
}

/// Returns one comment.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for this viewer.
pub async fn get<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Read>,
    iid: i64,
    id: NoteId,
) -> Result<Note, Error> {
    let mut tx = forge.db().read().await?;
    let subject = S::get(&mut tx, access, iid).await?;
    get_shown::<S, _>(&mut tx, access, &subject, id).await
}

pub(crate) async fn get_shown<S: CommentedOn, A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    subject: &Subject,
    id: NoteId,
) -> Result<Note, Error> {
    let found = notes::find(tx, access.project(), subject.on(), id, S::note_sight(access)).await?;
    found.ok_or(Error::NotFound("Note"))
}

pub(crate) fn check_body(body: &str) -> Result<(), Error> {
    let mut fields = FieldErrors::default();
    if body.trim().is_empty() {
        fields.add("body", "can't be blank");
    }
    check_text(&mut fields, "body", body, MAX_BODY_CHARACTERS);
    fields.finish()
}

/// Where a discussion is locked, only members go on with it.
pub(crate) fn check_lock<A: Act<On = on::Project>>(
    access: &Authorized<A>,
    subject: &Subject,
) -> Result<(), Error> {
    match (subject.is_locked(), access.role()) {
        (true, None) => Err(Error::Forbidden("The discussion is locked".to_owned())),
        _ => Ok(()),
    }
}

/// Returns what the activity feed says about a comment, as JSON. It names no author: the feed's own may become the
/// Ghost User.
fn event_details(subject: &Subject, id: NoteId, body: &str, audience: NoteAudience) -> String {
    let internal = audience == NoteAudience::Internal;
    json!({
        "note": {
            "id": id.0,
            "body": body.chars().take(MAX_QUOTED_CHARACTERS).collect::<String>(),
            "system": false,
            "noteable_id": subject.id(),
            "noteable_type": subject.kind(),
            "noteable_iid": subject.iid(),
            "internal": internal,
            "confidential": internal,
        },
    })
    .to_string()
}

/// Comments on something.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this caller; [`Error::Forbidden`] when the discussion is locked;
/// [`Error::Refused`] for an internal comment by somebody who could not read it; [`Error::Invalid`] for the text.
pub async fn create<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Comment>,
    iid: i64,
    request: NewNoteRequest,
) -> Result<Note, Error> {
    check_body(&request.body)?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let id = add::<S, _>(forge, &mut tx, &access, &subject, &request).await?;
    let note = announce::<S, _>(forge, &mut tx, &access, subject, id).await?;
    tx.commit().await?;
    Ok(note)
}

/// Adds a comment whose text was checked to something that is locked, with what the feed and the audit log say of it.
pub(crate) async fn add<S: CommentedOn, A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    subject: &Subject,
    request: &NewNoteRequest,
) -> Result<NoteId, Error> {
    check_lock(access, subject)?;
    let internal = request.audience == NoteAudience::Internal;
    if internal {
        S::may_read_internal(access)?;
    }
    let now = forge.now();
    let identity = access.identity()?;
    let may_backdate = access.role() == Some(Role::Owner);
    let new = NewNote {
        project: access.project(),
        on: subject.on(),
        author: identity.user,
        body: &request.body,
        system: false,
        internal,
    };
    let made_at = request.created_at.filter(|at| may_backdate && *at <= now).unwrap_or(now);
    let id = notes::insert(tx, &new, made_at).await?;
    subject.touch(tx, now).await?;
    projects::record_activity(tx, access.project(), now).await?;
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: identity.token(),
        action: "commented on",
        target_type: Some("Note"),
        target_id: Some(id.0),
        target_iid: Some(subject.iid()),
        target_title: Some(subject.title()),
        details: Some(&event_details(subject, id, &request.body, request.audience)),
    };
    events::insert(tx, &event, now).await?;
    if identity.bot {
        let entry = Entry::project(access.project(), &access.place().full_path, "note_created");
        let entry = entry.target("Note", id.0).details(json!({ subject.iid_name(): subject.iid() }));
        audit::record(tx, access.viewer(), entry, now).await?;
    }
    Ok(id)
}

/// Returns a comment that was just added, and tells the hooks of it.
pub(crate) async fn announce<S: CommentedOn, A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    subject: Subject,
    id: NoteId,
) -> Result<Note, Error> {
    let note = get_shown::<S, _>(tx, access, &subject, id).await?;
    match subject {
        Subject::Issue(issue) => {
            let details = with_details(tx, access, *issue).await?;
            occasions::note(forge, tx, access, occasions::NoteOn::Issue(&details), &note).await?;
        }
        Subject::MergeRequest(merge_request) => {
            for details in merge_requests::with_details(tx, vec![*merge_request]).await? {
                occasions::note(forge, tx, access, occasions::NoteOn::MergeRequest(&details), &note).await?;
            }
        }
    }
    Ok(note)
}

/// Returns a comment that the caller may change or delete: their own, or any with the permission to administer them.
pub(crate) async fn get_changeable<S: CommentedOn>(
    tx: &mut Tx,
    access: &Authorized<S::ChangeOwn>,
    subject: &Subject,
    id: NoteId,
) -> Result<Note, Error> {
    let note = get_shown::<S, _>(tx, access, subject, id).await?;
    if note.author.id != access.identity()?.user {
        access.also::<S::Administer>()?;
    }
    if note.system {
        return Err(Error::Forbidden("The forge wrote this comment itself".to_owned()));
    }
    Ok(note)
}

/// Changes what a comment says.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this caller; [`Error::Refused`] when it is somebody else's;
/// [`Error::Forbidden`] when the forge wrote it or the discussion is locked; [`Error::Invalid`] for the text.
pub async fn update<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::ChangeOwn>,
    iid: i64,
    id: NoteId,
    body: &str,
) -> Result<Note, Error> {
    check_body(body)?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let note = get_changeable::<S>(&mut tx, &access, &subject, id).await?;
    change::<S>(forge, &mut tx, &access, &subject, &note, body).await?;
    let note = get_shown::<S, _>(&mut tx, &access, &subject, id).await?;
    tx.commit().await?;
    Ok(note)
}

/// Changes a comment that was found to be changeable.
pub(crate) async fn change<S: CommentedOn>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<S::ChangeOwn>,
    subject: &Subject,
    note: &Note,
    body: &str,
) -> Result<(), Error> {
    check_lock(access, subject)?;
    let now = forge.now();
    let details = event_details(subject, note.id, body, NoteAudience::of(note));
    let editor = access.identity()?.user;
    notes::update(tx, access.project(), note.id, body, &details, editor, now).await?;
    subject.touch(tx, now).await?;
    Ok(())
}

/// Deletes a comment.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this caller; [`Error::Refused`] when it is somebody else's;
/// [`Error::Forbidden`] when the forge wrote it.
pub async fn delete<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::ChangeOwn>,
    iid: i64,
    id: NoteId,
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let subject = get_locked::<S, _>(&mut tx, &access, iid).await?;
    let note = get_changeable::<S>(&mut tx, &access, &subject, id).await?;
    remove::<S>(forge, &mut tx, &access, &subject, &note).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes a comment that was found to be changeable, and its discussion with the last of its comments.
pub(crate) async fn remove<S: CommentedOn>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<S::ChangeOwn>,
    subject: &Subject,
    note: &Note,
) -> Result<(), Error> {
    let now = forge.now();
    notes::delete(tx, access.project(), note.id).await?;
    if let Some(discussion) = &note.discussion {
        discussions::delete_if_empty(tx, access.project(), discussion.id).await?;
    }
    subject.touch(tx, now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "note_deleted");
    let details = json!({ subject.iid_name(): subject.iid(), "author_id": note.author.id.0 });
    audit::record(tx, access.viewer(), entry.target("Note", note.id.0).details(details), now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_rules::id::{IssueId, ProjectId, UserId};
    use portcullis_store::issues::Issue;
    use portcullis_store::users::{User, UserKind};

    use super::*;

    fn issue() -> Subject {
        let author = User {
            id: UserId(1),
            username: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: "ana@example.com".to_owned(),
            kind: UserKind::Person,
            administrator: false,
            external: false,
            blocked: false,
            created_by: None,
            created_at: 0,
        };
        Subject::Issue(Box::new(Issue {
            id: IssueId(5),
            project: ProjectId(2),
            iid: 3,
            author,
            closed_by: None,
            title: "Title".to_owned(),
            description: None,
            confidential_at: None,
            due_date: None,
            discussion_locked_at: None,
            closed_at: None,
            created_at: 0,
            updated_at: 0,
            notes: 0,
            milestone: None,
        }))
    }

    #[test]
    fn the_feed_quotes_the_beginning_and_names_no_author() {
        let details = event_details(&issue(), NoteId(9), &"ü".repeat(400), NoteAudience::Internal);
        let details: serde_json::Value = serde_json::from_str(&details).unwrap();
        assert_eq!(details["note"]["body"], "ü".repeat(300));
        assert_eq!((&details["note"]["id"], &details["note"]["noteable_iid"]), (&json!(9), &json!(3)));
        assert_eq!(details["note"]["internal"], true);
        assert!(!details.to_string().contains("ana"));
    }

    #[test]
    fn a_comment_says_something() {
        assert!(check_body("x").is_ok());
        for wrong in ["", " \n", "a\0b"] {
            assert!(check_body(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_body(&"é".repeat(MAX_BODY_CHARACTERS)).is_ok());
        assert!(check_body(&"é".repeat(MAX_BODY_CHARACTERS + 1)).is_err());
    }
}
