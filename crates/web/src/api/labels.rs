//! Labels.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::labels::{self, LabelChanges, LabelDetails, LabelReference, NewLabelRequest, WithCounts};
use portcullis_app::records::labels::{Label, LabelCounts};
use portcullis_app::subscriptions;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::color::Color;
use serde_json::{Value, json};

use super::issues::reads_sought;
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_text};
use crate::AppState;
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// The parameters of a change, as the answer to a request without any names them.
const CHANGEABLE: [&str; 4] = ["new_name", "color", "description", "priority"];

/// Returns a text as HTML that shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn view(label: &Label, counts: Option<LabelCounts>, subscribed: bool) -> Value {
    let text_color = Color::parse(&label.color).map(|color| color.text_color());
    let mut view = json!({
        "id": label.id.0,
        "name": label.title,
        "description": label.description,
        "description_html": escaped(label.description.as_deref().unwrap_or_default()),
        "text_color": text_color,
        "color": label.color,
        "archived": false,
        "subscribed": subscribed,
        "priority": label.priority,
        "is_project_label": true,
    });
    if let Some(counts) = counts {
        view["open_issues_count"] = json!(counts.open);
        view["closed_issues_count"] = json!(counts.closed);
        view["open_merge_requests_count"] = json!(counts.open_merge_requests);
    }
    view
}

/// Returns a label as the holder of `access` sees it.
pub(super) async fn view_for<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    LabelDetails { label, counts }: LabelDetails,
) -> Result<Value, ApiError> {
    let followed = subscriptions::of_labels(&state.forge, access, &[label.id]).await?;
    Ok(view(&label, counts, followed.contains(&label.id)))
}

/// Answers the labels of a project.
pub async fn list(
    access: Authorized<act::ReadLabels>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let search = reads_sought(&mut read, "search");
    let counts = if read.boolean("with_counts") == Some(true) { WithCounts::Yes } else { WithCounts::No };
    read.finish()?;
    let found = labels::list(&state.forge, &access, search.as_deref(), counts, around.window()).await?;
    let ids: Vec<_> = found.items.iter().map(|details| details.label.id).collect();
    let followed = subscriptions::of_labels(&state.forge, &access, &ids).await?;
    Ok(around
        .page(found.map(|LabelDetails { label, counts }| view(&label, counts, followed.contains(&label.id)))))
}

/// Answers one label.
pub async fn get(
    access: Authorized<act::ReadLabels>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let label = labels::get(&state.forge, &access, in_path(&parts)).await?;
    Ok(ok(view_for(&state, &access, LabelDetails { label, counts: None }).await?))
}

/// Makes a label.
pub async fn create(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewLabelRequest {
        title: read.required_text("name"),
        color: read.required_text("color"),
        description: read.text("description"),
        priority: read.integer("priority"),
    };
    read.finish()?;
    let label = labels::create(&state.forge, &access, request).await?;
    Ok(created(view(&label, None, false)))
}

fn reads_changes(read: &mut Reader<'_>, params: &Params) -> Result<LabelChanges, ApiError> {
    if !CHANGEABLE.iter().any(|name| params.has(name)) {
        let problem =
            format!("{} are missing, at least one parameter must be provided", CHANGEABLE.join(", "));
        return Err(ApiError::bad_parameters(&problem));
    }
    Ok(LabelChanges {
        title: read.text("new_name"),
        color: read.text("color"),
        description: params.has("description").then(|| read.text("description")),
        priority: params.has("priority").then(|| read.integer("priority")),
    })
}

pub(super) fn in_path(parts: &PathParts) -> LabelReference<'_> {
    LabelReference::IdOrTitle(path_text(parts, "label"))
}

/// Reads which label a body is about, by number or by title.
fn reads_called(read: &mut Reader<'_>) -> (Option<String>, String) {
    let id = read.filled_text("label_id");
    let title = if id.is_some() { String::new() } else { read.required_text("name") };
    (id, title)
}

fn in_body((id, title): &(Option<String>, String)) -> LabelReference<'_> {
    id.as_deref().map_or(LabelReference::Title(title), LabelReference::IdOrTitle)
}

/// Changes a label.
pub async fn update(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let changes = reads_changes(&mut read, &params)?;
    read.finish()?;
    let label = labels::update(&state.forge, &access, in_path(&parts), changes).await?;
    Ok(ok(view_for(&state, &access, LabelDetails { label, counts: None }).await?))
}

/// Changes a label that the body names.
pub async fn update_named(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let called = reads_called(&mut read);
    let changes = reads_changes(&mut read, &params)?;
    read.finish()?;
    let label = labels::update(&state.forge, &access, in_body(&called), changes).await?;
    Ok(ok(view_for(&state, &access, LabelDetails { label, counts: None }).await?))
}

/// Deletes a label.
pub async fn delete(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    labels::delete(&state.forge, &access, in_path(&parts)).await?;
    Ok(no_content())
}

/// Deletes a label that the body or the query names.
pub async fn delete_named(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let called = reads_called(&mut read);
    read.finish()?;
    labels::delete(&state.forge, &access, in_body(&called)).await?;
    Ok(no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_cannot_become_a_tag() {
        assert_eq!(escaped("<b a=\"&\">"), "&lt;b a=&quot;&amp;&quot;&gt;");
    }
}
