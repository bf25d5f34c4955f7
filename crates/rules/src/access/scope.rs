//! Scopes: what a token was given when it was made.

use bitflags::bitflags;

bitflags! {
    /// A set of scopes, under the names GitLab gives them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct ScopeSet: u16 {
        /// Complete read and write access to the API, the repository and the registry.
        const API = 1;
        /// Read access to the API; as in GitLab also clone and image pull.
        const READ_API = 1 << 1;
        /// Read access to users.
        const READ_USER = 1 << 2;
        /// Clone and fetch.
        const READ_REPOSITORY = 1 << 3;
        /// Clone, fetch and push.
        const WRITE_REPOSITORY = 1 << 4;
        /// Pull images.
        const READ_REGISTRY = 1 << 5;
        /// Push images; pulling is not included.
        const WRITE_REGISTRY = 1 << 6;
        /// Act as another user; only an administrator's token is heard.
        const SUDO = 1 << 7;
        /// Rotate this very token.
        const SELF_ROTATE = 1 << 8;
    }
}

/// The order in which scopes are shown.
const NAMES: [(ScopeSet, &str); 9] = [
    (ScopeSet::API, "api"),
    (ScopeSet::READ_API, "read_api"),
    (ScopeSet::READ_USER, "read_user"),
    (ScopeSet::READ_REPOSITORY, "read_repository"),
    (ScopeSet::WRITE_REPOSITORY, "write_repository"),
    (ScopeSet::READ_REGISTRY, "read_registry"),
    (ScopeSet::WRITE_REGISTRY, "write_registry"),
    (ScopeSet::SUDO, "sudo"),
    (ScopeSet::SELF_ROTATE, "self_rotate"),
];

/// A word that names no scope, or not one that this kind of token can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope of this kind of token")]
pub struct UnknownScope(pub String);

impl ScopeSet {
    /// The scopes a project access token can hold.
    pub const FOR_PROJECT_TOKENS: ScopeSet = ScopeSet::API
        .union(ScopeSet::READ_API)
        .union(ScopeSet::READ_REPOSITORY)
        .union(ScopeSet::WRITE_REPOSITORY)
        .union(ScopeSet::READ_REGISTRY)
        .union(ScopeSet::WRITE_REGISTRY)
        .union(ScopeSet::SELF_ROTATE);

    /// The scopes a personal access token can hold.
    pub const FOR_PERSONAL_TOKENS: ScopeSet =
        Self::FOR_PROJECT_TOKENS.union(ScopeSet::READ_USER).union(ScopeSet::SUDO);

    /// Every scope, for "any scope at all".
    pub const ANY: ScopeSet = ScopeSet::all();

    /// Returns the set named by `words`, each of which must be in `allowed`.
    ///
    /// # Errors
    /// The first word that names no scope of `allowed`.
    pub fn parse<'a>(
        words: impl IntoIterator<Item = &'a str>,
        allowed: ScopeSet,
    ) -> Result<ScopeSet, UnknownScope> {
        let mut set = ScopeSet::empty();
        for word in words {
            match NAMES.iter().find(|(scope, name)| *name == word && allowed.contains(*scope)) {
                Some((scope, _)) => set |= *scope,
                None => return Err(UnknownScope(word.to_owned())),
            }
        }
        Ok(set)
    }

    /// Returns the set stored as `text`. Words this version does not know grant nothing.
    pub fn from_stored(text: &str) -> ScopeSet {
        let mut set = ScopeSet::empty();
        for word in text.split(' ') {
            if let Some((scope, _)) = NAMES.iter().find(|(_, name)| *name == word) {
                set |= *scope;
            }
        }
        set
    }

    /// Returns whether a credential with this set may give `wanted` to another one. `api` stands for everything a
    /// project offers; what reaches beyond, only who holds it can pass on.
    pub fn may_grant(self, wanted: ScopeSet) -> bool {
        let reach =
            if self.contains(ScopeSet::API) { ScopeSet::all() - ScopeSet::SUDO } else { ScopeSet::empty() };
        (self | reach).contains(wanted)
    }

    /// Returns the names in this set, in the order they are shown.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(scope, _)| self.contains(*scope)).map(|(_, name)| *name)
    }

    /// Returns the names joined by spaces, as stored and as OAuth writes a scope list (RFC 6749, section 3.3).
    pub fn to_text(self) -> String {
        self.names().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_being_stored() {
        for bits in 0..=ScopeSet::all().bits() {
            let set = ScopeSet::from_bits_truncate(bits);
            assert_eq!(ScopeSet::from_stored(&set.to_text()), set);
        }
    }

    #[test]
    fn a_project_token_cannot_hold_sudo_or_read_user() {
        for word in ["sudo", "read_user", "admin_mode", "API", "", "api "] {
            assert_eq!(
                ScopeSet::parse([word], ScopeSet::FOR_PROJECT_TOKENS),
                Err(UnknownScope(word.to_owned()))
            );
        }
    }

    #[test]
    fn nobody_grants_more_than_they_hold() {
        assert!(ScopeSet::API.may_grant(ScopeSet::FOR_PROJECT_TOKENS));
        assert!(!ScopeSet::API.may_grant(ScopeSet::SUDO));
        assert!((ScopeSet::API | ScopeSet::SUDO).may_grant(ScopeSet::FOR_PERSONAL_TOKENS));
        assert!(!ScopeSet::READ_API.may_grant(ScopeSet::READ_REPOSITORY));
        assert!(ScopeSet::SELF_ROTATE.may_grant(ScopeSet::SELF_ROTATE));
    }

    #[test]
    fn nothing_recorded_grants_nothing() {
        assert_eq!(ScopeSet::from_stored(""), ScopeSet::empty());
        assert_eq!(ScopeSet::from_stored("everything *"), ScopeSet::empty());
    }
}
