//! How names of branches and tags are looked for.

use regex::{Regex, RegexBuilder};

use crate::Error;

/// The longest text that is looked for, in bytes. No name of a ref is longer.
const MAX_SEARCH_BYTES: usize = 1024;

/// How large a compiled regular expression may become, in bytes.
const MAX_REGEX_BYTES: usize = 256 * 1024;

/// Which names are wanted.
#[derive(Debug, Default)]
pub struct NameFilter {
    text: Option<(Place, String)>,
    regex: Option<Regex>,
}

/// Where in a name a text must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Anywhere,
    Beginning,
    End,
    Whole,
}

impl NameFilter {
    /// Returns the filter for a text, which `^` holds to the beginning and `$` to the end of a name, and a regular
    /// expression; both must fit. Letters of both cases are the same in the text.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a regular expression that is none or too large, and for a text that is too long.
    pub fn new(search: Option<&str>, regex: Option<&str>) -> Result<NameFilter, Error> {
        let too_long = |text: Option<&str>| text.is_some_and(|text| text.len() > MAX_SEARCH_BYTES);
        if too_long(search) || too_long(regex) {
            return Err(Error::BadRequest(format!("a search has at most {MAX_SEARCH_BYTES} bytes")));
        }
        let compile = |text: &str| {
            RegexBuilder::new(text)
                .size_limit(MAX_REGEX_BYTES)
                .dfa_size_limit(MAX_REGEX_BYTES)
                .build()
                .map_err(|_| {
                    Error::BadRequest("regex is not a regular expression that can be used".to_owned())
                })
        };
        Ok(NameFilter { text: search.map(placed), regex: regex.map(compile).transpose()? })
    }

    /// Says whether a name is wanted.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let text = self.text.as_ref().is_none_or(|(place, text)| {
            let name = name.to_lowercase();
            match place {
                Place::Anywhere => name.contains(text),
                Place::Beginning => name.starts_with(text),
                Place::End => name.ends_with(text),
                Place::Whole => name == *text,
            }
        });
        text && self.regex.as_ref().is_none_or(|regex| regex.is_match(name))
    }
}

fn placed(search: &str) -> (Place, String) {
    let (beginning, rest) = match search.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, search),
    };
    let (end, text) = match rest.strip_suffix('$') {
        Some(text) => (true, text),
        None => (false, rest),
    };
    let place = match (beginning, end) {
        (false, false) => Place::Anywhere,
        (true, false) => Place::Beginning,
        (false, true) => Place::End,
        (true, true) => Place::Whole,
    };
    (place, text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_parts_and_expressions() {
        let fits = |search, regex, name| NameFilter::new(search, regex).unwrap().fits(name);
        for (search, name, expected) in [
            ("Main", "xMAINx", true),
            ("^main", "mainx", true),
            ("^main", "xmain", false),
            ("main$", "xmain", true),
            ("main$", "mainx", false),
            ("^main$", "main", true),
            ("^main$", "mainx", false),
            (".", "main", false),
        ] {
            assert_eq!(fits(Some(search), None, name), expected, "{search} {name}");
        }
        assert!(fits(None, Some("^v[0-9]+$"), "v10"));
        assert!(!fits(Some("v2"), Some("^v[0-9]+$"), "v10"));
        assert!(NameFilter::new(None, Some("(")).is_err());
        assert!(NameFilter::new(None, Some("(a{1000}){1000}")).is_err());
        assert!(NameFilter::new(Some(&"x".repeat(2000)), None).is_err());
    }
}
