//! Which issues a text says it closes, in GitLab's words: `Closes #4, #6 and acme/app#9`.
//!
//! Issues of other projects are passed over: nobody closes them from here.

use std::ops::ControlFlow;

/// The most issues that are looked for in a text; further ones are passed over.
pub const MAX_ISSUES: usize = 100;

/// The words that close what follows them, longer ones first where one begins another.
const KEYWORDS: [&str; 16] = [
    "closes",
    "closed",
    "closing",
    "close",
    "fixes",
    "fixed",
    "fixing",
    "fix",
    "resolves",
    "resolved",
    "resolving",
    "resolve",
    "implements",
    "implemented",
    "implementing",
    "implement",
];

/// The project whose issues are meant, as texts refer to it.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    /// Its whole path.
    pub full_path: &'a str,
    /// Where addresses of the forge begin, without a slash at the end.
    pub base_url: &'a str,
}

/// A reference to an issue at the beginning of a text: its number, unless it is in another project, and its length in
/// bytes.
type Reference = (Option<i64>, usize);

impl Home<'_> {
    fn is_called(self, path: &str) -> bool {
        let name = self.full_path.rsplit('/').next().unwrap_or_default();
        path.eq_ignore_ascii_case(self.full_path) || path.eq_ignore_ascii_case(name)
    }

    fn reference(self, text: &str) -> Option<Reference> {
        if let Some(digits) = text.strip_prefix('#') {
            let (iid, length) = number(digits)?;
            return Some((Some(iid), length + 1));
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return self.address(text);
        }
        let path = prefix(text, |byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        let digits = text[path.len()..].strip_prefix('#').filter(|_| !path.is_empty())?;
        let (iid, length) = number(digits)?;
        Some((self.is_called(path).then_some(iid), path.len() + 1 + length))
    }

    fn address(self, text: &str) -> Option<Reference> {
        let word = prefix(text, |byte| !byte.is_ascii_whitespace() && !b",;()<>\"'`".contains(&byte));
        let (place, rest) = ["/-/issues/", "/-/work_items/", "/issues/"]
            .into_iter()
            .find_map(|part| word.split_once(part))?;
        let digits = prefix(rest, |byte| byte.is_ascii_digit());
        let iid = digits.parse().ok().filter(|iid| *iid > 0)?;
        let path = place.strip_prefix(self.base_url).and_then(|path| path.strip_prefix('/'));
        let own = path.is_some_and(|path| path.eq_ignore_ascii_case(self.full_path));
        // What may follow the number is a place on the page; a dot ends a sentence.
        Some((own.then_some(iid), word.trim_end_matches(['.', ':', '!', '?']).len()))
    }
}

