//! The access rules of the registry's routes.
//!
//! A bearer must be genuine, name the image and the action, and have a living token behind it; and then the rules are
//! asked as they are asked at every door. A bearer that says too little is answered with the way to one that says more.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use portcullis_app::Error;
use portcullis_app::access::{
    Authorized, Reading, Unauthenticated, Viewer, authenticate_holder, authorize_image, authorize_within,
};
use portcullis_app::bearers::Claims;
use portcullis_app::registry::protocol::{
    Challenge, ChallengeError, Endpoint, ErrorCode, MAX_REPOSITORY_NAME_BYTES, RepositoryName, ResourceType,
    ScopeAction, ScopeEntry,
};
use portcullis_app::registry::{Image, ImageError, SERVICE, grants};
use portcullis_rules::access::{Act, Denial, act, on};

use super::parameter;
use crate::AppState;
use crate::client::Client;
use crate::credential;
use crate::door::Door;
use crate::error::RegistryError;
use crate::guard::{Access, Guard, viewer};
use crate::server::Peer;

/// Returns the origin of the token endpoint: the configured address, or our own as the client reached it. It never comes
/// from a header, because clients send their passwords there.
pub(super) fn origin(parts: &Parts, state: &AppState) -> String {
    let settings = state.forge.settings();
    match (&settings.external_url, parts.extensions.get::<Peer>()) {
        (Some(url), _) => url.clone(),
        (None, Some(peer)) => format!("{}://{}", if peer.encrypted { "https" } else { "http" }, peer.local),
        (None, None) => format!("http://{}", settings.listen),
    }
}

/// Returns the host and port that stand before the names of images.
fn host(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

/// What a client is told that lacks something.
#[derive(Clone, Debug)]
struct Desk {
    realm: String,
    scope: Vec<ScopeEntry>,
}

impl Desk {
    fn new(parts: &Parts, state: &AppState, scope: Vec<ScopeEntry>) -> Desk {
        Desk { realm: format!("{}/jwt/auth", origin(parts, state)), scope }
    }

    fn send_there(&self, error: Option<ChallengeError>) -> RegistryError {
        let challenge = Challenge { realm: &self.realm, service: SERVICE, scope: &self.scope, error };
        RegistryError::challenge(&challenge)
    }
}

/// A genuine bearer with a living token behind it, or with nobody.
struct Bearer {
    claims: Arc<Claims>,
    viewer: Viewer,
    reading: Reading,
}

impl Bearer {
    async fn find(parts: &Parts, state: &AppState, desk: &Desk) -> Result<Bearer, RegistryError> {
        let invalid = || desk.send_there(Some(ChallengeError::InvalidToken));
        let text = credential::bearer(&parts.headers).ok_or_else(|| desk.send_there(None))?;
        let claims = grants::verify(&state.forge, text).map_err(|refusal| {
            tracing::debug!(%refusal, "a bearer was refused");
            invalid()
        })?;
        let mut reading = Reading::default();
        let origin = Client::from_parts(parts).origin();
        match authenticate_holder(&state.forge, &mut reading, claims.token, origin).await {
            Ok(viewer) => Ok(Bearer { claims, viewer, reading }),
            Err(Unauthenticated::Internal(error)) => Err(ImageError::Forge(error).into()),
            Err(_) => Err(invalid()),
        }
    }

    fn names(&self, resource: ResourceType, name: &str, action: ScopeAction) -> bool {
        self.claims.access.iter().any(|entry| {
            entry.resource == resource
                && entry.name == name
                && (entry.actions.contains(&action) || entry.actions.contains(&ScopeAction::Any))
        })
    }
}

/// Any bearer, also an anonymous one.
#[derive(Clone, Copy, Debug)]
pub struct AnyBearer;

impl Guard for AnyBearer {
    const ACCESS: Access = Access::Public(
        "any genuine bearer is let in, also a visitor's; it says only that a registry is here",
    );
}

impl FromRequestParts<AppState> for AnyBearer {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<AnyBearer, RegistryError> {
        let desk = Desk::new(parts, state, Vec::new());
        Bearer::find(parts, state, &desk).await?;
        Ok(AnyBearer)
    }
}

/// An action on an image, and the word that a bearer has for it.
pub trait ImageAct: Act<On = on::Project> {
    /// The word.
    const WORD: ScopeAction;
    /// What a client is told to ask for.
    const OFFER: &'static [ScopeAction];
}

impl ImageAct for act::PullImage {
    const WORD: ScopeAction = ScopeAction::Pull;
    const OFFER: &'static [ScopeAction] = &[ScopeAction::Pull];
}

impl ImageAct for act::PushImage {
    const WORD: ScopeAction = ScopeAction::Push;
    // Pushing alone is enough, but clients look first what is there.
    const OFFER: &'static [ScopeAction] = &[ScopeAction::Pull, ScopeAction::Push];
}

impl ImageAct for act::DeleteImage {
    const WORD: ScopeAction = ScopeAction::Delete;
    const OFFER: &'static [ScopeAction] = &[ScopeAction::Delete];
}

/// The permission for one action on the image that the path names.
pub struct OnImage<A: ImageAct> {
    /// The image.
    pub image: Image<A>,
    /// What the path stands for.
    pub endpoint: Endpoint,
    /// The transaction that the caller was admitted in, where they are to be shown something. What writes, and may take
    /// hours, holds none.
    pub reading: Reading,
    /// Who asks, for what goes beyond the image.
    pub visitor: Visitor,
}

/// Who asks for something, with which bearer.
#[derive(Clone, Debug)]
pub struct Visitor {
    bearer: Arc<Claims>,
    viewer: Viewer,
    desk: Desk,
}

impl<A: ImageAct> std::fmt::Debug for OnImage<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnImage").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl<A: ImageAct> Guard for OnImage<A> {
    const ACCESS: Access = Access::Action(A::ACTION);
}

