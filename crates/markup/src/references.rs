//! What a text only names: `#12` for an issue, `!12` for a merge request, `@maria` for whoever is called that.
//!
//! Found by how they are written and nothing else, so a link tells nobody whether there is anything where it leads. Code, links,
//! images and HTML are left as they are, and so is a sign with a backslash before it.

use pulldown_cmark::{CowStr, Event, LinkType, Tag, TagEnd};

/// How many references one text has as links; what comes after them stays text.
const MAX_REFERENCES: usize = 1000;

/// The longest number, in digits.
const MAX_DIGITS: usize = 10;

/// What may stand directly before a reference, beside spaces and whatever is neither ASCII nor a letter.
const OPENING: &str = "([{<>\"',;|";

/// Where references lead.
#[derive(Clone, Copy, Debug)]
pub struct References<'a> {
    /// What stands before the number of an issue, such as `/acme/app/-/issues/`.
    pub issues: &'a str,
    /// What stands before the number of a merge request, such as `/acme/app/-/merge_requests/`.
    pub merge_requests: &'a str,
    /// Whether somebody can be called this; the page is at `/` and the name.
    pub is_name: fn(&str) -> bool,
}

impl References<'_> {
    /// Returns how long the name or number is that `rest` begins with, and where it leads; nothing when it is no reference.
    fn read(&self, sign: char, rest: &str) -> Option<(usize, String)> {
        let (long, target) = match sign {
            '@' => {
                let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
                let long = rest.bytes().take_while(fits).count();
                // The dot behind a name ends the sentence.
                let name = rest[..long].trim_end_matches('.');
                let is_name = self.is_name;
                is_name(name).then(|| (name.len(), format!("/{name}")))?
            }
            _ => {
                let long = rest.bytes().take_while(u8::is_ascii_digit).count();
                let base = if sign == '#' { self.issues } else { self.merge_requests };
                let fits = (1..=MAX_DIGITS).contains(&long) && !rest.starts_with('0');
                fits.then(|| (long, format!("{base}{}", &rest[..long])))?
            }
        };
        ends(&rest[long..]).then_some((long, target))
    }
}

/// Returns whether a reference can begin behind this.
fn begins(before: Option<char>) -> bool {
    before.is_none_or(|before| {
        before.is_whitespace()
            || OPENING.contains(before)
            || (!before.is_ascii() && !before.is_alphanumeric())
    })
}

/// Returns whether a reference can end before this.
fn ends(rest: &str) -> bool {
    let mut rest = rest.chars();
    match rest.next() {
        // `#1.2` is something else, and `#1.` ends a sentence.
        Some('.') => !rest.next().is_some_and(char::is_alphanumeric),
        Some('_' | '/' | '@' | '#' | '!' | '\\') => false,
        Some(other) => !other.is_alphanumeric(),
        None => true,
    }
}

/// The words of a text that stand together, however the parser cut them.
pub(crate) struct Gathered<'r> {
    references: References<'r>,
    words: String,
    /// Where in the words a character stands that had a backslash before it.
    escaped: Vec<usize>,
    /// The character before the words.
    before: Option<char>,
    /// How many links, images and blocks of code are open.
    open: usize,
    /// How many references there may still be.
    left: usize,
}

