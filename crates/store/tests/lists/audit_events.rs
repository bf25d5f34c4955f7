//! The audit log.

use std::cmp::Reverse;

use portcullis_rules::id::{AuditEventId, NamespaceId, TokenId};
use portcullis_store::audit_events::{
    self, AuditEntity, AuditEvent, AuditEventFilter, AuditEventsOf, NewAuditEvent,
};
use portcullis_store::db::Tx;

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, PART, WHOLE, kept, part_of};

pub async fn audit_events_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let entries = [
        ("Project", world.open.0, Some(1), 10),
        ("Project", world.inner.0, Some(2), 20),
        ("Group", world.open.0, Some(1), 30),
        ("User", world.ana.0, None, 40),
        ("Project", world.open.0, Some(2), 50),
    ];
    for (kind, id, token, at) in entries {
        let new = NewAuditEvent {
            author: Some(world.ana),
            author_name: "Ana",
            token: token.map(TokenId),
            address: None,
            entity: AuditEntity { kind, id: Some(id), path: None },
            event_name: "something",
            target_type: kind,
            target_id: Some(id),
            details: "{}",
        };
        audit_events::insert(&mut tx, &new, at).await.unwrap();
    }
    let list = async |tx: &mut Tx, of, filter: &AuditEventFilter, window| {
        audit_events::list(tx, of, filter, window).await.unwrap()
    };
    let key = |event: &AuditEvent| event.id.0;
    let none = AuditEventFilter::default;
    let all = list(&mut tx, AuditEventsOf::Instance, &none(), WHOLE).await.items;
    assert!(all.is_sorted_by_key(|event| Reverse(event.id)));
    part_of(&list(&mut tx, AuditEventsOf::Instance, &none(), PART).await, &all, key);
    // A group with the same number is another entity.
    let (of, open) = (AuditEventsOf::Project(world.open), world.open.0);
    kept(of, &list(&mut tx, of, &none(), WHOLE).await, &all, key, |event| {
        event.entity_type == "Project" && event.entity_id == Some(open)
    });
    let groups = audit_events::groups_of_token(&mut tx, TokenId(1), 10).await.unwrap();
    assert_eq!(groups, [NamespaceId(open)]);
    let projects = audit_events::projects_of_token(&mut tx, TokenId(2), 10).await.unwrap();
    assert_eq!(projects, [world.open, world.inner]);
    assert_eq!(audit_events::projects_of_token(&mut tx, TokenId(2), 1).await.unwrap(), [world.open]);
    let of = AuditEventsOf::Several { groups: &groups, projects: &[world.inner] };
    let inner = world.inner.0;
    kept(of, &list(&mut tx, of, &none(), WHOLE).await, &all, key, |event| match event.entity_type.as_str() {
        "Group" => event.entity_id == Some(open),
        kind => kind == "Project" && event.entity_id == Some(inner),
    });
    let of = AuditEventsOf::Several { groups: &[], projects: &[] };
    assert!(list(&mut tx, of, &none(), WHOLE).await.items.is_empty());
    let second = all[1].id;
    let cases: Vec<(AuditEventFilter, Keep<AuditEvent>)> = vec![
        (
            AuditEventFilter { id: Some(AuditEventId(second.0)), ..none() },
            Box::new(move |event| event.id == second),
        ),
        (AuditEventFilter { created_after: Some(30), ..none() }, Box::new(|event| event.created_at >= 30)),
        (AuditEventFilter { created_before: Some(30), ..none() }, Box::new(|event| event.created_at <= 30)),
        (
            AuditEventFilter { entity_type: Some("Project".to_owned()), ..none() },
            Box::new(|event| event.entity_type == "Project"),
        ),
        (
            AuditEventFilter { entity_id: Some(open), ..none() },
            Box::new(move |event| event.entity_id == Some(open)),
        ),
        (
            AuditEventFilter { token: Some(TokenId(1)), ..none() },
            Box::new(|event| event.token == Some(TokenId(1))),
        ),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, AuditEventsOf::Instance, &filter, WHOLE).await, &all, key, keep);
    }
}
