//! Discussions, reactions, time, to-dos and links. What a list shows of issues and merge requests in many projects is what
//! the rules decide of each of them.

use std::collections::BTreeSet;

use portcullis_rules::access::{
    Action, Caller, CallerKind, Facts, FeatureAccess, Known, Role, ScopeSet, decide,
};
use portcullis_rules::id::{IssueId, MergeRequestId, ProjectId, UserId};
use portcullis_rules::names::IdOrPath;
use portcullis_store::audience::Audience;
use portcullis_store::award_emoji::{self, Award, Awardable, Votes};
use portcullis_store::db::Tx;
use portcullis_store::issue_links::{self, IssueLink};
use portcullis_store::issues::{self, NewIssue, Sight};
use portcullis_store::merge_requests::{self, Heads, NewMergeRequest};
use portcullis_store::notes::{self, NewNote, Note, Noteable};
use portcullis_store::projects;
use portcullis_store::subscriptions::{self, Subscribable};
use portcullis_store::timelogs::{self, Times};
use portcullis_store::todos::{self, TargetKind, Todo, TodoFilter};
use portcullis_store::{discussions, labels};

use crate::engines::Place;
use crate::world::World;
use crate::{NOW, PART, WHOLE, kept, part_of};

async fn add_issue(tx: &mut Tx, project: ProjectId, iid: i64, author: UserId, confidential: bool) -> IssueId {
    let new = NewIssue {
        project,
        iid,
        author,
        title: "title",
        description: None,
        confidential,
        due_date: None,
        created_at: NOW,
    };
    issues::insert(tx, &new, NOW).await.unwrap()
}

async fn add_merge_request(tx: &mut Tx, project: ProjectId, iid: i64, author: UserId) -> MergeRequestId {
    let branch = format!("branch-{iid}");
    let new = NewMergeRequest {
        project,
        iid,
        author,
        title: "title",
        description: None,
        source_branch: &branch,
        target_branch: "main",
        squash: false,
        removes_source_branch: false,
        heads: &Heads { head: "1".to_owned(), start: "2".to_owned(), base: None },
    };
    merge_requests::insert(tx, &new, NOW).await.unwrap()
}

