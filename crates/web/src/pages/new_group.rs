//! Making a group, at the top or inside another one.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, authorize};
use portcullis_app::groups::{self, NewGroupRequest};
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Visibility, act};
use portcullis_rules::id::NamespaceId;
use portcullis_rules::names::{IdOrPath, PathSegment};

use super::fields::{Problems, TextField, Ticks};
use super::form::Form;
use super::{Around, PageError, PageResult, html, see_other, words};
use crate::AppState;

/// The group that a new one goes into.
struct Parent {
    id: NamespaceId,
    name: String,
    full_path: String,
    visibility: Visibility,
}

#[derive(Template)]
#[template(path = "new_group.html")]
struct NewGroupPage {
    around: Around,
    parent: Option<Parent>,
    problem: Option<String>,
    name: TextField,
    path: TextField,
    description: TextField,
    visibility: Ticks,
}

/// Finds the group that a new one is to go into. One that is hidden, missing, or in which the caller makes none: one answer.
async fn parent(
    state: &AppState,
    access: &Authorized<act::CreateGroup>,
    text: &str,
) -> Result<Option<Parent>, PageError> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = text.parse().map_err(|_| PageError::NotFound)?;
    let reference = Some(IdOrPath::Id(id));
    let place = authorize::<act::CreateSubgroup>(&state.forge, access.viewer().clone(), reference).await?;
    let place = place.map_err(|_| PageError::NotFound)?;
    let group = place.namespace();
    Ok(Some(Parent {
        id: group.id,
        name: group.name.clone(),
        full_path: group.full_path.clone(),
        visibility: group.visibility,
    }))
}

async fn page(
    state: &AppState,
    access: &Authorized<act::CreateGroup>,
    around: Around,
    parent: Option<Parent>,
    typed: Option<&Form>,
    wrong: (Problems, Option<String>),
) -> Result<NewGroupPage, PageError> {
    let (problems, problem) = wrong;
    let text = |name: &str| typed.map_or("", |form| form.text(name)).to_owned();
    let chosen = Visibility::from_name(&text("visibility")).unwrap_or(Visibility::Private);
    let widest = parent.as_ref().map_or(Visibility::Public, |parent| parent.visibility);
    Ok(NewGroupPage {
        name: TextField::new("name", "Group name")
            .with(text("name"))
            .wrong(problems.with("name", "The name")),
        path: TextField::new("path", "Path")
            .optional()
            .hint("The last part of the group's address. Without one it is made from the name.")
            .with(text("path"))
            .wrong(problems.with("path", "The path")),
        description: TextField::new("description", "Description")
            .optional()
            .with(text("description"))
            .wrong(problems.with("description", "The description")),
        visibility: words::visibilities(widest, chosen, problems.with("visibility_level", "It")),
        around: around.of(state, access.viewer()).await?,
        parent,
        problem,
    })
}

/// Answers the form for a new group.
pub async fn form(
    access: Authorized<act::CreateGroup>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let parent = parent(&state, &access, around.query("parent_id")).await?;
    let page = page(&state, &access, around, parent, None, (Problems::default(), None)).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Creates a group.
pub async fn create(
    access: Authorized<act::CreateGroup>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let parent = parent(&state, &access, form.text("parent_id")).await?;
    let name = form.text("name").trim();
    let path = match form.text("path").trim() {
        "" => PathSegment::from_name(name).map(|path| path.to_string()).unwrap_or_default(),
        path => path.to_owned(),
    };
    let request = NewGroupRequest {
        name: name.to_owned(),
        path,
        parent: parent.as_ref().map(|parent| parent.id),
        description: form.text("description").trim().to_owned(),
        visibility: Visibility::from_name(form.text("visibility")),
    };
    let wrong = match groups::create(&state.forge, &access, request).await {
        Ok(group) => {
            let said = format!("Group {} was created.", group.name);
            sessions::set_notice(&state.forge, access.viewer(), &said).await?;
            return Ok(see_other(&format!("/groups/{}", group.full_path)));
        }
        Err(Error::Invalid(fields)) => {
            let too_deep = fields.iter().find(|(field, _)| *field == "parent_id");
            let problem = too_deep.map(|(_, problem)| format!("The group above {problem}"));
            (Problems::of(fields), problem)
        }
        Err(error) => return Err(error.into()),
    };
    let page = page(&state, &access, around, parent, Some(&form), wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
