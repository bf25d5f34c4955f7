//! What a client asks the token endpoint for, and how the registry tells it what to ask for.
//!
//! The grammar is that of the token authentication of the CNCF Distribution project: `type:name:action[,action]*`. The
//! name may have a colon of its own, so the type ends at the first colon and the actions begin behind the last.

use std::fmt;

use serde_json::{Value, json};

/// The most entries in the `scope` parameters of one request. A client that mounts a layer asks for two or three.
pub const MAX_SCOPE_ENTRIES: usize = 20;

/// The most text in the `scope` parameters of one request, in bytes.
pub const MAX_SCOPE_BYTES: usize = 8 * 1024;

/// What kind of thing access is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceType {
    /// A repository, by its name.
    Repository,
    /// The registry itself; its one name is `catalog`.
    Registry,
}

impl ResourceType {
    /// Returns the word that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceType::Repository => "repository",
            ResourceType::Registry => "registry",
        }
    }
}

/// What is to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeAction {
    /// Read content and lists.
    Pull,
    /// Add content.
    Push,
    /// Remove content.
    Delete,
    /// Everything.
    Any,
}

impl ScopeAction {
    /// Every action.
    pub const ALL: [ScopeAction; 4] =
        [ScopeAction::Pull, ScopeAction::Push, ScopeAction::Delete, ScopeAction::Any];

    /// Returns the word that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ScopeAction::Pull => "pull",
            ScopeAction::Push => "push",
            ScopeAction::Delete => "delete",
            ScopeAction::Any => "*",
        }
    }
}

/// One resource, and what is to be done with it. It is written as `repository:group/app:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeEntry {
    /// What kind of thing it is.
    pub resource: ResourceType,
    /// Its name as the client wrote it, which need not be the name of anything.
    pub name: String,
    /// What is to be done, in the order of the request and without repetitions. There is at least one.
    pub actions: Vec<ScopeAction>,
}

/// Why the `scope` parameters of a request were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeRefusal {
    /// They have more than [`MAX_SCOPE_ENTRIES`] entries.
    #[error("scope has more than {MAX_SCOPE_ENTRIES} entries")]
    TooMany,
    /// They are longer than [`MAX_SCOPE_BYTES`].
    #[error("scope is longer than {MAX_SCOPE_BYTES} bytes")]
    TooLong,
}

impl ScopeEntry {
    /// Returns an entry for a repository.
    pub fn repository(name: impl fmt::Display, actions: &[ScopeAction]) -> ScopeEntry {
        ScopeEntry { resource: ResourceType::Repository, name: name.to_string(), actions: actions.to_vec() }
    }

    /// Returns what the values of the `scope` parameters ask for. Each value can hold several entries with spaces between
    /// them; those about the same resource become one.
    ///
    /// An entry that is malformed, or of a type or about actions that are not known, is left out: asking for what cannot
    /// be had is no error, and is answered by a token without it. A class behind the type, such as `repository(plugin)`,
    /// is no longer in use and is dropped.
    ///
    /// # Errors
    /// Which limit was passed.
    pub fn parse_all<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<ScopeEntry>, ScopeRefusal> {
        let (mut entries, mut count, mut bytes) = (Vec::<ScopeEntry>::new(), 0, 0);
        for value in values {
            bytes += value.len();
            if bytes > MAX_SCOPE_BYTES {
                return Err(ScopeRefusal::TooLong);
            }
            for text in value.split(' ').filter(|text| !text.is_empty()) {
                count += 1;
                if count > MAX_SCOPE_ENTRIES {
                    return Err(ScopeRefusal::TooMany);
                }
                let Some(entry) = ScopeEntry::parse(text) else { continue };
                let same =
                    |other: &&mut ScopeEntry| other.resource == entry.resource && other.name == entry.name;
                match entries.iter_mut().find(same) {
                    Some(other) => {
                        let more: Vec<_> = entry
                            .actions
                            .into_iter()
                            .filter(|action| !other.actions.contains(action))
                            .collect();
                        other.actions.extend(more);
                    }
                    None => entries.push(entry),
                }
            }
        }
        Ok(entries)
    }

    fn parse(text: &str) -> Option<ScopeEntry> {
        let (resource, rest) = text.split_once(':')?;
        let (name, words) = rest.rsplit_once(':')?;
        let resource = match resource.split_once('(') {
            Some((resource, class)) if class.ends_with(')') => resource,
            _ => resource,
        };
        let resource = [ResourceType::Repository, ResourceType::Registry]
            .into_iter()
            .find(|known| known.as_str() == resource)?;
        let mut actions = Vec::new();
        for word in words.split(',') {
            let known = ScopeAction::ALL.into_iter().find(|action| action.as_str() == word);
            actions.extend(known.filter(|action| !actions.contains(action)));
        }
        if name.is_empty() || actions.is_empty() {
            return None;
        }
        Some(ScopeEntry { resource, name: name.to_owned(), actions })
    }
}

