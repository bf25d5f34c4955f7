//! Names of repositories and tags: parsed once, trusted afterwards. What has passed can stand in a path on disk: it has
//! no `..`, no empty part, no character that a shell or a file system takes for something else.

use std::fmt;

/// The longest name of a repository, in bytes. Many clients count the host and a slash in.
pub const MAX_REPOSITORY_NAME_BYTES: usize = 255;

/// The longest tag, in bytes.
pub const MAX_TAG_BYTES: usize = 128;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// It is longer than this many bytes.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// It breaks the grammar of a repository's name.
    #[error(
        "is not a repository name: parts of lower-case letters and digits, joined by '.', '_', '__' or '-', between slashes"
    )]
    NotARepository,
    /// It breaks the grammar of a tag.
    #[error("is not a tag: letters, digits, '_', '.' and '-', not beginning with '.' or '-'")]
    NotATag,
}

/// The name of a repository, such as `group/app/worker`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// Returns the name in `text`.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<RepositoryName, NameRefusal> {
        if text.len() > MAX_REPOSITORY_NAME_BYTES {
            return Err(NameRefusal::TooLong(MAX_REPOSITORY_NAME_BYTES));
        }
        if !text.split('/').all(is_component) {
            return Err(NameRefusal::NotARepository);
        }
        Ok(RepositoryName(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parts between the slashes; there is at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether `text` is `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`: words, each joined to the next by one separator.
fn is_component(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| is_word(byte)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|byte| !is_word(byte)).count();
        match &rest[..separator] {
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|byte| *byte == b'-') => {}
            _ => return false,
        }
        rest = &rest[separator..];
    }
}

/// A tag, such as `latest` or `v1.2.3`. Upper and lower case are different tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// Returns the tag in `text`.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<Tag, NameRefusal> {
        if text.len() > MAX_TAG_BYTES {
            return Err(NameRefusal::TooLong(MAX_TAG_BYTES));
        }
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !first || !text.bytes().all(inside) {
            return Err(NameRefusal::NotATag);
        }
        Ok(Tag(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        for name in [
            "a",
            "0",
            "group/app",
            "g/p/image/sub",
            "a.b",
            "a_b",
            "a__b",
            "a-b",
            "a---b",
            "a.b_c__d-e/f",
            "blobs/uploads",
        ] {
            assert_eq!(RepositoryName::parse(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a/B", ".a", "a.", "a..b", "a.-b", "a___b", "_a", "a_", "-a",
            "a-", "a/.", "a/..", "..", "a b", "a\0", "a%2Fb", "a:b", "a@b", "ä", "a\\b", "a_-b", "a/-/b",
        ] {
            assert_eq!(RepositoryName::parse(name), Err(NameRefusal::NotARepository), "{name:?}");
        }
    }

    #[test]
    fn tags_follow_the_grammar() {
        for tag in ["latest", "V1", "_", "1.2.3-rc.1", "a..b", "a-", "0"] {
            assert_eq!(Tag::parse(tag).map(|tag| tag.to_string()), Ok(tag.to_owned()));
        }
        for tag in ["", ".", "..", "-a", ".a", "a/b", "a b", "a:b", "ä", "a\n", "a\0", "a+b"] {
            assert_eq!(Tag::parse(tag), Err(NameRefusal::NotATag), "{tag:?}");
        }
    }

    #[test]
    fn names_are_bounded() {
        assert!(RepositoryName::parse(&"a".repeat(MAX_REPOSITORY_NAME_BYTES)).is_ok());
        let long = "a".repeat(MAX_REPOSITORY_NAME_BYTES + 1);
        assert_eq!(RepositoryName::parse(&long), Err(NameRefusal::TooLong(MAX_REPOSITORY_NAME_BYTES)));
        assert!(Tag::parse(&"a".repeat(MAX_TAG_BYTES)).is_ok());
        assert_eq!(Tag::parse(&"a".repeat(MAX_TAG_BYTES + 1)), Err(NameRefusal::TooLong(MAX_TAG_BYTES)));
    }

    proptest! {
        /// The expressions are those of the specification, with an end to each repetition.
        #[test]
        fn whatever_the_specification_makes_is_taken(
            name in r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}){0,4}",
            tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}",
        ) {
            let components: Vec<_> = name.split('/').collect();
            let parsed = RepositoryName::parse(&name).unwrap();
            prop_assert_eq!(parsed.components().collect::<Vec<_>>(), components);
            prop_assert!(Tag::parse(&tag).is_ok(), "{tag}");
        }

        /// Few characters, so that separators meet each other and the ends often.
        #[test]
        fn what_is_taken_is_safe_in_a_path(text in r"[a0A._/\-]{0,12}") {
            if let Ok(name) = RepositoryName::parse(&text) {
                for part in name.components() {
                    prop_assert!(part.starts_with(|first: char| first.is_ascii_alphanumeric()), "{text}");
                    prop_assert!(part.ends_with(|last: char| last.is_ascii_alphanumeric()), "{text}");
                }
                for never in ["..", "._", "_.", ".-", "-.", "_-", "-_", "___", "A"] {
                    prop_assert!(!text.contains(never), "{text}");
                }
            }
            if Tag::parse(&text).is_ok() {
                prop_assert!(!text.contains('/') && !text.starts_with(['.', '-']), "{text}");
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,300}") {
            let _ = (RepositoryName::parse(&text), Tag::parse(&text));
        }
    }
}
