//! Personal access tokens, and what any token may do with itself.

use jiff::civil::Date;
use portcullis_rules::access::{Role, ScopeSet, act};
use portcullis_rules::id::{TokenId, UserId};
use portcullis_rules::names::DisplayName;
use portcullis_store::access_tokens::{self, AccessToken, TokenFilter, TokensOf};
use portcullis_store::db::Tx;
use portcullis_store::namespaces::{self, Namespace, NamespaceFilter};
use portcullis_store::projects::{self, Project, ProjectFilter};
use portcullis_store::select::{Listing, Window};
use portcullis_store::users::{self, UserKind};
use serde_json::json;

use crate::Error;
use crate::access::{Authorized, Viewer};
use crate::audit::{self, Entry};
use crate::credentials::{self, Created, Grant};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::last_use::PRECISION;
use crate::tokens::{Fate, checked_description, record_fate, rotate_presented};

/// What a personal token is asked for with.
#[derive(Clone, Debug)]
pub struct NewPersonalTokenRequest {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it is given.
    pub scopes: ScopeSet,
    /// From which date on it is dead.
    pub expires_at: Option<Date>,
}

/// Makes a token for a person.
///
/// # Errors
/// [`Error::NotFound`] when there is no such person; [`Error::Invalid`] or [`Error::BadRequest`] for what was asked.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreatePersonalAccessToken>,
    user: UserId,
    request: NewPersonalTokenRequest,
) -> Result<Created, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    create_within(forge, tx, access.viewer(), user, request).await
}

/// Makes a token for the caller themselves.
///
/// # Errors
/// As [`create`].
pub async fn create_own(
    forge: &Forge,
    access: &Authorized<act::CreateOwnPersonalAccessToken>,
    request: NewPersonalTokenRequest,
) -> Result<Created, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let user = access.identity()?.user;
    create_within(forge, tx, access.viewer(), user, request).await
}

async fn create_within(
    forge: &Forge,
    mut tx: Tx,
    viewer: &Viewer,
    user: UserId,
    request: NewPersonalTokenRequest,
) -> Result<Created, Error> {
    let user = users::find(&mut tx, user).await?.ok_or(Error::NotFound("User"))?;
    if user.kind != UserKind::Person {
        return Err(Error::BadRequest("Only people have personal access tokens".to_owned()));
    }
    if user.blocked {
        return Err(Error::BadRequest("The user is blocked".to_owned()));
    }
    if !viewer.scopes().may_grant(request.scopes) {
        return Err(Error::BadRequest(
            "The token would hold scopes that the creating token does not".to_owned(),
        ));
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
        .check(request.expires_at, forge.now())
        .map_err(|refusal| Error::BadRequest(refusal.to_string()))?;
    let grant = Grant {
        user: user.id,
        home: None,
        name: name.as_str(),
        description: description.as_deref(),
        scopes: request.scopes,
        expires_at,
        previous: None,
        created_by: viewer.identity().map(|identity| identity.user),
    };
    let created = credentials::issue(forge, &mut tx, grant).await?;
    let entry = Entry::user(user.id, &user.username, "personal_access_token_created")
        .target("AccessToken", created.token.id.0)
        .details(json!({
            "token_id": created.token.id.0,
            "name": created.token.name,
            "scopes": created.token.scopes.names().collect::<Vec<_>>(),
        }));
    audit::record(&mut tx, viewer, entry, forge.now()).await?;
    tx.commit().await?;
    Ok(created)
}

/// Makes a token for the person with this username, for the command line.
///
/// # Errors
/// As [`create`].
pub async fn create_for_username(
    forge: &Forge,
    access: &Authorized<act::CreatePersonalAccessToken>,
    username: &str,
    request: NewPersonalTokenRequest,
) -> Result<Created, Error> {
    let mut tx = forge.db().read().await?;
    let user = users::find_by_username(&mut tx, username).await?.ok_or(Error::NotFound("User"))?;
    drop(tx);
    create(forge, access, user.id, request).await
}

/// Returns tokens: one's own, or as an administrator those of `user` or of everybody.
///
/// # Errors
/// [`Error::Unauthorized`] when somebody else's are asked for; [`Error::NotFound`] when an administrator names nobody.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadPersonalAccessTokens>,
    user: Option<UserId>,
    filter: &TokenFilter,
    window: Window,
) -> Result<Listing<AccessToken>, Error> {
    let own = access.identity()?.user;
    let mut tx = forge.db().read().await?;
    let of = match user {
        None if access.viewer().is_administrator() => TokensOf::Everybody,
        None => TokensOf::User(own),
        Some(user) if user == own => TokensOf::User(own),
        Some(user) if access.viewer().is_administrator() => {
            users::find(&mut tx, user).await?.ok_or(Error::NotFound("User"))?;
            TokensOf::User(user)
        }
        Some(_) => return Err(Error::Unauthorized),
    };
    Ok(access_tokens::list(&mut tx, of, filter, window, forge.now()).await?)
}

