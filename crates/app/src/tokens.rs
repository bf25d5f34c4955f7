//! Access tokens of projects and of groups: made, listed, replaced and revoked. Both go the same way; what differs is said
//! by [`TokenHome`] and in the two texts of `Words`.

use jiff::civil::Date;
use portcullis_rules::access::{
    Act, Action, Caller, CallerKind, Facts, Known, ResourceFacts, Role, ScopeSet, Visibility, act, decide, on,
};
use portcullis_rules::bot::{self, Home};
use portcullis_rules::id::{NamespaceId, TokenId, UserId};
use portcullis_rules::names::DisplayName;
use portcullis_rules::token::CreationGate;
use portcullis_store::access_tokens::{self, AccessToken, TokenFilter, TokensOf};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::members::{self, Place};
use portcullis_store::projects::ProjectFacts;
use portcullis_store::select::{Listing, Window};
use portcullis_store::users::{self, NewUser, UserKind};
use portcullis_store::{namespaces, projects};
use serde_json::json;

use crate::Error;
use crate::access::{self, Authorized, Identity, NamespaceFacts, Origin, Viewer};
use crate::audit::{self, Entry};
pub use crate::credentials::Created;
use crate::credentials::{self, Grant};
use crate::error::FieldErrors;
use crate::forge::Forge;

/// What tokens belong to, and the permissions about them there.
pub trait TokenHome: access::Place {
    /// To list its tokens.
    type List: Act<On = Self>;
    /// To make one.
    type Create: Act<On = Self>;
    /// To replace one.
    type Rotate: Act<On = Self>;
    /// To revoke one.
    type Revoke: Act<On = Self>;
    /// To replace the presented one.
    type RotateOwn: Act<On = Self>;
    /// To see it at all.
    type Read: Act<On = Self> + std::fmt::Debug;

    /// Returns which one it is.
    fn home(found: &Self::Found) -> Home;

    /// Returns its path.
    fn full_path(found: &Self::Found) -> &str;

    /// Returns the namespace whose root decides whether tokens may be made.
    fn namespace(found: &Self::Found) -> NamespaceId;
}

impl TokenHome for on::Project {
    type List = act::ListAccessTokens;
    type Create = act::CreateAccessToken;
    type Rotate = act::RotateAccessToken;
    type Revoke = act::RevokeAccessToken;
    type RotateOwn = act::RotateOwnAccessToken;
    type Read = act::ReadProject;

    fn home(found: &ProjectFacts) -> Home {
        Home::Project(found.id)
    }

    fn full_path(found: &ProjectFacts) -> &str {
        &found.full_path
    }

    fn namespace(found: &ProjectFacts) -> NamespaceId {
        found.namespace
    }
}

impl TokenHome for on::Group {
    type List = act::ListGroupAccessTokens;
    type Create = act::CreateGroupAccessToken;
    type Rotate = act::RotateGroupAccessToken;
    type Revoke = act::RevokeGroupAccessToken;
    type RotateOwn = act::RotateOwnGroupAccessToken;
    type Read = act::ReadGroup;

    fn home(found: &NamespaceFacts) -> Home {
        Home::Group(found.namespace.id)
    }

    fn full_path(found: &NamespaceFacts) -> &str {
        &found.namespace.full_path
    }

    fn namespace(found: &NamespaceFacts) -> NamespaceId {
        found.namespace.id
    }
}

/// What is said about tokens of one kind.
struct Words {
    /// The answer to everyone who may not create one, whatever the reason.
    may_not_create: &'static str,
    /// What is not found.
    token: &'static str,
    /// What is gone when the home is.
    home: &'static str,
    created: &'static str,
    creation_failed: &'static str,
    deleted: &'static str,
    deletion_failed: &'static str,
    rotated: &'static str,
}

impl Words {
    fn of(home: Home) -> &'static Words {
        match home {
            Home::Project(_) => &Words {
                may_not_create: "User does not have permission to create project access token",
                token: "project Access Token",
                home: "Project",
                created: "project_access_token_created",
                creation_failed: "project_access_token_creation_failed",
                deleted: "project_access_token_deleted",
                deletion_failed: "project_access_token_deletion_failed",
                rotated: "project_access_token_rotated",
            },
            Home::Group(_) => &Words {
                may_not_create: "User does not have permission to create group access token",
                token: "group Access Token",
                home: "Group",
                created: "group_access_token_created",
                creation_failed: "group_access_token_creation_failed",
                deleted: "group_access_token_deleted",
                deletion_failed: "group_access_token_deletion_failed",
                rotated: "group_access_token_rotated",
            },
        }
    }
}

