//! Differences between two trees, read while git writes them, so that only what is shown is kept.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::question::Question;
use crate::{Engine, Error, Exchange, ObjectFormat, ObjectId};

/// The largest difference of one file that is shown, in bytes.
pub const MAX_FILE_PATCH_BYTES: usize = 200 * 1024;

/// How much all differences of one answer may have, in bytes; the files behind are named without their differences.
pub const MAX_PATCH_BYTES: usize = 2 * 1024 * 1024;

/// How many files of one comparison are looked at.
pub const MAX_FILES: usize = 3000;

/// How long git may take.
const DIFF_LIMIT: Duration = Duration::from_secs(60);

/// The tree without entries, which git knows without having it.
const EMPTY_TREE_SHA1: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const EMPTY_TREE_SHA256: &str = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";

/// What became of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDiff {
    /// The path before; of a new file, its path.
    pub old_path: String,
    /// The path after; of a deleted file, its path.
    pub new_path: String,
    /// The mode before as Git writes it; zeros when there was none.
    pub old_mode: String,
    /// The mode after as Git writes it; zeros when there is none.
    pub new_mode: String,
    /// Whether the file is new.
    pub is_new: bool,
    /// Whether it has another path than before.
    pub is_renamed: bool,
    /// Whether it is gone.
    pub is_deleted: bool,
    /// The hunks, or a sentence about bytes that are no text. What is not UTF-8 is replaced.
    pub patch: String,
    /// The difference has more than [`MAX_FILE_PATCH_BYTES`] and is not shown.
    pub is_too_large: bool,
    /// The differences before have [`MAX_PATCH_BYTES`] and this one is not shown.
    pub is_collapsed: bool,
}

/// A part of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The files.
    pub files: Vec<FileDiff>,
    /// How many files changed in all; more than [`MAX_FILES`] are not counted.
    pub total: usize,
}

impl Engine {
    /// Compares two commits, or one with nothing: the files from number `skip` on, at most `limit`. A file that was
    /// moved and hardly changed counts as renamed.
    pub async fn diff(
        &self,
        id: i64,
        from: Option<&ObjectId>,
        to: &ObjectId,
        skip: usize,
        limit: usize,
    ) -> Result<Diff, Error> {
        let nothing = nothing(to.format())?;
        let options = [
            "-r",
            "-z",
            "--raw",
            "--patch",
            "--full-index",
            "--find-renames",
            "--no-ext-diff",
            "--no-textconv",
        ];
        let question = Question::new("diff-tree", &options).object(from.unwrap_or(&nothing)).object(to);
        let mut said = self.ask_at_length(id, question, DIFF_LIMIT).await?.body;
        let (mut reader, mut begun) = (Reader::new(skip, limit), false);
        while let Some(chunk) = said.next().await {
            begun = true;
            reader.read(&chunk.map_err(Error::io("reading a difference"))?);
            if reader.is_done() {
                // Letting go of the answer ends git.
                return Ok(reader.finish());
            }
        }
        // That git ended well without a word was looked at before.
        match said.ended_well() || !begun {
            true => Ok(reader.finish()),
            false => Err(Error::internal("git could not compare two commits")),
        }
    }

    /// Sends what lies between two commits, or one and nothing, as `git diff` writes it, while it is made.
    pub async fn raw_diff(&self, id: i64, from: Option<&ObjectId>, to: &ObjectId) -> Result<Exchange, Error> {
        let nothing = nothing(to.format())?;
        let options = ["-r", "--patch", "--full-index", "--find-renames", "--no-ext-diff", "--no-textconv"];
        let question = Question::new("diff-tree", &options).object(from.unwrap_or(&nothing)).object(to);
        self.deliver(id, question).await
    }
}

/// Returns the tree without entries.
fn nothing(format: ObjectFormat) -> Result<ObjectId, Error> {
    let nothing = match format {
        ObjectFormat::Sha1 => EMPTY_TREE_SHA1,
        ObjectFormat::Sha256 => EMPTY_TREE_SHA256,
    };
    ObjectId::parse(nothing).ok_or_else(|| Error::internal("an id that is none"))
}

