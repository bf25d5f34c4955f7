//! What the pages of labels and of milestones have in common: the form to make and change one.

use askama::Template;

use super::Around;
use super::fields::{TextArea, TextField};
use super::projects::Head;

/// How many labels or milestones one page shows.
pub(super) const PER_PAGE: i64 = 50;

/// What is said when somebody else changed the same meanwhile.
pub(super) const CHANGED_MEANWHILE: &str = "Somebody changed it after you had opened this form. What you typed is below; saving it now \
     replaces what they wrote.";

/// The form for a label or a milestone.
#[derive(Template)]
#[template(path = "planning_form.html")]
pub(super) struct PlanningForm {
    pub around: Around,
    pub head: Head,
    pub heading: String,
    pub problem: Option<String>,
    pub action: String,
    pub back: String,
    pub does: &'static str,
    /// The number of a form that makes something.
    pub number: Option<String>,
    /// What a form that changes something began from.
    pub seen: String,
    pub before: Vec<TextField>,
    pub description: TextArea,
    pub behind: Vec<TextField>,
}

/// Returns the field for what one is for.
pub(super) fn description(value: &str, lines: u32, hint: &'static str, error: Option<String>) -> TextArea {
    TextArea {
        name: "description",
        id: "description".to_owned(),
        label: "Description",
        value: value.to_owned(),
        lines,
        hint,
        error,
        required: false,
    }
}
