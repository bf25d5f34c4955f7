//! Who is asking, and the proof that they may.
//!
//! [`authenticate`] turns a presented secret into a [`Viewer`]; [`authorize`] asks the rules and, when they allow it,
//! makes the one value that use cases accept: [`Authorized`]. Both read the database on every call: a token that was
//! revoked, a role that was taken away or a block bites on the very next request, in every process.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_registry::RepositoryName;
use portcullis_rules::access::{
    Act, Action, Caller, CallerKind, Denial, Facts, Known, ResourceFacts, Role, ScopeSet, decide, on,
};
use portcullis_rules::bot::Home;
use portcullis_rules::id::{NamespaceId, ProjectId, SessionId, TokenId, UserId};
use portcullis_rules::names::IdOrPath;
use portcullis_rules::secret::TokenSecret;
use portcullis_rules::token::State;
use portcullis_store::access_tokens::Holder;
use portcullis_store::audience::Audience;
use portcullis_store::db::{self, Tx};
use portcullis_store::namespaces::Namespace;
use portcullis_store::projects::ProjectFacts;
use portcullis_store::sessions::SessionHolder;
use portcullis_store::users::UserKind;
use portcullis_store::{access_tokens, namespaces, projects, second_factors, sessions, users};

use crate::Error;
use crate::forge::Forge;
use crate::metrics::TokenCheck;
use crate::registry::Image;

/// Where a request came from, for logs and the audit log.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The id that this request has in the log.
    pub request_id: Arc<str>,
}

/// The user behind a credential, and the credential itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The user's name in addresses.
    pub username: String,
    /// The user's name for people.
    pub name: String,
    /// Whether it is a bot.
    pub bot: bool,
    /// The credential.
    pub credential: Credential,
    /// The project or group that the credential belongs to; `None` of a person's.
    pub home: Option<Home>,
    /// The administrator who acts as this user, if one does.
    pub impersonator: Option<UserId>,
}

impl Identity {
    /// Returns the presented token, if it was one.
    pub fn token(&self) -> Option<TokenId> {
        match self.credential {
            Credential::Token(token) => Some(token),
            Credential::Session(_) => None,
        }
    }

    /// Returns the session, if the user signed in with a browser.
    pub fn session(&self) -> Option<SessionId> {
        match self.credential {
            Credential::Token(_) => None,
            Credential::Session(session) => Some(session),
        }
    }
}

/// What somebody is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token, which every door but the pages takes.
    Token(TokenId),
    /// A session of a browser, which only the pages take.
    Session(SessionId),
}

/// Whoever is asking: somebody known, or nobody.
#[derive(Clone, Debug)]
pub struct Viewer {
    caller: Caller,
    identity: Option<Identity>,
    origin: Origin,
    /// Why the system itself acts, when it does.
    system: Option<&'static str>,
    /// Whether this is a person who needs a second factor and has none.
    lacks_second_factor: bool,
}

impl Viewer {
    /// Returns a visitor without a credential.
    pub fn anonymous(origin: Origin) -> Viewer {
        Viewer { caller: Caller::Anonymous, identity: None, origin, system: None, lacks_second_factor: false }
    }

    /// Returns the user behind the credential, if one was presented.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns where the request came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns what the presented credential was given.
    pub fn scopes(&self) -> ScopeSet {
        match self.caller {
            Caller::Anonymous => ScopeSet::empty(),
            Caller::Known(known) => known.scopes,
        }
    }

    /// Returns whether this is an administrator of the instance.
    pub fn is_administrator(&self) -> bool {
        matches!(self.caller, Caller::Known(known) if known.administrator)
    }

    /// Returns whether this is an external user.
    pub fn is_external(&self) -> bool {
        matches!(self.caller, Caller::Known(known) if known.external)
    }

    /// Returns what the rules know of this viewer.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns whether this is somebody signed in who belongs to a group that requires a second factor, and has none. Until
    /// they have one, pages let them do nothing else.
    pub fn lacks_second_factor(&self) -> bool {
        self.lacks_second_factor
    }

