//! Issues, with their labels and assignees.
//!
//! What is confidential is left out by every reading statement itself, as far as the [`Sight`] it is told demands.

use portcullis_rules::id::{IssueId, MilestoneId, NamespaceId, ProjectId, UserId};

use crate::audience::Audience;
use crate::db::{Error, Row, Tx, V, statements};
use crate::milestones::{self, Milestone};
use crate::select::{Conditions, Listing, Paging, Value, Window};
use crate::users::{self, User};

/// How much of a project's issue tracker somebody is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Everything, confidential issues and internal comments included.
    Everything,
    /// What is not confidential, and the confidential issues that this user wrote or is assigned to. No internal comments.
    Own(UserId),
    /// What is not confidential.
    Open,
}

impl Sight {
    /// Returns 1 when everything is shown, as statements take it.
    pub(crate) fn everything(self) -> i64 {
        i64::from(self == Sight::Everything)
    }

    pub(crate) fn user(self) -> Option<i64> {
        match self {
            Sight::Own(user) => Some(user.0),
            Sight::Everything | Sight::Open => None,
        }
    }
}

/// An issue as recorded.
#[derive(Clone, Debug)]
pub struct Issue {
    /// The id.
    pub id: IssueId,
    /// The project it is in.
    pub project: ProjectId,
    /// Its number inside the project.
    pub iid: i64,
    /// Who wrote it, or the Ghost User.
    pub author: User,
    /// Who closed it.
    pub closed_by: Option<User>,
    /// What it is about.
    pub title: String,
    /// More about it, in Markdown.
    pub description: Option<String>,
    /// Since when it is confidential, in Unix microseconds.
    pub confidential_at: Option<i64>,
    /// Midnight UTC that begins the day on which it is due.
    pub due_date: Option<i64>,
    /// Since when only members may comment.
    pub discussion_locked_at: Option<i64>,
    /// When it was closed; null while it is open.
    pub closed_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it or a comment on it last changed.
    pub updated_at: i64,
    /// How many comments people wrote on it, of those that the reader is shown.
    pub notes: i64,
    /// What it is planned for.
    pub milestone: Option<Milestone>,
}

