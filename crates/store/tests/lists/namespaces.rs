//! Namespaces.

use portcullis_rules::access::Role;
use portcullis_rules::id::NamespaceId;
use portcullis_store::audience::Audience;
use portcullis_store::db::Tx;
use portcullis_store::namespaces::{self, Namespace, NamespaceFilter};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, NOW, PART, WHOLE, kept, part_of};

pub async fn namespaces_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let key = |namespace: &Namespace| namespace.id.0;
    let list = async |tx: &mut Tx, audience, filter: &NamespaceFilter, window| {
        namespaces::list(tx, audience, filter, window, NOW).await.unwrap()
    };
    let none = NamespaceFilter::default;
    let all = list(&mut tx, Audience::Everything, &none(), WHOLE).await.items;
    let paths: Vec<_> = all.iter().map(|namespace| namespace.full_path.as_str()).collect();
    assert_eq!(paths, ["ana", "ben", "other", "top", "top/sub", "top/sub/deep"]);
    part_of(&list(&mut tx, Audience::Everything, &none(), PART).await, &all, key);

    let World { ana, ben, cyd, dee, bot, top, sub, deep, own, hidden, .. } = world;
    let among = |ids: &[NamespaceId]| {
        let ids = ids.to_vec();
        Box::new(move |namespace: &Namespace| ids.contains(&namespace.id)) as Keep<Namespace>
    };
    let cases: Vec<(NamespaceFilter, Keep<Namespace>)> = vec![
        (NamespaceFilter { groups_only: true, ..none() }, Box::new(Namespace::is_group)),
        (NamespaceFilter { search: Some("SUB".to_owned()), ..none() }, among(&[sub, deep])),
        (NamespaceFilter { parent: Some(top), ..none() }, among(&[sub])),
        (NamespaceFilter { below: Some(top), ..none() }, among(&[sub, deep])),
        (
            NamespaceFilter { top_level_only: true, ..none() },
            Box::new(|namespace| namespace.parent.is_none()),
        ),
        (NamespaceFilter { member: Some((ana, Role::Developer)), ..none() }, among(&[sub, deep])),
        (NamespaceFilter { member: Some((cyd, Role::Owner)), ..none() }, among(&[top, sub, deep])),
        (
            NamespaceFilter { without: vec![top.0, own.0], ..none() },
            Box::new(move |one| one.id != top && one.id != own),
        ),
        (NamespaceFilter { usable_by: Some(ana), ..none() }, among(&[own, sub, deep])),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, Audience::Everything, &filter, WHOLE).await, &all, key, keep);
    }
    let nobody = NamespaceFilter { member: Some((ana, Role::Maintainer)), ..none() };
    assert_eq!(list(&mut tx, Audience::Everything, &nobody, WHOLE).await.total, Some(0));

    let ben_own = all[1].id;
    drop(tx);
    let mut tx = place.db.begin().await.unwrap();
    let (_, robot) = world.add_group_bot(&mut tx, sub, Role::Guest).await;
    for (audience, seen) in [
        (robot, among(&[own, ben_own, top, sub, deep])),
        (Audience::Public, among(&[own, ben_own, top])),
        (Audience::Bot(bot, hidden), among(&[own, ben_own, top])),
        (world.insider(dee), among(&[own, ben_own, top, sub])),
        (world.insider(ana), among(&[own, ben_own, top, sub, deep])),
        (world.insider(ben), among(&[own, ben_own, top])),
    ] {
        kept(audience, &list(&mut tx, audience, &none(), WHOLE).await, &all, key, seen);
    }
}