pub async fn discussions_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let merge_request = add_merge_request(&mut tx, world.open, 1, world.ana).await;
    let other = add_merge_request(&mut tx, world.open, 2, world.ana).await;
    let on = Noteable::MergeRequest(merge_request);
    let mut ids = Vec::new();
    for (at, internal) in
        [(10, false), (20, false), (20, false), (30, true), (40, true), (50, false), (60, false)]
    {
        let new =
            NewNote { project: world.open, on, author: world.ana, body: "text", system: false, internal };
        ids.push(notes::insert(&mut tx, &new, at).await.unwrap());
    }
    // The first and the third are one discussion, the fourth and the fifth another one, which is internal; the sixth
    // began one alone.
    for (first, answers, position) in [(0, vec![2], None), (3, vec![4], Some("{}")), (5, vec![], None)] {
        let id = discussions::begin(&mut tx, world.open, on, ids[first], position).await.unwrap();
        for answer in answers {
            notes::set_discussion(&mut tx, world.open, ids[answer], id).await.unwrap();
        }
    }
    let key = |note: &Note| note.id.0;
    let all = notes::list_beginnings(&mut tx, world.open, on, Sight::Everything, WHOLE).await.unwrap();
    let keys: Vec<_> = all.items.iter().map(key).collect();
    assert_eq!(keys, [0, 1, 3, 5, 6].map(|at: usize| ids[at].0));
    assert_eq!(all.total, Some(5));
    let part = notes::list_beginnings(&mut tx, world.open, on, Sight::Everything, PART).await.unwrap();
    part_of(&part, &all.items, key);
    let open = notes::list_beginnings(&mut tx, world.open, on, Sight::Open, WHOLE).await.unwrap();
    kept("open", &open, &all.items, key, |note| !note.internal);
    let began: Vec<_> = all.items.iter().filter_map(|note| Some(note.discussion.as_ref()?.id.0)).collect();
    assert_eq!(began, [0, 3, 5].map(|at: usize| ids[at].0));
    let inside =
        notes::list_of_discussions(&mut tx, world.open, on, Sight::Everything, &began, WHOLE).await.unwrap();
    assert_eq!(inside.iter().map(key).collect::<Vec<_>>(), [0, 2, 3, 4, 5].map(|at: usize| ids[at].0));
    assert_eq!(inside[2].discussion.as_ref().unwrap().position.as_deref(), Some("{}"));
    let shown =
        notes::list_of_discussions(&mut tx, world.open, on, Sight::Open, &began, WHOLE).await.unwrap();
    assert_eq!(shown.iter().map(key).collect::<Vec<_>>(), [0, 2, 5].map(|at: usize| ids[at].0));

    let pages = [merge_request.0, other.0];
    assert_eq!(discussions::unresolved(&mut tx, &pages).await.unwrap(), [(merge_request.0, 3)]);
    let first = inside[0].discussion_id();
    discussions::set_resolved(&mut tx, world.open, first, Some((world.dee, 70))).await.unwrap();
    assert_eq!(discussions::unresolved(&mut tx, &pages).await.unwrap(), [(merge_request.0, 2)]);
    assert_eq!(discussions::unresolved(&mut tx, &[]).await.unwrap(), []);
    let settled = notes::find(&mut tx, world.open, on, ids[2], Sight::Open).await.unwrap().unwrap();
    let resolution = settled.discussion.unwrap().resolution.unwrap();
    assert_eq!((resolution.by.id, resolution.at), (world.dee, 70));
    // A discussion goes with its last comment, not before.
    for (at, left) in [(0, 1), (2, 0)] {
        notes::delete(&mut tx, world.open, ids[at]).await.unwrap();
        discussions::delete_if_empty(&mut tx, world.open, first).await.unwrap();
        assert_eq!(discussions::count_notes(&mut tx, world.open, first).await.unwrap(), left);
    }
    assert!(discussions::begin(&mut tx, world.open, on, ids[1], None).await.is_ok());
}