/// The columns of [`Issue`], in the order [`read`] expects; the argument is the condition under which internal comments
/// are counted.
macro_rules! columns {
    ($internal_shown:literal) => {
        concat!(
            "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
             u.bot_project_id, u.created_by, u.created_at, \
             c.id, c.username, c.name, c.email, c.kind, c.administrator_since, c.external_since, c.blocked_at, \
             c.bot_project_id, c.created_by, c.created_at, \
             i.id, i.project_id, i.iid, i.title, i.description, i.confidential_at, i.due_date, \
             i.discussion_locked_at, i.closed_at, i.created_at, i.updated_at, \
             (SELECT COUNT(*) FROM notes n WHERE n.issue_id = i.id AND n.system_at IS NULL \
             AND (n.internal_at IS NULL OR ",
            $internal_shown,
            ")), ",
            milestones::columns!()
        )
    };
}

/// The columns of [`Issue`] for whoever is shown no internal comments.
pub(crate) const OPEN_COLUMNS: &str = columns!("1 = 0");

/// How many columns [`read`] takes.
pub(crate) const COLUMN_COUNT: usize = 2 * users::COLUMN_COUNT + 22;

/// What the columns are read from.
pub(crate) const FROM: &str = "issues i JOIN users u ON u.id = i.author_id LEFT JOIN users c ON c.id = i.closed_by \
    LEFT JOIN milestones m ON m.id = i.milestone_id";

pub(crate) fn read(row: &Row<'_>) -> Result<Issue, Error> {
    let closer = users::COLUMN_COUNT;
    let at = 2 * users::COLUMN_COUNT;
    Ok(Issue {
        author: users::read_at(row, 0)?,
        closed_by: match row.get::<Option<i64>>(closer)? {
            Some(_) => Some(users::read_at(row, closer)?),
            None => None,
        },
        id: IssueId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        iid: row.get(at + 2)?,
        title: row.get(at + 3)?,
        description: row.get(at + 4)?,
        confidential_at: row.get(at + 5)?,
        due_date: row.get(at + 6)?,
        discussion_locked_at: row.get(at + 7)?,
        closed_at: row.get(at + 8)?,
        created_at: row.get(at + 9)?,
        updated_at: row.get(at + 10)?,
        notes: row.get(at + 11)?,
        milestone: match row.get::<Option<i64>>(at + 12)? {
            Some(_) => Some(milestones::read_at(row, at + 12)?),
            None => None,
        },
    })
}

statements! {
    INSERT = "INSERT INTO issues (project_id, iid, author_id, title, description, confidential_at, due_date, created_at, \
        updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";
    FIND = concat!(
        "SELECT ", columns!("$3 = 1"), " FROM issues i JOIN users u ON u.id = i.author_id \
        LEFT JOIN users c ON c.id = i.closed_by LEFT JOIN milestones m ON m.id = i.milestone_id \
        WHERE i.project_id = $1 AND i.iid = $2 \
        AND ($3 = 1 OR i.confidential_at IS NULL OR i.author_id = $4 \
        OR (SELECT COUNT(*) FROM issue_assignees a WHERE a.issue_id = i.id AND a.user_id = $4) > 0)"
    );
    LOCK = "UPDATE issues SET updated_at = updated_at WHERE project_id = $1 AND iid = $2";
    UPDATE = "UPDATE issues SET title = $3, description = $4, confidential_at = $5, due_date = $6, \
        discussion_locked_at = $7, last_editor_id = COALESCE($8, last_editor_id), edited_at = COALESCE($9, edited_at), \
        updated_at = $10 WHERE project_id = $1 AND id = $2";
    SET_CLOSED = "UPDATE issues SET closed_by = $3, closed_at = $4 WHERE project_id = $1 AND id = $2";
    TOUCH = "UPDATE issues SET updated_at = $3 WHERE project_id = $1 AND id = $2";
    DELETE_LABELS = "DELETE FROM issue_labels WHERE issue_id = $1";
    INSERT_LABEL = "INSERT INTO issue_labels (issue_id, label_id) SELECT i.id, b.id FROM issues i \
        JOIN labels b ON b.project_id = i.project_id WHERE i.id = $1 AND b.title = $2";
    SET_MILESTONE = "UPDATE issues SET milestone_id = $3 WHERE project_id = $1 AND id = $2";
    DELETE_ASSIGNEES = "DELETE FROM issue_assignees WHERE issue_id = $1";
    INSERT_ASSIGNEE = "INSERT INTO issue_assignees (issue_id, user_id) VALUES ($1, $2)";
    RETITLE_EVENTS = "UPDATE events SET target_title = $3 WHERE project_id = $1 AND ((target_type = 'Issue' \
        AND target_id = $2) OR (target_type = 'Note' AND target_id IN (SELECT n.id FROM notes n WHERE n.issue_id = $2)))";
    DELETE_EVENTS = "DELETE FROM events WHERE project_id = $1 AND ((target_type = 'Issue' AND target_id = $2) \
        OR (target_type = 'Note' AND target_id IN (SELECT n.id FROM notes n WHERE n.issue_id = $2)))";
    DELETE = "DELETE FROM issues WHERE project_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM issues";
}

/// An issue to be recorded.
#[derive(Clone, Debug)]
pub struct NewIssue<'a> {
    /// The project it goes into.
    pub project: ProjectId,
    /// Its number there.
    pub iid: i64,
    /// Who writes it.
    pub author: UserId,
    /// What it is about.
    pub title: &'a str,
    /// More about it.
    pub description: Option<&'a str>,
    /// Whether it is confidential.
    pub confidential: bool,
    /// Midnight UTC that begins the day on which it is due.
    pub due_date: Option<i64>,
    /// When it is said to have been made, in Unix microseconds.
    pub created_at: i64,
}

/// Records an issue.
///
/// # Errors
/// [`Error::Unique`] when the number is taken.
pub async fn insert(tx: &mut Tx, new: &NewIssue<'_>, now: i64) -> Result<IssueId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.iid),
        V::from(new.author.0),
        V::from(new.title),
        V::from(new.description),
        V::from(new.confidential.then_some(now)),
        V::from(new.due_date),
        V::from(new.created_at),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(IssueId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the issue with this number in a project, if it is one that is shown.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, iid: i64, sight: Sight) -> Result<Option<Issue>, Error> {
    let params = [V::from(project.0), V::from(iid), V::from(sight.everything()), V::from(sight.user())];
    tx.one(&FIND, &params, read).await
}

/// Locks an issue's row until the transaction ends, so that what is read of it next cannot change under the writer.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, project: ProjectId, iid: i64) -> Result<(), Error> {
    tx.run(&LOCK, &[V::from(project.0), V::from(iid)]).await?;
    Ok(())
}

/// Records changed texts and settings; `editor` is given when the title or description changed. What the feed says
/// follows the title, because an old title may have been changed for what it gave away.
///
/// # Errors
/// The database's.
pub async fn update(tx: &mut Tx, issue: &Issue, editor: Option<UserId>, now: i64) -> Result<(), Error> {
    let params = [
        V::from(issue.project.0),
        V::from(issue.id.0),
        V::from(&issue.title),
        V::from(&issue.description),
        V::from(issue.confidential_at),
        V::from(issue.due_date),
        V::from(issue.discussion_locked_at),
        V::from(editor.map(|user| user.0)),
        V::from(editor.map(|_| now)),
        V::from(now),
    ];
    tx.run(&UPDATE, &params).await?;
    if editor.is_some() {
        let params = [V::from(issue.project.0), V::from(issue.id.0), V::from(&issue.title)];
        tx.run(&RETITLE_EVENTS, &params).await?;
    }
    Ok(())
}

/// Records that an issue was closed by somebody at some time, or with `None` that it is open.
///
/// # Errors
/// The database's.
pub async fn set_closed(
    tx: &mut Tx,
    project: ProjectId,
    id: IssueId,
    closed: Option<(UserId, i64)>,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(id.0),
        V::from(closed.map(|(user, _)| user.0)),
        V::from(closed.map(|(_, at)| at)),
    ];
    tx.run(&SET_CLOSED, &params).await?;
    Ok(())
}