/// Returns what a proof is about.
fn home_of<A: Act<On: TokenHome>>(access: &Authorized<A>) -> Home {
    A::On::home(access.place())
}

/// Returns what a membership of the home is of.
fn membership(home: Home) -> Place {
    match home {
        Home::Project(id) => Place::Project(id),
        Home::Group(id) => Place::Namespace(id),
    }
}

/// The answer to asking for more than one has.
const ABOVE_CREATOR: &str = "Access level of the token contains permissions not held by the creating user";

/// The answer to rotating a token that can do more than oneself.
const ABOVE_ROTATOR: &str = "Not eligible to rotate tokens with permissions not held by the user";

/// What a token is asked for with.
#[derive(Clone, Debug)]
pub struct NewTokenRequest {
    /// Its name, which becomes its bot's.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it is given.
    pub scopes: ScopeSet,
    /// From which date on it is dead.
    pub expires_at: Option<Date>,
    /// The role of its bot.
    pub role: Role,
}

/// Returns the tokens of the project or group.
///
/// # Errors
/// The database's.
pub async fn list<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::List>,
    filter: &TokenFilter,
    window: Window,
) -> Result<Listing<AccessToken>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(access_tokens::list(&mut tx, TokensOf::Home(home_of(access)), filter, window, forge.now()).await?)
}

/// Returns one token of the project or group.
///
/// # Errors
/// [`Error::NotFound`] when it has no such token.
pub async fn get<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::List>,
    id: TokenId,
) -> Result<AccessToken, Error> {
    let mut tx = forge.db().read().await?;
    find(&mut tx, home_of(access), id).await
}

/// Returns what the rules would say to the bot of a token about each of some actions, with the role and the scopes that it
/// has now. A project is taken as it is, but not as archived. What is asked about a group is good for everything below it, so
/// it is taken as private: nothing is promised that a private project would refuse.
pub fn powers<P: TokenHome>(
    access: &Authorized<P::List>,
    token: &AccessToken,
    actions: &[Action],
) -> Vec<bool> {
    let caller = Caller::Known(Known {
        kind: CallerKind::Bot,
        administrator: false,
        external: true,
        scopes: token.scopes,
    });
    let facts = match P::facts(Some(access.place())) {
        Facts::Resource(Some(facts)) => {
            let visibility = match P::home(access.place()) {
                Home::Project(_) => facts.visibility,
                Home::Group(_) => Visibility::Private,
            };
            Facts::Resource(Some(ResourceFacts { visibility, role: token.role, archived: false, ..facts }))
        }
        other => other,
    };
    actions.iter().map(|action| decide(&caller, &facts, *action).is_ok()).collect()
}

/// Returns the newest token of the project or group that each of these bots has, so that a list of members can lead to it.
/// Whose home is elsewhere is not in the answer.
///
/// # Errors
/// The database's.
pub async fn of_bots<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::List>,
    bots: &[UserId],
) -> Result<Vec<(UserId, TokenId)>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(access_tokens::newest_of_bots(&mut tx, home_of(access), bots).await?)
}

async fn find(tx: &mut Tx, home: Home, id: TokenId) -> Result<AccessToken, Error> {
    access_tokens::find_at_home(tx, home, id).await?.ok_or(Error::NotFound(Words::of(home).token))
}

/// Makes a token with a bot of its own: user, membership, token and audit entry in one transaction, which leaves nothing
/// behind when it fails.
///
/// # Errors
/// [`Error::BadRequest`] with GitLab's words when the caller may not, or asks for more than they have;
/// [`Error::Invalid`] for a field.
pub async fn create<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::Create>,
    request: NewTokenRequest,
) -> Result<Created, Error> {
    let answer = create_in_transaction::<P>(forge, access, &request).await;
    if let Err(error @ (Error::BadRequest(_) | Error::Invalid(_))) = &answer {
        let details =
            json!({ "name": request.name.chars().take(255).collect::<String>(), "error": error.to_string() });
        note_failure(forge, access, Words::of(home_of(access)).creation_failed, details).await;
    }
    answer
}

/// Answers somebody who may see the project or group but not create a token in it.
///
/// # Errors
/// Always: the answer is the error.
pub async fn refuse_creation<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::Read>,
) -> Result<std::convert::Infallible, Error> {
    let words = Words::of(home_of(access));
    let details = json!({ "error": words.may_not_create });
    note_failure(forge, access, words.creation_failed, details).await;
    Err(Error::BadRequest(words.may_not_create.to_owned()))
}

