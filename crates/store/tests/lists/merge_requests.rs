//! Merge requests, with their labels, assignees and reviewers.

use portcullis_rules::access::{FeatureAccess, Role};
use portcullis_rules::id::{MergeRequestId, ProjectId, UserId};
use portcullis_store::audience::Audience;
use portcullis_store::db::{Error, Tx};
use portcullis_store::issues::{AssigneeFilter, LabelFilter, MilestoneWanted};
use portcullis_store::members::{self, Place as MemberOf};
use portcullis_store::merge_requests::{
    self, Ends, Heads, Involvement, MergeRequest, MergeRequestFilter, MergeRequestOrder,
    MergeRequestRelation, MergeRequestState, MergeRequestsOf, NewMergeRequest,
};
use portcullis_store::milestones::{self, NewMilestone};
use portcullis_store::notes::{self, NewNote, Noteable};
use portcullis_store::{labels, projects};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, NOW, PART, WHOLE, kept, keys, part_of, sorted};

/// A merge request with what is read beside it.
#[derive(Debug)]
struct Whole {
    one: MergeRequest,
    labels: Vec<String>,
    assignees: Vec<UserId>,
    reviewers: Vec<UserId>,
}

async fn add(
    tx: &mut Tx,
    project: ProjectId,
    iid: i64,
    author: UserId,
    title: &str,
    at: i64,
) -> MergeRequestId {
    let heads =
        Heads { head: format!("head{iid}"), start: "start".to_owned(), base: Some("base".to_owned()) };
    let new = NewMergeRequest {
        project,
        iid,
        author,
        title,
        description: (iid % 2 == 0).then_some("a zebra"),
        source_branch: title,
        target_branch: if iid == 4 { "next" } else { "main" },
        squash: iid == 1,
        removes_source_branch: iid == 2,
        heads: &heads,
    };
    merge_requests::insert(tx, &new, at).await.unwrap()
}

/// Opens some merge requests in the public project.
async fn open_some(world: &World, tx: &mut Tx) -> Vec<MergeRequestId> {
    let (ana, ben, dee) = (world.ana, world.ben, world.dee);
    let rows = [
        ("Zebra", ana, 10, &["bug", "ui"][..], &[][..], &[dee][..]),
        ("Draft: apple", ben, 40, &["bug"], &[dee], &[]),
        ("[DRAFT] Mango", ana, 20, &[], &[dee, ben], &[ben, ana]),
        ("kiwi", dee, 40, &["ui"], &[], &[]),
        ("fig", ben, 30, &[], &[ana], &[]),
        ("lime", dee, 50, &[], &[], &[dee]),
    ];
    let milestone = NewMilestone {
        project: world.open,
        iid: 1,
        title: "v1",
        description: None,
        start_date: None,
        due_date: None,
    };
    let milestone = milestones::insert(tx, &milestone, NOW).await.unwrap();
    let mut ids = Vec::new();
    for (iid, (title, author, at, labels, assignees, reviewers)) in (1..).zip(rows) {
        let id = add(tx, world.open, iid, author, title, at).await;
        let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
        for label in &labels {
            labels::ensure(tx, world.open, label, "#6699cc", NOW).await.unwrap();
        }
        merge_requests::set_labels(tx, id, &labels).await.unwrap();
        merge_requests::set_assignees(tx, id, assignees).await.unwrap();
        merge_requests::set_reviewers(tx, id, reviewers).await.unwrap();
        ids.push(id);
    }
    merge_requests::set_closed(tx, world.open, ids[1], Some((ana, 60))).await.unwrap();
    merge_requests::set_milestone(tx, world.open, ids[3], Some(milestone)).await.unwrap();
    merge_requests::touch(tx, world.open, ids[0], 90).await.unwrap();
    // One in another project, which is in no list of this one.
    add(tx, world.inner, 1, ana, "Zebra", 10).await;
    ids
}

