//! No record can be forgotten when a user is deleted: every column that refers to users is either moved to the Ghost User
//! or deleted with the user on purpose, in the schema of both engines.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, with functions that serve the tests")]

use std::collections::BTreeSet;

use portcullis_rules::access::{FeatureAccess, Role, ScopeSet, Visibility};
use portcullis_rules::id::{ProjectId, TokenId, UserId};
use portcullis_rules::secret::TokenDigest;
use portcullis_store::access_tokens::{self, NewAccessToken};
use portcullis_store::audit_events::{self, AuditEntity, NewAuditEvent};
use portcullis_store::award_emoji::{self, Awardable};
use portcullis_store::commit_statuses::{self, NewCommitStatus};
use portcullis_store::container_manifests::{self, NewManifest};
use portcullis_store::container_uploads::{self, UploadKey};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::issues::{self, NewIssue, Sight};
use portcullis_store::members::{self, Place as MemberOf};
use portcullis_store::merge_requests::{self, Heads, NewMergeRequest};
use portcullis_store::merges::{self, AutoMerge, Merged};
use portcullis_store::namespaces::{self, NewNamespace};
use portcullis_store::notes::{self, NewNote, Noteable};
use portcullis_store::packages::{self, GENERIC, Version};
use portcullis_store::projects::{self, NewProject};
use portcullis_store::releases::{self, NewRelease};
use portcullis_store::terraform_states::{self, Lock};
use portcullis_store::uploads::{self, NewUpload};
use portcullis_store::user_references::{DELETED_WITH_USER, MOVED_TO_GHOST, move_to_ghost};
use portcullis_store::users::{self, NewUser, UserKind};
use portcullis_store::{
    blobs, container_repositories, container_tags, discussions, lfs_locks, migrate, password_links, pushes,
    second_factors, sessions, subscriptions, timelogs, todos,
};

mod engines;
use engines::{Place, on_both_engines};

const NOW: i64 = 1_772_452_800_000_000;

on_both_engines! {
    every_reference_to_a_user_is_moved_or_deleted_on_purpose,
    a_user_whose_records_were_moved_can_be_deleted,
}

async fn every_reference_to_a_user_is_moved_or_deleted_on_purpose(place: &Place) {
    migrate::migrate(&place.db, NOW).await.unwrap();
    let mut found = Vec::new();
    let keys = place.db.foreign_keys_to("users").await.unwrap();
    assert!(keys.len() > 10, "only {keys:?} refer to users");
    for key in &keys {
        let column = (key.table.as_str(), key.column.as_str());
        let moved = MOVED_TO_GHOST.contains(&column);
        let deleted = DELETED_WITH_USER.iter().any(|(table, name, _)| (*table, *name) == column);
        match (moved, deleted, key.on_delete.as_str()) {
            (true, false, "NO ACTION" | "RESTRICT") | (false, true, "CASCADE") => {}
            (true, false, other) => {
                found.push(format!("{column:?} is moved to the Ghost User, but the schema says {other}"))
            }
            (false, true, other) => {
                found.push(format!("{column:?} is deleted with the user, but the schema says {other}"))
            }
            (true, true, _) => found.push(format!("{column:?} stands in both lists")),
            (false, false, _) => found.push(format!("{column:?} is forgotten")),
        }
    }
    let in_schema: BTreeSet<_> = keys.iter().map(|key| (key.table.as_str(), key.column.as_str())).collect();
    let listed = MOVED_TO_GHOST
        .iter()
        .copied()
        .chain(DELETED_WITH_USER.iter().map(|(table, column, _)| (*table, *column)));
    found.extend(
        listed
            .filter(|column| !in_schema.contains(column))
            .map(|column| format!("{column:?} refers to no user")),
    );
    assert!(
        found.is_empty(),
        "\n{}\n\nWhy: a record that is neither moved nor deleted keeps its user from being deleted, or is lost unseen.\n\
         Instead: name the column in MOVED_TO_GHOST, or give it ON DELETE CASCADE and name it in DELETED_WITH_USER with the \
         reason (crates/store/src/user_references.rs).\n",
        found.join("\n")
    );
    assert!(DELETED_WITH_USER.iter().all(|(_, _, reason)| reason.len() > 20), "a deletion needs a reason");
}

async fn add_user(tx: &mut Tx, username: &str, kind: UserKind, created_by: Option<UserId>) -> UserId {
    let email = format!("{username}@example.com");
    let new = NewUser {
        username,
        name: username,
        email: &email,
        kind,
        password_hash: None,
        administrator: false,
        external: false,
        bot_home: None,
        created_by,
    };
    users::insert(tx, &new, NOW).await.unwrap()
}

