//! `portcullis migrate`: brings the database to the form this version needs, and nothing else.

use anyhow::anyhow;
use portcullis_app::{Forge, clock::SystemClock};

use crate::{arguments::Place, config::Configuration, forge, output};

/// Migrates and says what was done.
pub(crate) fn run(place: &Place) -> anyhow::Result<()> {
    let settings = Configuration::load_at(place)?.settings;
    let done = forge::runtime()?
        .block_on(Forge::migrate_only(&settings, &SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    output::print(&if done.applied.is_empty() {
        format!("The database is up to date at schema version {}.\n", done.to)
    } else {
        format!("The database is now at schema version {}; applied: {}.\n", done.to, done.applied.join(", "))
    })
}