/// Records that something about an issue changed.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &mut Tx, project: ProjectId, id: IssueId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH, &[V::from(project.0), V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Records what an issue is planned for, or that it is for nothing. The milestone must be one of the project.
///
/// # Errors
/// The database's.
pub async fn set_milestone(
    tx: &mut Tx,
    project: ProjectId,
    id: IssueId,
    milestone: Option<MilestoneId>,
) -> Result<(), Error> {
    let params = [V::from(project.0), V::from(id.0), V::from(milestone.map(|milestone| milestone.0))];
    tx.run(&SET_MILESTONE, &params).await?;
    Ok(())
}

/// Replaces an issue's labels, which must differ from one another. Titles that its project has no label of are passed
/// over.
///
/// # Errors
/// The database's.
pub async fn set_labels(tx: &mut Tx, id: IssueId, labels: &[String]) -> Result<(), Error> {
    tx.run(&DELETE_LABELS, &[V::from(id.0)]).await?;
    for label in labels {
        tx.run(&INSERT_LABEL, &[V::from(id.0), V::from(label)]).await?;
    }
    Ok(())
}

/// Replaces an issue's assignees, who must differ from one another.
///
/// # Errors
/// The database's.
pub async fn set_assignees(tx: &mut Tx, id: IssueId, assignees: &[UserId]) -> Result<(), Error> {
    tx.run(&DELETE_ASSIGNEES, &[V::from(id.0)]).await?;
    for user in assignees {
        tx.run(&INSERT_ASSIGNEE, &[V::from(id.0), V::from(user.0)]).await?;
    }
    Ok(())
}

/// Deletes an issue with its comments, and what the feed said about them: the feed asks the issue whether it is
/// confidential, and once it is gone nothing would keep its title and comments hidden.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: IssueId) -> Result<(), Error> {
    let params = [V::from(project.0), V::from(id.0)];
    tx.run(&DELETE_EVENTS, &params).await?;
    tx.run(&DELETE, &params).await?;
    Ok(())
}

