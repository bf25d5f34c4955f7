//! The place in a difference that a discussion is about, as clients send it and as it is answered again.
//!
//! Only its shape is looked at: a place may be gone from the branch, and the discussion about it stays.

use serde_json::{Value, json};

use crate::error::FieldErrors;

/// The longest path of a file, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// The longest code of a line, in bytes: a digest and two numbers.
const MAX_LINE_CODE_BYTES: usize = 255;

/// Files have no more lines than this.
const MAX_LINE: i64 = i32::MAX as i64;

/// A line at one end of a range.
#[derive(Clone, Debug, Default)]
pub struct LinePlace {
    /// The code that GitLab's clients compute of it.
    pub line_code: Option<String>,
    /// `new`, `old` or `expanded`; nothing for one that is the same on both sides.
    pub kind: Option<String>,
    /// Its number before.
    pub old_line: Option<i64>,
    /// Its number after.
    pub new_line: Option<i64>,
}

/// A place in a difference.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// What the branches have in common.
    pub base_sha: String,
    /// The last commit of the target branch.
    pub start_sha: String,
    /// The last commit of the source branch.
    pub head_sha: String,
    /// `text` for a line, `file` for a file as a whole.
    pub kind: String,
    /// The file's path before.
    pub old_path: Option<String>,
    /// The file's path after.
    pub new_path: Option<String>,
    /// The line's number before.
    pub old_line: Option<i64>,
    /// The line's number after.
    pub new_line: Option<i64>,
    /// The first and the last line, when it is about several.
    pub line_range: Option<(LinePlace, LinePlace)>,
}

/// Returns whether a text is the id of a commit.
fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_line(line: Option<i64>) -> bool {
    line.is_none_or(|line| (1..=MAX_LINE).contains(&line))
}

impl LinePlace {
    fn is_fine(&self) -> bool {
        let code = self.line_code.as_ref().is_none_or(|code| code.len() <= MAX_LINE_CODE_BYTES);
        let kind = self.kind.as_deref().is_none_or(|kind| matches!(kind, "new" | "old" | "expanded"));
        code && kind && is_line(self.old_line) && is_line(self.new_line)
    }

    fn to_json(&self) -> Value {
        json!({
            "line_code": self.line_code,
            "type": self.kind,
            "old_line": self.old_line,
            "new_line": self.new_line,
        })
    }
}

impl Position {
    /// Notes what is wrong with it, and returns it as JSON.
    pub(crate) fn checked(&self, fields: &mut FieldErrors) -> String {
        if ![&self.base_sha, &self.start_sha, &self.head_sha].into_iter().all(|sha| is_sha(sha)) {
            fields.add("position", "needs base_sha, start_sha and head_sha, each the whole id of a commit");
        }
        // A file that was not renamed has one path, and one of them is enough to say it.
        let old_path = self.old_path.as_ref().or(self.new_path.as_ref());
        let new_path = self.new_path.as_ref().or(self.old_path.as_ref());
        if ![old_path, new_path]
            .into_iter()
            .all(|path| path.is_some_and(|path| (1..=MAX_PATH_BYTES).contains(&path.len())))
        {
            fields.add("position", format!("needs new_path or old_path (maximum is {MAX_PATH_BYTES} bytes)"));
        }
        if !is_line(self.old_line) || !is_line(self.new_line) {
            fields.add("position", "has a line that cannot be");
        }
        match self.kind.as_str() {
            "text" if self.old_line.is_none() && self.new_line.is_none() => {
                fields.add("position", "needs new_line or old_line");
            }
            "text" | "file" => {}
            _ => fields.add("position", "must be of the type text or file"),
        }
        if let Some((start, end)) = &self.line_range
            && !(start.is_fine() && end.is_fine())
        {
            fields.add("position", "has a line_range that cannot be");
        }
        json!({
            "base_sha": self.base_sha,
            "start_sha": self.start_sha,
            "head_sha": self.head_sha,
            "old_path": old_path,
            "new_path": new_path,
            "position_type": self.kind,
            "old_line": self.old_line,
            "new_line": self.new_line,
            "line_range": self.line_range.as_ref().map(|(start, end)| {
                json!({ "start": start.to_json(), "end": end.to_json() })
            }),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Position {
        let sha = "ab".repeat(20);
        Position {
            base_sha: sha.clone(),
            start_sha: "1".repeat(64),
            head_sha: sha,
            kind: "text".to_owned(),
            new_path: Some("a/ü.txt".to_owned()),
            new_line: Some(3),
            ..Position::default()
        }
    }

    fn is_fine(position: &Position) -> bool {
        let mut fields = FieldErrors::default();
        position.checked(&mut fields);
        fields.finish().is_ok()
    }

    #[test]
    fn a_place_is_answered_as_it_was_sent() {
        let mut fields = FieldErrors::default();
        let end = LinePlace { kind: Some("new".to_owned()), new_line: Some(5), ..LinePlace::default() };
        let place = Position { line_range: Some((LinePlace::default(), end)), ..place() };
        let json: Value = serde_json::from_str(&place.checked(&mut fields)).unwrap();
        assert!(fields.finish().is_ok());
        assert_eq!((&json["old_path"], &json["new_path"]), (&json!("a/ü.txt"), &json!("a/ü.txt")));
        assert_eq!((&json["new_line"], &json["old_line"]), (&json!(3), &Value::Null));
        assert_eq!(
            json["line_range"]["end"],
            json!({"line_code": null, "type": "new", "old_line": null, "new_line": 5})
        );
    }

    #[test]
    fn a_place_that_cannot_be_is_refused() {
        assert!(is_fine(&place()));
        assert!(is_fine(&Position { kind: "file".to_owned(), new_line: None, ..place() }));
        let bad_line = LinePlace { old_line: Some(-1), ..LinePlace::default() };
        let bad_code = LinePlace { line_code: Some("x".repeat(256)), ..LinePlace::default() };
        let bad_kind = LinePlace { kind: Some("match".to_owned()), ..LinePlace::default() };
        for wrong in [
            Position { base_sha: String::new(), ..place() },
            Position { head_sha: "main".to_owned(), ..place() },
            Position { start_sha: "g".repeat(40), ..place() },
            Position { new_path: None, ..place() },
            Position { new_path: Some("x".repeat(4097)), ..place() },
            Position { old_path: Some(String::new()), ..place() },
            Position { new_line: None, ..place() },
            Position { new_line: Some(0), ..place() },
            Position { old_line: Some(MAX_LINE + 1), ..place() },
            Position { kind: "image".to_owned(), ..place() },
            Position { line_range: Some((bad_line, LinePlace::default())), ..place() },
            Position { line_range: Some((LinePlace::default(), bad_code)), ..place() },
            Position { line_range: Some((LinePlace::default(), bad_kind)), ..place() },
        ] {
            assert!(!is_fine(&wrong), "{wrong:?}");
        }
    }
}
