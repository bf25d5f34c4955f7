//! Labels of projects.
//!
//! Issues and merge requests refer to labels. One that they name and that does not exist yet is made, by whoever may plan
//! them.

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::color::Color;
use portcullis_rules::id::{LabelId, ProjectId};
use portcullis_store::db::{self, Tx};
use portcullis_store::labels::{self, Label, LabelCounts};
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::{check_text, sight};

/// The longest title, in characters.
const MAX_TITLE_CHARACTERS: usize = 255;

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 10_000;

/// The most labels a project has.
const MAX_LABELS_OF_PROJECT: i64 = 10_000;

/// Whether a list says how many issues and merge requests have each label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithCounts {
    /// It does.
    Yes,
    /// It does not.
    #[default]
    No,
}

/// What a client calls a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelReference<'a> {
    /// Its number.
    Id(LabelId),
    /// Its number or, when no label has it, its title.
    IdOrTitle(&'a str),
    /// Its title.
    Title(&'a str),
}

/// A label with what is read beside it.
#[derive(Clone, Debug)]
pub struct LabelDetails {
    /// The label.
    pub label: Label,
    /// How many issues and merge requests have it, if that was asked.
    pub counts: Option<LabelCounts>,
}

/// A label as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewLabelRequest {
    /// What it is called.
    pub title: String,
    /// Its colour, in hexadecimal digits or by name.
    pub color: String,
    /// What it is for.
    pub description: Option<String>,
    /// How urgent it makes things: 0 comes first.
    pub priority: Option<i64>,
}

/// What is to change about a label; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct LabelChanges {
    /// What it is called.
    pub title: Option<String>,
    /// Its colour.
    pub color: Option<String>,
    /// What it is for; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// How urgent it makes things; `Some(None)` clears it.
    pub priority: Option<Option<i64>>,
}

/// Returns a project's labels, by title.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadLabels>,
    search: Option<&str>,
    counts: WithCounts,
    window: Window,
) -> Result<Listing<LabelDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let found = labels::list(&mut tx, access.project(), search, window).await?;
    let counted = match counts {
        WithCounts::No => None,
        WithCounts::Yes => {
            let ids: Vec<_> = found.items.iter().map(|label| label.id.0).collect();
            // Where issues or merge requests are closed to the viewer, there is nothing to count.
            let issues = match access.also::<act::ReadIssues>() {
                Ok(access) => labels::counts(&mut tx, &ids, sight(&access)).await?,
                Err(_) => Vec::new(),
            };
            let merge_requests = match access.also::<act::ReadMergeRequests>() {
                Ok(_) => labels::merge_request_counts(&mut tx, &ids).await?,
                Err(_) => Vec::new(),
            };
            Some((issues, merge_requests))
        }
    };
    Ok(found.map(|label| {
        let counts = counted.as_ref().map(|(issues, merge_requests)| {
            let own = issues.iter().find(|(id, _)| *id == label.id.0);
            let open = merge_requests.iter().find(|(id, _)| *id == label.id.0).map_or(0, |(_, open)| *open);
            LabelCounts { open_merge_requests: open, ..own.map(|(_, counts)| *counts).unwrap_or_default() }
        });
        LabelDetails { label, counts }
    }))
}

pub(crate) async fn get_called(
    tx: &mut Tx,
    project: ProjectId,
    called: LabelReference<'_>,
) -> Result<Label, Error> {
    let title = match called {
        LabelReference::Id(id) => {
            return labels::find(tx, project, id).await?.ok_or(Error::NotFound("Label"));
        }
        LabelReference::Title(title) => title,
        LabelReference::IdOrTitle(text) => {
            if let Ok(id) = text.parse()
                && let Some(label) = labels::find(tx, project, LabelId(id)).await?
            {
                return Ok(label);
            }
            text
        }
    };
    labels::find_by_title(tx, project, title).await?.ok_or(Error::NotFound("Label"))
}

/// Returns one label.
///
/// # Errors
/// [`Error::NotFound`] when the project has none that is called so.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadLabels>,
    called: LabelReference<'_>,
) -> Result<Label, Error> {
    let mut tx = forge.db().read().await?;
    get_called(&mut tx, access.project(), called).await
}

fn checked_title(fields: &mut FieldErrors, title: &str) -> String {
    let title = title.trim();
    if title.is_empty() {
        fields.add("title", "can't be blank");
    } else if title.chars().count() > MAX_TITLE_CHARACTERS {
        fields.add("title", format!("is too long (maximum is {MAX_TITLE_CHARACTERS} characters)"));
    } else if title.chars().any(|character| character.is_control() || character == ',') {
        fields.add("title", "can't contain commas or control characters");
    }
    title.to_owned()
}

fn checked_color(fields: &mut FieldErrors, color: &str) -> String {
    match Color::parse(color) {
        Some(color) => color.as_str().to_owned(),
        None => {
            fields.add("color", "must be a valid color code");
            String::new()
        }
    }
}

