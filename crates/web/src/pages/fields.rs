//! The fields of forms: each with its label, what helps to fill it in, and what is wrong with what was typed.

use askama::Template;
use portcullis_app::Error;

use super::PageError;
use super::words::sentence;

/// A field for a line of text.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "parts/text_field.html")]
pub struct TextField {
    /// The name it is sent with, and its id.
    pub name: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// The type of the input.
    pub kind: &'static str,
    /// What was typed.
    pub value: String,
    /// What helps to fill it in.
    pub hint: &'static str,
    /// What is wrong with it.
    pub error: Option<String>,
    /// Whether it must not be empty.
    pub required: bool,
    /// What a browser may fill in by itself.
    pub autocomplete: &'static str,
}

impl TextField {
    /// Returns an empty field that must be filled in.
    pub fn new(name: &'static str, label: &'static str) -> TextField {
        TextField { name, label, kind: "text", required: true, autocomplete: "off", ..TextField::default() }
    }

    /// Makes it one that may stay empty.
    #[must_use]
    pub fn optional(self) -> TextField {
        TextField { required: false, ..self }
    }

    /// Gives it a type.
    #[must_use]
    pub fn of_kind(self, kind: &'static str) -> TextField {
        TextField { kind, ..self }
    }

    /// Says what helps to fill it in.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> TextField {
        TextField { hint, ..self }
    }

    /// Says what a browser may fill in by itself.
    #[must_use]
    pub fn completed_by(self, autocomplete: &'static str) -> TextField {
        TextField { autocomplete, ..self }
    }

    /// Fills it in.
    #[must_use]
    pub fn with(self, value: impl Into<String>) -> TextField {
        TextField { value: value.into(), ..self }
    }

    /// Says what is wrong with it.
    #[must_use]
    pub fn wrong(self, error: Option<String>) -> TextField {
        TextField { error, ..self }
    }

    fn described_by(&self) -> Option<String> {
        described_by(self.name, !self.hint.is_empty(), self.error.is_some())
    }
}

/// A field for a text of several lines, in Markdown.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "parts/text_area.html")]
pub struct TextArea {
    /// The name it is sent with.
    pub name: &'static str,
    /// Its id: there may be several on a page.
    pub id: String,
    /// What it is called.
    pub label: &'static str,
    /// What was typed.
    pub value: String,
    /// How many lines it shows.
    pub lines: u32,
    /// What helps to fill it in.
    pub hint: &'static str,
    /// What is wrong with it.
    pub error: Option<String>,
    /// Whether it must not be empty.
    pub required: bool,
}

impl TextArea {
    fn described_by(&self) -> Option<String> {
        described_by(&self.id, !self.hint.is_empty(), self.error.is_some())
    }
}

fn described_by(name: &str, hint: bool, error: bool) -> Option<String> {
    let parts = [(hint, "hint"), (error, "error")];
    let ids: Vec<_> =
        parts.into_iter().filter(|(is, _)| *is).map(|(_, part)| format!("{name}-{part}")).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// One of several, of which one is chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub label: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// A field to choose one of several.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/select_field.html")]
pub struct SelectField {
    /// The name it is sent with, and its id.
    pub name: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// What helps to choose.
    pub hint: &'static str,
    /// What is wrong with the choice.
    pub error: Option<String>,
    /// What there is to choose from.
    pub choices: Vec<Choice>,
}

impl SelectField {
    fn described_by(&self) -> Option<String> {
        described_by(self.name, !self.hint.is_empty(), self.error.is_some())
    }
}

/// One of several, of which any may be ticked.
#[derive(Clone, Debug)]
pub struct Tick {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub label: String,
    /// What it means.
    pub says: String,
    /// Whether it is ticked.
    pub ticked: bool,
}

/// A group of boxes to tick, or of which one is chosen.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/ticks.html")]
pub struct Ticks {
    /// The name they are sent with.
    pub name: &'static str,
    /// The start of their ids.
    pub id: &'static str,
    /// What they are called together.
    pub legend: &'static str,
    /// What helps to choose.
    pub hint: &'static str,
    /// What is wrong with what was ticked.
    pub error: Option<String>,
    /// `checkbox` or `radio`.
    pub kind: &'static str,
    /// The boxes.
    pub ticks: Vec<Tick>,
}

impl Ticks {
    fn described_by(&self) -> Option<String> {
        described_by(self.id, !self.hint.is_empty(), self.error.is_some())
    }
}

/// What is wrong with the fields of a form, as use cases and handlers said it.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<(&'static str, String)>);

impl Problems {
    /// Returns the problems that a use case named.
    pub fn of(fields: Vec<(&'static str, String)>) -> Problems {
        Problems(fields)
    }

    /// Adds one.
    pub fn add(&mut self, field: &'static str, problem: impl Into<String>) {
        self.0.push((field, problem.into()));
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what is wrong with a field, as a sentence that begins with its label.
    pub fn with(&self, field: &str, label: &str) -> Option<String> {
        let problems: Vec<_> =
            self.0.iter().filter(|(found, _)| *found == field).map(|(_, problem)| problem.as_str()).collect();
        (!problems.is_empty()).then(|| format!("{label} {}.", problems.join(", ").trim_end_matches('.')))
    }
}

/// What is wrong with a form, as a whole and with its fields.
#[derive(Default)]
pub struct Wrong {
    /// What is wrong with the whole of it, as a sentence.
    pub problem: Option<String>,
    /// What is wrong with its fields.
    pub problems: Problems,
}

impl Wrong {
    /// Returns what a use case refused, or passes on an error that is not about what was typed.
    ///
    /// # Errors
    /// Every other error.
    pub fn of(error: Error) -> Result<Wrong, PageError> {
        match error {
            Error::Invalid(fields) => Ok(Wrong { problem: None, problems: Problems::of(fields) }),
            Error::BadRequest(text)
            | Error::Unprocessable(text)
            | Error::Inapplicable(text)
            | Error::Conflict(text) => Ok(Wrong { problem: Some(sentence(text)), ..Wrong::default() }),
            other => Err(other.into()),
        }
    }

    /// Returns that one field is wrong.
    pub fn with(field: &'static str, problem: impl Into<String>) -> Wrong {
        let mut wrong = Wrong::default();
        wrong.problems.add(field, problem);
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_text_whatever_it_is() {
        let field =
            TextField::new("name", "Name").with("\"><script>alert(1)</script>").wrong(Some("<b>".to_owned()));
        let text = field.render().unwrap();
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        assert!(text.contains("aria-describedby=\"name-error\"") && text.contains("aria-invalid=\"true\""));
    }
}
