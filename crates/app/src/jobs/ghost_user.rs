//! Moves the records of a user who is being deleted to the Ghost User, then deletes the user.

use std::sync::Arc;

use portcullis_rules::id::UserId;
use portcullis_store::user_references::{MOVED_TO_GHOST, move_to_ghost};
use portcullis_store::{access_tokens, namespaces, users};
use serde_json::json;

use crate::Error;
use crate::access::{Origin, Viewer};
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// How many rows move in one transaction, so that a user with a long history does not stop the others.
const BATCH: i64 = 500;

pub(super) async fn run(forge: &Arc<Forge>, user: UserId, initiator: Option<UserId>) -> Result<(), Error> {
    let ghost = forge.ghost();
    // A person's own projects go first; the job that deletes them was asked for together with this one.
    let mut tx = forge.db().read().await?;
    let own = namespaces::find_own(&mut tx, user).await?;
    let projects = match &own {
        Some(own) => namespaces::projects_inside(&mut tx, own.id).await?,
        None => Vec::new(),
    };
    drop(tx);
    for project in projects {
        super::removal::delete_project(forge, portcullis_rules::id::ProjectId(project)).await?;
    }

    for reference in MOVED_TO_GHOST {
        loop {
            let mut tx = forge.db().begin().await?;
            if *reference == ("access_tokens", "user_id") {
                access_tokens::retire_all_of(&mut tx, user, forge.now()).await?;
            }
            let moved = move_to_ghost(&mut tx, *reference, user, ghost, BATCH).await?;
            tx.commit().await?;
            if moved < BATCH.unsigned_abs() {
                break;
            }
        }
    }

    let mut tx = forge.db().begin().await?;
    let Some(record) = users::find(&mut tx, user).await? else { return Ok(()) };
    // What arrived since the batches, such as a push that was being recorded, moves with the deletion itself.
    for reference in MOVED_TO_GHOST {
        move_to_ghost(&mut tx, *reference, user, ghost, i64::MAX).await?;
    }
    if !users::delete(&mut tx, user).await? {
        return Err(Error::Internal(format!("user {user} is not marked for deletion").into()));
    }
    let viewer = Viewer::anonymous(Origin::default());
    let entry = Entry::user(user, &record.username, "user_destroyed").details(json!({
        "initiator_id": initiator.map(|user| user.0),
        "records_moved_to": ghost.0,
    }));
    audit::record(&mut tx, &viewer, entry, forge.now()).await?;
    tx.commit().await?;
    Ok(())
}
