//! Questions about history that git answers by walking it: one process for each, but for the newest commits.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::question::{Question, RepositoryPath};
use crate::walk::MAX_WALKED;
use crate::{Commit, Engine, Error, ObjectId, RefName};

/// How long a walk through history may take.
pub(crate) const WALK_LIMIT: Duration = Duration::from_secs(30);

/// The longest text that is looked for in the names of authors, in bytes.
const MAX_AUTHOR_BYTES: usize = 1024;

/// How much may be said about one id in a list of ids or of short lines, in bytes.
const LINE_BYTES: usize = 256;

/// The most that is read of a list of refs, in bytes.
const MAX_REFS_BYTES: usize = 16 * 1024 * 1024;

/// How many commits are counted for a list of those who contributed.
const MAX_COUNTED_COMMITS: u32 = 20_000;

/// How much of a list of those who contributed is read, in bytes.
const MAX_CONTRIBUTIONS_BYTES: usize = 8 * 1024 * 1024;

/// Which commits a list begins from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// A commit as a client calls it, or a range `a..b` or `a...b` of such names.
    Revision(String),
    /// Every branch and tag.
    All,
}

/// Which commits are asked for.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Where to begin.
    pub start: LogStart,
    /// Only those that changed this path.
    pub path: Option<RepositoryPath>,
    /// Only those committed at this time or later, in Unix microseconds UTC.
    pub since: Option<i64>,
    /// Only those committed at this time or before, in Unix microseconds UTC.
    pub until: Option<i64>,
    /// Only those whose author's name or address contains this text, whatever the case.
    pub author: Option<String>,
    /// Only those whose message contains this text, whatever the case.
    pub message: Option<String>,
    /// Only the first parent of each merge is followed.
    pub first_parent: bool,
    /// No commit before all of its children.
    pub topological: bool,
    /// How many are skipped.
    pub skip: u64,
    /// How many are wanted at most.
    pub limit: u32,
}

impl LogQuery {
    /// Returns the query for the newest commits from `start`, at most `limit`.
    pub fn from(start: LogStart, limit: u32) -> LogQuery {
        LogQuery {
            start,
            path: None,
            since: None,
            until: None,
            author: None,
            message: None,
            first_parent: false,
            topological: false,
            skip: 0,
            limit,
        }
    }
}

impl LogQuery {
    /// Returns where to begin when nothing but the newest commits from one name is asked for, and not too many.
    fn plain_start(&self) -> Option<&str> {
        let unfiltered = self.path.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && self.author.is_none()
            && self.message.is_none()
            && !self.topological;
        match &self.start {
            // No name of a ref has two dots in a row.
            LogStart::Revision(name) if !name.contains("..") && unfiltered => {
                (self.skip + u64::from(self.limit) <= MAX_WALKED).then_some(name)
            }
            _ => None,
        }
    }
}

/// How many lines a commit added and took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines added.
    pub additions: u64,
    /// Lines taken away.
    pub deletions: u64,
}

/// Somebody whose commits are in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// The name in the newest of these commits.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// How many commits.
    pub commits: u64,
}

/// Where a walk begins and what it leaves out, in ids.
struct Ends {
    from: Vec<ObjectId>,
    not: Vec<ObjectId>,
}

