//! The activity feed.

use portcullis_rules::id::{ProjectId, TokenId};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, Event, EventFilter, NewEvent};
use portcullis_store::merge_requests::{self, Heads, NewMergeRequest};
use portcullis_store::notes::{self, NewNote, Noteable};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, PART, WHOLE, kept, part_of, sorted};

pub async fn events_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let issues = world.open_issues(&mut tx).await;
    let mut notes = Vec::new();
    let heads = Heads { head: "1".to_owned(), start: "2".to_owned(), base: None };
    let merge_request = NewMergeRequest {
        project: world.open,
        iid: 1,
        author: world.ana,
        title: "title",
        description: None,
        source_branch: "a",
        target_branch: "b",
        squash: false,
        removes_source_branch: false,
        heads: &heads,
    };
    let merge_request = merge_requests::insert(&mut tx, &merge_request, 10).await.unwrap();
    for (on, internal) in [
        (Noteable::Issue(issues[0]), false),
        (Noteable::Issue(issues[0]), true),
        (Noteable::Issue(issues[2]), false),
        (Noteable::MergeRequest(merge_request), false),
        (Noteable::MergeRequest(merge_request), true),
    ] {
        let new =
            NewNote { project: world.open, on, author: world.ana, body: "text", system: false, internal };
        notes.push(notes::insert(&mut tx, &new, 10).await.unwrap().0);
    }
    let notes: [i64; 5] = notes.try_into().unwrap();
    let targets = [
        ("joined", None, None, 10),
        ("opened", Some("Issue"), Some(issues[0].0), 20),
        ("opened", Some("Issue"), Some(issues[2].0), 30),
        ("commented on", Some("Note"), Some(notes[0]), 40),
        ("commented on", Some("Note"), Some(notes[1]), 40),
        ("commented on", Some("Note"), Some(notes[2]), 50),
        ("opened", Some("MergeRequest"), Some(merge_request.0), 50),
        ("commented on", Some("Note"), Some(notes[3]), 50),
        ("commented on", Some("Note"), Some(notes[4]), 50),
        ("pushed to", None, None, 60),
    ];
    for (action, target_type, target_id, at) in targets {
        for project in [world.open, world.inner] {
            let new = NewEvent {
                project,
                author: world.ana,
                token: Some(TokenId(7)),
                action,
                target_type,
                target_id,
                target_iid: None,
                target_title: None,
                details: None,
            };
            events::insert(&mut tx, &new, at).await.unwrap();
        }
    }
    let list = async |tx: &mut Tx, filter: &EventFilter, window| {
        events::list(tx, world.open, filter, window).await.unwrap()
    };
    let key = |event: &Event| event.id.0;
    let everything = || EventFilter {
        issues: true,
        confidential: true,
        merge_requests: true,
        internal_on_merge_requests: true,
        ..EventFilter::default()
    };
    let all = list(&mut tx, &everything(), WHOLE).await.items;
    assert_eq!(all.len(), targets.len());
    part_of(&list(&mut tx, &everything(), PART).await, &all, key);
    let secret = [issues[2].0];
    let cases: Vec<(EventFilter, Keep<Event>)> = vec![
        (
            EventFilter { action: Some("opened".to_owned()), ..everything() },
            Box::new(|event| event.action == "opened"),
        ),
        (
            EventFilter { target_type: Some("NOTE".to_owned()), ..everything() },
            Box::new(|event| event.target_type.as_deref() == Some("Note")),
        ),
        (EventFilter { before: Some(40), ..everything() }, Box::new(|event| event.created_at < 40)),
        (EventFilter { after: Some(40), ..everything() }, Box::new(|event| event.created_at > 40)),
        (EventFilter::default(), Box::new(|event| event.target_type.is_none())),
        (
            EventFilter { confidential: false, ..everything() },
            Box::new(move |event| match event.target_type.as_deref() {
                Some("Issue") => !secret.contains(&event.target_id.unwrap()),
                Some("Note") => ![notes[1], notes[2]].contains(&event.target_id.unwrap()),
                _ => true,
            }),
        ),
        (
            EventFilter { issues: false, ..everything() },
            Box::new(move |event| match event.target_type.as_deref() {
                Some("Note") => event.target_id >= Some(notes[3]),
                other => other != Some("Issue"),
            }),
        ),
        (
            EventFilter { merge_requests: false, ..everything() },
            Box::new(move |event| match event.target_type.as_deref() {
                Some("Note") => event.target_id < Some(notes[3]),
                other => other != Some("MergeRequest"),
            }),
        ),
        (
            EventFilter { internal_on_merge_requests: false, ..everything() },
            Box::new(move |event| {
                event.target_type.as_deref() != Some("Note") || event.target_id != Some(notes[4])
            }),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }
    // Of a token, in several projects, as far as each may be seen.
    let projects = events::projects_of_token(&mut tx, TokenId(7), 10).await.unwrap();
    assert_eq!(projects, [world.inner, world.open]);
    assert_eq!(events::projects_of_token(&mut tx, TokenId(7), 1).await.unwrap(), [world.inner]);
    assert_eq!(events::projects_of_token(&mut tx, TokenId(8), 10).await.unwrap(), []);
    let (seen, hidden) = ((world.open, everything()), (world.inner, EventFilter::default()));
    let of_token = async |tx: &mut Tx, token, projects: &[(ProjectId, EventFilter)]| {
        events::list_of_token(tx, TokenId(token), projects, WHOLE).await.unwrap().items
    };
    let both = of_token(&mut tx, 7, &[seen.clone(), hidden]).await;
    assert_eq!(both.iter().filter(|event| event.project == world.open).count(), targets.len());
    assert!(both.iter().any(|event| event.project == world.inner));
    let about = |event: &Event| matches!(event.target_type.as_deref(), Some("Issue" | "MergeRequest"));
    assert!(!both.iter().any(|event| event.project == world.inner && about(event)));
    assert!(of_token(&mut tx, 8, std::slice::from_ref(&seen)).await.is_empty());
    assert!(of_token(&mut tx, 7, &[]).await.is_empty());
    let upwards = list(&mut tx, &EventFilter { ascending: true, ..everything() }, WHOLE).await;
    sorted("ascending", &upwards, &all, key, |a, b| a.id.cmp(&b.id));
    sorted("descending", &list(&mut tx, &everything(), WHOLE).await, &all, key, |a, b| b.id.cmp(&a.id));
}