/// Reads what git says: a list of the files, then a patch for each.
struct Reader {
    buffer: Vec<u8>,
    wanted: std::ops::Range<usize>,
    /// The files of the list that are wanted.
    files: Vec<FileDiff>,
    /// How many files the list has.
    total: usize,
    /// The numbers of the files whose mode changed so much that git writes two patches for each.
    twice: Vec<usize>,
    in_patches: bool,
    /// The number of the file whose patch is being read.
    current: Option<usize>,
    /// Whether this is the second patch of that file.
    second: bool,
    /// Whether the hunks of the patch have begun.
    in_hunks: bool,
    at_line_start: bool,
    patch: Vec<u8>,
    kept: usize,
}

impl Reader {
    fn new(skip: usize, limit: usize) -> Reader {
        Reader {
            buffer: Vec::new(),
            wanted: skip..skip.saturating_add(limit).min(MAX_FILES),
            files: Vec::new(),
            total: 0,
            twice: Vec::new(),
            in_patches: false,
            current: None,
            second: false,
            in_hunks: false,
            at_line_start: true,
            patch: Vec::new(),
            kept: 0,
        }
    }

    fn read(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
        let mut read = 0;
        while !self.in_patches {
            match self.read_entry(read) {
                Some(next) => read = next,
                None => break,
            }
        }
        if self.in_patches {
            read = self.read_lines(read);
        }
        self.buffer.drain(..read);
    }

    /// Reads one entry of the list and returns where the next begins, once the entry is there as a whole.
    fn read_entry(&mut self, at: usize) -> Option<usize> {
        let rest = self.buffer.get(at..)?;
        if *rest.first()? != b':' {
            // An empty field stands between the list and the patches.
            self.in_patches = true;
            return Some(at + usize::from(rest.first() == Some(&0)));
        }
        let mut fields = rest.split(|byte| *byte == 0);
        let mut length = 0;
        let mut field = || {
            let field = fields.next()?;
            length += field.len() + 1;
            (length <= rest.len()).then(|| String::from_utf8_lossy(field).into_owned())
        };
        let header = field()?;
        let mut words = header.trim_start_matches(':').split(' ');
        let (old_mode, new_mode) = (words.next()?.to_owned(), words.next()?.to_owned());
        let status = words.nth(2)?.chars().next()?;
        let old_path = field()?;
        let new_path = if matches!(status, 'R' | 'C') { field()? } else { old_path.clone() };
        if status == 'T' {
            self.twice.push(self.total);
        }
        if self.wanted.contains(&self.total) {
            self.files.push(FileDiff {
                is_new: status == 'A',
                is_renamed: status == 'R',
                is_deleted: status == 'D',
                old_path,
                new_path,
                old_mode,
                new_mode,
                ..FileDiff::default()
            });
        }
        self.total = (self.total + 1).min(MAX_FILES);
        Some(at + length)
    }

