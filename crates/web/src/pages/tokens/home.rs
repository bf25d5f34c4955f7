//! What differs between the pages of a project's tokens and those of a group's.

use std::fmt::Display;

use askama::Template;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, NamespaceFacts};
use portcullis_app::records::audit_events::{AuditEvent, AuditEventFilter};
use portcullis_app::records::events::EventFilter;
use portcullis_app::records::members::Reach;
use portcullis_app::records::projects::ProjectFacts;
use portcullis_app::records::select::{Listing, Window};
use portcullis_app::tokens::TokenHome;
use portcullis_app::{Error, audit, members};
use portcullis_rules::access::{act, on};
use portcullis_rules::id::{TokenId, UserId};

use crate::AppState;
use crate::guard::PlaceInPath;
use crate::pages::activity::{self, Feed};
use crate::pages::groups::GroupHead;
use crate::pages::projects::Head;
use crate::pages::words::Whose;
use crate::pages::{Around, PageResult, html};

/// What has pages of its access tokens: a project or a group.
pub trait TokenPages: TokenHome + PlaceInPath {
    /// Whose the tokens are.
    const WHOSE: Whose;

    /// Returns the address of the list; below it are the pages of each token.
    fn address(found: &Self::Found) -> String;

    /// Returns the path of a project that such a token opens.
    fn example(found: &Self::Found) -> String;

    /// Returns the name that the bot of a token has in addresses; [`Error::NotFound`] once it has left.
    fn bot(
        state: &AppState,
        access: &Authorized<Self::List>,
        user: UserId,
    ) -> impl Future<Output = Result<String, Error>> + Send;

    /// Returns what a token did, as far as the caller may read it; the number of a page behind `to` makes its address.
    fn feed(
        state: &AppState,
        access: &Authorized<Self::List>,
        token: TokenId,
        number: i64,
        to: &str,
    ) -> impl Future<Output = Result<Option<Feed>, Error>> + Send;

    /// Returns the entries of the audit log about a token and about what it changed, for who may read them.
    fn entries(
        state: &AppState,
        access: &Authorized<Self::List>,
        token: TokenId,
        window: Window,
    ) -> impl Future<Output = Result<Option<Listing<AuditEvent>>, Error>> + Send;

    /// Answers a page, the list's or that of the token with this name.
    fn page(
        state: &AppState,
        access: &Authorized<Self::List>,
        around: Around,
        token: Option<&str>,
        status: StatusCode,
        part: impl Display + Send,
    ) -> impl Future<Output = PageResult> + Send;
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct ProjectPage<T: Display> {
    around: Around,
    head: Head,
    title: String,
    part: T,
}

#[derive(Template)]
#[template(path = "group_tokens.html")]
struct GroupPage<T: Display> {
    around: Around,
    head: GroupHead,
    title: String,
    part: T,
}

/// Returns the title of a page, and the names that lead to it.
fn title_and_trail(token: Option<&str>) -> (String, Vec<&str>) {
    match token {
        None => ("Access Tokens".to_owned(), vec!["Settings", "Access Tokens"]),
        Some(name) => (format!("{name} · Access Tokens"), vec!["Settings", "Access Tokens", name]),
    }
}

impl TokenPages for on::Project {
    const WHOSE: Whose = Whose::Project;

    fn address(found: &ProjectFacts) -> String {
        format!("/{}/-/settings/access_tokens", found.full_path)
    }

    fn example(found: &ProjectFacts) -> String {
        found.full_path.clone()
    }

    async fn bot(
        state: &AppState,
        access: &Authorized<act::ListAccessTokens>,
        user: UserId,
    ) -> Result<String, Error> {
        let reading = access.also::<act::ReadMembers>()?;
        Ok(members::get(&state.forge, &reading, Reach::Direct, user).await?.user.username)
    }

    async fn feed(
        state: &AppState,
        access: &Authorized<act::ListAccessTokens>,
        token: TokenId,
        number: i64,
        to: &str,
    ) -> Result<Option<Feed>, Error> {
        let Ok(reading) = access.also::<act::ReadEvents>() else { return Ok(None) };
        let filter = EventFilter { token: Some(token), ..EventFilter::default() };
        Ok(Some(activity::feed(state, &reading, &filter, number, to).await?))
    }

    async fn entries(
        state: &AppState,
        access: &Authorized<act::ListAccessTokens>,
        token: TokenId,
        window: Window,
    ) -> Result<Option<Listing<AuditEvent>>, Error> {
        let Ok(reading) = access.also::<act::ReadAuditEvents>() else { return Ok(None) };
        let filter = AuditEventFilter { life_of: Some(token), ..AuditEventFilter::default() };
        Ok(Some(audit::list_of_project(&state.forge, &reading, &filter, window).await?))
    }

    async fn page(
        state: &AppState,
        access: &Authorized<act::ListAccessTokens>,
        around: Around,
        token: Option<&str>,
        status: StatusCode,
        part: impl Display + Send,
    ) -> PageResult {
        let (title, trail) = title_and_trail(token);
        let (mut head, _) = Head::of(state, access, "tokens", &trail).await?;
        if token.is_some() {
            head.link_last_but_one(&Self::address(access.place()));
        }
        let around = around.of(state, access.viewer()).await?;
        Ok(html(status, &ProjectPage { around, head, title, part }))
    }
}

impl TokenPages for on::Group {
    const WHOSE: Whose = Whose::Group;

    fn address(found: &NamespaceFacts) -> String {
        format!("/groups/{}/-/settings/access_tokens", found.namespace.full_path)
    }

    fn example(found: &NamespaceFacts) -> String {
        format!("{}/project", found.namespace.full_path)
    }

    async fn bot(
        state: &AppState,
        access: &Authorized<act::ListGroupAccessTokens>,
        user: UserId,
    ) -> Result<String, Error> {
        let reading = access.also::<act::ReadGroupMembers>()?;
        Ok(members::get(&state.forge, &reading, Reach::Direct, user).await?.user.username)
    }

    async fn feed(
        state: &AppState,
        access: &Authorized<act::ListGroupAccessTokens>,
        token: TokenId,
        number: i64,
        to: &str,
    ) -> Result<Option<Feed>, Error> {
        Ok(Some(activity::feed_of_group_token(state, access, token, number, to).await?))
    }

    async fn entries(
        state: &AppState,
        access: &Authorized<act::ListGroupAccessTokens>,
        token: TokenId,
        window: Window,
    ) -> Result<Option<Listing<AuditEvent>>, Error> {
        let Ok(reading) = access.also::<act::ReadGroupAuditEvents>() else { return Ok(None) };
        Ok(Some(audit::list_of_group_token(&state.forge, &reading, token, window).await?))
    }

    async fn page(
        state: &AppState,
        access: &Authorized<act::ListGroupAccessTokens>,
        around: Around,
        token: Option<&str>,
        status: StatusCode,
        part: impl Display + Send,
    ) -> PageResult {
        let (title, trail) = title_and_trail(token);
        let mut head = GroupHead::of(access, "tokens", &trail);
        if token.is_some() {
            head.link_last_but_one(&Self::address(access.place()));
        }
        let around = around.of(state, access.viewer()).await?;
        Ok(html(status, &GroupPage { around, head, title, part }))
    }
}
