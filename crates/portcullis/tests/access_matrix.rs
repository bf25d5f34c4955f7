//! Every route, for every kind of caller, at every kind of place: one real request each.
//!
//! The callers and places are made through the API, and this file says what is true of each of them. From those facts
//! alone the rules must predict every answer, in the words of one small table, [`refusal`]. Whatever grants more or less
//! than `decide` does, anywhere between the socket and the handler, is found here.
//!
//! Nothing is changed by a request that is let in: what writes is sent a body that cannot be read, and is let in when it
//! complains about that body.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_rules::access::{
    Action, Caller, CallerKind, Denial, Facts, Feature, FeatureAccess, Known, On, ResourceFacts, Role,
    ScopeSet, Visibility, decide,
};
use portcullis_testkit::{Group, Person, Project, TestForge, basic, forge};
use portcullis_web::door::Door;
use portcullis_web::guard::Access;
use portcullis_web::routes::{Route, table};
use serde_json::{Value, json};

/// Whether the presented credential lives, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Expired,
    Revoked,
    Blocked,
}

/// Somebody who asks, with what is true of them at one place.
#[derive(Clone)]
struct Asker {
    name: String,
    secret: Option<String>,
    life: Life,
    caller: Caller,
    role: Option<Role>,
    /// The id of the presented token.
    token: i64,
    /// Whether the token is one of the place's own.
    at_home: bool,
    /// The cookie of a session, for somebody who signed in with a browser instead.
    cookie: Option<String>,
}

impl Asker {
    /// Returns who somebody is at a door: pages take nothing but a session, and nothing else takes one.
    fn at(&self, door: Door) -> Asker {
        if self.cookie.is_some() == (door == Door::Pages) {
            return self.clone();
        }
        Asker { life: Life::Alive, caller: Caller::Anonymous, role: None, at_home: false, ..self.clone() }
    }
}

/// Something that is asked about, with what is true of it, who asks about it, and ids of what is in it.
struct Place {
    name: String,
    id: String,
    path: String,
    /// `None` where there is nothing.
    facts: Option<ResourceFacts>,
    askers: Vec<Asker>,
    token: i64,
    note: i64,
    /// A comment on the merge request with the number 1.
    merge_request_note: i64,
    /// Reactions to the issue, to the comment on it, to the merge request, and to the comment on that.
    awards: [i64; 4],
    /// A link of the issue with another one.
    issue_link: i64,
    audit_event: i64,
    /// An image repository with the tag `latest`.
    repository: i64,
    /// An uploaded file, and the secret in its address.
    upload: (i64, String),
    /// A package, and a file in it.
    package: (i64, i64),
    label: i64,
    milestone: i64,
    /// A link of the release of the tag `r1`.
    link: i64,
    /// A web hook.
    hook: i64,
    /// What the merge request of the place held at one time.
    version: i64,
}

/// One answer: the status, and a text that its body must be or, after `…`, must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer(u16, String);

impl Answer {
    fn fits(&self, status: u16, body: &str) -> bool {
        let Answer(expected, text) = self;
        *expected == status && text.strip_prefix('…').map_or(body == text, |part| body.contains(part))
    }
}

fn answer(status: u16, text: &str) -> Answer {
    Answer(status, text.to_owned())
}

