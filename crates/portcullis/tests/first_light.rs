//! The main job, from end to end: a token is made, used through every door, and revoked.

use portcullis_testkit::{Git, forge};
use serde_json::json;

#[test]
fn a_project_access_token_lives_works_and_dies() {
    let forge = forge!();
    let project = forge.project("private");
    let maintainer = project.member(40);
    let made = maintainer
        .post(&project.path("/access_tokens"), json!({ "name": "ci", "scopes": ["api", "write_repository"] }))
        .expect(201)
        .json();
    assert_eq!(made["access_level"], 40);
    let secret = made["token"].as_str().unwrap();
    let bot = forge.with_token(secret);
    let user = bot.get("/user").expect(200).json();
    assert_eq!(user["username"], format!("project_{}_bot", project.id));
    assert_eq!(user["bot"], true);

    let git = Git::default();
    project.clone_with(&git, secret, "work");
    git.commit("work", "a.txt", "a\n");
    git.run_in("work", &["push", "-q"]).works();
    forge.run_jobs();
    let events = bot.get(&project.path("/events")).expect(200).json();
    assert_eq!(events[0]["action_name"], "pushed to");
    assert_eq!(events[0]["push_data"]["commit_count"], 1);
    assert_eq!(events[0]["push_data"]["commit_title"], "add a.txt");
    assert_eq!(events[0]["author_username"], user["username"]);

    maintainer.delete(&project.path(&format!("/access_tokens/{}", made["id"]))).expect(204);
    bot.get("/user").expect(401);
    git.run_in("work", &["fetch"]).fails_with("Authentication failed");
    forge.run_jobs();
    let events = maintainer.get(&project.path("/events")).expect(200).json();
    assert_eq!(events[0]["author_username"], "ghost");
    maintainer.get(&project.path(&format!("/access_tokens/{}", made["id"]))).expect(404);
}
