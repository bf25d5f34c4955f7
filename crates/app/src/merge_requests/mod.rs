//! Merge requests: commits of one branch that somebody wants in another.

pub(crate) mod branches;
pub mod standing;
