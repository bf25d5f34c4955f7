//! Rules about protected and immutable tags of images.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::records::container_rules::TagRule;
use portcullis_app::registry::tag_rules::{self, NewRule, RuleChanges, RuleLevel, level_name};
use portcullis_rules::access::act;
use portcullis_rules::id::{ContainerTagRuleId, ProjectId};
use serde_json::{Value, json};

use super::{ApiResult, PathParts, created, no_content, ok, path_number};
use crate::AppState;
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// GitLab's names for who may push and who may delete.
const PUSH: &str = "minimum_access_level_for_push";
const DELETE: &str = "minimum_access_level_for_delete";

fn view(project: ProjectId, rule: &TagRule) -> Value {
    json!({
        "id": rule.id.0,
        "project_id": project.0,
        "tag_name_pattern": rule.pattern,
        "minimum_access_level_for_push": rule.push.map(level_name),
        "minimum_access_level_for_delete": rule.delete.map(level_name),
    })
}

fn rule_id(parts: &PathParts) -> Result<ContainerTagRuleId, ApiError> {
    path_number(parts, "rule_id", "Container Tag Protection Rule").map(ContainerTagRuleId)
}

/// Reads a level; null and the empty text are none, which must be said.
fn reads_level(read: &mut Reader<'_>, name: &str) -> Option<Option<RuleLevel>> {
    read.clearable(name, &RuleLevel::ALL, RuleLevel::from_name)
}

/// Answers the rules of a project.
pub async fn list(
    access: Authorized<act::AdministerContainerRules>,
    State(state): State<AppState>,
) -> ApiResult {
    let rules = tag_rules::list(&state.forge, &access).await?;
    Ok(ok(rules.iter().map(|rule| view(access.project(), rule)).collect::<Vec<_>>()))
}

/// Makes a rule.
pub async fn create(
    access: Authorized<act::AdministerContainerRules>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let pattern = read.required_text("tag_name_pattern");
    let (push, delete) = (reads_level(&mut read, PUSH), reads_level(&mut read, DELETE));
    for name in [PUSH, DELETE] {
        if !params.has(name) {
            read.problem(name, "is missing");
        }
    }
    read.finish()?;
    let new = NewRule { pattern, push: push.flatten(), delete: delete.flatten() };
    let rule = tag_rules::create(&state.forge, &access, new).await?;
    Ok(created(view(access.project(), &rule)))
}

/// Changes a rule.
pub async fn update(
    access: Authorized<act::AdministerContainerRules>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let changes = RuleChanges {
        pattern: read.text("tag_name_pattern"),
        push: reads_level(&mut read, PUSH),
        delete: reads_level(&mut read, DELETE),
    };
    read.finish()?;
    let rule = tag_rules::update(&state.forge, &access, rule_id(&parts)?, changes).await?;
    Ok(ok(view(access.project(), &rule)))
}

/// Removes a rule.
pub async fn delete(
    access: Authorized<act::AdministerContainerRules>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    tag_rules::delete(&state.forge, &access, rule_id(&parts)?).await?;
    Ok(no_content())
}