pub async fn merge_requests_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let ids = open_some(&world, &mut tx).await;
    let (ana, ben, dee) = (world.ana, world.ben, world.dee);
    let key = |whole: &Whole| whole.one.id.0;
    let of = MergeRequestsOf::Project(world.open);
    let list = async |tx: &mut Tx, filter: &MergeRequestFilter, window| {
        let found = merge_requests::list(tx, of, true, filter, window, NOW).await.unwrap();
        let page: Vec<_> = found.items.iter().map(|one| one.id.0).collect();
        let labels = merge_requests::labels_of(tx, &page).await.unwrap();
        let assignees = merge_requests::involved_in(tx, &page, Involvement::Assignee).await.unwrap();
        let reviewers = merge_requests::involved_in(tx, &page, Involvement::Reviewer).await.unwrap();
        found.map(|one| {
            let id = one.id.0;
            let own = |people: &[(i64, portcullis_store::users::User)]| {
                people.iter().filter(|(of, _)| *of == id).map(|(_, user)| user.id).collect()
            };
            Whole {
                labels: labels
                    .iter()
                    .filter(|(of, _)| *of == id)
                    .map(|(_, label)| label.title.clone())
                    .collect(),
                assignees: own(&assignees),
                reviewers: own(&reviewers),
                one,
            }
        })
    };
    let none = MergeRequestFilter::default;
    let all = list(&mut tx, &none(), WHOLE).await.items;
    assert_eq!(all.len(), 6);
    part_of(&list(&mut tx, &none(), PART).await, &all, key);
    let found = all.iter().find(|whole| whole.one.id == ids[1]).unwrap();
    assert_eq!(found.one.closed_by.as_ref().unwrap().id, ana);
    assert_eq!((found.one.squash, found.one.removes_source_branch), (false, true));

    let search = |text: &str, title, description| MergeRequestFilter {
        search: Some(text.to_owned()),
        search_title_only: title,
        search_description_only: description,
        ..none()
    };
    let labels = |labels: &[&str]| MergeRequestFilter {
        labels: Some(LabelFilter::All(labels.iter().map(|label| (*label).to_owned()).collect())),
        ..none()
    };
    let zebra = |text: &str| text.to_lowercase().contains("zebra");
    let draft = |whole: &Whole| whole.one.title.to_lowercase().contains("draft");
    let cases: Vec<(MergeRequestFilter, Keep<Whole>)> = vec![
        (
            MergeRequestFilter { ids: Some(vec![ids[1].0, ids[2].0, 999_999]), ..none() },
            Box::new(|one| [2, 3].contains(&one.one.iid)),
        ),
        (
            MergeRequestFilter { state: Some(MergeRequestState::Opened), ..none() },
            Box::new(|one| one.one.closed_at.is_none()),
        ),
        (
            MergeRequestFilter { state: Some(MergeRequestState::Closed), ..none() },
            Box::new(|one| one.one.closed_at.is_some()),
        ),
        (
            MergeRequestFilter { of: Some(MergeRequestRelation::Author(ana)), ..none() },
            Box::new(move |one| one.one.author.id == ana),
        ),
        (
            MergeRequestFilter { of: Some(MergeRequestRelation::Assignee(dee)), ..none() },
            Box::new(move |one| one.assignees.contains(&dee)),
        ),
        (
            MergeRequestFilter { of: Some(MergeRequestRelation::Reviewer(dee)), ..none() },
            Box::new(move |one| one.reviewers.contains(&dee)),
        ),
        (
            MergeRequestFilter { source_branch: Some("kiwi".to_owned()), ..none() },
            Box::new(|one| one.one.iid == 4),
        ),
        (
            MergeRequestFilter { target_branch: Some("main".to_owned()), ..none() },
            Box::new(|one| one.one.iid != 4),
        ),
        (
            search("ZEBRA", false, false),
            Box::new(move |one| zebra(&one.one.title) || one.one.description.is_some()),
        ),
        (search("zebra", true, false), Box::new(move |one| zebra(&one.one.title))),
        (search("zebra", false, true), Box::new(|one| one.one.description.is_some())),
        (
            MergeRequestFilter { labels: Some(LabelFilter::Without), ..none() },
            Box::new(|one| one.labels.is_empty()),
        ),
        (
            MergeRequestFilter { labels: Some(LabelFilter::Any), ..none() },
            Box::new(|one| !one.labels.is_empty()),
        ),
        (labels(&["bug"]), Box::new(|one| one.labels.contains(&"bug".to_owned()))),
        (labels(&["ui", "bug"]), Box::new(|one| one.labels == ["bug", "ui"])),
        (
            MergeRequestFilter { milestone: Some(MilestoneWanted::Without), ..none() },
            Box::new(|one| one.one.milestone.is_none()),
        ),
        (
            MergeRequestFilter { milestone: Some(MilestoneWanted::Any), ..none() },
            Box::new(|one| one.one.milestone.is_some()),
        ),
        (
            MergeRequestFilter { milestone: Some(MilestoneWanted::Title("v1".to_owned())), ..none() },
            Box::new(|one| one.one.milestone.is_some()),
        ),
        (
            MergeRequestFilter { iids: Some(vec![2, 5, 99]), ..none() },
            Box::new(|one| [2, 5].contains(&one.one.iid)),
        ),
        (MergeRequestFilter { author: Some(ben), ..none() }, Box::new(move |one| one.one.author.id == ben)),
        (
            MergeRequestFilter { author_username: Some("BEN".to_owned()), ..none() },
            Box::new(move |one| one.one.author.id == ben),
        ),
        (
            MergeRequestFilter { assignee: Some(AssigneeFilter::Nobody), ..none() },
            Box::new(|one| one.assignees.is_empty()),
        ),
        (
            MergeRequestFilter { assignee: Some(AssigneeFilter::Anybody), ..none() },
            Box::new(|one| !one.assignees.is_empty()),
        ),
        (
            MergeRequestFilter { assignee: Some(AssigneeFilter::User(ben)), ..none() },
            Box::new(move |one| one.assignees.contains(&ben)),
        ),
        (
            MergeRequestFilter { reviewer: Some(AssigneeFilter::Nobody), ..none() },
            Box::new(|one| one.reviewers.is_empty()),
        ),
        (
            MergeRequestFilter { reviewer: Some(AssigneeFilter::User(ben)), ..none() },
            Box::new(move |one| one.reviewers.contains(&ben)),
        ),
        (
            MergeRequestFilter { reviewer_username: Some("ANA".to_owned()), ..none() },
            Box::new(move |one| one.reviewers.contains(&ana)),
        ),
        (MergeRequestFilter { draft: Some(true), ..none() }, Box::new(draft)),
        (MergeRequestFilter { draft: Some(false), ..none() }, Box::new(move |one| !draft(one))),
        (MergeRequestFilter { created_after: Some(30), ..none() }, Box::new(|one| one.one.created_at >= 30)),
        (MergeRequestFilter { created_before: Some(30), ..none() }, Box::new(|one| one.one.created_at <= 30)),
        (MergeRequestFilter { updated_after: Some(50), ..none() }, Box::new(|one| one.one.updated_at >= 50)),
        (MergeRequestFilter { updated_before: Some(50), ..none() }, Box::new(|one| one.one.updated_at <= 50)),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }
    let merged = MergeRequestFilter { state: Some(MergeRequestState::Merged), ..none() };
    assert_eq!(list(&mut tx, &merged, WHOLE).await.total, Some(0));

    type By = fn(&Whole) -> (String, i64);
    let orders: [(MergeRequestOrder, By); 4] = [
        (MergeRequestOrder::Created, |one| (String::new(), one.one.created_at)),
        (MergeRequestOrder::Updated, |one| (String::new(), one.one.updated_at)),
        (MergeRequestOrder::Merged, |_| (String::new(), 0)),
        (MergeRequestOrder::Title, |one| (one.one.title.to_lowercase(), 0)),
    ];
    for (order, by) in orders {
        let found = list(&mut tx, &MergeRequestFilter { order, ascending: true, ..none() }, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.one.id).cmp(&(by(b), b.one.id)));
        let found = list(&mut tx, &MergeRequestFilter { order, ascending: false, ..none() }, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.one.id).cmp(&(by(a), a.one.id)));
    }
}

