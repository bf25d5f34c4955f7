//! Commits and annotated tags as values, parsed from what Git keeps.

use crate::ObjectId;

/// The longest message that is kept of a commit or tag, in bytes; the rest is cut off.
const MAX_MESSAGE_BYTES: usize = 100 * 1024;

/// The latest moment that is kept, in Unix seconds: the end of the year 9998. Git takes any number for a time.
const MAX_SECONDS: i64 = 253_370_764_799;

const MICROSECONDS: i64 = 1_000_000;

/// Somebody who wrote a commit or a tag, and when. Nobody has verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorship {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// When, in Unix microseconds UTC.
    pub at: i64,
    /// How far the local time was ahead of UTC, in minutes.
    pub offset_minutes: i32,
}

/// How a commit is signed. Whether the signature is good is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// By OpenPGP.
    Pgp,
    /// By a key of SSH.
    Ssh,
    /// By an X.509 certificate.
    X509,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, first parent first.
    pub parents: Vec<ObjectId>,
    /// Who wrote the change.
    pub author: Authorship,
    /// Who made the commit.
    pub committer: Authorship,
    /// The whole message, at most 100 KiB of it. What is not UTF-8 is replaced.
    pub message: String,
    /// How it is signed, if it is.
    pub signature: Option<SignatureKind>,
}

/// What an annotated tag says beside what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Who made the tag, where that is written.
    pub tagger: Option<Authorship>,
    /// The message without a signature, at most 100 KiB of it.
    pub message: String,
}

impl Commit {
    /// Parses the content of a commit. Nothing when it has no tree.
    pub(crate) fn parse(id: ObjectId, content: &[u8]) -> Option<Commit> {
        let (header, message) = Header::split(content);
        let signed = header.first("gpgsig").or_else(|| header.first("gpgsig-sha256"));
        Some(Commit {
            id,
            tree: ObjectId::parse(&header.text("tree")?)?,
            parents: header
                .all("parent")
                .filter_map(|value| ObjectId::parse(&header.decoded(value)))
                .collect(),
            author: Authorship::parse(&header.text("author").unwrap_or_default()),
            committer: Authorship::parse(&header.text("committer").unwrap_or_default()),
            message: header.decoded(cut(message)),
            signature: signed.map(|value| match value {
                value if value.starts_with(b"-----BEGIN SSH ") => SignatureKind::Ssh,
                value if value.starts_with(b"-----BEGIN SIGNED MESSAGE") => SignatureKind::X509,
                _ => SignatureKind::Pgp,
            }),
        })
    }

    /// Returns the first line of the message.
    pub fn title(&self) -> &str {
        self.message.trim_start().lines().next().unwrap_or_default().trim_end()
    }

    /// Returns the trailers: the lines `Key: value` that the message ends with, in order.
    pub fn trailers(&self) -> Vec<(String, String)> {
        let message = self.message.trim();
        // The title is never one, however it looks.
        let Some((_, last)) = message.rsplit_once("\n\n") else { return Vec::new() };
        let mut found: Vec<(String, String)> = Vec::new();
        for line in last.lines() {
            if line.starts_with([' ', '\t'])
                && let Some((_, value)) = found.last_mut()
            {
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            match line.split_once(':') {
                Some((key, value)) if is_trailer_key(key) => {
                    found.push((key.to_owned(), value.trim().to_owned()));
                }
                // A paragraph with another line in it is text.
                _ => return Vec::new(),
            }
        }
        found
    }
}

fn is_trailer_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What the content of a tag object names, and what it says.
pub(crate) struct ParsedTag {
    pub(crate) target: ObjectId,
    pub(crate) annotation: Annotation,
}

impl ParsedTag {
    pub(crate) fn parse(content: &[u8]) -> Option<ParsedTag> {
        let (header, message) = Header::split(content);
        let target = ObjectId::parse(&header.text("object")?)?;
        let tagger = header.text("tagger").map(|text| Authorship::parse(&text));
        let mut message = header.decoded(cut(message));
        // The signature of a tag is the end of its message.
        if let Some(at) = message.find("-----BEGIN ")
            && (at == 0 || message[..at].ends_with('\n'))
        {
            message.truncate(at);
        }
        Some(ParsedTag { target, annotation: Annotation { tagger, message } })
    }
}

impl Authorship {
    /// Parses `Name <email> seconds zone`; what cannot be read is empty, or 1970.
    fn parse(text: &str) -> Authorship {
        let (name, rest) = text.split_once('<').unwrap_or((text, ""));
        let (email, _) = rest.split_once('>').unwrap_or((rest, ""));
        let (_, when) = rest.rsplit_once('>').unwrap_or((rest, ""));
        let mut words = when.split_whitespace();
        let seconds: i64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Authorship {
            name: plain(name),
            email: plain(email),
            at: seconds.clamp(0, MAX_SECONDS) * MICROSECONDS,
            offset_minutes: words.next().and_then(offset_minutes).unwrap_or(0),
        }
    }
}

/// Reads `+0130`. Nothing for what no clock on earth shows.
fn offset_minutes(zone: &str) -> Option<i32> {
    let number: i32 = zone.parse().ok()?;
    let minutes = number / 100 * 60 + number % 100;
    (zone.len() == 5 && minutes.abs() < 24 * 60).then_some(minutes)
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

fn cut(message: &[u8]) -> &[u8] {
    &message[..message.len().min(MAX_MESSAGE_BYTES)]
}

/// The header lines of a commit or tag.
struct Header<'a> {
    lines: &'a [u8],
    latin1: bool,
}

impl<'a> Header<'a> {
    fn split(content: &'a [u8]) -> (Header<'a>, &'a [u8]) {
        let end = content.windows(2).position(|pair| pair == b"\n\n");
        let (lines, message) = end.map_or((content, &b""[..]), |at| (&content[..at], &content[at + 2..]));
        let mut header = Header { lines, latin1: false };
        header.latin1 = header.first("encoding").is_some_and(|name| {
            [&b"iso-8859-1"[..], b"iso8859-1", b"latin1"].iter().any(|known| name.eq_ignore_ascii_case(known))
        });
        (header, message)
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.lines.split(|byte| *byte == b'\n');
        lines.filter_map(move |line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))
    }

