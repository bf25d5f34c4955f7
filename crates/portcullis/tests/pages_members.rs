//! The pages of the members of projects and groups.

use portcullis_testkit::{Browser, TestForge, forge};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

/// Returns the members of a place by user id, as the API tells them.
fn member(forge: &TestForge, path: &str, user: i64) -> Value {
    forge.root().get(&format!("{path}/members/{user}")).json()
}

#[test]
fn the_end_of_a_membership_is_set_changed_and_cleared() {
    let forge = forge!();
    let project = forge.project("private");
    let maria = project.member(40);
    let jo = project.member(30);
    let browser = Browser::signed_in(&forge, &maria.username);
    let list = format!("/{}/-/project_members", project.full_path);
    let own = format!("{list}/{}", jo.id);
    let change = |fields: &[(&str, &str)]| browser.post(&own, fields);
    let now = || {
        let member = member(&forge, &project.path(""), jo.id);
        (member["access_level"].as_i64().unwrap(), member["expires_at"].as_str().map(str::to_owned))
    };
    change(&[("access_level", "30"), ("expires_at", "2026-03-09"), ("expires_at_now", "")]).expect(303);
    assert_eq!(now(), (30, Some("2026-03-09".to_owned())));
    let page = browser.get(&list).expect(200).text;
    assert!(
        page.contains("is Developer now, until 2026-03-09.") && page.contains("value=\"2026-03-09\""),
        "{page}"
    );
    assert!(page.contains("<span class=\"soon\">until 2026-03-09, 00:00 UTC</span>"));
    // A role alone leaves the date as it is, sent untouched or not at all.
    change(&[("access_level", "20"), ("expires_at", "2026-03-09"), ("expires_at_now", "2026-03-09")])
        .expect(303);
    change(&[("access_level", "30")]).expect(303);
    assert_eq!(now(), (30, Some("2026-03-09".to_owned())));
    for (role, date, status, problem) in [
        ("30", "2026-03-02", 422, "The date cannot be a date in the past."),
        ("30", "soon", 422, "The date is not a date such as 2030-01-31."),
        ("31", "2030-01-01", 422, "The role is none of those."),
        ("50", "2030-01-01", 403, "The role is above your own"),
    ] {
        let fields = [("access_level", role), ("expires_at", date), ("expires_at_now", "2026-03-09")];
        let answer = change(&fields).expect(status).text;
        assert!(answer.contains(problem), "{problem}: {answer}");
        let kept = format!("value=\"{date}\" aria-label=\"Until when {} Person is a member\"", jo.username);
        assert!(answer.contains(&kept), "{kept}: {answer}");
        assert_eq!(now(), (30, Some("2026-03-09".to_owned())));
    }
    change(&[("access_level", "30"), ("expires_at", ""), ("expires_at_now", "2026-03-09")]).expect(303);
    assert_eq!(now(), (30, None));
    // Somebody who was removed in another window.
    forge.root().delete(&project.path(&format!("/members/{}", jo.id))).expect(204);
    change(&[("access_level", "20")]).expect(303);
    assert!(browser.get(&list).text.contains("They are no member any more."));
    // Who may not change members sees no forms, and sends none.
    let reporter = project.member(20);
    let browser = Browser::signed_in(&forge, &reporter.username);
    assert!(!browser.get(&list).expect(200).text.contains("expires_at"));
    browser.post(&own, &[("access_level", "20")]).expect(404);
}

#[test]
fn bots_are_listed_with_the_way_to_their_token_for_who_may_see_it() {
    let forge = forge!();
    let project = forge.project("public");
    let maria = project.member(40);
    let body = json!({ "name": HOSTILE, "scopes": ["api"], "access_level": 30 });
    let bot = project.token_with(body);
    let of_group = forge.group_token(&project.group, &["api"], 20);
    let list = format!("/{}/-/project_members", project.full_path);
    let token = format!("/{}/-/settings/access_tokens/{}\"", project.full_path, bot.token_id);
    let page = Browser::signed_in(&forge, &maria.username).get(&list).expect(200).text;
    assert!(page.contains(&token) && page.contains("acts for the project access token"), "{page}");
    assert!(page.contains("acts for the group access token “ci”") && !page.contains(HOSTILE));
    assert!(!page.contains(&format!("access_tokens/{}\"", of_group.token_id)));
    // After rotation it is the new token.
    let rotated =
        forge.root().post(&project.path(&format!("/access_tokens/{}/rotate", bot.token_id)), json!({}));
    let rotated = rotated.expect(200).json()["id"].to_string();
    let page = Browser::signed_in(&forge, &maria.username).get(&list).expect(200).text;
    assert!(page.contains(&format!("/settings/access_tokens/{rotated}\"")) && !page.contains(&token));
    let developer = project.member(30);
    let page = Browser::signed_in(&forge, &developer.username).get(&list).expect(200).text;
    assert!(page.contains("acts for the project access token") && !page.contains("/settings/access_tokens"));
    // Nobody changes a bot here.
    let browser = Browser::signed_in(&forge, &maria.username);
    browser.post(&format!("{list}/{}", bot.user_id), &[("access_level", "10")]).expect(403);
    assert_eq!(member(&forge, &project.path(""), bot.user_id)["access_level"], 30);
}

