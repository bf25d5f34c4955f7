//! The forms to open a merge request, and to change what it says and what is planned for it.

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::MergeRequestDetails;
use portcullis_app::merge_requests::changing::{self, MergeRequestChanges};
use portcullis_app::merge_requests::opening::{self, NewMergeRequestRequest};
use portcullis_app::records::merge_requests::MergeRequestState;
use portcullis_app::records::select::Window;
use portcullis_app::repository_branches::{self, BranchOrder};
use portcullis_app::search::NameFilter;
use portcullis_app::sessions;
use portcullis_rules::access::act;
use portcullis_rules::merging::SquashOption;

use super::{changeable, list_of};
use crate::AppState;
use crate::api::PathParts;
use crate::pages::fields::{Choice, Problems, SelectField, Wrong};
use crate::pages::form::Form;
use crate::pages::projects::Head;
use crate::pages::tracked::{
    CHANGED_MEANWHILE, FormPage, Plan, PlanOf, SENT_BEFORE, Switch, Typed, locked, mark, words_of,
};
use crate::pages::{Around, PageError, PageResult, html, see_other};

/// How many branches there are to choose from: those with the newest commits.
const BRANCHES: i64 = 200;

/// Returns the fields for the two branches, with those of the project to choose from.
async fn branch_fields(
    state: &AppState,
    access: &Authorized<act::ReadCode>,
    (source, target): (&str, &str),
    problems: &Problems,
) -> Result<Vec<SelectField>, PageError> {
    let Ok(filter) = NameFilter::new(None, None) else { return Err(PageError::NotFound) };
    let window = Window { limit: BRANCHES, offset: 0 };
    let order = BranchOrder::UpdatedDescending;
    let found = repository_branches::list(&state.forge, access, &filter, order, window).await?;
    let names: Vec<_> = found.items.into_iter().map(|branch| (branch.name, branch.default)).collect();
    let default = names.iter().find(|(_, default)| *default).map(|(name, _)| name.as_str());
    let newest = names.iter().find(|(_, default)| !default).map(|(name, _)| name.as_str());
    let field = |name, label, hint, chosen: Option<&str>| {
        let chosen = chosen.unwrap_or_default();
        let mut choices: Vec<_> = names
            .iter()
            .map(|(name, _)| Choice { value: name.clone(), label: name.clone(), chosen: name == chosen })
            .collect();
        if !chosen.is_empty() && !choices.iter().any(|choice| choice.chosen) {
            let chosen = chosen.to_owned();
            choices.push(Choice { value: chosen.clone(), label: chosen, chosen: true });
        }
        SelectField { name, label, hint, error: problems.with(name, "The branch"), choices }
    };
    let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
    Ok(vec![
        field("source_branch", "Source branch", "Its commits are to be merged.", given(source).or(newest)),
        field("target_branch", "Target branch", "It gets them.", given(target).or(default)),
    ])
}

fn switches(squash: Option<bool>, removes_source: bool) -> Vec<Switch> {
    let squash = squash.map(|on| Switch {
        name: "squash",
        label: "Squash commits",
        says: "All commits become one when it is merged.",
        on,
    });
    let remove = Switch {
        name: "remove_source_branch",
        label: "Delete the source branch",
        says: "It goes when it is merged, unless it is protected.",
        on: removes_source,
    };
    squash.into_iter().chain([remove]).collect()
}

/// What was typed into the form besides what issues have too.
#[derive(Clone, Default)]
struct Wishes {
    source: String,
    target: String,
    squash: bool,
    removes_source: bool,
    locked: bool,
}

impl Wishes {
    fn of(form: &Form) -> Wishes {
        let is_on = |name: &str| !form.text(name).is_empty();
        Wishes {
            source: form.text("source_branch").to_owned(),
            target: form.text("target_branch").to_owned(),
            squash: is_on("squash"),
            removes_source: is_on("remove_source_branch"),
            locked: is_on("discussion_locked"),
        }
    }
}

