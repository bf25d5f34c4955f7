//! Labels, milestones, statuses of commits, releases and their links.

use portcullis_rules::id::{CommitStatusId, LabelId, ProjectId, ReleaseLinkId};
use portcullis_store::commit_statuses::{self, CommitStatus, CommitStatusFilter, NewCommitStatus};
use portcullis_store::db::{Query, Tx};
use portcullis_store::issues::{self, IssueFilter, MilestoneWanted, Sight};
use portcullis_store::labels::{self, Label};
use portcullis_store::migrate::{self, MIGRATIONS};
use portcullis_store::milestones::{self, Milestone, MilestoneFilter, NewMilestone};
use portcullis_store::release_links::{self, ReleaseLink};
use portcullis_store::releases::{self, NewRelease, Release, ReleaseFilter, ReleaseOrder};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, NOW, PART, WHOLE, kept, keys, part_of, sorted};

pub async fn labels_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    world.open_issues(&mut tx).await;
    for (title, description) in [("Later", Some("a zebra")), ("50%_off", None)] {
        let label = Label {
            id: LabelId(0),
            project: world.open,
            title: title.to_owned(),
            color: "#fff".to_owned(),
            description: description.map(str::to_owned),
            priority: Some(1),
        };
        labels::insert(&mut tx, &label, NOW).await.unwrap();
        labels::insert(&mut tx, &Label { project: world.inner, ..label }, NOW).await.unwrap();
    }
    let list =
        async |tx: &mut Tx, search, window| labels::list(tx, world.open, search, window).await.unwrap();
    let key = |label: &Label| label.id.0;
    let all = list(&mut tx, None, WHOLE).await.items;
    let titles: Vec<_> = all.iter().map(|label| label.title.as_str()).collect();
    // By their bytes, on either engine.
    assert_eq!(titles, ["50%_off", "Later", "bug", "ui", "x"]);
    part_of(&list(&mut tx, None, PART).await, &all, key);
    for (search, titles) in [("ZEBRA", &["Later"][..]), ("U", &["bug", "ui"]), ("%_", &["50%_off"])] {
        let found = list(&mut tx, Some(search), WHOLE).await;
        kept(search, &found, &all, key, |label| titles.contains(&label.title.as_str()));
    }
    // Of three bugs one is closed, and that one is hidden from most.
    let bug = all[2].id.0;
    let ids: Vec<_> = all.iter().map(key).collect();
    for (sight, expected) in [
        (Sight::Everything, (1, 2)),
        (Sight::Own(world.ana), (1, 2)),
        (Sight::Own(world.dee), (1, 1)),
        (Sight::Open, (1, 1)),
    ] {
        let counts = labels::counts(&mut tx, &ids, sight).await.unwrap();
        let of_bug = counts.iter().find(|(id, _)| *id == bug).unwrap().1;
        assert_eq!((of_bug.open, of_bug.closed), expected, "{sight:?}");
    }
}

pub async fn milestones_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let issue_ids = world.open_issues(&mut tx).await;
    for (iid, (title, description)) in
        (1..).zip([("v1", None), ("v2", Some("a zebra")), ("Zebra", None), ("50%_", None)])
    {
        let new = NewMilestone {
            project: world.open,
            iid,
            title,
            description,
            start_date: None,
            due_date: Some(100),
        };
        let id = milestones::insert(&mut tx, &new, 10 * iid).await.unwrap();
        milestones::insert(&mut tx, &NewMilestone { project: world.inner, ..new }, NOW).await.unwrap();
        if iid < 3 {
            let milestone = milestones::find(&mut tx, world.open, id).await.unwrap().unwrap();
            let milestone = Milestone { closed_at: (iid == 1).then_some(60), ..milestone };
            milestones::update(&mut tx, &milestone, 50 * iid).await.unwrap();
            issues::set_milestone(&mut tx, world.open, issue_ids[0], Some(id)).await.unwrap();
        }
    }
    let list = async |tx: &mut Tx, filter: &MilestoneFilter, window| {
        milestones::list(tx, world.open, filter, window).await.unwrap()
    };
    let none = MilestoneFilter::default;
    let key = |milestone: &Milestone| milestone.id.0;
    let all = list(&mut tx, &none(), WHOLE).await.items;
    assert_eq!(all.iter().map(|milestone| milestone.iid).collect::<Vec<_>>(), [4, 3, 2, 1]);
    part_of(&list(&mut tx, &none(), PART).await, &all, key);
    let text = |text: &str| Some(text.to_owned());
    let cases: Vec<(MilestoneFilter, Keep<Milestone>)> = vec![
        (MilestoneFilter { closed: Some(true), ..none() }, Box::new(|one| one.iid == 1)),
        (MilestoneFilter { closed: Some(false), ..none() }, Box::new(|one| one.iid != 1)),
        (MilestoneFilter { title: text("v2"), ..none() }, Box::new(|one| one.iid == 2)),
        (MilestoneFilter { search: text("zeb"), ..none() }, Box::new(|one| one.iid == 2 || one.iid == 3)),
        (MilestoneFilter { search: text("%_"), ..none() }, Box::new(|one| one.iid == 4)),
        (
            MilestoneFilter { iids: Some(vec![1, 4, 9]), ..none() },
            Box::new(|one| one.iid == 1 || one.iid == 4),
        ),
        (MilestoneFilter { updated_after: Some(50), ..none() }, Box::new(|one| one.updated_at >= 50)),
        (MilestoneFilter { updated_before: Some(50), ..none() }, Box::new(|one| one.updated_at <= 50)),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }
    // The issue was planned for the second one last.
    let of = async |tx: &mut Tx, milestone| {
        let filter = IssueFilter { milestone: Some(milestone), ..IssueFilter::default() };
        let found = issues::list(tx, world.open, Sight::Everything, &filter, WHOLE).await.unwrap();
        found.items.iter().map(|issue| issue.iid).collect::<Vec<_>>()
    };
    assert_eq!(of(&mut tx, MilestoneWanted::Any).await, [1]);
    assert_eq!(of(&mut tx, MilestoneWanted::Title("v2".to_owned())).await, [1]);
    assert_eq!(of(&mut tx, MilestoneWanted::Id(all[2].id)).await, [1]);
    assert!(of(&mut tx, MilestoneWanted::Title("v1".to_owned())).await.is_empty());
    assert_eq!(of(&mut tx, MilestoneWanted::Without).await.len(), 5);
}