/// What a refusal of the rules looks like at a door.
fn refusal(door: Door, action: Action, denial: Denial, caller: &Caller) -> Answer {
    use Action as A;
    let anonymous = matches!(caller, Caller::Anonymous);
    let bot = matches!(caller, Caller::Known(known) if known.kind == CallerKind::Bot);
    match (door, action, denial) {
        // Git asks for a credential where there is none, and explains itself to a person.
        (Door::Git, _, Denial::SignInFirst) => answer(401, DENIED),
        (Door::Git, _, Denial::NotVisible) if anonymous => answer(401, DENIED),
        (Door::Git, _, Denial::NotVisible) => answer(404, NO_SUCH_REPOSITORY),
        (Door::Git, A::PushCode, Denial::MissingScope(_)) => {
            answer(403, "You are not allowed to upload code.\n")
        }
        (Door::Git, _, Denial::MissingScope(_)) => answer(403, "You are not allowed to download code.\n"),
        (Door::Git, _, Denial::Archived) => answer(403, "You can't push code to an archived project.\n"),
        (Door::Git, A::PushCode, _) => answer(403, "You are not allowed to push code to this project.\n"),
        (Door::Git, _, _) => answer(403, "You are not allowed to download code from this project.\n"),

        // `git lfs` is told the same in JSON; who may not read is told that there is nothing.
        (Door::Lfs, _, Denial::SignInFirst) => answer(401, LFS_DENIED),
        (Door::Lfs, _, Denial::NotVisible) if anonymous => answer(401, LFS_DENIED),
        (Door::Lfs, _, Denial::MissingScope(_)) => answer(403, "…it needs one of the scopes api, "),
        (Door::Lfs, _, Denial::Archived) => {
            answer(403, r#"{"message":"You can't push code to an archived project."}"#)
        }
        (Door::Lfs, A::PushCode, Denial::RoleTooLow(_)) => {
            answer(403, r#"{"message":"Access forbidden. Check your access level."}"#)
        }
        (Door::Lfs, _, _) => answer(404, r#"{"message":"Not found."}"#),

        // The token endpoint turns away who could have nothing at all; to all others it gives a bearer that says less than
        // was asked for, and the registry sends them back with it.
        (Door::Registry, _, _) if !has_registry_scope(caller) => answer(403, "…\"DENIED\""),
        (Door::Registry, _, _) => answer(401, "…\"UNAUTHORIZED\""),

        (_, _, Denial::SignInFirst) => answer(401, r#"{"message":"401 Unauthorized"}"#),
        (_, _, Denial::MissingScope(scopes)) => Answer(
            403,
            format!(
                r#"{{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"{}"}}"#,
                scopes.to_text()
            ),
        ),
        (_, action, Denial::NotVisible) => match action.on() {
            On::Project => answer(404, r#"{"message":"404 Project Not Found"}"#),
            On::Group => answer(404, r#"{"message":"404 Group Not Found"}"#),
            other => panic!("no route is about {other:?} and hidden"),
        },

        // The token endpoints say what GitLab's say to somebody who may not.
        (
            _,
            A::ListAccessTokens | A::RotateAccessToken | A::ListGroupAccessTokens | A::RotateGroupAccessToken,
            _,
        ) => answer(401, r#"{"message":"401 Unauthorized"}"#),
        (_, A::MergeMergeRequest, Denial::RoleTooLow(_)) => answer(401, r#"{"message":"401 Unauthorized"}"#),
        (_, A::RotateOwnAccessToken | A::RotateOwnGroupAccessToken, _) if bot => {
            answer(401, r#"{"message":"401 Unauthorized"}"#)
        }
        (_, A::RotateOwnAccessToken | A::RotateOwnGroupAccessToken, _) => {
            answer(405, r#"{"message":"405 Method Not Allowed"}"#)
        }
        (_, A::CreateAccessToken, Denial::RoleTooLow(_) | Denial::NotForBots) => answer(
            400,
            r#"{"message":"400 Bad request - User does not have permission to create project access token"}"#,
        ),
        (_, A::CreateGroupAccessToken, Denial::RoleTooLow(_) | Denial::NotForBots) => answer(
            400,
            r#"{"message":"400 Bad request - User does not have permission to create group access token"}"#,
        ),
        (_, A::RevokeAccessToken | A::RevokeGroupAccessToken, Denial::RoleTooLow(_)) => {
            answer(400, "… cannot delete ")
        }

        (_, _, Denial::Archived) => answer(403, r#"{"message":"403 Forbidden - The project is archived"}"#),
        (_, _, Denial::FeatureOff(Feature::ContainerRegistry)) => {
            answer(403, r#"{"message":"403 Forbidden - The container registry is disabled in this project"}"#)
        }
        (_, _, Denial::FeatureOff(Feature::Packages)) => {
            answer(403, r#"{"message":"403 Forbidden - Packages are disabled in this project"}"#)
        }
        (_, _, Denial::FeatureOff(Feature::Repository)) => answer(403, r#"{"message":"403 Forbidden"}"#),
        (_, _, Denial::FeatureOff(Feature::MergeRequests)) => {
            answer(403, r#"{"message":"403 Forbidden - Merge requests are disabled in this project"}"#)
        }
        (_, _, Denial::FeatureOff(Feature::Issues)) => {
            answer(403, r#"{"message":"403 Forbidden - Issues are disabled in this project"}"#)
        }
        (_, _, Denial::InsidersOnly) => {
            answer(403, r#"{"message":"403 Forbidden - External users may not do this"}"#)
        }
        (_, _, Denial::RoleTooLow(_) | Denial::NotForBots | Denial::AdministratorsOnly) => {
            answer(403, r#"{"message":"403 Forbidden"}"#)
        }
    }
}

/// Whether a credential has any scope that the registry knows.
fn has_registry_scope(caller: &Caller) -> bool {
    let scopes = ScopeSet::API | ScopeSet::READ_API | ScopeSet::READ_REGISTRY | ScopeSet::WRITE_REGISTRY;
    matches!(caller, Caller::Known(known) if known.scopes.intersects(scopes))
}

const DENIED: &str = "HTTP Basic: Access denied. If a password was given, it was wrong or may not be used here.\n\
    If a token was given, it was incorrect, expired or lacks the scope for this.\n";

const LFS_DENIED: &str = r#"{"message":"HTTP Basic: Access denied. If a password was given, it was wrong or may not be used here. If a token was given, it was incorrect, expired or lacks the scope for this."}"#;

const NO_SUCH_REPOSITORY: &str =
    "The project you were looking for could not be found or you don't have permission to view it.\n";

/// What a credential that lives no longer is told. Git tells nobody why.
fn refusal_of_credential(door: Door, life: Life) -> Answer {
    match (door, life) {
        (Door::Git, _) => answer(401, DENIED),
        (Door::Lfs, _) => answer(401, LFS_DENIED),
        (Door::Registry, _) => answer(401, "…HTTP Basic: Access denied."),
        (_, Life::Expired) => answer(401, r#"…"error_description":"Token is expired."#),
        (_, Life::Revoked) => answer(401, r#"…"error_description":"Token was revoked."#),
        (_, Life::Blocked) => answer(403, r#"{"message":"403 Forbidden - Your account has been blocked."}"#),
        (_, Life::Alive) => panic!("it lives"),
    }
}

/// What somebody is told who is let in. The exceptions ask something further that is not the route's own question.
fn let_in(route: &Route, asker: &Asker) -> Answer {
    match (route.method.as_str(), route.path) {
        ("POST", path) if path.starts_with("/-/git/") => answer(415, "…Expected the content type"),
        ("GET", "/-/git/{id}/HEAD" | "/-/git/{id}/objects/{*object}") => answer(404, NO_SUCH_REPOSITORY),
        ("GET", "/-/git-redirect/{id}/info/refs") => answer(301, ""),
        // No large file was ever pushed, and what would be stored is another content.
        (_, "/-/lfs/{id}/info/lfs/objects" | "/-/lfs/{id}/info/lfs/objects/{oid}") => {
            answer(501, "…Server supports batch API only")
        }
        ("GET", "/-/lfs/{id}/gitlab-lfs/objects/{oid}") => answer(404, r#"{"message":"Not found."}"#),
        ("PUT", "/-/lfs/{id}/gitlab-lfs/objects/{oid}/{size}") => answer(400, "…SHA256 or size mismatch"),
        // Nothing was ever pushed to the image, and what would push is no manifest, no digest and no piece of an upload.
        ("GET", "/-/registry/{id}/referrers/{digest}") => answer(200, "…\"manifests\":[]"),
        ("GET", "/-/registry/{id}/blobs/{digest}") => answer(404, "…\"BLOB_UNKNOWN\""),
        ("GET", "/-/registry/{id}/uploads/{session}") => answer(404, "…\"BLOB_UPLOAD_UNKNOWN\""),
        ("DELETE", "/-/registry/{id}/uploads/{session}") => answer(404, "…\"BLOB_UPLOAD_UNKNOWN\""),
        ("PATCH", "/-/registry/{id}/uploads/{session}") => answer(400, "…\"BLOB_UPLOAD_INVALID\""),
        ("POST" | "PUT", path) if path.starts_with("/-/registry/{id}/uploads") => {
            answer(400, "…\"DIGEST_INVALID\"")
        }
        ("PUT", "/-/registry/{id}/manifests/{reference}") => answer(400, "…\"MANIFEST_INVALID\""),
        (_, path) if path.starts_with("/-/registry/") => answer(404, "…\"NAME_UNKNOWN\""),
        ("GET", "/v2") => answer(301, ""),
        ("POST", "/jwt/auth") => answer(404, "…ask with GET"),
        // Only a token of the project is found in the project.
        ("GET", "/api/v4/projects/{id}/access_tokens/self") if !asker.at_home => {
            answer(404, r#"{"message":"404 project Access Token Not Found"}"#)
        }
        ("GET", "/api/v4/groups/{id}/access_tokens/self") if !asker.at_home => {
            answer(404, r#"{"message":"404 group Access Token Not Found"}"#)
        }
        // A namespace is there for those who may use it; to all others it is hidden like one that is missing.
        ("GET", "/api/v4/namespaces/{namespace_id}") => {
            let facts = Facts::Resource(Some(resource(Visibility::Public, asker.role)));
            match decide(&asker.caller, &facts, Action::ReadNamespace) {
                Ok(()) => answer(200, "…"),
                Err(_) => answer(404, r#"{"message":"404 Namespace Not Found"}"#),
            }
        }
        ("POST", "/api/v4/projects/{id}/uploads") => answer(400, "…file is missing"),
        ("PUT", path) if path.contains("/packages/generic/") => answer(400, "…file_name is invalid"),
        // The repository has no tag, no signed commit and no blob of that name, and what is compared is not named.
        ("GET", "/api/v4/projects/{id}/repository/tags/{tag}") => answer(404, "…404 Tag Not Found"),
        ("GET", "/api/v4/projects/{id}/repository/commits/{sha}/signature") => {
            answer(404, "…404 Signature Not Found")
        }
        ("GET", path) if path.starts_with("/api/v4/projects/{id}/repository/blobs/") => {
            answer(404, "…404 Blob Not Found")
        }
        ("GET", "/api/v4/projects/{id}/protected_tags/{name}") => answer(404, "…404 Protected Tag Not Found"),
        ("GET", path) if path.contains("/pipelines/") => answer(404, "…404 Pipeline Not Found"),
        ("GET", path) if path.ends_with("/search") => answer(400, "…scope is missing, search is missing"),
        ("GET" | "DELETE", path) if path.contains("/terraform/state/") => {
            answer(404, "…404 Terraform State Not Found")
        }
        ("POST", "/api/v4/projects/{id}/terraform/state/{name}/lock") => {
            answer(400, "…a lock is a JSON object")
        }
        ("POST", "/api/v4/projects/{id}/terraform/state/{name}") => {
            answer(400, "…a Terraform state is a JSON object")
        }
        ("GET", "/api/v4/projects/{id}/repository/compare") => answer(400, "…from is missing, to is missing"),
        ("GET", "/api/v4/projects/{id}/repository/merge_base") => answer(400, "…refs is missing"),
        ("GET", "/-/project/{id}/releases/{tag}/downloads/{*path}") => answer(302, ""),
        ("GET", _) => answer(200, "…"),
        _ => answer(400, "…the body is not valid JSON"),
    }
}

/// A living resource with everything turned on.
fn resource(visibility: Visibility, role: Option<Role>) -> ResourceFacts {
    let on = FeatureAccess::Enabled;
    ResourceFacts {
        visibility,
        role,
        archived: false,
        repository: on,
        issues: on,
        container_registry: on,
        packages: on,
        merge_requests: on,
    }
}

/// What must come back.
fn expected(route: &Route, action: Option<Action>, place: &Place, asker: &Asker) -> Answer {
    let asker = &asker.at(route.door);
    if route.door == Door::Pages {
        return expected_page(route, action, place, asker);
    }
    // Both are open to whoever has a bearer or can be given one.
    if matches!((route.method.as_str(), route.path), ("GET", "/v2/" | "/jwt/auth")) {
        return match asker.life {
            Life::Alive if has_registry_scope(&asker.caller) => answer(200, "…"),
            Life::Alive => answer(403, "…\"DENIED\""),
            life => refusal_of_credential(route.door, life),
        };
    }
    let Some(action) = action else { return let_in(route, asker) };
    if asker.life != Life::Alive {
        return refusal_of_credential(route.door, asker.life);
    }
    let facts = match action.on() {
        On::Instance => Facts::Instance,
        _ => Facts::Resource(place.facts.map(|facts| ResourceFacts { role: asker.role, ..facts })),
    };
    match decide(&asker.caller, &facts, action) {
        Ok(()) => let_in(route, asker),
        Err(denial) => refusal(route.door, action, denial, &asker.caller),
    }
}

/// What a page answers: who is not signed in is asked to, and whoever may not is told that there is nothing.
fn expected_page(route: &Route, action: Option<Action>, place: &Place, asker: &Asker) -> Answer {
    let signed_in = matches!(asker.caller, Caller::Known(_));
    let Some(action) = action else {
        return match (route.method.as_str(), route.path) {
            ("GET", "/") => answer(303, ""),
            ("GET", "/users/sign_in") if signed_in => answer(303, ""),
            // Without half a sign-in there is no code to ask for.
            ("GET", "/users/two_factor") => answer(303, ""),
            ("GET", "/users/password/edit") => answer(404, "…no longer good"),
            ("GET", "/-/assets/{file}") => answer(404, "…Page not found"),
            ("GET", _) => answer(200, "…</html>"),
            _ => answer(415, "…is no form of this page"),
        };
    };
    let facts = match action.on() {
        On::Instance => Facts::Instance,
        _ => Facts::Resource(place.facts.map(|facts| ResourceFacts { role: asker.role, ..facts })),
    };
    // Of an archived project the settings show what can still be done with it, to whoever may.
    let of_settings = (route.method.as_str(), route.path) == ("GET", "/-/pages/projects/{id}/edit");
    let either = actions(route).into_iter().flatten().filter(|other| of_settings || *other == action);
    let decided = either.map(|action| decide(&asker.caller, &facts, action));
    match decided.reduce(Result::or).unwrap() {
        Err(_) if !signed_in => answer(303, ""),
        Err(_) => answer(404, "…<h1>Page not found</h1>"),
        // The personal token in the address is nobody's own.
        Ok(()) if route.method == "GET" && route.path.contains("/personal_access_tokens/{token_id}") => {
            answer(404, "…<h1>Page not found</h1>")
        }
        // Nor is what is taken along.
        Ok(()) if route.path.starts_with("/admin/audit_log.") => answer(200, "…user_created"),
        // The issue, the merge request and the comments in the address are somebody else's.
        Ok(())
            if route.method == "GET"
                && changes_any(route).is_some_and(|any| decide(&asker.caller, &facts, any).is_err()) =>
        {
            answer(404, "…<h1>Page not found</h1>")
        }
        // The name of a group leads to its page.
        Ok(()) if action == Action::ReadGroup && route.path.contains("/namespaces/") => answer(303, ""),
        // Bytes are no page.
        Ok(()) if route.path.contains("/raw/") => answer(200, "…# app"),
        Ok(()) if route.path.contains("/archive/") => answer(200, "…"),
        Ok(()) if route.method == "GET" => answer(200, "…</html>"),
        Ok(()) => answer(415, "…is no form of this page"),
    }
}

/// The action with which somebody is asked about what others wrote, at a page that is for authors too, or for somebody who
/// has to read it first.
fn changes_any(route: &Route) -> Option<Action> {
    let (part, rest) = route.path.split_once("/{iid}/")?;
    let of_issue = part.ends_with("/issues");
    match rest {
        "edit" if of_issue => Some(Action::UpdateIssue),
        "edit" => Some(Action::UpdateMergeRequest),
        "discussions/new" => Some(Action::ReadMergeRequests),
        "notes/{note_id}/edit" | "notes/{note_id}/delete" if of_issue => Some(Action::AdministerNotes),
        "notes/{note_id}/edit" | "notes/{note_id}/delete" => Some(Action::AdministerMergeRequestNotes),
        _ => None,
    }
}

/// The actions that a route may be about, or none of a public one.
fn actions(route: &Route) -> Vec<Option<Action>> {
    match route.access {
        Access::Public(_) => vec![None],
        Access::Action(action) => vec![Some(action)],
        Access::OneOf(actions) => actions.iter().map(|action| Some(*action)).collect(),
    }
}

/// The address that is asked for.
fn address(
    route: &Route,
    action: Option<Action>,
    place: &Place,
    asker: &Asker,
    guest: i64,
    group: i64,
) -> String {
    if let Some(rest) = route.path.strip_prefix("/-/git/{id}") {
        let question = match (rest, action) {
            ("/info/refs", Some(Action::PushCode)) => "?service=git-receive-pack",
            ("/info/refs", _) => "?service=git-upload-pack",
            _ => "",
        };
        return format!("/{}.git{}{question}", place.path, rest.replace("{*object}", "info/packs"));
    }
    if let Some(rest) = route.path.strip_prefix("/-/git-redirect/{id}") {
        return format!("/{}{rest}?service=git-upload-pack", place.path);
    }
    if let Some(rest) = route.path.strip_prefix("/-/lfs/{id}") {
        let oid = "0".repeat(64);
        let rest = rest.replace("{oid}", &oid).replace("{size}", "1").replace("{lock_id}", "1");
        return format!("/{}.git{rest}", place.path);
    }
    if let Some(rest) = route.path.strip_prefix("/-/registry/{id}") {
        let digest = format!("sha256:{}", "0".repeat(64));
        let rest = rest
            .replace("/uploads", "/blobs/uploads/")
            .replace("//", "/")
            .replace("{digest}", &digest)
            .replace("{reference}", "none")
            .replace("{session}", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6")
            .replace("/tags", "/tags/list");
        let question = if rest.ends_with("/uploads/") { "?digest=none" } else { "" };
        return format!("/v2/{}{rest}{question}", place.path);
    }
    if let Some(rest) = route.path.strip_prefix("/-/pages/").filter(|_| action.is_some()) {
        let (kind, rest) = rest.split_once("/{id}").unwrap();
        if kind == "namespaces" && action == Some(Action::ReadUsers) {
            // The page of a person, who is a Guest and called that.
            return format!("/{}", Role::Guest.name());
        }
        let start = if kind == "groups" { "/groups" } else { "" };
        let on_merge_request = rest.starts_with("/merge_requests");
        let note = if on_merge_request { place.merge_request_note } else { place.note };
        let file = rest.starts_with("/blob") || rest.starts_with("/raw");
        let archive = rest.starts_with("/archive");
        let rest = rest
            .replace("{token_id}", &place.token.to_string())
            .replace("{user_id}", &guest.to_string())
            .replace("{iid}", "1")
            .replace("{note_id}", &note.to_string())
            .replace("{discussion_id}", &format!("{note:040x}"))
            .replace("{repository_id}", &place.repository.to_string())
            .replace("{tag_name}", "latest")
            .replace("{tag}", "r1")
            .replace("{link_id}", &place.link.to_string())
            .replace("{label_id}", &place.label.to_string())
            .replace("{milestone_iid}", "1")
            .replace(
                "{*rest}",
                if file {
                    "main/README.md"
                } else if archive {
                    "main/app.zip"
                } else {
                    "main"
                },
            )
            .replace("{sha}", "main");
        let dash = if rest.is_empty() { "" } else { "/-" };
        return format!("{start}/{}{dash}{rest}", place.path);
    }
    if route.path == "/jwt/auth" {
        return "/jwt/auth?service=container_registry".to_owned();
    }
    let parts = route.path.split('/').map(|part| match part {
        "{file}" => "none.css".to_owned(),
        "{session_id}" => "1".to_owned(),
        "{id}" => place.id.clone(),
        "{user_id}" => guest.to_string(),
        "{namespace_id}" => group.to_string(),
        "{token_id}" if route.path.contains("/personal_access_tokens/") => asker.token.to_string(),
        "{token_id}" => place.token.to_string(),
        "{name}" => "main".to_owned(),
        "{iid}" => "1".to_owned(),
        "{version_id}" => place.version.to_string(),
        "{note_id}" if route.path.contains("/merge_requests/") => place.merge_request_note.to_string(),
        "{note_id}" => place.note.to_string(),
        // A comment that nobody answered is a discussion of its own.
        "{discussion_id}" if route.path.contains("/merge_requests/") => {
            format!("{:040x}", place.merge_request_note)
        }
        "{discussion_id}" => format!("{:040x}", place.note),
        "{award_id}" => {
            let on_merge_request = usize::from(route.path.contains("/merge_requests/"));
            let of_note = usize::from(route.path.contains("{note_id}"));
            place.awards[2 * on_merge_request + of_note].to_string()
        }
        "{issue_link_id}" => place.issue_link.to_string(),
        "{todo_id}" | "{job_id}" => "1".to_owned(),
        "{audit_event_id}" => place.audit_event.to_string(),
        "{repository_id}" => place.repository.to_string(),
        "{branch}" | "{sha}" => "main".to_owned(),
        "{pipeline_id}" => "1".to_owned(),
        "{tag}" if route.path.contains("/releases/") => "r1".to_owned(),
        "{tag}" => "v1".to_owned(),
        "{label}" => place.label.to_string(),
        "{milestone_id}" => place.milestone.to_string(),
        "{link_id}" => place.link.to_string(),
        "{*path}" => "a".to_owned(),
        "{file_path}" => "README.md".to_owned(),
        "{tag_name}" => "latest".to_owned(),
        "{rule_id}" => "1".to_owned(),
        "{hook_id}" => place.hook.to_string(),
        "{upload_id}" => place.upload.0.to_string(),
        "{secret}" => place.upload.1.clone(),
        "{package_id}" => place.package.0.to_string(),
        "{package_file_id}" => place.package.1.to_string(),
        "{package_name}" => "tool".to_owned(),
        "{package_version}" => "1.0".to_owned(),
        // A name that no file can have.
        "{*file_name}" if route.method == "PUT" => "no%20name".to_owned(),
        "{file_name}" | "{*file_name}" => "a.bin".to_owned(),
        part => {
            assert!(!part.starts_with('{'), "{route:?}: say what {part} is");
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn person(
    forge: &TestForge,
    name: &str,
    person: &Person,
    role: Option<Role>,
    external: bool,
    scopes: &[&str],
) -> Asker {
    let secret = forge.personal_token(&person.username, scopes);
    let known = Known {
        kind: CallerKind::Person,
        administrator: false,
        external,
        scopes: ScopeSet::parse(scopes.iter().copied(), ScopeSet::all()).unwrap(),
    };
    Asker {
        name: name.to_owned(),
        token: token_id(forge, &secret),
        secret: Some(secret),
        life: Life::Alive,
        caller: Caller::Known(known),
        role,
        at_home: false,
        cookie: None,
    }
}

fn token_id(forge: &TestForge, secret: &str) -> i64 {
    forge.with_token(secret).get("/personal_access_tokens/self").expect(200).json()["id"].as_i64().unwrap()
}

fn bot(name: &str, project: &Project<'_>, role: Role, scopes: &[&str]) -> Asker {
    bot_until(name, project, role, scopes, Value::Null)
}

fn bot_until(name: &str, project: &Project<'_>, role: Role, scopes: &[&str], expires_at: Value) -> Asker {
    let made = project.token_with(
        json!({ "name": "ci", "scopes": scopes, "access_level": role.level(), "expires_at": expires_at }),
    );
    let known = Known {
        kind: CallerKind::Bot,
        administrator: false,
        external: true,
        scopes: ScopeSet::parse(scopes.iter().copied(), ScopeSet::all()).unwrap(),
    };
    Asker {
        name: name.to_owned(),
        secret: Some(made.secret),
        life: Life::Alive,
        caller: Caller::Known(known),
        role: Some(role),
        token: made.token_id,
        at_home: true,
        cookie: None,
    }
}

/// The bots of a project: each scope alone, and all together.
fn bots(forge: &TestForge, project: &Project<'_>) -> Vec<Asker> {
    let every: Vec<_> = ScopeSet::FOR_PROJECT_TOKENS.names().collect();
    let mut bots = Vec::new();
    for role in [Role::Guest, Role::Developer, Role::Maintainer] {
        for scope in &every {
            bots.push(bot(&format!("bot with {scope} as {}", role.name()), project, role, &[scope]));
        }
    }
    for role in Role::ALL {
        bots.push(bot(&format!("bot with every scope as {}", role.name()), project, role, &every));
    }
    let tomorrow = json!(forge.clock.date(1));
    let expired = bot_until("expired token", project, Role::Maintainer, &every, tomorrow);
    bots.push(Asker { life: Life::Expired, ..expired });
    let revoked = bot("revoked token", project, Role::Maintainer, &every);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", revoked.token))).expect(204);
    bots.push(Asker { life: Life::Revoked, ..revoked });
    bots
}

/// The bot of a group: its role holds in the group and everywhere below.
fn group_bot(
    forge: &TestForge,
    name: &str,
    group: &Group,
    role: Role,
    scopes: &[&str],
    expires_at: Value,
) -> Asker {
    let body =
        json!({ "name": "ci", "scopes": scopes, "access_level": role.level(), "expires_at": expires_at });
    let made = forge.group_token_with(group, body);
    let known = Known {
        kind: CallerKind::Bot,
        administrator: false,
        external: true,
        scopes: ScopeSet::parse(scopes.iter().copied(), ScopeSet::all()).unwrap(),
    };
    Asker {
        name: name.to_owned(),
        secret: Some(made.secret),
        cookie: None,
        life: Life::Alive,
        caller: Caller::Known(known),
        role: Some(role),
        token: made.token_id,
        at_home: true,
    }
}

/// The bots of a group, as [`bots`] of a project.
fn group_bots(forge: &TestForge, group: &Group) -> Vec<Asker> {
    let every: Vec<_> = ScopeSet::FOR_PROJECT_TOKENS.names().collect();
    let mut bots = Vec::new();
    for scope in &every {
        let name = format!("group bot with {scope} as Owner");
        bots.push(group_bot(forge, &name, group, Role::Owner, &[scope], Value::Null));
    }
    for role in Role::ALL {
        let name = format!("group bot with every scope as {}", role.name());
        bots.push(group_bot(forge, &name, group, role, &every, Value::Null));
    }
    let tomorrow = json!(forge.clock.date(1));
    let expired = group_bot(forge, "expired group token", group, Role::Owner, &every, tomorrow);
    bots.push(Asker { life: Life::Expired, ..expired });
    let revoked = group_bot(forge, "revoked group token", group, Role::Owner, &every, Value::Null);
    forge.root().delete(&group.path(&format!("/access_tokens/{}", revoked.token))).expect(204);
    bots.push(Asker { life: Life::Revoked, ..revoked });
    bots
}

/// The people, who are the same everywhere.
struct People {
    members: Vec<(Person, Role)>,
    external_member: Person,
    blocked: Person,
    /// A member of the group that all projects are in, of no project itself.
    heir: Person,
    stranger: Person,
    external: Person,
}

impl People {
    fn new(forge: &TestForge) -> People {
        People {
            members: Role::ALL.into_iter().map(|role| (forge.person(role.name()), role)).collect(),
            external_member: forge.external_person("external-member"),
            blocked: forge.person("blocked"),
            heir: forge.person("heir"),
            stranger: forge.person("stranger"),
            external: forge.external_person("external"),
        }
    }

    fn guest(&self) -> i64 {
        self.members[0].0.id
    }

    fn join(&self, forge: &TestForge, path: &str) {
        let add = |person: &Person, role: Role| {
            let body = json!({ "user_id": person.id, "access_level": role.level() });
            forge.root().post(&format!("{path}/members"), body).expect(201);
        };
        for (person, role) in &self.members {
            add(person, *role);
        }
        add(&self.external_member, Role::Developer);
        add(&self.blocked, Role::Maintainer);
    }

    /// Returns who asks at a place that all but the last three of them are members of.
    fn askers(&self, forge: &TestForge) -> Vec<Asker> {
        let every: Vec<_> = ScopeSet::FOR_PERSONAL_TOKENS.names().collect();
        let mut askers = vec![Asker {
            name: "nobody".to_owned(),
            secret: None,
            life: Life::Alive,
            caller: Caller::Anonymous,
            role: None,
            token: 1,
            at_home: false,
            cookie: None,
        }];
        for (member, role) in &self.members {
            askers.push(person(forge, role.name(), member, Some(*role), false, &every));
        }
        let (maintainer, role) = &self.members[4];
        for scope in &every {
            askers.push(person(
                forge,
                &format!("Maintainer with {scope}"),
                maintainer,
                Some(*role),
                false,
                &[scope],
            ));
        }
        let developer = Some(Role::Developer);
        askers.push(person(forge, "external Developer", &self.external_member, developer, true, &every));
        askers.push(person(forge, "stranger", &self.stranger, None, false, &every));
        askers.push(person(forge, "external user", &self.external, None, true, &every));
        let blocked =
            person(forge, "blocked Maintainer", &self.blocked, Some(Role::Maintainer), false, &every);
        askers.push(Asker { life: Life::Blocked, ..blocked });
        for scopes in [every, vec!["read_api"]] {
            let secret = forge.personal_token("root", &scopes);
            let scopes = ScopeSet::parse(scopes, ScopeSet::all()).unwrap();
            let known = Known { kind: CallerKind::Person, administrator: true, external: false, scopes };
            askers.push(Asker {
                name: format!("administrator with {}", scopes.to_text()),
                token: token_id(forge, &secret),
                secret: Some(secret),
                life: Life::Alive,
                caller: Caller::Known(known),
                role: None,
                at_home: false,
                cookie: None,
            });
        }
        askers.extend(self.sessions(forge));
        askers
    }

    /// Returns the same people as they come with a browser. One of them is blocked later, and is nobody then.
    fn sessions(&self, forge: &TestForge) -> Vec<Asker> {
        let known = |external, administrator| {
            Caller::Known(Known {
                kind: CallerKind::Person,
                administrator,
                external,
                scopes: ScopeSet::FOR_PERSONAL_TOKENS,
            })
        };
        let session = |name: &str, username: &str, caller, role| Asker {
            name: format!("session of {name}"),
            token: 0,
            secret: None,
            life: Life::Alive,
            caller,
            role,
            at_home: false,
            cookie: Some(forge.session(username)),
        };
        let mut sessions: Vec<_> = self
            .members
            .iter()
            .map(|(member, role)| session(role.name(), &member.username, known(false, false), Some(*role)))
            .collect();
        let developer = Some(Role::Developer);
        sessions.extend([
            session("external Developer", &self.external_member.username, known(true, false), developer),
            session("stranger", &self.stranger.username, known(false, false), None),
            session("external user", &self.external.username, known(true, false), None),
            session("blocked Maintainer", &self.blocked.username, Caller::Anonymous, None),
            session("administrator", "root", known(false, true), None),
        ]);
        sessions
    }
}

/// What kind of project is asked about.
struct Kind {
    visibility: Visibility,
    archived: bool,
    features: FeatureAccess,
}

impl Kind {
    /// Returns every visibility, living and archived, and a public project whose parts are not for everybody.
    fn all() -> Vec<Kind> {
        let mut kinds = Vec::new();
        for visibility in Visibility::ALL {
            for archived in [false, true] {
                kinds.push(Kind { visibility, archived, features: FeatureAccess::Enabled });
            }
        }
        for features in [FeatureAccess::Private, FeatureAccess::Disabled] {
            kinds.push(Kind { visibility: Visibility::Public, archived: false, features });
        }
        kinds
    }
}

fn project_place(
    forge: &TestForge,
    people: &People,
    everybody: &[Asker],
    foreign: &Asker,
    project: &Project<'_>,
    kind: Kind,
) -> Place {
    let Kind { visibility, archived, features } = kind;
    people.join(forge, &project.path(""));
    let iid = forge.root().issue(project.id, "an issue");
    assert_eq!(iid, 1);
    let note =
        forge.root().post(&project.path("/issues/1/notes"), json!({ "body": "a comment" })).expect(201);
    let branch = json!({ "branch": "topic", "ref": "main" });
    forge.root().post(&project.path("/repository/branches"), branch).expect(201);
    let merge_request =
        json!({ "source_branch": "topic", "target_branch": "main", "title": "a merge request" });
    forge.root().post(&project.path("/merge_requests"), merge_request).expect(201);
    forge.root().get(&project.path("/merge_requests/1")).expect(200);
    let versions = forge.root().get(&project.path("/merge_requests/1/versions")).expect(200).json();
    let version = versions[0]["id"].as_i64().unwrap();
    let merge_request_note = forge
        .root()
        .post(&project.path("/merge_requests/1/notes"), json!({ "body": "a comment" }))
        .expect(201)
        .json()["id"]
        .as_i64()
        .unwrap();
    let note = note.json()["id"].as_i64().unwrap();
    let awards = [
        "/issues/1".to_owned(),
        format!("/issues/1/notes/{note}"),
        "/merge_requests/1".to_owned(),
        format!("/merge_requests/1/notes/{merge_request_note}"),
    ];
    let awards = awards.map(|on| {
        let path = project.path(&format!("{on}/award_emoji"));
        forge.root().post(&path, json!({ "name": "tada" })).expect(201).json()["id"].as_i64().unwrap()
    });
    let other = forge.root().issue(project.id, "another issue");
    let link = json!({ "target_project_id": project.id, "target_issue_iid": other });
    let issue_link = forge.root().post(&project.path("/issues/1/links"), link).expect(201).json();
    let mut askers = everybody.to_vec();
    askers.push(foreign.clone());
    askers.extend(bots(forge, project));
    let token = project.token(&["api"], 10).token_id;
    forge.image_in(project).push_image("latest", "an image");
    let hook = json!({ "url": "https://hooks.example.com/", "push_events": false });
    let hook = forge.root().post(&project.path("/hooks"), hook).expect(201).json();
    let uploaded = forge.root().upload(project.id, "a.bin", b"a file").expect(201).json();
    let secret = uploaded["url"].as_str().unwrap().split('/').nth(2).unwrap().to_owned();
    let published = forge.root().publish(project.id, "tool/1.0/a.bin?select=package_file", b"a file");
    let published = published.expect(201).json();
    let repositories = forge.root().get(&project.path("/registry/repositories")).expect(200).json();
    let label = json!({ "name": "bug", "color": "red" });
    let label = forge.root().post(&project.path("/labels"), label).expect(201).json();
    let milestone =
        forge.root().post(&project.path("/milestones"), json!({ "title": "m" })).expect(201).json();
    let link = json!({ "name": "a", "url": "https://example.com/a", "filepath": "/a" });
    let release = json!({ "tag_name": "r1", "ref": "main", "assets": { "links": [link] } });
    let release = forge.root().post(&project.path("/releases"), release).expect(201).json();
    if features != FeatureAccess::Enabled {
        let body = json!({
            "issues_access_level": features.name(),
            "merge_requests_access_level": features.name(),
            "repository_access_level": features.name(),
            "container_registry_access_level": features.name(),
            "package_registry_access_level": features.name(),
        });
        forge.root().put(&project.path(""), body).expect(200);
    }
    if archived {
        forge.root().post(&project.path("/archive"), Value::Null).expect(201);
    }
    let audit = forge.root().get(&project.path("/audit_events")).expect(200).json();
    let state = if archived { "archived " } else { "" };
    Place {
        name: format!("{state}{} project, features {}", visibility.name(), features.name()),
        id: project.id.to_string(),
        path: project.full_path.clone(),
        facts: Some(ResourceFacts {
            visibility,
            role: None,
            archived,
            repository: features,
            issues: features,
            container_registry: features,
            packages: features,
            merge_requests: features,
        }),
        askers,
        token,
        note,
        merge_request_note,
        awards,
        issue_link: issue_link["id"].as_i64().unwrap(),
        audit_event: audit[0]["id"].as_i64().unwrap(),
        repository: repositories[0]["id"].as_i64().unwrap(),
        upload: (uploaded["id"].as_i64().unwrap(), secret),
        package: (published["package_id"].as_i64().unwrap(), published["id"].as_i64().unwrap()),
        label: label["id"].as_i64().unwrap(),
        milestone: milestone["id"].as_i64().unwrap(),
        link: release["assets"]["links"][0]["id"].as_i64().unwrap(),
        hook: hook["id"].as_i64().unwrap(),
        version,
    }
}

/// Everything that is asked about: projects, groups, and the instance.
struct World {
    projects: Vec<Place>,
    groups: Vec<Place>,
    instance: Vec<Place>,
    guest: i64,
    group: i64,
}

impl World {
    fn new(forge: &TestForge, kinds: Vec<Kind>) -> World {
        let people = People::new(forge);
        let house = forge.group("house", "public");
        let body = json!({ "user_id": people.heir.id, "access_level": 30 });
        forge.root().post(&format!("/groups/{}/members", house.id), body).expect(201);
        let everybody = people.askers(forge);
        let heir =
            person(forge, "Developer by inheritance", &people.heir, Some(Role::Developer), false, &["api"]);

        let elsewhere = forge.project("private");
        let body = json!({ "user_id": people.guest(), "access_level": 10 });
        forge.root().post(&elsewhere.path("/members"), body).expect(201);
        let every: Vec<_> = ScopeSet::FOR_PROJECT_TOKENS.names().collect();
        let foreign = bot("bot of another project", &elsewhere, Role::Owner, &every);
        let foreign = Asker { role: None, at_home: false, ..foreign };

        let other = forge.group("other", "private");
        let body = json!({ "user_id": people.guest(), "access_level": 10 });
        forge.root().post(&other.path("/members"), body).expect(201);
        let stranger = group_bot(forge, "bot of another group", &other, Role::Owner, &every, Value::Null);
        let mut inside = everybody.clone();
        inside.push(heir.clone());
        inside.push(Asker { role: None, at_home: false, ..stranger });
        // The tokens of the group that all projects are in work in each of them, and are tokens of none.
        let of_house = group_bots(forge, &house).into_iter();
        // What each scope is worth does not depend on what gives the role: that is asked by the bots of the project itself.
        let of_house = of_house.filter(|bot| bot.life != Life::Alive || bot.name.contains("every scope"));
        inside.extend(of_house.map(|bot| Asker { at_home: false, ..bot }));
        let mut projects = Vec::new();
        for kind in kinds {
            let project = forge.project_in(&house, kind.visibility.name());
            projects.push(project_place(forge, &people, &inside, &foreign, &project, kind));
        }

        let nowhere = |askers: &[Asker]| {
            askers
                .iter()
                .map(|asker| Asker { role: None, at_home: false, ..asker.clone() })
                .collect::<Vec<_>>()
        };
        // At a place that is no project of theirs, bots are bots of another project.
        let asking = nowhere(&projects[0].askers);
        let missing = |path: &str, askers: Vec<Asker>| Place {
            name: "nothing".to_owned(),
            id: "999999999".to_owned(),
            path: path.to_owned(),
            facts: None,
            askers,
            token: 1,
            note: 1,
            merge_request_note: 1,
            awards: [1; 4],
            issue_link: 1,
            audit_event: 1,
            repository: 999_999_999,
            upload: (1, "0".repeat(32)),
            package: (1, 1),
            label: 1,
            milestone: 1,
            link: 1,
            hook: 1,
            version: 1,
        };
        let mut groups = Vec::new();
        let mut of_group = everybody.clone();
        of_group.extend(asking[everybody.len()..].iter().cloned());
        for visibility in Visibility::ALL {
            let group = forge.group(&forge.word("team"), visibility.name());
            people.join(forge, &format!("/groups/{}", group.id));
            let mut askers = of_group.clone();
            askers.extend(group_bots(forge, &group));
            let token = forge.group_token(&group, &["api"], 10).token_id;
            groups.push(Place {
                name: format!("{} group", visibility.name()),
                id: group.id.to_string(),
                path: group.full_path.clone(),
                facts: Some(resource(visibility, None)),
                askers,
                token,
                note: 1,
                merge_request_note: 1,
                awards: [1; 4],
                issue_link: 1,
                audit_event: 1,
                repository: 999_999_999,
                upload: (1, "0".repeat(32)),
                package: (1, 1),
                label: 1,
                milestone: 1,
                link: 1,
                hook: 1,
                version: 1,
            });
        }
        let group = groups[2].id.parse().unwrap();
        groups.push(missing("no-such-group", asking.clone()));
        projects.push(missing("house/no-such-project", asking.clone()));
        // The instance has no roles; those of the public group say who may use that namespace.
        let instance =
            vec![Place { name: "the instance".to_owned(), askers: of_group, ..missing("", Vec::new()) }];

        forge.root().post(&format!("/users/{}/block", people.blocked.id), Value::Null).expect(201);
        forge.clock.advance_days(2);
        World { projects, groups, instance, guest: people.guest(), group }
    }

    fn places(&self, route: &Route, action: Option<Action>) -> &[Place] {
        match action.map(Action::on) {
            Some(On::Project) => &self.projects,
            Some(On::Group) => &self.groups,
            Some(On::Namespace) => {
                panic!("{route:?}: no route is about a namespace yet; add places that are some")
            }
            Some(On::Instance) => &self.instance,
            // What is public is the same whatever the address names.
            None if route.path.contains("{id}") => &self.projects,
            None => &self.instance,
        }
    }
}

/// Gets a bearer for one action at the token endpoint, or the answer of who is turned away there.
fn bearer_for(
    client: &portcullis_testkit::Caller,
    action: Option<Action>,
    place: &Place,
    asker: &Asker,
) -> Result<String, (u16, String)> {
    let word = match action {
        Some(Action::PullImage) => "pull",
        Some(Action::PushImage) => "push",
        Some(Action::DeleteImage) => "delete",
        _ => "*",
    };
    let scope = match action {
        None => String::new(),
        Some(Action::ReadCatalog) => "&scope=registry:catalog:*".to_owned(),
        Some(_) => format!("&scope=repository:{}:{word}", place.path),
    };
    let authorization = basic("any", asker.secret.as_deref().unwrap_or_default());
    let headers = [("authorization", authorization.as_str())];
    let headers = if asker.secret.is_some() { &headers[..] } else { &[] };
    let came = client.send("GET", &format!("/jwt/auth?service=container_registry{scope}"), headers, b"");
    if came.status == 200 {
        Ok(format!("Bearer {}", came.json()["token"].as_str().unwrap()))
    } else {
        Err((came.status, came.text))
    }
}

/// Sends one request and returns what came back.
fn ask(
    client: &portcullis_testkit::Caller,
    route: &Route,
    action: Option<Action>,
    place: &Place,
    address: &str,
    asker: &Asker,
) -> (u16, String) {
    let secret = asker.secret.as_deref().unwrap_or_default();
    let authorization = basic("git", secret);
    let by_bearer = route.door == Door::Registry && (action.is_some() || route.path == "/v2/");
    let bearer = match by_bearer.then(|| bearer_for(client, action, place, asker)) {
        Some(Err(turned_away)) => return turned_away,
        Some(Ok(bearer)) => bearer,
        None => String::new(),
    };
    let mut headers = Vec::new();
    match (asker.secret.is_some(), route.door) {
        _ if by_bearer => headers.push(("authorization", bearer.as_str())),
        (false, _) if asker.cookie.is_some() => {
            headers.push(("cookie", asker.cookie.as_deref().unwrap_or_default()));
        }
        (false, _) => {}
        (true, Door::Git | Door::Lfs | Door::Registry) => {
            headers.push(("authorization", authorization.as_str()))
        }
        (true, _) => headers.push(("private-token", secret)),
    }
    let body: &[u8] = if route.method == "GET" { b"" } else { b"{ this is no JSON" };
    if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    if route.door == Door::Pages {
        headers.push(("origin", client.url.as_str()));
    }
    let came = client.send(route.method.as_str(), address, &headers, body);
    let challenged = came.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic "));
    assert_eq!(
        challenged,
        came.status == 401 && (matches!(route.door, Door::Git | Door::Lfs) || route.path == "/jwt/auth"),
        "{route:?}: who asks for Basic credentials?"
    );
    (came.status, came.text)
}

#[test]
fn every_route_answers_every_caller_as_the_rules_decide() {
    let forge = forge!(|settings| {
        // An address alone opens nothing here, so that the rule is what is asked.
        settings.metrics_allow.clear();
    });
    let begun = std::time::Instant::now();
    let world = World::new(&forge, Kind::all());
    let prepared = begun.elapsed();
    let routes = table();
    let mut cells = Vec::new();
    for route in &routes {
        for action in actions(route) {
            for place in world.places(route, action) {
                // That a session opens nothing but pages is asked of one who could do the most with it.
                let asks = |asker: &&Asker| {
                    asker.cookie.is_none()
                        || route.door == Door::Pages
                        || asker.name == "session of administrator"
                };
                cells.extend(place.askers.iter().filter(asks).map(|asker| (route, action, place, asker)));
            }
        }
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = forge.anyone();
                while let Some((route, action, place, asker)) =
                    cells.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let address = address(route, *action, place, asker, world.guest, world.group);
                    let expected = expected(route, *action, place, asker);
                    let (status, body) = ask(&client, route, *action, place, &address, asker);
                    if !expected.fits(status, &body) {
                        let body: String = body.chars().take(300).collect();
                        wrong.lock().unwrap().push(format!(
                            "{} {} as {} at {} ({address}):\n  expected {} {}\n  got      {status} {body}",
                            route.method, route.path, asker.name, place.name, expected.0, expected.1,
                        ));
                    }
                }
            });
        }
    });
    println!(
        "{} cells: {} routes; prepared in {:.1} s, asked in {:.1} s",
        cells.len(),
        routes.len(),
        prepared.as_secs_f64(),
        (begun.elapsed() - prepared).as_secs_f64(),
    );
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} cells are wrong:\n{}",
        wrong.len(),
        cells.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(cells.len() > 10_000, "only {} cells", cells.len());
}

/// A list and the answers about its items are two queries; whoever is shown something is not told that it is not there.
#[test]
fn what_a_list_shows_can_be_read_alone() {
    let forge = forge!();
    let private = Kind { visibility: Visibility::Private, archived: false, features: FeatureAccess::Enabled };
    let world = World::new(&forge, vec![private]);
    let everywhere = [
        ("/namespaces", "id"),
        ("/groups", "id"),
        ("/projects", "id"),
        ("/users", "id"),
        ("/personal_access_tokens", "id"),
    ];
    let in_project = [
        ("/members", "id"),
        ("/members/all", "id"),
        ("/access_tokens", "id"),
        ("/protected_branches", "name"),
        ("/issues", "iid"),
        ("/issues/1/notes", "id"),
        ("/issues/1/discussions", "id"),
        ("/issues/1/award_emoji", "id"),
        ("/merge_requests", "iid"),
        ("/merge_requests/1/notes", "id"),
        ("/merge_requests/1/discussions", "id"),
        ("/merge_requests/1/award_emoji", "id"),
        ("/audit_events", "id"),
        ("/uploads", "id"),
        ("/packages", "id"),
        ("/labels", "id"),
        ("/milestones", "id"),
        ("/releases", "tag_name"),
        ("/releases/r1/assets/links", "id"),
        ("/hooks", "id"),
    ];
    let place = &world.projects[0];
    let in_project = in_project.map(|(list, key)| (format!("/projects/{}{list}", place.id), key));
    let lists = everywhere.map(|(list, key)| (list.to_owned(), key)).into_iter().chain(in_project);
    let mut read = 0;
    for (list, key) in lists {
        for asker in &place.askers {
            let mut caller = forge.anyone();
            caller.token.clone_from(&asker.secret);
            let listed = caller.get(&format!("{list}?per_page=4"));
            if listed.status != 200 {
                continue;
            }
            for item in listed.json().as_array().unwrap() {
                let one = format!("{list}/{}", item[key].to_string().trim_matches('"'));
                let answer = caller.get(&one);
                assert_eq!(answer.status, 200, "{one} as {}: {}", asker.name, answer.text);
                read += 1;
            }
        }
    }
    println!("{read} items");
    assert!(read > 500, "only {read} items");
}