    /// Returns for whom lists are made.
    pub(crate) fn audience(&self) -> Audience {
        match (&self.caller, &self.identity) {
            (Caller::Known(known), Some(identity)) => match (known.kind, identity.home) {
                (CallerKind::Bot, Some(Home::Project(project))) => Audience::Bot(identity.user, project),
                (CallerKind::Bot, Some(Home::Group(group))) => Audience::GroupBot(identity.user, group),
                (CallerKind::Bot, None) => Audience::Public,
                (CallerKind::Person, _) if known.administrator => Audience::Everything,
                (CallerKind::Person, _) => Audience::Person { user: identity.user, external: known.external },
            },
            _ => Audience::Public,
        }
    }

    /// Returns why the system acts, when no user does.
    pub(crate) fn system_reason(&self) -> Option<&'static str> {
        self.system
    }

    fn known(holder: Holder, origin: Origin) -> Viewer {
        let bot = holder.kind == UserKind::ProjectBot;
        Viewer {
            caller: Caller::Known(Known {
                kind: if bot { CallerKind::Bot } else { CallerKind::Person },
                administrator: holder.administrator && !bot,
                external: holder.external || bot,
                scopes: holder.scopes,
            }),
            identity: Some(Identity {
                user: holder.user,
                username: holder.username,
                name: holder.name,
                bot,
                credential: Credential::Token(holder.token),
                home: holder.home,
                impersonator: None,
            }),
            origin,
            system: None,
            lacks_second_factor: false,
        }
    }

    /// A session has every scope: what its person may do is decided by their role alone.
    fn signed_in(holder: SessionHolder, origin: Origin) -> Viewer {
        Viewer {
            caller: Caller::Known(Known {
                kind: CallerKind::Person,
                administrator: holder.administrator,
                external: holder.external,
                scopes: ScopeSet::FOR_PERSONAL_TOKENS,
            }),
            identity: Some(Identity {
                user: holder.user,
                username: holder.username,
                name: holder.name,
                bot: false,
                credential: Credential::Session(holder.session),
                home: None,
                impersonator: None,
            }),
            origin,
            system: None,
            lacks_second_factor: false,
        }
    }
}

/// Why a presented credential was not accepted.
#[derive(Debug)]
pub enum Unauthenticated {
    /// No token has this secret, or its kind is switched off.
    Unknown,
    /// Its date has come.
    Expired,
    /// It was revoked.
    Revoked,
    /// Its user is blocked.
    Blocked,
    /// Too many failures came from this address; try again after this many seconds.
    Throttled(u64),
    /// The database could not be asked.
    Internal(Error),
}

/// What a credential is about to be used for, where that changes what its death means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To rotate a token: doing that with a revoked one means its secret has leaked, and ends its family.
    Rotation,
    /// Anything else.
    Other,
}

/// The read transaction that one request is admitted with: who it is and what they may do are asked in one go. A use case
/// that only reads may go on with it, and then answers from the very moment at which it was allowed.
#[derive(Default)]
pub struct Reading(Option<Tx>);

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading(…)")
    }
}

impl Reading {
    pub(crate) async fn tx(&mut self, forge: &Forge) -> Result<&mut Tx, db::Error> {
        if self.0.is_none() {
            self.0 = Some(forge.db().read().await?);
        }
        // It was put there just now, unless it was there already.
        self.0.as_mut().ok_or(db::Error::Busy)
    }
}

/// Returns who holds `secret` now.
///
/// # Errors
/// Why it is not accepted.
pub async fn authenticate(
    forge: &Forge,
    reading: &mut Reading,
    secret: &str,
    purpose: Purpose,
    origin: Origin,
) -> Result<Viewer, Unauthenticated> {
    if let Some(seconds) = forge.throttle().is_over(origin.address, forge.now()) {
        forge.metrics().token_check(TokenCheck::Throttled);
        return Err(Unauthenticated::Throttled(seconds));
    }
    let answer = check(forge, reading, secret, origin.clone()).await;
    match &answer {
        Ok(_) => {
            forge.metrics().token_check(TokenCheck::Accepted);
            forge.throttle().forget(origin.address);
        }
        Err((Unauthenticated::Internal(_), _)) => {}
        Err(_) => {
            forge.metrics().token_check(TokenCheck::Refused);
            forge.throttle().note_failure(origin.address, forge.now());
        }
    }
    match answer {
        Ok(viewer) => Ok(viewer),
        Err((Unauthenticated::Revoked, Some(token))) if purpose == Purpose::Rotation => {
            crate::tokens::end_family(forge, token, &origin).await.map_err(Unauthenticated::Internal)?;
            Err(Unauthenticated::Revoked)
        }
        Err((refusal, _)) => Err(refusal),
    }
}

