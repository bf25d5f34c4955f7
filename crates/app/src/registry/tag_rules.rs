//! Which tags may be changed and deleted by whom: what the rules say, and how they are made.
//!
//! The rules are read when a tag changes, not when a bearer is made, so that a changed rule acts at once. Of several that
//! match a tag, each must allow.

use portcullis_registry::{ErrorCode, ErrorEntry};
use portcullis_rules::access::{Act, Role, act, on};
use portcullis_rules::id::ContainerTagRuleId;
use portcullis_store::container_rules::{self as table, TagRule};
use portcullis_store::{db, projects};
use serde_json::{Value, json};

use super::{ImageError, is_offered};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::branches::covers;
use crate::forge::Forge;

/// The access level of an administrator of the instance in a rule. No membership has it.
const ADMINISTRATOR_LEVEL: i64 = 60;

/// How many rules a project may have.
const MAX_RULES: usize = 5;

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 100;

/// What is about to happen to a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is made, or stays where it is.
    Make,
    /// It moves to another manifest.
    Move,
    /// It goes.
    Delete,
}

/// Refuses a change that a rule forbids.
///
/// # Errors
/// `DENIED` with the pattern of the rule.
pub(super) fn check<A: Act<On = on::Project>>(
    rules: &[TagRule],
    access: &Authorized<A>,
    tag: &str,
    change: Change,
) -> Result<(), ImageError> {
    let Some(rule) = against(rules, access, tag, change) else { return Ok(()) };
    let entry = ErrorEntry::new(ErrorCode::Denied, explanation(rule, tag));
    Err(ImageError::Protocol(vec![entry.with_detail(json!({ "tag": tag, "pattern": rule.pattern }))]))
}

/// As [`check`], in the words of the API.
///
/// # Errors
/// [`Error::Forbidden`].
pub(super) fn permit<A: Act<On = on::Project>>(
    rules: &[TagRule],
    access: &Authorized<A>,
    tag: &str,
    change: Change,
) -> Result<(), Error> {
    match against(rules, access, tag, change) {
        None => Ok(()),
        Some(rule) => Err(Error::Forbidden(explanation(rule, tag))),
    }
}

/// Returns whether the rules let the caller delete a tag.
pub(super) fn lets_delete<A: Act<On = on::Project>>(
    rules: &[TagRule],
    access: &Authorized<A>,
    tag: &str,
) -> bool {
    against(rules, access, tag, Change::Delete).is_none()
}

/// Returns whether any rule is about a tag: a cleanup leaves it alone, in whoever's name.
pub(super) fn mentions(rules: &[TagRule], tag: &str) -> bool {
    rules.iter().any(|rule| covers(&rule.pattern, tag))
}

/// Returns a rule that forbids the change.
fn against<'a, A: Act<On = on::Project>>(
    rules: &'a [TagRule],
    access: &Authorized<A>,
    tag: &str,
    change: Change,
) -> Option<&'a TagRule> {
    let level = if access.viewer().is_administrator() {
        ADMINISTRATOR_LEVEL
    } else {
        access.role().map_or(0, Role::level)
    };
    rules.iter().find(|rule| covers(&rule.pattern, tag) && !allows(rule, level, change))
}

fn explanation(rule: &TagRule, tag: &str) -> String {
    let kind = if rule.is_immutable() { "immutable" } else { "protected" };
    format!("the tag {tag} is {kind} by the rule {:?}", rule.pattern)
}

fn allows(rule: &TagRule, level: i64, change: Change) -> bool {
    match change {
        _ if rule.is_immutable() => change == Change::Make,
        Change::Make | Change::Move => rule.push.is_none_or(|needed| level >= needed),
        Change::Delete => rule.delete.is_none_or(|needed| level >= needed),
    }
}

/// The lowest level that a rule asks for. Clients name it by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleLevel(i64);

impl RuleLevel {
    /// What there is.
    pub const ALL: [&'static str; 3] = ["maintainer", "owner", "admin"];

    /// Returns the level with this name.
    pub fn from_name(name: &str) -> Option<RuleLevel> {
        Some(RuleLevel(match name {
            "maintainer" => Role::Maintainer.level(),
            "owner" => Role::Owner.level(),
            "admin" => ADMINISTRATOR_LEVEL,
            _ => return None,
        }))
    }
}

/// Returns the word for a level in a rule.
pub fn level_name(level: i64) -> &'static str {
    match level {
        ADMINISTRATOR_LEVEL.. => "admin",
        level if level > Role::Maintainer.level() => "owner",
        _ => "maintainer",
    }
}

/// A rule as asked for. Without levels it makes tags immutable.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// Which tags it is about: `*` stands for any characters.
    pub pattern: String,
    /// The lowest level that may push them.
    pub push: Option<RuleLevel>,
    /// The lowest level that may delete them.
    pub delete: Option<RuleLevel>,
}

/// What is to change about a rule; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct RuleChanges {
    /// Which tags it is about.
    pub pattern: Option<String>,
    /// The lowest level that may push them.
    pub push: Option<Option<RuleLevel>>,
    /// The lowest level that may delete them.
    pub delete: Option<Option<RuleLevel>>,
}

/// Returns the rules of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::AdministerContainerRules>,
) -> Result<Vec<TagRule>, Error> {
    is_offered(forge)?;
    let mut tx = forge.db().read().await?;
    Ok(table::of_project(&mut tx, access.project()).await?)
}