/// Finds a token that the viewer may deal with: their own, or any as an administrator.
async fn find_manageable(tx: &mut Tx, viewer: &Viewer, id: TokenId) -> Result<AccessToken, Error> {
    let identity = viewer.identity().ok_or(Error::Unauthorized)?;
    match access_tokens::find(tx, id).await? {
        Some(token) if token.user == identity.user || viewer.is_administrator() => Ok(token),
        None if viewer.is_administrator() => Err(Error::NotFound("Token")),
        _ => Err(Error::Unauthorized),
    }
}

/// Returns one token.
///
/// # Errors
/// [`Error::Unauthorized`] when it is somebody else's or nobody's; an administrator is told which.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadPersonalAccessTokens>,
    id: TokenId,
) -> Result<AccessToken, Error> {
    let mut tx = forge.db().read().await?;
    find_manageable(&mut tx, access.viewer(), id).await
}

/// Returns the presented token.
///
/// # Errors
/// The database's.
pub async fn get_own(forge: &Forge, access: &Authorized<act::ReadOwnToken>) -> Result<AccessToken, Error> {
    let mut tx = forge.db().read().await?;
    access_tokens::find(&mut tx, access.identity()?.token().ok_or(Error::NotAvailable)?)
        .await?
        .ok_or(Error::Unauthorized)
}

/// What a token reaches: its user's groups and projects.
#[derive(Debug)]
pub struct Associations {
    /// Groups, with the role on each.
    pub groups: Vec<(Namespace, Role)>,
    /// Projects, with the role on each.
    pub projects: Vec<(Project, Role)>,
}

/// Returns what the presented token's user is a member of with at least `role`.
///
/// # Errors
/// The database's.
pub async fn associations(
    forge: &Forge,
    access: &Authorized<act::ReadOwnToken>,
    role: Role,
    window: Window,
) -> Result<Associations, Error> {
    let viewer = access.viewer();
    let user = access.identity()?.user;
    let now = forge.now();
    let mut tx = forge.db().read().await?;
    let filter =
        NamespaceFilter { groups_only: true, member: Some((user, role)), ..NamespaceFilter::default() };
    let groups = namespaces::list(&mut tx, viewer.audience(), &filter, window, now).await?;
    let filter = ProjectFilter { member: Some((user, role)), ascending: true, ..ProjectFilter::default() };
    let projects = projects::list(&mut tx, viewer.audience(), &filter, window, now).await?;
    let mut associations = Associations { groups: Vec::new(), projects: Vec::new() };
    for group in groups.items {
        if let Some(role) = namespaces::find_role(&mut tx, group.id, user, now).await? {
            associations.groups.push((group, role));
        }
    }
    for project in projects.items {
        let reference = portcullis_rules::names::IdOrPath::Id(project.id.0);
        let facts = projects::find_facts(&mut tx, &reference, Some(user), now).await?;
        if let Some(role) = facts.and_then(|facts| facts.facts.role) {
            associations.projects.push((project, role));
        }
    }
    Ok(associations)
}