/// Returns how many there are.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// The most labels an issue has, and the most that a list asks for.
pub const MAX_LABELS: usize = 100;

/// The most assignees an issue has.
pub const MAX_ASSIGNEES: usize = 100;

/// The most rows a page has for which labels or assignees are asked.
const MAX_PAGE: i64 = 100;

const MAX_LABELS_OF_PAGE: i64 = MAX_PAGE * MAX_LABELS as i64;

const MAX_ASSIGNEES_OF_PAGE: i64 = MAX_PAGE * MAX_ASSIGNEES as i64;

/// Returns the labels of several issues, in one question: pairs of an issue's id and a label, by label.
///
/// # Errors
/// The database's.
pub async fn labels_of(tx: &mut Tx, issues: &[i64]) -> Result<Vec<(i64, String)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("l.issue_id", issues);
    let window = Window { limit: MAX_LABELS_OF_PAGE, offset: 0 };
    let map = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let from = "issue_labels l JOIN labels b ON b.id = l.label_id";
    Ok(conditions.list(tx, "l.issue_id, b.title", from, "l.issue_id, b.title", window, map).await?.items)
}

/// Returns the assignees of several issues, in one question: pairs of an issue's id and a user, by user id.
///
/// # Errors
/// The database's.
pub async fn assignees_of(tx: &mut Tx, issues: &[i64]) -> Result<Vec<(i64, User)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("a.issue_id", issues);
    let window = Window { limit: MAX_ASSIGNEES_OF_PAGE, offset: 0 };
    let columns = format!("{}, a.issue_id", users::COLUMNS);
    let from = "issue_assignees a JOIN users u ON u.id = a.user_id";
    let map = |row: &Row<'_>| Ok((row.get(users::COLUMN_COUNT)?, users::read_at(row, 0)?));
    Ok(conditions.list(tx, &columns, from, "a.issue_id, u.id", window, map).await?.items)
}

/// Whether an issue is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueState {
    /// It is.
    Opened,
    /// It was closed.
    Closed,
}

/// How an issue belongs to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They wrote it.
    Author(UserId),
    /// They are assigned to it.
    Assignee(UserId),
}

/// Which assignment a list is narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssigneeFilter {
    /// Nobody is assigned.
    Nobody,
    /// Somebody is assigned.
    Anybody,
    /// This user is assigned.
    User(UserId),
}

/// Which labels a list is narrowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFilter {
    /// No label at all.
    Without,
    /// At least one.
    Any,
    /// Each of these.
    All(Vec<String>),
}

/// Which milestone a list is narrowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MilestoneWanted {
    /// None at all.
    Without,
    /// Whichever.
    Any,
    /// The one with this title.
    Title(String),
    /// This one.
    Id(MilestoneId),
}

/// What a list of issues is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IssueOrder {
    /// When it was made.
    #[default]
    Created,
    /// When it last changed.
    Updated,
    /// When it is due; those that are never due come last.
    DueDate,
    /// Its title.
    Title,
}

/// What a list of issues is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct IssueFilter {
    /// Only open ones, or only closed ones.
    pub state: Option<IssueState>,
    /// Only those that belong to somebody.
    pub of: Option<Relation>,
    /// Part of the title or description.
    pub search: Option<String>,
    /// Whether the search leaves out descriptions.
    pub search_title_only: bool,
    /// Whether the search leaves out titles.
    pub search_description_only: bool,
    /// Only with these labels.
    pub labels: Option<LabelFilter>,
    /// Only with this milestone.
    pub milestone: Option<MilestoneWanted>,
    /// Only these numbers.
    pub iids: Option<Vec<i64>>,
    /// Only by this user.
    pub author: Option<UserId>,
    /// Only by the user with this name.
    pub author_username: Option<String>,
    /// Only with this assignment.
    pub assignee: Option<AssigneeFilter>,
    /// Only confidential ones, or only others.
    pub confidential: Option<bool>,
    /// Whether those of archived projects are left out of lists of several projects.
    pub without_archived: bool,
    /// Made at or after this time, in Unix microseconds.
    pub created_after: Option<i64>,
    /// Made at or before this time.
    pub created_before: Option<i64>,
    /// Changed at or after this time.
    pub updated_after: Option<i64>,
    /// Changed at or before this time.
    pub updated_before: Option<i64>,
    /// How pages are reached; by what stands last on each only when the order is that of times.
    pub paging: Paging,
    /// The order.
    pub order: IssueOrder,
    /// Smallest first.
    pub ascending: bool,
}

