//! Which tags may be changed and deleted by whom.
//!
//! The rules are read when a tag changes, not when a bearer is made, so that a changed rule acts at once. Of several that
//! match a tag, each must allow.

use portcullis_registry::{ErrorCode, ErrorEntry};
use portcullis_rules::access::{Act, Role, on};
use portcullis_store::container_rules::TagRule;
use serde_json::json;

use super::ImageError;
use crate::access::Authorized;
use crate::branches::covers;

/// The access level of an administrator of the instance in a rule. No membership has it.
pub(crate) const ADMINISTRATOR_LEVEL: i64 = 60;

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
    let level = if access.viewer().is_administrator() {
        ADMINISTRATOR_LEVEL
    } else {
        access.role().map_or(0, Role::level)
    };
    match rules.iter().find(|rule| covers(&rule.pattern, tag) && !allows(rule, level, change)) {
        None => Ok(()),
        Some(rule) => {
            let kind = if rule.is_immutable() { "immutable" } else { "protected" };
            let message = format!("the tag {tag} is {kind} by the rule {:?}", rule.pattern);
            let entry = ErrorEntry::new(ErrorCode::Denied, message);
            Err(ImageError::Protocol(vec![entry.with_detail(json!({ "tag": tag, "pattern": rule.pattern }))]))
        }
    }
}

fn allows(rule: &TagRule, level: i64, change: Change) -> bool {
    match change {
        _ if rule.is_immutable() => change == Change::Make,
        Change::Make | Change::Move => rule.push.is_none_or(|needed| level >= needed),
        Change::Delete => rule.delete.is_none_or(|needed| level >= needed),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_rules::id::ContainerTagRuleId;

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