/// Revokes the presented token itself.
///
/// # Errors
/// The database's.
pub async fn revoke_own(forge: &Forge, access: &Authorized<act::RevokeOwnToken>) -> Result<(), Error> {
    let identity = access.identity()?;
    let mut tx = forge.db().begin().await?;
    let presented = identity.token().ok_or(Error::NotAvailable)?;
    let token = access_tokens::find(&mut tx, presented).await?.ok_or(Error::Unauthorized)?;
    credentials::end(forge, &mut tx, &token, Some(identity.user)).await?;
    record_fate(&mut tx, access.viewer(), &token, Fate::Revoked, forge.now()).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Revokes a token: one's own, or as an administrator anybody's.
///
/// # Errors
/// [`Error::NotFound`] when there is none; [`Error::BadRequest`] when it is somebody else's.
pub async fn revoke(
    forge: &Forge,
    access: &Authorized<act::RevokePersonalAccessToken>,
    id: TokenId,
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let identity = access.identity()?;
    let token = access_tokens::find(&mut tx, id).await?.ok_or(Error::NotFound("Token"))?;
    if token.user != identity.user && !access.viewer().is_administrator() {
        // The same answer as for a token that does not exist: nobody learns other people's token ids.
        return Err(Error::NotFound("Token"));
    }
    credentials::end(forge, &mut tx, &token, Some(identity.user)).await?;
    record_fate(&mut tx, access.viewer(), &token, Fate::Revoked, forge.now()).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Replaces a token by a new one: one's own, or as an administrator any person's.
///
/// # Errors
/// As [`get`]; [`Error::BadRequest`] when it is revoked; [`Error::Unauthorized`] when a bot names another token.
pub async fn rotate(
    forge: &Forge,
    access: &Authorized<act::RotatePersonalAccessToken>,
    id: TokenId,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let identity = access.identity()?;
    let old = find_manageable(&mut tx, access.viewer(), id).await?;
    if identity.bot && Some(old.id) != identity.token() {
        return Err(Error::Unauthorized);
    }
    if let Some(home) = old.home.filter(|_| !identity.bot) {
        // A project's token is rotated through its project, where its own rules are asked, and a group's through its group.
        let kind = home.kind();
        return Err(Error::BadRequest(format!("Rotate a {kind} access token through its {kind}")));
    }
    if !access.viewer().scopes().may_grant(old.scopes) {
        return Err(Error::BadRequest(
            "Not eligible to rotate tokens with permissions not held by the user".to_owned(),
        ));
    }
    let created = credentials::replace(forge, &mut tx, &old, expires_at, Some(identity.user)).await?;
    record_fate(&mut tx, access.viewer(), &created.token, Fate::Replaces(old.id), forge.now()).await?;
    tx.commit().await?;
    Ok(created)
}

/// Replaces the presented token itself.
///
/// # Errors
/// [`Error::BadRequest`] for the date.
pub async fn rotate_own(
    forge: &Forge,
    access: &Authorized<act::RotateOwnToken>,
    expires_at: Option<Date>,
) -> Result<Created, Error> {
    rotate_presented(forge, access.viewer(), access.identity()?, expires_at).await
}

/// How many uses are written in one transaction.
const USES_AT_ONCE: usize = 500;

/// Writes down which tokens were used lately.
pub(crate) async fn write_last_uses(forge: &Forge) -> Result<usize, Error> {
    let mut written = 0;
    let sessions = forge.last_use().take_sessions();
    if !sessions.is_empty() {
        let mut tx = forge.db().begin().await?;
        for (session, at) in &sessions {
            portcullis_store::sessions::touch(&mut tx, *session, *at).await?;
        }
        tx.commit().await?;
        written += sessions.len();
    }
    loop {
        let uses = forge.last_use().take(USES_AT_ONCE);
        if uses.is_empty() {
            return Ok(written);
        }
        let mut tx = forge.db().begin().await?;
        for (token, (at, address)) in &uses {
            let address = address.map(|address| address.to_string());
            access_tokens::touch(&mut tx, *token, *at, address.as_deref(), at - PRECISION).await?;
        }
        tx.commit().await?;
        written += uses.len();
    }
}
