//! Lines of source code, coloured by what they mean: comments, texts, keywords and the like, as classes that the page's
//! style gives a colour.

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use syntect::easy::ScopeRegionIterator;
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

/// The longest text that is coloured, in bytes.
pub const MAX_BYTES: usize = 512 * 1024;

/// The longest line that is coloured, in bytes; behind a longer one nothing is.
const MAX_LINE_BYTES: usize = 4096;

/// How long colouring may take; what is left then is shown without.
const TIME: Duration = Duration::from_millis(300);

/// All languages. Unpacked when the first file is looked at, and shared.
static LANGUAGES: LazyLock<SyntaxSet> = LazyLock::new(two_face::syntax::extra_newlines);

/// What colours there are: the class, and the beginnings of the scopes (in the names of TextMate) that have it. Of several
/// that fit, the innermost scope decides, and of these the first here.
const CLASSES: [(&str, &[&str]); 9] = [
    ("c", &["comment", "punctuation.definition.comment"]),
    ("s", &["string", "punctuation.definition.string", "markup.raw"]),
    ("n", &["constant.numeric", "constant.language", "constant.character", "constant.other"]),
    ("k", &["keyword", "storage"]),
    (
        "f",
        &[
            "entity.name.function",
            "support.function",
            "variable.function",
            "support.macro",
            "entity.name.macro",
        ],
    ),
    ("t", &["entity.name.type", "entity.name.class", "entity.name.struct", "support.type", "support.class"]),
    ("g", &["entity.name.tag", "markup.heading", "entity.name.section"]),
    (
        "a",
        &[
            "entity.other.attribute-name",
            "variable.parameter",
            "meta.mapping.key",
            "support.type.property-name",
        ],
    ),
    ("v", &["variable.language", "variable.other.readwrite", "markup.link"]),
];

static SCOPES: LazyLock<Vec<(&'static str, Vec<Scope>)>> = LazyLock::new(|| {
    let scopes = |names: &[&str]| names.iter().filter_map(|name| Scope::new(name).ok()).collect();
    CLASSES.iter().map(|(class, names)| (*class, scopes(names))).collect()
});

/// Returns the lines of a file as HTML, one for each line, without what ends them: coloured by the language that its name or
/// its first line tells, in spans with one of the classes `c s n k f t g a v`. What is too long, takes too long or is in no
/// known language is only escaped. Blocks for at most a moment.
pub fn lines(path: &str, text: &str) -> Vec<String> {
    lines_within(TIME, path, text)
}

fn lines_within(time: Duration, path: &str, text: &str) -> Vec<String> {
    let language = (text.len() <= MAX_BYTES).then(|| language(path, text)).flatten();
    let Some(language) = language else { return text.lines().map(plain).collect() };
    let (mut state, mut stack) = (Some(ParseState::new(language)), ScopeStack::new());
    let since = Instant::now();
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.len() > MAX_LINE_BYTES || since.elapsed() > time {
            state = None;
        }
        let coloured = state.as_mut().and_then(|state| coloured(state, &mut stack, line));
        if coloured.is_none() {
            state = None;
        }
        found.push(coloured.unwrap_or_else(|| plain(without_end(line))));
    }
    found
}

fn language<'a>(path: &str, text: &str) -> Option<&'a SyntaxReference> {
    let path = Path::new(path);
    let name = path.file_name()?.to_str()?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let known = LANGUAGES
        .find_syntax_by_extension(name)
        .or_else(|| LANGUAGES.find_syntax_by_extension(extension))
        .or_else(|| {
            (first.len() <= MAX_LINE_BYTES).then(|| LANGUAGES.find_syntax_by_first_line(first)).flatten()
        });
    known.filter(|language| language.name != "Plain Text")
}

/// Returns a line in colours; nothing when it cannot be read.
fn coloured(state: &mut ParseState, stack: &mut ScopeStack, line: &str) -> Option<String> {
    let changes = state.parse_line(line, &LANGUAGES).ok()?;
    let (mut html, shown) = (String::with_capacity(line.len() * 2), without_end(line).len());
    let (mut at, mut open) = (0, None);
    for (part, change) in ScopeRegionIterator::new(&changes, line) {
        let part_at = at;
        at += part.len();
        stack.apply(change).ok()?;
        let Range { start, end } = part_at..at.min(shown);
        if start >= end {
            continue;
        }
        let class = class(stack);
        if class != open {
            close(open, &mut html);
            if let Some(class) = class {
                html.push_str("<span class=\"");
                html.push_str(class);
                html.push_str("\">");
            }
            open = class;
        }
        crate::escape(&line[start..end], &mut html);
    }
    close(open, &mut html);
    Some(html)
}