async fn check(
    forge: &Forge,
    reading: &mut Reading,
    secret: &str,
    origin: Origin,
) -> Result<Viewer, (Unauthenticated, Option<TokenId>)> {
    let internal = |error: db::Error| (Unauthenticated::Internal(error.into()), None);
    let Some(secret) = TokenSecret::parse(secret) else { return Err((Unauthenticated::Unknown, None)) };
    let tx = reading.tx(forge).await.map_err(internal)?;
    let holder = access_tokens::find_holder(tx, &secret.digest()).await.map_err(internal)?;
    let Some(holder) = holder else { return Err((Unauthenticated::Unknown, None)) };
    let token = holder.token;
    still_valid(forge, &holder).map_err(|refusal| (refusal, Some(token)))?;
    forge.last_use().note(token, holder.last_used_at, forge.now(), origin.address);
    Ok(Viewer::known(holder, origin))
}

/// Returns who holds a token that was presented earlier, or nobody's visitor without one: what is behind a bearer. It
/// is looked up as if the token itself had been presented.
///
/// # Errors
/// Why it is not accepted.
pub async fn authenticate_holder(
    forge: &Forge,
    reading: &mut Reading,
    token: Option<TokenId>,
    origin: Origin,
) -> Result<Viewer, Unauthenticated> {
    let Some(token) = token else { return Ok(Viewer::anonymous(origin)) };
    let internal = |error: db::Error| Unauthenticated::Internal(error.into());
    let tx = reading.tx(forge).await.map_err(internal)?;
    let holder = access_tokens::find_holder_by_id(tx, token).await.map_err(internal)?;
    let checked = holder.ok_or(Unauthenticated::Unknown).and_then(|holder| {
        still_valid(forge, &holder)?;
        Ok(holder)
    });
    match checked {
        Ok(holder) => {
            forge.metrics().token_check(TokenCheck::Accepted);
            forge.last_use().note(token, holder.last_used_at, forge.now(), origin.address);
            Ok(Viewer::known(holder, origin))
        }
        Err(why) => {
            forge.metrics().token_check(TokenCheck::Refused);
            Err(why)
        }
    }
}

/// Returns who is signed in with the secret of a session now, or a visitor without a credential when nobody is. A session
/// that ended is no failure of authentication: whoever comes with one is asked to sign in.
///
/// # Errors
/// The database's.
pub async fn authenticate_session(
    forge: &Forge,
    reading: &mut Reading,
    secret: &str,
    origin: Origin,
) -> Result<Viewer, Error> {
    let Some(secret) = TokenSecret::parse(secret) else { return Ok(Viewer::anonymous(origin)) };
    let tx = reading.tx(forge).await?;
    let holder = sessions::find_holder(tx, &secret.digest()).await?;
    let Some(holder) = holder.filter(|holder| session_is_good(forge, holder)) else {
        return Ok(Viewer::anonymous(origin));
    };
    let lacks_second_factor =
        !holder.second_factor && second_factors::required_by(tx, holder.user, forge.now()).await?.is_some();
    forge.last_use().note_session(holder.session, holder.last_used_at, forge.now());
    Ok(Viewer { lacks_second_factor, ..Viewer::signed_in(holder, origin) })
}

/// Only a person who is not blocked is ever signed in, whatever the session says.
fn session_is_good(forge: &Forge, holder: &SessionHolder) -> bool {
    let (used_after, begun_after) = forge.settings().session_bounds(forge.now());
    holder.kind == UserKind::Person
        && !holder.blocked
        && holder.last_used_at > used_after
        && holder.created_at > begun_after
}

fn still_valid(forge: &Forge, holder: &Holder) -> Result<(), Unauthenticated> {
    match holder.lifetime.state(forge.now()) {
        State::Expired => return Err(Unauthenticated::Expired),
        State::Revoked => return Err(Unauthenticated::Revoked),
        State::Active => {}
    }
    if holder.kind == UserKind::Ghost {
        // A token of a deleted user that was somehow neither revoked nor expired opens nothing.
        return Err(Unauthenticated::Revoked);
    }
    if holder.home.is_some() && !forge.settings().project_access_tokens {
        return Err(Unauthenticated::Unknown);
    }
    if holder.blocked {
        return Err(Unauthenticated::Blocked);
    }
    Ok(())
}

