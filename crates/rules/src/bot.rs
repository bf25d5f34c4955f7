//! Where the bot of an access token is at home, and how it is named.

use std::collections::HashSet;

use crate::id::{NamespaceId, ProjectId};

/// What an access token belongs to when it belongs to no person, and where its bot has its one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// A project: the bot has its role there and nowhere else.
    Project(ProjectId),
    /// A group: the bot has its role there, and in all groups and projects below.
    Group(NamespaceId),
}

impl Home {
    /// Returns the word for its kind, which names begin with.
    pub fn kind(self) -> &'static str {
        match self {
            Home::Project(_) => "project",
            Home::Group(_) => "group",
        }
    }

    /// Returns its number among those of its kind.
    pub fn number(self) -> i64 {
        match self {
            Home::Project(id) => id.0,
            Home::Group(id) => id.0,
        }
    }
}

/// Returns the username of the bot with this number: `project_7_bot`, then `project_7_bot1`, `project_7_bot2`, …; those
/// of a group begin with `group_`.
pub fn username(home: Home, number: u32) -> String {
    let start = format!("{}_{}_bot", home.kind(), home.number());
    match number {
        0 => start,
        number => format!("{start}{number}"),
    }
}

/// Returns the first username of this form that is not in `taken`: the lowest free number.
pub fn first_free_username(home: Home, taken: &[String]) -> String {
    let taken: HashSet<&str> = taken.iter().map(String::as_str).collect();
    (0..=u32::MAX)
        .map(|number| username(home, number))
        .find(|candidate| !taken.contains(candidate.as_str()))
        .unwrap_or_else(|| username(home, u32::MAX))
}

/// Returns whether `name` has the form of a bot's username, which no person may take.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["project_", "group_"].iter().any(|start| {
        name.strip_prefix(start)
            .and_then(|rest| rest.split_once("_bot"))
            .is_some_and(|(id, _)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Returns the address given to a bot. Nothing is ever sent to it.
pub fn email(username: &str, host: &str) -> String {
    format!("{username}@noreply.{host}")
}

/// Returns whether an address has the form of one given to a bot. Whoever makes a commit chooses the address in it, so this
/// says what a commit claims and no more.
pub fn is_email_of_bot(email: &str) -> bool {
    email.split_once('@').is_some_and(|(name, host)| is_reserved(name) && host.starts_with("noreply."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_wins() {
        let project = Home::Project(ProjectId(7));
        let mut taken = Vec::new();
        for expected in ["project_7_bot", "project_7_bot1", "project_7_bot2"] {
            let name = first_free_username(project, &taken);
            assert_eq!(name, expected);
            taken.push(name);
        }
        taken.remove(1);
        assert_eq!(first_free_username(project, &taken), "project_7_bot1");
        let group = Home::Group(NamespaceId(7));
        assert_eq!(first_free_username(group, &[]), "group_7_bot");
        assert_eq!(first_free_username(group, &["group_7_bot".to_owned()]), "group_7_bot1");
    }

    #[test]
    fn a_bot_is_known_by_its_address() {
        assert!(is_email_of_bot(&email("project_7_bot", "git.example.com")));
        assert!(is_email_of_bot(&email("group_7_bot12", "localhost")));
        for other in ["maria@example.com", "project_7_bot@example.com", "maria@noreply.example.com", "", "@"]
        {
            assert!(!is_email_of_bot(other), "{other}");
        }
    }

    #[test]
    fn people_cannot_take_a_bots_name() {
        assert!(is_reserved("project_7_bot"));
        assert!(is_reserved("Project_7_bot12"));
        assert!(is_reserved("group_1_bot"));
        assert!(!is_reserved("project_bot"));
        assert!(!is_reserved("robot"));
    }
}
