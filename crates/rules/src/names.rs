//! Names that come from outside: parsed once, trusted afterwards.

use std::fmt;

/// The longest name, in characters.
pub const MAX_NAME_CHARACTERS: usize = 255;

/// How many groups a path may nest, the top-level one included.
pub const MAX_GROUP_LEVELS: usize = 20;

/// Why a name was refused; reads on after the name of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// It was empty.
    #[error("can't be blank")]
    Blank,
    /// It was too long.
    #[error("is too long (maximum is {0} characters)")]
    TooLong(usize),
    /// It held a control character.
    #[error("can't contain control characters")]
    ControlCharacters,
    /// It broke the grammar of a path.
    #[error(
        "can contain only letters, digits, '_', '-' and '.'. It must start with a letter, digit or '_', and not end in '.', '.git' or '.atom'"
    )]
    NotAPath,
    /// It is used by the forge itself.
    #[error("is a reserved name")]
    Reserved,
    /// It was not an address.
    #[error("is invalid")]
    NotAnAddress,
}

/// A name for people to read: of a user, group, project or token. Not empty, at most 255 characters, without
/// control characters; surrounding white space is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Returns the name in `text`.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<DisplayName, NameRefusal> {
        let trimmed = text.trim();
        bounded(trimmed, MAX_NAME_CHARACTERS)?;
        Ok(DisplayName(trimmed.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One segment of a project's or group's path, or a username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSegment(String);

/// First segments that the forge keeps for its own addresses.
const RESERVED_AT_TOP: &[&str] = &[
    "-",
    "admin",
    "api",
    "assets",
    "dashboard",
    "explore",
    "favicon.ico",
    "ghost",
    "groups",
    "health",
    "help",
    "import",
    "jwt",
    "login",
    "metrics",
    "new",
    "oauth",
    "profile",
    "projects",
    "public",
    "robots.txt",
    "search",
    "static",
    "uploads",
    "users",
    "v2",
    "well-known",
];

/// Returns whether a first segment belongs to the forge's own addresses, whatever its case.
pub fn is_reserved_at_top(segment: &str) -> bool {
    RESERVED_AT_TOP.contains(&segment.to_ascii_lowercase().as_str())
}

/// Segments that would be ambiguous below a project.
const RESERVED_ANYWHERE: &[&str] = &["-", "info", "refs", "gitlab-lfs"];

impl PathSegment {
    /// Returns the segment in `text`, for use below another one.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<PathSegment, NameRefusal> {
        bounded(text, MAX_NAME_CHARACTERS)?;
        let lower = text.to_ascii_lowercase();
        let first = text.bytes().next().unwrap_or(b'-');
        let grammar = (first.is_ascii_alphanumeric() || first == b'_')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && !lower.ends_with('.')
            && !text.contains("..")
            && !lower.ends_with(".git")
            && !lower.ends_with(".atom")
            && !lower.ends_with(".lock");
        if !grammar {
            return Err(NameRefusal::NotAPath);
        }
        if RESERVED_ANYWHERE.contains(&lower.as_str()) {
            return Err(NameRefusal::Reserved);
        }
        Ok(PathSegment(text.to_owned()))
    }

    /// Returns the segment in `text`, for use as a first one: a username or a top-level group's path.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse_top(text: &str) -> Result<PathSegment, NameRefusal> {
        let segment = PathSegment::parse(text)?;
        let lower = text.to_ascii_lowercase();
        if RESERVED_AT_TOP.contains(&lower.as_str()) || crate::bot::is_reserved(&lower) {
            return Err(NameRefusal::Reserved);
        }
        // A purely numeric path could never be told from an id.
        if lower.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NameRefusal::Reserved);
        }
        Ok(segment)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a path made from a display name, as GitLab does when none is given: what is not allowed becomes `-`.
    ///
    /// # Errors
    /// When nothing usable is left.
    pub fn from_name(name: &str) -> Result<PathSegment, NameRefusal> {
        let mut path = String::new();
        for character in name.trim().chars() {
            match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' => path.push(character),
                _ if path.ends_with('-') => {}
                _ => path.push('-'),
            }
        }
        PathSegment::parse(path.trim_matches(['-', '.']))
    }
}

impl fmt::Display for PathSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A full path from outside: segments joined by `/`. It is only ever compared with recorded ones, never used on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullPath(String);

