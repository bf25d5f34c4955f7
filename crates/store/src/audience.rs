//! For whom a list is made: its filter is part of the query, never applied afterwards.

use portcullis_rules::access::{Role, Visibility};
use portcullis_rules::id::{NamespaceId, ProjectId, UserId};

use crate::select::{Conditions, Value};

/// Who will see a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// An administrator: everything.
    Everything,
    /// Somebody who has not signed in: what is public.
    Public,
    /// The bot of a project: that project, and what is public.
    Bot(UserId, ProjectId),
    /// The bot of a group: that group with all below it, and what is public.
    GroupBot(UserId, NamespaceId),
    /// A person: what is public, internal unless external, and what they are a member of.
    Person {
        /// The person.
        user: UserId,
        /// Whether internal projects are closed to them.
        external: bool,
    },
}

/// Projects (alias `p`) a user is a living member of, directly or through a namespace. Values: user, now, user, now.
pub(crate) const MEMBER_PROJECTS: &str = "p.id IN (SELECT m.project_id FROM members m WHERE m.user_id = ? AND \
     m.project_id IS NOT NULL AND (m.expires_at IS NULL OR m.expires_at > ?)) \
     OR p.namespace_id IN (SELECT a.descendant_id FROM members m JOIN namespace_ancestors a \
     ON a.ancestor_id = m.namespace_id WHERE m.user_id = ? AND (m.expires_at IS NULL OR m.expires_at > ?))";

/// Namespaces (alias `n`) a user is a living member of, directly or through an ancestor. Values: user, now.
pub(crate) const MEMBER_NAMESPACES: &str = "n.id IN (SELECT a.descendant_id FROM members m \
     JOIN namespace_ancestors a ON a.ancestor_id = m.namespace_id \
     WHERE m.user_id = ? AND (m.expires_at IS NULL OR m.expires_at > ?))";

/// A user's highest living role on a project (alias `p`), also through a namespace. Values: user, now.
const ROLE: &str = "(SELECT MAX(m.access_level) FROM members m WHERE m.user_id = ? AND \
     (m.expires_at IS NULL OR m.expires_at > ?) AND (m.project_id = p.id OR m.namespace_id IN \
     (SELECT a.ancestor_id FROM namespace_ancestors a WHERE a.descendant_id = p.namespace_id)))";

/// The namespaces where the bot of a group has a role: its group and those below. Values: user, group, now.
const HOME_NAMESPACES: &str = "SELECT a.descendant_id FROM members m \
     JOIN namespace_ancestors a ON a.ancestor_id = m.namespace_id \
     WHERE m.user_id = ? AND m.namespace_id = ? AND (m.expires_at IS NULL OR m.expires_at > ?)";

/// A condition that stands in a list, with its values.
type Condition = (String, Vec<Value>);

impl Audience {
    fn user(self) -> Option<UserId> {
        match self {
            Audience::Everything | Audience::Public => None,
            Audience::Bot(user, _) | Audience::GroupBot(user, _) | Audience::Person { user, .. } => {
                Some(user)
            }
        }
    }

    /// Returns the condition that this audience has at least this role on a project (alias `p`) at `now`.
    fn has_role(self, role: Role, now: i64) -> Condition {
        let level = Value::Int(role.level());
        match self {
            Audience::Everything => ("1 = 1".to_owned(), Vec::new()),
            Audience::Public => ("1 = 0".to_owned(), Vec::new()),
            Audience::Bot(user, project) => (
                format!("p.id = ? AND {ROLE} >= ?"),
                vec![project.0.into(), user.0.into(), now.into(), level],
            ),
            Audience::GroupBot(user, group) => (
                format!("p.namespace_id IN ({HOME_NAMESPACES} AND m.access_level >= ?)"),
                vec![user.0.into(), group.0.into(), now.into(), level],
            ),
            Audience::Person { user, .. } => (format!("{ROLE} >= ?"), vec![user.0.into(), now.into(), level]),
        }
    }

    /// Returns the condition that an issue (alias `i`), of a project (alias `p`) that this audience can see, is shown to it
    /// at `now`: what the rules of reading issues and confidential issues say.
    pub(crate) fn readable_issues(self, now: i64) -> Condition {
        let (inside, mut values) = self.has_role(Role::Guest, now);
        let (trusted, more) = self.has_role(Role::Reporter, now);
        values.extend(more);
        let mut text = format!(
            "p.issues_access <> 'disabled' AND ((p.issues_access = 'enabled' AND p.visibility > 0) OR ({inside})) \
             AND (i.confidential_at IS NULL OR ({trusted})"
        );
        if let Some(user) = self.user() {
            text.push_str(
                " OR i.author_id = ? OR \
                 (SELECT COUNT(*) FROM issue_assignees a WHERE a.issue_id = i.id AND a.user_id = ?) > 0",
            );
            values.extend([user.0.into(), user.0.into()]);
        }
        text.push(')');
        (text, values)
    }

