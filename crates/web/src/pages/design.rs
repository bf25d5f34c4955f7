//! Every part that pages are made of, on one page: what a change of the style sheet is looked at with.

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::fields::{Choice, SelectField, TextField, Ticks};
use super::sign_in::Visitor;
use super::words::{self, Moment, Whose};
use super::{Around, PageResult, Pages, html};
use crate::AppState;
use crate::error::Refusal;
use crate::guard::{Access, Guard};
use portcullis_rules::access::ScopeSet;

/// A page about pages.
#[derive(Debug)]
pub struct AboutPages(Visitor);

impl Guard for AboutPages {
    const ACCESS: Access =
        Access::Public("it shows what pages are made of, and nothing that is in the forge");
}

impl FromRequestParts<AppState> for AboutPages {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<AboutPages, Refusal> {
        Visitor::from_request_parts(parts, state).await.map(AboutPages)
    }
}

#[derive(Template)]
#[template(path = "design.html")]
struct DesignPage {
    around: Around,
    text: TextField,
    wrong: TextField,
    date: TextField,
    select: SelectField,
    ticks: Ticks,
    moment: Moment,
    pages: Option<Pages>,
}

/// Answers the page.
pub async fn show(access: AboutPages, State(state): State<AppState>, around: Around) -> PageResult {
    let page = DesignPage {
        around: around.of(&state, &access.0.0).await?,
        text: TextField::new("text", "A line of text").hint("What helps to fill it in."),
        wrong: TextField::new("wrong", "Another line")
            .with("what was typed")
            .wrong(Some("It can't be that.".to_owned())),
        date: TextField::new("date", "A date").of_kind("date").optional(),
        select: SelectField {
            name: "choice",
            label: "One of several",
            hint: "",
            error: None,
            choices: ["First", "Second"]
                .into_iter()
                .map(|label| Choice {
                    value: label.to_lowercase(),
                    label: label.to_owned(),
                    chosen: label == "Second",
                })
                .collect(),
        },
        ticks: Ticks {
            name: "ticks",
            id: "ticks",
            legend: "Any of several",
            hint: "",
            error: None,
            kind: "checkbox",
            ticks: words::scopes(
                ScopeSet::READ_REPOSITORY | ScopeSet::READ_REGISTRY,
                &["read_repository".to_owned()],
                Whose::Project,
            ),
        },
        moment: Moment::at(state.forge.now()),
        pages: Pages::of(2, 1, 3, |page| format!("/-/design?page={page}")),
    };
    Ok(html(StatusCode::OK, &page))
}
