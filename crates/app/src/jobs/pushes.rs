//! What is found out about a push after it was acknowledged.

use std::sync::Arc;

use portcullis_git::ObjectId;
use portcullis_rules::id::{EventId, ProjectId};
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::{events, pushes};
use serde_json::{Value, json};

use crate::Error;
use crate::forge::Forge;
use crate::ref_changes;

/// Commits of one push are counted up to this many.
const MAX_COUNTED_COMMITS: u32 = 10_000;

/// Adds to an entry of the feed how many commits arrived and what the last one is called.
pub(super) async fn describe(forge: &Arc<Forge>, project: ProjectId, event: EventId) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let Some(details) = events::find_details(&mut tx, event).await? else { return Ok(()) };
    drop(tx);
    let Ok(mut details) = serde_json::from_str::<Value>(&details) else { return Ok(()) };
    let id = |name: &str| details.get(name).and_then(Value::as_str).and_then(ObjectId::parse);
    let (old, Some(new)) = (id("commit_from"), id("commit_to")) else { return Ok(()) };
    let found = async {
        let old: Vec<_> = old.into_iter().collect();
        let count = forge.git().count_commits(project.0, &old, &new, MAX_COUNTED_COMMITS).await?;
        Ok((count, forge.git().commit_summary(project.0, &new).await?))
    };
    let (count, summary) = match found.await {
        Ok(found) => found,
        // Gone, or pushed over and pruned: the entry stays as it is.
        Err(portcullis_git::Error::NotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    details["commit_count"] = json!(count);
    details["commit_title"] = json!(summary.map(|summary| summary.title));
    let mut tx = forge.db().begin().await?;
    events::set_details(&mut tx, event, &details.to_string()).await?;
    tx.commit().await?;
    Ok(())
}

/// A push whose refs did not move within this time never will move them: its server died.
const LEFT_BEHIND_AFTER: i64 = 5 * 60 * MICROSECONDS;

/// Settles pushes whose server died between accepting and recording: what the repository says has happened, happened.
pub(super) async fn settle(forge: &Arc<Forge>) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let mut tx = forge.db().read().await?;
        let pushes = pushes::unsettled_after(&mut tx, after).await?;
        drop(tx);
        let Some(last) = pushes.last() else { return Ok(()) };
        after = last.id;
        for push in pushes {
            let may_still_move = push.created_at > forge.now() - LEFT_BEHIND_AFTER;
            ref_changes::settle_what_happened(forge, push, may_still_move).await?;
        }
    }
}
