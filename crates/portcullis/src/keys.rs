//! `portcullis keys`: what an operator does about the forge's own signing keys.
//!
//! These commands need the folder of the keys and nothing else, so they work whether or not the server or the database
//! runs. A running server looks into the folder by itself.

use std::fmt::Write as _;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use portcullis_app::{
    clock::{Clock, SystemClock},
    keys::Keys,
};

use crate::{arguments::Place, config::Configuration, data_folder, output};

/// Prints a line for each key.
pub(crate) fn list(place: &Place) -> anyhow::Result<()> {
    let mut text = String::new();
    for key in open(place)?.list() {
        let made_at = Timestamp::from_second(key.made_at.div_euclid(1_000_000))
            .with_context(|| format!("the key {} was made at no time of this calendar", key.file))?;
        let purpose = if key.signing { "signing" } else { "verifying" };
        // Writing into a string cannot fail.
        let _ =
            writeln!(text, "{}  {}  {made_at}  {purpose:9}  {}", key.id, key.algorithm.as_str(), key.file);
    }
    output::print(&text)
}

/// Makes a key and prints its name.
pub(crate) fn rotate(place: &Place) -> anyhow::Result<()> {
    let key = open(place)?.rotate(SystemClock.now()).map_err(|error| anyhow!("{error}"))?;
    output::print(&format!("{} signs from now on\n", key.id))
}

/// Prints the certificates of all keys.
pub(crate) fn print_certificates(place: &Place) -> anyhow::Result<()> {
    output::print(&open(place)?.certificates(SystemClock.now()))
}

fn open(place: &Place) -> anyhow::Result<Keys> {
    let settings = Configuration::load_at(place)?.settings;
    data_folder::expect_existing(&settings.data)?;
    // Each of these errors already tells its cause.
    Keys::open(&settings.data, settings.signing_algorithm, SystemClock.now())
        .map_err(|error| anyhow!("{error}"))
}
