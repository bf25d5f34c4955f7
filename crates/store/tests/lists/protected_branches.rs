//! Branch protections.

use portcullis_rules::access::Role;
use portcullis_store::db::Tx;
use portcullis_store::protected_branches::{self, ProtectedBranch};

use crate::engines::Place;
use crate::world::World;
use crate::{NOW, PART, WHOLE, kept, part_of};

pub async fn protected_branches_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let role = Some(Role::Maintainer);
    for name in ["main", "release/*", "Release_1", "50%"] {
        protected_branches::insert(&mut tx, world.open, name, role, None, false, NOW).await.unwrap();
        protected_branches::insert(&mut tx, world.inner, name, role, role, true, NOW).await.unwrap();
    }
    let list = async |tx: &mut Tx, search, window| {
        protected_branches::list(tx, world.open, search, window).await.unwrap()
    };
    let key = |branch: &ProtectedBranch| branch.id.0;
    let all = list(&mut tx, None, WHOLE).await.items;
    assert_eq!(all, protected_branches::of_project(&mut tx, world.open).await.unwrap());
    part_of(&list(&mut tx, None, PART).await, &all, key);
    for (search, names) in
        [("RELEASE", &["release/*", "Release_1"][..]), ("%", &["50%"]), ("_", &["Release_1"])]
    {
        let found = list(&mut tx, Some(search), WHOLE).await;
        kept(search, &found, &all, key, |branch| names.contains(&branch.name.as_str()));
    }
}