impl FullPath {
    /// Returns the path in `text`, folded to lower case, if every segment has the shape of one. Paths are looked up
    /// without regard to case.
    pub fn parse(text: &str) -> Option<FullPath> {
        if text.is_empty() || text.len() > 4096 {
            return None;
        }
        let fine = text.split('/').all(|segment| {
            !segment.is_empty()
                && segment.len() <= MAX_NAME_CHARACTERS
                && !segment.starts_with(['.', '-'])
                && !segment.ends_with(".lock")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        });
        fine.then(|| FullPath(text.to_ascii_lowercase()))
    }

    /// Returns the path in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A reference to a resource in a URL: its id, or its full path. A purely numeric one is always an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdOrPath {
    /// An id.
    Id(i64),
    /// A full path.
    Path(FullPath),
}

impl IdOrPath {
    /// Returns what `text` refers to, or `None` when nothing could ever have that name.
    pub fn parse(text: &str) -> Option<IdOrPath> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(IdOrPath::Id);
        }
        FullPath::parse(text).map(IdOrPath::Path)
    }
}

/// An electronic mail address, checked for shape only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Returns the address in `text`.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<Email, NameRefusal> {
        bounded(text, MAX_NAME_CHARACTERS)?;
        let fine = text.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.')
        }) && !text
            .contains(|character: char| character.is_whitespace() || "<>\"(),;:\\".contains(character));
        if fine { Ok(Email(text.to_owned())) } else { Err(NameRefusal::NotAnAddress) }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn bounded(text: &str, max: usize) -> Result<(), NameRefusal> {
    if text.is_empty() {
        return Err(NameRefusal::Blank);
    }
    if text.chars().count() > max {
        return Err(NameRefusal::TooLong(max));
    }
    if text.chars().any(char::is_control) {
        return Err(NameRefusal::ControlCharacters);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_follow_the_grammar() {
        for fine in ["app", "a", "_x", "A.b-c_9", "proj.git-thing", "x1"] {
            assert!(PathSegment::parse(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "", "-a", ".a", "a/b", "a b", "..", "a..b", "a.git", "a.GIT", "a.atom", "a.", "é", "a\0",
            "x.lock", "refs",
        ] {
            assert!(PathSegment::parse(wrong).is_err(), "{wrong}");
        }
        assert!(PathSegment::parse(&"a".repeat(255)).is_ok());
        assert!(PathSegment::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn top_level_names_leave_room_for_the_forge() {
        for wrong in ["api", "V2", "jwt", "42", "project_1_bot3", "ghost"] {
            assert_eq!(PathSegment::parse_top(wrong), Err(NameRefusal::Reserved), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_an_id_and_never_a_path() {
        assert_eq!(IdOrPath::parse("17"), Some(IdOrPath::Id(17)));
        assert_eq!(IdOrPath::parse("99999999999999999999"), None);
        assert!(
            matches!(IdOrPath::parse("Acme/App"), Some(IdOrPath::Path(path)) if path.as_str() == "acme/app")
        );
        for wrong in
            ["", "a//b", "/a", "a/", "a/../b", "a/./b", "-a/b", "a/b.lock", "a\\b", "a b", "a/\u{202e}b"]
        {
            assert_eq!(IdOrPath::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_may_be_of_any_script_but_not_hidden() {
        assert!(DisplayName::parse("Ünïcode 名前").is_ok());
        assert_eq!(DisplayName::parse(" \t "), Err(NameRefusal::Blank));
        assert_eq!(DisplayName::parse("a\u{0}b"), Err(NameRefusal::ControlCharacters));
        assert_eq!(DisplayName::parse("a\nb"), Err(NameRefusal::ControlCharacters));
        assert!(DisplayName::parse(&"é".repeat(255)).is_ok());
        assert_eq!(DisplayName::parse(&"é".repeat(256)), Err(NameRefusal::TooLong(255)));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_accepts_only_plain_paths(text in ".{0,80}") {
            if let Some(IdOrPath::Path(path)) = IdOrPath::parse(&text) {
                prop_assert!(path.as_str().split('/').all(|segment| segment != ".." && segment != "." && !segment.is_empty()));
            }
            let _ = PathSegment::parse(&text);
            let _ = PathSegment::from_name(&text);
            let _ = Email::parse(&text);
            let _ = DisplayName::parse(&text);
        }
    }
}