async fn create_in_transaction<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::Create>,
    request: &NewTokenRequest,
) -> Result<Created, Error> {
    let now = forge.now();
    let home = home_of(access);
    let words = Words::of(home);
    let mut tx = forge.db().begin().await?;
    // The lock makes the lowest free bot name ours until the transaction ends.
    let locked = match home {
        Home::Project(id) => projects::lock(&mut tx, id).await?,
        Home::Group(id) => namespaces::lock(&mut tx, id).await?,
    };
    if !locked {
        return Err(Error::NotFound(words.home));
    }
    let access = access.again(forge, &mut tx).await.map_err(|error| match error {
        Error::Refused(_) => Error::BadRequest(words.may_not_create.to_owned()),
        other => other,
    })?;
    if !creation_gate(forge, &mut tx, P::namespace(access.place())).await?.allows() {
        return Err(Error::BadRequest(words.may_not_create.to_owned()));
    }
    let creator = access.identity()?;
    if access.role().is_none_or(|role| request.role > role)
        || !access.viewer().scopes().may_grant(request.scopes)
    {
        return Err(Error::BadRequest(ABOVE_CREATOR.to_owned()));
    }

    let mut fields = FieldErrors::default();
    let name = fields.take("name", DisplayName::parse(&request.name));
    if request.scopes.is_empty() {
        fields.add("scopes", "can't be blank");
    }
    let description = checked_description(&mut fields, request.description.as_deref());
    fields.finish()?;
    let name = name.ok_or(Error::NotFound("name"))?;
    let expires_at = forge
        .lifetime_policy()
        .check(request.expires_at, now)
        .map_err(|refusal| Error::BadRequest(refusal.to_string()))?;

    let taken = users::bot_usernames(&mut tx, home).await?;
    let username = bot::first_free_username(home, &taken);
    let email = bot::email(&username, forge.mail_host());
    let new_bot = NewUser {
        username: &username,
        name: name.as_str(),
        email: &email,
        kind: UserKind::ProjectBot,
        password_hash: None,
        administrator: false,
        external: access.viewer().is_external(),
        bot_home: Some(home),
        created_by: Some(creator.user),
    };
    let bot = users::insert(&mut tx, &new_bot, now).await?;
    members::insert(&mut tx, membership(home), bot, request.role, None, Some(creator.user), now).await?;
    if let Home::Project(project) = home {
        let joined = NewEvent {
            project,
            author: bot,
            token: creator.token(),
            action: "joined",
            target_type: None,
            target_id: None,
            target_iid: None,
            target_title: None,
            details: None,
        };
        events::insert(&mut tx, &joined, now).await?;
    }
    let grant = Grant {
        user: bot,
        home: Some(home),
        name: name.as_str(),
        description: description.as_deref(),
        scopes: request.scopes,
        expires_at,
        previous: None,
        created_by: Some(creator.user),
    };
    let created = credentials::issue(forge, &mut tx, grant).await?;
    let entry = token_entry(&access, words.created, &created.token);
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(created)
}

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 1024;

pub(crate) fn checked_description(fields: &mut FieldErrors, text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    if text.chars().count() > MAX_DESCRIPTION_CHARACTERS {
        fields
            .add("description", format!("is too long (maximum is {MAX_DESCRIPTION_CHARACTERS} characters)"));
    }
    if text.chars().any(|character| character.is_control() && character != '\n') {
        fields.add("description", "can't contain control characters");
    }
    (!text.is_empty()).then(|| text.to_owned())
}

async fn creation_gate(forge: &Forge, tx: &mut Tx, namespace: NamespaceId) -> Result<CreationGate, Error> {
    let root = namespaces::find_root(tx, namespace).await?.ok_or(Error::NotFound("Namespace"))?;
    Ok(CreationGate {
        instance_allows: forge.settings().project_access_tokens,
        edition: forge.settings().edition,
        plan: root.plan,
        root_group_allows: root.token_creation_allowed || !root.is_group(),
    })
}

/// Returns an entry about a project or group.
fn entry<'a>(home: Home, path: &'a str, event: &'a str) -> Entry<'a> {
    match home {
        Home::Project(id) => Entry::project(id, path, event),
        Home::Group(id) => Entry::group(id.0, path, event),
    }
}