async fn new_form(
    state: &AppState,
    access: &Authorized<act::CreateMergeRequest>,
    around: Around,
    typed: Option<(&Typed, &Wishes)>,
    wrong: Wrong,
    status: StatusCode,
) -> PageResult {
    let code = access.also::<act::ReadCode>()?;
    let (mut head, project) = Head::of(state, access, "merge_requests", &["Merge requests", "New"]).await?;
    let list = list_of(&head.full_path);
    head.link_last_but_one(&list);
    let merging = project.project.merging;
    let start = Wishes {
        source: around.query("source_branch").to_owned(),
        target: around.query("target_branch").to_owned(),
        squash: merging.squash == SquashOption::DefaultOn,
        removes_source: merging.removes_source_branch,
        locked: false,
    };
    let nothing = Typed::default();
    let (typed, wishes) = typed.unwrap_or((&nothing, &start));
    let branches = branch_fields(state, &code, (&wishes.source, &wishes.target), &wrong.problems).await?;
    let leaves_open = matches!(merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
    let (title, description) = words_of(typed, &wrong.problems);
    let plan = Plan::of(state, access, PlanOf::MergeRequest, typed, &wrong.problems).await?;
    let page = FormPage {
        around: around.of(state, access.viewer()).await?,
        head,
        heading: "New merge request".to_owned(),
        problem: wrong.problem,
        action: list.clone(),
        back: list,
        does: "Create merge request",
        number: Some(sessions::form_number(&state.forge)),
        seen: String::new(),
        branches,
        title,
        description,
        plan: Some(plan),
        switches: switches(leaves_open.then_some(wishes.squash), wishes.removes_source),
    };
    Ok(html(status, &page))
}

/// Answers the form for a new merge request.
pub async fn form(
    access: Authorized<act::CreateMergeRequest>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    new_form(&state, &access, around, None, Wrong::default(), StatusCode::OK).await
}

/// Opens a merge request.
pub async fn create(
    access: Authorized<act::CreateMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let (typed, wishes) = (Typed::of(&form), Wishes::of(&form));
    let came = Some((&typed, &wishes));
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let wrong = Wrong { problem: Some(SENT_BEFORE.to_owned()), ..Wrong::default() };
        return new_form(&state, &access, around, came, wrong, StatusCode::CONFLICT).await;
    }
    let request = NewMergeRequestRequest {
        source_branch: wishes.source.clone(),
        target_branch: wishes.target.clone(),
        target_project: None,
        title: typed.title.clone(),
        description: Some(typed.description.clone()).filter(|text| !text.is_empty()),
        labels: typed.all_labels(),
        assignees: typed.assignees(),
        reviewers: typed.reviewers(),
        milestone: typed.milestone(),
        squash: Some(wishes.squash),
        removes_source_branch: Some(wishes.removes_source),
    };
    match opening::create(&state.forge, &access, request).await {
        Ok(made) => {
            let number = made.details.merge_request.iid;
            let said = format!("Merge request !{number} is open.");
            sessions::set_notice(&state.forge, access.viewer(), &said).await?;
            Ok(see_other(&format!("{}/{number}", list_of(&access.place().full_path))))
        }
        Err(error) => {
            let wrong = Wrong::of(error)?;
            new_form(&state, &access, around, came, wrong, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

async fn edit_form(
    state: &AppState,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    around: Around,
    details: &MergeRequestDetails,
    (typed, wishes): (&Typed, &Wishes),
    wrong: Wrong,
    status: StatusCode,
) -> PageResult {
    let found = &details.merge_request;
    let reference = format!("!{}", found.iid);
    let (mut head, _) =
        Head::of(state, access, "merge_requests", &["Merge requests", &reference, "Edit"]).await?;
    let back = format!("{}/{}", list_of(&head.full_path), found.iid);
    head.link_last_but_one(&back);
    let (title, description) = words_of(typed, &wrong.problems);
    let (mut plan, mut choices, mut branches) = (None, Vec::new(), Vec::new());
    if let Ok(access) = access.also::<act::UpdateMergeRequest>() {
        plan = Some(Plan::of(state, &access, PlanOf::MergeRequest, typed, &wrong.problems).await?);
        let open = matches!(details.merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
        choices = switches(open.then_some(wishes.squash), wishes.removes_source);
        choices.push(locked(wishes.locked));
        if let (Ok(code), MergeRequestState::Opened) = (access.also::<act::ReadCode>(), found.state()) {
            let fields =
                branch_fields(state, &code, (&found.source_branch, &wishes.target), &wrong.problems).await?;
            // Its source branch stays what it is.
            branches = fields.into_iter().skip(1).collect();
        }
    }
    let page = FormPage {
        around: around.of(state, access.viewer()).await?,
        head,
        heading: format!("Edit merge request {reference}"),
        problem: wrong.problem,
        action: format!("{back}/edit"),
        back,
        does: "Save changes",
        number: None,
        seen: mark(&found.title, found.description.as_deref()),
        branches,
        title,
        description,
        plan,
        switches: choices,
    };
    Ok(html(status, &page))
}

/// Answers the form to change a merge request.
pub async fn edit(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let details = changeable(&state, &access, &path).await?.details;
    let found = &details.merge_request;
    let typed = Typed {
        title: found.title.clone(),
        description: found.description.clone().unwrap_or_default(),
        labels: details.labels.iter().map(|label| label.title.clone()).collect(),
        assignees: details.assignees.iter().map(|user| user.id.0).collect(),
        reviewers: details.reviewers.iter().map(|user| user.id.0).collect(),
        milestone: found.milestone.as_ref().map(|milestone| milestone.id.0.to_string()).unwrap_or_default(),
        ..Typed::default()
    };
    let wishes = Wishes {
        source: found.source_branch.clone(),
        target: found.target_branch.clone(),
        squash: found.squash,
        removes_source: found.removes_source_branch,
        locked: found.discussion_locked_at.is_some(),
    };
    edit_form(&state, &access, around, &details, (&typed, &wishes), Wrong::default(), StatusCode::OK).await
}

/// Changes a merge request.
pub async fn update(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let details = changeable(&state, &access, &path).await?.details;
    let found = &details.merge_request;
    let (typed, wishes) = (Typed::of(&form), Wishes::of(&form));
    let came = (&typed, &wishes);
    if typed.seen != mark(&found.title, found.description.as_deref()) {
        let wrong = Wrong { problem: Some(CHANGED_MEANWHILE.to_owned()), ..Wrong::default() };
        return edit_form(&state, &access, around, &details, came, wrong, StatusCode::CONFLICT).await;
    }
    let open = matches!(details.merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
    let changes = MergeRequestChanges {
        title: Some(typed.title.clone()),
        description: Some(typed.description.clone()),
        target_branch: Some(wishes.target.clone()).filter(|target| !target.is_empty()),
        labels: Some(typed.all_labels()),
        assignees: Some(typed.assignees()),
        reviewers: Some(typed.reviewers()),
        milestone: Some(typed.milestone()),
        squash: open.then_some(wishes.squash),
        removes_source_branch: Some(wishes.removes_source),
        discussion_locked: Some(wishes.locked),
        ..MergeRequestChanges::default()
    };
    match changing::update(&state.forge, &access, found.iid, changes).await {
        Ok(_) => {
            sessions::set_notice(&state.forge, access.viewer(), "The merge request was changed.").await?;
            Ok(see_other(&format!("{}/{}", list_of(&access.place().full_path), found.iid)))
        }
        Err(error) => {
            let (wrong, status) = (Wrong::of(error)?, StatusCode::UNPROCESSABLE_ENTITY);
            edit_form(&state, &access, around, &details, came, wrong, status).await
        }
    }
}
