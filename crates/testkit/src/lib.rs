//! A running forge and short sentences to test it with. A dev-dependency only: nothing here may reach a release.
//!
//! [`TestForge`] is a whole forge on a free loopback port, with a clock that stands still until it is told to move. What
//! it is filled with comes in through its public face. Start reading at [`TestForge`], then [`Caller`].
//!
//! On PostgreSQL when `PORTCULLIS_TEST_ENGINE` is `postgres`: then `PORTCULLIS_TEST_POSTGRES` names a server on which
//! databases may be made.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on should stop"
)]
#![expect(missing_docs, reason = "the names are the documentation of a test")]

mod browser;
mod caller;
mod connection;
pub mod contract;
mod forge;
mod git;
mod postgres;
mod program;
pub mod registry;

pub use browser::{Browser, authenticator_code, encoded, form_number};
pub use caller::{Answer, Caller, basic};
pub use connection::{Connection, Reply};
pub use forge::{Bot, Group, PASSWORD, Person, Project, TestClock, TestForge, token_secret};
pub use git::{Git, GitAnswer};
pub use program::Program;
pub use registry::RegistryClient;

/// Starts the binary under test in a process of its own; for tests of the package that builds it.
#[macro_export]
macro_rules! program {
    () => {
        $crate::Program::start(env!("CARGO_BIN_EXE_portcullis"))
    };
}

/// Starts a forge whose hooks are run by the binary under test; for tests of the package that builds it.
#[macro_export]
macro_rules! forge {
    () => {
        $crate::TestForge::start(env!("CARGO_BIN_EXE_portcullis"), |_| {})
    };
    ($change:expr) => {
        $crate::TestForge::start(env!("CARGO_BIN_EXE_portcullis"), $change)
    };
}