    /// Returns the condition that the merge requests of a project (alias `p`) that this audience can see are shown to it at
    /// `now`: what the rule of reading merge requests says.
    pub(crate) fn reads_merge_requests(self, now: i64) -> Condition {
        let (inside, values) = self.has_role(Role::Reporter, now);
        let text = format!(
            "p.merge_requests_access <> 'disabled' \
             AND ((p.merge_requests_access = 'enabled' AND p.visibility > 0) OR ({inside}))"
        );
        (text, values)
    }

    fn widest_visibility_level(self) -> i64 {
        match self {
            Audience::Person { external: false, .. } => Visibility::Internal.level(),
            _ => Visibility::Public.level(),
        }
    }

    /// Narrows a list of projects (alias `p`) to those this audience can see at `now`.
    pub(crate) fn narrow_projects(self, conditions: &mut Conditions, now: i64) {
        conditions.and("p.deletion_requested_at IS NULL", []);
        let level = Value::Int(self.widest_visibility_level());
        match self {
            Audience::Everything => {}
            Audience::Public => conditions.and("p.visibility >= ?", [level]),
            Audience::Bot(_, project) => {
                conditions.and("p.visibility >= ? OR p.id = ?", [level, Value::Int(project.0)]);
            }
            Audience::GroupBot(user, group) => conditions.and(
                &format!("p.visibility >= ? OR p.namespace_id IN ({HOME_NAMESPACES})"),
                [level, user.0.into(), group.0.into(), now.into()],
            ),
            Audience::Person { user, .. } => {
                let (user, now) = (Value::Int(user.0), Value::Int(now));
                conditions.and(
                    &format!("p.visibility >= ? OR {MEMBER_PROJECTS}"),
                    [level, user.clone(), now.clone(), user, now],
                );
            }
        }
    }

    /// Narrows a list of namespaces (alias `n`) to those this audience can see at `now`.
    pub(crate) fn narrow_namespaces(self, conditions: &mut Conditions, now: i64) {
        conditions.and("n.deletion_requested_at IS NULL", []);
        let level = Value::Int(self.widest_visibility_level());
        match self {
            Audience::Everything => {}
            Audience::Public | Audience::Bot(..) => conditions.and("n.visibility >= ?", [level]),
            Audience::GroupBot(user, group) => conditions.and(
                &format!("n.visibility >= ? OR n.id IN ({HOME_NAMESPACES})"),
                [level, user.0.into(), group.0.into(), now.into()],
            ),
            Audience::Person { user, .. } => conditions.and(
                &format!("n.visibility >= ? OR n.owner_id = ? OR {MEMBER_NAMESPACES}"),
                [level, Value::Int(user.0), Value::Int(user.0), Value::Int(now)],
            ),
        }
    }

    /// Narrows a list of users (alias `u`). A bot sees itself and the members of its own project, or of its group and of what
    /// is above and below that, nobody else.
    pub(crate) fn narrow_users(self, conditions: &mut Conditions, now: i64) {
        match self {
            Audience::Everything | Audience::Person { .. } => {}
            Audience::Public => conditions.and("1 = 0", []),
            Audience::Bot(user, project) => conditions.and(
                "u.id = ? OR u.id IN (SELECT m.user_id FROM members m WHERE (m.expires_at IS NULL OR m.expires_at > ?) \
                 AND (m.project_id = ? OR m.namespace_id IN (SELECT a.ancestor_id FROM projects p \
                 JOIN namespace_ancestors a ON a.descendant_id = p.namespace_id WHERE p.id = ?)))",
                [user.0.into(), now.into(), project.0.into(), project.0.into()],
            ),
            Audience::GroupBot(user, group) => conditions.and(
                "u.id = ? OR u.id IN (SELECT m.user_id FROM members m WHERE (m.expires_at IS NULL OR m.expires_at > ?) \
                 AND (m.namespace_id IN (SELECT a.ancestor_id FROM namespace_ancestors a WHERE a.descendant_id = ?) \
                 OR m.namespace_id IN (SELECT a.descendant_id FROM namespace_ancestors a WHERE a.ancestor_id = ?) \
                 OR m.project_id IN (SELECT p.id FROM projects p JOIN namespace_ancestors a \
                 ON a.descendant_id = p.namespace_id WHERE a.ancestor_id = ?)))",
                [user.0.into(), now.into(), group.0.into(), group.0.into(), group.0.into()],
            ),
        }
    }
}
