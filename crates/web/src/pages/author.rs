//! Who did something, as they are named wherever that is told.

use askama::Template;
use portcullis_app::records::users::{User, UserKind};

/// Somebody who wrote or did something.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/author.html")]
pub(super) struct Author {
    pub name: String,
    pub username: String,
    pub initial: String,
    pub bot: bool,
}

impl Author {
    pub(super) fn of(user: &User) -> Author {
        Author {
            name: user.name.clone(),
            username: user.username.clone(),
            initial: user.name.chars().next().unwrap_or('?').to_uppercase().collect(),
            bot: user.kind == UserKind::ProjectBot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_a_bot_is_marked() {
        let author = Author {
            name: "<b>robot</b>".to_owned(),
            username: "robot".to_owned(),
            initial: "R".to_owned(),
            bot: true,
        };
        let text = author.render().unwrap();
        assert_eq!(
            text,
            "<span class=\"who\">&#60;b&#62;robot&#60;/b&#62; <span class=\"badge accent\">Bot</span></span>"
        );
        assert_eq!(
            Author { bot: false, ..author }.render().unwrap(),
            "<span class=\"who\">&#60;b&#62;robot&#60;/b&#62;</span>"
        );
    }
}