const LABELS_OF_ISSUE: &str = "(SELECT COUNT(*) FROM issue_labels l WHERE l.issue_id = i.id)";

const ASSIGNEES_OF_ISSUE: &str = "(SELECT COUNT(*) FROM issue_assignees a WHERE a.issue_id = i.id)";

const IS_ASSIGNED: &str =
    "(SELECT COUNT(*) FROM issue_assignees a WHERE a.issue_id = i.id AND a.user_id = ?) > 0";

impl IssueFilter {
    fn narrow(&self, conditions: &mut Conditions) {
        match self.state {
            Some(IssueState::Opened) => conditions.and("i.closed_at IS NULL", []),
            Some(IssueState::Closed) => conditions.and("i.closed_at IS NOT NULL", []),
            None => {}
        }
        match self.of {
            Some(Relation::Author(user)) => conditions.and("i.author_id = ?", [user.0.into()]),
            Some(Relation::Assignee(user)) => conditions.and(IS_ASSIGNED, [user.0.into()]),
            None => {}
        }
        if let Some(search) = &self.search {
            let columns: &[&str] = match (self.search_title_only, self.search_description_only) {
                (true, false) => &["i.title"],
                (false, true) => &["i.description"],
                _ => &["i.title", "i.description"],
            };
            conditions.and_contains(columns, search);
        }
        match &self.labels {
            Some(LabelFilter::Without) => conditions.and(&format!("{LABELS_OF_ISSUE} = 0"), []),
            Some(LabelFilter::Any) => conditions.and(&format!("{LABELS_OF_ISSUE} > 0"), []),
            Some(LabelFilter::All(labels)) => {
                for label in labels {
                    conditions.and(
                        "(SELECT COUNT(*) FROM issue_labels l JOIN labels b ON b.id = l.label_id \
                         WHERE l.issue_id = i.id AND b.title = ?) > 0",
                        [label.as_str().into()],
                    );
                }
            }
            None => {}
        }
        match &self.milestone {
            Some(MilestoneWanted::Without) => conditions.and("i.milestone_id IS NULL", []),
            Some(MilestoneWanted::Any) => conditions.and("i.milestone_id IS NOT NULL", []),
            Some(MilestoneWanted::Title(title)) => conditions.and("m.title = ?", [title.as_str().into()]),
            Some(MilestoneWanted::Id(id)) => conditions.and("i.milestone_id = ?", [id.0.into()]),
            None => {}
        }
        if let Some(iids) = &self.iids {
            conditions.and_in("i.iid", iids);
        }
        if let Some(author) = self.author {
            conditions.and("i.author_id = ?", [author.0.into()]);
        }
        if let Some(username) = &self.author_username {
            conditions.and("lower(u.username) = ?", [username.to_ascii_lowercase().into()]);
        }
        match self.assignee {
            Some(AssigneeFilter::Nobody) => conditions.and(&format!("{ASSIGNEES_OF_ISSUE} = 0"), []),
            Some(AssigneeFilter::Anybody) => conditions.and(&format!("{ASSIGNEES_OF_ISSUE} > 0"), []),
            Some(AssigneeFilter::User(user)) => conditions.and(IS_ASSIGNED, [user.0.into()]),
            None => {}
        }
        match self.confidential {
            Some(true) => conditions.and("i.confidential_at IS NOT NULL", []),
            Some(false) => conditions.and("i.confidential_at IS NULL", []),
            None => {}
        }
        for (condition, time) in [
            ("i.created_at >= ?", self.created_after),
            ("i.created_at <= ?", self.created_before),
            ("i.updated_at >= ?", self.updated_after),
            ("i.updated_at <= ?", self.updated_before),
        ] {
            if let Some(time) = time {
                conditions.and(condition, [time.into()]);
            }
        }
    }

