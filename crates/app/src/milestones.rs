//! Milestones of projects.

use jiff::civil::Date;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::MilestoneId;
use portcullis_rules::names::DisplayName;
use portcullis_rules::token::midnight;
use portcullis_store::db::{self, Tx};
use portcullis_store::events::{self, NewEvent};
use portcullis_store::milestones::{self, Milestone, MilestoneFilter, NewMilestone};
use portcullis_store::projects;
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::check_text;

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 1_048_576;

/// A milestone as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewMilestoneRequest {
    /// What it is called.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// The first day of it.
    pub start_date: Option<Date>,
    /// When it is due.
    pub due_date: Option<Date>,
}

/// What is to change about a milestone; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct MilestoneChanges {
    /// What it is called.
    pub title: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// The first day of it; `Some(None)` means none.
    pub start_date: Option<Option<Date>>,
    /// When it is due; `Some(None)` means never.
    pub due_date: Option<Option<Date>>,
    /// Whether it is to be closed, or to be active again.
    pub closed: Option<bool>,
}

/// Returns a project's milestones, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadMilestones>,
    filter: &MilestoneFilter,
    window: Window,
) -> Result<Listing<Milestone>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(milestones::list(&mut tx, access.project(), filter, window).await?)
}

async fn get_in<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    id: MilestoneId,
) -> Result<Milestone, Error> {
    milestones::find(tx, access.project(), id).await?.ok_or(Error::NotFound("Milestone"))
}

/// Returns one milestone.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadMilestones>,
    id: MilestoneId,
) -> Result<Milestone, Error> {
    let mut tx = forge.db().read().await?;
    get_in(&mut tx, access, id).await
}

/// Returns the milestone that an issue is to be planned for.
///
/// # Errors
/// [`Error::Invalid`] when the project has none with this id.
pub(crate) async fn get_for_issue<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    id: MilestoneId,
) -> Result<Milestone, Error> {
    let found = milestones::find(tx, access.project(), id).await?;
    found.ok_or_else(|| Error::invalid("milestone_id", "is invalid"))
}

fn check_dates(fields: &mut FieldErrors, start: Option<i64>, due: Option<i64>) {
    if let (Some(start), Some(due)) = (start, due)
        && start > due
    {
        fields.add("due_date", "must be greater than start date");
    }
}

fn taken(error: db::Error) -> Error {
    match error {
        db::Error::Unique { .. } => {
            Error::invalid("title", "already being used for another group or project milestone.")
        }
        other => other.into(),
    }
}

/// Notes in the feed and the audit log what was done.
async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    action: Option<&str>,
    event: &'static str,
    milestone: &Milestone,
    now: i64,
) -> Result<(), Error> {
    if let Some(action) = action {
        let identity = access.identity()?;
        let new = NewEvent {
            project: access.project(),
            author: identity.user,
            token: identity.token(),
            action,
            target_type: Some("Milestone"),
            target_id: Some(milestone.id.0),
            target_iid: Some(milestone.iid),
            target_title: Some(&milestone.title),
            details: None,
        };
        events::insert(tx, &new, now).await?;
        projects::record_activity(tx, access.project(), now).await?;
    }
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    let details = json!({ "iid": milestone.iid, "title": milestone.title });
    audit::record(tx, access.viewer(), entry.target("Milestone", milestone.id.0).details(details), now).await
}

/// Makes a milestone.
///
/// # Errors
/// [`Error::Invalid`] for a field.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::AdministerMilestones>,
    request: NewMilestoneRequest,
) -> Result<Milestone, Error> {
    let mut fields = FieldErrors::default();
    let title = fields.take("title", DisplayName::parse(&request.title));
    let description = request.description.as_deref();
    check_text(&mut fields, "description", description.unwrap_or_default(), MAX_DESCRIPTION_CHARACTERS);
    let (start_date, due_date) = (request.start_date.map(midnight), request.due_date.map(midnight));
    check_dates(&mut fields, start_date, due_date);
    fields.finish()?;
    let title = title.ok_or(Error::NotFound("title"))?;

    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let iid = projects::next_milestone_iid(&mut tx, access.project(), now).await?;
    let iid = iid.ok_or(Error::NotFound("Project"))?;
    let project = access.project();
    let new = NewMilestone { project, iid, title: title.as_str(), description, start_date, due_date };
    let id = milestones::insert(&mut tx, &new, now).await.map_err(taken)?;
    let milestone = get_in(&mut tx, &access, id).await?;
    record(&mut tx, &access, Some("opened"), "milestone_created", &milestone, now).await?;
    tx.commit().await?;
    Ok(milestone)
}

/// Changes a milestone, closes it or opens it again.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id; [`Error::Invalid`] for a field.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::AdministerMilestones>,
    id: MilestoneId,
    changes: MilestoneChanges,
) -> Result<Milestone, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    milestones::lock(&mut tx, access.project(), id).await?;
    let mut milestone = get_in(&mut tx, &access, id).await?;
    let mut fields = FieldErrors::default();
    if let Some(title) = &changes.title
        && let Some(title) = fields.take("title", DisplayName::parse(title))
    {
        milestone.title = title.as_str().to_owned();
    }
    if let Some(description) = changes.description {
        check_text(&mut fields, "description", &description, MAX_DESCRIPTION_CHARACTERS);
        milestone.description = Some(description);
    }
    milestone.start_date = changes.start_date.map_or(milestone.start_date, |date| date.map(midnight));
    milestone.due_date = changes.due_date.map_or(milestone.due_date, |date| date.map(midnight));
    check_dates(&mut fields, milestone.start_date, milestone.due_date);
    fields.finish()?;
    let (closed_at, action) = match (changes.closed, milestone.closed_at) {
        (Some(true), None) => (Some(now), Some("closed")),
        (Some(false), Some(_)) => (None, Some("reopened")),
        (_, closed_at) => (closed_at, None),
    };
    milestone.closed_at = closed_at;
    milestones::update(&mut tx, &milestone, now).await.map_err(taken)?;
    record(&mut tx, &access, action, "milestone_updated", &milestone, now).await?;
    let milestone = get_in(&mut tx, &access, id).await?;
    tx.commit().await?;
    Ok(milestone)
}

/// Deletes a milestone. Issues and releases lose it.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerMilestones>,
    id: MilestoneId,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    milestones::lock(&mut tx, access.project(), id).await?;
    let milestone = get_in(&mut tx, &access, id).await?;
    milestones::delete(&mut tx, access.project(), id).await?;
    record(&mut tx, &access, Some("deleted"), "milestone_deleted", &milestone, now).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_milestone_does_not_end_before_it_begins() {
        for (start, due, fine) in [
            (None, None, true),
            (Some(2), None, true),
            (None, Some(1), true),
            (Some(1), Some(1), true),
            (Some(2), Some(1), false),
        ] {
            let mut fields = FieldErrors::default();
            check_dates(&mut fields, start, due);
            assert_eq!(fields.finish().is_ok(), fine, "{start:?} {due:?}");
        }
    }
}
