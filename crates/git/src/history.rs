//! Small questions about commits, each answered by one short git process, and the first commit of a repository.

use std::path::Path;
use std::time::Duration;

use crate::command::Git;
use crate::process;
use crate::{Error, ObjectId, RefName};

/// How long a small question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// The largest commit that is read to be summarised, in bytes.
const MAX_COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// The longest title kept, in characters.
const MAX_TITLE_CHARS: usize = 255;

const MICROSECONDS: i64 = 1_000_000;

/// Who made a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name. Angle brackets and control characters are dropped when it is written.
    pub name: String,
    /// The e-mail address. Angle brackets and control characters are dropped when it is written.
    pub email: String,
}

/// The first commit of a repository.
#[derive(Clone, Debug)]
pub struct FirstCommit {
    /// The short name of the branch to begin.
    pub branch: String,
    /// The files: a path with `/` between its parts, and the content.
    pub files: Vec<(String, Vec<u8>)>,
    /// The commit message.
    pub message: String,
    /// Author and committer.
    pub author: Signature,
    /// When, in Unix microseconds UTC.
    pub at: i64,
}

/// What is told about a commit where it is only mentioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSummary {
    /// The commit.
    pub id: ObjectId,
    /// Its parents, first parent first.
    pub parents: Vec<ObjectId>,
    /// The first line of its message, at most 255 characters.
    pub title: String,
    /// The author as recorded in the commit, which nobody has verified.
    pub author: Signature,
    /// When it was committed, in Unix microseconds UTC.
    pub committed_at: i64,
}

/// Reads one commit; an annotated tag is followed to its commit.
pub(crate) async fn commit_summary(
    git: &Git,
    repository: &Path,
    id: &ObjectId,
) -> Result<Option<CommitSummary>, Error> {
    let call = git.inside("cat-file", repository).args(["--batch"]);
    let question = format!("{id}^{{commit}}\n").into_bytes();
    let output = process::run(call, Some(question), MAX_COMMIT_BYTES, QUESTION_LIMIT).await?;
    let output = output.expect_success("reading a commit")?;
    let text = String::from_utf8_lossy(&output);
    Ok(parse_commit(&text))
}

/// Parses what `cat-file --batch` says: `<id> commit <size>`, the commit's header, an empty line, its message.
fn parse_commit(text: &str) -> Option<CommitSummary> {
    let (first, commit) = text.split_once('\n')?;
    let mut parts = first.split(' ');
    let id = ObjectId::parse(parts.next()?)?;
    if parts.next()? != "commit" {
        return None;
    }
    let (header, message) = commit.split_once("\n\n").unwrap_or((commit, ""));
    let field = |name: &str| header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let parents = header.lines().filter_map(|line| ObjectId::parse(line.strip_prefix("parent ")?)).collect();
    let (author, _) = parse_signature(field("author").unwrap_or_default());
    let (_, committed_at) = parse_signature(field("committer").unwrap_or_default());
    let title = message.trim_start().lines().next().unwrap_or_default().trim_end();
    let title = title.chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect();
    Some(CommitSummary { id, parents, title, author, committed_at })
}

/// Parses `Name <email> seconds zone`.
fn parse_signature(text: &str) -> (Signature, i64) {
    let (name, rest) = text.split_once('<').unwrap_or((text, ""));
    let (email, when) = rest.split_once('>').unwrap_or((rest, ""));
    let seconds: i64 = when.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let signature = Signature { name: plain(name), email: plain(email) };
    (signature, seconds.saturating_mul(MICROSECONDS))
}

/// Takes out what would break the line of a commit that names a person.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect::<String>().trim().to_owned()
}

/// Counts commits.
pub(crate) async fn count_commits(
    git: &Git,
    repository: &Path,
    old: &[ObjectId],
    new: &ObjectId,
    at_most: u32,
) -> Result<u32, Error> {
    if new.is_zero() {
        return Ok(0);
    }
    let limit = format!("--max-count={at_most}");
    let call = git.inside("rev-list", repository).args(["--count", "--ignore-missing", &limit, "--stdin"]);
    let mut revisions = format!("{new}\n");
    for id in old.iter().filter(|id| !id.is_zero()) {
        revisions.push_str(&format!("^{id}\n"));
    }
    let output = process::run(call, Some(revisions.into_bytes()), 1024, QUESTION_LIMIT).await?;
    let output = output.expect_success("counting commits")?;
    let count = str::from_utf8(&output).ok().and_then(|text| text.trim().parse().ok());
    count.ok_or_else(|| Error::internal("git counted commits and said no number"))
}