    fn first(&self, name: &'static str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    fn text(&self, name: &'static str) -> Option<String> {
        self.first(name).map(|value| self.decoded(value))
    }

    fn decoded(&self, bytes: &[u8]) -> String {
        if self.latin1 {
            return bytes.iter().map(|byte| char::from(*byte)).collect();
        }
        String::from_utf8_lossy(bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(rest: &str) -> Commit {
        let id = ObjectId::parse(&"a".repeat(40)).unwrap();
        let text = format!("tree {}\n{rest}", "b".repeat(40));
        Commit::parse(id, text.as_bytes()).unwrap()
    }

    #[test]
    fn a_commit_is_read_with_the_times_of_its_people() {
        let parent = "c".repeat(40);
        let read = commit(&format!(
            "parent {parent}\nauthor A <B> <a@b> 5 +0130\ncommitter C <c@d> 7 -0700\n\
             gpgsig -----BEGIN SSH SIGNATURE-----\n author Z <z@z> 1 +0000\n\nTitle \nbody\n"
        ));
        assert_eq!(read.parents.len(), 1);
        assert_eq!(
            (read.author.name.as_str(), read.author.at, read.author.offset_minutes),
            ("A", 5_000_000, 90)
        );
        assert_eq!((read.committer.email.as_str(), read.committer.offset_minutes), ("c@d", -420));
        assert_eq!(read.signature, Some(SignatureKind::Ssh));
        assert_eq!((read.title(), read.message.as_str()), ("Title", "Title \nbody\n"));
    }

    #[test]
    fn odd_commits_are_read_too() {
        let id = ObjectId::parse(&"a".repeat(40)).unwrap();
        assert_eq!(Commit::parse(id, b"author x"), None);
        let read = commit("author  99999999999999999999 +9999\n");
        assert_eq!((read.author.at, read.author.offset_minutes, read.title()), (0, 0, ""));
        let read = commit("author x <y> 9999999999999999 +0000\n");
        assert_eq!(read.author.at, MAX_SECONDS * MICROSECONDS);
        let text = [b"tree ", "b".repeat(40).as_bytes(), b"\nencoding ISO-8859-1\n\ncaf\xe9\n"].concat();
        let id = ObjectId::parse(&"a".repeat(40)).unwrap();
        assert_eq!(Commit::parse(id, &text).unwrap().message, "caf\u{e9}\n");
        let long = commit(&format!("author x <y> 1 +0000\n\n{}", "\u{e9}".repeat(MAX_MESSAGE_BYTES)));
        assert!(long.message.len() <= MAX_MESSAGE_BYTES + 2);
    }

    #[test]
    fn trailers_are_the_last_paragraph_and_nothing_else() {
        let of = |message: &str| commit(&format!("author x <y> 1 +0000\n\n{message}")).trailers();
        assert_eq!(of("Fixes: a"), []);
        assert_eq!(of("Title\n\nSome: text\nand more\n"), []);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            of("Title\n\nBody\n\nSigned-off-by: A <a@b>\nChangelog: added\n  and kept\n"),
            [pair("Signed-off-by", "A <a@b>"), pair("Changelog", "added and kept")]
        );
    }

    #[test]
    fn a_tag_is_read_without_its_signature() {
        let text = format!(
            "object {}\ntype commit\ntag v1\ntagger T <t@t> 9 +0000\n\nSay\n-----BEGIN PGP SIGNATURE-----\nx\n",
            "a".repeat(40)
        );
        let read = ParsedTag::parse(text.as_bytes()).unwrap();
        assert_eq!(read.annotation.message, "Say\n");
        assert_eq!(read.annotation.tagger.unwrap().at, 9_000_000);
    }
}
