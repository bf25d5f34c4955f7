//! How long issues and merge requests are thought to take, and how long was worked on them.

use portcullis_testkit::forge;
use serde_json::{Value, json};

fn stats(estimate: i64, spent: i64, human_estimate: Value, human_spent: Value) -> Value {
    json!({
        "time_estimate": estimate,
        "total_time_spent": spent,
        "human_time_estimate": human_estimate,
        "human_total_time_spent": human_spent,
    })
}

#[test]
fn time_is_estimated_spent_and_taken_back() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let bot = project.token(&["api"], 30);
    let merge_request = forge.merge_request(project.id, author.id, "A merge request");
    let issue = author.issue(project.id, "an issue");
    for on in [format!("/issues/{issue}"), format!("/merge_requests/{merge_request}")] {
        let on = project.path(&on);
        let post = |what: &str, body: Value| bot.post(&format!("{on}/{what}"), body);
        let now = || author.get(&format!("{on}/time_stats")).expect(200).json();
        assert_eq!(now(), stats(0, 0, Value::Null, Value::Null));
        let estimated = stats(12_600, 0, json!("3h 30m"), Value::Null);
        post("time_estimate", json!({ "duration": "3h30m" })).expect_json(200, estimated.clone());
        assert_eq!(now(), estimated);
        let spent = stats(12_600, 3600, json!("3h 30m"), json!("1h"));
        post("add_spent_time", json!({ "duration": "1h", "summary": "Read it" })).expect_json(201, spent);
        post("add_spent_time", json!({ "duration": "1d" })).expect(201);
        let less = stats(12_600, 28_800, json!("3h 30m"), json!("1d"));
        post("add_spent_time", json!({ "duration": "-1h" })).expect_json(201, less.clone());
        post("add_spent_time", json!({ "duration": "-9h" })).expect_json(
            400,
            json!({ "message": { "base": ["Time to subtract exceeds the total time spent"] } }),
        );
        assert_eq!(now(), less);
        post("reset_time_estimate", Value::Null).expect_json(200, stats(0, 28_800, Value::Null, json!("1d")));
        post("reset_spent_time", json!({})).expect_json(200, stats(0, 0, Value::Null, Value::Null));
        post("add_spent_time", json!({ "duration": "1w" })).expect(201);
        assert_eq!(now()["human_total_time_spent"], "1w");
        let said =
            author.get(&format!("{on}/notes?sort=asc&activity_filter=only_activity")).expect(200).json();
        let said: Vec<_> =
            said.as_array().unwrap().iter().map(|note| note["body"].as_str().unwrap()).collect();
        let expected = [
            "changed time estimate to 3h 30m",
            "added 1h of time spent",
            "added 1d of time spent",
            "subtracted 1h of time spent",
            "removed time estimate",
            "removed time spent",
            "added 1w of time spent",
        ];
        assert_eq!(said, expected);
    }
    let alone = author.get(&project.path(&format!("/issues/{issue}"))).expect(200).json();
    assert_eq!(alone["time_stats"], stats(0, 144_000, Value::Null, json!("1w")));
    assert_eq!(author.get(&project.path("/issues")).json()[0]["time_stats"], alone["time_stats"]);
    assert_eq!(alone["user_notes_count"], 0);
    let list = author.get(&project.path("/merge_requests")).expect(200).json();
    assert_eq!(list[0]["time_stats"], alone["time_stats"]);
    // What a deleted bot worked is still worked.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let kept = author.get(&project.path(&format!("/issues/{issue}/time_stats"))).expect(200).json();
    assert_eq!(kept["total_time_spent"], 144_000);
}

#[test]
fn times_that_cannot_be_are_refused_and_nothing_changes() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let issue = project.path(&format!("/issues/{}", author.issue(project.id, "an issue")));
    let no_time = json!({ "message": { "duration": ["is no time; write it as in 1mo 2w 3d 4h 5m"] } });
    for what in ["time_estimate", "add_spent_time"] {
        let path = format!("{issue}/{what}");
        author.post(&path, json!({})).expect_json(400, json!({ "error": "duration is missing" }));
        for wrong in ["soon", "", "1x", "99999mo", "1h;"] {
            author.post(&path, json!({ "duration": wrong })).expect_json(400, no_time.clone());
        }
    }
    author
        .post(&format!("{issue}/time_estimate"), json!({ "duration": "-1h" }))
        .expect_json(400, json!({ "message": { "time_estimate": ["must be greater than or equal to 0"] } }));
    author
        .post(&format!("{issue}/add_spent_time"), json!({ "duration": "0h" }))
        .expect_json(400, json!({ "message": { "duration": ["must be other than 0"] } }));
    let long = json!({ "duration": "1h", "summary": "x".repeat(256) });
    author.post(&format!("{issue}/add_spent_time"), long).expect(400);
    author.post(&format!("{issue}/add_spent_time"), json!({ "duration": "3000mo" })).expect(201);
    author.post(&format!("{issue}/add_spent_time"), json!({ "duration": "3000mo" })).expect(400);
    let kept = author.get(&format!("{issue}/time_stats")).json();
    assert_eq!((&kept["time_estimate"], &kept["human_total_time_spent"]), (&json!(0), &json!("3000mo")));
}

#[test]
fn who_plans_says_how_long_it_takes() {
    let forge = forge!();
    let project = forge.project("public");
    let author = project.member(10);
    let reporter = project.member(20);
    let iid = author.issue(project.id, "an issue");
    let merge_request = forge.merge_request(project.id, author.id, "A merge request");
    let issue = project.path(&format!("/issues/{iid}"));
    let merge_request = project.path(&format!("/merge_requests/{merge_request}"));
    let hour = || json!({ "duration": "1h" });
    author
        .post(&format!("{issue}/time_estimate"), hour())
        .expect_json(403, json!({ "message": "403 Forbidden" }));
    reporter.post(&format!("{issue}/time_estimate"), hour()).expect(200);
    reporter.post(&format!("{merge_request}/time_estimate"), hour()).expect(403);
    project.member(30).post(&format!("{merge_request}/time_estimate"), hour()).expect(200);
    assert_eq!(
        forge.anyone().get(&format!("{merge_request}/time_stats")).expect(200).json()["time_estimate"],
        3600
    );
    forge.anyone().post(&format!("{issue}/add_spent_time"), hour()).expect(401);
    reporter.put(&issue, json!({ "confidential": true })).expect(200);
    forge.anyone().get(&format!("{issue}/time_stats")).expect(404);
    reporter
        .get(&project.path("/issues/99/time_stats"))
        .expect_json(404, json!({ "message": "404 Issue Not Found" }));
}