/// Makes `viewer`, an administrator whose token may, act as another user.
///
/// # Errors
/// [`Error::Forbidden`] unless it may; [`Error::NotFound`] when there is no such user.
pub async fn act_as(
    forge: &Forge,
    reading: &mut Reading,
    viewer: Viewer,
    username_or_id: &str,
) -> Result<Viewer, Error> {
    let (Caller::Known(known), Some(identity)) = (viewer.caller, viewer.identity.clone()) else {
        return Err(Error::Unauthorized);
    };
    if !known.administrator {
        return Err(Error::Forbidden("Must be admin to use sudo".to_owned()));
    }
    if !known.scopes.contains(ScopeSet::SUDO) {
        return Err(Error::Refused(Denial::MissingScope(ScopeSet::SUDO)));
    }
    let tx = reading.tx(forge).await?;
    let user = match username_or_id.parse::<i64>() {
        Ok(id) => users::find(tx, UserId(id)).await?,
        Err(_) => users::find_by_username(tx, username_or_id).await?,
    };
    let user = user.filter(|user| user.kind == UserKind::Person).ok_or(Error::NotFound("User"))?;
    if user.blocked {
        return Err(Error::Forbidden("The user is blocked".to_owned()));
    }
    Ok(Viewer {
        caller: Caller::Known(Known {
            kind: CallerKind::Person,
            administrator: user.administrator,
            external: user.external,
            scopes: known.scopes,
        }),
        identity: Some(Identity {
            user: user.id,
            username: user.username,
            name: user.name,
            impersonator: Some(identity.user),
            ..identity
        }),
        origin: viewer.origin,
        system: None,
        lacks_second_factor: false,
    })
}

/// A kind of place that actions are about: how its facts are found for a viewer.
pub trait Place: Send + Sync + 'static {
    /// How it is referred to from outside.
    type Reference: Send;
    /// What is known of it once it was found.
    type Found: Clone + std::fmt::Debug + Send + Sync;

    /// Finds it, or `None` when there is none.
    fn find(
        tx: &mut Tx,
        reference: &Self::Reference,
        user: Option<&Identity>,
        now: i64,
    ) -> impl Future<Output = Result<Option<Self::Found>, db::Error>> + Send;

    /// Returns how it is referred to when it is looked up again.
    fn again(found: &Self::Found) -> Self::Reference;

    /// Returns what the rules need to know.
    fn facts(found: Option<&Self::Found>) -> Facts;

    /// Returns the viewer's role on it.
    fn role(found: &Self::Found) -> Option<Role>;
}

impl Place for on::Instance {
    type Reference = ();
    type Found = ();

    async fn find(_: &mut Tx, (): &(), _: Option<&Identity>, _: i64) -> Result<Option<()>, db::Error> {
        Ok(Some(()))
    }

    fn again((): &()) {}

    fn facts(_: Option<&()>) -> Facts {
        Facts::Instance
    }

    fn role((): &()) -> Option<Role> {
        None
    }
}

impl Place for on::Project {
    type Reference = Option<IdOrPath>;
    type Found = ProjectFacts;

    async fn find(
        tx: &mut Tx,
        reference: &Option<IdOrPath>,
        user: Option<&Identity>,
        now: i64,
    ) -> Result<Option<ProjectFacts>, db::Error> {
        let Some(reference) = reference else { return Ok(None) };
        let found = projects::find_facts(tx, reference, user.map(|identity| identity.user), now).await?;
        match found {
            Some(found) => Ok(Some(at_home(tx, found, user, now).await?)),
            None => Ok(None),
        }
    }

    fn again(found: &ProjectFacts) -> Option<IdOrPath> {
        Some(IdOrPath::Id(found.id.0))
    }

    fn facts(found: Option<&ProjectFacts>) -> Facts {
        Facts::Resource(found.map(|found| found.facts))
    }

    fn role(found: &ProjectFacts) -> Option<Role> {
        found.facts.role
    }
}

