//! A question to git about what a repository holds.
//!
//! What a client wrote reaches git in one of three shapes only: as an id that was resolved before, as a path behind `--`
//! that is taken literally, and inside an option that we begin ourselves. Nothing of it is ever an option, a pattern or
//! an expression that git interprets.

use std::path::Path;

use crate::command::{Call, Git};
use crate::{Error, ObjectId, RefName};

/// The longest path that is looked for, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// A path inside a repository: parts with `/` between them, none of them empty, `.` or `..`. The root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPath(Box<str>);

impl RepositoryPath {
    /// Returns the path written as `text`; slashes around it do not count. Nothing when no file can be called that.
    pub fn parse(text: &str) -> Option<RepositoryPath> {
        let path = text.trim_matches('/');
        let odd = |part: &str| matches!(part, "" | "." | "..");
        let named = path.is_empty() || !path.split('/').any(odd);
        (named && path.len() <= MAX_PATH_BYTES && !path.contains('\0')).then(|| RepositoryPath(path.into()))
    }

    /// Returns the path of the root.
    pub fn root() -> RepositoryPath {
        RepositoryPath("".into())
    }

    /// Says whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// A question to git.
pub(crate) struct Question {
    subcommand: &'static str,
    arguments: Vec<String>,
    path: Option<RepositoryPath>,
    pub(crate) input: Option<Vec<u8>>,
}

impl Question {
    /// Begins a question with options that are known to this program.
    pub(crate) fn new(subcommand: &'static str, options: &[&str]) -> Question {
        let arguments = options.iter().map(|&option| option.to_owned()).collect();
        Question { subcommand, arguments, path: None, input: None }
    }

    /// Adds an option with a value, as one word.
    pub(crate) fn option(mut self, name: &'static str, value: impl std::fmt::Display) -> Question {
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// Adds an option with a value, if there is one.
    pub(crate) fn option_if(self, name: &'static str, value: Option<impl std::fmt::Display>) -> Question {
        match value {
            Some(value) => self.option(name, value),
            None => self,
        }
    }

    /// Adds an option of one letter with a value, as one word, if there is one.
    pub(crate) fn option_short(
        mut self,
        name: &'static str,
        value: Option<impl std::fmt::Display>,
    ) -> Question {
        self.arguments.extend(value.map(|value| format!("{name}{value}")));
        self
    }

    /// Adds an option if it is wanted.
    pub(crate) fn flag(mut self, name: &'static str, wanted: bool) -> Question {
        if wanted {
            self.arguments.push(name.to_owned());
        }
        self
    }

    /// Adds an object.
    pub(crate) fn object(mut self, id: &ObjectId) -> Question {
        self.arguments.push(id.to_string());
        self
    }

    /// Adds what is not to be reached.
    pub(crate) fn not(mut self, id: &ObjectId) -> Question {
        self.arguments.push(format!("^{id}"));
        self
    }

    /// Keeps to these refs.
    pub(crate) fn refs(mut self, names: &[RefName]) -> Question {
        self.arguments.extend(names.iter().map(|name| name.as_str().to_owned()));
        self
    }

    /// Keeps to a path.
    pub(crate) fn path(mut self, path: Option<RepositoryPath>) -> Question {
        self.path = path.filter(|path| !path.is_root());
        self
    }

    /// Gives git something to read.
    pub(crate) fn input(mut self, input: Vec<u8>) -> Question {
        self.input = Some(input);
        self
    }

    pub(crate) fn call(&self, git: &Git, repository: &Path) -> Call {
        let mut call = git.inside(self.subcommand, repository);
        call.env("GIT_LITERAL_PATHSPECS", "1");
        let call = call.args(&self.arguments);
        match &self.path {
            Some(path) => call.args(["--", path.as_str()]),
            None => call,
        }
    }
}

impl RepositoryPath {
    /// Returns the path that a request must name.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when no file can be called that.
    pub fn required(text: &str) -> Result<RepositoryPath, Error> {
        RepositoryPath::parse(text)
            .ok_or_else(|| Error::BadRequest("path is not a path inside a repository".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for text in ["a/../b", "..", "a//b", "./a", "a\0b", &"x".repeat(5000)] {
            assert_eq!(RepositoryPath::parse(text), None, "{text:?}");
        }
        for (text, path, name) in [
            ("", "", ""),
            ("/", "", ""),
            ("a/b/", "a/b", "b"),
            ("-x", "-x", "-x"),
            (":(top)a", ":(top)a", ":(top)a"),
        ] {
            let parsed = RepositoryPath::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.name()), (path, name));
        }
    }
}
