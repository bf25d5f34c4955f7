//! Projects.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, Viewer};
use portcullis_app::people;
use portcullis_app::projects::{self, MergingChanges, NewProjectRequest, ProjectChanges, ProjectDetails};
use portcullis_app::records::blobs::BytesByKind;
use portcullis_app::records::container_cleanup_policies::CleanupPolicy;
use portcullis_app::records::projects::{ProjectFilter, ProjectOrder};
use portcullis_app::records::select::{Listing, Paging};
use portcullis_app::registry::cleanup::{self, Cadence, CleanupChanges, KEEP_N, OLDER_THAN};
use portcullis_app::registry::{TagPattern, image_name};
use portcullis_rules::access::{Action, Facts, FeatureAccess, ResourceFacts, Role, Visibility, act, decide};
use portcullis_rules::id::{NamespaceId, UserId};
use portcullis_rules::merging::{MergeMethod, SquashOption};
use serde::Serialize;
use serde_json::value::RawValue;

use super::container_repositories::location;
use super::container_tags::reads_pattern;
use super::{
    ApiResult, PathParts, Surroundings, accepted, json_text, path_number, path_text, reads_keyset, time,
};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::guard::Admitted;
use crate::params::{Params, Reader};

#[derive(Serialize)]
struct NamespaceView<'a> {
    id: i64,
    name: &'a str,
    path: &'a str,
    kind: &'static str,
    full_path: &'a str,
    parent_id: Option<i64>,
    avatar_url: Option<&'a str>,
    web_url: String,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    itself: String,
    issues: String,
    merge_requests: String,
    repo_branches: String,
    events: String,
    members: String,
}

#[derive(Serialize)]
struct RoleView {
    access_level: i64,
    notification_level: i64,
}

#[derive(Serialize)]
struct Permissions {
    project_access: Option<RoleView>,
    group_access: Option<RoleView>,
}

/// What is deleted from a project's images from time to time.
#[derive(Serialize)]
struct PolicyView<'a> {
    cadence: &'a str,
    enabled: bool,
    keep_n: Option<i64>,
    older_than: Option<&'a str>,
    name_regex: Option<&'a str>,
    name_regex_keep: Option<&'a str>,
    next_run_at: Option<String>,
}

impl<'a> PolicyView<'a> {
    fn of(policy: &'a CleanupPolicy) -> PolicyView<'a> {
        PolicyView {
            cadence: &policy.cadence,
            enabled: policy.enabled,
            keep_n: policy.keep_n,
            older_than: policy.older_than.as_deref(),
            name_regex: policy.name_regex.as_deref(),
            name_regex_keep: policy.name_regex_keep.as_deref(),
            next_run_at: policy.enabled.then(|| time(policy.next_run_at)),
        }
    }
}

/// The policy of a project where it was never set.
static NO_POLICY: LazyLock<CleanupPolicy> = LazyLock::new(cleanup::default_policy);

#[derive(Serialize)]
struct StatisticsView {
    container_registry_size: i64,
    packages_size: i64,
    uploads_size: i64,
    lfs_objects_size: i64,
}

/// What is told about a project that is its own.
#[derive(Serialize)]
struct OwnView<'a> {
    id: i64,
    description: &'a str,
    name: &'a str,
    name_with_namespace: String,
    path: &'a str,
    path_with_namespace: &'a str,
    created_at: String,
    default_branch: Option<&'a str>,
    tag_list: &'a [String],
    topics: &'a [String],
    http_url_to_repo: String,
    web_url: String,
    avatar_url: Option<&'a str>,
    last_activity_at: String,
    visibility: &'static str,
    namespace: NamespaceView<'a>,
    #[serde(rename = "_links")]
    links: Links,
    empty_repo: bool,
    archived: bool,
    repository_object_format: &'a str,
    issues_enabled: bool,
    issues_access_level: &'static str,
    merge_requests_enabled: bool,
    merge_requests_access_level: &'static str,
    can_create_merge_request_in: bool,
    merge_method: &'static str,
    squash_option: &'static str,
    remove_source_branch_after_merge: bool,
    autoclose_referenced_issues: bool,
    only_allow_merge_if_pipeline_succeeds: bool,
    allow_merge_on_skipped_pipeline: bool,
    only_allow_merge_if_all_discussions_are_resolved: bool,
    repository_access_level: &'static str,
    container_registry_enabled: bool,
    container_registry_access_level: &'static str,
    container_registry_image_prefix: String,
    packages_enabled: bool,
    package_registry_access_level: &'static str,
    lfs_enabled: bool,
    container_expiration_policy: PolicyView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_registry_quota_bytes: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<StatisticsView>,
    creator_id: i64,
    open_issues_count: i64,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Permissions>,
}

