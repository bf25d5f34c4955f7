//! Looking for a text in the files of a commit.

use std::time::Duration;

use crate::question::{Question, RepositoryPath};
use crate::{Engine, Error, ObjectId};

/// The longest text that is looked for, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// The most that git says, in bytes: a few lines of each file.
const MAX_SAID_BYTES: usize = 8 * 1024 * 1024;

/// How long git may look.
const LIMIT: Duration = Duration::from_secs(20);

/// How many lines are shown before and after the one that holds the text.
const CONTEXT: u32 = 2;

/// The longest line that is shown, in characters.
const MAX_LINE_CHARACTERS: usize = 1000;

/// A place in a file where a text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The file.
    pub path: String,
    /// The number of the first line that is shown, from 1.
    pub start_line: u64,
    /// The lines, each with its end.
    pub text: String,
}

impl Engine {
    /// Returns where a text first stands in each file of a commit, by path, with the lines around it. Letters of both cases
    /// are the same. Binary files are passed over.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the text is empty, too long or more than one line, or when too much holds it;
    /// [`Error::Overloaded`] when looking takes too long.
    pub async fn grep(
        &self,
        id: i64,
        commit: &ObjectId,
        text: &str,
        path: Option<RepositoryPath>,
    ) -> Result<Vec<Passage>, Error> {
        if text.trim().is_empty() || text.len() > MAX_TEXT_BYTES || text.contains(['\n', '\r', '\0']) {
            return Err(Error::BadRequest(format!(
                "search must be one line of at most {MAX_TEXT_BYTES} bytes"
            )));
        }
        let options = [
            "--line-number",
            "--null",
            "-I",
            "--ignore-case",
            "--fixed-strings",
            "--max-count=1",
            "--threads=1",
        ];
        let question = Question::new("grep", &options)
            .option("--context", CONTEXT)
            .option_short("-e", Some(text))
            .object(commit)
            .path(path);
        let finished = self.ask(id, question, MAX_SAID_BYTES, LIMIT).await?;
        // That nothing was found is said by the status alone.
        if finished.status.code() == Some(1) && finished.output.is_empty() {
            return Ok(Vec::new());
        }
        let said = finished.expect_success("looking for a text")?;
        Ok(passages(&said, commit.as_str()))
    }
}

/// Reads what git said: lines `commit:path NUL number NUL text`, and `--` between passages.
fn passages(said: &[u8], commit: &str) -> Vec<Passage> {
    let said = String::from_utf8_lossy(said);
    let mut found: Vec<Passage> = Vec::new();
    let mut apart = true;
    for line in said.split('\n') {
        let parsed = line
            .strip_prefix(commit)
            .and_then(|rest| rest.strip_prefix(':'))
            .and_then(|rest| rest.split_once('\0'))
            .and_then(|(path, rest)| Some((path, rest.split_once('\0')?)))
            .and_then(|(path, (number, text))| Some((path, number.parse().ok()?, text)));
        let Some((path, number, text)) = parsed else {
            apart = true;
            continue;
        };
        if apart || found.last().is_none_or(|passage| passage.path != path) {
            found.push(Passage { path: path.to_owned(), start_line: number, text: String::new() });
        }
        apart = false;
        if let Some(passage) = found.last_mut() {
            passage.text.extend(text.trim_end_matches('\r').chars().take(MAX_LINE_CHARACTERS));
            passage.text.push('\n');
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_told_apart() {
        let said = b"c:a b\x001\x00one\nc:a b\x002\x00two\n--\nc:a b\x007\x00seven: 8\nc:d/e\x003\x00x\r\n";
        let passage = |path: &str, start_line, text: &str| Passage {
            path: path.to_owned(),
            start_line,
            text: text.to_owned(),
        };
        let expected =
            [passage("a b", 1, "one\ntwo\n"), passage("a b", 7, "seven: 8\n"), passage("d/e", 3, "x\n")];
        assert_eq!(passages(said, "c"), expected);
        assert_eq!(passages(b"", "c"), []);
    }
}
