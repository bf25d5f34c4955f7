//! Rules about protected and immutable tags.

use portcullis_rules::id::{ContainerTagRuleId, ProjectId};

use crate::db::{Error, Row, Tx, V, statements};

/// A rule about the tags that match a pattern. Without levels the tags are immutable: whoever may push makes them, and
/// nobody changes or deletes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRule {
    /// The id.
    pub id: ContainerTagRuleId,
    /// Which tags it is about: `*` stands for any characters.
    pub pattern: String,
    /// The lowest access level that may push such a tag.
    pub push: Option<i64>,
    /// The lowest access level that may delete such a tag.
    pub delete: Option<i64>,
}

impl TagRule {
    /// Returns whether nobody may change such a tag.
    pub fn is_immutable(&self) -> bool {
        self.push.is_none() && self.delete.is_none()
    }
}

fn read(row: &Row<'_>) -> Result<TagRule, Error> {
    Ok(TagRule {
        id: ContainerTagRuleId(row.get(0)?),
        pattern: row.get(1)?,
        push: row.get(2)?,
        delete: row.get(3)?,
    })
}

statements! {
    OF_PROJECT = "SELECT id, pattern, push_access_level, delete_access_level FROM container_tag_rules \
        WHERE project_id = $1 ORDER BY id";
    FIND = "SELECT id, pattern, push_access_level, delete_access_level FROM container_tag_rules \
        WHERE project_id = $1 AND id = $2";
    INSERT = "INSERT INTO container_tag_rules (project_id, pattern, push_access_level, delete_access_level, created_at) \
        VALUES ($1, $2, $3, $4, $5) RETURNING id";
    UPDATE = "UPDATE container_tag_rules SET pattern = $3, push_access_level = $4, delete_access_level = $5 \
        WHERE project_id = $1 AND id = $2";
    DELETE = "DELETE FROM container_tag_rules WHERE project_id = $1 AND id = $2";
}

/// Returns every rule of a project, by id.
///
/// # Errors
/// The database's.
pub async fn of_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<TagRule>, Error> {
    tx.all(&OF_PROJECT, &[V::from(project.0)], read).await
}

/// Returns a rule of a project.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: ContainerTagRuleId) -> Result<Option<TagRule>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Records a rule.
///
/// # Errors
/// [`Error::Unique`] when there is one for this pattern.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    pattern: &str,
    push: Option<i64>,
    delete: Option<i64>,
    now: i64,
) -> Result<ContainerTagRuleId, Error> {
    let params = [V::from(project.0), V::from(pattern), V::from(push), V::from(delete), V::from(now)];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(ContainerTagRuleId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Changes a rule.
///
/// # Errors
/// [`Error::Unique`] when there is another one for its pattern.
pub async fn update(tx: &mut Tx, project: ProjectId, rule: &TagRule) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(rule.id.0),
        V::from(&rule.pattern),
        V::from(rule.push),
        V::from(rule.delete),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Removes a rule. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: ContainerTagRuleId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await? > 0)
}
