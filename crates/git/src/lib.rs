//! Git repositories on disk, and the smart HTTP exchange with git clients.
//!
//! This crate makes, serves, tidies and removes bare repositories with the installed `git`. It knows paths, streams,
//! processes and the protocol. It will never know users, tokens, HTTP types or a database: whoever calls it has
//! already decided that the request may happen, and what must be decided in the middle of a push is asked through
//! [`PushJudge`].
//!
//! Start reading at [`Engine`], then `exchange.rs` for how one request lives and dies, `push.rs` for what a judge is
//! told, and `answers.rs` for what is computed once and handed to many.

mod ancestry;
mod answers;
mod archive;
mod blame;
mod changes;
mod changing_tree;
mod command;
mod commit;
mod delivery;
mod diff;
mod disk;
mod engine;
mod error;
mod exchange;
mod file_path;
mod grep;
mod history;
pub mod hook;
mod housekeeping;
mod last_commits;
mod lfs_pointer;
mod limits;
mod log;
mod loose;
mod merge_request_refs;
mod names;
mod objects;
mod open_objects;
mod process;
mod push;
mod question;
mod refs;
mod report;
mod settings;
mod special_files;
mod tree;
mod walk;
mod wire;

pub use archive::ArchiveFormat;
pub use blame::BlamedLines;
pub use changes::{Content, FileChange, NewCommit, NewTag, Prepared};
pub use commit::{Annotation, Authorship, Commit, SignatureKind};
pub use diff::{Diff, FileDiff, MAX_FILE_PATCH_BYTES, MAX_FILES, MAX_PATCH_BYTES};
pub use engine::{Branch, Engine, Stats};
pub use error::Error;
pub use exchange::{Exchange, GitOutput};
pub use file_path::{FilePath, FilePathError};
pub use grep::Passage;
pub use history::{CommitSummary, FirstCommit, Signature};
pub use housekeeping::{FsckReport, HousekeepingReport};
pub use lfs_pointer::{LfsPointer, MAX_POINTER_BYTES};
pub use log::{Contributor, LineCounts, LogQuery, LogStart};
pub use names::{GitProtocol, ObjectFormat, ObjectId, RefName, RefNameError, Service};
pub use objects::Tag;
pub use push::{CompletedPush, JudgeFuture, ProposedPush, PushJudge, RefUpdate, UpdateKind, Verdict};
pub use question::RepositoryPath;
pub use settings::{HousekeepingSettings, Settings};
pub use tree::{
    Blob, EntryKind, File, MAX_KEPT_BYTES, Missing, TreeEntry, TreePage, TreePlace, TreeQuery, TreeWindow,
};