/// What every project answers alike: the features that GitLab has and this forge does not, with the value that says so.
#[derive(Serialize)]
struct SharedView {
    ssh_url_to_repo: &'static str,
    readme_url: Option<String>,
    forks_count: i64,
    star_count: i64,
    resolve_outdated_diff_discussions: bool,
    wiki_enabled: bool,
    jobs_enabled: bool,
    snippets_enabled: bool,
    service_desk_enabled: bool,
    forking_access_level: &'static str,
    wiki_access_level: &'static str,
    builds_access_level: &'static str,
    snippets_access_level: &'static str,
    pages_access_level: &'static str,
    analytics_access_level: &'static str,
    security_and_compliance_access_level: &'static str,
    releases_access_level: &'static str,
    environments_access_level: &'static str,
    feature_flags_access_level: &'static str,
    infrastructure_access_level: &'static str,
    monitor_access_level: &'static str,
    model_experiments_access_level: &'static str,
    model_registry_access_level: &'static str,
    emails_disabled: bool,
    emails_enabled: bool,
    shared_runners_enabled: bool,
    import_status: &'static str,
    description_html: &'static str,
    public_jobs: bool,
    shared_with_groups: [i64; 0],
    request_access_enabled: bool,
    printing_merge_request_link_enabled: bool,
    enforce_auth_checks_on_uploads: bool,
    suggestion_commit_message: Option<&'static str>,
    merge_commit_template: Option<&'static str>,
    squash_commit_template: Option<&'static str>,
    issue_branch_template: Option<&'static str>,
    warn_about_potentially_unwanted_characters: bool,
    max_artifacts_size: Option<i64>,
    marked_for_deletion_at: Option<&'static str>,
    marked_for_deletion_on: Option<&'static str>,
}

/// The shared part as text, made once: it is more than half of each answer.
static SHARED: LazyLock<String> = LazyLock::new(|| {
    let shared = SharedView {
        ssh_url_to_repo: "",
        readme_url: None,
        forks_count: 0,
        star_count: 0,
        resolve_outdated_diff_discussions: false,
        wiki_enabled: false,
        jobs_enabled: false,
        snippets_enabled: false,
        service_desk_enabled: false,
        forking_access_level: "disabled",
        wiki_access_level: "disabled",
        builds_access_level: "disabled",
        snippets_access_level: "disabled",
        pages_access_level: "disabled",
        analytics_access_level: "disabled",
        security_and_compliance_access_level: "disabled",
        releases_access_level: "disabled",
        environments_access_level: "disabled",
        feature_flags_access_level: "disabled",
        infrastructure_access_level: "disabled",
        monitor_access_level: "disabled",
        model_experiments_access_level: "disabled",
        model_registry_access_level: "disabled",
        emails_disabled: true,
        emails_enabled: false,
        shared_runners_enabled: false,
        import_status: "none",
        description_html: "",
        public_jobs: false,
        shared_with_groups: [],
        request_access_enabled: false,
        printing_merge_request_link_enabled: false,
        enforce_auth_checks_on_uploads: true,
        suggestion_commit_message: None,
        merge_commit_template: None,
        squash_commit_template: None,
        issue_branch_template: None,
        warn_about_potentially_unwanted_characters: true,
        max_artifacts_size: None,
        marked_for_deletion_at: None,
        marked_for_deletion_on: None,
    };
    serde_json::to_string(&shared).unwrap_or_default()
});

fn role(role: Option<Role>) -> Option<RoleView> {
    role.map(|role| RoleView { access_level: role.level(), notification_level: 3 })
}

