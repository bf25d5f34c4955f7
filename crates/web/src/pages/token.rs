//! One access token of a project or a group: what it is, what it may do, in words, and what it did.
//!
//! What it may do is asked of the rules themselves, one action after the other, with the token's scopes and its bot's role
//! as they are now. So the page cannot promise what a door would refuse.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::records::audit_events::AuditEvent;
use portcullis_app::records::select::Window;
use portcullis_app::{Error, tokens};
use portcullis_rules::access::{Action, Role};
use portcullis_rules::bot::Home;
use portcullis_rules::token::State as TokenState;

use super::activity::Feed;
use super::tokens::{TokenPages, token_id};
use super::words::{self, Expiry, Moment, Whose};
use super::{Around, PageResult, Pages};
use crate::AppState;
use crate::api::PathParts;

/// How many entries of the audit log a page shows.
const ENTRIES: i64 = 20;

/// What people ask whether a token may do it, and the action that the rules are asked about.
const POWERS: [(&str, Action); 23] = [
    ("clone and fetch with Git", Action::DownloadCode),
    ("push with Git", Action::PushCode),
    ("read branches, commits and differences over the API", Action::ReadCode),
    ("read files over the API", Action::ReadFiles),
    ("make commits, branches and tags over the API", Action::WriteRepository),
    ("pull images", Action::PullImage),
    ("push images", Action::PushImage),
    ("delete tags of images", Action::DeleteContainerTag),
    ("delete image repositories", Action::AdministerContainerRepositories),
    ("download packages", Action::ReadPackages),
    ("publish packages", Action::PublishPackage),
    ("delete packages", Action::DeletePackage),
    ("read issues", Action::ReadIssues),
    ("open and comment on issues", Action::CreateIssue),
    ("change and close anybody's issues", Action::UpdateIssue),
    ("read merge requests", Action::ReadMergeRequests),
    ("open merge requests", Action::CreateMergeRequest),
    ("approve merge requests", Action::ApproveMergeRequest),
    ("merge, where the branch lets it", Action::MergeMergeRequest),
    ("read releases", Action::ReadReleases),
    ("make and change releases", Action::AdministerReleases),
    ("say whether a commit passed its checks", Action::SetCommitStatus),
    ("keep the state of Terraform", Action::AdministerTerraformState),
];

/// The same, of a project alone.
const POWERS_OF_PROJECT: [(&str, Action); 7] = [
    ("read the project's settings over the API", Action::ReadProject),
    ("change the project's settings", Action::UpdateProject),
    ("read who is a member", Action::ReadMembers),
    ("add and remove members", Action::AdministerMembers),
    ("see the project's access tokens", Action::ListAccessTokens),
    ("create access tokens", Action::CreateAccessToken),
    ("delete the project", Action::DeleteProject),
];

/// The same, of a group and what is below it.
const POWERS_OF_GROUP: [(&str, Action); 14] = [
    ("read the settings of projects over the API", Action::ReadProject),
    ("change the settings of projects", Action::UpdateProject),
    ("read who is a member of a project", Action::ReadMembers),
    ("add and remove members of projects", Action::AdministerMembers),
    ("see the access tokens of projects", Action::ListAccessTokens),
    ("delete projects", Action::DeleteProject),
    ("read the group over the API", Action::ReadGroup),
    ("read who is a member of the group", Action::ReadGroupMembers),
    ("see the group's access tokens", Action::ListGroupAccessTokens),
    ("revoke the group's access tokens", Action::RevokeGroupAccessToken),
    ("create access tokens", Action::CreateGroupAccessToken),
    ("make groups inside the group", Action::CreateSubgroup),
    ("add and remove members of the group", Action::AdministerGroupMembers),
    ("change the group's settings", Action::UpdateGroup),
];

struct EntryView {
    what: String,
    /// The path that the project or group had, where it is not the token's own.
    place: Option<String>,
    author: String,
    address: Option<String>,
    when: Moment,
}