pub async fn merge_requests_of_several_projects_are_listed_as_far_as_they_may_be_read(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let tx = &mut tx;
    let (ana, ben, cyd, dee) = (world.ana, world.ben, world.cyd, world.dee);
    let (open, inner, archived, hidden, personal) =
        (world.open, world.inner, world.archived, world.hidden, world.personal);
    for project in [open, inner, archived, hidden, personal] {
        add(tx, project, 1, ana, "a", 10).await;
    }
    let guest = dee;
    members::insert(tx, MemberOf::Project(archived), guest, Role::Guest, None, None, NOW).await.unwrap();
    let find = async |tx: &mut Tx, of: MergeRequestsOf, without_archived| {
        let filter =
            MergeRequestFilter { without_archived, ascending: true, ..MergeRequestFilter::default() };
        let found = merge_requests::list(tx, of, false, &filter, WHOLE, NOW).await.unwrap();
        assert_eq!(found.total, Some(found.items.len() as i64));
        keys(&found.items, |one| one.project.0)
    };
    let bot = Audience::Bot(world.bot, hidden);
    let expected: [(Audience, &[ProjectId]); 7] = [
        (Audience::Everything, &[open, inner, archived, hidden, personal]),
        (Audience::Public, &[open, personal]),
        (bot, &[open, hidden, personal]),
        (Audience::Bot(world.bot, archived), &[open, personal]),
        (world.insider(ana), &[open, inner, archived, personal]),
        // A Guest of a private project reads none of it, a Planner of an internal one does.
        (world.insider(dee), &[open, inner, personal]),
        (world.insider(ben), &[open, hidden, personal]),
    ];
    let (_, robot) = world.add_group_bot(tx, world.sub, Role::Reporter).await;
    let seen = [open, inner, archived, personal];
    let expected = expected.into_iter().chain([(robot, &seen[..])]);
    for (audience, expected) in expected {
        let expected: Vec<_> = expected.iter().map(|project| project.0).collect();
        assert_eq!(find(tx, MergeRequestsOf::Everywhere(audience), false).await, expected, "{audience:?}");
    }
    let top = |audience| MergeRequestsOf::Group(world.top, audience);
    let of = |projects: &[ProjectId]| projects.iter().map(|project| project.0).collect::<Vec<_>>();
    assert_eq!(find(tx, top(Audience::Everything), false).await, of(&[open, inner, archived]));
    assert_eq!(find(tx, top(Audience::Everything), true).await, of(&[open, inner]));
    assert_eq!(find(tx, top(world.insider(cyd)), false).await, of(&[open, inner, archived]));
    assert_eq!(find(tx, top(Audience::Public), false).await, of(&[open]));

    // For members only, or off.
    let mut project = projects::find(tx, open).await.unwrap().unwrap();
    project.merge_requests_access = FeatureAccess::Private;
    projects::set_merging(tx, &project, NOW).await.unwrap();
    assert_eq!(find(tx, top(world.insider(dee)), false).await, of(&[inner]));
    assert_eq!(find(tx, top(world.insider(cyd)), false).await, of(&[open, inner, archived]));
    project.merge_requests_access = FeatureAccess::Disabled;
    projects::set_merging(tx, &project, NOW).await.unwrap();
    assert_eq!(find(tx, top(world.insider(cyd)), false).await, of(&[inner, archived]));
    assert_eq!(find(tx, top(Audience::Everything), false).await, of(&[inner, archived]));

    let places = projects::merge_places(tx, &[open.0, inner.0]).await.unwrap();
    let paths: Vec<_> = places.iter().map(|place| place.full_path.as_str()).collect();
    assert_eq!(paths, ["top/open", "top/sub/inner"]);
}

