//! Access: scopes say what a token was given, roles what its user may do, actions what is asked.
//!
//! [`RULES`] is the table, [`decide`] the function that reads it. The two vocabularies are kept apart on purpose:
//! a scope (`read_repository`) never appears in a use case, an action ([`Action::DownloadCode`]) never on a token.

mod action;
mod decide;
mod role;
mod rule;
mod scope;

pub use action::{Act, Action, On, act, on};
pub use decide::{Caller, CallerKind, Denial, Facts, FeatureAccess, Known, ResourceFacts, decide};
pub use role::{Role, Visibility};
pub use rule::{ArchivedProject, BotUse, Feature, Needs, Openness, RULES, Rule, rule};
pub use scope::{ScopeSet, UnknownScope};
