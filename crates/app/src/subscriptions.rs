//! Who wants to be told of issues, merge requests and labels. This forge sends no messages yet; what is asked for is kept.

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::LabelId;
use portcullis_store::db::Tx;
use portcullis_store::subscriptions::{self, Subscribable};

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;
use crate::labels::{LabelReference, get_called};
use crate::noteables::{CommentedOn, get_locked};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be told.
    Subscribe,
    /// Not to be told any more.
    Unsubscribe,
}

/// Whether a wish changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It did.
    Yes,
    /// It was so already.
    No,
}

async fn wish_for<A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    to: Subscribable,
    wish: Wish,
) -> Result<Changed, Error> {
    let user = access.identity()?.user;
    let wanted = wish == Wish::Subscribe;
    if subscriptions::is_subscribed(tx, to, user).await? == wanted {
        return Ok(Changed::No);
    }
    subscriptions::set(tx, to, user, wanted, forge.now()).await?;
    Ok(Changed::Yes)
}

/// Asks to be told of an issue or a merge request, or no longer.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this caller.
pub async fn set<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Follow>,
    iid: i64,
    wish: Wish,
) -> Result<Changed, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let on = get_locked::<S, _>(&mut tx, &access, iid).await?.on();
    let changed = wish_for(forge, &mut tx, &access, on.into(), wish).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Asks to be told of what gets a label, or no longer.
///
/// # Errors
/// [`Error::NotFound`] when the project has no label that is called so.
pub async fn set_for_label(
    forge: &Forge,
    access: &Authorized<act::FollowLabel>,
    called: LabelReference<'_>,
    wish: Wish,
) -> Result<Changed, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let label = get_called(&mut tx, access.project(), called).await?;
    let changed = wish_for(forge, &mut tx, &access, Subscribable::Label(label.id), wish).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Returns which of these labels the viewer wants to be told of.
///
/// # Errors
/// The database's.
pub async fn of_labels<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    labels: &[LabelId],
) -> Result<Vec<LabelId>, Error> {
    let Some(identity) = access.viewer().identity() else { return Ok(Vec::new()) };
    let ids: Vec<_> = labels.iter().map(|label| label.0).collect();
    let mut tx = forge.db().read().await?;
    let found = subscriptions::labels_of(&mut tx, &ids, identity.user).await?;
    Ok(found.into_iter().map(LabelId).collect())
}
