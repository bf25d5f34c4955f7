//! Markdown: CommonMark with the additions that forges share (tables, strikethrough, task lists). HTML that people put between
//! is shown as they wrote it, so that nothing but what is made here ever reaches a page.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

use crate::references::{Gathered, References};

/// The longest text that is rendered, in bytes; a longer one is shown as it stands.
pub const MAX_BYTES: usize = 512 * 1024;

/// What stands before each name of a place in the text, so that none is taken for one of the page.
const ID_PREFIX: &str = "user-content-";

/// Where links may lead outside.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// Where relative links lead.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// What stands before the path of a file that is linked, such as `/acme/app/-/blob/main`.
    pub files: &'a str,
    /// What stands before the path of an image, such as `/acme/app/-/raw/main`.
    pub images: &'a str,
    /// The folder that the text lies in, without slashes at the ends; empty at the root.
    pub folder: &'a str,
}

/// Returns a text in Markdown as HTML. Of images of other hosts only the words are left: to show them would tell those hosts
/// who reads.
pub fn render(text: &str, links: Links<'_>) -> String {
    rendered(text, links, None)
}

/// Like [`render`], and what is only named, such as `#12` or `@maria`, becomes a link too.
pub fn render_with_references(text: &str, links: Links<'_>, references: References<'_>) -> String {
    rendered(text, links, Some(references))
}

fn rendered(text: &str, links: Links<'_>, references: Option<References<'_>>) -> String {
    if text.len() > MAX_BYTES {
        let mut plain = String::from("<pre>");
        crate::escape(text, &mut plain);
        return plain + "</pre>";
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events: Vec<Event<'_>> = Vec::new();
    // Which of the open links and images lead nowhere, so that their ends are left out too.
    let mut shown = Vec::new();
    let mut gathered = references.map(Gathered::new);
    for (event, place) in Parser::new_ext(text, options).into_offset_iter() {
        if let Some(gathered) = &mut gathered
            && gathered.takes(&event, text, place.start, &mut events)
        {
            continue;
        }
        match event {
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let target = link(link_type, &dest_url, links);
                shown.push(target.is_some());
                events.extend(target.map(|target| {
                    Event::Start(Tag::Link {
                        link_type: LinkType::Inline,
                        dest_url: target.into(),
                        title,
                        id,
                    })
                }));
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let target = image(&dest_url, links);
                shown.push(target.is_some());
                events.extend(target.map(|target| {
                    Event::Start(Tag::Image { link_type, dest_url: target.into(), title, id })
                }));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                events.extend(shown.pop().unwrap_or(false).then_some(event))
            }
            // A style in the page itself would be against its policy.
            Event::Start(Tag::Table(columns)) => {
                events.push(Event::Start(Tag::Table(vec![pulldown_cmark::Alignment::None; columns.len()])));
            }
            Event::TaskListMarker(done) => events.push(Event::Text(if done { "☑ " } else { "☐ " }.into())),
            Event::Html(text) | Event::InlineHtml(text) => events.push(Event::Text(text)),
            event => events.push(event),
        }
    }
    name_headings(&mut events);
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, events.into_iter());
    out
}

/// Gives every heading a name made of its words, to be linked to.
fn name_headings(events: &mut [Event<'_>]) {
    for at in 0..events.len() {
        if !matches!(events[at], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let words =
            events[at + 1..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let words: String = words
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(&**text),
                _ => None,
            })
            .collect();
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(CowStr::from(format!("{ID_PREFIX}{}", slug(&words))));
        }
    }
}

/// Returns words as the name of a place: in small letters, with dashes for spaces, and without anything else.
fn slug(words: &str) -> String {
    let mut slug = String::new();
    for character in words.trim().chars() {
        match character {
            ' ' | '-' => slug.push('-'),
            '_' => slug.push('_'),
            letter if letter.is_alphanumeric() => slug.extend(letter.to_lowercase()),
            _ => {}
        }
    }
    slug
}

fn link(kind: LinkType, value: &str, links: Links<'_>) -> Option<String> {
    if kind == LinkType::Email {
        return Some(format!("mailto:{value}"));
    }
    if let Some(place) = value.strip_prefix('#') {
        return Some(format!("#{ID_PREFIX}{place}"));
    }
    match scheme(value) {
        Some(scheme) => {
            SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then(|| value.to_owned())
        }
        None => relative(value, links.files, links.folder),
    }
}

fn image(value: &str, links: Links<'_>) -> Option<String> {
    if scheme(value).is_some() { None } else { relative(value, links.images, links.folder) }
}

/// Returns what stands before the first colon of an address, unless a path begins before it (RFC 3986, section 4.2). What is
/// no proper scheme is one too: a browser might read it as one.
fn scheme(value: &str) -> Option<&str> {
    value.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains(['/', '?', '#']))
}