/// A bot has one home: its project, or its group with all below. Should a membership elsewhere ever exist, it grants
/// nothing.
async fn at_home(
    tx: &mut Tx,
    mut found: ProjectFacts,
    user: Option<&Identity>,
    now: i64,
) -> Result<ProjectFacts, db::Error> {
    let Some(bot) = user.filter(|identity| identity.bot) else { return Ok(found) };
    if bot.home == Some(Home::Project(found.id)) {
        return Ok(found);
    }
    let role = role_from_group(tx, found.namespace, bot, now).await?;
    (found.project_role, found.namespace_role, found.facts.role) = (None, role, role);
    Ok(found)
}

/// Returns the role that a bot of a group has on a namespace: the one it has in its group, when the namespace is that group
/// or below it. Every other bot has none.
async fn role_from_group(
    tx: &mut Tx,
    namespace: NamespaceId,
    bot: &Identity,
    now: i64,
) -> Result<Option<Role>, db::Error> {
    match bot.home {
        Some(Home::Group(group)) => namespaces::find_role_through(tx, namespace, group, bot.user, now).await,
        _ => Ok(None),
    }
}

/// A namespace together with the viewer's role on it.
#[derive(Clone, Debug)]
pub struct NamespaceFacts {
    /// The namespace.
    pub namespace: Namespace,
    /// The viewer's highest living role, inherited ones included.
    pub role: Option<Role>,
}

impl Place for on::Namespace {
    type Reference = Option<IdOrPath>;
    type Found = NamespaceFacts;

    async fn find(
        tx: &mut Tx,
        reference: &Option<IdOrPath>,
        user: Option<&Identity>,
        now: i64,
    ) -> Result<Option<NamespaceFacts>, db::Error> {
        let namespace = match reference {
            None => None,
            Some(IdOrPath::Id(id)) => namespaces::find(tx, NamespaceId(*id)).await?,
            Some(IdOrPath::Path(path)) => namespaces::find_by_path(tx, path).await?,
        };
        let Some(namespace) = namespace else { return Ok(None) };
        let role = match user {
            Some(identity) if identity.bot => role_from_group(tx, namespace.id, identity, now).await?,
            Some(identity) if namespace.owner == Some(identity.user) => Some(Role::Owner),
            Some(identity) => namespaces::find_role(tx, namespace.id, identity.user, now).await?,
            None => None,
        };
        Ok(Some(NamespaceFacts { namespace, role }))
    }

    fn again(found: &NamespaceFacts) -> Option<IdOrPath> {
        Some(IdOrPath::Id(found.namespace.id.0))
    }

    fn facts(found: Option<&NamespaceFacts>) -> Facts {
        use portcullis_rules::access::FeatureAccess::Enabled;
        Facts::Resource(found.map(|found| ResourceFacts {
            visibility: found.namespace.visibility,
            role: found.role,
            archived: false,
            repository: Enabled,
            issues: Enabled,
            container_registry: Enabled,
            packages: Enabled,
            merge_requests: Enabled,
        }))
    }

    fn role(found: &NamespaceFacts) -> Option<Role> {
        found.role
    }
}

/// A person's own namespace is no group: asked for as one, it is not there.
impl Place for on::Group {
    type Reference = Option<IdOrPath>;
    type Found = NamespaceFacts;

    async fn find(
        tx: &mut Tx,
        reference: &Option<IdOrPath>,
        user: Option<&Identity>,
        now: i64,
    ) -> Result<Option<NamespaceFacts>, db::Error> {
        let found = on::Namespace::find(tx, reference, user, now).await?;
        Ok(found.filter(|found| found.namespace.is_group()))
    }

    fn again(found: &NamespaceFacts) -> Option<IdOrPath> {
        on::Namespace::again(found)
    }

    fn facts(found: Option<&NamespaceFacts>) -> Facts {
        on::Namespace::facts(found)
    }

    fn role(found: &NamespaceFacts) -> Option<Role> {
        found.role
    }
}

/// The proof that a viewer may do `A` at one place. Only [`authorize`] makes one.
#[derive(Clone, Debug)]
pub struct Authorized<A: Act>
where
    A::On: Place,
{
    viewer: Viewer,
    place: <A::On as Place>::Found,
    act: PhantomData<fn() -> A>,
}