    /// Reads lines of patches and returns how far it came. A line that is longer than a patch may be is read in pieces.
    fn read_lines(&mut self, mut at: usize) -> usize {
        let buffer = std::mem::take(&mut self.buffer);
        while let Some(rest) = buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let end = rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
            let Some(length) = end.or((rest.len() > MAX_FILE_PATCH_BYTES).then_some(rest.len())) else {
                break;
            };
            self.read_line(&rest[..length]);
            self.at_line_start = end.is_some();
            at += length;
        }
        self.buffer = buffer;
        at
    }

    fn read_line(&mut self, line: &[u8]) {
        if self.at_line_start && line.starts_with(b"diff --git ") {
            return self.begin_patch();
        }
        if self.at_line_start && (line.starts_with(b"@@ ") || line.starts_with(b"Binary files ")) {
            self.in_hunks = true;
        }
        let wanted = self.current.is_some_and(|current| self.wanted.contains(&current));
        if self.in_hunks && wanted && self.patch.len() <= MAX_FILE_PATCH_BYTES {
            self.patch.extend_from_slice(line);
        }
    }

    fn begin_patch(&mut self) {
        self.in_hunks = false;
        let twice = self.current.is_some_and(|current| self.twice.contains(&current));
        if twice && !self.second {
            self.second = true;
            return;
        }
        self.end_file();
        self.second = false;
        self.current = Some(self.current.map_or(0, |current| current + 1));
    }

    /// Gives the patch that was read to its file.
    fn end_file(&mut self) {
        let patch = std::mem::take(&mut self.patch);
        let place = self.current.and_then(|current| current.checked_sub(self.wanted.start));
        let Some(file) = place.and_then(|place| self.files.get_mut(place)) else { return };
        if patch.len() > MAX_FILE_PATCH_BYTES {
            file.is_too_large = true;
        } else if self.kept + patch.len() > MAX_PATCH_BYTES {
            file.is_collapsed = true;
            self.kept = MAX_PATCH_BYTES;
        } else {
            self.kept += patch.len();
            file.patch = String::from_utf8_lossy(&patch).into_owned();
        }
    }

    /// Says whether everything wanted has been read.
    fn is_done(&self) -> bool {
        let passed = self.current.is_some_and(|current| current >= self.wanted.end.min(self.total));
        self.in_patches && (passed || self.files.is_empty())
    }

    fn finish(mut self) -> Diff {
        // What is left of a last line without an end.
        let rest = std::mem::take(&mut self.buffer);
        if self.in_patches && !rest.is_empty() {
            self.read_line(&rest);
        }
        self.end_file();
        Diff { files: self.files, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &[u8], skip: usize, limit: usize, pieces: usize) -> Diff {
        let mut reader = Reader::new(skip, limit);
        for piece in said.chunks(pieces) {
            reader.read(piece);
            if reader.is_done() {
                break;
            }
        }
        reader.finish()
    }

    fn example() -> Vec<u8> {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        format!(
            ":100644 100644 {a} {b} M\0bin\0:120000 100755 {a} {b} T\0l\0:100644 100644 {a} {b} R085\0x\0y \"z\0\0\
             diff --git a/bin b/bin\nindex 1..2\nBinary files a/bin and b/bin differ\n\
             diff --git a/l b/l\ndeleted file mode 120000\n--- a/l\n+++ /dev/null\n@@ -1 +0,0 @@\n-diff --git\n\
             \\ No newline at end of file\n\
             diff --git a/l b/l\nnew file mode 100755\n@@ -0,0 +1 @@\n+file\n\
             diff --git a/x \"b/y \\\"z\"\nsimilarity index 85%\n@@ -4,3 +4,4 @@ c\n d\n+g\n"
        )
        .into_bytes()
    }

    #[test]
    fn each_file_has_its_own_patch_however_the_answer_arrives() {
        for pieces in [1, 7, 64, 10_000] {
            let diff = read(&example(), 0, 10, pieces);
            assert_eq!(diff.total, 3);
            let patches: Vec<_> = diff.files.iter().map(|file| file.patch.as_str()).collect();
            assert_eq!(
                patches,
                [
                    "Binary files a/bin and b/bin differ\n",
                    "@@ -1 +0,0 @@\n-diff --git\n\\ No newline at end of file\n@@ -0,0 +1 @@\n+file\n",
                    "@@ -4,3 +4,4 @@ c\n d\n+g\n",
                ]
            );
            assert!(diff.files[2].is_renamed);
            assert_eq!((diff.files[2].old_path.as_str(), diff.files[2].new_path.as_str()), ("x", "y \"z"));
            let second = read(&example(), 1, 1, pieces);
            assert_eq!((second.total, second.files.len()), (3, 1));
            assert_eq!(second.files[0], diff.files[1]);
            assert_eq!(read(&example(), 5, 5, pieces), Diff { files: Vec::new(), total: 3 });
        }
        assert_eq!(read(b"", 0, 10, 1), Diff::default());
    }

    #[test]
    fn large_differences_are_named_and_not_shown() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let mut said = Vec::new();
        for n in 0..20 {
            said.extend(format!(":100644 100644 {a} {b} M\0{n:02}\0").into_bytes());
        }
        said.push(0);
        for n in 0..20 {
            // The first is one line without an end, as large as it likes.
            let bytes = if n == 0 { MAX_FILE_PATCH_BYTES * 3 } else { MAX_FILE_PATCH_BYTES - 100 };
            said.extend(
                format!("diff --git a/{n} b/{n}\n@@ -1 +1 @@\n+{}\n", "x".repeat(bytes)).into_bytes(),
            );
        }
        let diff = read(&said, 0, 100, 64 * 1024);
        assert_eq!(diff.files.len(), 20);
        assert!(diff.files[0].is_too_large && diff.files[0].patch.is_empty());
        assert!(!diff.files[1].is_too_large && diff.files[1].patch.len() > MAX_FILE_PATCH_BYTES / 2);
        assert!(diff.files[19].is_collapsed && diff.files[19].patch.is_empty());
        let kept: usize = diff.files.iter().map(|file| file.patch.len()).sum();
        assert!(kept <= MAX_PATCH_BYTES);
    }
}