/// Leaves a trace of `user` in every column that refers to users.
async fn leave_traces(tx: &mut Tx, user: UserId) {
    let other = add_user(tx, "other", UserKind::Person, Some(user)).await;
    let namespace = |owner, path| NewNamespace {
        owner,
        parent: None,
        name: path,
        path,
        full_path: path,
        description: "",
        visibility: Visibility::Public,
    };
    namespaces::insert(tx, &namespace(Some(user), "own"), NOW).await.unwrap();
    let group = namespaces::insert(tx, &namespace(None, "group"), NOW).await.unwrap();
    let project = NewProject {
        namespace: group,
        creator: user,
        name: "app",
        path: "app",
        full_path: "group/app",
        description: "",
        visibility: Visibility::Private,
        default_branch: "main",
        object_format: "sha1",
        repository_access: FeatureAccess::Enabled,
        issues_access: FeatureAccess::Enabled,
        container_registry_access: FeatureAccess::Enabled,
    };
    let project = projects::insert(tx, &project, NOW).await.unwrap();
    for (member, by) in [(user, other), (other, user)] {
        members::insert(tx, MemberOf::Project(project), member, Role::Guest, None, Some(by), NOW)
            .await
            .unwrap();
    }
    let token = NewAccessToken {
        user,
        home: None,
        digest: TokenDigest([7; 32]),
        name: "token",
        description: None,
        scopes: ScopeSet::API,
        expires_at: None,
        previous: None,
        created_by: Some(user),
    };
    access_tokens::insert(tx, &token, NOW).await.unwrap();
    let issue = NewIssue {
        project,
        iid: 1,
        author: user,
        title: "title",
        description: None,
        confidential: false,
        due_date: None,
        created_at: NOW,
    };
    let issue = issues::insert(tx, &issue, NOW).await.unwrap();
    issues::set_assignees(tx, issue, &[user]).await.unwrap();
    issues::set_closed(tx, project, issue, Some((user, NOW))).await.unwrap();
    let edited = issues::find(tx, project, 1, Sight::Everything).await.unwrap().unwrap();
    issues::update(tx, &edited, Some(user), NOW).await.unwrap();
    let on = Noteable::Issue(issue);
    let note = NewNote { project, on, author: user, body: "text", system: false, internal: false };
    let note = notes::insert(tx, &note, NOW).await.unwrap();
    notes::update(tx, project, note, "text", "{}", user, NOW).await.unwrap();
    leave_traces_on_merge_request(tx, project, user).await;
    let discussion = discussions::begin(tx, project, on, note, None).await.unwrap();
    discussions::set_resolved(tx, project, discussion, Some((user, NOW))).await.unwrap();
    award_emoji::insert(tx, project, Awardable::Note(note), user, "eyes", NOW).await.unwrap();
    timelogs::insert(tx, project, on, user, (60, None), NOW).await.unwrap();
    subscriptions::set(tx, on.into(), user, true, NOW).await.unwrap();
    todos::insert(tx, (user, user), project, on, NOW).await.unwrap();
    todos::insert(tx, (other, user), project, on, NOW).await.unwrap();
    let event = NewEvent {
        project,
        author: user,
        token: None,
        action: "joined",
        target_type: None,
        target_id: None,
        target_iid: None,
        target_title: None,
        details: None,
    };
    events::insert(tx, &event, NOW).await.unwrap();
    let audit = NewAuditEvent {
        author: Some(user),
        author_name: "user",
        token: None,
        address: None,
        entity: AuditEntity { kind: "Project", id: Some(project.0), path: None },
        event_name: "something",
        target_type: "Project",
        target_id: None,
        details: "{}",
    };
    audit_events::insert(tx, &audit, NOW).await.unwrap();
    let status = NewCommitStatus {
        project,
        author: user,
        sha: "0",
        ref_name: "",
        name: "build",
        state: "pending",
        target_url: None,
        description: None,
        coverage: None,
        started_at: None,
        finished_at: None,
    };
    commit_statuses::insert(tx, &status, NOW).await.unwrap();
    let release = NewRelease {
        project,
        author: user,
        tag: "v1",
        sha: None,
        name: None,
        description: None,
        released_at: NOW,
    };
    releases::insert(tx, &release, NOW).await.unwrap();
    pushes::insert(tx, project, user, None, None, "[]", NOW).await.unwrap();
    let repository = container_repositories::ensure(tx, project, "image", NOW).await.unwrap();
    let manifest = NewManifest {
        repository,
        digest: "sha256:0",
        media_type: "application/vnd.oci.image.index.v1+json",
        content_size: 0,
        config_digest: None,
        built_at: None,
        subject: None,
        artifact_type: None,
        annotations: None,
        author: user,
        body: b"{}",
        blobs: &[],
        manifests: &[],
    };
    let manifest = container_manifests::insert(tx, &manifest, NOW).await.unwrap();
    container_tags::set(tx, repository, "latest", manifest, user, NOW).await.unwrap();
    let blob = blobs::rely_on(tx, "sha256:1", 1, NOW).await.unwrap().unwrap();
    let upload = NewUpload { project, blob, secret: "secret", file_name: "a", author: user };
    uploads::insert(tx, &upload, NOW).await.unwrap();
    lfs_locks::insert(tx, project, "a.psd", user, NOW).await.unwrap();
    let state = terraform_states::ensure(tx, project, "state", NOW).await.unwrap();
    let lock = Lock { id: "lock".to_owned(), info: "{}".to_owned() };
    terraform_states::set_lock(tx, state.id, Some((user, &lock)), NOW).await.unwrap();
    terraform_states::add_version(tx, state.id, user, None, b"sealed", 1, NOW).await.unwrap();
    let version = Version { project, package_type: GENERIC, name: "tool", version: "1" };
    let package = packages::publish(tx, version, None, user, NOW).await.unwrap();
    packages::insert_file(tx, package, blob, "a", user, NOW).await.unwrap();
    let key = UploadKey { id: "upload", project, image: "image", user };
    container_uploads::insert(tx, &key, TokenId(1), "sha256", None, NOW).await.unwrap();
    let digest = TokenDigest([1; 32]);
    let session = sessions::insert(tx, user, &digest, None, "", NOW).await.unwrap();
    sessions::insert_form(tx, session, "1", NOW).await.unwrap();
    password_links::insert(tx, user, &digest, NOW, NOW).await.unwrap();
    second_factors::insert(tx, user, b"sealed", 1, NOW).await.unwrap();
    second_factors::replace_recovery_codes(tx, user, &[digest]).await.unwrap();
    second_factors::insert_pending(tx, user, &digest, NOW).await.unwrap();
}