pub async fn reactions_and_times_are_counted(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let issue = add_issue(&mut tx, world.open, 1, world.ana, false).await;
    let quiet = add_issue(&mut tx, world.open, 2, world.ana, false).await;
    let merge_request = add_merge_request(&mut tx, world.open, 1, world.ana).await;
    let to = Awardable::Issue(issue);
    for (user, name) in
        [(world.ana, "thumbsup"), (world.ben, "thumbsup"), (world.dee, "thumbsdown"), (world.dee, "eyes")]
    {
        award_emoji::insert(&mut tx, world.open, to, user, name, NOW).await.unwrap();
    }
    let merge = Awardable::MergeRequest(merge_request);
    let elsewhere =
        award_emoji::insert(&mut tx, world.open, merge, world.ana, "thumbsup", NOW).await.unwrap();
    let key = |award: &Award| award.id.0;
    let all = award_emoji::list(&mut tx, world.open, to, WHOLE).await.unwrap();
    assert_eq!(all.total, Some(4));
    part_of(&award_emoji::list(&mut tx, world.open, to, PART).await.unwrap(), &all.items, key);
    assert!(award_emoji::find(&mut tx, world.open, to, elsewhere).await.unwrap().is_none());
    assert!(award_emoji::find(&mut tx, world.inner, merge, elsewhere).await.unwrap().is_none());
    assert!(award_emoji::find(&mut tx, world.open, merge, elsewhere).await.unwrap().is_some());
    let count = award_emoji::count_of(&mut tx, world.open, to, world.dee, "eyes").await.unwrap();
    assert_eq!(count, (true, 2));
    let votes = award_emoji::votes_of_issues(&mut tx, &[issue.0, quiet.0]).await.unwrap();
    assert_eq!(votes, [(issue.0, Votes { up: 2, down: 1 })]);
    let votes = award_emoji::votes_of_merge_requests(&mut tx, &[merge_request.0]).await.unwrap();
    assert_eq!(votes, [(merge_request.0, Votes { up: 1, down: 0 })]);

    for (on, estimate) in [(Noteable::Issue(issue), 60), (Noteable::MergeRequest(merge_request), 90)] {
        timelogs::set_estimate(&mut tx, world.open, on, estimate).await.unwrap();
        for seconds in [100, -30] {
            timelogs::insert(&mut tx, world.open, on, world.ana, (seconds, Some("work")), NOW).await.unwrap();
        }
        assert_eq!(timelogs::count(&mut tx, world.open, on).await.unwrap(), 2);
    }
    let mut times = timelogs::times_of_issues(&mut tx, &[quiet.0, issue.0]).await.unwrap();
    times.sort_by_key(|(id, _)| *id);
    assert_eq!(times, [(issue.0, Times { estimate: 60, spent: 70 }), (quiet.0, Times::default())]);
    let times = timelogs::times_of_merge_requests(&mut tx, &[merge_request.0]).await.unwrap();
    assert_eq!(times, [(merge_request.0, Times { estimate: 90, spent: 70 })]);

    labels::ensure(&mut tx, world.open, "bug", "#6699cc", NOW).await.unwrap();
    let label = labels::find_by_title(&mut tx, world.open, "bug").await.unwrap().unwrap().id;
    for (to, by_itself) in [
        (Subscribable::Issue(issue), true),
        (Subscribable::MergeRequest(merge_request), true),
        (Subscribable::Label(label), false),
    ] {
        for (user, before) in [(world.ana, by_itself), (world.dee, false)] {
            assert_eq!(subscriptions::is_subscribed(&mut tx, to, user).await.unwrap(), before, "{to:?}");
            for wanted in [true, false, true] {
                subscriptions::set(&mut tx, to, user, wanted, NOW).await.unwrap();
                assert_eq!(subscriptions::is_subscribed(&mut tx, to, user).await.unwrap(), wanted);
            }
        }
    }
    assert_eq!(subscriptions::labels_of(&mut tx, &[label.0], world.ana).await.unwrap(), [label.0]);
    assert_eq!(subscriptions::labels_of(&mut tx, &[label.0], world.ben).await.unwrap(), []);
    let people = notes::participants_of_issue(&mut tx, issue, Sight::Open, WHOLE).await.unwrap();
    assert_eq!(people.items.iter().map(|user| user.id).collect::<Vec<_>>(), [world.ana]);
}

/// Something in a project, and what the rules are asked about it.
struct Thing {
    project: ProjectId,
    what: Noteable,
    confidential: bool,
    own: BTreeSet<i64>,
}

/// Returns whether the rules show a thing to somebody.
async fn is_shown(tx: &mut Tx, thing: &Thing, user: Option<UserId>, audience: Audience) -> bool {
    let scopes = ScopeSet::API;
    let known =
        |kind, administrator, external| Caller::Known(Known { kind, administrator, external, scopes });
    let caller = match audience {
        Audience::Public => Caller::Anonymous,
        Audience::Everything => known(CallerKind::Person, true, false),
        Audience::Person { external, .. } => known(CallerKind::Person, false, external),
        Audience::Bot(..) | Audience::GroupBot(..) => known(CallerKind::Bot, false, true),
    };
    let facts = projects::find_facts(tx, &IdOrPath::Id(thing.project.0), user, NOW).await.unwrap();
    let facts = Facts::Resource(facts.map(|facts| facts.facts));
    let may = |action| decide(&caller, &facts, action).is_ok();
    match thing.what {
        Noteable::MergeRequest(_) => may(Action::ReadMergeRequests),
        Noteable::Issue(_) => {
            let own = user.is_some_and(|user| thing.own.contains(&user.0));
            may(Action::ReadIssues) && (!thing.confidential || own || may(Action::ReadConfidentialIssues))
        }
    }
}

