//! Comments.

use portcullis_store::db::Tx;
use portcullis_store::issues::Sight;
use portcullis_store::notes::{self, NewNote, Note, NoteFilter, NoteOrder, Noteable};

use crate::engines::Place;
use crate::world::World;
use crate::{PART, WHOLE, kept, part_of, sorted};

pub async fn notes_are_listed(place: &Place) {
    let world = World::new(place).await;
    let mut tx = place.db.begin().await.unwrap();
    let on = Noteable::Issue(world.open_issues(&mut tx).await[0]);
    let mut ids = Vec::new();
    for (at, internal) in [(30, false), (10, true), (20, false), (20, false)] {
        let new =
            NewNote { project: world.open, on, author: world.ana, body: "text", system: false, internal };
        ids.push(notes::insert(&mut tx, &new, at).await.unwrap());
    }
    notes::update(&mut tx, world.open, ids[2], "other", "{}", world.ana, 40).await.unwrap();
    let list = async |tx: &mut Tx, sight, order, ascending, window| {
        let filter = NoteFilter { order, ascending, ..NoteFilter::default() };
        notes::list(tx, world.open, on, sight, filter, window).await.unwrap()
    };
    let key = |note: &Note| note.id.0;
    let all = list(&mut tx, Sight::Everything, NoteOrder::Created, false, WHOLE).await.items;
    part_of(&list(&mut tx, Sight::Everything, NoteOrder::Created, false, PART).await, &all, key);
    for sight in [Sight::Open, Sight::Own(world.ana)] {
        kept(sight, &list(&mut tx, sight, NoteOrder::Created, false, WHOLE).await, &all, key, |note| {
            !note.internal
        });
    }
    for (order, by) in [
        (NoteOrder::Created, (|note| note.created_at) as fn(&Note) -> i64),
        (NoteOrder::Updated, |note| note.updated_at),
    ] {
        let found = list(&mut tx, Sight::Everything, order, true, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(a), a.id).cmp(&(by(b), b.id)));
        let found = list(&mut tx, Sight::Everything, order, false, WHOLE).await;
        sorted(order, &found, &all, key, |a, b| (by(b), b.id).cmp(&(by(a), a.id)));
    }
}
