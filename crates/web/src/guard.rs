//! Extractors that are access rules.
//!
//! The first argument of every handler is one of these, which [`routes`](crate::routes) reads the rule from: enforcement
//! and documentation cannot part. A guard answers before the body is read.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use portcullis_app::access::{
    self, Authorized, Place, Purpose, Reading, Refused, Viewer, authenticate, authorize_within,
};
use portcullis_app::tokens::TokenHome;
use portcullis_rules::access::{Act, Action, Denial, on};
use portcullis_rules::names::IdOrPath;

use crate::AppState;
use crate::client::Client;
use crate::credential::Presented;
use crate::door::Door;
use crate::error::Refusal;
use crate::pages::{PageError, cookies, second_factor};
use crate::params::query_pairs;
use crate::rate_limit;

/// The access rule of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Open to everybody, for this reason.
    Public(&'static str),
    /// The rules decide about this action.
    Action(Action),
    /// A parameter says which of these actions the rules decide about.
    OneOf(&'static [Action]),
}

/// A handler's first argument.
pub trait Guard {
    /// The access rule it enforces.
    const ACCESS: Access;
}

/// How a place is found in a path: by the parameter `id`.
pub trait PlaceInPath: Place {
    /// Returns what `id` refers to.
    fn reference(id: Option<&str>) -> Self::Reference;
}

impl PlaceInPath for on::Instance {
    fn reference(_: Option<&str>) {}
}

impl PlaceInPath for on::Project {
    fn reference(id: Option<&str>) -> Option<IdOrPath> {
        id.and_then(IdOrPath::parse)
    }
}

impl PlaceInPath for on::Group {
    fn reference(id: Option<&str>) -> Option<IdOrPath> {
        id.and_then(IdOrPath::parse)
    }
}

impl PlaceInPath for on::Namespace {
    fn reference(id: Option<&str>) -> Option<IdOrPath> {
        id.and_then(IdOrPath::parse)
    }
}

/// Returns who is asking: authenticated, or anonymous when nothing was presented.
///
/// # Errors
/// The refusal of a presented credential, in the door's dialect.
pub(crate) async fn viewer(
    parts: &Parts,
    state: &AppState,
    reading: &mut Reading,
    door: Door,
) -> Result<Viewer, Refusal> {
    let settings = state.forge.settings();
    let origin = Client::from_parts(parts).origin();
    if door == Door::Pages {
        let Some(secret) = cookies::SESSION.read(parts, settings) else {
            return Ok(Viewer::anonymous(origin));
        };
        let viewer = access::authenticate_session(&state.forge, reading, &secret, origin)
            .await
            .map_err(|error| Refusal::error(door, error))?;
        if viewer.lacks_second_factor() && !second_factor::is_open_without(parts.uri.path()) {
            return Err(Refusal::Page(PageError::SecondFactorFirst));
        }
        return Ok(viewer);
    }
    let realm = &settings.git_realm;
    let secret = match Presented::find(parts, door, settings.allow_token_in_query) {
        Presented::Nothing => return Ok(Viewer::anonymous(origin)),
        // It is a wrong secret like any other: counted, and refused in the same words.
        Presented::Unusable => String::new(),
        Presented::Secret(secret) => secret,
    };
    let purpose = match door {
        Door::Api if parts.uri.path().ends_with("/rotate") => Purpose::Rotation,
        _ => Purpose::Other,
    };
    let viewer = authenticate(&state.forge, reading, &secret, purpose, origin)
        .await
        .map_err(|why| Refusal::unauthenticated(door, why, realm))?;
    rate_limit::count(parts, state, &viewer).map_err(Refusal::TooMany)?;
    match sudo(parts).filter(|_| door == Door::Api) {
        Some(user) => access::act_as(&state.forge, reading, viewer, &user)
            .await
            .map_err(|error| Refusal::error(door, error)),
        None => Ok(viewer),
    }
}

/// Returns the user that an administrator asks to act as.
fn sudo(parts: &Parts) -> Option<String> {
    let header = parts.headers.get("sudo").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let found = header.or_else(|| {
        query_pairs(parts.uri.query().unwrap_or_default())
            .into_iter()
            .find(|(name, _)| name == "sudo")
            .map(|(_, user)| user)
    });
    found.filter(|user| !user.trim().is_empty())
}

/// Asks the rules about `A` at the place that the path names.
pub(crate) async fn ask<A: Act>(
    parts: &mut Parts,
    state: &AppState,
    reading: &mut Reading,
    viewer: Viewer,
    door: Door,
) -> Result<Result<Authorized<A>, Refused>, Refusal>
where
    A::On: PlaceInPath,
{
    let params = RawPathParams::from_request_parts(parts, state).await.ok();
    let id = params.iter().flatten().find(|(name, _)| *name == "id").map(|(_, value)| value);
    let reference = A::On::reference(id);
    authorize_within::<A>(&state.forge, reading, viewer, reference)
        .await
        .map_err(|error| Refusal::error(door, error))
}

fn door_of(parts: &Parts) -> Door {
    Door::of(parts.uri.path()).unwrap_or(Door::Api)
}

impl<A: Act> Guard for Authorized<A>
where
    A::On: Place,
{
    const ACCESS: Access = Access::Action(A::ACTION);
}

impl<A: Act> FromRequestParts<AppState> for Authorized<A>
where
    A::On: PlaceInPath,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        Ok(Admitted::from_request_parts(parts, state).await?.access)
    }
}