/// Makes a rule.
///
/// # Errors
/// [`Error::Unprocessable`] for the pattern, one level without the other, or one rule too many; [`Error::Refused`] when it
/// makes tags immutable and the caller is no Owner.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::AdministerContainerRules>,
    new: NewRule,
) -> Result<TagRule, Error> {
    is_offered(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    // Two requests at once are counted one after the other.
    projects::lock(&mut tx, access.project()).await?;
    let access = access.again(forge, &mut tx).await?;
    let mut rule = TagRule {
        id: ContainerTagRuleId(0),
        pattern: new.pattern,
        push: new.push.map(|level| level.0),
        delete: new.delete.map(|level| level.0),
    };
    check_rule(&rule)?;
    if rule.is_immutable() {
        access.also::<act::AdministerImmutableTags>()?;
    }
    if table::of_project(&mut tx, access.project()).await?.len() >= MAX_RULES {
        return Err(Error::Unprocessable(format!("a project has at most {MAX_RULES} rules about tags")));
    }
    let inserted = table::insert(&mut tx, access.project(), &rule.pattern, rule.push, rule.delete, now).await;
    rule.id = inserted.map_err(taken)?;
    let entry = Entry::project(access.project(), &access.place().full_path, "container_tag_rule_created");
    let entry = entry.target("ContainerTagRule", rule.id.0).details(in_words(&rule));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(rule)
}

/// Changes a rule. One that makes tags immutable stays as it is.
///
/// # Errors
/// [`Error::NotFound`]; as [`create`].
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::AdministerContainerRules>,
    id: ContainerTagRuleId,
    changes: RuleChanges,
) -> Result<TagRule, Error> {
    is_offered(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    projects::lock(&mut tx, access.project()).await?;
    let access = access.again(forge, &mut tx).await?;
    let mut rule = table::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    if rule.is_immutable() {
        let text = "a rule that makes tags immutable cannot be changed; delete it and make another";
        return Err(Error::Unprocessable(text.to_owned()));
    }
    rule.pattern = changes.pattern.unwrap_or(rule.pattern);
    rule.push = changes.push.map_or(rule.push, |level| level.map(|level| level.0));
    rule.delete = changes.delete.map_or(rule.delete, |level| level.map(|level| level.0));
    check_rule(&rule)?;
    if rule.is_immutable() {
        access.also::<act::AdministerImmutableTags>()?;
    }
    table::update(&mut tx, access.project(), &rule).await.map_err(taken)?;
    let entry = Entry::project(access.project(), &access.place().full_path, "container_tag_rule_updated");
    let entry = entry.target("ContainerTagRule", rule.id.0).details(in_words(&rule));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(rule)
}

/// Removes a rule.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] when it makes tags immutable and the caller is no Owner.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerContainerRules>,
    id: ContainerTagRuleId,
) -> Result<(), Error> {
    is_offered(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let rule = table::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    if rule.is_immutable() {
        access.also::<act::AdministerImmutableTags>()?;
    }
    table::delete(&mut tx, access.project(), id).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "container_tag_rule_removed");
    let entry = entry.target("ContainerTagRule", id.0).details(in_words(&rule));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(())
}

const NOT_FOUND: Error = Error::NotFound("Container Tag Protection Rule");

fn taken(error: db::Error) -> Error {
    match error {
        db::Error::Unique { .. } => {
            Error::Unprocessable("tag_name_pattern has already been taken".to_owned())
        }
        other => other.into(),
    }
}

/// A pattern that no tag can match would protect nothing, and look as if it did.
fn check_rule(rule: &TagRule) -> Result<(), Error> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-*".contains(&byte);
    let starts = !rule.pattern.starts_with(['.', '-']);
    if rule.pattern.is_empty()
        || rule.pattern.len() > MAX_PATTERN_BYTES
        || !starts
        || !rule.pattern.bytes().all(known)
    {
        return Err(Error::Unprocessable(format!(
            "tag_name_pattern must be a tag in which * stands for any characters: letters, digits, _, . and -, \
             {MAX_PATTERN_BYTES} at most"
        )));
    }
    if rule.push.is_some() != rule.delete.is_some() {
        let text = "minimum_access_level_for_push and minimum_access_level_for_delete must both be set, or both be \
                    empty, which makes the tags immutable";
        return Err(Error::Unprocessable(text.to_owned()));
    }
    Ok(())
}

fn in_words(rule: &TagRule) -> Value {
    json!({
        "tag_name_pattern": rule.pattern,
        "minimum_access_level_for_push": rule.push.map(level_name),
        "minimum_access_level_for_delete": rule.delete.map(level_name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(push: Option<i64>, delete: Option<i64>) -> TagRule {
        TagRule { id: ContainerTagRuleId(1), pattern: "v*".to_owned(), push, delete }
    }

    #[test]
    fn an_immutable_tag_is_made_and_never_changed() {
        for level in [30, 40, 50, ADMINISTRATOR_LEVEL] {
            assert!(allows(&rule(None, None), level, Change::Make));
            assert!(!allows(&rule(None, None), level, Change::Move));
            assert!(!allows(&rule(None, None), level, Change::Delete));
        }
    }

    #[test]
    fn a_protected_tag_asks_for_its_levels() {
        let rule = rule(Some(40), Some(50));
        for (level, push, delete) in
            [(30, false, false), (40, true, false), (50, true, true), (60, true, true)]
        {
            assert_eq!(allows(&rule, level, Change::Make), push, "{level}");
            assert_eq!(allows(&rule, level, Change::Move), push, "{level}");
            assert_eq!(allows(&rule, level, Change::Delete), delete, "{level}");
        }
    }

    #[test]
    fn a_rule_about_pushing_alone_leaves_deleting_as_it_is() {
        assert!(allows(&rule(Some(50), None), 40, Change::Delete));
        assert!(allows(&rule(None, Some(50)), 30, Change::Move));
    }
}