#[test]
fn members_of_a_group_are_added_changed_and_removed_by_its_owners() {
    let forge = forge!();
    let group = forge.group("acme", "public");
    let tools = forge.subgroup("tools", "public", Some(group.id));
    let owner = forge.person("owner");
    let jo = forge.person("jo");
    let member_of = json!({ "user_id": owner.id, "access_level": 50 });
    forge.root().post(&group.path("/members"), member_of).expect(201);
    let browser = Browser::signed_in(&forge, "owner");
    let list = "/groups/acme/-/group_members";
    for (fields, problem) in [
        ([("username", "nobody"), ("access_level", "30")], "The user is not known here."),
        ([("username", "jo"), ("access_level", "7")], "The role is none of those."),
        ([("username", "owner"), ("access_level", "30")], "The user is a member already."),
    ] {
        let answer = browser.post(list, &fields).expect(422).text;
        assert!(
            answer.contains(problem) && answer.contains("<details class=\"card unfold\" open>"),
            "{answer}"
        );
    }
    let fields = [("username", "@jo"), ("access_level", "30"), ("expires_at", "2030-01-01")];
    assert_eq!(browser.post(list, &fields).expect(303).header("location"), Some(list));
    let page = browser.get(list).expect(200).text;
    assert!(
        page.contains("jo Person was added as Developer.") && page.contains("until 2030-01-01"),
        "{page}"
    );
    let own = format!("{list}/{}", jo.id);
    browser
        .post(&own, &[("access_level", "20"), ("expires_at", ""), ("expires_at_now", "2030-01-01")])
        .expect(303);
    let now = member(&forge, &group.path(""), jo.id);
    assert_eq!((&now["access_level"], &now["expires_at"]), (&json!(20), &Value::Null));
    // In the group below they are members through the one above, and changed there.
    let below = format!("/groups/{}/-/group_members", tools.full_path);
    let page = browser.get(&below).expect(200).text;
    assert!(
        page.contains("@jo")
            && page.contains("Through a group above")
            && !page.contains(&format!("{below}/{}", jo.id))
    );
    browser.get(&format!("{below}/{}/remove", jo.id)).expect(404);

    // A member who is no Owner sees the list and changes nothing; a visitor sees none.
    let as_jo = Browser::signed_in(&forge, "jo");
    let page = as_jo.get(list).expect(200).text;
    assert!(page.contains("@owner") && !page.contains("Add a member") && !page.contains("/remove"));
    as_jo.post(list, &fields).expect(404);
    as_jo.post(&own, &[("access_level", "50")]).expect(404);
    as_jo.post(&format!("{own}/remove"), &[]).expect(404);
    Browser::new(&forge).get(list).expect(303);

    assert!(browser.get(&format!("{own}/remove")).expect(200).text.contains("Remove jo Person?"));
    browser.post(&format!("{own}/remove"), &[]).expect(303);
    browser.post(&format!("{own}/remove"), &[]).expect(303);
    assert!(browser.get(list).text.contains("They are no member any more."));
    forge.root().get(&group.path(&format!("/members/{}", jo.id))).expect(404);
    // A group keeps an Owner.
    let root = forge.root().get("/user").json()["id"].clone();
    forge.root().delete(&group.path(&format!("/members/{root}"))).expect(204);
    let last = format!("{list}/{}", owner.id);
    let answer = browser.post(&last, &[("access_level", "30")]).expect(403).text;
    assert!(answer.contains("A group needs an Owner"), "{answer}");
    browser.post(&format!("{last}/remove"), &[]).expect(403);
    // Bots of the group are marked and untouched.
    forge.group_token(&group, &["api"], 30);
    let page = browser.get(list).expect(200).text;
    let to = "acts for the group access token <a href=\"/groups/acme/-/settings/access_tokens/";
    assert!(page.contains(to), "{page}");
    let hidden = forge.group("hidden", "private");
    browser.get(&format!("/groups/{}/-/group_members", hidden.full_path)).expect(404);
}