fn close(open: Option<&str>, html: &mut String) {
    if open.is_some() {
        html.push_str("</span>");
    }
}

fn class(stack: &ScopeStack) -> Option<&'static str> {
    stack.scopes.iter().rev().find_map(|scope| {
        let fits = |(_, known): &&(&str, Vec<Scope>)| known.iter().any(|known| known.is_prefix_of(*scope));
        SCOPES.iter().find(fits).map(|(class, _)| *class)
    })
}

fn plain(line: &str) -> String {
    let mut html = String::with_capacity(line.len());
    crate::escape(line, &mut html);
    html
}

fn without_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However slow the machine is.
    fn lines(path: &str, text: &str) -> Vec<String> {
        lines_within(Duration::from_secs(3600), path, text)
    }

    /// Returns what a browser would show.
    fn shown(html: &str) -> String {
        let mut text = String::new();
        for part in html.split_inclusive('>') {
            text += part.rfind('<').map_or(part, |at| &part[..at]);
        }
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    #[test]
    fn code_is_coloured_by_its_language() {
        let lines = lines("src/main.rs", "// a <b>\nfn main() {\n    let x = \"1\" + 2;\n}\n");
        assert_eq!(lines[0], "<span class=\"c\">// a &lt;b&gt;</span>");
        assert!(lines[1].contains("<span class=\"f\">main</span>"), "{}", lines[1]);
        assert!(lines[2].contains("<span class=\"s\">&quot;1&quot;</span>"), "{}", lines[2]);
        assert!(lines[2].contains("<span class=\"n\">2</span>"), "{}", lines[2]);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn what_lasts_over_several_lines_is_whole_in_each() {
        let lines = lines("a.c", "/* one\n   two */ int x;\n");
        assert_eq!(lines[0], "<span class=\"c\">/* one</span>");
        assert!(lines[1].starts_with("<span class=\"c\">   two */</span>"), "{}", lines[1]);
    }

    #[test]
    fn the_usual_languages_are_known() {
        for (name, text) in [
            ("Cargo.toml", "a = \"b\"\n"),
            ("app.ts", "const a: string = 'b';\n"),
            ("Dockerfile", "FROM debian\n"),
            ("Makefile", "all: a\n\techo \"b\"\n"),
            ("main.tf", "a = \"b\"\n"),
            ("a.yml", "a: \"b\"\n"),
            ("run", "#!/bin/sh\necho \"b\"\n"),
            ("a.go", "package a\n"),
        ] {
            assert!(lines(name, text).iter().any(|line| line.contains("<span")), "{name}");
        }
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_taken_for_markup() {
        let text = "<script>alert('1')</script>\r\n\r\n&amp; \"é\"\n\tlast";
        for name in ["a.html", "a.js", "a.txt", "none"] {
            let lines = lines(name, text);
            let back: Vec<_> = lines.iter().map(|line| shown(line)).collect();
            assert_eq!(
                back,
                ["<script>alert('1')</script>", "", "&amp; \"é\"", "\tlast"],
                "{name}: {lines:?}"
            );
            assert!(!lines.join("").contains("<script"));
        }
        assert!(lines("a.rs", "").is_empty());
    }

    #[test]
    fn what_takes_too_long_is_only_shown() {
        let found = lines_within(Duration::ZERO, "a.rs", "fn a() {}\nfn b() {}\n");
        assert_eq!(found.last().map(String::as_str), Some("fn b() {}"));
    }

    #[test]
    fn long_lines_and_long_texts_are_only_shown() {
        let long = format!("fn a() {{}}\n{}\nfn b() {{}}\n", "x".repeat(MAX_LINE_BYTES + 1));
        let found = lines("a.rs", &long);
        assert!(found[0].contains("<span") && !found[2].contains("<span"), "{}", found[2]);
        assert_eq!(found[2], "fn b() {}");
        let long = "fn a() {}\n".repeat(MAX_BYTES / 10 + 1);
        assert!(lines("a.rs", &long).iter().all(|line| line == "fn a() {}"));
    }
}