impl fmt::Display for ScopeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.resource.as_str(), self.name)?;
        for (at, action) in self.actions.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", action.as_str())?;
        }
        Ok(())
    }
}

/// What was wrong with the token that a request had (RFC 6750, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeError {
    /// It is malformed, expired, revoked, or not signed by us.
    InvalidToken,
    /// It is good, and does not permit the action.
    InsufficientScope,
}

impl ChallengeError {
    /// Returns the word that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ChallengeError::InvalidToken => "invalid_token",
            ChallengeError::InsufficientScope => "insufficient_scope",
        }
    }
}

/// What a client is told that must get a token first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The address of the token endpoint. It comes from the settings and never from the request: a client sends its
    /// password there.
    pub realm: &'a str,
    /// The name of the registry, which the client repeats to the token endpoint.
    pub service: &'a str,
    /// What the client should ask for.
    pub scope: &'a [ScopeEntry],
    /// What was wrong with the token it had, if it had one.
    pub error: Option<ChallengeError>,
}

impl Challenge<'_> {
    /// Returns the value of `WWW-Authenticate`. All of the scope is in one parameter, with spaces between the entries, and
    /// the order is the one that is seen elsewhere, because some clients read no other.
    pub fn header_value(&self) -> String {
        let mut value = format!("Bearer realm={},service={}", quoted(self.realm), quoted(self.service));
        if !self.scope.is_empty() {
            let entries: Vec<_> = self.scope.iter().map(ScopeEntry::to_string).collect();
            value.push_str(",scope=");
            value.push_str(&quoted(&entries.join(" ")));
        }
        if let Some(error) = self.error {
            value.push_str(",error=");
            value.push_str(&quoted(error.as_str()));
        }
        value
    }

    /// Returns the `detail` of the error in the body: an object for each action that is missing.
    pub fn detail(&self) -> Value {
        let one = |entry: &ScopeEntry, action: &ScopeAction| {
            json!({
                "Type": entry.resource.as_str(),
                "Class": "",
                "Name": entry.name,
                "Action": action.as_str(),
            })
        };
        self.scope
            .iter()
            .flat_map(|entry| entry.actions.iter().map(move |action| one(entry, action)))
            .collect()
    }
}

