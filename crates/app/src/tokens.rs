//! Project access tokens: made, listed, replaced and revoked.

use jiff::civil::Date;
use portcullis_rules::access::{Act, Role, ScopeSet, act, on};
use portcullis_rules::bot;
use portcullis_rules::id::{ProjectId, TokenId};
use portcullis_rules::names::DisplayName;
use portcullis_rules::token::CreationGate;
use portcullis_store::access_tokens::{self, AccessToken, TokenFilter, TokensOf};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::members::{self, Place};
use portcullis_store::select::{Listing, Window};
use portcullis_store::users::{self, NewUser, UserKind};
use portcullis_store::{namespaces, projects};
use serde_json::json;

use crate::Error;
use crate::access::{Authorized, Identity, Origin, Viewer};
use crate::audit::{self, Entry};
pub use crate::credentials::Created;
use crate::credentials::{self, Grant};
use crate::error::FieldErrors;
use crate::forge::Forge;

/// The answer to everyone who may not create a project access token, whatever the reason.
const MAY_NOT_CREATE: &str = "User does not have permission to create project access token";

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

/// Returns the tokens of the project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ListAccessTokens>,
    filter: &TokenFilter,
    window: Window,
) -> Result<Listing<AccessToken>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(access_tokens::list(&mut tx, TokensOf::Project(access.project()), filter, window, forge.now()).await?)
}

/// Returns one token of the project.
///
/// # Errors
/// [`Error::NotFound`] when this project has no such token.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ListAccessTokens>,
    id: TokenId,
) -> Result<AccessToken, Error> {
    let mut tx = forge.db().read().await?;
    find(&mut tx, access.project(), id).await
}

async fn find(tx: &mut Tx, project: ProjectId, id: TokenId) -> Result<AccessToken, Error> {
    access_tokens::find_in_project(tx, project, id).await?.ok_or(Error::NotFound("project Access Token"))
}

/// Makes a token with a bot of its own: user, membership, token and audit entry in one transaction, which leaves nothing
/// behind when it fails.
///
/// # Errors
/// [`Error::BadRequest`] with GitLab's words when the caller may not, or asks for more than they have;
/// [`Error::Invalid`] for a field.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreateAccessToken>,
    request: NewTokenRequest,
) -> Result<Created, Error> {
    let answer = create_in_transaction(forge, access, &request).await;
    if let Err(error @ (Error::BadRequest(_) | Error::Invalid(_))) = &answer {
        let details =
            json!({ "name": request.name.chars().take(255).collect::<String>(), "error": error.to_string() });
        note_failure(forge, access, "project_access_token_creation_failed", details).await;
    }
    answer
}

/// Answers somebody who may see the project but not create a token in it.
///
/// # Errors
/// Always: the answer is the error.
pub async fn refuse_creation(
    forge: &Forge,
    access: &Authorized<act::ReadProject>,
) -> Result<std::convert::Infallible, Error> {
    let details = json!({ "error": MAY_NOT_CREATE });
    note_failure(forge, access, "project_access_token_creation_failed", details).await;
    Err(Error::BadRequest(MAY_NOT_CREATE.to_owned()))
}

async fn create_in_transaction(
    forge: &Forge,
    access: &Authorized<act::CreateAccessToken>,
    request: &NewTokenRequest,
) -> Result<Created, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    // The lock makes the lowest free bot name ours until the transaction ends.
    if !projects::lock(&mut tx, access.project()).await? {
        return Err(Error::NotFound("Project"));
    }
    let access = access.again(forge, &mut tx).await.map_err(|error| match error {
        Error::Refused(_) => Error::BadRequest(MAY_NOT_CREATE.to_owned()),
        other => other,
    })?;
    if !creation_gate(forge, &mut tx, access.project()).await?.allows() {
        return Err(Error::BadRequest(MAY_NOT_CREATE.to_owned()));
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

    let project = access.project();
    let taken = users::bot_usernames(&mut tx, project).await?;
    let username = bot::first_free_username(project, &taken);
    let email = bot::email(&username, forge.mail_host());
    let new_bot = NewUser {
        username: &username,
        name: name.as_str(),
        email: &email,
        kind: UserKind::ProjectBot,
        password_hash: None,
        administrator: false,
        external: access.viewer().is_external(),
        bot_project: Some(project),
        created_by: Some(creator.user),
    };
    let bot = users::insert(&mut tx, &new_bot, now).await?;
    members::insert(&mut tx, Place::Project(project), bot, request.role, None, Some(creator.user), now)
        .await?;
    let joined = NewEvent {
        project,
        author: bot,
        token: Some(creator.token),
        action: "joined",
        target_type: None,
        target_id: None,
        target_iid: None,
        target_title: None,
        details: None,
    };
    events::insert(&mut tx, &joined, now).await?;
    let grant = Grant {
        user: bot,
        project: Some(project),
        name: name.as_str(),
        description: description.as_deref(),
        scopes: request.scopes,
        expires_at,
        previous: None,
        created_by: Some(creator.user),
    };
    let created = credentials::issue(forge, &mut tx, grant).await?;
    let entry = token_entry(&access, "project_access_token_created", &created.token);
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

async fn creation_gate(forge: &Forge, tx: &mut Tx, project: ProjectId) -> Result<CreationGate, Error> {
    let project = projects::find(tx, project).await?.ok_or(Error::NotFound("Project"))?;
    let root = namespaces::find_root(tx, project.namespace).await?.ok_or(Error::NotFound("Namespace"))?;
    Ok(CreationGate {
        instance_allows: forge.settings().project_access_tokens,
        edition: forge.settings().edition,
        plan: root.plan,
        root_group_allows: root.token_creation_allowed || !root.is_group(),
    })
}

fn token_entry<'a, A: Act<On = on::Project>>(
    access: &'a Authorized<A>,
    event: &'a str,
    token: &AccessToken,
) -> Entry<'a> {
    let entry = Entry::project(access.project(), &access.place().full_path, event);
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
async fn note_failure<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    event: &str,
    details: serde_json::Value,
) {
    let written = async {
        let mut tx = forge.db().begin().await?;
        let entry = Entry::project(access.project(), &access.place().full_path, event).details(details);
        audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
        tx.commit().await.map_err(Error::from)
    };
    if let Err(error) = written.await {
        tracing::error!(%error, event, "an audit entry about a refusal could not be written");
    }
}