/// A refusal: an answer, not an error.
#[derive(Debug)]
pub struct Refused {
    /// What is missing.
    pub denial: Denial,
    /// What was asked for.
    pub action: Action,
    /// By whom.
    pub viewer: Viewer,
}

/// Asks the rules whether `viewer` may do `A` at `reference`.
///
/// # Errors
/// Only when the database could not be asked; a refusal is in the answer.
pub async fn authorize<A: Act>(
    forge: &Forge,
    viewer: Viewer,
    reference: <A::On as Place>::Reference,
) -> Result<Result<Authorized<A>, Refused>, Error>
where
    A::On: Place,
{
    authorize_within(forge, &mut Reading::default(), viewer, reference).await
}

/// As [`authorize`], with the connection that the viewer was authenticated with.
///
/// # Errors
/// As [`authorize`].
pub async fn authorize_within<A: Act>(
    forge: &Forge,
    reading: &mut Reading,
    viewer: Viewer,
    reference: <A::On as Place>::Reference,
) -> Result<Result<Authorized<A>, Refused>, Error>
where
    A::On: Place,
{
    if let Some(denial) = blindly::<A>(&viewer) {
        return Ok(Err(Refused { denial, action: A::ACTION, viewer }));
    }
    let tx = reading.tx(forge).await?;
    let found = A::On::find(tx, &reference, viewer.identity.as_ref(), forge.now()).await?;
    Ok(match decided::<A>(&viewer, found) {
        Ok(place) => Ok(Authorized { viewer, place, act: PhantomData }),
        Err(denial) => Err(Refused { denial, action: A::ACTION, viewer }),
    })
}

/// As [`authorize_within`], about the project that an image belongs to.
///
/// # Errors
/// As [`authorize`].
pub async fn authorize_image<A: Act<On = on::Project>>(
    forge: &Forge,
    reading: &mut Reading,
    viewer: Viewer,
    name: RepositoryName,
) -> Result<Result<Image<A>, Refused>, Error> {
    if let Some(denial) = blindly::<A>(&viewer) {
        return Ok(Err(Refused { denial, action: A::ACTION, viewer }));
    }
    let tx = reading.tx(forge).await?;
    let user = viewer.identity.as_ref();
    let now = forge.now();
    let found = projects::find_facts_by_image(tx, name.as_str(), user.map(|user| user.user), now).await?;
    let found = match found {
        Some(found) => Some(at_home(tx, found, user, now).await?),
        None => None,
    };
    Ok(match decided::<A>(&viewer, found) {
        Ok(place) => {
            // The path is a prefix of the name, but for the case of letters, and both are ASCII.
            let suffix = name.as_str().get(place.full_path.len()..).unwrap_or_default();
            let suffix = suffix.trim_start_matches('/').to_owned();
            Ok(Image { access: Authorized { viewer, place, act: PhantomData }, name, suffix })
        }
        Err(denial) => Err(Refused { denial, action: A::ACTION, viewer }),
    })
}

/// What the rules refuse whatever the place is refused before anything is looked up.
fn blindly<A: Act>(viewer: &Viewer) -> Option<Denial> {
    match decide(&viewer.caller, &Facts::Resource(None), A::ACTION) {
        Err(denial @ (Denial::SignInFirst | Denial::MissingScope(_))) => Some(denial),
        _ => None,
    }
}

/// Decides about a place that was looked for. That there is none takes the very branch of a hidden one.
fn decided<A: Act>(
    viewer: &Viewer,
    found: Option<<A::On as Place>::Found>,
) -> Result<<A::On as Place>::Found, Denial>
where
    A::On: Place,
{
    decide(&viewer.caller, &A::On::facts(found.as_ref()), A::ACTION)?;
    found.ok_or(Denial::NotVisible)
}

