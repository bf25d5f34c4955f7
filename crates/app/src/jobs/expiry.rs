//! Cleans up after what ended by date. Nothing waits for this: a date is read on every use.

use std::sync::Arc;

use portcullis_rules::token::MICROSECONDS;
use portcullis_store::{members, users};

use crate::Error;
use crate::access::{Origin, Viewer};
use crate::audit::{self, Entry};
use crate::credentials;
use crate::forge::Forge;

const DAY: i64 = 24 * 60 * 60 * MICROSECONDS;

pub(super) async fn run(forge: &Arc<Forge>) -> Result<(), Error> {
    let now = forge.now();
    let since = now - i64::from(forge.settings().inactive_token_retention_days) * DAY;
    loop {
        let mut tx = forge.db().begin().await?;
        let bots = users::bots_without_living_token(&mut tx, since).await?;
        for bot in &bots {
            let Some(record) = users::find(&mut tx, *bot).await? else { continue };
            credentials::end_bot(forge, &mut tx, *bot, None).await?;
            let entry = Entry::user(*bot, &record.username, "bot_ended_after_expiry");
            audit::record(&mut tx, &Viewer::anonymous(Origin::default()), entry, now).await?;
        }
        tx.commit().await?;
        if bots.is_empty() {
            break;
        }
    }
    let mut tx = forge.db().begin().await?;
    members::delete_expired(&mut tx, now).await?;
    tx.commit().await?;
    crate::sessions::clean_up(forge).await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}
