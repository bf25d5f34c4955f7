//! The end of a project or a group: asked for on a page that names what goes with it, and done once its path was typed.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, Viewer, authorize};
use portcullis_app::records::access_tokens::TokenFilter;
use portcullis_app::records::namespaces::NamespaceFilter;
use portcullis_app::records::projects::ProjectFilter;
use portcullis_app::records::select::Window;
use portcullis_app::registry::repositories::{self, Wanted};
use portcullis_app::tokens::{self, TokenHome};
use portcullis_app::{groups, projects, sessions};
use portcullis_rules::access::{act, on};
use portcullis_rules::id::NamespaceId;
use portcullis_rules::names::IdOrPath;

use super::fields::TextField;
use super::form::Form;
use super::project_settings;
use super::{Around, PageError, PageResult, html, see_other};
use crate::AppState;

/// Asks for the number of what there is, and for as little else as possible.
const COUNTED: Window = Window { limit: 1, offset: 0 };

/// A question that is answered by typing a path.
#[derive(Template)]
#[template(path = "deletion.html")]
struct DeletionPage {
    around: Around,
    /// `project` or `group`.
    of: &'static str,
    full_path: String,
    /// What goes with it, and what then stops working.
    goes: Vec<String>,
    /// The settings; the form is sent to `delete` below them.
    back: String,
    typed: TextField,
}

/// Returns the field for the path, as it was typed, if it was.
fn typed(form: Option<&Form>, full_path: &str) -> TextField {
    let field = TextField::new("full_path", "Its full path").hint("Type it as it stands above.");
    match form {
        None => field,
        Some(form) => field
            .with(form.text("full_path"))
            .wrong(Some(format!("This is not {full_path}, so nothing was deleted."))),
    }
}

fn agrees(form: &Form, full_path: &str) -> bool {
    form.text("full_path").trim() == full_path
}

fn status(form: Option<&Form>) -> StatusCode {
    if form.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

fn count(number: i64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Returns what is said of the living tokens of a project or group, if there are any.
async fn of_tokens<P: TokenHome>(
    state: &AppState,
    listing: &Authorized<P::List>,
    of: &str,
) -> Result<Option<String>, PageError> {
    let living = TokenFilter { active: Some(true), ..TokenFilter::default() };
    let found = tokens::list::<P>(&state.forge, listing, &living, COUNTED).await?;
    let number = found.total.unwrap_or(found.items.len() as i64);
    Ok((number > 0).then(|| {
        format!(
            "{} that can be used now, each with its bot: whatever uses one is refused with its next request.",
            count(number, &format!("{of} access token"), &format!("{of} access tokens"))
        )
    }))
}

/// Returns where somebody goes from what they deleted: to the group it was in, if they see that.
async fn above(
    state: &AppState,
    viewer: &Viewer,
    namespace: Option<NamespaceId>,
) -> Result<String, PageError> {
    if let Some(id) = namespace {
        let reference = Some(IdOrPath::Id(id.0));
        let group = authorize::<act::ReadGroup>(&state.forge, viewer.clone(), reference).await?;
        if let Ok(group) = group {
            return Ok(format!("/groups/{}", group.namespace().full_path));
        }
    }
    Ok("/dashboard".to_owned())
}

async fn page_of_project(
    state: &AppState,
    access: &Authorized<act::DeleteProject>,
    around: Around,
    form: Option<&Form>,
) -> PageResult {
    let full_path = access.place().full_path.clone();
    let mut goes = vec!["The repository, with every branch, tag and large file that was pushed.".to_owned()];
    // Where the registry is off, what was pushed before goes all the same.
    if state.forge.settings().container_registry
        && let Ok(reading) = access.also::<act::ReadContainerRepositories>()
    {
        let found = repositories::list_of_project(&state.forge, &reading, Wanted::default(), COUNTED).await?;
        let number = found.total.unwrap_or(found.items.len() as i64);
        if number > 0 {
            goes.push(format!(
                "{}: whoever pulls one of its images is told that there is none.",
                count(number, "image repository", "image repositories")
            ));
        }
    } else {
        goes.push("Its container images, if there are any.".to_owned());
    }
    if let Ok(listing) = access.also::<act::ListAccessTokens>() {
        goes.extend(of_tokens::<on::Project>(state, &listing, "project").await?);
    }
    goes.push("Issues, merge requests, releases, packages and uploaded files.".to_owned());
    goes.push("Its address, which somebody else may take.".to_owned());
    let page = DeletionPage {
        around: around.of(state, access.viewer()).await?,
        of: "project",
        back: project_settings::address_of(&full_path),
        typed: typed(form, &full_path),
        full_path,
        goes,
    };
    Ok(html(status(form), &page))
}

/// Asks before a project is deleted.
pub async fn confirm_of_project(
    access: Authorized<act::DeleteProject>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    page_of_project(&state, &access, around, None).await
}

/// Deletes a project whose path was typed.
pub async fn delete_project(
    access: Authorized<act::DeleteProject>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let full_path = &access.place().full_path;
    if !agrees(&form, full_path) {
        return page_of_project(&state, &access, around, Some(&form)).await;
    }
    projects::delete(&state.forge, &access).await?;
    let said = format!("The project {full_path} was deleted.");
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&above(&state, access.viewer(), Some(access.place().namespace)).await?))
}

async fn page_of_group(
    state: &AppState,
    access: &Authorized<act::DeleteGroup>,
    around: Around,
    form: Option<&Form>,
) -> PageResult {
    let group = access.namespace();
    let filter = ProjectFilter { below: Some(group.id), ..ProjectFilter::default() };
    let found = projects::list(&state.forge, access.viewer(), &filter, COUNTED).await?;
    let projects = found.total.unwrap_or(found.items.len() as i64);
    let filter = NamespaceFilter { below: Some(group.id), ..NamespaceFilter::default() };
    let found = groups::list(&state.forge, access.viewer(), &filter, COUNTED).await?;
    let groups = found.total.unwrap_or(found.items.len() as i64);
    let mut goes = Vec::new();
    if groups > 0 {
        goes.push(format!("{} inside it, with their members.", count(groups, "group", "groups")));
    }
    if projects > 0 {
        goes.push(format!(
            "{}, everything included: repositories, images, issues, merge requests, packages.",
            count(projects, "project", "projects")
        ));
        let tokens = "The access tokens of these projects, and their bots: whatever uses one is refused with its next \
                      request.";
        goes.push(tokens.to_owned());
    }
    if let Ok(listing) = access.also::<act::ListGroupAccessTokens>() {
        goes.extend(of_tokens::<on::Group>(state, &listing, "group").await?);
    }
    goes.push("The roles that its members have through it.".to_owned());
    goes.push("Its address, which somebody else may take.".to_owned());
    let page = DeletionPage {
        around: around.of(state, access.viewer()).await?,
        of: "group",
        back: format!("/groups/{}/-/edit", group.full_path),
        typed: typed(form, &group.full_path),
        full_path: group.full_path.clone(),
        goes,
    };
    Ok(html(status(form), &page))
}

/// Asks before a group is deleted.
pub async fn confirm_of_group(
    access: Authorized<act::DeleteGroup>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    page_of_group(&state, &access, around, None).await
}

/// Deletes a group whose path was typed.
pub async fn delete_group(
    access: Authorized<act::DeleteGroup>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let group = access.namespace();
    if !agrees(&form, &group.full_path) {
        return page_of_group(&state, &access, around, Some(&form)).await;
    }
    groups::delete(&state.forge, &access).await?;
    let said = format!("The group {} was deleted, with everything in it.", group.full_path);
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&above(&state, access.viewer(), group.parent).await?))
}