/// Revokes a token of the project. When this returns, no door opens to it any more.
///
/// # Errors
/// [`Error::NotFound`] when this project has no such token.
pub async fn revoke(
    forge: &Forge,
    access: &Authorized<act::RevokeAccessToken>,
    id: TokenId,
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let token = find(&mut tx, access.project(), id).await?;
    let by = access.identity()?.user;
    credentials::end(forge, &mut tx, &token, Some(by)).await?;
    let entry = token_entry(&access, "project_access_token_deleted", &token);
    audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Answers somebody who may see the project but not revoke: that there is no such token, or who cannot delete whom.
///
/// # Errors
/// Always: the answer is the error.
pub async fn refuse_revocation(
    forge: &Forge,
    access: &Authorized<act::ReadProject>,
    id: TokenId,
) -> Result<std::convert::Infallible, Error> {
    let mut tx = forge.db().read().await?;
    let token = find(&mut tx, access.project(), id).await?;
    drop(tx);
    let details = json!({ "token_id": token.id.0, "error": "no permission" });
    note_failure(forge, access, "project_access_token_deletion_failed", details).await;
    let caller = access.identity()?;
    Err(Error::BadRequest(format!("{} cannot delete {}", caller.name, token.name)))
}

/// Replaces a token of the project by a new one with the same bot, name and scopes.
///
/// # Errors
/// [`Error::NotFound`] when this project has no such token; [`Error::BadRequest`] when it is revoked, or can do more
/// than the caller; [`Error::Unauthorized`] while creation is switched off.
pub async fn rotate(
    forge: &Forge,
    access: &Authorized<act::RotateAccessToken>,
    id: TokenId,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    if !creation_gate(forge, &mut tx, access.project()).await?.allows() {
        return Err(if access.viewer().is_administrator() {
            Error::NotFound("project Access Token")
        } else {
            Error::Unauthorized
        });
    }
    let old = match find(&mut tx, access.project(), id).await {
        // GitLab tells only administrators that a token to be rotated does not exist.
        Err(Error::NotFound(_)) if !access.viewer().is_administrator() => return Err(Error::Unauthorized),
        other => other?,
    };
    let by = access.identity()?.user;
    let bot = members::find(
        &mut tx,
        Place::Project(access.project()),
        members::Reach::Direct,
        old.user,
        forge.now(),
    )
    .await?;
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

/// Replaces the presented project access token itself, through its own project.
///
/// # Errors
/// [`Error::NotAvailable`] for a person's token; [`Error::Unauthorized`] for a bot of another project.
pub async fn rotate_own(
    forge: &Forge,
    access: &Authorized<act::RotateOwnAccessToken>,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    let identity = access.identity()?;
    if !identity.bot {
        return Err(Error::NotAvailable);
    }
    if identity.project != Some(access.project()) {
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
    let old = access_tokens::find(&mut tx, identity.token).await?.ok_or(Error::Unauthorized)?;
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

/// Adds an audit entry about a token of any kind: about its project, or about the person it belongs to.
pub(crate) async fn record_fate(
    tx: &mut Tx,
    viewer: &Viewer,
    token: &AccessToken,
    fate: Fate,
    now: i64,
) -> Result<(), Error> {
    let event = match (token.project, fate) {
        (_, Fate::Reused(_)) => "access_token_reuse_detected",
        (Some(_), Fate::Revoked) => "project_access_token_deleted",
        (Some(_), Fate::Replaces(_)) => "project_access_token_rotated",
        (None, Fate::Revoked) => "personal_access_token_revoked",
        (None, Fate::Replaces(_)) => "personal_access_token_rotated",
    };
    let path = match token.project {
        Some(project) => projects::find(tx, project).await?.map(|project| project.full_path),
        None => users::find(tx, token.user).await?.map(|user| user.username),
    };
    let entry = match token.project {
        Some(project) => Entry::project(project, "", event),
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
