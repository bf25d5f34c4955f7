//! One project access token: what it is, what it may do, in words, and what it did.
//!
//! What it may do is asked of the rules themselves, one action after the other, with the token's scopes and its bot's role
//! as they are now. So the page cannot promise what a door would refuse.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::records::audit_events::{AuditEvent, AuditEventFilter};
use portcullis_app::records::events::EventFilter;
use portcullis_app::records::members::Reach;
use portcullis_app::records::select::Window;
use portcullis_app::{Error, audit, members, tokens};
use portcullis_rules::access::{Action, Role, act, on};
use portcullis_rules::id::TokenId;
use portcullis_rules::token::State as TokenState;

use super::activity::{self, Feed};
use super::projects::Head;
use super::tokens::{REVOKING, address_of, token_id};
use super::words::{self, Expiry, Moment};
use super::{Around, PageResult, Pages, html};
use crate::AppState;
use crate::api::PathParts;

/// How many entries of the audit log a page shows.
const ENTRIES: i64 = 20;

/// What people ask whether a token may do it, and the action that the rules are asked about.
const POWERS: [(&str, Action); 30] = [
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
    ("read the project's settings over the API", Action::ReadProject),
    ("change the project's settings", Action::UpdateProject),
    ("read who is a member", Action::ReadMembers),
    ("add and remove members", Action::AdministerMembers),
    ("see the project's access tokens", Action::ListAccessTokens),
    ("create access tokens", Action::CreateAccessToken),
    ("delete the project", Action::DeleteProject),
];

struct EntryView {
    what: String,
    author: String,
    address: Option<String>,
    when: Moment,
}

impl EntryView {
    fn of(event: AuditEvent) -> EntryView {
        EntryView {
            what: event.event_name.replace('_', " "),
            author: event.author_name,
            address: event.address,
            when: Moment::at(event.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage {
    around: Around,
    head: Head,
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
    /// What it did, for who may read the project's activity.
    feed: Option<Feed>,
    /// The entries of the audit log, for who may read it.
    entries: Option<Vec<EntryView>>,
    pages: Option<Pages>,
}

async fn entries(
    state: &AppState,
    access: &Authorized<act::ReadAuditEvents>,
    token: TokenId,
    number: i64,
    address: &str,
) -> Result<(Vec<EntryView>, Option<Pages>), Error> {
    let filter = AuditEventFilter { life_of: Some(token), ..AuditEventFilter::default() };
    let window = Window { limit: ENTRIES, offset: (number - 1) * ENTRIES };
    let found = audit::list_of_project(&state.forge, access, &filter, window).await?;
    let pages = Pages::of(number, ENTRIES, found.total.unwrap_or(10_000), |page| {
        format!("{address}?entries={page}#log")
    });
    Ok((found.items.into_iter().map(EntryView::of).collect(), pages))
}

/// Answers one token of the project, whether it is still good or not.
pub async fn show(
    access: Authorized<act::ListAccessTokens>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let forge = &state.forge;
    let token = tokens::get::<on::Project>(forge, &access, token_id(&path)?).await?;
    let now = forge.now();
    let list = address_of(&access.place().full_path);
    let address = format!("{list}/{}", token.id);
    let (mut head, _) =
        Head::of(&state, &access, "tokens", &["Settings", "Access Tokens", &token.name]).await?;
    head.link_last_but_one(&list);
    let bot = match members::get(forge, &access.also::<act::ReadMembers>()?, Reach::Direct, token.user).await
    {
        Ok(member) => Some(member.user.username),
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let life = token.lifetime.state(now);
    let is_active = life == TokenState::Active;
    let (mut may, mut may_not) = (Vec::new(), Vec::new());
    if is_active {
        let allowed = tokens::powers::<on::Project>(&access, &token, &POWERS.map(|(_, action)| action));
        for ((says, _), allowed) in POWERS.into_iter().zip(allowed) {
            if allowed { &mut may } else { &mut may_not }.push(says);
        }
    }
    let (entries, pages) = match access.also::<act::ReadAuditEvents>() {
        Ok(reading) => {
            let (found, pages) =
                entries(&state, &reading, token.id, around.page("entries"), &address).await?;
            (Some(found), pages)
        }
        Err(_) => (None, None),
    };
    let feed = match access.also::<act::ReadEvents>() {
        Ok(reading) => {
            let filter = EventFilter { token: Some(token.id), ..EventFilter::default() };
            let to = format!("{address}?page=");
            Some(activity::feed(&state, &reading, &head, &filter, around.page("page"), &to).await?)
        }
        Err(_) => None,
    };
    let open = tokens::creation::<on::Project>(forge, &access).await? == tokens::Creation::Open;
    let page = TokenPage {
        around: around.of(&state, access.viewer()).await?,
        may_rotate: is_active && open && access.also::<act::RotateAccessToken>().is_ok(),
        may_revoke: is_active && access.also::<act::RevokeAccessToken>().is_ok(),
        address,
        state: match life {
            TokenState::Active => "Active",
            TokenState::Expired => "Expired",
            TokenState::Revoked => "Revoked",
        },
        is_active,
        bot,
        role: token.role.map(Role::name),
        scopes: words::scopes(token.scopes, &[]).into_iter().map(|tick| (tick.label, tick.says)).collect(),
        created: Moment::at(token.created_at),
        used: token.last_used_at.map(|at| (Moment::at(at), token.last_used_address)),
        expires: token.lifetime.expires_at.map(|at| Expiry::at(at, now)),
        name: token.name,
        description: token.description,
        head,
        may,
        may_not,
        feed,
        entries,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}
