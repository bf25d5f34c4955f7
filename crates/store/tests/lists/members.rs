//! Members of projects and groups.

use portcullis_rules::access::Role;
use portcullis_store::db::Tx;
use portcullis_store::members::{self, MemberFilter, Place as MemberOf, Reach};

use crate::engines::Place;
use crate::world::World;
use crate::{NOW, WHOLE};

pub async fn members_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let World { ana, ben, cyd, dee, bot, top, sub, deep, open, inner, hidden, .. } = world;
    let list = async |tx: &mut Tx, of, reach, filter: &MemberFilter, now| {
        let found = members::list(tx, of, reach, filter, WHOLE, now).await.unwrap();
        assert_eq!(found.total, Some(found.items.len() as i64));
        found.items.into_iter().map(|member| (member.user.id, member.role)).collect::<Vec<_>>()
    };
    let (project, group) = (MemberOf::Project, MemberOf::Namespace);
    let none = MemberFilter::default();
    let cases = [
        (project(inner), Reach::Direct, vec![(ana, Role::Guest), (cyd, Role::Owner), (dee, Role::Planner)]),
        // Of several memberships the highest counts, and of two as high only one.
        (
            project(inner),
            Reach::Inherited,
            vec![(ana, Role::Developer), (cyd, Role::Owner), (dee, Role::Planner)],
        ),
        (project(open), Reach::Direct, vec![]),
        (project(open), Reach::Inherited, vec![(cyd, Role::Owner)]),
        (project(hidden), Reach::Inherited, vec![(ben, Role::Maintainer), (bot, Role::Reporter)]),
        (group(top), Reach::Direct, vec![(cyd, Role::Owner)]),
        (group(sub), Reach::Direct, vec![(ana, Role::Developer)]),
        (group(deep), Reach::Direct, vec![]),
        (group(deep), Reach::Inherited, vec![(ana, Role::Developer), (cyd, Role::Owner)]),
    ];
    for (of, reach, expected) in cases {
        assert_eq!(list(&mut tx, of, reach, &none, NOW).await, expected, "{of:?} {reach:?}");
        for (user, role) in expected {
            let member = members::find(&mut tx, of, reach, user, NOW).await.unwrap().unwrap();
            assert_eq!((member.user.id, member.role), (user, role));
        }
    }
    // From its date on a membership is none.
    assert_eq!(list(&mut tx, group(deep), Reach::Inherited, &none, NOW + 1).await, [(ana, Role::Developer)]);
    assert_eq!(list(&mut tx, project(open), Reach::Direct, &none, NOW - 1).await, [(ben, Role::Owner)]);

    let query = MemberFilter { query: Some("50%_".to_owned()), users: Vec::new() };
    assert_eq!(list(&mut tx, project(inner), Reach::Inherited, &query, NOW).await, [(dee, Role::Planner)]);
    let some = MemberFilter { query: None, users: vec![ana.0, cyd.0, ben.0] };
    let found = list(&mut tx, project(inner), Reach::Inherited, &some, NOW).await;
    assert_eq!(found, [(ana, Role::Developer), (cyd, Role::Owner)]);
}