impl<'r> Gathered<'r> {
    pub(crate) fn new(references: References<'r>) -> Gathered<'r> {
        Gathered {
            references,
            words: String::new(),
            escaped: Vec::new(),
            before: None,
            open: 0,
            left: MAX_REFERENCES,
        }
    }

    /// Takes words in which there may be references, and returns whether the event was such. Whatever else comes, the words
    /// before it go into `into`. `start` is where the event begins in `text`.
    pub(crate) fn takes(
        &mut self,
        event: &Event<'_>,
        text: &str,
        start: usize,
        into: &mut Vec<Event<'_>>,
    ) -> bool {
        if let Event::Text(words) = event
            && self.open == 0
        {
            // The parser begins anew behind the backslash of an escaped character.
            if start > 0 && text.as_bytes().get(start - 1) == Some(&b'\\') {
                self.escaped.push(self.words.len());
            }
            self.words.push_str(words);
            return true;
        }
        self.give(into);
        match event {
            Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::CodeBlock(_)) => self.open += 1,
            Event::End(TagEnd::Link | TagEnd::Image | TagEnd::CodeBlock) => {
                self.open = self.open.saturating_sub(1);
                // What is read before the next word is a word.
                self.before = Some('a');
            }
            Event::Code(_) => self.before = Some('a'),
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough)
            | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough)
            | Event::Text(_) => {}
            _ => self.before = None,
        }
        false
    }

    /// Moves the words on, with what they refer to as links.
    fn give(&mut self, into: &mut Vec<Event<'_>>) {
        if self.words.is_empty() {
            return;
        }
        let (words, escaped) = (std::mem::take(&mut self.words), std::mem::take(&mut self.escaped));
        let mut escaped = escaped.into_iter().peekable();
        // Up to where the words were moved on.
        let mut given = 0;
        let mut before = self.before;
        for (at, sign) in words.char_indices() {
            while escaped.next_if(|escaped| *escaped < at).is_some() {}
            let is_sign = matches!(sign, '#' | '!' | '@') && escaped.peek() != Some(&at);
            if is_sign
                && self.left > 0
                && begins(before)
                && let Some((long, target)) = self.references.read(sign, &words[at + 1..])
            {
                let end = at + 1 + long;
                if at > given {
                    into.push(text(&words[given..at]));
                }
                into.push(Event::Start(Tag::Link {
                    link_type: LinkType::Inline,
                    dest_url: target.into(),
                    title: CowStr::Borrowed(""),
                    id: CowStr::Borrowed(""),
                }));
                into.push(text(&words[at..end]));
                into.push(Event::End(TagEnd::Link));
                (given, self.left) = (end, self.left - 1);
            }
            before = Some(sign);
        }
        if given < words.len() {
            into.push(text(&words[given..]));
        }
        self.before = before;
    }
}

