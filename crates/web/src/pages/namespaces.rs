//! What a single name leads to: `/acme` to the group of that name, `/maria` to the page of a person.

use askama::Template;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use portcullis_app::access::{Authorized, Reading, authorize_within};
use portcullis_app::records::projects::{ProjectFilter, ProjectOrder};
use portcullis_app::records::select::Window;
use portcullis_app::records::users::UserKind;
use portcullis_app::{people, projects};
use portcullis_rules::access::{Act, act};

use super::dashboard::ProjectView;
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::door::Door;
use crate::error::Refusal;
use crate::guard::{self, Access, Guard};

/// How many projects a page shows.
const PER_PAGE: i64 = 20;

/// What a name may belong to, with the permission to see it. A name that is no group's, or a hidden one's, is taken for a
/// person's: who may not ask for people cannot tell the two apart.
#[derive(Debug)]
pub enum Named {
    /// A group that the caller may see.
    Group(Authorized<act::ReadGroup>),
    /// Perhaps a person.
    Person(Authorized<act::ReadUsers>, String),
}

impl Guard for Named {
    const ACCESS: Access = Access::OneOf(&[act::ReadGroup::ACTION, act::ReadUsers::ACTION]);
}

impl FromRequestParts<AppState> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Named, Refusal> {
        let mut reading = Reading::default();
        let viewer = guard::viewer(parts, state, &mut reading, Door::Pages).await?;
        let asked = guard::ask::<act::ReadGroup>(parts, state, &mut reading, viewer, Door::Pages).await?;
        let refused = match asked {
            Ok(access) => return Ok(Named::Group(access)),
            Err(refused) => refused,
        };
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let name = params.iter().flatten().find(|(name, _)| *name == "id").map(|(_, name)| name.to_owned());
        let asked = authorize_within::<act::ReadUsers>(&state.forge, &mut reading, refused.viewer, ()).await;
        match asked.map_err(|error| Refusal::error(Door::Pages, error))? {
            Ok(access) => Ok(Named::Person(access, name.unwrap_or_default())),
            Err(refused) => Err(Refusal::Page(PageError::refused(&refused))),
        }
    }
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    around: Around,
    name: String,
    username: String,
    initial: String,
    own: bool,
    projects: Vec<ProjectView>,
    pages: Option<Pages>,
}

/// Leads to a group, or answers the page of a person: their name, and those projects of their own that the caller may see.
pub async fn show(named: Named, State(state): State<AppState>, around: Around) -> PageResult {
    let (access, name) = match named {
        Named::Group(access) => {
            return Ok(see_other(&format!("/groups/{}", access.namespace().full_path)));
        }
        Named::Person(access, name) => (access, name),
    };
    let user = people::get_by_username(&state.forge, &access, &name).await?;
    // A bot is found through its token, and nobody is the Ghost User.
    if user.kind != UserKind::Person {
        return Err(PageError::NotFound);
    }
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let (mut items, mut pages) = (Vec::new(), None);
    if let Some(own) = projects::own_namespace(&state.forge, &access, user.id).await? {
        let filter = ProjectFilter {
            namespace: Some(own),
            order: ProjectOrder::LastActivity,
            ..ProjectFilter::default()
        };
        let found = projects::list(&state.forge, access.viewer(), &filter, window).await?;
        pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| {
            format!("/{}?page={page}", user.username)
        });
        items = found.map(ProjectView::of).items;
    }
    let page = PersonPage {
        initial: user.name.chars().next().unwrap_or('?').to_uppercase().collect(),
        own: access.viewer().identity().is_some_and(|identity| identity.user == user.id),
        around: around.of(&state, access.viewer()).await?,
        name: user.name,
        username: user.username,
        projects: items,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}