async fn leave_traces_on_merge_request(tx: &mut Tx, project: ProjectId, user: UserId) {
    let heads = Heads { head: "1".to_owned(), start: "2".to_owned(), base: None };
    let new = NewMergeRequest {
        project,
        iid: 1,
        author: user,
        title: "title",
        description: None,
        source_branch: "a",
        target_branch: "b",
        squash: false,
        removes_source_branch: false,
        heads: &heads,
    };
    let merge_request = merge_requests::insert(tx, &new, NOW).await.unwrap();
    merge_requests::set_assignees(tx, merge_request, &[user]).await.unwrap();
    merge_requests::set_reviewers(tx, merge_request, &[user]).await.unwrap();
    merge_requests::approve(tx, merge_request, user, NOW).await.unwrap();
    merge_requests::set_closed(tx, project, merge_request, Some((user, NOW))).await.unwrap();
    let edited = merge_requests::find(tx, project, 1, true).await.unwrap().unwrap();
    merge_requests::update(tx, &edited, Some(user), NOW).await.unwrap();
    let merge_request = merge_requests::insert(tx, &NewMergeRequest { iid: 2, ..new }, NOW).await.unwrap();
    let merged = Merged {
        by: Some(user),
        target_branch: "b",
        head: "1",
        merge_commit: None,
        squash_commit: None,
        merged_commit: "1",
    };
    merges::set_merged(tx, project, merge_request, &merged, NOW).await.unwrap();
    let waiting = AutoMerge { by: user, token: TokenId(1), options: "{}".to_owned() };
    merges::set_auto_merge(tx, project, merge_request, &waiting, NOW).await.unwrap();
}

async fn a_user_whose_records_were_moved_can_be_deleted(place: &Place) {
    migrate::migrate(&place.db, NOW).await.unwrap();
    let mut tx = place.db.begin().await.unwrap();
    let ghost = add_user(&mut tx, "ghost", UserKind::Ghost, None).await;
    let user = add_user(&mut tx, "user", UserKind::Person, None).await;
    leave_traces(&mut tx, user).await;
    users::request_deletion(&mut tx, user, NOW).await.unwrap();
    for column in MOVED_TO_GHOST {
        let moved = move_to_ghost(&mut tx, *column, user, ghost, 100).await.unwrap();
        assert!(moved > 0, "{column:?}: leave a trace there too, so that moving it is tested");
        assert_eq!(move_to_ghost(&mut tx, *column, user, ghost, 100).await.unwrap(), 0, "{column:?}");
    }
    assert!(users::delete(&mut tx, user).await.unwrap());
    assert!(users::find(&mut tx, user).await.unwrap().is_none());
    assert!(namespaces::find_own(&mut tx, user).await.unwrap().is_none());
    tx.commit().await.unwrap();
}