/// Returns a project in GitLab's shape, as JSON text.
fn view(details: &ProjectDetails, base: &BaseUrl, viewer: &Viewer) -> Result<String, ApiError> {
    view_with(details, base, viewer, None)
}

fn view_with(
    details: &ProjectDetails,
    base: &BaseUrl,
    viewer: &Viewer,
    stored_bytes: Option<BytesByKind>,
) -> Result<String, ApiError> {
    let project = &details.project;
    let image = location(&image_name(&project.full_path, ""), base);
    let reporter =
        viewer.is_administrator() || details.project_role.max(details.namespace_role) >= Some(Role::Reporter);
    let base = &*base.0;
    let web_url = [base, "/", &project.full_path].concat();
    let api = [base, "/api/v4/projects/", &project.id.to_string()].concat();
    let personal = project.namespace_owner.is_some();
    let own = OwnView {
        id: project.id.0,
        description: &project.description,
        name: &project.name,
        name_with_namespace: [&*project.namespace_name, " / ", &project.name].concat(),
        path: &project.path,
        path_with_namespace: &project.full_path,
        created_at: time(project.created_at),
        default_branch: (!project.empty).then_some(&*project.default_branch),
        tag_list: &details.topics,
        topics: &details.topics,
        http_url_to_repo: [&web_url, ".git"].concat(),
        avatar_url: None,
        last_activity_at: time(project.last_activity_at),
        visibility: project.visibility.name(),
        namespace: NamespaceView {
            id: project.namespace.0,
            name: &project.namespace_name,
            path: &project.namespace_path,
            kind: if personal { "user" } else { "group" },
            full_path: &project.namespace_full_path,
            parent_id: project.namespace_parent.map(|parent| parent.0),
            avatar_url: None,
            web_url: [base, if personal { "/" } else { "/groups/" }, &project.namespace_full_path].concat(),
        },
        links: Links {
            issues: [&api, "/issues"].concat(),
            merge_requests: [&api, "/merge_requests"].concat(),
            repo_branches: [&api, "/repository/branches"].concat(),
            events: [&api, "/events"].concat(),
            members: [&api, "/members"].concat(),
            itself: api,
        },
        web_url,
        empty_repo: project.empty,
        archived: project.archived,
        repository_object_format: &project.object_format,
        issues_enabled: project.issues_access != FeatureAccess::Disabled,
        issues_access_level: project.issues_access.name(),
        merge_requests_enabled: project.merge_requests_access != FeatureAccess::Disabled,
        merge_requests_access_level: project.merge_requests_access.name(),
        can_create_merge_request_in: may_open_merge_requests(details, viewer),
        merge_method: project.merging.method.name(),
        squash_option: project.merging.squash.name(),
        remove_source_branch_after_merge: project.merging.removes_source_branch,
        autoclose_referenced_issues: project.merging.closes_issues,
        only_allow_merge_if_pipeline_succeeds: project.merging.needs_success,
        allow_merge_on_skipped_pipeline: project.merging.skipped_is_success,
        only_allow_merge_if_all_discussions_are_resolved: project.merging.needs_resolved_discussions,
        repository_access_level: project.repository_access.name(),
        container_registry_enabled: project.container_registry_access != FeatureAccess::Disabled,
        container_registry_access_level: project.container_registry_access.name(),
        container_registry_image_prefix: image,
        packages_enabled: project.packages_access != FeatureAccess::Disabled,
        package_registry_access_level: project.packages_access.name(),
        lfs_enabled: project.lfs,
        container_expiration_policy: PolicyView::of(project.cleanup_policy.as_ref().unwrap_or(&NO_POLICY)),
        container_registry_quota_bytes: reporter.then_some(project.container_quota_bytes),
        statistics: stored_bytes.map(|bytes| StatisticsView {
            container_registry_size: bytes.images,
            packages_size: bytes.packages,
            uploads_size: bytes.uploads,
            lfs_objects_size: bytes.lfs_objects,
        }),
        creator_id: project.creator.0,
        open_issues_count: project.open_issues,
        updated_at: time(project.updated_at),
        permissions: viewer.identity().map(|_| Permissions {
            project_access: role(details.project_role),
            group_access: role(details.namespace_role),
        }),
    };
    joined(&own).map_err(unwritable)
}

