//! What users keep for later: issues and merge requests.

use portcullis_rules::access::{Act, act};
use portcullis_rules::id::TodoId;
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use portcullis_store::todos::{self, Todo, TodoFilter};

use crate::Error;
use crate::access::{Authorized, Place};
use crate::forge::Forge;
use crate::noteables::{CommentedOn, get_locked};

/// The most that one user keeps, with what is done.
const MAX_OF_USER: i64 = 10_000;

/// Returns what the caller keeps and may still read, the newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadOwnTodos>,
    filter: TodoFilter,
    window: Window,
) -> Result<Listing<Todo>, Error> {
    let user = access.identity()?.user;
    let mut tx = forge.db().read().await?;
    let audience = access.viewer().audience();
    Ok(todos::list(&mut tx, user, audience, filter, window, forge.now()).await?)
}

async fn get_own<A: Act>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    id: TodoId,
) -> Result<Todo, Error>
where
    A::On: Place,
{
    let filter = TodoFilter { id: Some(id), ..TodoFilter::default() };
    let window = Window { limit: 1, offset: 0 };
    let (user, audience) = (access.identity()?.user, access.viewer().audience());
    let found = todos::list(tx, user, audience, filter, window, forge.now()).await?;
    found.items.into_iter().next().ok_or(Error::NotFound("Todo"))
}

/// Keeps an issue or a merge request for later. Nothing is returned when the caller keeps it already.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thing for this caller; [`Error::Unprocessable`] when they keep too much.
pub async fn create<S: CommentedOn>(
    forge: &Forge,
    access: &Authorized<S::Follow>,
    iid: i64,
) -> Result<Option<Todo>, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let on = get_locked::<S, _>(&mut tx, &access, iid).await?.on();
    let user = access.identity()?.user;
    let (pending, count) = todos::count_of(&mut tx, user, on).await?;
    if pending {
        return Ok(None);
    }
    if count >= MAX_OF_USER {
        return Err(Error::Unprocessable(format!("Too many to-do items (maximum is {MAX_OF_USER})")));
    }
    let id = todos::insert(&mut tx, (user, user), access.project(), on, forge.now()).await?;
    let todo = get_own(forge, &mut tx, &access, id).await?;
    tx.commit().await?;
    Ok(Some(todo))
}

/// Says that something the caller keeps is done.
///
/// # Errors
/// [`Error::NotFound`] when they keep nothing with this id.
pub async fn mark_as_done(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnTodos>,
    id: TodoId,
) -> Result<Todo, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    get_own(forge, &mut tx, &access, id).await?;
    todos::set_done(&mut tx, access.identity()?.user, id, forge.now()).await?;
    let todo = get_own(forge, &mut tx, &access, id).await?;
    tx.commit().await?;
    Ok(todo)
}

/// Says that everything the caller keeps is done.
///
/// # Errors
/// The database's.
pub async fn mark_all_as_done(forge: &Forge, access: &Authorized<act::UpdateOwnTodos>) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    todos::set_all_done(&mut tx, access.identity()?.user, forge.now()).await?;
    tx.commit().await?;
    Ok(())
}