impl Engine {
    /// Returns the commits that a query is about, newest first; nothing when it begins from what is not there.
    pub async fn log(&self, id: i64, query: LogQuery) -> Result<Option<Vec<Commit>>, Error> {
        if let Some(start) = query.plain_start() {
            let (start, first_parent) = (start.to_owned(), query.first_parent);
            let (skip, limit) = (query.skip, query.limit);
            return self
                .read(id, move |objects| match objects.resolve(&start)? {
                    Some(start) => objects.newest(&start.id, first_parent, skip, limit).map(Some),
                    None => Ok(None),
                })
                .await;
        }
        let ends = match &query.start {
            LogStart::All => None,
            LogStart::Revision(revision) => match self.ends(id, revision).await? {
                Some(ends) => Some(ends),
                None => return Ok(None),
            },
        };
        if query.author.as_deref().is_some_and(|text| !is_one_line(text)) {
            return Err(Error::BadRequest(format!(
                "author must be one line of at most {MAX_AUTHOR_BYTES} bytes"
            )));
        }
        if query.message.as_deref().is_some_and(|text| !is_one_line(text)) {
            return Err(Error::BadRequest(format!(
                "search must be one line of at most {MAX_AUTHOR_BYTES} bytes"
            )));
        }
        let seconds = |micros: i64| micros.div_euclid(1_000_000).max(0);
        let mut question = Question::new("rev-list", &["--fixed-strings", "--regexp-ignore-case"])
            .option("--max-count", query.limit)
            .option("--skip", query.skip)
            .option_if("--max-age", query.since.map(seconds))
            .option_if("--min-age", query.until.map(seconds))
            .option_if("--author", query.author)
            .option_if("--grep", query.message)
            .flag("--first-parent", query.first_parent)
            .flag("--topo-order", query.topological)
            .path(query.path);
        question = match ends {
            None => question.flag("--branches", true).flag("--tags", true),
            Some(ends) => {
                let question = ends.from.iter().fold(question, Question::object);
                ends.not.iter().fold(question, Question::not)
            }
        };
        let most = LINE_BYTES * (query.limit as usize + 1);
        let said = self.ask(id, question, most, WALK_LIMIT).await?.expect_success("listing commits")?;
        let ids = ids_in(&said);
        self.commits(id, ids).await.map(Some)
    }

    /// Resolves a revision or a range.
    async fn ends(&self, id: i64, revision: &str) -> Result<Option<Ends>, Error> {
        let find =
            async |name: &str| Ok::<_, Error>(self.find_commit(id, name).await?.map(|commit| commit.id));
        // No name of a ref has two dots in a row.
        if let Some((left, right)) = revision.split_once("...") {
            let (Some(left), Some(right)) = (find(left).await?, find(right).await?) else { return Ok(None) };
            let not = self.merge_bases(id, &[left.clone(), right.clone()], true).await?;
            return Ok(Some(Ends { from: vec![left, right], not }));
        }
        if let Some((left, right)) = revision.split_once("..") {
            let (Some(left), Some(right)) = (find(left).await?, find(right).await?) else { return Ok(None) };
            return Ok(Some(Ends { from: vec![right], not: vec![left] }));
        }
        Ok(find(revision).await?.map(|from| Ends { from: vec![from], not: Vec::new() }))
    }

    /// Returns the commits reachable from `to` and not from `from`, newest first, at most `limit`.
    pub async fn commits_between(
        &self,
        id: i64,
        from: &ObjectId,
        to: &ObjectId,
        limit: u32,
    ) -> Result<Vec<Commit>, Error> {
        let question = Question::new("rev-list", &[]).option("--max-count", limit).object(to).not(from);
        let most = LINE_BYTES * (limit as usize + 1);
        let said = self.ask(id, question, most, WALK_LIMIT).await?.expect_success("listing commits")?;
        self.commits(id, ids_in(&said)).await
    }

    /// Returns the commits reachable from `to` and not from `from` in the order in which they can be made once more,
    /// merges left out; of many the newest `limit`.
    pub async fn commits_to_replay(
        &self,
        id: i64,
        from: &ObjectId,
        to: &ObjectId,
        limit: u32,
    ) -> Result<Vec<Commit>, Error> {
        let question = Question::new("rev-list", &["--reverse", "--topo-order", "--no-merges"])
            .option("--max-count", limit)
            .object(to)
            .not(from);
        let most = LINE_BYTES * (limit as usize + 1);
        let said = self.ask(id, question, most, WALK_LIMIT).await?.expect_success("listing commits")?;
        self.commits(id, ids_in(&said)).await
    }