/// Makes, in every project, issues of each kind and a merge request; in one of them merge requests are for members only.
async fn things(tx: &mut Tx, world: &World) -> Vec<Thing> {
    let mut private = projects::find(tx, world.open).await.unwrap().unwrap();
    private.merge_requests_access = FeatureAccess::Private;
    projects::set_merging(tx, &private, NOW).await.unwrap();
    let mut things = Vec::new();
    for project in [world.open, world.inner, world.archived, world.hidden, world.personal] {
        for (iid, author, assignee, confidential) in
            [(1, world.dee, None, false), (2, world.dee, None, true), (3, world.ana, Some(world.ben), true)]
        {
            let issue = add_issue(tx, project, iid, author, confidential).await;
            issues::set_assignees(tx, issue, assignee.as_slice()).await.unwrap();
            let own = [Some(author), assignee].into_iter().flatten().map(|user| user.0).collect();
            things.push(Thing { project, what: Noteable::Issue(issue), confidential, own });
        }
        let what = Noteable::MergeRequest(add_merge_request(tx, project, 1, world.ana).await);
        things.push(Thing { project, what, confidential: false, own: BTreeSet::new() });
    }
    things
}

async fn audiences(tx: &mut Tx, world: &World) -> Vec<(Option<UserId>, Audience)> {
    let people = [world.ana, world.ben, world.cyd, world.dee];
    let mut all: Vec<_> = people.into_iter().map(|user| (Some(user), world.insider(user))).collect();
    all.push((Some(world.bot), Audience::Bot(world.bot, world.hidden)));
    let (bot, audience) = world.add_group_bot(tx, world.sub, Role::Reporter).await;
    all.push((Some(bot), audience));
    all.push((Some(world.dee), Audience::Everything));
    all.push((None, Audience::Public));
    all
}

fn names(what: Noteable) -> (bool, i64) {
    match what {
        Noteable::Issue(id) => (false, id.0),
        Noteable::MergeRequest(id) => (true, id.0),
    }
}

pub async fn todos_are_listed_as_far_as_the_rules_show_them(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let things = things(&mut tx, &world).await;
    let (mut shown, mut hidden) = (0, 0);
    for (user, audience) in audiences(&mut tx, &world).await {
        let Some(user) = user else { continue };
        if audience != Audience::Everything {
            for thing in &things {
                todos::insert(&mut tx, (user, user), thing.project, thing.what, NOW).await.unwrap();
            }
        }
        let found = todos::list(&mut tx, user, audience, TodoFilter::default(), WHOLE, NOW).await.unwrap();
        let found: BTreeSet<_> = found.items.iter().map(|todo| names(todo.target)).collect();
        for thing in &things {
            let expected = is_shown(&mut tx, thing, Some(user), audience).await;
            assert_eq!(
                found.contains(&names(thing.what)),
                expected,
                "{:?} in {:?} for {audience:?}",
                thing.what,
                thing.project
            );
            *(if expected { &mut shown } else { &mut hidden }) += 1;
        }
    }
    assert!(shown > 20 && hidden > 20, "{shown} shown, {hidden} hidden");

    let (dee, all) = (world.dee, Audience::Everything);
    let list =
        async |tx: &mut Tx, filter, window| todos::list(tx, dee, all, filter, window, NOW).await.unwrap();
    let key = |todo: &Todo| todo.id.0;
    let whole = list(&mut tx, TodoFilter::default(), WHOLE).await.items;
    part_of(&list(&mut tx, TodoFilter::default(), PART).await, &whole, key);
    for kind in [TargetKind::Issue, TargetKind::MergeRequest] {
        let found = list(&mut tx, TodoFilter { kind: Some(kind), ..TodoFilter::default() }, WHOLE).await;
        kept(kind, &found, &whole, key, |todo| {
            matches!(todo.target, Noteable::MergeRequest(_)) == (kind == TargetKind::MergeRequest)
        });
    }
    let filter = TodoFilter { project: Some(world.inner), ..TodoFilter::default() };
    kept("project", &list(&mut tx, filter, WHOLE).await, &whole, key, |todo| todo.project == world.inner);
    let filter = TodoFilter { id: Some(whole[2].id), ..TodoFilter::default() };
    kept("id", &list(&mut tx, filter, WHOLE).await, &whole, key, |todo| todo.id == whole[2].id);
    let filter = TodoFilter { author: Some(world.ana), ..TodoFilter::default() };
    assert_eq!(list(&mut tx, filter, WHOLE).await.total, Some(0));
    assert_eq!(todos::count_of(&mut tx, dee, whole[0].target).await.unwrap(), (true, things.len() as i64));
    todos::set_done(&mut tx, world.ana, whole[0].id, NOW).await.unwrap();
    assert!(todos::count_of(&mut tx, dee, whole[0].target).await.unwrap().0, "it is somebody else's");
    todos::set_done(&mut tx, dee, whole[0].id, NOW).await.unwrap();
    let done = TodoFilter { done: true, ..TodoFilter::default() };
    kept("done", &list(&mut tx, done, WHOLE).await, &whole, key, |todo| todo.id == whole[0].id);
    kept("waiting", &list(&mut tx, TodoFilter::default(), WHOLE).await, &whole, key, |todo| {
        todo.id != whole[0].id
    });
    todos::set_all_done(&mut tx, dee, NOW).await.unwrap();
    assert_eq!(list(&mut tx, TodoFilter::default(), WHOLE).await.total, Some(0));
}

