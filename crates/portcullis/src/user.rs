//! `portcullis user`: what an operator does about people.

use std::io::{self, BufRead};

use anyhow::{Context, bail};
use portcullis_app::{
    access::Authorized,
    people::{self, NewPersonRequest},
    second_factor, sessions,
};
use portcullis_rules::access::act;

use crate::{
    arguments::{Person, Place, UserCreate},
    forge, output,
};

/// What the audit log gives as the reason.
const REASON: &str = "command line";

/// The longest line that is read as a password.
const MAX_PASSWORD_LINE: u64 = 4096;

/// Makes a person and prints who it is.
pub(crate) fn create(arguments: &UserCreate) -> anyhow::Result<()> {
    let password = if arguments.password_stdin { Some(read_password(io::stdin().lock())?) } else { None };
    let request = NewPersonRequest {
        username: arguments.username.clone(),
        name: arguments.name.clone(),
        email: arguments.email.clone(),
        password,
        administrator: arguments.admin,
        external: arguments.external,
    };
    let person = forge::for_task(&arguments.place, async |forge| {
        people::create(forge, &Authorized::<act::AdministerUsers>::by_system(REASON), request).await
    })?;
    output::print(&format!("{} is user {}\n", person.username, person.id.0))
}

/// Prints a link with which a person chooses a password.
pub(crate) fn password_link(arguments: &Person) -> anyhow::Result<()> {
    let link = forge::for_task(&arguments.place, async |forge| {
        let access = Authorized::<act::AdministerUsers>::by_system(REASON);
        let secret = sessions::make_password_link(forge, &access, &arguments.username).await?;
        let start = forge.base_url();
        Ok::<_, portcullis_app::Error>(format!(
            "{start}/users/password/edit?reset_password_token={}",
            secret.reveal()
        ))
    })?;
    output::print(&format!("{link}\n"))
}

/// Takes a person's second factor away.
pub(crate) fn remove_second_factor(arguments: &Person) -> anyhow::Result<()> {
    let username = &arguments.username;
    let had = forge::for_task(&arguments.place, async |forge| {
        let reading = Authorized::<act::ReadUsers>::by_system(REASON);
        let user = people::get_by_username(forge, &reading, username).await?;
        let access = Authorized::<act::AdministerUsers>::by_system(REASON);
        second_factor::remove_of(forge, &access, user.id).await
    })?;
    let said = if had { "has no second factor any more" } else { "had no second factor" };
    output::print(&format!("{username} {said}\n"))
}

/// Prints how many people need a seat.
pub(crate) fn seats(place: &Place) -> anyhow::Result<()> {
    let statistics = forge::for_task(place, async |forge| {
        people::statistics(forge, &Authorized::<act::ReadStatistics>::by_system(REASON)).await
    })?;
    output::print(&format!("{}\n", statistics.billable_users))
}

/// Reads the first line, without its end.
fn read_password(input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.take(MAX_PASSWORD_LINE).read_line(&mut line).context("the password cannot be read")?;
    let password =
        line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        bail!("there is no password on standard input; its first line must hold it");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (input, password) in
            [("one", "one"), ("one\n", "one"), ("one\r\ntwo\n", "one"), (" a b \n", " a b ")]
        {
            assert_eq!(read_password(input.as_bytes()).unwrap(), password);
        }
        for input in ["", "\n", "\r\n"] {
            assert!(read_password(input.as_bytes()).is_err());
        }
    }
}
