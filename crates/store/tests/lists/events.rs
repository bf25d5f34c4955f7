//! The activity feed.

use portcullis_store::db::Tx;
use portcullis_store::events::{self, Event, EventFilter, NewEvent};
use portcullis_store::notes::{self, NewNote, Noteable};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, PART, WHOLE, kept, part_of, sorted};

pub async fn events_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let issues = world.open_issues(&mut tx).await;
    let mut notes = Vec::new();
    for (issue, internal) in [(issues[0], false), (issues[0], true), (issues[2], false)] {
        let on = Noteable::Issue(issue);
        let new =
            NewNote { project: world.open, on, author: world.ana, body: "text", system: false, internal };
        notes.push(notes::insert(&mut tx, &new, 10).await.unwrap().0);
    }
    let targets = [
        ("joined", None, None, 10),
        ("opened", Some("Issue"), Some(issues[0].0), 20),
        ("opened", Some("Issue"), Some(issues[2].0), 30),
        ("commented on", Some("Note"), Some(notes[0]), 40),
        ("commented on", Some("Note"), Some(notes[1]), 40),
        ("commented on", Some("Note"), Some(notes[2]), 50),
        ("pushed to", None, None, 60),
    ];
    for (action, target_type, target_id, at) in targets {
        for project in [world.open, world.inner] {
            let new = NewEvent {
                project,
                author: world.ana,
                token: None,
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
    let everything = || EventFilter { confidential: true, ..EventFilter::default() };
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
        (
            EventFilter::default(),
            Box::new(move |event| match event.target_type.as_deref() {
                Some("Issue") => !secret.contains(&event.target_id.unwrap()),
                Some(_) => event.target_id == Some(notes[0]),
                None => true,
            }),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }
    let upwards = list(&mut tx, &EventFilter { ascending: true, ..everything() }, WHOLE).await;
    sorted("ascending", &upwards, &all, key, |a, b| a.id.cmp(&b.id));
    sorted("descending", &list(&mut tx, &everything(), WHOLE).await, &all, key, |a, b| b.id.cmp(&a.id));
}