    /// Returns the newest commit, from `commit` on, that changed `path`.
    pub async fn last_commit_of(
        &self,
        id: i64,
        commit: &ObjectId,
        path: RepositoryPath,
    ) -> Result<Option<ObjectId>, Error> {
        if let Some(known) = self.last_commits().get(id, commit, &path) {
            return Ok(known);
        }
        let question = Question::new("rev-list", &["--max-count=1"]).object(commit).path(Some(path.clone()));
        let said = self.ask(id, question, LINE_BYTES, WALK_LIMIT).await?;
        let found = ids_in(&said.expect_success("looking for the last commit of a path")?).pop();
        self.last_commits().remember(id, commit, &path, found.clone());
        Ok(found)
    }

    /// Returns the best common ancestors of some commits: all of two, or the best one.
    pub async fn merge_bases(
        &self,
        id: i64,
        commits: &[ObjectId],
        all: bool,
    ) -> Result<Vec<ObjectId>, Error> {
        let question = Question::new("merge-base", &[]).flag("--all", all);
        let question = commits.iter().fold(question, Question::object);
        let finished = self.ask(id, question, MAX_REFS_BYTES, WALK_LIMIT).await?;
        // That there is none is said by the status alone.
        if finished.status.code() == Some(1) {
            return Ok(Vec::new());
        }
        Ok(ids_in(&finished.expect_success("looking for a merge base")?))
    }

    /// Counts the commits reachable from `commit`.
    pub async fn count_history(&self, id: i64, commit: &ObjectId, first_parent: bool) -> Result<u64, Error> {
        let question =
            Question::new("rev-list", &["--count"]).flag("--first-parent", first_parent).object(commit);
        let said =
            self.ask(id, question, LINE_BYTES, WALK_LIMIT).await?.expect_success("counting commits")?;
        let count = str::from_utf8(&said).ok().and_then(|text| text.trim().parse().ok());
        count.ok_or_else(|| Error::internal("git counted commits and said no number"))
    }

    /// Returns those of `branches` whose commits are all reachable from `into`.
    pub async fn merged_branches(
        &self,
        id: i64,
        into: &ObjectId,
        branches: &[RefName],
    ) -> Result<HashSet<RefName>, Error> {
        if branches.is_empty() {
            return Ok(HashSet::new());
        }
        let question =
            Question::new("for-each-ref", &["--format=%(refname)"]).option("--merged", into).refs(branches);
        let said = self.ask(id, question, MAX_REFS_BYTES, WALK_LIMIT).await?;
        Ok(refs_in(&said.expect_success("looking for merged branches")?).collect())
    }

    /// Returns the branches and tags from which `commit` is reachable, by name.
    pub async fn refs_containing(&self, id: i64, commit: &ObjectId) -> Result<Vec<RefName>, Error> {
        let question = Question::new("for-each-ref", &["--format=%(refname)"])
            .option("--contains", commit)
            .flag("refs/heads/", true)
            .flag("refs/tags/", true);
        let said = self.ask(id, question, MAX_REFS_BYTES, WALK_LIMIT).await?;
        Ok(refs_in(&said.expect_success("looking for the refs of a commit")?).collect())
    }

    /// Returns those of `candidates` from which `commit` is reachable, without itself. What is not there any more is in none.
    pub async fn descendants_among(
        &self,
        id: i64,
        commit: &ObjectId,
        candidates: &[ObjectId],
    ) -> Result<HashSet<ObjectId>, Error> {
        if candidates.is_empty() {
            return Ok(HashSet::new());
        }
        // Everything on the ways from the commit to the candidates, and so every candidate that has a way.
        let mut input = format!("^{commit}\n");
        input.extend(candidates.iter().map(|candidate| format!("{candidate}\n")));
        let options = ["--ignore-missing", "--ancestry-path", "--stdin"];
        let question = Question::new("rev-list", &options).input(input.into_bytes());
        let said = self.ask(id, question, MAX_REFS_BYTES, WALK_LIMIT).await?;
        let found: HashSet<_> =
            ids_in(&said.expect_success("looking for descendants")?).into_iter().collect();
        Ok(candidates.iter().filter(|candidate| found.contains(*candidate)).cloned().collect())
    }

