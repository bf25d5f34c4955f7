//! Every route, grouped by door. The table is what is routed, what is documented and what the matrix test walks.

use axum::Router;
use axum::extract::OriginalUri;
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use portcullis_app::noteables::{OnIssue, OnMergeRequest};
use portcullis_app::registry::protocol::ErrorCode;

use crate::AppState;
use crate::api::tokens::{OnGroup, OnProject};
use crate::door::Door;
use crate::error::{ApiError, GitError, LfsError, RegistryError};
use crate::guard::{Access, Guard};
use crate::pages::PageError;
use crate::{api, git, lfs, operations, pages, registry, uploaded};

/// One route.
pub struct Route {
    /// The door it belongs to.
    pub door: Door,
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces; `{id}` is the place that the access rule is about.
    pub path: &'static str,
    /// The access rule, read from the handler's first argument.
    pub access: Access,
    /// What it does, in a few words.
    pub about: &'static str,
    handler_name: &'static str,
    handler: MethodRouter<AppState>,
}

impl Route {
    /// Returns the path of the function that answers it, such as `api::issues::create`.
    pub fn handler_name(&self) -> &'static str {
        self.handler_name
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The argument lists that begin with a guard. A handler without one cannot become a route.
pub trait BeginsWithGuard {
    /// The access rule.
    const ACCESS: Access;
}

macro_rules! begins_with_guard {
    ($($rest:ident),*) => {
        impl<M, G: Guard, $($rest),*> BeginsWithGuard for (M, G, $($rest,)*) {
            const ACCESS: Access = G::ACCESS;
        }
    };
}

begins_with_guard!();
begins_with_guard!(A);
begins_with_guard!(A, B);
begins_with_guard!(A, B, C);
begins_with_guard!(A, B, C, D);
begins_with_guard!(A, B, C, D, E);

fn route<H, T>(
    door: Door,
    method: Method,
    path: &'static str,
    about: &'static str,
    (handler_name, handler): (&'static str, H),
) -> Route
where
    H: Handler<T, AppState>,
    T: BeginsWithGuard + 'static,
{
    let filter = match method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    let handler = match (door, &method) {
        (Door::Pages, &Method::GET) => pages::compression::for_who_looks(on(filter, handler)),
        _ => on(filter, handler),
    };
    Route { door, method, path, access: T::ACCESS, about, handler_name, handler }
}

macro_rules! table {
    ($($door:ident { $($method:ident $path:literal $about:literal => $handler:path;)* })*) => {
        vec![$($(route(Door::$door, Method::$method, $path, $about, (stringify!($handler), $handler)),)*)*]
    };
}

/// Returns every route.
#[rustfmt::skip]
pub fn table() -> Vec<Route> {
    table! {
        Api {
            GET "/api/v4/version" "the version" => api::version::get;
            GET "/api/v4/metadata" "the version and what is installed" => api::version::metadata;
            GET "/api/v4/openapi.json" "this API, in the words of OpenAPI" => api::openapi::get;
            GET "/api/v4/application/statistics" "counts and seats" => api::statistics::get;
            POST "/api/v4/usage_data/track_event" "tell what a client was used for; nothing is kept" => api::usage_data::track_event;
            GET "/api/v4/audit_events" "the audit log of the instance" => api::audit_events::list_of_instance;

            GET "/api/v4/user" "the caller's account" => api::users::get_own;
            GET "/api/v4/users" "users" => api::users::list;
            POST "/api/v4/users" "create a person" => api::users::create;
            GET "/api/v4/users/{user_id}" "a user" => api::users::get;
            DELETE "/api/v4/users/{user_id}" "delete a person" => api::users::delete;
            PATCH "/api/v4/users/{user_id}/disable_two_factor" "take a person's second factor away" => api::users::disable_two_factor;
            POST "/api/v4/users/{user_id}/block" "block a person" => api::users::block;
            POST "/api/v4/users/{user_id}/unblock" "end a block" => api::users::unblock;
            GET "/api/v4/users/{user_id}/status" "a user's status" => api::users::status;
            GET "/api/v4/users/{user_id}/projects" "projects in a person's own namespace" => api::projects::list_of_user;
            POST "/api/v4/users/{user_id}/personal_access_tokens" "make a personal access token" => api::personal_tokens::create;

            GET "/api/v4/personal_access_tokens" "personal access tokens" => api::personal_tokens::list;
            GET "/api/v4/personal_access_tokens/self" "the presented token" => api::personal_tokens::get_own;
            DELETE "/api/v4/personal_access_tokens/self" "revoke the presented token" => api::personal_tokens::revoke_own;
            GET "/api/v4/personal_access_tokens/self/associations" "what the presented token reaches" => api::personal_tokens::associations;
            POST "/api/v4/personal_access_tokens/self/rotate" "replace the presented token" => api::personal_tokens::rotate_own;
            GET "/api/v4/personal_access_tokens/{token_id}" "a personal access token" => api::personal_tokens::get;
            DELETE "/api/v4/personal_access_tokens/{token_id}" "revoke a personal access token" => api::personal_tokens::revoke;
            POST "/api/v4/personal_access_tokens/{token_id}/rotate" "replace a personal access token" => api::personal_tokens::rotate;

            GET "/api/v4/todos" "what the caller keeps for later" => api::todos::list;
            POST "/api/v4/todos/mark_as_done" "say that everything kept is done" => api::todos::mark_all_as_done;
            POST "/api/v4/todos/{todo_id}/mark_as_done" "say that something kept is done" => api::todos::mark_as_done;

            GET "/api/v4/namespaces" "namespaces the caller may use" => api::namespaces::list;
            GET "/api/v4/namespaces/{namespace_id}" "a namespace" => api::namespaces::get;
            PUT "/api/v4/namespaces/{namespace_id}" "set the plan" => api::namespaces::update;
            GET "/api/v4/namespaces/{namespace_id}/exists" "whether a path is taken" => api::namespaces::exists;

            GET "/api/v4/groups" "groups" => api::groups::list;
            POST "/api/v4/groups" "create a group" => api::groups::create;
            GET "/api/v4/groups/{id}" "a group" => api::groups::get;
            PUT "/api/v4/groups/{id}" "change a group" => api::groups::update;
            DELETE "/api/v4/groups/{id}" "delete a group" => api::groups::delete;
            GET "/api/v4/groups/{id}/projects" "projects of a group" => api::projects::list_of_group;
            GET "/api/v4/groups/{id}/subgroups" "groups inside a group" => api::groups::subgroups;
            GET "/api/v4/groups/{id}/descendant_groups" "groups anywhere inside a group" => api::groups::descendants;
            GET "/api/v4/groups/{id}/merge_requests" "merge requests of the projects of a group" => api::merge_requests::list_of_group;
            GET "/api/v4/groups/{id}/issues" "issues of the projects of a group" => api::issues::list_of_group;
            GET "/api/v4/groups/{id}/members" "direct members of a group" => api::members::list_of_group;
            POST "/api/v4/groups/{id}/members" "add a member" => api::members::add_to_group;
            GET "/api/v4/groups/{id}/members/all" "members of a group, inherited ones too" => api::members::list_all_of_group;
            GET "/api/v4/groups/{id}/members/all/{user_id}" "a member, inherited or not" => api::members::get_all_of_group;
            GET "/api/v4/groups/{id}/members/{user_id}" "a direct member" => api::members::get_of_group;
            POST "/api/v4/groups/{id}/invitations" "add users by id or mail address" => api::members::invite_to_group;
            PUT "/api/v4/groups/{id}/members/{user_id}" "change a member" => api::members::update_of_group;
            DELETE "/api/v4/groups/{id}/members/{user_id}" "remove a member" => api::members::remove_from_group;

            GET "/api/v4/groups/{id}/access_tokens" "group access tokens" => api::tokens::list::<OnGroup>;
            POST "/api/v4/groups/{id}/access_tokens" "create a group access token" => api::tokens::create::<OnGroup>;
            POST "/api/v4/groups/{id}/access_tokens/self/rotate" "replace the presented group access token" => api::tokens::rotate_own::<OnGroup>;
            GET "/api/v4/groups/{id}/access_tokens/self" "the presented group access token" => api::tokens::get_own::<OnGroup>;
            GET "/api/v4/groups/{id}/access_tokens/{token_id}" "a group access token" => api::tokens::get::<OnGroup>;
            DELETE "/api/v4/groups/{id}/access_tokens/{token_id}" "revoke a group access token" => api::tokens::revoke::<OnGroup>;
            POST "/api/v4/groups/{id}/access_tokens/{token_id}/rotate" "replace a group access token" => api::tokens::rotate::<OnGroup>;

            GET "/api/v4/projects" "projects" => api::projects::list;
            POST "/api/v4/projects" "create a project" => api::projects::create;
            GET "/api/v4/projects/{id}" "a project" => api::projects::get;
            PUT "/api/v4/projects/{id}" "change a project" => api::projects::update;
            DELETE "/api/v4/projects/{id}" "delete a project" => api::projects::delete;
            POST "/api/v4/projects/{id}/archive" "make a project read-only" => api::projects::archive;
            POST "/api/v4/projects/{id}/unarchive" "make a project writable again" => api::projects::unarchive;

            GET "/api/v4/projects/{id}/members" "direct members" => api::members::list;
            POST "/api/v4/projects/{id}/members" "add a member" => api::members::add;
            GET "/api/v4/projects/{id}/members/all" "members, inherited ones too" => api::members::list_all;
            GET "/api/v4/projects/{id}/members/all/{user_id}" "a member, inherited or not" => api::members::get_all;
            GET "/api/v4/projects/{id}/members/{user_id}" "a direct member" => api::members::get;
            POST "/api/v4/projects/{id}/invitations" "add users by id or mail address" => api::members::invite;
            PUT "/api/v4/projects/{id}/members/{user_id}" "change a member" => api::members::update;
            DELETE "/api/v4/projects/{id}/members/{user_id}" "remove a member" => api::members::remove;

            GET "/api/v4/projects/{id}/access_tokens" "project access tokens" => api::tokens::list::<OnProject>;
            POST "/api/v4/projects/{id}/access_tokens" "create a project access token" => api::tokens::create::<OnProject>;
            POST "/api/v4/projects/{id}/access_tokens/self/rotate" "replace the presented project access token" => api::tokens::rotate_own::<OnProject>;
            GET "/api/v4/projects/{id}/access_tokens/self" "the presented project access token" => api::tokens::get_own::<OnProject>;
            GET "/api/v4/projects/{id}/access_tokens/{token_id}" "a project access token" => api::tokens::get::<OnProject>;
            DELETE "/api/v4/projects/{id}/access_tokens/{token_id}" "revoke a project access token" => api::tokens::revoke::<OnProject>;
            POST "/api/v4/projects/{id}/access_tokens/{token_id}/rotate" "replace a project access token" => api::tokens::rotate::<OnProject>;

            GET "/api/v4/projects/{id}/protected_branches" "branch protections" => api::protected_branches::list;
            POST "/api/v4/projects/{id}/protected_branches" "protect a branch" => api::protected_branches::protect;
            GET "/api/v4/projects/{id}/protected_branches/{name}" "a branch protection" => api::protected_branches::get;
            PATCH "/api/v4/projects/{id}/protected_branches/{name}" "change a branch protection" => api::protected_branches::update;
            DELETE "/api/v4/projects/{id}/protected_branches/{name}" "remove a branch protection" => api::protected_branches::unprotect;

            GET "/api/v4/projects/{id}/protected_tags" "tag protections" => api::protected_tags::list;
            POST "/api/v4/projects/{id}/protected_tags" "protect a tag" => api::protected_tags::protect;
            GET "/api/v4/projects/{id}/protected_tags/{name}" "a tag protection" => api::protected_tags::get;
            DELETE "/api/v4/projects/{id}/protected_tags/{name}" "remove a tag protection" => api::protected_tags::unprotect;

            GET "/api/v4/projects/{id}/repository/branches" "branches" => api::branches::list;
            GET "/api/v4/projects/{id}/repository/branches/{branch}" "a branch" => api::branches::get;
            GET "/api/v4/projects/{id}/repository/tags" "tags" => api::tags::list;
            GET "/api/v4/projects/{id}/repository/tags/{tag}" "a tag" => api::tags::get;
            GET "/api/v4/projects/{id}/repository/commits" "commits" => api::commits::list;
            GET "/api/v4/projects/{id}/repository/commits/{sha}" "a commit" => api::commits::get;
            GET "/api/v4/projects/{id}/repository/commits/{sha}/refs" "the branches and tags that a commit is in" => api::commits::refs;
            GET "/api/v4/projects/{id}/repository/commits/{sha}/sequence" "how many commits lead to one" => api::commits::sequence;
            GET "/api/v4/projects/{id}/repository/commits/{sha}/signature" "how a commit is signed" => api::commits::signature;
            GET "/api/v4/projects/{id}/repository/commits/{sha}/diff" "what a commit changed" => api::comparison::changes;
            GET "/api/v4/projects/{id}/repository/compare" "what lies between two commits" => api::comparison::compare;
            GET "/api/v4/projects/{id}/repository/merge_base" "what commits have in common" => api::comparison::merge_base;
            GET "/api/v4/projects/{id}/repository/contributors" "who contributed" => api::comparison::contributors;
            GET "/api/v4/projects/{id}/repository/tree" "what is in a folder" => api::trees::list;
            GET "/api/v4/projects/{id}/repository/files/{file_path}" "a file" => api::files::get;
            GET "/api/v4/projects/{id}/repository/files/{file_path}/raw" "the bytes of a file" => api::files::raw;
            GET "/api/v4/projects/{id}/repository/files/{file_path}/blame" "who wrote which lines of a file" => api::files::blame;
            GET "/api/v4/projects/{id}/repository/blobs/{sha}" "a blob" => api::files::blob;
            GET "/api/v4/projects/{id}/repository/blobs/{sha}/raw" "the bytes of a blob" => api::files::raw_blob;
            GET "/api/v4/projects/{id}/repository/archive" "an archive" => api::archives::download;
            GET "/api/v4/projects/{id}/repository/archive.tar" "an archive" => api::archives::download;
            GET "/api/v4/projects/{id}/repository/archive.tar.gz" "an archive" => api::archives::download;
            GET "/api/v4/projects/{id}/repository/archive.tgz" "an archive" => api::archives::download;
            GET "/api/v4/projects/{id}/repository/archive.zip" "an archive" => api::archives::download;

            POST "/api/v4/projects/{id}/repository/branches" "make a branch" => api::repository_changes::create_branch;
            DELETE "/api/v4/projects/{id}/repository/branches/{branch}" "delete a branch" => api::repository_changes::delete_branch;
            DELETE "/api/v4/projects/{id}/repository/merged_branches" "delete the branches that were merged" => api::repository_changes::delete_merged_branches;
            POST "/api/v4/projects/{id}/repository/tags" "make a tag" => api::repository_changes::create_tag;
            DELETE "/api/v4/projects/{id}/repository/tags/{tag}" "delete a tag" => api::repository_changes::delete_tag;
            POST "/api/v4/projects/{id}/repository/commits" "commit" => api::repository_changes::commit;
            POST "/api/v4/projects/{id}/repository/commits/{sha}/cherry_pick" "do once more what a commit changed" => api::repository_changes::cherry_pick;
            POST "/api/v4/projects/{id}/repository/commits/{sha}/revert" "take back what a commit changed" => api::repository_changes::revert;
            POST "/api/v4/projects/{id}/repository/files/{file_path}" "commit a new file" => api::repository_changes::create_file;
            PUT "/api/v4/projects/{id}/repository/files/{file_path}" "commit another content of a file" => api::repository_changes::update_file;
            DELETE "/api/v4/projects/{id}/repository/files/{file_path}" "commit that a file goes" => api::repository_changes::delete_file;

            GET "/api/v4/projects/{id}/repository/commits/{sha}/merge_requests" "merge requests that bring a commit" => api::merge_requests::of_commit;
            GET "/api/v4/projects/{id}/repository/commits/{sha}/statuses" "the statuses of a commit" => api::commit_statuses::list;
            POST "/api/v4/projects/{id}/statuses/{sha}" "report the status of a commit" => api::commit_statuses::create;

            GET "/api/v4/projects/{id}/pipelines" "pipelines, of which there are none" => api::pipelines::list;
            GET "/api/v4/projects/{id}/pipelines/latest" "a pipeline, of which there are none" => api::pipelines::get;
            GET "/api/v4/projects/{id}/pipelines/{pipeline_id}" "a pipeline, of which there are none" => api::pipelines::get;
            GET "/api/v4/projects/{id}/jobs" "jobs of pipelines, of which there are none" => api::pipelines::list;

            GET "/api/v4/projects/{id}/registry/repositories" "image repositories" => api::container_repositories::list;
            DELETE "/api/v4/projects/{id}/registry/repositories/{repository_id}" "delete an image repository" => api::container_repositories::delete;
            GET "/api/v4/projects/{id}/registry/repositories/{repository_id}/tags" "tags of an image repository" => api::container_tags::list;
            DELETE "/api/v4/projects/{id}/registry/repositories/{repository_id}/tags" "delete the tags that match" => api::container_tags::delete_in_bulk;
            GET "/api/v4/projects/{id}/registry/repositories/{repository_id}/tags/{tag_name}" "a tag" => api::container_tags::get;
            DELETE "/api/v4/projects/{id}/registry/repositories/{repository_id}/tags/{tag_name}" "delete a tag" => api::container_tags::delete;
            GET "/api/v4/projects/{id}/registry/protection/tag/rules" "rules about protected and immutable tags" => api::container_tag_rules::list;
            POST "/api/v4/projects/{id}/registry/protection/tag/rules" "protect tags, or make them immutable" => api::container_tag_rules::create;
            PATCH "/api/v4/projects/{id}/registry/protection/tag/rules/{rule_id}" "change a rule about tags" => api::container_tag_rules::update;
            DELETE "/api/v4/projects/{id}/registry/protection/tag/rules/{rule_id}" "remove a rule about tags" => api::container_tag_rules::delete;
            GET "/api/v4/groups/{id}/registry/repositories" "image repositories of a group" => api::container_repositories::list_of_group;
            GET "/api/v4/registry/repositories/{repository_id}" "an image repository" => api::container_repositories::get;

            GET "/api/v4/projects/{id}/hooks" "web hooks" => api::webhooks::list;
            POST "/api/v4/projects/{id}/hooks" "make a web hook" => api::webhooks::create;
            GET "/api/v4/projects/{id}/hooks/{hook_id}" "a web hook" => api::webhooks::get;
            PUT "/api/v4/projects/{id}/hooks/{hook_id}" "change a web hook" => api::webhooks::update;
            DELETE "/api/v4/projects/{id}/hooks/{hook_id}" "delete a web hook" => api::webhooks::delete;

            GET "/api/v4/projects/{id}/uploads" "uploaded files" => api::uploads::list;
            POST "/api/v4/projects/{id}/uploads" "upload a file" => api::uploads::create;
            GET "/api/v4/projects/{id}/uploads/{upload_id}" "the content of an uploaded file" => api::uploads::get;
            DELETE "/api/v4/projects/{id}/uploads/{upload_id}" "delete an uploaded file" => api::uploads::delete;
            GET "/api/v4/projects/{id}/uploads/{secret}/{file_name}" "the content of an uploaded file, by its address" => api::uploads::get_by_secret;
            DELETE "/api/v4/projects/{id}/uploads/{secret}/{file_name}" "delete an uploaded file, by its address" => api::uploads::delete_by_secret;

            GET "/api/v4/projects/{id}/packages" "packages" => api::packages::list;
            GET "/api/v4/projects/{id}/packages/{package_id}" "a package" => api::packages::get;
            DELETE "/api/v4/projects/{id}/packages/{package_id}" "delete a package" => api::packages::delete;
            GET "/api/v4/projects/{id}/packages/{package_id}/package_files" "the files of a package" => api::packages::list_files;
            DELETE "/api/v4/projects/{id}/packages/{package_id}/package_files/{package_file_id}" "delete a file of a package" => api::packages::delete_file;
            GET "/api/v4/projects/{id}/packages/generic/{package_name}/{package_version}/{*file_name}" "download a file of a package" => api::packages::download;
            PUT "/api/v4/projects/{id}/packages/generic/{package_name}/{package_version}/{*file_name}" "publish a file of a package" => api::packages::publish;

            GET "/api/v4/projects/{id}/terraform/state/{name}" "a state of infrastructure" => api::terraform_states::get;
            POST "/api/v4/projects/{id}/terraform/state/{name}" "write a state of infrastructure" => api::terraform_states::write;
            DELETE "/api/v4/projects/{id}/terraform/state/{name}" "delete a state of infrastructure" => api::terraform_states::delete;
            POST "/api/v4/projects/{id}/terraform/state/{name}/lock" "lock a state of infrastructure" => api::terraform_states::lock;
            DELETE "/api/v4/projects/{id}/terraform/state/{name}/lock" "unlock a state of infrastructure" => api::terraform_states::unlock;

            GET "/api/v4/issues" "issues of all projects" => api::issues::list_everywhere;
            GET "/api/v4/projects/{id}/issues" "issues" => api::issues::list;
            POST "/api/v4/projects/{id}/issues" "open an issue" => api::issues::create;
            GET "/api/v4/projects/{id}/issues/{iid}" "an issue" => api::issues::get;
            PUT "/api/v4/projects/{id}/issues/{iid}" "change an issue" => api::issues::update;
            DELETE "/api/v4/projects/{id}/issues/{iid}" "delete an issue" => api::issues::delete;
            GET "/api/v4/projects/{id}/issues/{iid}/closed_by" "merge requests that close an issue" => api::merge_requests::closing_issue;
            GET "/api/v4/projects/{id}/issues/{iid}/related_merge_requests" "merge requests that close an issue" => api::merge_requests::closing_issue;
            GET "/api/v4/projects/{id}/issues/{iid}/notes" "comments on an issue" => api::notes::list::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/notes" "comment on an issue" => api::notes::create::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}" "a comment" => api::notes::get::<OnIssue>;
            PUT "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}" "change a comment" => api::notes::update::<OnIssue>;
            DELETE "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}" "delete a comment" => api::notes::delete::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/discussions" "discussions on an issue" => api::discussions::list::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/discussions" "begin a discussion on an issue" => api::discussions::create::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/discussions/{discussion_id}" "a discussion" => api::discussions::get::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/discussions/{discussion_id}/notes" "answer in a discussion" => api::discussions::reply::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/discussions/{discussion_id}/notes/{note_id}" "a comment of a discussion" => api::discussions::get_note::<OnIssue>;
            PUT "/api/v4/projects/{id}/issues/{iid}/discussions/{discussion_id}/notes/{note_id}" "change a comment of a discussion" => api::discussions::update_note::<OnIssue>;
            DELETE "/api/v4/projects/{id}/issues/{iid}/discussions/{discussion_id}/notes/{note_id}" "delete a comment of a discussion" => api::discussions::delete_note::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/award_emoji" "reactions to an issue" => api::award_emoji::list::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/award_emoji" "react to an issue" => api::award_emoji::create::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/award_emoji/{award_id}" "a reaction" => api::award_emoji::get::<OnIssue>;
            DELETE "/api/v4/projects/{id}/issues/{iid}/award_emoji/{award_id}" "take a reaction back" => api::award_emoji::delete::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}/award_emoji" "reactions to a comment" => api::award_emoji::list::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}/award_emoji" "react to a comment" => api::award_emoji::create::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}/award_emoji/{award_id}" "a reaction" => api::award_emoji::get::<OnIssue>;
            DELETE "/api/v4/projects/{id}/issues/{iid}/notes/{note_id}/award_emoji/{award_id}" "take a reaction back" => api::award_emoji::delete::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/time_stats" "the time of an issue" => api::time_tracking::get::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/time_estimate" "say how long an issue takes" => api::time_tracking::estimate::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/reset_time_estimate" "say that nobody knows how long an issue takes" => api::time_tracking::reset_estimate::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/add_spent_time" "say how long was worked on an issue" => api::time_tracking::add_spent::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/reset_spent_time" "say that nobody worked on an issue" => api::time_tracking::reset_spent::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/todo" "keep an issue for later" => api::todos::create::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/subscribe" "ask to be told of an issue" => api::subscriptions::subscribe::<OnIssue>;
            POST "/api/v4/projects/{id}/issues/{iid}/unsubscribe" "ask not to be told of an issue" => api::subscriptions::unsubscribe::<OnIssue>;
            GET "/api/v4/projects/{id}/issues/{iid}/participants" "who takes part in an issue" => api::issues::participants;
            GET "/api/v4/projects/{id}/issues/{iid}/links" "issues that an issue is linked with" => api::issue_links::list;
            POST "/api/v4/projects/{id}/issues/{iid}/links" "link two issues" => api::issue_links::create;
            GET "/api/v4/projects/{id}/issues/{iid}/links/{issue_link_id}" "a link between issues" => api::issue_links::get;
            DELETE "/api/v4/projects/{id}/issues/{iid}/links/{issue_link_id}" "take a link between issues away" => api::issue_links::delete;

            GET "/api/v4/projects/{id}/merge_requests/{iid}/notes" "comments on a merge request" => api::notes::list::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/notes" "comment on a merge request" => api::notes::create::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}" "a comment" => api::notes::get::<OnMergeRequest>;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}" "change a comment" => api::notes::update::<OnMergeRequest>;
            DELETE "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}" "delete a comment" => api::notes::delete::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/discussions" "discussions on a merge request" => api::discussions::list::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/discussions" "begin a discussion on a merge request" => api::discussions::create::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}" "a discussion" => api::discussions::get::<OnMergeRequest>;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}" "settle a discussion, or open it again" => api::discussions::settle;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}/notes" "answer in a discussion" => api::discussions::reply::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}/notes/{note_id}" "a comment of a discussion" => api::discussions::get_note::<OnMergeRequest>;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}/notes/{note_id}" "change a comment of a discussion, or settle it" => api::discussions::update_or_settle;
            DELETE "/api/v4/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}/notes/{note_id}" "delete a comment of a discussion" => api::discussions::delete_note::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/award_emoji" "reactions to a merge request" => api::award_emoji::list::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/award_emoji" "react to a merge request" => api::award_emoji::create::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/award_emoji/{award_id}" "a reaction" => api::award_emoji::get::<OnMergeRequest>;
            DELETE "/api/v4/projects/{id}/merge_requests/{iid}/award_emoji/{award_id}" "take a reaction back" => api::award_emoji::delete::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}/award_emoji" "reactions to a comment" => api::award_emoji::list::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}/award_emoji" "react to a comment" => api::award_emoji::create::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}/award_emoji/{award_id}" "a reaction" => api::award_emoji::get::<OnMergeRequest>;
            DELETE "/api/v4/projects/{id}/merge_requests/{iid}/notes/{note_id}/award_emoji/{award_id}" "take a reaction back" => api::award_emoji::delete::<OnMergeRequest>;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/time_stats" "the time of a merge request" => api::time_tracking::get::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/time_estimate" "say how long a merge request takes" => api::time_tracking::estimate::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/reset_time_estimate" "say that nobody knows how long a merge request takes" => api::time_tracking::reset_estimate::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/add_spent_time" "say how long was worked on a merge request" => api::time_tracking::add_spent::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/reset_spent_time" "say that nobody worked on a merge request" => api::time_tracking::reset_spent::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/todo" "keep a merge request for later" => api::todos::create::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/subscribe" "ask to be told of a merge request" => api::subscriptions::subscribe::<OnMergeRequest>;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/unsubscribe" "ask not to be told of a merge request" => api::subscriptions::unsubscribe::<OnMergeRequest>;

            GET "/api/v4/merge_requests" "merge requests of all projects" => api::merge_requests::list_everywhere;
            GET "/api/v4/projects/{id}/merge_requests" "merge requests" => api::merge_requests::list;
            POST "/api/v4/projects/{id}/merge_requests" "open a merge request" => api::merge_requests::create;
            GET "/api/v4/projects/{id}/merge_requests/{iid}" "a merge request" => api::merge_requests::get;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}" "change a merge request" => api::merge_requests::update;
            DELETE "/api/v4/projects/{id}/merge_requests/{iid}" "delete a merge request" => api::merge_requests::delete;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/approve" "approve a merge request" => api::merge_requests::approve;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/unapprove" "take an approval back" => api::merge_requests::unapprove;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/approvals" "who approved a merge request" => api::merge_requests::approvals;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/approval_state" "the rules about approvals: none" => api::merge_requests::approval_state;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}/reset_approvals" "take every approval back, for bots" => api::merge_requests::reset_approvals;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/closes_issues" "issues that a merge request closes" => api::merge_requests::closes_issues;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/related_issues" "issues that a merge request names" => api::merge_requests::related_issues;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/participants" "who takes part in a merge request" => api::merge_requests::participants;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}/merge" "merge a merge request" => api::merges::merge;
            POST "/api/v4/projects/{id}/merge_requests/{iid}/cancel_merge_when_pipeline_succeeds" "do not merge it by itself" => api::merges::cancel_auto_merge;
            PUT "/api/v4/projects/{id}/merge_requests/{iid}/rebase" "rebase a merge request" => api::merges::rebase;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/changes" "a merge request with what it changes" => api::merges::changes;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/commits" "the commits of a merge request" => api::merge_request_changes::commits;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/diffs" "what a merge request changes" => api::merge_request_changes::diffs;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/raw_diffs" "what a merge request changes, as Git writes it" => api::merge_request_changes::raw_diffs;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/versions" "what a merge request held after each push" => api::merge_request_changes::versions;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/versions/{version_id}" "what a merge request held at one time" => api::merge_request_changes::version;
            GET "/api/v4/projects/{id}/merge_requests/{iid}/pipelines" "builds of a merge request: none" => api::merge_request_changes::pipelines;

            GET "/api/v4/projects/{id}/labels" "labels" => api::labels::list;
            POST "/api/v4/projects/{id}/labels" "make a label" => api::labels::create;
            PUT "/api/v4/projects/{id}/labels" "change a label that the body names" => api::labels::update_named;
            DELETE "/api/v4/projects/{id}/labels" "delete a label that the body names" => api::labels::delete_named;
            GET "/api/v4/projects/{id}/labels/{label}" "a label" => api::labels::get;
            PUT "/api/v4/projects/{id}/labels/{label}" "change a label" => api::labels::update;
            DELETE "/api/v4/projects/{id}/labels/{label}" "delete a label" => api::labels::delete;
            POST "/api/v4/projects/{id}/labels/{label}/subscribe" "ask to be told of what gets a label" => api::subscriptions::subscribe_to_label;
            POST "/api/v4/projects/{id}/labels/{label}/unsubscribe" "ask not to be told of what gets a label" => api::subscriptions::unsubscribe_from_label;

            GET "/api/v4/projects/{id}/milestones" "milestones" => api::milestones::list;
            POST "/api/v4/projects/{id}/milestones" "make a milestone" => api::milestones::create;
            GET "/api/v4/projects/{id}/milestones/{milestone_id}" "a milestone" => api::milestones::get;
            PUT "/api/v4/projects/{id}/milestones/{milestone_id}" "change a milestone" => api::milestones::update;
            DELETE "/api/v4/projects/{id}/milestones/{milestone_id}" "delete a milestone" => api::milestones::delete;
            GET "/api/v4/projects/{id}/milestones/{milestone_id}/issues" "issues that are planned for a milestone" => api::milestones::issues_of;
            GET "/api/v4/projects/{id}/milestones/{milestone_id}/merge_requests" "merge requests that are planned for a milestone" => api::merge_requests::of_milestone;

            GET "/api/v4/projects/{id}/releases" "releases" => api::releases::list;
            POST "/api/v4/projects/{id}/releases" "make a release" => api::releases::create;
            GET "/api/v4/projects/{id}/releases/permalink/latest" "the release that was released last" => api::releases::get_latest;
            GET "/api/v4/projects/{id}/releases/{tag}" "a release" => api::releases::get;
            PUT "/api/v4/projects/{id}/releases/{tag}" "change a release" => api::releases::update;
            DELETE "/api/v4/projects/{id}/releases/{tag}" "delete a release; its tag stays" => api::releases::delete;
            GET "/api/v4/projects/{id}/releases/{tag}/assets/links" "links of a release" => api::releases::list_links;
            POST "/api/v4/projects/{id}/releases/{tag}/assets/links" "add a link to a release" => api::releases::create_link;
            GET "/api/v4/projects/{id}/releases/{tag}/assets/links/{link_id}" "a link of a release" => api::releases::get_link;
            PUT "/api/v4/projects/{id}/releases/{tag}/assets/links/{link_id}" "change a link of a release" => api::releases::update_link;
            DELETE "/api/v4/projects/{id}/releases/{tag}/assets/links/{link_id}" "take a link away from a release" => api::releases::delete_link;

            GET "/api/v4/projects/{id}/search" "what in a project holds a text" => api::search::in_project;
            GET "/api/v4/groups/{id}/search" "what in a group holds a text" => api::search::in_group;

            GET "/api/v4/projects/{id}/events" "the activity feed" => api::events::list;
            GET "/api/v4/projects/{id}/audit_events" "the audit log" => api::audit_events::list;
            GET "/api/v4/projects/{id}/audit_events/{audit_event_id}" "an entry of the audit log" => api::audit_events::get;
        }
        Git {
            GET "/-/git/{id}/info/refs" "what a fetch or push begins from" => git::advertise;
            POST "/-/git/{id}/git-upload-pack" "fetch" => git::upload_pack;
            POST "/-/git/{id}/git-receive-pack" "push" => git::receive_pack;
            GET "/-/git/{id}/HEAD" "the dumb protocol: not served" => git::dumb;
            GET "/-/git/{id}/objects/{*object}" "the dumb protocol: not served" => git::dumb;
            GET "/-/git-redirect/{id}/info/refs" "to the address with .git" => git::redirect;
        }
        Lfs {
            POST "/-/lfs/{id}/info/lfs/objects/batch" "which large files there are, and where; to upload asks for PushCode too" => lfs::batch::batch;
            POST "/-/lfs/{id}/info/lfs/objects" "the protocol of long ago: not served" => lfs::legacy;
            GET "/-/lfs/{id}/info/lfs/objects/{oid}" "the protocol of long ago: not served" => lfs::legacy;
            POST "/-/lfs/{id}/info/lfs/verify" "whether a large file has arrived" => lfs::objects::verify;
            GET "/-/lfs/{id}/gitlab-lfs/objects/{oid}" "a large file" => lfs::objects::download;
            PUT "/-/lfs/{id}/gitlab-lfs/objects/{oid}/{size}" "store a large file" => lfs::objects::upload;
            GET "/-/lfs/{id}/info/lfs/locks" "who has which file for themselves" => lfs::locks::list;
            POST "/-/lfs/{id}/info/lfs/locks" "lock a file" => lfs::locks::create;
            POST "/-/lfs/{id}/info/lfs/locks/verify" "locks of the caller, and of others" => lfs::locks::verify;
            POST "/-/lfs/{id}/info/lfs/locks/{lock_id}/unlock" "unlock a file; what somebody else locked asks for UnlockOthersFiles too" => lfs::locks::unlock;
        }
        Registry {
            GET "/v2" "to the address with a slash" => registry::to_version;
            GET "/v2/" "whether there is a registry" => registry::version;
            GET "/v2/_catalog" "the images of the instance" => registry::lists::catalog;
            GET "/-/registry/{id}/blobs/{digest}" "pull a blob" => registry::blobs::get;
            DELETE "/-/registry/{id}/blobs/{digest}" "take a blob away" => registry::blobs::delete;
            POST "/-/registry/{id}/uploads" "begin an upload, push a whole blob, or mount one" => registry::uploads::open;
            GET "/-/registry/{id}/uploads/{session}" "what an upload has" => registry::uploads::status;
            PATCH "/-/registry/{id}/uploads/{session}" "a piece of an upload" => registry::uploads::append;
            PUT "/-/registry/{id}/uploads/{session}" "complete an upload" => registry::uploads::finish;
            DELETE "/-/registry/{id}/uploads/{session}" "cancel an upload" => registry::uploads::cancel;
            GET "/-/registry/{id}/manifests/{reference}" "pull a manifest" => registry::manifests::get;
            PUT "/-/registry/{id}/manifests/{reference}" "push a manifest" => registry::manifests::put_one;
            DELETE "/-/registry/{id}/manifests/{reference}" "delete a tag or a manifest" => registry::manifests::delete;
            GET "/-/registry/{id}/tags" "the tags of an image" => registry::lists::tags;
            GET "/-/registry/{id}/referrers/{digest}" "what is about a manifest" => registry::lists::referrers;
            GET "/jwt/auth" "a bearer for the registry" => registry::token::auth;
            POST "/jwt/auth" "the form of OAuth 2: not served" => registry::token::form;
            GET "/jwt/jwks" "the keys that bearers are checked with" => registry::token::keys;
        }
        Files {
            GET "/-/project/{id}/uploads/{secret}/{file_name}" "an uploaded file, also at `/{project}/uploads/…`" => uploaded::get;
            GET "/-/project/{id}/releases/{tag}/downloads/{*path}" "to where a link of a release leads; also at `/{project}/-/releases/…`" => api::releases::download;
        }
        Pages {
            GET "/" "the way in" => pages::dashboard::enter;
            GET "/-/assets/{file}" "what pages are drawn with" => pages::assets::get;
            GET "/-/design" "every part that pages are made of" => pages::design::show;
            GET "/users/sign_in" "the form to sign in" => pages::sign_in::form;
            POST "/users/sign_in" "sign in" => pages::sign_in::sign_in;
            GET "/users/two_factor" "the question for a code" => pages::sign_in::code_form;
            POST "/users/two_factor" "sign in with a code" => pages::sign_in::sign_in_with_code;
            POST "/users/sign_out" "sign out" => pages::sign_in::sign_out;
            GET "/users/password/edit" "the form to choose a password, by link" => pages::sign_in::password_form;
            POST "/users/password" "choose a password, by link" => pages::sign_in::choose_password;
            GET "/dashboard" "the projects of the caller" => pages::dashboard::show;
            GET "/-/user_settings/sessions" "where the caller is signed in" => pages::account::sessions;
            POST "/-/user_settings/sessions/{session_id}/revoke" "end a session" => pages::account::end_session;
            GET "/-/user_settings/profile" "the caller's name" => pages::profile::form;
            POST "/-/user_settings/profile" "change the caller's name" => pages::profile::update;
            GET "/-/user_settings/password" "the form to change the password" => pages::account::password_form;
            POST "/-/user_settings/password" "change the password" => pages::account::change_password;
            GET "/-/user_settings/two_factor" "whether the caller has a second factor" => pages::second_factor::show;
            POST "/-/user_settings/two_factor" "set a second factor up" => pages::second_factor::confirm;
            POST "/-/user_settings/two_factor/recovery_codes" "make new recovery codes" => pages::second_factor::renew;
            POST "/-/user_settings/two_factor/remove" "take the second factor away" => pages::second_factor::remove;
            GET "/-/user_settings/personal_access_tokens" "personal access tokens" => pages::personal_tokens::list;
            POST "/-/user_settings/personal_access_tokens" "make a personal access token" => pages::personal_tokens::create;
            GET "/-/user_settings/personal_access_tokens/{token_id}/revoke" "ask before revoking" => pages::personal_tokens::confirm;
            POST "/-/user_settings/personal_access_tokens/{token_id}/revoke" "revoke a personal access token" => pages::personal_tokens::revoke;
            GET "/admin" "the instance: counts, seats and health" => pages::admin::show;
            GET "/admin/users" "every user" => pages::admin::users::list;
            POST "/admin/users" "create a person" => pages::admin::users::create;
            GET "/admin/users/new" "the form for a new person" => pages::admin::users::form;
            GET "/admin/users/{user_id}" "a user, with memberships and tokens" => pages::admin::users::show;
            POST "/admin/users/{user_id}/block" "block a person" => pages::admin::users::block;
            POST "/admin/users/{user_id}/unblock" "end a block" => pages::admin::users::unblock;
            POST "/admin/users/{user_id}/second_factor/remove" "take a person's second factor away" => pages::admin::users::remove_second_factor;
            POST "/admin/users/{user_id}/password_link" "make a link to choose a password" => pages::admin::users::password_link;
            GET "/admin/users/{user_id}/delete" "ask before deleting a person" => pages::admin::users::confirm;
            POST "/admin/users/{user_id}/delete" "delete a person" => pages::admin::users::delete;
            GET "/admin/projects" "every project" => pages::admin::projects::list;
            GET "/admin/audit_log" "the audit log of the instance" => pages::admin::audit::list;
            GET "/admin/audit_log.csv" "the audit log as a table" => pages::admin::audit::csv;
            GET "/admin/audit_log.jsonl" "the audit log as lines of JSON" => pages::admin::audit::json_lines;
            GET "/admin/jobs" "background jobs" => pages::admin::jobs::list;
            POST "/admin/jobs/{job_id}/retry" "try a failed job again" => pages::admin::jobs::retry;
            GET "/admin/settings" "the settings in force" => pages::admin::settings::show;
            GET "/projects/new" "the form for a new project" => pages::projects::form;
            POST "/projects" "create a project" => pages::projects::create;
            GET "/groups/new" "the form for a new group" => pages::new_group::form;
            POST "/groups" "create a group" => pages::new_group::create;
            GET "/-/pages/namespaces/{id}" "a person, at `/{person}`; of a group's name, to its page" => pages::namespaces::show;
            GET "/-/pages/projects/{id}" "a project, also at `/{project}`" => pages::projects::show;
            GET "/-/pages/projects/{id}/edit" "a project's settings" => pages::project_settings::show;
            POST "/-/pages/projects/{id}/edit" "change a project's settings" => pages::project_settings::update;
            GET "/-/pages/projects/{id}/edit/archive" "ask before archiving a project" => pages::project_settings::confirm_archiving;
            POST "/-/pages/projects/{id}/edit/archive" "make a project read-only" => pages::project_settings::archive;
            POST "/-/pages/projects/{id}/edit/unarchive" "make a project writable again" => pages::project_settings::unarchive;
            GET "/-/pages/projects/{id}/edit/delete" "ask before deleting a project" => pages::deletion::confirm_of_project;
            POST "/-/pages/projects/{id}/edit/delete" "delete a project" => pages::deletion::delete_project;
            GET "/-/pages/projects/{id}/activity" "what happened in a project, also at `/{project}/activity`" => pages::activity::list;
            GET "/-/pages/projects/{id}/tree" "the files of the default branch" => pages::repository::tree;
            GET "/-/pages/projects/{id}/tree/{*rest}" "a folder" => pages::repository::tree;
            GET "/-/pages/projects/{id}/blob/{*rest}" "a file, to be read" => pages::repository::blob;
            GET "/-/pages/projects/{id}/raw/{*rest}" "the bytes of a file" => pages::repository::raw;
            GET "/-/pages/projects/{id}/commits" "the commits of the default branch" => pages::history::list;
            GET "/-/pages/projects/{id}/commits/{*rest}" "the commits of a branch, or of a path in it" => pages::history::list;
            GET "/-/pages/projects/{id}/commit/{sha}" "a commit with what it changed" => pages::history::commit;
            GET "/-/pages/projects/{id}/branches" "branches" => pages::refs::branches;
            GET "/-/pages/projects/{id}/tags" "tags" => pages::refs::tags;
            GET "/-/pages/projects/{id}/archive/{*rest}" "the files of a branch or tag in one" => pages::releases::archive;
            GET "/-/pages/projects/{id}/releases" "releases" => pages::releases::list;
            POST "/-/pages/projects/{id}/releases" "make a release" => pages::releases::create;
            GET "/-/pages/projects/{id}/releases/new" "the form for a new release" => pages::releases::new;
            GET "/-/pages/projects/{id}/releases/{tag}" "a release" => pages::releases::show;
            GET "/-/pages/projects/{id}/releases/{tag}/edit" "the form to change a release" => pages::releases::edit;
            POST "/-/pages/projects/{id}/releases/{tag}/edit" "change a release" => pages::releases::update;
            GET "/-/pages/projects/{id}/releases/{tag}/delete" "ask before deleting a release" => pages::releases::confirm_deletion;
            POST "/-/pages/projects/{id}/releases/{tag}/delete" "delete a release; its tag stays" => pages::releases::delete;
            POST "/-/pages/projects/{id}/releases/{tag}/links" "add a link to a release" => pages::releases::add_link;
            POST "/-/pages/projects/{id}/releases/{tag}/links/{link_id}/delete" "take a link away from a release" => pages::releases::delete_link;
            GET "/-/pages/projects/{id}/container_registry" "image repositories" => pages::images::list;
            GET "/-/pages/projects/{id}/container_registry/{repository_id}" "the tags of an image repository" => pages::images::show;
            GET "/-/pages/projects/{id}/container_registry/{repository_id}/delete" "ask before deleting an image repository" => pages::images::confirm_deletion;
            POST "/-/pages/projects/{id}/container_registry/{repository_id}/delete" "delete an image repository" => pages::images::delete;
            GET "/-/pages/projects/{id}/container_registry/{repository_id}/tags/{tag_name}/delete" "ask before deleting a tag" => pages::images::confirm_tag_deletion;
            POST "/-/pages/projects/{id}/container_registry/{repository_id}/tags/{tag_name}/delete" "delete a tag" => pages::images::delete_tag;
            GET "/-/pages/projects/{id}/issues" "issues" => pages::issues::list;
            POST "/-/pages/projects/{id}/issues" "open an issue" => pages::issues::create;
            GET "/-/pages/projects/{id}/issues/new" "the form for a new issue" => pages::issues::form;
            GET "/-/pages/projects/{id}/issues/{iid}" "an issue with its discussions" => pages::issues::show;
            GET "/-/pages/projects/{id}/issues/{iid}/edit" "the form to change an issue" => pages::issues::edit;
            POST "/-/pages/projects/{id}/issues/{iid}/edit" "change an issue" => pages::issues::update;
            POST "/-/pages/projects/{id}/issues/{iid}/state" "close or reopen an issue" => pages::issues::change_state;
            GET "/-/pages/projects/{id}/issues/{iid}/delete" "ask before deleting an issue" => pages::issues::confirm_deletion;
            POST "/-/pages/projects/{id}/issues/{iid}/delete" "delete an issue" => pages::issues::delete;
            POST "/-/pages/projects/{id}/issues/{iid}/notes" "comment on an issue" => pages::discussions::comment::<OnIssue>;
            GET "/-/pages/projects/{id}/issues/{iid}/notes/{note_id}/edit" "the form to change a comment" => pages::discussions::edit_note::<OnIssue>;
            POST "/-/pages/projects/{id}/issues/{iid}/notes/{note_id}/edit" "change a comment" => pages::discussions::update_note::<OnIssue>;
            GET "/-/pages/projects/{id}/issues/{iid}/notes/{note_id}/delete" "ask before deleting a comment" => pages::discussions::confirm_delete::<OnIssue>;
            POST "/-/pages/projects/{id}/issues/{iid}/notes/{note_id}/delete" "delete a comment" => pages::discussions::delete_note::<OnIssue>;
            POST "/-/pages/projects/{id}/issues/{iid}/discussions/{discussion_id}/notes" "answer in a discussion" => pages::discussions::reply::<OnIssue>;
            GET "/-/pages/projects/{id}/labels" "labels" => pages::labels::list;
            POST "/-/pages/projects/{id}/labels" "make a label" => pages::labels::create;
            GET "/-/pages/projects/{id}/labels/new" "the form for a new label" => pages::labels::new;
            GET "/-/pages/projects/{id}/labels/{label_id}/edit" "the form to change a label" => pages::labels::edit;
            POST "/-/pages/projects/{id}/labels/{label_id}/edit" "change a label" => pages::labels::update;
            GET "/-/pages/projects/{id}/labels/{label_id}/delete" "ask before deleting a label" => pages::labels::confirm_deletion;
            POST "/-/pages/projects/{id}/labels/{label_id}/delete" "delete a label" => pages::labels::delete;
            GET "/-/pages/projects/{id}/milestones" "milestones" => pages::milestones::list;
            POST "/-/pages/projects/{id}/milestones" "make a milestone" => pages::milestones::create;
            GET "/-/pages/projects/{id}/milestones/new" "the form for a new milestone" => pages::milestones::new;
            GET "/-/pages/projects/{id}/milestones/{milestone_iid}" "a milestone with what is planned for it" => pages::milestones::show;
            GET "/-/pages/projects/{id}/milestones/{milestone_iid}/edit" "the form to change a milestone" => pages::milestones::edit;
            POST "/-/pages/projects/{id}/milestones/{milestone_iid}/edit" "change a milestone" => pages::milestones::update;
            POST "/-/pages/projects/{id}/milestones/{milestone_iid}/state" "close or reopen a milestone" => pages::milestones::change_state;
            GET "/-/pages/projects/{id}/milestones/{milestone_iid}/delete" "ask before deleting a milestone" => pages::milestones::confirm_deletion;
            POST "/-/pages/projects/{id}/milestones/{milestone_iid}/delete" "delete a milestone" => pages::milestones::delete;
            GET "/-/pages/projects/{id}/merge_requests" "merge requests" => pages::merge_requests::list;
            POST "/-/pages/projects/{id}/merge_requests" "open a merge request" => pages::merge_requests::writing::create;
            GET "/-/pages/projects/{id}/merge_requests/new" "the form for a new merge request" => pages::merge_requests::writing::form;
            GET "/-/pages/projects/{id}/merge_requests/{iid}" "a merge request with its discussions" => pages::merge_requests::overview::show;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/commits" "the commits of a merge request" => pages::merge_requests::content::commits;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/diffs" "what a merge request changes" => pages::merge_requests::content::diffs;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/edit" "the form to change a merge request" => pages::merge_requests::writing::edit;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/edit" "change a merge request" => pages::merge_requests::writing::update;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/state" "close or reopen a merge request" => pages::merge_requests::deciding::change_state;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/delete" "ask before deleting a merge request" => pages::merge_requests::deletion::confirm;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/delete" "delete a merge request" => pages::merge_requests::deletion::delete;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/approval" "approve a merge request, or take that back" => pages::merge_requests::deciding::approve;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/merge" "merge" => pages::merge_requests::deciding::merge;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/cancel_automatic_merge" "do not merge by itself" => pages::merge_requests::deciding::cancel_automatic_merge;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/rebase" "rebase" => pages::merge_requests::deciding::rebase;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/notes" "comment on a merge request" => pages::discussions::comment::<OnMergeRequest>;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/notes/{note_id}/edit" "the form to change a comment" => pages::discussions::edit_note::<OnMergeRequest>;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/notes/{note_id}/edit" "change a comment" => pages::discussions::update_note::<OnMergeRequest>;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/notes/{note_id}/delete" "ask before deleting a comment" => pages::discussions::confirm_delete::<OnMergeRequest>;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/notes/{note_id}/delete" "delete a comment" => pages::discussions::delete_note::<OnMergeRequest>;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/discussions" "comment on a line of what changes" => pages::discussions::create_on_line;
            GET "/-/pages/projects/{id}/merge_requests/{iid}/discussions/new" "the form for that" => pages::discussions::new_on_line;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}/notes" "answer in a discussion" => pages::discussions::reply::<OnMergeRequest>;
            POST "/-/pages/projects/{id}/merge_requests/{iid}/discussions/{discussion_id}/resolve" "settle a discussion" => pages::discussions::settle;
            GET "/-/pages/projects/{id}/settings/access_tokens" "project access tokens" => pages::tokens::list::<OnProject>;
            POST "/-/pages/projects/{id}/settings/access_tokens" "create a project access token" => pages::tokens::create::<OnProject>;
            GET "/-/pages/projects/{id}/settings/access_tokens/{token_id}" "one token: what it may do, and what it did" => pages::token::show::<OnProject>;
            GET "/-/pages/projects/{id}/settings/access_tokens/{token_id}/revoke" "ask before revoking" => pages::tokens::confirm_revoke::<OnProject>;
            POST "/-/pages/projects/{id}/settings/access_tokens/{token_id}/revoke" "revoke a project access token" => pages::tokens::revoke::<OnProject>;
            GET "/-/pages/projects/{id}/settings/access_tokens/{token_id}/rotate" "ask before rotating" => pages::tokens::confirm_rotate::<OnProject>;
            POST "/-/pages/projects/{id}/settings/access_tokens/{token_id}/rotate" "replace a project access token" => pages::tokens::rotate::<OnProject>;
            GET "/-/pages/projects/{id}/project_members" "members" => pages::members::list;
            POST "/-/pages/projects/{id}/project_members" "add a member" => pages::members::add;
            POST "/-/pages/projects/{id}/project_members/{user_id}" "change a member's role, and until when" => pages::members::update;
            GET "/-/pages/projects/{id}/project_members/{user_id}/remove" "ask before removing a member" => pages::members::confirm;
            POST "/-/pages/projects/{id}/project_members/{user_id}/remove" "remove a member" => pages::members::remove;
            GET "/-/pages/groups/{id}" "a group, also at `/groups/{group}`" => pages::groups::show;
            GET "/-/pages/groups/{id}/edit" "a group's settings" => pages::groups::edit;
            POST "/-/pages/groups/{id}/edit" "change a group's settings" => pages::groups::update;
            GET "/-/pages/groups/{id}/edit/delete" "ask before deleting a group" => pages::deletion::confirm_of_group;
            POST "/-/pages/groups/{id}/edit/delete" "delete a group" => pages::deletion::delete_group;
            GET "/-/pages/groups/{id}/settings/access_tokens" "group access tokens" => pages::tokens::list::<OnGroup>;
            POST "/-/pages/groups/{id}/settings/access_tokens" "create a group access token" => pages::tokens::create::<OnGroup>;
            GET "/-/pages/groups/{id}/settings/access_tokens/{token_id}" "one token of a group: what it may do, and what it did" => pages::token::show::<OnGroup>;
            GET "/-/pages/groups/{id}/settings/access_tokens/{token_id}/revoke" "ask before revoking" => pages::tokens::confirm_revoke::<OnGroup>;
            POST "/-/pages/groups/{id}/settings/access_tokens/{token_id}/revoke" "revoke a group access token" => pages::tokens::revoke::<OnGroup>;
            GET "/-/pages/groups/{id}/settings/access_tokens/{token_id}/rotate" "ask before rotating" => pages::tokens::confirm_rotate::<OnGroup>;
            POST "/-/pages/groups/{id}/settings/access_tokens/{token_id}/rotate" "replace a group access token" => pages::tokens::rotate::<OnGroup>;
            GET "/-/pages/groups/{id}/group_members" "members of a group" => pages::members::list_of_group;
            POST "/-/pages/groups/{id}/group_members" "add a member to a group" => pages::members::add_to_group;
            POST "/-/pages/groups/{id}/group_members/{user_id}" "change a group member's role, and until when" => pages::members::update_of_group;
            GET "/-/pages/groups/{id}/group_members/{user_id}/remove" "ask before removing a member of a group" => pages::members::confirm_of_group;
            POST "/-/pages/groups/{id}/group_members/{user_id}/remove" "remove a member of a group" => pages::members::remove_from_group;
        }
        Operations {
            GET "/-/health" "whether the process lives" => operations::health;
            GET "/-/readiness" "whether the database answers" => operations::readiness;
            GET "/-/metrics" "counters for Prometheus; the addresses in `metrics_allow` need no token" => operations::metrics;
        }
    }
}

