//! Deletes projects and groups that were hidden when their deletion was asked for.

use std::sync::Arc;

use portcullis_rules::id::{NamespaceId, ProjectId};
use portcullis_store::{blobs, namespaces, projects, users};

use crate::Error;
use crate::credentials;
use crate::forge::Forge;
use crate::registry::repositories;

pub(super) async fn delete_project(forge: &Arc<Forge>, project: ProjectId) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    // Bots were ended when the deletion was asked for. One that was being made at that moment is ended here.
    for bot in users::bots_of_project(&mut tx, project).await? {
        credentials::end_bot(forge, &mut tx, bot, None).await?;
    }
    tx.commit().await?;
    match forge.git().delete(project.0).await {
        Ok(()) | Err(portcullis_git::Error::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    repositories::remove_all_of(forge, project).await?;
    let mut tx = forge.db().begin().await?;
    // What its images, uploads and packages linked is kept for the safe age, counted from now.
    blobs::touch_linked_in_project(&mut tx, project, forge.now()).await?;
    projects::delete(&mut tx, project).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn delete_group(forge: &Arc<Forge>, group: NamespaceId) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let inside = namespaces::projects_inside(&mut tx, group).await?;
    drop(tx);
    for project in inside {
        delete_project(forge, ProjectId(project)).await?;
    }
    let mut tx = forge.db().begin().await?;
    // As with projects: a bot of the group itself that was being made at that moment is ended here.
    for bot in users::bots_below_group(&mut tx, group).await? {
        credentials::end_bot(forge, &mut tx, bot, None).await?;
    }
    namespaces::delete_with_descendants(&mut tx, group).await?;
    tx.commit().await?;
    Ok(())
}