/// Like [`Authorized`], with the read transaction that the caller was admitted in, for a handler that answers with what it
/// reads and nothing else. It must not write, nor read in another transaction, while it holds this one.
#[derive(Debug)]
pub struct Admitted<A: Act>
where
    A::On: Place,
{
    /// What the caller may do.
    pub access: Authorized<A>,
    /// The transaction.
    pub reading: Reading,
}

impl<A: Act> Guard for Admitted<A>
where
    A::On: Place,
{
    const ACCESS: Access = Access::Action(A::ACTION);
}

impl<A: Act> FromRequestParts<AppState> for Admitted<A>
where
    A::On: PlaceInPath,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let door = door_of(parts);
        let mut reading = Reading::default();
        let viewer = viewer(parts, state, &mut reading, door).await?;
        let asked = ask::<A>(parts, state, &mut reading, viewer, door).await?;
        let access =
            asked.map_err(|refused| Refusal::refused(door, &refused, &state.forge.settings().git_realm))?;
        Ok(Admitted { access, reading })
    }
}

/// Like [`Authorized`], for a route whose refusal has to name a thing or leave a trace in the audit log: a caller who may
/// see the project or group but not do this comes through with what they may see, and the handler must answer them.
#[derive(Debug)]
pub enum Attempt<A: Act>
where
    A::On: TokenHome,
{
    /// The caller may.
    Allowed(Authorized<A>),
    /// The caller may see the project or group, but their role is too low for this, or they are a bot that may never.
    Refused(Authorized<<A::On as TokenHome>::Read>),
}

impl<A: Act> Guard for Attempt<A>
where
    A::On: TokenHome,
{
    const ACCESS: Access = Access::Action(A::ACTION);
}

impl<A: Act> FromRequestParts<AppState> for Attempt<A>
where
    A::On: TokenHome + PlaceInPath,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let door = door_of(parts);
        let realm = &state.forge.settings().git_realm;
        let mut reading = Reading::default();
        let viewer = viewer(parts, state, &mut reading, door).await?;
        match ask::<A>(parts, state, &mut reading, viewer, door).await? {
            Ok(access) => Ok(Attempt::Allowed(access)),
            Err(refused) if matches!(refused.denial, Denial::RoleTooLow(_) | Denial::NotForBots) => {
                match ask::<<A::On as TokenHome>::Read>(parts, state, &mut reading, refused.viewer, door)
                    .await?
                {
                    Ok(access) => Ok(Attempt::Refused(access)),
                    Err(refused) => Err(Refusal::refused(door, &refused, realm)),
                }
            }
            Err(refused) => Err(Refusal::refused(door, &refused, realm)),
        }
    }
}

/// A signal of life for whoever watches over the forge.
#[derive(Clone, Copy, Debug)]
pub struct Liveness;

impl Guard for Liveness {
    const ACCESS: Access =
        Access::Public("a load balancer has no token; the answer says nothing but that we live");
}

impl FromRequestParts<AppState> for Liveness {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Liveness)
    }
}

/// A redirect that is computed from the address alone and does not depend on whether anything exists.
#[derive(Clone, Copy, Debug)]
pub struct AddressOnly;

impl Guard for AddressOnly {
    const ACCESS: Access =
        Access::Public("it only rewrites the address, the same whether the project exists or not");
}

impl FromRequestParts<AppState> for AddressOnly {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(AddressOnly)
    }
}

/// A description of this version of the forge, and of nothing that is in it.
#[derive(Clone, Copy, Debug)]
pub struct AboutVersion;

impl Guard for AboutVersion {
    const ACCESS: Access = Access::Public(
        "it describes this version of the forge, and nothing that is in it or how it is set up",
    );
}

impl FromRequestParts<AppState> for AboutVersion {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(AboutVersion)
    }
}