fn check_rest(fields: &mut FieldErrors, label: &Label) {
    let description = label.description.as_deref().unwrap_or_default();
    check_text(fields, "description", description, MAX_DESCRIPTION_CHARACTERS);
    if label.priority.is_some_and(|priority| !(0..=i64::from(i32::MAX)).contains(&priority)) {
        fields.add("priority", "must be greater than or equal to 0");
    }
}

async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    event: &'static str,
    (id, title): (LabelId, &str),
    now: i64,
) -> Result<(), Error> {
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    let entry = entry.target("Label", id.0).details(json!({ "title": title }));
    audit::record(tx, access.viewer(), entry, now).await
}

async fn check_count(tx: &mut Tx, project: ProjectId) -> Result<(), Error> {
    if labels::count(tx, project).await? > MAX_LABELS_OF_PROJECT {
        let problem = format!("are too many in this project (maximum is {MAX_LABELS_OF_PROJECT})");
        return Err(Error::invalid("labels", problem));
    }
    Ok(())
}

/// Makes a label.
///
/// # Errors
/// [`Error::Conflict`] when the project has one with this title; [`Error::Invalid`] for a field.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::AdministerLabels>,
    request: NewLabelRequest,
) -> Result<Label, Error> {
    let mut fields = FieldErrors::default();
    let mut label = Label {
        id: LabelId(0),
        project: access.project(),
        title: checked_title(&mut fields, &request.title),
        color: checked_color(&mut fields, &request.color),
        description: request.description.filter(|text| !text.is_empty()),
        priority: request.priority,
    };
    check_rest(&mut fields, &label);
    fields.finish()?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    label.id = labels::insert(&mut tx, &label, now).await.map_err(|error| match error {
        db::Error::Unique { .. } => Error::Conflict("Label already exists".to_owned()),
        other => other.into(),
    })?;
    check_count(&mut tx, access.project()).await?;
    record(&mut tx, &access, "label_created", (label.id, &label.title), now).await?;
    tx.commit().await?;
    Ok(label)
}

/// Changes a label. Issues that have it show what it became.
///
/// # Errors
/// [`Error::NotFound`] when the project has none that is called so; [`Error::Invalid`] for a field.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::AdministerLabels>,
    called: LabelReference<'_>,
    changes: LabelChanges,
) -> Result<Label, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let mut label = get_called(&mut tx, access.project(), called).await?;
    let mut fields = FieldErrors::default();
    if let Some(title) = &changes.title {
        label.title = checked_title(&mut fields, title);
    }
    if let Some(color) = &changes.color {
        label.color = checked_color(&mut fields, color);
    }
    if let Some(description) = changes.description {
        label.description = description.filter(|text| !text.is_empty());
    }
    label.priority = changes.priority.unwrap_or(label.priority);
    check_rest(&mut fields, &label);
    fields.finish()?;
    labels::update(&mut tx, &label, now).await.map_err(|error| match error {
        db::Error::Unique { .. } => Error::invalid("title", "has already been taken"),
        other => other.into(),
    })?;
    record(&mut tx, &access, "label_updated", (label.id, &label.title), now).await?;
    tx.commit().await?;
    Ok(label)
}

/// Deletes a label. Issues lose it.
///
/// # Errors
/// [`Error::NotFound`] when the project has none that is called so.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerLabels>,
    called: LabelReference<'_>,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let label = get_called(&mut tx, access.project(), called).await?;
    labels::delete(&mut tx, access.project(), label.id).await?;
    record(&mut tx, &access, "label_deleted", (label.id, &label.title), now).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes those of the labels with these titles that the project does not have yet.
///
/// # Errors
/// [`Error::Invalid`] when the project has too many.
pub(crate) async fn ensure<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    titles: &[String],
    now: i64,
) -> Result<(), Error> {
    let mut made = false;
    // In one order, so that two who make the same labels do not wait for each other.
    let mut titles: Vec<_> = titles.iter().collect();
    titles.sort_unstable();
    for title in titles {
        if labels::ensure(tx, access.project(), title, Color::DEFAULT, now).await? {
            made = true;
            if let Some(label) = labels::find_by_title(tx, access.project(), title).await? {
                record(tx, access, "label_created", (label.id, title), now).await?;
            }
        }
    }
    if made { check_count(tx, access.project()).await } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_trimmed_and_bounded() {
        for (title, fine) in
            [(" bug ", true), ("", false), (" ", false), ("a,b", false), ("a\nb", false), ("a::b", true)]
        {
            let mut fields = FieldErrors::default();
            checked_title(&mut fields, title);
            assert_eq!(fields.finish().is_ok(), fine, "{title:?}");
        }
        let mut fields = FieldErrors::default();
        assert_eq!(checked_title(&mut fields, &"é".repeat(MAX_TITLE_CHARACTERS)).chars().count(), 255);
        checked_title(&mut fields, &"é".repeat(MAX_TITLE_CHARACTERS + 1));
        assert!(fields.finish().is_err());
    }
}
