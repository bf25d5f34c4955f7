//! The only crate of Portcullis that knows a database: SQLite and PostgreSQL behind one SQL text.
//!
//! [`db`] is the adapter, [`migrate`] brings a schema up to date, and each table has a file of its own, whose functions
//! take the open transaction first: the use case above decides where it begins and ends. This crate never decides who
//! may do what; a list only filters by the [`Audience`](audience::Audience) it is told.
//!
//! Start reading at `migrations/0001_foundation.sql`.

pub mod access_tokens;
pub mod audience;
pub mod audit_events;
pub mod award_emoji;
pub mod blobs;
pub mod commit_statuses;
pub mod container_cleanup_policies;
pub mod container_manifests;
pub mod container_repositories;
pub mod container_rules;
pub mod container_tags;
pub mod container_uploads;
pub mod db;
pub mod discussions;
pub mod events;
pub mod issue_links;
pub mod issues;
pub mod jobs;
pub mod labels;
pub mod lfs_locks;
pub mod lfs_objects;
pub mod members;
pub mod merge_request_versions;
pub mod merge_requests;
pub mod merges;
pub mod migrate;
pub mod milestones;
pub mod namespaces;
pub mod notes;
pub mod packages;
pub mod password_links;
pub mod projects;
pub mod protected_branches;
pub mod protected_tags;
pub mod pushes;
pub mod release_links;
pub mod releases;
pub mod second_factors;
pub mod select;
pub mod sessions;
pub mod subscriptions;
pub mod terraform_states;
pub mod timelogs;
pub mod todos;
pub mod uploads;
pub mod user_references;
pub mod users;
pub mod webhooks;

/// Every statement of every table, so that a test can prepare them all on both engines.
pub fn statements() -> impl Iterator<Item = &'static db::Statement> {
    [
        access_tokens::STATEMENTS,
        audit_events::STATEMENTS,
        award_emoji::STATEMENTS,
        blobs::STATEMENTS,
        commit_statuses::STATEMENTS,
        container_cleanup_policies::STATEMENTS,
        container_manifests::STATEMENTS,
        container_repositories::STATEMENTS,
        container_rules::STATEMENTS,
        container_tags::STATEMENTS,
        container_uploads::STATEMENTS,
        discussions::STATEMENTS,
        events::STATEMENTS,
        issue_links::STATEMENTS,
        issues::STATEMENTS,
        jobs::STATEMENTS,
        labels::STATEMENTS,
        lfs_locks::STATEMENTS,
        lfs_objects::STATEMENTS,
        members::STATEMENTS,
        merge_request_versions::STATEMENTS,
        merge_requests::STATEMENTS,
        merges::STATEMENTS,
        milestones::STATEMENTS,
        namespaces::STATEMENTS,
        notes::STATEMENTS,
        packages::STATEMENTS,
        password_links::STATEMENTS,
        projects::STATEMENTS,
        protected_branches::STATEMENTS,
        protected_tags::STATEMENTS,
        pushes::STATEMENTS,
        terraform_states::STATEMENTS,
        uploads::STATEMENTS,
        release_links::STATEMENTS,
        releases::STATEMENTS,
        second_factors::STATEMENTS,
        sessions::STATEMENTS,
        subscriptions::STATEMENTS,
        timelogs::STATEMENTS,
        todos::STATEMENTS,
        user_references::STATEMENTS,
        users::STATEMENTS,
        webhooks::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