/// Returns where a relative address leads: below `base`, from `folder` on; nothing when it leads out.
fn relative(value: &str, base: &str, folder: &str) -> Option<String> {
    // `//host/path` is another host, and so is `/\host` for browsers.
    let slashes = value.bytes().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
    if slashes > 1 || value.starts_with('\\') || value.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let end = value.find(['?', '#']).unwrap_or(value.len());
    let (path, rest) = value.split_at(end);
    let mut parts: Vec<&str> = match path.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => folder.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let rest = rest.replace('#', &format!("#{ID_PREFIX}"));
    Some(format!("{base}/{}{rest}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: Links<'_> = Links { files: "/a/b/-/blob/main", images: "/a/b/-/raw/main", folder: "docs" };

    fn html(text: &str) -> String {
        render(text, LINKS)
    }

    #[test]
    fn what_forges_share_is_rendered() {
        let text =
            "# Title\n\n- [x] done\n\n| a | b |\n|---|--:|\n| 1 | ~~2~~ |\n\n```rust\nfn a() {}\n```\n";
        let html = html(text);
        for part in [
            "<li>☑ done</li>",
            "<h1 id=\"user-content-title\">Title</h1>",
            "<td><del>2</del></td>",
            "<code class=\"language-rust\">",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn nothing_in_a_text_runs_or_looks_like_the_page() {
        for text in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[a](javascript:alert(1))",
            "[a](JaVaScRiPt:alert(1))",
            "[a](data:text/html,<script>)",
            "[a](java\nscript:alert(1))",
            "<a href=\"java&#10;script:alert(1)\">a</a>",
            "<style>body { display: none }</style>",
            "<p style=\"position: fixed\">a</p>",
            "<form action=/x><button>a</button></form>",
            "<input type=password name=x>",
            "<iframe src=https://example.com></iframe>",
            "<svg onload=alert(1)></svg>",
            "<math><mi xlink:href=\"javascript:alert(1)\">a</mi></math>",
            "<base href=https://example.com>",
            "<meta http-equiv=refresh content=0>",
            "<link rel=stylesheet href=https://example.com>",
            "<object data=x></object>",
            "<p class=\"button danger\">a</p>",
        ] {
            let html = html(text).to_lowercase();
            // It may be shown as text: only tags count.
            for tag in html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest)) {
                let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
                assert!(["p", "a", "img"].contains(&name), "<{tag}> of {text}");
                for part in [" on", "script:", "data:", "style=", "class=", "name=", "action=", "xlink"] {
                    assert!(!tag.contains(part), "<{tag}> of {text}");
                }
            }
        }
    }

    #[test]
    fn places_in_a_text_cannot_be_taken_for_those_of_the_page() {
        assert!(html("# Main & `b`").contains("id=\"user-content-main--b\""));
        assert!(html("[a](#main)").contains("href=\"#user-content-main\""));
    }

    #[test]
    fn links_lead_into_the_repository_and_not_out_of_it() {
        for (text, href) in [
            ("[a](b.md)", Some("/a/b/-/blob/main/docs/b.md")),
            ("[a](./c/../b.md#part)", Some("/a/b/-/blob/main/docs/b.md#user-content-part")),
            ("[a](../README.md)", Some("/a/b/-/blob/main/README.md")),
            ("[a](/README.md)", Some("/a/b/-/blob/main/README.md")),
            ("[a](../../../../users/sign_out)", None),
            ("[a](//example.com/x)", None),
            ("[a](/\\\\example.com/x)", None),
            ("[a](\\\\example.com/x)", None),
            ("[a](x:y)", None),
            ("<a@example.com>", Some("mailto:a@example.com")),
            ("[a](https://example.com/x)", Some("https://example.com/x")),
            ("[a](mailto:a@example.com)", Some("mailto:a@example.com")),
        ] {
            let html = html(text);
            match href {
                Some(href) => assert!(html.contains(&format!("href=\"{href}\"")), "{text}: {html}"),
                None => assert!(!html.contains("href="), "{text}: {html}"),
            }
        }
    }

    #[test]
    fn images_come_from_here_only() {
        assert!(html("![a](pic.png)").contains("src=\"/a/b/-/raw/main/docs/pic.png\""));
        let elsewhere = html("![the words](https://example.com/pic.png)");
        assert!(elsewhere.contains("<p>the words</p>"), "{elsewhere}");
        assert!(!html("![a](//example.com/pic.png)").contains("src="));
        assert!(
            html("[![a](b.png)](c.md)")
                .contains("/-/blob/main/docs/c.md\"><img src=\"/a/b/-/raw/main/docs/b.png\"")
        );
    }

    #[test]
    fn a_long_text_is_shown_as_it_stands() {
        let html = html(&"<b>&".repeat(MAX_BYTES / 4 + 1));
        assert!(html.starts_with("<pre>&lt;b&gt;&amp;"));
    }
}