impl EntryView {
    fn of(event: AuditEvent, home: Home) -> EntryView {
        let own =
            event.entity_type.eq_ignore_ascii_case(home.kind()) && event.entity_id == Some(home.number());
        EntryView {
            place: event.entity_path.filter(|_| !own),
            what: event.event_name.replace('_', " "),
            author: event.author_name,
            address: event.address,
            when: Moment::at(event.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "parts/token.html")]
struct TokenPart {
    whose: Whose,
    address: String,
    name: String,
    description: Option<String>,
    state: &'static str,
    is_active: bool,
    may_rotate: bool,
    may_revoke: bool,
    /// The name its bot has in addresses, while there is one.
    bot: Option<String>,
    role: Option<&'static str>,
    scopes: Vec<(String, String)>,
    created: Moment,
    used: Option<(Moment, Option<String>)>,
    expires: Option<Expiry>,
    may: Vec<&'static str>,
    may_not: Vec<&'static str>,
    /// What it did, for who may read the activity.
    feed: Option<Feed>,
    /// The entries of the audit log, for who may read it.
    entries: Option<Vec<EntryView>>,
    pages: Option<Pages>,
}

/// Answers one token, whether it is still good or not.
pub async fn show<P: TokenPages>(
    access: Authorized<P::List>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let forge = &state.forge;
    let token = tokens::get::<P>(forge, &access, token_id(&path)?).await?;
    let now = forge.now();
    let home = P::home(access.place());
    let address = format!("{}/{}", P::address(access.place()), token.id);
    let bot = match P::bot(&state, &access, token.user).await {
        Ok(username) => Some(username),
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let life = token.lifetime.state(now);
    let is_active = life == TokenState::Active;
    let (mut may, mut may_not) = (Vec::new(), Vec::new());
    if is_active {
        let own: &[_] = match home {
            Home::Project(_) => &POWERS_OF_PROJECT,
            Home::Group(_) => &POWERS_OF_GROUP,
        };
        let asked: Vec<_> = POWERS.iter().chain(own).copied().collect();
        let actions: Vec<_> = asked.iter().map(|(_, action)| *action).collect();
        for ((says, _), allowed) in asked.into_iter().zip(tokens::powers::<P>(&access, &token, &actions)) {
            if allowed { &mut may } else { &mut may_not }.push(says);
        }
    }
    let number = around.page("entries");
    let window = Window { limit: ENTRIES, offset: (number - 1) * ENTRIES };
    let found = P::entries(&state, &access, token.id, window).await?;
    let pages = found.as_ref().and_then(|found| {
        let total = found.total.unwrap_or(10_000);
        Pages::of(number, ENTRIES, total, |page| format!("{address}?entries={page}#log"))
    });
    let entries = found.map(|found| found.map(|event| EntryView::of(event, home)).items);
    let to = format!("{address}?page=");
    let feed = P::feed(&state, &access, token.id, around.page("page"), &to).await?;
    let open = tokens::creation::<P>(forge, &access).await? == tokens::Creation::Open;
    let part = TokenPart {
        whose: P::WHOSE,
        may_rotate: is_active && open && access.also::<P::Rotate>().is_ok(),
        may_revoke: is_active && access.also::<P::Revoke>().is_ok(),
        address,
        state: match life {
            TokenState::Active => "Active",
            TokenState::Expired => "Expired",
            TokenState::Revoked => "Revoked",
        },
        is_active,
        bot,
        role: token.role.map(Role::name),
        scopes: words::scopes(token.scopes, &[], P::WHOSE)
            .into_iter()
            .map(|tick| (tick.label, tick.says))
            .collect(),
        created: Moment::at(token.created_at),
        used: token.last_used_at.map(|at| (Moment::at(at), token.last_used_address)),
        expires: token.lifetime.expires_at.map(|at| Expiry::at(at, now)),
        name: token.name.clone(),
        description: token.description,
        may,
        may_not,
        feed,
        entries,
        pages,
    };
    P::page(&state, &access, around, Some(&token.name), StatusCode::OK, part).await
}