pub async fn commit_statuses_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    for (name, ref_name, sha) in [
        ("build", "main", "a1"),
        ("test", "main", "a1"),
        ("build", "", "a1"),
        ("build", "main", "b2"),
        ("lint", "main", "a1"),
    ] {
        let new = NewCommitStatus {
            project: world.open,
            author: world.ana,
            sha,
            ref_name,
            name,
            state: "pending",
            target_url: None,
            description: None,
            coverage: None,
            started_at: None,
            finished_at: None,
        };
        let id = commit_statuses::insert(&mut tx, &new, NOW).await.unwrap();
        commit_statuses::insert(&mut tx, &NewCommitStatus { project: world.inner, ..new.clone() }, NOW)
            .await
            .unwrap();
        if name == "lint" {
            commit_statuses::supersede(&mut tx, world.open, id, NOW).await.unwrap();
            commit_statuses::insert(&mut tx, &new, NOW).await.unwrap();
        }
    }
    let list = async |tx: &mut Tx, filter: &CommitStatusFilter, window| {
        commit_statuses::list(tx, world.open, "a1", filter, window).await.unwrap()
    };
    let everything = || CommitStatusFilter { all: true, ..CommitStatusFilter::default() };
    let key = |status: &CommitStatus| status.id.0;
    let all = list(&mut tx, &everything(), WHOLE).await.items;
    assert_eq!(all.len(), 5);
    part_of(&list(&mut tx, &everything(), PART).await, &all, key);
    let lint: Vec<CommitStatusId> =
        all.iter().filter(|status| status.name == "lint").map(|status| status.id).collect();
    let cases: Vec<(CommitStatusFilter, Keep<CommitStatus>)> = vec![
        (CommitStatusFilter::default(), Box::new(move |one| one.id != lint[0])),
        (
            CommitStatusFilter { ref_name: Some("main".to_owned()), ..everything() },
            Box::new(|one| one.ref_name == "main"),
        ),
        (
            CommitStatusFilter { name: Some("build".to_owned()), ..everything() },
            Box::new(|one| one.name == "build"),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }
    let found = list(&mut tx, &CommitStatusFilter { descending: true, ..everything() }, WHOLE).await;
    sorted("descending", &found, &all, key, |a, b| b.id.cmp(&a.id));
}

