//! What the files that Git itself reads from a work tree may hold.
//!
//! `git receive-pack` looks into them when they are pushed, because a clone could be made to run or overwrite something by
//! them. What is written over the API passes no such check, so it is held to less than Git allows: whatever is not plain
//! has to be pushed.

use gix_object::Kind;

use crate::changing_tree::{ChangingTree, mode};
use crate::file_path::{FilePath, SpecialFile};
use crate::objects::{Objects, name_of};
use crate::{Error, ObjectId};

/// The largest such file that is looked into, in bytes.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// The longest line that Git reads in a file of attributes, in bytes.
const MAX_ATTRIBUTE_LINE_BYTES: usize = 2048;

/// Refuses what Git would refuse in the file at `path`, if it is one that Git reads.
pub(crate) fn check(path: &FilePath, content: &[u8]) -> Result<(), Error> {
    let small = content.len() as u64 <= MAX_BYTES;
    let plain = match path.special() {
        Some(SpecialFile::Modules) => small && str::from_utf8(content).is_ok_and(are_plain_modules),
        Some(SpecialFile::Attributes) => {
            small && content.split(|byte| *byte == b'\n').all(|line| line.len() < MAX_ATTRIBUTE_LINE_BYTES)
        }
        Some(SpecialFile::Other) | None => true,
    };
    if plain {
        return Ok(());
    }
    Err(Error::Inapplicable(format!("{path} holds something that has to be pushed with Git")))
}

/// Refuses a merged tree whose `.gitmodules` none of the `sides` has: two files that were checked when they were pushed can
/// be merged into one that would not have passed. Only the one in the root counts for Git.
pub(crate) fn check_merged(objects: &Objects, merged: &ObjectId, sides: &[ObjectId]) -> Result<(), Error> {
    let modules = |tree: &ObjectId| -> Result<Vec<_>, Error> {
        let tree = ChangingTree::begin(objects, Some(tree))?;
        let named =
            tree.entries().filter_map(|(name, mode, id)| Some((str::from_utf8(name).ok()?, mode, id)));
        let modules = named.filter(|(name, ..)| SpecialFile::named(name) == Some(SpecialFile::Modules));
        Ok(modules.map(|(name, mode, id)| (name.to_owned(), mode, id)).collect())
    };
    let found = modules(merged)?;
    if found.is_empty() {
        return Ok(());
    }
    let known = sides.iter().map(modules).collect::<Result<Vec<_>, _>>()?;
    for entry in found {
        if known.iter().flatten().any(|known| *known == entry) {
            continue;
        }
        let (name, mode, id) = entry;
        let content = match mode::is_file(mode) {
            true => objects.content(&name_of(&id)?, Kind::Blob, MAX_BYTES)?,
            false => None,
        };
        match (FilePath::parse(&name), content) {
            (Ok(path), Some(content)) => check(&path, &content)?,
            _ => return Err(Error::Inapplicable(format!("{name} has to be merged and pushed with Git"))),
        }
    }
    Ok(())
}

/// Says whether a file of submodules is made of comments, sections `[submodule "name"]`, and keys with values that cannot
/// be anything but a path, a branch, a word or an address of a known kind.
fn are_plain_modules(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| {
        if line.is_empty() || line.starts_with(['#', ';']) {
            return true;
        }
        if let Some(section) = line.strip_prefix("[submodule \"") {
            return section.strip_suffix("\"]").is_some_and(is_plain_name);
        }
        let Some((key, value)) = line.split_once('=') else { return false };
        let value = value.trim();
        let word = !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c));
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => is_plain_name(value),
            "url" => is_plain_url(value),
            "branch" => is_plain_name(value) || value == ".",
            "update" => matches!(value, "checkout" | "rebase" | "merge" | "none"),
            "ignore" | "fetchrecursesubmodules" | "shallow" => word && !value.starts_with('-'),
            _ => false,
        }
    })
}

fn is_plain_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '#' | ';' | '[' | ']');
    !name.starts_with('-')
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && name.chars().all(allowed)
}

/// An address over HTTP or SSH, or one relative to that of the repository. A `%` could hide a line feed from Git.
fn is_plain_url(url: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/@+,=".contains(c);
    let known = ["https://", "http://", "ssh://", "git@", "../", "./"];
    let rest = known.iter().find_map(|known| url.strip_prefix(known));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('-') && !rest.contains("::"))
        && url.chars().all(allowed)
        && !url.split(['/', '@']).any(|part| part.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(path: &str, content: &str) -> bool {
        check(&FilePath::parse(path).unwrap(), content.as_bytes()).is_ok()
    }

    #[test]
    fn plain_submodules_are_allowed() {
        let text = "# ours\n[submodule \"lib/x\"]\n\tpath = lib/x\n\turl = https://example.com/a/x.git\n\tbranch = main\n\
            [submodule \"y\"]\n  path = y\n  url=../y.git\n  shallow = true\n\n\
            [submodule \"z\"]\n path = z\n url = git@example.com:a/z.git\n update = none\n";
        assert!(allows(".gitmodules", text));
        assert!(allows(".gitmodules", ""));
        assert!(allows("a.gitmodules", "anything"));
    }

    #[test]
    fn what_could_run_something_is_refused() {
        let whole = |line: &str| format!("[submodule \"x\"]\n\t{line}\n");
        for line in [
            "url = --upload-pack=touch",
            "url = -u./payload",
            "url = ext::sh",
            "url = ssh://-oProxyCommand=x/y",
            "url = git@-oProxyCommand=x:y",
            "url = https://example.com/%0ahost",
            "url = \"https://example.com\"",
            "url = file:///etc",
            "url = https://ext::x",
            "path = -x",
            "path = ../x",
            "path = a\\",
            "path = \"a\nb\"",
            "update = !touch x",
            "fetch = x",
            "just words",
            "[include]",
            "[submodule \"../../modules\"]",
            "[submodule \"a\\\"b\"]",
            "[submodule \"a\"] path = b",
        ] {
            for path in [".gitmodules", "a/.GITMODULES "] {
                assert!(!allows(path, &whole(line)), "{line}");
            }
        }
        assert!(!allows(".gitmodules", &"#".repeat(2_000_000)));
    }

    #[test]
    fn attributes_have_short_lines() {
        assert!(allows(".gitattributes", &format!("{}\n* text\n", "a".repeat(2047))));
        assert!(!allows("a/.gitattributes", &"a".repeat(2048)));
    }
}