/// Whether access tokens can be made in a project or group, apart from who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// They can.
    Open,
    /// The operator switched the feature off.
    Off,
    /// The top-level group forbids it for itself and all below.
    ClosedByGroup,
    /// The plan of the top-level namespace does not include it.
    NotInPlan,
}

/// Returns whether tokens can be made there, for a page that shows why not.
///
/// # Errors
/// The database's.
pub async fn creation<P: TokenHome>(forge: &Forge, access: &Authorized<P::List>) -> Result<Creation, Error> {
    let mut tx = forge.db().read().await?;
    let gate = creation_gate(forge, &mut tx, P::namespace(access.place())).await?;
    Ok(match gate {
        gate if gate.allows() => Creation::Open,
        gate if !gate.instance_allows => Creation::Off,
        gate if !gate.root_group_allows => Creation::ClosedByGroup,
        _ => Creation::NotInPlan,
    })
}

fn token_entry<'a, A: Act<On: TokenHome>>(
    access: &'a Authorized<A>,
    event: &'a str,
    token: &AccessToken,
) -> Entry<'a> {
    let entry = entry(home_of(access), A::On::full_path(access.place()), event);
    entry.target("AccessToken", token.id.0).details(token_details(token))
}

fn token_details(token: &AccessToken) -> serde_json::Value {
    json!({
        "token_id": token.id.0,
        "name": token.name,
        "user_id": token.user.0,
        "scopes": token.scopes.names().collect::<Vec<_>>(),
        "access_level": token.role.map(Role::level),
        "expires_at": token.lifetime.expires_at.map(|at| portcullis_rules::token::date_at(at).to_string()),
    })
}

/// Adds an audit entry about something that was refused. Failing to do so must not hide the refusal itself.
async fn note_failure<A: Act<On: TokenHome>>(
    forge: &Forge,
    access: &Authorized<A>,
    event: &str,
    details: serde_json::Value,
) {
    let written = async {
        let mut tx = forge.db().begin().await?;
        let entry = entry(home_of(access), A::On::full_path(access.place()), event).details(details);
        audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
        tx.commit().await.map_err(Error::from)
    };
    if let Err(error) = written.await {
        tracing::error!(%error, event, "an audit entry about a refusal could not be written");
    }
}

/// Revokes a token of the project or group. When this returns, no door opens to it any more.
///
/// # Errors
/// [`Error::NotFound`] when it has no such token.
pub async fn revoke<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::Revoke>,
    id: TokenId,
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let home = home_of(&access);
    let token = find(&mut tx, home, id).await?;
    let by = access.identity()?.user;
    credentials::end(forge, &mut tx, &token, Some(by)).await?;
    let entry = token_entry(&access, Words::of(home).deleted, &token);
    audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Answers somebody who may see the project or group but not revoke: that there is no such token, or who cannot delete whom.
///
/// # Errors
/// Always: the answer is the error.
pub async fn refuse_revocation<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::Read>,
    id: TokenId,
) -> Result<std::convert::Infallible, Error> {
    let mut tx = forge.db().read().await?;
    let home = home_of(access);
    let token = find(&mut tx, home, id).await?;
    drop(tx);
    let details = json!({ "token_id": token.id.0, "error": "no permission" });
    note_failure(forge, access, Words::of(home).deletion_failed, details).await;
    let caller = access.identity()?;
    Err(Error::BadRequest(format!("{} cannot delete {}", caller.name, token.name)))
}

/// Replaces a token of the project or group by a new one with the same bot, name and scopes.
///
/// # Errors
/// [`Error::NotFound`] when it has no such token; [`Error::BadRequest`] when it is revoked, or can do more
/// than the caller; [`Error::Unauthorized`] while creation is switched off.
pub async fn rotate<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::Rotate>,
    id: TokenId,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let home = home_of(&access);
    if !creation_gate(forge, &mut tx, P::namespace(access.place())).await?.allows() {
        return Err(if access.viewer().is_administrator() {
            Error::NotFound(Words::of(home).token)
        } else {
            Error::Unauthorized
        });
    }
    let old = match find(&mut tx, home, id).await {
        // GitLab tells only administrators that a token to be rotated does not exist.
        Err(Error::NotFound(_)) if !access.viewer().is_administrator() => return Err(Error::Unauthorized),
        other => other?,
    };
    let by = access.identity()?.user;
    let bot = members::find(&mut tx, membership(home), members::Reach::Direct, old.user, forge.now()).await?;
    let Some(bot) = bot else {
        return Err(Error::BadRequest("Token already revoked".to_owned()));
    };
    if access.role().is_none_or(|role| bot.role > role) || !access.viewer().scopes().may_grant(old.scopes) {
        return Err(Error::BadRequest(ABOVE_ROTATOR.to_owned()));
    }
    let created = credentials::replace(forge, &mut tx, &old, expires_at, Some(by)).await?;
    users::set_external(&mut tx, old.user, access.viewer().is_external(), forge.now()).await?;
    record_fate(&mut tx, access.viewer(), &created.token, Fate::Replaces(old.id), forge.now()).await?;
    tx.commit().await?;
    Ok(created)
}

