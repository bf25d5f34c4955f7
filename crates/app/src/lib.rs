//! The use cases of Portcullis: one file for each noun, one function for each verb.
//!
//! A function here takes the proof that its caller may act ([`access::Authorized`]), or a [`access::Viewer`] where it
//! lists what that viewer may see; `tests/tidy.rs` of the binary names the few exceptions. It opens the transaction, and
//! decides where it ends. It will never know HTTP.
//!
//! Start reading at [`access`], then [`tokens`].

pub mod access;
mod addresses;
pub mod archives;
pub mod audit;
pub mod award_emoji;
pub mod bearers;
pub mod branches;
pub mod clock;
pub mod code_search;
pub mod commit_statuses;
pub mod commits;
pub mod comparison;
pub mod contents;
pub(crate) mod credentials;
pub mod discussions;
pub mod error;
pub mod events;
pub mod files;
pub mod forge;
pub mod groups;
pub mod instance;
pub mod issue_links;
pub mod issues;
pub mod jobs;
pub mod keys;
pub mod labels;
pub mod last_use;
pub mod lfs;
pub mod members;
pub mod merge_requests;
pub mod metrics;
pub mod milestones;
pub mod noteables;
pub mod notes;
pub mod packages;
pub mod passwords;
pub mod people;
pub mod personal_tokens;
pub mod positions;
pub mod projects;
pub mod protected_tags;
pub mod random;
pub mod rate_limits;
pub(crate) mod ref_changes;
pub mod registry;
pub mod releases;
pub mod repositories;
pub mod repository_branches;
pub mod repository_changes;
mod sealing;
pub mod search;
pub mod second_factor;
pub mod sessions;
pub mod settings;
pub mod sign_in_throttle;
pub mod subscriptions;
pub mod tags;
pub mod terraform_states;
pub mod throttle;
pub mod time_tracking;
pub mod todos;
pub mod tokens;
pub mod trees;
pub mod uploads;
pub mod webhooks;

pub use error::Error;
pub use forge::{Forge, OpenError};
/// Records as the use cases return them.
pub use portcullis_store as records;
