//! Roles and visibility, with GitLab's numbers.

/// A member's role, ordered: a higher role may do what a lower one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May see the project and its issues.
    Guest = 10,
    /// A Guest who also plans.
    Planner = 15,
    /// May also read the code of a private project.
    Reporter = 20,
    /// May also push to unprotected branches.
    Developer = 30,
    /// May also administer the project.
    Maintainer = 40,
    /// May also delete it and make Owners.
    Owner = 50,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Role; 6] =
        [Role::Guest, Role::Planner, Role::Reporter, Role::Developer, Role::Maintainer, Role::Owner];

    /// Returns the role with this number (GitLab's `access_level`), if there is one. 0 and 5 are none.
    pub fn from_level(level: i64) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.level() == level)
    }

    /// Returns GitLab's `access_level`.
    pub fn level(self) -> i64 {
        self as i64
    }

    /// Returns the name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Role::Guest => "Guest",
            Role::Planner => "Planner",
            Role::Reporter => "Reporter",
            Role::Developer => "Developer",
            Role::Maintainer => "Maintainer",
            Role::Owner => "Owner",
        }
    }
}

/// Who can see that a project or group exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    /// Its members.
    Private = 0,
    /// Every person who signed in and is not external.
    Internal = 10,
    /// Anyone.
    Public = 20,
}

impl Visibility {
    /// Every visibility, narrowest first.
    pub const ALL: [Visibility; 3] = [Visibility::Private, Visibility::Internal, Visibility::Public];

    /// Returns the visibility with this number (GitLab's `visibility_level`).
    pub fn from_level(level: i64) -> Option<Visibility> {
        Visibility::ALL.into_iter().find(|visibility| *visibility as i64 == level)
    }

    /// Returns GitLab's `visibility_level`.
    pub fn level(self) -> i64 {
        self as i64
    }

    /// Returns the word used by the API.
    pub fn name(self) -> &'static str {
        match self {
            Visibility::Private => "private",
            Visibility::Internal => "internal",
            Visibility::Public => "public",
        }
    }

    /// Returns the visibility that the API calls `word`.
    pub fn from_name(word: &str) -> Option<Visibility> {
        Visibility::ALL.into_iter().find(|visibility| visibility.name() == word)
    }
}