    /// Narrows a list, the page included, and returns its order.
    fn narrow_and_order(&self, conditions: &mut Conditions) -> String {
        self.narrow(conditions);
        let column = if self.order == IssueOrder::Updated { "i.updated_at" } else { "i.created_at" };
        conditions.page(self.paging, (column, "i.id"), self.ascending);
        let direction = if self.ascending { "ASC" } else { "DESC" };
        let column = match self.order {
            IssueOrder::Created => "i.created_at",
            IssueOrder::Updated => "i.updated_at",
            // The engines disagree about where nulls belong.
            IssueOrder::DueDate => "CASE WHEN i.due_date IS NULL THEN 1 ELSE 0 END, i.due_date",
            IssueOrder::Title => "lower(i.title)",
        };
        format!("{column} {direction}, i.id {direction}")
    }
}

/// Of what issues of several projects are listed.
#[derive(Clone, Copy, Debug)]
pub enum IssuesOf {
    /// All projects in a group, or anywhere below it.
    Group(NamespaceId),
    /// All projects.
    Everywhere,
}

/// An issue with the path of its project.
#[derive(Clone, Debug)]
pub struct IssueOfProject {
    /// The issue.
    pub issue: Issue,
    /// The whole path of its project.
    pub project_path: String,
}

/// Returns the issues of several projects that somebody is shown. Internal comments are not counted.
///
/// # Errors
/// The database's.
pub async fn list_across(
    tx: &mut Tx,
    of: IssuesOf,
    audience: Audience,
    filter: &IssueFilter,
    window: Window,
    now: i64,
) -> Result<Listing<IssueOfProject>, Error> {
    let mut conditions = Conditions::default();
    audience.narrow_projects(&mut conditions, now);
    let (readable, values) = audience.readable_issues(now);
    conditions.and(&readable, values);
    if let IssuesOf::Group(group) = of {
        conditions.and(
            "p.namespace_id IN (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = ?)",
            [group.0.into()],
        );
    }
    if filter.without_archived {
        conditions.and("p.archived_at IS NULL", []);
    }
    let order = filter.narrow_and_order(&mut conditions);
    let columns = format!("{OPEN_COLUMNS}, p.full_path");
    let from = format!("{FROM} JOIN projects p ON p.id = i.project_id");
    let map = |row: &Row<'_>| Ok(IssueOfProject { issue: read(row)?, project_path: row.get(COLUMN_COUNT)? });
    conditions.list(tx, &columns, &from, &order, window, map).await
}

/// Returns the issues of a project that are shown.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    sight: Sight,
    filter: &IssueFilter,
    window: Window,
) -> Result<Listing<Issue>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("i.project_id = ?", [project.0.into()]);
    let columns = match sight {
        Sight::Everything => columns!("1 = 1"),
        Sight::Own(user) => {
            let user = Value::Int(user.0);
            let shown = format!("i.confidential_at IS NULL OR i.author_id = ? OR {IS_ASSIGNED}");
            conditions.and(&shown, [user.clone(), user]);
            columns!("1 = 0")
        }
        Sight::Open => {
            conditions.and("i.confidential_at IS NULL", []);
            columns!("1 = 0")
        }
    };
    let order = filter.narrow_and_order(&mut conditions);
    conditions.list(tx, columns, FROM, &order, window, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_two_users() {
        let closer = users::COLUMNS.replace("u.", "c.");
        assert!(columns!("1 = 1").starts_with(&format!("{}, {closer}, i.id", users::COLUMNS)));
    }

    #[test]
    fn somebody_who_sees_nothing_confidential_owns_nothing() {
        assert_eq!((Sight::Everything.everything(), Sight::Everything.user()), (1, None));
        assert_eq!((Sight::Own(UserId(7)).everything(), Sight::Own(UserId(7)).user()), (0, Some(7)));
        assert_eq!((Sight::Open.everything(), Sight::Open.user()), (0, None));
    }
}