fn text(words: &str) -> Event<'static> {
    Event::Text(words.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::{Links, render, render_with_references};

    const LINKS: Links<'_> = Links { files: "/a/b/-/blob/main", images: "/a/b/-/raw/main", folder: "" };

    const REFERENCES: References<'_> = References {
        issues: "/a/b/-/issues/",
        merge_requests: "/a/b/-/merge_requests/",
        is_name: |name| {
            name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.len() < 20 && name != "admin"
        },
    };

    fn html(text: &str) -> String {
        render_with_references(text, LINKS, REFERENCES)
    }

    /// Returns where the links of a text lead, in order.
    fn targets(text: &str) -> Vec<String> {
        let html = html(text);
        let parts = html.split("<a href=\"").skip(1);
        parts.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn numbers_and_names_lead_somewhere() {
        assert_eq!(
            html("Closes #12, see !3 and @maria."),
            "<p>Closes <a href=\"/a/b/-/issues/12\">#12</a>, see <a href=\"/a/b/-/merge_requests/3\">!3</a> and \
             <a href=\"/maria\">@maria</a>.</p>\n"
        );
        for (text, target) in [
            ("#1", "/a/b/-/issues/1"),
            ("(#1)", "/a/b/-/issues/1"),
            ("[#1]", "/a/b/-/issues/1"),
            ("\"#1\"", "/a/b/-/issues/1"),
            ("**#1**", "/a/b/-/issues/1"),
            ("_@maria_", "/maria"),
            ("# About #1", "/a/b/-/issues/1"),
            ("- #1", "/a/b/-/issues/1"),
            ("- [ ] #1", "/a/b/-/issues/1"),
            ("> !1", "/a/b/-/merge_requests/1"),
            ("one\n#1", "/a/b/-/issues/1"),
            ("| a |\n|---|\n| #1 |", "/a/b/-/issues/1"),
            ("„#1“", "/a/b/-/issues/1"),
            ("#1's", "/a/b/-/issues/1"),
            ("#1: done", "/a/b/-/issues/1"),
            ("#1.", "/a/b/-/issues/1"),
            ("#1234567890", "/a/b/-/issues/1234567890"),
            ("@a_b-c.d", "/a_b-c.d"),
            ("@maria...", "/maria"),
            ("@maria's", "/maria"),
            ("<b>#1</b>", "/a/b/-/issues/1"),
            ("`code` #1", "/a/b/-/issues/1"),
        ] {
            assert_eq!(targets(text), [target], "{text}: {}", html(text));
        }
        assert_eq!(targets("#1 #2,#3 !4\n@maria").len(), 5);
    }

    #[test]
    fn a_part_of_something_else_is_no_reference() {
        for text in [
            "a#1",
            "é#1",
            "1#1",
            "##1",
            "&#1",
            "x/y#1",
            "x/y!1",
            "wow!1",
            "foo@bar.com",
            "foo.@bar",
            "a_@maria",
            "https://example.com/#1",
            "https://example.com/?a=@maria",
            "ssh://git@example.com",
            "#0",
            "#012",
            "#12345678901",
            "#1a",
            "#1é",
            "#1_",
            "#1.2",
            "#1/2",
            "#１",
            "#-1",
            "# 1 #",
            "#",
            "@",
            "! 1",
            "@1",
            "@é",
            "@admin",
            "@types/node",
            "@maria@example.com",
            "@mariaé",
            "@aaaaaaaaaaaaaaaaaaaaaaaa",
            "**a**#1",
            "a**#1**",
            "`a`#1",
            "[a](b)#1",
        ] {
            let html = html(text).replace("<a href=\"/a/b/-/blob/main/b\">a</a>", "");
            assert!(!html.contains("<a "), "{text}: {html}");
        }
    }

    #[test]
    fn code_links_images_and_html_stay_as_they_are() {
        for text in [
            "`#1 @maria`",
            "``` \n#1 @maria\n```",
            "    #1 @maria",
            "```#1\na\n```",
            "<!-- #1 @maria -->",
            "a <!-- #1 @maria -->",
            "<div title=\"#1\">\n#1\n</div>",
            "a <b title=\"@maria #1\">",
            "![#1](https://example.com/@maria)",
            "![#1](a.png \"#1\")",
            "[#1](javascript:alert)",
            "\\#1 \\@maria \\!1",
        ] {
            assert_eq!(html(text), render(text, LINKS), "{text}");
            assert!(!html(text).contains("<a "), "{text}: {}", html(text));
        }
        for (text, target) in [
            ("[#1](https://example.com/)", "https://example.com/"),
            ("[a **#1**](https://example.com/@maria \"#2\")", "https://example.com/@maria"),
            ("[![#1](a.png) #2](c.md)", "/a/b/-/blob/main/c.md"),
            ("<https://example.com/#1>", "https://example.com/#1"),
            ("[#1]\n\n[#1]: https://example.com/", "https://example.com/"),
        ] {
            assert_eq!(targets(text), [target], "{text}: {}", html(text));
        }
        assert_eq!(targets("\\\\#1 \\a #2 \\# #3"), ["/a/b/-/issues/2", "/a/b/-/issues/3"]);
    }

    #[test]
    fn nothing_in_a_reference_runs_or_leads_out() {
        for text in [
            "@\"><script>alert(1)</script>",
            "#1\"onclick=alert(1)",
            "@maria\"onclick=\"alert(1)",
            "<script>#1 @maria</script>",
            "<a href=\"javascript:alert(1)\">#1</a>",
            "<a href='#1' title='@maria'>",
            "@javascript:alert(1)",
            "@//example.com",
            "@/example.com",
            "@\\example.com",
            "&#64;//example.com",
            "#1&quot;&gt;&lt;script&gt;",
            "[@maria](javascript:alert(1)) @maria",
            "[#1][x]\n\n[x]: data:text/html,<script>",
        ] {
            let html = html(text);
            for tag in html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest)) {
                let fine = ["p", "/p", "/a"].contains(&tag)
                    || tag
                        .strip_prefix("a href=\"/")
                        .and_then(|rest| rest.strip_suffix('"'))
                        .is_some_and(|rest| !rest.contains(['"', ':', '\\']) && !rest.starts_with('/'));
                assert!(fine, "<{tag}> of {text}: {html}");
            }
        }
    }

    #[test]
    fn nothing_of_a_text_is_lost() {
        for text in
            ["a #1 b", "#1#2", "@@maria", "é #1 é", "!!1", "a &amp; #1 &lt;", "#1", "\\#1", "x@y #1 @maria z"]
        {
            let strip = |html: String| -> String {
                html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
            };
            assert_eq!(strip(html(text)), strip(render(text, LINKS)), "{text}");
        }
    }

    #[test]
    fn very_many_are_text_and_take_no_time() {
        assert_eq!(html(&"#1 @maria ".repeat(40_000)).matches("<a ").count(), MAX_REFERENCES);
        for text in ["@", "#", "@a", "#1", "\\#", "@-"] {
            assert!(!html(&text.repeat(100_000)).contains("<a "), "{text}");
        }
    }
}