/// Returns the router of a table.
pub fn build(table: Vec<Route>, state: AppState) -> Router {
    let mut router = Router::new();
    for route in table {
        router = router.route(route.path, route.handler);
    }
    router.fallback(no_such_route).method_not_allowed_fallback(no_such_method).with_state(state)
}

/// Returns the door that an address is at. Large files are below their repository until the address is folded.
fn door_of(asked: &Uri, routed: &Uri) -> Option<Door> {
    Door::of(asked.path()).or(Door::of(routed.path()).filter(|door| *door == Door::Lfs))
}

async fn no_such_route(OriginalUri(uri): OriginalUri, routed: Uri, headers: HeaderMap) -> Response {
    match door_of(&uri, &routed) {
        Some(Door::Api | Door::Files) => ApiError::no_such_route().into_response(),
        Some(Door::Lfs) => LfsError::not_found().into_response(),
        Some(Door::Registry) => RegistryError::code(ErrorCode::NameUnknown).into_response(),
        Some(Door::Pages) => PageError::NotFound.into_response(),
        None if pages::wants_a_page(&headers) => PageError::NotFound.into_response(),
        _ => GitError::new(StatusCode::NOT_FOUND, "Not found.\n").into_response(),
    }
}

async fn no_such_method(OriginalUri(uri): OriginalUri, routed: Uri) -> Response {
    match door_of(&uri, &routed) {
        Some(Door::Api) => {
            ApiError::message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response()
        }
        Some(Door::Lfs) => {
            LfsError::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.").into_response()
        }
        Some(Door::Registry) => RegistryError::code(ErrorCode::Unsupported).into_response(),
        Some(Door::Pages) => PageError::NoSuchMethod.into_response(),
        _ => GitError::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n").into_response(),
    }
}