impl<A: Act> Authorized<A>
where
    A::On: Place,
{
    /// Returns who was allowed.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// Returns the caller's role there; an administrator's is Owner everywhere.
    pub fn role(&self) -> Option<Role> {
        if self.viewer.is_administrator() { Some(Role::Owner) } else { A::On::role(&self.place) }
    }

    /// Returns where.
    pub fn place(&self) -> &<A::On as Place>::Found {
        &self.place
    }

    /// Returns the user who was allowed.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it is an anonymous visitor, or the system.
    pub fn identity(&self) -> Result<&Identity, Error> {
        self.viewer.identity.as_ref().ok_or(Error::Unauthorized)
    }

    /// Asks for a further permission at the same place, from the same facts.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is missing.
    pub fn also<B: Act<On = A::On>>(&self) -> Result<Authorized<B>, Error> {
        decide(&self.viewer.caller, &A::On::facts(Some(&self.place)), B::ACTION)?;
        Ok(Authorized { viewer: self.viewer.clone(), place: self.place.clone(), act: PhantomData })
    }

    /// Asks for a permission at another place, in the transaction of somebody who was asked again there.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is missing; a place that is not there is one that is hidden.
    pub(crate) async fn elsewhere<B: Act>(
        &self,
        forge: &Forge,
        tx: &mut Tx,
        reference: <B::On as Place>::Reference,
    ) -> Result<Authorized<B>, Error>
    where
        B::On: Place,
    {
        let found = B::On::find(tx, &reference, self.viewer.identity.as_ref(), forge.now()).await?;
        let place = decided::<B>(&self.viewer, found)?;
        Ok(Authorized { viewer: self.viewer.clone(), place, act: PhantomData })
    }

    /// Asks for a permission at each of some projects, and returns the proofs about those where the caller has it.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn wherever<B: Act<On = on::Project>>(
        &self,
        forge: &Forge,
        tx: &mut Tx,
        projects: Vec<ProjectId>,
    ) -> Result<Vec<Authorized<B>>, Error> {
        let mut proofs = Vec::new();
        for project in projects {
            match self.elsewhere::<B>(forge, tx, Some(IdOrPath::Id(project.0))).await {
                Ok(access) => proofs.push(access),
                Err(Error::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(proofs)
    }

    /// Asks again inside the transaction that will act: is the credential alive, is the user not blocked, does the
    /// role still suffice, *now*? Time has passed since the guard, and a body was waited for.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when the credential died; [`Error::Refused`] with what is missing.
    pub(crate) async fn again(&self, forge: &Forge, tx: &mut Tx) -> Result<Authorized<A>, Error> {
        let mut viewer = self.viewer.clone();
        if let Some(identity) = &self.viewer.identity {
            viewer = match identity.credential {
                Credential::Token(token) => {
                    let holder =
                        access_tokens::find_holder_by_id(tx, token).await?.ok_or(Error::Unauthorized)?;
                    still_valid(forge, &holder).map_err(|_| Error::Unauthorized)?;
                    if identity.impersonator.is_none() {
                        Viewer::known(holder, self.viewer.origin.clone())
                    } else if holder.administrator && holder.scopes.contains(ScopeSet::SUDO) {
                        viewer
                    } else {
                        return Err(Error::Unauthorized);
                    }
                }
                Credential::Session(session) => {
                    let holder = sessions::find_holder_by_id(tx, session).await?;
                    let holder = holder.filter(|holder| session_is_good(forge, holder));
                    Viewer::signed_in(holder.ok_or(Error::Unauthorized)?, self.viewer.origin.clone())
                }
            };
        }
        let reference = A::On::again(&self.place);
        let found = A::On::find(tx, &reference, viewer.identity.as_ref(), forge.now()).await?;
        decide(&viewer.caller, &A::On::facts(found.as_ref()), A::ACTION)?;
        let place = found.ok_or(Error::Refused(Denial::NotVisible))?;
        Ok(Authorized { viewer, place, act: PhantomData })
    }
}

impl<A: Act<On = on::Project>> Authorized<A> {
    /// Returns the project.
    pub fn project(&self) -> ProjectId {
        self.place.id
    }
}

impl<A: Act> Authorized<A>
where
    A::On: Place<Found = NamespaceFacts>,
{
    /// Returns the namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.place.namespace
    }
}

impl<A: Act<On = on::Instance>> Authorized<A> {
    /// Makes the proof for the system itself: the command line and start-up. The reason stands in the audit log.
    pub fn by_system(reason: &'static str) -> Authorized<A> {
        let caller = Caller::Known(Known {
            kind: CallerKind::Person,
            administrator: true,
            external: false,
            scopes: ScopeSet::all(),
        });
        let viewer = Viewer {
            caller,
            identity: None,
            origin: Origin::default(),
            system: Some(reason),
            lacks_second_factor: false,
        };
        Authorized { viewer, place: (), act: PhantomData }
    }
}
