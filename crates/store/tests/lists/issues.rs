//! Issues, with their labels and assignees.

use portcullis_rules::id::UserId;
use portcullis_store::db::Tx;
use portcullis_store::issues::{
    self, AssigneeFilter, Issue, IssueFilter, IssueOrder, IssueState, LabelFilter, Relation, Sight,
};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, PART, WHOLE, kept, keys, part_of, sorted};

/// An issue with what is read beside it.
#[derive(Debug)]
struct Whole {
    issue: Issue,
    labels: Vec<String>,
    assignees: Vec<UserId>,
}

pub async fn issues_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let ids = world.open_issues(&mut tx).await;
    let (project, ana, ben, dee) = (world.open, world.ana, world.ben, world.dee);
    let key = |whole: &Whole| whole.issue.id.0;
    let list = async |tx: &mut Tx, sight, filter: &IssueFilter, window| {
        let found = issues::list(tx, project, sight, filter, window).await.unwrap();
        let page: Vec<_> = found.items.iter().map(|issue| issue.id.0).collect();
        let labels = issues::labels_of(tx, &page).await.unwrap();
        let assignees = issues::assignees_of(tx, &page).await.unwrap();
        found.map(|issue| {
            let id = issue.id.0;
            Whole {
                issue,
                labels: labels.iter().filter(|(of, _)| *of == id).map(|(_, label)| label.clone()).collect(),
                assignees: assignees.iter().filter(|(of, _)| *of == id).map(|(_, user)| user.id).collect(),
            }
        })
    };
    let none = IssueFilter::default;
    let all = list(&mut tx, Sight::Everything, &none(), WHOLE).await.items;
    assert_eq!(all.len(), 6);
    part_of(&list(&mut tx, Sight::Everything, &none(), PART).await, &all, key);
    let found = all.iter().find(|whole| whole.issue.id == ids[4]).unwrap();
    assert_eq!(
        (found.labels.as_slice(), found.assignees.as_slice()),
        (&["bug", "ui", "x"].map(str::to_owned)[..], &[ana][..])
    );
    assert_eq!(found.issue.closed_by.as_ref().unwrap().id, ben);

    let search = |text: &str, title, description| IssueFilter {
        search: Some(text.to_owned()),
        search_title_only: title,
        search_description_only: description,
        ..none()
    };
    let labels = |labels: &[&str]| IssueFilter {
        labels: Some(LabelFilter::All(labels.iter().map(|label| (*label).to_owned()).collect())),
        ..none()
    };
    let zebra = |text: &str| text.to_lowercase().contains("zebra");
    let cases: Vec<(IssueFilter, Keep<Whole>)> = vec![
        (
            IssueFilter { state: Some(IssueState::Opened), ..none() },
            Box::new(|one| one.issue.closed_at.is_none()),
        ),
        (
            IssueFilter { state: Some(IssueState::Closed), ..none() },
            Box::new(|one| one.issue.closed_at.is_some()),
        ),
        (
            IssueFilter { of: Some(Relation::Author(ana)), ..none() },
            Box::new(move |one| one.issue.author.id == ana),
        ),
        (
            IssueFilter { of: Some(Relation::Assignee(dee)), ..none() },
            Box::new(move |one| one.assignees.contains(&dee)),
        ),
        (
            search("ZEBRA", false, false),
            Box::new(move |one| {
                zebra(&one.issue.title) || one.issue.description.as_deref().is_some_and(zebra)
            }),
        ),
        (search("zebra", true, false), Box::new(move |one| zebra(&one.issue.title))),
        (
            search("zebra", false, true),
            Box::new(move |one| one.issue.description.as_deref().is_some_and(zebra)),
        ),
        (search("%_r", false, false), Box::new(|one| one.issue.title == "Mango")),
        (IssueFilter { labels: Some(LabelFilter::Without), ..none() }, Box::new(|one| one.labels.is_empty())),
        (IssueFilter { labels: Some(LabelFilter::Any), ..none() }, Box::new(|one| !one.labels.is_empty())),
        (labels(&["bug"]), Box::new(|one| one.labels.contains(&"bug".to_owned()))),
        (
            labels(&["ui", "bug"]),
            Box::new(|one| ["bug", "ui"].iter().all(|label| one.labels.iter().any(|own| own == label))),
        ),
        (
            IssueFilter { iids: Some(vec![2, 5, 99]), ..none() },
            Box::new(|one| [2, 5].contains(&one.issue.iid)),
        ),
        (IssueFilter { author: Some(ben), ..none() }, Box::new(move |one| one.issue.author.id == ben)),
        (
            IssueFilter { author_username: Some("BEN".to_owned()), ..none() },
            Box::new(move |one| one.issue.author.id == ben),
        ),
        (
            IssueFilter { assignee: Some(AssigneeFilter::Nobody), ..none() },
            Box::new(|one| one.assignees.is_empty()),
        ),
        (
            IssueFilter { assignee: Some(AssigneeFilter::Anybody), ..none() },
            Box::new(|one| !one.assignees.is_empty()),
        ),
        (
            IssueFilter { assignee: Some(AssigneeFilter::User(ben)), ..none() },
            Box::new(move |one| one.assignees.contains(&ben)),
        ),
        (
            IssueFilter { confidential: Some(true), ..none() },
            Box::new(|one| one.issue.confidential_at.is_some()),
        ),
        (
            IssueFilter { confidential: Some(false), ..none() },
            Box::new(|one| one.issue.confidential_at.is_none()),
        ),
        (IssueFilter { created_after: Some(30), ..none() }, Box::new(|one| one.issue.created_at >= 30)),
        (IssueFilter { created_before: Some(30), ..none() }, Box::new(|one| one.issue.created_at <= 30)),
        (IssueFilter { updated_after: Some(50), ..none() }, Box::new(|one| one.issue.updated_at >= 50)),
        (IssueFilter { updated_before: Some(50), ..none() }, Box::new(|one| one.issue.updated_at <= 50)),
        (
            IssueFilter {
                state: Some(IssueState::Opened),
                author: Some(ana),
                confidential: Some(false),
                ..labels(&["bug"])
            },
            Box::new(|one| one.issue.iid == 1),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, Sight::Everything, &filter, WHOLE).await, &all, key, keep);
    }

    // Sight is narrowed by the query itself, whatever else is asked.
    let open = |whole: &Whole| whole.issue.confidential_at.is_none();
    kept(Sight::Open, &list(&mut tx, Sight::Open, &none(), WHOLE).await, &all, key, open);
    for user in [ana, ben, dee] {
        let own =
            move |one: &Whole| open(one) || one.issue.author.id == user || one.assignees.contains(&user);
        let (sight, found) = (Sight::Own(user), list(&mut tx, Sight::Own(user), &none(), WHOLE).await);
        let expected: Vec<_> = all.iter().filter(|one| own(one)).map(key).collect();
        assert_eq!(keys(&found.items, key), expected, "{sight:?}");
    }
    let confidential = IssueFilter { confidential: Some(true), ..none() };
    assert_eq!(list(&mut tx, Sight::Open, &confidential, WHOLE).await.total, Some(0));

    type By = fn(&Whole) -> (String, i64);
    let orders: [(IssueOrder, By); 3] = [
        (IssueOrder::Created, |one| (String::new(), one.issue.created_at)),
        (IssueOrder::Updated, |one| (String::new(), one.issue.updated_at)),
        (IssueOrder::Title, |one| (one.issue.title.to_lowercase(), 0)),
    ];
    for (order, by) in orders {
        let found =
            list(&mut tx, Sight::Everything, &IssueFilter { order, ascending: true, ..none() }, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.issue.id).cmp(&(by(b), b.issue.id)));
        let found =
            list(&mut tx, Sight::Everything, &IssueFilter { order, ascending: false, ..none() }, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.issue.id).cmp(&(by(a), a.issue.id)));
    }
    // What is never due comes last, whichever way.
    for ascending in [true, false] {
        let filter = IssueFilter { order: IssueOrder::DueDate, ascending, ..none() };
        let due: Vec<_> = list(&mut tx, Sight::Everything, &filter, WHOLE)
            .await
            .items
            .iter()
            .map(|one| one.issue.due_date)
            .collect();
        let times =
            if ascending { [Some(100), Some(200), Some(300)] } else { [Some(300), Some(200), Some(100)] };
        assert_eq!((&due[..3], &due[3..]), (&times[..], &[None; 3][..]));
    }
}