/// Replaces the presented access token itself, through its own project or group.
///
/// # Errors
/// [`Error::NotAvailable`] for a person's token; [`Error::Unauthorized`] for a bot that is at home elsewhere.
pub async fn rotate_own<P: TokenHome>(
    forge: &Forge,
    access: &Authorized<P::RotateOwn>,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    let identity = access.identity()?;
    if !identity.bot {
        return Err(Error::NotAvailable);
    }
    if identity.home != Some(home_of(access)) {
        return Err(Error::Unauthorized);
    }
    rotate_presented(forge, access.viewer(), identity, expires_at).await
}

/// Replaces the presented token of any kind.
pub(crate) async fn rotate_presented(
    forge: &Forge,
    viewer: &Viewer,
    identity: &Identity,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, identity.user).await?;
    let old = access_tokens::find(&mut tx, identity.token().ok_or(Error::NotAvailable)?)
        .await?
        .ok_or(Error::Unauthorized)?;
    if old.lifetime.state(forge.now()) != portcullis_rules::token::State::Active {
        return Err(Error::Unauthorized);
    }
    let created = credentials::replace(forge, &mut tx, &old, expires_at, Some(identity.user)).await?;
    record_fate(&mut tx, viewer, &created.token, Fate::Replaces(old.id), forge.now()).await?;
    tx.commit().await?;
    Ok(created)
}

/// What became of a token, for the audit log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It was revoked.
    Revoked,
    /// It was made in place of an earlier one.
    Replaces(TokenId),
    /// Its secret turned up after its death, and so many of its descendants were revoked.
    Reused(u32),
}

/// Adds an audit entry about a token of any kind: about its project or group, or about the person it belongs to.
pub(crate) async fn record_fate(
    tx: &mut Tx,
    viewer: &Viewer,
    token: &AccessToken,
    fate: Fate,
    now: i64,
) -> Result<(), Error> {
    let event = match (token.home, fate) {
        (_, Fate::Reused(_)) => "access_token_reuse_detected",
        (Some(home), Fate::Revoked) => Words::of(home).deleted,
        (Some(home), Fate::Replaces(_)) => Words::of(home).rotated,
        (None, Fate::Revoked) => "personal_access_token_revoked",
        (None, Fate::Replaces(_)) => "personal_access_token_rotated",
    };
    let path = match token.home {
        Some(Home::Project(project)) => projects::find(tx, project).await?.map(|project| project.full_path),
        Some(Home::Group(group)) => namespaces::find(tx, group).await?.map(|group| group.full_path),
        None => users::find(tx, token.user).await?.map(|user| user.username),
    };
    let entry = match token.home {
        Some(home) => entry(home, "", event),
        None => Entry::user(token.user, "", event),
    };
    let mut details = token_details(token);
    match fate {
        Fate::Revoked => {}
        Fate::Replaces(previous) => details["previous_token_id"] = json!(previous.0),
        Fate::Reused(descendants) => details["revoked_descendants"] = json!(descendants),
    }
    let entry = Entry { entity_path: path.as_deref(), ..entry };
    audit::record(tx, viewer, entry.target("AccessToken", token.id.0).details(details), now).await
}

/// Ends the family of a revoked token whose secret was presented to rotate: it has leaked.
pub(crate) async fn end_family(forge: &Forge, token: TokenId, origin: &Origin) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let ended = credentials::end_descendants(forge, &mut tx, token).await?;
    if ended > 0
        && let Some(record) = access_tokens::find(&mut tx, token).await?
    {
        let viewer = Viewer::anonymous(origin.clone());
        record_fate(&mut tx, &viewer, &record, Fate::Reused(ended), forge.now()).await?;
        tracing::warn!(
            token.id = token.0,
            ended,
            "a revoked token was presented for rotation; its family was revoked"
        );
    }
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}