    /// Returns how many lines each of these commits changed against its first parent.
    pub async fn line_counts(
        &self,
        id: i64,
        commits: &[ObjectId],
    ) -> Result<HashMap<ObjectId, LineCounts>, Error> {
        if commits.is_empty() {
            return Ok(HashMap::new());
        }
        let options =
            ["--no-walk=unsorted", "--stdin", "--format=%H", "--shortstat", "--diff-merges=first-parent"];
        let input: String = commits.iter().map(|id| format!("{id}\n")).collect();
        let question = Question::new("log", &options).input(input.into_bytes());
        let most = 2 * LINE_BYTES * (commits.len() + 1);
        let said = self.ask(id, question, most, WALK_LIMIT).await?.expect_success("counting lines")?;
        Ok(line_counts_in(&String::from_utf8_lossy(&said)))
    }

    /// Returns who contributed to the history of a commit, merges left out. Of a long history the newest commits count.
    pub async fn contributors(&self, id: i64, commit: &ObjectId) -> Result<Vec<Contributor>, Error> {
        let question = Question::new("log", &["--no-merges", "-z", "--format=%aE%n%aN"])
            .option("--max-count", MAX_COUNTED_COMMITS)
            .object(commit);
        let said = self.ask(id, question, MAX_CONTRIBUTIONS_BYTES, WALK_LIMIT).await?;
        let said = said.expect_success("listing contributors")?;
        let mut found: Vec<Contributor> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for entry in String::from_utf8_lossy(&said).split('\0') {
            let Some((email, name)) = entry.split_once('\n') else { continue };
            let place = *places.entry(email.to_lowercase()).or_insert_with(|| {
                found.push(Contributor { name: name.to_owned(), email: email.to_owned(), commits: 0 });
                found.len() - 1
            });
            found[place].commits += 1;
        }
        Ok(found)
    }
}

/// Says whether a text may be looked for: git takes each line of several for a text of its own.
fn is_one_line(text: &str) -> bool {
    text.len() <= MAX_AUTHOR_BYTES && !text.contains(['\n', '\r', '\0'])
}

fn ids_in(said: &[u8]) -> Vec<ObjectId> {
    String::from_utf8_lossy(said).lines().filter_map(ObjectId::parse).collect()
}

fn refs_in(said: &[u8]) -> impl Iterator<Item = RefName> {
    let names: Vec<RefName> =
        String::from_utf8_lossy(said).lines().filter_map(|line| RefName::parse(line).ok()).collect();
    names.into_iter()
}

/// Reads ids, each with a line such as ` 2 files changed, 3 insertions(+), 1 deletion(-)` below it or nothing.
fn line_counts_in(said: &str) -> HashMap<ObjectId, LineCounts> {
    let mut counts = HashMap::new();
    let mut current = None;
    for line in said.lines() {
        if let Some(id) = ObjectId::parse(line) {
            counts.insert(id.clone(), LineCounts::default());
            current = Some(id);
        } else if let Some(found) = current.as_ref().and_then(|id| counts.get_mut(id)) {
            for part in line.split(',') {
                let number = part.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
                if part.contains("insertion") {
                    found.additions = number;
                } else if part.contains("deletion") {
                    found.deletions = number;
                }
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_lines_belong_to_the_commit_above() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let said = format!("{a}\n\n 2 files changed, 3 insertions(+), 1 deletion(-)\n{b}\n");
        let counts = line_counts_in(&said);
        assert_eq!(counts[&ObjectId::parse(&a).unwrap()], LineCounts { additions: 3, deletions: 1 });
        assert_eq!(counts[&ObjectId::parse(&b).unwrap()], LineCounts::default());
    }
}