/// Returns `text` as a quoted string of HTTP (RFC 9110, section 5.6.4). Characters that no header can carry are left out.
fn quoted(text: &str) -> String {
    let mut value = String::with_capacity(text.len() + 2);
    value.push('"');
    for character in text.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            value.push('\\');
        }
        value.push(character);
    }
    value.push('"');
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(values: &[&str]) -> Vec<String> {
        let entries = ScopeEntry::parse_all(values.iter().copied()).unwrap();
        entries.iter().map(ScopeEntry::to_string).collect()
    }

    #[test]
    fn entries_are_read_and_merged() {
        for (values, expected) in [
            (vec![], vec![]),
            (vec![""], vec![]),
            (vec!["repository:g/p:pull"], vec!["repository:g/p:pull"]),
            (vec!["repository:g/p:push,pull"], vec!["repository:g/p:push,pull"]),
            (vec!["repository:a:pull repository:b:pull"], vec!["repository:a:pull", "repository:b:pull"]),
            (vec!["repository:a:pull", "repository:b:pull"], vec!["repository:a:pull", "repository:b:pull"]),
            (vec!["repository:a:pull", "repository:a:push,pull"], vec!["repository:a:pull,push"]),
            (vec!["repository:a:pull,pull,pull"], vec!["repository:a:pull"]),
            (vec!["  repository:a:pull   repository:a:delete "], vec!["repository:a:pull,delete"]),
            (vec!["registry:catalog:*"], vec!["registry:catalog:*"]),
            (
                vec!["registry:catalog:* repository:catalog:*"],
                vec!["registry:catalog:*", "repository:catalog:*"],
            ),
            // The name of a host may have a port.
            (
                vec!["repository:git.example.com:5050/g/p:pull"],
                vec!["repository:git.example.com:5050/g/p:pull"],
            ),
            (vec!["repository(plugin):a:pull"], vec!["repository:a:pull"]),
            (vec!["repository():a:pull"], vec!["repository:a:pull"]),
            // What nobody can have.
            (vec!["plugin:a:pull"], vec![]),
            (vec!["repository(plugin:a:pull"], vec![]),
            (vec!["Repository:a:pull"], vec![]),
            (vec!["repository:a:fly"], vec![]),
            (vec!["repository:a:fly,pull"], vec!["repository:a:pull"]),
            (vec!["repository:a:PULL"], vec![]),
            (vec!["repository:a:"], vec![]),
            (vec!["repository::pull"], vec![]),
            (vec!["repository:pull"], vec![]),
            (vec!["repository"], vec![]),
            (vec![":::"], vec![]),
            (vec!["repository:a:pull:"], vec![]),
        ] {
            assert_eq!(parsed(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let many: Vec<_> = (0..MAX_SCOPE_ENTRIES).map(|at| format!("repository:r{at}:pull")).collect();
        let values: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(ScopeEntry::parse_all(values.clone()).unwrap().len(), MAX_SCOPE_ENTRIES);
        let one_more = values.iter().copied().chain(["repository:r0:pull"]);
        assert_eq!(ScopeEntry::parse_all(one_more), Err(ScopeRefusal::TooMany));
        let joined = format!("{} x", many.join(" "));
        assert_eq!(ScopeEntry::parse_all([joined.as_str()]), Err(ScopeRefusal::TooMany));
    }

    #[test]
    fn the_length_is_bounded_over_all_values() {
        let half = format!("repository:{}:pull", "a".repeat(MAX_SCOPE_BYTES / 2 - 16));
        assert_eq!(half.len() * 2, MAX_SCOPE_BYTES);
        assert!(ScopeEntry::parse_all([half.as_str(), half.as_str()]).is_ok());
        assert_eq!(ScopeEntry::parse_all([half.as_str(), half.as_str(), " "]), Err(ScopeRefusal::TooLong));
    }

    #[test]
    fn a_challenge_has_its_parameters_in_order_and_quoted() {
        let scope = [
            ScopeEntry::repository("g/p/img", &[ScopeAction::Pull, ScopeAction::Push]),
            ScopeEntry::repository("g/q", &[ScopeAction::Pull]),
        ];
        let mut challenge = Challenge {
            realm: "https://git.example.com/jwt/auth",
            service: "container_registry",
            scope: &scope,
            error: Some(ChallengeError::InsufficientScope),
        };
        assert_eq!(
            challenge.header_value(),
            "Bearer realm=\"https://git.example.com/jwt/auth\",service=\"container_registry\",\
             scope=\"repository:g/p/img:pull,push repository:g/q:pull\",error=\"insufficient_scope\""
        );
        assert_eq!(
            challenge.detail(),
            json!([
                {"Type": "repository", "Class": "", "Name": "g/p/img", "Action": "pull"},
                {"Type": "repository", "Class": "", "Name": "g/p/img", "Action": "push"},
                {"Type": "repository", "Class": "", "Name": "g/q", "Action": "pull"},
            ])
        );
        challenge.error = Some(ChallengeError::InvalidToken);
        challenge.scope = &[];
        assert_eq!(
            challenge.header_value(),
            "Bearer realm=\"https://git.example.com/jwt/auth\",service=\"container_registry\",\
             error=\"invalid_token\""
        );
        challenge.error = None;
        assert_eq!(
            challenge.header_value(),
            "Bearer realm=\"https://git.example.com/jwt/auth\",service=\"container_registry\""
        );
    }

    #[test]
    fn nothing_breaks_out_of_its_quotes() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quoted("a\r\nSet-Cookie: x\0ä"), "\"aSet-Cookie: x\"");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            name in "[a-z0-9]{1,8}(:[0-9]{1,4})?(/[a-z0-9]{1,8}){0,2}",
            actions in proptest::sample::subsequence(ScopeAction::ALL.to_vec(), 1..=4).prop_shuffle(),
        ) {
            let entry = ScopeEntry::repository(name, &actions);
            prop_assert_eq!(ScopeEntry::parse_all([entry.to_string().as_str()]), Ok(vec![entry]));
        }

        /// Few characters, so that colons and commas meet each other often.
        #[test]
        fn whatever_is_asked_is_bounded(values in proptest::collection::vec("[a:,() *]{0,12}|.{0,40}", 0..6)) {
            if let Ok(entries) = ScopeEntry::parse_all(values.iter().map(String::as_str)) {
                prop_assert!(entries.len() <= MAX_SCOPE_ENTRIES);
                for entry in entries {
                    prop_assert!(!entry.actions.is_empty() && entry.actions.len() <= ScopeAction::ALL.len());
                }
            }
        }

        #[test]
        fn a_quoted_string_is_one_header_line(text in ".{0,60}") {
            let value = quoted(&text);
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