pub async fn issue_links_are_listed_as_far_as_the_rules_show_them(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let things = things(&mut tx, &world).await;
    let source = add_issue(&mut tx, world.open, 10, world.ana, false).await;
    let mut linked = Vec::new();
    for (at, thing) in things.iter().enumerate() {
        let Noteable::Issue(issue) = thing.what else { continue };
        // In either direction, because it means the same.
        let (from, to) = if at % 2 == 0 { (source, issue) } else { (issue, source) };
        let id = issue_links::insert(&mut tx, from, to, NOW).await.unwrap();
        assert_eq!(issue_links::find_between(&mut tx, issue, source).await.unwrap(), Some(id));
        linked.push((id, thing));
    }
    assert_eq!(issue_links::count(&mut tx, source).await.unwrap(), linked.len() as i64);
    for (user, audience) in audiences(&mut tx, &world).await {
        let found = issue_links::list(&mut tx, source, None, audience, WHOLE, NOW).await.unwrap();
        let found: BTreeSet<_> = found.items.iter().map(|link| link.id).collect();
        for (id, thing) in &linked {
            let expected = is_shown(&mut tx, thing, user, audience).await;
            assert_eq!(found.contains(id), expected, "{:?} for {audience:?}", thing.project);
        }
    }
    let all = Audience::Everything;
    let whole = issue_links::list(&mut tx, source, None, all, WHOLE, NOW).await.unwrap().items;
    let key = |link: &IssueLink| link.id.0;
    part_of(&issue_links::list(&mut tx, source, None, all, PART, NOW).await.unwrap(), &whole, key);
    let one = issue_links::list(&mut tx, source, Some(whole[1].id), all, WHOLE, NOW).await.unwrap();
    kept("one", &one, &whole, key, |link| link.id == whole[1].id);
    // A link is taken away by one of its issues only.
    let (first, other) = (whole[0].id, whole[1].issue.id);
    issue_links::delete(&mut tx, other, first).await.unwrap();
    assert_eq!(issue_links::count(&mut tx, source).await.unwrap(), linked.len() as i64);
    issue_links::delete(&mut tx, source, first).await.unwrap();
    assert_eq!(issue_links::count(&mut tx, source).await.unwrap(), linked.len() as i64 - 1);
}
