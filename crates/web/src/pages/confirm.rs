//! A question before something is done that cannot be taken back.

use askama::Template;

use super::Around;
use super::fields::TextField;

/// The question, with one button that does it and one that leads back.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub around: Around,
    /// The question; it names what it is about.
    pub heading: String,
    /// What goes, and what stops working.
    pub text: String,
    /// Where the form is sent.
    pub action: String,
    /// What the button does.
    pub does: &'static str,
    /// Whether something is lost by it.
    pub is_bad: bool,
    pub back: String,
    /// What is asked for besides.
    pub date: Option<TextField>,
}