pub async fn releases_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    for (tag, released_at, created_at) in [("v1", 30, 10), ("v2", 20, 20), ("v3", 20, 5), ("v4", 50, 40)] {
        let new = NewRelease {
            project: world.open,
            author: world.ana,
            tag,
            sha: None,
            name: None,
            description: None,
            released_at,
        };
        let id = releases::insert(&mut tx, &new, created_at).await.unwrap();
        releases::insert(&mut tx, &NewRelease { project: world.inner, ..new }, NOW).await.unwrap();
        for name in ["a", "b", "c", "d"] {
            let link = ReleaseLink {
                id: ReleaseLinkId(0),
                release: id,
                name: name.to_owned(),
                url: format!("https://example.com/{name}"),
                direct_asset_path: (name == "a").then(|| "/a".to_owned()),
                link_type: "other".to_owned(),
            };
            release_links::insert(&mut tx, &link, NOW).await.unwrap();
        }
    }
    let list =
        async |tx: &mut Tx, filter, window| releases::list(tx, world.open, filter, window).await.unwrap();
    let none = ReleaseFilter::default;
    let key = |release: &Release| release.id.0;
    let all = list(&mut tx, none(), WHOLE).await.items;
    assert_eq!(all.iter().map(|release| release.tag.as_str()).collect::<Vec<_>>(), ["v4", "v1", "v3", "v2"]);
    part_of(&list(&mut tx, none(), PART).await, &all, key);
    let found = list(&mut tx, ReleaseFilter { order: ReleaseOrder::Created, ..none() }, WHOLE).await;
    sorted("created", &found, &all, key, |a, b| (b.created_at, b.id).cmp(&(a.created_at, a.id)));
    let found = list(&mut tx, ReleaseFilter { ascending: true, ..none() }, WHOLE).await;
    sorted("ascending", &found, &all, key, |a, b| (a.released_at, a.id).cmp(&(b.released_at, b.id)));
    for filter in [
        ReleaseFilter { updated_after: Some(15), ..none() },
        ReleaseFilter { updated_before: Some(15), ..none() },
    ] {
        let (after, before) = (filter.updated_after.unwrap_or(0), filter.updated_before.unwrap_or(99));
        let found = list(&mut tx, filter, WHOLE).await;
        kept(filter, &found, &all, key, |one| (after..=before).contains(&one.created_at));
    }
    // What is still to come is not the latest.
    let latest = releases::find_latest(&mut tx, world.open, 49).await.unwrap().unwrap();
    assert_eq!(latest.tag, "v1");
    assert!(releases::find_latest(&mut tx, world.open, 19).await.unwrap().is_none());

    let links = release_links::list(&mut tx, all[0].id, WHOLE).await.unwrap();
    assert_eq!(links.total, Some(4));
    part_of(&release_links::list(&mut tx, all[0].id, PART).await.unwrap(), &links.items, |link| link.id.0);
    let both = release_links::links_of(&mut tx, &[all[0].id.0, all[1].id.0]).await.unwrap();
    assert_eq!(both.len(), 8);
    let own: Vec<_> = both.into_iter().filter(|link| link.release == all[0].id).collect();
    assert_eq!(keys(&own, |link| link.id.0), keys(&links.items, |link| link.id.0));
    let found = release_links::find_by_path(&mut tx, all[0].id, "/a").await.unwrap().unwrap();
    assert_eq!((found.release, found.name.as_str()), (all[0].id, "a"));
}

/// Before there were labels, an issue's labels were texts.
pub async fn labels_that_were_texts_become_labels(place: &Place) {
    migrate::apply(&place.db, &MIGRATIONS[..2], NOW).await.unwrap();
    let mut tx = place.db.begin().await.unwrap();
    for sql in [
        "INSERT INTO users (username, name, email, kind, created_at, updated_at) VALUES ('a', 'a', 'a', 'person', 1, 1)",
        "INSERT INTO namespaces (kind, name, path, full_path, description, visibility, plan, created_at, updated_at) \
         VALUES ('group', 'g', 'g', 'g', '', 0, 'free', 1, 1)",
        "INSERT INTO projects (namespace_id, creator_id, name, path, full_path, description, visibility, default_branch, \
         object_format, repository_access, issues_access, last_issue_iid, last_activity_at, created_at, updated_at) \
         SELECT 1, 1, p, p, p, '', 0, 'main', 'sha1', 'enabled', 'enabled', 2, 1, 1, 1 \
         FROM (SELECT 'p1' AS p UNION ALL SELECT 'p2') named ORDER BY p",
        "INSERT INTO issues (project_id, iid, author_id, title, created_at, updated_at) VALUES (1, 1, 1, 'one', 5, 5), \
         (1, 2, 1, 'two', 6, 6), (2, 1, 1, 'other', 7, 7)",
        "INSERT INTO issue_labels (issue_id, label) VALUES (1, 'bug'), (1, 'Ünicode'), (2, 'bug'), (3, 'bug'), (3, 'BUG')",
    ] {
        tx.run(&Query::new(sql), &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    migrate::migrate(&place.db, NOW).await.unwrap();
    let mut tx = place.db.begin().await.unwrap();
    let expected = [(1, "bug"), (1, "Ünicode"), (2, "bug"), (3, "BUG"), (3, "bug")];
    let found = issues::labels_of(&mut tx, &[1, 2, 3]).await.unwrap();
    assert_eq!(found, expected.map(|(issue, label)| (issue, label.to_owned())));
    for (project, titles) in [(1, &["bug", "Ünicode"]), (2, &["BUG", "bug"])] {
        let found = labels::list(&mut tx, ProjectId(project), None, WHOLE).await.unwrap().items;
        assert_eq!(found.iter().map(|label| label.title.as_str()).collect::<Vec<_>>(), titles);
        assert!(found.iter().all(|label| label.color == "#6699cc" && label.description.is_none()));
    }
}