pub async fn two_open_merge_requests_never_have_the_same_branches(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let ids = open_some(&world, &mut tx).await;
    tx.commit().await.unwrap();
    let mut tx = place.db.begin().await.unwrap();
    assert_eq!(merge_requests::find_open(&mut tx, world.open, "kiwi", "next").await.unwrap(), Some(4));
    assert_eq!(merge_requests::find_open(&mut tx, world.open, "Draft: apple", "main").await.unwrap(), None);
    // The closed one's branches are free; then it cannot come back, and nothing else can become the same.
    add(&mut tx, world.open, 7, world.ana, "Draft: apple", 10).await;
    tx.commit().await.unwrap();
    let unique =
        |result: Result<(), Error>| assert!(matches!(result, Err(Error::Unique { .. })), "{result:?}");
    let mut tx = place.db.begin().await.unwrap();
    unique(merge_requests::set_closed(&mut tx, world.open, ids[1], None).await);
    drop(tx);
    let mut tx = place.db.begin().await.unwrap();
    let mut other = merge_requests::find(&mut tx, world.open, 4, true).await.unwrap().unwrap();
    other.target_branch = "main".to_owned();
    merge_requests::set_target(&mut tx, &other).await.unwrap();
    let found = merge_requests::find(&mut tx, world.open, 4, true).await.unwrap().unwrap();
    assert_eq!((found.target_branch.as_str(), &found.heads), ("main", &other.heads));
    assert_eq!(merge_requests::find_open(&mut tx, world.open, "kiwi", "next").await.unwrap(), None);
    let mut last = merge_requests::find(&mut tx, world.open, 6, true).await.unwrap().unwrap();
    last.target_branch = "next".to_owned();
    merge_requests::set_target(&mut tx, &last).await.unwrap();
    add(&mut tx, world.open, 8, world.ana, "lime", 10).await;
    last.target_branch = "main".to_owned();
    unique(merge_requests::set_target(&mut tx, &last).await);
}