/// Lists commits, the newest first.
pub(crate) async fn new_commits(
    git: &Git,
    repository: &Path,
    old: &[ObjectId],
    new: &ObjectId,
    at_most: u32,
) -> Result<Vec<ObjectId>, Error> {
    let limit = format!("--max-count={at_most}");
    let call = git.inside("rev-list", repository).args(["--ignore-missing", &limit, "--stdin"]);
    let mut revisions = format!("{new}\n");
    for id in old.iter().filter(|id| !id.is_zero()) {
        revisions.push_str(&format!("^{id}\n"));
    }
    let output = process::run(call, Some(revisions.into_bytes()), 1024 * 1024, QUESTION_LIMIT).await?;
    let output = output.expect_success("listing commits")?;
    Ok(String::from_utf8_lossy(&output).lines().filter_map(ObjectId::parse).collect())
}

/// Writes the first commit of an empty repository.
pub(crate) async fn initialize(git: &Git, repository: &Path, first: FirstCommit) -> Result<ObjectId, Error> {
    let branch = RefName::branch_named(&first.branch)?;
    let call = git.inside("fast-import", repository).args(["--quiet", "--done", "--date-format=raw"]);
    let script = fast_import_script(&branch, &first)?;
    let finished = process::run(call, Some(script), 64 * 1024, QUESTION_LIMIT).await?;
    // Without a parent in the script, git refuses to move a branch that is already there.
    if !finished.status.success() && finished.errors.contains("Not updating") {
        return Err(Error::AlreadyExists);
    }
    let output = finished.expect_success("writing the first commit")?;
    let id = str::from_utf8(&output).ok().and_then(|text| ObjectId::parse(text.trim()));
    id.ok_or_else(|| Error::internal("git wrote a first commit and did not name it"))
}

/// Writes the commands for `git fast-import`. Every text of a person is either length-prefixed or quoted.
fn fast_import_script(branch: &RefName, first: &FirstCommit) -> Result<Vec<u8>, Error> {
    let mut script = Vec::new();
    let seconds = first.at.div_euclid(MICROSECONDS).max(0);
    let who = format!("{} <{}> {seconds} +0000", plain(&first.author.name), plain(&first.author.email));
    script.extend_from_slice(format!("commit {branch}\nmark :1\nauthor {who}\ncommitter {who}\n").as_bytes());
    put_data(&mut script, first.message.as_bytes());
    for (path, content) in &first.files {
        script.extend_from_slice(format!("M 100644 inline {}\n", quoted_path(path)?).as_bytes());
        put_data(&mut script, content);
    }
    script.extend_from_slice(b"get-mark :1\ndone\n");
    Ok(script)
}

fn put_data(script: &mut Vec<u8>, data: &[u8]) {
    script.extend_from_slice(format!("data {}\n", data.len()).as_bytes());
    script.extend_from_slice(data);
    script.push(b'\n');
}

fn quoted_path(path: &str) -> Result<String, Error> {
    let allowed = |part: &str| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git");
    if path.contains(|c: char| c.is_control()) || !path.split('/').all(allowed) {
        return Err(Error::BadRequest(format!("{} is not an allowed path", path.escape_debug())));
    }
    Ok(format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_even_when_it_is_odd() {
        let id = "a".repeat(40);
        let parent = "b".repeat(40);
        let text = format!(
            "{id} commit 10\ntree {id}\nparent {parent}\nauthor A <B> <a@b> 5 +0000\n\
             committer C <c@d> 7 -0100\ngpgsig x\n author Z <z@z> 1 +0000\n\n\nTitle\x1b[1m \nbody\n"
        );
        let commit = parse_commit(&text).unwrap();
        assert_eq!(commit.title, "Title[1m");
        assert_eq!(commit.parents.len(), 1);
        assert_eq!(commit.committed_at, 7_000_000);
        assert_eq!(commit.author.name, "A");
        assert_eq!(parse_commit(&format!("{id}^{{commit}} missing\n")), None);
        assert_eq!(parse_commit(""), None);
        assert_eq!(parse_commit(&format!("{id} commit 0\n\n")).unwrap().title, "");
    }

    #[test]
    fn texts_cannot_leave_their_place_in_the_script() {
        assert!(quoted_path("a/../b").is_err());
        assert!(quoted_path(".GIT/config").is_err());
        assert!(quoted_path("a\nM 100644").is_err());
        assert_eq!(quoted_path("a \"b\\").unwrap(), "\"a \\\"b\\\\\"");
        assert_eq!(plain("Eve <eve@x>\ncommitter"), "Eve eve@xcommitter");
    }
}
