//! What forbids the creation of project access tokens whoever asks: the switch of the top-level group, and on a service
//! the plan. Numbers are those of the assertions in the behavioural contract.

use portcullis_app::settings::Edition;
use portcullis_testkit::{Caller, Project, forge};
use serde_json::{Value, json};

const NOT_PERMITTED: &str = "400 Bad request - User does not have permission to create project access token";

fn new_token() -> Value {
    json!({ "name": "ci", "scopes": ["api"] })
}

#[track_caller]
fn expect_refused(caller: &Caller, project: &Project<'_>) {
    caller
        .post(&project.path("/access_tokens"), new_token())
        .expect_json(400, json!({ "message": NOT_PERMITTED }));
}

#[test]
fn a38_a_group_that_forbids_creation_is_obeyed_and_a_personal_namespace_knows_no_switch() {
    let forge = forge!();
    let project = forge.project("private");
    let (owner, maintainer) = (project.member(50), project.member(40));
    let group = format!("/groups/{}", project.group.id);
    assert_eq!(forge.root().get(&group).json()["resource_access_token_creation_allowed"], true);
    let set = json!({ "resource_access_token_creation_allowed": false });
    assert_eq!(
        forge.root().put(&group, set.clone()).expect(200).json()["resource_access_token_creation_allowed"],
        false
    );
    for caller in [forge.root(), &owner.caller, &maintainer.caller] {
        expect_refused(caller, &project);
    }
    // The switch is its group's Owners' business: a project's Owner neither sets nor sees it.
    owner.put(&group, set).expect(403);
    assert_eq!(owner.get(&group).expect(200).json().get("resource_access_token_creation_allowed"), None);

    let person = forge.person("someone");
    let own = person.post("/projects", json!({ "name": "own" })).expect(201).json();
    person.post(&format!("/projects/{}/access_tokens", own["id"]), new_token()).expect(201);

    forge.root().put(&group, json!({ "resource_access_token_creation_allowed": true })).expect(200);
    maintainer.post(&project.path("/access_tokens"), new_token()).expect(201);
}

#[test]
fn a65_the_switch_of_the_top_level_group_rules_all_below_and_a_subgroup_has_none() {
    let forge = forge!();
    let top = forge.group("top", "private");
    let middle = forge.subgroup("middle", "private", Some(top.id));
    let bottom = forge.subgroup("bottom", "private", Some(middle.id));
    let project = forge.project_in(&bottom, "private");
    let switch = |group: i64, allowed: bool| {
        let body = json!({ "resource_access_token_creation_allowed": allowed });
        forge.root().put(&format!("/groups/{group}"), body)
    };
    let problem = json!({ "message": {
        "resource_access_token_creation_allowed": ["is not allowed since the group is not top-level group."],
    } });
    switch(middle.id, false).expect_json(400, problem.clone());
    switch(bottom.id, false).expect_json(400, problem);
    // Saying yes below is accepted and means nothing.
    switch(top.id, false).expect(200);
    switch(bottom.id, true).expect(200);
    expect_refused(forge.root(), &project);
    switch(top.id, true).expect(200);
    project.token(&["api"], 40);
    // It is changed on record.
    let log =
        forge.root().get(&format!("/audit_events?entity_type=Group&entity_id={}", top.id)).expect(200).json();
    assert_eq!(log[0]["details"]["resource_access_token_creation_allowed"], json!([false, true]));
}

#[test]
fn a39_a_service_sells_creation_and_a_self_managed_instance_does_not() {
    let saas = forge!(|settings| settings.edition = Edition::Saas);
    let top = saas.group("top", "private");
    let below = saas.subgroup("below", "private", Some(top.id));
    let project = saas.project_in(&below, "private");
    let person = saas.person("someone");
    let own = person.post("/projects", json!({ "name": "own" })).expect(201).json();
    let own = format!("/projects/{}/access_tokens", own["id"]);
    let own_namespace = saas.root().get("/namespaces/someone").expect(200).json()["id"].clone();
    for (plan, status) in
        [("free", 400), ("premium_trial", 400), ("ultimate_trial", 400), ("premium", 201), ("ultimate", 201)]
    {
        saas.root().put(&format!("/namespaces/{}", top.id), json!({ "plan": plan })).expect(200);
        let answer = saas.root().post(&project.path("/access_tokens"), new_token()).expect(status);
        if status == 400 {
            assert_eq!(answer.json()["message"], NOT_PERMITTED);
        }
        // A personal namespace has a plan like any other.
        saas.root().put(&format!("/namespaces/{own_namespace}"), json!({ "plan": plan })).expect(200);
        person.post(&own, new_token()).expect(status);
    }
    let self_managed = forge!();
    for plan in ["free", "premium", "ultimate", "premium_trial", "ultimate_trial"] {
        let project = self_managed.project("private");
        self_managed
            .root()
            .put(&format!("/groups/{}", project.group.id), json!({ "plan": plan }))
            .expect(200);
        project.token(&["api"], 40);
    }
}

/// Only creation is sold: what exists works after a downgrade.
#[test]
fn tokens_of_a_downgraded_plan_are_listed_used_and_revoked() {
    let forge = forge!(|settings| settings.edition = Edition::Saas);
    let group = forge.group("top", "private");
    let plan =
        |plan: &str| forge.root().put(&format!("/groups/{}", group.id), json!({ "plan": plan })).expect(200);
    plan("premium");
    let project = forge.project_in(&group, "private");
    let (bot, other) = (project.token(&["api"], 40), project.token(&["api"], 40));
    plan("free");
    bot.get(&project.path("")).expect(200);
    let rotated = bot.post(&project.path("/access_tokens/self/rotate"), json!({})).expect(200).json();
    assert_eq!(
        forge.root().get(&project.path("/access_tokens?state=active")).json().as_array().unwrap().len(),
        2
    );
    for id in [&rotated["id"], &json!(other.token_id)] {
        forge.root().delete(&project.path(&format!("/access_tokens/{id}"))).expect(204);
    }
    // The plan is the operator's to set.
    let owner = project.member(50);
    forge
        .root()
        .post(&format!("/groups/{}/members", group.id), json!({ "user_id": owner.id, "access_level": 50 }))
        .expect(201);
    owner.put(&format!("/groups/{}", group.id), json!({ "plan": "premium" })).expect(403);
    owner.put(&format!("/namespaces/{}", group.id), json!({ "plan": "premium" })).expect(403);
}
