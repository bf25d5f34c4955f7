//! Comments on issues.
//!
//! A comment is reached only through its issue, which must be one that the caller is shown. An internal comment is shown
//! to those who may read confidential issues, to nobody else: not even to an author who may no longer.

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::NoteId;
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::issues::{self, Issue};
use portcullis_store::notes::{self, NewNote, Note, NoteFilter, Noteable};
use portcullis_store::projects;
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::{check_text, get_visible, sight, with_details};
use crate::webhooks::occasions;

/// The longest comment, in characters.
const MAX_BODY_CHARACTERS: usize = 1_000_000;

/// How much of a comment the activity feed quotes, in characters.
const MAX_QUOTED_CHARACTERS: usize = 300;

/// Who may read a comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoteAudience {
    /// Everybody who is shown the issue.
    #[default]
    Everybody,
    /// Those who may read confidential issues.
    Internal,
}

/// Returns the comments on an issue that the viewer is shown.
///
/// # Errors
/// [`Error::NotFound`] when there is no such issue for this viewer.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
    filter: NoteFilter,
    window: Window,
) -> Result<Listing<Note>, Error> {
    let mut tx = forge.db().read().await?;
    let issue = get_visible(&mut tx, access, iid).await?;
    Ok(notes::list(&mut tx, access.project(), Noteable::Issue(issue.id), sight(access), filter, window)
        .await?)
}

/// Returns one comment on an issue.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for this viewer.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
    id: NoteId,
) -> Result<Note, Error> {
    let mut tx = forge.db().read().await?;
    let issue = get_visible(&mut tx, access, iid).await?;
    get_shown(&mut tx, access, &issue, id).await
}

async fn get_shown<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    issue: &Issue,
    id: NoteId,
) -> Result<Note, Error> {
    notes::find(tx, access.project(), Noteable::Issue(issue.id), id, sight(access))
        .await?
        .ok_or(Error::NotFound("Note"))
}

fn check_body(body: &str) -> Result<(), Error> {
    let mut fields = FieldErrors::default();
    if body.trim().is_empty() {
        fields.add("body", "can't be blank");
    }
    check_text(&mut fields, "body", body, MAX_BODY_CHARACTERS);
    fields.finish()
}

/// Where a discussion is locked, only members go on with it.
fn check_lock<A: Act<On = on::Project>>(access: &Authorized<A>, issue: &Issue) -> Result<(), Error> {
    match (issue.discussion_locked_at, access.role()) {
        (Some(_), None) => Err(Error::Forbidden("The discussion is locked".to_owned())),
        _ => Ok(()),
    }
}

/// Returns what the activity feed says about a comment, as JSON. It names no author: the feed's own may become the
/// Ghost User.
fn event_details(issue: &Issue, id: NoteId, body: &str, audience: NoteAudience) -> String {
    let internal = audience == NoteAudience::Internal;
    json!({
        "note": {
            "id": id.0,
            "body": body.chars().take(MAX_QUOTED_CHARACTERS).collect::<String>(),
            "system": false,
            "noteable_id": issue.id.0,
            "noteable_type": "Issue",
            "noteable_iid": issue.iid,
            "internal": internal,
            "confidential": internal,
        },
    })
    .to_string()
}

/// Comments on an issue.
///
/// # Errors
/// [`Error::NotFound`] when there is no such issue for this caller; [`Error::Forbidden`] when the discussion is locked;
/// [`Error::Refused`] for an internal comment by somebody who could not read it; [`Error::Invalid`] for the text.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreateNote>,
    iid: i64,
    body: &str,
    audience: NoteAudience,
) -> Result<Note, Error> {
    check_body(body)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    issues::lock(&mut tx, access.project(), iid).await?;
    let issue = get_visible(&mut tx, &access, iid).await?;
    check_lock(&access, &issue)?;
    if audience == NoteAudience::Internal {
        access.also::<act::ReadConfidentialIssues>()?;
    }
    let identity = access.identity()?;
    let new = NewNote {
        project: access.project(),
        on: Noteable::Issue(issue.id),
        author: identity.user,
        body,
        system: false,
        internal: audience == NoteAudience::Internal,
    };
    let id = notes::insert(&mut tx, &new, now).await?;
    issues::touch(&mut tx, access.project(), issue.id, now).await?;
    projects::record_activity(&mut tx, access.project(), now).await?;
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: Some(identity.token),
        action: "commented on",
        target_type: Some("Note"),
        target_id: Some(id.0),
        target_iid: Some(iid),
        target_title: Some(&issue.title),
        details: Some(&event_details(&issue, id, body, audience)),
    };
    events::insert(&mut tx, &event, now).await?;
    if identity.bot {
        let entry = Entry::project(access.project(), &access.place().full_path, "note_created");
        let entry = entry.target("Note", id.0).details(json!({ "issue_iid": iid }));
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    let note = get_shown(&mut tx, &access, &issue, id).await?;
    let details = with_details(&mut tx, issue).await?;
    occasions::note(forge, &mut tx, &access, &details, &note).await?;
    tx.commit().await?;
    Ok(note)
}

/// Returns a comment that the caller may change or delete: their own, or any with the permission to administer them.
async fn get_changeable(
    tx: &mut Tx,
    access: &Authorized<act::UpdateOwnNote>,
    issue: &Issue,
    id: NoteId,
) -> Result<Note, Error> {
    let note = get_shown(tx, access, issue, id).await?;
    if note.author.id != access.identity()?.user {
        access.also::<act::AdministerNotes>()?;
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
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnNote>,
    iid: i64,
    id: NoteId,
    body: &str,
) -> Result<Note, Error> {
    check_body(body)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    issues::lock(&mut tx, access.project(), iid).await?;
    let issue = get_visible(&mut tx, &access, iid).await?;
    let note = get_changeable(&mut tx, &access, &issue, id).await?;
    check_lock(&access, &issue)?;
    let audience = if note.internal { NoteAudience::Internal } else { NoteAudience::Everybody };
    let details = event_details(&issue, id, body, audience);
    let editor = access.identity()?.user;
    notes::update(&mut tx, access.project(), id, body, &details, editor, now).await?;
    issues::touch(&mut tx, access.project(), issue.id, now).await?;
    let note = get_shown(&mut tx, &access, &issue, id).await?;
    tx.commit().await?;
    Ok(note)
}

/// Deletes a comment.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this caller; [`Error::Refused`] when it is somebody else's;
/// [`Error::Forbidden`] when the forge wrote it.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnNote>,
    iid: i64,
    id: NoteId,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    issues::lock(&mut tx, access.project(), iid).await?;
    let issue = get_visible(&mut tx, &access, iid).await?;
    let note = get_changeable(&mut tx, &access, &issue, id).await?;
    notes::delete(&mut tx, access.project(), note.id).await?;
    issues::touch(&mut tx, access.project(), issue.id, now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "note_deleted");
    let details = json!({ "issue_iid": iid, "author_id": note.author.id.0 });
    audit::record(&mut tx, access.viewer(), entry.target("Note", note.id.0).details(details), now).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_rules::id::{IssueId, ProjectId, UserId};
    use portcullis_store::users::{User, UserKind};

    use super::*;

    fn issue() -> Issue {
        let author = User {
            id: UserId(1),
            username: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: "ana@example.com".to_owned(),
            kind: UserKind::Person,
            administrator: false,
            external: false,
            blocked: false,
            bot_project: None,
            created_by: None,
            created_at: 0,
        };
        Issue {
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
        }
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
