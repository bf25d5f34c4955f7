//! The form for a new token, of oneself, a project or a group: what was typed, and what is wrong with it.

use askama::Template;
use jiff::civil::Date;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Role, ScopeSet};
use portcullis_rules::token::parse_date;

use crate::AppState;
use crate::pages::PageError;
use crate::pages::fields::{Problems, SelectField, TextField, Ticks, Wrong};
use crate::pages::form::Form;
use crate::pages::words::{self, Whose};

/// The form for a new token.
#[derive(Template)]
#[template(path = "parts/token_form.html")]
pub(in crate::pages) struct TokenForm {
    action: String,
    number: String,
    button: String,
    problem: Option<String>,
    name: TextField,
    description: TextField,
    expires_at: TextField,
    role: Option<SelectField>,
    scopes: Ticks,
    /// Whether it was sent and came back.
    open: bool,
}

/// What was typed into the form.
#[derive(Default)]
pub(in crate::pages) struct Typed {
    pub name: String,
    pub description: String,
    pub expires_at: String,
    pub role: Option<i64>,
    pub scopes: Vec<String>,
}

impl Typed {
    pub(in crate::pages) fn of(form: &Form) -> Typed {
        Typed {
            name: form.text("name").to_owned(),
            description: form.text("description").to_owned(),
            expires_at: form.text("expires_at").trim().to_owned(),
            role: form.text("access_level").parse().ok(),
            scopes: form.all("scopes[]").map(str::to_owned).collect(),
        }
    }

    /// Reads the date, which may be left out.
    pub(in crate::pages) fn date(&self, problems: &mut Problems) -> Option<Date> {
        if self.expires_at.is_empty() {
            return None;
        }
        let date = parse_date(&self.expires_at);
        if date.is_none() {
            problems.add("expires_at", "is not a date such as 2030-01-31");
        }
        date
    }

    /// Reads the scopes; each must be one of `allowed`.
    pub(in crate::pages) fn scopes(&self, allowed: ScopeSet, problems: &mut Problems) -> ScopeSet {
        ScopeSet::parse(self.scopes.iter().map(String::as_str), allowed).unwrap_or_else(|_| {
            problems.add("scopes", "hold one that such a token cannot have");
            ScopeSet::empty()
        })
    }
}

/// Returns what a use case refused, or passes on an error that is not about what was typed.
pub(in crate::pages) fn refused(error: Error) -> Result<Wrong, PageError> {
    // Only the date's refusals begin like that; they name the field.
    let about_date = match &error {
        Error::BadRequest(text) => text.strip_prefix("Expires at ").or(text.strip_prefix("expires_at ")),
        _ => None,
    };
    match about_date {
        Some(problem) => Ok(Wrong::with("expires_at", problem)),
        None => Wrong::of(error),
    }
}

/// Which kind of token a form makes.
pub(in crate::pages) struct FormKind {
    pub whose: Whose,
    pub action: String,
    pub offered: ScopeSet,
    /// The highest role there is to choose, of the token of a bot.
    pub highest: Option<Role>,
}

impl TokenForm {
    pub(in crate::pages) fn new(
        state: &AppState,
        kind: FormKind,
        typed: Option<&Typed>,
        wrong: Wrong,
    ) -> TokenForm {
        let nothing = Typed::default();
        let open = typed.is_some();
        let typed = typed.unwrap_or(&nothing);
        let settings = state.forge.settings();
        let requires_date = settings.require_token_expiry || settings.max_token_lifetime_days.is_some();
        let problems = &wrong.problems;
        let chosen =
            typed.role.and_then(Role::from_level).or(kind.highest.map(|role| role.min(Role::Maintainer)));
        let expires_at = TextField::new("expires_at", "Expiration date")
            .of_kind("date")
            .hint(if requires_date {
                "The token is dead from the first minute of this date, at 00:00 UTC."
            } else {
                "The token is dead from the first minute of this date, at 00:00 UTC. Without one it never expires."
            })
            .with(&*typed.expires_at)
            .wrong(problems.with("expires_at", "The date"));
        TokenForm {
            open,
            action: kind.action,
            number: sessions::form_number(&state.forge),
            button: format!("Create {} access token", kind.whose.name()),
            problem: wrong.problem,
            name: TextField::new("name", "Token name")
                .hint(match kind.whose {
                    Whose::Person => "Say what uses it, such as “release robot”.",
                    Whose::Project => "Say what uses it, such as “release robot”. Everybody who sees the project can read the name, so no secrets.",
                    Whose::Group => "Say what uses it, such as “release robot”. Everybody who sees the group can read the name, so no secrets.",
                })
                .with(&*typed.name)
                .wrong(problems.with("name", "The name")),
            description: TextField::new("description", "Description")
                .optional()
                .with(&*typed.description)
                .wrong(problems.with("description", "The description")),
            expires_at: if requires_date { expires_at } else { expires_at.optional() },
            role: kind.highest.map(|highest| SelectField {
                name: "access_level",
                label: "Role",
                hint: match kind.whose {
                    Whose::Group => "What the token's bot may do in this group and in everything below it. Never more than you.",
                    _ => "What the token's bot may do in this project. Never more than you.",
                },
                error: problems.with("access_level", "The role"),
                choices: words::roles(Some(highest), chosen.unwrap_or(Role::Guest)),
            }),
            scopes: Ticks {
                name: "scopes[]",
                id: "scopes",
                legend: "Scopes",
                hint: "What the token can be used for. Choose as little as will do.",
                error: problems.with("scopes", "The scopes"),
                kind: "checkbox",
                ticks: words::scopes(kind.offered, &typed.scopes, kind.whose),
            },
        }
    }
}