/// Returns whether the viewer could open a merge request in a project that they are shown.
fn may_open_merge_requests(details: &ProjectDetails, viewer: &Viewer) -> bool {
    let project = &details.project;
    let facts = ResourceFacts {
        visibility: project.visibility,
        role: details.project_role.max(details.namespace_role),
        archived: project.archived,
        repository: project.repository_access,
        issues: project.issues_access,
        merge_requests: project.merge_requests_access,
        container_registry: project.container_registry_access,
        packages: project.packages_access,
    };
    let facts = Facts::Resource(Some(facts));
    decide(viewer.caller(), &facts, Action::CreateMergeRequest).is_ok()
}

/// How long what is a project's own usually is at most, in bytes.
const OWN_BYTES: usize = 3 * 1024;

/// Returns one JSON object with the keys of `own` and of the shared part.
fn joined(own: &OwnView<'_>) -> serde_json::Result<String> {
    let mut text = Vec::with_capacity(OWN_BYTES + SHARED.len());
    serde_json::to_writer(&mut text, own)?;
    text.pop();
    text.push(b',');
    text.extend_from_slice(&SHARED.as_bytes()[1..]);
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

fn unwritable(error: serde_json::Error) -> ApiError {
    portcullis_app::Error::Internal(Box::new(error)).into()
}

/// Answers a project.
pub async fn get(
    Admitted { access, mut reading }: Admitted<act::ReadProject>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let statistics = read.boolean("statistics").unwrap_or(false);
    read.finish()?;
    let details = projects::get(&state.forge, &access, &mut reading).await?;
    let bytes = match statistics {
        true => projects::stored_bytes(&state.forge, &access, &mut reading).await?,
        false => None,
    };
    drop(reading);
    Ok(json_text(StatusCode::OK, view_with(&details, &around.base, access.viewer(), bytes)?))
}

fn filter(read: &mut Reader<'_>, viewer: &Viewer) -> ProjectFilter {
    let own = viewer.identity().map(|identity| identity.user);
    let membership = read.boolean("membership").unwrap_or(false);
    let level = read.one_of("min_access_level", |level| level.parse().ok().and_then(Role::from_level));
    let level = level.or(membership.then_some(Role::Guest));
    ProjectFilter {
        archived: read.boolean("archived"),
        visibility: read.one_of("visibility", Visibility::from_name),
        search: read.filled_text("search"),
        topic: read.filled_text("topic"),
        member: level.zip(own).map(|(level, own)| (own, level)),
        owned_by: own.filter(|_| read.boolean("owned").unwrap_or(false)),
        namespace: None,
        below: None,
        with_issues: read.boolean("with_issues_enabled").unwrap_or(false),
        with_merge_requests: read.boolean("with_merge_requests_enabled").unwrap_or(false),
        id_after: read.integer("id_after"),
        id_before: read.integer("id_before"),
        paging: Paging::Numbered,
        order: read
            .one_of("order_by", |word| {
                Some(match word {
                    "id" => ProjectOrder::Id,
                    "created_at" => ProjectOrder::Created,
                    "name" => ProjectOrder::Name,
                    "path" => ProjectOrder::Path,
                    "updated_at" => ProjectOrder::Updated,
                    "last_activity_at" => ProjectOrder::LastActivity,
                    _ => return None,
                })
            })
            .unwrap_or_default(),
        ascending: read
            .one_of("sort", |word| match word {
                "asc" => Some(true),
                "desc" => Some(false),
                _ => None,
            })
            .unwrap_or(false),
    }
}

async fn answer_list(
    viewer: &Viewer,
    state: &AppState,
    around: &Surroundings,
    params: &Params,
    narrow: impl FnOnce(&mut ProjectFilter, &mut Reader<'_>),
) -> ApiResult {
    let mut read = params.read();
    let mut filter = filter(&mut read, viewer);
    narrow(&mut filter, &mut read);
    let keyset = reads_keyset(&mut read, &["id"])?;
    if keyset {
        filter.paging = Paging::Keyset(None);
        filter.order = ProjectOrder::Id;
    }
    read.finish()?;
    let found = projects::list(&state.forge, viewer, &filter, around.window()).await?;
    let total = found.total;
    let views = found
        .items
        .iter()
        .map(|details| RawValue::from_string(view(details, &around.base, viewer)?).map_err(unwritable));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    if keyset {
        let last = found.items.last().map(|details| details.project.id.to_string());
        let name = if filter.ascending { "id_after" } else { "id_before" };
        return Ok(around.page_keyset(views, name, last.as_deref()));
    }
    Ok(around.page(Listing { items: views, total }))
}

/// Answers the projects that the caller may see.
pub async fn list(
    access: Authorized<act::ListProjects>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    answer_list(access.viewer(), &state, &around, &params, |_, _| {}).await
}

/// Answers the projects in a group and anywhere below.
pub(super) async fn list_below(
    access: &Authorized<act::ReadGroup>,
    state: &AppState,
    around: &Surroundings,
    params: &Params,
) -> ApiResult {
    let group = access.namespace().id;
    answer_list(access.viewer(), state, around, params, |filter, _| filter.below = Some(group)).await
}

/// Answers the projects of a group.
pub async fn list_of_group(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let group = access.namespace().id;
    answer_list(access.viewer(), &state, &around, &params, |filter, read| {
        if read.boolean("include_subgroups").unwrap_or(false) {
            filter.below = Some(group);
        } else {
            filter.namespace = Some(group);
        }
    })
    .await
}

/// Answers the projects in a person's own namespace.
pub async fn list_of_user(
    access: Authorized<act::ReadUsers>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let user = match path_number(&parts, "user_id", "User") {
        Ok(id) => people::get(&state.forge, &access, UserId(id)).await?,
        Err(_) => people::get_by_username(&state.forge, &access, path_text(&parts, "user_id")).await?,
    };
    let own = projects::own_namespace(&state.forge, &access, user.id).await?;
    answer_list(access.viewer(), &state, &around, &params, |filter, _| {
        filter.namespace = Some(own.unwrap_or(NamespaceId(0)));
    })
    .await
}

/// Reads who may use a part: the level's name, or the older switch.
fn feature(read: &mut Reader<'_>, level: &str, switch: &str) -> Option<FeatureAccess> {
    let by_switch =
        read.boolean(switch).map(|on| if on { FeatureAccess::Enabled } else { FeatureAccess::Disabled });
    read.one_of(level, FeatureAccess::from_name).or(by_switch)
}

/// Reads how the branches of a project are to be merged.
fn merging(read: &mut Reader<'_>) -> MergingChanges {
    MergingChanges {
        method: read.one_of("merge_method", MergeMethod::from_name),
        squash: read.one_of("squash_option", SquashOption::from_name),
        removes_source_branch: read.boolean("remove_source_branch_after_merge"),
        closes_issues: read.boolean("autoclose_referenced_issues"),
        needs_success: read.boolean("only_allow_merge_if_pipeline_succeeds"),
        skipped_is_success: read.boolean("allow_merge_on_skipped_pipeline"),
        needs_resolved_discussions: read.boolean("only_allow_merge_if_all_discussions_are_resolved"),
    }
}

/// Reads how much images may take: a number of bytes, or nothing for no limit.
pub(super) fn quota(read: &mut Reader<'_>, name: &str) -> Option<Option<u64>> {
    if read.is_cleared(name)? {
        return Some(None);
    }
    let bytes = u64::try_from(read.integer(name)?).ok();
    if bytes.is_none() {
        read.problem(
            name,
            "does not have a valid value; allowed are numbers of bytes from 0, and nothing for no limit",
        );
    }
    bytes.map(Some)
}

/// Reads what is to change about the cleanup policy.
fn cleanup_changes(read: &mut Reader<'_>) -> CleanupChanges {
    let pattern = |read: &mut Reader<'_>, name: &str| -> Option<Option<TagPattern>> {
        if read.is_cleared(name)? {
            return Some(None);
        }
        reads_pattern(read, name).map(Some)
    };
    CleanupChanges {
        enabled: read.boolean("enabled"),
        cadence: read.allowed("cadence", &Cadence::ALL).and_then(|name| Cadence::from_name(&name)),
        keep_n: read.clearable("keep_n", &KEEP_N, |text| text.parse().ok()),
        older_than: read.clearable("older_than", &OLDER_THAN, |text| Some(text.to_owned())),
        name_regex: match pattern(read, "name_regex_delete") {
            Some(found) => Some(found),
            None => pattern(read, "name_regex"),
        },
        name_regex_keep: pattern(read, "name_regex_keep"),
    }
}

fn topics(read: &mut Reader<'_>) -> Option<Vec<String>> {
    let topics = read.list("topics");
    topics.or(read.list("tag_list"))
}

/// Creates a project.
pub async fn create(
    access: Authorized<act::CreateProject>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewProjectRequest {
        name: read.filled_text("name"),
        path: read.filled_text("path"),
        namespace: read.integer("namespace_id").map(NamespaceId),
        description: read.text("description"),
        visibility: read.one_of("visibility", Visibility::from_name),
        default_branch: read.filled_text("default_branch"),
        object_format: read.filled_text("repository_object_format"),
        initialize_with_readme: read.boolean("initialize_with_readme").unwrap_or(false),
        repository_access: feature(&mut read, "repository_access_level", "repository_enabled"),
        issues_access: feature(&mut read, "issues_access_level", "issues_enabled"),
        container_registry_access: feature(
            &mut read,
            "container_registry_access_level",
            "container_registry_enabled",
        ),
        packages_access: feature(&mut read, "package_registry_access_level", "packages_enabled"),
        merge_requests_access: feature(&mut read, "merge_requests_access_level", "merge_requests_enabled"),
        lfs: read.boolean("lfs_enabled"),
        merging: merging(&mut read),
        topics: topics(&mut read).unwrap_or_default(),
    };
    if request.name.is_none() && request.path.is_none() {
        return Err(ApiError::bad_parameters(
            "name, path are missing, at least one parameter must be provided",
        ));
    }
    read.finish()?;
    let details = projects::create(&state.forge, &access, request).await?;
    Ok(json_text(StatusCode::CREATED, view(&details, &around.base, access.viewer())?))
}

/// Changes a project.
pub async fn update(
    access: Authorized<act::UpdateProject>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let changes = ProjectChanges {
        name: read.text("name"),
        path: read.text("path"),
        description: read.text("description"),
        visibility: read.one_of("visibility", Visibility::from_name),
        default_branch: read.filled_text("default_branch"),
        repository_access: feature(&mut read, "repository_access_level", "repository_enabled"),
        issues_access: feature(&mut read, "issues_access_level", "issues_enabled"),
        container_registry_access: feature(
            &mut read,
            "container_registry_access_level",
            "container_registry_enabled",
        ),
        packages_access: feature(&mut read, "package_registry_access_level", "packages_enabled"),
        merge_requests_access: feature(&mut read, "merge_requests_access_level", "merge_requests_enabled"),
        lfs: read.boolean("lfs_enabled"),
        merging: merging(&mut read),
        container_quota_bytes: quota(&mut read, "container_registry_quota_bytes"),
        cleanup_policy: read.object("container_expiration_policy_attributes", cleanup_changes),
        topics: topics(&mut read),
    };
    read.finish()?;
    let details = projects::update(&state.forge, &access, changes).await?;
    Ok(json_text(StatusCode::OK, view(&details, &around.base, access.viewer())?))
}

/// Makes a project read-only.
pub async fn archive(
    access: Authorized<act::ArchiveProject>,
    State(state): State<AppState>,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let details = projects::set_archived(&state.forge, &access, true).await?;
    Ok(json_text(StatusCode::CREATED, view(&details, &around.base, access.viewer())?))
}

/// Makes a project writable again.
pub async fn unarchive(
    access: Authorized<act::ArchiveProject>,
    State(state): State<AppState>,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let details = projects::set_archived(&state.forge, &access, false).await?;
    Ok(json_text(StatusCode::CREATED, view(&details, &around.base, access.viewer())?))
}

/// Deletes a project.
pub async fn delete(
    access: Authorized<act::DeleteProject>,
    State(state): State<AppState>,
    _params: Params,
) -> ApiResult {
    projects::delete(&state.forge, &access).await?;
    Ok(accepted())
}