pub async fn what_belongs_to_a_merge_request_is_found_and_goes_with_it(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let tx = &mut tx;
    let issues = world.open_issues(tx).await;
    let ids = open_some(&world, tx).await;
    let (first, third) = (ids[0], ids[2]);
    merge_requests::set_closed_issues(tx, first, &[3, 1, 99]).await.unwrap();
    merge_requests::set_closed_issues(tx, third, &[1]).await.unwrap();
    assert_eq!(merge_requests::closed_issues(tx, first).await.unwrap(), [1, 3]);
    assert_eq!(merge_requests::closing(tx, world.open, issues[0]).await.unwrap(), [third.0, first.0]);
    assert_eq!(merge_requests::closing(tx, world.inner, issues[0]).await.unwrap(), [0; 0]);

    assert_eq!(merge_requests::with_commit(tx, world.open, "head3").await.unwrap(), [third.0]);
    assert_eq!(merge_requests::with_commit(tx, world.inner, "head3").await.unwrap(), [0; 0]);
    let last = Ends { id: ids[5].0, head: "head6".to_owned(), base: Some("base".to_owned()) };
    assert_eq!(merge_requests::latest_ends(tx, world.open, 1).await.unwrap(), [last]);

    for (user, at) in [(world.ben, 20), (world.ana, 30)] {
        merge_requests::approve(tx, first, user, at).await.unwrap();
    }
    let approvals = merge_requests::approvals(tx, first).await.unwrap();
    let approvals: Vec<_> = approvals.iter().map(|approval| (approval.user.id, approval.at)).collect();
    assert_eq!(approvals, [(world.ben, 20), (world.ana, 30)]);
    assert!(merge_requests::unapprove(tx, first, world.ben).await.unwrap());
    assert!(!merge_requests::unapprove(tx, first, world.ben).await.unwrap());
    merge_requests::reset_approvals(tx, first).await.unwrap();
    assert!(merge_requests::approvals(tx, first).await.unwrap().is_empty());

    for (author, system, internal) in
        [(world.ben, false, false), (world.cyd, true, false), (world.bot, false, true)]
    {
        let on = Noteable::MergeRequest(first);
        let note = NewNote { project: world.open, on, author, body: "text", system, internal };
        notes::insert(tx, &note, NOW).await.unwrap();
    }
    let count = async |tx: &mut Tx, shown| {
        merge_requests::find(tx, world.open, 1, shown).await.unwrap().unwrap().notes
    };
    assert_eq!((count(tx, true).await, count(tx, false).await), (2, 1));
    let taking_part = async |tx: &mut Tx, shown| {
        keys(&merge_requests::participants(tx, first, shown, WHOLE).await.unwrap().items, |user| user.id.0)
    };
    let mut expected = vec![world.ana.0, world.ben.0, world.dee.0];
    assert_eq!(taking_part(tx, false).await, expected);
    expected.push(world.bot.0);
    assert_eq!(taking_part(tx, true).await, expected);

    let all: Vec<_> = labels::list(tx, world.open, None, WHOLE).await.unwrap().items;
    let counted = labels::merge_request_counts(tx, &all.iter().map(|label| label.id.0).collect::<Vec<_>>())
        .await
        .unwrap();
    let bug = all.iter().find(|label| label.title == "bug").unwrap().id.0;
    // Of two one is closed.
    assert!(counted.contains(&(bug, 1)), "{counted:?}");

    merge_requests::delete(tx, world.inner, first).await.unwrap();
    assert!(merge_requests::find(tx, world.open, 1, true).await.unwrap().is_some());
    merge_requests::delete(tx, world.open, first).await.unwrap();
    assert!(merge_requests::find(tx, world.open, 1, true).await.unwrap().is_none());
    assert_eq!(merge_requests::closing(tx, world.open, issues[0]).await.unwrap(), [third.0]);
}
