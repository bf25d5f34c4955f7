//! Patterns that name tags, for cleanups: regular expressions in the syntax that GitLab takes (RE2's), by an engine that
//! needs time in proportion to what it reads, whatever the pattern.

use regex::{Regex, RegexBuilder};

/// The longest pattern.
pub const MAX_PATTERN_CHARACTERS: usize = 255;

/// How much memory a compiled pattern may take, in bytes, and as much again while it is used.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// How deep groups may nest in a pattern.
const MAX_NESTING: u32 = 50;

/// A pattern that a whole tag must match.
#[derive(Clone, Debug)]
pub struct TagPattern {
    text: String,
    regex: Regex,
}

impl TagPattern {
    /// Reads a pattern. It counts for whole tags, as if it stood between `\A` and `\z`.
    ///
    /// # Errors
    /// What is wrong with it, to stand behind the name of a field.
    pub fn parse(text: &str) -> Result<TagPattern, String> {
        if text.chars().count() > MAX_PATTERN_CHARACTERS {
            return Err(format!("is too long (maximum is {MAX_PATTERN_CHARACTERS} characters)"));
        }
        // Alone first, so that its brackets are its own: `a)|(b` would otherwise escape from the anchors.
        compiled(text)?;
        Ok(TagPattern { text: text.to_owned(), regex: compiled(&format!(r"\A(?:{text})\z"))? })
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the whole tag matches.
    pub fn matches(&self, tag: &str) -> bool {
        self.regex.is_match(tag)
    }
}

fn compiled(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "is too large a regular expression".to_owned(),
            _ => "is not a valid regular expression (RE2 syntax)".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_whole_tags() {
        let pattern = |text: &str| TagPattern::parse(text).unwrap();
        assert!(pattern("v.+").matches("v1"));
        assert!(!pattern("v").matches("v1"));
        assert!(!pattern("1").matches("v1"));
        assert!(pattern("a|b").matches("b") && !pattern("a|b").matches("ab"));
        assert!(pattern("(?:v.+|main|release.*)").matches("release-1"));
        assert!(pattern("(?i)MAIN").matches("main"));
        assert!(pattern(r"\d+").matches("123"));
        assert!(!pattern("").matches("v1"));
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused() {
        for text in ["*", "(", "a)|(b", "[z-a]", r"\", "(?<=a)b", r"(a)\1", "(?x) a # comment"] {
            assert!(TagPattern::parse(text).is_err(), "{text}");
        }
        assert!(TagPattern::parse(&"a".repeat(255)).is_ok());
        assert!(TagPattern::parse(&"a".repeat(256)).is_err());
        assert!(TagPattern::parse("((a{100}){100}){100}").is_err());
        assert!(TagPattern::parse(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
    }

    #[test]
    fn a_pattern_that_would_explode_elsewhere_is_quick() {
        let pattern = TagPattern::parse("(a+)+(a|aa)+b?c").unwrap();
        assert!(!pattern.matches(&"a".repeat(128)));
    }
}
