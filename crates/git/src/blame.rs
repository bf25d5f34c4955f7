//! Who wrote which line of a file.

use std::collections::HashMap;

use crate::log::WALK_LIMIT;
use crate::question::Question;
use crate::{Commit, Engine, Error, ObjectId, RepositoryPath};

/// The most that is read of the answer, in bytes.
const MAX_BLAME_BYTES: usize = 16 * 1024 * 1024;

/// Lines that one commit wrote, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlamedLines {
    /// The commit.
    pub commit: Commit,
    /// The lines without their ends; what is not UTF-8 is replaced.
    pub lines: Vec<String>,
}

impl Engine {
    /// Returns the lines of a file at a commit, with the commits that wrote them. `range` counts lines from 1, both ends
    /// included; one that the file does not have is [`Error::BadRequest`].
    pub async fn blame(
        &self,
        id: i64,
        commit: &ObjectId,
        path: RepositoryPath,
        range: Option<(u32, u32)>,
    ) -> Result<Vec<BlamedLines>, Error> {
        let range = range.map(|(first, last)| format!("{first},{last}"));
        let question = Question::new("blame", &["--porcelain"])
            .option_short("-L", range)
            .object(commit)
            .path(Some(path));
        let finished = self.ask(id, question, MAX_BLAME_BYTES, WALK_LIMIT).await?;
        if !finished.status.success() && finished.errors.contains("has only") {
            return Err(Error::BadRequest("range is beyond the end of the file".to_owned()));
        }
        let said = finished.expect_success("looking for who wrote a file")?;
        let groups = groups(&said);
        let mut ids: Vec<ObjectId> = groups.iter().map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids.dedup();
        let commits = self.commits(id, ids).await?;
        let commits: HashMap<_, _> = commits.into_iter().map(|commit| (commit.id.clone(), commit)).collect();
        let found = groups.into_iter();
        Ok(found
            .filter_map(|(id, lines)| Some(BlamedLines { commit: commits.get(&id)?.clone(), lines }))
            .collect())
    }
}

/// Reads the porcelain: a line that begins with an id, lines about its commit, and the line of the file behind a tab.
fn groups(said: &[u8]) -> Vec<(ObjectId, Vec<String>)> {
    let mut groups: Vec<(ObjectId, Vec<String>)> = Vec::new();
    let mut current = None;
    for line in said.split(|byte| *byte == b'\n') {
        if let Some(text) = line.strip_prefix(b"\t") {
            let Some(id) = current.take() else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            match groups.last_mut() {
                Some((last, lines)) if *last == id => lines.push(text),
                _ => groups.push((id, vec![text])),
            }
        } else if current.is_none() {
            let first = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            current = str::from_utf8(first).ok().and_then(ObjectId::parse);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_commit_stand_together() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let said = format!(
            "{a} 1 1 2\nauthor X\nsummary {b}\nfilename f\n\tone\n{a} 2 2\n\t{b} two\n{b} 1 3 1\nauthor Y\n\tthree\n{a} 4 4 1\n\t\n"
        );
        let found = groups(said.as_bytes());
        let id = |text: &str| ObjectId::parse(text).unwrap();
        assert_eq!(
            found,
            [
                (id(&a), vec!["one".to_owned(), format!("{b} two")]),
                (id(&b), vec!["three".to_owned()]),
                (id(&a), vec![String::new()]),
            ]
        );
    }
}