impl<A: ImageAct> FromRequestParts<AppState> for OnImage<A> {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<OnImage<A>, RegistryError> {
        let endpoint = parts.extensions.get::<Endpoint>().cloned();
        let found = endpoint.and_then(|endpoint| Some((endpoint.repository()?.clone(), endpoint)));
        let (name, endpoint) = found.ok_or_else(|| RegistryError::code(ErrorCode::NameUnknown))?;
        let longest = MAX_REPOSITORY_NAME_BYTES.saturating_sub(host(&origin(parts, state)).len() + 1);
        if name.as_str().len() > longest {
            let text = format!("the name of the repository is longer than {longest} characters");
            return Err(RegistryError::said(ErrorCode::NameInvalid, text));
        }
        let mut scope = vec![ScopeEntry::repository(&name, A::OFFER)];
        if matches!(endpoint, Endpoint::Uploads { .. }) {
            // Whoever is about to mount a blob needs to be told once what for.
            let source = parameter(parts, "from").and_then(|from| RepositoryName::parse(&from).ok());
            scope.extend(source.map(|source| ScopeEntry::repository(source, &[ScopeAction::Pull])));
        }
        let desk = Desk::new(parts, state, scope);
        let Bearer { claims, viewer, mut reading } = {
            let bearer = Bearer::find(parts, state, &desk).await?;
            // Before the scope: a bearer that is made now does not name what would change something.
            if state.forge.settings().registry_read_only && A::WORD != ScopeAction::Pull {
                return Err(ImageError::unavailable("the registry is read-only for now").into());
            }
            if !bearer.names(ResourceType::Repository, name.as_str(), A::WORD) {
                return Err(desk.send_there(Some(ChallengeError::InsufficientScope)));
            }
            bearer
        };
        let asked = authorize_image::<A>(&state.forge, &mut reading, viewer.clone(), name).await;
        match asked.map_err(ImageError::Forge)? {
            Ok(image) => {
                if A::WORD != ScopeAction::Pull {
                    reading = Reading::default();
                }
                let visitor = Visitor { bearer: claims, viewer, desk };
                Ok(OnImage { image, endpoint, reading, visitor })
            }
            Err(refused) => Err(refusal(refused.denial, &desk)),
        }
    }
}

