//! The path of a file that is about to be written into a tree.
//!
//! A tree is later written to the disks of those who clone it, so what a path may be is decided by what any of these
//! disks would make of it: on some, letters that cannot be seen do not count, on others what stands behind a colon, or
//! dots and spaces at the end. Nothing that could become `.git` on one of them, or leave the work tree, is a path.

use std::fmt;

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// The longest part of a path, in bytes; what file systems take for a name.
const MAX_PART_BYTES: usize = 255;

/// How many parts a path may have.
const MAX_DEPTH: usize = 64;

/// The characters that HFS+ passes over when it compares names.
const UNSEEN: [char; 16] = [
    '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
    '\u{202e}', '\u{206a}', '\u{206b}', '\u{206c}', '\u{206d}', '\u{206e}', '\u{206f}', '\u{feff}',
];

/// The path of a file inside a repository, with `/` between its parts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FilePath(Box<str>);

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilePathError {
    /// There is none.
    #[error("is empty")]
    Empty,
    /// The path, a part of it, or the number of its parts is too large.
    #[error("is too long")]
    TooLong,
    /// A part leads out of the work tree, or stands for nothing.
    #[error("cannot include directory traversal")]
    Traversal,
    /// A part is a name that Git keeps for itself on some file system, or holds a character that names must not hold.
    #[error("is not allowed in a repository")]
    Forbidden,
}

/// What Git itself reads from a work tree, and therefore looks at in what is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpecialFile {
    /// Where submodules come from.
    Modules,
    /// How files are converted.
    Attributes,
    /// What is not tracked, and who people are. They must not be links.
    Other,
}

impl SpecialFile {
    /// Returns what Git reads from a file with this name, if it does.
    pub(crate) fn named(name: &str) -> Option<SpecialFile> {
        spellings(name).find_map(|name| match name.as_str() {
            ".gitmodules" => Some(SpecialFile::Modules),
            ".gitattributes" => Some(SpecialFile::Attributes),
            ".gitignore" | ".mailmap" => Some(SpecialFile::Other),
            _ => None,
        })
    }
}

impl FilePath {
    /// Parses a path. Slashes before it do not count.
    pub fn parse(text: &str) -> Result<FilePath, FilePathError> {
        let path = text.trim_start_matches('/');
        if path.is_empty() {
            return Err(FilePathError::Empty);
        }
        if path.len() > MAX_PATH_BYTES || path.split('/').count() > MAX_DEPTH {
            return Err(FilePathError::TooLong);
        }
        path.split('/').try_for_each(check)?;
        Ok(FilePath(path.into()))
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the folders above the file, the uppermost first.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        let folders = self.0.rsplit_once('/').map(|(folders, _)| folders);
        folders.into_iter().flat_map(|folders| folders.split('/'))
    }

    /// Returns the last part.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Says whether Git itself reads the file.
    pub(crate) fn special(&self) -> Option<SpecialFile> {
        SpecialFile::named(self.name())
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilePath({:?})", self.0)
    }
}

fn check(part: &str) -> Result<(), FilePathError> {
    if matches!(part, "" | "." | "..") {
        return Err(FilePathError::Traversal);
    }
    if part.len() > MAX_PART_BYTES {
        return Err(FilePathError::TooLong);
    }
    let forbidden = |name: String| name == ".git" || matches!(&*name, "." | "..") || is_short_name(&name);
    if part.contains(char::is_control) || spellings(part).any(forbidden) {
        return Err(FilePathError::Forbidden);
    }
    Ok(())
}

/// Returns the names that some file system would take a part of a path for. NTFS reads a backslash as a separator.
fn spellings(part: &str) -> impl Iterator<Item = String> {
    part.split('\\').map(|name| {
        let seen: String = name.chars().filter(|character| !UNSEEN.contains(character)).collect();
        let seen = seen.to_ascii_lowercase();
        let name = seen.split(':').next().unwrap_or_default();
        let shortened = name.trim_end_matches(['.', ' ']);
        // What is only dots stays what it is.
        if shortened.is_empty() { name.to_owned() } else { shortened.to_owned() }
    })
}

/// Says whether this is a short name that NTFS could have made up for a file of Git's: `git~1`, `gitmod~1`, `gi7eba~1`.
fn is_short_name(name: &str) -> bool {
    name.split_once('~').is_some_and(|(begin, number)| {
        begin.starts_with("gi") && begin.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_git_somewhere_is_no_path() {
        for path in [
            ".git",
            ".GIT",
            "a/.git/config",
            ".gIt/hooks/post-checkout",
            "git~1",
            "GIT~1/config",
            "gitmod~1",
            "gi7eba~4",
            ".git ",
            ".git.",
            ".git . .",
            ".git::$INDEX_ALLOCATION/config",
            ".git:x",
            "a\\.git\\config",
            "a\\..\\b",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".git\u{206f}/x",
            "a\nb",
            "a\0b",
            "a\u{85}b",
            "\u{7f}",
        ] {
            assert_eq!(FilePath::parse(path), Err(FilePathError::Forbidden), "{path:?}");
        }
    }

    #[test]
    fn a_path_stays_inside() {
        for path in ["..", "a/..", "../a", "a/../../b", "./a", "a//b", "a/", "a/."] {
            assert_eq!(FilePath::parse(path), Err(FilePathError::Traversal), "{path:?}");
        }
        for path in ["", "/", "//"] {
            assert_eq!(FilePath::parse(path), Err(FilePathError::Empty), "{path:?}");
        }
        let (long, wide, deep) =
            ("a".repeat(256), "abc/".repeat(60) + &"x".repeat(4000), "a/".repeat(64) + "b");
        for path in [long, wide, deep] {
            assert_eq!(FilePath::parse(&path), Err(FilePathError::TooLong));
        }
    }

    #[test]
    fn ordinary_names_are_paths() {
        for path in [
            "a",
            "a b",
            "-x",
            ".gitlab-ci.yml",
            ".github/x",
            "git",
            "a.git",
            "file~1",
            "übung/ä.txt",
            "…",
            "a~1",
            "a:b",
            ".gitkeep",
            "..a",
            "...",
            "日本/語",
        ] {
            assert_eq!(FilePath::parse(path).map(|parsed| parsed.to_string()), Ok(path.to_owned()));
        }
        let path = FilePath::parse("/a/b/c").unwrap();
        assert_eq!((path.folders().collect::<Vec<_>>(), path.name()), (vec!["a", "b"], "c"));
        assert_eq!(FilePath::parse("c").unwrap().folders().count(), 0);
    }

    #[test]
    fn what_git_reads_is_known_in_every_spelling() {
        let special = |path: &str| FilePath::parse(path).unwrap().special();
        for path in [".gitmodules", "a/.GITMODULES", ".gitmodules. ", ".gitmodules:x", ".git\u{200d}modules"]
        {
            assert_eq!(special(path), Some(SpecialFile::Modules), "{path:?}");
        }
        assert_eq!(special("a/.gitattributes"), Some(SpecialFile::Attributes));
        assert_eq!(special(".gitIgnore"), Some(SpecialFile::Other));
        assert_eq!(special("gitmodules"), None);
    }
}
