//! What every kind of token has in common: how one is made, replaced and ended.
//!
//! Every path that ends a token comes through [`end`] or [`end_bot`]: revocation, self-revocation, reuse detection,
//! deletion of a project or group, clean-up after expiry. So none of them can leave a bot behind.

use jiff::civil::Date;
use portcullis_rules::access::ScopeSet;
use portcullis_rules::bot::Home;
use portcullis_rules::id::{TokenId, UserId};
use portcullis_rules::secret::TokenSecret;
use portcullis_rules::token::State;
use portcullis_store::access_tokens::{self, AccessToken, NewAccessToken};
use portcullis_store::db::{self, Tx};
use portcullis_store::{members, users};

use crate::Error;
use crate::forge::Forge;
use crate::jobs::{self, Job};

/// A token and its secret, which is shown this once.
#[derive(Debug)]
pub struct Created {
    /// The token.
    pub token: AccessToken,
    /// Its secret.
    pub secret: TokenSecret,
}

/// What a new token will be.
#[derive(Debug)]
pub(crate) struct Grant<'a> {
    pub user: UserId,
    pub home: Option<Home>,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub scopes: ScopeSet,
    pub expires_at: Option<i64>,
    pub previous: Option<TokenId>,
    pub created_by: Option<UserId>,
}

/// Makes a token.
pub(crate) async fn issue(forge: &Forge, tx: &mut Tx, grant: Grant<'_>) -> Result<Created, Error> {
    let prefix = match grant.home {
        Some(Home::Project(_)) => &forge.settings().project_token_prefix,
        Some(Home::Group(_)) => &forge.settings().group_token_prefix,
        None => &forge.settings().personal_token_prefix,
    };
    let secret = TokenSecret::generate(prefix, |bytes| forge.random().fill(bytes));
    let new = NewAccessToken {
        user: grant.user,
        home: grant.home,
        digest: secret.digest(),
        name: grant.name,
        description: grant.description,
        scopes: grant.scopes,
        expires_at: grant.expires_at,
        previous: grant.previous,
        created_by: grant.created_by,
    };
    let id = match access_tokens::insert(tx, &new, forge.now()).await {
        // Two rotations of one token met here; the table lets only one child be born.
        Err(db::Error::Unique { .. }) if grant.previous.is_some() => {
            return Err(Error::BadRequest("Token already revoked".to_owned()));
        }
        other => other?,
    };
    let token = access_tokens::find(tx, id).await?.ok_or(Error::NotFound("Access Token"))?;
    Ok(Created { token, secret })
}

/// Replaces `old` by a new token with the same name, scopes and user, and revokes it, in one step.
///
/// The caller holds the user's row lock, so that of two rotations the second finds the token revoked.
pub(crate) async fn replace(
    forge: &Forge,
    tx: &mut Tx,
    old: &AccessToken,
    expires_at: Option<Date>,
    by: Option<UserId>,
) -> Result<Created, Error> {
    let now = forge.now();
    let policy = forge.lifetime_policy();
    let date = expires_at.or_else(|| policy.default_for_rotation(now));
    let expires_at = policy.check(date, now).map_err(|refusal| Error::BadRequest(refusal.to_string()))?;
    if !users::lock(tx, old.user).await? || !access_tokens::revoke(tx, old.id, now).await? {
        return Err(Error::BadRequest("Token already revoked".to_owned()));
    }
    let grant = Grant {
        user: old.user,
        home: old.home,
        name: &old.name,
        description: old.description.as_deref(),
        scopes: old.scopes,
        expires_at,
        previous: Some(old.id),
        created_by: by,
    };
    issue(forge, tx, grant).await
}

/// Ends a token. When it was its bot's last living one, the bot ends with it.
pub(crate) async fn end(
    forge: &Forge,
    tx: &mut Tx,
    token: &AccessToken,
    by: Option<UserId>,
) -> Result<(), Error> {
    let now = forge.now();
    users::lock(tx, token.user).await?;
    access_tokens::revoke(tx, token.id, now).await?;
    if token.home.is_some() && access_tokens::living_of(tx, token.user, now).await? == 0 {
        end_bot(forge, tx, token.user, by).await?;
    }
    Ok(())
}

/// Ends a bot: its tokens, its membership, and itself as soon as its records have moved to the Ghost User.
///
/// All of it is in the caller's transaction: once that is committed no door opens any more, and the job that finishes
/// the work is recorded.
pub(crate) async fn end_bot(
    forge: &Forge,
    tx: &mut Tx,
    bot: UserId,
    by: Option<UserId>,
) -> Result<(), Error> {
    let now = forge.now();
    access_tokens::revoke_all_of(tx, bot, now).await?;
    members::delete_all_of(tx, bot).await?;
    users::request_deletion(tx, bot, now).await?;
    jobs::ask(tx, &Job::GhostUser { user: bot, initiator: by }, now).await
}

/// Ends every living descendant of a token, because the token's own secret has turned up again after its death.
pub(crate) async fn end_descendants(forge: &Forge, tx: &mut Tx, token: TokenId) -> Result<u32, Error> {
    let mut ended = 0;
    let mut parent = token;
    while let Some((child, _, _)) = access_tokens::find_child(tx, parent).await? {
        if let Some(record) = access_tokens::find(tx, child).await?
            && record.lifetime.state(forge.now()) == State::Active
        {
            end(forge, tx, &record, None).await?;
            ended += 1;
        }
        parent = child;
    }
    Ok(ended)
}