/// The answer when a bearer says yes and the rules, asked now, say no.
fn refusal(denial: Denial, desk: &Desk) -> RegistryError {
    match denial {
        Denial::NotVisible | Denial::FeatureOff(_) => RegistryError::code(ErrorCode::NameUnknown),
        Denial::Archived => RegistryError::said(ErrorCode::Denied, "the project is archived"),
        _ => desk.send_there(Some(ChallengeError::InsufficientScope)),
    }
}

impl<A: ImageAct> OnImage<A> {
    /// Turns an error of the use case into an answer. What the rules refuse inside it is answered as at the door.
    pub fn error(&self, error: ImageError) -> RegistryError {
        let desk = &self.visitor.desk;
        match error {
            ImageError::Forge(Error::Unauthorized) => desk.send_there(Some(ChallengeError::InvalidToken)),
            ImageError::Forge(Error::Refused(denial)) => refusal(denial, desk),
            other => other.into(),
        }
    }
}

impl Visitor {
    /// Asks whether the caller may pull from another image too. `None` when they may not, whatever bearer they had.
    ///
    /// # Errors
    /// The challenge that names both images, when they may and their bearer does not say so yet.
    pub async fn may_pull_from(
        &self,
        state: &AppState,
        source: RepositoryName,
    ) -> Result<Option<Image<act::PullImage>>, RegistryError> {
        let named = self.bearer.access.iter().any(|entry| {
            entry.resource == ResourceType::Repository
                && entry.name == source.as_str()
                && entry.actions.iter().any(|action| matches!(action, ScopeAction::Pull | ScopeAction::Any))
        });
        let mut reading = Reading::default();
        let viewer = self.viewer.clone();
        let asked =
            authorize_image::<act::PullImage>(&state.forge, &mut reading, viewer, source.clone()).await;
        match asked.map_err(ImageError::Forge)? {
            Err(_) => Ok(None),
            Ok(image) if named => Ok(Some(image)),
            // What is offered names both images.
            Ok(_) => Err(self.desk.send_there(Some(ChallengeError::InsufficientScope))),
        }
    }
}

/// The permission to list every image of the instance.
#[derive(Debug)]
pub struct Catalog(pub Authorized<act::ReadCatalog>);

impl Guard for Catalog {
    const ACCESS: Access = Access::Action(<act::ReadCatalog as Act>::ACTION);
}

impl FromRequestParts<AppState> for Catalog {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Catalog, RegistryError> {
        let entry = ScopeEntry {
            resource: ResourceType::Registry,
            name: "catalog".to_owned(),
            actions: vec![ScopeAction::Any],
        };
        let desk = Desk::new(parts, state, vec![entry]);
        let mut bearer = Bearer::find(parts, state, &desk).await?;
        if !bearer.names(ResourceType::Registry, "catalog", ScopeAction::Any) {
            return Err(desk.send_there(Some(ChallengeError::InsufficientScope)));
        }
        let asked = authorize_within(&state.forge, &mut bearer.reading, bearer.viewer, ()).await;
        match asked.map_err(ImageError::Forge)? {
            Ok(access) => Ok(Catalog(access)),
            Err(refused) => Err(refusal(refused.denial, &desk)),
        }
    }
}

/// Whoever asks the token endpoint: a living credential, or nobody.
#[derive(Debug)]
pub struct Applicant {
    /// Who asks.
    pub viewer: Viewer,
    /// The transaction that they were recognised in.
    pub reading: Reading,
}

impl Guard for Applicant {
    const ACCESS: Access =
        Access::Public("whoever asks is given as much as the rules allow for each thing that is asked for");
}

impl FromRequestParts<AppState> for Applicant {
    type Rejection = crate::error::Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Applicant, Self::Rejection> {
        let mut reading = Reading::default();
        let viewer = viewer(parts, state, &mut reading, Door::Registry).await?;
        Ok(Applicant { viewer, reading })
    }
}

/// Keys that anybody may have.
#[derive(Clone, Copy, Debug)]
pub struct PublicKeys;

impl Guard for PublicKeys {
    const ACCESS: Access = Access::Public("whoever checks our bearers needs the public keys");
}

impl FromRequestParts<AppState> for PublicKeys {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(PublicKeys)
    }
}