/// Returns the longest beginning of `text` whose bytes all fit; it ends where a character begins, because bytes that do not
/// stand for themselves fit all together or not at all.
fn prefix(text: &str, fits: impl Fn(u8) -> bool) -> &str {
    let end = text.bytes().position(|byte| !fits(byte)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Returns the number at the beginning of a text that is not the beginning of a word, and its length.
fn number(text: &str) -> Option<(i64, usize)> {
    let digits = prefix(text, |byte| byte.is_ascii_digit());
    let iid = digits.parse().ok().filter(|iid| *iid > 0)?;
    let ends = !text[digits.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
    ends.then_some((iid, digits.len()))
}

/// Returns the text without what is in code: fenced blocks, and spans between backticks on a line.
fn without_code(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => {
                // Every second part is between backticks, but for the last one when its backtick has no partner.
                let parts: Vec<_> = line.split('`').collect();
                for (index, part) in parts.iter().enumerate() {
                    if index % 2 == 0 || index + 1 == parts.len() {
                        plain.push_str(part);
                    }
                    plain.push('`');
                }
            }
            (Some(_), _) => {}
        }
        plain.push('\n');
    }
    plain
}

/// Calls `visit` with the rest of the text at each place where a word may begin, until it breaks; `visit` answers how many
/// bytes it took.
fn at_words(text: &str, mut visit: impl FnMut(&str) -> ControlFlow<(), usize>) {
    let mut before = ' ';
    let mut skip_to = 0;
    for (at, character) in text.char_indices() {
        let begins = !(before.is_alphanumeric() || matches!(before, '_' | '/' | '#' | '&' | '-' | '.'));
        before = character;
        if at < skip_to || !begins {
            continue;
        }
        match visit(&text[at..]) {
            ControlFlow::Continue(taken) => skip_to = at + taken,
            ControlFlow::Break(()) => return,
        }
    }
}

/// Returns what follows a keyword and the space after it.
fn after_keyword(text: &str) -> Option<&str> {
    let first = text.chars().next().filter(char::is_ascii_alphabetic)?;
    let rest = KEYWORDS.iter().find_map(|word| {
        // GitLab takes the first letter in either case, and the others as they are.
        let rest = text[1..].strip_prefix(&word[1..])?;
        word.starts_with(first.to_ascii_lowercase()).then_some(rest)
    })?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let trimmed = rest.trim_start_matches(' ');
    (trimmed.len() < rest.len()).then_some(trimmed)
}

/// Returns what follows the sign or word between two references.
fn after_separator(text: &str) -> &str {
    let spaced = text.trim_start_matches(' ');
    let after = spaced.strip_prefix(',').unwrap_or(spaced).trim_start_matches(' ');
    let separated = after.len() < text.len();
    match after.strip_prefix("and ").filter(|_| separated) {
        Some(rest) => rest.trim_start_matches(' '),
        None => after,
    }
}

fn add(found: &mut Vec<i64>, iid: Option<i64>) -> ControlFlow<()> {
    if let Some(iid) = iid.filter(|iid| !found.contains(iid)) {
        found.push(iid);
    }
    if found.len() < MAX_ISSUES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Returns the numbers of the issues of `home` that a text says it closes, each once, in the order of the text.
pub fn closed_issues(text: &str, home: Home<'_>) -> Vec<i64> {
    let mut found = Vec::new();
    at_words(&without_code(text), |text| {
        let Some(mut rest) = after_keyword(text) else { return ControlFlow::Continue(0) };
        loop {
            let named = ["issues ", "issue "].into_iter().find_map(|word| rest.strip_prefix(word));
            let item = named.map_or(rest, |item| item.trim_start_matches(' '));
            let Some((iid, length)) = home.reference(item) else {
                return ControlFlow::Continue(text.len() - rest.len());
            };
            add(&mut found, iid)?;
            rest = after_separator(&item[length..]);
        }
    });
    found
}

/// Returns the numbers of the issues of `home` that a text names, closed by it or not, each once, in the order of the text.
pub fn named_issues(text: &str, home: Home<'_>) -> Vec<i64> {
    let mut found = Vec::new();
    at_words(&without_code(text), |text| {
        let Some((iid, length)) = home.reference(text) else { return ControlFlow::Continue(0) };
        add(&mut found, iid)?;
        ControlFlow::Continue(length)
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: Home<'_> = Home { full_path: "acme/web/app", base_url: "https://forge.example.com" };

    #[test]
    fn every_word_that_gitlab_documents_closes() {
        for word in [
            "Close",
            "Closes",
            "Closed",
            "Closing",
            "close",
            "closes",
            "closed",
            "closing",
            "Fix",
            "Fixes",
            "Fixed",
            "Fixing",
            "fix",
            "fixes",
            "fixed",
            "fixing",
            "Resolve",
            "Resolves",
            "Resolved",
            "Resolving",
            "resolve",
            "resolves",
            "resolved",
            "resolving",
            "Implement",
            "Implements",
            "Implemented",
            "Implementing",
            "implement",
            "implements",
            "implemented",
            "implementing",
        ] {
            assert_eq!(closed_issues(&format!("{word} #4"), HOME), [4], "{word}");
            assert_eq!(closed_issues(&format!("{word}: #4"), HOME), [4], "{word}:");
        }
    }

    #[test]
    fn issues_are_listed_in_every_form() {
        for (text, expected) in [
            ("Closes #4, #6, and #7; #8", &[4, 6, 7][..]),
            ("This closes issue #4 and fixes issues #5,#6.", &[4, 5, 6]),
            ("(fixes #4)", &[4]),
            ("Closes #4 #5  and  #6 or #7", &[4, 5, 6]),
            ("Closes acme/web/app#4 and ACME/Web/App#5 and app#6", &[4, 5, 6]),
            ("Closes https://forge.example.com/acme/web/app/-/issues/4.", &[4]),
            ("Closes https://forge.example.com/acme/web/app/-/issues/4#note_1, #5", &[4, 5]),
            ("Closes https://forge.example.com/acme/web/app/-/work_items/4 and #5", &[4, 5]),
            ("Closes acme/other#4, https://elsewhere.example.com/acme/web/app/-/issues/5, #6", &[6]),
            ("closes #4\ncloses #4\nfixes #3", &[4, 3]),
            ("Closes  #4", &[4]),
            ("éCloses #4", &[]),
            ("Closes #4é", &[]),
            ("CLOSES #4", &[]),
            ("encloses #4, closest #5, Closes#6, Closes\n#7", &[]),
            ("Closes #0, Closes #x, Closes issue 4, Closes #99999999999999999999", &[]),
            ("Closes `#4`, and `Closes #5`", &[]),
            ("a ` Closes #4", &[4]),
            ("```\nCloses #4\n```\nCloses #5\n~~~\nCloses #6\n```", &[5]),
            ("related to #4", &[]),
            ("Closes and #4", &[]),
        ] {
            assert_eq!(closed_issues(text, HOME), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_named_need_not_be_closed() {
        for (text, expected) in [
            ("see #4 and acme/web/app#5, closes #6", &[4, 5, 6][..]),
            ("https://forge.example.com/acme/web/app/-/issues/4 is like #5.", &[4, 5]),
            ("other/app#4 a#5b &#39; x#6 https://a.example.com/#7 `#8`", &[]),
            ("no. 4", &[]),
        ] {
            assert_eq!(named_issues(text, HOME), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_names_only_so_many() {
        let text: String = (1..=200).map(|iid| format!("Closes #{iid} ")).collect();
        assert_eq!(closed_issues(&text, HOME).len(), MAX_ISSUES);
        assert_eq!(named_issues(&text, HOME).len(), MAX_ISSUES);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(text in "(Closes|fix|:| |#|1|2|,|and|issue|`|é|https://|/-/issues/|.){0,40}") {
            let closed = closed_issues(&text, HOME);
            prop_assert!(closed.iter().all(|iid| *iid > 0));
            named_issues(&text, HOME);
        }
    }
}
