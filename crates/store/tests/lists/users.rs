//! Users.

use std::cmp::Reverse;

use portcullis_rules::access::Role;
use portcullis_store::audience::Audience;
use portcullis_store::db::Tx;
use portcullis_store::users::{self, User, UserFilter, UserKind};

use crate::engines::Place;
use crate::world::World;
use crate::{Keep, NOW, PART, WHOLE, kept, keys, part_of};

pub async fn users_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.read().await.unwrap();
    let key = |user: &User| user.id.0;
    let list = async |tx: &mut Tx, filter: &UserFilter, window| {
        users::list(tx, Audience::Everything, filter, window, NOW).await.unwrap()
    };
    let all = list(&mut tx, &UserFilter::default(), WHOLE).await.items;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by_key(|user| Reverse(user.id)));
    part_of(&list(&mut tx, &UserFilter::default(), PART).await, &all, key);

    let none = UserFilter::default;
    let cases: Vec<(UserFilter, Keep<User>)> = vec![
        (UserFilter { username: Some("BEN".to_owned()), ..none() }, Box::new(|user| user.username == "Ben")),
        (UserFilter { search: Some("AN".to_owned()), ..none() }, Box::new(|user| user.username == "ana")),
        (
            UserFilter { search: Some("Ångström".to_owned()), ..none() },
            Box::new(|user| user.username == "ana"),
        ),
        (UserFilter { search: Some("%_o".to_owned()), ..none() }, Box::new(|user| user.name.contains("%_o"))),
        (UserFilter { blocked: Some(true), ..none() }, Box::new(|user| user.blocked)),
        (UserFilter { blocked: Some(false), ..none() }, Box::new(|user| !user.blocked)),
        (UserFilter { external: Some(true), ..none() }, Box::new(|user| user.external)),
        (UserFilter { external: Some(false), ..none() }, Box::new(|user| !user.external)),
        (UserFilter { without_bots: true, ..none() }, Box::new(|user| user.kind == UserKind::Person)),
    ];
    for (filter, keep) in cases {
        kept(&filter, &list(&mut tx, &filter, WHOLE).await, &all, key, keep);
    }

    // A bot sees itself and the members of its own project.
    let found =
        users::list(&mut tx, Audience::Bot(world.bot, world.hidden), &none(), WHOLE, NOW).await.unwrap();
    assert_eq!(keys(&found.items, key), [world.bot.0, world.ben.0]);
    let found = users::list(&mut tx, Audience::Public, &none(), WHOLE, NOW).await.unwrap();
    assert_eq!((found.items.len(), found.total), (0, Some(0)));
    // A bot is called by its token's name only where its project is seen, and searched by what it is called.
    for (audience, name) in [
        (Audience::Everything, "Deployer"),
        (world.insider(world.ben), "Deployer"),
        (world.insider(world.ana), "****"),
    ] {
        let found = users::list(&mut tx, audience, &none(), WHOLE, NOW).await.unwrap();
        assert_eq!(found.items.iter().find(|user| user.id == world.bot).unwrap().name, name);
        let search = UserFilter { search: Some("deployer".to_owned()), ..none() };
        let found = users::list(&mut tx, audience, &search, WHOLE, NOW).await.unwrap();
        assert_eq!(found.items.len(), usize::from(name == "Deployer"));
    }
    // The bot of a group sees whoever is a member of the group, or above or below it; its name is seen with the group.
    drop(tx);
    let mut tx = place.db.begin().await.unwrap();
    let (robot, audience) = world.add_group_bot(&mut tx, world.sub, Role::Guest).await;
    let found = users::list(&mut tx, audience, &none(), WHOLE, NOW).await.unwrap();
    assert_eq!(keys(&found.items, key), [robot.0, world.dee.0, world.cyd.0, world.ana.0]);
    for (audience, name) in [
        (audience, "Robot"),
        (Audience::Everything, "Robot"),
        (world.insider(world.dee), "Robot"),
        (world.insider(world.ben), "****"),
    ] {
        let filter = UserFilter { username: Some("group_bot".to_owned()), ..none() };
        let found = users::list(&mut tx, audience, &filter, WHOLE, NOW).await.unwrap();
        assert_eq!(found.items.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), [name]);
    }
}
